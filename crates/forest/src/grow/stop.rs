//! Early stopping: the average precision of a growing forest on a table that it does not learn from.

use rayon::prelude::*;

use crate::ensemble::{Forest, Precision, Tree};

use super::boost::{margins, output};
use super::{Params, Table};

/// Follows the average precision round by round.
pub(super) struct Watch<'a> {
    table: &'a Table<'a>,
    patience: usize,
    margins: Vec<f64>,
    /// Rows by descending margin of the last round: nearly in order again after the next.
    order: Vec<u32>,
    rounds: usize,
    best_round: usize,
    best: f64,
}

impl<'a> Watch<'a> {
    pub(super) fn new(table: &'a Table<'a>, params: &Params, continue_from: Option<&Forest>) -> Watch<'a> {
        let start = continue_from.map_or(output(0.0), |forest| forest.output);
        let margins = margins(table, start, continue_from);
        let order = (0..margins.len() as u32).collect();
        let patience = params.early_stopping.unwrap_or(params.trees);
        Watch { table, patience, margins, order, rounds: 0, best_round: 0, best: 0.0 }
    }

    /// Takes the next tree; whether there is hope of a better round.
    pub(super) fn goes_on(&mut self, tree: &Tree) -> bool {
        let columns = self.table.columns;
        self.margins.par_iter_mut().enumerate().with_min_len(1024).for_each(|(row, margin)| {
            *margin += tree.output_of(|feature| Precision::Double.round(columns[feature][row]));
        });
        self.rounds += 1;
        let reached = self.average_precision();
        if self.best_round == 0 || reached > self.best {
            (self.best, self.best_round) = (reached, self.rounds);
        }
        self.rounds - self.best_round < self.patience
    }

    /// The first of the best rounds, counted from 1.
    pub(super) fn best_round(&self) -> usize {
        self.best_round
    }

    /// The mean precision at the rows of the positive class, by weight; equal margins are one step (as in
    /// scikit-learn's `average_precision_score`).
    fn average_precision(&mut self) -> f64 {
        let margins = &self.margins;
        self.order.sort_by(|a, b| margins[*b as usize].total_cmp(&margins[*a as usize]));
        let (mut seen, mut hits, mut area) = (0.0, 0.0, 0.0);
        for step in self.order.chunk_by(|a, b| margins[*a as usize] == margins[*b as usize]) {
            let weight = |row: &u32| self.table.weight(*row as usize);
            let found = |row: &&u32| self.table.labels[**row as usize];
            let new_hits: f64 = step.iter().filter(found).map(weight).sum();
            seen += step.iter().map(weight).sum::<f64>();
            hits += new_hits;
            area += new_hits * hits / seen;
        }
        if hits > 0.0 { area / hits } else { 0.0 }
    }
}
