//! Card payments after chapter 3 of the Fraud Detection Handbook (Le Borgne, Siblini, Lebichot and Bontempi, 2022).
//!
//! Customers and terminals lie on a square map. A customer pays at terminals within a radius, a Poisson number of
//! times a day, around noon, normal amounts around a mean of their own. Fraud comes from three scenarios; see
//! [`compromise`]. Two things differ from the book:
//!
//! - Every draw belongs to a (customer, day) or a (scenario, day), days counted since 1970, so the stream needs no
//!   table of all transactions and can be started on any day.
//! - The map grows with the number of terminals, so that any population has the book's density: about 78 terminals
//!   to a customer.

mod compromise;

use std::collections::VecDeque;

use super::map::TerminalMap;
use super::{Calendar, Cell, Column, ColumnKind, DAY_S, Row, Settings, Simulator, customers, time_us};
use crate::random::Stream;
use compromise::Compromises;

/// What a stream of random numbers is for, so that no two purposes share one.
mod purpose {
    pub(super) const CUSTOMER: u64 = 1;
    pub(super) const PURCHASES: u64 = 3;
    pub(super) const COMPROMISED_TERMINALS: u64 = 4;
    pub(super) const COMPROMISED_CUSTOMERS: u64 = 5;
}

/// Two purchases a day on average, of which the share that falls inside the day is kept: P(|z| < 2.16) = 0.969.
const ROWS_PER_CUSTOMER_DAY: f64 = 1.938;
/// The purchase time of day, in seconds.
const TIME_MEAN_S: f64 = 43_200.0;
const TIME_STD_S: f64 = 20_000.0;

/// The Handbook's simulator: the events of the detector `card-handbook`.
pub(super) struct CardHandbook(Payments);

impl CardHandbook {
    const COLUMNS: [Column; 7] = [
        Column::new("transaction_id", ColumnKind::Integer),
        Column::new("tx_datetime", ColumnKind::Time),
        Column::new("customer_id", ColumnKind::Integer),
        Column::new("terminal_id", ColumnKind::Integer),
        Column::new("tx_amount", ColumnKind::Money),
        Column::new("tx_fraud", ColumnKind::Integer),
        Column::new("tx_fraud_scenario", ColumnKind::Integer),
    ];

    pub(super) fn new(settings: &Settings) -> Self {
        Self(Payments::new(settings))
    }
}

impl Simulator for CardHandbook {
    fn columns(&self) -> &'static [Column] {
        &Self::COLUMNS
    }

    fn rows_per_day(&self) -> f64 {
        self.0.population.rows_per_day()
    }

    fn next(&mut self, row: &mut Row) -> bool {
        row.clear();
        let Some(payment) = self.0.next() else { return false };
        payment.write_identity(row);
        payment.write_label(row);
        true
    }
}

/// A purchase with its place in the stream.
struct Payment {
    id: i64,
    /// Days since 1970-01-01.
    day: i64,
    purchase: Purchase,
}

impl Payment {
    fn write_identity(&self, row: &mut Row) {
        row.integer(self.id);
        row.push(Cell::TimeUs(time_us(self.day, self.purchase.second)));
        row.integer(self.purchase.customer);
        row.integer(self.purchase.terminal);
        row.money(self.purchase.amount_minor);
    }

    fn write_label(&self, row: &mut Row) {
        row.integer(self.purchase.scenario > 0);
        row.integer(self.purchase.scenario);
    }
}

/// The stream of payments: one day made and sorted at a time.
struct Payments {
    calendar: Calendar,
    population: Population,
    compromises: Compromises,
    /// The day of the purchases in `today`.
    day: i64,
    today: VecDeque<Purchase>,
}

impl Payments {
    fn new(settings: &Settings) -> Self {
        let mut calendar = Calendar::new(settings);
        let population = Population::new(settings);
        if population.is_idle() {
            calendar.rows_left = 0;
        }
        let compromises = Compromises::new(&population, calendar.day);
        Self { day: calendar.day, calendar, population, compromises, today: VecDeque::new() }
    }

    fn next(&mut self) -> Option<Payment> {
        while self.today.is_empty() {
            self.day = self.calendar.next_day()?;
            self.make_day();
        }
        let id = self.calendar.next_id()?;
        let purchase = self.today.pop_front()?;
        Some(Payment { id, day: self.day, purchase })
    }

    fn make_day(&mut self) {
        let mut purchases = Vec::from(std::mem::take(&mut self.today));
        for customer in 0..self.population.customers.len() as u32 {
            self.population.purchases(customer, self.day, &mut purchases);
        }
        let leaks = self.compromises.open_day(self.day, &self.population);
        self.compromises.label(self.day, &leaks, &mut purchases);
        let first_second = self.calendar.first_second(self.day);
        purchases.retain(|purchase| i64::from(purchase.second) >= first_second);
        purchases.sort_unstable_by_key(Purchase::order);
        self.today = VecDeque::from(purchases);
    }
}

/// One purchase of a day.
#[derive(Clone, Copy, Debug)]
struct Purchase {
    /// Second of the day, 1 to 86,399.
    second: u32,
    customer: u32,
    /// Which of the customer's purchases of that day it is, in the order they were drawn.
    nth: u16,
    terminal: u32,
    amount_minor: i64,
    /// The fraud scenario, 0 where genuine.
    scenario: u8,
}

impl Purchase {
    /// The order of a day: by time, and within a second by customer and draw, so that it is never left to the sort.
    fn order(&self) -> u64 {
        u64::from(self.second) << 47 | u64::from(self.customer) << 15 | u64::from(self.nth)
    }
}

/// Who pays, and where: all that the simulator remembers for longer than a day besides open compromises.
struct Population {
    seed: u64,
    customers: Vec<Customer>,
    map: TerminalMap,
}

struct Customer {
    x: f32,
    y: f32,
    amount_mean: f64,
    /// e to the minus mean number of purchases a day.
    exp_minus_rate: f64,
}

impl Population {
    fn new(settings: &Settings) -> Self {
        let count = customers(settings, ROWS_PER_CUSTOMER_DAY);
        let map = TerminalMap::new(settings.seed, settings.terminals.unwrap_or(count.saturating_mul(2)));
        let customers = (0..count).map(|id| Customer::new(settings.seed, id, &map)).collect();
        Self { seed: settings.seed, customers, map }
    }

    fn rows_per_day(&self) -> f64 {
        self.customers.len() as f64 * ROWS_PER_CUSTOMER_DAY
    }

    /// Whether nobody ever pays, so that a stream would search for its first row for ever.
    fn is_idle(&self) -> bool {
        self.customers.iter().all(|customer| customer.exp_minus_rate >= 1.0)
    }

    /// Adds the purchases of one customer on one day, before any fraud.
    fn purchases(&self, customer: u32, day: i64, into: &mut Vec<Purchase>) {
        let who = &self.customers[customer as usize];
        let mut rng = Stream::at(self.seed, purpose::PURCHASES, customer.into(), day);
        let mut nth = 0;
        for _ in 0..rng.poisson(who.exp_minus_rate) {
            let (time, size) = rng.normal_pair();
            let second = (TIME_MEAN_S + TIME_STD_S * time) as i64;
            if second <= 0 || second >= DAY_S {
                continue;
            }
            let amount_minor = who.amount_minor(size, &mut rng);
            let terminal = self.map.pick(who.x, who.y, &mut rng);
            into.push(Purchase { second: second as u32, customer, nth, terminal, amount_minor, scenario: 0 });
            nth += 1;
        }
    }
}

impl Customer {
    fn new(seed: u64, id: u32, map: &TerminalMap) -> Self {
        let mut rng = Stream::at(seed, purpose::CUSTOMER, id.into(), 0);
        let (x, y) = (rng.between(0.0, map.side()) as f32, rng.between(0.0, map.side()) as f32);
        let amount_mean = rng.between(5.0, 100.0);
        let rate = rng.between(0.0, 4.0);
        // Who lives out of reach of every terminal never pays, as in the book.
        let rate = if map.any_within_reach(x, y) { rate } else { 0.0 };
        Self { x, y, amount_mean, exp_minus_rate: libm::exp(-rate) }
    }

    /// Normal with a standard deviation of half the mean; a negative one is drawn again, uniform up to twice the mean.
    fn amount_minor(&self, size: f64, rng: &mut Stream) -> i64 {
        let normal = self.amount_mean * (1.0 + size / 2.0);
        let amount = if normal < 0.0 { rng.between(0.0, 2.0 * self.amount_mean) } else { normal };
        (amount * 100.0).round() as i64
    }
}
