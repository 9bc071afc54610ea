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
use forest::grow::{self, Algorithm, Direction, Growth, History, Params, Table};

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

/// The last part of the training time by which early stopping judges.
const VALIDATION_SHARE: f64 = 0.2;

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

    /// Where the last part of the time begins.
    fn cut(&self, share: f64) -> i64 {
        let first = self.times_us.iter().copied().min().unwrap_or(0);
        let last = self.times_us.iter().copied().max().unwrap_or(0);
        last - ((last - first) as f64 * share) as i64
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
    train_from(detector, set, params, None, progress)
}

/// [`train`] with the trees of an older model kept and those of this set added. With early stopping, the number of trees
/// is the best on the last fifth of the time, and the model is then grown on all of it.
///
/// # Errors
/// As [`train`], and if the older model cannot be continued with this detector.
pub fn train_from(
    detector: &Detector,
    set: &TrainingSet,
    params: &Params,
    older: Option<&ModelFile>,
    progress: &mut dyn FnMut(grow::Progress),
) -> Result<ModelFile> {
    if let Some(older) = older {
        // What it was trained on must be what it is continued with.
        older.bind(detector)?;
    }
    let names = detector.feature_names();
    let growing = Growing { names: &names, older: older.map(|model| &model.forest) };
    let settled = match params.early_stopping {
        Some(_) => growing.settle_trees(set, params, progress)?,
        None => params.clone(),
    };
    let review_score_min = match detector.policy.daily_review_budget {
        Some(budget) => growing.review_threshold(set, &settled, budget)?.unwrap_or(0.0),
        None => 0.0,
    };
    let forest = growing.grow(set, &settled, progress)?;
    let period = set.days();
    Ok(ModelFile {
        format: String::new(),
        version: 0,
        id: String::new(),
        detector: detector.name.clone(),
        feature_fingerprint: detector.feature_fingerprint.clone(),
        engine: "builtin".to_string(),
        algorithm: params.algorithm.to_string(),
        parameters: parameters(
            &Params { early_stopping: params.early_stopping, ..settled },
            set.len(),
            older,
        ),
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

/// What stays the same from one growing to the next.
struct Growing<'a> {
    names: &'a [String],
    older: Option<&'a Forest>,
}

impl Growing<'_> {
    fn grow(
        &self,
        set: &TrainingSet,
        params: &Params,
        progress: &mut dyn FnMut(grow::Progress),
    ) -> Result<Forest> {
        let history = History { continue_from: self.older, validation: None };
        Ok(grow::grow_from(&self.table(set)?, params, history, cores(), progress)?)
    }

    fn table<'s>(&'s self, set: &'s TrainingSet) -> Result<Table<'s>> {
        ensure!(!set.is_empty(), "there are no rows to learn from");
        Ok(Table { columns: &set.columns, labels: &set.labels, names: self.names, weights: None })
    }

    /// The parameters with the number of trees that does best on the last part of the time, and all that depends on the
    /// number asked for as it was.
    fn settle_trees(
        &self,
        set: &TrainingSet,
        params: &Params,
        progress: &mut dyn FnMut(grow::Progress),
    ) -> Result<Params> {
        let (learnt, held_out) = set.split(set.cut(VALIDATION_SHARE));
        let known = |part: &TrainingSet| part.frauds() > 0 && part.frauds() < part.len();
        ensure!(
            known(&learnt) && known(&held_out),
            "early stopping needs frauds and genuine transactions before and in the last fifth of the training time"
        );
        let (table, validation) = (self.table(&learnt)?, self.table(&held_out)?);
        let history = History { continue_from: self.older, validation: Some(&validation) };
        let forest = grow::grow_from(&table, params, history, cores(), progress)?;
        Ok(Params {
            trees: forest.tree_count() - self.older.map_or(0, Forest::tree_count),
            learning_rate: Some(params.learning_rate(set.len())),
            warm_up: Some(params.warm_up()),
            early_stopping: None,
            ..params.clone()
        })
    }

    /// The score that about `budget` transactions a day reach, on the last part of the time and by a model that was
    /// grown without it. `None` where either part is too short or has one class only.
    fn review_threshold(&self, set: &TrainingSet, params: &Params, budget: f64) -> Result<Option<f64>> {
        let cut = set.cut(BUDGET_SHARE);
        let (learnt, held_out) = set.split(cut);
        let last = set.times_us.iter().copied().max().unwrap_or(0);
        let days = (last - cut) as f64 / DAY_US as f64;
        if days < 1.0 || learnt.frauds() == 0 || learnt.frauds() == learnt.len() {
            return Ok(None);
        }
        let scorer = self.grow(&learnt, params, &mut |_| {})?.scorer();
        let mut scores = Vec::with_capacity(held_out.len());
        let mut row = vec![0.0; self.names.len()];
        let mut scratch = forest::Scratch::default();
        for index in 0..held_out.len() {
            row.iter_mut().zip(&held_out.columns).for_each(|(cell, column)| *cell = column[index]);
            scores.push(scorer.score(&row, &mut scratch));
        }
        scores.sort_unstable_by(|a, b| b.total_cmp(a));
        let reviewed = (budget * days) as usize;
        Ok(scores.get(reviewed).copied())
    }
}

fn parameters(params: &Params, rows: usize, older: Option<&ModelFile>) -> BTreeMap<String, String> {
    let entry = |name: &str, value: String| (name.to_string(), value);
    let mut entries = BTreeMap::from([
        entry("trees", params.trees.to_string()),
        entry("max_depth", or(params.max_depth, "none")),
        entry("min_child_weight", params.min_child_weight.to_string()),
        entry("min_samples_leaf", params.min_samples_leaf.to_string()),
        entry("lambda", params.lambda.to_string()),
        entry("row_subsample", or(params.row_subsample, "auto")),
        entry("column_subsample", or(params.column_subsample, "auto")),
        entry("seed", params.seed.to_string()),
        entry("positive_weight", params.positive_weight.to_string()),
    ]);
    if params.algorithm == Algorithm::Gbdt {
        entries.extend([
            entry("growth", params.growth.to_string()),
            entry("learning_rate", params.learning_rate(rows).to_string()),
            entry("warm_up", params.warm_up().to_string()),
            entry("l1", params.l1.to_string()),
            entry("min_gain", params.min_gain.to_string()),
            entry("bins", params.bins.to_string()),
        ]);
    }
    if params.growth == Growth::LeafWise {
        entries.extend([entry("max_leaves", or(params.max_leaves, "31"))]);
    }
    entries.extend(params.early_stopping.map(|rounds| entry("early_stopping", rounds.to_string())));
    entries.extend(older.map(|model| entry("continued_from", model.id.clone())));
    if !params.categorical.is_empty() {
        entries.extend([entry("categorical", params.categorical.join(","))]);
    }
    if !params.monotone.is_empty() {
        let signed = |(name, direction): &(String, Direction)| match direction {
            Direction::Rising => format!("{name}=+1"),
            Direction::Falling => format!("{name}=-1"),
        };
        entries.extend([entry("monotone", params.monotone.iter().map(signed).collect::<Vec<_>>().join(","))]);
    }
    entries
}

fn or(value: Option<impl ToString>, word: &str) -> String {
    value.map_or(word.to_string(), |value| value.to_string())
}
