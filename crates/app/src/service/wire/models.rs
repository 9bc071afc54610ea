//! Models: what they are, what they do here, and what was done to them.

use std::collections::BTreeMap;

use lab::facts::Facts;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::registry::Promotion;

/// The models that are known, the champion first.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ModelList {
    /// The models.
    pub models: Vec<ModelInfo>,
    /// What `live` figures are taken on; null where nothing is stored.
    pub compared: Option<Compared>,
}

/// The labelled transactions on which models are compared: all of them have scored each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Compared {
    /// Transactions.
    pub transactions: u64,
    /// Of them fraud.
    pub frauds: u64,
}

/// A model. Texts are empty and numbers 0 where nobody knows any more how it came to be.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ModelInfo {
    /// Its id.
    pub id: String,
    /// Name of the detector it is for.
    pub detector: String,
    /// `gbdt`, `random-forest` or `decision-tree`; `logistic-regression` of the one that learns from each label.
    pub algorithm: String,
    /// What grew it.
    pub engine: String,
    /// Version of what grew it.
    pub engine_version: String,
    /// Trees; null of a model that is not in use, and of one that has none.
    pub trees: Option<usize>,
    /// First instant of its training data.
    pub trained_from: String,
    /// First instant after its training data.
    pub trained_to: String,
    /// Rows learnt from.
    pub rows: u64,
    /// Of them fraud.
    pub frauds: u64,
    /// Seed of everything random.
    pub seed: u64,
    /// Fingerprint of the feature list it was trained on.
    pub fingerprint: String,
    /// Fingerprint of the rows that were learnt from.
    pub data_fingerprint: String,
    /// When it was made.
    pub made_at: String,
    /// What it does here.
    pub role: ModelRole,
    /// Figures measured on later data.
    pub metrics: BTreeMap<String, f64>,
    /// The newest thing that was done to it; null without a registry.
    pub promotion: Option<ModelPromotion>,
    /// How it fares here; null of a model that is not in use, and where nothing is stored.
    pub live: Option<LiveFigures>,
}

impl ModelInfo {
    /// What the facts say; the rest is for the caller to fill in.
    pub fn of(facts: &Facts, role: ModelRole) -> ModelInfo {
        ModelInfo {
            id: facts.model_id.clone(),
            detector: facts.detector.clone(),
            algorithm: facts.algorithm.clone(),
            engine: facts.engine.clone(),
            engine_version: facts.engine_version.clone(),
            trees: None,
            trained_from: facts.trained_from.clone(),
            trained_to: facts.trained_to.clone(),
            rows: facts.rows,
            frauds: facts.frauds,
            seed: facts.seed,
            fingerprint: facts.feature_fingerprint.clone(),
            data_fingerprint: facts.data_fingerprint.clone(),
            made_at: facts.made_at.clone(),
            role,
            metrics: facts.metrics.clone(),
            promotion: None,
            live: None,
        }
    }
}

/// How a model fares on what became known, beside the others on the same transactions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, ToSchema)]
pub struct LiveFigures {
    /// Of the newest 100,000 decisions, how many it has scored.
    pub scored: u64,
    /// Of the transactions compared, how many its scores would have sent to review or declined, at the champion's
    /// threshold and without rules.
    pub alerts: u64,
    /// Area under the ROC curve; null unless frauds and genuine transactions are known.
    pub auc_roc: Option<f64>,
    /// Average precision; null unless frauds and genuine transactions are known.
    pub average_precision: Option<f64>,
    /// Share of frauds among the alerts; null without alerts.
    pub precision: Option<f64>,
    /// Share of the frauds that are among the alerts; null without frauds.
    pub recall: Option<f64>,
}

/// What a model does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ModelRole {
    /// It decides.
    Champion,
    /// It scores the same events in the shadow.
    Challenger,
    /// It is kept.
    Registered,
}

/// What a model is to do, who says so, and why.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, ToSchema)]
pub struct PromoteRequest {
    /// `champion`, `challenger` or `retired`: a challenger no longer.
    #[serde(rename = "as", default)]
    #[schema(example = "champion")]
    pub role: String,
    /// Why; it stands in the history.
    #[serde(default)]
    #[schema(example = "finds a tenth more at the same precision")]
    pub reason: String,
    /// Who.
    #[serde(default)]
    #[schema(example = "ada")]
    pub by: String,
}

/// Something that was done to a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ModelPromotion {
    /// Counts up from 1.
    pub number: u64,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: String,
    /// By whom.
    pub by: String,
    /// Why.
    pub reason: String,
    /// `champion`, `challenger`, `retired`, or `rollback` to it.
    #[serde(rename = "as")]
    pub role: String,
    /// To which model.
    pub model: String,
    /// The champion before.
    pub from: Option<String>,
    /// The champion since.
    pub champion: Option<String>,
    /// The challengers since.
    pub challengers: Vec<String>,
}

impl From<Promotion> for ModelPromotion {
    fn from(made: Promotion) -> ModelPromotion {
        ModelPromotion {
            number: made.number,
            at: made.at,
            by: made.by,
            reason: made.reason,
            role: made.step.name().to_string(),
            model: made.model,
            from: made.from,
            champion: made.aliases.champion,
            challengers: made.aliases.challengers,
        }
    }
}
