//! What is logged, as JSON, and which requests are.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rusqlite::Connection;
use serde_json::Value;

use super::client::Client;
use super::events::numbered;
use super::process::{Setup, folder, run, wait_until};
use super::receiver::Receiver;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

fn setup(name: &str) -> Setup {
    Setup::new(&folder(name).join("data")).with("REDFLAG_LOG", "json").with("RUST_LOG", "info")
}

/// The log so far, every line an object.
fn lines(setup: &Setup) -> Vec<Value> {
    let text = std::fs::read_to_string(setup.data_dir().with_extension("log")).unwrap();
    let read = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    text.split_inclusive('\n').filter(|line| line.ends_with('\n')).map(read).collect()
}

fn said<'a>(lines: &'a [Value], message: &str) -> Option<&'a Value> {
    lines.iter().find(|line| line["message"] == message)
}

#[test]
fn every_line_is_an_object_and_the_last_ones_are_written() {
    let setup = setup("logs");
    let service = setup.start();
    service.client().post("/v1/transactions", numbered(1)).ok();
    service.stop();
    let lines = lines(&setup);
    let last = said(&lines, "stopping: answering what is under way").unwrap();
    assert_eq!(
        (&last["level"], &last["part"]),
        (&Value::from("INFO"), &Value::from("redflag::service::run"))
    );
    let time = last["time"].as_str().unwrap();
    assert!(time.len() == 27 && time.starts_with("20") && time.ends_with('Z'), "{time}");
    assert_eq!(said(&lines, "a request was slow"), None);
}

#[test]
fn a_request_that_fails_and_one_that_is_slow_are_logged_with_their_trace() {
    let receiver = Receiver::start(&[200]);
    let setup = setup("logs_failed")
        .with("REDFLAG_TRACES_ENDPOINT", receiver.endpoint())
        .with("REDFLAG_TRACES_SERVICE_NAME", "payments")
        .with("REDFLAG_SLOW_REQUEST_MS", "20");
    let service = setup.start();
    // The body comes late.
    let mut stream = TcpStream::connect(service.address).unwrap();
    let body = numbered(1);
    let head = format!(
        "POST /v1/transactions HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntraceparent: 00-{TRACE}-00f067aa0ba902b7-00\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    std::thread::sleep(Duration::from_millis(30));
    stream.write_all(body.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    wait_until("it is logged", || said(&lines(&setup), "a request was slow").is_some());
    let logged = lines(&setup);
    let slow = &said(&logged, "a request was slow").unwrap()["fields"];
    assert_eq!(
        (&slow["method"], &slow["route"], &slow["status"], &slow["trace"]),
        (&"POST".into(), &"/v1/transactions".into(), &200.into(), &TRACE.into())
    );
    assert!(slow["took_ms"].as_u64().unwrap() >= 20, "{slow}");

    let held = Connection::open(setup.database()).unwrap();
    held.busy_timeout(Duration::from_secs(5)).unwrap();
    held.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let mut client = Client::new(service.address);
    assert_eq!(client.post("/v1/transactions", numbered(2)).status, 503);
    drop(held);
    wait_until("it is ready again", || client.get("/readyz").status == 200);
    service.stop();
    let lines = lines(&setup);
    let failed: Vec<&Value> = lines.iter().filter(|line| line["message"] == "a request failed").collect();
    assert_eq!((&failed[0]["fields"]["status"], &failed[0]["level"]), (&503.into(), &"WARN".into()));
    assert_eq!(failed[0]["fields"]["trace"].as_str().map(str::len), Some(32), "{}", failed[0]);
}

#[test]
fn who_does_not_read_the_log_holds_nobody_up() {
    let setup =
        Setup::new(&folder("logs_unread").join("data")).with("REDFLAG_LOG", "json").with("RUST_LOG", "debug");
    let mut command = setup.command();
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let address = first_address(child.stdout.take().unwrap());
    let mut client = Client::new(address);
    let mut lost = 0.0;
    // Each leaves a line at this level: more than a pipe and the queue hold.
    for number in 0..30_000 {
        let mut nonsense = TcpStream::connect(address).unwrap();
        nonsense.write_all(b"no HTTP\r\n\r\n").unwrap();
        // One after the other: more than a few at once would wait to be taken in.
        drop(nonsense.read_to_end(&mut Vec::new()));
        if number % 1_000 == 999 {
            let metrics = client.get("/metrics").ok().text().to_string();
            let line = metrics.lines().find_map(|line| line.strip_prefix("redflag_log_lines_lost_total "));
            lost = line.unwrap().parse().unwrap();
        }
        if lost > 0.0 {
            break;
        }
    }
    client.post("/v1/transactions", numbered(1)).ok();
    assert!(std::process::Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
    // The log is never read: it ends all the same.
    assert!(child.wait().unwrap().success());
    assert!(lost > 0.0, "lines are lost, and counted");
}

fn first_address(stdout: impl Read) -> std::net::SocketAddr {
    use std::io::{BufRead, BufReader};
    let lines = BufReader::new(stdout).lines().map_while(Result::ok);
    let address = |line: String| line.rsplit_once("://").and_then(|(_, address)| address.trim().parse().ok());
    lines.filter_map(address).next().unwrap()
}

#[test]
fn a_wrong_format_is_told_with_what_was_expected() {
    let folder = folder("logs_wrong");
    let output = run(&mut Setup::new(Path::new(&folder)).with("REDFLAG_LOG", "xml").command());
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("REDFLAG_LOG: `log` is \"xml\", expected text or json"), "{text}");
}
