//! Payments of bank customers in the shape of the small fraud demos: amount, merchant, country, type.
//!
//! A user has a home, a few merchants, a usual amount and usual hours. Now and then an account is taken over for a
//! night or an hour: a burst of larger amounts to merchants the user never paid, mostly from abroad. Genuine life
//! has a little of all of that too: journeys, new merchants, late evenings, a dear purchase.

use std::collections::VecDeque;

use super::{Calendar, Cell, Column, ColumnKind, DAY_S, Row, Settings, Simulator, customers, time_us};
use crate::random::Stream;

/// Two genuine payments a day, and bursts of four on one user's day in 500.
const ROWS_PER_USER_DAY: f64 = 2.008;
const TAKEOVER_CHANCE: f64 = 0.002;
/// Usual merchants of a user.
const HABITS: u32 = 8;
/// Users of one merchant, on average.
const USERS_PER_MERCHANT: u32 = 3;
/// The chance that a user spends a given week abroad.
const JOURNEY_CHANCE: f64 = 0.03;

const HOMES: [(&str, f64); 6] =
    [("US", 0.4), ("GB", 0.2), ("DE", 0.15), ("FR", 0.1), ("ES", 0.1), ("IN", 0.05)];
const ABROAD: [(&str, f64); 10] = [
    ("FR", 1.5),
    ("ES", 1.5),
    ("IT", 1.2),
    ("MX", 1.0),
    ("TH", 0.8),
    ("BR", 0.8),
    ("NG", 0.6),
    ("RU", 0.6),
    ("CN", 0.6),
    ("RO", 0.4),
];
const TYPES: [(&str, f64); 4] = [("pos", 0.55), ("online", 0.30), ("transfer", 0.08), ("atm", 0.07)];
const TAKEOVER_TYPES: [(&str, f64); 3] = [("online", 0.65), ("transfer", 0.30), ("atm", 0.05)];
const TRADES: [&str; 10] = [
    "grocery",
    "fuel",
    "restaurant",
    "pharmacy",
    "fashion",
    "electronics",
    "travel",
    "games",
    "jewellery",
    "exchange",
];

/// What a stream of random numbers is for.
mod purpose {
    pub(super) const USER: u64 = 1;
    pub(super) const DAY: u64 = 2;
    pub(super) const HABIT: u64 = 3;
    pub(super) const JOURNEY: u64 = 4;
}

#[derive(Clone, Copy)]
struct User {
    home: &'static str,
    amount_median: f64,
    /// The second of the day around which this user pays.
    usual_second: f64,
    /// e to the minus mean number of payments a day.
    exp_minus_rate: f64,
}

struct Payment {
    second: u32,
    user: u32,
    nth: u32,
    merchant: u32,
    country: &'static str,
    kind: &'static str,
    amount_minor: i64,
    fraud: bool,
}

/// The events of the detector `banking`.
pub(super) struct Banking {
    seed: u64,
    calendar: Calendar,
    users: Vec<User>,
    merchants: u32,
    /// The day of the payments in `today`.
    day: i64,
    today: VecDeque<Payment>,
}

impl Banking {
    const COLUMNS: [Column; 8] = [
        Column::new("transaction_id", ColumnKind::Integer),
        Column::new("timestamp", ColumnKind::Time),
        Column::new("user_id", ColumnKind::Text),
        Column::new("merchant", ColumnKind::Text),
        Column::new("country", ColumnKind::Text),
        Column::new("type", ColumnKind::Text),
        Column::new("amount", ColumnKind::Money),
        Column::new("is_fraud", ColumnKind::Integer),
    ];

    pub(super) fn new(settings: &Settings) -> Self {
        let count = customers(settings, ROWS_PER_USER_DAY);
        let calendar = Calendar::new(settings);
        Self {
            seed: settings.seed,
            users: (0..count).map(|id| User::new(settings.seed, id)).collect(),
            merchants: settings.terminals.unwrap_or((count / USERS_PER_MERCHANT).max(100)),
            day: calendar.day,
            calendar,
            today: VecDeque::new(),
        }
    }

    fn make_day(&mut self) {
        let mut payments = Vec::from(std::mem::take(&mut self.today));
        for user in 0..self.users.len() as u32 {
            self.genuine_and_fraud(user, &mut payments);
        }
        let first_second = self.calendar.first_second(self.day);
        payments.retain(|payment| i64::from(payment.second) >= first_second);
        payments.sort_unstable_by_key(|payment| (payment.second, payment.user, payment.nth));
        self.today = VecDeque::from(payments);
    }

    fn genuine_and_fraud(&self, user: u32, into: &mut Vec<Payment>) {
        let mut rng = Stream::at(self.seed, purpose::DAY, user.into(), self.day);
        let who = &self.users[user as usize];
        let abroad = self.journey(user);
        let count = rng.poisson(who.exp_minus_rate);
        for nth in 0..count {
            into.push(self.genuine(user, nth, abroad, &mut rng));
        }
        if rng.chance(TAKEOVER_CHANCE) {
            self.takeover(user, count, &mut rng, into);
        }
    }

    fn genuine(&self, user: u32, nth: u32, abroad: Option<&'static str>, rng: &mut Stream) -> Payment {
        let who = &self.users[user as usize];
        let kind = rng.weighted(&TYPES);
        let merchant = if rng.chance(0.92) { self.habit(user, rng.below(HABITS)) } else { self.popular(rng) };
        // Shops on the net are abroad at times while the user is not.
        let elsewhere =
            if kind == "online" && rng.chance(0.06) { Some(rng.weighted(&ABROAD)) } else { abroad };
        Payment {
            second: who.second(rng),
            user,
            nth,
            merchant,
            country: elsewhere.unwrap_or(who.home),
            kind,
            amount_minor: minor(rng.lognormal(who.amount_median, 0.8)),
            fraud: false,
        }
    }

    /// A burst of two to six payments within an hour or so, by night more often than not.
    fn takeover(&self, user: u32, first_nth: u32, rng: &mut Stream, into: &mut Vec<Payment>) {
        let who = &self.users[user as usize];
        let mut second =
            if rng.chance(0.65) { rng.between(0.0, 18_000.0) } else { rng.between(0.0, 79_000.0) };
        let country = if rng.chance(0.7) { rng.weighted(&ABROAD) } else { who.home };
        let factor = rng.between(1.5, 8.0);
        for nth in first_nth..first_nth + 2 + rng.below(5) {
            second += 30.0 + 600.0 * rng.exponential();
            into.push(Payment {
                second: (second as u32).min(DAY_S as u32 - 1),
                user,
                nth,
                merchant: rng.below(self.merchants),
                country,
                kind: rng.weighted(&TAKEOVER_TYPES),
                amount_minor: minor(rng.lognormal(who.amount_median * factor, 0.6)),
                fraud: true,
            });
        }
    }

    /// Where the user spends this week, if abroad.
    fn journey(&self, user: u32) -> Option<&'static str> {
        let mut rng = Stream::at(self.seed, purpose::JOURNEY, user.into(), self.day.div_euclid(7));
        rng.chance(JOURNEY_CHANCE).then(|| rng.weighted(&ABROAD))
    }

    fn habit(&self, user: u32, which: u32) -> u32 {
        self.popular(&mut Stream::at(self.seed, purpose::HABIT, user.into(), which.into()))
    }

    /// A merchant, the first ones far more often than the last.
    fn popular(&self, rng: &mut Stream) -> u32 {
        let skew = rng.uniform();
        (skew * skew * skew * f64::from(self.merchants)) as u32
    }
}

impl Simulator for Banking {
    fn columns(&self) -> &'static [Column] {
        &Self::COLUMNS
    }

    fn rows_per_day(&self) -> f64 {
        self.users.len() as f64 * ROWS_PER_USER_DAY
    }

    fn next(&mut self, row: &mut Row) -> bool {
        row.clear();
        while self.today.is_empty() {
            let Some(day) = self.calendar.next_day() else { return false };
            self.day = day;
            self.make_day();
        }
        let Some(id) = self.calendar.next_id() else { return false };
        let Some(payment) = self.today.pop_front() else { return false };
        payment.write(id, self.day, row);
        true
    }
}

impl User {
    fn new(seed: u64, id: u32) -> Self {
        let mut rng = Stream::at(seed, purpose::USER, id.into(), 0);
        Self {
            home: rng.weighted(&HOMES),
            amount_median: rng.lognormal(28.0, 0.6),
            usual_second: rng.between(36_000.0, 68_000.0),
            // Never quite nobody, so that every population pays in the end.
            exp_minus_rate: libm::exp(-rng.between(0.2, 3.8)),
        }
    }

    /// Around the usual hours; the tails wrap round midnight.
    fn second(&self, rng: &mut Stream) -> u32 {
        ((self.usual_second + 15_000.0 * rng.normal()) as i64).rem_euclid(DAY_S) as u32
    }
}

impl Payment {
    fn write(&self, id: i64, day: i64, row: &mut Row) {
        row.integer(id);
        row.push(Cell::TimeUs(time_us(day, self.second)));
        row.write(format_args!("U{:06}", self.user));
        row.write(format_args!("{}-{:05}", TRADES[self.merchant as usize % TRADES.len()], self.merchant));
        row.push(Cell::Text(self.country));
        row.push(Cell::Text(self.kind));
        row.money(self.amount_minor);
        row.integer(self.fraud);
    }
}

/// In hundredths, at least one.
fn minor(amount: f64) -> i64 {
    ((amount * 100.0).round() as i64).max(1)
}
