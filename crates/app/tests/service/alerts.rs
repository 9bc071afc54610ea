//! Alerts over HTTP: who works on them, who was first, and what becomes of their transactions.

use std::path::Path;

use serde_json::{Value, json};

use super::client::{Answer, Client};
use super::process::{Service, Setup, folder};

/// The detector `card` without a model: its rule declines whatever comes from a blocked country.
fn setup(folder: &Path) -> Setup {
    Setup::new(&folder.join("data")).with("REDFLAG_DETECTOR", "card")
}

/// A payment at this hour of April 2018, counted from its first.
fn payment(id: &str, hour: u32, customer: &str, amount: f64, country: &str) -> String {
    let time = format!("2018-04-{:02}T{:02}:00:00Z", 1 + hour / 24, hour % 24);
    json!({"transaction_id": id, "tx_datetime": time, "customer_id": customer, "terminal_id": "t",
           "tx_amount": amount, "country": country})
    .to_string()
}

fn post(client: &mut Client, id: &str, hour: u32, customer: &str, amount: f64) {
    client.post("/v1/transactions", payment(id, hour, customer, amount, "IR")).ok();
}

fn patch(client: &mut Client, id: i64, body: &Value) -> Answer {
    client.send("PATCH", &format!("/v1/alerts/{id}"), body.to_string().as_bytes()).unwrap()
}

fn ids(answer: &Value) -> Vec<i64> {
    answer["items"].as_array().unwrap().iter().map(|alert| alert["id"].as_i64().unwrap()).collect()
}

/// Three alerts: of `a` with three transactions and 60, of `b` with 500, of `a` again, two days later, with 5.
fn with_three(test: &str) -> (Setup, Service) {
    let setup = setup(&folder(test));
    let service = setup.start();
    let mut client = service.client();
    post(&mut client, "a1", 1, "a", 10.0);
    client.post("/v1/transactions", payment("fine", 1, "a", 99.0, "FR")).ok();
    post(&mut client, "b1", 2, "b", 500.0);
    post(&mut client, "a2", 3, "a", 20.0);
    post(&mut client, "a3", 24, "a", 30.0);
    post(&mut client, "a4", 49, "a", 5.0);
    (setup, service)
}

#[test]
fn what_is_not_approved_waits_in_the_order_of_what_it_may_cost() {
    let (setup, service) = with_three("alerts_wait");
    let mut client = service.client();
    let page = client.get("/v1/alerts").ok().json();
    assert_eq!(ids(&page), [2, 0, 5]);
    let counts = json!({"open": 3, "assigned": 0, "overdue": 0, "closed": 0, "waiting_amount": 565.0});
    assert_eq!(page["counts"], counts);
    let alert = &page["items"][1];
    for (member, expected) in [
        ("entity", json!("a")),
        ("state", json!("open")),
        ("transactions", json!(3)),
        ("declined", json!(3)),
        ("amount", json!(60.0)),
        ("priority", json!(60.0)),
        ("score", Value::Null),
        ("outcome", json!("decline")),
        ("rules", json!(["blocked_country"])),
        ("first_event_time", json!("2018-04-01T01:00:00Z")),
        ("last_event_time", json!("2018-04-02T00:00:00Z")),
        ("transaction_id", json!("a1")),
        ("overdue", json!(false)),
    ] {
        assert_eq!(alert[member], expected, "{member} of {alert}");
    }
    assert_eq!(ids(&client.get("/v1/alerts?order=age").ok().json()), [0, 2, 5]);
    assert_eq!(ids(&client.get("/v1/alerts?order=newest&entity=a").ok().json()), [5, 0]);
    let first = client.get("/v1/alerts?limit=2").ok().json();
    let cursor = first["next_cursor"].as_str().unwrap();
    assert_eq!(ids(&client.get(&format!("/v1/alerts?limit=2&cursor={cursor}")).ok().json()), [5]);
    let detail = client.get("/v1/alerts/0").ok().json();
    let transactions = detail["transactions"].as_array().unwrap();
    assert_eq!(transactions.iter().map(|one| &one["id"]).collect::<Vec<_>>(), ["a3", "a2", "a1"]);
    assert_eq!((&detail["history"], &detail["of_entity"][0]["id"]), (&json!([]), &json!(5)));
    // It survives, and goes on.
    service.kill();
    let service = setup.start();
    let mut client = service.client();
    post(&mut client, "a5", 50, "a", 7.0);
    let alert = client.get("/v1/alerts/5").ok().json()["alert"].clone();
    assert_eq!((&alert["transactions"], &alert["amount"]), (&json!(2), &json!(12.0)));
    service.stop();
}

#[test]
fn a_disposition_becomes_the_label_of_every_transaction() {
    let (setup, service) = with_three("alerts_label");
    let mut client = service.client();
    client.post("/v1/labels", r#"{"transaction_id":"a2","fraud":true}"#).ok();
    let version = client.get("/v1/alerts/0").ok().json()["alert"]["version"].clone();
    let close =
        json!({"version": version, "by": "ada", "action": "close", "disposition": "fraud", "note": "called"});
    let closed = patch(&mut client, 0, &close).ok().json();
    assert_eq!((&closed["state"], &closed["disposition"]), (&json!("closed"), &json!("fraud")));
    for id in ["a1", "a2", "a3"] {
        assert_eq!(client.get(&format!("/v1/decisions/{id}")).ok().json()["label"]["fraud"], true, "{id}");
    }
    for id in ["fine", "a4", "b1"] {
        assert_eq!(client.get(&format!("/v1/decisions/{id}")).ok().json()["label"], Value::Null, "{id}");
    }
    // Both clocks: when it happened, and when it became known.
    let known = client.get("/v1/decisions/a1").ok().json()["label"]["known_at"].clone();
    assert_eq!(known, closed["closed_at"]);
    let totals = client.get("/v1/stats").ok().json()["totals"].clone();
    assert_eq!((&totals["labels"], &totals["labelled_fraud"]), (&json!(3), &json!(3)), "a2 had it already");
    let history = client.get("/v1/alerts/0").ok().json()["history"].clone();
    let expected = ("ada", "close", "fraud", "called");
    let found = ["by", "action", "to", "note"].map(|member| history[0][member].as_str().unwrap());
    assert_eq!((found[0], found[1], found[2], found[3]), expected);
    // What comes after belongs to another alert.
    post(&mut client, "a6", 4, "a", 1.0);
    assert_eq!(client.get("/v1/alerts/0").ok().json()["alert"]["transactions"], 3);
    service.kill();
    let service = setup.start();
    let mut client = service.client();
    assert_eq!(client.get("/v1/alerts?state=closed").ok().json()["items"][0], closed);
    service.stop();
}

#[test]
fn of_two_analysts_the_second_is_shown_what_the_first_did() {
    let (_, service) = with_three("alerts_two");
    let (mut ada, mut grace) = (service.client(), service.client());
    let seen = ada.get("/v1/alerts/2").ok().json()["alert"]["version"].clone();
    let take = |by: &str| json!({"version": seen, "by": by, "action": "assign", "assignee": by});
    patch(&mut ada, 2, &take("ada")).ok();
    let refused = patch(&mut grace, 2, &take("grace"));
    assert_eq!((refused.status, refused.problem_fields()), (409, vec![]));
    let refused = refused.json();
    assert_eq!(
        (&refused["alert"]["assignee"], &refused["last_change"]["by"]),
        (&json!("ada"), &json!("ada"))
    );
    assert_eq!(refused["alert"]["version"], seen.as_i64().unwrap() + 1);
    // A transaction that joins is news as well: it would be labelled without having been looked at.
    let version = ada.get("/v1/alerts/2").ok().json()["alert"]["version"].clone();
    post(&mut grace, "b2", 5, "b", 1.0);
    let close = json!({"version": version, "by": "ada", "action": "close", "disposition": "genuine"});
    assert_eq!(patch(&mut ada, 2, &close).status, 409);
    assert_eq!(ada.get("/v1/decisions/b2").ok().json()["label"], Value::Null);
    service.stop();
}

#[test]
fn reopening_takes_two() {
    let (_, service) = with_three("alerts_reopen");
    let mut client = service.client();
    let mut act = |by: &str, action: &str, more: Value| {
        let version = client.get("/v1/alerts/2").ok().json()["alert"]["version"].clone();
        let mut body = json!({"version": version, "by": by, "action": action});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        patch(&mut client, 2, &body)
    };
    assert_eq!(act("ada", "reopen", json!({})).status, 409, "it is not closed");
    act("ada", "close", json!({"disposition": "fraud"})).ok();
    for (action, more) in
        [("assign", json!({"assignee": "ada"})), ("close", json!({"disposition": "genuine"}))]
    {
        assert_eq!(act("grace", action, more).status, 409, "{action} of a closed one");
    }
    act("ada", "note", json!({"note": "was I wrong?"})).ok();
    assert_eq!(act("ada", "reopen", json!({})).ok().json()["reopen_asked_by"], "ada");
    let refused = act("ada", "reopen", json!({}));
    assert!(refused.status == 409 && refused.text().contains("somebody else"), "{refused:?}");
    let reopened = act("grace", "reopen", json!({})).ok().json();
    for (member, expected) in
        [("state", json!("assigned")), ("assignee", json!("ada")), ("disposition", Value::Null)]
    {
        assert_eq!(reopened[member], expected, "{member}");
    }
    act("ada", "close", json!({"disposition": "genuine"})).ok();
    assert_eq!(
        client.get("/v1/decisions/b1").ok().json()["label"]["fraud"],
        false,
        "the newest label counts"
    );
    service.stop();
}

#[test]
fn the_next_alert_is_somebodys_alone() {
    let (_, service) = with_three("alerts_next");
    let mut client = service.client();
    let mut next = |by: &str| client.post("/v1/alerts/next", json!({"by": by}).to_string());
    for (by, id) in [("ada", 2), ("grace", 0), ("ada", 5)] {
        let given = next(by).ok().json();
        assert_eq!(
            (&given["id"], &given["assignee"], &given["state"]),
            (&json!(id), &json!(by), &json!("assigned"))
        );
    }
    assert_eq!(next("ada").status, 204);
    assert_eq!(ids(&client.get("/v1/alerts?assignee=ada").ok().json()), [2, 5]);
    service.stop();
}

#[test]
fn everything_that_is_wrong_with_a_change_is_said_at_once() {
    let (_, service) = with_three("alerts_wrong");
    let mut client = service.client();
    let wrong =
        json!({"version": "1", "by": " ", "action": "burn", "disposition": 3, "assignee": [], "colour": 1});
    let refused = patch(&mut client, 2, &wrong);
    let mut fields = refused.problem_fields();
    fields.sort();
    assert_eq!(fields, ["action", "assignee", "by", "colour", "disposition", "version"]);
    assert_eq!(refused.status, 422);
    let close = json!({"version": 1, "by": "ada", "action": "close"});
    assert_eq!(patch(&mut client, 2, &close).problem_fields(), ["disposition"]);
    let note = json!({"version": 1, "by": "ada", "action": "note", "note": "x".repeat(4_001)});
    assert_eq!(patch(&mut client, 2, &note).problem_fields(), ["note"]);
    assert_eq!(patch(&mut client, 1, &json!({"version": 1, "by": "a", "action": "reopen"})).status, 404);
    assert_eq!(client.get("/v1/alerts/1").status, 404);
    for (query, field) in [
        ("state=gone", "state"),
        ("order=size", "order"),
        ("limit=0", "limit"),
        ("cursor=x", "cursor"),
        ("x=1", "x"),
    ] {
        let refused = client.get(&format!("/v1/alerts?{query}"));
        assert_eq!((refused.status, refused.problem_fields()), (422, vec![field.to_string()]), "{query}");
    }
    assert_eq!(client.get("/v1/alerts/nine").problem_fields(), ["id"]);
    for body in ["", "[]", "{"] {
        let refused = client.send("PATCH", "/v1/alerts/2", body.as_bytes()).unwrap();
        assert_eq!((refused.status, refused.problem_fields()), (400, vec!["body".to_string()]), "{body:?}");
    }
    assert_eq!(client.post("/v1/alerts/next", "{}").problem_fields(), ["by"]);
    service.stop();
}
