//! Topics that are missing, created twice, and what is not taken over HTTP.

use std::path::Path;
use std::process::Command;

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

const DOCUMENTATION: &str = include_str!("../../../../docs/kafka.md");

/// The documentation's command that begins like this, between the topics of a test, with further arguments.
fn documented(topics: &Topics, beginning: &str, more: &str) -> Command {
    let line = DOCUMENTATION.lines().find(|line| line.starts_with(beginning)).unwrap();
    let line = line
        .replace(" transactions ", &format!(" {} ", topics.name("transactions")))
        .replace(" decisions ", &format!(" {} ", topics.name("decisions")))
        .replace("redflag-card", &topics.group);
    let mut command = Command::new("bash");
    command
        .args(["-c", &format!("{line} {more}")])
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."));
    command
}

/// Expects success; what was printed.
fn printed(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The id of the decision that is the only line.
fn id(line: &str) -> String {
    serde_json::from_str::<Value>(line).unwrap()["id"].as_str().unwrap().to_string()
}

#[test]
fn kcat_and_kafkas_own_tools_write_and_read() {
    let Some(topics) = Topics::new("tools") else { return };
    if Command::new("kcat").arg("-V").output().is_err() {
        println!("NOT RUN: kcat beside redflag: it is not installed (scripts/install kcat)");
        return;
    }
    let service = topics.start(&topics.process("a"));
    printed(&mut documented(&topics, "kcat -b $KAFKA_BROKERS -t transactions", ""));
    topics.wait_until_decided();
    // Kafka marks the transaction as committed a moment after the group's offsets are.
    assert_eq!(topics.decisions().len(), 1);
    assert_eq!(id(&printed(&mut documented(&topics, "kcat -b $KAFKA_BROKERS -t decisions", "-q"))), "t1");
    let once = "--max-messages 1 --timeout-ms 20000 --isolation-level read_committed";
    assert_eq!(
        id(&printed(&mut documented(&topics, "scripts/kafka tool kafka-console-consumer", once))),
        "t1"
    );
    let groups = printed(&mut documented(&topics, "scripts/kafka tool kafka-consumer-groups", ""));
    let own = topics.name("transactions");
    assert_eq!(groups.lines().filter(|line| line.contains(&own)).count(), 4, "{groups}");
    service.stop();
}

#[test]
fn confluents_python_client_writes_and_reads() {
    let Some(topics) = Topics::new("python") else { return };
    let Ok(python) = std::env::var("KAFKA_PYTHON") else {
        println!("NOT RUN: Python's client beside redflag: KAFKA_PYTHON is not set (scripts/kafka-python)");
        return;
    };
    let service = topics.start(&topics.process("a"));
    let (_, program) = DOCUMENTATION.split_once("```python\n").unwrap();
    let (program, _) = program.split_once("```").unwrap();
    let brokers = std::env::var("KAFKA_BROKERS").unwrap();
    let arguments = [brokers, topics.name("transactions"), topics.name("decisions")];
    let found = printed(Command::new(python).args(["-c", program]).args(arguments));
    let (key, decision) = found.split_once(' ').unwrap();
    assert_eq!((key, id(decision).as_str()), ("c1", "t2"));
    service.stop();
}
