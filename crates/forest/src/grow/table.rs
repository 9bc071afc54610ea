use std::collections::HashSet;

use super::GrowError;

/// Boosting packs a row count beside a sum into one word; this many rows leave 14 bits of precision to a row.
const ROWS_MAX: usize = 1 << 24;
const COLUMNS_MAX: usize = 1 << 16;
/// Wide enough for any purpose, and narrow enough that no sum over rows overflows.
const WEIGHTS: std::ops::RangeInclusive<f64> = 1e-12..=1e12;

/// Labelled rows to learn from, column by column.
#[derive(Clone, Copy, Debug)]
pub struct Table<'a> {
    /// One column per feature, all of the same length. NaN is missing; infinite values are refused.
    pub columns: &'a [Vec<f64>],
    /// One label per row; true is the positive class (fraud).
    pub labels: &'a [bool],
    /// One name per column, all different.
    pub names: &'a [String],
    /// One weight per row, 1e-12 to 1e12, or none: every row weighs 1.
    pub weights: Option<&'a [f64]>,
}

impl Table<'_> {
    /// Weight of a row before that of its class.
    pub(super) fn weight(&self, row: usize) -> f64 {
        self.weights.map_or(1.0, |weights| weights[row])
    }

    /// Weight of a row and its class.
    pub(super) fn class_weight(&self, row: usize, positive_weight: f64) -> f64 {
        self.weight(row) * if self.labels[row] { positive_weight } else { 1.0 }
    }

    /// Whether it can be learnt from.
    ///
    /// # Errors
    /// The first thing that is wrong with it: no rows, one class only, lengths that differ, an infinite value.
    pub fn check(&self) -> Result<(), GrowError> {
        let rows = self.labels.len();
        if rows == 0 {
            return Err(GrowError::NoRows);
        }
        if self.columns.is_empty() {
            return Err(GrowError::NoColumns);
        }
        at_most("rows", rows, ROWS_MAX)?;
        at_most("columns", self.columns.len(), COLUMNS_MAX)?;
        self.check_names()?;
        for (name, column) in self.names.iter().zip(self.columns) {
            check_column(name, column, rows)?;
        }
        self.check_weights()?;
        let first = self.labels[0];
        if self.labels.iter().all(|label| *label == first) {
            return Err(GrowError::OneClass(first));
        }
        Ok(())
    }

    fn check_names(&self) -> Result<(), GrowError> {
        same_length("names", self.names.len(), self.columns.len())?;
        let mut seen = HashSet::new();
        match self.names.iter().find(|name| !seen.insert(name.as_str())) {
            Some(twice) => Err(GrowError::DuplicateName(twice.clone())),
            None => Ok(()),
        }
    }

    fn check_weights(&self) -> Result<(), GrowError> {
        let Some(weights) = self.weights else { return Ok(()) };
        same_length("weights", weights.len(), self.labels.len())?;
        match weights.iter().position(|weight| !WEIGHTS.contains(weight)) {
            Some(row) => Err(GrowError::Weight { row, value: weights[row] }),
            None => Ok(()),
        }
    }
}

fn check_column(name: &str, column: &[f64], rows: usize) -> Result<(), GrowError> {
    same_length(&format!("column {name:?}"), column.len(), rows)?;
    match column.iter().position(|value| value.is_infinite()) {
        Some(row) => Err(GrowError::Infinite { column: name.to_owned(), row, value: column[row] }),
        None => Ok(()),
    }
}

fn same_length(what: &str, got: usize, expected: usize) -> Result<(), GrowError> {
    if got == expected { Ok(()) } else { Err(GrowError::Ragged { what: what.to_owned(), got, expected }) }
}

fn at_most(what: &'static str, got: usize, most: usize) -> Result<(), GrowError> {
    if got <= most { Ok(()) } else { Err(GrowError::TooLarge { what, got, most }) }
}
