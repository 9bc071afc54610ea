//! Models side by side: the same rows learnt from, the same rows tested on, every figure and picture that the field asks
//! for, as one page.

/// Drawings.
mod chart;
/// The page.
mod page;

use std::time::Instant;

use anyhow::Result;
use engine::decide::Basis;
use engine::detector::Detector;
use serde::Serialize;

use crate::artifact::ModelFile;
use crate::evaluate::metrics::{CurvePoint, Ranking, ReliabilityBin, calibration_error, reliability, thin};
use crate::evaluate::report::{Evaluation, Scored};
use crate::facts::fingerprint;
use crate::leaks::{self, Leak, mix};
use crate::split::Split;
use crate::train::{Recipe, TrainingSet, score_all, train};
use crate::validate::{Protocol, measure};

pub(crate) use chart::{Chart, Scale, escaped, short};
pub(crate) use page::STYLE;
pub use page::{drawings, page};

/// What takes part.
#[derive(Debug, Clone)]
pub struct Contestant {
    /// As people call it: "xgboost", "random-forest".
    pub family: String,
    /// How the classes were brought closer to each other: "as they are", "smote to 10 %".
    pub balance: String,
    /// How it is grown.
    pub recipe: Recipe,
}

/// What became of a contestant.
#[derive(Debug, Clone, Serialize)]
pub struct Entry {
    /// Its family.
    pub family: String,
    /// Its balance.
    pub balance: String,
    /// Its model's id.
    pub model: String,
    /// How long it took to grow, balancing, calibration and threshold included, in seconds.
    pub growing_s: f64,
    /// Trees.
    pub trees: usize,
    /// Time to score a row of the test, alone, in microseconds.
    pub score_us: f64,
    /// Figures of the test.
    #[serde(flatten)]
    pub evaluation: Evaluation,
    /// Expected calibration error over ten bins.
    pub calibration_error: f64,
    /// The reviews that cost least, where the detector says what things cost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cheapest: Option<CostPoint>,
    /// What takes how much of the average precision away when it is mixed up, the largest first.
    pub importance: Vec<Importance>,
    /// Curves for drawing.
    #[serde(skip)]
    pub pictures: Pictures,
}

/// A feature and what the model would be without it.
#[derive(Debug, Clone, Serialize)]
pub struct Importance {
    /// Its name.
    pub feature: String,
    /// Average precision lost.
    pub loss: f64,
}

/// Reviewing so many a day.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct CostPoint {
    /// From this score on.
    pub score_min: f64,
    /// Reviews a day.
    pub reviews_per_day: f64,
    /// Reviews, and frauds that pass, a day.
    pub cost_per_day: f64,
}

/// What is drawn of a contestant.
#[derive(Debug, Clone, Default)]
pub struct Pictures {
    roc: Vec<CurvePoint>,
    precision_recall: Vec<CurvePoint>,
    reliability: Vec<ReliabilityBin>,
    costs: Vec<CostPoint>,
    /// Shares of genuine rows and of frauds by twentieths of the score.
    histogram: [[f64; BINS]; 2],
}

/// A whole comparison.
#[derive(Debug, Serialize)]
pub struct Comparison {
    /// The detector's name.
    pub detector: String,
    /// The currency of amounts.
    pub currency: String,
    /// The file, as it was named.
    pub data: String,
    /// Fingerprint of the training rows.
    pub data_fingerprint: String,
    /// Fingerprint of the feature list.
    pub feature_fingerprint: String,
    /// The parts of the time.
    #[serde(serialize_with = "split_in_words")]
    pub split: Split,
    /// Training rows and frauds.
    pub train: [usize; 2],
    /// Test rows and frauds.
    pub test: [usize; 2],
    /// The machine, in words.
    pub machine: String,
    /// Signs of leaks.
    pub leaks: Vec<Leak>,
    /// What became of each contestant.
    pub entries: Vec<Entry>,
    /// Contestants that could not take part, and why.
    pub absent: Vec<String>,
}

fn split_in_words<S: serde::Serializer>(split: &Split, serializer: S) -> Result<S::Ok, S::Error> {
    use engine::time::format_instant;
    let times = [split.train.start, split.train.end, split.test.start, split.test.end];
    times.map(format_instant).serialize(serializer)
}

impl Comparison {
    /// A comparison of nobody yet, with the signs of leaks in its rows.
    ///
    /// # Errors
    /// If a feature has infinite values.
    pub fn begin(
        detector: &Detector,
        set: &TrainingSet,
        split: &Split,
        data: String,
        machine: String,
    ) -> Result<Comparison> {
        let (train, test) = (set.within(&split.train), set.within(&split.test));
        let mut leaks = leaks::in_features(detector, &train)?;
        leaks.extend(leaks::between(&train, &test));
        let size = |set: &TrainingSet| [set.len(), set.frauds()];
        Ok(Comparison {
            detector: detector.name.clone(),
            currency: detector.schema.currency.clone(),
            data,
            data_fingerprint: fingerprint(&train),
            feature_fingerprint: detector.feature_fingerprint.clone(),
            split: split.clone(),
            train: size(&train),
            test: size(&test),
            machine,
            leaks,
            entries: Vec::new(),
            absent: Vec::new(),
        })
    }
}

const BINS: usize = 20;

/// Points closer than this on a picture are one.
const RESOLUTION: f64 = 0.002;

/// Genuine rows by which importance is found, at most.
const IMPORTANCE_ROWS: usize = 20_000;

/// Features of which importance is shown.
const IMPORTANCES: usize = 12;

/// Grows and measures one contestant.
///
/// # Errors
/// If it cannot be grown, or the test has one class only.
pub fn contest(
    detector: &Detector,
    set: &TrainingSet,
    split: &Split,
    contestant: &Contestant,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<(ModelFile, Entry)> {
    let learnt = set.within(&split.train);
    let started = Instant::now();
    let recipe = &contestant.recipe;
    let model = train(detector, &learnt, recipe, &mut |grown| progress(grown.trees_done, grown.trees_total))?;
    let growing_s = started.elapsed().as_secs_f64();
    let (evaluation, scored) = measure(detector, set, split, &model, Protocol::All)?;
    let test = set.within(&split.test);
    let pictures = pictures(detector, split, &scored)?;
    let entry = Entry {
        family: contestant.family.clone(),
        balance: contestant.balance.clone(),
        model: model.id.clone(),
        growing_s,
        trees: model.forest.tree_count(),
        score_us: score_us(&model, &test),
        calibration_error: calibration_error(&pictures.reliability),
        cheapest: pictures.costs.iter().copied().min_by(|a, b| a.cost_per_day.total_cmp(&b.cost_per_day)),
        importance: importance(detector, &model, &test, evaluation.average_precision)?,
        evaluation,
        pictures,
    };
    Ok((model, entry))
}

fn score_us(model: &ModelFile, test: &TrainingSet) -> f64 {
    let scorer = model.forest.scorer();
    let started = Instant::now();
    std::hint::black_box(score_all(&scorer, test));
    started.elapsed().as_secs_f64() * 1e6 / test.len() as f64
}

fn pictures(detector: &Detector, split: &Split, scored: &Scored) -> Result<Pictures> {
    let ranking = Ranking::new(&scored.scores, &scored.labels)?;
    let mut histogram = [[0.0; BINS]; 2];
    for (score, fraud) in scored.scores.iter().zip(&scored.labels) {
        histogram[usize::from(*fraud)][((score * BINS as f64) as usize).min(BINS - 1)] += 1.0;
    }
    for shares in &mut histogram {
        let rows: f64 = shares.iter().sum();
        shares.iter_mut().for_each(|share| *share /= rows.max(1.0));
    }
    let days = (split.test.end - split.test.start) as f64 / engine::time::DAY_US as f64;
    let costs = match detector.policy.basis {
        Basis::Costs { review, .. } => costs(scored, review, days),
        Basis::Thresholds { .. } => Vec::new(),
    };
    Ok(Pictures {
        roc: thin(&ranking.roc_curve(), RESOLUTION),
        precision_recall: thin(&ranking.precision_recall_curve(), RESOLUTION),
        reliability: reliability(&scored.scores, &scored.labels, 10)?,
        costs,
        histogram,
    })
}

/// What reviewing the highest scores costs, for up to a twentieth of all rows.
fn costs(scored: &Scored, review: f64, days: f64) -> Vec<CostPoint> {
    let mut ranked: Vec<usize> = (0..scored.scores.len()).collect();
    ranked.sort_unstable_by(|a, b| scored.scores[*b].total_cmp(&scored.scores[*a]));
    let fraud = |row: usize| if scored.labels[row] { scored.amounts[row] } else { 0.0 };
    let mut passed: f64 = ranked.iter().map(|row| fraud(*row)).sum();
    let mut points = Vec::new();
    let every = (ranked.len() / 10_000).max(1);
    for (reviewed, row) in ranked.iter().enumerate().take(ranked.len() / 20 + 1) {
        if reviewed % every == 0 {
            points.push(CostPoint {
                score_min: scored.scores[*row],
                reviews_per_day: reviewed as f64 / days,
                cost_per_day: (passed + reviewed as f64 * review) / days,
            });
        }
        passed -= fraud(*row);
    }
    points
}

/// How much average precision is lost when a feature's values change places (Breiman, "Random forests", 2001, section 10).
fn importance(
    detector: &Detector,
    model: &ModelFile,
    test: &TrainingSet,
    of_all: f64,
) -> Result<Vec<Importance>> {
    let step = (test.len() / IMPORTANCE_ROWS).max(1);
    let rows: Vec<usize> = (0..test.len()).filter(|row| test.labels[*row] || row % step == 0).collect();
    let mut sample = test.select(&rows);
    let scorer = model.forest.scorer();
    let precision = |set: &TrainingSet| {
        Ranking::new(&score_all(&scorer, set), &set.labels).map(|r| r.average_precision())
    };
    // A sample with fewer genuine rows is easier: losses are brought to the scale of the whole test.
    let whole = precision(&sample)?;
    let mut losses = Vec::new();
    for (column, name) in detector.feature_names().into_iter().enumerate() {
        let own = sample.columns[column].clone();
        mix(&mut sample.columns[column], column as u64);
        let loss = (whole - precision(&sample)?) * of_all / whole.max(f64::MIN_POSITIVE);
        sample.columns[column] = own;
        losses.push(Importance { feature: name, loss });
    }
    losses.sort_by(|a, b| b.loss.total_cmp(&a.loss));
    losses.truncate(IMPORTANCES);
    Ok(losses)
}
