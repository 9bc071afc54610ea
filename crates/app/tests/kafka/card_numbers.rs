//! A canary in the stream: card numbers are sent in keys, headers, fields and nonsense, and no topic that is written holds one.

use rdkafka::message::{Headers, Message, OwnedMessage};
use serde_json::{Value, json};

use super::topics::Topics;

/// A test number of Visa, and ways to write it.
const WRITTEN: [&str; 3] = ["4539578763621486", "4539 5787 6362 1486", "4539-5787-6362-1486"];

fn event(id: &str, customer: &str, terminal: &str) -> Value {
    json!({"transaction_id": id, "tx_datetime": "2018-04-01T10:00:00Z", "customer_id": customer, "terminal_id": terminal,
           "tx_amount": 12.5})
}

fn bytes_of(message: &OwnedMessage) -> Vec<u8> {
    let mut all = message.payload().unwrap_or_default().to_vec();
    all.extend_from_slice(message.key().unwrap_or_default());
    for header in message.headers().into_iter().flat_map(|headers| headers.iter()) {
        all.extend_from_slice(header.value.unwrap_or_default());
    }
    all
}

fn holds_a_card(bytes: &[u8]) -> bool {
    WRITTEN.iter().any(|text| bytes.windows(text.len()).any(|window| window == text.as_bytes()))
}

#[test]
fn no_topic_that_is_written_holds_a_card_number() {
    let Some(topics) = Topics::new("cards") else { return };
    let mut sent = 0;
    for written in WRITTEN {
        let mut unknown = event(&format!("unknown{sent}"), "c", "t");
        unknown["pan"] = json!(written);
        let good = [
            event(written, "c", "t"),
            event(&format!("customer{sent}"), written, "t"),
            event(&format!("terminal{sent}"), "c", written),
            unknown,
        ];
        let bad = [
            format!("pay {written}"),
            event("x", "c", "t").to_string().replace("12.5", &format!("\"{written}\"")),
        ];
        for payload in good.iter().map(Value::to_string).chain(bad) {
            let headers = [("trace", written)];
            topics.send_raw(1, Some(written), &payload, 1_522_576_800_000 + i64::from(sent), &headers);
            sent += 1;
        }
    }
    let process = topics.process("a").with("RUST_LOG", "trace");
    let service = topics.start(&process);
    topics.wait_until_decided();
    let decisions = topics.decisions();
    let with_token = |member: &str| {
        let is_token =
            |decision: &&Value| decision[member].as_str().unwrap().starts_with("453957******1486~");
        decisions.iter().filter(is_token).count()
    };
    // One id, written in three ways, is decided once.
    assert_eq!((decisions.len(), with_token("id"), with_token("key")), (10, 1, 3));
    for topic in ["decisions", "alerts", "dead_letter"].map(|key| topics.name(key)) {
        let messages = topics.read_topic(&topic);
        assert!(!messages.iter().any(|message| holds_a_card(&bytes_of(message))), "{topic}");
    }
    let between = format!("{}-by-terminal", topics.group);
    let messages = topics.read_topic(&between);
    assert!(
        !messages.is_empty() && !messages.iter().any(|message| holds_a_card(&bytes_of(message))),
        "{between}"
    );
    assert_eq!(topics.read("dead_letter").len(), 6);
    service.stop();
    let log = std::fs::read(process.data_dir().with_extension("log")).unwrap();
    assert!(!log.is_empty() && !holds_a_card(&log), "the log");
}

/// Processes that share the work would each make their own tokens.
#[test]
fn a_field_of_cards_needs_a_key_that_is_given() {
    let Some(topics) = Topics::new("card_key") else { return };
    let shipped = super::process::succeed(&topics.folder, "detector show card-handbook");
    let detector = topics.folder.join("by-card.toml");
    std::fs::write(&detector, shipped.replacen("fields = {", "fields = { customer_id = \"card\",", 1))
        .unwrap();
    let process = topics.process("a").with("REDFLAG_DETECTOR", detector.to_str().unwrap());
    let refused = super::process::run(&mut process.command());
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("REDFLAG_CARD_KEY_FILE"), "{refused:?}");
}
