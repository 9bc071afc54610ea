//! Simulated transactions, a model for them, and what an undisturbed replay decides.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde_json::Value;

use super::process::{folder, succeed};

/// Transactions without their labels, which the stream does not see.
pub fn simulated(rows: usize) -> &'static [Value] {
    static ALL: OnceLock<Vec<Value>> = OnceLock::new();
    let all = ALL.get_or_init(|| {
        let text = succeed(
            Path::new("."),
            "simulate --detector card-handbook --rows 20000 --customers 1000 --seed 7 --out -",
        );
        let unlabelled = |line: &str| {
            let mut event: Value = serde_json::from_str(line).unwrap();
            let members = event.as_object_mut().unwrap();
            members.remove("tx_fraud");
            members.remove("tx_fraud_scenario");
            event
        };
        text.lines().map(unlabelled).collect()
    });
    &all[..rows]
}

/// A small model, so that a score says something about every feature.
pub fn model() -> &'static Path {
    static MODEL: OnceLock<PathBuf> = OnceLock::new();
    MODEL.get_or_init(|| {
        let folder = folder("kafka_model");
        succeed(
            &folder,
            "simulate --detector card-handbook --rows 30000 --customers 1000 --seed 8 --out history.parquet",
        );
        succeed(&folder, "train --detector card-handbook --in history.parquet --trees 20 --out model.json");
        folder.join("model.json")
    })
}

/// Score and outcome by id.
pub type Decided = BTreeMap<String, (Value, Value)>;

/// What the replay of a file with these transactions decides.
pub fn replayed(folder: &Path, events: &[Value]) -> Decided {
    let lines: String = events.iter().map(|event| format!("{event}\n")).collect();
    std::fs::write(folder.join("events.jsonl"), lines).unwrap();
    let model = model().display();
    let text = succeed(
        folder,
        &format!("replay --detector card-handbook --model {model} --in events.jsonl --out -"),
    );
    let decisions: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    decided(&decisions)
}

/// Expects that no id is there twice.
pub fn decided(decisions: &[Value]) -> Decided {
    let of = |decision: &Value| {
        let id = decision["id"].as_str().unwrap().to_string();
        (id, (decision["score"].clone(), decision["outcome"].clone()))
    };
    let all: Decided = decisions.iter().map(of).collect();
    assert_eq!(all.len(), decisions.len(), "an id was decided twice");
    all
}

/// Says in a few words where two sets differ.
pub fn assert_same(found: &Decided, expected: &Decided) {
    let missing: Vec<_> = expected.keys().filter(|id| !found.contains_key(*id)).collect();
    let both = expected.iter().filter_map(|(id, expected)| Some((id, found.get(id)?, expected)));
    let other: Vec<_> = both.filter(|(_, found, expected)| found != expected).collect();
    assert!(
        missing.is_empty(),
        "{} are missing, such as {:?}",
        missing.len(),
        &missing[..missing.len().min(3)]
    );
    assert!(
        other.is_empty(),
        "{} differ, such as (id, found, expected) {:?}",
        other.len(),
        &other[..other.len().min(3)]
    );
    assert_eq!(found.len(), expected.len(), "more was decided than was sent");
}
