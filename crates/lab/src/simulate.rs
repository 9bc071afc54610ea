//! Seeded transactions with labelled fraud, in time order, in bounded memory.
//!
//! A simulator is a pure function of its settings: the same seed gives the same bytes on every machine. For that, all
//! chance comes from [`crate::random`], whose algorithms are written out here, and transcendental functions come from
//! `libm` rather than from the C library of the day. What is kept in memory is the population and one day of
//! transactions, never the stream.
//!
//! The simulated worlds:
//!
//! | detector | after | a row |
//! |---|---|---|
//! | `card-handbook` | chapter 3 of the Fraud Detection Handbook | one card payment at a terminal |
//! | `card` | a world of habits and attack scripts | one card payment at a terminal |
//! | `ulb` | the shape of the ULB credit-card set | 28 anonymous components and an amount |
//! | `paysim` | the shape of PaySim's mobile money log | one movement between two accounts |
//! | `banking` | the same world, in the shape of small banking demos | one payment of a user to a merchant |

mod arrivals;
mod card;
mod card_handbook;
pub mod drift;
mod map;
pub mod script;
mod world;
mod ulb;
mod paysim;
mod banking;

use std::fmt::{self, Write as _};
use std::sync::Arc;

use drift::{DRIFTING, Drift};
use script::{Channel, Script};

/// Microseconds in a second; times are microseconds since 1970-01-01 UTC.
const SECOND_US: i64 = 1_000_000;
/// Seconds in a day.
const DAY_S: i64 = 86_400;

/// What the values of a column are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnKind {
    /// UTF-8 text.
    Text,
    /// A whole number.
    Integer,
    /// A real number.
    Number,
    /// An amount in hundredths of the currency unit.
    Money,
    /// A point in time, in microseconds since 1970-01-01 UTC.
    Time,
}

/// One column of a simulator's rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name, as in the file that the simulator imitates.
    pub name: &'static str,
    /// What it holds.
    pub kind: ColumnKind,
}

impl Column {
    const fn new(name: &'static str, kind: ColumnKind) -> Self {
        Self { name, kind }
    }
}

/// One value of a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cell<'a> {
    /// UTF-8 text.
    Text(&'a str),
    /// A whole number.
    Integer(i64),
    /// A real number, never NaN or infinite.
    Number(f64),
    /// An amount with two decimals.
    Money {
        /// Hundredths of the currency unit.
        minor: i64,
    },
    /// Microseconds since 1970-01-01 UTC.
    TimeUs(i64),
    /// No value.
    Missing,
}

/// One transaction, refilled by every [`Simulator::next`], so that a stream of any length allocates once.
#[derive(Debug, Default)]
pub struct Row {
    slots: Vec<Slot>,
    /// The text that was written for this row; slots point into it.
    text: String,
}

#[derive(Clone, Copy, Debug)]
enum Slot {
    Plain(Cell<'static>),
    Written { start: usize, end: usize },
}

impl Row {
    /// An empty row, to be filled by a simulator.
    pub fn new() -> Self {
        Self::default()
    }

    /// The cells, one per column, in the order of [`Simulator::columns`].
    pub fn cells(&self) -> impl ExactSizeIterator<Item = Cell<'_>> {
        self.slots.iter().map(|slot| self.resolve(*slot))
    }

    /// The cell of column `index`; panics where there is no such column.
    pub fn cell(&self, index: usize) -> Cell<'_> {
        self.resolve(self.slots[index])
    }

    fn resolve(&self, slot: Slot) -> Cell<'_> {
        match slot {
            Slot::Plain(cell) => cell,
            Slot::Written { start, end } => Cell::Text(&self.text[start..end]),
        }
    }

    fn clear(&mut self) {
        self.slots.clear();
        self.text.clear();
    }

    fn push(&mut self, cell: Cell<'static>) {
        self.slots.push(Slot::Plain(cell));
    }

    fn integer(&mut self, value: impl Into<i64>) {
        self.push(Cell::Integer(value.into()));
    }

    fn money(&mut self, minor: i64) {
        self.push(Cell::Money { minor });
    }

    fn write(&mut self, text: fmt::Arguments<'_>) {
        let start = self.text.len();
        self.text.write_fmt(text).expect("writing to a string cannot fail");
        self.slots.push(Slot::Written { start, end: self.text.len() });
    }
}

/// A source of labelled transactions.
pub trait Simulator: Send {
    /// The columns of every row.
    fn columns(&self) -> &'static [Column];

    /// About how many rows a day of simulated time has.
    fn rows_per_day(&self) -> f64;

    /// Writes the next transaction into `row`, never earlier than the one before; false, with `row` left empty,
    /// when the stream has ended.
    fn next(&mut self, row: &mut Row) -> bool;
}

/// What to simulate. A stream with neither `rows` nor `days` never ends.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The same seed and settings give the same rows.
    pub seed: u64,
    /// When the stream begins, in microseconds since 1970-01-01 UTC. PaySim and ULB count from zero and ignore it.
    pub start_us: i64,
    /// The first transaction id, for streams that must not repeat the ids of another. PaySim and ULB have no ids.
    pub first_id: i64,
    /// Stop after this many rows. Also sizes the population, where that is not given, so that the rows span a
    /// sensible time.
    pub rows: Option<u64>,
    /// Stop after this many days of simulated time.
    pub days: Option<u32>,
    /// Customers, users or accounts.
    pub customers: Option<u32>,
    /// Terminals or merchants.
    pub terminals: Option<u32>,
    /// What fraudsters do in `card`, `banking` and `paysim`.
    pub attacks: Arc<[Script]>,
    /// How the world changes on the way; it does not if `None`. Only the simulators of [`DRIFTING`] can.
    pub drift: Option<Drift>,
    /// Threads that make days; all cores if `None`. It cannot show in what is made.
    pub threads: Option<usize>,
}

impl Default for Settings {
    /// An endless stream from 2018-04-01, the first day of the Handbook's data.
    fn default() -> Self {
        Self {
            seed: 0,
            start_us: 17_622 * DAY_S * SECOND_US,
            first_id: 0,
            rows: None,
            days: None,
            customers: None,
            terminals: None,
            attacks: script::shipped(),
            drift: None,
            threads: None,
        }
    }
}

/// Why a simulator cannot be made: the caller's mistake, not worth a retry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SimulateError {
    /// There is no simulator of that name.
    #[error("no simulator for detector `{name}`; there are {}", NAMES.join(", "))]
    UnknownSimulator {
        /// The name that was asked for.
        name: String,
    },
    /// The simulator's world cannot change.
    #[error("the simulator of `{name}` cannot drift; those of {} can", DRIFTING.join(", "))]
    NoDrift {
        /// The name that was asked for.
        name: String,
    },
    /// The population is empty, so there would never be a row.
    #[error("a simulation needs at least one of `{field}`")]
    EmptyPopulation {
        /// `customers` or `terminals`.
        field: &'static str,
    },
}

/// The detectors that have a simulator.
pub const NAMES: [&str; 5] = ["card-handbook", "card", "ulb", "paysim", "banking"];

/// What the events of a simulator are marked with: `simulator:card:7`.
pub fn mark(detector: &str, seed: u64) -> String {
    format!("simulator:{detector}:{seed}")
}

/// The simulator of a shipped detector.
///
/// # Errors
/// [`SimulateError`] where the detector has no simulator, the simulator cannot drift, or the population is empty.
pub fn simulator(detector: &str, settings: &Settings) -> Result<Box<dyn Simulator>, SimulateError> {
    for (field, count) in [("customers", settings.customers), ("terminals", settings.terminals)] {
        if count == Some(0) {
            return Err(SimulateError::EmptyPopulation { field });
        }
    }
    if settings.drift.is_some() && NAMES.contains(&detector) && !DRIFTING.contains(&detector) {
        return Err(SimulateError::NoDrift { name: detector.to_owned() });
    }
    match detector {
        "card-handbook" => Ok(Box::new(card_handbook::CardHandbook::new(settings))),
        "card" => Ok(Box::new(card::Card::new(settings))),
        "ulb" => Ok(Box::new(ulb::Ulb::new(settings))),
        "paysim" => Ok(Box::new(paysim::Paysim::new(settings))),
        "banking" => Ok(Box::new(banking::Banking::new(settings))),
        _ => Err(SimulateError::UnknownSimulator { name: detector.to_owned() }),
    }
}

/// Customers for `settings`, at `rows_per_customer_day`.
///
/// 5,000 as in the Handbook while the rows then span 30 to 200 days: fewer days would leave a 30-day window nothing
/// to learn from, more would stretch a large benchmark over years.
fn customers(settings: &Settings, rows_per_customer_day: f64) -> u32 {
    const BASE: f64 = 5_000.0;
    const LEAST: f64 = 50.0;
    if let Some(customers) = settings.customers {
        return customers;
    }
    let Some(rows) = settings.rows else { return BASE as u32 };
    let natural_days = rows as f64 / (BASE * rows_per_customer_day);
    let days = settings.days.map_or(natural_days.clamp(30.0, 200.0), |days| f64::from(days.max(1)));
    (rows as f64 / (days * rows_per_customer_day)).ceil().max(LEAST) as u32
}

/// Where a stream of days stands: which day comes next and what ends it.
#[derive(Debug)]
struct Calendar {
    start_us: i64,
    /// Days since 1970-01-01.
    day: i64,
    day_end: Option<i64>,
    rows_left: u64,
    next_id: i64,
}

impl Calendar {
    fn new(settings: &Settings) -> Self {
        let day = settings.start_us.div_euclid(DAY_S * SECOND_US);
        Self {
            start_us: settings.start_us,
            day,
            day_end: settings.days.map(|days| day + i64::from(days)),
            rows_left: settings.rows.unwrap_or(u64::MAX),
            next_id: settings.first_id,
        }
    }

    /// Takes the next day, or nothing when the stream has ended.
    fn next_day(&mut self) -> Option<i64> {
        if self.rows_left == 0 || self.day_end.is_some_and(|end| self.day >= end) {
            return None;
        }
        self.day += 1;
        Some(self.day - 1)
    }

    /// The first second of `day` that belongs to the stream, as a second of that day.
    fn first_second(&self, day: i64) -> i64 {
        let start_s =
            self.start_us.div_euclid(SECOND_US) + i64::from(self.start_us.rem_euclid(SECOND_US) > 0);
        start_s - day * DAY_S
    }

    /// Counts one row and gives its id, or nothing when there were enough.
    fn next_id(&mut self) -> Option<i64> {
        self.rows_left = self.rows_left.checked_sub(1)?;
        self.next_id += 1;
        Some(self.next_id - 1)
    }
}

/// How detectors call a channel.
fn channel_name(channel: Channel) -> &'static str {
    match channel {
        Channel::Chip => "chip",
        Channel::Contactless => "contactless",
        Channel::Online => "online",
        Channel::Atm => "atm",
        Channel::Transfer => "transfer",
    }
}

fn time_us(day: i64, second: u32) -> i64 {
    (day * DAY_S + i64::from(second)) * SECOND_US
}
