//! Gradient boosting with logistic loss and Newton steps (Friedman 2001; Chen and Guestrin 2016).
//!
//! Trees grow level by level. Of two siblings only the smaller one's rows are added up; the other histogram is
//! the parent's less that one.

use rayon::prelude::*;

use crate::ensemble::{Leaf, Missing, Node, Split, Test, Tree};

use super::bins::MISSING_BIN;
use super::histogram::{self, Binned, Cell, Found, GROUP, GroupCells, Search, Units, minus, plus};
use super::random::Random;
use super::{Params, Progress, Table};

/// Least rows per task in work that goes row by row.
const CHUNK_ROWS: usize = 8192;

/// Grows the trees; also the log-odds to start from.
pub(super) fn grow(
    table: &Table,
    params: &Params,
    pool: &rayon::ThreadPool,
    progress: &mut dyn FnMut(Progress),
) -> (f64, Vec<Tree>) {
    let mut boosting = pool.install(|| Boosting::new(table, params));
    let mut trees = Vec::with_capacity(params.trees);
    while trees.len() < params.trees {
        trees.push(pool.install(|| boosting.grow_tree(trees.len())));
        progress(Progress { trees_done: trees.len(), trees_total: params.trees });
    }
    (boosting.base, trees)
}

struct Boosting<'a> {
    table: &'a Table<'a>,
    params: &'a Params,
    binned: Binned,
    units: Units,
    /// By row, class weight included.
    weights: Vec<f64>,
    base: f64,
    /// By row: the log-odds so far.
    margins: Vec<f64>,
    cells: Vec<Cell>,
    /// Working memory of [`part_rows`].
    aside: Vec<u32>,
}

/// One tree in the making.
struct Growing<'a> {
    params: &'a Params,
    binned: &'a Binned,
    cells: &'a [Cell],
    search: Search<'a>,
    /// The tree's rows; every node has a stretch of it.
    rows: Vec<u32>,
    aside: &'a mut [u32],
    nodes: Vec<Node>,
    leaves: Vec<Stretch>,
}

/// A node, and its rows as a range of [`Growing::rows`].
#[derive(Clone, Copy)]
struct Stretch {
    node: usize,
    start: usize,
    end: usize,
}

/// A node that may still be split.
struct Open {
    stretch: Stretch,
    total: Cell,
    /// The histograms of all groups of features.
    histogram: Vec<GroupCells>,
    best: Option<Found>,
}

impl<'a> Boosting<'a> {
    fn new(table: &'a Table<'a>, params: &'a Params) -> Boosting<'a> {
        let rows = table.labels.len();
        let weights: Vec<f64> =
            (0..rows).map(|row| table.class_weight(row, params.positive_weight)).collect();
        let heaviest = weights.iter().copied().fold(0.0, f64::max);
        let base = base_log_odds(table.labels, &weights);
        Boosting {
            table,
            params,
            binned: Binned::new(table, params.bins),
            units: Units::new(rows, heaviest),
            weights,
            base,
            margins: vec![base; rows],
            cells: vec![[0, 0]; rows],
            aside: vec![0; rows],
        }
    }

    fn grow_tree(&mut self, at: usize) -> Tree {
        self.update_cells();
        let mut random = Random::new(self.params.seed, at as u64);
        let (rows, columns) = (self.table.labels.len(), self.table.columns.len());
        let sample = random.choose(share(self.params.row_subsample, rows), rows);
        let allowed = allowed_features(self.params.column_subsample, columns, &mut random);
        let search = Search {
            params: self.params,
            units: self.units,
            thresholds: &self.binned.thresholds,
            allowed: &allowed,
        };
        let mut growing = Growing {
            params: self.params,
            binned: &self.binned,
            cells: &self.cells,
            search,
            rows: sample,
            aside: &mut self.aside,
            nodes: Vec::new(),
            leaves: Vec::new(),
        };
        growing.grow();
        let Growing { rows, nodes, leaves, .. } = growing;
        let tree = Tree { nodes };
        self.update_margins(&tree, &rows, &leaves);
        tree
    }

    /// Gradient and hessian of the logistic loss at every row's margin.
    fn update_cells(&mut self) {
        let (units, labels, margins, weights) = (self.units, self.table.labels, &self.margins, &self.weights);
        self.cells.par_iter_mut().enumerate().with_min_len(CHUNK_ROWS).for_each(|(row, cell)| {
            let p = 1.0 / (1.0 + (-margins[row]).exp());
            let y = if labels[row] { 1.0 } else { 0.0 };
            *cell = units.cell((p - y) * weights[row], p * (1.0 - p) * weights[row]);
        });
    }

    /// Rows of the tree's sample know their leaf; the others walk.
    fn update_margins(&mut self, tree: &Tree, rows: &[u32], leaves: &[Stretch]) {
        for leaf in leaves {
            let Node::Leaf(Leaf { value, .. }) = tree.nodes[leaf.node] else { continue };
            for row in &rows[leaf.start..leaf.end] {
                self.margins[*row as usize] += value;
            }
        }
        if rows.len() == self.margins.len() {
            return;
        }
        let mut sampled = vec![false; self.margins.len()];
        rows.iter().for_each(|row| sampled[*row as usize] = true);
        let columns = self.table.columns;
        self.margins.par_iter_mut().enumerate().with_min_len(CHUNK_ROWS).for_each(|(row, margin)| {
            if !sampled[row] {
                *margin += tree.output_of(|feature| columns[feature][row]);
            }
        });
    }
}

impl Growing<'_> {
    fn grow(&mut self) {
        let total = self.rows.iter().fold([0, 0], |sum, row| plus(sum, self.cells[*row as usize]));
        let mut root = self.open(0, self.rows.len(), total);
        root.histogram = self.empty_histogram();
        self.add_up_root(&mut root);
        let mut level = vec![root];
        for depth in 1..=self.params.max_depth.unwrap_or(1) {
            level = self.next_level(level, depth);
        }
    }

    /// Starts a node, as a leaf for now.
    fn open(&mut self, start: usize, end: usize, total: Cell) -> Open {
        let sums = self.search.units.sums(total);
        let step = -sums.gradient / (sums.hessian + self.params.lambda);
        // An empty hessian, possible without regularization, takes no step.
        let value = if step.is_finite() { self.params.learning_rate * step } else { 0.0 };
        let node = self.nodes.len();
        self.nodes.push(Node::Leaf(Leaf { value, cover: sums.hessian }));
        Open { stretch: Stretch { node, start, end }, total, histogram: Vec::new(), best: None }
    }

    fn empty_histogram(&self) -> Vec<GroupCells> {
        vec![[[0; 2]; GROUP * histogram::BINS]; self.binned.groups.len()]
    }

    fn add_up_root(&self, root: &mut Open) {
        let (rows, total) = (&self.rows, root.total);
        let found: Vec<Option<Found>> = root
            .histogram
            .par_iter_mut()
            .enumerate()
            .map(|(group, cells)| self.add_up_group(group, rows, total, cells))
            .collect();
        root.best = found.into_iter().fold(None, better);
    }

    fn add_up_group(&self, group: usize, rows: &[u32], total: Cell, cells: &mut GroupCells) -> Option<Found> {
        if !self.search.allows_group(group) {
            return None;
        }
        histogram::add_rows(&self.binned.groups[group], rows, self.cells, cells);
        self.search.best(group, cells, total)
    }

    /// Splits what can be split, and opens the children unless they are on the last level.
    fn next_level(&mut self, level: Vec<Open>, depth: u32) -> Vec<Open> {
        let (splitting, done): (Vec<Open>, Vec<Open>) =
            level.into_iter().partition(|open| open.best.is_some());
        self.leaves.extend(done.iter().map(|open| open.stretch));
        let middles = self.part(&splitting);
        let mut pairs: Vec<[Open; 2]> =
            splitting.into_iter().zip(middles).map(|(open, middle)| self.split(open, middle)).collect();
        if depth == self.params.max_depth.unwrap_or(1) {
            self.leaves.extend(pairs.iter().flatten().map(|open| open.stretch));
            return Vec::new();
        }
        self.add_up(&mut pairs);
        pairs.into_iter().flatten().collect()
    }

    /// Brings the rows of left children before those of right ones, keeping their order; where right ones start.
    fn part(&mut self, splitting: &[Open]) -> Vec<usize> {
        let (mut rows, mut aside, mut done) = (&mut self.rows[..], &mut self.aside[..], 0);
        let mut stretches = Vec::with_capacity(splitting.len());
        for open in splitting {
            let Stretch { start, end, .. } = open.stretch;
            let own = cut(&mut rows, start - done, end - start);
            stretches.push((open, own, cut(&mut aside, start - done, end - start)));
            done = end;
        }
        let binned = self.binned;
        let part = |(open, rows, aside): (&Open, &mut [u32], &mut [u32])| {
            let left = open.best.map_or(0, |found| part_rows(binned, found, rows, aside));
            open.stretch.start + left
        };
        stretches.into_par_iter().map(part).collect()
    }

    /// Turns a leaf into a split with two leaves. The child with more rows inherits the histogram.
    fn split(&mut self, open: Open, middle: usize) -> [Open; 2] {
        let found = open.best.expect("only nodes with a split are split");
        let Stretch { node, start, end } = open.stretch;
        let mut left = self.open(start, middle, found.left);
        let mut right = self.open(middle, end, minus(open.total, found.left));
        self.nodes[node] = Node::Split(Split {
            feature: found.feature as u32,
            test: Test::Below(self.binned.thresholds[found.feature][usize::from(found.bin)]),
            missing: Missing::Nan,
            missing_left: found.missing_left,
            left: left.stretch.node as u32,
            right: right.stretch.node as u32,
            gain: found.gain,
            cover: self.search.units.sums(open.total).hessian,
        });
        let heavier = if middle - start > end - middle { &mut left } else { &mut right };
        heavier.histogram = open.histogram;
        [left, right]
    }

    /// Fills both histograms of every pair and finds both splits.
    fn add_up(&self, pairs: &mut [[Open; 2]]) {
        pairs.par_iter_mut().for_each(|[left, right]| {
            let left_is_heavier = right.histogram.is_empty();
            let (heavy, light) = if left_is_heavier { (left, right) } else { (right, left) };
            light.histogram = self.empty_histogram();
            let rows = &self.rows[light.stretch.start..light.stretch.end];
            let totals = (heavy.total, light.total);
            let found: Vec<[Option<Found>; 2]> = heavy
                .histogram
                .par_iter_mut()
                .zip(&mut light.histogram)
                .enumerate()
                .map(|(group, (heavy, light))| {
                    let light_found = self.add_up_group(group, rows, totals.1, light);
                    histogram::subtract(heavy, light);
                    let allowed = self.search.allows_group(group);
                    [if allowed { self.search.best(group, heavy, totals.0) } else { None }, light_found]
                })
                .collect();
            heavy.best = found.iter().map(|pair| pair[0]).fold(None, better);
            light.best = found.iter().map(|pair| pair[1]).fold(None, better);
        });
    }
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

/// The split of more gain; the first among equals, which is the lower feature.
fn better(a: Option<Found>, b: Option<Found>) -> Option<Found> {
    match (a, b) {
        (Some(a), Some(b)) => Some(if b.gain > a.gain { b } else { a }),
        (a, b) => a.or(b),
    }
}

/// Takes `len` entries off the front of what is left of a slice, after skipping some.
fn cut<'a, T>(slice: &mut &'a mut [T], skip: usize, len: usize) -> &'a mut [T] {
    let (own, rest) = std::mem::take(slice)[skip..].split_at_mut(len);
    *slice = rest;
    own
}

/// Brings the rows that go left to the front, keeping the order on both sides; how many they are.
fn part_rows(binned: &Binned, found: Found, rows: &mut [u32], aside: &mut [u32]) -> usize {
    let group = &binned.groups[found.feature / GROUP];
    let lane = found.feature % GROUP;
    let (mut left, mut right) = (0, 0);
    for at in 0..rows.len() {
        let row = rows[at];
        let bin = group[row as usize][lane];
        let goes_left = if bin == MISSING_BIN { found.missing_left } else { bin <= found.bin };
        // Both are written and one is kept: no branch to mispredict. `left <= at`, so nothing unread is lost.
        rows[left] = row;
        aside[right] = row;
        left += usize::from(goes_left);
        right += usize::from(!goes_left);
    }
    rows[left..].copy_from_slice(&aside[..right]);
    left
}
