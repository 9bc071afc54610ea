//! What customers usually do.

use super::super::map::TerminalMap;
use super::super::script::Channel;
use super::{COUNTRIES, NEW_DEVICES, NO_DEVICE, PAYMENTS_PER_DAY, Payment, World, purpose};
use crate::random::Stream;
use crate::simulate::DAY_S;

/// Payments on Monday to Sunday, relative to the mean.
const WEEKDAYS: [f64; 7] = [0.92, 0.95, 0.97, 1.0, 1.14, 1.12, 0.9];
/// Days after the salary has come, and how much busier they are; the others are so much quieter that the mean stays.
const RICH_DAYS: i64 = 3;
const RICH: f64 = 1.3;
const POOR: f64 = 1.0 - (RICH - 1.0) * RICH_DAYS as f64 / (30.4 - RICH_DAYS as f64);
/// The chance that a week is spent abroad.
const JOURNEY: f64 = 0.03;
/// Favourite places, and the share of payments that are made there.
const FAVOURITES: u32 = 6;
const FAVOURITE_SHARE: f64 = 0.7;
/// Where a payment is made that is not made at a favourite: rarely out of reach.
const FAR: f64 = 0.06;
/// Shares of the unusual among genuine payments.
const BY_NIGHT: f64 = 0.03;
const DEAR: f64 = 0.02;
const NEW_DEVICE: f64 = 0.01;
const FOREIGN_SHOP: f64 = 0.10;
/// Standard deviation of the time of day around the usual one, in seconds.
const HOURS_STD_S: f64 = 14_000.0;
/// Above this amount, in hundredths, a contactless payment asks for the chip.
const CONTACTLESS_MAX_MINOR: i64 = 5_000;

/// A customer.
pub(super) struct Customer {
    pub(super) x: f32,
    pub(super) y: f32,
    /// In units of the currency.
    pub(super) amount_mean: f32,
    rate: f32,
    usual_second: f32,
    /// Day of the month.
    salary_day: u8,
    pub(super) home: u8,
    cards: u8,
    devices: u8,
}

impl Customer {
    pub(super) fn new(seed: u64, id: u32, map: &TerminalMap) -> Customer {
        let mut rng = Stream::at(seed, purpose::CUSTOMER, id.into(), 0);
        let (x, y) = (rng.between(0.0, map.side()) as f32, rng.between(0.0, map.side()) as f32);
        let homes = COUNTRIES.map(|(_, share, _)| share);
        Customer {
            x,
            y,
            amount_mean: rng.between(5.0, 100.0) as f32,
            // Never quite nobody, so that every population pays in the end.
            rate: rng.between(0.2, 2.0 * PAYMENTS_PER_DAY - 0.2) as f32,
            usual_second: rng.between(36_000.0, 62_000.0) as f32,
            salary_day: 1 + rng.below(28) as u8,
            home: index(&homes, &mut rng),
            cards: 1 + u8::from(rng.chance(0.3)),
            devices: 1 + u8::from(rng.chance(0.5)),
        }
    }

    /// Adds the payments of a day, before any fraud.
    pub(super) fn day(&self, world: &World, id: u32, day: i64, into: &mut Vec<Payment>) {
        let mut rng = Stream::at(world.seed, purpose::DAY, id.into(), day);
        let busy = self.busyness(day);
        let abroad = self.journey(world.seed, id, day);
        for nth in 0..rng.poisson(libm::exp(-f64::from(self.rate) * busy)) {
            into.push(self.payment(world, (id, nth as u16), abroad, &mut rng));
        }
    }

    fn busyness(&self, day: i64) -> f64 {
        let date = Date::of(day);
        let since_salary = (i64::from(date.day) - i64::from(self.salary_day)).rem_euclid(30);
        let salary = if since_salary < RICH_DAYS { RICH } else { POOR };
        WEEKDAYS[(day + 3).rem_euclid(7) as usize] * salary * date.season()
    }

    fn journey(&self, seed: u64, id: u32, day: i64) -> Option<u8> {
        let mut rng = Stream::at(seed, purpose::JOURNEY, id.into(), day.div_euclid(7));
        rng.chance(JOURNEY).then(|| abroad(&mut rng))
    }

    fn payment(
        &self,
        world: &World,
        (customer, nth): (u32, u16),
        journey: Option<u8>,
        rng: &mut Stream,
    ) -> Payment {
        let terminal = match journey {
            Some(_) => rng.below(world.map.len()),
            None => self.place(world, customer, rng),
        };
        let amount_minor = self.amount_minor(rng);
        let channel = used_at(world.terminal_channels[terminal as usize], amount_minor, rng);
        let is_online = channel == Channel::Online;
        let foreign = if is_online && rng.chance(FOREIGN_SHOP) { Some(abroad(rng)) } else { journey };
        Payment {
            amount_minor,
            second: self.second(rng),
            customer,
            terminal,
            nth,
            device: if is_online { self.device(rng) } else { NO_DEVICE },
            channel,
            country: foreign.unwrap_or(self.home),
            card: rng.below(self.cards.into()) as u8,
            attack: 0,
        }
    }

    fn place(&self, world: &World, customer: u32, rng: &mut Stream) -> u32 {
        if rng.chance(FAVOURITE_SHARE) {
            let which = rng.below(FAVOURITES);
            return self
                .near(world, &mut Stream::at(world.seed, purpose::HABIT, customer.into(), which.into()));
        }
        if rng.chance(FAR) { rng.below(world.map.len()) } else { self.near(world, rng) }
    }

    /// A terminal within reach; any, for those who live out of reach of all.
    pub(super) fn near(&self, world: &World, rng: &mut Stream) -> u32 {
        if world.map.any_within_reach(self.x, self.y) {
            world.map.pick(self.x, self.y, rng)
        } else {
            rng.below(world.map.len())
        }
    }

    /// Around the usual hours; the tails wrap round midnight.
    fn second(&self, rng: &mut Stream) -> u32 {
        if rng.chance(BY_NIGHT) {
            return rng.below(21_600);
        }
        ((f64::from(self.usual_second) + HOURS_STD_S * rng.normal()) as i64).rem_euclid(DAY_S) as u32
    }

    /// Around the mean, never nothing; now and then something dear.
    fn amount_minor(&self, rng: &mut Stream) -> i64 {
        let mean = f64::from(self.amount_mean);
        let drawn = mean * (1.0 + rng.normal() / 2.0);
        let amount = if drawn < 0.0 { rng.between(0.0, 2.0 * mean) } else { drawn };
        let times = if rng.chance(DEAR) { rng.between(2.0, 6.0) } else { 1.0 };
        ((amount * times * 100.0).round() as i64).max(1)
    }

    pub(super) fn device(&self, rng: &mut Stream) -> u16 {
        if rng.chance(NEW_DEVICE) { new_device(rng) } else { 1 + rng.below(self.devices.into()) as u16 }
    }
}

/// A device that is most likely never seen again.
pub(super) fn new_device(rng: &mut Stream) -> u16 {
    NEW_DEVICES + rng.below(60_000) as u16
}

/// Any other country.
pub(super) fn abroad(rng: &mut Stream) -> u8 {
    index(&COUNTRIES.map(|(_, _, share)| share), rng)
}

fn index(weights: &[f64], rng: &mut Stream) -> u8 {
    let mut at = rng.uniform() * weights.iter().sum::<f64>();
    for (index, weight) in weights.iter().enumerate() {
        at -= weight;
        if at < 0.0 {
            return index as u8;
        }
    }
    weights.len() as u8 - 1
}

/// Small amounts in shops are mostly contactless.
pub(super) fn used_at(accepted: Channel, amount_minor: i64, rng: &mut Stream) -> Channel {
    match accepted {
        Channel::Chip if amount_minor <= CONTACTLESS_MAX_MINOR && rng.chance(0.75) => Channel::Contactless,
        accepted => accepted,
    }
}

/// A day of the Gregorian calendar.
struct Date {
    month: u32,
    day: u32,
}

impl Date {
    /// From days since 1970 (Hinnant, "chrono-Compatible Low-Level Date Algorithms", 2021).
    fn of(day: i64) -> Date {
        let shifted = day + 719_468;
        let of_era = shifted.rem_euclid(146_097);
        let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year + year / 4 - year / 100);
        let month = (5 * of_year + 2) / 153;
        let day = (of_year - (153 * month + 2) / 5 + 1) as u32;
        Date { month: if month < 10 { month + 3 } else { month - 9 } as u32, day }
    }

    /// How busy the time of the year is: quiet holidays, and the weeks before Christmas.
    fn season(&self) -> f64 {
        match (self.month, self.day) {
            (1, 1) | (5, 1) | (8, 15) | (11, 1) | (12, 25) => 0.4,
            (12, 26) => 0.8,
            (11, 24..=30) | (12, 1..=24) => 1.25,
            (7, 10..=31) | (8, 1..=20) => 0.95,
            _ => 1.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (day, month, of_month) in
            [(0, 1, 1), (59, 3, 1), (17_622, 4, 1), (19_782, 2, 29), (20_812, 12, 25)]
        {
            let date = Date::of(day);
            assert_eq!((date.month, date.day), (month, of_month), "day {day}");
        }
    }

    #[test]
    fn a_week_and_a_month_have_their_mean() {
        assert!((WEEKDAYS.iter().sum::<f64>() - 7.0).abs() < 1e-9);
        assert!((RICH * 3.0 + POOR * 27.4 - 30.4).abs() < 1e-9);
    }
}
