//! Rows of features and labels as a Parquet file, bit for bit.

use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, Int64Array, RecordBatch};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::set::{Row, TrainingSet};
use crate::dataset::{ColumnType, TableWriter};

/// The columns before the features.
const COLUMNS: [(&str, ColumnType); 4] = [
    ("event_time", ColumnType::Instant),
    ("amount", ColumnType::Number),
    ("entity", ColumnType::Integer),
    ("label", ColumnType::Integer),
];

/// What stands before a feature's name, so that none is taken for one of these columns.
const PREFIX: &str = "feature_";

/// Writes a set whose columns have these names: event time, amount, number of the entity, label, then the features, each with
/// `feature_` in front. A missing value is an empty cell.
///
/// # Errors
/// If the file cannot be written.
pub fn write_rows(set: &TrainingSet, names: &[String], path: &Path) -> Result<()> {
    let own = COLUMNS.map(|(name, kind)| (name.to_string(), kind));
    let features = names.iter().map(|name| (format!("{PREFIX}{name}"), ColumnType::Number));
    let mut table = TableWriter::create(path, &own.into_iter().chain(features).collect::<Vec<_>>())?;
    for row in 0..set.len() {
        table.instant(set.times_us[row]);
        table.number(set.amounts[row]);
        table.integer(i64::from(set.cards[row]));
        table.integer(i64::from(set.labels[row]));
        set.columns.iter().for_each(|column| table.number(column[row]));
        table.end_row()?;
    }
    table.finish()?;
    Ok(())
}

/// Reads what [`write_rows`] has written, with the features of these names in this order.
///
/// # Errors
/// If the file cannot be read, or has other columns.
pub fn read_rows(path: &Path, names: &[String]) -> Result<TrainingSet> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let damaged = || format!("{} is no file of training rows", path.display());
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).and_then(|builder| builder.build());
    let mut set = TrainingSet::new(names.len(), None);
    for batch in reader.with_context(damaged)? {
        push(&mut set, &batch.with_context(damaged)?, names).with_context(damaged)?;
    }
    Ok(set)
}

fn push(set: &mut TrainingSet, batch: &RecordBatch, names: &[String]) -> Result<()> {
    let features = names.iter().map(|name| numbers(batch, &format!("{PREFIX}{name}")));
    let features = features.collect::<Result<Vec<Vec<f64>>>>()?;
    let amounts = numbers(batch, "amount")?;
    let times = column(batch, "event_time")?.as_primitive_opt::<TimestampMicrosecondType>();
    let times = times.context("the column `event_time` holds no instants")?;
    let (entities, labels) = (integers(batch, "entity")?, integers(batch, "label")?);
    ensure!(labels.null_count() + times.null_count() == 0, "rows have no label or no time");
    let mut values = vec![0.0; names.len()];
    for row in 0..batch.num_rows() {
        values.iter_mut().zip(&features).for_each(|(value, column)| *value = column[row]);
        let of = Row {
            time_us: times.value(row),
            amount: amounts[row],
            card: u32::try_from(entities.value(row)).unwrap_or(0),
            fraud: labels.value(row) != 0,
        };
        set.push(of, &values);
    }
    Ok(())
}

fn column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef> {
    batch.column_by_name(name).with_context(|| format!("there is no column `{name}`"))
}

fn integers<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a Int64Array> {
    let integers = column(batch, name)?.as_primitive_opt::<Int64Type>();
    integers.with_context(|| format!("the column `{name}` holds no whole numbers"))
}

fn numbers(batch: &RecordBatch, name: &str) -> Result<Vec<f64>> {
    let numbers = column(batch, name)?.as_primitive_opt::<Float64Type>();
    let numbers = numbers.with_context(|| format!("the column `{name}` holds no numbers"))?;
    Ok(numbers.iter().map(|value| value.unwrap_or(f64::NAN)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_bit_for_bit() {
        let names = ["amount", "ratio"].map(str::to_string);
        let mut set = TrainingSet::new(2, None);
        for (at, (amount, ratio)) in
            [(0.1 + 0.2, f64::NAN), (-0.0, 1e-300), (7.5, 1.0 / 3.0)].into_iter().enumerate()
        {
            let row = Row { time_us: 1_000_000 * at as i64 + 1, amount, card: at as u32, fraud: at == 1 };
            set.push(row, &[amount, ratio]);
        }
        let path = std::env::temp_dir().join(format!("redflag-rows-{}.parquet", std::process::id()));
        write_rows(&set, &names, &path).unwrap();
        let read = read_rows(&path, &names).unwrap();
        let other = read_rows(&path, &["unknown".to_string()]);
        std::fs::remove_file(&path).unwrap();
        let bits = |set: &TrainingSet| {
            let values = set.columns.iter().flatten().chain(&set.amounts);
            values.map(|value| value.to_bits()).collect::<Vec<_>>()
        };
        assert_eq!(bits(&read), bits(&set));
        assert_eq!((read.labels, read.times_us, read.cards), (set.labels, set.times_us, set.cards));
        assert!(format!("{:#}", other.unwrap_err()).contains("no column `feature_unknown`"));
    }
}
