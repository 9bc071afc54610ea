//! Complete trees in heap order, walked one at a time: for one row where vectors cannot look bytes up.
//!
//! Node i has children 2i and 2i + 1, so a node is two bytes, where to look and the cut. Walks have a fixed length
//! known to the compiler: no branch is mispredicted and the processor runs many trees at once.

use crate::ensemble::{Forest, Node};

use super::leaves::{Sum, Table};
use super::simd::{Aligned, SLOTS_MAX};
use super::slots::Places;

#[derive(Debug)]
pub(super) struct WalkTrees {
    depth: usize,
    /// `2^depth` per tree in heap order; the first of each tree is unused, the root is the second.
    cuts: Vec<Cut>,
}

/// Goes right when the rank at `slot` is greater than `cut`.
#[derive(Clone, Copy, Debug)]
struct Cut {
    slot: u8,
    cut: u8,
}

impl WalkTrees {
    /// Pads all trees to a depth of at most 8.
    pub(super) fn new(forest: &Forest, places: &Places<u8>, depth: usize) -> WalkTrees {
        let mut cuts = vec![Cut { slot: 0, cut: u8::MAX }; forest.trees.len() << depth];
        for (tree, own) in forest.trees.iter().zip(cuts.chunks_exact_mut(1 << depth)) {
            let mut todo = vec![(0, 1)];
            while let Some((node, place)) = todo.pop() {
                if let Node::Split(split) = &tree.nodes[node] {
                    let question = places.question(split);
                    own[place] = Cut { slot: question.slot as u8, cut: question.cut };
                    todo.extend([(split.left as usize, 2 * place), (split.right as usize, 2 * place + 1)]);
                }
            }
        }
        WalkTrees { depth, cuts }
    }

    /// Adds the outputs of all trees for one row. The table has at least `2^depth` leaves a tree.
    pub(super) fn add<A: Sum>(&self, table: &Table<A::Leaf>, slots: &Aligned<SLOTS_MAX>, sum: &mut A) {
        match self.depth {
            0 => self.add_at::<A, 0, 1>(table, slots, sum),
            1 => self.add_at::<A, 1, 2>(table, slots, sum),
            2 => self.add_at::<A, 2, 4>(table, slots, sum),
            3 => self.add_at::<A, 3, 8>(table, slots, sum),
            4 => self.add_at::<A, 4, 16>(table, slots, sum),
            5 => self.add_at::<A, 5, 32>(table, slots, sum),
            6 => self.add_at::<A, 6, 64>(table, slots, sum),
            7 => self.add_at::<A, 7, 128>(table, slots, sum),
            _ => self.add_at::<A, 8, 256>(table, slots, sum),
        }
    }

    fn add_at<A: Sum, const DEPTH: usize, const SIZE: usize>(
        &self,
        table: &Table<A::Leaf>,
        slots: &Aligned<SLOTS_MAX>,
        sum: &mut A,
    ) {
        let trees = self.cuts.as_chunks::<SIZE>().0.iter().zip(table.values.chunks_exact(table.stride));
        for (tree, (cuts, leaves)) in trees.enumerate() {
            sum.add(tree, leaves[leaf_of::<DEPTH, SIZE>(cuts, slots)]);
        }
    }
}

/// The leaf that a row falls into. With the loop unrolled the compiler knows `at < SIZE` at every step.
#[inline(always)]
fn leaf_of<const DEPTH: usize, const SIZE: usize>(cuts: &[Cut; SIZE], slots: &Aligned<SLOTS_MAX>) -> usize {
    let mut at = 1;
    for _ in 0..DEPTH {
        let Cut { slot, cut } = cuts[at & (SIZE - 1)];
        at = 2 * at + usize::from(slots.0[usize::from(slot)] > cut);
    }
    at & (SIZE - 1)
}
