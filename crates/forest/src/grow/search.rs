//! The best split of a node, or of all nodes of a level at once, among the prefixes of its bins.
//!
//! A numeric feature's bins have one order. Categories are put in the order of their mean gradient: the best set
//! is then a prefix or a suffix (Fisher 1958, "On grouping for maximum homogeneity"), as in LightGBM.

use super::bins::{Cut, MISSING_BIN};
use super::histogram::{Binned, Cell, GROUP, Sums, Units, halves};
use super::params::{Direction, Params};

/// Hessian added to a category's when categories are put in order, so that a rare one is not at an end by chance.
const CATEGORY_SMOOTHING: f64 = 5.0;
/// A gain that rounding alone could bring is none.
const GAIN_MIN: f64 = 1e-12;
/// Bins of a feature, missing values apart.
const BINS: usize = 255;

/// A set of bins.
pub(super) type BinSet = [u64; 4];

/// A split: the bins of `left_bins` go left.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    pub(super) gain: f64,
    pub(super) feature: usize,
    pub(super) left_bins: BinSet,
    /// Of a numeric feature: the last bin that goes left.
    pub(super) last_bin: u8,
    pub(super) missing_left: bool,
}

/// A node as the search sees it.
#[derive(Clone, Copy)]
pub(super) struct Candidate<'a> {
    /// Histograms of one group of features.
    pub(super) cells: &'a [Cell],
    /// The same of row counts; empty if nobody asks for them.
    pub(super) counts: &'a [Cell],
    pub(super) total: Cell,
    pub(super) rows: usize,
    pub(super) bounds: Bounds,
}

/// Between which a leaf's step must lie.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Bounds {
    pub(super) least: f64,
    pub(super) most: f64,
}

/// Looks for splits.
#[derive(Clone, Copy)]
pub(super) struct Search<'a> {
    pub(super) params: &'a Params,
    pub(super) units: Units,
    pub(super) binned: &'a Binned,
    /// By feature.
    pub(super) directions: &'a [Option<Direction>],
    /// By feature, whether this tree may use it.
    pub(super) allowed: &'a [bool],
}

/// Working memory of a search.
struct Work {
    /// The bins in order.
    order: [u8; BINS],
    /// Sums of the first bins of an order, by how many they are.
    prefixes: Prefixes,
    /// Gains by prefix, over all nodes, with missing values on the right and on the left.
    gains: [[f64; BINS]; 2],
}

struct Prefixes {
    gradients: [i32; BINS],
    hessians: [i32; BINS],
    rows: [i64; BINS],
}

impl Bounds {
    pub(super) const NONE: Bounds = Bounds { least: f64::NEG_INFINITY, most: f64::INFINITY };
}

pub(super) fn contains(set: &BinSet, bin: u8) -> bool {
    set[usize::from(bin / 64)] >> (bin % 64) & 1 == 1
}

fn insert(set: &mut BinSet, bin: u8) {
    set[usize::from(bin / 64)] |= 1 << (bin % 64);
}

impl Search<'_> {
    /// The best split by the features of one group for all nodes given; the lowest feature and shortest prefix
    /// among equals. Several nodes share one split (an oblivious tree's level).
    pub(super) fn best(&self, group: usize, nodes: &[Candidate]) -> Option<Found> {
        let mut best = None;
        let mut work = Work::new();
        for feature in group * GROUP..((group + 1) * GROUP).min(self.allowed.len()) {
            if self.allowed[feature] {
                self.try_feature(feature, nodes, &mut work, &mut best);
            }
        }
        best
    }

    /// Whether a group has a feature that this tree may use.
    pub(super) fn allows_group(&self, group: usize) -> bool {
        self.allowed.iter().skip(group * GROUP).take(GROUP).any(|allowed| *allowed)
    }

    /// Whether rows are counted by bin: it doubles the work, and a least hessian does as well.
    pub(super) fn counts_rows(&self) -> bool {
        self.params.min_samples_leaf > 1
    }

    fn try_feature(&self, feature: usize, nodes: &[Candidate], work: &mut Work, best: &mut Option<Found>) {
        match &self.binned.cuts[feature] {
            Cut::Thresholds(thresholds) => {
                // All present values together against the missing ones, where there are any, is a split too.
                let len = thresholds.len() + usize::from(self.has_missing(feature, nodes));
                work.order = std::array::from_fn(|bin| bin as u8);
                self.try_order(feature, len, nodes, work, best);
            }
            Cut::Categories(values) => {
                let order = self.category_order(feature, values.len(), nodes);
                work.order[..order.len()].copy_from_slice(&order);
                self.try_order(feature, order.len(), nodes, work, best);
                work.order[..order.len()].reverse();
                self.try_order(feature, order.len(), nodes, work, best);
                self.send_unseen_with_most(feature, values.len(), nodes, best);
            }
        }
    }

    fn has_missing(&self, feature: usize, nodes: &[Candidate]) -> bool {
        let missing = usize::from(MISSING_BIN) % self.binned.stride;
        nodes.iter().any(|node| self.of_feature(feature, node.cells)[missing] != 0)
    }

    /// The histogram of one feature.
    fn of_feature<'c>(&self, feature: usize, cells: &'c [Cell]) -> &'c [Cell] {
        let start = feature % GROUP * self.binned.stride;
        if cells.is_empty() { cells } else { &cells[start..start + self.binned.stride] }
    }

    /// The categories that occur, by their mean gradient over all nodes. The bin of all others is not among them: it
    /// always goes right, with the categories never seen.
    fn category_order(&self, feature: usize, count: usize, nodes: &[Candidate]) -> Vec<u8> {
        let mean = |bin: u8| {
            let cell = |node: &Candidate| self.of_feature(feature, node.cells)[usize::from(bin)];
            let cell: Cell = nodes.iter().map(cell).sum();
            let sums = self.units.sums(cell);
            (cell != 0).then(|| (sums.gradient / (sums.hessian + CATEGORY_SMOOTHING), bin))
        };
        let mut order: Vec<(f64, u8)> = (0..count as u8).filter_map(mean).collect();
        order.sort_by(|a, b| a.0.total_cmp(&b.0));
        order.into_iter().map(|(_, bin)| bin).collect()
    }

    /// Turns a set of categories around if it has most of the hessian, so that categories never seen, which go right,
    /// go with the majority. Where rows of the bin of all others tell what becomes of them, it stays.
    fn send_unseen_with_most(
        &self,
        feature: usize,
        others: usize,
        nodes: &[Candidate],
        best: &mut Option<Found>,
    ) {
        let Some(best) = best.as_mut().filter(|best| best.feature == feature) else { return };
        let cells = |bin: usize| nodes.iter().map(move |node| self.of_feature(feature, node.cells)[bin]);
        let known: Vec<u8> =
            (0..others as u8).filter(|bin| cells(usize::from(*bin)).any(|cell| cell != 0)).collect();
        let (left, right): (Vec<u8>, Vec<u8>) =
            known.iter().partition(|bin| contains(&best.left_bins, **bin));
        if !right.is_empty() && cells(others).all(|cell| cell == 0) && self.majority(feature, &left, nodes) {
            *best = found(best.gain, feature, &right, !best.missing_left);
        }
    }

    /// Tries every prefix of the first `len` bins of the order for all nodes at once. A node in which a split may not be
    /// made adds nothing to its gain; one in which it would break a direction forbids it.
    fn try_order(
        &self,
        feature: usize,
        len: usize,
        nodes: &[Candidate],
        work: &mut Work,
        best: &mut Option<Found>,
    ) {
        let has_missing = self.has_missing(feature, nodes);
        for side in 0..1 + usize::from(has_missing) {
            work.gains[side][..len].fill(0.0);
            for node in nodes {
                self.add_gains(feature, len, node, side == 1, work);
            }
            for (at, gain) in work.gains[side][..len].iter().enumerate() {
                if *gain > best.map_or(self.params.min_gain.max(GAIN_MIN), |best| best.gain) {
                    let order = &work.order[..=at];
                    // Nothing learnt about missing values: they follow the majority.
                    let missing_left =
                        if has_missing { side == 1 } else { self.majority(feature, order, nodes) };
                    *best = Some(found(*gain, feature, order, missing_left));
                }
            }
        }
    }

    fn add_gains(&self, feature: usize, len: usize, node: &Candidate, missing_left: bool, work: &mut Work) {
        let (cells, counts) = (self.of_feature(feature, node.cells), self.of_feature(feature, node.counts));
        let missing = usize::from(MISSING_BIN) % self.binned.stride;
        let start =
            if missing_left { [cells[missing], counts.get(missing).map_or(0, |c| *c)] } else { [0; 2] };
        let Work { order, prefixes, gains } = work;
        prefixes.add_up(&order[..len], cells, counts, start);
        let gains = &mut gains[usize::from(missing_left)][..len];
        let plain = self.params.l1 == 0.0
            && node.bounds == Bounds::NONE
            && self.directions[feature].is_none()
            && counts.is_empty();
        if plain {
            self.add_plain_gains(prefixes, node.total, gains);
        } else {
            self.add_careful_gains(feature, prefixes, node, gains);
        }
    }

    /// Gains without L1, bounds, directions and counts. Nothing in the loop hinders the compiler from doing several
    /// prefixes at a time; sums are in quanta, and of two quotients one division is made.
    fn add_plain_gains(&self, prefixes: &Prefixes, total: Cell, gains: &mut [f64]) {
        let [gradient, hessian] = halves(total).map(f64::from);
        let lambda = self.params.lambda / self.units.hessian;
        let least = (self.params.min_child_weight / self.units.hessian).max(f64::MIN_POSITIVE);
        let scale = 0.5 * self.units.gradient * self.units.gradient / self.units.hessian;
        let parent = gradient * gradient / (hessian + lambda);
        for ((gain, g), h) in gains.iter_mut().zip(&prefixes.gradients).zip(&prefixes.hessians) {
            let (left_g, left_h) = (f64::from(*g), f64::from(*h));
            let (right_g, right_h) = (gradient - left_g, hessian - left_h);
            let (of_left, of_right) = (left_h + lambda, right_h + lambda);
            let both = (left_g * left_g * of_right + right_g * right_g * of_left) / (of_left * of_right);
            *gain += if left_h >= least && right_h >= least { scale * (both - parent) } else { 0.0 };
        }
    }

    fn add_careful_gains(&self, feature: usize, prefixes: &Prefixes, node: &Candidate, gains: &mut [f64]) {
        let total = self.units.sums(node.total);
        let parent = self.quality(total, node.bounds);
        for (at, gain) in gains.iter_mut().enumerate() {
            let left_rows = prefixes.rows[at];
            let rows =
                if node.counts.is_empty() { i64::MAX } else { left_rows.min(node.rows as i64 - left_rows) };
            if rows < self.params.min_samples_leaf as i64 {
                continue;
            }
            let left = Sums {
                gradient: f64::from(prefixes.gradients[at]) * self.units.gradient,
                hessian: f64::from(prefixes.hessians[at]) * self.units.hessian,
            };
            *gain += self.gain(feature, left, total, parent, node.bounds);
        }
    }

    /// The gain of a split: 0 if it may not be made, negative infinity if it breaks a direction.
    fn gain(&self, feature: usize, left: Sums, total: Sums, parent: f64, bounds: Bounds) -> f64 {
        let right = Sums { gradient: total.gradient - left.gradient, hessian: total.hessian - left.hessian };
        if left.hessian.min(right.hessian) < self.params.min_child_weight.max(f64::MIN_POSITIVE) {
            return 0.0;
        }
        if let Some(direction) = self.directions[feature] {
            let (below, above) = (self.step(left, bounds), self.step(right, bounds));
            let breaks = if direction == Direction::Rising { below > above } else { below < above };
            if breaks {
                return f64::NEG_INFINITY;
            }
        }
        0.5 * (self.quality(left, bounds) + self.quality(right, bounds) - parent)
    }

    /// Whether most of the hessian is in these bins.
    fn majority(&self, feature: usize, bins: &[u8], nodes: &[Candidate]) -> bool {
        let hessian = |cell: Cell| i64::from(halves(cell)[1]);
        let left = |node: &Candidate| -> i64 {
            let cells = self.of_feature(feature, node.cells);
            bins.iter().map(|bin| hessian(cells[usize::from(*bin)])).sum()
        };
        2 * nodes.iter().map(left).sum::<i64>() >= nodes.iter().map(|node| hessian(node.total)).sum()
    }

    /// Twice the decrease of the loss by a step (Chen and Guestrin 2016, equations 2 to 6, and L1 as in XGBoost).
    fn quality(&self, sums: Sums, bounds: Bounds) -> f64 {
        let (l1, hessian) = (self.params.l1, sums.hessian + self.params.lambda);
        let step = self.step(sums, bounds);
        -(2.0 * sums.gradient * step + hessian * step * step) - 2.0 * l1 * step.abs()
    }

    /// The best value of a leaf, before the learning rate.
    pub(super) fn step(&self, sums: Sums, bounds: Bounds) -> f64 {
        step(self.params, sums, bounds)
    }
}

impl Work {
    fn new() -> Work {
        let prefixes = Prefixes { gradients: [0; BINS], hessians: [0; BINS], rows: [0; BINS] };
        Work { order: [0; BINS], prefixes, gains: [[0.0; BINS]; 2] }
    }
}

impl Prefixes {
    fn add_up(&mut self, order: &[u8], cells: &[Cell], counts: &[Cell], start: [Cell; 2]) {
        let [mut sum, mut rows] = start;
        let sums = self.gradients.iter_mut().zip(&mut self.hessians);
        for ((gradient, hessian), bin) in sums.zip(order) {
            sum += cells[usize::from(*bin)];
            [*gradient, *hessian] = halves(sum);
        }
        if !counts.is_empty() {
            for (prefix, bin) in self.rows.iter_mut().zip(order) {
                rows += counts[usize::from(*bin)];
                *prefix = rows;
            }
        }
    }
}

fn found(gain: f64, feature: usize, left: &[u8], missing_left: bool) -> Found {
    let mut left_bins = [0; 4];
    left.iter().for_each(|bin| insert(&mut left_bins, *bin));
    if missing_left {
        insert(&mut left_bins, MISSING_BIN);
    }
    Found { gain, feature, left_bins, last_bin: left[left.len() - 1], missing_left }
}

/// The Newton step, regularized and kept within bounds.
pub(super) fn step(params: &Params, sums: Sums, bounds: Bounds) -> f64 {
    let pulled = sums.gradient.signum() * (sums.gradient.abs() - params.l1).max(0.0);
    let step = -pulled / (sums.hessian + params.lambda);
    // An empty hessian, possible without regularization, takes no step.
    (if step.is_finite() { step } else { 0.0 }).clamp(bounds.least, bounds.most)
}
