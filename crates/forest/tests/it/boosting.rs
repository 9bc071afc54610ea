//! What boosting promises, property by property: growth modes, regularization, constraints, categories, stopping,
//! continuing.

use forest::grow::{Algorithm, Direction, GrowError, Growth, History, Params, Table, grow, grow_from};
use forest::{Forest, Scratch};
use serde_json::Value;

use crate::table::{Sample, sample};

const GROWTHS: [Growth; 3] = [Growth::DepthWise, Growth::LeafWise, Growth::Symmetric];

fn defaults(trees: usize) -> Params {
    Params { trees, ..Params::defaults(Algorithm::Gbdt) }
}

fn grown(sample: &Sample, params: &Params) -> Forest {
    grow(&sample.table(), params, 2, &mut |_| {}).expect("a good table")
}

fn margins(forest: &Forest, sample: &Sample) -> Vec<f64> {
    let (scorer, mut scratch) = (forest.scorer(), Scratch::default());
    (0..sample.labels.len()).map(|row| scorer.margin(&sample.row(row), &mut scratch)).collect()
}

fn document(forest: &Forest) -> Value {
    serde_json::from_str(&forest.to_json()).expect("a forest is written as JSON")
}

fn leaves(tree: &Value) -> Vec<f64> {
    tree["nodes"].as_array().expect("nodes").iter().filter_map(|node| node["leaf"].as_f64()).collect()
}

#[test]
fn threads_do_not_show_in_any_growth() {
    // Large enough that chunks, draws and groups are shared out.
    let sample = sample(30_000, 19, 1);
    let categorical = vec!["f3".to_owned()];
    for growth in GROWTHS {
        let params =
            Params { growth, row_subsample: Some(0.4), categorical: categorical.clone(), ..defaults(5) };
        let of = |threads| grow(&sample.table(), &params, threads, &mut |_| {}).unwrap().to_json();
        let one = of(1);
        assert!(of(2) == one && of(4) == one, "{growth}");
    }
}

#[test]
fn symmetric_trees_ask_the_same_on_a_level() {
    let sample = sample(3000, 6, 2);
    let forest = document(&grown(&sample, &Params { max_depth: Some(3), ..defaults(10) }));
    for tree in forest["trees"].as_array().unwrap() {
        let nodes = tree["nodes"].as_array().unwrap();
        assert_eq!(nodes.len(), 15);
        for level in [0..1, 1..3, 3..7] {
            let asked =
                |node: &Value| (node["feature"].clone(), node["below"].clone(), node["missing"].clone());
            assert!(nodes[level.clone()].iter().all(|node| asked(node) == asked(&nodes[level.start])));
        }
    }
}

#[test]
fn leaf_wise_trees_keep_to_their_leaves() {
    let sample = sample(5000, 6, 3);
    let params = Params { growth: Growth::LeafWise, max_leaves: Some(7), max_depth: None, ..defaults(10) };
    let forest = grown(&sample, &params);
    assert!(document(&forest)["trees"].as_array().unwrap().iter().all(|tree| leaves(tree).len() <= 7));
    assert!(forest.max_depth() > 3, "with 7 leaves, a tree that follows the gain is deeper than 3");
    let shallow = grown(&sample, &Params { max_depth: Some(2), ..params });
    assert_eq!(shallow.max_depth(), 2);
}

/// One tree, one split, all rows: the leaves are `-G/(H + lambda)`, with G shrunk by L1.
#[test]
fn leaves_follow_the_formula() {
    let labels: Vec<bool> = (0..100).map(|at| if at < 40 { at < 4 } else { at < 70 }).collect();
    let column = (0..100).map(|at| if at < 40 { 0.0 } else { 1.0 }).collect();
    let sample = Sample { columns: vec![column], labels, names: vec!["x".to_owned()] };
    let p = 34.0 / 100.0f64;
    for growth in GROWTHS {
        for (lambda, l1) in [(0.0, 0.0), (5.0, 0.0), (0.0, 2.0), (3.0, 1.5), (0.0, 1000.0)] {
            let params = Params {
                growth,
                max_depth: Some(1),
                learning_rate: Some(1.0),
                warm_up: Some(0),
                row_subsample: Some(1.0),
                lambda,
                l1,
                ..defaults(1)
            };
            let forest = document(&grown(&sample, &params));
            let leaf = |rows: f64, positives: f64| {
                let gradient = rows * p - positives;
                -gradient.signum() * (gradient.abs() - l1).max(0.0) / (rows * p * (1.0 - p) + lambda)
            };
            let found = leaves(&forest["trees"][0]);
            // Too much L1 leaves nothing to gain, and one leaf of value 0.
            let expected = if l1 < 100.0 { vec![leaf(40.0, 4.0), leaf(60.0, 30.0)] } else { vec![0.0] };
            assert_eq!(found.len(), expected.len(), "{growth} {lambda} {l1}");
            for (found, expected) in found.iter().zip(expected) {
                assert!((found - expected).abs() < 1e-5, "{growth} {lambda} {l1}: {found} {expected}");
            }
        }
    }
}

#[test]
fn the_learning_rate_rises_over_the_warm_up() {
    let sample = sample(2000, 4, 5);
    let first = |warm_up| {
        let forest = grown(&sample, &Params { warm_up, learning_rate: Some(0.2), ..defaults(10) });
        leaves(&document(&forest)["trees"][0])
    };
    let (cold, warm) = (first(Some(5)), first(Some(0)));
    for (cold, warm) in cold.iter().zip(warm) {
        assert!((10.0 * cold - warm).abs() < 1e-12, "the first tree takes a tenth of the step");
    }
}

#[test]
fn weights_count_like_repeated_rows() {
    let once = sample(3000, 4, 9);
    let weights: Vec<f64> = (0..3000).map(|row| if row % 3 == 0 { 2.0 } else { 1.0 }).collect();
    let repeated = |row: usize| std::iter::repeat_n(row, if row.is_multiple_of(3) { 2 } else { 1 });
    let rows: Vec<usize> = (0..3000).flat_map(repeated).collect();
    let twice = Sample {
        columns: once.columns.iter().map(|column| rows.iter().map(|row| column[*row]).collect()).collect(),
        labels: rows.iter().map(|row| once.labels[*row]).collect(),
        names: once.names.clone(),
    };
    // Quantiles count rows, so values few enough to have a bin each.
    let coarse = |sample: &mut Sample| {
        sample.columns.iter_mut().flatten().for_each(|x| *x = (*x * 40.0).floor());
    };
    let (mut once, mut twice) = (once, twice);
    coarse(&mut once);
    coarse(&mut twice);
    for growth in GROWTHS {
        let params = Params { growth, row_subsample: Some(1.0), ..defaults(5) };
        let table = Table { weights: Some(&weights), ..once.table() };
        let weighted = grow(&table, &params, 1, &mut |_| {}).unwrap();
        let by_rows = grown(&twice, &params);
        // Rounding is by the row's number, so the same up to its fineness.
        for (a, b) in margins(&weighted, &once).iter().zip(margins(&by_rows, &once)) {
            assert!((a - b).abs() < 1e-3, "{growth}: {a} {b}");
        }
    }
}

#[test]
fn scores_keep_to_directions() {
    let mut sample = sample(6000, 4, 6);
    // Against the direction asked for, so that the constraint has work to do.
    sample.columns[1].iter_mut().for_each(|x| *x = -*x);
    for (direction, sign) in [(Direction::Rising, 1.0), (Direction::Falling, -1.0)] {
        for growth in GROWTHS {
            let monotone = vec![("f0".to_owned(), direction), ("f1".to_owned(), direction)];
            let params = Params { growth, max_depth: Some(4), monotone, ..defaults(40) };
            let forest = grown(&sample, &params);
            let (scorer, mut scratch) = (forest.scorer(), Scratch::default());
            for row in 0..200 {
                for feature in [0, 1] {
                    let mut last = f64::NEG_INFINITY;
                    for step in 0..=50 {
                        let mut values = sample.row(row);
                        values[feature] = (f64::from(step) / 25.0 - 1.0) * sign;
                        let margin = scorer.margin(&values, &mut scratch);
                        assert!(margin >= last - 1e-12, "{growth} {direction:?}: {margin} after {last}");
                        last = margin;
                    }
                }
            }
        }
    }
}

/// Without the constraint the same data breaks the direction: the test above can fail.
#[test]
fn directions_are_not_kept_by_chance() {
    let sample = sample(6000, 4, 6);
    let forest = grown(&sample, &Params { monotone: Vec::new(), ..defaults(40) });
    let (scorer, mut scratch) = (forest.scorer(), Scratch::default());
    let mut score = |x| scorer.margin(&[x, 0.5, 0.5, 2.0], &mut scratch);
    assert!(score(0.05) < score(0.95));
}

/// Every third category is fraudulent, in no order that a threshold could use.
fn planted() -> Sample {
    let mut sample = sample(8000, 3, 7);
    let category = |row: usize| (row * 7919 % 60) as f64;
    sample.columns.push((0..8000).map(category).collect());
    sample.names.push("merchant".to_owned());
    sample.labels = (0..8000).map(|row| category(row) % 3.0 == 1.0 && row % 7 < 6).collect();
    sample
}

#[test]
fn a_planted_set_is_found_in_one_split() {
    let sample = planted();
    let categorical = vec!["merchant".to_owned()];
    let one_split = Params { max_depth: Some(1), ..defaults(1) };
    let mut all = vec![Params { ..Params::defaults(Algorithm::DecisionTree) }];
    all[0].max_depth = Some(1);
    all.extend(GROWTHS.map(|growth| Params { growth, ..one_split.clone() }));
    for params in all {
        let forest = grown(&sample, &Params { categorical: categorical.clone(), ..params });
        let root = document(&forest)["trees"][0]["nodes"][0].clone();
        assert_eq!(root["feature"], 3);
        let planted: Vec<[f64; 2]> = (0..20).map(|at| f64::from(3 * at + 1)).map(|c| [c, c + 1.0]).collect();
        assert_eq!(root["within"], serde_json::json!(planted));
        let (scorer, mut scratch) = (forest.scorer(), Scratch::default());
        let mut score = |category| scorer.score(&[0.5, 0.5, 0.5, category], &mut scratch);
        assert!(score(4.0) > score(5.0));
        // A category never seen is with the majority.
        assert_eq!(score(1000.0), score(5.0));
    }
}

/// More categories than bins: the rare ones share a bin, which is that of the unseen as well.
#[test]
fn rare_categories_share_a_bin() {
    let mut sample = sample(8000, 2, 8);
    let category = |row: usize| if row.is_multiple_of(4) { (100 + row) as f64 } else { (row % 4) as f64 };
    sample.columns.push((0..8000).map(category).collect());
    sample.names.push("merchant".to_owned());
    sample.labels = (0..8000usize).map(|row| row.is_multiple_of(4) && row % 3 > 0).collect();
    let params = Params { categorical: vec!["merchant".to_owned()], max_depth: Some(2), ..defaults(20) };
    let (scorer, mut scratch) = (grown(&sample, &params).scorer(), Scratch::default());
    let mut score = |category| scorer.score(&[0.5, 0.5, category], &mut scratch);
    assert!(score(-77.0) > 0.3 && score(1e9) > 0.3, "unseen is scored as rare: {}", score(1e9));
    assert!(score(1.0) < 0.1);
}

#[test]
fn missing_categories_are_learnt_from() {
    let mut sample = planted();
    for row in 0..8000 {
        if row % 11 == 0 {
            sample.columns[3][row] = f64::NAN;
            sample.labels[row] = true;
        }
    }
    for growth in GROWTHS {
        let categorical = vec!["merchant".to_owned()];
        let forest = grown(&sample, &Params { growth, categorical, max_depth: Some(2), ..defaults(20) });
        let (scorer, mut scratch) = (forest.scorer(), Scratch::default());
        let mut score = |category| scorer.score(&[0.5, 0.5, 0.5, category], &mut scratch);
        assert!(score(f64::NAN) > 0.5 && score(5.0) < 0.2, "{growth}");
    }
}

/// A column of one value, and otherwise missing, has no threshold: that it is there at all is what tells.
#[test]
fn being_there_at_all_is_a_split() {
    let labels: Vec<bool> = (0..4000).map(|row| row % 5 == 0).collect();
    let column = labels.iter().map(|label| if *label { f64::NAN } else { 7.0 }).collect();
    let sample = Sample { columns: vec![column], labels, names: vec!["x".to_owned()] };
    for growth in GROWTHS {
        let forest = grown(&sample, &Params { growth, ..defaults(20) });
        let (scorer, mut scratch) = (forest.scorer(), Scratch::default());
        let mut score = |x| scorer.score(&[x], &mut scratch);
        assert!(score(f64::NAN) > 0.5 && score(7.0) < 0.1 && score(-1e9) == score(7.0), "{growth}");
        assert_eq!(Forest::from_json(&forest.to_json()).unwrap(), forest);
    }
}

/// Every known category together on one side, and the missing ones on the other: nothing is left to turn around.
#[test]
fn all_categories_against_missing_ones() {
    let labels: Vec<bool> = (0..4000).map(|row| row % 5 == 0).collect();
    let column = labels
        .iter()
        .enumerate()
        .map(|(row, label)| if *label { f64::NAN } else { (row % 3) as f64 })
        .collect();
    let sample = Sample { columns: vec![column], labels, names: vec!["x".to_owned()] };
    let mut all: Vec<Params> = GROWTHS.map(|growth| Params { growth, ..defaults(20) }).to_vec();
    all.push(Params::defaults(Algorithm::DecisionTree));
    for params in all {
        let forest = grown(&sample, &Params { categorical: vec!["x".to_owned()], ..params });
        let (scorer, mut scratch) = (forest.scorer(), Scratch::default());
        let mut score = |x| scorer.score(&[x], &mut scratch);
        assert!(score(f64::NAN) >= score(1.0));
    }
}

#[test]
fn growing_stops_at_the_best_round() {
    let (train, test) = (sample(1500, 5, 10), sample(1500, 5, 11));
    let table = test.table();
    let history = History { validation: Some(&table), ..History::default() };
    let params = Params {
        learning_rate: Some(0.5),
        warm_up: Some(0),
        min_child_weight: 0.0,
        lambda: 0.0,
        early_stopping: Some(10),
        max_depth: Some(6),
        ..defaults(300)
    };
    let mut rounds = 0;
    let stopped =
        grow_from(&train.table(), &params, history, 2, &mut |progress| rounds = progress.trees_done).unwrap();
    assert!(rounds < 300, "it stopped");
    assert_eq!(stopped.tree_count() + 10, rounds, "the best round, ten rounds before the last");
    let all = grown(&train, &Params { trees: rounds, early_stopping: None, ..params.clone() });
    let trees = |count| grown(&train, &Params { trees: count, early_stopping: None, ..params.clone() });
    assert_eq!(stopped, trees(stopped.tree_count()), "what was kept is what would have been grown");
    let reached = |forest: &Forest| average_precision(&margins(forest, &test), &test.labels);
    assert!(reached(&stopped) > reached(&all));
    for count in 1..rounds {
        assert!(reached(&trees(count)) <= reached(&stopped) + 1e-9, "{count} trees are better");
    }
}

fn average_precision(margins: &[f64], labels: &[bool]) -> f64 {
    let mut ranked: Vec<(f64, bool)> = margins.iter().copied().zip(labels.iter().copied()).collect();
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
    let positives = labels.iter().filter(|label| **label).count() as f64;
    let (mut seen, mut hits, mut area) = (0.0, 0.0, 0.0);
    for step in ranked.chunk_by(|a, b| a.0 == b.0) {
        let new_hits = step.iter().filter(|(_, label)| *label).count() as f64;
        seen += step.len() as f64;
        hits += new_hits;
        area += new_hits / positives * hits / seen;
    }
    area
}

/// Growing on from 15 trees gives what 30 trees would have been.
#[test]
fn continuing_goes_on_from_the_margins() {
    let sample = sample(4000, 5, 12);
    for growth in GROWTHS {
        let params = Params { growth, learning_rate: Some(0.1), warm_up: Some(0), ..defaults(15) };
        let half = grown(&sample, &params);
        let history = History { continue_from: Some(&half), ..History::default() };
        let continued = grow_from(&sample.table(), &params, history, 2, &mut |_| {}).unwrap();
        assert_eq!(continued.tree_count(), 30);
        let whole = grown(&sample, &Params { trees: 30, ..params });
        for (a, b) in margins(&continued, &sample).iter().zip(margins(&whole, &sample)) {
            assert!((a - b).abs() < 1e-9, "{growth}: {a} {b}");
        }
    }
}

#[test]
fn a_continued_forest_learns_what_is_new() {
    let (old, mut new) = (sample(4000, 4, 13), sample(4000, 4, 14));
    new.labels = new.columns[3].iter().map(|x| *x > 5.5).collect();
    let before = grown(&old, &defaults(50));
    let history = History { continue_from: Some(&before), ..History::default() };
    let after = grow_from(&new.table(), &defaults(50), history, 2, &mut |_| {}).unwrap();
    assert_eq!(
        document(&after)["trees"].as_array().unwrap()[..50],
        document(&before)["trees"].as_array().unwrap()[..]
    );
    let reached = |forest: &Forest| average_precision(&margins(forest, &new), &new.labels);
    assert!(reached(&after) > reached(&before) + 0.3);
}

#[test]
fn leaves_hold_as_many_rows_as_asked_for() {
    let sample = sample(2000, 4, 15);
    for growth in [Growth::DepthWise, Growth::LeafWise] {
        let params = Params { growth, min_samples_leaf: 150, max_depth: Some(6), ..defaults(3) };
        let forest = grown(&sample, &params);
        let (scorer, mut scratch) = (forest.scorer(), Scratch::default());
        // Rows of one leaf in every tree have one score, so the leaves of three trees hold at least so many.
        assert!(forest.node_count() > 9 && forest.node_count() <= 3 * (2 * 2000 / 150));
        assert!(scorer.score(&sample.row(0), &mut scratch) > 0.0);
    }
}

#[test]
fn what_cannot_be_is_refused() {
    let sample = sample(200, 3, 16);
    let other =
        Sample { names: ["a", "b", "c"].map(str::to_owned).to_vec(), ..crate::table::sample(200, 3, 16) };
    let forest_of_others = grown(&other, &defaults(2));
    let bagged = grown(&sample, &Params { trees: 2, ..Params::defaults(Algorithm::RandomForest) });
    let other_table = other.table();
    let refused = |params: Params, history: History, message: &str| {
        let error: GrowError =
            grow_from(&sample.table(), &params, history, 1, &mut |_| {}).expect_err(message);
        assert_eq!(error.to_string(), message);
    };
    let none = History::default();
    let f0 = || "f0".to_owned();
    refused(
        Params { categorical: vec!["colour".to_owned()], ..defaults(2) },
        none,
        "categorical: there is no column \"colour\"",
    );
    refused(
        Params { monotone: vec![("colour".to_owned(), Direction::Rising)], ..defaults(2) },
        none,
        "monotone: there is no column \"colour\"",
    );
    refused(
        Params { categorical: vec![f0()], monotone: vec![(f0(), Direction::Rising)], ..defaults(2) },
        none,
        "monotone: expected a column that is named once in categorical and monotone together, got f0",
    );
    let fraction = sample.columns[0][0];
    refused(
        Params { categorical: vec![f0()], ..defaults(2) },
        none,
        &format!("column \"f0\", row 0: expected a whole number that names a category, got {fraction}"),
    );
    refused(
        Params { early_stopping: Some(5), ..defaults(2) },
        none,
        "early_stopping: expected none, because there is no validation table, got 5",
    );
    refused(
        defaults(2),
        History { validation: Some(&other_table), ..none },
        "the validation table: its columns are not those of the table to learn from",
    );
    refused(
        defaults(2),
        History { continue_from: Some(&forest_of_others), ..none },
        "the forest to continue from has other features than the table has columns",
    );
    refused(
        defaults(2),
        History { continue_from: Some(&bagged), ..none },
        "the forest to continue from is not boosted with logistic loss",
    );
    refused(
        Params { monotone: vec![(f0(), Direction::Rising)], ..Params::defaults(Algorithm::RandomForest) },
        none,
        "monotone: expected none unless boosting, got f0",
    );
    refused(
        Params { max_leaves: Some(8), ..defaults(2) },
        none,
        "max_leaves: expected none, or 2 to 4096 if growth is leaf-wise, got 8",
    );
}
