//! Comma-separated values with a header line.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use csv::{ByteRecord, ReaderBuilder};
use engine::detector::Schema;
use engine::{EventBatch, FieldError, Value};

use super::{Block, ColumnMap, DatasetError, READ_BUFFER_BYTES, Reader};

pub(super) struct CsvReader {
    path: PathBuf,
    reader: csv::Reader<BufReader<File>>,
    record: ByteRecord,
    columns: Vec<Option<usize>>,
    width: usize,
    bytes: u64,
    rows: u64,
}

impl CsvReader {
    pub fn new(
        path: &Path,
        file: File,
        bytes: u64,
        schema: &Arc<Schema>,
        map: &ColumnMap,
    ) -> Result<CsvReader, DatasetError> {
        let input = BufReader::with_capacity(READ_BUFFER_BYTES, file);
        // Rows of another width are rejected one by one, not by the parser.
        let mut reader = ReaderBuilder::new().flexible(true).from_reader(input);
        let header = reader.headers().map_err(|error| damaged(path, &error))?;
        let names: Vec<String> =
            header.iter().map(|name| name.trim().trim_start_matches('\u{feff}').into()).collect();
        let columns = map.resolve(path, schema, &names)?;
        let path = path.to_path_buf();
        Ok(CsvReader { path, reader, record: ByteRecord::new(), columns, width: names.len(), bytes, rows: 0 })
    }

    fn enter(&self, batch: &mut EventBatch) {
        batch.begin_row();
        if self.record.len() != self.width {
            let expected = format!("{} cells, as in the header", self.width);
            batch.add_error(FieldError::new(
                "",
                format_args!("a row of {} cells", self.record.len()),
                expected,
            ));
        }
        for (field, column) in self.columns.iter().enumerate() {
            let cell = column.and_then(|column| self.record.get(column));
            match cell.map(std::str::from_utf8) {
                Some(Ok(text)) => batch.set(field, Value::Untyped(text)),
                Some(Err(_)) => batch.set(field, Value::Nested("bytes that are not UTF-8")),
                None if column.is_none() && field == 0 => batch.set(0, Value::Integer(self.rows as i64)),
                None => {}
            }
        }
    }

    fn raw(&self) -> String {
        let cells: Vec<_> = self.record.iter().map(String::from_utf8_lossy).collect();
        cells.join(",")
    }
}

impl Reader for CsvReader {
    fn read(&mut self, block: &mut Block, rows: usize) -> Result<bool, DatasetError> {
        for _ in 0..rows {
            let line = self.reader.position().line();
            match self.reader.read_byte_record(&mut self.record) {
                Ok(true) => {}
                Ok(false) => return Ok(false),
                Err(error) => return Err(damaged(&self.path, &error)),
            }
            self.rows += 1;
            self.enter(&mut block.batch);
            let ended = block.batch.end_row();
            block.end_row(line, ended, || self.raw());
        }
        Ok(true)
    }

    fn progress(&self) -> Option<f64> {
        Some(self.reader.position().byte() as f64 / self.bytes.max(1) as f64)
    }
}

fn damaged(path: &Path, error: &csv::Error) -> DatasetError {
    DatasetError::Damaged { path: path.to_path_buf(), message: error.to_string() }
}
