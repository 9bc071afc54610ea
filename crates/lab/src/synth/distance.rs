//! How well made rows can be told from real ones, as one number.

use anyhow::Result;
use forest::grow::{Algorithm, Params, Table as Lesson, grow};

use super::table::{Column, Kind, Table};
use crate::evaluate::metrics::Ranking;
use crate::random::Stream;
use crate::train::cores;

/// Rows of each kind that boosted trees learn from, at most.
const LEARNT_ROWS: usize = 4_000;
/// Rows of each kind that they are tested on, at most.
const TESTED_ROWS: usize = 4_000;
const TREES: usize = 60;
const ORDER: u64 = 30;

/// A classifier two-sample test (Lopez-Paz and Oquab, "Revisiting Classifier Two-Sample Tests", 2017): boosted trees learn to
/// tell made rows from real ones, and are tested on real rows that neither they nor the generator have seen.
pub(super) struct Yardstick {
    learnt: Table,
    held_out: Table,
    seed: u64,
}

impl Yardstick {
    pub(super) fn new(learnt: &Table, held_out: &Table, seed: u64) -> Yardstick {
        let cut = |table: &Table, most: usize| {
            let comparable = table.select(&shuffled(table.len(), seed)[..table.len().min(most)]);
            comparable.without(|column| column.kind == Kind::Entity)
        };
        Yardstick { learnt: cut(learnt, LEARNT_ROWS), held_out: cut(held_out, TESTED_ROWS), seed }
    }

    /// Rows that must be made to be measured: genuine ones and frauds, as in the real rows.
    pub(super) fn wanted(&self) -> [usize; 2] {
        let count = |of: fn(&Table) -> usize| of(&self.learnt) + of(&self.held_out);
        let frauds = count(|table| table.frauds().len());
        [count(Table::len) - frauds, frauds]
    }

    /// 0 where nothing tells them apart, 1 where everything does: twice the area under the ROC curve, less 1.
    ///
    /// # Errors
    /// If trees cannot be grown, as where a column has an infinite value.
    pub(super) fn distance(&self, made: &Table) -> Result<f64> {
        let made =
            made.select(&shuffled(made.len(), self.seed ^ 1)).without(|column| column.kind == Kind::Entity);
        let (first, rest) =
            ((0..self.learnt.len()).collect::<Vec<_>>(), (self.learnt.len()..made.len()).collect::<Vec<_>>());
        let (columns, labels) = told(&self.learnt, &made.select(&first));
        let names: Vec<String> = (0..columns.len()).map(|at| at.to_string()).collect();
        let lesson = Lesson { columns: &columns, labels: &labels, names: &names, weights: None };
        let params = Params { trees: TREES, seed: self.seed, ..Params::defaults(Algorithm::Gbdt) };
        let forest = grow(&lesson, &params, cores(), &mut |_| {})?;
        let (columns, labels) = told(&self.held_out, &made.select(&rest));
        let scorer = forest.scorer();
        let rows: Vec<f64> =
            (0..labels.len()).flat_map(|row| columns.iter().map(move |column| column[row])).collect();
        let mut scores = Vec::new();
        scorer.margin_batch(&rows, &mut Default::default(), &mut scores);
        Ok((2.0 * Ranking::new(&scores, &labels)?.auc_roc() - 1.0).max(0.0))
    }
}

/// Real rows and made ones under each other, made ones labelled so.
fn told(real: &Table, made: &Table) -> (Vec<Vec<f64>>, Vec<bool>) {
    let both = |(real, made): (&Column, &Column)| [real.values.as_slice(), made.values.as_slice()].concat();
    let columns = real.columns.iter().zip(&made.columns).map(both).collect();
    (columns, [vec![false; real.len()], vec![true; made.len()]].concat())
}

fn shuffled(rows: usize, seed: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..rows).collect();
    let mut chance = Stream::at(seed, ORDER, 0, 0);
    for last in (1..rows).rev() {
        order.swap(last, chance.below(last as u32 + 1) as usize);
    }
    order
}
