//! Growing a model on a detector's features, computed by the engine as it would have computed them at the time.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use engine::detector::{Definition, Detector, Feature, Source};
use engine::time::{DAY_US, format_instant};
use engine::{Calibration, Decisions, Engine, Label, Status};
use forest::Forest;
use forest::grow::{self, Algorithm, Direction, Growth, History, Params, Table};

use crate::artifact::ModelFile;
use crate::balance::{Balance, prior_shift};
use crate::calibrate;
use crate::dataset::{Block, ColumnMap, DatasetError, Reject, open};
use crate::replay::{self, Sink, Summary};

/// The feature matrix of a stretch of time, column by column, with its labels.
#[derive(Debug, Clone, Default)]
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

/// The last part of the training time on which calibration and threshold are found, with a model that has not seen it.
const LATER_SHARE: f64 = 0.25;

/// What is said where there is no such part.
const LATER_NEEDS: &str =
    "needs more than four days of training time, and frauds and genuine transactions before its last quarter";

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

    /// Whether there are frauds and genuine rows.
    fn has_both(&self) -> bool {
        (1..self.len()).contains(&self.frauds())
    }

    /// Genuine rows for each fraud.
    fn genuine_by_fraud(&self) -> f64 {
        (self.len() - self.frauds()) as f64 / self.frauds().max(1) as f64
    }

    /// The asked period, cut to the days that have rows: what the model knows, in whole days where none were asked.
    pub fn days(&self) -> Range<i64> {
        let first = self.times_us.iter().copied().min().unwrap_or(0);
        let last = self.times_us.iter().copied().max().unwrap_or(0);
        let covered = first.div_euclid(DAY_US) * DAY_US..(last.div_euclid(DAY_US) + 1) * DAY_US;
        let asked = self.period.clone().unwrap_or(covered.clone());
        asked.start.max(covered.start)..asked.end.min(covered.end)
    }

    pub(crate) fn push(&mut self, time_us: i64, features: &[f64], fraud: bool) {
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

    /// Some of the rows, in this order.
    pub fn select(&self, rows: &[usize]) -> TrainingSet {
        let column = |column: &Vec<f64>| rows.iter().map(|row| column[*row]).collect();
        TrainingSet {
            columns: self.columns.iter().map(column).collect(),
            labels: rows.iter().map(|row| self.labels[*row]).collect(),
            times_us: rows.iter().map(|row| self.times_us[*row]).collect(),
            period: self.period.clone(),
        }
    }

    /// The rows before and from `time_us` on.
    fn split(&self, time_us: i64) -> (TrainingSet, TrainingSet) {
        let (before, after): (Vec<usize>, Vec<usize>) =
            (0..self.len()).partition(|row| self.times_us[*row] < time_us);
        (self.select(&before), self.select(&after))
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

/// How a model is made of a training set.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// How trees are grown.
    pub params: Params,
    /// How classes are brought closer to each other, in what is learnt from and nowhere else.
    pub balance: Option<Balancing>,
    /// How scores become probabilities; without one, only what balancing did to the prior is undone.
    pub calibrate: Option<calibrate::Method>,
    /// From which score on transactions are reviewed; without one, the detector's daily review budget says.
    pub threshold: Option<Threshold>,
}

/// How classes are brought closer to each other.
#[derive(Debug, Clone, PartialEq)]
pub enum Balancing {
    /// Every fraud weighs as much as all genuine transactions divided by all frauds of what is learnt from.
    Weights,
    /// Other rows.
    Rows(Balance),
}

/// What is wanted of reviews.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Threshold {
    /// So many a day.
    DailyBudget(f64),
    /// At least this share of frauds.
    Recall(f64),
    /// At least this share of frauds among them, and as many as that allows.
    Precision(f64),
}

impl std::fmt::Display for Threshold {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Threshold::DailyBudget(budget) => write!(f, "budget {budget}"),
            Threshold::Recall(recall) => write!(f, "recall {recall}"),
            Threshold::Precision(precision) => write!(f, "precision {precision}"),
        }
    }
}

impl Recipe {
    /// These parameters and nothing else.
    pub fn plain(params: Params) -> Recipe {
        Recipe { params, balance: None, calibrate: None, threshold: None }
    }

    /// What is asked for beside the parameters of growing, by name.
    fn in_words(&self) -> impl Iterator<Item = (String, String)> {
        let balance = self.balance.as_ref().map(|balancing| match balancing {
            Balancing::Weights => "weights".to_string(),
            Balancing::Rows(balance) => format!("{}:{}", balance.method, balance.fraud_share),
        });
        let calibrate = self.calibrate.map(|method| method.to_string());
        let threshold = self.threshold.map(|threshold| threshold.to_string());
        let entries = [("balance", balance), ("calibrate", calibrate), ("review", threshold)];
        entries.into_iter().filter_map(|(name, value)| Some((name.to_string(), value?)))
    }
}

/// Grows a model. The same set and recipe give the same file to the byte, on any number of cores.
///
/// # Errors
/// If the set cannot be learnt from (one class only, infinite values) or a parameter is out of range.
pub fn train(
    detector: &Detector,
    set: &TrainingSet,
    recipe: &Recipe,
    progress: &mut dyn FnMut(grow::Progress),
) -> Result<ModelFile> {
    train_from(detector, set, recipe, None, progress)
}

/// [`train`] with the trees of an older model kept and those of this set added. With early stopping, the number of trees
/// is the best on the last fifth of the time, and the model is then grown on all of it.
///
/// # Errors
/// As [`train`], and if the older model cannot be continued with this detector.
pub fn train_from(
    detector: &Detector,
    set: &TrainingSet,
    recipe: &Recipe,
    older: Option<&ModelFile>,
    progress: &mut dyn FnMut(grow::Progress),
) -> Result<ModelFile> {
    if let Some(older) = older {
        // What it was trained on must be what it is continued with.
        older.bind(detector)?;
    }
    let params = &recipe.params;
    let names = detector.feature_names();
    let growing = Growing {
        names: &names,
        older: older.map(|model| &model.forest),
        balance: &recipe.balance,
        categorical: categorical(detector, params),
    };
    let settled = match params.early_stopping {
        Some(_) => growing.settle_trees(set, params, progress)?,
        None => params.clone(),
    };
    let threshold = recipe.threshold.or(detector.policy.daily_review_budget.map(Threshold::DailyBudget));
    let is_later_wanted = recipe.calibrate.is_some() || recipe.balance.is_some() || threshold.is_some();
    let later = if is_later_wanted { growing.score_later(set, &settled)? } else { None };
    let calibration = growing.calibration(recipe, set, later.as_ref())?;
    let review_score_min = match (threshold, later) {
        (Some(threshold), Some(later)) => later.calibrated(calibration.as_ref()).least(threshold)?,
        _ => {
            ensure!(recipe.threshold.is_none(), "a threshold {LATER_NEEDS}");
            0.0
        }
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
        parameters: {
            let grown_with = Params { early_stopping: params.early_stopping, ..settled };
            let mut entries = parameters(&grown_with, set.len(), older);
            entries.extend(recipe.in_words());
            entries
        },
        trained_from: format_instant(period.start),
        trained_to: format_instant(period.end),
        rows: set.len() as u64,
        frauds: set.frauds() as u64,
        review_score_min,
        metrics: BTreeMap::new(),
        calibration,
        forest,
    }
    .seal())
}

/// The columns that the detector takes from categories, or that are said to name some.
fn categorical(detector: &Detector, params: &Params) -> Vec<usize> {
    let is_word = |feature: &Feature| matches!(feature.definition, Definition::Field(Source::Text(_)));
    let is_named = |feature: &Feature| params.categorical.contains(&feature.name);
    let features = detector.features.iter().enumerate();
    features.filter(|(_, feature)| is_word(feature) || is_named(feature)).map(|(column, _)| column).collect()
}

/// What stays the same from one growing to the next.
struct Growing<'a> {
    names: &'a [String],
    older: Option<&'a Forest>,
    balance: &'a Option<Balancing>,
    /// Columns whose numbers name categories.
    categorical: Vec<usize>,
}

impl Growing<'_> {
    fn grow(
        &self,
        set: &TrainingSet,
        params: &Params,
        progress: &mut dyn FnMut(grow::Progress),
    ) -> Result<Forest> {
        self.grow_validated(set, params, None, progress)
    }

    fn grow_validated(
        &self,
        set: &TrainingSet,
        params: &Params,
        validation: Option<&Table>,
        progress: &mut dyn FnMut(grow::Progress),
    ) -> Result<Forest> {
        ensure!(!set.is_empty(), "there are no rows to learn from");
        let history = History { continue_from: self.older, validation };
        let weighed = match self.balance {
            Some(Balancing::Weights) => Params { positive_weight: set.genuine_by_fraud(), ..params.clone() },
            _ => params.clone(),
        };
        let balanced = self.balanced(set)?;
        let table = self.table(balanced.as_ref().unwrap_or(set));
        Ok(grow::grow_from(&table, &weighed, history, cores(), progress)?)
    }

    fn table<'s>(&'s self, set: &'s TrainingSet) -> Table<'s> {
        Table { columns: &set.columns, labels: &set.labels, names: self.names, weights: None }
    }

    /// The rows that are learnt from instead.
    fn balanced(&self, set: &TrainingSet) -> Result<Option<TrainingSet>> {
        let Some(Balancing::Rows(balance)) = self.balance else { return Ok(None) };
        Ok(Some(balance.apply(set, &self.categorical)?))
    }

    /// What is asked for; else what undoes balancing's doing to the prior, learnt from what came later, or by the numbers of
    /// rows where nothing did.
    fn calibration(
        &self,
        recipe: &Recipe,
        set: &TrainingSet,
        later: Option<&Later>,
    ) -> Result<Option<Calibration>> {
        let Some(later) = later else {
            ensure!(recipe.calibrate.is_none(), "calibration {LATER_NEEDS}");
            return self.prior(set);
        };
        Ok(match (recipe.calibrate, self.balance) {
            (Some(method), _) => Some(calibrate::fit(method, &later.scores, &later.labels)?),
            (None, None) => None,
            (None, Some(_)) if later.has_both() => Some(calibrate::fit_prior(&later.scores, &later.labels)?),
            (None, Some(_)) => self.prior(set)?,
        })
    }

    fn prior(&self, set: &TrainingSet) -> Result<Option<Calibration>> {
        let shift = match self.balance {
            None => return Ok(None),
            Some(Balancing::Weights) => set.genuine_by_fraud().ln(),
            Some(Balancing::Rows(balance)) => prior_shift(set, &balance.apply(set, &self.categorical)?),
        };
        Ok(Some(Calibration::prior(shift)))
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
        ensure!(
            learnt.has_both() && held_out.has_both(),
            "early stopping needs frauds and genuine transactions before and in the last fifth of the training time"
        );
        let forest = self.grow_validated(&learnt, params, Some(&self.table(&held_out)), progress)?;
        Ok(Params {
            trees: forest.tree_count() - self.older.map_or(0, Forest::tree_count),
            learning_rate: Some(params.learning_rate(set.len())),
            warm_up: Some(params.warm_up()),
            early_stopping: None,
            ..params.clone()
        })
    }

    /// The last part of the time as a model scores it that was grown without it. `None` where that is less than a day, or
    /// what comes before it has one class only.
    fn score_later(&self, set: &TrainingSet, params: &Params) -> Result<Option<Later>> {
        let cut = set.cut(LATER_SHARE);
        let (learnt, held_out) = set.split(cut);
        let last = set.times_us.iter().copied().max().unwrap_or(0);
        let days = (last - cut) as f64 / DAY_US as f64;
        if days < 1.0 || !learnt.has_both() {
            return Ok(None);
        }
        let scorer = self.grow(&learnt, params, &mut |_| {})?.scorer();
        let mut scratch = forest::Scratch::default();
        let mut row = vec![0.0; self.names.len()];
        let score = |index: usize| {
            row.iter_mut().zip(&held_out.columns).for_each(|(cell, column)| *cell = column[index]);
            scorer.score(&row, &mut scratch)
        };
        Ok(Some(Later { scores: (0..held_out.len()).map(score).collect(), labels: held_out.labels, days }))
    }
}

/// The last part of the training time, scored by a model that has not seen it.
struct Later {
    scores: Vec<f64>,
    labels: Vec<bool>,
    days: f64,
}

impl Later {
    /// Whether there are frauds and genuine rows.
    fn has_both(&self) -> bool {
        self.labels.contains(&true) && self.labels.contains(&false)
    }

    fn calibrated(mut self, calibration: Option<&Calibration>) -> Later {
        if let Some(calibration) = calibration {
            self.scores.iter_mut().for_each(|score| *score = calibration.probability(*score));
        }
        self
    }

    /// The least score to review so that what is wanted is had; 0 if that is all of them.
    ///
    /// # Errors
    /// If no score does that.
    fn least(&self, wanted: Threshold) -> Result<f64> {
        let mut ranked: Vec<(f64, bool)> =
            self.scores.iter().copied().zip(self.labels.iter().copied()).collect();
        ranked.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
        if let Threshold::DailyBudget(budget) = wanted {
            return Ok(ranked.get((budget * self.days) as usize).map_or(0.0, |(score, _)| *score));
        }
        let frauds = self.labels.iter().filter(|fraud| **fraud).count();
        ensure!(frauds > 0, "the last quarter of the training time has no frauds to find a threshold by");
        let (mut reviewed, mut found, mut least) = (0, 0, None);
        // Equal scores are reviewed together.
        for same in ranked.chunk_by(|a, b| a.0 == b.0) {
            reviewed += same.len();
            found += same.iter().filter(|(_, fraud)| *fraud).count();
            match wanted {
                Threshold::Recall(recall) if found as f64 >= recall * frauds as f64 => return Ok(same[0].0),
                Threshold::Precision(precision) if found as f64 >= precision * reviewed as f64 => {
                    least = Some(same[0].0);
                }
                _ => {}
            }
        }
        least.with_context(|| format!("on the last quarter of the training time no score has {wanted}"))
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
