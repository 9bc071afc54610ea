//! An open loop: when each transaction is due, and how late it was sent.

use std::time::Duration;

use hdrhistogram::Histogram;

/// What is later than this counts as late.
const LATE: Duration = Duration::from_millis(10);

/// What is later counts as that late.
const HOUR_US: u64 = 3_600_000_000;

/// The schedule of a rate. The nth transaction is due n / rate after the start, whatever became of those before it: what was held
/// up is sent as fast as it can be, and its lateness is told.
pub struct Pace {
    rate: f64,
    sent: u64,
    late: u64,
    lateness_us: Histogram<u64>,
}

/// How well a rate was kept.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Kept {
    /// Transactions a second that were asked for.
    pub rate: f64,
    /// Sent more than 10 ms after they were due.
    pub late: u64,
    /// Ninety-nine in a hundred were sent no later than this after they were due.
    pub lateness_p99_ms: f64,
    /// The latest.
    pub lateness_max_ms: f64,
}

impl Pace {
    /// So many a second.
    pub fn new(rate: f64) -> Pace {
        let lateness_us = Histogram::new_with_max(HOUR_US, 3).expect("an hour in three digits is possible");
        Pace { rate, sent: 0, late: 0, lateness_us }
    }

    /// When the next transaction is due, from the start.
    pub fn due(&self) -> Duration {
        Duration::from_secs_f64(self.sent as f64 / self.rate)
    }

    /// The next transaction was sent so long after the start.
    pub fn sent(&mut self, at: Duration) {
        let lateness = at.saturating_sub(self.due());
        self.late += u64::from(lateness > LATE);
        self.lateness_us.saturating_record(lateness.as_micros() as u64);
        self.sent += 1;
    }

    /// How well the rate was kept.
    pub fn kept(&self) -> Kept {
        Kept {
            rate: self.rate,
            late: self.late,
            lateness_p99_ms: self.lateness_us.value_at_quantile(0.99) as f64 / 1e3,
            lateness_max_ms: self.lateness_us.max() as f64 / 1e3,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// One transaction is held up for half a second; those after it are due as if it had not been.
    #[test]
    fn what_is_held_up_does_not_move_what_comes_after() {
        let mut pace = Pace::new(100.0);
        for n in 0..200 {
            assert_eq!(pace.due(), ms(10 * n));
            pace.sent(if (100..150).contains(&n) { ms(1_500) } else { ms(10 * n) });
        }
        let kept = pace.kept();
        // Due at 1,000, 1,010, ... 1,490 ms and sent at 1,500: the last of them 10 ms late, which is not late yet.
        assert_eq!(kept.late, 49);
        assert!((kept.lateness_max_ms - 500.0).abs() < 1.0, "{kept:?}");
        assert!((kept.lateness_p99_ms - 480.0).abs() < 12.0, "{kept:?}");
    }
}
