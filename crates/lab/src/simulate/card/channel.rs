//! How and where a card was used: what `card` has beyond the book.
//!
//! A terminal is a shop's, a cash machine or an online shop; small amounts at a shop's are mostly contactless. People
//! pay at home, now and then abroad, online more so. A leaked card (scenario 3) is mostly used online and often from
//! abroad, which is a hint to a detector, not a label: most foreign online payments are genuine.

use super::{Payment, Population, purpose};
use crate::random::Stream;

#[derive(Clone, Copy)]
enum TerminalKind {
    Shop,
    CashMachine,
    OnlineShop,
}

const KINDS: [(TerminalKind, f64); 3] =
    [(TerminalKind::Shop, 0.70), (TerminalKind::OnlineShop, 0.22), (TerminalKind::CashMachine, 0.08)];
/// Where customers live; the issuer is Belgian, as the book's authors are.
const HOMES: [(&str, f64); 5] = [("BE", 0.82), ("FR", 0.06), ("NL", 0.06), ("DE", 0.03), ("LU", 0.03)];
/// Where payments from abroad come from.
const ABROAD: [(&str, f64); 12] = [
    ("FR", 0.18),
    ("NL", 0.15),
    ("DE", 0.13),
    ("GB", 0.10),
    ("ES", 0.10),
    ("IT", 0.08),
    ("US", 0.08),
    ("IE", 0.06),
    ("CN", 0.04),
    ("TR", 0.03),
    ("BR", 0.03),
    ("NG", 0.02),
];
/// Above this amount, in hundredths, a contactless payment asks for the chip.
const CONTACTLESS_MAX_MINOR: i64 = 5_000;

/// The kinds of the terminals and the homes of the customers.
pub(super) struct Channels {
    seed: u64,
    terminal_kinds: Vec<TerminalKind>,
    homes: Vec<&'static str>,
}

impl Channels {
    pub(super) fn new(population: &Population) -> Self {
        let seed = population.seed;
        let kind = |id: u32| Stream::at(seed, purpose::TERMINAL_KIND, id.into(), 0).weighted(&KINDS);
        let home = |id: u32| Stream::at(seed, purpose::HOME, id.into(), 0).weighted(&HOMES);
        Self {
            seed,
            terminal_kinds: (0..population.map.len()).map(kind).collect(),
            homes: (0..population.customers.len() as u32).map(home).collect(),
        }
    }

    /// The channel and the country of a payment.
    pub(super) fn of(&self, payment: &Payment) -> (&'static str, &'static str) {
        let purchase = &payment.purchase;
        let slot = payment.day << 16 | i64::from(purchase.nth);
        let mut rng = Stream::at(self.seed, purpose::CHANNEL, purchase.customer.into(), slot);
        let leaked = purchase.scenario == 3;
        let channel = if leaked && rng.chance(0.6) {
            "online"
        } else {
            self.usual_channel(purchase.terminal, purchase.amount_minor, &mut rng)
        };
        let abroad = match (channel, leaked) {
            ("online", true) => 0.45,
            ("online", false) => 0.12,
            _ => 0.03,
        };
        let home = self.homes[purchase.customer as usize];
        (channel, if rng.chance(abroad) { rng.weighted(&ABROAD) } else { home })
    }

    fn usual_channel(&self, terminal: u32, amount_minor: i64, rng: &mut Stream) -> &'static str {
        match self.terminal_kinds[terminal as usize] {
            TerminalKind::OnlineShop => "online",
            TerminalKind::CashMachine => "atm",
            TerminalKind::Shop if amount_minor <= CONTACTLESS_MAX_MINOR && rng.chance(0.75) => "contactless",
            TerminalKind::Shop => "chip",
        }
    }
}
