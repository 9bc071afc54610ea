//! Columns one by one, as SDMetrics 0.32 measures them.
//!
//! KSComplement is 1 minus the Kolmogorov-Smirnov statistic, for numbers and instants; TVComplement is 1 minus half of the
//! summed differences of shares, for words, truths and the label. Missing cells are left out of both. Boundaries, ranges and
//! categories follow the package's BoundaryAdherence, RangeCoverage, CategoryAdherence and CategoryCoverage.

use std::collections::BTreeMap;

use rayon::prelude::*;
use serde::Serialize;

use crate::synth::table::{Column, Kind, Table};

/// What is known of a column. NaN is "cannot be told".
#[derive(Debug, Clone, Serialize)]
pub struct ColumnShape {
    /// Its name.
    pub column: String,
    /// Which of the two measures of shape.
    pub metric: &'static str,
    /// How alike the shapes are, 0 to 1.
    pub score: f64,
    /// Share of synthetic values that are within the real ones' bounds, or among the real ones' words.
    pub adherence: f64,
    /// Share of the real ones' range, or of their words, that the synthetic ones cover.
    pub coverage: f64,
    /// Share of missing cells, real.
    pub missing_real: f64,
    /// Share of missing cells, synthetic.
    pub missing_synthetic: f64,
    /// Whether it holds instants: those of synthetic events may be of another period, and that is no fault.
    #[serde(skip)]
    pub is_instant: bool,
}

/// All columns but those of entities, of which the package knows nothing either.
pub fn shapes(real: &Table, synthetic: &Table) -> Vec<ColumnShape> {
    let pairs: Vec<(&Column, &Column)> =
        real.columns.iter().zip(&synthetic.columns).filter(|(real, _)| real.kind != Kind::Entity).collect();
    pairs.into_par_iter().map(|(real, synthetic)| shape(real, synthetic)).collect()
}

/// The mean of what can be told, as the package's reports have it.
pub fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let known: Vec<f64> = values.filter(|value| !value.is_nan()).collect();
    known.iter().sum::<f64>() / known.len() as f64
}

fn shape(real: &Column, synthetic: &Column) -> ColumnShape {
    let missing = |column: &Column| {
        let missing = column.values.iter().filter(|value| value.is_nan()).count();
        missing as f64 / column.values.len().max(1) as f64
    };
    let (metric, score, adherence, coverage) = if real.kind.is_discrete() {
        let (adherence, coverage) = categories(&real.values, &synthetic.values);
        ("TVComplement", tv_complement(&real.values, &synthetic.values), adherence, coverage)
    } else {
        let (adherence, coverage) = boundaries(&real.values, &synthetic.values);
        ("KSComplement", 1.0 - ks_distance(&real.values, &synthetic.values), adherence, coverage)
    };
    let (missing_real, missing_synthetic) = (missing(real), missing(synthetic));
    let column = real.name.clone();
    let is_instant = real.kind == Kind::Instant;
    ColumnShape { column, metric, score, adherence, coverage, missing_real, missing_synthetic, is_instant }
}

/// Known values in ascending order.
pub fn sorted(values: &[f64]) -> Vec<f64> {
    // The package rounds to fourteen decimals before it compares.
    let round = |value: f64| if value.abs() < 1e3 { (value * 1e14).round() / 1e14 } else { value };
    let mut known: Vec<f64> =
        values.iter().filter(|value| !value.is_nan()).map(|value| round(*value)).collect();
    known.sort_unstable_by(f64::total_cmp);
    known
}

/// The Kolmogorov-Smirnov statistic: the largest difference of two cumulative distributions, 0 to 1. NaN if one has no value.
pub fn ks_distance(a: &[f64], b: &[f64]) -> f64 {
    let (a, b) = (sorted(a), sorted(b));
    if a.is_empty() || b.is_empty() {
        return f64::NAN;
    }
    let (mut i, mut j, mut largest) = (0, 0, 0.0_f64);
    while i < a.len() && j < b.len() {
        let at = a[i].min(b[j]);
        while i < a.len() && a[i] <= at {
            i += 1;
        }
        while j < b.len() && b[j] <= at {
            j += 1;
        }
        largest = largest.max((i as f64 / a.len() as f64 - j as f64 / b.len() as f64).abs());
    }
    largest
}

/// How often each value occurs, missing ones left out.
fn counts(values: &[f64]) -> BTreeMap<i64, f64> {
    let mut counts = BTreeMap::new();
    for value in values.iter().filter(|value| !value.is_nan()) {
        *counts.entry(*value as i64).or_default() += 1.0;
    }
    counts
}

/// The package counts a millionth of a real row for every word that real rows lack.
const UNSEEN: f64 = 1e-6;

fn tv_complement(real: &[f64], synthetic: &[f64]) -> f64 {
    let (mut real, synthetic) = (counts(real), counts(synthetic));
    if real.is_empty() || synthetic.is_empty() {
        return f64::NAN;
    }
    for word in synthetic.keys() {
        real.entry(*word).or_insert(UNSEEN);
    }
    let (all_real, all_synthetic): (f64, f64) = (real.values().sum(), synthetic.values().sum());
    let difference = |(word, count): (&i64, &f64)| {
        (synthetic.get(word).unwrap_or(&0.0) / all_synthetic - count / all_real).abs()
    };
    1.0 - 0.5 * real.iter().map(difference).sum::<f64>()
}

/// Share of synthetic values whose word is a real one, and share of real words that there are. Missing is allowed where a
/// real cell is missing.
fn categories(real: &[f64], synthetic: &[f64]) -> (f64, f64) {
    let (words, made) = (counts(real), counts(synthetic));
    let may_miss = real.iter().any(|value| value.is_nan());
    let is_valid =
        |value: &&f64| if value.is_nan() { may_miss } else { words.contains_key(&(**value as i64)) };
    let valid = synthetic.iter().filter(is_valid).count() as f64 / synthetic.len() as f64;
    let covered = made.keys().filter(|word| words.contains_key(word)).count();
    (valid, covered as f64 / words.len() as f64)
}

fn bounds(values: &[f64]) -> (f64, f64) {
    values.iter().fold((f64::NAN, f64::NAN), |(low, high), value| (low.min(*value), high.max(*value)))
}

/// Share of synthetic values within the real bounds, and share of the real range between the synthetic bounds.
fn boundaries(real: &[f64], synthetic: &[f64]) -> (f64, f64) {
    let ((low, high), (made_low, made_high)) = (bounds(real), bounds(synthetic));
    let may_miss = real.iter().any(|value| value.is_nan());
    let asked = synthetic.iter().filter(|value| !may_miss || !value.is_nan()).count();
    let valid = synthetic.iter().filter(|value| (low..=high).contains(*value)).count();
    let range = high - low;
    let lost = ((made_low - low) / range).max(0.0) + ((high - made_high) / range).max(0.0);
    let is_told = range > 0.0 && !made_low.is_nan();
    (valid as f64 / asked as f64, if is_told { (1.0 - lost).max(0.0) } else { f64::NAN })
}
