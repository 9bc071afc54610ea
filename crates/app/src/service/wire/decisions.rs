//! Decisions as they are told: in short, in full, and line by line.

use engine::Narrator;
use serde::{Deserialize, Serialize};
use store::{StoredDecision, Timeliness};
use utoipa::ToSchema;

use super::{Instant, Outcome, ProblemField};

/// A decision in short: the answer to a transaction, a row of a list.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct DecisionSummary {
    /// The transaction's id.
    pub id: String,
    /// Position in the log.
    pub sequence: i64,
    /// The key field's value: the card or customer.
    pub key: Option<String>,
    /// When it happened.
    #[schema(value_type = String, format = DateTime)]
    pub event_time: Instant,
    /// When it was decided.
    #[schema(value_type = String, format = DateTime)]
    pub decided_at: Instant,
    /// Amount in major units.
    pub amount: f64,
    /// Probability of fraud; null without a model.
    pub score: Option<f64>,
    /// What was decided.
    pub outcome: Outcome,
    /// Rules that fired.
    pub rules: Vec<String>,
    /// Features that speak for fraud, the strongest first. Empty below the threshold of review.
    pub reasons: Vec<Reason>,
    /// Older than the newest event of one of its entities.
    pub late: bool,
    /// Microseconds from receipt to decision.
    pub latency_us: i64,
    /// What made it, if it is synthetic: a simulator or a generator. Null of a real one.
    #[schema(example = "simulator:card:7")]
    pub synthetic: Option<String>,
    /// What the caller was told instead, where the deadline had passed before there was this decision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub fallback: Option<Fallback>,
}

impl DecisionSummary {
    /// The summary of a stored decision, amounts in units of `minor_per_unit`.
    pub fn of(stored: &StoredDecision, minor_per_unit: f64) -> DecisionSummary {
        DecisionSummary {
            id: stored.id.clone(),
            sequence: stored.sequence,
            key: stored.key.clone(),
            event_time: Instant(stored.event_time_us),
            decided_at: Instant(stored.decided_at_us),
            amount: stored.amount_minor as f64 / minor_per_unit,
            score: stored.score,
            outcome: stored.outcome.into(),
            rules: stored.rules.clone(),
            reasons: stored_reasons(stored),
            late: stored.timeliness != Timeliness::OnTime,
            latency_us: stored.latency_us,
            synthetic: stored.mark.clone(),
            // What this program wrote is read back.
            fallback: stored.fallback.as_deref().and_then(|said| serde_json::from_str(said).ok()),
        }
    }
}

/// What a transaction is answered.
#[expect(dead_code, reason = "describes what is written as text")]
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(untagged)]
pub enum Decided {
    /// Its decision.
    Decision(DecisionSummary),
    /// What rules say of it, when the deadline has passed.
    Fallback(FallbackDecision),
}

/// What is answered to a transaction when the deadline has passed: what rules say of it alone, without windows and model.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct FallbackDecision {
    /// The transaction's id.
    pub id: String,
    /// The key field's value: the card or customer.
    pub key: Option<String>,
    /// When it happened.
    #[schema(value_type = String, format = DateTime)]
    pub event_time: Instant,
    /// Amount in major units.
    pub amount: f64,
    /// What is answered.
    pub outcome: Outcome,
    /// Rules that fired.
    pub rules: Vec<String>,
    /// That it is a fallback. The decision follows: post the transaction again to get it.
    pub fallback: Fallback,
}

/// What a caller was told because there was no decision in time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Fallback {
    /// What it was told.
    pub outcome: Outcome,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub answered_at: Instant,
    /// How long it had waited, in microseconds.
    pub waited_us: i64,
    /// Rules that fired on the transaction alone.
    pub rules: Vec<String>,
}

/// A feature that speaks for fraud.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Reason {
    /// Its name in the detector.
    pub feature: String,
    /// Its value; null is missing.
    pub value: Option<f64>,
    /// What it adds to the margin of the model, above 0: to the log-odds for boosting (a Shapley value).
    pub contribution: f64,
    /// The same in words.
    #[schema(example = "amount is 6.2 times the card's 30-day mean")]
    pub text: String,
}

impl Reason {
    /// Reasons in words.
    pub fn tell(reasons: &[engine::Reason], narrator: Narrator) -> Vec<Reason> {
        let tell = |reason: &engine::Reason| Reason {
            feature: narrator.detector.features[reason.feature].name.clone(),
            value: Some(reason.value).filter(|value| value.is_finite()),
            contribution: reason.contribution,
            text: narrator.sentence(reason.feature),
        };
        reasons.iter().map(tell).collect()
    }
}

/// What speaks for fraud in a decision.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ReasonList {
    /// Features that speak for fraud, the strongest first.
    pub reasons: Vec<Reason>,
}

/// Everything that is stored of a decision.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Decision {
    /// The decision in short.
    #[serde(flatten)]
    pub summary: DecisionSummary,
    /// The event in its canonical form.
    #[schema(value_type = Object)]
    pub event: serde_json::Value,
    /// All feature values, in the detector's order.
    pub features: Vec<FeatureValue>,
    /// What it was decided with.
    pub versions: DecisionVersions,
    /// What is known of it by now.
    pub label: Option<LabelKnown>,
}

impl Decision {
    /// All of a stored decision.
    pub fn of(stored: &StoredDecision, minor_per_unit: f64) -> Decision {
        let versions = &stored.versions;
        let features = versions.feature_names.iter().zip(&stored.features);
        Decision {
            summary: DecisionSummary::of(stored, minor_per_unit),
            event: serde_json::from_str(&stored.event).unwrap_or(serde_json::Value::Null),
            features: features
                .map(|(name, value)| FeatureValue {
                    name: name.clone(),
                    value: Some(*value).filter(|v| v.is_finite()),
                })
                .collect(),
            versions: DecisionVersions {
                detector: versions.detector.clone(),
                detector_fingerprint: versions.feature_fingerprint.clone(),
                model: versions.model.clone(),
                rules: versions.rules_fingerprint.clone(),
            },
            label: stored
                .label
                .map(|label| LabelKnown { fraud: label.fraud, known_at: Instant(label.known_at_us) }),
        }
    }
}

/// A feature with its value.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct FeatureValue {
    /// Its name in the detector.
    pub name: String,
    /// Its value; null is missing.
    pub value: Option<f64>,
}

/// The windows of an entity as of its newest event.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct EntityWindows {
    /// The field that names it.
    #[schema(example = "customer_id")]
    pub kind: String,
    /// Its id.
    pub id: String,
    /// Time of its newest event.
    #[schema(value_type = String, format = DateTime)]
    pub event_time: Instant,
    /// Its window features.
    pub features: Vec<FeatureValue>,
    /// Where they were found.
    pub source: EntitySource,
}

/// Where the windows of an entity were found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum EntitySource {
    /// In this process.
    Engine,
    /// In Redis, where another process or an earlier run wrote them.
    Redis,
}

/// What a decision was made with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct DecisionVersions {
    /// Name of the detector.
    pub detector: String,
    /// Fingerprint of its feature list.
    pub detector_fingerprint: String,
    /// Id of the model.
    pub model: Option<String>,
    /// Fingerprint of rules and policy.
    pub rules: String,
}

/// A label, and when it became known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct LabelKnown {
    /// Fraud or not.
    pub fraud: bool,
    /// When it became known.
    #[schema(value_type = String, format = DateTime)]
    pub known_at: Instant,
}

/// A page of decisions, newest first.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct DecisionPage {
    /// The decisions.
    pub items: Vec<DecisionSummary>,
    /// Ask with this for the next page; null at the end.
    pub next_cursor: Option<String>,
}

/// What a batch became, line by line.
#[expect(dead_code, reason = "describes what is written as text, line by line")]
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(untagged)]
pub enum BatchLine {
    /// The line was decided.
    Decided(DecisionSummary),
    /// The line was no transaction.
    Rejected(LineProblem),
}

/// What is wrong with a line of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct LineProblem {
    /// The line, from 1.
    pub line: u64,
    /// Everything that is wrong with it.
    pub errors: Vec<ProblemField>,
}

/// What this program wrote is read back; anything else is no reason.
fn stored_reasons(stored: &StoredDecision) -> Vec<Reason> {
    stored.reasons.as_deref().and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default()
}
