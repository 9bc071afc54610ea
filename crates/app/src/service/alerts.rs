//! What people do with alerts, and what becomes of it.
//!
//! An alert is closed with a disposition, which becomes the label of its transactions. A change names the version that it was
//! made for: if somebody else was first, or a transaction has joined meanwhile, it is refused and the alert is shown as it is.

use engine::card::mask;
use serde_json::{Map, Value};
use store::{
    AlertAction as StoredAction, AlertChange, AlertRevision, AlertState, Group, NewLabel, Store, StoreError,
    StoredAlert, StoredDecision,
};

use super::wire::{AlertAction, AlertRequest, Disposition, ProblemField};

/// The longest name of a person.
const NAME_MAX: usize = 100;

/// The longest note.
const NOTE_MAX: usize = 4_000;

/// How alerts are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// How far from an alert's first event others of its entity join it, in microseconds.
    pub window_us: i64,
    /// How long after it was opened an alert is due, in microseconds.
    pub due_us: i64,
}

impl Default for Config {
    fn default() -> Self {
        let hour_us = 3_600 * engine::time::SECOND_US;
        Config { window_us: 24 * hour_us, due_us: 4 * hour_us }
    }
}

/// Why an alert is not changed.
#[derive(Debug, Clone)]
pub enum Refused {
    /// There is no such alert.
    Unknown,
    /// It is not as it was when it was looked at.
    Changed,
    /// It does not allow that, and why.
    NotAllowed(&'static str),
    /// It was changed and its labels are stored, but Kafka did not take them.
    NotTold,
}

/// What is to be written, and learnt, for a change.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The change.
    pub revision: AlertRevision,
    /// Transactions that get a label, in their order.
    pub labelled: Vec<StoredDecision>,
    /// The label that they get.
    pub fraud: bool,
}

impl Plan {
    /// What has to be written.
    ///
    /// # Errors
    /// If the store refuses.
    pub fn of(
        store: &mut dyn Store,
        id: i64,
        wanted: &AlertRequest,
        now_us: i64,
    ) -> store::Result<Result<Plan, Refused>> {
        let Some(alert) = store.alert(id)? else { return Ok(Err(Refused::Unknown)) };
        let revision = match revise(&alert, wanted, now_us) {
            Ok(revision) => revision,
            Err(refused) => return Ok(Err(refused)),
        };
        let closed_as = revision.alert.disposition.filter(|_| wanted.action == AlertAction::Close);
        let mut labelled = Vec::new();
        if let Some(fraud) = closed_as {
            labelled = store.alert_decisions(id, i64::MAX as usize)?;
            labelled.retain(|decision| decision.label.is_none_or(|label| label.fraud != fraud));
            labelled.reverse();
        }
        Ok(Ok(Plan { revision, labelled, fraud: closed_as.unwrap_or(false) }))
    }

    /// What is written, labels from this position on.
    pub fn group(&self, first_sequence: i64) -> Group<'static> {
        let label = |(sequence, decision): (i64, &StoredDecision)| NewLabel {
            sequence,
            transaction_sequence: decision.sequence,
            fraud: self.fraud,
            known_at_us: self.revision.change.at_us,
        };
        Group {
            labels: (first_sequence..).zip(&self.labelled).map(label).collect(),
            revisions: vec![self.revision.clone()],
            ..Group::default()
        }
    }

    /// Merges it into a store whose order another log holds.
    ///
    /// # Errors
    /// If the store refuses.
    pub fn merge(
        store: &mut dyn Store,
        id: i64,
        wanted: &AlertRequest,
        now_us: i64,
    ) -> store::Result<Result<Plan, Refused>> {
        let plan = match Plan::of(store, id, wanted, now_us)? {
            Ok(plan) => plan,
            Err(refused) => return Ok(Err(refused)),
        };
        match store.merge(&plan.group(0)) {
            Ok(_) => Ok(Ok(plan)),
            Err(StoreError::AlertChanged(_)) => Ok(Err(Refused::Changed)),
            Err(error) => Err(error),
        }
    }
}

/// The alert after a change.
fn revise(alert: &StoredAlert, wanted: &AlertRequest, now_us: i64) -> Result<AlertRevision, Refused> {
    if alert.version != wanted.version {
        return Err(Refused::Changed);
    }
    let mut after = StoredAlert { version: alert.version + 1, ..alert.clone() };
    let closed = alert.state == AlertState::Closed;
    let target = match wanted.action {
        AlertAction::Note => None,
        AlertAction::Assign | AlertAction::Close if closed => {
            return Err(Refused::NotAllowed("it is closed: it has to be reopened first"));
        }
        AlertAction::Assign => assign(&mut after, wanted.assignee.clone()),
        AlertAction::Close => close(&mut after, wanted, now_us),
        AlertAction::Reopen if !closed => return Err(Refused::NotAllowed("it is not closed")),
        AlertAction::Reopen => reopen(&mut after, &wanted.by)?,
    };
    let change = AlertChange {
        alert: alert.id,
        version: after.version,
        at_us: now_us,
        by: wanted.by.clone(),
        action: stored_action(wanted.action),
        target,
        note: wanted.note.clone(),
    };
    Ok(AlertRevision { alert: after, change })
}

fn assign(alert: &mut StoredAlert, assignee: Option<String>) -> Option<String> {
    alert.state = if assignee.is_some() { AlertState::Assigned } else { AlertState::Open };
    alert.assignee.clone_from(&assignee);
    assignee
}

fn close(alert: &mut StoredAlert, wanted: &AlertRequest, now_us: i64) -> Option<String> {
    let fraud = wanted.disposition == Some(Disposition::Fraud);
    alert.state = AlertState::Closed;
    alert.disposition = Some(fraud);
    (alert.closed_by, alert.closed_at_us) = (Some(wanted.by.clone()), Some(now_us));
    Some(if fraud { "fraud" } else { "genuine" }.to_string())
}

/// Four eyes: one asks, another agrees. Then it is the first one's.
fn reopen(alert: &mut StoredAlert, by: &str) -> Result<Option<String>, Refused> {
    match alert.reopen_asked_by.take() {
        None => {
            alert.reopen_asked_by = Some(by.to_string());
            Ok(None)
        }
        Some(asked_by) if asked_by == by => {
            Err(Refused::NotAllowed("whoever asks to reopen it cannot agree as well: somebody else has to"))
        }
        Some(asked_by) => {
            (alert.disposition, alert.closed_by, alert.closed_at_us) = (None, None, None);
            Ok(assign(alert, Some(asked_by)))
        }
    }
}

fn stored_action(action: AlertAction) -> StoredAction {
    match action {
        AlertAction::Assign => StoredAction::Assign,
        AlertAction::Note => StoredAction::Note,
        AlertAction::Close => StoredAction::Close,
        AlertAction::Reopen => StoredAction::Reopen,
    }
}

/// Reads what is to be done.
///
/// # Errors
/// Everything that is wrong with it.
pub fn read_request(body: &Map<String, Value>) -> Result<AlertRequest, Vec<ProblemField>> {
    let mut reading = Reading { body, mistakes: Vec::new() };
    reading.only(&["version", "by", "action", "assignee", "disposition", "note"]);
    let actions =
        [("assign", AlertAction::Assign), ("note", AlertAction::Note), ("close", AlertAction::Close)];
    let actions = [&actions[..], &[("reopen", AlertAction::Reopen)]].concat();
    let action = reading.word("action", &actions, true);
    let dispositions = [("fraud", Disposition::Fraud), ("genuine", Disposition::Genuine)];
    let request = AlertRequest {
        version: reading.version(),
        by: reading.text("by", NAME_MAX, true).unwrap_or_default(),
        action: action.unwrap_or(AlertAction::Note),
        assignee: reading.text("assignee", NAME_MAX, false),
        disposition: reading.word("disposition", &dispositions, action == Some(AlertAction::Close)),
        note: reading.text("note", NOTE_MAX, action == Some(AlertAction::Note)),
    };
    if reading.mistakes.is_empty() { Ok(request) } else { Err(reading.mistakes) }
}

/// Reads who wants the next alert.
///
/// # Errors
/// Everything that is wrong with it.
pub fn read_next(body: &Map<String, Value>) -> Result<String, Vec<ProblemField>> {
    let mut reading = Reading { body, mistakes: Vec::new() };
    reading.only(&["by"]);
    let by = reading.text("by", NAME_MAX, true);
    by.filter(|_| reading.mistakes.is_empty()).ok_or(reading.mistakes)
}

/// A body that is being read, and what is wrong with it so far.
struct Reading<'a> {
    body: &'a Map<String, Value>,
    mistakes: Vec<ProblemField>,
}

impl Reading<'_> {
    fn wrong(&mut self, field: &str, expected: String) {
        let value = self.body.get(field).map_or("nothing".to_string(), Value::to_string);
        self.mistakes.push(ProblemField { field: field.to_string(), value, expected });
    }

    fn only(&mut self, known: &[&str]) {
        let unknown: Vec<&String> = self.body.keys().filter(|key| !known.contains(&key.as_str())).collect();
        unknown.into_iter().for_each(|key| self.wrong(key, format!("one of {}", known.join(", "))));
    }

    fn version(&mut self) -> i64 {
        let found = self.body.get("version").and_then(Value::as_i64);
        if found.is_none() {
            self.wrong("version", "the version of the alert that was looked at".to_string());
        }
        found.unwrap_or(0)
    }

    /// Words without space around them and with card numbers masked; `None` if there are none.
    fn text(&mut self, field: &str, chars_max: usize, required: bool) -> Option<String> {
        let text = match self.body.get(field) {
            None | Some(Value::Null) => "",
            Some(Value::String(text)) => text.trim(),
            Some(_) => {
                self.wrong(field, "a text".to_string());
                return None;
            }
        };
        // PostgreSQL's text cannot hold NUL.
        if text.chars().count() > chars_max || text.contains('\0') || (required && text.is_empty()) {
            self.wrong(field, format!("a text of at most {chars_max} characters"));
        }
        Some(mask(text).into_owned()).filter(|text| !text.is_empty())
    }

    fn word<T: Copy>(&mut self, field: &str, words: &[(&str, T)], required: bool) -> Option<T> {
        let found = match self.body.get(field) {
            None | Some(Value::Null) if !required => return None,
            found => found.and_then(Value::as_str),
        };
        let known = words.iter().find(|(word, _)| Some(*word) == found).map(|(_, value)| *value);
        if known.is_none() {
            let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            self.wrong(field, format!("one of {}", names.join(", ")));
        }
        known
    }
}
