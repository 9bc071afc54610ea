//! How far rows are from each other, whatever their columns hold.
//!
//! A number is replaced by its rank among real rows, from 0 to 1 (the middle of equal ones): a rank has no long tail that
//! would rule the distance, and needs no choice of a scale. Words, truths and labels are 0 apart if equal and 1 if not, and so
//! are a missing and a known number. The distance is the root of the sum of squares over columns (Gower, "A general coefficient
//! of similarity and some of its properties", 1971, does the same with ranges and without the root).

use rayon::prelude::*;

use super::shapes::sorted;
use crate::synth::table::{Column, Table};

/// Rows as points.
#[derive(Debug, Clone)]
pub struct Points {
    /// Ranks, point after point; a missing one is -1.
    ranks: Vec<f32>,
    rank_count: usize,
    /// Words, point after point.
    words: Vec<i32>,
    word_count: usize,
    count: usize,
}

/// The measure that real rows give.
#[derive(Debug, Clone)]
pub struct Space {
    /// For each column of numbers its known real values in order; none for words.
    scales: Vec<Option<Vec<f64>>>,
}

impl Space {
    /// Of these rows.
    pub fn of(real: &Table) -> Space {
        let scale = |column: &Column| (!column.kind.is_discrete()).then(|| sorted(&column.values));
        Space { scales: real.columns.iter().map(scale).collect() }
    }

    /// Some rows of a table of the same columns.
    pub fn points(&self, table: &Table, rows: &[usize]) -> Points {
        let is_ranked = |scale: &&Option<Vec<f64>>| scale.is_some();
        let rank_count = self.scales.iter().filter(is_ranked).count();
        let word_count = self.scales.len() - rank_count;
        let mut points =
            Points { ranks: Vec::new(), rank_count, words: Vec::new(), word_count, count: rows.len() };
        for row in rows {
            for (column, scale) in table.columns.iter().zip(&self.scales) {
                let value = column.values[*row];
                match scale {
                    Some(scale) => points.ranks.push(rank(value, scale) as f32),
                    None => points.words.push(if value.is_nan() { -1 } else { value as i32 }),
                }
            }
        }
        points
    }
}

/// -1 if missing; far enough from every rank to count as another word does.
fn rank(value: f64, scale: &[f64]) -> f64 {
    if value.is_nan() {
        return -1.0;
    }
    let below = scale.partition_point(|known| *known < value);
    let within = scale.partition_point(|known| *known <= value);
    (below + within) as f64 / (2 * scale.len().max(1)) as f64
}

/// The squared distances to the nearest point and to the one after it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Nearest {
    /// To the nearest.
    pub first: f64,
    /// To the next.
    pub second: f64,
}

impl Points {
    /// How many.
    pub fn len(&self) -> usize {
        self.count
    }

    fn squared(&self, row: usize, other: &Points, at: usize) -> f32 {
        let ranks = self.ranks[row * self.rank_count..][..self.rank_count].iter();
        let words = self.words[row * self.word_count..][..self.word_count].iter();
        let numbers: f32 = ranks
            .zip(&other.ranks[at * self.rank_count..][..self.rank_count])
            .map(|(a, b)| if (*a < 0.0) != (*b < 0.0) { 1.0 } else { (a - b) * (a - b) })
            .sum();
        let others = words.zip(&other.words[at * self.word_count..][..self.word_count]);
        numbers + others.map(|(a, b)| f32::from(u8::from(a != b))).sum::<f32>()
    }

    /// The squared distances of all points to all points.
    pub fn all_by_all(&self) -> Vec<Vec<f64>> {
        let of = |row: usize| (0..self.len()).map(|at| f64::from(self.squared(row, self, at))).collect();
        (0..self.len()).into_par_iter().map(of).collect()
    }

    /// For each point the nearest of others; with `own`, its own place among them is passed over. Every pair is compared: with
    /// as many columns as transactions have, a search tree looks at most of them too.
    pub fn nearest_of(&self, others: &Points, own: Option<&[usize]>) -> Vec<Nearest> {
        let of = |row: usize| {
            let (mut first, mut second) = (f32::INFINITY, f32::INFINITY);
            let own = own.map_or(usize::MAX, |own| own[row]);
            for at in (0..others.len()).filter(|at| *at != own) {
                let squared = self.squared(row, others, at);
                if squared < first {
                    (first, second) = (squared, first);
                } else if squared < second {
                    second = squared;
                }
            }
            Nearest { first: f64::from(first), second: f64::from(second) }
        };
        (0..self.len()).into_par_iter().map(of).collect()
    }
}
