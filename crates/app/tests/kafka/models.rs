//! Models that are exchanged while the stream goes on.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::process::{folder, succeed, wait_until};
use super::topics::Topics;
use super::transactions::simulated;

const ROWS: usize = 6_000;

fn json(folder: &Path, arguments: &str) -> Value {
    serde_json::from_str(&succeed(folder, arguments)).unwrap()
}

/// Id, then score and outcome of what a replay decides by a model.
fn replayed(folder: &Path, model: &str, events: &[Value]) -> BTreeMap<String, (Value, Value)> {
    let lines: String = events.iter().map(|event| format!("{event}\n")).collect();
    std::fs::write(folder.join("events.jsonl"), lines).unwrap();
    let arguments = format!("--detector card-handbook --model {model} --in events.jsonl --out -");
    let text = succeed(folder, &format!("replay {arguments}"));
    let decisions = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let entry = |decision: Value| (id(&decision), (decision["score"].clone(), decision["outcome"].clone()));
    decisions.map(entry).collect()
}

fn id(decision: &Value) -> String {
    decision["id"].to_string().trim_matches('"').to_string()
}

#[test]
fn each_decision_is_its_models_and_challengers_are_stored() {
    let Some(topics) = Topics::new("models") else { return };
    let desk = folder("kafka_models");
    succeed(
        &desk,
        "simulate --detector card-handbook --rows 30000 --customers 1000 --seed 8 --out history.parquet",
    );
    let models = [5, 20].map(|trees| {
        let arguments = format!("--trees {trees} --out {trees}.model --register --registry models --json");
        let done = json(&desk, &format!("train --detector card-handbook --in history.parquet {arguments}"));
        done["model"].as_str().unwrap().to_string()
    });
    let promote = |arguments: &str| {
        succeed(&desk, &format!("model promote {arguments} --registry models --by tester --reason because"));
    };
    promote(&models[0]);
    promote(&format!("{} --as challenger", models[1]));
    let database = desk.join("redflag.db");
    let setup = topics
        .process("a")
        .with("REDFLAG_MODEL", "registry")
        .with("REDFLAG_REGISTRY", desk.join("models").display().to_string())
        .with("REDFLAG_DATABASE", database.display().to_string())
        .with("REDFLAG_MODELS_ONLINE", "true");
    let events = simulated(ROWS);
    let service = topics.start(&setup);
    topics.send(&events[..ROWS / 2]);
    topics.wait_until_decided();
    promote(&models[1]);
    let champion = || service.client().get("/v1/stats").ok().json()["model"].clone();
    wait_until("the promotion is followed", || champion() == models[1]);
    topics.send(&events[ROWS / 2..]);
    topics.wait_until_decided();

    let by_model = ["5.model", "20.model"].map(|model| replayed(&desk, model, events));
    let first: Vec<String> =
        events[..ROWS / 2].iter().map(|event| event["transaction_id"].to_string()).collect();
    let decisions = topics.decisions();
    assert_eq!(decisions.len(), ROWS);
    for decision in &decisions {
        let at = usize::from(!first.contains(&id(decision)));
        assert_eq!(decision["versions"]["model"], models[at], "{decision}");
        assert_eq!((&decision["score"], &decision["outcome"]), {
            let (score, outcome) = &by_model[at][&id(decision)];
            (score, outcome)
        });
    }
    service.stop();
    let connection = rusqlite::Connection::open(&database).unwrap();
    let sql = "SELECT v.model, d.id, s.score FROM shadow_scores s JOIN decisions d USING (sequence) \
               JOIN versions v ON v.id = s.version";
    let mut statement = connection.prepare(sql).unwrap();
    let mut shadow: BTreeMap<String, BTreeMap<String, f64>> = BTreeMap::new();
    let mut rows = statement.query([]).unwrap();
    while let Some(row) = rows.next().unwrap() {
        let scores = shadow.entry(row.get(0).unwrap()).or_default();
        scores.insert(row.get(1).unwrap(), row.get(2).unwrap());
    }
    let expected = first.iter().map(|id| (id.clone(), by_model[1][id].0.as_f64().unwrap())).collect();
    assert_eq!(shadow[&models[1]], expected, "what the challenger said while it was one");
    let online = &shadow["online-logistic-regression"];
    assert_eq!((shadow.len(), online.len()), (2, ROWS), "what learns from each label is always one");
    assert!(online.values().all(|score| (0.0..=1.0).contains(score)));
}
