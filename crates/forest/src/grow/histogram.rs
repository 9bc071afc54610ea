//! Sums of gradients per bin, and the best split among them.
//!
//! Gradients are whole numbers of a small unit, so sums are exact: the same on any number of threads, and a
//! sibling's histogram is its parent's less the other's without loss. Each row's word of hessian carries a 1
//! in its low bits, so that counting rows costs nothing.

use rayon::prelude::*;

use super::bins::{self, MISSING_BIN};
use super::{Params, Table};

/// Features whose bins stand together: their histograms (16 kB) and the rows' gradients fit the first-level
/// cache, and a gradient is fetched once for all of them.
pub(super) const GROUP: usize = 4;
pub(super) const BINS: usize = 256;
/// Bits of a sum that are used: the sign stays free, and one bit more.
const SUM_BITS: u32 = 62;

/// A sum of gradients, and a sum of hessians with a row count in its low bits.
pub(super) type Cell = [i64; 2];
/// The histograms of one group of features.
pub(super) type GroupCells = [Cell; GROUP * BINS];

/// The columns of a table as bins, in groups of [`GROUP`] features, row by row within a group.
pub(super) struct Binned {
    pub(super) groups: Vec<Vec<[u8; GROUP]>>,
    pub(super) thresholds: Vec<Vec<f64>>,
}

/// How cells translate into numbers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Units {
    gradient: f64,
    hessian: f64,
    count_bits: u32,
}

/// A cell in numbers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sums {
    pub(super) gradient: f64,
    pub(super) hessian: f64,
    pub(super) rows: i64,
}

/// A split of a node: bins up to `bin` go left.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    pub(super) gain: f64,
    pub(super) feature: usize,
    pub(super) bin: u8,
    pub(super) missing_left: bool,
    pub(super) left: Cell,
}

impl Binned {
    pub(super) fn new(table: &Table, bins: usize) -> Binned {
        let thresholds: Vec<Vec<f64>> =
            table.columns.par_iter().map(|column| bins::thresholds(column, table.labels, bins)).collect();
        let features: Vec<usize> = (0..table.columns.len()).collect();
        let groups = features.par_chunks(GROUP).map(|group| bin_group(table, &thresholds, group)).collect();
        Binned { groups, thresholds }
    }
}

fn bin_group(table: &Table, thresholds: &[Vec<f64>], features: &[usize]) -> Vec<[u8; GROUP]> {
    let mut group = vec![[0; GROUP]; table.labels.len()];
    for (lane, &feature) in features.iter().enumerate() {
        for (bins, x) in group.iter_mut().zip(&table.columns[feature]) {
            bins[lane] = bins::bin(&thresholds[feature], *x);
        }
    }
    group
}

impl Units {
    /// Units for so many rows of at most this weight. Logistic gradients are at most 1, hessians 1/4.
    pub(super) fn new(rows: usize, weight_max: f64) -> Units {
        let count_bits = usize::BITS - rows.leading_zeros();
        let unit = |largest: f64, bits: u32| largest * weight_max / (1u64 << bits) as f64;
        Units {
            gradient: unit(1.0, SUM_BITS - count_bits),
            hessian: unit(0.25, SUM_BITS - 2 * count_bits),
            count_bits,
        }
    }

    /// The cell of one row.
    pub(super) fn cell(self, gradient: f64, hessian: f64) -> Cell {
        let hessian = (hessian / self.hessian).round() as i64;
        [(gradient / self.gradient).round() as i64, (hessian << self.count_bits) + 1]
    }

    pub(super) fn sums(self, cell: Cell) -> Sums {
        Sums {
            gradient: cell[0] as f64 * self.gradient,
            hessian: (cell[1] >> self.count_bits) as f64 * self.hessian,
            rows: cell[1] & ((1 << self.count_bits) - 1),
        }
    }
}

pub(super) fn plus(a: Cell, b: Cell) -> Cell {
    [a[0] + b[0], a[1] + b[1]]
}

pub(super) fn minus(a: Cell, b: Cell) -> Cell {
    [a[0] - b[0], a[1] - b[1]]
}

/// Adds the rows' cells to the histograms of one group.
pub(super) fn add_rows(group: &[[u8; GROUP]], rows: &[u32], cells: &[Cell], into: &mut GroupCells) {
    for &row in rows {
        let (bins, cell) = (group[row as usize], cells[row as usize]);
        for (lane, bin) in bins.into_iter().enumerate() {
            let own = &mut into[lane * BINS + usize::from(bin)];
            *own = plus(*own, cell);
        }
    }
}

pub(super) fn subtract(from: &mut GroupCells, other: &GroupCells) {
    for (from, other) in from.iter_mut().zip(other) {
        *from = minus(*from, *other);
    }
}

/// Looks for splits of one node.
#[derive(Clone, Copy)]
pub(super) struct Search<'a> {
    pub(super) params: &'a Params,
    pub(super) units: Units,
    pub(super) thresholds: &'a [Vec<f64>],
    /// By feature, whether this tree may use it.
    pub(super) allowed: &'a [bool],
}

impl Search<'_> {
    /// Whether a group has a feature that this tree may use.
    pub(super) fn allows_group(&self, group: usize) -> bool {
        self.allowed.iter().skip(group * GROUP).take(GROUP).any(|allowed| *allowed)
    }

    /// The best split by the features of one group; the lowest feature and bin among equals.
    pub(super) fn best(&self, group: usize, cells: &GroupCells, total: Cell) -> Option<Found> {
        let mut best = None;
        for (lane, cells) in cells.as_chunks::<BINS>().0.iter().enumerate() {
            let feature = group * GROUP + lane;
            if self.allowed.get(feature).is_some_and(|allowed| *allowed) {
                self.scan(feature, cells, total, &mut best);
            }
        }
        best
    }

    fn scan(&self, feature: usize, cells: &[Cell; BINS], total: Cell, best: &mut Option<Found>) {
        let parent = self.quality(self.units.sums(total));
        let missing = cells[usize::from(MISSING_BIN)];
        let has_missing = missing[1] != 0;
        let mut left = [0, 0];
        for (bin, &own) in cells.iter().enumerate().take(self.thresholds[feature].len()) {
            // An empty bin splits like the one before.
            if own[1] == 0 {
                continue;
            }
            left = plus(left, own);
            let mut consider = |left: Cell, missing_left: Option<bool>| {
                if let Some((gain, heavier_left)) = self.gain(left, total, parent)
                    && best.is_none_or(|best: Found| gain > best.gain)
                {
                    // Nothing learnt about missing values: they follow the majority.
                    let missing_left = missing_left.unwrap_or(heavier_left);
                    *best = Some(Found { gain, feature, bin: bin as u8, missing_left, left });
                }
            };
            consider(left, has_missing.then_some(false));
            if has_missing {
                consider(plus(left, missing), Some(true));
            }
        }
    }

    /// The gain of a split, if it may be made, and whether more rows go left.
    fn gain(&self, left: Cell, total: Cell, parent: f64) -> Option<(f64, bool)> {
        let (left, right) = (self.units.sums(left), self.units.sums(minus(total, left)));
        let least = self.params.min_child_weight;
        if left.rows.min(right.rows) < self.params.min_samples_leaf as i64
            || left.hessian.min(right.hessian) < least
        {
            return None;
        }
        let gain = 0.5 * (self.quality(left) + self.quality(right) - parent);
        // Written so that a gain that is not a number is no gain.
        (gain > self.params.min_gain.max(1e-12)).then_some((gain, left.rows >= right.rows))
    }

    /// Twice the decrease of the loss by a Newton step (Chen and Guestrin 2016, equation 6).
    fn quality(&self, sums: Sums) -> f64 {
        sums.gradient * sums.gradient / (sums.hessian + self.params.lambda)
    }
}
