//! One boosted tree in the making, on the rows drawn for it.
//!
//! Of two siblings only the smaller one's rows are added up; the other histogram is the parent's less that one.
//! Depth-wise growth splits a level at a time, leaf-wise growth the node of most gain, and a symmetric tree
//! splits all nodes of a level alike.

use rayon::prelude::*;

use crate::ensemble::Test;

use super::bins::{Cut, ranges};
use super::histogram::{self, Binned, Cell};
use super::params::{Direction, Growth, Params};
use super::search::{BinSet, Bounds, Candidate, Found, Search, contains};

/// A node of the tree; children stand side by side.
#[derive(Clone, Debug)]
pub(super) struct GrownNode {
    pub(super) split: Option<Found>,
    /// The left child; the node itself if it is a leaf.
    pub(super) left: usize,
    pub(super) bounds: Bounds,
    /// Hessian of the rows drawn.
    pub(super) cover: f64,
}

pub(super) struct Growing<'a> {
    params: &'a Params,
    binned: &'a Binned,
    cells: &'a [Cell],
    /// A cell of one row, by row; empty if rows are not counted.
    ones: &'a [Cell],
    search: Search<'a>,
    /// The tree's rows; every node has a stretch of it.
    rows: Vec<u32>,
    /// Working memory of [`part_rows`].
    aside: Vec<u32>,
    nodes: Vec<GrownNode>,
}

/// A node that may still be split.
struct Open {
    node: usize,
    depth: u32,
    /// Its rows, as a range of [`Growing::rows`].
    start: usize,
    end: usize,
    total: Cell,
    bounds: Bounds,
    /// The histograms of all groups of features, and after them those of row counts if anybody asks for them.
    histogram: Vec<Cell>,
    best: Option<Found>,
}

/// Grows a tree on these rows.
pub(super) fn grow(search: Search, rows: Vec<u32>, cells: &[Cell]) -> Vec<GrownNode> {
    let (params, binned) = (search.params, search.binned);
    let aside = vec![0; rows.len()];
    let ones = vec![1; if search.counts_rows() { cells.len() } else { 0 }];
    let mut growing = Growing { params, binned, cells, ones: &ones, search, rows, aside, nodes: Vec::new() };
    let root = growing.root();
    match params.growth {
        Growth::DepthWise => growing.depth_wise(root),
        Growth::LeafWise => growing.leaf_wise(root),
        Growth::Symmetric => growing.symmetric(root),
    }
    growing.nodes
}

impl Growing<'_> {
    fn root(&mut self) -> Open {
        let total = self.rows.iter().map(|row| self.cells[*row as usize]).sum();
        let mut root = self.open(0, 0..self.rows.len(), total, Bounds::NONE);
        root.histogram = self.empty_histogram();
        let (rows, size) = (&self.rows, self.binned.group_cells());
        root.histogram
            .par_chunks_mut(size)
            .enumerate()
            .for_each(|(part, cells)| self.add_rows(part, rows, cells));
        root
    }

    fn empty_histogram(&self) -> Vec<Cell> {
        let groups = self.binned.group_count() * (1 + usize::from(self.search.counts_rows()));
        vec![0; groups * self.binned.group_cells()]
    }

    /// Adds rows to one part of a histogram: a group's sums, or after all of those a group's counts.
    fn add_rows(&self, part: usize, rows: &[u32], into: &mut [Cell]) {
        let groups = self.binned.group_count();
        if self.search.allows_group(part % groups) {
            let cells = if part < groups { self.cells } else { self.ones };
            self.binned.add_rows(part % groups, rows, cells, into);
        }
    }

    /// What the search sees of a node in one group of features.
    fn candidate<'o>(&self, group: usize, open: &'o Open) -> Candidate<'o> {
        let size = self.binned.group_cells();
        let counts = (group + self.binned.group_count()) * size;
        Candidate {
            cells: &open.histogram[group * size..][..size],
            counts: open.histogram.get(counts..counts + size).unwrap_or_default(),
            total: open.total,
            rows: open.end - open.start,
            bounds: open.bounds,
        }
    }

    fn open(&mut self, depth: u32, rows: std::ops::Range<usize>, total: Cell, bounds: Bounds) -> Open {
        let node = self.nodes.len();
        let cover = self.search.units.sums(total).hessian;
        self.nodes.push(GrownNode { split: None, left: node, bounds, cover });
        Open {
            node,
            depth,
            start: rows.start,
            end: rows.end,
            total,
            bounds,
            histogram: Vec::new(),
            best: None,
        }
    }

    fn depth_wise(&mut self, mut root: Open) {
        self.find(std::slice::from_mut(&mut root));
        let mut level = vec![root];
        while !level.is_empty() {
            let splitting =
                level.into_iter().filter_map(|open| open.best.map(|found| (open, found))).collect();
            let mut children = self.split(splitting);
            children.retain(|child| self.may_split(child));
            self.find(&mut children);
            level = children;
        }
    }

    fn leaf_wise(&mut self, root: Open) {
        let mut open = vec![root];
        self.find(&mut open);
        for _ in 1..self.params.leaves_max() {
            // The first of equals is the older node.
            let gain = |open: &Open| open.best.map_or(0.0, |best| best.gain);
            let Some(next) =
                (0..open.len()).reduce(|a, b| if gain(&open[b]) > gain(&open[a]) { b } else { a })
            else {
                break;
            };
            let next = open.remove(next);
            let Some(found) = next.best else { break };
            let mut children = self.split(vec![(next, found)]);
            children.retain(|child| self.may_split(child));
            self.find(&mut children);
            open.extend(children);
        }
    }

    fn symmetric(&mut self, root: Open) {
        let mut level = vec![root];
        while self.params.max_depth.is_none_or(|most| level[0].depth < most) {
            let Some(found) = self.find_common(&level) else { break };
            level = self.split(level.into_iter().map(|open| (open, found)).collect());
        }
    }

    /// Whether a node is worth a search.
    fn may_split(&self, open: &Open) -> bool {
        self.params.max_depth.is_none_or(|most| open.depth < most)
            && open.end - open.start >= 2 * self.params.min_samples_leaf
    }

    /// The best split of each node.
    fn find(&self, level: &mut [Open]) {
        level.par_iter_mut().for_each(|open| {
            let find = |group| self.search.best(group, &[self.candidate(group, open)]);
            let found: Vec<Option<Found>> =
                (0..self.binned.group_count()).into_par_iter().map(find).collect();
            open.best = found.into_iter().fold(None, better);
        });
    }

    /// The best split for all nodes at once.
    fn find_common(&self, level: &[Open]) -> Option<Found> {
        let find = |group| {
            let nodes: Vec<Candidate> = level.iter().map(|open| self.candidate(group, open)).collect();
            self.search.best(group, &nodes)
        };
        let found: Vec<Option<Found>> = (0..self.binned.group_count()).into_par_iter().map(find).collect();
        found.into_iter().fold(None, better)
    }

    /// Splits nodes and fills the histograms of those children that may be split in turn.
    fn split(&mut self, splitting: Vec<(Open, Found)>) -> Vec<Open> {
        let parted = self.part(&splitting);
        let mut pairs: Vec<[Open; 2]> = splitting
            .into_iter()
            .zip(parted)
            .map(|((open, found), (middle, left))| self.split_node(open, found, middle, left))
            .collect();
        if pairs.first().is_some_and(|[left, _]| self.params.max_depth.is_none_or(|most| left.depth < most)) {
            self.add_up(&mut pairs);
        }
        pairs.into_iter().flatten().collect()
    }

    /// Brings the rows of left children before those of right ones, keeping their order: where right ones start, and
    /// the total of the left ones.
    fn part(&mut self, splitting: &[(Open, Found)]) -> Vec<(usize, Cell)> {
        let (mut rows, mut aside, mut done) = (&mut self.rows[..], &mut self.aside[..], 0);
        let mut stretches = Vec::with_capacity(splitting.len());
        for (open, found) in splitting {
            let own = cut(&mut rows, open.start - done, open.end - open.start);
            stretches.push((open, found, own, cut(&mut aside, open.start - done, open.end - open.start)));
            done = open.end;
        }
        let (binned, cells) = (self.binned, self.cells);
        let part = |(open, found, rows, aside): (&Open, &Found, &mut [u32], &mut [u32])| {
            let left = part_rows(binned, found, rows, aside);
            let total = rows[..left].iter().map(|row| cells[*row as usize]).sum();
            (open.start + left, total)
        };
        stretches.into_par_iter().map(part).collect()
    }

    /// Turns a leaf into a split with two leaves. The child with more rows inherits the histogram.
    fn split_node(&mut self, open: Open, found: Found, middle: usize, left_total: Cell) -> [Open; 2] {
        let right_total = open.total - left_total;
        let [of_left, of_right] = self.child_bounds(&open, &found, left_total, right_total);
        let mut left = self.open(open.depth + 1, open.start..middle, left_total, of_left);
        let mut right = self.open(open.depth + 1, middle..open.end, right_total, of_right);
        self.nodes[open.node].split = Some(found);
        self.nodes[open.node].left = left.node;
        let heavier = if middle - open.start > open.end - middle { &mut left } else { &mut right };
        heavier.histogram = open.histogram;
        [left, right]
    }

    /// Below a split with a direction, everything on one side stays on its side of the middle of the two steps, as in
    /// XGBoost.
    fn child_bounds(&self, open: &Open, found: &Found, left: Cell, right: Cell) -> [Bounds; 2] {
        let bounds = open.bounds;
        let Some(direction) = self.search.directions[found.feature] else { return [bounds; 2] };
        let step = |cell| self.search.step(self.search.units.sums(cell), bounds);
        let middle = step(left) / 2.0 + step(right) / 2.0;
        let (below, above) = (Bounds { most: middle, ..bounds }, Bounds { least: middle, ..bounds });
        if direction == Direction::Rising { [below, above] } else { [above, below] }
    }

    /// Fills both histograms of every pair.
    fn add_up(&self, pairs: &mut [[Open; 2]]) {
        let size = self.binned.group_cells();
        pairs.par_iter_mut().for_each(|[left, right]| {
            let left_is_heavier = right.histogram.is_empty();
            let (heavy, light) = if left_is_heavier { (left, right) } else { (right, left) };
            light.histogram = self.empty_histogram();
            let rows = &self.rows[light.start..light.end];
            let groups = heavy.histogram.par_chunks_mut(size).zip(light.histogram.par_chunks_mut(size));
            groups.enumerate().for_each(|(part, (heavy, light))| {
                self.add_rows(part, rows, light);
                histogram::subtract(heavy, light);
            });
        });
    }
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
fn part_rows(binned: &Binned, found: &Found, rows: &mut [u32], aside: &mut [u32]) -> usize {
    let bins = &binned.columns[found.feature];
    let (mut left, mut right) = (0, 0);
    for at in 0..rows.len() {
        let row = rows[at];
        let goes_left = contains(&found.left_bins, bins[row as usize]);
        // Both are written and one is kept: no branch to mispredict. `left <= at`, so nothing unread is lost.
        rows[left] = row;
        aside[right] = row;
        left += usize::from(goes_left);
        right += usize::from(!goes_left);
    }
    rows[left..].copy_from_slice(&aside[..right]);
    left
}

/// A grown tree as a walk over bins.
pub(super) struct Walk {
    /// By node; a leaf leads to itself.
    steps: Vec<Step>,
    depth: usize,
    growth: Growth,
}

#[derive(Clone, Copy)]
struct Step {
    left_bins: BinSet,
    feature: u32,
    left: u32,
}

impl Walk {
    pub(super) fn new(nodes: &[GrownNode], growth: Growth) -> Walk {
        let mut depth = vec![0; nodes.len()];
        let step = |(at, node): (usize, &GrownNode)| match node.split {
            None => Step { left_bins: [u64::MAX; 4], feature: 0, left: at as u32 },
            Some(found) => {
                depth[node.left] = depth[at] + 1;
                depth[node.left + 1] = depth[at] + 1;
                Step { left_bins: found.left_bins, feature: found.feature as u32, left: node.left as u32 }
            }
        };
        let steps = nodes.iter().enumerate().map(step).collect();
        Walk { steps, depth: depth.into_iter().max().unwrap_or(0), growth }
    }

    /// The leaves of rows from `first` on.
    pub(super) fn leaves(&self, binned: &Binned, first: usize, leaves: &mut [u16]) {
        if self.growth == Growth::Symmetric {
            return self.symmetric_leaves(binned, first, leaves);
        }
        for (at, leaf) in leaves.iter_mut().enumerate() {
            *leaf = self.leaf(binned, first + at) as u16;
        }
    }

    fn leaf(&self, binned: &Binned, row: usize) -> usize {
        let mut at = 0;
        for _ in 0..self.depth {
            let step = &self.steps[at];
            let bin = binned.columns[step.feature as usize][row];
            at = step.left as usize + usize::from(!contains(&step.left_bins, bin));
        }
        at
    }

    /// All nodes of a level split alike, so a level is one pass down a column. Levels stand one after the other, a level's
    /// nodes from left to right.
    fn symmetric_leaves(&self, binned: &Binned, first: usize, leaves: &mut [u16]) {
        leaves.fill(0);
        for level in 0..self.depth {
            let step = &self.steps[(1 << level) - 1];
            let bins = &binned.columns[step.feature as usize][first..first + leaves.len()];
            for (leaf, bin) in leaves.iter_mut().zip(bins) {
                *leaf = 2 * *leaf + u16::from(!contains(&step.left_bins, *bin));
            }
        }
        let last_level = (1 << self.depth) - 1;
        leaves.iter_mut().for_each(|leaf| *leaf += last_level);
    }
}

/// What a split asks of a value, given how the feature was cut.
pub(super) fn test(cut: &Cut, found: &Found) -> Test {
    match cut {
        // Past the last threshold is every number: a split of present from missing values.
        Cut::Thresholds(thresholds) => {
            Test::Below(thresholds.get(usize::from(found.last_bin)).copied().unwrap_or(f64::MAX))
        }
        Cut::Categories(values) => {
            let of_set = |(bin, _): &(usize, &f64)| contains(&found.left_bins, *bin as u8);
            Test::Within(ranges(values.iter().enumerate().filter(of_set).map(|(_, value)| *value)))
        }
    }
}
