//! `redflag bench`: the project's benchmarks. Each prints the machine, the median of its repetitions, and their spread.

mod engine;
mod forest;
mod kafka;
mod store;
mod synth;
mod train;

use anyhow::Result;
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
    /// Windows alone, one event from JSON to JSON, and a whole file on all cores
    Engine(engine::Args),
    /// Scoring alone: a model's rows by redflag, and by other libraries in the same run
    Forest(forest::Args),
    /// A real broker: transactions a second in and decisions out, and how long one takes
    Kafka(kafka::Args),
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
        What::Engine(args) => engine::run(&args),
        What::Forest(args) => forest::run(&args),
        What::Kafka(args) => kafka::run(&args),
        What::Store(args) => store::run(&args),
        What::Synth(args) => synth::run(&args),
        What::Train(args) => train::run(&args),
    }
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
