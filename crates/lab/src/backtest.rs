//! A rule tried on history: what it would have alerted, caught and stopped, had it been live.
//!
//! What was decided stays as it was. A candidate is added to it by the detector's precedence: what declines is strongest, then
//! what approves, then the severer of review and what was decided. So no past is computed again, and a candidate is judged
//! against what people really saw.

use std::collections::{BTreeMap, HashMap};

use engine::Outcome;
use engine::decide::{Basis, Policy};
use engine::time::{DAY_US, format_instant};
use serde::Serialize;

/// A rule that is tried.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// Its name.
    pub name: String,
    /// Its condition, as written.
    pub when: String,
    /// What it asks for.
    pub outcome: Outcome,
}

/// A decision of the past.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// When it happened, in microseconds since 1970.
    pub time_us: i64,
    /// Amount in major units.
    pub amount: f64,
    /// What was decided.
    pub outcome: Outcome,
    /// Rules and lists that fired, by their numbers from [`Backtest::number`]; those in the shadow as well.
    pub fired: &'a [usize],
    /// What they asked for.
    pub asked: Asked,
    /// Whether it was fraud, if that is known.
    pub fraud: Option<bool>,
}

/// What rules that fired asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Asked {
    /// One that is not in the shadow asked for something.
    pub anything: bool,
    /// One declines.
    pub decline: bool,
    /// One approves.
    pub approve: bool,
}

/// What would have been decided with a rule that fires more.
pub fn decided_with(was: Outcome, asked: Asked, rule: Outcome) -> Outcome {
    match rule {
        Outcome::Decline => Outcome::Decline,
        _ if asked.decline => Outcome::Decline,
        Outcome::Approve => Outcome::Approve,
        Outcome::Review if asked.approve => Outcome::Approve,
        Outcome::Review => was.max(Outcome::Review),
    }
}

/// Candidates over a history, decision by decision.
#[derive(Debug)]
pub struct Backtest {
    policy: Policy,
    /// Rules and lists that there are, and how often each fired.
    existing: Vec<(String, u64)>,
    numbers: HashMap<String, usize>,
    /// Alerts that no rule asked for.
    by_policy: u64,
    days: BTreeMap<i64, Day>,
    rules: Vec<Tally>,
    transactions: u64,
    known: u64,
    frauds: u64,
    alerts: u64,
    cost: f64,
}

/// A candidate's figures so far.
#[derive(Debug)]
struct Tally {
    candidate: Candidate,
    fired: u64,
    known: u64,
    frauds: u64,
    changes: [[u64; 3]; 3],
    added_known: u64,
    added_frauds: u64,
    caught: Money,
    stopped: Money,
    reviewed: Money,
    let_through: Money,
    cost: f64,
    /// Together with each rule that there is; those at the end that it never met are left out.
    both: Vec<u64>,
    both_policy: u64,
    /// Together with each candidate.
    both_candidates: Vec<u64>,
    days: BTreeMap<i64, RuleDay>,
}

/// Transactions and what they come to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Money {
    /// How many.
    pub transactions: u64,
    /// Their amounts, in major units.
    pub amount: f64,
}

impl Money {
    fn add(&mut self, amount: f64) {
        self.transactions += 1;
        self.amount += amount;
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Day {
    transactions: u64,
    alerts: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct RuleDay {
    fired: u64,
    added: u64,
    frauds: u64,
}

/// What a history says of candidates.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Transactions that were looked at.
    pub transactions: u64,
    /// Days with transactions.
    pub days: u64,
    /// Transactions of which it is known whether they were fraud.
    pub known: u64,
    /// Of them frauds.
    pub frauds: u64,
    /// Alerts a day as it was: transactions that were not approved.
    pub alerts_per_day: f64,
    /// What the known transactions cost as they were decided, by the policy's costs; null where it has thresholds.
    pub cost: Option<f64>,
    /// The candidates.
    pub rules: Vec<RuleReport>,
}

/// What a history says of one candidate.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RuleReport {
    /// Its name.
    pub name: String,
    /// Its condition.
    pub when: String,
    /// What it asks for.
    pub outcome: &'static str,
    /// Transactions that it fires on.
    pub fired: u64,
    /// The same a day.
    pub fired_per_day: f64,
    /// Alerts a day more than there were; negative where it approves.
    pub added_alerts_per_day: f64,
    /// Outcomes that would have been others.
    pub changes: Vec<Change>,
    /// Transactions that it fires on and of which it is known whether they were fraud.
    pub known: u64,
    /// Of them frauds.
    pub frauds: u64,
    /// Share of frauds among the known that it fires on; null if none is known.
    pub precision: Option<f64>,
    /// Share of all known frauds that it fires on; null if none is known.
    pub recall: Option<f64>,
    /// The same as `precision`, of alerts that there were none of.
    pub added_precision: Option<f64>,
    /// Known frauds that were approved and would have been alerts.
    pub caught: Money,
    /// Known genuine ones that would have been declined and were not.
    pub stopped: Money,
    /// Known genuine ones that would have been reviewed and were approved.
    pub reviewed: Money,
    /// Known frauds that would have been approved and were not.
    pub let_through: Money,
    /// What the known transactions would have cost; null where the policy has thresholds.
    pub cost: Option<f64>,
    /// How it goes together with what there is already.
    pub overlap: Vec<Overlap>,
    /// By day.
    pub by_day: Vec<DayReport>,
}

/// Outcomes that would have been others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// What was decided.
    pub from: &'static str,
    /// What would have been.
    pub to: &'static str,
    /// How often.
    pub transactions: u64,
}

/// How two conditions go together.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Overlap {
    /// A rule or list, another candidate, or `policy`: alerts that no rule asked for.
    pub with: String,
    /// Both hold.
    pub both: u64,
    /// The candidate alone.
    pub only_this: u64,
    /// The other alone.
    pub only_that: u64,
    /// Both of either (Jaccard 1912); null if neither ever holds.
    pub jaccard: Option<f64>,
}

/// A candidate's day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DayReport {
    /// The date, in UTC.
    pub date: String,
    /// All transactions.
    pub transactions: u64,
    /// Alerts that there were.
    pub alerts: u64,
    /// Alerts that would have been added.
    pub added: u64,
    /// Transactions that it fires on.
    pub fired: u64,
    /// Of them known frauds.
    pub frauds: u64,
}

impl Backtest {
    /// For candidates, under a policy that says what outcomes cost.
    pub fn new(candidates: Vec<Candidate>, policy: Policy) -> Backtest {
        let count = candidates.len();
        Backtest {
            policy,
            existing: Vec::new(),
            numbers: HashMap::new(),
            by_policy: 0,
            days: BTreeMap::new(),
            rules: candidates.into_iter().map(|candidate| Tally::new(candidate, count)).collect(),
            transactions: 0,
            known: 0,
            frauds: 0,
            alerts: 0,
            cost: 0.0,
        }
    }

    /// The number of a rule or list that there is.
    pub fn number(&mut self, name: &str) -> usize {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let number = self.existing.len();
        self.existing.push((name.to_string(), 0));
        self.numbers.insert(name.to_string(), number);
        number
    }

    /// Counts a decision; `fires` says by candidate whether it holds.
    pub fn add(&mut self, seen: &Seen, fires: &[bool]) {
        let is_alert = u64::from(seen.outcome != Outcome::Approve);
        let by_policy = is_alert == 1 && !seen.asked.anything;
        let day = self.days.entry(seen.time_us.div_euclid(DAY_US)).or_default();
        (day.transactions, day.alerts) = (day.transactions + 1, day.alerts + is_alert);
        self.transactions += 1;
        self.alerts += is_alert;
        self.known += u64::from(seen.fraud.is_some());
        self.frauds += u64::from(seen.fraud == Some(true));
        self.by_policy += u64::from(by_policy);
        seen.fired.iter().for_each(|rule| self.existing[*rule].1 += 1);
        let as_it_was = cost(&self.policy, seen.outcome, seen);
        self.cost += as_it_was;
        for (rule, holds) in self.rules.iter_mut().zip(fires) {
            if *holds {
                let would = decided_with(seen.outcome, seen.asked, rule.candidate.outcome);
                rule.cost += cost(&self.policy, would, seen);
                rule.fire(seen, would, by_policy, fires);
            } else {
                rule.cost += as_it_was;
            }
        }
    }

    /// What was counted.
    pub fn report(&self) -> Report {
        let days = self.days.len() as u64;
        let by_costs = matches!(self.policy.basis, Basis::Costs { .. });
        Report {
            transactions: self.transactions,
            days,
            known: self.known,
            frauds: self.frauds,
            alerts_per_day: ratio(self.alerts, days).unwrap_or(0.0),
            cost: by_costs.then_some(self.cost),
            rules: (0..self.rules.len()).map(|rule| self.report_of(rule, by_costs)).collect(),
        }
    }

    fn report_of(&self, number: usize, by_costs: bool) -> RuleReport {
        let (rule, days) = (&self.rules[number], self.days.len() as u64);
        let Tally { candidate: Candidate { name, when, outcome }, fired, known, frauds, .. } = rule;
        let added = rule.added_alerts();
        RuleReport {
            name: name.clone(),
            when: when.clone(),
            outcome: outcome.name(),
            fired: *fired,
            fired_per_day: ratio(*fired, days).unwrap_or(0.0),
            added_alerts_per_day: if days == 0 { 0.0 } else { added as f64 / days as f64 },
            changes: rule.changes(),
            known: *known,
            frauds: *frauds,
            precision: ratio(*frauds, *known),
            recall: ratio(*frauds, self.frauds),
            added_precision: ratio(rule.added_frauds, rule.added_known),
            caught: rule.caught,
            stopped: rule.stopped,
            reviewed: rule.reviewed,
            let_through: rule.let_through,
            cost: by_costs.then_some(rule.cost),
            overlap: self.overlap(number),
            by_day: self.days.iter().map(|(day, all)| day_report(*day, *all, rule.days.get(day))).collect(),
        }
    }

    /// With what there is, with the policy, and with the other candidates.
    fn overlap(&self, number: usize) -> Vec<Overlap> {
        let rule = &self.rules[number];
        let beside = |with: &str, both: u64, fired: u64| overlap(with, both, rule.fired - both, fired - both);
        let met = rule.both.iter().chain(std::iter::repeat(&0));
        let existing = self.existing.iter().zip(met).map(|((name, fired), both)| beside(name, *both, *fired));
        let policy = beside("policy", rule.both_policy, self.by_policy);
        let others = self.rules.iter().zip(&rule.both_candidates).enumerate();
        let others = others.filter(|(other, _)| *other != number);
        let others = others.map(|(_, (other, both))| beside(&other.candidate.name, *both, other.fired));
        existing.chain([policy]).chain(others).collect()
    }
}

impl Tally {
    fn new(candidate: Candidate, candidates: usize) -> Tally {
        Tally {
            candidate,
            fired: 0,
            known: 0,
            frauds: 0,
            changes: [[0; 3]; 3],
            added_known: 0,
            added_frauds: 0,
            caught: Money::default(),
            stopped: Money::default(),
            reviewed: Money::default(),
            let_through: Money::default(),
            cost: 0.0,
            both: Vec::new(),
            both_policy: 0,
            both_candidates: vec![0; candidates],
            days: BTreeMap::new(),
        }
    }

    fn fire(&mut self, seen: &Seen, would: Outcome, by_policy: bool, fires: &[bool]) {
        let is_added = seen.outcome == Outcome::Approve && would != Outcome::Approve;
        let is_fraud = u64::from(seen.fraud == Some(true));
        let is_known = u64::from(seen.fraud.is_some());
        self.fired += 1;
        self.known += is_known;
        self.frauds += is_fraud;
        self.changes[seen.outcome as usize][would as usize] += 1;
        self.count_money(seen, would);
        self.meet(seen.fired, by_policy, fires);
        let day = self.days.entry(seen.time_us.div_euclid(DAY_US)).or_default();
        day.fired += 1;
        day.frauds += is_fraud;
        if is_added {
            self.added_known += is_known;
            self.added_frauds += is_fraud;
            day.added += 1;
        }
    }

    fn meet(&mut self, fired: &[usize], by_policy: bool, fires: &[bool]) {
        for rule in fired {
            if self.both.len() <= *rule {
                self.both.resize(rule + 1, 0);
            }
            self.both[*rule] += 1;
        }
        self.both_policy += u64::from(by_policy);
        self.both_candidates.iter_mut().zip(fires).for_each(|(both, other)| *both += u64::from(*other));
    }

    fn count_money(&mut self, seen: &Seen, would: Outcome) {
        let went_through = seen.outcome == Outcome::Approve;
        match (seen.fraud, would) {
            (Some(true), Outcome::Approve) if !went_through => self.let_through.add(seen.amount),
            (Some(true), Outcome::Review | Outcome::Decline) if went_through => self.caught.add(seen.amount),
            (Some(false), Outcome::Decline) if seen.outcome != Outcome::Decline => {
                self.stopped.add(seen.amount)
            }
            (Some(false), Outcome::Review) if went_through => self.reviewed.add(seen.amount),
            _ => {}
        }
    }

    /// Alerts more than there were; fewer if negative.
    fn added_alerts(&self) -> i64 {
        let [approved, reviewed, declined] = self.changes.map(|row| row.map(|count| count as i64));
        approved[1] + approved[2] - reviewed[0] - declined[0]
    }

    fn changes(&self) -> Vec<Change> {
        let pairs = Outcome::ALL.into_iter().flat_map(|from| Outcome::ALL.map(|to| (from, to)));
        let count = |(from, to): (Outcome, Outcome)| Change {
            from: from.name(),
            to: to.name(),
            transactions: self.changes[from as usize][to as usize],
        };
        let changed = pairs.filter(|(from, to)| from != to).map(count);
        changed.filter(|change| change.transactions > 0).collect()
    }
}

/// What an outcome costs, in major units, where fraud or not is known and the policy has costs (Elkan 2001): fraud that is
/// approved its amount, a review what a review costs, a genuine transaction that is declined what that costs.
fn cost(policy: &Policy, outcome: Outcome, seen: &Seen) -> f64 {
    let Basis::Costs { review, false_decline } = policy.basis else { return 0.0 };
    match (outcome, seen.fraud) {
        (_, None) => 0.0,
        (Outcome::Review, _) => review,
        (Outcome::Approve, Some(true)) => seen.amount,
        (Outcome::Decline, Some(false)) => false_decline,
        _ => 0.0,
    }
}

fn overlap(with: &str, both: u64, only_this: u64, only_that: u64) -> Overlap {
    Overlap {
        with: with.to_string(),
        both,
        only_this,
        only_that,
        jaccard: ratio(both, both + only_this + only_that),
    }
}

fn day_report(day: i64, all: Day, rule: Option<&RuleDay>) -> DayReport {
    let rule = rule.copied().unwrap_or_default();
    DayReport {
        date: format_instant(day * DAY_US)[..10].to_string(),
        transactions: all.transactions,
        alerts: all.alerts,
        added: rule.added,
        fired: rule.fired,
        frauds: rule.frauds,
    }
}

fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTCOMES: [Outcome; 3] = Outcome::ALL;

    /// A number that depends on `seed` alone (splitmix64: Steele et al. 2014).
    fn number(seed: u64) -> u64 {
        let mut z = seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    #[test]
    fn a_rule_more_decides_as_the_detector_would() {
        let none = Asked::default();
        let declined = Asked { anything: true, decline: true, approve: false };
        let approved = Asked { anything: true, decline: false, approve: true };
        for was in OUTCOMES {
            assert_eq!(decided_with(was, none, Outcome::Decline), Outcome::Decline);
            assert_eq!(decided_with(was, none, Outcome::Approve), Outcome::Approve);
            assert_eq!(decided_with(was, none, Outcome::Review), was.max(Outcome::Review));
        }
        assert_eq!(decided_with(Outcome::Decline, declined, Outcome::Approve), Outcome::Decline);
        assert_eq!(decided_with(Outcome::Approve, approved, Outcome::Review), Outcome::Approve);
    }

    #[test]
    fn every_figure_is_what_a_count_by_hand_says() {
        let candidate = |name: &str, outcome| Candidate { name: name.into(), when: "true".into(), outcome };
        let candidates = vec![
            candidate("a", Outcome::Review),
            candidate("b", Outcome::Decline),
            candidate("c", Outcome::Approve),
        ];
        let policy =
            Policy { basis: Basis::Costs { review: 2.0, false_decline: 5.0 }, daily_review_budget: None };
        let mut backtest = Backtest::new(candidates, policy);
        assert_eq!((backtest.number("old"), backtest.number("old")), (0, 0));
        let rows: Vec<_> = (0..5_000).map(row).collect();
        for row in &rows {
            let fired: &[usize] = if row.old { &[0] } else { &[] };
            let decline = row.old && row.was == Outcome::Decline;
            let asked = Asked { anything: row.old, decline, approve: false };
            let (time_us, amount, outcome, fraud) = (row.day * DAY_US + 5, row.amount, row.was, row.fraud);
            backtest.add(&Seen { time_us, amount, outcome, fired, asked, fraud }, &row.fires);
        }
        let report = backtest.report();
        let count = |is: &dyn Fn(&Row) -> bool| rows.iter().filter(|row| is(row)).count() as u64;
        assert_eq!((report.transactions, report.days), (5_000, 7));
        assert_eq!(report.frauds, count(&|row| row.fraud == Some(true)));
        let alerts = count(&|row| row.was != Outcome::Approve);
        assert_eq!(report.alerts_per_day, alerts as f64 / 7.0);
        let review = &report.rules[0];
        assert_eq!(review.fired, count(&|row| row.fires[0]));
        let added = |row: &Row| row.fires[0] && row.was == Outcome::Approve;
        assert_eq!(review.added_alerts_per_day, count(&added) as f64 / 7.0);
        let known = count(&|row| row.fires[0] && row.fraud.is_some());
        let frauds = count(&|row| row.fires[0] && row.fraud == Some(true));
        assert_eq!(review.precision, Some(frauds as f64 / known as f64));
        assert_eq!(review.recall, Some(frauds as f64 / report.frauds as f64));
        assert_eq!(review.caught.transactions, count(&|row| added(row) && row.fraud == Some(true)));
        assert_eq!(review.reviewed.transactions, count(&|row| added(row) && row.fraud == Some(false)));
        let with = |name: &str| review.overlap.iter().find(|overlap| overlap.with == name).unwrap();
        assert_eq!(with("old").both, count(&|row| row.fires[0] && row.old));
        assert_eq!(with("old").only_that, count(&|row| !row.fires[0] && row.old));
        assert_eq!(with("b").both, count(&|row| row.fires[0] && row.fires[1]));
        let by_policy = |row: &Row| !row.old && row.was != Outcome::Approve;
        assert_eq!(with("policy").both, count(&|row| row.fires[0] && by_policy(row)));
        let stopped = |row: &Row| row.fires[1] && row.was != Outcome::Decline && row.fraud == Some(false);
        assert_eq!(report.rules[1].stopped.transactions, count(&stopped));
        let saved = |row: &Row| match (row.was, row.fraud) {
            (_, None) => 0.0,
            (Outcome::Approve, Some(true)) => row.amount,
            (Outcome::Review, Some(true)) => 2.0,
            (Outcome::Review, Some(false)) => 2.0 - 5.0,
            (Outcome::Approve, Some(false)) => -5.0,
            (Outcome::Decline, _) => 0.0,
        };
        let saved: f64 = rows.iter().filter(|row| row.fires[1]).map(saved).sum();
        assert!((report.cost.unwrap() - report.rules[1].cost.unwrap() - saved).abs() < 1e-6);
        let passes = |row: &Row| {
            row.fires[2] && row.was != Outcome::Approve && !(row.old && row.was == Outcome::Decline)
        };
        let approve = &report.rules[2];
        assert_eq!(approve.let_through.transactions, count(&|row| passes(row) && row.fraud == Some(true)));
        assert_eq!(approve.added_alerts_per_day, -(count(&passes) as f64) / 7.0);
        let days: u64 = review.by_day.iter().map(|day| day.fired).sum();
        assert_eq!(days, review.fired);
    }

    struct Row {
        day: i64,
        amount: f64,
        was: Outcome,
        old: bool,
        fraud: Option<bool>,
        fires: [bool; 3],
    }

    fn row(at: u64) -> Row {
        let draw = |what: u64, of: u64| number(at * 8 + what) % of;
        Row {
            day: 17_000 + draw(0, 7) as i64,
            amount: draw(1, 100_000) as f64 / 100.0,
            was: OUTCOMES[draw(2, 3) as usize],
            old: draw(3, 4) == 0,
            fraud: [None, Some(true), Some(false), Some(false)][draw(4, 4) as usize],
            fires: [draw(5, 3) == 0, draw(6, 2) == 0, draw(7, 2) == 0],
        }
    }
}
