//! Leaves of all trees, and their sums in the forest's own order and precision.

use crate::ensemble::{Forest, LANES, Node, Output, Precision, Summation, Tree, add_lanes};

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

/// A sum in the making. Trees come in order, from the first.
pub(super) trait Sum: Copy {
    type Leaf: Copy;

    fn start(output: &Output) -> Self;
    /// Adds what tree number `tree` says.
    fn add(&mut self, tree: usize, leaf: Self::Leaf);
    fn end(self, output: &Output) -> f64;
}

/// [`Summation::InTurn`], in `T`.
#[derive(Clone, Copy)]
pub(super) struct InTurn<T>(T);

/// [`Summation::EightLanes`].
#[derive(Clone, Copy)]
pub(super) struct EightLanes([f64; LANES]);

impl Sum for InTurn<f32> {
    type Leaf = f32;

    #[inline(always)]
    fn start(output: &Output) -> Self {
        InTurn(output.start as f32)
    }

    #[inline(always)]
    fn add(&mut self, _tree: usize, leaf: f32) {
        self.0 += leaf;
    }

    #[inline(always)]
    fn end(self, _output: &Output) -> f64 {
        f64::from(self.0)
    }
}

impl Sum for InTurn<f64> {
    type Leaf = f64;

    #[inline(always)]
    fn start(output: &Output) -> Self {
        InTurn(output.start)
    }

    #[inline(always)]
    fn add(&mut self, _tree: usize, leaf: f64) {
        self.0 += leaf;
    }

    #[inline(always)]
    fn end(self, _output: &Output) -> f64 {
        self.0
    }
}

impl Sum for EightLanes {
    type Leaf = f64;

    #[inline(always)]
    fn start(_output: &Output) -> Self {
        EightLanes([0.0; LANES])
    }

    #[inline(always)]
    fn add(&mut self, tree: usize, leaf: f64) {
        self.0[tree % LANES] += leaf;
    }

    #[inline(always)]
    fn end(self, output: &Output) -> f64 {
        output.start + add_lanes(self.0)
    }
}

impl Leaves {
    /// `places` gives the leaf of a tree's node its entries in the tree's stretch of the table.
    pub(super) fn new(forest: &Forest, stride: usize, places: impl Fn(&Tree) -> Vec<Place>) -> Leaves {
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
