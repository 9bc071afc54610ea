//! Transactions in files. The ending says the format: `.csv`, `.jsonl` (or `.ndjson`), `.parquet`.
//!
//! A reader fills event batches through the engine's own door, [`engine::EventBatch::set`], so a file's row is checked
//! exactly as a request is. A row that is wrong is handed out with its position and does not stop the file.

mod columns;
mod csv;
mod json;
mod matrix;
mod parquet;
mod simulated;
mod table;

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::detector::Schema;
use engine::{EventBatch, Rejection};

pub use columns::ColumnMap;
pub use json::{EventReader, write_event, write_json_text, write_mark, write_number, write_whole_event};
pub use matrix::MatrixReader;
pub use simulated::SimulatedReader;
pub use table::{ColumnType, TableWriter};

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Comma-separated values with a header line.
    Csv,
    /// One JSON object a line.
    Jsonl,
    /// Apache Parquet.
    Parquet,
}

/// A row that did not become an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// Line in the file (the header of a CSV file is line 1), or row for Parquet, from 1.
    pub line: u64,
    /// What is wrong with it.
    pub rejection: Rejection,
    /// The row as it stands in the file; for Parquet as JSON.
    pub raw: String,
}

/// Why a file cannot be read at all.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    /// The operating system refused.
    #[error("cannot open {path}: {reason}")]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system said. It is in the message, so it is no source, which would be said again.
        reason: io::Error,
    },
    /// The ending names no known format.
    #[error("{0}: the ending must be .csv, .jsonl, .ndjson or .parquet")]
    UnknownFormat(PathBuf),
    /// Columns that the detector needs are not there.
    #[error("{path}: {message}")]
    Columns {
        /// The file.
        path: PathBuf,
        /// Which columns are missing, and what the file has.
        message: String,
    },
    /// It has no row of the kind that is wanted.
    #[error("{path} has no labelled transactions{period} ({read} read)")]
    NoRows {
        /// The file.
        path: PathBuf,
        /// The period, in words; empty for all of the file.
        period: String,
        /// Events that it does have.
        read: u64,
    },
    /// The contents are not of the format.
    #[error("{path}: {message}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where and what.
        message: String,
    },
}

/// Some rows of a stream: those that became events, and those that did not.
#[derive(Debug, Clone)]
pub struct Block {
    /// The events.
    pub batch: EventBatch,
    /// The line of each event.
    pub lines: Vec<u64>,
    /// The rows that were wrong.
    pub rejects: Vec<Reject>,
}

impl Block {
    /// An empty block.
    pub fn new(schema: &Arc<Schema>) -> Block {
        Block { batch: EventBatch::new(Arc::clone(schema)), lines: Vec::new(), rejects: Vec::new() }
    }

    /// Removes everything and keeps the memory.
    pub fn clear(&mut self) {
        self.batch.clear();
        self.lines.clear();
        self.rejects.clear();
    }

    fn end_row(&mut self, line: u64, ended: Result<(), Rejection>, raw: impl FnOnce() -> String) {
        match ended {
            Ok(()) => self.lines.push(line),
            Err(rejection) => self.rejects.push(Reject { line, rejection, raw: raw() }),
        }
    }
}

/// A stream of events.
pub trait Reader: Send {
    /// Appends up to `rows` rows to `block`. False at the end.
    ///
    /// # Errors
    /// If the file itself cannot be read on.
    fn read(&mut self, block: &mut Block, rows: usize) -> Result<bool, DatasetError>;

    /// How much of the source has been read, from 0 to 1, where that is known.
    fn progress(&self) -> Option<f64>;
}

impl Format {
    /// The format that a file's ending names.
    ///
    /// # Errors
    /// [`DatasetError::UnknownFormat`].
    pub fn of(path: &Path) -> Result<Format, DatasetError> {
        let ending = path.extension().and_then(|e| e.to_str()).map(str::to_ascii_lowercase);
        match ending.as_deref() {
            Some("csv") => Ok(Format::Csv),
            Some("jsonl" | "ndjson") => Ok(Format::Jsonl),
            Some("parquet" | "pq") => Ok(Format::Parquet),
            _ => Err(DatasetError::UnknownFormat(path.to_path_buf())),
        }
    }
}

/// Opens a file of transactions. `-` is JSON lines from the standard input.
///
/// # Errors
/// If it cannot be opened, its ending is unknown, or columns are missing that the detector needs.
pub fn open(path: &Path, schema: &Arc<Schema>, map: &ColumnMap) -> Result<Box<dyn Reader>, DatasetError> {
    if path == Path::new("-") {
        let input: Box<dyn BufRead + Send> = Box::new(BufReader::new(io::stdin()));
        return Ok(Box::new(json::JsonlReader::new(path, input, None, schema, map)));
    }
    let format = Format::of(path)?;
    let opened = File::open(path).and_then(|file| {
        let bytes = file.metadata()?.len();
        Ok((file, bytes))
    });
    let (file, bytes) = opened.map_err(|reason| DatasetError::Open { path: path.to_path_buf(), reason })?;
    match format {
        Format::Csv => Ok(Box::new(csv::CsvReader::new(path, file, bytes, schema, map)?)),
        Format::Parquet => Ok(Box::new(parquet::ParquetReader::new(path, file, schema, map)?)),
        Format::Jsonl => {
            let input = Box::new(BufReader::with_capacity(READ_BUFFER_BYTES, file));
            Ok(Box::new(json::JsonlReader::new(path, input, Some(bytes), schema, map)))
        }
    }
}

/// Large enough that system calls do not show.
const READ_BUFFER_BYTES: usize = 1 << 18;
