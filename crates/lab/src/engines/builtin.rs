use std::collections::BTreeMap;

use forest::Forest;
use forest::grow::{self, Algorithm, Direction, Growth, History, Params, Table};

use super::{EngineError, Progress};
use crate::artifact::ModelFile;
use crate::train::cores;

pub(super) fn grow(
    params: &Params,
    table: &Table,
    validation: Option<&Table>,
    older: Option<&Forest>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Forest, EngineError> {
    let history = History { continue_from: older, validation };
    Ok(grow::grow_from(table, params, history, cores(), &mut |grown| {
        let grow::Progress { trees_done, trees_total } = grown;
        progress(Progress { trees_done, trees_total, average_precision: None });
    })?)
}

/// The parameters with those that a search has chosen.
pub(super) fn tuned(params: &Params, chosen: &BTreeMap<String, f64>) -> Params {
    let mut tuned = params.clone();
    for (name, value) in chosen {
        match name.as_str() {
            "trees" => tuned.trees = *value as usize,
            "max_depth" => tuned.max_depth = Some(*value as u32),
            "learning_rate" => tuned.learning_rate = Some(*value),
            "lambda" => tuned.lambda = *value,
            "row_subsample" => tuned.row_subsample = Some(*value),
            "column_subsample" => tuned.column_subsample = Some(*value),
            "min_samples_leaf" => tuned.min_samples_leaf = *value as usize,
            other => unreachable!("no search chooses `{other}`"),
        }
    }
    tuned
}

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
