//! Topics that are missing, created twice, and what is not taken over HTTP.

use serde_json::Value;

use super::process::run;
use super::topics::Topics;

#[test]
fn missing_topics_are_refused_with_the_command_that_makes_them() {
    let Some(topics) = Topics::missing("missing") else { return };
    let output = run(&mut topics.process("a").command());
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{errors}");
    for key in ["transactions", "decisions", "alerts", "dead_letter", "labels"] {
        assert!(errors.contains(&topics.name(key)), "{key} is missing from {errors}");
    }
    assert!(errors.contains("redflag topics create"), "{errors}");
}

#[test]
fn topics_are_created_once() {
    let Some(topics) = Topics::new("created") else { return };
    let again: Value = serde_json::from_str(&topics.create()).unwrap();
    let names = again.as_object().unwrap();
    assert_eq!(names.len(), 6, "five, and the one between the stages: {again}");
    assert!(names.values().all(|what| what == "existed"), "{again}");
}

#[test]
fn a_transaction_over_http_is_sent_to_the_topic() {
    let Some(topics) = Topics::new("door") else { return };
    let service = topics.start(&topics.process("a"));
    let event = r#"{"transaction_id":"t","tx_datetime":"2018-04-01T10:00:00Z","customer_id":1,"terminal_id":2,"tx_amount":3}"#;
    let answer = service.client().post("/v1/transactions", event);
    assert_eq!(answer.status, 409, "{answer:?}");
    assert!(answer.text().contains(&topics.name("transactions")), "{}", answer.text());
    assert_eq!(service.client().get("/readyz").status, 200);
    assert!(topics.decisions().is_empty());
    service.stop();
}
