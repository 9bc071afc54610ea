//! A recipe on several splits of the time: for each a model is grown before and measured after.

use anyhow::{Context, Result};
use engine::detector::Detector;
use engine::time::{DAY_US, format_instant};
use serde::Serialize;

use crate::artifact::ModelFile;
use crate::evaluate::report::{Evaluation, Scored, evaluate, handbook_rows};
use crate::split::Split;
use crate::synth::made::refuse_seen;
use crate::train::{Recipe, TrainingSet, score_all, train};

/// Which rows of a test count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// All.
    All,
    /// The Handbook's: those of cards that are not known to be defrauded.
    Handbook,
}

/// A split and what came of it.
#[derive(Debug, Clone, Serialize)]
pub struct Fold {
    /// First instant of training.
    pub train_from: String,
    /// First instant after it.
    pub train_to: String,
    /// First instant of the test.
    pub test_from: String,
    /// First instant after it.
    pub test_to: String,
    /// Rows learnt from.
    pub train_rows: usize,
    /// Of them fraud.
    pub train_frauds: usize,
    /// Figures of the test.
    #[serde(flatten)]
    pub evaluation: Evaluation,
}

/// Mean and standard deviation (n - 1) of a figure over folds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// The mean.
    pub mean: f64,
    /// 0 for one fold.
    pub deviation: f64,
}

impl Spread {
    /// Of some numbers; `None` of none.
    pub fn of(values: &[f64]) -> Option<Spread> {
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        (count > 0.0).then(|| Spread { mean, deviation: (squares / (count - 1.0).max(1.0)).sqrt() })
    }
}

/// Grows and measures a model for one split of a set that holds both its parts.
///
/// # Errors
/// If the training part cannot be learnt from, or the test part has one class only.
pub fn fold(
    detector: &Detector,
    set: &TrainingSet,
    split: &Split,
    recipe: &Recipe,
    protocol: Protocol,
) -> Result<Fold> {
    let learnt = set.within(&split.train);
    let at = format!("the fold with the test from {}", format_instant(split.test.start));
    let model = train(detector, &learnt, recipe, &mut |_| {}).with_context(|| at.clone())?;
    let (evaluation, _) = measure(detector, set, split, &model, protocol).with_context(|| at)?;
    Ok(Fold {
        train_from: format_instant(split.train.start),
        train_to: format_instant(split.train.end),
        test_from: format_instant(split.test.start),
        test_to: format_instant(split.test.end),
        train_rows: learnt.len(),
        train_frauds: learnt.frauds(),
        evaluation,
    })
}

/// The figures of a model on a split's test part, and the rows they come from, scored.
///
/// # Errors
/// If the test part has one class only.
pub fn measure(
    detector: &Detector,
    set: &TrainingSet,
    split: &Split,
    model: &ModelFile,
    protocol: Protocol,
) -> Result<(Evaluation, Scored)> {
    refuse_seen(model, &split.test)?;
    let test = match protocol {
        Protocol::All => set.within(&split.test),
        Protocol::Handbook => set.select(&handbook_test(set, split)?),
    };
    let mut scores = score_all(&model.forest.scorer(), &test);
    if let Some(calibration) = &model.calibration {
        scores.iter_mut().for_each(|score| *score = calibration.probability(*score));
    }
    let scored = Scored::of(&test, scores, detector, model.review_score_min);
    Ok((evaluate(&scored, Some(detector))?, scored))
}

/// The rows of the test that the Handbook keeps.
fn handbook_test(set: &TrainingSet, split: &Split) -> Result<Vec<usize>> {
    let days: Vec<i32> = set.times_us.iter().map(|time| time.div_euclid(DAY_US) as i32).collect();
    handbook_rows(&days, &set.cards, &set.labels, &split.train, &split.test)
}
