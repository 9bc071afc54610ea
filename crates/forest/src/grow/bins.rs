//! Cutting features into bins.
//!
//! A feature with few distinct values gets a threshold between any two of them. Otherwise the thresholds are
//! quantiles of a mixture: every row counts, and rows of each class together weigh the same. Plain quantiles
//! spend their thresholds where the many genuine rows are, and leave the tail in which a rare class hides
//! to a single bin. Quantiles of a large table are taken from a sample of its rows.
//!
//! A category has a bin of its own while there are bins; the rarest share the last one, which stands for
//! categories never seen as well.

use std::sync::Arc;

/// The bin of a missing value. Histograms take it modulo their length, a power of two above the other bins.
pub(super) const MISSING_BIN: u8 = 255;
/// Rows of each class that quantiles are taken from: for 255 bins, the error of a quantile is a fifth of a bin.
const SAMPLE_ROWS: usize = 20_000;
/// Whole numbers up to here have a neighbour above them that is their end as a range.
pub(super) const CATEGORY_MAX: f64 = (1u64 << 52) as f64;

/// How the values of one feature become bins.
#[derive(Clone, Debug)]
pub(super) enum Cut {
    /// Ascending; value x is in the bin numbered by how many of them are `<= x`.
    Thresholds(Vec<f64>),
    /// Ascending by value, with their bins; any other value has the bin numbered by how many they are.
    Categories(Vec<f64>),
}

impl Cut {
    /// The bins of a column.
    pub(super) fn bins(&self, column: &[f64]) -> Vec<u8> {
        match self {
            Cut::Thresholds(thresholds) => {
                let mut padded = [f64::INFINITY; 256];
                padded[..thresholds.len()].copy_from_slice(thresholds);
                column
                    .iter()
                    .map(|x| if x.is_nan() { MISSING_BIN } else { count_at_most(&padded, *x) })
                    .collect()
            }
            Cut::Categories(values) => {
                let place = |x| values.binary_search_by(|value| value.total_cmp(&category(x)));
                let bin = |x: &f64| place(*x).unwrap_or(values.len()) as u8;
                column.iter().map(|x| if x.is_nan() { MISSING_BIN } else { bin(x) }).collect()
            }
        }
    }
}

/// The category that a value names: what is left without its fraction, and one zero only.
pub(super) fn category(x: f64) -> f64 {
    x.floor() + 0.0
}

/// How many thresholds, ascending and then infinite, are `<= x`. Always eight steps and no branch to mispredict, so that
/// a processor searches for several values at a time.
fn count_at_most(thresholds: &[f64; 256], x: f64) -> u8 {
    let mut count = 0;
    for step in [128, 64, 32, 16, 8, 4, 2, 1] {
        count += if thresholds[(count + step - 1) % 256] <= x { step } else { 0 };
    }
    count as u8
}

/// A threshold with `below < threshold <= above`: the middle, or `above` where there is no number in between.
pub(super) fn between(below: f64, above: f64) -> f64 {
    let middle = below / 2.0 + above / 2.0;
    if middle > below && middle <= above { middle } else { above }
}

/// What [`Test::Within`](crate::ensemble::Test::Within) holds for a set of categories, given in ascending order.
pub(super) fn ranges(categories: impl Iterator<Item = f64>) -> Arc<[[f64; 2]]> {
    let mut ranges: Vec<[f64; 2]> = Vec::new();
    for value in categories {
        match ranges.last_mut() {
            Some(range) if range[1] == value => range[1] = value + 1.0,
            _ => ranges.push([value, value + 1.0]),
        }
    }
    ranges.into()
}

/// Thresholds between at most so many bins of a feature.
pub(super) fn thresholds(column: &[f64], labels: &[bool], bins: usize) -> Vec<f64> {
    let groups = distinct(sampled(column, labels));
    if groups.len() > bins {
        return quantiles(&groups, bins);
    }
    // The sample has few values; the table may have more of them.
    match all_values(column, groups.iter().map(|group| group.value).collect(), bins) {
        Some(values) => values.windows(2).map(|pair| between(pair[0], pair[1])).collect(),
        None => quantiles(&distinct(every(column, labels).collect()), bins),
    }
}

/// The commonest categories, ascending by value; those beyond the bins are left to the bin of all others.
pub(super) fn categories(column: &[f64], labels: &[bool], bins: usize) -> Vec<f64> {
    let named: Vec<f64> = column.iter().map(|x| category(*x)).collect();
    let mut groups = distinct(every(&named, labels).collect());
    groups.sort_by_key(|group| std::cmp::Reverse(group.rows[0] + group.rows[1]));
    groups.truncate(bins - 1);
    let mut values: Vec<f64> = groups.iter().map(|group| group.value).collect();
    values.sort_unstable_by(f64::total_cmp);
    values
}

/// Rows that share a value.
struct Group {
    value: f64,
    rows: [u32; 2],
}

fn every<'a>(column: &'a [f64], labels: &'a [bool]) -> impl Iterator<Item = (f64, bool)> + 'a {
    // A negative zero is the same number as the positive one, and must sort like it.
    column.iter().map(|x| x + 0.0).zip(labels.iter().copied()).filter(|(x, _)| !x.is_nan())
}

/// Evenly spaced rows of each class, or all of a class that has few.
fn sampled(column: &[f64], labels: &[bool]) -> Vec<(f64, bool)> {
    let positives = labels.iter().filter(|label| **label).count();
    let step = |rows: usize| rows.div_ceil(SAMPLE_ROWS).max(1);
    let steps = [step(labels.len() - positives), step(positives)];
    let mut seen = [0; 2];
    let mut taken = Vec::with_capacity(2 * SAMPLE_ROWS.min(labels.len()));
    for (x, label) in every(column, labels) {
        let class = usize::from(label);
        if seen[class] % steps[class] == 0 {
            taken.push((x, label));
        }
        seen[class] += 1;
    }
    taken
}

fn distinct(mut values: Vec<(f64, bool)>) -> Vec<Group> {
    values.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let mut groups: Vec<Group> = Vec::new();
    for (value, label) in values {
        if groups.last().is_none_or(|group| group.value != value) {
            groups.push(Group { value, rows: [0; 2] });
        }
        if let Some(group) = groups.last_mut() {
            group.rows[usize::from(label)] += 1;
        }
    }
    groups
}

/// The distinct values of a column of which some are known, ascending; none if there are more than `most`.
fn all_values(column: &[f64], mut known: Vec<f64>, most: usize) -> Option<Vec<f64>> {
    for x in column.iter().filter(|x| !x.is_nan()) {
        if let Err(place) = known.binary_search_by(|value| value.total_cmp(&(x + 0.0))) {
            known.insert(place, x + 0.0);
            if known.len() > most {
                return None;
            }
        }
    }
    Some(known)
}

fn quantiles(groups: &[Group], bins: usize) -> Vec<f64> {
    let rows = |class: usize| groups.iter().map(|group| u64::from(group.rows[class])).sum::<u64>().max(1);
    let share = [1.0 / rows(0) as f64, 1.0 / rows(1) as f64];
    let weight = |group: &Group| f64::from(group.rows[0]) * share[0] + f64::from(group.rows[1]) * share[1];
    let mut left: f64 = groups.iter().map(weight).sum();
    let mut bins_left = bins;
    let mut filled = 0.0;
    let mut thresholds = Vec::with_capacity(bins);
    for pair in groups.windows(2) {
        filled += weight(&pair[0]);
        // What is left is shared anew after each bin, so that one heavy value does not starve the rest.
        if bins_left > 1 && filled >= left / bins_left as f64 {
            thresholds.push(between(pair[0].value, pair[1].value));
            left -= filled;
            filled = 0.0;
            bins_left -= 1;
        }
    }
    thresholds
}
