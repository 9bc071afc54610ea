//! Feature matrices made elsewhere: CSV, one row of numbers per event.

use std::fs::File;
use std::path::{Path, PathBuf};

use csv::{Position, StringRecord};

use super::DatasetError;

/// Reads the features of a model from CSV, row by row: by name where the header has the names, else by position.
pub struct MatrixReader {
    path: PathBuf,
    reader: csv::Reader<File>,
    record: StringRecord,
    names: Vec<String>,
    /// For each feature its column.
    columns: Vec<usize>,
    /// The first record was a row, and not a header.
    pending: bool,
}

impl MatrixReader {
    /// Opens a matrix with the columns `names`.
    ///
    /// # Errors
    /// If it cannot be read, lacks some of the names, or has none of them and another number of columns.
    pub fn open(path: &Path, names: &[String]) -> Result<MatrixReader, DatasetError> {
        let file =
            File::open(path).map_err(|reason| DatasetError::Open { path: path.to_path_buf(), reason })?;
        let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(file);
        let mut record = StringRecord::new();
        let damaged = |message: String| DatasetError::Damaged { path: path.to_path_buf(), message };
        let any = reader.read_record(&mut record).map_err(|error| damaged(error.to_string()))?;
        let pending = any && record.iter().all(|cell| number(cell).is_some()) && !counts_columns(&record);
        let columns = columns(&record, names)
            .map_err(|message| DatasetError::Columns { path: path.to_path_buf(), message })?;
        Ok(MatrixReader { path: path.to_path_buf(), reader, record, names: names.to_vec(), columns, pending })
    }

    /// Puts the next row into `values`, an empty cell as NaN. False at the end.
    ///
    /// # Errors
    /// If a cell is not a number, with its line.
    pub fn next_row(&mut self, values: &mut Vec<f64>) -> Result<bool, DatasetError> {
        values.clear();
        if !std::mem::take(&mut self.pending) {
            let read = self.reader.read_record(&mut self.record);
            if !read.map_err(|error| self.damaged(error.to_string()))? {
                return Ok(false);
            }
        }
        let line = self.record.position().map_or(0, Position::line);
        for (column, name) in self.columns.iter().zip(&self.names) {
            let cell = self.record.get(*column);
            let value = cell.and_then(number).ok_or_else(|| {
                let found = cell.map_or("missing".to_string(), |cell| format!("{cell:?}"));
                self.damaged(format!("line {line}: {name} is {found}: expected a number or an empty cell"))
            })?;
            values.push(value);
        }
        Ok(true)
    }

    fn damaged(&self, message: String) -> DatasetError {
        DatasetError::Damaged { path: self.path.clone(), message }
    }
}

/// Whether the first line is 0, 1, 2 and so on: how pandas heads columns without names. With two columns it may well be a row.
fn counts_columns(first: &StringRecord) -> bool {
    first.len() > 2 && first.iter().enumerate().all(|(at, cell)| cell == at.to_string())
}

/// A cell's number; an empty one is missing.
fn number(cell: &str) -> Option<f64> {
    let cell = cell.trim();
    if cell.is_empty() { Some(f64::NAN) } else { cell.parse().ok() }
}

fn columns(first: &StringRecord, names: &[String]) -> Result<Vec<usize>, String> {
    let header: Vec<&str> = first.iter().map(|cell| cell.trim().trim_start_matches('\u{feff}')).collect();
    let find = |name: &String| header.iter().position(|column| column == name);
    let absent: Vec<&str> = names.iter().filter(|name| find(name).is_none()).map(String::as_str).collect();
    if absent.is_empty() {
        return Ok(names.iter().filter_map(find).collect());
    }
    if absent.len() < names.len() {
        return Err(format!("lacks the features {}", absent.join(", ")));
    }
    if header.len() != names.len() {
        let (found, expected) = (header.len(), names.len());
        return Err(format!(
            "has {found} columns, none by the model's names; expected {expected}: {}",
            names.join(", ")
        ));
    }
    Ok((0..names.len()).collect())
}
