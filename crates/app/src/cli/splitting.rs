//! Which parts of the time are learnt from and tested on.

use std::ops::Range;

use anyhow::Result;
use engine::Detector;
use engine::time::{TIME_RANGE_US, format_duration, format_instant};
use lab::split::{Lengths, Split, label_delay_us, prequential};
use lab::train::TrainingSet;

use super::WrongInput;
use super::output::instant;

/// More rows than these are learnt from only if it is asked for: what they add is little, and takes long.
const TRAIN_ROWS: usize = 200_000;

/// Parts of the time, in whole days.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Time")]
pub struct Splitting {
    /// First instant that is used; what comes before it fills the windows [default: the file's first day]
    #[arg(long, value_name = "TIME", value_parser = instant)]
    from: Option<i64>,
    /// First instant that is not used any more [default: after the file's last day]
    #[arg(long, value_name = "TIME", value_parser = instant)]
    to: Option<i64>,
    /// Days of training [default: all that is left, or as many as have 200,000 transactions]
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(i64).range(1..=100_000))]
    train_days: Option<i64>,
    /// Days between training and test, in which labels become known [default: the detector's longest delay of labels]
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(i64).range(0..=100_000))]
    delay_days: Option<i64>,
    /// Days of test [default: a fifth of all]
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(i64).range(1..=100_000))]
    test_days: Option<i64>,
}

impl Splitting {
    /// What is to be read of the file.
    ///
    /// # Errors
    /// If it ends before it begins.
    pub fn period(&self) -> Result<Option<Range<i64>>> {
        if self.from.is_none() && self.to.is_none() {
            return Ok(None);
        }
        let period = self.from.unwrap_or(*TIME_RANGE_US.start())..self.to.unwrap_or(*TIME_RANGE_US.end());
        if period.is_empty() {
            let (from, to) = (format_instant(period.start), format_instant(period.end));
            return Err(WrongInput(format!("--to is {to}: expected a time after --from, {from}")).into());
        }
        Ok(Some(period))
    }

    /// So many splits of a set; their tests end with it.
    ///
    /// # Errors
    /// If its time is too short for them.
    pub fn splits(&self, detector: &Detector, set: &TrainingSet, folds: usize) -> Result<Vec<Split>> {
        let delay_us = label_delay_us(detector);
        let period = &set.days();
        let suited = Lengths::suited_folds(period, delay_us, folds);
        let test_days = self.test_days.unwrap_or(suited.test_days);
        let delay_days = self.delay_days.unwrap_or(suited.delay_days);
        let all_days = (period.end - period.start) / engine::time::DAY_US;
        let left = all_days - delay_days - test_days * folds as i64;
        let enough = (TRAIN_ROWS as f64 / set.len() as f64 * all_days as f64).ceil() as i64;
        let train_days = self.train_days.unwrap_or(left.min(enough).max(1));
        let lengths = Lengths { train_days, delay_days, test_days };
        if delay_days * engine::time::DAY_US < delay_us {
            eprintln!(
                "warning: the gap of {delay_days} days is shorter than the {} until a label is known: the training \
                 would know labels that nobody has yet",
                format_duration(delay_us)
            );
        }
        prequential(period, lengths, folds).map_err(|error| WrongInput(format!("{error:#}")).into())
    }
}
