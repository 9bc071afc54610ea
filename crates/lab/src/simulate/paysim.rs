//! Mobile money in the shape of PaySim's log (Lopez-Rojas, Elmir and Axelsson, 2016): one row a movement between two
//! accounts, hour by hour, for a month.
//!
//! As in that log an originator's name hardly ever comes back while destinations do, merchants have no balance, and
//! fraud is a pair: a TRANSFER of all that a victim has to a fresh account, then a CASH_OUT of the same amount. Where
//! the published log gives the two accounts of a pair different names, here the account that receives is the one
//! that cashes out, as its authors describe it. A few of the largest transfers are stopped: flagged, nothing moves.

use std::collections::VecDeque;
use std::sync::Arc;

use super::arrivals::Arrivals;
use super::script::{Chain, Deed, Script};
use super::{Cell, Column, ColumnKind, DAY_S, Row, Settings, Simulator};
use crate::random::Stream;

/// Rows an hour for each account that receives; the published log has 8,552 for 570,000.
const ROWS_PER_ACCOUNT_HOUR: f64 = 0.015;
const ACCOUNTS: u32 = 570_000;
const LEAST_ACCOUNTS: f64 = 1_000.0;
/// The published log covers 743 steps.
const SPAN_HOURS: f64 = 743.0;
/// The share of genuine transfers and cash-outs that take all there is, so that an emptied account is no proof.
const EMPTYING_SHARE: f64 = 0.003;
/// The most that one transfer moves, in hundredths.
const TRANSFER_MAX_MINOR: i64 = 1_000_000_000;
/// The most that an account holds to begin with, and ever, in hundredths: below the billion up to which amounts are exact.
const HELD_MAX_MINOR: i64 = 50_000_000_000;
const BALANCE_MAX_MINOR: i64 = 90_000_000_000;
/// Above this, in hundredths, the operator's rule may stop a fraudulent transfer; it rarely does.
const FLAG_ABOVE_MINOR: i64 = 20_000_000;
const FLAG_CHANCE: f64 = 0.004;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Payment,
    Transfer,
    CashOut,
    CashIn,
    Debit,
}

/// The share of each kind in the published log.
const KINDS: [(Kind, f64); 5] = [
    (Kind::CashOut, 0.3515),
    (Kind::Payment, 0.3381),
    (Kind::CashIn, 0.2199),
    (Kind::Transfer, 0.0838),
    (Kind::Debit, 0.0065),
];

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Payment => "PAYMENT",
            Kind::Transfer => "TRANSFER",
            Kind::CashOut => "CASH_OUT",
            Kind::CashIn => "CASH_IN",
            Kind::Debit => "DEBIT",
        }
    }

    /// Median and sigma of the amount, which is lognormal.
    fn amount(self) -> (f64, f64) {
        match self {
            Kind::Payment => (9_000.0, 1.0),
            Kind::Transfer => (480_000.0, 1.1),
            Kind::CashOut | Kind::CashIn => (130_000.0, 0.9),
            Kind::Debit => (3_000.0, 1.0),
        }
    }

    /// The chance that the originator's account is empty, and the median and sigma of what it holds otherwise.
    fn balance(self) -> (f64, f64, f64) {
        match self {
            Kind::Payment => (0.30, 27_000.0, 1.6),
            Kind::Transfer => (0.48, 28_000.0, 1.6),
            Kind::CashOut => (0.56, 29_000.0, 1.5),
            Kind::CashIn => (0.02, 1_500_000.0, 1.7),
            Kind::Debit => (0.05, 25_000.0, 1.5),
        }
    }
}

/// Who holds an account.
#[derive(Clone, Copy)]
enum Name {
    Customer(u64),
    Merchant(u64),
}

/// One row of the log, amounts in hundredths.
struct Movement {
    kind: Kind,
    amount: i64,
    origin: Name,
    origin_balance: (i64, i64),
    destination: Name,
    destination_balance: (i64, i64),
    /// The place of the script among all.
    attack: Option<usize>,
    flagged: bool,
}

/// All that a holder has, to an account that had nothing.
fn passed_on(amount: i64, origin: Name, destination: Name, flagged: bool, script: usize) -> Movement {
    Movement {
        kind: Kind::Transfer,
        amount,
        origin,
        origin_balance: (amount, if flagged { amount } else { 0 }),
        destination,
        destination_balance: (0, 0),
        attack: Some(script),
        flagged,
    }
}

/// The scripts that are chains, each with how many an hour there are of so many accounts.
fn chains(scripts: &[Script], accounts: u32) -> Vec<(usize, f64)> {
    let is_chain = |script: &&Script| matches!(script.deed, Deed::Chain(_));
    let per_hour = |script: &Script| f64::from(accounts) * script.per_day / 24.0;
    let chains = scripts.iter().enumerate().filter(|(_, script)| is_chain(script));
    chains.map(|(at, script)| (at, per_hour(script))).filter(|(_, per_hour)| *per_hour > 0.0).collect()
}

fn chains_per_hour(chains: &[(usize, f64)]) -> f64 {
    chains.iter().map(|(_, per_hour)| per_hour).sum()
}

/// Rows an hour that follow the first one of a chain.
fn later_per_hour(scripts: &[Script], chains: &[(usize, f64)]) -> f64 {
    let rows = |at: usize| match &scripts[at].deed {
        Deed::Chain(chain) => f64::midpoint(chain.hops.0, chain.hops.1),
        _ => 0.0,
    };
    chains.iter().map(|(at, per_hour)| per_hour * rows(*at)).sum()
}

/// The events of the detector `paysim`.
pub(super) struct Paysim {
    seed: u64,
    rng: Stream,
    arrivals: Arrivals,
    step: i64,
    step_end: i64,
    rows_left: u64,
    /// The scripts of chains, each with how many an hour there are.
    chains: Vec<(usize, f64)>,
    scripts: Arc<[Script]>,
    /// What each receiving account holds, in hundredths.
    balances: Vec<i64>,
    /// Originators and merchants named so far; the next name is a scrambled one of this count.
    named: u64,
    /// What is left of a chain that has begun.
    waiting: VecDeque<Movement>,
}

impl Paysim {
    const COLUMNS: [Column; 12] = [
        Column::new("step", ColumnKind::Integer),
        Column::new("type", ColumnKind::Text),
        Column::new("amount", ColumnKind::Money),
        Column::new("nameOrig", ColumnKind::Text),
        Column::new("oldbalanceOrg", ColumnKind::Money),
        Column::new("newbalanceOrig", ColumnKind::Money),
        Column::new("nameDest", ColumnKind::Text),
        Column::new("oldbalanceDest", ColumnKind::Money),
        Column::new("newbalanceDest", ColumnKind::Money),
        Column::new("isFraud", ColumnKind::Integer),
        Column::new("isFlaggedFraud", ColumnKind::Integer),
        Column::new("attack", ColumnKind::Text),
    ];

    pub(super) fn new(settings: &Settings) -> Self {
        let accounts = accounts(settings);
        let per_hour = f64::from(accounts) * ROWS_PER_ACCOUNT_HOUR;
        let chains = chains(&settings.attacks, accounts);
        let later = later_per_hour(&settings.attacks, &chains);
        let mut rng = Stream::at(settings.seed, 0, 0, 0);
        let balances = (0..accounts).map(|_| held(&mut rng, (0.08, 150_000.0, 1.8))).collect();
        Self {
            seed: settings.seed,
            rng,
            // What follows the first movement of a chain comes with it.
            arrivals: Arrivals::new((per_hour - later).max(1e-6), chains_per_hour(&chains)),
            step: 1,
            step_end: settings.days.map_or(i64::MAX, |days| 24 * i64::from(days)),
            rows_left: settings.rows.unwrap_or(u64::MAX),
            chains,
            scripts: Arc::clone(&settings.attacks),
            balances,
            named: 0,
            waiting: VecDeque::new(),
        }
    }

    fn next_movement(&mut self) -> Option<Movement> {
        if let Some(movement) = self.waiting.pop_front() {
            return Some(movement);
        }
        let second = self.arrivals.next(&mut self.rng) as i64;
        self.step = second / (DAY_S / 24) + 1;
        if self.step > self.step_end {
            return None;
        }
        if self.rng.chance(chains_per_hour(&self.chains) / self.arrivals.per_hour()) {
            Some(self.fraud())
        } else {
            Some(self.genuine())
        }
    }

    fn genuine(&mut self) -> Movement {
        let kind = self.rng.weighted(&KINDS);
        let (median, sigma) = kind.amount();
        let amount = minor(self.rng.lognormal(median, sigma));
        let empties = matches!(kind, Kind::Transfer | Kind::CashOut) && self.rng.chance(EMPTYING_SHARE);
        let before = if empties { amount } else { held(&mut self.rng, kind.balance()) };
        let after = if kind == Kind::CashIn { before + amount } else { (before - amount).max(0) };
        let origin = self.new_customer();
        let (destination, destination_balance) = match kind {
            Kind::Payment => (self.new_merchant(), (0, 0)),
            Kind::CashIn => self.move_balance(-amount),
            Kind::Transfer | Kind::CashOut | Kind::Debit => self.move_balance(amount),
        };
        let origin_balance = (before, after);
        Movement {
            kind,
            amount,
            origin,
            origin_balance,
            destination,
            destination_balance,
            attack: None,
            flagged: false,
        }
    }

    /// The transfer that empties a victim's account; what follows it is left for the next rows.
    fn fraud(&mut self) -> Movement {
        let at = self.rng.weighted(&self.chains);
        let Deed::Chain(Chain { hops, keep }) = self.scripts[at].deed else {
            unreachable!("only chains are drawn")
        };
        let hops = hops.0 as u32 + self.rng.below((hops.1 - hops.0) as u32 + 1);
        let mut amount = minor(self.rng.lognormal(440_000.0, 1.6)).min(TRANSFER_MAX_MINOR);
        let mut holder = self.new_customer();
        for hop in 0..hops {
            let flagged = hop == 0 && amount > FLAG_ABOVE_MINOR && self.rng.chance(FLAG_CHANCE);
            let mule = self.new_customer();
            self.waiting.push_back(passed_on(amount, holder, mule, flagged, at));
            if flagged {
                break;
            }
            holder = mule;
            if hop + 1 < hops {
                amount = ((amount as f64 * self.rng.between(keep.0, keep.1)) as i64).max(1);
            } else {
                let (destination, destination_balance) = self.move_balance(amount);
                let last = passed_on(amount, holder, destination, false, at);
                self.waiting.push_back(Movement { kind: Kind::CashOut, destination_balance, ..last });
            }
        }
        self.waiting.pop_front().expect("a chain has a hop")
    }

    /// Pays into a receiving account, or out of it; few accounts take most of the traffic.
    fn move_balance(&mut self, amount: i64) -> (Name, (i64, i64)) {
        let skew = self.rng.uniform();
        let account = (skew * skew * self.balances.len() as f64) as usize;
        let before = self.balances[account];
        let after = before.saturating_add(amount).clamp(0, BALANCE_MAX_MINOR);
        self.balances[account] = after;
        (Name::Customer(name_of(self.seed, 0, account as u64)), (before, after))
    }

    fn new_customer(&mut self) -> Name {
        self.named += 1;
        Name::Customer(name_of(self.seed, 1, self.named))
    }

    fn new_merchant(&mut self) -> Name {
        self.named += 1;
        Name::Merchant(name_of(self.seed, 1, self.named))
    }
}

impl Simulator for Paysim {
    fn columns(&self) -> &'static [Column] {
        &Self::COLUMNS
    }

    fn rows_per_day(&self) -> f64 {
        self.balances.len() as f64 * ROWS_PER_ACCOUNT_HOUR * 24.0
    }

    fn next(&mut self, row: &mut Row) -> bool {
        row.clear();
        if self.rows_left == 0 {
            return false;
        }
        let Some(movement) = self.next_movement() else {
            self.rows_left = 0;
            return false;
        };
        self.rows_left -= 1;
        row.integer(self.step);
        movement.write(row);
        row.write(format_args!("{}", movement.attack.map_or("", |at| &self.scripts[at].name)));
        true
    }
}

impl Movement {
    fn write(&self, row: &mut Row) {
        row.push(Cell::Text(self.kind.name()));
        row.money(self.amount);
        write_account(row, self.origin, self.origin_balance);
        write_account(row, self.destination, self.destination_balance);
        row.integer(self.attack.is_some());
        row.integer(self.flagged);
    }
}

fn write_account(row: &mut Row, name: Name, (before, after): (i64, i64)) {
    match name {
        Name::Customer(number) => row.write(format_args!("C{number}")),
        Name::Merchant(number) => row.write(format_args!("M{number}")),
    }
    row.money(before);
    row.money(after);
}

/// Accounts such that the rows fill the published log's month, or the days that were asked for.
fn accounts(settings: &Settings) -> u32 {
    if let Some(accounts) = settings.customers {
        return accounts;
    }
    let Some(rows) = settings.rows else { return ACCOUNTS };
    let hours = settings.days.map_or(SPAN_HOURS, |days| 24.0 * f64::from(days.max(1)));
    (rows as f64 / (hours * ROWS_PER_ACCOUNT_HOUR)).ceil().max(LEAST_ACCOUNTS) as u32
}

/// What an account holds, in hundredths.
fn held(rng: &mut Stream, (empty_chance, median, sigma): (f64, f64, f64)) -> i64 {
    if rng.chance(empty_chance) { 0 } else { minor(rng.lognormal(median, sigma)).min(HELD_MAX_MINOR) }
}

fn minor(amount: f64) -> i64 {
    (amount * 100.0).round() as i64
}

/// A ten-digit number: receiving accounts have odd ones, all others even ones, so the two never meet. Like the
/// published log's, others may come back once in a few billion rows.
fn name_of(seed: u64, space: u64, number: u64) -> u64 {
    const HALF: u64 = 4_500_000_000;
    // Multiplying by a number coprime to HALF, and adding, walks through all of them before one comes back.
    let start = u64::from(Stream::at(seed, 1, space, 0).below(u32::MAX));
    let step = (number % HALF) * 2_654_435_761 % HALF;
    1_000_000_000 + 2 * ((start + step) % HALF) + u64::from(space == 0)
}
