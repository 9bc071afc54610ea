//! Linked nodes over two-byte ranks, for trees too deep or too finely cut to be evaluated whole.
//!
//! A node is eight bytes; siblings stand side by side, so a step is one comparison and one addition. A leaf
//! leads to itself, so several walks can step together until all of them stand still: several trees for one row,
//! several rows in one tree.

use crate::ensemble::{Forest, Node, Output, Tree};

use super::simd::{Kernel, Simd};
use super::slots::Encoder;

/// Walks that step together: enough to hide the latency of memory, few enough to stay in registers.
const LANES: usize = 8;
/// Steps between two looks at whether every lane has arrived.
const STRIDE: usize = 4;
/// Up to this depth all lanes take as many steps as the deepest needs, and nobody looks.
const STEPS_MAX: usize = 14;
/// Rows of a batch that go through a tree together.
const BLOCK_ROWS: usize = 64;

#[derive(Debug)]
pub(super) struct LinkedTrees {
    encoder: Encoder<u16>,
    nodes: Vec<LinkedNode>,
    /// The output of the leaf at the same index; 0 for splits.
    values: Vec<f64>,
    /// Shallow trees first, so that trees which step together arrive together.
    roots: Vec<Root>,
}

#[derive(Clone, Copy, Debug)]
struct Root {
    node: u32,
    tree: u32,
    depth: usize,
}

/// Goes to `left + 1` when the slot is greater than `cut`, else to `left`.
#[derive(Clone, Copy, Debug)]
struct LinkedNode {
    left: u32,
    slot: u16,
    cut: u16,
}

/// Working memory.
#[derive(Clone, Debug, Default)]
pub(super) struct LinkedScratch {
    slots: Vec<u16>,
    outputs: Vec<f64>,
}

impl LinkedTrees {
    /// None if slots do not fit two bytes, or nodes four.
    pub(super) fn compile(forest: &Forest) -> Option<LinkedTrees> {
        let (encoder, places) = Encoder::new(forest, usize::from(u16::MAX))?;
        let count = forest.node_count();
        if count >= u32::MAX as usize {
            return None;
        }
        let mut trees = LinkedTrees {
            encoder,
            nodes: Vec::with_capacity(count),
            values: vec![0.0; count],
            roots: Vec::new(),
        };
        let mut order: Vec<usize> = (0..forest.trees.len()).collect();
        order.sort_by_cached_key(|&at| forest.trees[at].depth());
        for at in order {
            let tree = &forest.trees[at];
            let node = trees.nodes.len() as u32;
            trees.roots.push(Root { node, tree: at as u32, depth: tree.depth() });
            trees.push(tree, &places);
        }
        Some(trees)
    }

    /// Appends a tree breadth first, so that the top of a tree, which every row visits, shares cache lines.
    fn push(&mut self, tree: &Tree, places: &super::slots::Places<u16>) {
        let start = self.nodes.len();
        let mut order = vec![0];
        let mut next = 0;
        while next < order.len() {
            let place = (start + next) as u32;
            match &tree.nodes[order[next]] {
                Node::Leaf(leaf) => {
                    self.values[start + next] = leaf.value;
                    self.nodes.push(LinkedNode { left: place, slot: 0, cut: u16::MAX });
                }
                Node::Split(split) => {
                    // A set's slot is 0 or 1, so its mask changes nothing.
                    let question = places.question(split);
                    let left = (start + order.len()) as u32;
                    self.nodes.push(LinkedNode { left, slot: question.slot as u16, cut: question.cut });
                    order.extend([split.left as usize, split.right as usize]);
                }
            }
            next += 1;
        }
    }

    /// What will run, for people.
    pub(super) fn describe(&self) -> String {
        format!("linked nodes, two-byte ranks in {} slots, eight walks at a time", self.encoder.slot_count())
    }

    /// Slots of a row: one at least, since leaves look at slot 0 even in a forest without splits.
    fn width(&self) -> usize {
        self.encoder.slot_count().max(1)
    }

    /// The sum of all trees' outputs for one row.
    pub(super) fn sum<S: Simd>(
        &self,
        simd: S,
        output: &Output,
        row: &[f64],
        scratch: &mut LinkedScratch,
    ) -> f64 {
        let LinkedScratch { slots, outputs } = scratch;
        slots.resize(self.width(), 0);
        outputs.resize(self.roots.len(), 0.0);
        simd.run(EncodeWide { encoder: &self.encoder, row, slots });
        for roots in self.roots.chunks(LANES) {
            let mut at = [roots[0].node; LANES];
            for (at, root) in at.iter_mut().zip(roots) {
                *at = root.node;
            }
            let depth = roots[roots.len() - 1].depth;
            self.descend(&mut at, depth, |_, slot| slots[slot]);
            for (at, root) in at.iter().zip(roots) {
                outputs[root.tree as usize] = self.values[*at as usize];
            }
        }
        output.sum(outputs.iter().copied())
    }

    /// Puts the sum of every row into `out`: tree by tree for a block of rows, so that a tree is fetched once.
    pub(super) fn sum_batch<S: Simd>(
        &self,
        simd: S,
        output: &Output,
        rows: &[f64],
        feature_count: usize,
        scratch: &mut LinkedScratch,
        out: &mut [f64],
    ) {
        let (width, trees) = (self.width(), self.roots.len());
        for (rows, sums) in rows.chunks(BLOCK_ROWS * feature_count).zip(out.chunks_mut(BLOCK_ROWS)) {
            scratch.slots.resize(BLOCK_ROWS * width, 0);
            scratch.outputs.resize(BLOCK_ROWS * trees, 0.0);
            let encoded = scratch.slots.chunks_exact_mut(width);
            for (row, slots) in rows.chunks_exact(feature_count).zip(encoded) {
                simd.run(EncodeWide { encoder: &self.encoder, row, slots });
            }
            for &Root { node, tree, depth } in &self.roots {
                for first in (0..sums.len()).step_by(LANES) {
                    let mut at = [node; LANES];
                    self.descend(&mut at, depth, |lane, slot| scratch.slots[(first + lane) * width + slot]);
                    for (lane, at) in at.iter().enumerate() {
                        scratch.outputs[(first + lane) * trees + tree as usize] = self.values[*at as usize];
                    }
                }
            }
            for (sum, outputs) in sums.iter_mut().zip(scratch.outputs.chunks_exact(trees)) {
                *sum = output.sum(outputs.iter().copied());
            }
        }
    }

    #[inline(always)]
    fn descend(&self, at: &mut [u32; LANES], depth: usize, slot_of: impl Fn(usize, usize) -> u16) {
        let step = |at: &mut [u32; LANES]| {
            for (lane, at) in at.iter_mut().enumerate() {
                let node = self.nodes[*at as usize];
                *at = node.left + u32::from(slot_of(lane, usize::from(node.slot)) > node.cut);
            }
        };
        if depth <= STEPS_MAX {
            (0..depth).for_each(|_| step(at));
            return;
        }
        loop {
            let before = *at;
            (0..STRIDE).for_each(|_| step(at));
            if *at == before {
                return;
            }
        }
    }
}

/// Encodes one row.
pub(super) struct EncodeWide<'a> {
    pub(super) encoder: &'a Encoder<u16>,
    pub(super) row: &'a [f64],
    pub(super) slots: &'a mut [u16],
}

impl<S: Simd> Kernel<S> for EncodeWide<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self, simd: S) {
        self.encoder.encode(simd, self.row, self.slots);
    }
}
