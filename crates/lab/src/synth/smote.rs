//! SMOTE as a generator: rows between real rows of the same class (Chawla et al., 2002; with words as in SMOTE-NC).
//!
//! It learns nothing: the file holds the real rows. That is why a report finds its rows close to real ones.

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};

use super::table::{Column, Kind, Table};
use crate::balance::{Draws, between_rows};
use crate::random::Stream;

/// Neighbours among which one is drawn.
const NEIGHBOURS: usize = 5;
const DRAWING: u64 = 50;

/// Real rows to make rows between.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Smote {
    columns: Vec<Kept>,
    times_us: Vec<i64>,
}

/// A column of real rows; missing values are null.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Kept {
    name: String,
    kind: Kind,
    values: Vec<Option<f64>>,
    words: Vec<String>,
}

impl Smote {
    pub(super) fn of(table: &Table) -> Smote {
        let kept = |column: &Column| Kept {
            name: column.name.clone(),
            kind: column.kind,
            values: column.values.iter().map(|value| Some(*value).filter(|value| !value.is_nan())).collect(),
            words: column.words.clone(),
        };
        Smote { columns: table.columns.iter().map(kept).collect(), times_us: table.times_us.clone() }
    }

    pub(super) fn label_name(&self) -> Option<&str> {
        self.columns.iter().find(|kept| kept.kind == Kind::Label).map(|kept| kept.name.as_str())
    }

    fn table(&self) -> Table {
        let column = |kept: &Kept| Column {
            name: kept.name.clone(),
            kind: kept.kind,
            values: kept.values.iter().map(|value| value.unwrap_or(f64::NAN)).collect(),
            words: kept.words.clone(),
        };
        Table { columns: self.columns.iter().map(column).collect(), times_us: self.times_us.clone() }
    }

    /// Rows of both classes.
    pub(super) fn sample(&self, counts: [usize; 2], seed: u64) -> Result<Table> {
        let table = self.table();
        let frauds = table.frauds();
        let genuine: Vec<usize> = (0..table.len()).filter(|row| frauds.binary_search(row).is_err()).collect();
        let mut made: Option<Table> = None;
        for (class, (rows, count)) in [(genuine, counts[0]), (frauds, counts[1])].into_iter().enumerate() {
            if count == 0 {
                continue;
            }
            ensure!(
                rows.len() > NEIGHBOURS,
                "{} real rows of a class are too few to make rows between {NEIGHBOURS} neighbours",
                rows.len()
            );
            let part =
                of_class(&table.select(&rows), count, &mut Stream::at(seed, DRAWING, class as u64, 0))?;
            made = Some(match made {
                None => part,
                Some(before) => before.followed_by(&part),
            });
        }
        Ok(made.unwrap_or_else(|| table.select(&[])))
    }
}

fn of_class(table: &Table, count: usize, chance: &mut Stream) -> Result<Table> {
    let is_word = |column: &Column| !column.kind.is_continuous();
    let numbers: Vec<&[f64]> = table
        .columns
        .iter()
        .filter(|column| !is_word(column))
        .map(|column| column.values.as_slice())
        .collect();
    let words = table.columns.iter().filter(|column| column.kind.is_discrete() && column.kind != Kind::Label);
    let words: Vec<&[f64]> = words.map(|column| column.values.as_slice()).collect();
    let mut draws = Drawn(chance);
    let (between, near) = between_rows(&numbers, &words, count, NEIGHBOURS, &mut draws)?;
    let mut columns: Vec<Column> = Vec::new();
    for column in &table.columns {
        let values = between.iter().map(|row| match column.kind {
            Kind::Label | Kind::Entity => column.values[row.base],
            kind if kind.is_discrete() => crate::balance::most_frequent(
                near[row.base].iter().map(|near| column.values[*near]),
                &mut draws,
            ),
            _ => row.between(column.values[row.base], column.values[row.towards]),
        });
        let mut made = Column { values: values.collect(), ..column.clone() };
        made.round();
        columns.push(made);
    }
    let mut made = Table { columns, times_us: Vec::new() };
    made.take_times();
    Ok(made)
}

struct Drawn<'a>(&'a mut Stream);

impl Draws for Drawn<'_> {
    fn below(&mut self, count: usize) -> usize {
        self.0.below(count as u32) as usize
    }

    fn gap(&mut self) -> f64 {
        self.0.uniform()
    }
}
