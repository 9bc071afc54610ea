//! `redflag bench train`: how long boosting takes and how well it ranks, beside the libraries that others use.
//!
//! All train on the same rows with the same number of trees, depth and threads, in turn, so that a machine's moods
//! fall on all alike. Everything else is each one's default.

mod peers;
mod table;

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Result;
use forest::grow::{Algorithm, Params, grow};
use lab::evaluate::metrics::Ranking;
use lab::train::cores;

use super::{Machine, Spread};
use peers::Peers;
use table::Parts;

/// How long boosting takes, and how well it ranks.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Without --in, the data is made: 150,000 rows of 30 columns, about 1 % positive, of which 100,000 are learnt from. Of a
file, the last third of the rows is held out; every column but the label is a number, empty where missing.
--peers needs a Python that has xgboost, lightgbm, catboost and scikit-learn: `scripts/peers install` makes one, or
REDFLAG_PEERS_PYTHON names it.

Example: redflag bench train --peers
         redflag bench train --in transactions.csv --label is_fraud --trees 500 --json")]
pub struct Args {
    /// Rows to learn from, as CSV with a header
    #[arg(long = "in", value_name = "FILE", requires = "label")]
    input: Option<PathBuf>,
    /// The column that is 1 where positive
    #[arg(long, value_name = "COLUMN", requires = "input")]
    label: Option<String>,
    /// Trees
    #[arg(long, value_name = "N", default_value_t = 200)]
    trees: usize,
    /// Most splits on a path
    #[arg(long, visible_alias = "max-depth", value_name = "N", default_value_t = 6)]
    depth: u32,
    /// Threads [default: one per core]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// How often each trains, each time with another seed
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    repetitions: u32,
    /// Train XGBoost, LightGBM and CatBoost too
    #[arg(long)]
    peers: bool,
    /// Print the figures as JSON
    #[arg(long)]
    json: bool,
}

#[derive(serde::Serialize)]
struct Figures {
    machine: Machine,
    rows: usize,
    columns: usize,
    positives: usize,
    rows_held_out: usize,
    trees: usize,
    depth: u32,
    threads: usize,
    repetitions: u32,
    trainers: Vec<Trainer>,
}

/// What one of them reached.
#[derive(serde::Serialize)]
struct Trainer {
    name: String,
    version: String,
    seconds: Spread,
    average_precision: Spread,
}

/// One training.
#[derive(Clone, Copy, serde::Deserialize)]
struct Run {
    seconds: f64,
    average_precision: f64,
}

/// Runs the benchmark.
///
/// # Errors
/// If the file cannot be read or learnt from, or the peers cannot be started.
pub fn run(args: &Args) -> Result<()> {
    let machine = Machine::this();
    eprintln!("{machine}");
    let parts = match (&args.input, &args.label) {
        (Some(path), Some(label)) => Parts::read(path, label)?,
        _ => Parts::made(),
    };
    let threads = args.threads.unwrap_or_else(cores);
    let mut peers =
        if args.peers { Some(Peers::start(&parts, args.trees, args.depth, threads)?) } else { None };
    let mut trainers = vec![("redflag".to_string(), machine.redflag.to_string(), Vec::new())];
    trainers.extend(
        peers.iter().flat_map(|peers| peers.versions()).map(|(name, version)| (name, version, vec![])),
    );
    for seed in 0..u64::from(args.repetitions) {
        for (name, _, runs) in &mut trainers {
            runs.push(match &mut peers {
                Some(peers) if name != "redflag" => peers.train(name, seed)?,
                _ => train(&parts, args, threads, seed)?,
            });
        }
    }
    let figures = Figures {
        machine,
        rows: parts.train.labels.len(),
        columns: parts.names.len(),
        positives: parts.train.labels.iter().filter(|label| **label).count(),
        rows_held_out: parts.test.labels.len(),
        trees: args.trees,
        depth: args.depth,
        threads,
        repetitions: args.repetitions,
        trainers: trainers.into_iter().map(Trainer::of).collect(),
    };
    if args.json {
        println!("{}", serde_json::to_string(&figures)?);
    } else {
        print!("{figures}");
    }
    Ok(())
}

/// Trains ours as `redflag train --trees --depth` does.
fn train(parts: &Parts, args: &Args, threads: usize, seed: u64) -> Result<Run> {
    let params =
        Params { trees: args.trees, max_depth: Some(args.depth), seed, ..Params::defaults(Algorithm::Gbdt) };
    let started = Instant::now();
    let forest = grow(&parts.train.table(&parts.names), &params, threads, &mut |_| {})?;
    let seconds = started.elapsed().as_secs_f64();
    let mut scores = Vec::new();
    forest.scorer().score_batch(&parts.test.rows(), &mut forest::Scratch::default(), &mut scores);
    let average_precision = Ranking::new(&scores, &parts.test.labels)?.average_precision();
    Ok(Run { seconds, average_precision })
}

impl Trainer {
    fn of((name, version, runs): (String, String, Vec<Run>)) -> Trainer {
        let spread = |of: fn(&Run) -> f64| Spread::of(runs.iter().map(of).collect());
        let (seconds, average_precision) = (spread(|run| run.seconds), spread(|run| run.average_precision));
        Trainer { name, version, seconds, average_precision }
    }
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Figures { rows, columns, positives, rows_held_out, trees, depth, threads, repetitions, .. } =
            self;
        let share = 100.0 * *positives as f64 / *rows as f64;
        writeln!(f, "{rows} rows of {columns} columns, {share:.2} % positive, {rows_held_out} held out;")?;
        writeln!(
            f,
            "{trees} trees of depth {depth}, {threads} threads, median of {repetitions} (least to most)"
        )?;
        for Trainer { name, version, seconds, average_precision } in &self.trainers {
            let (s, ap) = (seconds, average_precision);
            writeln!(
                f,
                "{:<16} {:>7.3} s ({:.3} to {:.3})   average precision {:.4} ({:.4} to {:.4})",
                format!("{name} {version}"),
                s.median,
                s.min,
                s.max,
                ap.median,
                ap.min,
                ap.max
            )?;
        }
        Ok(())
    }
}
