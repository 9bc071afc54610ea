//! `redflag replay`: the whole engine over a file, at full speed.

use std::path::PathBuf;

use anyhow::Result;
use engine::{Decisions, Detector, Engine, EventBatch, Status};
use lab::dataset::{ColumnType, TableWriter};

use super::input::{Flow, Input, run_into_table};
use super::output::{bind_model, load_model, tell};

/// Run the whole engine over a file: decisions out.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Each decision has id, event_time, key, amount, score, outcome, rules and timeliness. The file does not depend on
--batch and --shards.

Examples:
  redflag replay --detector card --model card.model --in transactions.parquet --out decisions.parquet
  redflag simulate --detector card --rows 1000 --out - | redflag replay --detector card --in - --out -")]
pub struct Args {
    #[command(flatten)]
    input: Input,
    /// A model that was trained for the detector; without one, rules alone decide
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// Where the decisions go: .csv, .jsonl or .parquet; `-` is JSON lines on the standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    flow: Flow,
    /// Print the counts as JSON: to the standard output, or to the standard error if decisions go there
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
/// If the input cannot be read, the model does not fit, or the decisions cannot be written.
pub fn run(args: Args) -> Result<()> {
    let (detector, columns) = args.input.load()?;
    let load = |path: &PathBuf| load_model(path).and_then(|file| bind_model(&file, &detector));
    let model = args.model.as_ref().map(load).transpose()?;
    let table =
        args.out.as_ref().map(|out| TableWriter::create(out, &table_columns(&detector))).transpose()?;
    let engine = Engine::new(detector.clone(), model, args.flow.shards());
    let mut rules = String::new();
    let report = run_into_table(
        (&args.input.file, &columns),
        &args.flow,
        engine,
        table,
        &mut |table, batch, decisions, row| {
            write_decision(&detector, table, batch, decisions, row, &mut rules)
        },
    )?;
    tell(&report, args.json, args.out.as_deref().unwrap_or("decisions".as_ref()))
}

/// The columns of a table of decisions.
pub fn table_columns(detector: &Detector) -> Vec<(String, ColumnType)> {
    let columns = [
        ("id", ColumnType::Id),
        ("event_time", ColumnType::Instant),
        ("key", ColumnType::Text),
        ("amount", ColumnType::Number),
        ("score", ColumnType::Number),
        ("outcome", ColumnType::Text),
        ("rules", ColumnType::Text),
        ("timeliness", ColumnType::Text),
    ];
    let there = columns.iter().filter(|(name, _)| *name != "key" || detector.schema.key.is_some());
    there.map(|(name, kind)| (name.to_string(), *kind)).collect()
}

/// One decision; `rules` is room for the names of those that fired.
pub fn write_decision(
    detector: &Detector,
    table: &mut TableWriter,
    batch: &EventBatch,
    decisions: &Decisions,
    row: usize,
    rules: &mut String,
) {
    table.text(batch.id(row));
    table.instant(batch.time_us(row));
    match batch.key(row) {
        Some("") => table.missing(),
        Some(key) => table.text(key),
        None => {}
    }
    table.money(batch.amount_minor(row), batch.schema().amount_decimals);
    table.number(decisions.scores[row]);
    table.text(decisions.outcomes[row].name());
    rules.clear();
    for rule in decisions.rules_of(row) {
        rules.push_str(if rules.is_empty() { "" } else { "," });
        rules.push_str(&detector.rules[usize::from(*rule)].name);
    }
    table.text(rules);
    table.text(timeliness(decisions.statuses[row]));
}

fn timeliness(status: Status) -> &'static str {
    match status {
        Status::OnTime => "on_time",
        Status::Late => "late",
        Status::TooLate => "too_late",
        Status::TimeJump => "time_jump",
    }
}
