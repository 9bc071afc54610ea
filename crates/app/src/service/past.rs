//! A stored decision again: recomputed from base, log and model, and what would have been decided instead.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Result;
use engine::{
    Decisions, Detector, Engine, EventBatch, FieldError, Model, Narrator, Outcome, Rejection, Status,
};
use lab::dataset::EventReader;
use serde_json::{Map, Value};
use store::{Store, StoredDecision};

use super::reasons::contributions_of;
use super::recovery::Recovery;
use super::wire::{ChangedFeature, Contribution, Hypothetical, Reason, WhatIf};

/// A state that is larger as a snapshot is built again each time it is asked.
const KEPT_BYTES_MAX: usize = 256 << 20;

/// What was known just before a decision, and the decision recomputed from it.
pub struct Past {
    /// Position of the decision.
    pub sequence: i64,
    /// Entries of the log that were replayed to get there.
    pub entries: u64,
    /// What differs between the decision as stored and as recomputed, in words; empty if they are the same to the bit.
    pub differences: Vec<String>,
    detector: Arc<Detector>,
    model: Option<Model>,
    /// The state before the decision, as a snapshot.
    state: Vec<u8>,
}

impl Past {
    /// Replays base and log up to a stored decision, and recomputes it. `model` is the one that it was decided with.
    ///
    /// # Errors
    /// If the store refuses, or the base belongs to another detector.
    pub fn of(
        stored: &StoredDecision,
        recovery: &Recovery,
        store: &mut dyn Store,
        detector: &Arc<Detector>,
        model: Option<Model>,
    ) -> Result<Past> {
        let mut entries = 0;
        let count = &mut |done| entries = done;
        let mut engine = recovery.restore_before(stored.sequence, detector, model.clone(), store, count)?;
        let state = engine.snapshot(stored.sequence - 1);
        let mut batch = EventBatch::new(Arc::new(detector.schema.clone()));
        let reader = EventReader::without_labels(batch.schema());
        reader.read(stored.event.as_bytes(), &mut batch)?;
        let mut again = Decisions::default();
        engine.process(&batch, stored.sequence, &mut again);
        let differences = differences(stored, detector, &again);
        Ok(Past {
            sequence: stored.sequence,
            entries,
            differences,
            detector: Arc::clone(detector),
            model,
            state,
        })
    }

    /// Whether it is worth its memory.
    pub fn is_small(&self) -> bool {
        self.state.len() <= KEPT_BYTES_MAX
    }

    /// What would have been decided if some fields of the event had been others.
    ///
    /// # Errors
    /// If the state cannot be read back; inside, everything that is wrong with the changes.
    pub fn what_if(
        &self,
        stored: &StoredDecision,
        changes: &BTreeMap<String, Value>,
    ) -> Result<Result<WhatIf, Rejection>> {
        let (event, batch) = match self.changed(&stored.event, changes) {
            Ok(changed) => changed,
            Err(rejection) => return Ok(Err(rejection)),
        };
        let (detector, model) = (Arc::clone(&self.detector), self.model.clone());
        let (mut engine, _) = Engine::restore(detector, model, 1, &self.state)?;
        let mut decisions = Decisions::default();
        engine.process(&batch, stored.sequence, &mut decisions);
        if decisions.statuses[0] == Status::TimeJump {
            return Ok(Err(engine.time_jump(&batch, 0).into()));
        }
        let changed = self.changed_features(&stored.features, decisions.features_of(0));
        Ok(Ok(WhatIf { before: self.before(stored), after: self.after(event, &batch, &decisions), changed }))
    }

    /// The event with other values, as JSON and read; null takes a field away.
    fn changed(
        &self,
        event: &str,
        changes: &BTreeMap<String, Value>,
    ) -> Result<(Value, EventBatch), Rejection> {
        let mut fields: Map<String, Value> = serde_json::from_str(event).unwrap_or_default();
        let mut errors = Vec::new();
        for (name, value) in changes {
            match unchangeable(&self.detector, name, value) {
                Some(error) => errors.push(error),
                None if value.is_null() => drop(fields.remove(name)),
                None => drop(fields.insert(name.clone(), value.clone())),
            }
        }
        let mut batch = EventBatch::new(Arc::new(self.detector.schema.clone()));
        let reader = EventReader::without_labels(batch.schema());
        let event = Value::Object(fields);
        if let Err(rejection) = reader.read(event.to_string().as_bytes(), &mut batch) {
            errors.extend(rejection.errors);
        }
        if errors.is_empty() { Ok((event, batch)) } else { Err(Rejection { errors }) }
    }

    fn before(&self, stored: &StoredDecision) -> Hypothetical {
        let amount = stored.amount_minor as f64 / self.detector.schema.minor_per_unit();
        Hypothetical {
            event: serde_json::from_str(&stored.event).unwrap_or_default(),
            score: stored.score,
            outcome: stored.outcome.into(),
            rules: stored.rules.clone(),
            contributions: self.contributions(amount, &stored.features),
        }
    }

    fn after(&self, event: Value, batch: &EventBatch, decisions: &Decisions) -> Hypothetical {
        let rules = decisions.rules_of(0).iter();
        Hypothetical {
            event,
            score: Some(decisions.scores[0]).filter(|score| score.is_finite()),
            outcome: decisions.outcomes[0].into(),
            rules: rules.map(|rule| self.detector.rules[*rule as usize].name.clone()).collect(),
            contributions: self.contributions(batch.amount(0), decisions.features_of(0)),
        }
    }

    fn contributions(&self, amount: f64, features: &[f64]) -> Vec<Contribution> {
        let narrator = Narrator { detector: &self.detector, amount, features };
        let told = self.model.as_ref().and_then(|model| contributions_of(model, narrator));
        told.map(|told| told.contributions).unwrap_or_default()
    }

    fn changed_features(&self, before: &[f64], after: &[f64]) -> Vec<ChangedFeature> {
        let known = |value: &f64| Some(*value).filter(|value| value.is_finite());
        let names = self.detector.features.iter().map(|feature| &feature.name);
        let pairs = names.zip(before.iter().zip(after));
        let differ = pairs.filter(|(_, (before, after))| !is_same(**before, **after));
        differ
            .map(|(name, (before, after))| ChangedFeature {
                name: name.clone(),
                before: known(before),
                after: known(after),
            })
            .collect()
    }
}

/// Equal to the last bit, or both missing.
fn is_same(a: f64, b: f64) -> bool {
    a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan())
}

/// Why a field cannot be another.
fn unchangeable(detector: &Detector, name: &str, value: &Value) -> Option<FieldError> {
    let schema = &detector.schema;
    let may_change = |field: &&str| *field != schema.id_field() && Some(*field) != schema.label_field();
    let changeable: Vec<&str> =
        schema.fields.iter().map(|field| field.name.as_str()).filter(may_change).collect();
    let expected = || format!("a change to one of {}", changeable.join(", "));
    (!changeable.contains(&name)).then(|| FieldError::new(name, value, expected()))
}

/// What differs between a decision as it is stored and as it was recomputed, in words.
fn differences(stored: &StoredDecision, detector: &Detector, again: &Decisions) -> Vec<String> {
    let mut found = Vec::new();
    let names = detector.features.iter().map(|feature| &feature.name);
    for ((name, was), is) in names.zip(&stored.features).zip(again.features_of(0)) {
        if !is_same(*was, *is) {
            found.push(format!("{name} was {was:?}, is {is:?}"));
        }
    }
    let score = Some(again.scores[0]).filter(|score| score.is_finite());
    if stored.score.map(f64::to_bits) != score.map(f64::to_bits) {
        found.push(format!("score was {:?}, is {score:?}", stored.score));
    }
    found.extend(other_outcome(stored.outcome, again.outcomes[0]));
    found.extend(other_rules(stored, detector, again));
    found.extend(other_reasons(stored, detector, again));
    let (was, is) = (&stored.versions.rules_fingerprint, &detector.rules_fingerprint);
    if !found.is_empty() && was != is {
        found.insert(
            0,
            format!("it was decided by the rules {was}, which are not kept; those of now are {is}"),
        );
    }
    found
}

fn other_outcome(was: Outcome, is: Outcome) -> Option<String> {
    (was != is).then(|| format!("outcome was {}, is {}", was.name(), is.name()))
}

fn other_rules(stored: &StoredDecision, detector: &Detector, again: &Decisions) -> Option<String> {
    let name = |rule: &u16| detector.rules[*rule as usize].name.as_str();
    let rules: Vec<&str> = again.rules_of(0).iter().map(name).collect();
    (stored.rules != rules).then(|| format!("rules were {:?}, are {rules:?}", stored.rules))
}

/// Decisions made before there were reasons have none.
fn other_reasons(stored: &StoredDecision, detector: &Detector, again: &Decisions) -> Option<String> {
    let was = stored.reasons.as_ref()?;
    let amount = stored.amount_minor as f64 / detector.schema.minor_per_unit();
    let narrator = Narrator { detector, amount, features: again.features_of(0) };
    let is = serde_json::to_string(&Reason::tell(again.reasons_of(0), narrator)).unwrap_or_default();
    (*was != is).then(|| format!("reasons were {was}, are {is}"))
}
