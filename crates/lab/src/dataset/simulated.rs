//! A simulator as a source of events, so that simulated history enters by the same door as a file.

use std::sync::Arc;

use engine::Value;
use engine::detector::Schema;

use super::{Block, DatasetError, Reader};
use crate::simulate::{Cell, Row, Simulator};

/// Reads the transactions of a simulator.
pub struct SimulatedReader {
    simulator: Box<dyn Simulator>,
    /// For each field of the schema its column.
    columns: Vec<Option<usize>>,
    row: Row,
    rows: u64,
    /// No event at or after this is read.
    end_us: i64,
    /// What is said to have made the events.
    mark: Option<String>,
}

impl SimulatedReader {
    /// A reader of the columns that the schema names.
    pub fn new(simulator: Box<dyn Simulator>, schema: &Arc<Schema>) -> SimulatedReader {
        let names = simulator.columns();
        let find = |field: &str| names.iter().position(|column| column.name == field);
        let columns = schema.fields.iter().map(|field| find(&field.name)).collect();
        SimulatedReader { simulator, columns, row: Row::new(), rows: 0, end_us: i64::MAX, mark: None }
    }

    /// The same, ending before the first transaction that is not before `end_us`.
    pub fn until(self, end_us: i64) -> SimulatedReader {
        SimulatedReader { end_us, ..self }
    }

    /// The same, every event marked as made by `mark`, where the schema has room for a mark.
    pub fn marked(self, mark: impl Into<String>) -> SimulatedReader {
        SimulatedReader { mark: Some(mark.into()), ..self }
    }

    /// Appends the next transaction to `block`; false at the end.
    pub fn read_one(&mut self, block: &mut Block) -> bool {
        if !self.simulator.next(&mut self.row) {
            return false;
        }
        self.rows += 1;
        block.batch.begin_row();
        for (field, column) in self.columns.iter().enumerate() {
            match column {
                Some(column) => block.batch.set(field, value(self.row.cell(*column))),
                None if field == 0 => block.batch.set(0, Value::Integer(self.rows as i64)),
                None => {}
            }
        }
        if let (Some(mark), Some(position)) = (&self.mark, block.batch.schema().mark_position()) {
            block.batch.set(position, Value::Untyped(mark));
        }
        let ended = block.batch.end_row();
        if ended.is_ok() && block.batch.time_us(block.batch.len() - 1) >= self.end_us {
            block.batch.pop_row();
            return false;
        }
        block.end_row(self.rows, ended, String::new);
        true
    }
}

fn value(cell: Cell<'_>) -> Value<'_> {
    match cell {
        Cell::Text(text) => Value::Untyped(text),
        Cell::Integer(number) => Value::Integer(number),
        Cell::Number(number) => Value::Number(number),
        Cell::Money { minor } => Value::Number(minor as f64 / 100.0),
        Cell::TimeUs(us) => Value::Instant(us),
        Cell::Missing => Value::Missing,
    }
}

impl Reader for SimulatedReader {
    fn read(&mut self, block: &mut Block, rows: usize) -> Result<bool, DatasetError> {
        Ok((0..rows).all(|_| self.read_one(block)))
    }

    fn progress(&self) -> Option<f64> {
        None
    }
}
