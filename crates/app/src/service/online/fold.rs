//! From the log to the model.
//!
//! The model learns each label where it stands in the log. If it is said after how long a transaction without a label is genuine,
//! each of them is learnt from where the time of the stream has passed it by that much. What was declined did not happen, so only a
//! label says what it was.

use std::collections::{BTreeSet, VecDeque};
use std::path::Path;

use engine::{Detector, Outcome};
use lab::online::OnlineModel;
use serde::{Deserialize, Serialize};
use store::{ALWAYS, Store, StoredDecision};

use crate::service::activity::{Gap, settled};

/// Positions of the log that are looked at in one go.
const SPAN: i64 = 2_000;

/// The log up to a position.
pub struct Fold {
    /// The last position that was taken in.
    pub position: i64,
    /// What has been learnt.
    pub model: OnlineModel,
    /// After this long a transaction without a label is genuine.
    mature_after_us: Option<i64>,
    /// The newest event time.
    stream_us: i64,
    /// Position of the last transaction that has matured.
    matured: i64,
    /// Positions of younger transactions that have a label.
    labelled: BTreeSet<i64>,
    /// Transactions that mature next; read again when they have.
    next: VecDeque<StoredDecision>,
    /// The gap in the log that is waited for.
    gap: Gap,
}

/// A fold as it is written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    feature_fingerprint: String,
    mature_after_us: Option<i64>,
    position: i64,
    stream_us: i64,
    matured: i64,
    labelled: BTreeSet<i64>,
    /// [`OnlineModel::to_json`]
    model: String,
}

/// An entry of the log.
enum Entry {
    /// A transaction.
    Decision(StoredDecision),
    /// What became known of one, which may be gone by now.
    Label { position: i64, transaction: i64, of: Option<StoredDecision>, fraud: bool },
}

impl Entry {
    fn position(&self) -> i64 {
        match self {
            Entry::Decision(decision) => decision.sequence,
            Entry::Label { position, .. } => *position,
        }
    }
}

impl Fold {
    /// The log before its first entry.
    pub fn new(model: OnlineModel, mature_after_us: Option<i64>) -> Fold {
        Fold {
            position: -1,
            model,
            mature_after_us,
            stream_us: i64::MIN,
            matured: -1,
            labelled: BTreeSet::new(),
            next: VecDeque::new(),
            gap: None,
        }
    }

    /// As it was written.
    ///
    /// # Errors
    /// Why there is nothing to go on from.
    pub fn read(file: &Path, detector: &Detector, mature_after_us: Option<i64>) -> Result<Fold, String> {
        let told = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
        let text = std::fs::read_to_string(file).map_err(|error| told(&error))?;
        let written: Written = serde_json::from_str(&text).map_err(|error| told(&error))?;
        let model = OnlineModel::from_json(&written.model).map_err(|mistakes| told(&mistakes))?;
        if written.feature_fingerprint != detector.feature_fingerprint
            || model.width() != detector.features.len()
        {
            return Err(told(&"it learnt from other features"));
        }
        if written.mature_after_us != mature_after_us {
            return Err(told(&"transactions without a label matured otherwise"));
        }
        Ok(Fold {
            position: written.position,
            stream_us: written.stream_us,
            matured: written.matured,
            labelled: written.labelled,
            ..Fold::new(model, mature_after_us)
        })
    }

    /// Writes it, whole or not at all.
    ///
    /// # Errors
    /// If the file cannot be written, or a number of the model has become infinite.
    pub fn write(&self, file: &Path, detector: &Detector) -> anyhow::Result<()> {
        let written = Written {
            feature_fingerprint: detector.feature_fingerprint.clone(),
            mature_after_us: self.mature_after_us,
            position: self.position,
            stream_us: self.stream_us,
            matured: self.matured,
            labelled: self.labelled.clone(),
            model: self.model.to_json()?,
        };
        let partial = file.with_extension("partial");
        std::fs::write(&partial, serde_json::to_vec(&written)?)?;
        Ok(std::fs::rename(&partial, file)?)
    }

    /// Takes in what stands next in the log, a stretch of it at the most; how many entries that were. Where several processes write,
    /// it `awaits_gaps` that may still be filled. After an error it is not known how far it came.
    ///
    /// # Errors
    /// If the database refuses.
    pub fn follow(
        &mut self,
        store: &mut dyn Store,
        awaits_gaps: bool,
        is_own: &dyn Fn(&StoredDecision) -> bool,
    ) -> store::Result<usize> {
        let newest = store.last_position()?;
        if newest < self.position {
            // Another database than the one that was learnt from.
            let untaught = self.model.untaught();
            *self = Fold::new(untaught, self.mature_after_us);
        }
        if self.position < 0 {
            self.position = store.history(-1, &ALWAYS, 1)?.first().map_or(0, |first| first.sequence) - 1;
        }
        let last = newest.min(self.position + SPAN);
        let mut entries = entries(store, self.position, last)?;
        let found = entries.len();
        if awaits_gaps {
            entries.truncate(settled(entries.iter().map(Entry::position), self.position, &mut self.gap));
        }
        for entry in &entries {
            self.enter(entry, store, is_own)?;
        }
        if entries.len() == found {
            self.position = last;
        }
        Ok(entries.len())
    }

    fn enter(
        &mut self,
        entry: &Entry,
        store: &mut dyn Store,
        is_own: &dyn Fn(&StoredDecision) -> bool,
    ) -> store::Result<()> {
        self.position = entry.position();
        match entry {
            Entry::Decision(decision) => {
                self.stream_us = self.stream_us.max(decision.event_time_us);
                self.mature(store, is_own)?;
            }
            Entry::Label { transaction, of, fraud, .. } => {
                if let Some(decision) = of.as_ref().filter(|decision| is_own(decision)) {
                    self.model.learn(&decision.features, *fraud);
                }
                if *transaction > self.matured && self.mature_after_us.is_some() {
                    self.labelled.insert(*transaction);
                }
            }
        }
        Ok(())
    }

    /// Learns from transactions that have matured without a label.
    fn mature(
        &mut self,
        store: &mut dyn Store,
        is_own: &dyn Fn(&StoredDecision) -> bool,
    ) -> store::Result<()> {
        let Some(after_us) = self.mature_after_us else { return Ok(()) };
        let mature_us = self.stream_us.saturating_sub(after_us);
        loop {
            if self.next.is_empty() {
                self.next = store.history(self.matured, &ALWAYS, SPAN as usize)?.into();
                self.next.retain(|decision| decision.sequence <= self.position);
            }
            let Some(due) = self.next.pop_front_if(|next| next.event_time_us <= mature_us) else {
                return Ok(());
            };
            self.matured = due.sequence;
            let is_labelled = self.labelled.remove(&due.sequence);
            if !is_labelled && due.outcome != Outcome::Decline && is_own(&due) {
                self.model.learn(&due.features, false);
            }
        }
    }
}

/// The entries after a position, up to and including `last`, in order.
fn entries(store: &mut dyn Store, after: i64, last: i64) -> store::Result<Vec<Entry>> {
    let decisions = store.history(after, &ALWAYS, SPAN as usize)?;
    let decisions = decisions.into_iter().filter(|decision| decision.sequence <= last);
    let mut entries: Vec<Entry> = decisions.map(Entry::Decision).collect();
    for label in store.labels(after, last)? {
        let transaction = label.transaction_sequence;
        let found = store.history(transaction - 1, &ALWAYS, 1)?;
        let of = found.into_iter().find(|decision| decision.sequence == transaction);
        entries.push(Entry::Label { position: label.sequence, transaction, of, fraud: label.fraud });
    }
    entries.sort_unstable_by_key(Entry::position);
    Ok(entries)
}
