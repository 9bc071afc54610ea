//! Which column of a file holds which field of an event.

use std::path::Path;

use engine::detector::{FieldKind, Schema};
use engine::event::MARK;

use super::DatasetError;

/// Other names for columns: `field=column` pairs given by the user.
#[derive(Debug, Clone, Default)]
pub struct ColumnMap {
    pairs: Vec<(String, String)>,
}

impl ColumnMap {
    /// Reads `field=column,field=column`.
    ///
    /// # Errors
    /// Every pair that is not of that form, or whose field the schema does not have.
    pub fn parse(text: &str, schema: &Schema) -> Result<ColumnMap, Vec<String>> {
        let mut pairs = Vec::new();
        let mut mistakes = Vec::new();
        for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some((field, column))
                    if schema.index_of(field.trim()).is_some() && !column.trim().is_empty() =>
                {
                    pairs.push((field.trim().to_string(), column.trim().to_string()));
                }
                Some((field, _)) => mistakes.push(format!("`{pair}`: the detector has no field `{field}`")),
                None => mistakes.push(format!("`{pair}`: expected field=column")),
            }
        }
        if mistakes.is_empty() { Ok(ColumnMap { pairs }) } else { Err(mistakes) }
    }

    /// The column that holds a field.
    pub fn column_of<'a>(&'a self, field: &'a str) -> &'a str {
        self.pairs.iter().find(|(known, _)| known == field).map_or(field, |(_, column)| column)
    }

    /// For each field of the schema the position of its column, by exact name first, then without regard to case; behind them
    /// that of the mark of synthetic events, if there is such a column and no field.
    ///
    /// # Errors
    /// If a field that every event must have has no column. The id is an exception: without one, rows are numbered.
    pub(super) fn resolve(
        &self,
        path: &Path,
        schema: &Schema,
        columns: &[String],
    ) -> Result<Vec<Option<usize>>, DatasetError> {
        let find = |name: &str| {
            columns
                .iter()
                .position(|column| column == name)
                .or_else(|| columns.iter().position(|column| column.eq_ignore_ascii_case(name)))
        };
        let mut found: Vec<Option<usize>> =
            schema.fields.iter().map(|field| find(self.column_of(&field.name))).collect();
        let missing: Vec<String> = schema
            .fields
            .iter()
            .zip(&found)
            .filter(|(field, column)| column.is_none() && !field.optional && field.kind != FieldKind::EventId)
            .map(|(field, _)| format!("`{}`", self.column_of(&field.name)))
            .collect();
        if missing.is_empty() {
            let mark = schema.mark_position().and_then(|_| find(MARK));
            found.extend(mark.filter(|column| !found.contains(&Some(*column))).map(Some));
            return Ok(found);
        }
        let message = format!(
            "lacks the column{} {}; it has {}. Name others with --columns field=column",
            if missing.len() == 1 { "" } else { "s" },
            missing.join(", "),
            columns.join(", "),
        );
        Err(DatasetError::Columns { path: path.to_path_buf(), message })
    }
}
