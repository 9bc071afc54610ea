//! Columns two by two, as SDMetrics 0.32 measures them in its quality report.
//!
//! Two continuous columns: CorrelationSimilarity, 1 minus half of the difference of Pearson's coefficients. Otherwise:
//! ContingencySimilarity, 1 minus half of the summed differences of the shares of every pair of values, a continuous column
//! in ten bins of equal width. Two quirks of the package are kept, so that figures can be compared: the bins of the synthetic
//! column are cut between its own ends, not the real column's, and a missing number falls where the largest one does. A pair
//! counts only where the real columns do go together: |r| above 0.5, or Cramér's V above 0.3. The package draws 50,000 rows
//! for contingencies of longer tables; here all rows are counted.

use std::collections::BTreeMap;

use rayon::prelude::*;
use serde::Serialize;

use super::shapes::mean;
use crate::synth::table::{Column, Kind, Table};

/// The least |r| at which two continuous columns are said to go together.
const CORRELATION_MIN: f64 = 0.5;
/// The least Cramér's V at which two other columns are.
const ASSOCIATION_MIN: f64 = 0.3;
const BINS: usize = 10;

/// What is known of a pair of columns. NaN is "cannot be told" or "does not count".
#[derive(Debug, Clone, Serialize)]
pub struct PairTrend {
    /// The column further to the left.
    pub left: String,
    /// The other one.
    pub right: String,
    /// Which of the two measures.
    pub metric: &'static str,
    /// How alike the trends are, 0 to 1.
    pub score: f64,
    /// Pearson's r, or Cramér's V, of the real columns.
    pub real: f64,
    /// Pearson's r of the synthetic columns, where both are continuous.
    pub synthetic: f64,
}

/// How correlations differ.
#[derive(Debug, Clone, Serialize)]
pub struct CorrelationDifference {
    /// The columns: numbers, truths and the label.
    pub columns: Vec<String>,
    /// Spearman's coefficients of synthetic rows minus those of real ones, column by column; NaN where one is constant.
    pub differences: Vec<Vec<f64>>,
    /// The mean of their sizes, over pairs of different columns.
    pub mean_absolute: f64,
}

/// All pairs of columns that are not entities.
pub fn trends(real: &Table, synthetic: &Table) -> Vec<PairTrend> {
    let columns: Vec<usize> =
        (0..real.columns.len()).filter(|at| real.columns[*at].kind != Kind::Entity).collect();
    let codes = |table: &Table| -> Vec<Vec<u32>> {
        columns.iter().map(|at| &table.columns[*at]).map(codes_of).collect()
    };
    let (real_codes, synthetic_codes) = (codes(real), codes(synthetic));
    let pairs: Vec<(usize, usize)> =
        (0..columns.len()).flat_map(|i| (i + 1..columns.len()).map(move |j| (i, j))).collect();
    let trend = |(i, j): (usize, usize)| {
        let (left, right) = (&real.columns[columns[i]], &real.columns[columns[j]]);
        if left.kind.is_continuous() && right.kind.is_continuous() {
            let of = |table: &Table| (table.columns[columns[i]].clone(), table.columns[columns[j]].clone());
            let (made_left, made_right) = of(synthetic);
            return correlation(left, right, &made_left, &made_right);
        }
        let score = contingency((&real_codes[i], &real_codes[j]), (&synthetic_codes[i], &synthetic_codes[j]));
        let association = cramers_v(&real_codes[i], &real_codes[j]);
        let score = if association > ASSOCIATION_MIN { score } else { f64::NAN };
        pair(left, right, "ContingencySimilarity", [score, association, f64::NAN])
    };
    pairs.into_par_iter().map(trend).collect()
}

fn pair(
    left: &Column,
    right: &Column,
    metric: &'static str,
    [score, real, synthetic]: [f64; 3],
) -> PairTrend {
    PairTrend { left: left.name.clone(), right: right.name.clone(), metric, score, real, synthetic }
}

fn correlation(left: &Column, right: &Column, made_left: &Column, made_right: &Column) -> PairTrend {
    let real = pearson(&left.values, &right.values);
    let synthetic = pearson(&made_left.values, &made_right.values);
    let score = if real.abs() > CORRELATION_MIN { 1.0 - (real - synthetic).abs() / 2.0 } else { f64::NAN };
    pair(left, right, "CorrelationSimilarity", [score, real, synthetic])
}

/// Pearson's coefficient over the rows in which both are known; NaN if one is constant.
pub fn pearson(a: &[f64], b: &[f64]) -> f64 {
    let known = || a.iter().zip(b).filter(|(a, b)| !a.is_nan() && !b.is_nan());
    let (count, sum_a, sum_b) = known().fold((0.0, 0.0, 0.0), |(n, x, y), (a, b)| (n + 1.0, x + a, y + b));
    let (mean_a, mean_b) = (sum_a / count, sum_b / count);
    let (mut aa, mut bb, mut ab) = (0.0, 0.0, 0.0);
    for (a, b) in known() {
        let (a, b) = (a - mean_a, b - mean_b);
        aa += a * a;
        bb += b * b;
        ab += a * b;
    }
    if aa > 0.0 && bb > 0.0 { (ab / (aa.sqrt() * bb.sqrt())).clamp(-1.0, 1.0) } else { f64::NAN }
}

/// A whole number for each value: of a word its own, of a number that of its bin. Missing words are a word of their own.
fn codes_of(column: &Column) -> Vec<u32> {
    if column.kind.is_discrete() {
        return column
            .values
            .iter()
            .map(|value| if value.is_nan() { 0 } else { *value as u32 + 1 })
            .collect();
    }
    let edges = edges(&column.values);
    let bin =
        |value: &f64| if value.is_nan() { edges.len() } else { edges.partition_point(|edge| edge <= value) };
    column.values.iter().map(|value| bin(value) as u32).collect()
}

/// Eleven edges of ten bins from the least to the largest value, as NumPy's `histogram_bin_edges` has them.
fn edges(values: &[f64]) -> Vec<f64> {
    let known = values.iter().filter(|value| !value.is_nan());
    let (low, high) = known
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(*value), high.max(*value)));
    let (low, high) = match (low, high) {
        (low, high) if low > high => (0.0, 1.0),
        (low, high) if low == high => (low - 0.5, high + 0.5),
        ends => ends,
    };
    let step = (high - low) / BINS as f64;
    (0..=BINS).map(|at| if at == BINS { high } else { at as f64 * step + low }).collect()
}

type Codes<'a> = (&'a [u32], &'a [u32]);

fn cells((left, right): Codes) -> BTreeMap<(u32, u32), f64> {
    let mut keyed: Vec<(u32, u32)> = left.iter().copied().zip(right.iter().copied()).collect();
    keyed.sort_unstable();
    keyed.chunk_by(|a, b| a == b).map(|cell| (cell[0], cell.len() as f64)).collect()
}

fn contingency(real: Codes, synthetic: Codes) -> f64 {
    let (rows, made) = (real.0.len() as f64, synthetic.0.len() as f64);
    let mut shares: BTreeMap<(u32, u32), f64> =
        cells(real).into_iter().map(|(cell, count)| (cell, count / rows)).collect();
    for (cell, count) in cells(synthetic) {
        *shares.entry(cell).or_default() -= count / made;
    }
    1.0 - shares.values().map(|difference| difference.abs() / 2.0).sum::<f64>()
}

/// Cramér's V, "Mathematical Methods of Statistics", 1946: the root of chi-squared by rows and degrees of freedom. NaN if one
/// column is constant.
fn cramers_v(left: &[u32], right: &[u32]) -> f64 {
    let (mut of_left, mut of_right) = (BTreeMap::<u32, f64>::new(), BTreeMap::<u32, f64>::new());
    left.iter().for_each(|code| *of_left.entry(*code).or_default() += 1.0);
    right.iter().for_each(|code| *of_right.entry(*code).or_default() += 1.0);
    let freedom = of_left.len().min(of_right.len());
    if freedom < 2 {
        return f64::NAN;
    }
    let cells = cells((left, right));
    let share = |((l, r), count): (&(u32, u32), &f64)| count * count / (of_left[l] * of_right[r]);
    let chi_by_rows = cells.iter().map(share).sum::<f64>() - 1.0;
    (chi_by_rows.max(0.0) / (freedom - 1) as f64).sqrt()
}

/// Spearman's coefficients (Pearson's of ranks, which long tails do not rule) of all numbers, truths and the label.
pub fn correlation_difference(real: &Table, synthetic: &Table) -> CorrelationDifference {
    let is_ranked =
        |column: &&Column| column.kind.is_continuous() || matches!(column.kind, Kind::Bool | Kind::Label);
    let columns: Vec<&Column> = real.columns.iter().filter(is_ranked).collect();
    let made: Vec<&Column> = synthetic.columns.iter().filter(is_ranked).collect();
    let ranked = |columns: &[&Column]| -> Vec<Vec<f64>> {
        columns.par_iter().map(|column| ranks(&column.values)).collect()
    };
    let (real_ranks, made_ranks) = (ranked(&columns), ranked(&made));
    let differences: Vec<Vec<f64>> = (0..columns.len())
        .into_par_iter()
        .map(|i| {
            let of = |j: usize| match i == j {
                true => 0.0,
                false => pearson(&made_ranks[i], &made_ranks[j]) - pearson(&real_ranks[i], &real_ranks[j]),
            };
            (0..columns.len()).map(of).collect()
        })
        .collect();
    let sizes = (0..columns.len()).flat_map(|i| (0..i).map(move |j| (i, j)));
    let mean_absolute = mean(sizes.map(|(i, j)| differences[i][j].abs()));
    let columns = columns.iter().map(|column| column.name.clone()).collect();
    CorrelationDifference { columns, differences, mean_absolute }
}

/// Ranks from 0, equal values sharing their mean; missing stays missing.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).filter(|row| !values[*row].is_nan()).collect();
    order.sort_unstable_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![f64::NAN; values.len()];
    let mut before = 0;
    for equal in order.chunk_by(|a, b| values[*a] == values[*b]) {
        let rank = before as f64 + (equal.len() - 1) as f64 / 2.0;
        equal.iter().for_each(|row| ranks[*row] = rank);
        before += equal.len();
    }
    ranks
}
