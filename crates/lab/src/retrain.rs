//! Training again on what became known, and whether the new model may take the old one's place.
//!
//! A challenger is grown on the older part of the labelled rows; champion and challenger are then compared on the newest
//! part, which neither has seen. Everything here is a function of rows and models: there is no clock, no file, no network.

/// The difference of two models on resampled days.
mod paired;
/// What must hold for a promotion, and what was found.
mod verdict;

use std::ops::Range;

use anyhow::{Result, ensure};
use engine::detector::Detector;
use engine::time::{DAY_US, format_instant, parse_instant};

use crate::artifact::ModelFile;
use crate::engines::Progress;
use crate::split::Split;
use crate::train::{Recipe, TrainingSet, in_words, score_all, train_from};

pub use paired::{Interval, paired_gain};
pub use verdict::{Contender, Criteria, Criterion, Verdict, compare};

/// How much of the newest rows is learnt from, and how much is kept to judge by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch {
    /// Weeks that are learnt from, before those that are tested on.
    pub train_weeks: u32,
    /// Newest weeks, which are tested on.
    pub test_weeks: u32,
}

/// A week in microseconds.
const WEEK_US: i64 = 7 * DAY_US;

impl Stretch {
    /// The split whose test ends with the day of the newest of these rows. What is learnt from ends where the test begins:
    /// rows are those whose labels have matured by now, so no label is learnt that was not known when the training ran.
    ///
    /// # Errors
    /// If the rows do not reach back before the test.
    pub fn of(self, set: &TrainingSet) -> Result<Split> {
        let covered = set.days();
        let test = covered.end - i64::from(self.test_weeks) * WEEK_US..covered.end;
        ensure!(
            !set.is_empty() && covered.start < test.start,
            "{} rows {} do not reach back before the last {} weeks, which are tested on",
            set.len(),
            in_words(&covered),
            self.test_weeks
        );
        let start = test.start - i64::from(self.train_weeks) * WEEK_US;
        Ok(Split { train: start.max(covered.start)..test.start, test })
    }
}

/// Grows a challenger on the training part of a split. `older` is the model whose trees are kept (a warm start), if any.
/// With redflag's own grower the same rows and recipe give the same model to the byte.
///
/// # Errors
/// If the part has one class only, or the recipe cannot be followed.
pub fn challenger(
    detector: &Detector,
    set: &TrainingSet,
    split: &Split,
    recipe: &Recipe,
    older: Option<&ModelFile>,
    progress: &mut dyn FnMut(Progress),
) -> Result<ModelFile> {
    let learnt = set.within(&split.train);
    let frauds = learnt.frauds();
    ensure!(
        frauds > 0 && frauds < learnt.len(),
        "{} rows {} hold {frauds} frauds: there is nothing to learn",
        learnt.len(),
        in_words(&split.train)
    );
    train_from(detector, &learnt, recipe, older, progress)
}

/// The part of a period that none of these models was trained on. A model that does not say is taken not to have seen any.
///
/// # Errors
/// If nothing is left.
pub fn unseen<'a>(
    period: &Range<i64>,
    models: impl IntoIterator<Item = &'a ModelFile>,
) -> Result<Range<i64>> {
    let ends = models.into_iter().filter_map(|model| parse_instant(&model.trained_to));
    let start = ends.fold(period.start, i64::max);
    ensure!(
        start < period.end,
        "a model was trained until {}: nothing later is left to compare on before {}",
        format_instant(start),
        format_instant(period.end)
    );
    Ok(start..period.end)
}

/// The probability of fraud of each row as a model gives it.
pub fn probabilities(model: &ModelFile, set: &TrainingSet) -> Vec<f64> {
    let mut scores = score_all(&model.forest.scorer(), set);
    if let Some(calibration) = &model.calibration {
        scores.iter_mut().for_each(|score| *score = calibration.probability(*score));
    }
    scores
}

/// Compares a challenger with the champion (`None`: there is none, and nothing is stopped) on the rows of `test` that neither
/// was trained on. `row_ns` is the measured time that each needs for a row, champion's first; without it the number of nodes
/// that they walk through stands for it.
///
/// # Errors
/// If no such row is left.
pub fn judge(
    detector: &Detector,
    set: &TrainingSet,
    test: &Range<i64>,
    champion: Option<&ModelFile>,
    challenger: &ModelFile,
    row_ns: Option<[f64; 2]>,
    criteria: &Criteria,
) -> Result<Verdict> {
    let test = set.within(&unseen(test, champion.into_iter().chain([challenger]))?);
    ensure!(!test.is_empty(), "there are no rows to compare the models on");
    let contender = |model: &ModelFile, at: usize| Contender {
        id: model.id.clone(),
        scores: probabilities(model, &test),
        review_score_min: model.review_score_min,
        effort: row_ns.map_or(model.forest.node_count() as f64, |each| each[at]),
        is_measured: row_ns.is_some(),
    };
    let champion = champion.map(|model| contender(model, 0));
    Ok(compare(&test, champion.as_ref(), &contender(challenger, 1), &detector.policy, criteria))
}
