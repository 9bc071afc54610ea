//! When things happen, for streams without a population: a Poisson process whose rate follows the hour of the day.

use crate::random::Stream;

/// How busy each hour of a day is, from midnight: quiet nights, a plateau from nine to eight in the evening.
const BUSY: [f64; 24] = [
    0.35, 0.20, 0.12, 0.10, 0.10, 0.15, 0.35, 0.70, 1.10, 1.40, 1.50, 1.55, 1.55, 1.50, 1.50, 1.50, 1.55,
    1.60, 1.60, 1.50, 1.35, 1.15, 0.90, 0.60,
];

/// Seconds since the stream began, one arrival after the other.
#[derive(Debug)]
pub(super) struct Arrivals {
    second: f64,
    /// Arrivals a second in each hour of the day.
    rates: [f64; 24],
}

impl Arrivals {
    /// Arrivals at `per_hour` on average over a day, `steady_per_hour` of which pay no heed to the clock.
    pub(super) fn new(per_hour: f64, steady_per_hour: f64) -> Self {
        let mean = BUSY.iter().sum::<f64>() / 24.0;
        let swing = per_hour - steady_per_hour;
        Self { second: 0.0, rates: BUSY.map(|busy| (swing * busy / mean + steady_per_hour) / 3_600.0) }
    }

    /// The next arrival. A process without memory may be started anew where its rate changes, so each hour is exact.
    pub(super) fn next(&mut self, rng: &mut Stream) -> f64 {
        loop {
            let hour = (self.second / 3_600.0).floor();
            let candidate = self.second + rng.exponential() / self.rates[hour as usize % 24];
            let hour_end = (hour + 1.0) * 3_600.0;
            if candidate < hour_end {
                self.second = candidate;
                return candidate;
            }
            self.second = hour_end;
        }
    }

    /// Arrivals a day, on average.
    pub(super) fn per_day(&self) -> f64 {
        self.rates.iter().sum::<f64>() * 3_600.0
    }

    /// Arrivals per hour at the present time.
    pub(super) fn per_hour(&self) -> f64 {
        self.rates[(self.second / 3_600.0) as usize % 24] * 3_600.0
    }
}
