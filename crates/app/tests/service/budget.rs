//! A review budget that is set in a service holds at once, and decisions are replayed by it.

use serde_json::{Value, json};

use super::client::Client;
use super::events::{Simulated, simulated};
use super::process::{Setup, folder, succeed};

/// About four weeks.
const ROWS: usize = 12_000;

fn post(client: &mut Client, stream: &[Simulated]) -> Vec<Value> {
    let mut decided = Vec::new();
    for part in stream.chunks(500) {
        let lines: String = part.iter().map(|one| format!("{}\n", one.body)).collect();
        let answer = client.post("/v1/transactions/batch", lines).ok();
        decided.extend(answer.text().lines().map(|line| serde_json::from_str::<Value>(line).unwrap()));
    }
    decided
}

fn reviews(decided: &[Value]) -> usize {
    decided.iter().filter(|decision| decision["outcome"] == "review").count()
}

fn set(client: &mut Client, budget: Value) -> String {
    let policy = json!({ "basis": { "thresholds": { "review": 0.001, "decline": 1.0 } }, "daily_review_budget": budget });
    let asked = json!({ "policy": policy, "by": "maria", "reason": "people are on holiday" });
    client.send("PUT", "/v1/policy", asked.to_string().as_bytes()).unwrap().ok().json()["change"]
        .as_str()
        .unwrap()
        .to_string()
}

#[test]
fn a_budget_holds_at_once_and_decisions_are_replayed_by_it() {
    let folder = folder("budget");
    let stream = simulated(&folder, ROWS, 200, 9);
    succeed(&folder, "train --detector card-handbook --in stream.jsonl --trees 20 --out some.model");
    let setup = Setup::new(&folder.join("data"))
        .with("REDFLAG_MODEL", folder.join("some.model").display().to_string());
    let service = setup.start();
    let mut client = service.client();
    assert!(set(&mut client, json!(5)).ends_with("holds from the next training on"), "nothing is known yet");
    assert_eq!(set(&mut client, Value::Null), "the policy was changed");
    let (first, second) = stream.split_at(ROWS / 2);
    let before = post(&mut client, first);
    let days = ROWS as f64 / 2.0 / (200.0 * 2.0);
    assert!(reviews(&before) as f64 / days > 60.0, "without a bound there are many: {}", reviews(&before));

    let said = set(&mut client, json!(20));
    assert!(said.contains(" reviews from score 0."), "{said}");
    let after = post(&mut client, second);
    let per_day = reviews(&after) as f64 / days;
    assert!((5.0..40.0).contains(&per_day), "20 a day were asked for, {per_day} came");
    let shown = client.get("/v1/detector").ok().json()["policy"]["review_score_min"].as_f64().unwrap();
    assert!(said.ends_with(&format!("from score {shown:.6} on")), "{said}, {shown}");
    let in_force = client.get("/v1/rules").ok().json();
    assert_eq!(in_force["budget_score"]["score_min"], shown);
    let least = after.iter().filter(|decision| decision["outcome"] == "review");
    assert!(least.map(|decision| decision["score"].as_f64().unwrap()).all(|score| score >= shown));
    for at in [10, ROWS / 2 - 10] {
        for decision in [&before[at], &after[at]] {
            let path = format!("/v1/decisions/{}/replay", decision["id"].as_str().unwrap());
            assert_eq!(client.post(&path, "").ok().json()["identical"], true);
        }
    }
    assert_eq!(
        set(&mut client, json!(1e9)).split("score ").nth(1),
        Some("0.000000 on"),
        "there is room for all"
    );
    service.stop();
}
