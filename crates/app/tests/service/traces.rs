//! Traces, as a receiver of OTLP gets them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpListener;
use std::thread::spawn;
use std::time::Duration;

use serde_json::Value;

use super::client::Client;
use super::events::{label, numbered, transaction};
use super::process::{Setup, folder, wait_until};
use super::receiver::{Receiver, Span};

/// A trace, and a span, of the caller.
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

fn setup(name: &str, endpoint: &str) -> Setup {
    Setup::new(&folder(name).join("data"))
        .with("REDFLAG_TRACES_ENDPOINT", endpoint)
        .with("REDFLAG_TRACES_SERVICE_NAME", "payments")
}

/// Posts with a `traceparent`.
fn post_traced(client: &mut Client, path: &str, traceparent: &str, body: &str) -> u16 {
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\ntraceparent: {traceparent}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    client.send_raw(head.as_bytes(), body.as_bytes()).unwrap().status
}

fn traces_part(client: &mut Client) -> Value {
    let health = client.get("/v1/health").ok().json();
    health["parts"].as_array().unwrap().iter().find(|part| part["name"] == "traces").unwrap().clone()
}

fn figure(part: &Value, name: &str) -> f64 {
    let figures = part["figures"].as_array().unwrap();
    figures.iter().find(|figure| figure["name"] == name).unwrap()["value"].as_f64().unwrap()
}

#[test]
fn a_request_is_one_trace_below_its_caller() {
    let receiver = Receiver::start(&[200]);
    let service = setup("traces", &receiver.endpoint()).with("REDFLAG_TRACES_SHARE", "0").start();
    let mut client = service.client();
    let traceparent = format!("00-{TRACE}-{CALLER}-01");
    assert_eq!(post_traced(&mut client, "/v1/transactions", &traceparent, &numbered(1)), 200);
    let spans = receiver.wait_for(TRACE, 5);
    let named = |name: &str| spans.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("{name}"));
    let whole = named("POST /v1/transactions");
    assert_eq!((whole.parent.as_str(), whole.kind, whole.is_error), (CALLER, 2, false));
    let expected = [
        ("http.request.method", "POST"),
        ("http.response.status_code", "200"),
        ("http.route", "/v1/transactions"),
    ];
    let expected = expected.map(|(key, value)| (key.to_string(), value.to_string()));
    assert_eq!(whole.attributes, BTreeMap::from(expected));
    let mut before_ns = whole.from_ns;
    for (name, kind) in [("queue", 1), ("decide", 1), ("commit", 3), ("answer", 1)] {
        let span = named(name);
        assert_eq!((span.parent.as_str(), span.kind), (whole.id.as_str(), kind), "{span:?}");
        assert!(before_ns <= span.from_ns && span.from_ns <= span.to_ns, "{name} follows: {spans:?}");
        before_ns = span.to_ns;
    }
    assert!(named("commit").to_ns < whole.to_ns, "it is stored before it is answered");
    assert_eq!(named("commit").attributes["db.system.name"], "sqlite");
    let mut ids: Vec<&str> = spans.iter().map(|span| span.id.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!((ids.len(), spans.len()), (5, 5));
    service.stop();
}

#[test]
fn the_caller_says_whether_its_trace_is_sampled_and_else_the_share() {
    let receiver = Receiver::start(&[200]);
    let service = setup("traces_share", &receiver.endpoint()).with("REDFLAG_TRACES_SHARE", "1").start();
    let mut client = service.client();
    let unsampled = format!("00-{TRACE}-{CALLER}-00");
    post_traced(&mut client, "/v1/transactions", &unsampled, &numbered(1));
    post_traced(&mut client, "/v1/transactions", "not a traceparent", &numbered(2));
    let named = transaction("the-payment", "2018-04-01T00:00:03Z", "the-payer", "the-terminal");
    client.post("/v1/transactions", named).ok();
    client.post("/v1/transactions/batch", format!("{}\n{}\n", numbered(4), numbered(5))).ok();
    client.post("/v1/labels", label("the-payment", true)).ok();
    client.get("/v1/decisions/the-payment").ok();
    client.get("/v1/decisions/of-somebody");
    service.stop();
    let spans = receiver.all();
    let roots: Vec<&Span> = spans.iter().filter(|span| span.parent.is_empty()).collect();
    let names: Vec<&str> =
        roots.iter().map(|span| span.name.as_str()).filter(|name| *name != "GET /readyz").collect();
    let decided = "POST /v1/transactions";
    let expected = [
        decided,
        decided,
        "POST /v1/transactions/batch",
        "POST /v1/labels",
        "GET /v1/decisions/{}",
        "GET /v1/decisions/{}",
    ];
    assert_eq!(names, expected, "the end sends what still waits");
    let traces: BTreeSet<&str> = roots.iter().map(|span| span.trace.as_str()).collect();
    assert_eq!(traces.len(), roots.len(), "each begins a trace of its own");
    assert!(!traces.contains(TRACE));
    let groups: Vec<&str> = spans
        .iter()
        .filter(|span| span.name == "commit")
        .map(|span| span.attributes["redflag.group.transactions"].as_str())
        .collect();
    assert_eq!(groups, ["1", "1", "2"]);
    let text = String::from_utf8_lossy(&receiver.received()).into_owned();
    for id in ["the-payment", "of-somebody", "the-payer", "the-terminal", "customer"] {
        assert!(!text.contains(id), "{id} is in a trace");
    }
}

#[test]
fn spans_wait_for_a_receiver_that_is_busy_and_are_given_up_by_one_that_refuses() {
    let receiver = Receiver::start(&[503, 429, 200]);
    let service = setup("traces_busy", &receiver.endpoint()).with("REDFLAG_TRACES_SHARE", "0").start();
    let mut client = service.client();
    post_traced(&mut client, "/v1/transactions", &format!("00-{TRACE}-{CALLER}-01"), &numbered(1));
    assert_eq!(receiver.wait_for(TRACE, 5).len(), 5, "each comes once");
    wait_until("it is well again", || traces_part(&mut client)["status"] == "ok");
    assert_eq!(figure(&traces_part(&mut client), "sent"), 5.0);
    service.stop();

    let receiver = Receiver::start(&[400]);
    let service = setup("traces_refused", &receiver.endpoint()).with("REDFLAG_TRACES_SHARE", "0").start();
    let mut client = service.client();
    post_traced(&mut client, "/v1/transactions", &format!("00-{TRACE}-{CALLER}-01"), &numbered(1));
    wait_until("they are given up", || figure(&traces_part(&mut client), "dropped") == 5.0);
    let part = traces_part(&mut client);
    assert_eq!(
        (&part["status"], part["detail"].as_str().unwrap().contains("400")),
        (&Value::from("degraded"), true)
    );
    assert_eq!(client.get("/readyz").text(), "ready\n", "decisions go on");
    service.stop();
}

#[test]
fn spans_that_are_not_taken_do_not_count_as_sent() {
    for (answer, sent, dropped) in [
        // ExportTraceServiceResponse { partial_success: { rejected_spans: 3 } }
        ("HTTP/1.1 200 OK\r\ncontent-length: 4\r\nconnection: close\r\n\r\n\x0a\x02\x08\x03", 2.0, 3.0),
        (
            "HTTP/1.1 302 Found\r\nlocation: /login\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            0.0,
            5.0,
        ),
    ] {
        let receiver = Receiver::answering(answer);
        let service = setup("traces_partial", &receiver.endpoint()).with("REDFLAG_TRACES_SHARE", "0").start();
        let mut client = service.client();
        post_traced(&mut client, "/v1/transactions", &format!("00-{TRACE}-{CALLER}-01"), &numbered(1));
        wait_until("they are counted", || figure(&traces_part(&mut client), "dropped") == dropped);
        assert_eq!(figure(&traces_part(&mut client), "sent"), sent);
        service.stop();
    }
}

#[test]
fn a_receiver_that_hangs_costs_spans_and_no_decision() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    // Connections are taken and nothing is ever said.
    let held = spawn(move || listener.incoming().take(1).map(Result::unwrap).collect::<Vec<_>>());
    let service = setup("traces_hang", &endpoint).with("REDFLAG_TRACES_SHARE", "1").start();
    let mut client = service.client();
    // More than the ring and a batch hold: 5 spans each.
    let lines: Vec<String> = (0..100).map(numbered).collect();
    for _ in 0..2_000 {
        client.post("/v1/transactions", &lines[0]).ok();
    }
    client.post("/v1/transactions/batch", lines.join("\n")).ok();
    let metrics = client.get("/metrics").ok().text().to_string();
    let dropped =
        metrics.lines().find_map(|line| line.strip_prefix("redflag_trace_spans_dropped_total ")).unwrap();
    assert!(dropped.parse::<f64>().unwrap() > 0.0, "{dropped}");
    assert_eq!(figure(&traces_part(&mut client), "sent"), 0.0);
    let total =
        metrics.lines().find_map(|line| line.strip_prefix("redflag_decisions_total{outcome=\"approve\"} "));
    assert_eq!(total, Some("100"), "each was decided, once");
    service.signal("TERM");
    let (status, took) = service.ended();
    assert!(status.success() && took < Duration::from_secs(10), "{status} after {took:?}");
    drop(held.join().unwrap());
}
