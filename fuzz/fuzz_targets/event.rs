//! Any values are an event or a rejection, and any stream of events is decided alike however it is cut.
#![no_main]

use std::sync::{Arc, LazyLock};

use arbitrary::Arbitrary;
use engine::{Decisions, Detector, Engine, EventBatch, Value};
use libfuzzer_sys::fuzz_target;

#[derive(Debug, Arbitrary)]
enum Cell<'a> {
    Missing,
    Bool(bool),
    Integer(i64),
    Small(u8),
    Number(f64),
    Text(&'a str),
    Untyped(&'a str),
    Instant(i64),
    /// Within some months.
    Near(u32),
    Nested,
}

#[derive(Debug, Arbitrary)]
struct Stream<'a> {
    detector: u8,
    shards: u8,
    rows: Vec<Vec<(u8, Cell<'a>)>>,
}

static DETECTORS: LazyLock<Vec<Arc<Detector>>> = LazyLock::new(|| {
    [
        include_str!("../../detectors/banking.toml"),
        include_str!("../../detectors/card.toml"),
        include_str!("../../detectors/card-handbook.toml"),
        include_str!("../../detectors/paysim.toml"),
        include_str!("../../detectors/ulb.toml"),
    ]
    .map(|text| Arc::new(Detector::parse(text).expect("shipped detectors are sound")))
    .to_vec()
});

fn value<'a>(cell: &Cell<'a>) -> Value<'a> {
    match cell {
        Cell::Missing => Value::Missing,
        Cell::Bool(truth) => Value::Bool(*truth),
        Cell::Integer(number) => Value::Integer(*number),
        Cell::Small(number) => Value::Integer(i64::from(*number)),
        Cell::Number(number) => Value::Number(*number),
        Cell::Text(text) => Value::Text(text),
        Cell::Untyped(text) => Value::Untyped(text),
        Cell::Instant(us) => Value::Instant(*us),
        Cell::Near(ms) => Value::Instant(1_600_000_000_000_000 + i64::from(*ms) * 1_000),
        Cell::Nested => Value::Nested("an array"),
    }
}

fuzz_target!(|stream: Stream| {
    let detector = &DETECTORS[usize::from(stream.detector) % DETECTORS.len()];
    let schema = Arc::new(detector.schema.clone());
    let mut batch = EventBatch::new(Arc::clone(&schema));
    for row in &stream.rows {
        batch.begin_row();
        // Plain values first, so that rows are complete often enough to be decided.
        let given: Vec<usize> =
            row.iter().map(|(field, _)| usize::from(*field) % schema.fields.len()).collect();
        for field in (0..schema.fields.len()).filter(|field| !given.contains(field)) {
            batch.set(field, Value::Integer(1));
        }
        for (field, (_, cell)) in given.iter().zip(row) {
            batch.set(*field, value(cell));
        }
        if let Err(rejection) = batch.end_row() {
            assert!(!rejection.to_string().is_empty());
        }
    }
    let bits =
        |decisions: &Decisions| decisions.features.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    let mut whole = Decisions::default();
    Engine::new(Arc::clone(detector), None, 1).process(&batch, 0, &mut whole);
    let mut sharded = Decisions::default();
    Engine::new(Arc::clone(detector), None, usize::from(stream.shards % 5) + 1).process(
        &batch,
        0,
        &mut sharded,
    );
    assert_eq!(bits(&whole), bits(&sharded));
});
