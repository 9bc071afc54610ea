//! Whether a model that learns from synthetic rows finds real frauds: train on synthetic, test on real (Esteban, Hyland and
//! Rätsch, "Real-valued (medical) time series generation with recurrent conditional GANs", 2017).

use std::sync::Arc;

use anyhow::{Result, ensure};
use engine::detector::{Definition, Detector, Source};
use serde::Serialize;

use super::discriminator::{Learner, rows_of};
use super::history::observe;
use super::sample::{Sample, by_itself, draw, part};
use crate::evaluate::metrics::Ranking;
use crate::synth::table::Table;

/// The share of real rows that is tested on where no others are given.
const TEST_SHARE: f64 = 0.3;
/// Rows that are learnt from or tested on, at most.
pub const ROWS_MAX: usize = 200_000;

/// How models do on real rows that none of them learnt from.
#[derive(Debug, Clone, Serialize)]
pub struct Learning {
    /// Average precision of one that learnt from real rows.
    pub train_real_test_real_average_precision: f64,
    /// Of one that learnt from synthetic rows.
    pub train_synthetic_test_real_average_precision: f64,
    /// Of one that learnt from both.
    pub train_both_test_real_average_precision: f64,
    /// Area under the ROC curve of one that learnt from real rows.
    pub train_real_test_real_auc_roc: f64,
    /// Of one that learnt from synthetic rows.
    pub train_synthetic_test_real_auc_roc: f64,
    /// Of one that learnt from both.
    pub train_both_test_real_auc_roc: f64,
    /// The share of frauds in the test: the average precision of guessing.
    pub test_fraud_share: f64,
    /// Rows of the test.
    pub test_rows: usize,
    /// Frauds of the test.
    pub test_frauds: usize,
    /// Which rows the test is.
    pub test_is: String,
    /// Inputs that alone know nearly all frauds of the test, in words: leaks, until shown otherwise.
    #[serde(skip)]
    pub telling: Vec<String>,
}

/// Inputs and labels.
struct Rows {
    columns: Vec<Vec<f64>>,
    labels: Vec<bool>,
}

impl Rows {
    fn of_table(table: &Table) -> Rows {
        let labels =
            table.label().map_or(Vec::new(), |label| label.values.iter().map(|v| *v == 1.0).collect());
        Rows { columns: Learner::inputs(&by_itself(table)), labels }
    }

    fn len(&self) -> usize {
        self.labels.len()
    }

    fn select(&self, rows: &[usize]) -> Rows {
        let labels = rows.iter().map(|row| self.labels[*row]).collect();
        Rows { columns: rows_of(&self.columns, rows), labels }
    }

    /// At most so many of them, by chance.
    fn drawn(&self, seed: u64, purpose: u64) -> Rows {
        self.select(&draw(self.len(), ROWS_MAX, seed, purpose))
    }

    fn with(&self, more: &Rows) -> Rows {
        let joined = |(a, b): (&Vec<f64>, &Vec<f64>)| a.iter().chain(b).copied().collect();
        let columns = self.columns.iter().zip(&more.columns).map(joined).collect();
        Rows { columns, labels: self.labels.iter().chain(&more.labels).copied().collect() }
    }

    fn has_both(&self) -> bool {
        self.labels.contains(&true) && self.labels.contains(&false)
    }
}

/// Trains redflag's boosted trees with default parameters on real rows, on synthetic rows and on both, and tests them on real
/// rows: those held out, else the last part of the time, else a part by chance. With a detector, each file goes through the
/// engine as a stream and what is learnt from is the detector's features.
///
/// # Errors
/// If a part has one class only.
pub fn learning(
    (real, synthetic, held_out): (&Sample, &Sample, Option<&Sample>),
    detector: Option<&Arc<Detector>>,
    seed: u64,
) -> Result<Learning> {
    let (learner, known, made) = match (detector, &real.events, &synthetic.events) {
        (Some(detector), Some(events), Some(made)) => {
            let mut parts = vec![events];
            parts.extend(held_out.and_then(|sample| sample.events.as_ref()));
            let mut known = Rows::of_table(&real.table);
            known.labels.extend(held_out.into_iter().flat_map(|sample| Rows::of_table(&sample.table).labels));
            known.columns = observe(detector, &parts).features;
            let labels = Rows::of_table(&synthetic.table).labels;
            let made = Rows { columns: observe(detector, &[made]).features, labels };
            (features_learner(detector, seed), known, made)
        }
        _ => {
            let own = Rows::of_table(&real.table);
            let known = held_out
                .map_or(Rows { ..own.select(&all(&own)) }, |held| own.with(&Rows::of_table(&held.table)));
            (Learner::new(&by_itself(&real.table), seed), known, Rows::of_table(&synthetic.table))
        }
    };
    let (learnt, test, test_is) = match held_out {
        Some(_) => {
            let cut = real.len();
            ((0..cut).collect(), (cut..known.len()).collect(), "the rows held out".to_string())
        }
        None => later_or_drawn(&real.table, &known, seed),
    };
    let (learnt, test) = (known.select(&learnt).drawn(seed, 41), known.select(&test).drawn(seed, 42));
    measure(&learner, [&learnt, &made.drawn(seed, 43)], &test, test_is)
}

fn all(rows: &Rows) -> Vec<usize> {
    (0..rows.len()).collect()
}

fn features_learner(detector: &Detector, seed: u64) -> Learner {
    let is_word = |feature: &&engine::detector::Feature| {
        matches!(feature.definition, Definition::Field(Source::Text(_)))
    };
    let words = detector.features.iter().filter(is_word).map(|feature| feature.name.clone());
    Learner::of_names(detector.feature_names(), words.collect(), seed)
}

/// The rows to learn from and those to test on: later ones where times are known and both parts have both classes.
fn later_or_drawn(table: &Table, rows: &Rows, seed: u64) -> (Vec<usize>, Vec<usize>, String) {
    if table.times_us.len() == table.len() {
        let mut order: Vec<usize> = (0..table.len()).collect();
        order.sort_by_key(|row| table.times_us[*row]);
        let cut = (table.len() as f64 * (1.0 - TEST_SHARE)) as usize;
        let (before, after) = (order[..cut].to_vec(), order[cut..].to_vec());
        if rows.select(&before).has_both() && rows.select(&after).has_both() {
            return (before, after, "the last 30 % of the real rows by time".to_string());
        }
    }
    let (before, after) = part(table, 1.0 - TEST_SHARE, seed, 44);
    (before, after, "30 % of the real rows by chance, of each class alike".to_string())
}

fn measure(learner: &Learner, [real, made]: [&Rows; 2], test: &Rows, test_is: String) -> Result<Learning> {
    for (rows, what) in
        [(real, "real rows to learn from"), (made, "synthetic rows"), (test, "real rows to test on")]
    {
        ensure!(rows.has_both(), "the {what} have one class only");
    }
    let score = |rows: &Rows| -> Result<[f64; 2]> {
        let scores = learner.learn_and_score((&rows.columns, &rows.labels), &test.columns)?;
        let ranking = Ranking::new(&scores, &test.labels)?;
        Ok([ranking.average_precision(), ranking.auc_roc()])
    };
    let [of_real, of_made, of_both] = [score(real)?, score(made)?, score(&real.with(made))?];
    let test_frauds = test.labels.iter().filter(|fraud| **fraud).count();
    Ok(Learning {
        train_real_test_real_average_precision: of_real[0],
        train_synthetic_test_real_average_precision: of_made[0],
        train_both_test_real_average_precision: of_both[0],
        train_real_test_real_auc_roc: of_real[1],
        train_synthetic_test_real_auc_roc: of_made[1],
        train_both_test_real_auc_roc: of_both[1],
        test_fraud_share: test_frauds as f64 / test.len() as f64,
        test_rows: test.len(),
        test_frauds,
        test_is,
        telling: telling(learner, test),
    })
}

/// The average precision from which on a single input is too good to be true.
const TELLING_MIN: f64 = 0.95;

fn telling(learner: &Learner, test: &Rows) -> Vec<String> {
    let precision = |column: &[f64], sign: f64| {
        let scores: Vec<f64> = column
            .iter()
            .map(|value| if value.is_nan() { f64::NEG_INFINITY } else { sign * value })
            .collect();
        Ranking::new(&scores, &test.labels).map_or(0.0, |ranking| ranking.average_precision())
    };
    let said = |(name, column): (&String, &Vec<f64>)| {
        let best = precision(column, 1.0).max(precision(column, -1.0));
        (best >= TELLING_MIN).then(|| {
            format!(
                "`{name}` alone ranks the real frauds of the test with an average precision of {best:.3}: a leak until shown \
                 otherwise, and figures of learning say little"
            )
        })
    };
    learner.names().iter().zip(&test.columns).filter_map(said).collect()
}
