//! `redflag features`: the feature matrix of a file, as the engine would have computed it at the time.

use std::path::PathBuf;

use anyhow::Result;
use engine::detector::{FieldKind, Schema};
use engine::{Detector, Engine, EventBatch, Label};
use lab::dataset::{ColumnType, TableWriter};

use super::WrongInput;
use super::input::{Flow, Input, run_into_table};
use super::output::tell;

/// Compute the feature matrix of a file, one row per event.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Id, time, key and label come first, under their names in the detector, then the features in its order.

Example: redflag features --detector card-handbook --in transactions.parquet --out features.parquet")]
pub struct Args {
    #[command(flatten)]
    input: Input,
    /// Where the features go: .csv, .jsonl or .parquet; `-` is JSON lines on the standard output
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    flow: Flow,
    /// Print the counts as JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
/// If the input cannot be read or the features cannot be written.
pub fn run(args: Args) -> Result<()> {
    let (detector, columns) = args.input.load()?;
    let engine = Engine::new(detector.clone(), None, args.flow.shards());
    let table = TableWriter::create(&args.out, &table_columns(&detector)?)?;
    let schema = &detector.schema;
    let report = run_into_table(
        (&args.input.file, &columns),
        &args.flow,
        engine,
        Some(table),
        &mut |table, batch, decisions, row| {
            write_event_cells(schema, table, batch, row);
            decisions.features_of(row).iter().for_each(|value| table.number(*value));
        },
    )?;
    tell(&report, args.json, &args.out)
}

fn table_columns(detector: &Detector) -> Result<Vec<(String, ColumnType)>> {
    let schema = &detector.schema;
    let mut columns = vec![
        (schema.id_field().to_string(), ColumnType::Id),
        (schema.time_field().to_string(), ColumnType::Instant),
    ];
    columns.extend(schema.key.map(|slot| (schema.text_name(slot).to_string(), ColumnType::Text)));
    columns.extend(schema.label_field().map(|name| (name.to_string(), ColumnType::Integer)));
    for feature in &detector.features {
        if columns.iter().any(|(name, _)| *name == feature.name) {
            let message =
                format!("feature `{}` has the name of a column that says whose it is", feature.name);
            return Err(WrongInput(message).into());
        }
        columns.push((feature.name.clone(), ColumnType::Number));
    }
    Ok(columns)
}

/// Id, time, key and label, as far as the detector has them.
fn write_event_cells(schema: &Schema, table: &mut TableWriter, batch: &EventBatch, row: usize) {
    table.text(batch.id(row));
    table.instant(batch.time_us(row));
    match batch.key(row) {
        Some("") => table.missing(),
        Some(key) => table.text(key),
        None => {}
    }
    if schema.fields.iter().any(|field| field.kind == FieldKind::Label) {
        match batch.label(row) {
            Label::Unknown => table.missing(),
            label => table.integer(i64::from(label == Label::Fraud)),
        }
    }
}
