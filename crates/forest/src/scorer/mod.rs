//! A forest compiled for speed.
//!
//! Three layouts, chosen once: complete trees over one-byte ranks (boosting), linked nodes over two-byte ranks
//! (deep forests), and the plain walk where ranks do not fit. All three add the same leaves in the same order.

use std::sync::Arc;

use crate::ensemble::{Forest, Missing, Output, Precision, Summation, Test, Tree};

mod rank;
mod complete;
mod linked;

use complete::{CompleteScratch, CompleteTrees};
use linked::LinkedTrees;

/// A [`Forest`] compiled for speed: immutable, cheap to clone, shared freely between threads.
#[derive(Clone, Debug)]
pub struct Scorer {
    compiled: Arc<Compiled>,
}

/// Working memory of a scoring thread. Grows on first use, is never freed in between, carries no results over.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    complete: CompleteScratch,
    shorts: Vec<u16>,
    outputs: Vec<f64>,
}

#[derive(Debug)]
struct Compiled {
    feature_count: usize,
    values: Precision,
    output: Output,
    layout: Layout,
}

#[derive(Debug)]
enum Layout {
    Complete(CompleteTrees),
    Linked(LinkedTrees),
    Plain(Vec<Tree>),
}

impl Scorer {
    pub(crate) fn compile(forest: &Forest) -> Scorer {
        let ranked = is_ranked(forest);
        let layout = if let Some(trees) = CompleteTrees::compile(forest).filter(|_| ranked) {
            Layout::Complete(trees)
        } else if let Some(trees) = LinkedTrees::compile(forest).filter(|_| ranked) {
            Layout::Linked(trees)
        } else {
            Layout::Plain(forest.trees.clone())
        };
        let (values, output) = (forest.values, forest.output);
        Scorer {
            compiled: Arc::new(Compiled { feature_count: forest.features.len(), values, output, layout }),
        }
    }

    /// How many values a row has.
    pub fn feature_count(&self) -> usize {
        self.compiled.feature_count
    }

    /// The raw output for one row: log-odds for boosting, mean probability for a random forest or a tree.
    ///
    /// NaN means missing. Infinite values are compared like any other.
    ///
    /// # Panics
    /// If `row` does not have [`Scorer::feature_count`] values.
    pub fn margin(&self, row: &[f64], scratch: &mut Scratch) -> f64 {
        let compiled = &*self.compiled;
        assert_eq!(row.len(), compiled.feature_count, "a row has one value per feature");
        let sum = match &compiled.layout {
            Layout::Complete(trees) => trees.sum(row, &mut scratch.complete),
            Layout::Linked(trees) => trees.sum(row, &mut scratch.shorts, &mut scratch.outputs),
            Layout::Plain(trees) => {
                compiled.output.sum(trees.iter().map(|tree| tree.output(row, compiled.values)))
            }
        };
        compiled.output.margin(sum)
    }

    /// The probability in [0, 1] for one row.
    ///
    /// # Panics
    /// If `row` does not have [`Scorer::feature_count`] values.
    pub fn score(&self, row: &[f64], scratch: &mut Scratch) -> f64 {
        self.compiled.output.score(self.margin(row, scratch))
    }

    /// Probabilities for many rows. `rows` is row-major, `n * feature_count` values; `out` is cleared and
    /// receives `n` values, bit-identical to [`Scorer::score`] row by row.
    ///
    /// # Panics
    /// If `rows` is not a whole number of rows.
    pub fn score_batch(&self, rows: &[f64], scratch: &mut Scratch, out: &mut Vec<f64>) {
        let compiled = &*self.compiled;
        out.clear();
        if compiled.feature_count == 0 {
            // Rows without values cannot be counted.
            assert!(rows.is_empty(), "rows have one value per feature");
            return;
        }
        assert_eq!(rows.len() % compiled.feature_count, 0, "rows have one value per feature");
        if let Layout::Complete(trees) = &compiled.layout {
            trees.sum_batch(rows, compiled.feature_count, &mut scratch.complete, out);
            for sum in out.iter_mut() {
                *sum = compiled.output.score(compiled.output.margin(*sum));
            }
        } else {
            out.extend(rows.chunks_exact(compiled.feature_count).map(|row| self.score(row, scratch)));
        }
    }
}

/// Whether the layouts by rank understand the forest.
fn is_ranked(forest: &Forest) -> bool {
    let plain_split = |split: &crate::ensemble::Split| {
        matches!(split.test, Test::Below(_)) && split.missing == Missing::Nan
    };
    forest.values == Precision::Double
        && forest.output.summation == Summation::InTurn(Precision::Double)
        && forest.output.start == 0.0
        && forest.trees.iter().flat_map(Tree::splits).all(plain_split)
}
