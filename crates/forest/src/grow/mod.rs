//! Growing ensembles from labelled tables.
//!
//! Boosting works on histograms of at most 255 bins per feature with whole-number sums, so that neither the
//! number of threads nor the order of work can change a bit. Random forests and single trees search every
//! threshold exactly, each tree on one thread with its own generator.

use thiserror::Error;

use crate::ensemble::{Forest, Output, Precision};

/// What can be asked for, and what is refused.
mod params;
/// The labelled table.
mod table;
/// A small seeded generator.
mod random;
/// Cutting features into bins.
mod bins;
/// Sums of gradients per bin, and the best split among them.
mod histogram;
/// Gradient boosting.
mod boost;
/// Random forests and single trees.
mod exact;

pub use params::{Algorithm, Params, UnknownAlgorithm};
pub use table::Table;

/// How far growing has come; told after every tree or handful of trees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Trees grown so far.
    pub trees_done: usize,
    /// Trees asked for.
    pub trees_total: usize,
}

/// Why a forest cannot be grown: always the caller's input, never the weather.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum GrowError {
    /// The table has no rows.
    #[error("the table has no rows")]
    NoRows,
    /// The table has no columns.
    #[error("the table has no columns")]
    NoColumns,
    /// More rows or columns than the growers can count.
    #[error("the table has {got} {what}, expected at most {most}")]
    TooLarge {
        /// "rows" or "columns".
        what: &'static str,
        /// How many there are.
        got: usize,
        /// How many there may be.
        most: usize,
    },
    /// Every label is the same, so there is nothing to tell apart.
    #[error("every label is {0}; expected both classes")]
    OneClass(bool),
    /// Columns, labels, names or weights of different lengths.
    #[error("{what} has {got} entries, expected {expected}")]
    Ragged {
        /// Which part of the table.
        what: String,
        /// How many entries it has.
        got: usize,
        /// How many it should have.
        expected: usize,
    },
    /// Two columns of one name.
    #[error("the column name {0:?} is there twice")]
    DuplicateName(String),
    /// An infinite value; missing is NaN.
    #[error("column {column:?}, row {row}: expected a finite number or NaN, got {value}")]
    Infinite {
        /// Name of the column.
        column: String,
        /// Index of the row.
        row: usize,
        /// The value.
        value: f64,
    },
    /// A weight that is not a positive number of sensible size.
    #[error("weight of row {row}: expected a number from 1e-12 to 1e12, got {value}")]
    Weight {
        /// Index of the row.
        row: usize,
        /// The value.
        value: f64,
    },
    /// A parameter outside its range.
    #[error("{name}: expected {expected}, got {value}")]
    Parameter {
        /// Name of the parameter.
        name: &'static str,
        /// The value given.
        value: String,
        /// What is expected.
        expected: &'static str,
    },
    /// The threads could not be started.
    #[error("cannot start {threads} threads: {cause}")]
    Threads {
        /// How many were asked for.
        threads: usize,
        /// What the system says.
        cause: String,
    },
}

/// Grows a forest on `threads` threads (0: one per core). The result depends on the table and the parameters
/// only, never on the number of threads.
///
/// # Errors
/// See [`GrowError`]; everything is checked before growing starts.
pub fn grow(
    table: &Table,
    params: &Params,
    threads: usize,
    progress: &mut dyn FnMut(Progress),
) -> Result<Forest, GrowError> {
    table.check()?;
    params.check()?;
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .map_err(|error| GrowError::Threads { threads, cause: error.to_string() })?;
    let (output, trees) = match params.algorithm {
        Algorithm::Gbdt => {
            let (base, trees) = boost::grow(table, params, &pool, progress);
            (Output::log_odds(base), trees)
        }
        Algorithm::RandomForest | Algorithm::DecisionTree => {
            let trees = exact::grow(table, params, &pool, progress);
            (Output::mean_probability(trees.len()), trees)
        }
    };
    Ok(Forest { features: table.names.to_vec(), values: Precision::Double, output, trees })
}
