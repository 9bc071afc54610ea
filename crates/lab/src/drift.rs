//! How far values are from where they were: the population stability index (PSI).
//!
//! PSI = Σ (now − before) · ln(now / before) over shares of bins (Lewis 1994, "An introduction to credit scoring"); it is the
//! symmetric Kullback-Leibler divergence of the two histograms. The usual reading: below 0.1 stable, above 0.25 another
//! population. Bins come from the reference, about a tenth of it each, and what is missing is a bin of its own.

use serde::{Deserialize, Serialize};

use crate::train::TrainingSet;

/// Bins of a reference, at most.
const BINS_MAX: usize = 10;

/// Rows of a training set that are looked at, at most, evenly spaced.
const ROWS_MAX: usize = 100_000;

/// Where the values of a model's features and its scores were when it was trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    /// Each feature, in the order of the columns.
    pub features: Vec<Distribution>,
    /// The model's score.
    pub score: Distribution,
}

/// Where the values of one column are.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Distribution {
    /// Rows that were looked at.
    pub rows: u64,
    /// Inner edges of the bins, rising; a value at an edge is in the bin above it.
    pub edges: Vec<f64>,
    /// Rows in each bin, one more than edges; missing values are in none.
    pub counts: Vec<u64>,
    /// Rows without a value.
    pub missing: u64,
    /// Least and greatest value; `None` where all are missing.
    pub range: Option<(f64, f64)>,
}

/// How values stand to a reference.
#[derive(Debug, Clone, PartialEq)]
pub struct Shift {
    /// Population stability index. Shares of nothing count as half a row.
    pub psi: f64,
    /// Share of the present values that lie outside of all values of the reference.
    pub unseen: f64,
    /// The present values in the reference's bins.
    pub now: Distribution,
}

impl Baseline {
    /// Of the rows that a model learns from, and scores that are as it would give them to rows that it has not seen.
    pub fn of(set: &TrainingSet, scores: &[f64]) -> Baseline {
        let some = |column: &Vec<f64>| spaced(column.len()).map(|row| column[row]).collect::<Vec<f64>>();
        let features = set.columns.iter().map(|column| Distribution::of(&some(column))).collect();
        Baseline { features, score: Distribution::of(scores) }
    }
}

/// The rows of a table that are looked at: [`ROWS_MAX`] of them at most, evenly spaced.
pub(crate) fn spaced(rows: usize) -> impl Iterator<Item = usize> {
    (0..rows).step_by(rows.div_ceil(ROWS_MAX).max(1))
}

impl Distribution {
    /// The distribution of values, NaN is missing, in bins of about equally many: each but the last holds a tenth or more.
    pub fn of(values: &[f64]) -> Distribution {
        let mut present: Vec<f64> = values.iter().copied().filter(|value| !value.is_nan()).collect();
        present.sort_unstable_by(f64::total_cmp);
        let enough = present.len().div_ceil(BINS_MAX);
        let mut edges = Vec::new();
        let mut filled = 0;
        for equal in present.chunk_by(|a, b| a == b) {
            if filled >= enough {
                edges.push(equal[0]);
                filled = 0;
            }
            filled += equal.len();
        }
        Distribution::within(&edges, values)
    }

    /// The distribution of values over bins that are given by their inner edges.
    pub fn within(edges: &[f64], values: &[f64]) -> Distribution {
        let mut found = Distribution {
            rows: values.len() as u64,
            edges: edges.to_vec(),
            counts: vec![0; edges.len() + 1],
            ..Distribution::default()
        };
        for value in values {
            found.add(*value);
        }
        found
    }

    fn add(&mut self, value: f64) {
        if value.is_nan() {
            self.missing += 1;
            return;
        }
        self.counts[self.edges.partition_point(|edge| *edge <= value)] += 1;
        let (least, greatest) = self.range.unwrap_or((value, value));
        self.range = Some((least.min(value), greatest.max(value)));
    }

    /// The share of all rows in each bin.
    pub fn shares(&self) -> Vec<f64> {
        self.counts.iter().map(|count| self.share(*count)).collect()
    }

    /// The share of rows without a value.
    pub fn missing_share(&self) -> f64 {
        self.share(self.missing)
    }

    fn share(&self, count: u64) -> f64 {
        count as f64 / self.rows.max(1) as f64
    }

    /// How values of now stand to this.
    pub fn shift_to(&self, values: &[f64]) -> Shift {
        let now = Distribution::within(&self.edges, values);
        let present = now.rows - now.missing;
        let outside = |value: &&f64| {
            !value.is_nan()
                && self.range.is_none_or(|(least, greatest)| **value < least || **value > greatest)
        };
        let unseen = values.iter().filter(outside).count() as f64 / present.max(1) as f64;
        Shift { psi: self.psi(&now), unseen, now }
    }

    fn psi(&self, now: &Distribution) -> f64 {
        let bins = |of: &Distribution| of.counts.iter().copied().chain([of.missing]).collect::<Vec<u64>>();
        let share = |count: u64, rows: u64| if count == 0 { 0.5 } else { count as f64 } / rows.max(1) as f64;
        let counted = bins(self).into_iter().zip(bins(now)).filter(|pair| *pair != (0, 0));
        let distances = counted.map(|(before, after)| {
            let (before, after) = (share(before, self.rows), share(after, now.rows));
            (after - before) * (after / before).ln()
        });
        distances.sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_hold_a_tenth_or_what_is_equal() {
        let many: Vec<f64> = (0..1_000).map(f64::from).collect();
        let found = Distribution::of(&many);
        assert_eq!((found.counts.len(), found.counts.iter().all(|count| *count == 100)), (10, true));
        assert_eq!((found.edges[0], found.range), (100.0, Some((0.0, 999.0))));
        let rare: Vec<f64> = (0..1_000).map(|row| f64::from(u8::from(row % 200 == 0))).collect();
        let found = Distribution::of(&rare);
        assert_eq!((found.edges, found.counts), (vec![1.0], vec![995, 5]));
        let found = Distribution::of(&[f64::NAN, 7.0, f64::NAN]);
        assert_eq!((found.edges, found.counts, found.missing), (vec![], vec![1], 2));
        assert_eq!(Distribution::of(&[]).shift_to(&[]).psi, 0.0);
    }

    #[test]
    fn the_same_values_do_not_drift_and_others_do() {
        let before: Vec<f64> = (0..500).map(f64::from).collect();
        let reference = Distribution::of(&before);
        let same = reference.shift_to(&before);
        assert_eq!((same.psi, same.unseen), (0.0, 0.0));
        let higher: Vec<f64> = before.iter().map(|value| value + 250.0).collect();
        let shifted = reference.shift_to(&higher);
        assert!(shifted.psi > 0.25, "{shifted:?}");
        assert_eq!(shifted.unseen, 0.5);
        let gone = reference.shift_to(&[f64::NAN; 10]);
        assert_eq!((gone.now.missing_share(), gone.unseen), (1.0, 0.0));
        assert!(gone.psi.is_finite() && gone.psi > 0.25);
    }
}
