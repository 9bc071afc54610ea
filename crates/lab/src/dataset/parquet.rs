//! Apache Parquet, read column by column through Arrow.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{DataType, TimeUnit};
use engine::detector::Schema;
use engine::event::MARK;
use engine::{EventBatch, Value};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use super::{Block, ColumnMap, DatasetError, Reader};

/// Rows that Arrow decodes at a time: its columns stay in the second-level cache.
const DECODED_ROWS: usize = 8_192;

pub(super) struct ParquetReader {
    path: PathBuf,
    reader: ParquetRecordBatchReader,
    /// For each field of the schema, and the mark, its column among those read.
    columns: Vec<Option<usize>>,
    decoded: Vec<Cells>,
    decoded_rows: usize,
    next: usize,
    row: u64,
    rows: u64,
}

/// One decoded column in one of the few types that events are made of.
enum Cells {
    Integers(ArrayRef),
    Numbers(ArrayRef),
    Bools(ArrayRef),
    Texts(ArrayRef),
    Instants(ArrayRef),
    Other,
}

impl ParquetReader {
    pub fn new(path: &Path, file: File, schema: &Arc<Schema>, map: &ColumnMap) -> Result<Self, DatasetError> {
        let damaged = |error: &dyn std::fmt::Display| DatasetError::Damaged {
            path: path.to_path_buf(),
            message: format!("not a readable Parquet file: {error}"),
        };
        let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| damaged(&error))?;
        let names: Vec<String> = builder.schema().fields().iter().map(|field| field.name().clone()).collect();
        let found = map.resolve(path, schema, &names)?;
        let mut used: Vec<usize> = found.iter().flatten().copied().collect();
        used.sort_unstable();
        used.dedup();
        let columns =
            found.iter().map(|column| column.and_then(|column| used.binary_search(&column).ok())).collect();
        let rows = builder.metadata().file_metadata().num_rows().max(0) as u64;
        let mask = ProjectionMask::roots(builder.parquet_schema(), used);
        let reader = builder
            .with_projection(mask)
            .with_batch_size(DECODED_ROWS)
            .build()
            .map_err(|error| damaged(&error))?;
        Ok(ParquetReader {
            path: path.to_path_buf(),
            reader,
            columns,
            decoded: Vec::new(),
            decoded_rows: 0,
            next: 0,
            row: 0,
            rows,
        })
    }

    /// Decodes on if everything decoded has been handed out. False at the end.
    fn decode(&mut self) -> Result<bool, DatasetError> {
        if self.next < self.decoded_rows {
            return Ok(true);
        }
        let Some(decoded) = self.reader.next() else { return Ok(false) };
        let decoded: RecordBatch = decoded.map_err(|error| DatasetError::Damaged {
            path: self.path.clone(),
            message: format!("around row {}: {error}", self.row + 1),
        })?;
        self.decoded = decoded.columns().iter().map(Cells::new).collect();
        self.decoded_rows = decoded.num_rows();
        self.next = 0;
        Ok(true)
    }

    fn enter(&self, at: usize, batch: &mut EventBatch) {
        batch.begin_row();
        for (field, column) in self.columns.iter().enumerate() {
            match column {
                Some(column) => batch.set(field, self.decoded[*column].value(at)),
                None if field == 0 => batch.set(0, Value::Integer(self.row as i64)),
                None => {}
            }
        }
    }

    fn raw(&self, at: usize, schema: &Schema) -> String {
        let names = schema.fields.iter().map(|field| field.name.as_str()).chain([MARK]);
        let cells = names.zip(&self.columns).filter_map(|(name, column)| {
            column.map(|column| format!("\"{name}\":{}", self.decoded[column].value(at)))
        });
        format!("{{{}}}", cells.collect::<Vec<_>>().join(","))
    }
}

impl Reader for ParquetReader {
    fn read(&mut self, block: &mut Block, rows: usize) -> Result<bool, DatasetError> {
        for _ in 0..rows {
            if !self.decode()? {
                return Ok(false);
            }
            let at = self.next;
            self.next += 1;
            self.row += 1;
            self.enter(at, &mut block.batch);
            let ended = block.batch.end_row();
            let schema = Arc::clone(block.batch.schema());
            block.end_row(self.row, ended, || self.raw(at, &schema));
        }
        Ok(true)
    }

    fn progress(&self) -> Option<f64> {
        Some(self.row as f64 / self.rows.max(1) as f64)
    }
}

impl Cells {
    fn new(array: &ArrayRef) -> Cells {
        let cast = |to: &DataType| arrow_cast::cast(array, to).ok();
        let cells = match array.data_type() {
            DataType::Boolean => Some(Cells::Bools(Arc::clone(array))),
            kind if kind.is_integer() => cast(&DataType::Int64).map(Cells::Integers),
            kind if kind.is_floating() || kind.is_decimal() => cast(&DataType::Float64).map(Cells::Numbers),
            DataType::Timestamp(_, _) | DataType::Date32 | DataType::Date64 => {
                cast(&DataType::Timestamp(TimeUnit::Microsecond, None)).map(Cells::Instants)
            }
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Dictionary(_, _) => {
                cast(&DataType::Utf8).map(Cells::Texts)
            }
            _ => None,
        };
        cells.unwrap_or(Cells::Other)
    }

    #[inline]
    fn value(&self, at: usize) -> Value<'_> {
        let array = match self {
            Cells::Integers(array)
            | Cells::Numbers(array)
            | Cells::Bools(array)
            | Cells::Texts(array)
            | Cells::Instants(array) => array,
            Cells::Other => return Value::Nested("a column of a type that no field can hold"),
        };
        if array.is_null(at) {
            return Value::Missing;
        }
        match self {
            Cells::Integers(array) => Value::Integer(array.as_primitive::<Int64Type>().value(at)),
            Cells::Numbers(array) => match array.as_primitive::<Float64Type>().value(at) {
                // pandas has no other way to write a missing number.
                number if number.is_nan() => Value::Missing,
                number => Value::Number(number),
            },
            Cells::Bools(array) => Value::Bool(array.as_boolean().value(at)),
            Cells::Texts(array) => Value::Untyped(array.as_string::<i32>().value(at)),
            Cells::Instants(array) => {
                Value::Instant(array.as_primitive::<TimestampMicrosecondType>().value(at))
            }
            Cells::Other => Value::Missing,
        }
    }
}
