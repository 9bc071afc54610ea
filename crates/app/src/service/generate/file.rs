//! Made transactions as a file: columns as in the detector, labels as 0 and 1, and the mark.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Result, bail};
use engine::detector::{FieldKind, Schema};
use engine::event::MARK;
use engine::{EventBatch, Label, Value};
use lab::dataset::{ColumnType, TableWriter};

use super::events::Events;

/// Rows between two looks at whether anybody still waits.
const ROWS: usize = 1_024;

/// Writes all of them; the ending of `path` says how.
///
/// # Errors
/// If they cannot be made or written, or nobody waits any more.
pub fn write(events: &mut Events, schema: &Arc<Schema>, path: &Path, is_unwanted: &AtomicBool) -> Result<()> {
    let mut table = TableWriter::create(path, &columns(schema))?;
    let mut batch = EventBatch::new(Arc::clone(schema));
    loop {
        batch.clear();
        while batch.len() < ROWS && events.next(&mut batch)? {}
        if batch.is_empty() {
            table.finish()?;
            return Ok(());
        }
        if is_unwanted.load(Ordering::Relaxed) {
            bail!("nobody waits for it any more");
        }
        for row in 0..batch.len() {
            write_row(&batch, row, &mut table);
            table.end_row()?;
        }
    }
}

fn columns(schema: &Schema) -> Vec<(String, ColumnType)> {
    let fields = schema.fields.iter().map(|field| (field.name.clone(), type_of(&field.kind)));
    fields.chain(schema.mark_position().map(|_| (MARK.to_string(), ColumnType::Text))).collect()
}

fn type_of(kind: &FieldKind) -> ColumnType {
    match kind {
        FieldKind::EventId => ColumnType::Id,
        FieldKind::Id { .. } | FieldKind::Card { .. } | FieldKind::Category { .. } => ColumnType::Text,
        FieldKind::Time => ColumnType::Instant,
        FieldKind::Amount | FieldKind::Number { .. } => ColumnType::Number,
        FieldKind::Label => ColumnType::Integer,
        FieldKind::Bool { .. } => ColumnType::Bool,
    }
}

fn write_row(batch: &EventBatch, row: usize, table: &mut TableWriter) {
    let schema = batch.schema();
    for (index, field) in schema.fields.iter().enumerate() {
        match (&field.kind, batch.value(row, index)) {
            (_, Value::Missing) => table.missing(),
            (FieldKind::Amount, _) => table.money(batch.amount_minor(row), schema.amount_decimals),
            (FieldKind::Label, _) => table.integer(i64::from(batch.label(row) == Label::Fraud)),
            (_, Value::Text(text)) => table.text(text),
            (_, Value::Instant(us)) => table.instant(us),
            (_, Value::Number(number)) => table.number(number),
            (_, Value::Bool(truth)) => table.bool(truth),
            _ => table.missing(),
        }
    }
    match batch.mark(row) {
        Some(mark) => table.text(mark),
        None if schema.mark_position().is_some() => table.missing(),
        None => {}
    }
}
