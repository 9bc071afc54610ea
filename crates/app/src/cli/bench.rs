//! `redflag bench`: the project's benchmarks. Each prints the machine, the median of its repetitions, and their spread.

mod drift;
mod engine;
mod forest;
mod http;
mod kafka;
mod service;
mod soak;
mod store;
mod synth;
mod train;

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::Subcommand;
use lab::train::cores;

/// The project's benchmarks.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// A world that changes: a model left alone, retrained by the loop, or learning from each label
    Drift(drift::Args),
    /// Windows alone, one event from JSON to JSON, and a whole file on all cores
    Engine(engine::Args),
    /// Scoring alone: a model's rows by redflag, and by other libraries in the same run
    Forest(forest::Args),
    /// Transactions posted at a fixed rate: how long each takes from the moment at which it was due
    Http(http::Args),
    /// A real broker: transactions a second in and decisions out, and how long one takes
    Kafka(kafka::Args),
    /// A service under load for long: its memory stays flat and no decision is lost
    Soak(soak::Args),
    /// Decisions a second that a database takes, in groups of several sizes
    Store(store::Args),
    /// Generators: updates a second of their networks, beside PyTorch
    Synth(synth::Args),
    /// Boosting: seconds and average precision, beside XGBoost, LightGBM and CatBoost
    Train(train::Args),
}

/// Runs the command.
///
/// # Errors
/// If a benchmark cannot write its files.
pub fn run(args: Args) -> Result<()> {
    match args.what {
        What::Drift(args) => drift::run(&args),
        What::Engine(args) => engine::run(&args),
        What::Forest(args) => forest::run(&args),
        What::Http(args) => http::run(&args),
        What::Kafka(args) => kafka::run(&args),
        What::Soak(args) => soak::run(&args),
        What::Store(args) => store::run(&args),
        What::Synth(args) => synth::run(&args),
        What::Train(args) => train::run(&args),
    }
}

/// Transactions that a model is trained on where none is given.
const TRAINING_ROWS: &str = "200000";

/// Simulates and trains with the commands that everybody uses.
fn grow_model(detector: &str, folder: &Path) -> Result<PathBuf> {
    let (history, model) = (folder.join("history.csv"), folder.join("model.json"));
    let (history_name, model_name) = (history.display().to_string(), model.display().to_string());
    redflag(&["simulate", "--detector", detector, "--rows", TRAINING_ROWS, "--out", &history_name])?;
    redflag(&["train", "--detector", detector, "--in", &history_name, "--out", &model_name])?;
    Ok(model)
}

fn redflag(arguments: &[&str]) -> Result<()> {
    // What a benchmark prints is its own.
    let mut command = std::process::Command::new(std::env::current_exe()?);
    let status = command.args(arguments).stdout(std::process::Stdio::null()).status()?;
    if !status.success() {
        bail!("redflag {} failed", arguments.join(" "));
    }
    Ok(())
}

/// What figures were measured on.
#[derive(Debug, serde::Serialize)]
pub struct Machine {
    cpu: String,
    cores: usize,
    system: String,
    redflag: &'static str,
    optimized: bool,
}

impl Machine {
    pub fn this() -> Machine {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let cpu_info = read("/proc/cpuinfo");
        let model = cpu_info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
        let cpu = model.map_or(std::env::consts::ARCH, |(_, model)| model.trim()).to_string();
        let system = format!("{} {}", std::env::consts::OS, read("/proc/sys/kernel/osrelease").trim());
        let optimized = !cfg!(debug_assertions);
        Machine { cpu, cores: cores(), system, redflag: env!("CARGO_PKG_VERSION"), optimized }
    }
}

impl std::fmt::Display for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Machine { cpu, cores, system, redflag, optimized } = self;
        write!(f, "{cpu}, {cores} cores, {system}, redflag {redflag}")?;
        if *optimized { Ok(()) } else { write!(f, " (a debug build: its figures mean nothing)") }
    }
}

/// The median of some repetitions, and how far they lie apart.
#[derive(Debug, Clone, Copy, serde::Serialize)]
struct Spread {
    median: f64,
    min: f64,
    max: f64,
}

impl Spread {
    /// The spread of at least one measurement.
    fn of(mut measured: Vec<f64>) -> Spread {
        measured.sort_by(f64::total_cmp);
        Spread { median: measured[measured.len() / 2], min: measured[0], max: measured[measured.len() - 1] }
    }
}
