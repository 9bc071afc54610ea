//! Timings of explaining: `cargo bench -p forest --bench explain`.
//!
//! One thread, one row at a time. Prints the median of several runs and the spread between the quickest and the
//! slowest. `-- --export DIR` writes the models, the rows and the quickest times there, for `shap_peer.py` beside
//! this file to compare with the `shap` package.

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::Instant;

use forest::Forest;
use forest::explain::{Explainer, Scratch};
use forest::grow::{Algorithm, Params, Table, grow};

const RUNS: usize = 15;
const FEATURES: usize = 14;
const ROWS: usize = 500;
const BACKGROUND_ROWS: usize = 100;

fn main() {
    let folder = export_folder();
    let sample = sample(67_240, FEATURES);
    println!("explaining on one thread, us per row              median   quickest    slowest");
    let boosting = Params { trees: 200, max_depth: Some(6), ..Params::defaults(Algorithm::Gbdt) };
    time("gbdt", &grown(&sample, &boosting), &sample, folder.as_deref());
    let deep = Params { trees: 50, max_depth: Some(12), ..Params::defaults(Algorithm::RandomForest) };
    time("random_forest", &grown(&sample, &deep), &sample, folder.as_deref());
}

fn export_folder() -> Option<PathBuf> {
    let mut arguments = std::env::args().skip_while(|argument| argument != "--export");
    arguments.nth(1).map(PathBuf::from)
}

fn time(name: &str, forest: &Forest, sample: &Sample, folder: Option<&Path>) {
    let (trees, nodes, depth) = (forest.tree_count(), forest.node_count(), forest.max_depth());
    println!("{name}: {trees} trees, {nodes} nodes, depth {depth}, {FEATURES} features");
    let rows = sample.rows(0..ROWS);
    let background = sample.rows(ROWS..ROWS + BACKGROUND_ROWS);
    let explainer = Explainer::path_dependent(forest).expect("covers are known");
    let path_dependent = report("  path-dependent", &explainer, &rows);
    let explainer = Explainer::interventional(forest, &background).expect("a background");
    let what = format!("  interventional, {BACKGROUND_ROWS} rows");
    let interventional = report(&what, &explainer, &rows[..50 * FEATURES]);
    if let Some(folder) = folder {
        let numbers = format!(
            r#"{{"features":{FEATURES},"rows":{rows:?},"background":{background:?},"us":{{"path_dependent":{path_dependent},"interventional":{interventional}}},"model":{}}}"#,
            forest.to_json()
        );
        std::fs::write(folder.join(format!("{name}.json")), numbers).expect("the folder can be written");
    }
}

/// Runs once to warm up, then several times; prints, and gives the quickest, in microseconds a row.
fn report(what: &str, explainer: &Explainer, rows: &[f64]) -> f64 {
    let (mut scratch, mut out) = (Scratch::default(), vec![0.0; FEATURES]);
    let mut run = || {
        let start = Instant::now();
        for row in rows.chunks_exact(FEATURES) {
            explainer.explain(black_box(row), &mut scratch, &mut out);
            black_box(&out);
        }
        start.elapsed().as_secs_f64() * 1e6 / (rows.len() / FEATURES) as f64
    };
    run();
    let mut times: Vec<f64> = (0..RUNS).map(|_| run()).collect();
    times.sort_by(f64::total_cmp);
    println!("{what:<46} {:>9.2}  {:>9.2}  {:>9.2}", times[RUNS / 2], times[0], times[RUNS - 1]);
    times[0]
}

struct Sample {
    columns: Vec<Vec<f64>>,
    labels: Vec<bool>,
    names: Vec<String>,
}

impl Sample {
    /// Row-major.
    fn rows(&self, which: std::ops::Range<usize>) -> Vec<f64> {
        which.flat_map(|row| self.columns.iter().map(move |column| column[row])).collect()
    }
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
