//! Anonymous card payments in the shape of the ULB credit-card set: Time, V1 to V28, Amount, Class.
//!
//! The components are uncorrelated and centred, with falling spread, as principal components are; a row's components
//! share a scale, so that they are not independent and their tails are heavy. A fraud shifts them by a common
//! severity; a part of the frauds hardly shows. The figures are this project's own, of the order that published
//! analyses of that set show: components 17, 14, 12 and 10 tell the classes apart best.

use super::arrivals::Arrivals;
use super::{Cell, Column, ColumnKind, DAY_S, Row, Settings, Simulator};
use crate::random::Stream;

/// The ULB set: 284,807 rows in two days, 0.173 % of them fraud.
const ROWS_PER_HOUR: f64 = 5_933.0;
const SPAN_HOURS: f64 = 48.0;
const FRAUD_SHARE: f64 = 0.00173;

/// The spread of each component among genuine payments.
const SPREAD: [f64; 28] = [
    1.95, 1.65, 1.50, 1.40, 1.35, 1.30, 1.20, 1.15, 1.10, 1.05, 1.00, 0.98, 0.96, 0.94, 0.90, 0.86, 0.83,
    0.82, 0.80, 0.76, 0.72, 0.70, 0.62, 0.60, 0.52, 0.48, 0.40, 0.32,
];
/// How far a fraud of severity one moves each component, in units of its spread.
const SHIFT: [f64; 28] = [
    -1.6, 1.5, -3.0, 2.4, -1.5, -0.8, -3.0, 0.6, -1.6, -3.8, 2.6, -4.2, 0.0, -5.2, 0.0, -3.4, -5.0, -1.8,
    0.6, 0.4, 0.8, 0.0, 0.0, -0.2, 0.1, 0.0, 0.3, 0.2,
];
/// The part of the frauds that look nearly genuine.
const HIDDEN_SHARE: f64 = 0.15;

/// The events of the detector `ulb`.
pub(super) struct Ulb {
    rng: Stream,
    arrivals: Arrivals,
    second_end: f64,
    rows_left: u64,
}

impl Ulb {
    const COLUMNS: [Column; 31] = columns();

    /// Where no days are given: two days for as many rows as the original or fewer, more days for more rows, so that
    /// the rate never exceeds the original's.
    pub(super) fn new(settings: &Settings) -> Self {
        let per_hour = match (settings.rows, settings.days) {
            (Some(rows), Some(days)) => rows as f64 / (24.0 * f64::from(days.max(1))),
            (Some(rows), None) => (rows as f64 / SPAN_HOURS).min(ROWS_PER_HOUR),
            (None, _) => ROWS_PER_HOUR,
        };
        Self {
            rng: Stream::at(settings.seed, 0, 0, 0),
            arrivals: Arrivals::new(per_hour.max(1.0), 0.0),
            second_end: settings.days.map_or(f64::INFINITY, |days| f64::from(days) * DAY_S as f64),
            rows_left: settings.rows.unwrap_or(u64::MAX),
        }
    }

    fn write_components(&mut self, fraud: bool, row: &mut Row) {
        let rng = &mut self.rng;
        // A mixture of two scales with variance one: heavy tails from two normals.
        let scale = if rng.chance(0.05) { 2.2 } else { 0.894 };
        let severity = if fraud { severity(rng) } else { 0.0 };
        for pair in 0..14 {
            let (first, second) = rng.normal_pair();
            for (component, normal) in [(2 * pair, first), (2 * pair + 1, second)] {
                let value = SPREAD[component] * (normal * scale + SHIFT[component] * severity);
                row.push(Cell::Number(micro(value)));
            }
        }
    }
}

impl Simulator for Ulb {
    fn columns(&self) -> &'static [Column] {
        &Self::COLUMNS
    }

    fn rows_per_day(&self) -> f64 {
        self.arrivals.per_day()
    }

    fn next(&mut self, row: &mut Row) -> bool {
        row.clear();
        if self.rows_left == 0 {
            return false;
        }
        let second = self.arrivals.next(&mut self.rng);
        if second >= self.second_end {
            self.rows_left = 0;
            return false;
        }
        self.rows_left -= 1;
        let fraud = self.rng.chance(FRAUD_SHARE);
        row.integer(second as i64);
        self.write_components(fraud, row);
        row.money(amount_minor(fraud, &mut self.rng));
        row.integer(fraud);
        true
    }
}

fn severity(rng: &mut Stream) -> f64 {
    if rng.chance(HIDDEN_SHARE) { rng.between(0.0, 0.3) } else { rng.lognormal(1.0, 0.5).min(3.0) }
}

/// Amounts span five decades; thieves try a card with one unit first.
fn amount_minor(fraud: bool, rng: &mut Stream) -> i64 {
    let (plain_share, plain, median, sigma) =
        if fraud { (0.25, 100, 40.0, 1.6) } else { (0.006, 0, 22.0, 1.6) };
    if rng.chance(plain_share) {
        return plain;
    }
    (rng.lognormal(median, sigma).min(25_000.0) * 100.0).round() as i64
}

/// Rounded to six decimals, which is plenty and keeps text files small.
fn micro(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

const fn columns() -> [Column; 31] {
    const V: [&str; 28] = [
        "V1", "V2", "V3", "V4", "V5", "V6", "V7", "V8", "V9", "V10", "V11", "V12", "V13", "V14", "V15",
        "V16", "V17", "V18", "V19", "V20", "V21", "V22", "V23", "V24", "V25", "V26", "V27", "V28",
    ];
    let mut columns = [Column::new("Time", ColumnKind::Integer); 31];
    let mut component = 0;
    while component < V.len() {
        columns[component + 1] = Column::new(V[component], ColumnKind::Number);
        component += 1;
    }
    columns[29] = Column::new("Amount", ColumnKind::Money);
    columns[30] = Column::new("Class", ColumnKind::Integer);
    columns
}
