//! Models on what became known: curves, thresholds, calibration, drift.

use serde::Serialize;
use utoipa::ToSchema;

use super::{Instant, ModelRole};

/// Champion and challengers on the same transactions of which is known what they were: the newest 100,000 that all of them
/// have scored, without synthetic ones. Known is what has a label; with `labels.mature_after`, what is older than that, and
/// then without a label it is genuine.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Performance {
    /// Transactions.
    pub transactions: u64,
    /// Of them fraud.
    pub frauds: u64,
    /// When the first of them happened; null without any.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub from: Option<Instant>,
    /// When the last of them happened; null without any.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub to: Option<Instant>,
    /// Days between them, at least one: what "a day" divides by.
    pub days: f64,
    /// The least score that is sent to review, of the champion.
    pub review_score_min: f64,
    /// What a review costs, in major units; null where the detector does not say.
    pub review_cost: Option<f64>,
    /// What it costs to decline a genuine transaction, in major units; null where the detector does not say.
    pub false_decline_cost: Option<f64>,
    /// The models, the champion first.
    pub models: Vec<ModelPerformance>,
}

/// One model on what became known.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ModelPerformance {
    /// Its id.
    pub id: String,
    /// What it does here.
    pub role: ModelRole,
    /// Area under the ROC curve; null unless frauds and genuine transactions are known.
    pub auc_roc: Option<f64>,
    /// Average precision; null likewise.
    pub average_precision: Option<f64>,
    /// Mean squared error of the scores as probabilities (Brier 1950); null without transactions.
    pub brier: Option<f64>,
    /// Mean distance of scores and shares of fraud over `calibration`; null without transactions.
    pub calibration_error: Option<f64>,
    /// Points of the ROC curve, at most 200.
    pub roc: Vec<RocPoint>,
    /// Points of the precision-recall curve, at most 200.
    pub precision_recall: Vec<PrecisionRecallPoint>,
    /// Scores against shares of fraud, in up to ten bins of equally many transactions.
    pub calibration: Vec<CalibrationBin>,
    /// What other thresholds of review would have done, rising, at most 200 and the present one among them. An alert is what the
    /// policy would then not approve.
    pub thresholds: Vec<ThresholdPoint>,
    /// How many of the riskiest entities of a day had a fraud, mean over days: the Handbook's card precision, which counts a
    /// defrauded entity on the first day that it is found. Empty where transactions have no key.
    pub card_precision: Vec<CardPrecisionAt>,
}

/// A point of the ROC curve.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub struct RocPoint {
    /// Share of the genuine transactions that score at least as high.
    pub false_positive_rate: f64,
    /// Share of the frauds that do.
    pub true_positive_rate: f64,
    /// The score.
    pub score: f64,
}

/// A point of the precision-recall curve.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub struct PrecisionRecallPoint {
    /// Share of the frauds that score at least as high.
    pub recall: f64,
    /// Share of frauds among those that do.
    pub precision: f64,
    /// The score.
    pub score: f64,
}

/// Scores against what happened.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub struct CalibrationBin {
    /// Transactions.
    pub transactions: u64,
    /// Their mean score.
    pub mean_score: f64,
    /// Share of frauds among them.
    pub fraud_share: f64,
}

/// What a least score for a review would have done. Shares are null where they divide by nothing.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub struct ThresholdPoint {
    /// The threshold.
    pub score: f64,
    /// Alerts a day.
    pub alerts_per_day: f64,
    /// Frauds that alert.
    pub true_positives: u64,
    /// Genuine transactions that alert.
    pub false_positives: u64,
    /// Frauds that do not.
    pub false_negatives: u64,
    /// Genuine transactions that do not.
    pub true_negatives: u64,
    /// Share of frauds among the alerts.
    pub precision: Option<f64>,
    /// Share of the frauds that alert.
    pub recall: Option<f64>,
    /// Harmonic mean of the two.
    pub f1: Option<f64>,
    /// Share of transactions that are on the right side.
    pub accuracy: Option<f64>,
    /// Cost a day: of reviews, of genuine transactions that are declined, and the amounts of frauds that do not alert, in major
    /// units; null where the detector has no costs.
    pub cost_per_day: Option<f64>,
    /// Amounts of the frauds that alert, a day, in major units.
    pub caught_amount_per_day: f64,
}

/// Card precision at a number of alerts a day.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub struct CardPrecisionAt {
    /// Entities a day that people look at.
    pub k: u64,
    /// Share of them with a fraud that day, mean over days.
    pub precision: f64,
    /// What a perfect ranking would get.
    pub ceiling: f64,
}

/// How far the newest decisions are from what the champion learnt from. Without a word of that in its file they are compared with
/// the first of the newest 200,000 entries of the log, at most 10,000 as well.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Drift {
    /// What is compared with.
    pub reference: DriftReference,
    /// Decisions looked at: the champion's newest, at most 10,000, without synthetic ones.
    pub decisions: u64,
    /// When the first of them happened; null without any.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub from: Option<Instant>,
    /// When the last of them happened; null without any.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub to: Option<Instant>,
    /// Of the score; null without a model.
    pub score: Option<FeatureDrift>,
    /// Of the features, the most drifted first.
    pub features: Vec<FeatureDrift>,
}

/// What drift is measured from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum DriftReference {
    /// The rows that the champion learnt from.
    Training,
    /// Older decisions: the champion's file does not say what it learnt from.
    Earlier,
    /// Neither: there are too few decisions.
    None,
}

/// How far one value is from where it was.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct FeatureDrift {
    /// The feature; `score` of the score.
    pub name: String,
    /// Population stability index over up to ten bins of the reference and one of what is missing: below 0.1 is stable, above
    /// 0.25 is a different population. Shares of nothing count as half a row.
    pub psi: f64,
    /// Share that is missing in the reference.
    pub missing_before: f64,
    /// Share that is missing now.
    pub missing_now: f64,
    /// Share of the present values that lie outside of all values of the reference.
    pub unseen: f64,
    /// Inner edges of the bins, rising; a value at an edge is in the bin above it.
    pub edges: Vec<f64>,
    /// Share of the reference in each bin; missing values are in none.
    pub before: Vec<f64>,
    /// The same now.
    pub now: Vec<f64>,
}
