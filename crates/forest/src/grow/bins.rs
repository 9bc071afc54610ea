//! Cutting features into bins.
//!
//! A feature with few distinct values gets a threshold between any two of them. Otherwise the thresholds are
//! quantiles of a mixture: every row counts, and rows of each class together weigh the same. Plain quantiles
//! spend their thresholds where the many genuine rows are, and leave the tail in which a rare class hides
//! to a single bin.

/// The bin of a missing value.
pub(super) const MISSING_BIN: u8 = 255;

/// Thresholds between at most so many bins of one feature, ascending; value x is in the bin numbered by how many of them are `<= x`.
pub(super) fn thresholds(column: &[f64], labels: &[bool], bins: usize) -> Vec<f64> {
    let groups = distinct(column, labels);
    if groups.len() <= bins {
        return groups.windows(2).map(|pair| between(pair[0].value, pair[1].value)).collect();
    }
    quantiles(&groups, bins)
}

/// The bin of a value.
pub(super) fn bin(thresholds: &[f64], x: f64) -> u8 {
    if x.is_nan() { MISSING_BIN } else { thresholds.partition_point(|threshold| *threshold <= x) as u8 }
}

/// A threshold with `below < threshold <= above`: the middle, or `above` where there is no number in between.
pub(super) fn between(below: f64, above: f64) -> f64 {
    let middle = below / 2.0 + above / 2.0;
    if middle > below && middle <= above { middle } else { above }
}

/// Rows that share a value.
struct Group {
    value: f64,
    rows: [u32; 2],
}

fn distinct(column: &[f64], labels: &[bool]) -> Vec<Group> {
    let mut sorted: Vec<(f64, bool)> = column.iter().copied().zip(labels.iter().copied()).collect();
    sorted.retain(|(x, _)| !x.is_nan());
    sorted.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let mut groups: Vec<Group> = Vec::new();
    for (value, label) in sorted {
        if groups.last().is_none_or(|group| group.value != value) {
            groups.push(Group { value, rows: [0; 2] });
        }
        if let Some(group) = groups.last_mut() {
            group.rows[usize::from(label)] += 1;
        }
    }
    groups
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
