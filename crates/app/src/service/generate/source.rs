//! What makes transactions: rows in time order, beginning at a given time, with the share of frauds that was asked for.

use std::sync::Arc;

use anyhow::{Result, bail, ensure};
use engine::time::DAY_US;
use engine::{Detector, EventBatch, Label};
use lab::dataset::{Block, SimulatedReader};
use lab::simulate::{Settings, simulator};

use super::wanted::Wanted;

/// A source of made transactions.
pub trait Source: Send {
    /// The next one; `None` at the end.
    ///
    /// # Errors
    /// If no more can be made though there should be more.
    fn next(&mut self) -> Result<Option<Made<'_>>>;
}

/// A transaction that was made.
pub struct Made<'a> {
    /// Holds it.
    pub batch: &'a EventBatch,
    /// Its row there.
    pub row: usize,
    /// When it happens.
    pub time_us: i64,
}

/// A compromised terminal of the simulators is found out after so many days: a world that has gone on for as long has as many
/// frauds as it will ever have.
const LEAD_IN_DAYS: f64 = 28.0;

/// The most transactions before the first that is given, about: a fraction of a second.
const LEAD_IN_ROWS: f64 = 300_000.0;

/// What is asked for lies within so many days if that can be done with more customers: a stream that ran further ahead would
/// outrun what `max_time_jump` allows.
const SPAN_DAYS: f64 = 7.0;

/// Most customers of a simulated world.
const CUSTOMERS_MAX: f64 = 200_000.0;

/// At least so many of a simulator's transactions are frauds, about.
const NATURAL_SHARE: f64 = 0.002;

/// Most transactions that are looked at to reach a share of frauds: some ten seconds.
const SIMULATED_ROWS_MAX: u64 = 20_000_000;

/// A simulated world that has gone on for a while when its first transaction is given.
pub struct Simulated {
    reader: SimulatedReader,
    block: Block,
    /// From the simulator's times to those given.
    shift_us: i64,
    share: Option<Thinning>,
    /// Transactions that were looked at.
    simulated: u64,
    /// Whether the one that was read last was not given yet.
    waiting: bool,
}

impl Simulated {
    /// The world of a detector's simulator, from `start_us` on.
    ///
    /// # Errors
    /// If there is no such simulator, or it makes nothing.
    pub fn new(detector: &Arc<Detector>, name: &str, wanted: &Wanted, start_us: i64) -> Result<Simulated> {
        let Wanted { rows, fraud_share, seed, .. } = *wanted;
        let schema = Arc::new(detector.schema.clone());
        let (customers, rows_per_day) = population(name, rows, fraud_share)?;
        let lead_in_days = LEAD_IN_DAYS.min((LEAD_IN_ROWS / rows_per_day).ceil()) as i64;
        let begin_us = (start_us.div_euclid(DAY_US) - lead_in_days) * DAY_US;
        let settings = Settings { seed, start_us: begin_us, customers, ..Settings::default() };
        let mut simulated = Simulated {
            reader: SimulatedReader::new(simulator(name, &settings)?, &schema),
            block: Block::new(&schema),
            shift_us: 0,
            share: fraud_share.map(|share| Thinning::new(share, rows)),
            simulated: 0,
            waiting: true,
        };
        simulated.live_until(begin_us, start_us)?;
        Ok(simulated)
    }

    /// Leaves out what happens before `start_us`, and finds out how far the simulator's times are from those wanted: some
    /// simulators count from a zero of their own.
    fn live_until(&mut self, begin_us: i64, start_us: i64) -> Result<()> {
        self.read_one()?;
        // Whole days, so that the hour of the day stays.
        let off_us = begin_us - self.block.batch.time_us(0);
        self.shift_us = (off_us + DAY_US / 2).div_euclid(DAY_US) * DAY_US;
        while self.block.batch.time_us(0) + self.shift_us < start_us {
            if let Some(share) = &mut self.share {
                share.count(self.block.batch.label(0));
            }
            self.read_one()?;
        }
        self.simulated = 0;
        Ok(())
    }

    fn read_one(&mut self) -> Result<()> {
        self.simulated += 1;
        self.block.clear();
        let more = self.reader.read_one(&mut self.block);
        if let Some(reject) = self.block.rejects.first() {
            bail!("what the simulator makes is no transaction of the detector: {}", reject.rejection);
        }
        ensure!(more, "the simulator has ended");
        Ok(())
    }
}

impl Source for Simulated {
    fn next(&mut self) -> Result<Option<Made<'_>>> {
        loop {
            if !std::mem::take(&mut self.waiting) {
                self.read_one()?;
            }
            let label = self.block.batch.label(0);
            if self.share.as_mut().is_none_or(|share| share.keep(label)) {
                break;
            }
            if self.simulated >= SIMULATED_ROWS_MAX {
                let class =
                    if self.share.as_ref().is_some_and(Thinning::lacks_frauds) { "fraud" } else { "genuine" };
                bail!(
                    "of {SIMULATED_ROWS_MAX} simulated transactions too few are {class}: ask for fewer rows, or another share"
                );
            }
        }
        let batch = &self.block.batch;
        Ok(Some(Made { batch, row: 0, time_us: batch.time_us(0) + self.shift_us }))
    }
}

/// How many customers it takes to make the rows within [`SPAN_DAYS`], where that is more than the simulator's own number; and
/// how many transactions a day the world then has.
fn population(name: &str, rows: u64, fraud_share: Option<f64>) -> Result<(Option<u32>, f64)> {
    let rows_per_day = |customers| -> Result<f64> {
        Ok(simulator(name, &Settings { customers, ..Settings::default() })?.rows_per_day())
    };
    let usual = rows_per_day(None)?;
    let looked_at = rows as f64 * fraud_share.map_or(1.0, |share| (share / NATURAL_SHARE).max(1.0));
    let needed = looked_at.min(SIMULATED_ROWS_MAX as f64) / SPAN_DAYS;
    if needed <= usual {
        return Ok((None, usual));
    }
    let by_thousand = rows_per_day(Some(1_000))?;
    let customers = (needed / by_thousand * 1_000.0).min(CUSTOMERS_MAX) as u32;
    Ok((Some(customers), rows_per_day(Some(customers))?))
}

/// Reaches a share of frauds by leaving rows out: of the class of which there are too many every so-many-th is kept, evenly over
/// time, the other is kept whole.
struct Thinning {
    /// Shares of genuine rows and of frauds.
    wanted: [f64; 2],
    /// Rows of each that are still to be kept.
    left: [u64; 2],
    /// Rows of each that were seen.
    seen: [u64; 2],
    /// Fractions of a row that were not kept yet.
    owed: [f64; 2],
}

impl Thinning {
    fn new(share: f64, rows: u64) -> Thinning {
        let frauds = (share * rows as f64).round() as u64;
        Thinning { wanted: [1.0 - share, share], left: [rows - frauds, frauds], seen: [0; 2], owed: [0.0; 2] }
    }

    /// Learns how many frauds there are among the rows.
    fn count(&mut self, label: Label) {
        self.seen[class(label)] += 1;
    }

    fn keep(&mut self, label: Label) -> bool {
        self.count(label);
        let class = class(label);
        // How much of a class is wanted for each row of it that comes along.
        let need = |class: usize| self.wanted[class] / (self.seen[class] + 1) as f64;
        self.owed[class] += need(class) / need(class).max(need(1 - class));
        if self.owed[class] < 1.0 || self.left[class] == 0 {
            return false;
        }
        self.owed[class] -= 1.0;
        self.left[class] -= 1;
        true
    }

    fn lacks_frauds(&self) -> bool {
        self.left[1] > 0
    }
}

fn class(label: Label) -> usize {
    usize::from(label == Label::Fraud)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_reached_to_the_row_and_evenly() {
        for (share, rows) in [(0.0, 50), (0.05, 1_000), (0.5, 400), (0.001, 10_000), (1.0, 30)] {
            let mut thinning = Thinning::new(share, rows);
            let label = |number: u64| if number % 100 == 7 { Label::Fraud } else { Label::Genuine };
            // What a simulated world lives through before its first transaction is given.
            (0..20_000).for_each(|number| thinning.count(label(number)));
            let mut kept = Vec::new();
            for number in 0_u64.. {
                let label = label(number);
                if thinning.keep(label) {
                    kept.push(label);
                }
                if kept.len() as u64 == rows {
                    break;
                }
            }
            let frauds = |rows: &[Label]| rows.iter().filter(|label| **label == Label::Fraud).count() as f64;
            assert_eq!(frauds(&kept), (share * rows as f64).round(), "{share} of {rows}");
            let (first, second) = kept.split_at(kept.len() / 2);
            assert!((frauds(first) - frauds(second)).abs() <= 2.0 + 0.1 * frauds(&kept), "{share} of {rows}");
        }
    }
}
