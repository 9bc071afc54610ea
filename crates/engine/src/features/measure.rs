//! From tallies to the value of a feature.

use super::MISSING;
use super::plan::{Measure, Read};
use super::tallies::Tallies;

/// A feature as of `now_us`.
pub(super) fn evaluate(read: &Read, tallies: &Tallies, now_us: i64) -> f64 {
    let present = |presence: Option<usize>| match presence {
        Some(index) => nearest_f64(tallies.sum(index)),
        None => tallies.count(&read.frame),
    };
    let or_empty = |value: Option<f64>| value.unwrap_or(read.empty);
    match read.measure {
        Measure::Count => tallies.count(&read.frame),
        Measure::Sum { sum } => nearest_f64(tallies.sum(sum)) / read.scale,
        Measure::Mean { sum, presence } => {
            let count = present(presence);
            or_empty((count > 0.0).then(|| nearest_f64(tallies.sum(sum)) / (count * read.scale)))
        }
        Measure::Std { sum, square, presence } => {
            let count = present(presence);
            or_empty(
                (count > 1.0).then(|| deviation(tallies.sum(sum), tallies.sum(square), count) / read.scale),
            )
        }
        Measure::Extreme { index } => or_empty(tallies.extreme(index).map(|value| value as f64 / read.scale)),
        Measure::Distinct { index } => tallies.distinct(index) as f64,
        Measure::Last { column } => {
            let value = tallies.last(&read.frame).map(|entry| entry[1 + column]);
            or_empty(value.filter(|value| *value != MISSING).map(|value| value as f64 / read.scale))
        }
        Measure::SinceLast => {
            or_empty(tallies.last(&read.frame).map(|entry| (now_us - entry[0]) as f64 / 1e6))
        }
        Measure::SinceFirst => {
            or_empty(tallies.first(&read.frame).map(|entry| (now_us - entry[0]) as f64 / 1e6))
        }
        Measure::SinceExtreme { index } => {
            or_empty(tallies.extreme(index).map(|time_us| (now_us - time_us) as f64 / 1e6))
        }
        Measure::Ratio { sums, ref baseline, lengths } => {
            let (short, long) = match sums {
                Some((short, long)) => (nearest_f64(tallies.sum(short)), nearest_f64(tallies.sum(long))),
                None => (tallies.count(&read.frame), tallies.count(baseline)),
            };
            or_empty((long != 0.0).then(|| short * lengths / long))
        }
    }
}

/// A feature of an entity of which nothing is held.
pub(super) fn of_nothing(read: &Read) -> f64 {
    match read.measure {
        Measure::Count | Measure::Sum { .. } | Measure::Distinct { .. } => 0.0,
        _ => read.empty,
    }
}

/// The nearest double. Most sums fit 64 bits, which the processor converts itself.
#[inline]
pub(super) fn nearest_f64(sum: i128) -> f64 {
    match i64::try_from(sum) {
        Ok(sum) => sum as f64,
        Err(_) => nearest_f64_of_wide(sum),
    }
}

/// Apart, or the compiler finds the two ways equal and takes the long one always.
#[cold]
#[inline(never)]
fn nearest_f64_of_wide(sum: i128) -> f64 {
    sum as f64
}

/// The sample standard deviation from exact sums: the sum of squared distances from the integer part of the mean is an
/// integer, so nothing cancels; only its small remainder is taken off in floating point.
fn deviation(sum: i128, square: i128, count: f64) -> f64 {
    let n = count as i128;
    let centre = sum.div_euclid(n);
    let remainder = sum.rem_euclid(n) as f64;
    // Modular arithmetic: the parts may overflow, the result, which is at most `square`, does not.
    let distances = square
        .wrapping_sub(centre.wrapping_mul(sum).wrapping_mul(2))
        .wrapping_add(centre.wrapping_mul(centre).wrapping_mul(n));
    let variance = (distances as f64 - remainder * remainder / count) / (count - 1.0);
    variance.max(0.0).sqrt()
}
