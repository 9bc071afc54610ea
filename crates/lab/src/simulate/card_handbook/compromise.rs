//! The three ways in which the book's payments become fraud. A later scenario overwrites an earlier one's label.
//!
//! 1. Every amount above 220 is fraud: easy, there to check that a detector sees anything at all.
//! 2. Each day two terminals of 10,000 are compromised; all their payments of the next 28 days are fraud.
//! 3. Each day three customers of 5,000 are compromised; of all their payments of the next 14 days together a third
//!    has its amount times five and is fraud.

use std::collections::VecDeque;

use super::{Population, Purchase, purpose};
use crate::random::Stream;

/// Scenario 1: the highest genuine amount, in hundredths.
const AMOUNT_MAX_MINOR: i64 = 22_000;
/// Scenario 2: compromised terminals a day, of so many, for so many days.
const TERMINALS_PER_DAY: (i64, i64) = (2, 10_000);
const TERMINAL_DAYS: i64 = 28;
/// Scenario 3: compromised customers a day, of so many, for so many days.
const CUSTOMERS_PER_DAY: (i64, i64) = (3, 5_000);
const CUSTOMER_DAYS: i64 = 14;
const LEAKED_AMOUNT_FACTOR: i64 = 5;

/// A purchase that scenario 3 has chosen: the customer's nth of a day.
pub(super) type Leak = (u32, u16);

/// What is compromised.
pub(super) struct Compromises {
    /// For each terminal the first day on which it is sound again.
    terminal_sound_from: Vec<i64>,
    /// The chosen purchases of the next days, the day to be opened first.
    leaks: VecDeque<Vec<Leak>>,
}

impl Compromises {
    /// Nothing compromised before `first_day`.
    pub(super) fn new(population: &Population, first_day: i64) -> Self {
        Self {
            terminal_sound_from: vec![first_day; population.map.len() as usize],
            leaks: (0..CUSTOMER_DAYS).map(|_| Vec::new()).collect(),
        }
    }

    /// Compromises what this day's lot falls on; gives the chosen purchases of the day, sorted. Days are opened in
    /// turn.
    pub(super) fn open_day(&mut self, day: i64, population: &Population) -> Vec<Leak> {
        self.compromise_terminals(day, population);
        self.compromise_customers(day, population);
        let mut leaks = self.leaks.pop_front().unwrap_or_default();
        self.leaks.push_back(Vec::new());
        leaks.sort_unstable();
        leaks
    }

    /// Marks the frauds among the purchases of a day, which are in the order of their customers.
    pub(super) fn label(&self, day: i64, leaks: &[Leak], purchases: &mut [Purchase]) {
        let mut leaks = leaks.iter().peekable();
        for purchase in purchases {
            if purchase.amount_minor > AMOUNT_MAX_MINOR {
                purchase.scenario = 1;
            }
            if day < self.terminal_sound_from[purchase.terminal as usize] {
                purchase.scenario = 2;
            }
            // A customer compromised twice can have a purchase chosen twice; then it is 25 times the amount.
            while leaks.next_if(|leak| **leak == (purchase.customer, purchase.nth)).is_some() {
                purchase.amount_minor *= LEAKED_AMOUNT_FACTOR;
                purchase.scenario = 3;
            }
        }
    }

    fn compromise_terminals(&mut self, day: i64, population: &Population) {
        let count = share_of_day(day, TERMINALS_PER_DAY, population.map.len());
        let mut rng = Stream::at(population.seed, purpose::COMPROMISED_TERMINALS, 0, day);
        for terminal in rng.distinct(count, population.map.len()) {
            self.terminal_sound_from[terminal as usize] = day + TERMINAL_DAYS;
        }
    }

    fn compromise_customers(&mut self, day: i64, population: &Population) {
        let total = population.customers.len() as u32;
        let mut rng = Stream::at(population.seed, purpose::COMPROMISED_CUSTOMERS, 0, day);
        let customers = rng.distinct(share_of_day(day, CUSTOMERS_PER_DAY, total), total);
        let mut pool = coming_purchases(&customers, day, population);
        for chosen in 0..pool.len() / 3 {
            let other = chosen + rng.below((pool.len() - chosen) as u32) as usize;
            pool.swap(chosen, other);
            let (days_ahead, leak) = pool[chosen];
            self.leaks[days_ahead].push(leak);
        }
    }
}

/// How many of `total` entities one day compromises, given a rate of `per_day` in `of`. Where that is no whole
/// number the rest is carried over, so that a small population has its share too, on some days.
fn share_of_day(day: i64, (per_day, of): (i64, i64), total: u32) -> u32 {
    let until = |day: i64| (day * per_day * i64::from(total)).div_euclid(of);
    (until(day + 1) - until(day)) as u32
}

/// Every purchase these customers will make while compromised, with its days ahead: their days are drawn in advance.
fn coming_purchases(customers: &[u32], day: i64, population: &Population) -> Vec<(usize, Leak)> {
    let mut pool = Vec::new();
    let mut purchases = Vec::new();
    for &customer in customers {
        for days_ahead in 0..CUSTOMER_DAYS {
            purchases.clear();
            population.purchases(customer, day + days_ahead, &mut purchases);
            pool.extend(purchases.iter().map(|purchase| (days_ahead as usize, (customer, purchase.nth))));
        }
    }
    pool
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_book_compromises_two_terminals_and_three_customers_every_day() {
        for day in [-3, 0, 1, 17_622, 20_000] {
            assert_eq!(share_of_day(day, TERMINALS_PER_DAY, 10_000), 2);
            assert_eq!(share_of_day(day, CUSTOMERS_PER_DAY, 5_000), 3);
        }
    }

    #[test]
    fn a_small_population_is_compromised_on_some_days() {
        let days: Vec<u32> = (17_600..17_650).map(|day| share_of_day(day, TERMINALS_PER_DAY, 500)).collect();
        assert_eq!(days.iter().sum::<u32>(), 5);
        assert!(days.iter().all(|&count| count <= 1));
    }
}
