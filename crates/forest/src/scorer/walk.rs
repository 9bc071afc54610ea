//! Complete trees, one at a time: for one row where vectors cannot look bytes up.
//!
//! A node is two bytes, where to look and the cut. Every tree takes a fixed number of steps known to the compiler: no branch
//! is mispredicted and the processor runs many trees at once. In heap order node i has children 2i and 2i + 1;
//! symmetric trees have one node a level, and no step waits for the one before.

use crate::ensemble::{Forest, Node, Split};

use super::leaves::{Sum, Table};
use super::simd::{Aligned, SLOTS_MAX};
use super::slots::Places;

#[derive(Debug)]
pub(super) enum WalkTrees {
    /// `2^depth` per tree in heap order; the first of each tree is unused, the root is the second.
    Heap { depth: usize, cuts: Vec<Cut> },
    /// `depth` per tree, from the root.
    Levels { depth: usize, cuts: Vec<Cut> },
}

/// Goes right when the rank at `slot` is greater than `cut`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cut {
    slot: u8,
    cut: u8,
}

impl WalkTrees {
    /// Pads all trees to a depth of at most 8.
    pub(super) fn heap(forest: &Forest, places: &Places<u8>, depth: usize) -> WalkTrees {
        let mut cuts = vec![Cut { slot: 0, cut: u8::MAX }; forest.trees.len() << depth];
        for (tree, own) in forest.trees.iter().zip(cuts.chunks_exact_mut(1 << depth)) {
            let mut todo = vec![(0, 1)];
            while let Some((node, place)) = todo.pop() {
                if let Node::Split(split) = &tree.nodes[node] {
                    own[place] = Cut::asking(split, places);
                    todo.extend([(split.left as usize, 2 * place), (split.right as usize, 2 * place + 1)]);
                }
            }
        }
        WalkTrees::Heap { depth, cuts }
    }

    /// Symmetric trees, padded to a depth of 1 to 8.
    pub(super) fn levels(forest: &Forest, places: &Places<u8>, depth: usize) -> WalkTrees {
        let mut cuts = vec![Cut { slot: 0, cut: u8::MAX }; forest.trees.len() * depth];
        for (tree, own) in forest.trees.iter().zip(cuts.chunks_exact_mut(depth)) {
            let mut node = 0;
            for cut in own {
                let Node::Split(split) = &tree.nodes[node] else { break };
                *cut = Cut::asking(split, places);
                node = split.left as usize;
            }
        }
        WalkTrees::Levels { depth, cuts }
    }

    /// Adds the outputs of all trees for one row. The table has at least `2^depth` leaves a tree.
    pub(super) fn add<A: Sum>(&self, table: &Table<A::Leaf>, slots: &Aligned<SLOTS_MAX>, sum: &mut A) {
        match self {
            WalkTrees::Heap { depth, cuts } => match depth {
                0 => add_heap::<A, 0, 1>(cuts, table, slots, sum),
                1 => add_heap::<A, 1, 2>(cuts, table, slots, sum),
                2 => add_heap::<A, 2, 4>(cuts, table, slots, sum),
                3 => add_heap::<A, 3, 8>(cuts, table, slots, sum),
                4 => add_heap::<A, 4, 16>(cuts, table, slots, sum),
                5 => add_heap::<A, 5, 32>(cuts, table, slots, sum),
                6 => add_heap::<A, 6, 64>(cuts, table, slots, sum),
                7 => add_heap::<A, 7, 128>(cuts, table, slots, sum),
                _ => add_heap::<A, 8, 256>(cuts, table, slots, sum),
            },
            WalkTrees::Levels { depth, cuts } => match depth {
                1 => add_levels::<A, 1>(cuts, table, slots, sum),
                2 => add_levels::<A, 2>(cuts, table, slots, sum),
                3 => add_levels::<A, 3>(cuts, table, slots, sum),
                4 => add_levels::<A, 4>(cuts, table, slots, sum),
                5 => add_levels::<A, 5>(cuts, table, slots, sum),
                6 => add_levels::<A, 6>(cuts, table, slots, sum),
                7 => add_levels::<A, 7>(cuts, table, slots, sum),
                _ => add_levels::<A, 8>(cuts, table, slots, sum),
            },
        }
    }
}

impl Cut {
    fn asking(split: &Split, places: &Places<u8>) -> Cut {
        let question = places.question(split);
        Cut { slot: question.slot as u8, cut: question.cut }
    }
}

fn add_heap<A: Sum, const DEPTH: usize, const SIZE: usize>(
    cuts: &[Cut],
    table: &Table<A::Leaf>,
    slots: &Aligned<SLOTS_MAX>,
    sum: &mut A,
) {
    let trees = cuts.as_chunks::<SIZE>().0.iter().zip(table.values.chunks_exact(table.stride));
    for (tree, (cuts, leaves)) in trees.enumerate() {
        sum.add(tree, leaves[leaf_of::<DEPTH, SIZE>(cuts, slots)]);
    }
}

fn add_levels<A: Sum, const DEPTH: usize>(
    cuts: &[Cut],
    table: &Table<A::Leaf>,
    slots: &Aligned<SLOTS_MAX>,
    sum: &mut A,
) {
    let trees = cuts.as_chunks::<DEPTH>().0.iter().zip(table.values.chunks_exact(table.stride));
    for (tree, (cuts, leaves)) in trees.enumerate() {
        let goes_right = |cut: &Cut| usize::from(slots.0[usize::from(cut.slot)] > cut.cut);
        let leaf = cuts.iter().fold(0, |leaf, cut| 2 * leaf + goes_right(cut));
        sum.add(tree, leaves[leaf]);
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
