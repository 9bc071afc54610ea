//! Tables from files and into files.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef};
use arrow_schema::{DataType, TimeUnit};
use engine::detector::{Detector, Schema};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::table::{Column, EventTable, Kind, Table, number_of};
use crate::dataset::{Block, ColumnMap, ColumnType, DatasetError, Format, TableWriter, open};
use crate::train::BATCH_ROWS;

/// The name of the column that says which generator made a row.
pub use engine::event::MARK;

/// The events of a file as a detector understands them, and how many rows were rejected. Only labelled rows are taken if
/// the detector has a label.
///
/// # Errors
/// If the file cannot be read, or has no such row.
pub fn read_events(detector: &Detector, path: &Path, map: &ColumnMap) -> Result<(Table, u64)> {
    let schema = Arc::new(detector.schema.clone());
    let mut reader = open(path, &schema, map)?;
    let (mut block, mut table, mut rejected) = (Block::new(&schema), EventTable::new(&schema), 0);
    let mut more = true;
    while more {
        block.clear();
        more = reader.read(&mut block, BATCH_ROWS)?;
        rejected += block.rejects.len() as u64;
        table.push(&block.batch);
    }
    let table = table.finish();
    if table.is_empty() {
        bail!("{} has no labelled transaction ({rejected} rows were rejected)", path.display());
    }
    Ok((table, rejected))
}

/// A CSV or Parquet file as it is: numbers are numbers, texts that are all instants are instants, other texts are
/// categories, the column `label` is the label. A column of marks and columns of which no two rows share a text are left out:
/// a name that never comes back says nothing.
///
/// # Errors
/// If the file cannot be read, is of another format, or `label` is not a column of zeros and ones.
pub fn read_columns(path: &Path, label: Option<&str>) -> Result<Table> {
    let columns = match Format::of(path)? {
        Format::Csv => csv_columns(path)?,
        Format::Parquet => parquet_columns(path)?,
        Format::Jsonl => bail!("{}: without a detector, files are .csv or .parquet", path.display()),
    };
    let rows = columns.first().map_or(0, |column| column.values.len());
    if rows == 0 {
        bail!("{} has no rows", path.display());
    }
    let is_name = |column: &Column| column.kind == Kind::Category && column.words.len() == rows && rows > 1;
    let mut table =
        Table { columns, times_us: Vec::new() }.without(|column| column.name == MARK || is_name(column));
    if let Some(label) = label {
        mark_label(&mut table, label, path)?;
    }
    table.take_times();
    table.find_decimals();
    Ok(table)
}

fn mark_label(table: &mut Table, label: &str, path: &Path) -> Result<()> {
    let names: Vec<&str> = table.columns.iter().map(|column| column.name.as_str()).collect();
    let Some(at) = names.iter().position(|name| *name == label) else {
        bail!("{} has no column `{label}` for the label; it has {}", path.display(), names.join(", "));
    };
    let column = &mut table.columns[at];
    if let Some(wrong) = column.values.iter().find(|value| **value != 0.0 && **value != 1.0) {
        let shown = column.word(*wrong).map_or(wrong.to_string(), str::to_string);
        bail!("{}: the label `{label}` is {shown} in a row: expected 0 or 1 in all of them", path.display());
    }
    column.kind = Kind::Label;
    Ok(())
}

fn csv_columns(path: &Path) -> Result<Vec<Column>> {
    let damaged = |error: csv::Error| DatasetError::Damaged { path: path.into(), message: error.to_string() };
    let file = File::open(path).map_err(|reason| DatasetError::Open { path: path.into(), reason })?;
    let mut reader = csv::Reader::from_reader(file);
    let header = reader.headers().map_err(damaged)?.clone();
    let mut cells: Vec<Vec<String>> = vec![Vec::new(); header.len()];
    for record in reader.records() {
        let record = record.map_err(damaged)?;
        for (column, cell) in cells.iter_mut().zip(record.iter()) {
            column.push(cell.trim().to_string());
        }
    }
    let name = |name: &str| name.trim().trim_start_matches('\u{feff}').to_string();
    Ok(header.iter().zip(&cells).map(|(head, cells)| column_of_texts(name(head), cells)).collect())
}

/// The kind that all texts of a column agree on. An empty one is missing.
fn column_of_texts(name: String, cells: &[String]) -> Column {
    let read = |parse: &dyn Fn(&str) -> Option<f64>| -> Option<Vec<f64>> {
        cells.iter().map(|cell| if cell.is_empty() { Some(f64::NAN) } else { parse(cell) }).collect()
    };
    let number = |cell: &str| cell.parse::<f64>().ok().filter(|value| !value.is_infinite());
    if let Some(values) = read(&number) {
        return Column { values, ..Column::new(name, Kind::Number { decimals: None }) };
    }
    let instant = |cell: &str| engine::time::parse_instant(cell).map(|us| us as f64);
    if let Some(values) = read(&instant) {
        return Column { values, ..Column::new(name, Kind::Instant) };
    }
    let truth = |cell: &str| match cell {
        "true" | "True" => Some(1.0),
        "false" | "False" => Some(0.0),
        _ => None,
    };
    if let Some(values) = read(&truth) {
        return Column { values, ..Column::new(name, Kind::Bool) };
    }
    let (mut numbers, mut words) = (HashMap::new(), Vec::new());
    let values = cells.iter().map(|cell| number_of(&mut numbers, &mut words, cell)).collect();
    Column { values, words, ..Column::new(name, Kind::Category) }
}

fn parquet_columns(path: &Path) -> Result<Vec<Column>> {
    let file = File::open(path).map_err(|reason| DatasetError::Open { path: path.into(), reason })?;
    let unreadable = || format!("{}: not a readable Parquet file", path.display());
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).with_context(unreadable)?;
    let names: Vec<String> = builder.schema().fields().iter().map(|field| field.name().clone()).collect();
    let mut arrays: Vec<Vec<ArrayRef>> = vec![Vec::new(); names.len()];
    for batch in builder.build().with_context(unreadable)? {
        let batch = batch.with_context(unreadable)?;
        for (column, array) in arrays.iter_mut().zip(batch.columns()) {
            column.push(Arc::clone(array));
        }
    }
    names.into_iter().zip(&arrays).map(|(name, arrays)| column_of_arrays(name, arrays)).collect()
}

fn column_of_arrays(name: String, arrays: &[ArrayRef]) -> Result<Column> {
    let kind = match arrays.first().map(|array| array.data_type()) {
        None => return Ok(Column::new(name, Kind::Number { decimals: None })),
        Some(DataType::Boolean) => Kind::Bool,
        Some(kind) if kind.is_numeric() => Kind::Number { decimals: None },
        Some(DataType::Timestamp(_, _) | DataType::Date32 | DataType::Date64) => Kind::Instant,
        Some(_) => Kind::Category,
    };
    let mut column = Column::new(name, kind);
    let mut numbers = HashMap::new();
    for array in arrays {
        append(&mut column, &mut numbers, array)
            .with_context(|| format!("column `{}` is of a type that cannot be read", column.name))?;
    }
    Ok(column)
}

fn append(column: &mut Column, numbers: &mut HashMap<String, f64>, array: &ArrayRef) -> Result<()> {
    let rows = 0..array.len();
    let known =
        |row: usize, value: &mut dyn FnMut() -> f64| if array.is_null(row) { f64::NAN } else { value() };
    match column.kind {
        Kind::Instant => {
            let cast = arrow_cast::cast(array, &DataType::Timestamp(TimeUnit::Microsecond, None))?;
            let times = cast.as_primitive::<TimestampMicrosecondType>();
            column.values.extend(rows.map(|row| known(row, &mut || times.value(row) as f64)));
        }
        Kind::Category => {
            let cast = arrow_cast::cast(array, &DataType::Utf8)?;
            let texts = cast.as_string::<i32>();
            let words = &mut column.words;
            column
                .values
                .extend(rows.map(|row| known(row, &mut || number_of(numbers, words, texts.value(row)))));
        }
        Kind::Bool => {
            let truths = array.as_boolean();
            column.values.extend(rows.map(|row| known(row, &mut || f64::from(u8::from(truths.value(row))))));
        }
        _ => {
            let cast = arrow_cast::cast(array, &DataType::Float64)?;
            let values = cast.as_primitive::<Float64Type>();
            column.values.extend(rows.map(|row| known(row, &mut || values.value(row))));
        }
    }
    Ok(())
}

/// Writes rows to a file of the format that its ending names, each with the mark of what made it (empty: none, and if all
/// are empty no column for it). With a schema, rows are events with an id counted from `first_id`.
///
/// # Errors
/// If the file cannot be written.
pub fn write(
    table: &Table,
    marks: &[String],
    schema: Option<&Schema>,
    first_id: i64,
    path: &Path,
) -> Result<()> {
    let is_marked = marks.iter().any(|mark| !mark.is_empty());
    let id = schema.map(|schema| (schema.id_field().to_string(), ColumnType::Integer));
    let named = table.columns.iter().map(|column| (column.name.clone(), type_of(column)));
    let mark = is_marked.then(|| (MARK.to_string(), ColumnType::Text));
    let columns: Vec<(String, ColumnType)> = id.into_iter().chain(named).chain(mark).collect();
    let mut writer = TableWriter::create(path, &columns)?;
    for row in 0..table.len() {
        if schema.is_some() {
            writer.integer(first_id + row as i64);
        }
        table.columns.iter().for_each(|column| write_cell(&mut writer, column, column.values[row]));
        match marks.get(row).filter(|_| is_marked).map(String::as_str) {
            None => {}
            Some("") => writer.missing(),
            Some(mark) => writer.text(mark),
        }
        writer.end_row()?;
    }
    writer.finish().map(drop)
}

fn type_of(column: &Column) -> ColumnType {
    match column.kind {
        Kind::Number { decimals: Some(0) } | Kind::Label => ColumnType::Integer,
        Kind::Number { .. } => ColumnType::Number,
        Kind::Instant => ColumnType::Instant,
        Kind::Bool => ColumnType::Bool,
        Kind::Category | Kind::Entity => ColumnType::Text,
    }
}

fn write_cell(writer: &mut TableWriter, column: &Column, value: f64) {
    if value.is_nan() {
        return writer.missing();
    }
    match column.kind {
        Kind::Number { decimals: Some(0) } | Kind::Label => writer.integer(value as i64),
        Kind::Number { .. } => writer.number(value),
        Kind::Instant => writer.instant(value as i64),
        Kind::Bool => writer.bool(value == 1.0),
        Kind::Category | Kind::Entity => writer.text(column.word(value).unwrap_or_default()),
    }
}
