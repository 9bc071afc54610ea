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
/// Rows of a batch that go through a tree together: a cache line of bytes.
const BLOCK_ROWS: usize = 64;
/// With fewer rows than this left, walks are quicker than a block with empty places.
const BLOCK_ROWS_MIN: usize = 24;
/// A block visits every node, a walk one per level: deeper than this, walks win.
const BLOCK_DEPTH_MAX: usize = 7;
/// So that a slot is a byte, and a byte is always a valid index.
const SLOTS_MAX: usize = 256;

/// The ranks of one row.
type RowRanks = [u8; SLOTS_MAX];
/// One byte for each row of a block.
type BlockBytes = [u8; BLOCK_ROWS];
/// The biased ranks in one slot of all rows of a block.
type BlockRanks = [i8; BLOCK_ROWS];

/// Working memory.
#[derive(Clone, Debug, Default)]
pub(super) struct CompleteScratch {
    /// One row's ranks; a vector so that it takes no room before it is used.
    ranks: Vec<RowRanks>,
    /// A block's ranks by slot.
    turned: Vec<BlockRanks>,
    /// Ids of leaves by node of a level.
    ids: Vec<BlockBytes>,
}

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
    pub(super) fn sum(&self, row: &[f64], scratch: &mut CompleteScratch) -> f64 {
        self.sum_of(self.rank(row, &mut scratch.ranks))
    }

    /// Puts the sum of every row into `out`.
    pub(super) fn sum_batch(
        &self,
        rows: &[f64],
        feature_count: usize,
        scratch: &mut CompleteScratch,
        out: &mut Vec<f64>,
    ) {
        out.resize(rows.len() / feature_count, 0.0);
        for (rows, sums) in rows.chunks(BLOCK_ROWS * feature_count).zip(out.chunks_mut(BLOCK_ROWS)) {
            if sums.len() < BLOCK_ROWS_MIN || !(1..=BLOCK_DEPTH_MAX).contains(&self.depth) {
                for (row, sum) in rows.chunks_exact(feature_count).zip(sums) {
                    *sum = self.sum(row, scratch);
                }
                continue;
            }
            scratch.turned.resize(SLOTS_MAX, [0; BLOCK_ROWS]);
            for (at, row) in rows.chunks_exact(feature_count).enumerate() {
                let ranks = self.rank(row, &mut scratch.ranks);
                for (turned, rank) in scratch.turned.iter_mut().zip(&ranks[..self.ranker.slot_count()]) {
                    turned[at] = biased(*rank);
                }
            }
            self.add_block(scratch, sums);
        }
    }

    /// Adds every tree's outputs for a block of rows, all rows of a block at every node: these loops over bytes
    /// become vector instructions, and at these depths 64 rows at all nodes cost less than 64 walks.
    fn add_block(&self, scratch: &mut CompleteScratch, sums: &mut [f64]) {
        let size = 1 << self.depth;
        let ids = &mut scratch.ids;
        ids.resize(1 << BLOCK_DEPTH_MAX, [0; BLOCK_ROWS]);
        for (cuts, leaves) in self.cuts.chunks_exact(size).zip(self.leaves.chunks_exact(size)) {
            for (at, cut) in cuts[size / 2..].iter().enumerate().take(size / 2) {
                ids[at] = lowest(2 * at as u8, &scratch.turned[usize::from(cut.slot)], cut.cut);
            }
            // From there up: of the leaves below its children, each node keeps the row's.
            for level in (0..self.depth - 1).rev() {
                let first = 1 << level;
                for (at, cut) in cuts[first..2 * first].iter().enumerate() {
                    ids[at] = chosen(
                        &ids[2 * at],
                        &ids[2 * at + 1],
                        &scratch.turned[usize::from(cut.slot)],
                        cut.cut,
                    );
                }
            }
            for (sum, id) in sums.iter_mut().zip(&ids[0]) {
                *sum += leaves[usize::from(*id)];
            }
        }
    }

    fn rank<'s>(&self, row: &[f64], scratch: &'s mut Vec<RowRanks>) -> &'s RowRanks {
        scratch.resize(1, [0; SLOTS_MAX]);
        self.ranker.rank_row(row, &mut scratch[0], |rank| rank as u8);
        &scratch[0]
    }

    fn sum_of(&self, ranks: &RowRanks) -> f64 {
        match self.depth {
            0 => self.sum_at::<0, 1>(ranks),
            1 => self.sum_at::<1, 2>(ranks),
            2 => self.sum_at::<2, 4>(ranks),
            3 => self.sum_at::<3, 8>(ranks),
            4 => self.sum_at::<4, 16>(ranks),
            5 => self.sum_at::<5, 32>(ranks),
            6 => self.sum_at::<6, 64>(ranks),
            7 => self.sum_at::<7, 128>(ranks),
            _ => self.sum_at::<DEPTH_MAX, 256>(ranks),
        }
    }

    fn sum_at<const DEPTH: usize, const SIZE: usize>(&self, ranks: &RowRanks) -> f64 {
        let trees = self.cuts.as_chunks::<SIZE>().0.iter().zip(self.leaves.as_chunks::<SIZE>().0);
        trees.fold(0.0, |sum, (cuts, leaves)| sum + leaves[leaf_of::<DEPTH, SIZE>(cuts, ranks)])
    }
}

/// For every row of a block, on the last level: the leaf on the left, or the next one.
#[inline(always)]
fn lowest(left: u8, ranks: &BlockRanks, cut: u8) -> BlockBytes {
    let cut = biased(cut);
    let mut ids = [left; BLOCK_ROWS];
    for (id, rank) in ids.iter_mut().zip(ranks) {
        *id += u8::from(*rank > cut);
    }
    ids
}

/// For every row of a block: the left id, or the right one if the row's rank is greater than the cut.
#[inline(always)]
fn chosen(left: &BlockBytes, right: &BlockBytes, ranks: &BlockRanks, cut: u8) -> BlockBytes {
    let cut = biased(cut);
    let mut ids = *left;
    for ((id, right), rank) in ids.iter_mut().zip(right).zip(ranks) {
        let goes_right = if *rank > cut { 0xff } else { 0 };
        *id ^= (*id ^ right) & goes_right;
    }
    ids
}

/// Keeps the order of bytes: vector instructions everywhere compare signed bytes, not always unsigned ones.
fn biased(rank: u8) -> i8 {
    (rank ^ 0x80) as i8
}

/// The leaf that a row falls into. With the loop unrolled the compiler knows `at < SIZE` at every step.
#[inline(always)]
fn leaf_of<const DEPTH: usize, const SIZE: usize>(cuts: &[Cut; SIZE], ranks: &RowRanks) -> usize {
    let mut at = 1;
    for _ in 0..DEPTH {
        let Cut { slot, cut } = cuts[at & (SIZE - 1)];
        at = 2 * at + usize::from(ranks[usize::from(slot)] > cut);
    }
    at & (SIZE - 1)
}
