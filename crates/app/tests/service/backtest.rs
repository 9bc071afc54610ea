//! Rules tried on what a service has decided.

use serde_json::{Value, json};

use super::client::Client;
use super::events::label;
use super::process::{Setup, folder, redflag, run, succeed};

const POSTED: usize = 400;

/// Amounts from 0 to 99, ten transactions an hour.
fn amount(id: usize) -> usize {
    id * 37 % 100
}

fn is_fraud(id: usize) -> bool {
    id.is_multiple_of(13)
}

/// Of the others those that are known are genuine.
fn is_known(id: usize) -> bool {
    is_fraud(id) || id.is_multiple_of(5)
}

fn fill(client: &mut Client) {
    let rule =
        json!({"when": "tx_amount > 89.0", "outcome": "decline", "stage": "live", "by": "a", "reason": "b"});
    client.send("PUT", "/v1/rules/large", rule.to_string().as_bytes()).unwrap().ok();
    let shadow = json!({"when": "true", "outcome": "review", "stage": "shadow", "by": "a", "reason": "b"});
    client.send("PUT", "/v1/rules/all", shadow.to_string().as_bytes()).unwrap().ok();
    for id in 0..POSTED {
        let (at, customer, terminal) = (1_600_000_000 + 360 * id, id % 7, id % 3);
        let event = json!({
            "transaction_id": format!("t{id}"), "tx_datetime": at, "customer_id": format!("c{customer}"),
            "terminal_id": format!("m{terminal}"), "tx_amount": amount(id),
        });
        client.post("/v1/transactions", event.to_string()).ok();
        if is_known(id) {
            client.post("/v1/labels", label(&format!("t{id}"), is_fraud(id))).ok();
        }
    }
}

fn count(is: impl Fn(&usize) -> bool) -> u64 {
    (0..POSTED).filter(is).count() as u64
}

/// What counting by hand says of a review from 50 on.
fn assert_as_counted(rule: &Value) {
    let fires = |id: &usize| amount(*id) > 50;
    let declined = |id: &usize| amount(*id) > 89;
    assert_eq!(rule["fired"], count(fires));
    let added = count(|id| fires(id) && !declined(id));
    assert_eq!(rule["changes"], json!([{"from": "approve", "to": "review", "transactions": added}]));
    let frauds = count(|id| fires(id) && is_fraud(*id));
    assert_eq!(
        (&rule["frauds"], &rule["known"]),
        (&json!(frauds), &json!(count(|id| fires(id) && is_known(*id))))
    );
    let all_frauds = count(|id| is_fraud(*id));
    assert_eq!(rule["recall"], json!(frauds as f64 / all_frauds as f64));
    let caught = |id: &usize| fires(id) && !declined(id) && is_fraud(*id);
    let caught_amount: usize = (0..POSTED).filter(caught).map(amount).sum();
    assert_eq!(rule["caught"], json!({"transactions": count(caught), "amount": caught_amount as f64}));
    let with =
        |name: &str| rule["overlap"].as_array().unwrap().iter().find(|with| with["with"] == name).unwrap();
    let declines = count(declined);
    let expected = json!({"with": "large", "both": declines, "only_this": count(fires) - declines, "only_that": 0,
        "jaccard": declines as f64 / count(fires) as f64});
    assert_eq!(with("large"), &expected);
    assert_eq!(with("~all")["both"], count(fires));
    assert_eq!(with("policy")["both"], 0, "rules alone have alerted, those in the shadow do not count");
    let days = rule["by_day"].as_array().unwrap();
    assert_eq!(days.iter().map(|day| day["fired"].as_u64().unwrap()).sum::<u64>(), count(fires));
}

#[test]
fn history_says_what_a_count_by_hand_says() {
    let folder = folder("backtest");
    let service = Setup::new(&folder.join("data")).start();
    let mut client = service.client();
    fill(&mut client);
    let wanted = json!({"when": "tx_amount > 50.0", "outcome": "review"}).to_string();
    let door = client.post("/v1/rules/backtest", wanted).ok().json();
    assert_eq!((&door["transactions"], &door["left_out"]), (&json!(POSTED), &json!({})));
    assert_as_counted(&door["rule"]);
    // The command says the same beside the running service.
    let arguments = "backtest --data-dir data --detector card-handbook --json";
    let arguments: Vec<&str> =
        arguments.split(' ').chain(["--rule", "tx_amount > 50.0", "--draft", "large"]).collect();
    let output = run(redflag().current_dir(&folder).args(&arguments));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    assert_eq!(told["rules"][0]["by_day"], door["rule"]["by_day"]);
    assert_as_counted(&told["rules"][0]);
    assert_eq!(told["rules"][1]["changes"], json!([]), "what is live already changes nothing");
    let later = json!({"when": "true", "outcome": "decline", "from": "2020-09-14T00:00:00Z"}).to_string();
    let later = client.post("/v1/rules/backtest", later).ok().json();
    assert_eq!(later["transactions"], count(|id| 1_600_000_000 + 360 * id >= 1_600_041_600));
    service.stop();
}

#[test]
fn a_rule_with_mistakes_is_told_and_a_file_is_decided_as_it_would_be_today() {
    let folder = folder("backtest_file");
    let wrong = [
        "backtest",
        "--detector",
        "card-handbook",
        "--rule",
        "tx_amuont > 1.0",
        "--rule",
        "1 +",
        "--in",
        "x.csv",
    ];
    let output = run(redflag().current_dir(&folder).args(wrong));
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(told.contains("2 mistake(s)") && told.contains("did you mean `tx_amount`"), "{told}");
    succeed(&folder, "simulate --detector card-handbook --rows 20000 --seed 5 --out stream.csv");
    let arguments = [
        "backtest",
        "--detector",
        "card-handbook",
        "--rule",
        "tx_amount > 220.0",
        "--in",
        "stream.csv",
        "--json",
    ];
    let output = run(redflag().current_dir(&folder).args(arguments));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    // The Handbook's first scenario: every amount above 220 is fraud.
    let mut rows = csv::Reader::from_path(folder.join("stream.csv")).unwrap();
    let (mut fired, mut frauds, mut all) = (0, 0, 0);
    for row in rows.deserialize::<std::collections::HashMap<String, String>>() {
        let row = row.unwrap();
        let (large, fraud) = (row["tx_amount"].parse::<f64>().unwrap() > 220.0, row["tx_fraud"] == "1");
        fired += u64::from(large);
        frauds += u64::from(large && fraud);
        all += u64::from(fraud);
    }
    let rule = &told["rules"][0];
    assert_eq!(
        (&rule["fired"], &rule["frauds"], &told["frauds"]),
        (&json!(fired), &json!(frauds), &json!(all))
    );
    assert!(fired > 0);
}
