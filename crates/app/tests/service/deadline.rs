//! A caller that would wait too long gets what rules say; the decision follows, and says what the caller was told.

use std::time::Duration;

use rusqlite::Connection;
use serde_json::Value;

use super::client::Client;
use super::events::transaction;
use super::process::{Setup, folder, redflag, run, wait_until};

/// Longer than the deadline, shorter than the writer's patience with whoever holds the database.
const HELD: Duration = Duration::from_millis(150);

const DEADLINE_MS: &str = "40";

fn at(second: usize) -> String {
    transaction(&format!("d{second}"), &format!("2018-04-01T12:00:{second:02}Z"), "c", "t")
}

fn setup(test: &str) -> Setup {
    Setup::new(&folder(test).join("data")).with("REDFLAG_DECISION_DEADLINE_MS", DEADLINE_MS)
}

/// Posts while nobody can write for longer than the deadline.
fn post_held(setup: &Setup, client: &mut Client, body: String) -> Value {
    let held = Connection::open(setup.database()).unwrap();
    held.execute_batch("BEGIN IMMEDIATE").unwrap();
    let released = std::thread::spawn(move || {
        std::thread::sleep(HELD);
        drop(held);
    });
    let answer = client.post("/v1/transactions", body).ok().json();
    released.join().unwrap();
    answer
}

fn decided(client: &mut Client, id: &str) -> Value {
    wait_until("the decision says what was told", || {
        let found = client.get(&format!("/v1/decisions/{id}"));
        found.status == 200 && found.json()["fallback"].is_object()
    });
    client.get(&format!("/v1/decisions/{id}")).ok().json()
}

#[test]
fn after_the_deadline_rules_answer_and_the_decision_follows() {
    let setup = setup("deadline");
    let service = setup.start();
    let mut client = service.client();
    assert_eq!(client.post("/v1/transactions", at(1)).ok().json()["fallback"], Value::Null, "it is in time");
    let answer = post_held(&setup, &mut client, at(2));
    assert_eq!((&answer["id"], &answer["outcome"]), (&"d2".into(), &"approve".into()));
    assert!(answer["fallback"]["waited_us"].as_i64() >= Some(40_000), "{answer}");
    assert!(answer.get("sequence").is_none(), "it has no place in the log yet");
    let decision = decided(&mut client, "d2");
    assert_eq!((&decision["sequence"], &decision["fallback"]), (&1.into(), &answer["fallback"]));
    // Whoever asks again gets the decision, and what was said.
    let again = client.post("/v1/transactions", at(2)).ok().json();
    assert_eq!((&again["sequence"], &again["fallback"]), (&1.into(), &answer["fallback"]));
    service.stop();
    // What was said is no part of the log: everything is computed as it was.
    let service = setup.start();
    let mut client = service.client();
    let replay = client.post("/v1/decisions/d2/replay", "").ok().json();
    assert_eq!(replay["identical"], true, "{replay}");
}

#[test]
fn closed_declines_what_no_rule_speaks_of() {
    let setup = setup("deadline-closed").with("REDFLAG_FALLBACK", "closed");
    let service = setup.start();
    let answer = post_held(&setup, &mut service.client(), at(1));
    assert_eq!(answer["outcome"], "decline");
    assert_eq!(decided(&mut service.client(), "d1")["outcome"], "approve", "the decision is another");
}

#[test]
fn wrong_deadlines_are_told() {
    for (variable, value) in [("REDFLAG_DECISION_DEADLINE_MS", "0"), ("REDFLAG_FALLBACK", "ajar")] {
        let output = run(redflag().arg("serve").env(variable, value));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(variable) && said.contains(value), "{said}");
    }
}
