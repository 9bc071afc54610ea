//! Complete trees over one-byte ranks.
//!
//! A tree of depth d becomes a full binary tree in heap order: node i has children 2i and 2i + 1, so a node is two
//! bytes, where to look and the cut, and 200 trees of depth 6 fit the first-level cache. Walks have a fixed
//! length known to the compiler: no branch is mispredicted and the processor runs many trees at once.

use crate::ensemble::{Forest, Node, Tree};

use super::rank::Ranker;

/// Deeper trees waste more on padding than they gain (2^9 two-byte nodes are already eight cache lines).
const DEPTH_MAX: usize = 8;
/// A few deep trees among many shallow ones: beyond this the padding costs more than it saves.
const PADDING_MAX: usize = 16;
/// Rows of a batch that go through a tree together: enough to pay for fetching it, few enough to stay in cache.
const BLOCK_ROWS: usize = 64;
/// So that a slot is a byte, and a byte is always a valid index.
const SLOTS_MAX: usize = 256;

/// The ranks of one row.
pub(super) type RowRanks = [u8; SLOTS_MAX];

#[derive(Debug)]
pub(super) struct CompleteTrees {
    ranker: Ranker,
    depth: usize,
    /// `2^depth` per tree in heap order; the first of each tree is unused, the root is the second.
    cuts: Vec<Cut>,
    /// `2^depth` per tree, from left to right.
    leaves: Vec<f64>,
}

/// Goes right when the rank at `slot` is greater than `cut`.
#[derive(Clone, Copy, Debug, Default)]
struct Cut {
    slot: u8,
    cut: u8,
}

impl CompleteTrees {
    /// None if a tree is too deep, or ranks or slots do not fit a byte.
    pub(super) fn compile(forest: &Forest) -> Option<CompleteTrees> {
        let depth = forest.max_depth();
        if depth > DEPTH_MAX {
            return None;
        }
        let ranker = Ranker::new(forest);
        if ranker.highest_rank() > 255 || ranker.slot_count() > SLOTS_MAX {
            return None;
        }
        let size = forest.trees.len() << depth;
        if size > PADDING_MAX * forest.node_count() {
            return None;
        }
        let (cuts, leaves) = (vec![Cut::default(); size], vec![0.0; size]);
        let mut trees = CompleteTrees { ranker, depth, cuts, leaves };
        for (at, tree) in forest.trees.iter().enumerate() {
            trees.fill(at, tree);
        }
        Some(trees)
    }

    fn fill(&mut self, at: usize, tree: &Tree) {
        let start = at << self.depth;
        let mut todo = vec![(0, 1, 0)];
        while let Some((node, place, level)) = todo.pop() {
            match &tree.nodes[node] {
                Node::Split(split) => {
                    let (slot, cut) = self.ranker.slot_and_cut(split);
                    self.cuts[start + place] = Cut { slot: slot as u8, cut: cut as u8 };
                    todo.push((split.left as usize, 2 * place, level + 1));
                    todo.push((split.right as usize, 2 * place + 1, level + 1));
                }
                Node::Leaf(leaf) => {
                    // A leaf above the last level stands for all below it, whatever the unset cuts decide.
                    let below = self.depth - level;
                    let first = (place << below) - (1 << self.depth);
                    self.leaves[start + first..start + first + (1 << below)].fill(leaf.value);
                }
            }
        }
    }

    /// The sum of all trees' outputs for one row.
    pub(super) fn sum(&self, row: &[f64], scratch: &mut Vec<RowRanks>) -> f64 {
        if scratch.is_empty() {
            scratch.resize(BLOCK_ROWS, [0; SLOTS_MAX]);
        }
        let ranks = &mut scratch[0];
        self.ranker.rank_row(row, ranks, |rank| rank as u8);
        let mut sum = [0.0];
        self.add_block(std::slice::from_ref(ranks), &mut sum);
        sum[0]
    }

    /// Pushes the sum for each row.
    pub(super) fn sum_batch(
        &self,
        rows: &[f64],
        feature_count: usize,
        scratch: &mut Vec<RowRanks>,
        out: &mut Vec<f64>,
    ) {
        if scratch.is_empty() {
            scratch.resize(BLOCK_ROWS, [0; SLOTS_MAX]);
        }
        out.resize(rows.len() / feature_count, 0.0);
        for (rows, sums) in rows.chunks(BLOCK_ROWS * feature_count).zip(out.chunks_mut(BLOCK_ROWS)) {
            for (row, ranks) in rows.chunks_exact(feature_count).zip(scratch.iter_mut()) {
                self.ranker.rank_row(row, ranks, |rank| rank as u8);
            }
            self.add_block(&scratch[..sums.len()], sums);
        }
    }

    fn add_block(&self, ranks: &[RowRanks], sums: &mut [f64]) {
        match self.depth {
            0 => self.add_block_of::<0, 1>(ranks, sums),
            1 => self.add_block_of::<1, 2>(ranks, sums),
            2 => self.add_block_of::<2, 4>(ranks, sums),
            3 => self.add_block_of::<3, 8>(ranks, sums),
            4 => self.add_block_of::<4, 16>(ranks, sums),
            5 => self.add_block_of::<5, 32>(ranks, sums),
            6 => self.add_block_of::<6, 64>(ranks, sums),
            7 => self.add_block_of::<7, 128>(ranks, sums),
            _ => self.add_block_of::<DEPTH_MAX, 256>(ranks, sums),
        }
    }

    fn add_block_of<const DEPTH: usize, const SIZE: usize>(&self, ranks: &[RowRanks], sums: &mut [f64]) {
        let trees = self.cuts.as_chunks::<SIZE>().0.iter().zip(self.leaves.as_chunks::<SIZE>().0);
        for (cuts, leaves) in trees {
            for (ranks, sum) in ranks.iter().zip(sums.iter_mut()) {
                *sum += leaves[leaf_of::<DEPTH, SIZE>(cuts, ranks)];
            }
        }
    }
}

/// The leaf that a row falls into. With the loop unrolled the compiler knows `at < SIZE` at every step.
#[inline(always)]
fn leaf_of<const DEPTH: usize, const SIZE: usize>(cuts: &[Cut; SIZE], ranks: &RowRanks) -> usize {
    let mut at = 1;
    for _ in 0..DEPTH {
        let Cut { slot, cut } = cuts[at & (SIZE - 1)];
        // `2 * at + (rank > cut)` as one addition with carry.
        let goes_right = cut.overflowing_sub(ranks[usize::from(slot)]).1;
        at = at.carrying_add(at, goes_right).0;
    }
    at & (SIZE - 1)
}
