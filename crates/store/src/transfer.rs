//! Everything of one store into another, and whether both hold the same.
//!
//! The log is copied in pages, decisions and labels of a page in one transaction, so that the last position of the target
//! says where to go on after an interruption.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;

use crate::{
    Group, NewDecision, NewShadowScore, Result, ShadowScore, Store, StoreError, StoredDecision, Versions,
};

/// Decisions of one page.
const PAGE: usize = 5_000;

/// Alerts of one page.
const ALERTS_PAGE: usize = 500;

/// All event times.
pub const ALWAYS: Range<i64> = i64::MIN..i64::MAX;

/// What a table holds: how many rows, and a sum over all of them in their order.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct TableSum {
    /// The table.
    pub table: &'static str,
    /// Its rows.
    pub rows: u64,
    /// 64 bits over every column that both databases have, as hexadecimal digits.
    pub checksum: String,
}

/// Copies what the target does not have yet; `progress` is told how many decisions it has. Whatever is written to the
/// source meanwhile may be missed.
///
/// # Errors
/// If one of them refuses, or the target holds what the source does not.
pub fn transfer(from: &mut dyn Store, to: &mut dyn Store, progress: &mut dyn FnMut(u64)) -> Result<()> {
    check_related(from, to)?;
    let mut numbers = HashMap::new();
    for (number, versions) in from.all_versions()? {
        numbers.insert(number, to.version(&versions)?);
    }
    let mut done = to.shape()?.decisions;
    loop {
        let after = to.last_position()?;
        let page = from.history(after, &ALWAYS, PAGE)?;
        let last = if page.len() < PAGE { i64::MAX } else { page[PAGE - 1].sequence };
        let labels = from.labels(after, last)?;
        if page.is_empty() && labels.is_empty() {
            break;
        }
        let rules: Vec<String> = page.iter().map(|decision| decision.rules.join(",")).collect();
        let shadow = by_decision(from.shadow_scores(after, last)?, &numbers);
        let decisions = page.iter().zip(&rules).map(|(decision, rules)| {
            let shadow = shadow.get(&decision.sequence).map_or(&[][..], Vec::as_slice);
            Ok(NewDecision { shadow, ..as_new(decision, rules, to.version(&decision.versions)?) })
        });
        let group = Group { decisions: decisions.collect::<Result<_>>()?, labels, ..Group::default() };
        to.append(&group)?;
        done += page.len() as u64;
        progress(done);
    }
    transfer_alerts(from, to)?;
    if to.rejections()?.is_empty() {
        to.append(&Group { rejections: from.rejections()?, ..Group::default() })?;
    }
    to.set_totals(&from.totals()?)
}

fn transfer_alerts(from: &mut dyn Store, to: &mut dyn Store) -> Result<()> {
    let mut after = -1;
    loop {
        let page = from.alert_records(after, ALERTS_PAGE)?;
        let Some(last) = page.last() else { return Ok(()) };
        after = last.alert.id;
        to.put_alert_records(&page)?;
    }
}

/// A target is empty, or the beginning of the source.
fn check_related(from: &mut dyn Store, to: &mut dyn Store) -> Result<()> {
    let newest = crate::Filter { limit: 1, ..crate::Filter::default() };
    let Some(newest) = to.decisions(&newest)?.pop() else { return Ok(()) };
    match from.position(&newest.id)? {
        Some(position) if position == newest.sequence => Ok(()),
        _ => Err(StoreError::Unrelated(newest.id)),
    }
}

/// Shadow scores by the positions of their decisions, under the target's numbers of versions.
fn by_decision(scores: Vec<ShadowScore>, numbers: &HashMap<i64, i64>) -> HashMap<i64, Vec<NewShadowScore>> {
    let mut found: HashMap<i64, Vec<NewShadowScore>> = HashMap::new();
    for ShadowScore { sequence, version, score } in scores {
        let version = numbers.get(&version).copied().unwrap_or(version);
        found.entry(sequence).or_default().push(NewShadowScore { version, score });
    }
    found
}

fn as_new<'a>(decision: &'a StoredDecision, rules: &'a str, version: i64) -> NewDecision<'a> {
    NewDecision {
        sequence: decision.sequence,
        id: &decision.id,
        key: decision.key.as_deref(),
        event_time_us: decision.event_time_us,
        decided_at_us: decision.decided_at_us,
        latency_us: decision.latency_us,
        amount_minor: decision.amount_minor,
        score: decision.score.unwrap_or(f64::NAN),
        outcome: decision.outcome,
        rules,
        timeliness: decision.timeliness,
        version,
        mark: decision.mark.as_deref(),
        event: &decision.event,
        features: &decision.features,
        reasons: decision.reasons.as_deref(),
        fallback: decision.fallback.as_deref(),
        origin: decision.origin,
        shadow: &[],
    }
}

/// What every table holds; `progress` is told how many decisions were read.
///
/// # Errors
/// If the store refuses.
pub fn checksums(store: &mut dyn Store, progress: &mut dyn FnMut(u64)) -> Result<Vec<TableSum>> {
    let mut versions = Sum::default();
    let numbered: HashMap<i64, Versions> = store.all_versions()?.into_iter().collect();
    let mut by_number: Vec<&i64> = numbered.keys().collect();
    by_number.sort();
    by_number.into_iter().for_each(|number| versions.add(&numbered[number]));
    let (mut decisions, mut shadow) = (Sum::default(), Sum::default());
    let mut after = -1;
    loop {
        let page = store.history(after, &ALWAYS, PAGE)?;
        page.iter().for_each(|decision| decisions.add_decision(decision));
        let Some(last) = page.last() else { break };
        for ShadowScore { sequence, version, score } in store.shadow_scores(after, last.sequence)? {
            shadow.add(&(sequence, numbered.get(&version), score.to_bits()));
        }
        after = last.sequence;
        progress(decisions.rows);
    }
    let mut labels = Sum::default();
    store.labels(-1, i64::MAX)?.iter().for_each(|row| labels.add(row));
    let alerts = alerts_sum(store)?;
    let mut rejections = Sum::default();
    store.rejections()?.iter().for_each(|row| rejections.add(row));
    let mut totals = Sum::default();
    totals.add(&store.totals()?);
    Ok(vec![
        versions.of("versions"),
        decisions.of("decisions"),
        shadow.of("shadow_scores"),
        labels.of("labels"),
        alerts.of("alerts"),
        rejections.of("rejections"),
        totals.of("totals"),
    ])
}

fn alerts_sum(store: &mut dyn Store) -> Result<Sum> {
    let (mut sum, mut after) = (Sum::default(), -1);
    loop {
        let page = store.alert_records(after, ALERTS_PAGE)?;
        let Some(last) = page.last() else { return Ok(sum) };
        page.iter().for_each(|record| sum.add(record));
        after = last.alert.id;
    }
}

/// Sums up rows in their order.
#[derive(Default)]
struct Sum {
    rows: u64,
    hasher: DefaultHasher,
}

impl Sum {
    fn add(&mut self, row: &impl Hash) {
        self.rows += 1;
        row.hash(&mut self.hasher);
    }

    fn add_decision(&mut self, decision: &StoredDecision) {
        let StoredDecision {
            sequence, id, key, event_time_us, decided_at_us, latency_us, amount_minor, ..
        } = decision;
        let StoredDecision { rules, mark, event, features, reasons, fallback, origin, versions, .. } =
            decision;
        self.add(&(sequence, id, key, event_time_us, decided_at_us, latency_us, amount_minor));
        (decision.score.map(f64::to_bits), decision.outcome as u8, decision.timeliness.name())
            .hash(&mut self.hasher);
        (rules, mark, event, reasons, fallback, origin, versions).hash(&mut self.hasher);
        features.iter().for_each(|value| value.to_bits().hash(&mut self.hasher));
    }

    fn of(self, table: &'static str) -> TableSum {
        TableSum { table, rows: self.rows, checksum: format!("{:016x}", self.hasher.finish()) }
    }
}
