//! One decision looked at closely: what each feature did, whether it comes out again, and what would have been.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use engine::decide::{Basis, Rule};
use engine::detector::{Definition, Detector, Feature, Field, FieldKind, Schema, Window};
use engine::time::format_duration;
use engine::{Model, Narrator};

use super::Outcome;

/// The detector, for people.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct DetectorInfo {
    /// Its name.
    pub name: String,
    /// ISO 4217 code of amounts.
    pub currency: String,
    /// Fields of an event, in the order of the file.
    pub fields: Vec<FieldInfo>,
    /// Its features, in the order of the model's columns.
    pub features: Vec<FeatureInfo>,
    /// Its rules.
    pub rules: Vec<RuleInfo>,
    /// How scores become outcomes.
    pub policy: PolicyInfo,
}

impl DetectorInfo {
    /// A detector, and the least score for a review of the model that decides.
    pub fn of(detector: &Detector, champion: Option<&Model>) -> DetectorInfo {
        let schema = &detector.schema;
        DetectorInfo {
            name: detector.name.clone(),
            currency: schema.currency.clone(),
            fields: schema.fields.iter().map(|field| FieldInfo::of(field, schema)).collect(),
            features: (0..detector.features.len()).map(|at| FeatureInfo::of(detector, at)).collect(),
            rules: detector.rules.iter().map(RuleInfo::of).collect(),
            policy: PolicyInfo::of(detector, champion),
        }
    }
}

/// A field of an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldInfo {
    /// Its name.
    pub name: String,
    /// What it holds: `id` (the event's), `time`, `amount`, `label`, `key`, `entity`, `category`, `number`, `bool`.
    pub role: String,
    /// Words in the order of their codes, of a category that has one.
    pub values: Vec<String>,
    /// Whether an event may lack it.
    pub optional: bool,
}

impl FieldInfo {
    fn of(field: &Field, schema: &Schema) -> FieldInfo {
        let role = match &field.kind {
            FieldKind::EventId => "id",
            FieldKind::Time => "time",
            FieldKind::Amount => "amount",
            FieldKind::Label => "label",
            FieldKind::Id { slot } | FieldKind::Card { slot } if schema.key == Some(*slot) => "key",
            FieldKind::Id { .. } | FieldKind::Card { .. } => "entity",
            FieldKind::Category { .. } => "category",
            FieldKind::Number { .. } => "number",
            FieldKind::Bool { .. } => "bool",
        };
        let values = match &field.kind {
            FieldKind::Category { values, .. } => values.clone(),
            _ => Vec::new(),
        };
        FieldInfo { name: field.name.clone(), role: role.to_string(), values, optional: field.optional }
    }
}

/// A feature.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct FeatureInfo {
    /// Its name.
    pub name: String,
    /// `field`, `window` or `expression`.
    pub kind: String,
    /// Of a window: the field that names the entity.
    pub by: Option<String>,
    /// Of a window: what is computed.
    pub aggregate: Option<String>,
    /// Of a window: of what.
    pub of: Option<String>,
    /// Of a window: its length, as `30d`.
    pub window: Option<String>,
    /// Of a window: how far back it ends, as `7d`.
    pub delay: Option<String>,
    /// Of a window: which events are in it.
    pub condition: Option<String>,
    /// All of it in words.
    #[schema(example = "mean amount of the customer's last 30 days")]
    pub text: String,
}

impl FeatureInfo {
    fn of(detector: &Detector, at: usize) -> FeatureInfo {
        let Feature { name, definition, .. } = &detector.features[at];
        let kind = match definition {
            Definition::Field(_) => "field",
            Definition::Window(_) => "window",
            Definition::Expression(_) => "expression",
        };
        let plain = FeatureInfo {
            name: name.clone(),
            kind: kind.to_string(),
            by: None,
            aggregate: None,
            of: None,
            window: None,
            delay: None,
            condition: None,
            text: Narrator::meaning(detector, at),
        };
        match definition {
            Definition::Window(window) => plain.over(window, detector),
            _ => plain,
        }
    }

    fn over(self, window: &Window, detector: &Detector) -> FeatureInfo {
        FeatureInfo {
            by: Some(detector.schema.text_name(window.by).to_string()),
            aggregate: Some(window.aggregate.name().to_string()),
            of: window.of.map(|source| detector.source_name(source).to_string()),
            window: Some(format_duration(window.window_us)),
            delay: (window.delay_us > 0).then(|| format_duration(window.delay_us)),
            condition: window.condition.as_ref().map(|condition| condition.text.clone()),
            ..self
        }
    }
}

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct RuleInfo {
    /// Its name.
    pub name: String,
    /// When it fires, in CEL.
    pub when: String,
    /// What it asks for.
    pub outcome: Outcome,
}

impl RuleInfo {
    fn of(rule: &Rule) -> RuleInfo {
        RuleInfo { name: rule.name.clone(), when: rule.text.clone(), outcome: rule.outcome.into() }
    }
}

/// How scores become outcomes. Amounts are in major units; null is not given.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub struct PolicyInfo {
    /// The least score that is sent to review, of the champion.
    pub review_score_min: Option<f64>,
    /// What a review costs.
    pub review_cost: Option<f64>,
    /// What it costs to decline a genuine transaction.
    pub false_decline_cost: Option<f64>,
    /// Reviews that people can do in a day.
    pub daily_review_budget: Option<f64>,
}

impl PolicyInfo {
    fn of(detector: &Detector, champion: Option<&Model>) -> PolicyInfo {
        let policy = &detector.policy;
        let budget = Some(detector.review_score_min(champion)).filter(|score| *score > 0.0);
        let plain = PolicyInfo {
            review_score_min: budget,
            review_cost: None,
            false_decline_cost: None,
            daily_review_budget: policy.daily_review_budget,
        };
        match policy.basis {
            Basis::Thresholds { review, .. } => PolicyInfo {
                review_score_min: Some(budget.map_or(review, |budget| budget.max(review))),
                ..plain
            },
            Basis::Costs { review, false_decline } => {
                PolicyInfo { review_cost: Some(review), false_decline_cost: Some(false_decline), ..plain }
            }
        }
    }
}

/// What every feature adds to the margin of the model.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Contributions {
    /// The margin of an average row: where the model starts.
    pub base: f64,
    /// The margin of this one: `base` and all contributions.
    pub margin: f64,
    /// Features, the largest contribution by size first.
    pub contributions: Vec<Contribution>,
}

/// What a feature adds.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Contribution {
    /// Its name in the detector.
    pub feature: String,
    /// Its value; null is missing.
    pub value: Option<f64>,
    /// What it adds: above 0 speaks for fraud, below against it (a Shapley value).
    pub contribution: f64,
    /// The same in words.
    pub text: String,
}

/// Whether a decision comes out again when it is recomputed from base, log and model.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ReplayVerdict {
    /// Every feature, score, outcome, rule and reason, to the last bit.
    pub identical: bool,
    /// What differs, in words.
    pub differences: Vec<String>,
    /// Entries of the log that were replayed.
    pub entries: u64,
    /// How long it took.
    pub seconds: f64,
}

/// Fields of the event that are to be others.
#[derive(Debug, Clone, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"changes": {"tx_amount": 12.5}}))]
pub struct WhatIfRequest {
    /// New values by field; null takes an optional field away. The id stays.
    #[schema(value_type = Object)]
    pub changes: BTreeMap<String, serde_json::Value>,
}

/// What would have been decided, with the past as it was.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct WhatIf {
    /// As it was.
    pub before: Hypothetical,
    /// As it would have been.
    pub after: Hypothetical,
    /// Features that differ.
    pub changed: Vec<ChangedFeature>,
}

/// A decision that was not made, or the one that was.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Hypothetical {
    /// The event.
    #[schema(value_type = Object)]
    pub event: serde_json::Value,
    /// Probability of fraud; null without a model.
    pub score: Option<f64>,
    /// What is decided.
    pub outcome: Outcome,
    /// Rules that fire.
    pub rules: Vec<String>,
    /// What every feature adds, the largest by size first; empty where the model cannot say.
    pub contributions: Vec<Contribution>,
}

/// A feature before and after.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ChangedFeature {
    /// Its name.
    pub name: String,
    /// As it was; null is missing.
    pub before: Option<f64>,
    /// As it would have been; null is missing.
    pub after: Option<f64>,
}
