//! Tables out: features, decisions, simulated transactions.
//!
//! Cells are given row by row. What a file holds does not depend on how the rows came in: Parquet's pages are cut at
//! fixed row counts. A file gets its name only when it is whole.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use arrow_array::builder::{
    ArrayBuilder, BooleanBuilder, Float64Builder, Int64Builder, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use parquet::schema::types::ColumnPath;

use super::json::write_money;
use super::{Format, write_json_text, write_number};

/// Rows handed to the Parquet writer at a time, always this many.
const PARQUET_ROWS: usize = 1 << 16;

/// Rows in a Parquet row group: large enough to compress, small enough that writing twenty million rows takes little
/// memory.
const ROW_GROUP_ROWS: usize = 1 << 18;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnType {
    /// Text of which hardly any comes twice; Parquet looks for no repetitions in it.
    Id,
    /// Text.
    Text,
    /// Whole numbers.
    Integer,
    /// Doubles.
    Number,
    /// Instants in microseconds; RFC 3339 in text formats.
    Instant,
    /// True or false.
    Bool,
}

/// Writes a table row by row: one call a cell, in the order of the columns, then [`TableWriter::end_row`].
pub struct TableWriter {
    names: Vec<String>,
    column: usize,
    rows: u64,
    sink: Sink,
    partial: Option<Partial>,
}

/// A file on its way: it has another name until it is whole, and is gone if it never gets there.
struct Partial {
    written: PathBuf,
    wanted: PathBuf,
}

impl Partial {
    fn create(wanted: &Path) -> Result<(Partial, File)> {
        let mut written = wanted.as_os_str().to_owned();
        written.push(".partial");
        let written = PathBuf::from(written);
        let file = File::create(&written).with_context(|| format!("cannot write {}", wanted.display()))?;
        Ok((Partial { written, wanted: wanted.to_path_buf() }, file))
    }

    fn complete(self) -> Result<()> {
        let renamed = std::fs::rename(&self.written, &self.wanted);
        renamed.with_context(|| format!("cannot write {}", self.wanted.display()))
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // Gone already if it was completed; and if it cannot be removed, nobody is left to tell.
        drop(std::fs::remove_file(&self.written));
    }
}

enum Sink {
    Csv { out: BufWriter<Box<dyn Write + Send>>, line: String },
    Jsonl { out: BufWriter<Box<dyn Write + Send>>, line: String },
    Parquet { writer: Box<ArrowWriter<File>>, schema: SchemaRef, columns: Vec<Builder>, rows: usize },
}

enum Builder {
    Text(StringBuilder),
    Integer(Int64Builder),
    Number(Float64Builder),
    Instant(TimestampMicrosecondBuilder),
    Bool(BooleanBuilder),
}

impl TableWriter {
    /// Starts a file of the format that its ending names. `-` is JSON lines to the standard output.
    ///
    /// # Errors
    /// If the ending is unknown or the file cannot be created.
    pub fn create(path: &Path, columns: &[(String, ColumnType)]) -> Result<TableWriter> {
        let names = columns.iter().map(|(name, _)| name.clone()).collect();
        if path == Path::new("-") {
            let out: Box<dyn Write + Send> = Box::new(io::stdout());
            let sink = Sink::Jsonl { out: BufWriter::new(out), line: String::new() };
            return Ok(TableWriter { names, column: 0, rows: 0, sink, partial: None });
        }
        let format = Format::of(path)?;
        let (partial, file) = Partial::create(path)?;
        let sink = match format {
            Format::Parquet => parquet_sink(file, columns)?,
            Format::Csv => csv_sink(file, columns)?,
            Format::Jsonl => Sink::Jsonl { out: buffered(file), line: String::new() },
        };
        Ok(TableWriter { names, column: 0, rows: 0, sink, partial: Some(partial) })
    }

    /// A cell of text.
    pub fn text(&mut self, text: &str) {
        self.separate();
        match &mut self.sink {
            Sink::Csv { line, .. } => write_csv_text(text, line),
            Sink::Jsonl { line, .. } => write_json_text(text, line),
            Sink::Parquet { columns, .. } => match &mut columns[self.column] {
                Builder::Text(builder) => builder.append_value(text),
                _ => unreachable!("a text cell belongs into a text column"),
            },
        }
        self.column += 1;
    }

    /// A whole number.
    pub fn integer(&mut self, value: i64) {
        self.separate();
        match &mut self.sink {
            Sink::Csv { line, .. } | Sink::Jsonl { line, .. } => {
                line.push_str(itoa::Buffer::new().format(value))
            }
            Sink::Parquet { columns, .. } => match &mut columns[self.column] {
                Builder::Integer(builder) => builder.append_value(value),
                _ => unreachable!("a whole number belongs into a column of whole numbers"),
            },
        }
        self.column += 1;
    }

    /// A double; NaN is a missing cell.
    pub fn number(&mut self, value: f64) {
        if value.is_nan() {
            return self.missing();
        }
        self.separate();
        match &mut self.sink {
            Sink::Csv { line, .. } | Sink::Jsonl { line, .. } => write_number(value, line),
            Sink::Parquet { columns, .. } => match &mut columns[self.column] {
                Builder::Number(builder) => builder.append_value(value),
                _ => unreachable!("a double belongs into a column of doubles"),
            },
        }
        self.column += 1;
    }

    /// An amount in minor units, into a column of numbers: as a decimal with exactly `decimals` places in text formats.
    pub fn money(&mut self, minor: i64, decimals: u32) {
        self.separate();
        match &mut self.sink {
            Sink::Csv { line, .. } | Sink::Jsonl { line, .. } => write_money(minor, decimals, line),
            Sink::Parquet { columns, .. } => match &mut columns[self.column] {
                Builder::Number(builder) => builder.append_value(minor as f64 / 10_f64.powi(decimals as i32)),
                _ => unreachable!("an amount belongs into a column of doubles"),
            },
        }
        self.column += 1;
    }

    /// An instant in microseconds since 1970.
    pub fn instant(&mut self, us: i64) {
        self.separate();
        match &mut self.sink {
            Sink::Csv { line, .. } => engine::time::write_instant(us, line),
            Sink::Jsonl { line, .. } => {
                line.push('"');
                engine::time::write_instant(us, line);
                line.push('"');
            }
            Sink::Parquet { columns, .. } => match &mut columns[self.column] {
                Builder::Instant(builder) => builder.append_value(us),
                _ => unreachable!("an instant belongs into a column of instants"),
            },
        }
        self.column += 1;
    }

    /// True or false; 1 and 0 in CSV.
    pub fn bool(&mut self, value: bool) {
        self.separate();
        match &mut self.sink {
            Sink::Csv { line, .. } => line.push(if value { '1' } else { '0' }),
            Sink::Jsonl { line, .. } => line.push_str(if value { "true" } else { "false" }),
            Sink::Parquet { columns, .. } => match &mut columns[self.column] {
                Builder::Bool(builder) => builder.append_value(value),
                _ => unreachable!("true or false belongs into a column of booleans"),
            },
        }
        self.column += 1;
    }

    /// An empty cell.
    pub fn missing(&mut self) {
        self.separate();
        match &mut self.sink {
            Sink::Csv { .. } => {}
            Sink::Jsonl { line, .. } => line.push_str("null"),
            Sink::Parquet { columns, .. } => match &mut columns[self.column] {
                Builder::Text(builder) => builder.append_null(),
                Builder::Integer(builder) => builder.append_null(),
                Builder::Number(builder) => builder.append_null(),
                Builder::Instant(builder) => builder.append_null(),
                Builder::Bool(builder) => builder.append_null(),
            },
        }
        self.column += 1;
    }

    /// Ends the row.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn end_row(&mut self) -> Result<()> {
        debug_assert_eq!(self.column, self.names.len(), "a row has a cell for every column");
        self.column = 0;
        self.rows += 1;
        match &mut self.sink {
            Sink::Csv { out, line } => {
                line.push('\n');
                out.write_all(line.as_bytes())?;
                line.clear();
            }
            Sink::Jsonl { out, line } => {
                line.push_str("}\n");
                out.write_all(line.as_bytes())?;
                line.clear();
            }
            Sink::Parquet { rows, .. } => {
                *rows += 1;
                if *rows == PARQUET_ROWS {
                    self.flush_parquet()?;
                }
            }
        }
        Ok(())
    }

    /// Hands what was written to a reader at the other end of the standard output. Files are written when they are full.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn flush(&mut self) -> Result<()> {
        match &mut self.sink {
            Sink::Jsonl { out, .. } if self.partial.is_none() => Ok(out.flush()?),
            _ => Ok(()),
        }
    }

    /// Ends the file, gives it its name, and tells how many rows it has.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn finish(mut self) -> Result<u64> {
        self.flush_parquet()?;
        match self.sink {
            Sink::Csv { mut out, .. } | Sink::Jsonl { mut out, .. } => out.flush()?,
            Sink::Parquet { writer, .. } => {
                writer.close()?;
            }
        }
        self.partial.map_or(Ok(()), Partial::complete)?;
        Ok(self.rows)
    }

    fn separate(&mut self) {
        match &mut self.sink {
            Sink::Csv { line, .. } if self.column > 0 => line.push(','),
            Sink::Jsonl { line, .. } => {
                line.push(if self.column == 0 { '{' } else { ',' });
                write_json_text(&self.names[self.column], line);
                line.push(':');
            }
            _ => {}
        }
    }

    fn flush_parquet(&mut self) -> Result<()> {
        let Sink::Parquet { writer, schema, columns, rows } = &mut self.sink else { return Ok(()) };
        if *rows > 0 {
            let arrays = columns.iter_mut().map(Builder::finish).collect();
            writer.write(&RecordBatch::try_new(Arc::clone(schema), arrays)?)?;
            *rows = 0;
        }
        Ok(())
    }
}

impl Builder {
    fn new(kind: ColumnType) -> Builder {
        match kind {
            ColumnType::Id | ColumnType::Text => Builder::Text(StringBuilder::new()),
            ColumnType::Integer => Builder::Integer(Int64Builder::new()),
            ColumnType::Number => Builder::Number(Float64Builder::new()),
            ColumnType::Instant => Builder::Instant(TimestampMicrosecondBuilder::new().with_timezone("UTC")),
            ColumnType::Bool => Builder::Bool(BooleanBuilder::new()),
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Builder::Text(builder) => ArrayBuilder::finish(builder),
            Builder::Integer(builder) => ArrayBuilder::finish(builder),
            Builder::Number(builder) => ArrayBuilder::finish(builder),
            Builder::Instant(builder) => ArrayBuilder::finish(builder),
            Builder::Bool(builder) => ArrayBuilder::finish(builder),
        }
    }
}

fn buffered(file: File) -> BufWriter<Box<dyn Write + Send>> {
    let file: Box<dyn Write + Send> = Box::new(file);
    BufWriter::with_capacity(1 << 18, file)
}

fn csv_sink(file: File, columns: &[(String, ColumnType)]) -> Result<Sink> {
    let mut header = String::new();
    for (index, (name, _)) in columns.iter().enumerate() {
        if index > 0 {
            header.push(',');
        }
        write_csv_text(name, &mut header);
    }
    header.push('\n');
    let mut out = buffered(file);
    out.write_all(header.as_bytes())?;
    Ok(Sink::Csv { out, line: String::new() })
}

fn parquet_sink(file: File, columns: &[(String, ColumnType)]) -> Result<Sink> {
    if columns.is_empty() {
        bail!("a Parquet file needs at least one column");
    }
    let fields: Vec<Field> =
        columns.iter().map(|(name, kind)| Field::new(name, arrow_type(*kind), true)).collect();
    let schema = Arc::new(Schema::new(fields));
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS));
    for (name, _) in columns.iter().filter(|(_, kind)| *kind == ColumnType::Id) {
        properties = properties.set_column_dictionary_enabled(ColumnPath::new(vec![name.clone()]), false);
    }
    let writer = Box::new(ArrowWriter::try_new(file, Arc::clone(&schema), Some(properties.build()))?);
    let builders = columns.iter().map(|(_, kind)| Builder::new(*kind)).collect();
    Ok(Sink::Parquet { writer, schema, columns: builders, rows: 0 })
}

fn arrow_type(kind: ColumnType) -> DataType {
    match kind {
        ColumnType::Id | ColumnType::Text => DataType::Utf8,
        ColumnType::Integer => DataType::Int64,
        ColumnType::Number => DataType::Float64,
        ColumnType::Instant => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        ColumnType::Bool => DataType::Boolean,
    }
}

/// RFC 4180: a cell with a comma, quote or line break is quoted, quotes inside are doubled.
fn write_csv_text(text: &str, line: &mut String) {
    if !text.contains([',', '"', '\n', '\r']) {
        line.push_str(text);
        return;
    }
    line.push('"');
    for character in text.chars() {
        if character == '"' {
            line.push('"');
        }
        line.push(character);
    }
    line.push('"');
}
