//! Interventional contributions: where a feature is not known, its value is that of a background row, and the mean
//! over the background is taken (Lundberg et al. 2020, "From local explanations to global understanding with
//! explainable AI for trees", algorithm 3).
//!
//! **One leaf and one background row.** Of the features that the path asks for, let p be those that only the
//! explained row follows the path by and q those that only the background row does. If each feature is followed by
//! one of the two, the leaf counts where all of p and none of q are known: each of p gets `v * (p-1)! q! / (p+q)!`,
//! each of q minus `v * p! (q-1)! / (p+q)!`.
//!
//! **A background.** All that a leaf sees of a background row is the set of features by which it follows the path.
//! Shallow trees are compiled to the sets that occur and how often, so a thousand rows cost little more than a
//! hundred. Deep trees, where nearly every row is its own set, are walked for each background row, down all paths
//! that the two rows together can take.

use crate::ensemble::{Node, Tree};

use super::NotExplained;
use super::values::{Question, Questions, Values};
use super::walk::Walk;

/// Sets of features on a path are kept in a word.
const FEATURES_MAX: usize = 64;

/// Trees whose paths ask for at most so many features are compiled to sets: a leaf has at most 256.
const TABLED_FEATURES_MAX: usize = 8;

#[derive(Debug)]
pub(super) struct Interventional {
    tabled: Vec<TabledTree>,
    walked: Vec<PathTree>,
    /// Prepared, if there are trees that need it.
    background: Vec<Values>,
    /// One over the number of background rows.
    share: f64,
    weights: Weights,
    /// What the trees add up to where nothing is known.
    pub expected: f64,
}

#[derive(Clone, Debug, Default)]
pub(super) struct InterventionalScratch {
    /// By node: the features by which a row follows the path to it.
    masks: Vec<u64>,
    stack: Vec<Pair>,
}

/// A node on the way of two rows, and the features by which each follows the path to it.
#[derive(Clone, Copy, Debug)]
struct Pair {
    node: u32,
    row: u64,
    other: u64,
}

/// A tree, children after parents. A feature's bit on a path is that of the place in which the path first asks for it.
#[derive(Debug)]
struct PathTree {
    nodes: Vec<PathNode>,
    /// By leaf and bit.
    features: Vec<u32>,
}

#[derive(Clone, Copy, Debug)]
enum PathNode {
    /// `first` if the path has not asked for the feature before.
    Split { question: Question, bit: u64, first: bool, children: [u32; 2] },
    /// Its features are `count` from `start` in [`PathTree::features`].
    Leaf { value: f64, start: u32, count: u32 },
}

#[derive(Debug)]
struct TabledTree {
    tree: PathTree,
    /// By leaf, in the order of the nodes.
    patterns: Vec<Vec<Pattern>>,
}

/// The features by which some background rows follow the path to a leaf, and how many rows.
#[derive(Clone, Copy, Debug)]
struct Pattern {
    mask: u32,
    rows: u32,
}

impl Interventional {
    pub fn compile(
        trees: &[Tree],
        background: &[f64],
        questions: &mut Questions,
    ) -> Result<Interventional, NotExplained> {
        let (mut shallow, mut walked) = (Vec::new(), Vec::new());
        for (at, tree) in trees.iter().enumerate() {
            let walk = Walk::new(tree);
            let features = walk.features_max;
            if features > FEATURES_MAX {
                return Err(NotExplained::TooManyFeatures { tree: at, features, most: FEATURES_MAX });
            }
            let trees = if features <= TABLED_FEATURES_MAX { &mut shallow } else { &mut walked };
            trees.push(PathTree::new(tree, &walk, questions));
        }
        let background = questions.read_all(background);
        let output =
            |values: &Values| -> f64 { shallow.iter().chain(&walked).map(|tree| tree.output(values)).sum() };
        let share = 1.0 / background.len() as f64;
        let expected = background.iter().map(output).sum::<f64>() * share;
        let tabled = shallow.into_iter().map(|tree| TabledTree::new(tree, &background)).collect();
        Ok(Interventional { tabled, walked, background, share, weights: Weights::new(), expected })
    }

    /// Adds the contributions of all trees to `out`, by feature.
    pub fn add_to(&self, out: &mut [f64], values: &Values, scratch: &mut InterventionalScratch) {
        for tree in &self.tabled {
            tree.add_to(out, values, self.share, &self.weights, &mut scratch.masks);
        }
        for tree in &self.walked {
            for other in &self.background {
                tree.add_to(out, [values, other], self.share, &self.weights, &mut scratch.stack);
            }
        }
    }
}

impl PathTree {
    fn new(tree: &Tree, walk: &Walk, questions: &mut Questions) -> PathTree {
        let mut paths: Vec<Vec<u32>> = vec![Vec::new(); tree.nodes.len()];
        let mut compiled = PathTree { nodes: Vec::with_capacity(tree.nodes.len()), features: Vec::new() };
        for (at, node) in tree.nodes.iter().enumerate() {
            let mut path = std::mem::take(&mut paths[at]);
            compiled.nodes.push(match node {
                Node::Leaf(leaf) => {
                    let (start, count) = (compiled.features.len() as u32, path.len() as u32);
                    compiled.features.append(&mut path);
                    PathNode::Leaf { value: leaf.value, start, count }
                }
                Node::Split(split) => {
                    let first = walk.previous[at].is_none();
                    path.extend(first.then_some(split.feature));
                    paths[split.left as usize].clone_from(&path);
                    paths[split.right as usize] = path;
                    let (question, bit) = (questions.ask(split), 1 << walk.place[at]);
                    PathNode::Split { question, bit, first, children: [split.left, split.right] }
                }
            });
        }
        compiled
    }

    fn output(&self, values: &Values) -> f64 {
        let mut at = 0;
        loop {
            match self.nodes[at] {
                PathNode::Leaf { value, .. } => return value,
                PathNode::Split { question, children, .. } => {
                    at = children[usize::from(!values.goes_left(question))] as usize;
                }
            }
        }
    }

    fn leaves(&self) -> impl Iterator<Item = (usize, f64, &[u32])> {
        self.nodes.iter().enumerate().filter_map(|(at, node)| match *node {
            PathNode::Leaf { value, start, count } => {
                Some((at, value, &self.features[start as usize..][..count as usize]))
            }
            PathNode::Split { .. } => None,
        })
    }
}

impl PathTree {
    /// By node, the features by which a row follows the path to it.
    fn masks(&self, values: &Values, masks: &mut Vec<u64>) {
        masks.clear();
        masks.resize(self.nodes.len(), 0);
        for (at, node) in self.nodes.iter().enumerate() {
            let PathNode::Split { question, bit, first, children } = *node else { continue };
            let mask = masks[at];
            let goes_on = if first || mask & bit != 0 { bit } else { 0 };
            let left = values.goes_left(question);
            masks[children[0] as usize] = (mask & !bit) | if left { goes_on } else { 0 };
            masks[children[1] as usize] = (mask & !bit) | if left { 0 } else { goes_on };
        }
    }

    /// Adds the contributions to a row's margin where features that are not known are those of another row.
    fn add_to(
        &self,
        out: &mut [f64],
        [row, other]: [&Values; 2],
        share: f64,
        weights: &Weights,
        stack: &mut Vec<Pair>,
    ) {
        stack.clear();
        stack.push(Pair { node: 0, row: 0, other: 0 });
        while let Some(pair) = stack.pop() {
            match self.nodes[pair.node as usize] {
                PathNode::Split { question, bit, first, children } => {
                    let left = [row, other].map(|values| values.goes_left(question));
                    for (side, node) in children.into_iter().enumerate() {
                        let goes = left.map(|left| left == (side == 0));
                        stack.extend(pair.step(node, bit, first, goes));
                    }
                }
                PathNode::Leaf { value, start, count } => {
                    let features = &self.features[start as usize..][..count as usize];
                    pair.add_leaf(out, features, value * share, weights);
                }
            }
        }
    }
}

impl Pair {
    /// The pair one node on, if one of the two rows follows the path there by the split's feature.
    fn step(self, node: u32, bit: u64, first: bool, goes: [bool; 2]) -> Option<Pair> {
        let mask = |mask: u64, goes: bool| {
            if goes && (first || mask & bit != 0) { mask | bit } else { mask & !bit }
        };
        let (row, other) = (mask(self.row, goes[0]), mask(self.other, goes[1]));
        ((row | other) & bit != 0).then_some(Pair { node, row, other })
    }

    fn add_leaf(self, out: &mut [f64], features: &[u32], value: f64, weights: &Weights) {
        let (by_row, by_other) = (self.row & !self.other, self.other & !self.row);
        let counts = (by_row.count_ones() as usize, by_other.count_ones() as usize);
        let [of_row, of_other] = weights.of(counts);
        bits(by_row).for_each(|at| out[features[at] as usize] += value * of_row);
        bits(by_other).for_each(|at| out[features[at] as usize] -= value * of_other);
    }
}

/// Positions of the bits that are 1.
fn bits(mut mask: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let at = (mask != 0).then(|| mask.trailing_zeros() as usize)?;
        mask &= mask - 1;
        Some(at)
    })
}

impl TabledTree {
    fn new(tree: PathTree, background: &[Values]) -> TabledTree {
        let mut seen: Vec<Vec<u64>> = tree.leaves().map(|_| Vec::with_capacity(background.len())).collect();
        let mut masks = Vec::new();
        for values in background {
            tree.masks(values, &mut masks);
            tree.leaves().zip(&mut seen).for_each(|((at, ..), seen)| seen.push(masks[at]));
        }
        let count = |mut seen: Vec<u64>| {
            seen.sort_unstable();
            let pattern = |same: &[u64]| Pattern { mask: same[0] as u32, rows: same.len() as u32 };
            seen.chunk_by(|a, b| a == b).map(pattern).collect()
        };
        let patterns = seen.into_iter().map(count).collect();
        TabledTree { tree, patterns }
    }

    fn add_to(&self, out: &mut [f64], values: &Values, share: f64, weights: &Weights, masks: &mut Vec<u64>) {
        self.tree.masks(values, masks);
        for ((at, value, features), patterns) in self.tree.leaves().zip(&self.patterns) {
            let all = (1u32 << features.len()) - 1;
            let missed = all & !(masks[at] as u32);
            let missed_count = missed.count_ones() as usize;
            let (mut of_row, mut of_other) = ([0.0; TABLED_FEATURES_MAX], 0.0);
            for pattern in patterns.iter().filter(|pattern| pattern.mask & missed == missed) {
                let by_row = all & !pattern.mask;
                let [row, other] = weights.of((by_row.count_ones() as usize, missed_count));
                let rows = f64::from(pattern.rows);
                bits(u64::from(by_row)).for_each(|at| of_row[at] += rows * row);
                of_other += rows * other;
            }
            let value = value * share;
            for (bit, feature) in features.iter().enumerate() {
                let is_missed = missed >> bit & 1 == 1;
                out[*feature as usize] += value * if is_missed { -of_other } else { of_row[bit] };
            }
        }
    }
}

/// Of orders of features, how large a share has all of p and none of q before one of them.
#[derive(Debug)]
struct Weights {
    /// `a! b! / (a + b + 1)!` at `[a][b]`.
    table: Vec<[f64; FEATURES_MAX + 1]>,
}

impl Weights {
    fn new() -> Weights {
        let mut table = vec![[0.0; FEATURES_MAX + 1]; FEATURES_MAX + 1];
        for (a, row) in table.iter_mut().enumerate() {
            row[0] = 1.0 / (a + 1) as f64;
            for b in 1..=FEATURES_MAX {
                row[b] = row[b - 1] * b as f64 / (a + b + 1) as f64;
            }
        }
        Weights { table }
    }

    /// `(p-1)! q! / (p+q)!` and `p! (q-1)! / (p+q)!`; 0 where there is no such feature.
    fn of(&self, (p, q): (usize, usize)) -> [f64; 2] {
        let of_row = if p > 0 { self.table[p - 1][q] } else { 0.0 };
        [of_row, if q > 0 { self.table[p][q - 1] } else { 0.0 }]
    }
}
