//! What becomes known of a transaction counts from then on, once the detector's delay has passed.

use serde_json::Value;

use super::client::Client;
use super::events::{label, transaction};
use super::process::{Setup, folder};

fn feature(client: &mut Client, id: &str, name: &str) -> Value {
    let decision = client.get(&format!("/v1/decisions/{id}")).ok().json();
    let features = decision["features"].as_array().unwrap().clone();
    features.into_iter().find(|feature| feature["name"] == name).unwrap()["value"].clone()
}

/// The share of fraud at terminal `t` in the day that ended a week before noon of that day.
fn risk(client: &mut Client, id: &str, day: u32) -> Value {
    let time = format!("2018-04-{day:02}T12:00:00Z");
    client.post("/v1/transactions", transaction(id, &time, "c", "t")).ok();
    feature(client, id, "terminal_risk_1d")
}

#[test]
fn labels_change_later_features_once_the_delay_has_passed() {
    let setup = Setup::new(&folder("later_features").join("data"));
    let service = setup.start();
    let mut client = service.client();
    for (id, time) in [("a", "2018-04-01T11:00:00Z"), ("b", "2018-04-01T11:30:00Z")] {
        client.post("/v1/transactions", transaction(id, time, "c", "t")).ok();
    }
    client.post("/v1/labels", label("a", true)).ok();
    assert_eq!(risk(&mut client, "early", 3), 0.0, "the delay has not passed");
    assert_eq!(risk(&mut client, "late", 8), 0.5);
    service.kill();

    let service = setup.start();
    let mut client = service.client();
    client.post("/v1/labels", label("b", true)).ok();
    client.post("/v1/transactions", transaction("x", "2018-04-08T10:59:00Z", "d", "u")).ok();
    let stored = client.get("/v1/decisions/late").ok();
    assert_eq!(feature(&mut client, "late", "terminal_risk_1d"), 0.5, "what was decided stands: {stored:?}");
    let time = "2018-04-08T12:00:01Z";
    client.post("/v1/transactions", transaction("later", time, "c", "t")).ok();
    assert_eq!(feature(&mut client, "later", "terminal_risk_1d"), 1.0);
    client.post("/v1/labels", label("a", false)).ok();
    client.post("/v1/transactions", transaction("last", "2018-04-08T12:00:02Z", "c", "t")).ok();
    assert_eq!(feature(&mut client, "last", "terminal_risk_1d"), 0.5, "the newest label counts");
    service.stop();
}

/// A caller that got no answer sends a label again: it used to be counted twice.
#[test]
fn the_same_label_again_counts_once() {
    let setup = Setup::new(&folder("label_again").join("data"));
    let service = setup.start();
    let mut client = service.client();
    client.post("/v1/transactions", transaction("a", "2018-04-01T11:00:00Z", "c", "t")).ok();
    let first = client.post("/v1/labels", label("a", true)).ok();
    assert_eq!(client.post("/v1/labels", label("a", true)).ok().body, first.body);
    service.kill();
    let service = setup.start();
    let mut client = service.client();
    assert_eq!(client.post("/v1/labels", label("a", true)).ok().body, first.body);
    let totals = client.get("/v1/stats").json()["totals"].clone();
    assert_eq!((&totals["labels"], &totals["labelled_fraud"]), (&1.into(), &1.into()));
    let changed = client.post("/v1/labels", label("a", false)).ok().json();
    assert_eq!((&changed["sequence"], &changed["fraud"]), (&2.into(), &false.into()));
    let known = client.get("/v1/decisions/a").ok().json()["label"].clone();
    assert_eq!((&known["fraud"], &known["known_at"]), (&false.into(), &changed["known_at"]));
    service.stop();
}

#[test]
fn labels_that_are_none_are_refused() {
    let service = Setup::new(&folder("wrong_labels").join("data")).start();
    let mut client = service.client();
    client.post("/v1/transactions", transaction("a", "2018-04-01T11:00:00Z", "c", "t")).ok();
    for unknown in ["b", "", "\u{20ac}"] {
        let answer = client.post("/v1/labels", label(unknown, true));
        assert_eq!((answer.status, answer.problem_fields()), (404, vec!["transaction_id".to_string()]));
    }
    for body in [
        "",
        "null",
        "[]",
        "{}",
        "{\"transaction_id\":\"a\"}",
        "{\"fraud\":true}",
        "{\"transaction_id\":\"a\",\"fraud\":1}",
        "{\"transaction_id\":\"a\",\"fraud\":\"yes\"}",
        "{\"transaction_id\":\"a\",\"fraud\":null}",
        "{\"transaction_id\":[],\"fraud\":true}",
        "{\"transaction_id\":\"a\",\"fraud\":true,\"fraud\":false}",
        "{\"transaction_id\":\"a\",\"fraud\":true,\"why\":\"called\"}",
        "{\"transaction_id\":\"a\",\"fraud\":true} x",
    ] {
        let answer = client.post("/v1/labels", body);
        assert_eq!((answer.status, answer.problem_fields()), (400, vec!["body".to_string()]), "{body}");
    }
    let long = format!("{{\"{}\":1}}", "x".repeat(60_000));
    let answer = client.post("/v1/labels", long);
    assert!(
        answer.status == 400 && answer.body.len() < 2_000,
        "an answer does not repeat all of what was sent"
    );
    assert_eq!(client.get("/v1/stats").json()["totals"]["labels"], 0);
    service.stop();
}
