//! Alerts of a stream from Kafka: stored beside it, worked on over HTTP, and what becomes known goes into the topic of labels.

use rdkafka::message::Message;
use serde_json::{Value, json};

use super::process::wait_until;
use super::topics::Topics;

/// The detector `card-handbook` with a rule, so that what alerts is plain.
fn detector(topics: &Topics) -> String {
    let shipped = include_str!("../../../../detectors/card-handbook.toml");
    let rule = "\n[[rule]]\nname = \"large\"\nwhen = \"amount > 1000.0\"\noutcome = \"decline\"\n";
    let file = topics.folder.join("detector.toml");
    std::fs::write(&file, format!("{shipped}{rule}")).unwrap();
    file.display().to_string()
}

fn payment(number: usize, customer: usize, amount: f64) -> Value {
    json!({"transaction_id": number, "tx_datetime": format!("2018-04-01T10:{number:02}:00Z"),
           "customer_id": customer, "terminal_id": 7, "tx_amount": amount})
}

#[test]
fn a_closed_alert_labels_its_transactions_in_the_topic_too() {
    let Some(topics) = Topics::new("alerts") else { return };
    let database = topics.folder.join("redflag.db");
    let setup = topics
        .process("a")
        .with("REDFLAG_DETECTOR", detector(&topics))
        .with("REDFLAG_DATABASE", database.display().to_string());
    let service = topics.start(&setup);
    topics.send(&[payment(1, 5, 20.0), payment(2, 5, 4_000.0), payment(3, 6, 30.0), payment(4, 5, 2_000.0)]);
    topics.wait_until_decided();
    let mut client = service.client();
    let mut alert = Value::Null;
    wait_until("both have joined the alert", || {
        alert = client.get("/v1/alerts").ok().json()["items"][0].clone();
        alert["transactions"] == 2
    });
    assert_eq!((&alert["entity"], &alert["amount"]), (&json!("5"), &json!(6_000.0)));
    let place = format!("/v1/alerts/{}", alert["id"]);
    let close = json!({"version": alert["version"], "by": "ada", "action": "close", "disposition": "fraud"});
    let closed = client.send("PATCH", &place, close.to_string().as_bytes()).unwrap().ok().json();
    assert_eq!(closed["state"], "closed");
    // Whoever looked at it before is told what happened meanwhile.
    assert_eq!(client.send("PATCH", &place, close.to_string().as_bytes()).unwrap().status, 409);
    let labels = topics.read("labels");
    let said: Vec<Value> =
        labels.iter().map(|label| serde_json::from_slice(label.payload().unwrap()).unwrap()).collect();
    let mut ids: Vec<String> = said.iter().map(|label| label["transaction_id"].to_string()).collect();
    ids.sort();
    assert_eq!(ids, ["\"2\"", "\"4\""].map(String::from), "{said:?}");
    assert!(said.iter().all(|label| label["tx_fraud"] == true), "{said:?}");
    // What comes back from the topic is known already.
    topics.send(&[payment(5, 6, 10.0)]);
    topics.wait_until_decided();
    let totals = &client.get("/v1/stats").ok().json()["totals"];
    let stored = rusqlite::Connection::open(&database).unwrap();
    let count = |of: &str| stored.query_row(of, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!((count("SELECT count(*) FROM labels"), &totals["declined"]), (2, &json!(2)));
    service.stop();
}
