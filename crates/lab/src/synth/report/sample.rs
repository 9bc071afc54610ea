//! What is compared: the rows of a file, and those rows in the same columns as another file's.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, bail};
use engine::detector::Detector;
use engine::time::DAY_US;
use engine::{EventBatch, Label};

use crate::dataset::{Block, ColumnMap, open};
use crate::random::Stream;
use crate::synth::read::read_columns;
use crate::synth::table::{Column, EventTable, Kind, Table};
use crate::train::BATCH_ROWS;

/// The rows of a file.
#[derive(Debug, Clone)]
pub struct Sample {
    /// Their columns.
    pub table: Table,
    /// The same rows as events in the order of the file, where a detector reads them so.
    pub events: Option<EventBatch>,
    /// Rows that were no events.
    pub rejected: u64,
}

impl Sample {
    /// The labelled events of a file (all, where the detector knows no label), so that they can go through the engine.
    ///
    /// # Errors
    /// If the file cannot be read, or has no such event.
    pub fn of_events(detector: &Detector, path: &Path, map: &ColumnMap) -> Result<Sample> {
        let schema = Arc::new(detector.schema.clone());
        let needs_label = schema.label_field().is_some();
        let mut reader = open(path, &schema, map)?;
        let mut events = EventBatch::new(Arc::clone(&schema));
        let (mut block, mut rejected, mut more) = (Block::new(&schema), 0, true);
        while more {
            block.clear();
            more = reader.read(&mut block, BATCH_ROWS)?;
            rejected += block.rejects.len() as u64;
            let is_known = |row: &usize| !needs_label || block.batch.label(*row) != Label::Unknown;
            for row in (0..block.batch.len()).filter(is_known) {
                events.push_row_of(&block.batch, row);
            }
        }
        if events.is_empty() {
            bail!("{} has no labelled transaction ({rejected} rows were rejected)", path.display());
        }
        Ok(Sample { rejected, ..Sample::of_batch(events) })
    }

    /// Events that are in memory, all of them labelled if the detector has a label.
    pub fn of_batch(events: EventBatch) -> Sample {
        let mut table = EventTable::new(events.schema());
        table.push(&events);
        Sample { table: table.finish(), events: Some(events), rejected: 0 }
    }

    /// The columns of a file as they are, one of them perhaps the label.
    ///
    /// # Errors
    /// As [`read_columns`].
    pub fn of_columns(path: &Path, label: Option<&str>) -> Result<Sample> {
        Ok(Sample { table: read_columns(path, label)?, events: None, rejected: 0 })
    }

    /// A file of the detector's features with the label; other columns but the time are left out.
    ///
    /// # Errors
    /// If the file cannot be read, or lacks features.
    pub fn of_features(detector: &Detector, path: &Path) -> Result<Sample> {
        let label = detector.schema.label_field();
        let table = read_columns(path, label)?;
        let names = detector.feature_names();
        let absent: Vec<&str> =
            names.iter().filter(|name| table.column(name).is_none()).map(String::as_str).collect();
        if !absent.is_empty() {
            bail!(
                "{} has no column for these features of the detector: {}",
                path.display(),
                absent.join(", ")
            );
        }
        let table = table.without(|column| column.kind != Kind::Label && !names.contains(&column.name));
        Ok(Sample { table, events: None, rejected: 0 })
    }

    /// Some of the rows, in this order.
    pub fn select(&self, rows: &[usize]) -> Sample {
        let events = self.events.as_ref().map(|all| {
            let mut events = EventBatch::new(Arc::clone(all.schema()));
            rows.iter().for_each(|row| events.push_row_of(all, *row));
            events
        });
        Sample { table: self.table.select(rows), events, rejected: 0 }
    }

    /// Rows.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Brings samples to the columns that all of them have, in the order of the first, and gives their words the same numbers.
/// What is left out is said.
///
/// # Errors
/// If they have no column in common, or a column is of different kinds.
pub fn align(samples: &mut [(&str, &mut Table)]) -> Result<Vec<String>> {
    let mut warnings = Vec::new();
    for (of, table) in samples.iter_mut() {
        drop_infinite(of, table, &mut warnings);
    }
    let counts = samples.iter().flat_map(|(_, table)| table.columns.iter().map(|column| column.name.clone()));
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    counts.for_each(|name| *seen.entry(name).or_default() += 1);
    for (of, table) in samples.iter() {
        let lonely = table.columns.iter().filter(|column| seen[&column.name] < samples.len());
        warnings.extend(lonely.map(|column| {
            format!("column `{}` of the {of} data is not in all files: left out", column.name)
        }));
    }
    let order: Vec<String> = samples[0].1.columns.iter().map(|column| column.name.clone()).collect();
    let shared: Vec<String> = order.into_iter().filter(|name| seen[name] == samples.len()).collect();
    if shared.is_empty() {
        bail!("the files have no column in common");
    }
    for (_, table) in samples.iter_mut() {
        table.columns.retain(|column| shared.contains(&column.name));
        table.columns.sort_by_key(|column| shared.iter().position(|name| *name == column.name));
    }
    agree_on_kinds(samples)?;
    (0..shared.len()).for_each(|at| agree_on_words(samples, at));
    Ok(warnings)
}

/// An infinite number cannot be averaged or learnt from: it counts as missing, and that is said.
fn drop_infinite(of: &str, table: &mut Table, warnings: &mut Vec<String>) {
    for column in &mut table.columns {
        let infinite = column.values.iter().filter(|value| value.is_infinite()).count();
        if infinite > 0 {
            column.values.iter_mut().filter(|value| value.is_infinite()).for_each(|value| *value = f64::NAN);
            warnings.push(format!(
                "column `{}` of the {of} data has {infinite} infinite values: they count as missing",
                column.name
            ));
        }
    }
}

/// The kinds of a column must be one. A column without any value is of every kind, and decimals do not matter.
fn agree_on_kinds(samples: &mut [(&str, &mut Table)]) -> Result<()> {
    let mut mistakes = Vec::new();
    for at in 0..samples[0].1.columns.len() {
        let known = |column: &Column| column.values.iter().any(|value| !value.is_nan());
        let kinds: Vec<(&str, Kind)> = samples
            .iter()
            .filter(|(_, table)| known(&table.columns[at]))
            .map(|(of, table)| (*of, table.columns[at].kind))
            .collect();
        let Some((first, kind)) = kinds.first().copied() else { continue };
        for (of, other) in kinds.iter().filter(|(_, other)| name_of(*other) != name_of(kind)) {
            let column = &samples[0].1.columns[at].name;
            let (here, there) = (name_of(kind), name_of(*other));
            mistakes.push(format!(
                "column `{column}` holds {here} in the {first} data and {there} in the {of} data"
            ));
        }
        samples.iter_mut().for_each(|(_, table)| table.columns[at].kind = kind);
    }
    if mistakes.is_empty() { Ok(()) } else { bail!("{}", mistakes.join("; ")) }
}

fn name_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Number { .. } => "numbers",
        Kind::Instant => "instants",
        Kind::Category => "words",
        Kind::Bool => "truths",
        Kind::Entity => "entities",
        Kind::Label => "labels",
    }
}

fn agree_on_words(samples: &mut [(&str, &mut Table)], at: usize) {
    let mut numbers: HashMap<String, f64> = HashMap::new();
    let mut words: Vec<String> = Vec::new();
    for (_, table) in samples.iter_mut() {
        let column = &mut table.columns[at];
        let own: Vec<f64> = column
            .words
            .iter()
            .map(|word| {
                let next = numbers.len() as f64;
                let number = *numbers.entry(word.clone()).or_insert(next);
                if number == next {
                    words.push(word.clone());
                }
                number
            })
            .collect();
        if !own.is_empty() {
            let renumbered = |value: &f64| if value.is_nan() { f64::NAN } else { own[*value as usize] };
            column.values = column.values.iter().map(renumbered).collect();
        }
    }
    for (_, table) in samples.iter_mut() {
        table.columns[at].words = words.clone();
    }
}

/// What a row says by itself: an instant becomes the time of day (in hours) and the weekday, and entities are left out, for
/// a made row may have others. So rows of two periods can be compared.
pub fn by_itself(table: &Table) -> Table {
    let mut columns = Vec::new();
    for column in table.columns.iter().filter(|column| column.kind != Kind::Entity) {
        if column.kind != Kind::Instant {
            columns.push(column.clone());
            continue;
        }
        let of = |part: &dyn Fn(f64) -> f64| column.values.iter().map(|value| part(*value)).collect();
        let day = DAY_US as f64;
        let number = Kind::Number { decimals: None };
        let hour = of(&|us| us.rem_euclid(day) * 24.0 / day);
        // 1970-01-01 was a Thursday; 0 is Monday.
        let weekday = of(&|us| ((us / day).floor() + 3.0).rem_euclid(7.0));
        columns.push(Column { values: hour, ..Column::new(format!("{}: time of day", column.name), number) });
        columns.push(Column { values: weekday, ..Column::new(format!("{}: weekday", column.name), number) });
    }
    Table { columns, times_us: table.times_us.clone() }
}

/// `count` of `rows` rows (all, if there are fewer) by chance, in their order.
pub fn draw(rows: usize, count: usize, seed: u64, purpose: u64) -> Vec<usize> {
    let mut all: Vec<usize> = (0..rows).collect();
    let taken = count.min(rows);
    mix(&mut all, taken, &mut Stream::at(seed, purpose, rows as u64, 0));
    all.truncate(taken);
    all.sort_unstable();
    all
}

/// Puts a draw of `taken` of all in front (Fisher and Yates).
fn mix(all: &mut [usize], taken: usize, chance: &mut Stream) {
    for at in 0..taken.min(all.len()) {
        let other = at + chance.below((all.len() - at) as u32) as usize;
        all.swap(at, other);
    }
}

/// Parts rows by chance, so that each class is parted alike: a share for the first part, the rest for the second.
pub fn part(table: &Table, share: f64, seed: u64, purpose: u64) -> (Vec<usize>, Vec<usize>) {
    let is_fraud = |row: &usize| table.label().is_some_and(|label| label.values[*row] == 1.0);
    let (frauds, genuine): (Vec<usize>, Vec<usize>) = (0..table.len()).partition(is_fraud);
    let (mut first, mut second) = (Vec::new(), Vec::new());
    for (class, mut rows) in [genuine, frauds].into_iter().enumerate() {
        let count = rows.len();
        mix(&mut rows, count, &mut Stream::at(seed, purpose, class as u64, 1));
        let cut = (count as f64 * share).round() as usize;
        first.extend_from_slice(&rows[..cut]);
        second.extend_from_slice(&rows[cut..]);
    }
    first.sort_unstable();
    second.sort_unstable();
    (first, second)
}
