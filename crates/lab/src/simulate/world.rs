//! The world that `card` and `banking` draw from: who lives where, what they usually do, and who is attacked.
//!
//! Everything is a pure function of a seed and of whom or what it is about, so any customer's any day can be made on any thread.
//! A customer has a home within reach of some terminals, a usual amount and usual hours, a weekly rhythm, a salary day, favourite
//! places, one or two cards and devices; some weeks are spent abroad, holidays are quiet, the weeks before Christmas busy. Now
//! and then somebody buys something dear, by night, from a new device, or where they never were: none of that is proof.
//! Attacks come from [`Script`]s.

/// Habits of customers.
mod habits;
/// What attacks make of a day.
mod attacks;
/// Days, one ahead of the reader.
mod days;

use std::sync::Arc;

use rayon::prelude::*;

use super::drift::Change;
use super::map::TerminalMap;
use super::script::{Channel, Script};
use super::{DAY_S, SECOND_US, Settings, customers};
use crate::random::Stream;
use attacks::Hits;
pub(super) use days::{Dated, Days};
use habits::Customer;

/// What a stream of random numbers is for, so that no two purposes share one.
mod purpose {
    pub(super) const CUSTOMER: u64 = 1;
    pub(super) const DAY: u64 = 3;
    pub(super) const TERMINAL_KIND: u64 = 6;
    pub(super) const HABIT: u64 = 9;
    pub(super) const JOURNEY: u64 = 10;
    pub(super) const OVERLAY: u64 = 11;
    pub(super) const SILENCE: u64 = 12;
    /// Attack scripts follow, one after the other.
    pub(super) const ATTACK: u64 = 100;
}

/// Countries, by the numbers that payments have: those where customers live, then others.
pub(super) const COUNTRIES: [(&str, f64, f64); 15] = [
    // Code, share of the homes, share of what is paid abroad.
    ("BE", 0.82, 0.0),
    ("FR", 0.06, 0.18),
    ("NL", 0.06, 0.15),
    ("DE", 0.03, 0.13),
    ("LU", 0.03, 0.02),
    ("GB", 0.0, 0.10),
    ("ES", 0.0, 0.10),
    ("IT", 0.0, 0.08),
    ("US", 0.0, 0.07),
    ("IE", 0.0, 0.05),
    ("CN", 0.0, 0.03),
    ("TR", 0.0, 0.03),
    ("BR", 0.0, 0.03),
    ("NG", 0.0, 0.02),
    ("RO", 0.0, 0.01),
];

/// The device of a payment that needs none of its own.
pub(super) const NO_DEVICE: u16 = 0;
/// Devices from this number on have been seen once.
pub(super) const NEW_DEVICES: u16 = 100;

/// One payment of a day.
#[derive(Clone, Copy, Debug)]
pub(super) struct Payment {
    pub(super) amount_minor: i64,
    /// Second of the day.
    pub(super) second: u32,
    pub(super) customer: u32,
    pub(super) terminal: u32,
    /// Tells the payments of a customer's day apart.
    nth: u16,
    /// Which of the customer's devices; [`NO_DEVICE`] where the terminal is one.
    pub(super) device: u16,
    pub(super) channel: Channel,
    /// Place in [`COUNTRIES`].
    pub(super) country: u8,
    pub(super) card: u8,
    /// Place of the script among all, from 1; 0 where genuine.
    pub(super) attack: u8,
}

impl Payment {
    fn raise(&mut self, price: f64) {
        self.amount_minor = (self.amount_minor as f64 * price).round() as i64;
    }

    /// By time, and within a second by customer and draw, so that it is never left to the sort.
    fn order(&self) -> u64 {
        u64::from(self.second) << 47 | u64::from(self.customer) << 15 | u64::from(self.nth & 0x7fff)
    }
}

/// All that is remembered for longer than a day.
pub(super) struct World {
    seed: u64,
    customers: Vec<Customer>,
    map: TerminalMap,
    /// What is accepted at each terminal.
    terminal_channels: Vec<Channel>,
    scripts: Arc<[Script]>,
    /// How many of the scripts a drift brings; they are the last ones.
    new_scripts: usize,
    change: Option<Change>,
}

/// Customers whose day is made by one task.
const TASK_CUSTOMERS: usize = 1_024;
/// Payments of a customer on a day, on average.
pub(super) const PAYMENTS_PER_DAY: f64 = 2.0;

/// What terminals accept: shops take cards in both ways.
const KINDS: [(Channel, f64); 3] = [(Channel::Chip, 0.70), (Channel::Online, 0.22), (Channel::Atm, 0.08)];

impl World {
    pub(super) fn new(settings: &Settings) -> World {
        let seed = settings.seed;
        let count = customers(settings, PAYMENTS_PER_DAY);
        let map = TerminalMap::new(seed, settings.terminals.unwrap_or(count.saturating_mul(2)));
        let start_day = settings.start_us.div_euclid(DAY_S * SECOND_US);
        let change = settings.drift.map(|drift| Change::new(drift, start_day));
        let new = change.map_or(&[][..], Change::scripts);
        let kind = |id: u32| Stream::at(seed, purpose::TERMINAL_KIND, id.into(), 0).weighted(&KINDS);
        World {
            seed,
            customers: (0..count).into_par_iter().map(|id| Customer::new(seed, id, &map)).collect(),
            terminal_channels: (0..map.len()).map(kind).collect(),
            map,
            scripts: settings.attacks.iter().chain(new).cloned().collect(),
            new_scripts: new.len(),
            change,
        }
    }

    pub(super) fn rows_per_day(&self) -> f64 {
        self.customers.len() as f64 * PAYMENTS_PER_DAY
    }

    /// The name of a payment's script; empty where it is genuine.
    pub(super) fn attack_name(&self, attack: u8) -> &str {
        let script = usize::from(attack).checked_sub(1).and_then(|at| self.scripts.get(at));
        script.map_or("", |script| &script.name)
    }

    /// Whether the terminal of a payment leaves the channel out.
    pub(super) fn is_channel_missing(&self, terminal: u32, day: i64) -> bool {
        self.change.is_some_and(|change| change.is_silent(self.seed, purpose::SILENCE, terminal, day))
    }

    /// All payments of a day (counted since 1970), in order.
    fn day(&self, day: i64) -> Vec<Payment> {
        let hits = Hits::of(self, day);
        let customers = self.customers.par_chunks(TASK_CUSTOMERS).enumerate();
        let made = customers.map(|(task, customers)| {
            let mut payments = Vec::with_capacity(3 * TASK_CUSTOMERS);
            for (at, customer) in customers.iter().enumerate() {
                let id = (task * TASK_CUSTOMERS + at) as u32;
                let first = payments.len();
                customer.day(self, id, day, &mut payments);
                hits.overlay(self, day, &mut payments[first..]);
            }
            payments
        });
        let mut payments: Vec<Payment> = made.collect::<Vec<_>>().concat();
        attacks::add(self, day, &mut payments);
        let price = self.change.map_or(1.0, |change| change.price(day));
        if price > 1.0 {
            payments.iter_mut().for_each(|payment| payment.raise(price));
        }
        // Stable: what two attacks on one customer do in one second stays in the order of the scripts.
        payments.par_sort_by_key(Payment::order);
        payments
    }
}
