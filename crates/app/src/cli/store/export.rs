//! `redflag store export`: decisions as a table, for whoever trains on them or looks into them.

use std::collections::HashMap;
use std::ops::Range;
use std::path::PathBuf;

use anyhow::Result;
use lab::dataset::{ColumnType, TableWriter};
use store::{ALWAYS, Store, StoredDecision};

use super::Kept;
use crate::cli::WrongInput;
use crate::cli::output::{CountBar, instant, tell};

/// Decisions that are read at a time.
const PAGE: usize = 5_000;

/// The columns before the features.
const COLUMNS: [(&str, ColumnType); 18] = [
    ("sequence", ColumnType::Integer),
    ("id", ColumnType::Id),
    ("key", ColumnType::Text),
    ("event_time", ColumnType::Instant),
    ("decided_at", ColumnType::Instant),
    ("latency_us", ColumnType::Integer),
    ("amount_minor", ColumnType::Integer),
    ("score", ColumnType::Number),
    ("outcome", ColumnType::Text),
    ("rules", ColumnType::Text),
    ("timeliness", ColumnType::Text),
    ("synthetic", ColumnType::Text),
    ("detector", ColumnType::Text),
    ("model", ColumnType::Text),
    ("label", ColumnType::Integer),
    ("label_known_at", ColumnType::Instant),
    ("origin_partition", ColumnType::Integer),
    ("origin_offset", ColumnType::Integer),
];

/// Write decisions with their features, one column each, to a file.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A feature that has the name of another column gets `feature_` in front. A feature that a decision was made without is
missing there.

Example: redflag store export --out decisions.parquet --from 2026-10-01 --to 2026-11-01")]
pub struct Args {
    #[command(flatten)]
    kept: Kept,
    /// Where the decisions go: .csv, .jsonl or .parquet; `-` is JSON lines on the standard output
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// First event time
    #[arg(long, value_name = "TIME", value_parser = instant)]
    from: Option<i64>,
    /// First event time no longer wanted
    #[arg(long, value_name = "TIME", value_parser = instant)]
    to: Option<i64>,
    /// Print the count as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, serde::Serialize)]
struct Report {
    decisions: u64,
    features: usize,
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} decisions with {} features", self.decisions, self.features)
    }
}

/// Runs the command.
///
/// # Errors
/// If the database cannot be read or the file not written.
pub fn run(args: &Args) -> Result<()> {
    let range = args.from.unwrap_or(ALWAYS.start)..args.to.unwrap_or(ALWAYS.end);
    if range.is_empty() {
        return Err(WrongInput("--from is not before --to".to_string()).into());
    }
    let mut store = args.kept.open_reader()?;
    let features = features(&mut *store)?;
    let taken = |name: &String| COLUMNS.iter().any(|(column, _)| column == name);
    let named = |name: &String| if taken(name) { format!("feature_{name}") } else { name.clone() };
    let columns: Vec<(String, ColumnType)> = COLUMNS
        .iter()
        .map(|(name, kind)| (name.to_string(), *kind))
        .chain(features.iter().map(|name| (named(name), ColumnType::Number)))
        .collect();
    let mut table = TableWriter::create(&args.out, &columns)?;
    write(&mut *store, &range, &features, &mut table)?;
    let report = Report { decisions: table.finish()?, features: features.len() };
    tell(&report, args.json, &args.out)
}

/// The features of all that decided, in the order in which they came up.
fn features(store: &mut dyn Store) -> Result<Vec<String>> {
    let mut names: Vec<String> = Vec::new();
    for (_, versions) in store.all_versions()? {
        for name in versions.feature_names {
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    Ok(names)
}

fn write(
    store: &mut dyn Store,
    range: &Range<i64>,
    features: &[String],
    table: &mut TableWriter,
) -> Result<()> {
    let bar = CountBar::new("exporting", "decisions", None);
    let (mut after, mut done) = (-1, 0);
    loop {
        let page = store.history(after, range, PAGE)?;
        let Some(last) = page.last() else { break };
        after = last.sequence;
        for decision in &page {
            write_decision(decision, table);
            write_features(decision, features, table);
            table.end_row()?;
        }
        done += page.len() as u64;
        bar.show(done);
    }
    bar.finish();
    Ok(())
}

fn write_decision(decision: &StoredDecision, table: &mut TableWriter) {
    table.integer(decision.sequence);
    table.text(&decision.id);
    optional(decision.key.as_deref(), table, TableWriter::text);
    table.instant(decision.event_time_us);
    table.instant(decision.decided_at_us);
    table.integer(decision.latency_us);
    table.integer(decision.amount_minor);
    optional(decision.score, table, TableWriter::number);
    table.text(decision.outcome.name());
    table.text(&decision.rules.join(","));
    table.text(decision.timeliness.name());
    optional(decision.mark.as_deref(), table, TableWriter::text);
    table.text(&decision.versions.detector);
    optional(decision.versions.model.as_deref(), table, TableWriter::text);
    optional(decision.label.map(|label| i64::from(label.fraud)), table, TableWriter::integer);
    optional(decision.label.map(|label| label.known_at_us), table, TableWriter::instant);
    optional(decision.origin.map(|origin| i64::from(origin.partition)), table, TableWriter::integer);
    optional(decision.origin.map(|origin| origin.offset), table, TableWriter::integer);
}

fn optional<T>(value: Option<T>, table: &mut TableWriter, write: impl FnOnce(&mut TableWriter, T)) {
    match value {
        Some(value) => write(table, value),
        None => table.missing(),
    }
}

fn write_features(decision: &StoredDecision, features: &[String], table: &mut TableWriter) {
    if decision.versions.feature_names == features {
        return decision.features.iter().for_each(|value| table.number(*value));
    }
    let names = decision.versions.feature_names.iter().map(String::as_str);
    let values: HashMap<&str, f64> = names.zip(decision.features.iter().copied()).collect();
    features.iter().for_each(|name| table.number(values.get(name.as_str()).copied().unwrap_or(f64::NAN)));
}
