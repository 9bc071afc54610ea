//! Traces of records, from the topic of transactions to that of decisions.

use std::collections::BTreeSet;

use rdkafka::message::Message;
use serde_json::{Value, json};

use super::receiver::{Receiver, Span};
use super::topics::{Topics, header};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

#[test]
fn a_sampled_record_is_one_trace_which_its_decision_goes_on_with() {
    let Some(topics) = Topics::new("traces") else { return };
    let event = |id: &str, second: u32| {
        json!({"transaction_id": id, "tx_datetime": format!("2018-04-01T10:00:{second:02}Z"), "customer_id": 1,
               "terminal_id": 3, "tx_amount": 12.5})
        .to_string()
    };
    let (sampled, not) = (format!("00-{TRACE}-{CALLER}-01"), format!("00-{TRACE}-{CALLER}-00"));
    for (id, second, headers) in [
        ("t0", 0, &[("traceparent", sampled.as_str()), ("other", "kept")][..]),
        ("t1", 1, &[("traceparent", not.as_str())][..]),
        ("t2", 2, &[][..]),
    ] {
        topics.send_raw(1, Some("1"), &event(id, second), 1_522_576_800_000, headers);
    }
    let receiver = Receiver::start(&[200]);
    let setup = topics
        .process("a")
        .with("REDFLAG_DATABASE", topics.folder.join("redflag.db").display().to_string())
        .with("REDFLAG_TRACES_ENDPOINT", receiver.endpoint())
        .with("REDFLAG_TRACES_SERVICE_NAME", "payments")
        .with("REDFLAG_TRACES_SHARE", "0");
    let service = topics.start(&setup);
    topics.wait_until_decided();
    let spans = receiver.wait_for(TRACE, 6);
    let metrics = service.client().get("/metrics").ok().text().to_string();
    service.stop();
    assert_eq!(receiver.all().len(), 6, "of the others nothing is told");
    let named = |name: &str| -> &Span { spans.iter().find(|span| span.name == name).unwrap() };
    let whole = named("process");
    assert_eq!((whole.parent.as_str(), whole.kind), (CALLER, 5));
    let mut before_ns = whole.from_ns;
    for (name, kind) in [("queue", 1), ("decide", 1), ("send", 4)] {
        let span = named(name);
        assert_eq!((span.parent.as_str(), span.kind), (whole.id.as_str(), kind));
        assert!(
            before_ns <= span.from_ns && span.from_ns <= span.to_ns && span.to_ns <= whole.to_ns,
            "{spans:?}"
        );
        before_ns = span.to_ns;
    }
    let (stored, committed) = (named("commit"), named("commit topics"));
    for span in [stored, committed] {
        assert_eq!((span.parent.as_str(), span.kind), (whole.id.as_str(), 3));
        assert!(before_ns <= span.from_ns && span.from_ns <= span.to_ns, "{spans:?}");
    }
    assert!(stored.to_ns <= committed.from_ns, "the database holds it before the topics do: {spans:?}");
    assert_eq!(stored.attributes["db.system.name"], "sqlite");
    let messages = topics.read("decisions");
    let of = |id: &str| {
        let is_its = |payload: &[u8]| serde_json::from_slice::<Value>(payload).unwrap()["id"] == id;
        messages.iter().find(|message| is_its(message.payload().unwrap())).unwrap()
    };
    let told = format!("00-{TRACE}-{}-01", whole.id);
    assert_eq!(
        (header(of("t0"), "traceparent"), header(of("t0"), "other")),
        (Some(told.as_str()), Some("kept"))
    );
    assert_eq!(
        header(of("t1"), "traceparent"),
        Some(not.as_str()),
        "what is not sampled is passed on as it came"
    );
    assert_eq!(header(of("t2"), "traceparent"), None);
    let stages: BTreeSet<&str> = metrics
        .lines()
        .filter_map(|line| {
            line.strip_prefix("redflag_decision_duration_seconds_count{stage=\"")?.strip_suffix("\"} 3")
        })
        .collect();
    assert_eq!(
        stages,
        BTreeSet::from(["queue", "decide", "commit", "total"]),
        "each decision counts: {metrics}"
    );
}
