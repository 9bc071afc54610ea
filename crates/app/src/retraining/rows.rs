//! What is learnt from: stored decisions with what became of them.
//!
//! A decision is stored with the feature values that it was made on. They are what is learnt from: no replay, and no feature
//! that knew more than it could at the time. Labels count as they are known now; what is younger than the time after which an
//! unlabelled transaction counts as genuine is left out, with its labels: of young transactions frauds are known first.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use anyhow::{Result, ensure};
use engine::time::{DAY_US, format_instant};
use engine::{Detector, Outcome};
use lab::retrain::Stretch;
use lab::train::{Row, TrainingSet};
use store::{Filter, Store, StoredDecision};

/// Decisions that are read at a time.
const PAGE: usize = 5_000;

/// Which decisions are wanted.
pub struct Wanted<'a> {
    /// Whose events they are.
    pub detector: &'a Detector,
    /// First event time; without one, as far back as training and test take from the newest that has matured.
    pub from_us: Option<i64>,
    /// What training and test take.
    pub stretch: Stretch,
    /// The newest so many, at most.
    pub rows_max: usize,
    /// How long after it happened a transaction without a label counts as genuine; without it, it does not count.
    pub mature_after_us: Option<i64>,
}

/// Rows, and what was left out.
#[derive(Debug, Default)]
pub struct Collected {
    /// In the order of the log.
    pub set: TrainingSet,
    /// Decisions by what became of them, as `read`, `synthetic`.
    pub counts: BTreeMap<String, f64>,
    /// Numbers of entities.
    numbers: HashMap<String, u32>,
}

impl Collected {
    fn count(&mut self, name: &str) {
        *self.counts.entry(name.to_string()).or_default() += 1.0;
    }
}

/// Event time of the newest decision of the log; `None` if there is none.
///
/// # Errors
/// If the database refuses.
pub fn newest_us(store: &mut dyn Store) -> Result<Option<i64>> {
    let newest = store.decisions(&Filter { limit: 1, ..Filter::default() })?;
    Ok(newest.first().map(|decision| decision.event_time_us))
}

/// Collects rows, oldest first. `progress` is told how many decisions were read.
///
/// # Errors
/// If the database refuses, or holds no row that is wanted.
pub fn collect(store: &mut dyn Store, wanted: &Wanted, progress: &mut dyn FnMut(u64)) -> Result<Collected> {
    let newest = newest_us(store)?;
    ensure!(newest.is_some(), "the database holds no decision to learn from");
    let until_us = newest.unwrap_or(0) + 1 - wanted.mature_after_us.unwrap_or(0);
    let range = wanted.from_us.unwrap_or_else(|| first_us(wanted, until_us))..until_us;
    let set = TrainingSet::new(wanted.detector.features.len(), None);
    let mut found = Collected { set, ..Collected::default() };
    let (mut after, mut read) = (-1, 0);
    loop {
        let page = store.history(after, &range, PAGE)?;
        let Some(last) = page.last() else { break };
        after = last.sequence;
        read += page.len() as u64;
        page.iter().for_each(|decision| take(decision, wanted, &mut found));
        keep_newest(&mut found.set, wanted.rows_max, PAGE);
        progress(read);
    }
    keep_newest(&mut found.set, wanted.rows_max, 0);
    found.counts.insert("decisions".to_string(), read as f64);
    found.counts.insert("rows".to_string(), found.set.len() as f64);
    found.counts.insert("frauds".to_string(), found.set.frauds() as f64);
    ensure!(!found.set.is_empty(), "{}", nothing(&range, &found.counts));
    Ok(found)
}

/// Where whole weeks of training and test before an instant begin, with the day that they begin on.
fn first_us(wanted: &Wanted, until_us: i64) -> i64 {
    let weeks = wanted.stretch.train_weeks + wanted.stretch.test_weeks;
    (until_us - i64::from(weeks) * 7 * DAY_US).div_euclid(DAY_US) * DAY_US
}

fn nothing(range: &Range<i64>, counts: &BTreeMap<String, f64>) -> String {
    let left: Vec<String> = counts.iter().map(|(name, count)| format!("{name} {count}")).collect();
    format!(
        "no decision from {} to {} can be learnt from ({}); transactions without a label count only with \
         labels.mature_after",
        format_instant(range.start),
        format_instant(range.end),
        left.join(", ")
    )
}

/// The newest rows, where there are more than so many and a bit.
fn keep_newest(set: &mut TrainingSet, rows_max: usize, slack: usize) {
    if set.len() > rows_max + slack {
        let rows: Vec<usize> = (set.len() - rows_max..set.len()).collect();
        *set = set.select(&rows);
    }
}

fn take(decision: &StoredDecision, wanted: &Wanted, found: &mut Collected) {
    let fraud = match known(decision, wanted) {
        Ok(fraud) => fraud,
        Err(why) => return found.count(why),
    };
    let next = found.numbers.len() as u32;
    let card = *found.numbers.entry(decision.key.clone().unwrap_or_default()).or_insert(next);
    let amount = decision.amount_minor as f64 / wanted.detector.schema.minor_per_unit();
    let row = Row { time_us: decision.event_time_us, amount, card, fraud };
    found.set.push(row, &decision.features);
}

/// Whether a decision was on fraud, or why it is not learnt from. What was declined did not happen, so that nobody complains of
/// it: only a label says what it was.
fn known(decision: &StoredDecision, wanted: &Wanted) -> Result<bool, &'static str> {
    if decision.mark.is_some() {
        return Err("synthetic");
    }
    if decision.versions.feature_fingerprint != wanted.detector.feature_fingerprint {
        return Err("other_features");
    }
    match (decision.label, wanted.mature_after_us, decision.outcome) {
        (Some(label), _, _) => Ok(label.fraud),
        (None, Some(_), Outcome::Decline) => Err("declined_unlabelled"),
        (None, Some(_), _) => Ok(false),
        (None, None, _) => Err("unlabelled"),
    }
}
