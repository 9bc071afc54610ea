//! Leaves of all trees, and their sums in the forest's own order and precision.

use super::simd::{BLOCK_ROWS, Block, Simd};
use crate::ensemble::{Forest, LANES, Node, Output, Precision, Summation, Tree, add_lanes};

/// Leaves that two 64-byte vectors hold, in single precision.
const STRIDE_MIN: usize = 32;

/// The leaves of every tree in a table: `stride` entries a tree.
#[derive(Debug)]
pub(super) enum Leaves {
    Single(Table<f32>),
    Double(Table<f64>),
    EightLanes(Table<f64>),
}

#[derive(Debug)]
pub(super) struct Table<T> {
    pub(super) values: Vec<T>,
    pub(super) stride: usize,
}

/// A number that leaves are added in.
pub(super) trait Leaf: Copy {
    /// Adds `leaves[ids[row]]` to the sum of each of the first `rows` rows, or of more.
    fn add<S: Simd>(simd: S, sums: &mut [Self; BLOCK_ROWS], ids: &Block, leaves: &[Self], rows: usize);
}

impl Leaf for f32 {
    #[inline(always)]
    fn add<S: Simd>(simd: S, sums: &mut [f32; BLOCK_ROWS], ids: &Block, leaves: &[f32], rows: usize) {
        simd.add_singles(sums, ids, leaves, rows);
    }
}

impl Leaf for f64 {
    #[inline(always)]
    fn add<S: Simd>(simd: S, sums: &mut [f64; BLOCK_ROWS], ids: &Block, leaves: &[f64], rows: usize) {
        simd.add_doubles(sums, ids, leaves, rows);
    }
}

/// A sum in the making. Trees come in order, from the first.
pub(super) trait Sum: Copy {
    type Leaf: Leaf;
    /// The sums of a block of rows.
    type Many: AsMut<[[Self::Leaf; BLOCK_ROWS]]>;

    fn start(output: &Output) -> Self;
    /// A leaf's output in the precision of the sum.
    fn leaf(value: f64) -> Self::Leaf;
    /// Adds what tree number `tree` says.
    fn add(&mut self, tree: usize, leaf: Self::Leaf);
    fn end(self, output: &Output) -> f64;

    fn start_many(output: &Output) -> Self::Many;
    fn end_many(sums: &Self::Many, row: usize, output: &Output) -> f64;
}

/// [`Summation::InTurn`], in `T`.
#[derive(Clone, Copy)]
pub(super) struct InTurn<T>(T);

/// [`Summation::EightLanes`].
#[derive(Clone, Copy)]
pub(super) struct EightLanes([f64; LANES]);

impl Sum for InTurn<f32> {
    type Leaf = f32;
    type Many = [[f32; BLOCK_ROWS]; 1];

    #[inline(always)]
    fn start(output: &Output) -> Self {
        InTurn(output.start as f32)
    }

    #[inline(always)]
    fn leaf(value: f64) -> f32 {
        value as f32
    }

    #[inline(always)]
    fn add(&mut self, _tree: usize, leaf: f32) {
        self.0 += leaf;
    }

    #[inline(always)]
    fn end(self, _output: &Output) -> f64 {
        f64::from(self.0)
    }

    fn start_many(output: &Output) -> Self::Many {
        [[output.start as f32; BLOCK_ROWS]]
    }

    fn end_many(sums: &Self::Many, row: usize, _output: &Output) -> f64 {
        f64::from(sums[0][row])
    }
}

impl Sum for InTurn<f64> {
    type Leaf = f64;
    type Many = [[f64; BLOCK_ROWS]; 1];

    #[inline(always)]
    fn start(output: &Output) -> Self {
        InTurn(output.start)
    }

    #[inline(always)]
    fn leaf(value: f64) -> f64 {
        value
    }

    #[inline(always)]
    fn add(&mut self, _tree: usize, leaf: f64) {
        self.0 += leaf;
    }

    #[inline(always)]
    fn end(self, _output: &Output) -> f64 {
        self.0
    }

    fn start_many(output: &Output) -> Self::Many {
        [[output.start; BLOCK_ROWS]]
    }

    fn end_many(sums: &Self::Many, row: usize, _output: &Output) -> f64 {
        sums[0][row]
    }
}

impl Sum for EightLanes {
    type Leaf = f64;
    type Many = [[f64; BLOCK_ROWS]; LANES];

    #[inline(always)]
    fn start(_output: &Output) -> Self {
        EightLanes([0.0; LANES])
    }

    #[inline(always)]
    fn leaf(value: f64) -> f64 {
        value
    }

    #[inline(always)]
    fn add(&mut self, tree: usize, leaf: f64) {
        self.0[tree % LANES] += leaf;
    }

    #[inline(always)]
    fn end(self, output: &Output) -> f64 {
        output.start + add_lanes(self.0)
    }

    fn start_many(_output: &Output) -> Self::Many {
        [[0.0; BLOCK_ROWS]; LANES]
    }

    fn end_many(sums: &Self::Many, row: usize, output: &Output) -> f64 {
        output.start + add_lanes(std::array::from_fn(|lane| sums[lane][row]))
    }
}

impl Leaves {
    /// `stride` entries a tree at least; `places` gives the leaf of a tree's node its entries in the tree's stretch of the table.
    pub(super) fn new(forest: &Forest, stride: usize, places: impl Fn(&Tree) -> Vec<Place>) -> Leaves {
        // Whole vectors of leaves, and a power of two of them.
        let stride = stride.next_power_of_two().max(STRIDE_MIN);
        let mut values = vec![0.0; forest.trees.len() * stride];
        for (tree, own) in forest.trees.iter().zip(values.chunks_exact_mut(stride)) {
            for Place { node, first, count } in places(tree) {
                let Node::Leaf(leaf) = &tree.nodes[node] else { unreachable!("only leaves have places") };
                own[first..first + count].fill(leaf.value);
            }
        }
        match forest.output.summation {
            Summation::InTurn(Precision::Single) => Leaves::Single(Table {
                values: values.into_iter().map(|value| value as f32).collect(),
                stride,
            }),
            Summation::InTurn(Precision::Double) => Leaves::Double(Table { values, stride }),
            Summation::EightLanes => Leaves::EightLanes(Table { values, stride }),
        }
    }
}

/// The entries of a leaf: `count` from `first` on.
pub(super) struct Place {
    pub(super) node: usize,
    pub(super) first: usize,
    pub(super) count: usize,
}
