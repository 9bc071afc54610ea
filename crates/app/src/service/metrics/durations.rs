//! Times in fixed buckets, counted where the decision is made: an array and a comparison or two, nothing else.

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
}
