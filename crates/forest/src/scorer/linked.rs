//! Linked nodes over two-byte ranks, for trees too deep or too finely cut for the complete layout.
//!
//! A node is eight bytes; siblings stand side by side, so a step is one comparison and one addition. A leaf
//! leads to itself, so several trees can step together until all of them stand still.

use crate::ensemble::{Forest, Node, Tree};

use super::rank::Ranker;

/// Trees that step together: enough to hide the latency of memory, few enough to stay in registers.
const LANES: usize = 8;
/// Steps between two looks at whether every lane has arrived.
const STRIDE: usize = 4;

#[derive(Debug)]
pub(super) struct LinkedTrees {
    ranker: Ranker,
    nodes: Vec<LinkedNode>,
    /// The output of the leaf at the same index; 0 for splits.
    values: Vec<f64>,
    /// (root, tree), shallow trees first, so that trees which step together arrive together.
    roots: Vec<(u32, u32)>,
}

/// Goes to `left + 1` when the rank at `slot` is greater than `cut`, else to `left`.
#[derive(Clone, Copy, Debug)]
struct LinkedNode {
    left: u32,
    slot: u16,
    cut: u16,
}

impl LinkedTrees {
    /// None if ranks or slots do not fit two bytes, or nodes four.
    pub(super) fn compile(forest: &Forest) -> Option<LinkedTrees> {
        let ranker = Ranker::new(forest);
        let fits = ranker.highest_rank() <= u32::from(u16::MAX)
            && ranker.slot_count() <= usize::from(u16::MAX)
            && forest.node_count() < u32::MAX as usize;
        if !fits {
            return None;
        }
        let count = forest.node_count();
        let mut trees = LinkedTrees {
            ranker,
            nodes: Vec::with_capacity(count),
            values: vec![0.0; count],
            roots: Vec::new(),
        };
        let mut order: Vec<usize> = (0..forest.trees.len()).collect();
        order.sort_by_cached_key(|&at| forest.trees[at].depth());
        for at in order {
            trees.roots.push((trees.nodes.len() as u32, at as u32));
            trees.push(&forest.trees[at]);
        }
        Some(trees)
    }

    /// Appends a tree breadth first, so that the top of a tree, which every row visits, shares cache lines.
    fn push(&mut self, tree: &Tree) {
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
                    let (slot, cut) = self.ranker.slot_and_cut(split);
                    let left = (start + order.len()) as u32;
                    self.nodes.push(LinkedNode { left, slot: slot as u16, cut: cut as u16 });
                    order.extend([split.left as usize, split.right as usize]);
                }
            }
            next += 1;
        }
    }

    /// The sum of all trees' outputs, in tree order.
    pub(super) fn sum(&self, row: &[f64], ranks: &mut Vec<u16>, outputs: &mut Vec<f64>) -> f64 {
        // One slot at least: leaves look at slot 0 even in a forest without splits.
        ranks.resize(self.ranker.slot_count().max(1), 0);
        outputs.resize(self.roots.len(), 0.0);
        self.ranker.rank_row(row, ranks, |rank| rank as u16);
        for roots in self.roots.chunks(LANES) {
            let mut at = [roots[0].0; LANES];
            for (at, root) in at.iter_mut().zip(roots) {
                *at = root.0;
            }
            self.descend(ranks, &mut at);
            for (at, root) in at.iter().zip(roots) {
                outputs[root.1 as usize] = self.values[*at as usize];
            }
        }
        outputs.iter().fold(0.0, |sum, output| sum + output)
    }

    #[inline(always)]
    fn descend(&self, ranks: &[u16], at: &mut [u32; LANES]) {
        loop {
            let before = *at;
            for _ in 0..STRIDE {
                for at in at.iter_mut() {
                    let node = self.nodes[*at as usize];
                    *at = node.left + u32::from(ranks[usize::from(node.slot)] > node.cut);
                }
            }
            if *at == before {
                return;
            }
        }
    }
}
