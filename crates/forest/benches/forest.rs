//! Timings of scoring and growing: `cargo bench -p forest`.
//!
//! Prints the median of several runs and the spread between the quickest and the slowest. One thread for
//! scoring, all cores for growing. The tables are made up here, so every machine times the same work.

use std::hint::black_box;
use std::time::Instant;

use forest::grow::{Algorithm, Params, Table, grow};
use forest::{Forest, Scratch};

const RUNS: usize = 15;

fn main() {
    let wide = sample(100_000, 30);
    let narrow = sample(67_240, 15);
    let boosting = |trees| Params { trees, max_depth: Some(6), ..Params::defaults(Algorithm::Gbdt) };
    let all_rows = Params { row_subsample: 1.0, ..boosting(200) };
    println!("growing on all cores, ms                          median   quickest    slowest");
    time_growing("gbdt 100,000 x 30, 200 trees, depth 6", &wide, &all_rows);
    time_growing("gbdt 67,240 x 15, 100 trees, depth 6", &narrow, &boosting(100));
    time_growing("gbdt 67,240 x 15, defaults", &narrow, &Params::defaults(Algorithm::Gbdt));
    let forest_params = Params { trees: 100, ..Params::defaults(Algorithm::RandomForest) };
    time_growing("random forest 67,240 x 15, 100 trees", &narrow, &forest_params);
    time_growing("decision tree 67,240 x 15", &narrow, &Params::defaults(Algorithm::DecisionTree));

    println!("\nscoring on one thread, us per row                 median   quickest    slowest");
    let boosted = grown(&narrow, &boosting(200));
    time_scoring("gbdt 200 trees, depth 6, 15 features", &boosted, &narrow);
    let defaults = grown(&narrow, &Params::defaults(Algorithm::Gbdt));
    time_scoring("gbdt defaults, 15 features", &defaults, &narrow);
    let deep = Params { trees: 200, max_depth: Some(12), ..Params::defaults(Algorithm::RandomForest) };
    time_scoring("random forest 200 trees, depth 12", &grown(&narrow, &deep), &narrow);
    let unlimited = Params::defaults(Algorithm::RandomForest);
    time_scoring("random forest defaults", &grown(&narrow, &unlimited), &narrow);

    println!("\nreading and compiling, ms                         median   quickest    slowest");
    let text = boosted.to_json();
    report("200 trees, depth 6, from JSON", 1e3, || {
        black_box(Forest::from_json(black_box(&text)).expect("what was written is read").scorer());
    });
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

fn grown(sample: &Sample, params: &Params) -> Forest {
    let table =
        Table { columns: &sample.columns, labels: &sample.labels, names: &sample.names, weights: None };
    grow(&table, params, 0, &mut |_| {}).expect("the table and the parameters are good")
}

fn time_growing(what: &str, sample: &Sample, params: &Params) {
    report_runs(what, 1e3, 5, || {
        black_box(grown(sample, params));
    });
}

fn time_scoring(what: &str, forest: &Forest, sample: &Sample) {
    let scorer = forest.scorer();
    let count = 1024;
    let rows: Vec<f64> =
        (0..count).flat_map(|row| sample.columns.iter().map(move |column| column[row])).collect();
    let mut scratch = Scratch::default();
    let mut out = Vec::new();
    let (trees, nodes, depth) = (forest.tree_count(), forest.node_count(), forest.max_depth());
    println!("{what}: {trees} trees, {nodes} nodes, depth {depth}");
    let per_row = 1e6 / (4 * count) as f64;
    report("  row by row", per_row, || {
        for _ in 0..4 {
            for row in rows.chunks_exact(scorer.feature_count()) {
                black_box(scorer.score(black_box(row), &mut scratch));
            }
        }
    });
    report("  batches of 1,024", per_row, || {
        for _ in 0..4 {
            scorer.score_batch(black_box(&rows), &mut scratch, &mut out);
            black_box(&out);
        }
    });
}

fn report(what: &str, scale: f64, work: impl FnMut()) {
    report_runs(what, scale, RUNS, work);
}

/// Runs once to warm up, then `runs` times; prints seconds times `scale`.
fn report_runs(what: &str, scale: f64, runs: usize, mut work: impl FnMut()) {
    work();
    let mut times: Vec<f64> = (0..runs)
        .map(|_| {
            let start = Instant::now();
            work();
            start.elapsed().as_secs_f64() * scale
        })
        .collect();
    times.sort_by(f64::total_cmp);
    println!("{what:<46} {:>9.3}  {:>9.3}  {:>9.3}", times[runs / 2], times[0], times[runs - 1]);
}
