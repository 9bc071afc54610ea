//! What the paths of a tree have asked for, found in one walk without recursion.

use std::collections::HashMap;

use crate::ensemble::{Node, Split, Tree};

/// One side of a split.
#[derive(Clone, Copy, Debug)]
pub(super) struct Side {
    /// Index of the node.
    pub split: usize,
    pub right: bool,
}

/// A tree's nodes by kind, each kind from the root down, level by level; and the features that its paths ask for.
#[derive(Debug)]
pub(super) struct Walk {
    /// Splits above at least one other.
    pub joints: Vec<usize>,
    /// Splits above two leaves.
    pub twigs: Vec<usize>,
    /// Leaves below joints; the only leaf of a tree without splits.
    pub lone: Vec<usize>,
    /// By node: the side by which the path to a split leaves the last split of the same feature.
    pub previous: Vec<Option<Side>>,
    /// By node: how many other features the path had asked for when it first asked for the split's.
    pub place: Vec<usize>,
    /// The most different features on a path.
    pub features_max: usize,
}

enum Step {
    Enter(usize),
    Take(Side),
    Forget(u32, Option<(Side, usize)>),
}

impl Walk {
    pub fn new(tree: &Tree) -> Walk {
        let count = tree.nodes.len();
        let mut walk = Walk {
            joints: Vec::new(),
            twigs: Vec::new(),
            lone: Vec::new(),
            previous: vec![None; count],
            place: vec![0; count],
            features_max: 0,
        };
        walk.sort(tree);
        walk.trace(tree);
        walk
    }

    fn sort(&mut self, tree: &Tree) {
        let is_leaf = |at: u32| matches!(tree.nodes[at as usize], Node::Leaf(_));
        let mut level = vec![0];
        while !level.is_empty() {
            let mut next = Vec::new();
            for at in level {
                match &tree.nodes[at] {
                    Node::Leaf(_) => self.lone.push(at),
                    Node::Split(split) if is_leaf(split.left) && is_leaf(split.right) => self.twigs.push(at),
                    Node::Split(split) => {
                        self.joints.push(at);
                        next.extend([split.left as usize, split.right as usize]);
                    }
                }
            }
            level = next;
        }
    }

    /// Depth first, with what the path so far has asked for.
    fn trace(&mut self, tree: &Tree) {
        let mut asked: HashMap<u32, (Side, usize)> = HashMap::new();
        let mut steps = vec![Step::Enter(0)];
        while let Some(step) = steps.pop() {
            match step {
                Step::Enter(at) => {
                    let Node::Split(split) = &tree.nodes[at] else { continue };
                    let before = asked.get(&split.feature).copied();
                    self.previous[at] = before.map(|(side, _)| side);
                    self.place[at] = before.map_or(asked.len(), |(_, place)| place);
                    steps.push(Step::Forget(split.feature, before));
                    for (child, right) in [(split.right, true), (split.left, false)] {
                        steps.push(Step::Enter(child as usize));
                        steps.push(Step::Take(Side { split: at, right }));
                    }
                }
                Step::Take(side) => {
                    asked.insert(tree.split(side.split).feature, (side, self.place[side.split]));
                    self.features_max = self.features_max.max(asked.len());
                }
                Step::Forget(feature, Some(before)) => {
                    asked.insert(feature, before);
                }
                Step::Forget(feature, None) => {
                    asked.remove(&feature);
                }
            }
        }
    }
}

impl Tree {
    /// The split at a node that is known to be one.
    pub(super) fn split(&self, at: usize) -> &Split {
        match &self.nodes[at] {
            Node::Split(split) => split,
            Node::Leaf(_) => unreachable!("node {at} is a split"),
        }
    }

    /// The value of a node that is known to be a leaf.
    pub(super) fn leaf_value(&self, at: usize) -> f64 {
        match &self.nodes[at] {
            Node::Leaf(leaf) => leaf.value,
            Node::Split(_) => unreachable!("node {at} is a leaf"),
        }
    }
}
