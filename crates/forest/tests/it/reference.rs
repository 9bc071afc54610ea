//! Growing against scikit-learn and XGBoost; `fixtures/make_reference.py` made the numbers.

use forest::grow::{Algorithm, Params, grow};
use forest::{Forest, Scratch};
use serde_json::Value;

use crate::table::Sample;

/// As many as the reference is a mean of.
const SEEDS: u64 = 5;

struct Reference {
    numbers: Value,
    train: Sample,
    test: Sample,
}

fn reference() -> Reference {
    let numbers: Value =
        serde_json::from_str(include_str!("../fixtures/reference.json")).expect("the fixture is JSON");
    let (train, test) = (sample(&numbers["train"]), sample(&numbers["test"]));
    Reference { numbers, train, test }
}

fn sample(value: &Value) -> Sample {
    let list = |value: &Value| -> Vec<f64> {
        value.as_array().expect("a list").iter().map(|x| x.as_f64().expect("a number")).collect()
    };
    let columns: Vec<Vec<f64>> = value["columns"].as_array().expect("a list").iter().map(list).collect();
    let labels = list(&value["labels"]).into_iter().map(|label| label == 1.0).collect();
    let names = (0..columns.len()).map(|at| format!("f{at}")).collect();
    Sample { columns, labels, names }
}

fn grown(reference: &Reference, params: &Params) -> Forest {
    grow(&reference.train.table(), params, 2, &mut |_| {}).expect("a good table")
}

/// Area under the precision-recall steps, as scikit-learn defines it; equal scores are one step.
fn average_precision(forest: &Forest, sample: &Sample) -> f64 {
    let mut scores = Vec::new();
    forest.scorer().score_batch(&sample.rows(), &mut Scratch::default(), &mut scores);
    let mut ranked: Vec<(f64, bool)> = scores.into_iter().zip(sample.labels.iter().copied()).collect();
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
    let positives = sample.labels.iter().filter(|label| **label).count() as f64;
    let (mut seen, mut hits, mut area) = (0.0, 0.0, 0.0);
    for step in ranked.chunk_by(|a, b| a.0 == b.0) {
        let new_hits = step.iter().filter(|(_, label)| *label).count() as f64;
        seen += step.len() as f64;
        hits += new_hits;
        area += new_hits / positives * hits / seen;
    }
    area
}

fn check_not_below(algorithm: Algorithm, key: &str, params: Params, tolerance: f64) {
    let reference = reference();
    let theirs = reference.numbers[key]["average_precision"].as_f64().expect("a number");
    let ours = (0..SEEDS)
        .map(|seed| {
            average_precision(&grown(&reference, &Params { seed, ..params.clone() }), &reference.test)
        })
        .sum::<f64>()
        / SEEDS as f64;
    assert!(ours > theirs - tolerance, "{algorithm}: {ours} against {theirs}");
}

#[test]
fn boosting_is_not_below_xgboost() {
    let defaults = Params::defaults(Algorithm::Gbdt);
    check_not_below(Algorithm::Gbdt, "gbdt", defaults, 0.01);
}

/// 200 trees of depth 6 and everything else by default, against the best of three libraries given the same.
#[test]
fn boosting_is_not_below_the_best_library() {
    let reference = reference();
    let peers = reference.numbers["peers"].as_object().expect("three libraries");
    assert_eq!(peers.len(), 3);
    let best = peers.values().max_by(|a, b| {
        let reached = |peer: &Value| peer["average_precision"].as_f64().expect("a number");
        reached(a).total_cmp(&reached(b))
    });
    let best = best.expect("three libraries")["average_precision"].as_f64().expect("a number");
    let params = Params { max_depth: Some(6), ..Params::defaults(Algorithm::Gbdt) };
    let reached =
        |seed| average_precision(&grown(&reference, &Params { seed, ..params.clone() }), &reference.test);
    let ours = (0..SEEDS).map(reached).sum::<f64>() / SEEDS as f64;
    assert!(ours > best - 0.01, "{ours} against {best}");
}

#[test]
fn forests_are_not_below_scikit_learn() {
    let defaults = Params::defaults(Algorithm::RandomForest);
    check_not_below(Algorithm::RandomForest, "random_forest", defaults, 0.01);
}

#[test]
fn a_tree_is_not_below_scikit_learn() {
    let params = Params { max_depth: Some(4), ..Params::defaults(Algorithm::DecisionTree) };
    check_not_below(Algorithm::DecisionTree, "decision_tree", params, 0.005);
}

/// With values this varied no two splits are equally good in the first levels, so the trees are the same.
#[test]
fn a_tree_splits_where_scikit_learn_does() {
    let reference = reference();
    let params = Params { max_depth: Some(4), ..Params::defaults(Algorithm::DecisionTree) };
    let document: Value = serde_json::from_str(&grown(&reference, &params).to_json()).unwrap();
    let nodes = document["trees"][0]["nodes"].as_array().unwrap();
    let ours: Vec<[f64; 3]> = nodes
        .iter()
        .filter(|node| node.get("feature").is_some())
        .map(|node| ["feature", "below", "cover"].map(|key| node[key].as_f64().unwrap()))
        .collect();
    let theirs: Vec<[f64; 3]> = reference.numbers["decision_tree"]["splits"]
        .as_array()
        .unwrap()
        .iter()
        .map(|split| [0, 1, 2].map(|at| split[at].as_f64().unwrap()))
        .collect();
    assert_eq!(ours, theirs);
}
