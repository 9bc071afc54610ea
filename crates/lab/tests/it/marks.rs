//! The mark of synthetic events: read from every kind of file, kept row by row, and looked at by nothing that is computed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::event::{MARK, MARK_MAX};
use engine::{Decisions, Detector, Engine, EventBatch, Value};
use lab::dataset::{
    Block, ColumnMap, ColumnType, EventReader, SimulatedReader, TableWriter, open, write_event,
    write_whole_event,
};
use lab::simulate::{Settings, simulator};

const ROWS: usize = 400;

fn detector(text: &str) -> Arc<Detector> {
    Arc::new(Detector::parse(text).unwrap())
}

fn card() -> Arc<Detector> {
    detector(include_str!("../../../../detectors/card.toml"))
}

/// Simulated events of which every third is marked.
fn events(detector: &Detector) -> EventBatch {
    let schema = Arc::new(detector.schema.clone());
    let made = |mark: Option<String>| {
        let settings = Settings { rows: Some(ROWS as u64), ..Settings::default() };
        let mut reader = SimulatedReader::new(simulator(&detector.name, &settings).unwrap(), &schema);
        if let Some(mark) = mark {
            reader = reader.marked(mark);
        }
        let mut block = Block::new(&schema);
        while reader.read_one(&mut block) {}
        assert_eq!((block.batch.len(), block.rejects.len()), (ROWS, 0));
        block.batch
    };
    let (plain, marked) = (made(None), made(Some("simulator:card:0".to_string())));
    let mut mixed = EventBatch::new(schema);
    for row in 0..ROWS {
        mixed.push_row_of(if row % 3 == 0 { &marked } else { &plain }, row);
    }
    mixed
}

fn mark_of(row: usize) -> Option<&'static str> {
    row.is_multiple_of(3).then_some("simulator:card:0")
}

fn assert_marked(batch: &EventBatch, what: &str) {
    assert_eq!(batch.len(), ROWS, "{what}");
    for row in 0..ROWS {
        assert_eq!(batch.mark(row), mark_of(row), "row {row} of {what}");
    }
}

fn read(path: &Path, detector: &Detector, columns: &str) -> EventBatch {
    let schema = Arc::new(detector.schema.clone());
    let map = ColumnMap::parse(columns, &schema).unwrap();
    let mut reader = open(path, &schema, &map).unwrap();
    let mut block = Block::new(&schema);
    while reader.read(&mut block, 100).unwrap() {}
    assert_eq!(block.rejects, [], "{}", path.display());
    block.batch
}

fn folder() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("marks");
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// The events as a table, the mark in a column of this name.
fn write_table(path: &Path, batch: &EventBatch, mark: &str) {
    let names = ["transaction_id", "tx_datetime", "tx_amount", "tx_fraud", "customer_id", "terminal_id"];
    let columns: Vec<(String, ColumnType)> = names
        .iter()
        .map(|name| (name.to_string(), ColumnType::Text))
        .chain([(mark.to_string(), ColumnType::Text)])
        .collect();
    let mut table = TableWriter::create(path, &columns).unwrap();
    for row in 0..batch.len() {
        for name in names {
            let field = batch.schema().index_of(name).unwrap();
            match batch.value(row, field) {
                Value::Text(text) => table.text(text),
                Value::Instant(us) => table.text(&engine::time::format_instant(us)),
                Value::Number(number) => table.text(&number.to_string()),
                Value::Bool(truth) => table.text(&truth.to_string()),
                other => panic!("{other} is in no simulated event"),
            }
        }
        match batch.mark(row) {
            Some(mark) => table.text(mark),
            None => table.missing(),
        }
        table.end_row().unwrap();
    }
    table.finish().unwrap();
}

#[test]
fn every_kind_of_file_brings_it() {
    let handbook = detector(include_str!("../../../../detectors/card-handbook.toml"));
    let batch = events(&handbook);
    assert_marked(&batch, "rows moved between batches");
    for (name, column) in [("a.csv", MARK), ("b.csv", "Synthetic"), ("c.jsonl", MARK), ("d.parquet", MARK)] {
        let path = folder().join(name);
        if name.ends_with("jsonl") {
            let mut text = String::new();
            for row in 0..ROWS {
                write_whole_event(&batch, row, &mut text);
                text.push('\n');
            }
            std::fs::write(&path, text).unwrap();
        } else {
            write_table(&path, &batch, column);
        }
        assert_marked(&read(&path, &handbook, ""), name);
    }
    // A column that the user has given to a field is not the mark's.
    let path = folder().join("e.csv");
    write_table(&path, &batch, MARK);
    let text = std::fs::read_to_string(&path).unwrap();
    let filled: String = text
        .lines()
        .map(|line| if line.ends_with(',') { format!("{line}me\n") } else { format!("{line}\n") })
        .collect();
    std::fs::write(&path, filled).unwrap();
    let taken = read(&path, &handbook, "terminal_id=synthetic");
    assert!((0..ROWS).all(|row| taken.mark(row).is_none()));
}

#[test]
fn decisions_do_not_look_at_it() {
    let detector = card();
    let marked = events(&detector);
    let mut plain = EventBatch::new(Arc::clone(marked.schema()));
    let reader = EventReader::with_labels(marked.schema(), &ColumnMap::default());
    let mut json = String::new();
    for row in 0..ROWS {
        json.clear();
        write_event(&marked, row, true, &mut json);
        assert!(!json.contains(MARK), "the canonical event has no mark: {json}");
        reader.read(json.as_bytes(), &mut plain).unwrap();
        assert_eq!(plain.mark(row), None);
    }
    let decided = |batch: &EventBatch| {
        let mut engine = Engine::new(Arc::clone(&detector), None, 1);
        let mut decisions = Decisions::default();
        engine.process(batch, 0, &mut decisions);
        let bits: Vec<u64> = decisions.features.iter().map(|value| value.to_bits()).collect();
        (bits, decisions.outcomes.clone(), engine.snapshot(0))
    };
    assert_eq!(decided(&marked), decided(&plain));
}

#[test]
fn it_goes_with_its_row() {
    let schema = Arc::new(card().schema.clone());
    let reader = EventReader::without_labels(&schema);
    let mut batch = EventBatch::new(Arc::clone(&schema));
    let event = |id: usize, mark: &str| {
        format!(
            r#"{{"transaction_id":{id},"tx_datetime":"2018-04-01T00:00:31Z","tx_amount":5,"customer_id":"c","terminal_id":"t","channel":"chip","country":"BE"{mark}}}"#
        )
    };
    let marked = r#","synthetic":"a""#;
    for (id, mark) in [(0, marked), (1, ""), (2, r#","synthetic":null"#), (3, marked)] {
        reader.read(event(id, mark).as_bytes(), &mut batch).unwrap();
    }
    assert_eq!([0, 1, 2, 3].map(|row| batch.mark(row)), [Some("a"), None, None, Some("a")]);
    batch.pop_row();
    reader.read(event(4, "").as_bytes(), &mut batch).unwrap();
    assert_eq!((batch.mark(0), batch.mark(3)), (Some("a"), None));
    assert!(reader.read(event(5, r#","synthetic":"b","tx_amount":1"#).as_bytes(), &mut batch).is_err());
    assert_eq!((batch.len(), batch.mark(4)), (4, None));
    batch.clear();
    reader.read(event(6, "").as_bytes(), &mut batch).unwrap();
    assert_eq!(batch.mark(0), None);
}

#[test]
fn what_is_no_mark_is_a_mistake_of_the_field() {
    let schema = Arc::new(card().schema.clone());
    let reader = EventReader::without_labels(&schema);
    let mut batch = EventBatch::new(Arc::clone(&schema));
    let long = format!("\"{}\"", "x".repeat(MARK_MAX + 1));
    for value in ["true", "1", "[]", "\"\"", "\" a\"", "\"false\"", long.as_str()] {
        let event = format!(r#"{{"transaction_id":7,"synthetic":{value}}}"#);
        let rejection = reader.read(event.as_bytes(), &mut batch).unwrap_err();
        let error = rejection.errors.iter().find(|error| error.field == MARK).expect(value);
        assert_eq!(error.expected, "what made the event, as text of 1 to 128 bytes");
        assert_eq!(rejection.errors.len(), 5, "and what is missing: {rejection}");
    }
}

#[test]
fn a_detector_may_have_a_field_of_that_name() {
    let text = include_str!("../../../../detectors/card-handbook.toml");
    let own =
        detector(&text.replace("{ terminal_id = \"id\" }", "{ terminal_id = \"id\", synthetic = \"bool\" }"));
    assert_eq!(own.schema.mark_position(), None);
    let schema = Arc::new(own.schema.clone());
    let mut batch = EventBatch::new(Arc::clone(&schema));
    let event = br#"{"transaction_id":1,"tx_datetime":"2018-04-01T00:00:31Z","tx_amount":5,"customer_id":"c","terminal_id":"t","synthetic":true}"#;
    EventReader::without_labels(&schema).read(event, &mut batch).unwrap();
    let field = schema.index_of(MARK).unwrap();
    assert_eq!((batch.mark(0), batch.value(0, field)), (None, Value::Bool(true)));
}
