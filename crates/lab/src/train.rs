//! Growing a model on a detector's features, computed by the engine as it would have computed them at the time.

/// What is learnt from.
mod set;
/// The same as a file.
mod rows;
/// How a model is made of it.
mod recipe;
/// From which score on transactions are reviewed.
mod threshold;

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use engine::Calibration;
use engine::detector::{Definition, Detector, Feature, Source};
use engine::time::{DAY_US, format_instant};
use forest::grow::Table;
use forest::{Forest, Scorer};

use crate::artifact::ModelFile;
use crate::balance::prior_shift;
use crate::calibrate;
use crate::drift::{self, Baseline};
use crate::engines::{Grower, Progress};
use crate::synth::made::PARAMETER;

use threshold::Later;

pub(crate) use set::in_words;

pub use recipe::{Balancing, Recipe};
pub use rows::{read_rows, write_rows};
pub use set::{BATCH_ROWS, Row, TrainingSet, cores, load};
pub use threshold::{Reviews, Threshold};

/// The last part of the training time on which calibration and threshold are found, with a model that has not seen it.
const LATER_SHARE: f64 = 0.25;

/// What is said where there is no such part.
const LATER_NEEDS: &str =
    "needs more than four days of training time, and frauds and genuine transactions before its last quarter";

/// The last part of the training time by which early stopping judges.
const VALIDATION_SHARE: f64 = 0.2;

/// Grows a model. With redflag's own grower the same set and recipe give the same file to the byte, on any number of cores.
///
/// # Errors
/// If the set cannot be learnt from (one class only, infinite values) or a parameter is out of range.
pub fn train(
    detector: &Detector,
    set: &TrainingSet,
    recipe: &Recipe,
    progress: &mut dyn FnMut(Progress),
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
    progress: &mut dyn FnMut(Progress),
) -> Result<ModelFile> {
    if let Some(older) = older {
        // What it was trained on must be what it is continued with.
        older.bind(detector)?;
    }
    let grower = &recipe.grower;
    recipe.check_made(detector, set)?;
    let names = detector.feature_names();
    let growing = Growing {
        names: &names,
        older: older.map(|model| &model.forest),
        balance: &recipe.balance,
        categorical: categorical(detector, grower),
    };
    let settled = match grower.early_stopping() {
        Some(_) => growing.settle_trees(set, grower, progress)?,
        None => grower.clone(),
    };
    let budget = detector.policy.daily_review_budget.filter(|_| recipe.follows_policy);
    let threshold = recipe.threshold.or(budget.map(Threshold::DailyBudget));
    let is_later_wanted = recipe.calibrate.is_some() || recipe.balance.is_some() || threshold.is_some();
    let later = if is_later_wanted { growing.score_later(set, &settled)? } else { None };
    let calibration = growing.calibration(recipe, set, later.as_ref())?;
    let mut metrics = BTreeMap::new();
    if let (Some(method), Some(later)) = (recipe.calibrate, &later)
        && let Some((before, after)) = later.brier_with(method)?
    {
        metrics.extend([("brier_uncalibrated".to_string(), before), ("brier_calibrated".to_string(), after)]);
    }
    let later = later.map(|later| later.calibrated(calibration.as_ref()));
    let later_scores = later.as_ref().map(|later| later.scores.clone());
    let reviews = match (threshold, later) {
        (Some(threshold), Some(later)) => Some(later.choose(threshold)?),
        _ => {
            ensure!(recipe.threshold.is_none(), "a threshold {LATER_NEEDS}");
            None
        }
    };
    metrics.extend(reviews.iter().flat_map(Reviews::figures));
    let forest = growing.grow(set, &settled, progress)?;
    let scores = later_scores.unwrap_or_else(|| {
        let scores = score_rows(&forest.scorer(), set, drift::spaced(set.len()));
        let calibrated = |score| calibration.as_ref().map_or(score, |found| found.probability(score));
        scores.into_iter().map(calibrated).collect()
    });
    let period = set.days();
    Ok(ModelFile {
        format: String::new(),
        version: 0,
        id: String::new(),
        detector: detector.name.clone(),
        feature_fingerprint: detector.feature_fingerprint.clone(),
        engine: grower.engine().to_string(),
        algorithm: grower.algorithm().to_string(),
        parameters: {
            let mut entries = settled.parameters(set.len(), older);
            let patience = grower.early_stopping();
            entries.extend(patience.map(|rounds| ("early_stopping".to_string(), rounds.to_string())));
            entries.extend(recipe.in_words());
            note_made(&mut entries, set);
            entries
        },
        trained_from: format_instant(period.start),
        trained_to: format_instant(period.end),
        rows: set.len() as u64,
        frauds: set.frauds() as u64,
        review_score_min: reviews.map_or(0.0, |reviews| reviews.score_min),
        metrics,
        calibration,
        baseline: Some(Baseline::of(set, &scores)),
        forest,
    }
    .seal())
}

impl Recipe {
    /// What a generator has seen may not be what the number of trees, the threshold or the calibration is found on.
    fn check_made(&self, detector: &Detector, set: &TrainingSet) -> Result<()> {
        let Some(Balancing::Made(made)) = &self.balance else { return Ok(()) };
        made.check(
            detector,
            set.cut(LATER_SHARE),
            "threshold and calibration are found on the last quarter of the training time,",
        )
    }
}

/// Whose rows the model has learnt from, where generators made some.
fn note_made(entries: &mut BTreeMap<String, String>, set: &TrainingSet) {
    let known = entries.remove(PARAMETER);
    let marks: Vec<&str> = known.iter().map(String::as_str).chain(set.marks()).collect();
    if !marks.is_empty() {
        entries.insert(PARAMETER.to_string(), marks.join(","));
    }
}

/// The columns that the detector takes from categories, or that are said to name some.
fn categorical(detector: &Detector, grower: &Grower) -> Vec<usize> {
    let is_word = |feature: &Feature| matches!(feature.definition, Definition::Field(Source::Text(_)));
    let is_named = |feature: &Feature| grower.categorical().contains(&feature.name);
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
    fn grow(&self, set: &TrainingSet, grower: &Grower, progress: &mut dyn FnMut(Progress)) -> Result<Forest> {
        ensure!(!set.is_empty(), "there are no rows to learn from");
        let balanced = self.balanced(set)?;
        let table = self.table(balanced.as_ref().unwrap_or(set));
        Ok(self.weighed(set, grower).grow(&table, self.older, progress)?)
    }

    fn weighed(&self, set: &TrainingSet, grower: &Grower) -> Grower {
        match self.balance {
            Some(Balancing::Weights) => grower.weighed(set.genuine_by_fraud()),
            _ => grower.clone(),
        }
    }

    fn table<'s>(&'s self, set: &'s TrainingSet) -> Table<'s> {
        Table { columns: &set.columns, labels: &set.labels, names: self.names, weights: None }
    }

    /// The rows that are learnt from instead.
    fn balanced(&self, set: &TrainingSet) -> Result<Option<TrainingSet>> {
        match self.balance {
            Some(Balancing::Rows(balance)) => Ok(Some(balance.apply(set, &self.categorical)?)),
            Some(Balancing::Made(made)) => Ok(Some(made.apply(set, self.names)?)),
            _ => Ok(None),
        }
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
            Some(_) => self.balanced(set)?.map_or(0.0, |balanced| prior_shift(set, &balanced)),
        };
        Ok(Some(Calibration::prior(shift)))
    }

    /// The grower with the number of trees that does best on the last part of the time.
    fn settle_trees(
        &self,
        set: &TrainingSet,
        grower: &Grower,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Grower> {
        let (learnt, held_out) = set.split(set.cut(VALIDATION_SHARE));
        ensure!(
            learnt.has_both() && held_out.has_both(),
            "early stopping needs frauds and genuine transactions before and in the last fifth of the training time"
        );
        let balanced = self.balanced(&learnt)?;
        let table = self.table(balanced.as_ref().unwrap_or(&learnt));
        let held_out = self.table(&held_out);
        let best = self.weighed(&learnt, grower).best(&table, &held_out, self.older, progress)?;
        Ok(grower.settled(&best, set.len()))
    }

    /// The last part of the time as a model scores it that was grown without it. `None` where that is less than a day, or
    /// what comes before it has one class only.
    fn score_later(&self, set: &TrainingSet, grower: &Grower) -> Result<Option<Later>> {
        let cut = set.cut(LATER_SHARE);
        let (learnt, held_out) = set.split(cut);
        let last = set.times_us.iter().copied().max().unwrap_or(0);
        let days = (last - cut) as f64 / DAY_US as f64;
        if days < 1.0 || !learnt.has_both() {
            return Ok(None);
        }
        let scorer = self.grow(&learnt, grower, &mut |_| {})?.scorer();
        let scores = score_all(&scorer, &held_out);
        Ok(Some(Later::new(held_out, scores, days)))
    }
}

/// The score of each row.
pub fn score_all(scorer: &Scorer, set: &TrainingSet) -> Vec<f64> {
    score_rows(scorer, set, 0..set.len())
}

fn score_rows(scorer: &Scorer, set: &TrainingSet, rows: impl Iterator<Item = usize>) -> Vec<f64> {
    let mut scratch = forest::Scratch::default();
    let mut row = vec![0.0; set.columns.len()];
    let score = |index: usize| {
        row.iter_mut().zip(&set.columns).for_each(|(cell, column)| *cell = column[index]);
        scorer.score(&row, &mut scratch)
    };
    rows.map(score).collect()
}
