//! In steady state an event costs no allocation: filling a batch, windows, expressions, score, rules, policy.
//!
//! It stands alone because the counting allocator is that of the whole process.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::sync::Arc;

use engine::{Decisions, Detector, Engine, EventBatch, Model, Status, Value};
use forest::Forest;
use forest::grow::{Algorithm, Params, Table, grow};

const CARDS: u64 = 40;
const TERMINALS: u64 = 12;
const STEP_US: i64 = 600_000_000;

/// More than two months, a hundred and forty-four events a day: every window of `card` is full.
const WARM_UP: u64 = 40_000;
const MEASURED: u64 = 100_000;

fn card_detector() -> Arc<Detector> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../detectors/card.toml");
    Arc::new(Detector::parse(&std::fs::read_to_string(path).unwrap()).unwrap())
}

/// A small forest that reads every feature, grown on noise.
fn a_forest(detector: &Detector) -> Forest {
    let names = detector.feature_names();
    let noise = |row: usize, column: usize| ((row * 31 + column * 17 + row * row * 7) % 101) as f64;
    let columns: Vec<Vec<f64>> =
        (0..names.len()).map(|column| (0..400).map(|row| noise(row, column)).collect()).collect();
    let labels: Vec<bool> = (0..400).map(|row| noise(row, 3) + noise(row, 5) > 120.0).collect();
    let table = Table { names: &names, columns: &columns, labels: &labels, weights: None };
    let params = Params { trees: 20, ..Params::defaults(Algorithm::Gbdt) };
    grow(&table, &params, 1, &mut |_| {}).unwrap()
}

/// The number's event: everything about it comes back after a while, so that the state neither grows nor shrinks.
fn fill(batch: &mut EventBatch, fields: &[usize; 8], number: u64, id: &str) {
    let [id_at, time, amount, label, card, terminal, channel, country] = *fields;
    batch.clear();
    batch.begin_row();
    batch.set(id_at, Value::Text(id));
    batch.set(time, Value::Instant(1_600_000_000_000_000 + number as i64 * STEP_US));
    batch.set(amount, Value::Number((number * 7 % 5_000) as f64 / 100.0));
    batch.set(label, Value::Bool(number.is_multiple_of(97)));
    batch.set(card, Value::Integer((number * 13 % CARDS) as i64));
    batch.set(terminal, Value::Integer((number * 5 % TERMINALS) as i64));
    batch.set(channel, Value::Text(["chip", "online", "atm"][(number % 3) as usize]));
    batch.set(country, if number.is_multiple_of(4) { Value::Missing } else { Value::Text("BE") });
    batch.end_row().unwrap();
}

fn feed(engine: &mut Engine, batch: &mut EventBatch, decisions: &mut Decisions, from: u64, count: u64) {
    let schema = Arc::clone(batch.schema());
    let names = [
        "transaction_id",
        "tx_datetime",
        "tx_amount",
        "tx_fraud",
        "customer_id",
        "terminal_id",
        "channel",
        "country",
    ];
    let fields = names.map(|name| schema.index_of(name).unwrap());
    for number in from..from + count {
        fill(batch, &fields, number, "T1");
        engine.process(batch, number as i64, decisions);
        assert_eq!(decisions.statuses[0], Status::OnTime);
    }
}

#[test]
fn an_event_allocates_nothing() {
    let detector = card_detector();
    let forest = a_forest(&detector);
    let model = Model::new("m", &forest, &detector.feature_fingerprint, 0.0, &detector).unwrap();
    let mut engine = Engine::new(Arc::clone(&detector), Some(model), 1);
    let mut batch = EventBatch::new(Arc::new(detector.schema.clone()));
    let mut decisions = Decisions::default();
    feed(&mut engine, &mut batch, &mut decisions, 0, WARM_UP);
    let measured = allocation_counter::measure(|| {
        feed(&mut engine, &mut batch, &mut decisions, WARM_UP, MEASURED);
    });
    assert!(decisions.scores[0].is_finite(), "the model has scored");
    assert_eq!((measured.count_total, measured.bytes_total), (0, 0));
}
