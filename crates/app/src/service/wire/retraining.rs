//! Monitors of drift, and models that are trained again.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Instant;
use crate::retraining::run::{Run, State};

/// What watches for drift, when models are trained again, and what came of it.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Retraining {
    /// Whether runs can be started here: models come from the registry and decisions are stored.
    pub can_run: bool,
    /// Why not, or what is wrong with the schedule at the moment; null if nothing is.
    pub detail: Option<String>,
    /// The cron expression; null if nothing is scheduled.
    #[schema(example = "0 3 * * 1")]
    pub schedule: Option<String>,
    /// What the schedule's hours are in: always `UTC`.
    pub time_zone: String,
    /// When the next run starts; null if nothing is scheduled.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub next_at: Option<Instant>,
    /// Whether drift starts a run.
    pub on_drift: bool,
    /// Who promotes a challenger that meets every criterion: `rule` or `person`.
    pub promote: String,
    /// What is watched.
    pub monitors: Monitors,
    /// Runs of this process's data folder, the newest first.
    pub runs: Vec<RetrainingRun>,
}

/// What is watched, and what is beyond its threshold now.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub struct Monitors {
    /// When was last looked; null before the first time.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub checked_at: Option<Instant>,
    /// The champion's decisions that were looked at, spread over the window.
    pub decisions: u64,
    /// A population stability index above this is told.
    pub psi_threshold: f64,
    /// So is a share of missing values that grew by more than this.
    pub missing_threshold: f64,
    /// The index of the score; null if it is not known, as while the champion has not decided for a whole window.
    pub psi_score: Option<f64>,
    /// The greatest index of a feature; null if none is known.
    pub psi_max: Option<f64>,
    /// The greatest growth of a share of missing values; null if none is known.
    pub missing_max: Option<f64>,
    /// What is beyond its threshold now, the first to cross it first.
    pub raised: Vec<DriftAlarm>,
    /// How often a threshold was crossed since the start.
    pub crossings: u64,
}

/// Something that is beyond its threshold.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct DriftAlarm {
    /// Name of the feature, or `score`.
    pub name: String,
    /// `psi` or `missing`.
    pub kind: String,
    /// The figure now.
    pub value: f64,
    /// What it is above.
    pub threshold: f64,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    pub since: Instant,
}

/// A model that is trained again, from the collecting of rows to its promotion.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct RetrainingRun {
    /// Its id.
    pub id: String,
    /// `running`, `shadow` (the challenger scores beside the champion), `approval` (a person is asked), `promoted`, `rejected`,
    /// `failed` or `cancelled`.
    pub state: String,
    /// The step that is under way or was the last: `collect`, `train`, `evaluate`, `register`, `judge` or `promote`.
    pub step: String,
    /// Share of the steps that is done, 0 to 1.
    pub progress: f64,
    /// What started it.
    #[schema(example = "schedule 2026-11-23T03:00:00Z")]
    pub trigger: String,
    /// When it started.
    #[schema(example = "2026-11-23T03:00:01Z")]
    pub started_at: String,
    /// When it ended; null before that.
    pub ended_at: Option<String>,
    /// Event time until which the challenger scores in the shadow; null before that is known.
    pub shadow_until: Option<String>,
    /// Figures so far, by name: rows, frauds, average precision of both.
    pub figures: BTreeMap<String, f64>,
    /// Criterion by criterion; null before the challenger was compared.
    pub verdict: Option<RetrainingVerdict>,
    /// The challenger; null before there is one.
    pub model: Option<String>,
    /// What is to be said of it: why it failed, what it waits for, why it was promoted.
    pub detail: String,
}

/// Whether a challenger may take the champion's place.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct RetrainingVerdict {
    /// Whether every criterion is met.
    pub promote: bool,
    /// The model in use; null if there was none.
    pub champion: Option<String>,
    /// The model that would replace it.
    pub challenger: String,
    /// First day of the comparison.
    pub from: String,
    /// First instant after it.
    pub to: String,
    /// Transactions that both were compared on, none of which either was trained on.
    pub rows: u64,
    /// Of them fraud.
    pub frauds: u64,
    /// One by one.
    pub criteria: Vec<RetrainingCriterion>,
    /// All of it in a sentence.
    pub words: String,
}

/// Something that must hold before a promotion.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct RetrainingCriterion {
    /// `enough`, `better`, `cheaper`, `calibrated` or `fast`.
    pub name: String,
    /// Whether it holds.
    pub met: bool,
    /// The champion's figure; null where there is none.
    pub champion: Option<f64>,
    /// The challenger's.
    pub challenger: Option<f64>,
    /// What the challenger's figure is held against.
    pub bound: Option<f64>,
    /// All of it for people.
    pub words: String,
}

/// Who starts, stops or approves a run, and why.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RetrainingRequest {
    /// Who.
    #[serde(default)]
    #[schema(example = "maria")]
    pub by: String,
    /// Why.
    #[serde(default)]
    #[schema(example = "a new attack since Friday")]
    pub reason: String,
}

impl From<&lab::retrain::Verdict> for RetrainingVerdict {
    fn from(verdict: &lab::retrain::Verdict) -> RetrainingVerdict {
        let finite = |value: f64| Some(value).filter(|value| value.is_finite());
        let criteria = verdict.criteria.iter().map(|criterion| RetrainingCriterion {
            name: criterion.name.clone(),
            met: criterion.met,
            champion: criterion.champion.and_then(finite),
            challenger: finite(criterion.challenger),
            bound: finite(criterion.bound),
            words: criterion.words.clone(),
        });
        RetrainingVerdict {
            promote: verdict.promote,
            champion: verdict.champion.clone(),
            challenger: verdict.challenger.clone(),
            from: verdict.from.clone(),
            to: verdict.to.clone(),
            rows: verdict.rows,
            frauds: verdict.frauds,
            criteria: criteria.collect(),
            words: verdict.words.clone(),
        }
    }
}

impl From<&Run> for RetrainingRun {
    fn from(run: &Run) -> RetrainingRun {
        RetrainingRun {
            id: run.id.clone(),
            state: run.state.name().to_string(),
            step: run.step.name().to_string(),
            progress: if run.state == State::Promoted { 1.0 } else { run.progress() },
            trigger: run.trigger.clone(),
            started_at: run.started_at.clone(),
            ended_at: run.ended_at.clone(),
            shadow_until: run.shadow_until.clone(),
            figures: run.figures.clone(),
            verdict: run.verdict.as_ref().map(RetrainingVerdict::from),
            model: run.model.clone(),
            detail: run.detail.clone(),
        }
    }
}
