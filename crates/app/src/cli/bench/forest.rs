//! `redflag bench forest`: what it costs to score a row, alone and in batches, here and by other libraries.

/// What all engines have in common, and redflag's own.
mod engine;
/// The rows that are scored.
mod rows;
/// The other libraries.
mod peers;
/// The clock.
mod measure;
/// The drawing.
mod chart;

use std::fmt::{self, Display};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use ::forest::read::{NativeModel, read};
use anyhow::{Context, Result};

use self::engine::instructions;
use self::measure::{Agreement, Load, Timing, agreements, engines, loads, times};
use self::peers::{Absent, Folder, Peer, Prepared};
use self::rows::Rows;
use super::Machine;
use crate::cli::WrongInput;

/// How often loading is measured.
const LOADS: u32 = 5;

/// What it costs to score a row, alone and in batches.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Every engine scores the same rows on one thread; they take turns. Without --model, the standard models that
`scripts/peers install` makes: LightGBM 500 trees of 31 leaves, XGBoost and CatBoost 500 of depth 6, and a random forest of
200 of depth 12. Without --in, rows are drawn around the model's thresholds.

Example: redflag bench forest --model fraud.ubj --in rows.csv --peers --svg bench-forest.svg")]
pub struct Args {
    /// Model file of any format that redflag reads
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// Rows to score, as CSV: columns by name, else by position
    #[arg(long = "in", value_name = "ROWS.csv", requires = "model")]
    input: Option<PathBuf>,
    /// Score with the other libraries too, as far as `scripts/peers install` has put them in place
    #[arg(long)]
    peers: bool,
    /// How often each is measured
    #[arg(long, value_name = "N", default_value_t = 31, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    repetitions: u32,
    /// Draw the figures
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "bench-forest.svg")]
    svg: Option<PathBuf>,
    /// Print the figures as JSON
    #[arg(long)]
    json: bool,
}

/// Everything that was measured.
#[derive(serde::Serialize)]
struct Figures {
    machine: Machine,
    repetitions: u32,
    models: Vec<ModelFigures>,
}

/// What was measured with one model.
#[derive(serde::Serialize)]
struct ModelFigures {
    file: String,
    library: String,
    trees: usize,
    nodes: usize,
    depth: usize,
    features: usize,
    /// What runs, for each of redflag's engines.
    paths: Vec<String>,
    timings: Vec<Timing>,
    agreements: Vec<Agreement>,
    loads: Vec<Load>,
    compile_seconds: Vec<(String, f64)>,
    absent: Vec<Absent>,
}

/// Runs the benchmark.
///
/// # Errors
/// If a model or the rows cannot be read, the other libraries are asked for and not there, or the drawing cannot be
/// written.
pub fn run(args: &Args) -> Result<()> {
    let machine = Machine::this();
    eprintln!("{machine}");
    let folder = Folder::of_this_user();
    let (models, rows) = match &args.model {
        Some(model) => (vec![model.clone()], args.input.clone()),
        None => folder.standard_models().map(|(models, rows)| (models, Some(rows)))?,
    };
    let mut figures = Figures { machine, repetitions: args.repetitions, models: Vec::new() };
    for model in &models {
        let measured = measured(args, &folder, model, rows.as_deref())?;
        if !args.json {
            println!("{measured}");
        }
        figures.models.push(measured);
    }
    if args.json {
        println!("{}", serde_json::to_string(&figures)?);
    }
    if let Some(path) = &args.svg {
        std::fs::write(path, chart::svg(&figures)).with_context(|| format!("{}", path.display()))?;
        eprintln!("{}: drawn", path.display());
    }
    Ok(())
}

fn measured(args: &Args, folder: &Folder, path: &Path, input: Option<&Path>) -> Result<ModelFigures> {
    let file = std::fs::read(path).with_context(|| format!("{}", path.display()))?;
    let model = read(&file).with_context(|| format!("{}", path.display()))?;
    let forest = &model.forest;
    if forest.feature_names().is_empty() {
        return Err(WrongInput(format!("{}: the model has no features", path.display())).into());
    }
    let rows = Rc::new(match input {
        Some(input) => Rows::read(input, forest)?,
        None => Rows::drawn(forest),
    });
    let nothing = || Ok(Prepared { peers: Vec::new(), absent: Vec::new() });
    let Prepared { mut peers, mut absent } = if args.peers { folder.prepare(path) } else { nothing() }?;
    let mut engines = engines(forest, path, &mut peers, &rows, &mut absent);
    let agreements = agreements(forest, &mut engines, &rows)?;
    let timings = times(&mut engines, &rows, args.repetitions)?;
    drop(engines);
    let loads = loads(path, &peers, &rows, LOADS)?;
    let compiled = |peer: &Peer| Some((peer.name(), peer.compile_seconds?));
    let compile_seconds = peers.iter().filter_map(compiled).collect();
    Ok(ModelFigures { timings, agreements, loads, compile_seconds, absent, ..ModelFigures::of(path, &model) })
}

impl ModelFigures {
    fn of(path: &Path, model: &NativeModel) -> ModelFigures {
        let forest = &model.forest;
        let version = model.version.as_deref().unwrap_or_default();
        ModelFigures {
            file: path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned(),
            library: format!("{} {version}", model.library).trim().to_owned(),
            trees: forest.tree_count(),
            nodes: forest.node_count(),
            depth: forest.max_depth(),
            features: forest.feature_names().len(),
            paths: instructions().iter().map(|set| forest.scorer_on(*set).describe()).collect(),
            timings: Vec::new(),
            agreements: Vec::new(),
            loads: Vec::new(),
            compile_seconds: Vec::new(),
            absent: Vec::new(),
        }
    }
}

impl Display for ModelFigures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ModelFigures { file, library, trees, nodes, depth, features, .. } = self;
        writeln!(f, "{file}: {library}, {trees} trees, {nodes} nodes, depth {depth}, {features} features")?;
        self.paths.iter().try_for_each(|path| writeln!(f, "  {path}"))?;
        self.write_timings(f)?;
        self.write_loads(f)?;
        self.absent.iter().try_for_each(|absent| writeln!(f, "{} is missing: {}", absent.peer, absent.why))
    }
}

impl ModelFigures {
    fn write_timings(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let heads = ["us/row", "least", "most", "x redflag"];
        let [median, min, max, times] = heads;
        writeln!(f, "{:>7}  {:<28} {median:>10} {min:>10} {max:>10} {times:>10}  result", "batch", "engine")?;
        for timing in &self.timings {
            let Timing { engine, rows_per_call, us_per_row, times_redflag } = timing;
            let agreement = self.agreements.iter().find(|agreement| agreement.engine == *engine);
            let agreement = agreement.map(Agreement::to_string).unwrap_or_default();
            writeln!(
                f,
                "{rows_per_call:>7}  {engine:<28} {:>10.3} {:>10.3} {:>10.3} {times_redflag:>10.2}  {agreement}",
                us_per_row.median, us_per_row.min, us_per_row.max
            )?;
        }
        Ok(())
    }

    fn write_loads(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "from the file to the first score, median of {LOADS}")?;
        for Load { engine, ms } in &self.loads {
            writeln!(f, "         {engine:<28} {:>10.1} ms ({:.1} to {:.1})", ms.median, ms.min, ms.max)?;
        }
        for (engine, seconds) in &self.compile_seconds {
            writeln!(f, "         {engine:<28} {seconds:>10.1} s to compile")?;
        }
        Ok(())
    }
}

impl Display for Agreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.same == 1.0 {
            return f.write_str("the same to the last bit");
        }
        let what = if self.margins { "margins" } else { "probabilities" };
        write!(f, "{what} within {:.1e}, {:.1} % the same", self.difference_max, 100.0 * self.same)
    }
}
