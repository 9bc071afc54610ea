//! What trees ask of a row, without branches.

use crate::ensemble::{Missing, Precision, Split, Test};

/// A split's test as one comparison: the row goes left if the value in this column of [`Values`] is below the
/// threshold.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question {
    pub threshold: f64,
    pub column: u32,
}

/// The columns that the splits of a forest ask for. Each feature has two, in one a missing value is above every
/// threshold, in the other below: which of them a split reads is known when it is compiled, so no split looks for NaN.
/// Splits that one comparison with a value does not answer (categories, zero as missing) follow, each with a column of
/// answers.
#[derive(Debug)]
pub(super) struct Questions {
    features: usize,
    precision: Precision,
    odd: Vec<Split>,
}

/// A row prepared for questions.
#[derive(Clone, Debug, Default)]
pub(super) struct Values {
    pub columns: Vec<f64>,
}

impl Questions {
    pub fn new(features: usize, precision: Precision) -> Questions {
        Questions { features, precision, odd: Vec::new() }
    }

    /// The question that a split asks.
    pub fn ask(&mut self, split: &Split) -> Question {
        self.plain(split).unwrap_or_else(|| {
            let column = (self.columns()) as u32;
            self.odd.push(split.clone());
            Question { threshold: 0.5, column }
        })
    }

    /// How many columns have been asked for.
    pub fn columns(&self) -> usize {
        2 * self.features + self.odd.len()
    }

    /// The feature that each column belongs to.
    pub fn features(&self) -> impl Iterator<Item = usize> {
        let features = 0..self.features;
        features.clone().chain(features).chain(self.odd.iter().map(|split| split.feature as usize))
    }

    fn plain(&self, split: &Split) -> Option<Question> {
        let threshold = match split.test {
            Test::Below(threshold) => threshold,
            // Between a number and the next one up there is nothing.
            Test::AtMost(threshold) => threshold.next_up(),
            Test::Within(_) => return None,
        };
        let missing_left = match split.missing {
            Missing::Nan => split.missing_left,
            Missing::Never => 0.0 < threshold,
            Missing::NanOrZero => return None,
        };
        let column = split.feature as usize + if missing_left { self.features } else { 0 };
        Some(Question { threshold, column: column as u32 })
    }

    /// Prepares a row.
    pub fn read(&self, row: &[f64], values: &mut Values) {
        let filled = |missing: f64| {
            row.iter().map(move |x| if x.is_nan() { missing } else { self.precision.round(*x) })
        };
        let answer = |split: &Split| {
            let left = split.goes_left(self.precision.round(row[split.feature as usize]));
            if left { 0.0 } else { 1.0 }
        };
        values.columns.clear();
        values.columns.extend(filled(f64::INFINITY));
        values.columns.extend(filled(f64::NEG_INFINITY));
        values.columns.extend(self.odd.iter().map(answer));
    }

    /// Prepares many rows, one after the other.
    pub fn read_all(&self, rows: &[f64]) -> Vec<Values> {
        let read = |row| {
            let mut values = Values::default();
            self.read(row, &mut values);
            values
        };
        rows.chunks_exact(self.features).map(read).collect()
    }
}

impl Values {
    /// Whether the row goes left.
    pub fn goes_left(&self, question: Question) -> bool {
        self.columns[question.column as usize] < question.threshold
    }
}
