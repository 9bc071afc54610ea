//! What happened in one stretch of time.

use std::collections::HashMap;
use std::sync::Arc;

use engine::Outcome;
use engine::time::SECOND_US;
use store::Brief;

/// Equal bins of the score histogram over 0 to 1.
pub const SCORE_BINS: usize = 50;

/// Hours of a week.
pub const WEEK_HOURS: usize = 168;

/// Expected amounts are kept in millionths of a minor unit: what is taken away again is what was added.
const EXPECTED_PER_MINOR: f64 = 1e6;

/// What happened, counted; amounts in minor units.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Decisions.
    pub decisions: u64,
    /// Of them sent to review.
    pub in_review: u64,
    /// Of them declined.
    pub declined: u64,
    /// Sum of amounts.
    pub amount: i64,
    /// Known frauds, and their amount.
    pub fraud: Part,
    /// Known to be genuine.
    pub genuine: Part,
    /// Declined and known frauds.
    pub saved: Part,
    /// Approved and known frauds.
    pub missed: Part,
    /// Declined and known to be genuine.
    pub falsely_declined: Part,
    /// Declined, and nothing is known.
    pub unlabelled_declined: u64,
    /// Their amounts times their scores, in millionths.
    expected_millionths: i64,
}

/// Some of the transactions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Part {
    /// How many.
    pub count: u64,
    /// Sum of amounts in minor units.
    pub amount: i64,
}

impl Part {
    fn change(&mut self, by: i64, amount_minor: i64) {
        self.count = self.count.wrapping_add_signed(by);
        self.amount += by * amount_minor;
    }

    fn add(&mut self, other: &Part) {
        self.count += other.count;
        self.amount += other.amount;
    }
}

impl Counts {
    /// Amounts times scores of what was declined and is not known, in minor units.
    pub fn expected(&self) -> f64 {
        self.expected_millionths as f64 / EXPECTED_PER_MINOR
    }

    /// Counts a decision.
    pub fn decide(&mut self, decision: &Brief) {
        self.decisions += 1;
        self.in_review += u64::from(decision.outcome == Outcome::Review);
        self.declined += u64::from(decision.outcome == Outcome::Decline);
        self.amount += decision.amount_minor;
        self.say(decision, 1, None);
    }

    /// Counts that a label has become known.
    pub fn learn(&mut self, decision: &Brief, before: Option<bool>, fraud: bool) {
        self.say(decision, -1, before);
        self.say(decision, 1, Some(fraud));
    }

    /// Counts (or takes away) what depends on the label.
    fn say(&mut self, decision: &Brief, by: i64, label: Option<bool>) {
        let (amount, declined) = (decision.amount_minor, decision.outcome == Outcome::Decline);
        match label {
            None if declined => {
                self.unlabelled_declined = self.unlabelled_declined.wrapping_add_signed(by);
                let expected = amount as f64 * decision.score.unwrap_or(1.0) * EXPECTED_PER_MINOR;
                self.expected_millionths += by * expected.round() as i64;
            }
            None => {}
            Some(true) => {
                self.fraud.change(by, amount);
                if declined {
                    self.saved.change(by, amount);
                }
                if decision.outcome == Outcome::Approve {
                    self.missed.change(by, amount);
                }
            }
            Some(false) => {
                self.genuine.change(by, amount);
                if declined {
                    self.falsely_declined.change(by, amount);
                }
            }
        }
    }

    /// Adds other counts.
    pub fn add(&mut self, other: &Counts) {
        self.decisions += other.decisions;
        self.in_review += other.in_review;
        self.declined += other.declined;
        self.amount += other.amount;
        self.fraud.add(&other.fraud);
        self.genuine.add(&other.genuine);
        self.saved.add(&other.saved);
        self.missed.add(&other.missed);
        self.falsely_declined.add(&other.falsely_declined);
        self.unlabelled_declined += other.unlabelled_declined;
        self.expected_millionths += other.expected_millionths;
    }
}

/// Counts by value of a field.
pub type ByValue = HashMap<Arc<str>, Counts>;

/// What happened in one stretch of time.
#[derive(Debug, Clone)]
pub struct Cell {
    /// All of it.
    pub counts: Counts,
    /// Decisions by score.
    pub scores: [u32; SCORE_BINS],
    /// Decisions and alerts by hour of the week; few hours come in one stretch.
    pub week: Vec<(u8, u32, u32)>,
    /// By value, field by field; `None` once the detail was let go.
    pub values: Option<Vec<ByValue>>,
}

impl Cell {
    /// With counts by value for so many fields.
    pub fn new(fields: usize) -> Cell {
        Cell {
            counts: Counts::default(),
            scores: [0; SCORE_BINS],
            week: Vec::new(),
            values: Some(vec![ByValue::new(); fields]),
        }
    }

    /// Counts a decision that has these values; how many values were new.
    pub fn decide(&mut self, decision: &Brief, values: &[Option<Arc<str>>]) -> usize {
        self.counts.decide(decision);
        if let Some(score) = decision.score {
            self.scores[((score * SCORE_BINS as f64) as usize).min(SCORE_BINS - 1)] += 1;
        }
        let hour = hour_of_week(decision.event_time_us);
        let alert = u32::from(decision.outcome != Outcome::Approve);
        match self.week.iter_mut().find(|(known, ..)| *known == hour) {
            Some((_, decisions, alerts)) => (*decisions, *alerts) = (*decisions + 1, *alerts + alert),
            None => self.week.push((hour, 1, alert)),
        }
        self.by_value(values, |counts| counts.decide(decision))
    }

    /// Counts that a label has become known.
    pub fn learn(
        &mut self,
        decision: &Brief,
        values: &[Option<Arc<str>>],
        before: Option<bool>,
        fraud: bool,
    ) {
        self.counts.learn(decision, before, fraud);
        self.by_value(values, |counts| counts.learn(decision, before, fraud));
    }

    fn by_value(&mut self, values: &[Option<Arc<str>>], change: impl Fn(&mut Counts)) -> usize {
        let Some(fields) = &mut self.values else { return 0 };
        let mut new = 0;
        for (field, value) in fields.iter_mut().zip(values) {
            let Some(value) = value else { continue };
            let known = field.len();
            change(field.entry(Arc::clone(value)).or_default());
            new += field.len() - known;
        }
        new
    }

    /// Lets go of the counts by value; how many that were.
    pub fn let_go(&mut self) -> usize {
        self.values.take().map_or(0, |fields| fields.iter().map(ByValue::len).sum())
    }
}

/// From Monday 00:00 UTC; 1970 began on a Thursday.
fn hour_of_week(us: i64) -> u8 {
    (us.div_euclid(3_600 * SECOND_US) + 72).rem_euclid(WEEK_HOURS as i64) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_week_begins_on_monday() {
        let hour = |text: &str| hour_of_week(engine::time::parse_instant(text).unwrap());
        assert_eq!(hour("2026-11-23T00:30:00Z"), 0);
        assert_eq!(hour("2026-11-22T23:59:59Z"), 167);
        assert_eq!(hour("1969-12-31T12:00:00Z"), 60);
    }
}
