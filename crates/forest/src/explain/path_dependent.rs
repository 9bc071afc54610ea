//! Path-dependent contributions: where a feature is not known, a row goes down both sides, in shares of their covers.
//!
//! **One leaf.** The path to it asks for the features F. For a feature j let `z_j` be the product of the shares that
//! its splits on the path pass on, and `o_j` be 1 if the row goes along at all of them, else 0. If only the features
//! of a set S are known, the leaf of value v is worth `v * product(o_j, j in S) * product(z_j, j not in S)`. The mean
//! of what it changes to learn feature i, over all orders in which features may become known, is an integral (Owen
//! 1972, "Multilinear extensions of games", Management Science 18):
//!
//! ```text
//! phi_i = v * integral from 0 to 1 of (o_i - z_i) * product(g_j(t), j in F without i) dt
//! g_j(t) = t * o_j + (1 - t) * z_j
//! ```
//!
//! The integrand is a polynomial of degree `|F| - 1`, so a Gauss-Legendre rule of `|F| / 2` points, rounded up, gives
//! it exactly: three points for trees of depth 6. All factors lie between 0 and 1 and nothing cancels, so it is as
//! accurate for thirty features as for three; polynomials in other bases, which are interpolated and divided, are
//! not.
//!
//! **All leaves at once**, as in Linear TreeSHAP (Yu, Bifet, Read and Xu 2022, "Linear TreeShap", NeurIPS): one pass
//! down the tree and one up, with a vector of one number per point. Down goes `P`, the product of the factors g
//! above, up comes `U`, the sum over leaves of v and the factors below. At a split that passes on the shares `r` to
//! its two sides, with `b` = 1 for the side that the row takes and 0 for the other, and of a feature that the path
//! has not asked for before:
//!
//! ```text
//! g = r + t * (b - r) for each side,   P_side = P * g_side,   U = sum(g_side * U_side)
//! phi_i += sum over points of weight * P * X,   X = sum((b_side - r_side) * U_side)
//! ```
//!
//! If the path has asked before, with `o'`, `z'` and `g' = t + (1 - t) * z'` so far, the new factor counts relative
//! to the old one: `t / g'` takes the place of t, `weight * z' / g'^2` that of the weight, and `o' * (b - r)` that of
//! `b - r`. The first two are known beforehand, so no split costs more than another and none branches.
//!
//! A row costs `nodes * |F| / 2`: no more than Linear TreeSHAP, and less than the `leaves * |F|^2` of the original
//! (Lundberg et al. 2020, "From local explanations to global understanding with explainable AI for trees", algorithm
//! 2). Fast TreeSHAP v2 (Yang 2021, "Fast TreeSHAP") saves the factor by tables of `leaves * 2^|F|`, which leave the
//! cache.

use crate::ensemble::{Node, Tree};

use super::NotExplained;
use super::compiled::{CompiledTree, Factors};
use super::quadrature::{Points, gauss_legendre};
use super::simd::{self, Computed, Kept, Vectors};
use super::values::{Questions, Values};
use super::vector::Vector;
use super::walk::Walk;

/// Trees whose paths ask for at most so many features need 4 points.
const NARROW_FEATURES_MAX: usize = 8;

/// And these 8. Beyond, points are taken 8 at a time, and factors are computed instead of kept.
const WIDE_FEATURES_MAX: usize = 16;

/// A limit of time, not of accuracy: 256 passes over the tree.
const FEATURES_MAX: usize = 4096;

/// A forest's trees by the number of points that they need.
#[derive(Debug)]
pub(super) struct PathDependent {
    narrow: OnePass<4>,
    wide: OnePass<8>,
    deep: Vec<ManyPasses>,
    /// What the trees add up to where nothing is known.
    pub expected: f64,
}

#[derive(Clone, Debug, Default)]
pub(super) struct PathScratch {
    narrow: Vectors<4>,
    wide: Vectors<8>,
}

/// Trees that need one pass, and the factors of all of them.
#[derive(Debug)]
struct OnePass<const N: usize> {
    trees: Vec<CompiledTree>,
    factors: Vec<Factors<N>>,
}

/// A tree that needs a pass for every eight points, and what its factors follow from.
#[derive(Debug)]
struct ManyPasses {
    tree: CompiledTree,
    passed: Vec<f64>,
    rule: Vec<Points<8>>,
}

impl PathDependent {
    pub fn compile(trees: &[Tree], questions: &mut Questions) -> Result<PathDependent, NotExplained> {
        let (narrow, wide) = (OnePass::new(), OnePass::new());
        let expected = trees.iter().map(expected).sum();
        let mut compiled = PathDependent { narrow, wide, deep: Vec::new(), expected };
        let narrow_points = gauss_legendre(1)[0];
        let wide_points = gauss_legendre(1)[0];
        for (at, tree) in trees.iter().enumerate() {
            if !tree.has_covers() {
                return Err(NotExplained::NoCover { tree: at });
            }
            let walk = Walk::new(tree);
            let features = walk.features_max;
            if features == 0 {
                continue;
            } else if features <= NARROW_FEATURES_MAX {
                compiled.narrow.add(tree, &walk, questions, &narrow_points);
            } else if features <= WIDE_FEATURES_MAX {
                compiled.wide.add(tree, &walk, questions, &wide_points);
            } else if features <= FEATURES_MAX {
                compiled.deep.push(ManyPasses::new(tree, &walk, questions));
            } else {
                return Err(NotExplained::TooManyFeatures { tree: at, features, most: FEATURES_MAX });
            }
        }
        Ok(compiled)
    }

    /// Adds the contributions of all trees to `out`, by feature.
    pub fn add_to(&self, out: &mut [f64], questions: &Questions, values: &Values, scratch: &mut PathScratch) {
        let PathScratch { narrow, wide } = scratch;
        narrow.begin(questions.columns());
        wide.begin(questions.columns());
        for tree in &self.narrow.trees {
            simd::add(tree, values, Kept(&self.narrow.factors), narrow);
        }
        for tree in &self.wide.trees {
            simd::add(tree, values, Kept(&self.wide.factors), wide);
        }
        for ManyPasses { tree, passed, rule } in &self.deep {
            rule.iter().for_each(|points| simd::add(tree, values, Computed { points, passed }, wide));
        }
        gather(&narrow.contributions, questions, out);
        gather(&wide.contributions, questions, out);
    }
}

/// Adds contributions by column to those by feature.
fn gather<const N: usize>(contributions: &[Vector<N>], questions: &Questions, out: &mut [f64]) {
    for (feature, contribution) in questions.features().zip(contributions) {
        out[feature] += contribution.sum();
    }
}

impl<const N: usize> OnePass<N> {
    fn new() -> OnePass<N> {
        OnePass { trees: Vec::new(), factors: Vec::new() }
    }

    fn add(&mut self, tree: &Tree, walk: &Walk, questions: &mut Questions, points: &Points<N>) {
        let OnePass { trees, factors } = self;
        if factors.is_empty() {
            factors.push(Factors::new(points, 1.0));
        }
        let keep = |passed| {
            factors.push(Factors::new(points, passed));
            (factors.len() - 1) as u32
        };
        trees.push(CompiledTree::new(tree, walk, questions, keep));
    }
}

impl ManyPasses {
    fn new(tree: &Tree, walk: &Walk, questions: &mut Questions) -> ManyPasses {
        let mut passed = vec![1.0];
        let keep = |share| {
            passed.push(share);
            (passed.len() - 1) as u32
        };
        let tree = CompiledTree::new(tree, walk, questions, keep);
        ManyPasses { tree, passed, rule: gauss_legendre(walk.features_max.div_ceil(16)) }
    }
}

/// What a tree gives where nothing is known: the mean of its leaves by cover.
fn expected(tree: &Tree) -> f64 {
    let mut passed = vec![1.0; tree.nodes.len()];
    let mut sum = 0.0;
    for (at, node) in tree.nodes.iter().enumerate() {
        match node {
            Node::Leaf(leaf) => sum += passed[at] * leaf.value,
            Node::Split(split) => {
                let [left, right] = tree.shares(split);
                passed[split.left as usize] = passed[at] * left;
                passed[split.right as usize] = passed[at] * right;
            }
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ensemble::Forest;
    use crate::grow::{Algorithm, Params, Table, grow};

    fn forest(columns: &[Vec<f64>]) -> Forest {
        // Nothing that can be learnt: the trees grow as deep as they may.
        let labels: Vec<bool> = (0..columns[0].len()).map(|row| row * row % 7 < 3).collect();
        let names: Vec<String> = (0..columns.len()).map(|at| at.to_string()).collect();
        let table = Table { columns, labels: &labels, names: &names, weights: None };
        let params = Params { trees: 5, max_depth: Some(10), ..Params::defaults(Algorithm::RandomForest) };
        grow(&table, &params, 1, &mut |_| {}).expect("a good table")
    }

    fn contributions<const N: usize>(vectors: &Vectors<N>) -> Vec<u64> {
        vectors.contributions.iter().flat_map(|vector| vector.0.map(f64::to_bits)).collect()
    }

    #[test]
    fn every_machine_gets_the_same_bits() {
        let column =
            |seed: usize| (0..500).map(|row| ((row * (2 * seed + 3)) % 101) as f64 / 101.0).collect();
        let columns: Vec<Vec<f64>> = (0..12).map(column).collect();
        let forest = forest(&columns);
        let mut questions = Questions::new(12, forest.values);
        let compiled = PathDependent::compile(&forest.trees, &mut questions).expect("covers are known");
        assert!(!compiled.wide.trees.is_empty(), "the trees are deep enough to need eight points");
        let (mut values, mut best, mut portable) =
            (Values::default(), Vectors::default(), Vectors::default());
        for row in 0..50 {
            let row: Vec<f64> = columns.iter().map(|column| column[row]).collect();
            questions.read(&row, &mut values);
            best.begin(questions.columns());
            portable.begin(questions.columns());
            for tree in &compiled.wide.trees {
                simd::add(tree, &values, Kept(&compiled.wide.factors), &mut best);
                simd::add_portable(tree, &values, Kept(&compiled.wide.factors), &mut portable);
            }
            assert_eq!(contributions(&best), contributions(&portable));
        }
    }
}
