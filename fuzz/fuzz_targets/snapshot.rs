//! Any bytes are a state or an error; a state that was accepted goes on.
#![no_main]

use std::hash::{BuildHasher, Hasher};
use std::sync::{Arc, LazyLock};

use engine::{Decisions, Detector, Engine, EventBatch, Value};
use libfuzzer_sys::fuzz_target;

static DETECTOR: LazyLock<Arc<Detector>> = LazyLock::new(|| {
    Arc::new(Detector::parse(include_str!("../../detectors/card.toml")).expect("shipped detectors are sound"))
});

fn an_event(number: i64) -> EventBatch {
    let schema = Arc::new(DETECTOR.schema.clone());
    let mut batch = EventBatch::new(Arc::clone(&schema));
    batch.begin_row();
    let mut set =
        |name: &str, value: Value| batch.set(schema.index_of(name).expect("a field of card"), value);
    set("transaction_id", Value::Integer(number));
    set("tx_datetime", Value::Instant(1_600_000_000_000_000 + number * 1_000_000));
    set("tx_amount", Value::Integer(10));
    set("customer_id", Value::Integer(number % 2));
    set("terminal_id", Value::Integer(number % 3));
    batch.end_row().expect("the event is sound");
    batch
}

/// The bytes that the fuzzer changes lie after the header, before a checksum that is made right: otherwise it would
/// have to guess both.
fn sealed(body: &[u8]) -> Vec<u8> {
    let mut bytes = Engine::new(Arc::clone(&DETECTOR), None, 1).snapshot(0);
    // The empty state ends with two words of time, an end mark of four bytes for each kind, and the checksum.
    bytes.truncate(bytes.len() - 8 - 8 - 16);
    bytes.extend_from_slice(body);
    let mut hasher = foldhash::quality::FixedState::with_seed(3).build_hasher();
    hasher.write(&bytes);
    bytes.extend_from_slice(&hasher.finish().to_le_bytes());
    bytes
}

fuzz_target!(|body: &[u8]| {
    assert!(Engine::restore(Arc::clone(&DETECTOR), None, 1, body).is_err(), "a checksum is not guessed");
    let Ok((mut engine, _)) = Engine::restore(Arc::clone(&DETECTOR), None, 2, &sealed(body)) else { return };
    let mut decisions = Decisions::default();
    for number in 0..3 {
        engine.process(&an_event(number), number, &mut decisions);
    }
    let bytes = engine.snapshot(3);
    assert!(Engine::restore(Arc::clone(&DETECTOR), None, 1, &bytes).is_ok());
});
