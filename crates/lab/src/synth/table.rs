//! Rows as generators see them: columns of numbers, categories and entities.
//!
//! Every value is a double. A category or an entity is the number of its word in [`Column::words`], a label or a boolean is
//! 0 or 1, an instant is microseconds since 1970 (exact in a double until the year 2255). NaN is a missing cell.

use std::collections::HashMap;

use engine::detector::{Detector, FieldKind, Schema, TimeFormat};
use engine::{EventBatch, Label};

use crate::train::TrainingSet;

/// What the values of a column are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Numbers: all of them multiples of a tenth, a hundredth and so on if `decimals` is given, whole ones if it is 0.
    Number {
        /// Digits after the decimal point; none where numbers have as many as they like.
        decimals: Option<u32>,
    },
    /// Points in time, in microseconds since 1970-01-01 UTC.
    Instant,
    /// Words of which there are few.
    Category,
    /// True or false.
    Bool,
    /// Who it is: a card, a terminal, an account. Never learnt as such.
    Entity,
    /// Fraud or not.
    Label,
}

/// One column.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// Its name in files.
    pub name: String,
    /// What it holds.
    pub kind: Kind,
    /// One value a row.
    pub values: Vec<f64>,
    /// What the values of categories and entities stand for.
    pub words: Vec<String>,
}

/// Rows, column by column.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Table {
    /// All of the same length.
    pub columns: Vec<Column>,
    /// When each row happened, in microseconds since 1970, where that is known; else empty.
    pub times_us: Vec<i64>,
}

impl Kind {
    /// Whether values are words or truths rather than amounts of something.
    pub fn is_discrete(self) -> bool {
        matches!(self, Kind::Category | Kind::Bool | Kind::Label)
    }

    /// Whether values can be averaged.
    pub fn is_continuous(self) -> bool {
        matches!(self, Kind::Number { .. } | Kind::Instant)
    }
}

impl Column {
    /// An empty column.
    pub fn new(name: impl Into<String>, kind: Kind) -> Column {
        Column { name: name.into(), kind, values: Vec::new(), words: Vec::new() }
    }

    /// The word that a category's or an entity's value stands for.
    pub fn word(&self, value: f64) -> Option<&str> {
        self.words.get(value as usize).map(String::as_str).filter(|_| value >= 0.0)
    }

    /// Some of its rows.
    pub fn select(&self, rows: &[usize]) -> Column {
        let values = rows.iter().map(|row| self.values[*row]).collect();
        Column { name: self.name.clone(), kind: self.kind, values, words: self.words.clone() }
    }

    /// Rounds its numbers to the decimals that they have.
    pub fn round(&mut self) {
        if let Kind::Number { decimals: Some(decimals) } = self.kind {
            let scale = 10_f64.powi(decimals as i32);
            self.values.iter_mut().for_each(|value| *value = (*value * scale).round() / scale);
        }
    }

    /// Says how many decimals its numbers have, if that is few.
    pub fn find_decimals(&mut self) {
        if self.kind == (Kind::Number { decimals: None }) {
            self.kind = Kind::Number { decimals: decimals_of(&self.values) };
        }
    }
}

/// Numbers with more decimals than this count as real ones.
const DECIMALS_MAX: u32 = 4;

fn decimals_of(values: &[f64]) -> Option<u32> {
    let fits = |decimals: &u32| {
        let scale = 10_f64.powi(*decimals as i32);
        values.iter().filter(|value| !value.is_nan()).all(|value| {
            let scaled = value * scale;
            (scaled - scaled.round()).abs() <= 1e-9 * scaled.abs().max(1.0)
        })
    };
    (0..=DECIMALS_MAX).find(fits)
}

impl Table {
    /// Rows.
    pub fn len(&self) -> usize {
        self.columns.first().map_or(0, |column| column.values.len())
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The column of this name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// The column that says fraud or not.
    pub fn label(&self) -> Option<&Column> {
        self.columns.iter().find(|column| column.kind == Kind::Label)
    }

    /// The rows labelled fraud; none without labels.
    pub fn frauds(&self) -> Vec<usize> {
        let label = |row: &usize| self.label().is_some_and(|label| label.values[*row] == 1.0);
        (0..self.len()).filter(label).collect()
    }

    /// Some of the rows, in this order.
    pub fn select(&self, rows: &[usize]) -> Table {
        let times_us = rows.iter().filter_map(|row| self.times_us.get(*row).copied()).collect();
        Table { columns: self.columns.iter().map(|column| column.select(rows)).collect(), times_us }
    }

    /// The rows of a part of the time.
    pub fn within(&self, period: &std::ops::Range<i64>) -> Table {
        let rows: Vec<usize> =
            (0..self.times_us.len()).filter(|row| period.contains(&self.times_us[*row])).collect();
        self.select(&rows)
    }

    /// These rows and then those of a table of the same columns and words.
    pub fn followed_by(mut self, other: &Table) -> Table {
        for (column, after) in self.columns.iter_mut().zip(&other.columns) {
            column.values.extend_from_slice(&after.values);
        }
        self.times_us.extend_from_slice(&other.times_us);
        self
    }

    /// Takes the first column of instants for the times of rows; there are none without one.
    pub fn take_times(&mut self) {
        let times = self.columns.iter().find(|column| column.kind == Kind::Instant);
        self.times_us = times.map_or(Vec::new(), |times| times.values.iter().map(|us| *us as i64).collect());
    }

    /// FNV-1a (Fowler, Noll, Vo; 64 bits, 16 hexadecimal digits) of names and values: the same rows have the same one.
    pub fn fingerprint(&self) -> String {
        let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
        let mut add = |byte: u8| hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        for column in &self.columns {
            column.name.bytes().chain([0xff]).for_each(&mut add);
            for value in &column.values {
                match column.word(*value).filter(|_| matches!(column.kind, Kind::Category | Kind::Entity)) {
                    Some(word) => word.bytes().chain([0xff]).for_each(&mut add),
                    None => value.to_bits().to_le_bytes().into_iter().for_each(&mut add),
                }
            }
        }
        format!("{hash:016x}")
    }

    /// The same without some columns.
    pub fn without(mut self, is_unwanted: impl Fn(&Column) -> bool) -> Table {
        self.columns.retain(|column| !is_unwanted(column));
        self
    }

    /// Says how many decimals numbers have, where that is few.
    pub fn find_decimals(&mut self) {
        self.columns.iter_mut().for_each(Column::find_decimals);
    }

    /// The features of rows, and their label: what models learn from.
    pub fn of_features(detector: &Detector, set: &TrainingSet) -> Table {
        let number = Kind::Number { decimals: None };
        let columns = detector
            .features
            .iter()
            .zip(&set.columns)
            .map(|(feature, values)| Column { values: values.clone(), ..Column::new(&feature.name, number) });
        let mut label = Column::new(detector.schema.label_field().unwrap_or("label"), Kind::Label);
        label.values = set.labels.iter().map(|fraud| f64::from(u8::from(*fraud))).collect();
        let mut table = Table {
            columns: columns.chain(std::iter::once(label)).collect(),
            times_us: set.times_us.clone(),
        };
        table.find_decimals();
        table
    }
}

/// A table that events are added to. The event's id is no column: made rows get numbers.
pub struct EventTable {
    table: Table,
    /// For each column the event's field.
    fields: Vec<usize>,
    numbers: Vec<HashMap<String, f64>>,
    time: TimeFormat,
}

impl EventTable {
    /// An empty table of a detector's fields.
    pub fn new(schema: &Schema) -> EventTable {
        let columns = schema.fields.iter().enumerate().filter_map(|(at, field)| {
            let kind = match &field.kind {
                FieldKind::EventId => return None,
                FieldKind::Time if schema.time == TimeFormat::Auto => Kind::Instant,
                FieldKind::Time | FieldKind::Number { .. } => Kind::Number { decimals: None },
                FieldKind::Amount => Kind::Number { decimals: Some(schema.amount_decimals) },
                FieldKind::Label => Kind::Label,
                FieldKind::Id { .. } | FieldKind::Card { .. } => Kind::Entity,
                FieldKind::Category { .. } => Kind::Category,
                FieldKind::Bool { .. } => Kind::Bool,
            };
            Some((at, Column::new(&field.name, kind)))
        });
        let (fields, columns): (Vec<usize>, Vec<Column>) = columns.unzip();
        let numbers = vec![HashMap::new(); columns.len()];
        EventTable { table: Table { columns, times_us: Vec::new() }, fields, numbers, time: schema.time }
    }

    /// Adds the labelled rows of a batch; all of them where the detector knows no label.
    pub fn push(&mut self, batch: &EventBatch) {
        let needs_label = batch.schema().label_field().is_some();
        for row in (0..batch.len()).filter(|row| !needs_label || batch.label(*row) != Label::Unknown) {
            self.table.times_us.push(batch.time_us(row));
            for at in 0..self.fields.len() {
                let value = self.value(batch, row, at);
                self.table.columns[at].values.push(value);
            }
        }
    }

    fn value(&mut self, batch: &EventBatch, row: usize, at: usize) -> f64 {
        match &batch.schema().fields[self.fields[at]].kind {
            FieldKind::EventId => f64::NAN,
            FieldKind::Time => match self.time {
                TimeFormat::Auto => batch.time_us(row) as f64,
                TimeFormat::Units { unit_us, origin_us } => {
                    (batch.time_us(row) - origin_us) as f64 / unit_us as f64
                }
            },
            FieldKind::Amount => batch.amount(row),
            FieldKind::Label => f64::from(u8::from(batch.label(row) == Label::Fraud)),
            FieldKind::Id { slot } | FieldKind::Card { slot } | FieldKind::Category { slot, .. } => {
                number_of(&mut self.numbers[at], &mut self.table.columns[at].words, batch.text(row, *slot))
            }
            FieldKind::Number { slot } | FieldKind::Bool { slot } => batch.number(row, *slot),
        }
    }

    /// The table.
    pub fn finish(mut self) -> Table {
        self.table.find_decimals();
        self.table
    }
}

/// The number of a word, a new one if it is new; missing if it is empty.
pub(super) fn number_of(numbers: &mut HashMap<String, f64>, words: &mut Vec<String>, word: &str) -> f64 {
    if word.is_empty() {
        return f64::NAN;
    }
    if let Some(number) = numbers.get(word) {
        return *number;
    }
    let number = words.len() as f64;
    numbers.insert(word.to_string(), number);
    words.push(word.to_string());
    number
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_found_where_they_are_few() {
        assert_eq!(decimals_of(&[1.0, -3.0, f64::NAN]), Some(0));
        assert_eq!(decimals_of(&[0.1, 19.99, 1e9 + 0.01]), Some(2));
        assert_eq!(decimals_of(&[std::f64::consts::PI]), None);
    }
}
