//! Generators that were fitted: all rows are made at once, when the first is asked for.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, ensure};
use engine::detector::Schema;
use engine::time::DAY_US;
use engine::{Detector, EventBatch, Value};
use lab::synth::generator::{self, Generator, Subject};
use lab::synth::table::{Column, Kind, Table};

use super::source::{Made, Source};
use super::wanted::Wanted;

/// What a generator makes, in the order of its times.
pub struct Sampled {
    generator: Generator,
    wanted: generator::Wanted,
    schema: Arc<Schema>,
    start_us: i64,
    is_unwanted: Arc<AtomicBool>,
    /// What it made.
    rows: Option<Rows>,
}

/// Made transactions with the times that they get here.
struct Rows {
    batch: EventBatch,
    order: std::vec::IntoIter<(i64, usize)>,
}

impl Sampled {
    /// A generator's file, and what is wanted of it from `start_us` on.
    ///
    /// # Errors
    /// If it cannot be read, or makes something else than events of the detector.
    pub fn new(
        detector: &Detector,
        path: &Path,
        wanted: &Wanted,
        start_us: i64,
        is_unwanted: Arc<AtomicBool>,
    ) -> Result<Sampled> {
        let generator = Generator::load(path)?;
        ensure!(
            generator.facts.subject == Subject::Events(detector.name.clone()),
            "the generator {} makes no events of {}",
            generator.facts.id,
            detector.name
        );
        let Wanted { rows, fraud_share, seed, .. } = *wanted;
        let wanted = generator::Wanted { rows: rows as usize, fraud_share, seed };
        let schema = Arc::new(detector.schema.clone());
        Ok(Sampled { generator, wanted, schema, start_us, is_unwanted, rows: None })
    }

    /// Its name.
    pub fn id(&self) -> &str {
        &self.generator.facts.id
    }

    fn sample(&self) -> Result<Rows> {
        let go_on = |_| !self.is_unwanted.load(Ordering::Relaxed);
        let table = self.generator.sample(self.wanted, &mut { go_on })?;
        let batch = events_of(&table, &self.schema)?;
        // They begin up to a day after the start.
        let span_us = (self.schema.max_time_jump_us - DAY_US).max(0);
        let order = in_time(&batch, self.start_us, span_us).into_iter();
        Ok(Rows { batch, order })
    }
}

impl Source for Sampled {
    fn next(&mut self) -> Result<Option<Made<'_>>> {
        let rows = match self.rows.take() {
            Some(rows) => rows,
            None => self.sample()?,
        };
        let rows = self.rows.insert(rows);
        let next = rows.order.next();
        Ok(next.map(|(time_us, row)| Made { batch: &rows.batch, row, time_us }))
    }
}

/// Rows by their times, which are moved by whole days so that the first is at `start_us` or up to a day after it. If they span
/// more than `span_us`, they are moved together.
fn in_time(batch: &EventBatch, start_us: i64, span_us: i64) -> Vec<(i64, usize)> {
    let times = || (0..batch.len()).map(|row| batch.time_us(row));
    let (first_us, last_us) = (times().min().unwrap_or(0), times().max().unwrap_or(0));
    let begin_us = first_us + (start_us - first_us + DAY_US - 1).div_euclid(DAY_US) * DAY_US;
    let found_us = last_us - first_us;
    let moved = |after_us: i64| match found_us <= span_us {
        true => after_us,
        false => (i128::from(after_us) * i128::from(span_us) / i128::from(found_us)) as i64,
    };
    let mut order: Vec<(i64, usize)> =
        times().enumerate().map(|(row, us)| (begin_us + moved(us - first_us), row)).collect();
    order.sort_unstable();
    order
}

/// The rows of a table as transactions, numbered.
///
/// # Errors
/// If a row is no transaction of the detector.
fn events_of(table: &Table, schema: &Arc<Schema>) -> Result<EventBatch> {
    let mut batch = EventBatch::new(Arc::clone(schema));
    let columns: Vec<Option<&Column>> = schema.fields.iter().map(|field| table.column(&field.name)).collect();
    for row in 0..table.len() {
        batch.begin_row();
        batch.set(0, Value::Integer(row as i64));
        for (field, column) in columns.iter().enumerate().skip(1) {
            if let Some(column) = column {
                batch.set(field, value_of(column, row));
            }
        }
        batch.end_row().context("what the generator makes is no transaction of the detector")?;
    }
    Ok(batch)
}

fn value_of(column: &Column, row: usize) -> Value<'_> {
    let value = column.values[row];
    match column.kind {
        _ if value.is_nan() => Value::Missing,
        Kind::Category | Kind::Entity => column.word(value).map_or(Value::Missing, Value::Untyped),
        Kind::Bool | Kind::Label => Value::Bool(value == 1.0),
        Kind::Instant => Value::Instant(value as i64),
        Kind::Number { .. } => Value::Number(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_moved_by_whole_days_and_together_where_they_span_too_much() {
        let text = include_str!("../../../../../detectors/card-handbook.toml");
        let detector = Detector::parse(text).unwrap();
        let names = ["tx_datetime", "tx_amount", "customer_id", "terminal_id"];
        let column = |name: &&str| match *name {
            "tx_datetime" => Column {
                values: [3, 0, 1].map(|day| (day * DAY_US + 7) as f64).to_vec(),
                ..Column::new(*name, Kind::Instant)
            },
            "tx_amount" => {
                Column { values: vec![1.5; 3], ..Column::new(*name, Kind::Number { decimals: Some(2) }) }
            }
            _ => Column {
                values: vec![0.0; 3],
                words: vec!["7".to_string()],
                ..Column::new(*name, Kind::Entity)
            },
        };
        let table = Table { columns: names.iter().map(column).collect(), times_us: Vec::new() };
        let batch = events_of(&table, &Arc::new(detector.schema)).unwrap();
        assert_eq!((batch.len(), batch.text(0, 0), batch.amount(1)), (3, "7", 1.5));
        let start_us = 100 * DAY_US + 9;
        let begin_us = 101 * DAY_US + 7;
        assert_eq!(
            in_time(&batch, start_us, 30 * DAY_US),
            [(begin_us, 1), (begin_us + DAY_US, 2), (begin_us + 3 * DAY_US, 0)]
        );
        assert_eq!(
            in_time(&batch, start_us, DAY_US),
            [(begin_us, 1), (begin_us + DAY_US / 3, 2), (begin_us + DAY_US, 0)]
        );
    }
}
