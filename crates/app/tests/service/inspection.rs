//! One decision looked at closely: what each feature did, whether it comes out again, what would have been.

use std::path::Path;

use serde_json::{Value, json};

use super::client::Client;
use super::process::{Service, Setup, folder, succeed};

const MODEL: &str = "model.json";

/// A model that was trained on simulated payments.
fn train(folder: &Path) {
    succeed(folder, "simulate --detector card-handbook --rows 40000 --seed 7 --out history.csv");
    succeed(folder, &format!("train --detector card-handbook --in history.csv --trees 30 --out {MODEL}"));
}

fn start(folder: &Path, data: &str) -> Service {
    let model = folder.join(MODEL).display().to_string();
    Setup::new(&folder.join(data)).with("REDFLAG_MODEL", model).start()
}

/// The `number`th payment of a card that pays about the same everywhere, at one of three terminals.
fn payment(number: usize, amount: f64, customer: &str) -> Value {
    json!({
        "transaction_id": format!("t{number}"), "tx_datetime": format!("2030-01-{:02}T10:{:02}:00Z", 1 + number / 30, number % 30),
        "tx_amount": amount, "customer_id": customer, "terminal_id": format!("s{}", number % 3),
    })
}

/// Sixty payments of two cards with labels between them; the last is `last`.
fn pay(client: &mut Client, last: &Value) {
    for number in 0..60 {
        let customer = ["c1", "c2"][number % 2];
        client
            .post("/v1/transactions", payment(number, 12.0 + (number % 7) as f64, customer).to_string())
            .ok();
        if number % 9 == 4 {
            let label = json!({"transaction_id": format!("t{}", number - 1), "fraud": number % 2 == 0});
            client.post("/v1/labels", label.to_string()).ok();
        }
    }
    client.post("/v1/transactions", last.to_string()).ok();
}

fn what_if(client: &mut Client, changes: Value) -> Value {
    client.post("/v1/decisions/t60/what-if", json!({"changes": changes}).to_string()).ok().json()
}

/// What a decision and a hypothetical one have in common, without ids.
fn figures(decided: &Value) -> [Value; 3] {
    ["score", "outcome", "rules"].map(|name| decided[name].clone())
}

#[test]
fn contributions_add_up_to_the_margin() {
    let folder = folder("inspection_contributions");
    train(&folder);
    let service = start(&folder, "data");
    let mut client = service.client();
    pay(&mut client, &payment(60, 4_000.0, "c1"));
    let told = client.get("/v1/decisions/t60/contributions").ok().json();
    let contributions = told["contributions"].as_array().unwrap();
    let decision = client.get("/v1/decisions/t60").ok().json();
    assert_eq!(contributions.len(), decision["features"].as_array().unwrap().len());
    let added: Vec<f64> = contributions.iter().map(|one| one["contribution"].as_f64().unwrap()).collect();
    assert!(added.is_sorted_by(|a, b| a.abs() >= b.abs()), "{added:?}");
    assert!(added.iter().any(|added| *added < 0.0) && added.iter().any(|added| *added > 0.0), "{added:?}");
    let margin = told["margin"].as_f64().unwrap();
    assert!((told["base"].as_f64().unwrap() + added.iter().sum::<f64>() - margin).abs() < 1e-9);
    // The margin of boosted trees is the log-odds of the score.
    let score = decision["score"].as_f64().unwrap();
    assert!((1.0 / (1.0 + (-margin).exp()) - score).abs() < 1e-6, "{margin} is not the margin of {score}");
    // The reasons are those that speak for fraud.
    let reason = &decision["reasons"][0];
    let same = contributions.iter().find(|one| one["feature"] == reason["feature"]).unwrap();
    assert_eq!((&same["contribution"], &same["text"]), (&reason["contribution"], &reason["text"]));
    assert_eq!(client.get("/v1/decisions/nobody/contributions").status, 404);
    service.stop();
}

#[test]
fn every_decision_comes_out_again() {
    let folder = folder("inspection_replay");
    train(&folder);
    let service = start(&folder, "data");
    let mut client = service.client();
    pay(&mut client, &payment(60, 4_000.0, "c1"));
    for (number, entries) in [(0, 0), (31, 34), (60, 67)] {
        let verdict = client.post(&format!("/v1/decisions/t{number}/replay"), String::new()).ok().json();
        assert_eq!((&verdict["identical"], &verdict["differences"]), (&json!(true), &json!([])), "{verdict}");
        assert_eq!(verdict["entries"], entries, "{verdict}");
    }
    assert_eq!(client.post("/v1/decisions/nobody/replay", String::new()).status, 404);
    service.stop();
    // Somebody who writes into the database is found out.
    let database = rusqlite::Connection::open(folder.join("data/redflag.db")).unwrap();
    database.execute("UPDATE decisions SET score = score / 2 WHERE id = 't60'", []).unwrap();
    drop(database);
    let service = start(&folder, "data");
    let mut client = service.client();
    let verdict = client.post("/v1/decisions/t60/replay", String::new()).ok().json();
    assert_eq!(verdict["identical"], false);
    assert!(verdict["differences"][0].as_str().unwrap().starts_with("score was Some("), "{verdict}");
    let refused = client.post("/v1/decisions/t60/what-if", r#"{"changes": {"tx_amount": 1}}"#);
    assert_eq!((refused.status, &refused.json()["title"]), (409, &json!("its past is not known")));
    service.stop();
}

/// What would have been is what is, where it was so from the beginning.
#[test]
fn what_would_have_been_is_what_another_service_decides() {
    let folder = folder("inspection_what_if");
    train(&folder);
    let service = start(&folder, "data");
    let mut client = service.client();
    let really = payment(60, 4_000.0, "c1");
    pay(&mut client, &really);
    let changes = [
        json!({}),
        json!({"tx_amount": 12.5}),
        json!({"customer_id": "c2", "tx_amount": 900.0}),
        json!({"terminal_id": "nowhere", "tx_datetime": "2030-01-02T03:00:00Z"}),
    ];
    for (number, changes) in changes.iter().enumerate() {
        let told = what_if(&mut client, changes.clone());
        let stored = client.get("/v1/decisions/t60").ok().json();
        assert_eq!(figures(&told["before"]), figures(&stored));
        let mut instead = really.clone();
        instead.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        assert_eq!(told["after"]["event"]["tx_amount"], instead["tx_amount"]);
        let other = start(&folder, &format!("data{number}"));
        let mut elsewhere = other.client();
        pay(&mut elsewhere, &instead);
        let decided = elsewhere.get("/v1/decisions/t60").ok().json();
        assert_eq!(figures(&told["after"]), figures(&decided), "{changes}");
        let differs = |(is, was): &(&Value, &Value)| is["value"] != was["value"];
        let features = |decision: &Value| decision["features"].as_array().unwrap().clone();
        let (is, was) = (features(&decided), features(&stored));
        let different: Vec<Value> = is
            .iter()
            .zip(&was)
            .filter(differs)
            .map(|(is, was)| json!({"name": is["name"], "before": was["value"], "after": is["value"]}))
            .collect();
        assert_eq!(told["changed"], json!(different), "{changes}");
        let contributions = elsewhere.get("/v1/decisions/t60/contributions").ok().json();
        assert_eq!(told["after"]["contributions"], contributions["contributions"]);
        other.stop();
    }
    // Nothing of it was stored, and the past is as it was.
    assert_eq!(client.get("/v1/stats").ok().json()["totals"]["decisions"], 61);
    service.stop();
}

#[test]
fn all_that_cannot_be_changed_is_said_at_once() {
    let service = Setup::new(&folder("inspection_mistakes")).start();
    let mut client = service.client();
    pay(&mut client, &payment(60, 40.0, "c1"));
    let ask = |client: &mut Client, body: &str| client.post("/v1/decisions/t60/what-if", body);
    let wrong =
        r#"{"changes": {"tx_amount": "much", "transaction_id": "t1", "colour": 3, "customer_id": null}}"#;
    let refused = ask(&mut client, wrong);
    assert_eq!(refused.status, 422);
    let mut fields = refused.problem_fields();
    fields.sort();
    assert_eq!(fields, ["colour", "customer_id", "transaction_id", "tx_amount"]);
    let ahead = ask(&mut client, r#"{"changes": {"tx_datetime": "2044-01-01T00:00:00Z"}}"#);
    assert_eq!((ahead.status, ahead.problem_fields()), (422, vec!["tx_datetime".to_string()]));
    for body in ["", "{}", "[]", r#"{"changes": 3}"#, r#"{"changes": {}, "more": 1}"#] {
        assert_eq!(ask(&mut client, body).status, 400, "{body}");
    }
    // Rules alone decide here, and can be asked as well.
    let told = what_if(&mut client, json!({"tx_amount": 5_000}));
    assert_eq!((&told["after"]["score"], &told["after"]["contributions"]), (&Value::Null, &json!([])));
    assert_eq!(client.get("/v1/decisions/t60/contributions").status, 409);
    service.stop();
}

#[test]
fn the_detector_is_told_in_words() {
    let service =
        Setup::new(&folder("inspection_detector").join("data")).with("REDFLAG_DETECTOR", "card").start();
    let detector = service.client().get("/v1/detector").ok().json();
    let features = detector["features"].as_array().unwrap();
    let feature = |name: &str| features.iter().find(|feature| feature["name"] == name).unwrap();
    let window = feature("customer_mean_before_90d");
    assert_eq!(
        [&window["kind"], &window["by"], &window["aggregate"], &window["of"], &window["window"]],
        ["window", "customer_id", "mean", "amount", "90d"]
    );
    assert!(
        window["text"].as_str().unwrap().starts_with("mean amount of the customer in 90 days"),
        "{window}"
    );
    for feature in features {
        assert!(!feature["text"].as_str().unwrap().is_empty(), "{feature}");
    }
    let roles: Vec<&str> =
        detector["fields"].as_array().unwrap().iter().map(|field| field["role"].as_str().unwrap()).collect();
    assert_eq!(roles.iter().filter(|role| **role == "key").count(), 1, "{roles:?}");
    assert_eq!(roles[..3], ["id", "time", "amount"]);
    for rule in detector["rules"].as_array().unwrap() {
        assert!(rule["when"].as_str().is_some_and(|when| !when.is_empty()), "{rule}");
    }
    service.stop();
}
