//! Timings of growing on all cores: `cargo bench -p forest --bench grow`.
//!
//! Prints the median of several runs and the spread between the quickest and the slowest. The table is made up here, so
//! every machine times the same work. `redflag bench train --peers` compares with other libraries.

use std::hint::black_box;
use std::time::Instant;

use forest::grow::{Algorithm, Growth, Params, Table, grow};

const RUNS: usize = 5;

fn main() {
    let sample = sample(100_000, 30);
    let boosting = Params { trees: 200, max_depth: Some(6), ..Params::defaults(Algorithm::Gbdt) };
    println!("100,000 x 30, ms                                  median   quickest    slowest");
    for growth in [Growth::Symmetric, Growth::DepthWise, Growth::LeafWise] {
        let params = Params { growth, ..boosting.clone() };
        time(&format!("boosting, {growth}, 200 trees, depth 6"), &sample, &params);
    }
    let all_rows = Params { row_subsample: Some(1.0), ..boosting.clone() };
    time("boosting, symmetric, on all rows", &sample, &all_rows);
    let forest = Params { trees: 100, ..Params::defaults(Algorithm::RandomForest) };
    time("random forest, 100 trees", &sample, &forest);
    time("decision tree", &sample, &Params::defaults(Algorithm::DecisionTree));
}

struct Sample {
    columns: Vec<Vec<f64>>,
    labels: Vec<bool>,
    names: Vec<String>,
}

/// About 4 positives in 100 rows; the label depends on six features, with noise.
fn sample(rows: usize, columns: usize) -> Sample {
    let mut state = 7u64;
    let mut uniform = move || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 11) as f64 / (1u64 << 53) as f64
    };
    let values: Vec<Vec<f64>> = (0..columns).map(|_| (0..rows).map(|_| uniform()).collect()).collect();
    let labels = (0..rows)
        .map(|row| {
            let x = |at: usize| values[at][row];
            let logit = 8.0 * x(0) * x(1) + 4.0 * (x(2) - x(3)).abs() + 3.0 * x(4) * x(5) - 8.0;
            uniform() < 1.0 / (1.0 + (-logit).exp())
        })
        .collect();
    Sample { columns: values, labels, names: (0..columns).map(|at| format!("f{at}")).collect() }
}

/// Runs once to warm up, then several times.
fn time(what: &str, sample: &Sample, params: &Params) {
    let table =
        Table { columns: &sample.columns, labels: &sample.labels, names: &sample.names, weights: None };
    let run = || {
        let start = Instant::now();
        black_box(grow(&table, params, 0, &mut |_| {}).expect("the table and the parameters are good"));
        start.elapsed().as_secs_f64() * 1e3
    };
    run();
    let mut times: Vec<f64> = (0..RUNS).map(|_| run()).collect();
    times.sort_by(f64::total_cmp);
    println!("{what:<46} {:>9.1}  {:>9.1}  {:>9.1}", times[RUNS / 2], times[0], times[RUNS - 1]);
}
