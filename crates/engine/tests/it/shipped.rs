//! Each detector in `detectors/` reads and decides its sample events.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::{Decisions, Detector, Engine, EventBatch, Status, Value};

pub const NAMES: [&str; 5] = ["banking", "card", "card-handbook", "paysim", "ulb"];

fn detectors() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../detectors")
}

pub fn text_of(name: &str) -> String {
    std::fs::read_to_string(detectors().join(format!("{name}.toml"))).unwrap()
}

pub fn parse(text: &str) -> Detector {
    Detector::parse(text).unwrap_or_else(|mistakes| {
        panic!("{}", mistakes.iter().map(|m| format!("{m}\n")).collect::<String>());
    })
}

/// The fields of one of the samples' lines: flat JSON, nothing escaped.
fn fields(line: &str) -> impl Iterator<Item = (&str, &str)> {
    let pairs = line.trim_start_matches('{').trim_end_matches('}').split(", ");
    pairs
        .filter_map(|pair| pair.split_once(": "))
        .map(|(name, value)| (name.trim_matches('"'), value.trim_matches('"')))
}

/// The sample events; a file without ids numbers its rows, as the offline readers do.
pub fn sample(detector: &Detector, name: &str) -> EventBatch {
    let text = std::fs::read_to_string(detectors().join(format!("samples/{name}.jsonl"))).unwrap();
    let mut batch = EventBatch::new(Arc::new(detector.schema.clone()));
    for (number, line) in text.lines().enumerate() {
        batch.begin_row();
        if !fields(line).any(|(name, _)| name == detector.schema.fields[0].name) {
            batch.set(0, Value::Integer(number as i64 + 1));
        }
        for (name, value) in fields(line) {
            if let Some(field) = detector.schema.index_of(name) {
                batch.set(field, Value::Untyped(value));
            }
        }
        batch.end_row().unwrap_or_else(|rejection| panic!("{name}, line {}: {rejection}", number + 1));
    }
    batch
}

#[test]
fn every_detector_of_the_folder_is_tested() {
    let mut found: Vec<String> = std::fs::read_dir(detectors())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter_map(|name| name.strip_suffix(".toml").map(str::to_string))
        .collect();
    found.sort();
    assert_eq!(found, NAMES);
}

#[test]
fn every_detector_reads_and_decides_its_sample() {
    for name in NAMES {
        let detector = parse(&text_of(name));
        assert_eq!(detector.name, name);
        let batch = sample(&detector, name);
        assert!(batch.len() >= 20, "{name}");
        let mut engine = Engine::new(Arc::new(detector), None, 1);
        let mut decisions = Decisions::default();
        engine.process(&batch, 0, &mut decisions);
        assert!(decisions.statuses.iter().all(|status| *status == Status::OnTime), "{name}");
    }
}

/// The names are the interface of every model that was trained on them, and their order is the book's.
#[test]
fn the_handbook_detector_has_the_books_features_and_no_others() {
    let names = parse(&text_of("card-handbook")).feature_names();
    let expected = "amount is_weekend is_night customer_count_1d customer_mean_1d customer_count_7d customer_mean_7d \
        customer_count_30d customer_mean_30d terminal_count_1d terminal_risk_1d terminal_count_7d terminal_risk_7d \
        terminal_count_30d terminal_risk_30d";
    assert_eq!(names.join(" "), expected);
}

#[test]
fn no_shipped_feature_reads_a_balance_after_the_event() {
    let text = text_of("paysim");
    let used = text.lines().filter(|line| !line.starts_with('#'));
    assert!(used.into_iter().all(|line| !line.contains("newbalance") && !line.contains("isFlaggedFraud")));
}
