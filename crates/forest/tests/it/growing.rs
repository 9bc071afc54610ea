//! Growing: the same forest for a seed on any number of threads, and input that is refused.

use forest::grow::{Algorithm, Growth, Params, Table, grow};
use forest::{Forest, Scratch};

use crate::table::{Sample, sample};

const ALGORITHMS: [Algorithm; 3] = [Algorithm::Gbdt, Algorithm::RandomForest, Algorithm::DecisionTree];

fn grown(sample: &Sample, params: &Params, threads: usize) -> Forest {
    grow(&sample.table(), params, threads, &mut |_| {}).expect("a good table")
}

#[test]
fn threads_do_not_show() {
    let sample = sample(3000, 7, 1);
    for algorithm in ALGORITHMS {
        let params = Params {
            trees: if algorithm == Algorithm::DecisionTree { 1 } else { 20 },
            ..Params::defaults(algorithm)
        };
        let one = grown(&sample, &params, 1).to_json();
        for threads in [2, 4] {
            assert!(grown(&sample, &params, threads).to_json() == one, "{algorithm} on {threads} threads");
        }
    }
}

#[test]
fn scores_separate_the_classes() {
    let sample = sample(4000, 6, 2);
    for algorithm in ALGORITHMS {
        let forest = grown(&sample, &Params::defaults(algorithm), 2);
        let mut scores = Vec::new();
        forest.scorer().score_batch(&sample.rows(), &mut Scratch::default(), &mut scores);
        let mean = |class: bool| {
            let of: Vec<f64> =
                scores.iter().zip(&sample.labels).filter(|(_, l)| **l == class).map(|(s, _)| *s).collect();
            of.iter().sum::<f64>() / of.len() as f64
        };
        assert!(mean(true) > mean(false) + 0.1, "{algorithm}: {} {}", mean(true), mean(false));
    }
}

#[test]
fn scores_by_tree_end_with_the_scores_of_the_forest() {
    let sample = sample(500, 5, 8);
    for (algorithm, trees) in
        [(Algorithm::Gbdt, 12), (Algorithm::RandomForest, 12), (Algorithm::DecisionTree, 1)]
    {
        let forest = grown(&sample, &Params { trees, ..Params::defaults(algorithm) }, 2);
        let (mut told, mut last) = (Vec::new(), Vec::new());
        forest.scores_by_tree(&sample.columns, &mut |trees, scores| {
            told.push(trees);
            last = scores.to_vec();
            assert!(scores.iter().all(|score| (0.0..=1.0).contains(score)), "{algorithm} after {trees}");
        });
        assert_eq!(told, (1..=trees).collect::<Vec<_>>());
        let mut scores = Vec::new();
        forest.scorer().score_batch(&sample.rows(), &mut Scratch::default(), &mut scores);
        let far = scores.iter().zip(&last).find(|(a, b)| (**a - **b).abs() > 1e-12);
        assert_eq!(far, None, "{algorithm}");
    }
}

#[test]
fn another_seed_gives_another_forest() {
    let sample = sample(1000, 5, 3);
    for algorithm in [Algorithm::Gbdt, Algorithm::RandomForest] {
        let of = |seed| grown(&sample, &Params { trees: 5, seed, ..Params::defaults(algorithm) }, 2);
        assert_ne!(of(1), of(2));
        assert_eq!(of(1), of(1));
    }
}

#[test]
fn progress_reaches_the_end() {
    let sample = sample(300, 3, 4);
    for algorithm in ALGORITHMS {
        let params = Params::defaults(algorithm);
        let mut last = 0;
        grow(&sample.table(), &params, 2, &mut |progress| {
            assert!(progress.trees_done > last && progress.trees_total == params.trees);
            last = progress.trees_done;
        })
        .unwrap();
        assert_eq!(last, params.trees);
    }
}

/// A missing value that tells the class: both kinds of grower must learn the side.
#[test]
fn missing_values_are_learnt_from() {
    let labels: Vec<bool> = (0..400).map(|at| at % 4 == 0).collect();
    for constant in [0.0, 7.5] {
        let column = labels.iter().map(|label| if *label { f64::NAN } else { constant }).collect::<Vec<_>>();
        let noise = (0..400).map(|at| f64::from(at * 37 % 101)).collect();
        let names = vec!["noise".to_owned(), "telling".to_owned()];
        // The telling column needs a second value to have a threshold at all.
        let mut columns = vec![noise, column];
        columns[1][1] = constant + 1.0;
        columns[1][2] = constant + 1.0;
        let sample = Sample { columns, labels: labels.clone(), names };
        for algorithm in ALGORITHMS {
            let params = Params { min_samples_leaf: 1, ..Params::defaults(algorithm) };
            let scorer = grown(&sample, &params, 1).scorer();
            let score = |x| scorer.score(&[50.0, x], &mut Scratch::default());
            assert!(score(f64::NAN) > score(constant) + 0.3, "{algorithm}");
        }
    }
}

/// A weight of two is a row given twice.
#[test]
fn weights_count_like_repeated_rows() {
    let once = sample(500, 4, 9);
    let weights: Vec<f64> = once.labels.iter().map(|label| if *label { 2.0 } else { 1.0 }).collect();
    let repeated = |values: &[f64]| -> Vec<f64> {
        let of = values.iter().zip(&once.labels);
        of.flat_map(|(x, label)| std::iter::repeat_n(*x, if *label { 2 } else { 1 })).collect()
    };
    let twice = Sample {
        columns: once.columns.iter().map(|column| repeated(column)).collect(),
        labels: once.labels.iter().flat_map(|label| vec![*label; if *label { 2 } else { 1 }]).collect(),
        names: once.names.clone(),
    };
    let params = Params { max_depth: Some(4), ..Params::defaults(Algorithm::DecisionTree) };
    let by_rows = grown(&twice, &params, 1);
    let weighted = Table { weights: Some(&weights), ..once.table() };
    assert_eq!(grow(&weighted, &params, 1, &mut |_| {}).unwrap(), by_rows);
    let by_class = Params { positive_weight: 2.0, ..params };
    assert_eq!(grown(&once, &by_class, 1), by_rows);
}

#[test]
fn bad_tables_are_refused() {
    let good = sample(100, 3, 5);
    let params = Params::defaults(Algorithm::Gbdt);
    let refused = |change: &dyn Fn(&mut Sample), message: &str| {
        let mut bad =
            Sample { columns: good.columns.clone(), labels: good.labels.clone(), names: good.names.clone() };
        change(&mut bad);
        let error = grow(&bad.table(), &params, 1, &mut |_| {}).expect_err(message);
        assert_eq!(error.to_string(), message);
    };
    refused(&|bad| bad.labels.clear(), "the table has no rows");
    refused(&|bad| bad.columns.clear(), "the table has no columns");
    refused(&|bad| bad.labels.fill(false), "every label is false; expected both classes");
    refused(&|bad| bad.labels.fill(true), "every label is true; expected both classes");
    refused(&|bad| bad.columns[1].truncate(99), "column \"f1\" has 99 entries, expected 100");
    refused(&|bad| bad.names.truncate(2), "names has 2 entries, expected 3");
    refused(&|bad| bad.names[1] = "f0".to_owned(), "the column name \"f0\" is there twice");
    refused(
        &|bad| bad.columns[2][7] = f64::INFINITY,
        "column \"f2\", row 7: expected a finite number or NaN, got inf",
    );
}

#[test]
fn bad_weights_are_refused() {
    let sample = sample(10, 2, 7);
    let mut weights = vec![1.0; 10];
    for weight in [0.0, -1.0, 1e300, f64::NAN, f64::INFINITY] {
        weights[3] = weight;
        let table = Table { weights: Some(&weights), ..sample.table() };
        let error = grow(&table, &Params::defaults(Algorithm::Gbdt), 1, &mut |_| {}).unwrap_err();
        assert!(
            error.to_string().starts_with("weight of row 3: expected a number from 1e-12 to 1e12"),
            "{error}"
        );
    }
}

#[test]
fn bad_parameters_are_refused() {
    let sample = sample(100, 3, 5);
    let refused = |change: &dyn Fn(&mut Params), name: &str| {
        let mut params = Params::defaults(Algorithm::Gbdt);
        change(&mut params);
        let error = grow(&sample.table(), &params, 1, &mut |_| {}).expect_err(name).to_string();
        assert!(error.starts_with(&format!("{name}: expected ")), "{error}");
    };
    refused(&|p| p.trees = 0, "trees");
    refused(&|p| p.trees = 1_000_000, "trees");
    refused(&|p| p.max_depth = None, "max_depth");
    refused(&|p| p.max_depth = Some(13), "max_depth");
    refused(&|p| p.bins = 1, "bins");
    refused(&|p| p.bins = 256, "bins");
    refused(&|p| p.learning_rate = Some(0.0), "learning_rate");
    refused(&|p| p.learning_rate = Some(f64::NAN), "learning_rate");
    refused(&|p| p.row_subsample = Some(1.5), "row_subsample");
    refused(&|p| p.column_subsample = Some(-0.5), "column_subsample");
    refused(&|p| p.min_child_weight = f64::INFINITY, "min_child_weight");
    refused(&|p| p.min_samples_leaf = 0, "min_samples_leaf");
    refused(&|p| p.min_gain = -1.0, "min_gain");
    refused(&|p| p.lambda = f64::NAN, "lambda");
    refused(&|p| p.l1 = -0.1, "l1");
    refused(&|p| p.early_stopping = Some(0), "early_stopping");
    refused(&|p| (p.growth, p.max_leaves) = (Growth::LeafWise, Some(1)), "max_leaves");
    refused(&|p| (p.growth, p.max_depth) = (Growth::DepthWise, None), "max_depth");
    refused(&|p| p.positive_weight = 0.0, "positive_weight");
}

#[test]
fn algorithms_have_names() {
    for algorithm in ALGORITHMS {
        assert_eq!(algorithm.to_string().parse(), Ok(algorithm));
    }
    let error = "xgboost".parse::<Algorithm>().unwrap_err().to_string();
    assert_eq!(error, "unknown algorithm \"xgboost\", expected gbdt, random-forest or decision-tree");
}

/// Far fewer rows or values than the defaults expect: no split may be found, but nothing breaks.
#[test]
fn tiny_tables_grow() {
    let names = vec!["x".to_owned()];
    for values in [
        vec![1.0, 1.0],
        vec![0.0, 1.0],
        vec![f64::NAN, f64::NAN],
        vec![f64::NAN, -1e308],
        vec![-1e308, 1e308],
    ] {
        let sample = Sample { columns: vec![values], labels: vec![false, true], names: names.clone() };
        for algorithm in ALGORITHMS {
            let forest = grown(&sample, &Params::defaults(algorithm), 2);
            assert_eq!(Forest::from_json(&forest.to_json()).unwrap(), forest);
            assert!((0.0..=1.0).contains(&forest.scorer().score(&[0.5], &mut Scratch::default())));
            assert_eq!(forest.importance().len(), 1);
        }
    }
}

#[test]
fn importance_is_a_share() {
    let sample = sample(3000, 6, 12);
    for algorithm in ALGORITHMS {
        let importance = grown(&sample, &Params::defaults(algorithm), 2).importance();
        assert!((importance.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        // The label is made from the first three features.
        let told: f64 = importance[..3].iter().sum();
        assert!(algorithm != Algorithm::Gbdt || told > 0.7, "{importance:?}");
    }
}
