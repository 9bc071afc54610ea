//! How a model came to be, as the registry keeps it and MLflow is told it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use forest::Forest;

use crate::artifact::ModelFile;
use crate::evaluate::metrics::{Ranking, log_loss};
use crate::train::TrainingSet;

/// All that must be known to make the same model again, and how good it was found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// Of the model.
    pub model_id: String,
    /// Name of the detector.
    pub detector: String,
    /// Fingerprint of the feature list.
    pub feature_fingerprint: String,
    /// The file that was learnt from, as it was named.
    pub data: String,
    /// Fingerprint of the rows that were learnt from: features, labels and times.
    pub data_fingerprint: String,
    /// What grew the trees.
    pub engine: String,
    /// Its version.
    pub engine_version: String,
    /// `gbdt`, `random-forest` or `decision-tree`.
    pub algorithm: String,
    /// Parameters of growing, balancing and calibration.
    pub parameters: BTreeMap<String, String>,
    /// First instant of the training data.
    pub trained_from: String,
    /// First instant after it.
    pub trained_to: String,
    /// Rows learnt from.
    pub rows: u64,
    /// Of them fraud.
    pub frauds: u64,
    /// Seed of everything random.
    pub seed: u64,
    /// How long growing took, in seconds.
    pub growing_s: f64,
    /// Figures on data later than the training's, by name, as `average_precision`.
    pub metrics: BTreeMap<String, f64>,
    /// The same for each fold of a prequential validation.
    pub folds: Vec<Fold>,
    /// Figures by number of trees: of the last fold's model on its test, or without folds of a library's early stopping on
    /// the rows held out for it.
    pub iterations: Vec<Iteration>,
    /// Version of redflag.
    pub redflag_version: String,
    /// When, as RFC 3339.
    pub made_at: String,
}

/// Figures of a model trained before a stretch of time, on that stretch.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Fold {
    /// First instant of the stretch.
    pub from: String,
    /// First instant after it.
    pub to: String,
    /// By name.
    pub metrics: BTreeMap<String, f64>,
}

/// Most numbers of trees that are looked at.
const ITERATIONS: usize = 100;

/// How well a model's first trees do on rows that it was not grown on: evenly spaced, the last with all trees. Empty where
/// they are of one class.
pub fn iterations(forest: &Forest, test: &TrainingSet) -> Vec<Iteration> {
    let every = forest.tree_count().div_ceil(ITERATIONS).max(1);
    let mut iterations = Vec::new();
    forest.scores_by_tree(&test.columns, &mut |trees, scores| {
        if trees % every == 0 || trees == forest.tree_count() {
            iterations.extend(iteration(trees, scores, &test.labels));
        }
    });
    iterations
}

fn iteration(trees: usize, scores: &[f64], labels: &[bool]) -> Option<Iteration> {
    let ranking = Ranking::new(scores, labels).ok()?;
    let metrics = [
        ("average_precision".to_string(), ranking.average_precision()),
        ("auc_roc".to_string(), ranking.auc_roc()),
        ("log_loss".to_string(), log_loss(scores, labels).ok()?),
    ];
    Some(Iteration { trees: trees as u64, metrics: metrics.into() })
}

/// Figures after so many trees.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Iteration {
    /// Trees.
    pub trees: u64,
    /// By name.
    pub metrics: BTreeMap<String, f64>,
}

impl Facts {
    /// What a model file and the rows it was trained on say; the rest is empty.
    pub fn of(model: &ModelFile, set: &TrainingSet) -> Facts {
        Facts { data_fingerprint: fingerprint(set), ..Facts::of_file(model) }
    }

    /// What a model file says; the rest is empty.
    pub fn of_file(model: &ModelFile) -> Facts {
        Facts {
            model_id: model.id.clone(),
            detector: model.detector.clone(),
            feature_fingerprint: model.feature_fingerprint.clone(),
            engine: model.engine.clone(),
            engine_version: engine_version(model),
            algorithm: model.algorithm.clone(),
            parameters: model.parameters.clone(),
            trained_from: model.trained_from.clone(),
            trained_to: model.trained_to.clone(),
            rows: model.rows,
            frauds: model.frauds,
            seed: model.parameters.get("seed").and_then(|seed| seed.parse().ok()).unwrap_or_default(),
            metrics: model.metrics.clone(),
            redflag_version: env!("CARGO_PKG_VERSION").to_string(),
            ..Facts::default()
        }
    }
}

/// That of the library that grew the forest, which is redflag itself if none is named; an imported model's file may say it.
fn engine_version(model: &ModelFile) -> String {
    let named = ["engine_version", "version"].iter().find_map(|name| model.parameters.get(*name));
    let own = (model.engine == "builtin").then(|| env!("CARGO_PKG_VERSION").to_string());
    named.cloned().or(own).unwrap_or_default()
}

/// The same rows give the same 16 digits on every machine; another value, label or order gives others.
pub fn fingerprint(set: &TrainingSet) -> String {
    let numbers = set.columns.iter().flatten().map(|value| value.to_bits());
    let labels = set.labels.iter().map(|label| u64::from(*label));
    let times = set.times_us.iter().map(|time| *time as u64);
    let words = numbers.chain(labels).chain(times);
    let start = 0xcbf2_9ce4_8422_2325 ^ set.columns.len() as u64;
    // FNV-1a by words, with the high half mixed down: it names rows, it does not defend them.
    let digest = words.fold(start, |hash: u64, word| {
        let mixed = (hash ^ word).wrapping_mul(0x0100_0000_01b3);
        mixed ^ (mixed >> 32)
    });
    format!("{digest:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::Row;

    #[test]
    fn another_value_label_time_or_order_is_another_fingerprint() {
        let mut set = TrainingSet::new(2, None);
        set.push(Row { time_us: 10, ..Row::default() }, &[1.0, 3.0]);
        set.push(Row { time_us: 20, fraud: true, ..Row::default() }, &[2.0, 4.0]);
        let own = fingerprint(&set);
        assert_eq!(fingerprint(&set.clone()), own);
        let changed = |change: fn(&mut TrainingSet)| {
            let mut other = set.clone();
            change(&mut other);
            other
        };
        let others = [
            changed(|set| set.columns[1][1] = 4.5),
            changed(|set| set.labels.reverse()),
            changed(|set| set.times_us[1] = 21),
            changed(|set| set.columns.reverse()),
        ];
        for other in others {
            assert_ne!(fingerprint(&other), own);
        }
    }
}
