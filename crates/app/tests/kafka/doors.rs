//! Topics that are missing, created twice, and what is not taken over HTTP.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

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

/// One of Kafka's own tools.
fn kafkas(tool: &str) -> Command {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/kafka");
    let mut command = Command::new(scripts);
    command.args(["tool", tool, "--bootstrap-server"]).arg(std::env::var("KAFKA_BROKERS").unwrap());
    command
}

fn kcat(topic: &str) -> Command {
    let mut command = Command::new("kcat");
    command.arg("-b").arg(std::env::var("KAFKA_BROKERS").unwrap()).args(["-t", topic]);
    command
}

/// Gives a program its input and expects success; what it printed.
fn printed(command: &mut Command, input: &str) -> String {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{command:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn keyed(id: &str) -> String {
    format!(
        "1|{{\"transaction_id\":\"{id}\",\"tx_datetime\":\"2018-04-01T10:00:00Z\",\"customer_id\":1,\
         \"terminal_id\":2,\"tx_amount\":3}}\n"
    )
}

/// The ids of decisions, in order.
fn ids(lines: &str) -> Vec<String> {
    let id = |line: &str| serde_json::from_str::<Value>(line).unwrap()["id"].as_str().unwrap().to_string();
    let mut ids: Vec<String> = lines.lines().map(id).collect();
    ids.sort_unstable();
    ids
}

#[test]
fn kafkas_own_tools_write_and_read() {
    let Some(topics) = Topics::new("tools") else { return };
    let service = topics.start(&topics.process("a"));
    let (transactions, decisions) = (topics.name("transactions"), topics.name("decisions"));
    let keys = ["--topic", &transactions, "--property", "parse.key=true", "--property", "key.separator=|"];
    printed(kafkas("kafka-console-producer").args(keys), &keyed("of-the-console"));
    topics.wait_until_decided();
    let read = ["--topic", &decisions, "--from-beginning", "--isolation-level", "read_committed"];
    let once = ["--max-messages", "1", "--timeout-ms", "20000"];
    let found = printed(kafkas("kafka-console-consumer").args(read).args(once), "");
    assert_eq!(ids(&found), ["of-the-console"]);
    let groups = printed(kafkas("kafka-consumer-groups").args(["--describe", "--group", &topics.group]), "");
    assert_eq!(groups.lines().filter(|line| line.contains(&transactions)).count(), 4, "{groups}");
    service.stop();
}

#[test]
fn kcat_writes_and_reads() {
    let Some(topics) = Topics::new("kcat") else { return };
    if Command::new("kcat").arg("-V").output().is_err() {
        println!("NOT RUN: kcat beside redflag: it is not installed (scripts/install kcat)");
        return;
    }
    let service = topics.start(&topics.process("a"));
    let written = [keyed("first"), keyed("second")].concat();
    printed(kcat(&topics.name("transactions")).args(["-P", "-K", "|"]), &written);
    topics.wait_until_decided();
    // Kafka marks the transaction as committed a moment after the group's offsets are.
    assert_eq!(topics.decisions().len(), 2);
    let committed = ["-C", "-e", "-q", "-X", "isolation.level=read_committed"];
    let found = printed(kcat(&topics.name("decisions")).args(committed), "");
    assert_eq!(ids(&found), ["first", "second"]);
    service.stop();
}
