//! Late events, events too late to be entered, and times too far ahead, over HTTP.

use serde_json::Value;

use super::client::Client;
use super::events::transaction;
use super::process::{Setup, folder};

fn post(client: &mut Client, id: &str, time: &str) -> Value {
    client.post("/v1/transactions", transaction(id, time, "c", "t")).ok().json()
}

fn count(client: &mut Client, id: &str) -> f64 {
    let decision = client.get(&format!("/v1/decisions/{id}")).ok().json();
    let features = decision["features"].as_array().unwrap();
    let feature = features.iter().find(|feature| feature["name"] == "customer_count_1d");
    feature.unwrap()["value"].as_f64().unwrap()
}

#[test]
fn late_events_enter_their_true_place_while_they_may() {
    let setup = Setup::new(&folder("late").join("data"));
    let service = setup.start();
    let mut client = service.client();
    assert_eq!(post(&mut client, "noon", "2018-04-01T12:00:00Z")["late"], false);
    assert_eq!(post(&mut client, "late", "2018-04-01T11:30:00Z")["late"], true);
    assert_eq!(count(&mut client, "late"), 1.0, "as of its own time");
    assert_eq!(post(&mut client, "too_late", "2018-04-01T10:00:00Z")["late"], true);
    assert_eq!(post(&mut client, "after", "2018-04-01T12:00:01Z")["late"], false);
    assert_eq!(count(&mut client, "after"), 3.0, "noon, late and itself: what was too late is not entered");
    service.kill();
    let service = setup.start();
    let mut client = service.client();
    post(&mut client, "again", "2018-04-01T12:00:02Z");
    assert_eq!(count(&mut client, "again"), 4.0);
    assert_eq!(client.get("/v1/stats").json()["totals"]["late"], 2);
    service.stop();
}

#[test]
fn a_time_too_far_ahead_is_refused_and_moves_nothing() {
    let setup = Setup::new(&folder("ahead").join("data"));
    let service = setup.start();
    let mut client = service.client();
    post(&mut client, "a", "2018-04-01T12:00:00Z");
    let jump = transaction("jump", "2018-05-02T12:00:00Z", "c", "t");
    let answer = client.post("/v1/transactions", &jump);
    assert_eq!((answer.status, answer.problem_fields()), (422, vec!["tx_datetime".to_string()]));
    assert!(answer.text().contains("2018-04-01T12:00:00Z"), "it says the time of the stream: {answer:?}");
    assert_eq!(client.get("/v1/decisions/jump").status, 404);
    // In the middle of a batch, it costs its line.
    let (b, c) = ("2018-04-01T12:00:01Z", "2018-04-01T12:00:02Z");
    let batch = format!("{}\n{jump}\n{}\n", transaction("b", b, "c", "t"), transaction("c", c, "c", "t"));
    let lines = client.post("/v1/transactions/batch", batch).ok().lines();
    assert_eq!((&lines[0]["id"], &lines[1]["line"], &lines[2]["id"]), (&"b".into(), &2.into(), &"c".into()));
    assert_eq!(lines[1]["errors"][0]["field"], "tx_datetime");
    service.kill();
    let service = setup.start();
    let mut client = service.client();
    post(&mut client, "d", "2018-04-01T12:00:03Z");
    assert_eq!(count(&mut client, "d"), 4.0);
    let stats = client.get("/v1/stats").json();
    assert_eq!((&stats["totals"]["rejected"], &stats["totals"]["decisions"]), (&2.into(), &4.into()));
    service.stop();
}
