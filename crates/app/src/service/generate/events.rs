//! Made transactions with ids, times, entities and marks of their own.

use std::fmt::Write as _;

use anyhow::{Context, Result};
use engine::detector::{FieldKind, Schema};
use engine::{EventBatch, Label, Value};

use super::Order;
use super::source::{Made, Source};

/// The transactions that were asked for, one by one.
pub struct Events {
    source: Box<dyn Source>,
    /// What they are marked with.
    pub mark: String,
    mark_position: Option<usize>,
    /// What ids begin with.
    own: String,
    /// Whether entities begin with it too.
    own_entities: bool,
    left: u64,
    /// Transactions so far.
    pub made: u64,
    /// Of them frauds.
    pub frauds: u64,
    text: String,
}

impl Events {
    /// What a source makes, as far as it was asked for.
    pub fn new(source: Box<dyn Source>, schema: &Schema, mark: String, order: &Order) -> Events {
        Events {
            source,
            mark,
            mark_position: schema.mark_position(),
            own: order.own.to_string(),
            own_entities: order.own_entities,
            left: order.wanted.rows,
            made: 0,
            frauds: 0,
            text: String::new(),
        }
    }

    /// Appends the next transaction to `batch`; false at the end.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn next(&mut self, batch: &mut EventBatch) -> Result<bool> {
        if self.left == 0 {
            return Ok(false);
        }
        let Some(made) = self.source.next()? else { return Ok(false) };
        (self.left, self.made) = (self.left - 1, self.made + 1);
        self.frauds += u64::from(made.batch.label(made.row) == Label::Fraud);
        let copy = Copy { number: self.made, own: &self.own, own_entities: self.own_entities };
        batch.begin_row();
        copy.fields(&made, batch, &mut self.text);
        if let Some(position) = self.mark_position {
            batch.set(position, Value::Text(&self.mark));
        }
        batch.end_row().context("what was made is no transaction of the detector")?;
        Ok(true)
    }
}

/// How a made transaction becomes one of its own.
struct Copy<'a> {
    number: u64,
    own: &'a str,
    own_entities: bool,
}

impl Copy<'_> {
    fn fields(&self, made: &Made, batch: &mut EventBatch, text: &mut String) {
        let schema = std::sync::Arc::clone(batch.schema());
        for (index, field) in schema.fields.iter().enumerate() {
            let value = made.batch.value(made.row, index);
            text.clear();
            match (&field.kind, value) {
                (FieldKind::EventId, _) => {
                    write!(text, "{}-{:06}", self.own, self.number).expect("writing to a string cannot fail");
                    batch.set(index, Value::Text(text));
                }
                (FieldKind::Time, _) => batch.set(index, Value::Instant(made.time_us)),
                (FieldKind::Id { .. }, Value::Text(entity)) if self.own_entities => {
                    write!(text, "{}-{entity}", self.own).expect("writing to a string cannot fail");
                    batch.set(index, Value::Text(text));
                }
                // A made card has no number: whatever it is called, its token stands for it.
                (FieldKind::Card { .. }, Value::Text(entity)) if self.own_entities => {
                    write!(text, "{}-{entity}", self.own).expect("writing to a string cannot fail");
                    batch.set(index, Value::Text(schema.cards.made(text).as_str()));
                }
                (_, value) => batch.set(index, value),
            }
        }
    }
}
