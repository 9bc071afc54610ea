//! Whether a boosted tree can tell real rows from synthetic ones.

use anyhow::Result;
use forest::grow::{Algorithm, Params, Table as Grown, grow};

use super::sample::draw;
use crate::evaluate::metrics::Ranking;
use crate::random::Stream;
use crate::synth::table::{Column, Kind, Table};

/// Rows of each kind, at most: more take long and tell no more.
pub const ROWS_MAX: usize = 20_000;
const FOLDS: usize = 5;

/// A model to score rows with.
pub struct Learner {
    names: Vec<String>,
    categorical: Vec<String>,
    seed: u64,
}

impl Learner {
    /// Of the columns of a table but the label.
    pub fn new(table: &Table, seed: u64) -> Learner {
        let inputs = || table.columns.iter().filter(|column| column.kind != Kind::Label);
        let is_word = |kind: Kind| kind == Kind::Category;
        let categorical = inputs().filter(|column| is_word(column.kind)).map(|column| column.name.clone());
        let categorical = categorical.collect();
        Learner { names: inputs().map(|column| column.name.clone()).collect(), categorical, seed }
    }

    /// Of columns of these names; `categorical` names those whose whole numbers name words.
    pub fn of_names(names: Vec<String>, categorical: Vec<String>, seed: u64) -> Learner {
        Learner { names, categorical, seed }
    }

    /// Names of the inputs.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The inputs of a table, one column each.
    pub fn inputs(table: &Table) -> Vec<Vec<f64>> {
        let inputs = table.columns.iter().filter(|column| column.kind != Kind::Label);
        inputs.map(|column| column.values.clone()).collect()
    }

    /// Grows trees on some rows, as `redflag train` would by default, and scores others.
    ///
    /// # Errors
    /// If nothing can be learnt: one class only, or no column.
    pub fn learn_and_score(
        &self,
        (columns, labels): (&[Vec<f64>], &[bool]),
        test: &[Vec<f64>],
    ) -> Result<Vec<f64>> {
        let categorical = self.categorical.clone();
        let params = Params { seed: self.seed, categorical, ..Params::defaults(Algorithm::Gbdt) };
        let table = Grown { columns, labels, names: &self.names, weights: None };
        let forest = grow(&table, &params, 0, &mut |_| {})?;
        let (scorer, mut scratch) = (forest.scorer(), forest::Scratch::default());
        let mut row = vec![0.0; test.len()];
        let rows = 0..test.first().map_or(0, Vec::len);
        let score = |at: usize| {
            row.iter_mut().zip(test).for_each(|(cell, column)| *cell = column[at]);
            scorer.score(&row, &mut scratch)
        };
        Ok(rows.map(score).collect())
    }
}

/// Some rows of columns.
pub fn rows_of(columns: &[Vec<f64>], rows: &[usize]) -> Vec<Vec<f64>> {
    columns.iter().map(|column| rows.iter().map(|row| column[*row]).collect()).collect()
}

/// The area under the ROC curve of boosted trees that tell the rows of two tables apart, each row scored by trees that did not
/// learn from it (five folds), on as many rows of one as of the other. 0.5: they cannot. The label is an input too, since
/// what belongs together with it must look real.
///
/// # Errors
/// If there are too few rows, or no column to tell them by.
pub fn auc(one: &Table, other: &Table, seed: u64) -> Result<f64> {
    let count = one.len().min(other.len()).min(ROWS_MAX);
    anyhow::ensure!(count >= 2 * FOLDS, "there are {count} rows of each: too few to tell apart");
    let inputs = |table: &Table, purpose: u64| {
        let mut drawn = table.select(&draw(table.len(), count, seed, purpose));
        let label = |column: &&mut Column| column.kind == Kind::Label;
        drawn.columns.iter_mut().filter(label).for_each(|column| column.kind = Kind::Bool);
        drawn
    };
    let (one, other) = (inputs(one, 21), inputs(other, 22));
    let learner = Learner::new(&one, seed);
    let mut columns = Learner::inputs(&one);
    columns.iter_mut().zip(Learner::inputs(&other)).for_each(|(column, more)| column.extend(more));
    let labels: Vec<bool> = (0..2 * count).map(|row| row >= count).collect();
    let folds = folds(2 * count, seed);
    let mut scores = vec![0.0; 2 * count];
    for fold in 0..FOLDS {
        let (test, learnt): (Vec<usize>, Vec<usize>) = (0..2 * count).partition(|row| folds[*row] == fold);
        let known: Vec<bool> = learnt.iter().map(|row| labels[*row]).collect();
        let scored =
            learner.learn_and_score((&rows_of(&columns, &learnt), &known), &rows_of(&columns, &test))?;
        test.iter().zip(scored).for_each(|(row, score)| scores[*row] = score);
    }
    Ok(Ranking::new(&scores, &labels)?.auc_roc())
}

/// The fold of each row: as many of each half in every fold.
fn folds(rows: usize, seed: u64) -> Vec<usize> {
    let half = rows / 2;
    let mut folds = vec![0; rows];
    for (side, start) in [0, half].into_iter().enumerate() {
        let mut chance = Stream::at(seed, 23, side as u64, 0);
        let mut order: Vec<usize> = (start..start + half).collect();
        for at in (1..half).rev() {
            order.swap(at, chance.below(at as u32 + 1) as usize);
        }
        order.iter().enumerate().for_each(|(place, row)| folds[*row] = place % FOLDS);
    }
    folds
}
