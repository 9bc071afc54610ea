//! Parts of the time: what is learnt from, a gap in which labels become known, what is tested on. Never by row.

use std::ops::Range;

use anyhow::{Result, ensure};
use engine::detector::{Definition, Detector, Source};
use engine::time::{DAY_US, format_instant};

/// A training period and the test period after it, both half-open, in microseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// What is learnt from.
    pub train: Range<i64>,
    /// What is tested on.
    pub test: Range<i64>,
}

/// Lengths of the parts in days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lengths {
    /// Of training.
    pub train_days: i64,
    /// Between training and test: as long as it takes until a label is known.
    pub delay_days: i64,
    /// Of the test.
    pub test_days: i64,
}

impl Lengths {
    /// The Handbook's: a week each.
    pub const HANDBOOK: Lengths = Lengths { train_days: 7, delay_days: 7, test_days: 7 };

    /// What suits a stretch of time: the last fifth of its days is the test, all before the delay is learnt from.
    pub fn suited(period: &Range<i64>, delay_us: i64) -> Lengths {
        let days = (period.end - period.start) / DAY_US;
        let delay_days = (delay_us + DAY_US - 1) / DAY_US;
        let test_days = (days / 5).max(1);
        Lengths { train_days: (days - test_days - delay_days).max(1), delay_days, test_days }
    }

    /// As [`Lengths::suited`] for so many folds, which share the last fifth.
    pub fn suited_folds(period: &Range<i64>, delay_us: i64, folds: usize) -> Lengths {
        let Lengths { delay_days, test_days, .. } = Lengths::suited(period, delay_us);
        let test_days = (test_days / folds as i64).max(1);
        let days = (period.end - period.start) / DAY_US;
        Lengths { train_days: (days - delay_days - test_days * folds as i64).max(1), delay_days, test_days }
    }

    /// The split whose test ends at `end_us`.
    fn ending(self, end_us: i64) -> Split {
        let test = end_us - self.test_days * DAY_US..end_us;
        let train_end = test.start - self.delay_days * DAY_US;
        Split { train: train_end - self.train_days * DAY_US..train_end, test }
    }
}

/// So many splits whose tests follow each other and end with the period, the oldest first (prequential validation; Gama,
/// Sebastião and Rodrigues, "On evaluating stream learning algorithms", 2013).
///
/// # Errors
/// If the first one's training would begin before the period.
pub fn prequential(period: &Range<i64>, lengths: Lengths, folds: usize) -> Result<Vec<Split>> {
    let Lengths { train_days, delay_days, test_days } = lengths;
    ensure!(
        train_days > 0 && test_days > 0 && delay_days >= 0 && folds > 0,
        "folds, training days and test days must be at least 1, and the delay at least 0 days"
    );
    let ends = (0..folds as i64).rev().map(|later| period.end - later * test_days * DAY_US);
    let splits: Vec<Split> = ends.map(|end_us| lengths.ending(end_us)).collect();
    ensure!(
        splits[0].train.start >= period.start,
        "{folds} folds with {train_days} days of training, {delay_days} of delay and {test_days} of test need {} days, \
         and from {} to {} there are {}",
        train_days + delay_days + test_days * folds as i64,
        format_instant(period.start),
        format_instant(period.end),
        (period.end - period.start) / DAY_US,
    );
    Ok(splits)
}

/// How long it takes until a label is known: the longest delay of a window of labels; 0 without one.
pub fn label_delay_us(detector: &Detector) -> i64 {
    let delay = |definition: &Definition| match definition {
        Definition::Window(window) if window.of == Some(Source::Label) => Some(window.delay_us),
        _ => None,
    };
    detector.features.iter().filter_map(|feature| delay(&feature.definition)).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folds_follow_each_other_and_end_with_the_period() {
        let day = |day: i64| day * DAY_US;
        let folds = prequential(&(day(100)..day(142)), Lengths::HANDBOOK, 4).unwrap();
        let starts: Vec<i64> = folds.iter().map(|fold| fold.train.start / DAY_US).collect();
        assert_eq!(starts, [100, 107, 114, 121]);
        assert_eq!(folds[3], Split { train: day(121)..day(128), test: day(135)..day(142) });
        let error = prequential(&(day(101)..day(142)), Lengths::HANDBOOK, 4).unwrap_err().to_string();
        assert!(error.contains("need 42 days") && error.contains("there are 41"), "{error}");
    }

    #[test]
    fn a_stretch_is_split_with_the_delay_taken_off() {
        let lengths = Lengths::suited(&(0..100 * DAY_US), 7 * DAY_US);
        assert_eq!(lengths, Lengths { train_days: 73, delay_days: 7, test_days: 20 });
        let folds = Lengths::suited_folds(&(0..100 * DAY_US), 7 * DAY_US, 4);
        assert_eq!(folds, Lengths { train_days: 73, delay_days: 7, test_days: 5 });
    }
}
