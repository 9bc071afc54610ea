//! Times in fixed buckets, counted where they are known: an array and a comparison or two, nothing else.

/// Upper bounds in microseconds: a decision takes some 100 us, and a client has given up after seconds.
pub const BOUNDS_US: [u64; 17] = [
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000, 5_000_000, 10_000_000,
];

/// Times that were observed.
#[derive(Debug, Clone, Copy, Default)]
pub struct Durations {
    /// By bucket; the last one is of what took longer than all bounds.
    pub counts: [u64; BOUNDS_US.len() + 1],
    /// Of all, in microseconds.
    pub sum_us: u64,
}

impl Durations {
    /// Observes a time, `times` over.
    pub fn observe(&mut self, us: u64, times: u64) {
        self.counts[BOUNDS_US.partition_point(|bound| *bound < us)] += times;
        self.sum_us += us * times;
    }
}

/// Upper bounds in seconds: a victim calls within hours, a chargeback takes weeks.
pub const LABEL_BOUNDS_S: [u64; 9] =
    [3_600, 6 * 3_600, 86_400, 2 * 86_400, 4 * 86_400, 7 * 86_400, 14 * 86_400, 30 * 86_400, 90 * 86_400];

/// How long after their transactions happened labels came.
#[derive(Debug, Clone, Copy, Default)]
pub struct LabelDelays {
    /// By bucket; the last one is of what took longer than all bounds.
    pub counts: [u64; LABEL_BOUNDS_S.len() + 1],
    /// Of all, in seconds.
    pub sum_s: f64,
}

impl LabelDelays {
    /// Observes a label; both times in microseconds. One that is there before its transaction happened took no time.
    pub fn observe(&mut self, event_us: i64, label_us: i64) {
        let seconds = label_us.saturating_sub(event_us).max(0) as f64 / 1e6;
        self.counts[LABEL_BOUNDS_S.partition_point(|bound| (*bound as f64) < seconds)] += 1;
        self.sum_s += seconds;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_its_bucket() {
        let mut durations = Durations::default();
        durations.observe(50, 1);
        durations.observe(51, 2);
        durations.observe(u64::from(u32::MAX), 1);
        assert_eq!((durations.counts[0], durations.counts[1], durations.counts[17]), (1, 2, 1));
        assert_eq!(durations.sum_us, 50 + 102 + u64::from(u32::MAX));
    }

    #[test]
    fn a_label_is_counted_by_how_late_it_is() {
        let mut delays = LabelDelays::default();
        let hours = |hours: i64| hours * 3_600_000_000;
        for (event, label) in [(5, 6), (5, 12), (5, 4), (0, 91 * 24)] {
            delays.observe(hours(event), hours(label));
        }
        assert_eq!(delays.counts, [2, 0, 1, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(delays.sum_s, 3_600.0 * (1 + 7 + 91 * 24) as f64);
    }
}
