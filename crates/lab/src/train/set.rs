//! What is learnt from: features as the engine would have computed them at the time, with what became of each row.

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, bail};
use engine::detector::Detector;
use engine::time::{DAY_US, format_instant};
use engine::{Decisions, Engine, Label, Status};

use crate::dataset::{Block, ColumnMap, DatasetError, Reject, open};
use crate::replay::{self, Sink, Summary};

/// The feature matrix of a stretch of time, column by column, with its labels.
#[derive(Debug, Clone, Default)]
pub struct TrainingSet {
    /// One column a feature.
    pub columns: Vec<Vec<f64>>,
    /// Fraud or not.
    pub labels: Vec<bool>,
    /// Event times.
    pub times_us: Vec<i64>,
    /// Amounts in major units.
    pub amounts: Vec<f64>,
    /// The entities that the detector's key names, numbered in the order of appearance.
    pub cards: Vec<u32>,
    /// For each row the number of its mark from 1, 0 where there is none; empty while no row has one.
    mark_numbers: Vec<u32>,
    /// Marks of rows that generators made.
    marks: Vec<String>,
    /// The period that rows are taken from.
    period: Option<Range<i64>>,
    /// Numbers of cards, while rows come in.
    numbers: HashMap<String, u32>,
}

/// What is known of a row beside its features.
#[derive(Debug, Clone, Copy, Default)]
pub struct Row {
    /// Event time.
    pub time_us: i64,
    /// In major units.
    pub amount: f64,
    /// Number of the card.
    pub card: u32,
    /// Fraud or not.
    pub fraud: bool,
}

/// Rows handed to the engine at a time.
pub const BATCH_ROWS: usize = 4_096;

impl TrainingSet {
    /// An empty set of so many columns, for rows of `period` (all if `None`).
    pub fn new(columns: usize, period: Option<Range<i64>>) -> TrainingSet {
        TrainingSet { columns: vec![Vec::new(); columns], period, ..TrainingSet::default() }
    }

    /// Rows.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Rows labelled fraud.
    pub fn frauds(&self) -> usize {
        self.labels.iter().filter(|label| **label).count()
    }

    /// Whether there are frauds and genuine rows.
    pub(crate) fn has_both(&self) -> bool {
        (1..self.len()).contains(&self.frauds())
    }

    /// Genuine rows for each fraud.
    pub(super) fn genuine_by_fraud(&self) -> f64 {
        (self.len() - self.frauds()) as f64 / self.frauds().max(1) as f64
    }

    /// The asked period, cut to the days that have rows: what the model knows, in whole days where none were asked.
    pub fn days(&self) -> Range<i64> {
        let first = self.times_us.iter().copied().min().unwrap_or(0);
        let last = self.times_us.iter().copied().max().unwrap_or(0);
        let covered = first.div_euclid(DAY_US) * DAY_US..(last.div_euclid(DAY_US) + 1) * DAY_US;
        let asked = self.period.clone().unwrap_or(covered.clone());
        asked.start.max(covered.start)..asked.end.min(covered.end)
    }

    /// Adds all rows of a set of the same columns, whose entities are others.
    pub fn extend(&mut self, other: &TrainingSet) {
        for (column, more) in self.columns.iter_mut().zip(&other.columns) {
            column.extend_from_slice(more);
        }
        let first = self.cards.iter().max().map_or(0, |last| last + 1);
        self.labels.extend_from_slice(&other.labels);
        self.times_us.extend_from_slice(&other.times_us);
        self.amounts.extend_from_slice(&other.amounts);
        self.cards.extend(other.cards.iter().map(|card| card + first));
    }

    /// Adds a row with its features, one for each column.
    pub fn push(&mut self, row: Row, features: &[f64]) {
        for (column, value) in self.columns.iter_mut().zip(features) {
            column.push(*value);
        }
        self.labels.push(row.fraud);
        self.times_us.push(row.time_us);
        self.amounts.push(row.amount);
        self.cards.push(row.card);
    }

    /// Says that the last row was made, and by what.
    fn mark(&mut self, mark: &str) {
        let known = self.marks.iter().position(|known| known == mark);
        let at = known.unwrap_or_else(|| {
            self.marks.push(mark.to_string());
            self.marks.len() - 1
        });
        self.mark_numbers.resize(self.len(), 0);
        self.mark_numbers[self.labels.len() - 1] = at as u32 + 1;
    }

    /// The marks of its rows, each once.
    pub fn marks(&self) -> Vec<&str> {
        let is_used = |at: usize| self.mark_numbers.iter().any(|number| *number as usize == at + 1);
        (0..self.marks.len()).filter(|at| is_used(*at)).map(|at| self.marks[at].as_str()).collect()
    }

    fn card(&mut self, name: &str) -> u32 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let number = self.numbers.len() as u32;
        self.numbers.insert(name.to_string(), number);
        number
    }

    /// Where the last part of the time begins.
    pub(crate) fn cut(&self, share: f64) -> i64 {
        let first = self.times_us.iter().copied().min().unwrap_or(0);
        let last = self.times_us.iter().copied().max().unwrap_or(0);
        last - ((last - first) as f64 * share) as i64
    }

    /// Some of the rows, in this order.
    pub fn select(&self, rows: &[usize]) -> TrainingSet {
        let column = |column: &Vec<f64>| rows.iter().map(|row| column[*row]).collect();
        TrainingSet {
            columns: self.columns.iter().map(column).collect(),
            labels: rows.iter().map(|row| self.labels[*row]).collect(),
            times_us: rows.iter().map(|row| self.times_us[*row]).collect(),
            amounts: rows.iter().map(|row| self.amounts[*row]).collect(),
            cards: rows.iter().map(|row| self.cards[*row]).collect(),
            mark_numbers: match self.mark_numbers.is_empty() {
                true => Vec::new(),
                false => rows.iter().map(|row| self.mark_numbers.get(*row).copied().unwrap_or(0)).collect(),
            },
            marks: self.marks.clone(),
            period: self.period.clone(),
            numbers: HashMap::new(),
        }
    }

    /// The rows of a part of the time.
    pub fn within(&self, period: &Range<i64>) -> TrainingSet {
        let rows: Vec<usize> = (0..self.len()).filter(|row| period.contains(&self.times_us[*row])).collect();
        TrainingSet { period: Some(period.clone()), ..self.select(&rows) }
    }

    /// The rows before and from `time_us` on.
    pub(crate) fn split(&self, time_us: i64) -> (TrainingSet, TrainingSet) {
        let (before, after): (Vec<usize>, Vec<usize>) =
            (0..self.len()).partition(|row| self.times_us[*row] < time_us);
        (self.select(&before), self.select(&after))
    }
}

impl Sink for TrainingSet {
    fn decided(&mut self, block: &Block, decisions: &Decisions) -> Result<()> {
        for row in 0..block.batch.len() {
            let time_us = block.batch.time_us(row);
            let wanted = self.period.as_ref().is_none_or(|period| period.contains(&time_us));
            let label = block.batch.label(row);
            if wanted && label != Label::Unknown && decisions.statuses[row] != Status::TimeJump {
                let card = self.card(block.batch.key(row).unwrap_or_default());
                let fraud = label == Label::Fraud;
                let row_of = Row { time_us, amount: block.batch.amount(row), card, fraud };
                self.push(row_of, decisions.features_of(row));
                if let Some(mark) = block.batch.mark(row) {
                    self.mark(mark);
                }
            }
        }
        Ok(())
    }

    fn rejected(&mut self, _: &[Reject]) -> Result<()> {
        Ok(())
    }
}

/// Computes the feature matrix of `period` from a file whose earlier rows fill the windows.
///
/// # Errors
/// If the file cannot be read, or has no labelled row in the period.
pub fn load(
    detector: &Arc<Detector>,
    input: &Path,
    columns: &ColumnMap,
    period: Option<Range<i64>>,
    progress: &mut dyn FnMut(replay::Progress),
) -> Result<(TrainingSet, Summary)> {
    if detector.schema.label_field().is_none() {
        bail!("detector `{}` declares no label: there is nothing to learn", detector.name);
    }
    let schema = Arc::new(detector.schema.clone());
    let reader = open(input, &schema, columns)?;
    let mut set = TrainingSet::new(detector.features.len(), period.clone());
    let mut engine = Engine::new(Arc::clone(detector), None, cores());
    let summary = replay::replay(reader, &mut engine, BATCH_ROWS, &mut set, progress)?;
    if set.is_empty() {
        let period = period.map_or(String::new(), |period| format!(" {}", in_words(&period)));
        let path = input.to_path_buf();
        return Err(DatasetError::NoRows { path, period, read: summary.events }.into());
    }
    Ok((set, summary))
}

/// A half-open period as messages write it.
pub(crate) fn in_words(period: &Range<i64>) -> String {
    format!("from {} to {}", format_instant(period.start), format_instant(period.end))
}

/// Cores that this machine lends.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
