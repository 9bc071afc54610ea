//! How far the partitions of the first stage may drift apart in event time, so that what comes last still enters the later
//! stages' windows in its true place.
//!
//! A partition with something to read stands where its newest event stands. One with nothing to read either has nothing or
//! its events are on their way: nobody can tell, so those that are ahead of it wait a moment. Who is ahead only because time
//! passes does not wait: when everything is read, all partitions are level, and from then on event time may go on as fast as
//! the clock, until the last event is too old to say anything.

use std::time::{Duration, Instant};

/// How long rows wait for a partition that has nothing to read.
pub const IDLE_AFTER: Duration = Duration::from_secs(2);

/// How far a partition has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reach {
    /// Newest event time in microseconds, if any is known.
    pub newest_us: Option<i64>,
    /// It has nothing to read and nothing that waits, since then.
    pub idle_since: Option<Instant>,
}

/// What is remembered from one look at the partitions to the next.
#[derive(Debug, Default)]
pub struct Order {
    /// When everything had last been read, and the newest event time then.
    level: Option<(i64, Instant)>,
    /// Rows wait, and there was something to read at all times since then.
    waiting_since: Option<Instant>,
}

impl Order {
    /// The newest event time to which each partition may be entered: `drift_us` beyond the slowest other one. `reaches` is by
    /// partition, whoever owns it.
    pub fn limits(&self, reaches: &[Reach], drift_us: i64, now: Instant) -> Vec<i64> {
        let reached: Vec<i64> = reaches.iter().map(|reach| self.reached_us(reach, drift_us, now)).collect();
        let mut slowest = (0..reached.len()).collect::<Vec<_>>();
        slowest.sort_unstable_by_key(|at| reached[*at]);
        let beyond = |at: Option<&usize>| at.map_or(i64::MAX, |at| reached[*at].saturating_add(drift_us));
        (0..reached.len()).map(|own| beyond(slowest.iter().take(2).find(|at| **at != own))).collect()
    }

    /// Remembers how things stand when what could be entered was entered. `holds_rows` says that some are left.
    pub fn note(&mut self, reaches: &[Reach], holds_rows: bool, now: Instant) {
        if holds_rows {
            self.waiting_since.get_or_insert(now);
        } else if reaches.iter().all(|reach| reach.idle_since.is_some()) {
            self.waiting_since = None;
            let newest_us = reaches.iter().filter_map(|reach| reach.newest_us).max();
            // Where nothing new has come since, time has gone on all the same.
            if self.level.map(|(us, _)| us) < newest_us {
                self.level = newest_us.map(|us| (us, now));
            }
        }
    }

    /// How far a partition holds the others up: `i64::MAX` if not at all.
    fn reached_us(&self, reach: &Reach, drift_us: i64, now: Instant) -> i64 {
        let newest_us = reach.newest_us.unwrap_or(i64::MIN);
        let Some(idle_since) = reach.idle_since else { return newest_us };
        if self.waiting_since.is_some_and(|since| now >= since.max(idle_since) + IDLE_AFTER) {
            return i64::MAX;
        }
        // Together with the drift that is what later stages take: a long pause may end with a backlog.
        let passed =
            |(us, at): (i64, Instant)| us.saturating_add(drift_us.min((now - at).as_micros() as i64));
        newest_us.max(self.level.map_or(i64::MIN, passed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_US: i64 = 3_600_000_000;
    const DRIFT_US: i64 = 12 * HOUR_US;

    fn reads(hour: i64) -> Reach {
        Reach { newest_us: Some(hour * HOUR_US), idle_since: None }
    }

    fn idle(hour: i64, since: Instant) -> Reach {
        Reach { newest_us: Some(hour * HOUR_US), idle_since: Some(since) }
    }

    #[test]
    fn each_waits_for_the_slowest_other_one() {
        let limits = Order::default().limits(&[reads(30), reads(5), reads(9)], DRIFT_US, Instant::now());
        assert_eq!(limits, [17 * HOUR_US, 21 * HOUR_US, 17 * HOUR_US]);
    }

    #[test]
    fn a_partition_of_which_nothing_is_known_lets_nobody_pass() {
        let limits = Order::default().limits(&[reads(30), Reach::default()], DRIFT_US, Instant::now());
        assert_eq!(limits, [i64::MIN + DRIFT_US, 42 * HOUR_US]);
    }

    #[test]
    fn however_long_a_partition_was_idle_what_may_be_on_its_way_is_waited_for() {
        let start = Instant::now();
        let mut order = Order::default();
        order.note(&[idle(0, start), idle(0, start)], false, start);
        let burst = start + 10 * IDLE_AFTER;
        let reaches = [reads(100), idle(0, start)];
        let passed_us = (10 * IDLE_AFTER).as_micros() as i64;
        assert_eq!(order.limits(&reaches, DRIFT_US, burst)[0], DRIFT_US + passed_us);
        order.note(&reaches, true, burst);
        let later = burst + IDLE_AFTER;
        assert!(order.limits(&reaches, DRIFT_US, later - Duration::from_millis(1))[0] < 13 * HOUR_US);
        assert_eq!(order.limits(&reaches, DRIFT_US, later)[0], i64::MAX);
    }

    #[test]
    fn a_backlog_waits_for_an_empty_partition_once() {
        let start = Instant::now();
        let mut order = Order::default();
        let empty = Reach { newest_us: None, idle_since: Some(start) };
        order.note(&[reads(0), empty], true, start);
        let later = start + IDLE_AFTER;
        order.note(&[reads(50), empty], false, later);
        order.note(&[reads(90), empty], true, later);
        assert_eq!(order.limits(&[reads(90), empty], DRIFT_US, later)[0], i64::MAX);
    }

    #[test]
    fn time_that_passes_by_itself_holds_nobody_up() {
        let start = Instant::now();
        let mut order = Order::default();
        order.note(&[idle(0, start), idle(0, start)], false, start);
        order.note(&[idle(0, start), idle(0, start)], false, start + Duration::from_secs(60));
        let limit_us = |hours: u64| {
            let then = start + Duration::from_secs(hours * 3_600);
            order.limits(&[reads(hours as i64), idle(0, start)], DRIFT_US, then)[0]
        };
        assert_eq!(limit_us(9), DRIFT_US + 9 * HOUR_US);
        assert_eq!(limit_us(90), 2 * DRIFT_US);
    }
}
