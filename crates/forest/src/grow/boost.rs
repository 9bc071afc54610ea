//! Gradient boosting with logistic loss and Newton steps (Friedman 2001; Chen and Guestrin 2016).
//!
//! A round draws rows by the size of their gradients, grows a tree on their histograms, and then takes the values
//! of its leaves from all rows: the drawn ones only decide where to split.

use rayon::prelude::*;

use crate::ensemble::{Forest, Leaf, Missing, Node, Output, Split, Summation, Tree};

use super::gradient::{CHUNK_ROWS, Draw, Gradient, Scores, gradients};
use super::histogram::{Binned, Cell, Sums, Units};
use super::params::Direction;
use super::random::Random;
use super::search::{Search, step};
use super::stop::Watch;
use super::tree::{self, GrownNode, Walk};
use super::{History, Params, Progress, Table};

/// A row that is drawn with a small probability weighs at most so many times its share.
const WEIGHT_MAX: f64 = 8.0;
/// Share of the learning rate that the first tree takes.
const WARM_UP_FROM: f64 = 0.1;

/// Grows the trees, after those of the history.
pub(super) fn grow(
    table: &Table,
    params: &Params,
    history: History,
    pool: &rayon::ThreadPool,
    progress: &mut dyn FnMut(Progress),
) -> (Output, Vec<Tree>) {
    let mut boosting = pool.install(|| Boosting::new(table, params, history.continue_from));
    let mut trees = history.continue_from.map_or(Vec::new(), |forest| forest.trees.clone());
    let before = trees.len();
    let mut watch = history.validation.map(|table| Watch::new(table, params, history.continue_from));
    for round in 0..params.trees {
        let tree = pool.install(|| boosting.grow_tree(before, round));
        let go_on = watch.as_mut().is_none_or(|watch| pool.install(|| watch.goes_on(&tree)));
        trees.push(tree);
        progress(Progress { trees_done: round + 1, trees_total: params.trees });
        if !go_on {
            break;
        }
    }
    if let Some(watch) = watch {
        trees.truncate(before + watch.best_round());
    }
    (boosting.output, trees)
}

/// How margins are summed in a forest grown from nothing: the order is ours to choose, and this one is quick.
pub(super) fn output(base: f64) -> Output {
    Output { summation: Summation::EightLanes, ..Output::log_odds(base) }
}

struct Boosting<'a> {
    table: &'a Table<'a>,
    params: &'a Params,
    binned: Binned,
    directions: Vec<Option<Direction>>,
    /// By row, class weight included.
    weights: Vec<f32>,
    output: Output,
    continued: bool,
    /// By row: the log-odds so far.
    margins: Vec<f64>,
    gradients: Vec<Gradient>,
    cells: Vec<Cell>,
}

impl<'a> Boosting<'a> {
    fn new(table: &'a Table<'a>, params: &'a Params, continue_from: Option<&Forest>) -> Boosting<'a> {
        let rows = table.labels.len();
        let weights: Vec<f64> =
            (0..rows).map(|row| table.class_weight(row, params.positive_weight)).collect();
        let output = continue_from
            .map_or_else(|| output(base_log_odds(table.labels, &weights)), |forest| forest.output);
        Boosting {
            table,
            params,
            binned: Binned::new(table, &params.categorical(table.names), params.bins),
            directions: params.directions(table.names),
            weights: weights.into_iter().map(|weight| weight as f32).collect(),
            output,
            continued: continue_from.is_some(),
            margins: margins(table, output, continue_from),
            gradients: vec![Gradient::default(); rows],
            cells: vec![0; rows],
        }
    }

    /// The tree of a round, after `before` trees of the forest that is continued.
    fn grow_tree(&mut self, before: usize, round: usize) -> Tree {
        self.update_gradients();
        let mut random = Random::new(self.params.seed, (before + round) as u64);
        let (rows, units) = self.draw(random.next());
        let allowed = allowed_features(self.params.column_subsample, self.table.columns.len(), &mut random);
        let search = Search {
            params: self.params,
            units,
            binned: &self.binned,
            directions: &self.directions,
            allowed: &allowed,
        };
        let nodes = tree::grow(search, rows, &self.cells);
        let values = self.leaf_values(&nodes, self.rate(round));
        self.tree(&nodes, &values)
    }

    /// The learning rate of a round. It starts low: before the first trees a rare class has next to no hessian, and
    /// steps are too large.
    fn rate(&self, round: usize) -> f64 {
        let warm_up = if self.continued { 0 } else { self.params.warm_up() };
        let risen = if round < warm_up { WARM_UP_FROM + round as f64 / warm_up as f64 } else { 1.0 };
        self.params.learning_rate(self.margins.len()) * risen.min(1.0)
    }

    fn update_gradients(&mut self) {
        let (labels, weights) = (self.table.labels, &self.weights);
        let chunks = self.gradients.par_chunks_mut(CHUNK_ROWS).zip(self.margins.par_chunks(CHUNK_ROWS));
        chunks.enumerate().for_each(|(chunk, (into, margins))| {
            let start = chunk * CHUNK_ROWS;
            let end = start + into.len();
            gradients(margins, &labels[start..end], &weights[start..end], into);
        });
    }

    /// Draws the rows of a tree, ascending, and makes their cells.
    fn draw(&mut self, seed: u64) -> (Vec<u32>, Units) {
        let share = self.params.row_subsample(self.gradients.len());
        let scores: Vec<Scores> = self.gradients.par_chunks(CHUNK_ROWS).map(Scores::of).collect();
        let scores = scores.into_iter().reduce(|all, chunk| all.add(&chunk)).expect("a table has rows");
        let certain = if share < 1.0 { scores.certain(share * self.gradients.len() as f64) } else { 0.0 };
        let draw = Draw { seed, certain, least: share / WEIGHT_MAX };
        let chunks = self.gradients.par_chunks(CHUNK_ROWS).enumerate();
        let drawn: Vec<Vec<u32>> =
            chunks.map(|(chunk, gradients)| draw.rows(chunk * CHUNK_ROWS, gradients)).collect();
        let rows = drawn.concat();
        // The hessian of logistic loss is never larger than the gradient.
        let units = Units::new(rows.len(), scores.largest().max(certain));
        let gradients = &self.gradients;
        let chunks = self.cells.par_chunks_mut(CHUNK_ROWS).zip(&drawn).enumerate();
        chunks.for_each(|(chunk, (cells, rows))| {
            draw.cells(units, rows, gradients, cells, chunk * CHUNK_ROWS);
        });
        (rows, units)
    }

    /// The values of all nodes that are leaves, 0 for others; adds them to the margins.
    fn leaf_values(&mut self, nodes: &[GrownNode], rate: f64) -> Vec<f64> {
        let (walk, binned) = (Walk::new(nodes, self.params.growth), &self.binned);
        let mut leaves = vec![0u16; self.margins.len()];
        let chunks = leaves.par_chunks_mut(CHUNK_ROWS).zip(self.gradients.par_chunks(CHUNK_ROWS));
        let sums: Vec<Vec<[f64; 2]>> = chunks
            .enumerate()
            .map(|(chunk, (leaves, gradients))| {
                walk.leaves(binned, chunk * CHUNK_ROWS, leaves);
                leaf_sums(leaves, gradients, nodes.len())
            })
            .collect();
        let values: Vec<f64> =
            (0..nodes.len()).map(|at| rate * self.leaf_value(&nodes[at], at, &sums)).collect();
        let chunks = self.margins.par_chunks_mut(CHUNK_ROWS).zip(leaves.par_chunks(CHUNK_ROWS));
        chunks.for_each(|(margins, leaves)| {
            margins.iter_mut().zip(leaves).for_each(|(margin, leaf)| *margin += values[*leaf as usize]);
        });
        values
    }

    fn leaf_value(&self, node: &GrownNode, at: usize, sums: &[Vec<[f64; 2]>]) -> f64 {
        if node.split.is_some() {
            return 0.0;
        }
        let add = |[g, h]: [f64; 2], sums: &Vec<[f64; 2]>| [g + sums[at][0], h + sums[at][1]];
        let [gradient, hessian] = sums.iter().fold([0.0; 2], add);
        step(self.params, Sums { gradient, hessian }, node.bounds)
    }

    fn tree(&self, nodes: &[GrownNode], values: &[f64]) -> Tree {
        let node = |(node, value): (&GrownNode, &f64)| match &node.split {
            None => Node::Leaf(Leaf { value: *value, cover: node.cover }),
            Some(found) => Node::Split(Split {
                feature: found.feature as u32,
                test: tree::test(&self.binned.cuts[found.feature], found),
                missing: Missing::Nan,
                missing_left: found.missing_left,
                left: node.left as u32,
                right: node.left as u32 + 1,
                gain: found.gain,
                cover: node.cover,
            }),
        };
        Tree { nodes: nodes.iter().zip(values).map(node).collect() }
    }
}

/// Gradients and hessians by node. Neighbouring rows are often in the same leaf: two sums in turn do not wait for
/// each other.
fn leaf_sums(leaves: &[u16], gradients: &[Gradient], nodes: usize) -> Vec<[f64; 2]> {
    let mut sums = vec![[[0.0; 2]; 2]; nodes];
    for (at, (leaf, gradient)) in leaves.iter().zip(gradients).enumerate() {
        let [g, h] = &mut sums[usize::from(*leaf)][at % 2];
        *g += f64::from(gradient.gradient);
        *h += f64::from(gradient.hessian);
    }
    sums.into_iter().map(|[a, b]| [a[0] + b[0], a[1] + b[1]]).collect()
}

/// What a forest says of the rows before it is continued; the base if there is none.
pub(super) fn margins(table: &Table, output: Output, continue_from: Option<&Forest>) -> Vec<f64> {
    let rows = table.labels.len();
    let Some(forest) = continue_from else { return vec![output.margin(output.start); rows] };
    let scorer = forest.scorer();
    let margin = |(scratch, values): &mut (crate::Scratch, Vec<f64>), row: usize| {
        values.clear();
        values.extend(table.columns.iter().map(|column| column[row]));
        scorer.margin(values, scratch)
    };
    (0..rows).into_par_iter().map_init(|| (crate::Scratch::default(), Vec::new()), margin).collect()
}

/// The log-odds of the weighted base rate.
fn base_log_odds(labels: &[bool], weights: &[f64]) -> f64 {
    let total = |class: bool| -> f64 {
        labels.iter().zip(weights).filter(|(label, _)| **label == class).map(|(_, weight)| weight).sum()
    };
    (total(true) / total(false)).ln()
}

fn share(share: f64, of: usize) -> usize {
    ((share * of as f64).round() as usize).clamp(1, of)
}

fn allowed_features(column_subsample: Option<f64>, columns: usize, random: &mut Random) -> Vec<bool> {
    let mut allowed = vec![false; columns];
    for feature in random.choose(share(column_subsample.unwrap_or(1.0), columns), columns) {
        allowed[feature as usize] = true;
    }
    allowed
}
