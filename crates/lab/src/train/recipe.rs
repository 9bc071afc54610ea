//! How a model is made of a training set.

use std::collections::BTreeMap;

use forest::grow::{Algorithm, Direction, Growth, Params};

use super::threshold::Threshold;
use crate::artifact::ModelFile;
use crate::balance::Balance;
use crate::calibrate;

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

impl Recipe {
    /// These parameters and nothing else.
    pub fn plain(params: Params) -> Recipe {
        Recipe { params, balance: None, calibrate: None, threshold: None }
    }

    /// What is asked for beside the parameters of growing, by name.
    pub(super) fn in_words(&self) -> impl Iterator<Item = (String, String)> {
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

/// The parameters of growing as a model file says them.
pub(super) fn parameters(
    params: &Params,
    rows: usize,
    older: Option<&ModelFile>,
) -> BTreeMap<String, String> {
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
