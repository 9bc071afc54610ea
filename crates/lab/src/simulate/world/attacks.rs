//! What attack scripts make of a day.
//!
//! An attack belongs to its script, the day it begins and its number there, and is drawn from a stream of its own. The payments
//! of a day come from all attacks that began within their script's days, each drawn anew, so nothing is carried from day to day.

use super::super::script::{Amount, Deed, Overlay, Phase, Place, Script, Target};
use super::habits::{Customer, abroad, new_device};
use super::{NO_DEVICE, Payment, World, purpose};
use crate::random::Stream;
use crate::simulate::DAY_S;
use crate::simulate::script::Channel;

/// The attacks of a script that begin on a day.
fn begun(world: &World, at: usize, script: &Script, day: i64) -> impl Iterator<Item = (u32, Stream)> {
    let total = match script.target {
        Target::Customer => world.customers.len() as u32,
        Target::Terminal => world.map.len(),
    };
    // Where that is no whole number the rest is carried over, so that a small population has its share too, on some days; and
    // not on the same days for all scripts.
    let usual = world.scripts.len() - world.new_scripts;
    let apart = (at as f64 + 0.5) / usual.max(1) as f64;
    let busy_days = |day: i64| world.change.map_or(day as f64, |change| change.busy_days(day, at >= usual));
    let until = |day: i64| (busy_days(day) * script.per_day * f64::from(total) + apart).floor();
    let count = (until(day + 1) - until(day)) as u64;
    let seed = world.seed;
    (0..count).map(move |nth| {
        let mut rng = Stream::at(seed, purpose::ATTACK + at as u64, nth, day);
        (rng.below(total), rng)
    })
}

/// Every attack that may reach into a day, with the place of its script and the day it began.
fn reaching(world: &World, day: i64) -> impl Iterator<Item = (usize, &Script, i64, u32, Stream)> {
    world.scripts.iter().enumerate().flat_map(move |(at, script)| {
        (day - i64::from(script.days) + 1..=day).flat_map(move |begin| {
            begun(world, at, script, begin).map(move |(victim, rng)| (at, script, begin, victim, rng))
        })
    })
}

/// Adds the payments that attacks make on a day.
pub(super) fn add(world: &World, day: i64, into: &mut Vec<Payment>) {
    for (at, script, begin, victim, rng) in reaching(world, day) {
        if let Deed::Phases(phases) = &script.deed {
            let attack =
                Attack { world, number: at as u8 + 1, victim: victim_of(world, script, victim), rng };
            attack.payments(phases, (day - begin) * DAY_S, into);
        }
    }
}

/// Who is hit, or somebody who pays at the terminal that is.
fn victim_of(world: &World, script: &Script, hit: u32) -> u32 {
    match script.target {
        Target::Customer => hit,
        Target::Terminal => hit % world.customers.len() as u32,
    }
}

struct Attack<'a> {
    world: &'a World,
    number: u8,
    victim: u32,
    rng: Stream,
}

impl Attack<'_> {
    /// Draws all of the attack and keeps what falls on the day that begins `from_s` seconds after it.
    fn payments(mut self, phases: &[Phase], from_s: i64, into: &mut Vec<Payment>) {
        let customer = &self.world.customers[self.victim as usize];
        let mut nth = 0;
        let mut time_s = 0.0;
        for (place, phase) in phases.iter().enumerate() {
            let begins =
                if place == 0 { (phase.hours.0 * 3_600.0, phase.hours.1 * 3_600.0) } else { phase.begins_s };
            time_s += self.rng.between(begins.0, begins.1);
            let one = self.rng.below(self.world.map.len());
            let device = new_device(&mut self.rng);
            let country = abroad(&mut self.rng);
            for _ in 0..between(phase.payments, &mut self.rng) {
                let payment = self.payment(phase, customer, (one, device, country));
                let second = time_s as i64 - from_s;
                nth += 1;
                if (0..DAY_S).contains(&second) {
                    into.push(Payment { second: second as u32, nth: 0x4000 | nth, ..payment });
                }
                time_s += self.rng.between(phase.gap_s.0, phase.gap_s.1);
            }
        }
    }

    fn payment(
        &mut self,
        phase: &Phase,
        customer: &Customer,
        (one, device, country): (u32, u16, u8),
    ) -> Payment {
        let rng = &mut self.rng;
        let terminal = match phase.place {
            Place::Near => customer.near(self.world, rng),
            Place::One => one,
            Place::Unknown | Place::Abroad => rng.below(self.world.map.len()),
        };
        let units = match phase.amount {
            Amount::Absolute(low, high) => rng.between(low, high),
            Amount::TimesUsual(low, high) => rng.between(low, high) * f64::from(customer.amount_mean),
        };
        let channel = rng.weighted(&phase.channels);
        let device = match (channel, phase.new_device) {
            (Channel::Online | Channel::Transfer, true) => device,
            (Channel::Online | Channel::Transfer, false) => 1,
            _ => NO_DEVICE,
        };
        Payment {
            amount_minor: ((units * 100.0).round() as i64).max(1),
            second: 0,
            customer: self.victim,
            terminal,
            nth: 0,
            device,
            channel,
            country: if phase.place == Place::Abroad { country } else { customer.home },
            card: 0,
            attack: self.number,
        }
    }
}

fn between(range: (f64, f64), rng: &mut Stream) -> u32 {
    let (low, high) = (range.0 as u32, range.1 as u32);
    low + rng.below(high - low + 1)
}

/// Whose payments of a day are overlaid: for each customer and terminal the place of a script, from 1.
pub(super) struct Hits {
    customers: Vec<u8>,
    terminals: Vec<u8>,
}

impl Hits {
    pub(super) fn of(world: &World, day: i64) -> Hits {
        let mut hits = Hits { customers: Vec::new(), terminals: Vec::new() };
        for (at, script, _, hit, _) in reaching(world, day) {
            if let Deed::Overlay(_) = script.deed {
                let (of, total) = match script.target {
                    Target::Customer => (&mut hits.customers, world.customers.len()),
                    Target::Terminal => (&mut hits.terminals, world.map.len() as usize),
                };
                of.resize(total, 0);
                of[hit as usize] = at as u8 + 1;
            }
        }
        hits
    }

    /// Makes fraud of what is hit.
    pub(super) fn overlay(&self, world: &World, day: i64, payments: &mut [Payment]) {
        for payment in payments {
            let by_customer = self.customers.get(payment.customer as usize).copied().unwrap_or(0);
            let by_terminal = self.terminals.get(payment.terminal as usize).copied().unwrap_or(0);
            let hit = if by_customer > 0 { by_customer } else { by_terminal };
            let Some(script) = usize::from(hit).checked_sub(1).map(|at| &world.scripts[at]) else { continue };
            if let Deed::Overlay(Overlay { share, times_usual }) = &script.deed {
                let slot = day << 16 | i64::from(payment.nth);
                let mut rng = Stream::at(world.seed, purpose::OVERLAY, payment.customer.into(), slot);
                if rng.chance(*share) {
                    let times = rng.between(times_usual.0, times_usual.1);
                    payment.amount_minor = ((payment.amount_minor as f64 * times).round() as i64).max(1);
                    payment.attack = hit;
                }
            }
        }
    }
}
