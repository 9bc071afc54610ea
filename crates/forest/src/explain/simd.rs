//! The passes over a tree: down with products, up with sums. See [`super::path_dependent`] for what they compute.
//!
//! They are compiled twice, for the vectors that every machine has and for AVX2. Each number goes through the same
//! operations in the same order either way, so the results are the same to the last bit.
//!
//! Indices are not checked one by one, which saves a sixth of the time. Those of a [`CompiledTree`] are made by
//! `CompiledTree::new` and nowhere else; what they point into is checked once a tree.

#![allow(unsafe_code)]

use super::compiled::{CompiledTree, Factors, Fork, Joint, Twig};
use super::quadrature::Points;
use super::values::Values;
use super::vector::Vector;

/// Working memory for a tree, and the contributions so far.
#[derive(Clone, Debug)]
pub(super) struct Vectors<const N: usize> {
    /// By node: P on the way down, U on the way up.
    nodes: Vec<Vector<N>>,
    /// Whether the row goes along at all splits of a feature down to a side of a joint, as 1 or 0: first a 1, for
    /// features that have not been asked for, then left and right of each joint.
    open: Vec<f64>,
    /// `o' * (b - r)` of each joint's sides.
    pulls: Vec<[f64; 2]>,
    /// By column of [`Values`].
    pub contributions: Vec<Vector<N>>,
}

/// Where factors come from.
pub(super) trait Source<const N: usize>: Copy {
    /// How many there are.
    fn count(self) -> usize;

    /// # Safety
    /// `index` is below the count.
    unsafe fn get(self, index: u32) -> Factors<N>;
}

/// Factors from memory.
#[derive(Clone, Copy)]
pub(super) struct Kept<'a, const N: usize>(pub &'a [Factors<N>]);

/// Factors computed at some points.
#[derive(Clone, Copy)]
pub(super) struct Computed<'a, const N: usize> {
    pub points: &'a Points<N>,
    pub passed: &'a [f64],
}

/// Adds a tree's contributions at the points of the factors.
pub(super) fn add<const N: usize>(
    tree: &CompiledTree,
    values: &Values,
    source: impl Source<N>,
    vectors: &mut Vectors<N>,
) {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the machine has AVX2.
        return unsafe { add_avx2(tree, values, source, vectors) };
    }
    add_portable(tree, values, source, vectors);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn add_avx2<const N: usize>(
    tree: &CompiledTree,
    values: &Values,
    source: impl Source<N>,
    vectors: &mut Vectors<N>,
) {
    add_portable(tree, values, source, vectors);
}

/// [`add`] for every machine.
#[inline(always)]
pub(super) fn add_portable<const N: usize>(
    tree: &CompiledTree,
    values: &Values,
    source: impl Source<N>,
    vectors: &mut Vectors<N>,
) {
    vectors.fit(tree);
    assert!(tree.columns <= values.columns.len() && tree.columns <= vectors.contributions.len());
    assert!(tree.factors <= source.count());
    // SAFETY: the tree's indices are sound, and there is room for all of them.
    unsafe {
        go_down(tree, values, source, vectors);
        turn(tree, values, source, vectors);
        go_up(tree, source, vectors);
    }
}

/// # Safety
/// As [`add_portable`] promises.
#[inline(always)]
unsafe fn go_down<const N: usize>(
    tree: &CompiledTree,
    values: &Values,
    source: impl Source<N>,
    vectors: &mut Vectors<N>,
) {
    let Vectors { nodes, open, pulls, .. } = vectors;
    nodes[0] = Vector::ONE;
    for (at, (Joint { fork, children, shares }, pull)) in tree.joints.iter().zip(pulls).enumerate() {
        // SAFETY: see the caller.
        unsafe {
            let so_far = *open.get_unchecked(fork.above as usize);
            let left = if goes_left(fork, values) { so_far } else { 0.0 };
            let sides = [left, so_far - left];
            *open.get_unchecked_mut(1 + 2 * at) = sides[0];
            *open.get_unchecked_mut(2 + 2 * at) = sides[1];
            *pull = [sides[0] - so_far * shares[0], sides[1] - so_far * shares[1]];
            let (node, slopes) = (*nodes.get_unchecked(at), source.get(fork.factors).slopes);
            for side in 0..2 {
                let factor = Vector::all(shares[side]) + slopes * pull[side];
                *nodes.get_unchecked_mut(children[side] as usize) = node * factor;
            }
        }
    }
}

/// The passes meet at the leaves.
///
/// # Safety
/// As [`add_portable`] promises.
#[inline(always)]
unsafe fn turn<const N: usize>(
    tree: &CompiledTree,
    values: &Values,
    source: impl Source<N>,
    vectors: &mut Vectors<N>,
) {
    let Vectors { nodes, open, contributions, .. } = vectors;
    let (twigs, lone) = nodes[tree.joints.len()..].split_at_mut(tree.twigs.len());
    for (Twig { fork, effects, mean }, node) in tree.twigs.iter().zip(twigs) {
        // SAFETY: see the caller.
        unsafe {
            let so_far = *open.get_unchecked(fork.above as usize);
            let effect = effects[usize::from(goes_left(fork, values))] * so_far;
            let Factors { slopes, weights } = source.get(fork.factors);
            *contributions.get_unchecked_mut(fork.question.column as usize) += weights * *node * effect;
            *node = Vector::all(*mean) + slopes * effect;
        }
    }
    for (value, node) in tree.lone.iter().zip(lone) {
        *node = Vector::all(*value);
    }
}

/// # Safety
/// As [`add_portable`] promises.
#[inline(always)]
unsafe fn go_up<const N: usize>(tree: &CompiledTree, source: impl Source<N>, vectors: &mut Vectors<N>) {
    let Vectors { nodes, pulls, contributions, .. } = vectors;
    for (at, (Joint { fork, children, shares }, pull)) in tree.joints.iter().zip(pulls).enumerate().rev() {
        // SAFETY: see the caller.
        unsafe {
            let [left, right] = children.map(|child| *nodes.get_unchecked(child as usize));
            let Factors { slopes, weights } = source.get(fork.factors);
            let node = nodes.get_unchecked_mut(at);
            let effect = left * pull[0] + right * pull[1];
            *contributions.get_unchecked_mut(fork.question.column as usize) += weights * *node * effect;
            *node = (left * shares[0] + right * shares[1]) + slopes * effect;
        }
    }
}

/// # Safety
/// The fork's column is one of the values'.
#[inline(always)]
unsafe fn goes_left(fork: &Fork, values: &Values) -> bool {
    // SAFETY: see the caller.
    let value = unsafe { *values.columns.get_unchecked(fork.question.column as usize) };
    value < fork.question.threshold
}

impl<const N: usize> Source<N> for Kept<'_, N> {
    fn count(self) -> usize {
        self.0.len()
    }

    #[inline(always)]
    unsafe fn get(self, index: u32) -> Factors<N> {
        // SAFETY: see the caller.
        unsafe { *self.0.get_unchecked(index as usize) }
    }
}

impl<const N: usize> Source<N> for Computed<'_, N> {
    fn count(self) -> usize {
        self.passed.len()
    }

    #[inline(always)]
    unsafe fn get(self, index: u32) -> Factors<N> {
        // SAFETY: see the caller.
        Factors::new(self.points, unsafe { *self.passed.get_unchecked(index as usize) })
    }
}

impl<const N: usize> Default for Vectors<N> {
    fn default() -> Self {
        Vectors { nodes: Vec::new(), open: vec![1.0], pulls: Vec::new(), contributions: Vec::new() }
    }
}

impl<const N: usize> Vectors<N> {
    /// For a row of so many columns.
    pub fn begin(&mut self, columns: usize) {
        self.contributions.clear();
        self.contributions.resize(columns, Vector::ZERO);
    }

    /// Grows to hold a tree.
    #[inline]
    fn fit(&mut self, tree: &CompiledTree) {
        let (joints, nodes) = (tree.joints.len(), tree.node_count());
        if self.nodes.len() < nodes {
            self.nodes.resize(nodes, Vector::ZERO);
        }
        if self.pulls.len() < joints {
            self.pulls.resize(joints, [0.0; 2]);
            self.open.resize(1 + 2 * joints, 0.0);
        }
    }
}
