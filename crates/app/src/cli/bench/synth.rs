//! `redflag bench synth`: how fast generators learn, beside PyTorch on the same network and batch.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use lab::simulate::{Settings as Simulation, simulator};
use lab::synth::fit::Settings;
use lab::synth::generator::Method;
use lab::synth::speed::{Sizes, sizes, updates_per_second};
use lab::synth::table::{EventTable, Table};

use super::{Machine, Spread};
use crate::cli::output::{CountBar, load_detector};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
An update is one step of Adam, the critic's or the generator's. The table is 10,000 simulated rows of the detector ulb.

Example: redflag bench synth --peer .venv/bin/python")]
pub struct Args {
    /// Updates of the generator in a repetition
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    steps: u32,
    /// Repetitions: the median counts
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    repetitions: u32,
    /// A Python with PyTorch: measured in turns with redflag
    #[arg(long, value_name = "PYTHON")]
    peer: Option<std::path::PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(serde::Serialize)]
struct Row {
    kind: String,
    sizes: Sizes,
    updates_per_second: Spread,
    pytorch_updates_per_second: Option<Spread>,
    ratio: Option<f64>,
}

#[derive(serde::Serialize)]
struct Report {
    machine: Machine,
    pytorch: Option<String>,
    rows: Vec<Row>,
}

/// What PyTorch does with these sizes.
const PEER: &str = include_str!("synth_peer.py");
const ROWS: u64 = 10_000;

pub fn run(args: &Args) -> Result<()> {
    let table = table()?;
    let kinds = [Method::WganGp, Method::Ctgan, Method::Tablegan];
    let rows = kinds.into_iter().map(|kind| row(kind, &table, args)).collect::<Result<Vec<_>>>()?;
    let version = |python| peer(python, &["version"]).map(|answer| answer.trim().to_string());
    let pytorch = args.peer.as_deref().map(version).transpose()?;
    let report = Report { machine: Machine::this(), pytorch, rows };
    if args.json {
        println!("{}", serde_json::to_string(&report)?);
        return Ok(());
    }
    println!("{}", report.machine);
    report.pytorch.iter().for_each(|version| println!("PyTorch {version}, as many threads as cores"));
    println!("\n{:<10} {:>26} {:>26} {:>7}", "", "redflag, updates/s", "PyTorch, updates/s", "ratio");
    for row in &report.rows {
        let of = |spread: &Spread| format!("{:.0} ({:.0} to {:.0})", spread.median, spread.min, spread.max);
        let peer = row.pytorch_updates_per_second.as_ref().map_or("not measured".to_string(), of);
        let ratio = row.ratio.map_or(String::new(), |ratio| format!("{ratio:.2}"));
        println!("{:<10} {:>26} {peer:>26} {ratio:>7}", row.kind, of(&row.updates_per_second));
    }
    Ok(())
}

fn table() -> Result<Table> {
    let detector = load_detector("ulb")?;
    let schema = std::sync::Arc::new(detector.schema.clone());
    let simulation = Simulation { rows: Some(ROWS), seed: 1, ..Simulation::default() };
    let mut reader = lab::dataset::SimulatedReader::new(simulator("ulb", &simulation)?, &schema);
    let mut block = lab::dataset::Block::new(&schema);
    while reader.read_one(&mut block) {}
    let mut table = EventTable::new(&schema);
    table.push(&block.batch);
    Ok(table.finish())
}

fn row(kind: Method, table: &Table, args: &Args) -> Result<Row> {
    let settings = Settings::of(kind);
    let sizes = sizes(table, &settings)?;
    let bar = CountBar::new("learning", "steps", Some(u64::from(args.steps * args.repetitions)));
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for repetition in 0..u64::from(args.repetitions) {
        let before = repetition * u64::from(args.steps);
        ours.extend(updates_per_second(table, &settings, u64::from(args.steps), 1, &mut |done| {
            bar.show(before + done)
        })?);
        if let Some(python) = &args.peer {
            theirs.push(of_peer(python, &sizes, args.steps)?);
        }
    }
    bar.finish();
    let (ours, theirs) = (Spread::of(ours), (!theirs.is_empty()).then(|| Spread::of(theirs)));
    let ratio = theirs.as_ref().map(|theirs| ours.median / theirs.median);
    Ok(Row {
        kind: kind.to_string(),
        sizes,
        updates_per_second: ours,
        pytorch_updates_per_second: theirs,
        ratio,
    })
}

fn of_peer(python: &std::path::Path, sizes: &Sizes, steps: u32) -> Result<f64> {
    let answer = peer(python, &[&serde_json::to_string(sizes)?, &steps.to_string()])?;
    answer.trim().parse().with_context(|| format!("the peer said {answer:?}, expected a number"))
}

fn peer(python: &std::path::Path, words: &[&str]) -> Result<String> {
    let output = Command::new(python).arg("-c").arg(PEER).args(words).output();
    let output = output.with_context(|| format!("cannot start {}", python.display()))?;
    ensure!(output.status.success(), "PyTorch: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
