//! The difference of two models on the same transactions, with what chance could make of it.
//!
//! Frauds come in bursts, so days and not rows are resampled: a block bootstrap (Efron and Tibshirani 1993, "An introduction
//! to the bootstrap", ch. 8), paired, because both models are measured on the same resampled days.

use engine::time::DAY_US;

use crate::random::Stream;
use crate::train::TrainingSet;

/// How often days are drawn.
const RESAMPLES: usize = 400;

/// What the stream of random numbers is for.
const PURPOSE: u64 = 0x7265_7472_6169_6e00;

/// A difference, and what lies between the two ends of what resampling gave.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Interval {
    /// On all days.
    pub difference: f64,
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// Average precision of the second model less that of the first, with the interval that holds `confidence` (0 to 1) of the
/// differences on resampled days; NaN where the rows are of one class.
pub fn paired_gain(test: &TrainingSet, scores: [&[f64]; 2], confidence: f64, seed: u64) -> Interval {
    let days: Vec<i64> = test.times_us.iter().map(|time| time.div_euclid(DAY_US)).collect();
    let first = days.iter().copied().min().unwrap_or(0);
    let days: Vec<u32> = days.into_iter().map(|day| (day - first) as u32).collect();
    let count = days.iter().max().map_or(0, |last| *last as usize + 1);
    let ranked = scores.map(|scores| Ranked::new(scores, &test.labels, &days));
    let gain = |weights: &[u32]| ranked[1].average_precision(weights) - ranked[0].average_precision(weights);
    let mut drawn: Vec<f64> = (0..RESAMPLES).map(|at| gain(&resample(count, seed, at))).collect();
    drawn.retain(|difference| !difference.is_nan());
    drawn.sort_unstable_by(f64::total_cmp);
    let tail = (1.0 - confidence) / 2.0;
    let at = |share: f64| {
        let place = (share * drawn.len().saturating_sub(1) as f64).round() as usize;
        drawn.get(place).copied().unwrap_or(f64::NAN)
    };
    Interval { difference: gain(&vec![1; count]), low: at(tail), high: at(1.0 - tail) }
}

/// How often each day is drawn when as many are drawn as there are.
fn resample(days: usize, seed: u64, at: usize) -> Vec<u32> {
    let mut chance = Stream::at(seed, PURPOSE, 0, at as i64);
    let mut weights = vec![0; days];
    (0..days).for_each(|_| weights[chance.below(days as u32) as usize] += 1);
    weights
}

/// Rows by falling score, so that each resample is one walk through them.
struct Ranked {
    /// Score, day, and whether it is fraud.
    rows: Vec<(f64, u32, bool)>,
}

impl Ranked {
    fn new(scores: &[f64], labels: &[bool], days: &[u32]) -> Ranked {
        let rows = scores.iter().zip(days).zip(labels);
        let mut rows: Vec<_> = rows.map(|((score, day), fraud)| (*score, *day, *fraud)).collect();
        rows.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
        Ranked { rows }
    }

    /// Of days that count so often; NaN without fraud. Equal scores enter together.
    fn average_precision(&self, weights: &[u32]) -> f64 {
        let (mut frauds, mut seen, mut sum) = (0_u64, 0_u64, 0.0);
        for same in self.rows.chunk_by(|a, b| a.0 == b.0) {
            let before = frauds;
            for (_, day, fraud) in same {
                let weight = u64::from(weights[*day as usize]);
                seen += weight;
                frauds += if *fraud { weight } else { 0 };
            }
            if frauds > before {
                sum += (frauds - before) as f64 * frauds as f64 / seen as f64;
            }
        }
        sum / frauds as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::metrics::Ranking;
    use crate::train::Row;

    /// Twenty days of ten rows, the first of each fraud.
    fn days() -> TrainingSet {
        let mut set = TrainingSet::new(0, None);
        for row in 0..200_i64 {
            let time_us = row / 10 * DAY_US;
            set.push(Row { time_us, amount: 10.0, card: 0, fraud: row % 10 == 0 }, &[]);
        }
        set
    }

    #[test]
    fn the_difference_is_that_of_average_precision() {
        let set = days();
        let good: Vec<f64> = set.labels.iter().map(|fraud| f64::from(u8::from(*fraud))).collect();
        let poor: Vec<f64> = (0..200).map(|row| f64::from(row * 7 % 13) / 13.0).collect();
        let of = |scores: &[f64]| Ranking::new(scores, &set.labels).unwrap().average_precision();
        let found = paired_gain(&set, [&poor, &good], 0.9, 1);
        assert!((found.difference - (of(&good) - of(&poor))).abs() < 1e-12, "{found:?}");
        assert!(
            0.0 < found.low && found.low <= found.difference && found.difference <= found.high,
            "{found:?}"
        );
        assert_eq!(found, paired_gain(&set, [&poor, &good], 0.9, 1));
    }

    #[test]
    fn the_same_scores_differ_by_nothing_and_luck_does_not_look_like_gain() {
        let set = days();
        let poor: Vec<f64> = (0..200).map(|row| f64::from(row * 7 % 13) / 13.0).collect();
        let other: Vec<f64> = (0..200).map(|row| f64::from(row * 5 % 17) / 17.0).collect();
        let same = paired_gain(&set, [&poor, &poor], 0.9, 1);
        assert_eq!((same.difference, same.low, same.high), (0.0, 0.0, 0.0));
        let luck = paired_gain(&set, [&poor, &other], 0.9, 1);
        assert!(luck.low < 0.0 && luck.high > 0.0, "{luck:?}");
        let mut nothing = days();
        nothing.labels = vec![false; 200];
        assert!(paired_gain(&nothing, [&poor, &other], 0.9, 1).low.is_nan());
    }
}
