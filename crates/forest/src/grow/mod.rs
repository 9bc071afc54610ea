//! Growing ensembles from labelled tables.
//!
//! Boosting works on histograms of at most 255 bins per feature with whole-number sums, so that neither the
//! number of threads nor the order of work can change a bit. By default its trees are symmetric, each grown on a
//! fifth of the rows, drawn by how much there is to learn from them. Random forests and single trees search every
//! threshold exactly, each tree on one thread with its own generator.

use thiserror::Error;

use crate::ensemble::{Forest, Link, Output, Precision};

/// What can be asked for, and what is refused.
mod params;
/// The labelled table.
mod table;
/// A small seeded generator.
mod random;
/// Cutting features into bins.
mod bins;
/// Sums of gradients per bin.
mod histogram;
/// The best split among them.
mod search;
/// Gradients, and the rows that a tree is grown on.
mod gradient;
/// One boosted tree.
mod tree;
/// Early stopping.
mod stop;
/// Gradient boosting.
mod boost;
/// Random forests and single trees.
mod exact;

pub use params::{Algorithm, Direction, Growth, Params, UnknownAlgorithm};
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
    /// A parameter names a column that is not there.
    #[error("{parameter}: there is no column {column:?}")]
    UnknownColumn {
        /// Name of the parameter.
        parameter: &'static str,
        /// The column it names.
        column: String,
    },
    /// A category that is not a whole number.
    #[error("column {column:?}, row {row}: expected a whole number that names a category, got {value}")]
    Category {
        /// Name of the column.
        column: String,
        /// Index of the row.
        row: usize,
        /// The value.
        value: f64,
    },
    /// A forest that cannot be continued.
    #[error("the forest to continue from {0}")]
    Continue(&'static str),
    /// A validation table that cannot be used.
    #[error("the validation table: {0}")]
    Validation(Box<GrowError>),
    /// The validation table has other columns than the table.
    #[error("its columns are not those of the table to learn from")]
    OtherColumns,
    /// The threads could not be started.
    #[error("cannot start {threads} threads: {cause}")]
    Threads {
        /// How many were asked for.
        threads: usize,
        /// What the system says.
        cause: String,
    },
}

/// What growing starts from and is judged by, beside the table.
#[derive(Clone, Copy, Debug, Default)]
pub struct History<'a> {
    /// A boosted forest over the same columns: its trees are kept, and growing goes on from its margins.
    pub continue_from: Option<&'a Forest>,
    /// Rows that are not learnt from, for [`Params::early_stopping`].
    pub validation: Option<&'a Table<'a>>,
}

impl History<'_> {
    fn check(&self, table: &Table, params: &Params) -> Result<(), GrowError> {
        if let Some(forest) = self.continue_from {
            check_continues(forest, table, params)?;
        }
        if let Some(validation) = self.validation {
            let columns = if validation.names == table.names { Ok(()) } else { Err(GrowError::OtherColumns) };
            validation.check().and(columns).map_err(|error| GrowError::Validation(Box::new(error)))?;
        } else if let Some(patience) = params.early_stopping {
            let expected = "none, because there is no validation table";
            return Err(GrowError::Parameter {
                name: "early_stopping",
                value: patience.to_string(),
                expected,
            });
        }
        Ok(())
    }
}

fn check_continues(forest: &Forest, table: &Table, params: &Params) -> Result<(), GrowError> {
    let Output { divisor, scale, link, .. } = forest.output;
    let refuse = |why| Err(GrowError::Continue(why));
    if params.algorithm != Algorithm::Gbdt {
        return refuse("is given, but only boosting continues");
    }
    if link != (Link::Logistic { slope: 1.0 }) || divisor != 1.0 || scale != 1.0 {
        return refuse("is not boosted with logistic loss");
    }
    if forest.values != Precision::Double {
        return refuse("compares in single precision, and new trees would not");
    }
    if forest.features != table.names {
        return refuse("has other features than the table has columns");
    }
    Ok(())
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
    grow_from(table, params, History::default(), threads, progress)
}

/// [`grow`] with a history.
///
/// # Errors
/// See [`GrowError`].
pub fn grow_from(
    table: &Table,
    params: &Params,
    history: History,
    threads: usize,
    progress: &mut dyn FnMut(Progress),
) -> Result<Forest, GrowError> {
    table.check()?;
    params.check()?;
    params.check_columns(table)?;
    history.check(table, params)?;
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .map_err(|error| GrowError::Threads { threads, cause: error.to_string() })?;
    let (output, trees) = match params.algorithm {
        Algorithm::Gbdt => boost::grow(table, params, history, &pool, progress),
        Algorithm::RandomForest | Algorithm::DecisionTree => {
            let trees = exact::grow(table, params, &pool, progress);
            (Output::mean_probability(trees.len()), trees)
        }
    };
    Ok(Forest { features: table.names.to_vec(), values: Precision::Double, output, trees })
}
