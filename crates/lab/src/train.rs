//! Growing a model on a detector's features, computed by the engine as it would have computed them at the time.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, bail, ensure};
use engine::detector::Detector;
use engine::time::{DAY_US, format_instant};
use engine::{Decisions, Engine, Label, Status};
use forest::Forest;
use forest::grow::{self, Params, Table};

use crate::artifact::ModelFile;
use crate::dataset::{Block, ColumnMap, DatasetError, Reject, open};
use crate::replay::{self, Sink, Summary};

/// The feature matrix of a stretch of time, column by column, with its labels.
#[derive(Debug, Default)]
pub struct TrainingSet {
    /// One column a feature.
    pub columns: Vec<Vec<f64>>,
    /// Fraud or not.
    pub labels: Vec<bool>,
    /// Event times.
    pub times_us: Vec<i64>,
    /// The period that rows are taken from.
    period: Option<Range<i64>>,
}

/// Rows handed to the engine at a time.
pub const BATCH_ROWS: usize = 4_096;

/// The last part of the training time on which the score for the review budget is found, with a model that has not
/// seen it.
const BUDGET_SHARE: f64 = 0.25;

impl TrainingSet {
    /// An empty set of so many columns, for rows of `period` (all if `None`).
    pub fn new(columns: usize, period: Option<Range<i64>>) -> TrainingSet {
        TrainingSet { columns: vec![Vec::new(); columns], period, ..TrainingSet::default() }
    }

    /// Rows.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Rows labelled fraud.
    pub fn frauds(&self) -> usize {
        self.labels.iter().filter(|label| **label).count()
    }

    /// The asked period, cut to the days that have rows: what the model knows, in whole days where none were asked.
    pub fn days(&self) -> Range<i64> {
        let first = self.times_us.iter().copied().min().unwrap_or(0);
        let last = self.times_us.iter().copied().max().unwrap_or(0);
        let covered = first.div_euclid(DAY_US) * DAY_US..(last.div_euclid(DAY_US) + 1) * DAY_US;
        let asked = self.period.clone().unwrap_or(covered.clone());
        asked.start.max(covered.start)..asked.end.min(covered.end)
    }

    fn push(&mut self, time_us: i64, features: &[f64], fraud: bool) {
        for (column, value) in self.columns.iter_mut().zip(features) {
            column.push(*value);
        }
        self.labels.push(fraud);
        self.times_us.push(time_us);
    }

    /// The rows before and from `time_us` on.
    fn split(&self, time_us: i64) -> (TrainingSet, TrainingSet) {
        let mut parts =
            (TrainingSet::new(self.columns.len(), None), TrainingSet::new(self.columns.len(), None));
        for row in 0..self.len() {
            let part = if self.times_us[row] < time_us { &mut parts.0 } else { &mut parts.1 };
            for (to, from) in part.columns.iter_mut().zip(&self.columns) {
                to.push(from[row]);
            }
            part.labels.push(self.labels[row]);
            part.times_us.push(self.times_us[row]);
        }
        parts
    }
}

impl Sink for TrainingSet {
    fn decided(&mut self, block: &Block, decisions: &Decisions) -> Result<()> {
        for row in 0..block.batch.len() {
            let time_us = block.batch.time_us(row);
            let wanted = self.period.as_ref().is_none_or(|period| period.contains(&time_us));
            let label = block.batch.label(row);
            if wanted && label != Label::Unknown && decisions.statuses[row] != Status::TimeJump {
                self.push(time_us, decisions.features_of(row), label == Label::Fraud);
            }
        }
        Ok(())
    }

    fn rejected(&mut self, _: &[Reject]) -> Result<()> {
        Ok(())
    }
}

/// Computes the feature matrix of `period` from a file whose earlier rows fill the windows.
///
/// # Errors
/// If the file cannot be read, or has no labelled row in the period.
pub fn load(
    detector: &Arc<Detector>,
    input: &Path,
    columns: &ColumnMap,
    period: Option<Range<i64>>,
    progress: &mut dyn FnMut(replay::Progress),
) -> Result<(TrainingSet, Summary)> {
    if detector.schema.label_field().is_none() {
        bail!("detector `{}` declares no label: there is nothing to learn", detector.name);
    }
    let schema = Arc::new(detector.schema.clone());
    let reader = open(input, &schema, columns)?;
    let mut set = TrainingSet::new(detector.features.len(), period.clone());
    let mut engine = Engine::new(Arc::clone(detector), None, cores());
    let summary = replay::replay(reader, &mut engine, BATCH_ROWS, &mut set, progress)?;
    if set.is_empty() {
        let period = period.map_or(String::new(), |period| format!(" {}", in_words(&period)));
        let path = input.to_path_buf();
        return Err(DatasetError::NoRows { path, period, read: summary.events }.into());
    }
    Ok((set, summary))
}

/// A half-open period as messages write it.
pub(crate) fn in_words(period: &Range<i64>) -> String {
    format!("from {} to {}", format_instant(period.start), format_instant(period.end))
}

/// Cores that this machine lends.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Grows a model. The same set and parameters give the same file to the byte, on any number of cores.
///
/// # Errors
/// If the set cannot be learnt from (one class only, infinite values) or a parameter is out of range.
pub fn train(
    detector: &Detector,
    set: &TrainingSet,
    params: &Params,
    progress: &mut dyn FnMut(grow::Progress),
) -> Result<ModelFile> {
    let names = detector.feature_names();
    let review_score_min = match detector.policy.daily_review_budget {
        Some(budget) => review_threshold(&names, set, params, budget)?.unwrap_or(0.0),
        None => 0.0,
    };
    let forest = grow_on(&names, set, params, progress)?;
    let period = set.days();
    Ok(ModelFile {
        format: String::new(),
        version: 0,
        id: String::new(),
        detector: detector.name.clone(),
        feature_fingerprint: detector.feature_fingerprint.clone(),
        engine: "builtin".to_string(),
        algorithm: params.algorithm.to_string(),
        parameters: parameters(params),
        trained_from: format_instant(period.start),
        trained_to: format_instant(period.end),
        rows: set.len() as u64,
        frauds: set.frauds() as u64,
        review_score_min,
        metrics: BTreeMap::new(),
        forest,
    }
    .seal())
}

fn grow_on(
    names: &[String],
    set: &TrainingSet,
    params: &Params,
    progress: &mut dyn FnMut(grow::Progress),
) -> Result<Forest> {
    ensure!(!set.is_empty(), "there are no rows to learn from");
    let table = Table { columns: &set.columns, labels: &set.labels, names, weights: None };
    Ok(grow::grow(&table, params, cores(), progress)?)
}

/// The score that about `budget` transactions a day reach, on the last part of the time and by a model that was grown
/// without it. `None` where either part is too short or has one class only.
fn review_threshold(
    names: &[String],
    set: &TrainingSet,
    params: &Params,
    budget: f64,
) -> Result<Option<f64>> {
    let first = set.times_us.iter().copied().min().unwrap_or(0);
    let last = set.times_us.iter().copied().max().unwrap_or(0);
    let cut = last - ((last - first) as f64 * BUDGET_SHARE) as i64;
    let (learnt, held_out) = set.split(cut);
    let days = (last - cut) as f64 / DAY_US as f64;
    if days < 1.0 || learnt.frauds() == 0 || learnt.frauds() == learnt.len() {
        return Ok(None);
    }
    let scorer = grow_on(names, &learnt, params, &mut |_| {})?.scorer();
    let mut scores = Vec::with_capacity(held_out.len());
    let mut row = vec![0.0; names.len()];
    let mut scratch = forest::Scratch::default();
    for index in 0..held_out.len() {
        row.iter_mut().zip(&held_out.columns).for_each(|(cell, column)| *cell = column[index]);
        scores.push(scorer.score(&row, &mut scratch));
    }
    scores.sort_unstable_by(|a, b| b.total_cmp(a));
    let reviewed = (budget * days) as usize;
    Ok(scores.get(reviewed).copied())
}

fn parameters(params: &Params) -> BTreeMap<String, String> {
    let entry = |name: &str, value: String| (name.to_string(), value);
    BTreeMap::from([
        entry("trees", params.trees.to_string()),
        entry("max_depth", params.max_depth.map_or("none".to_string(), |depth| depth.to_string())),
        entry("learning_rate", params.learning_rate().to_string()),
        entry("min_child_weight", params.min_child_weight.to_string()),
        entry("min_samples_leaf", params.min_samples_leaf.to_string()),
        entry("min_gain", params.min_gain.to_string()),
        entry("lambda", params.lambda.to_string()),
        entry("row_subsample", params.row_subsample.map_or("auto".to_string(), |share| share.to_string())),
        entry(
            "column_subsample",
            params.column_subsample.map_or("auto".to_string(), |share| share.to_string()),
        ),
        entry("bins", params.bins.to_string()),
        entry("seed", params.seed.to_string()),
        entry("positive_weight", params.positive_weight.to_string()),
    ])
}
