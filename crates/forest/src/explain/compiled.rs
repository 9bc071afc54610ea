//! A tree as the passes read it.

use crate::ensemble::Tree;

use super::quadrature::Points;
use super::values::{Question, Questions};
use super::vector::Vector;
use super::walk::{Side, Walk};

/// A tree with at least one split. Nodes are numbered: joints, twigs, lone leaves, each kind level by level from the
/// root, so that a node rarely waits for the one before it.
#[derive(Debug)]
pub(super) struct CompiledTree {
    pub joints: Vec<Joint>,
    pub twigs: Vec<Twig>,
    /// Values of the leaves that are children of joints.
    pub lone: Vec<f64>,
    /// More than the index of any column that it asks for.
    pub columns: usize,
    /// More than the index of any of its factors.
    pub factors: usize,
}

/// What any split has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fork {
    pub question: Question,
    /// The side by which the path left the last split of the same feature, as in [`super::simd::Vectors`].
    pub above: u32,
    /// Index of its factors.
    pub factors: u32,
}

/// A split above at least one other.
#[derive(Debug)]
pub(super) struct Joint {
    pub fork: Fork,
    pub children: [u32; 2],
    pub shares: [f64; 2],
}

/// A split above two leaves.
#[derive(Debug)]
pub(super) struct Twig {
    pub fork: Fork,
    /// What it changes to know that the row goes right, or left.
    pub effects: [f64; 2],
    pub mean: f64,
}

/// What stands for t and for the weight at a split.
#[derive(Clone, Copy, Debug)]
pub(super) struct Factors<const N: usize> {
    pub slopes: Vector<N>,
    pub weights: Vector<N>,
}

impl CompiledTree {
    /// `keep` gives an index to the factors of a split of which the feature has been asked for before, from the share
    /// of the cover that the splits before pass on together. Index 0 is for features that have not been asked for.
    pub fn new(
        tree: &Tree,
        walk: &Walk,
        questions: &mut Questions,
        mut keep: impl FnMut(f64) -> u32,
    ) -> CompiledTree {
        let places = places(tree, walk);
        let mut passed = vec![1.0; tree.nodes.len()];
        let mut fork = |at: usize| {
            let (mut above, mut factors) = (0, 0);
            if let Some(Side { split, right }) = walk.previous[at] {
                above = 1 + 2 * places[split] + u32::from(right);
                passed[at] = passed[split] * tree.shares(tree.split(split))[usize::from(right)];
                factors = keep(passed[at]);
            }
            Fork { question: questions.ask(tree.split(at)), above, factors }
        };
        let joint = |at: &usize| Joint::new(tree, *at, fork(*at), &places);
        let joints: Vec<Joint> = walk.joints.iter().map(joint).collect();
        let twigs: Vec<Twig> = walk.twigs.iter().map(|at| Twig::new(tree, *at, fork(*at))).collect();
        let lone = walk.lone.iter().map(|at| tree.leaf_value(*at)).collect();
        let forks = || joints.iter().map(|joint| joint.fork).chain(twigs.iter().map(|twig| twig.fork));
        let columns = forks().map(|fork| fork.question.column as usize + 1).max().unwrap_or(0);
        let factors = forks().map(|fork| fork.factors as usize + 1).max().unwrap_or(0);
        CompiledTree { joints, twigs, lone, columns, factors }
    }

    pub fn node_count(&self) -> usize {
        self.joints.len() + self.twigs.len() + self.lone.len()
    }
}

/// Numbers of nodes.
fn places(tree: &Tree, walk: &Walk) -> Vec<u32> {
    let mut places = vec![0; tree.nodes.len()];
    for (place, at) in walk.joints.iter().chain(&walk.twigs).chain(&walk.lone).enumerate() {
        places[*at] = place as u32;
    }
    places
}

impl Joint {
    fn new(tree: &Tree, at: usize, fork: Fork, places: &[u32]) -> Joint {
        let split = tree.split(at);
        let children = [split.left, split.right].map(|child| places[child as usize]);
        Joint { fork, children, shares: tree.shares(split) }
    }
}

impl Twig {
    fn new(tree: &Tree, at: usize, fork: Fork) -> Twig {
        let split = tree.split(at);
        let leaves = [split.left, split.right].map(|child| tree.leaf_value(child as usize));
        let shares = tree.shares(split);
        let effect = |left: f64| (left - shares[0]) * leaves[0] + (1.0 - left - shares[1]) * leaves[1];
        let mean = shares[0] * leaves[0] + shares[1] * leaves[1];
        Twig { fork, effects: [effect(0.0), effect(1.0)], mean }
    }
}

impl<const N: usize> Factors<N> {
    /// The factors at some points where the splits of the same feature above pass on this share of the cover.
    #[inline(always)]
    pub fn new(points: &Points<N>, passed: f64) -> Factors<N> {
        let inverse = (points.at + points.rest * passed).inverse();
        Factors { slopes: points.at * inverse, weights: points.weights * passed * (inverse * inverse) }
    }
}
