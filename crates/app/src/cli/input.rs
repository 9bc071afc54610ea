//! A file of transactions as commands take it, the road through the engine into a table, and the log of wrong rows.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use engine::{Decisions, Detector, Engine, EventBatch, Status};
use lab::dataset::{Block, ColumnMap, Reject, TableWriter, open};
use lab::replay::{Sink, Summary, replay};
use lab::train::{TrainingSet, cores, load};

use super::output::{ReplayBar, column_map, load_detector, memory_peak_bytes, warn_of_rejects};

/// Which events, and how they are to be understood.
#[derive(Debug, clap::Args)]
pub struct Input {
    /// Detector: the name of a shipped one, or a file
    #[arg(long, value_name = "NAME|FILE")]
    pub detector: String,
    /// Transactions: .csv, .jsonl, .ndjson or .parquet; `-` is JSON lines from the standard input
    #[arg(long = "in", value_name = "FILE")]
    pub file: PathBuf,
    /// Columns that have another name than the detector's field
    #[arg(long, value_name = "FIELD=COLUMN,...")]
    pub columns: Option<String>,
}

/// How the events run through the engine. None of it changes a result.
#[derive(Debug, clap::Args)]
pub struct Flow {
    /// Events handed to the engine at a time
    #[arg(long, value_name = "N", default_value_t = 4_096, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub batch: u32,
    /// Owners that share the entities [default: one a core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_024))]
    pub shards: Option<u32>,
    /// Write every wrong row here, as JSON lines of line, errors and raw text
    #[arg(long, value_name = "FILE")]
    pub rejects: Option<PathBuf>,
}

impl Input {
    /// The detector and the map of its columns.
    ///
    /// # Errors
    /// If either has mistakes.
    pub fn load(&self) -> Result<(Arc<Detector>, ColumnMap)> {
        let detector = load_detector(&self.detector)?;
        let columns = column_map(self.columns.as_deref(), &detector)?;
        Ok((detector, columns))
    }

    /// The feature matrix of a period, with a bar while it is computed, and a word about rows that were left out.
    ///
    /// # Errors
    /// If the file cannot be read, or has no labelled row in the period.
    pub fn load_set(
        &self,
        detector: &Arc<Detector>,
        columns: &ColumnMap,
        period: Option<Range<i64>>,
    ) -> Result<(TrainingSet, Summary)> {
        let bar = ReplayBar::new("features");
        let loaded = load(detector, &self.file, columns, period, &mut |progress| bar.show(progress));
        bar.finish();
        let (set, summary) = loaded?;
        warn_of_rejects(&summary, &self.file);
        Ok((set, summary))
    }
}

impl Flow {
    /// Owners of entities.
    pub fn shards(&self) -> usize {
        self.shards.map_or_else(cores, |shards| shards as usize)
    }
}

/// What a run over a file came to.
#[derive(Debug, serde::Serialize)]
pub struct Report {
    #[serde(flatten)]
    summary: Summary,
    /// Events decided in a second of wall time.
    pub events_per_second: f64,
    memory_peak_bytes: Option<u64>,
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Summary { events, rejected, repeated, late, too_late, seconds } = self.summary;
        write!(f, "{events} events in {seconds:.2} s, {:.0} events/s", self.events_per_second)?;
        if let Some(bytes) = self.memory_peak_bytes {
            write!(f, ", at most {:.0} MB of memory", bytes as f64 / 1e6)?;
        }
        let kinds = [(rejected, "rejected"), (repeated, "repeated"), (late, "late"), (too_late, "too late")];
        for (count, kind) in kinds.iter().filter(|(count, _)| *count > 0) {
            write!(f, ", {count} {kind}")?;
        }
        Ok(())
    }
}

/// Writes the cells of one decided row.
pub type WriteRow<'a> = dyn FnMut(&mut TableWriter, &EventBatch, &Decisions, usize) + Send + 'a;

/// Runs a file through the engine into a table.
///
/// # Errors
/// If the file cannot be read, the table cannot be written, or no row of the file was an event.
pub fn run_into_table(
    (input, columns): (&Path, &ColumnMap),
    flow: &Flow,
    mut engine: Engine,
    table: Option<TableWriter>,
    write_row: &mut WriteRow<'_>,
) -> Result<Report> {
    let schema = Arc::new(engine.detector().schema.clone());
    let reader = open(input, &schema, columns)?;
    let mut sink = TableSink { table, write_row, rejects: RejectLog::create(flow.rejects.as_deref())? };
    let bar = ReplayBar::new("events");
    let replayed =
        replay(reader, &mut engine, flow.batch as usize, &mut sink, &mut |progress| bar.show(progress));
    bar.finish();
    let summary = replayed?;
    sink.rejects.finish()?;
    if summary.events == 0 {
        bail!("{}: no event was read, {} rows were rejected", input.display(), summary.rejected);
    }
    sink.table.map(TableWriter::finish).transpose()?;
    let events_per_second = summary.events as f64 / summary.seconds.max(1e-9);
    Ok(Report { summary, events_per_second, memory_peak_bytes: memory_peak_bytes() })
}

struct TableSink<'a> {
    table: Option<TableWriter>,
    write_row: &'a mut WriteRow<'a>,
    rejects: RejectLog,
}

impl Sink for TableSink<'_> {
    fn decided(&mut self, block: &Block, decisions: &Decisions) -> Result<()> {
        let Some(table) = &mut self.table else { return Ok(()) };
        for row in (0..decisions.len()).filter(|row| decisions.statuses[*row] != Status::TimeJump) {
            (self.write_row)(table, &block.batch, decisions, row);
            table.end_row()?;
        }
        table.flush()
    }

    fn rejected(&mut self, rejects: &[Reject]) -> Result<()> {
        rejects.iter().try_for_each(|reject| self.rejects.push(reject))
    }
}

/// Rows that are shown one by one; more would bury what is said after them.
const REJECTS_SHOWN: u64 = 5;

/// Tells of wrong rows: the first ones on the standard error, all of them in a file if one is asked for.
struct RejectLog {
    file: Option<BufWriter<File>>,
    count: u64,
}

impl RejectLog {
    fn create(path: Option<&Path>) -> Result<RejectLog> {
        let create =
            |path: &Path| File::create(path).with_context(|| format!("cannot write {}", path.display()));
        Ok(RejectLog { file: path.map(create).transpose()?.map(BufWriter::new), count: 0 })
    }

    fn push(&mut self, reject: &Reject) -> Result<()> {
        self.count += 1;
        if self.count <= REJECTS_SHOWN {
            eprintln!("line {}: {}", reject.line, reject.rejection);
        }
        let Some(file) = &mut self.file else { return Ok(()) };
        let entry = serde_json::json!({
            "line": reject.line,
            "errors": reject.rejection.errors,
            "raw": reject.raw,
        });
        Ok(writeln!(file, "{entry}")?)
    }

    fn finish(&mut self) -> Result<()> {
        if self.count > REJECTS_SHOWN {
            eprintln!("and {} more rejected rows", self.count - REJECTS_SHOWN);
        }
        self.file.as_mut().map_or(Ok(()), |file| Ok(file.flush()?))
    }
}
