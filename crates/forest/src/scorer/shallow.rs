//! Trees that are evaluated whole: every node is compared, and the leaf follows from all answers at once.
//!
//! A vector of bytes holds one node of many trees (for one row), or many rows (at one node of one tree). Either way a
//! node costs two or three instructions for all lanes, there is no branch to mispredict, and nothing waits for
//! a load that depends on another. Three shapes:
//!
//! - **symmetric**: one question a level (CatBoost's oblivious trees): each answer is a bit of the leaf's number;
//! - **complete**: padded to a full binary tree, evaluated bottom-up: of the leaves below its children, a node keeps one;
//! - **swept**: any shape. Nodes in preorder, leaves numbered from left to right: going right at a node that has the
//!   current leaf below it moves on to the first leaf of its right side. It is the interval form of the bit
//!   masks of QuickScorer (Lucchese and others 2015), a byte where those need a bit a leaf.

use crate::ensemble::{Forest, LANES, Node, Output, Tree};

use super::leaves::{EightLanes, InTurn, Leaf, Leaves, Place, Sum, Table};
use super::linked::LinkedTrees;
use super::simd::{Aligned, BLOCK_ROWS, Block, Kernel, SLOTS_MAX, Simd, Twice, Vectors};
use super::slots::{Encoder, Places, Question};
use super::walk::WalkTrees;

/// Trees deeper than this are not padded to complete ones.
const COMPLETE_DEPTH_MAX: usize = 8;
/// A leaf's number is a byte.
const LEAVES_MAX: usize = 256;

/// A forest whose trees are evaluated whole.
#[derive(Debug)]
pub(super) struct ShallowTrees<S: Simd> {
    simd: S,
    encoder: Encoder<u8>,
    shape: Shape,
    leaves: Leaves,
    /// By tree, [`Shape::steps`] each.
    steps: Vec<Step>,
    by_row: ByRow<S>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// Steps are levels, from the root.
    Symmetric { depth: usize },
    /// Steps are nodes in postorder.
    Complete { depth: usize },
    /// Steps are splits in preorder.
    Swept { steps: usize, sets: bool },
}

/// A node for many rows.
#[derive(Clone, Copy, Debug, Default)]
struct Step {
    slot: u8,
    mask: u8,
    cut: u8,
    /// Swept: the first leaf below the node.
    first: u8,
    /// Swept: the first leaf of its right side.
    next: u8,
}

/// Never goes right.
const PADDING: Step = Step { slot: 0, mask: 0, cut: u8::MAX, first: 0, next: 0 };

/// How a single row is scored.
#[derive(Debug)]
enum ByRow<S: Simd> {
    /// Many trees a vector.
    Lanes(Transposed<S>),
    /// Complete trees, one at a time.
    Walk(WalkTrees),
    /// Any trees, a few at a time.
    Linked(LinkedTrees),
}

/// Nodes of many trees side by side: by block of [`Simd::LANES`] trees, then by step.
#[derive(Debug)]
struct Transposed<S: Simd> {
    tables: usize,
    /// Slot and cut.
    questions: Vec<[S::Lanes; 2]>,
    /// Swept: first and next.
    marks: Vec<[S::Lanes; 2]>,
    /// Sets: masks.
    masks: Vec<S::Lanes>,
}

/// Working memory.
#[derive(Clone, Debug, Default)]
pub(super) struct ShallowScratch {
    /// One row's slots; a vector so that it takes no room before it is used.
    slots: Vec<Aligned<SLOTS_MAX>>,
    /// A block's slots: by slot, one byte a row.
    turned: Vec<Block>,
    linked: super::linked::LinkedScratch,
}

impl Shape {
    /// The cheapest shape for all trees, if it is cheap enough.
    fn of<S: Simd>(forest: &Forest, encoder: &Encoder<u8>, places: &Places<u8>) -> Option<Shape> {
        let depth = forest.max_depth();
        let (sets, splits) = (encoder.has_sets(), most_splits(forest));
        if !sets && depth <= 8 && forest.trees.iter().all(|tree| is_symmetric(tree, places)) {
            return Some(Shape::Symmetric { depth });
        }
        // A swept step compares twice and is twice as long.
        let is_full = depth <= COMPLETE_DEPTH_MAX && (1 << depth) <= 2 * splits + 2;
        if !sets && is_full && (1 << depth) - 1 <= S::STEPS_MAX {
            return Some(Shape::Complete { depth });
        }
        (splits < LEAVES_MAX && splits <= S::STEPS_MAX).then_some(Shape::Swept { steps: splits, sets })
    }

    /// Steps per tree.
    fn steps(self) -> usize {
        match self {
            Shape::Symmetric { depth } => depth,
            Shape::Complete { depth } => (1 << depth) - 1,
            Shape::Swept { steps, .. } => steps,
        }
    }

    /// Leaves per tree.
    fn stride(self) -> usize {
        match self {
            Shape::Symmetric { depth } | Shape::Complete { depth } => 1 << depth,
            Shape::Swept { steps, .. } => steps + 1,
        }
    }

    /// The entries of a tree's leaves.
    fn places(self, tree: &Tree) -> Vec<Place> {
        match self {
            Shape::Symmetric { depth } | Shape::Complete { depth } => padded_places(tree, depth),
            Shape::Swept { .. } => {
                let leaves = preorder(tree).filter(|&node| matches!(tree.nodes[node], Node::Leaf(_)));
                leaves.enumerate().map(|(first, node)| Place { node, first, count: 1 }).collect()
            }
        }
    }

    /// Writes a tree's steps; `own` is filled with [`PADDING`].
    fn fill(self, tree: &Tree, places: &Places<u8>, own: &mut [Step]) {
        match self {
            Shape::Symmetric { .. } => fill_symmetric(tree, places, own),
            Shape::Complete { .. } => fill_complete(tree, places, own),
            Shape::Swept { .. } => fill_swept(tree, places, own),
        }
    }
}

impl<S: Simd> ShallowTrees<S> {
    /// None if ranks do not fit bytes, or the trees are too large to be evaluated whole.
    pub(super) fn compile(forest: &Forest, simd: S) -> Option<ShallowTrees<S>> {
        let (encoder, places) = Encoder::new(forest, SLOTS_MAX)?;
        let shape = Shape::of::<S>(forest, &encoder, &places)?;
        let leaves = Leaves::new(forest, shape.stride(), |tree| shape.places(tree));
        let count = shape.steps();
        let mut steps = vec![PADDING; forest.trees.len() * count];
        // Trees of leaves only have no steps to fill.
        for (tree, own) in forest.trees.iter().zip(steps.chunks_exact_mut(count.max(1))) {
            shape.fill(tree, &places, own);
        }
        let tables = Transposed::<S>::tables_for(encoder.slot_count());
        let by_row = match tables {
            Some(tables) => ByRow::Lanes(Transposed::new(&steps, shape, tables)),
            None => match shape {
                Shape::Swept { .. } => ByRow::Linked(LinkedTrees::compile(forest)?),
                Shape::Symmetric { depth: 1.. } => {
                    ByRow::Walk(WalkTrees::levels(forest, &places, shape.steps()))
                }
                Shape::Symmetric { depth } | Shape::Complete { depth } => {
                    ByRow::Walk(WalkTrees::heap(forest, &places, depth))
                }
            },
        };
        Some(ShallowTrees { simd, encoder, shape, leaves, steps, by_row })
    }

    /// What will run, for people.
    pub(super) fn describe(&self) -> String {
        let shape = match self.shape {
            Shape::Symmetric { depth } => format!("symmetric trees of depth {depth}"),
            Shape::Complete { depth } => format!("complete trees of depth {depth}"),
            Shape::Swept { steps, sets: false } => format!("trees of up to {steps} splits, swept"),
            Shape::Swept { steps, sets: true } => format!("trees of up to {steps} splits with sets, swept"),
        };
        let row = match self.by_row {
            ByRow::Lanes(_) => format!("{} trees at once for one row", S::LANES),
            ByRow::Walk(_) => "one tree at a time for one row".to_owned(),
            ByRow::Linked(_) => "eight trees at a time for one row".to_owned(),
        };
        format!("{shape}, one-byte ranks in {} slots, {row}", self.encoder.slot_count())
    }

    /// The sum of all trees' outputs for one row.
    pub(super) fn sum(&self, output: &Output, row: &[f64], scratch: &mut ShallowScratch) -> f64 {
        if let ByRow::Linked(trees) = &self.by_row {
            return trees.sum(self.simd, output, row, &mut scratch.linked);
        }
        scratch.slots.resize(1, Aligned::default());
        let slots = &mut scratch.slots[0];
        self.simd.run(Encode { encoder: &self.encoder, row, slots });
        match &self.leaves {
            Leaves::Single(table) => self.sum_in::<InTurn<f32>>(table, output, slots),
            Leaves::Double(table) => self.sum_in::<InTurn<f64>>(table, output, slots),
            Leaves::EightLanes(table) => self.sum_in::<EightLanes>(table, output, slots),
        }
    }

    fn sum_in<A: Sum>(&self, table: &Table<A::Leaf>, output: &Output, slots: &Aligned<SLOTS_MAX>) -> f64 {
        let mut sum = A::start(output);
        match &self.by_row {
            ByRow::Lanes(trees) => trees.add(self.simd, self.shape, table, slots, &mut sum),
            ByRow::Walk(trees) => trees.add(table, slots, &mut sum),
            ByRow::Linked(_) => unreachable!("linked trees keep their own leaves"),
        }
        sum.end(output)
    }

    /// Puts the sum of every row into `out`, which has an entry for each.
    pub(super) fn sum_batch(
        &self,
        output: &Output,
        rows: &[f64],
        feature_count: usize,
        scratch: &mut ShallowScratch,
        out: &mut [f64],
    ) {
        match &self.leaves {
            Leaves::Single(table) => {
                self.sum_batch_in::<InTurn<f32>>(table, output, rows, feature_count, scratch, out);
            }
            Leaves::Double(table) => {
                self.sum_batch_in::<InTurn<f64>>(table, output, rows, feature_count, scratch, out);
            }
            Leaves::EightLanes(table) => {
                self.sum_batch_in::<EightLanes>(table, output, rows, feature_count, scratch, out);
            }
        }
    }

    fn sum_batch_in<A: Sum>(
        &self,
        table: &Table<A::Leaf>,
        output: &Output,
        rows: &[f64],
        feature_count: usize,
        scratch: &mut ShallowScratch,
        out: &mut [f64],
    ) {
        scratch.turned.resize(SLOTS_MAX, Aligned::default());
        let block = 2 * S::LANES;
        for (rows, sums) in rows.chunks(block * feature_count).zip(out.chunks_mut(block)) {
            if sums.len() <= S::LANES / 8 {
                for (row, sum) in rows.chunks_exact(feature_count).zip(sums) {
                    *sum = self.sum(output, row, scratch);
                }
            } else {
                let Some(turned) = scratch.turned.first_chunk_mut::<SLOTS_MAX>() else { return };
                self.simd.run(EncodeBlock { encoder: &self.encoder, rows, feature_count, turned });
                self.add_block::<A>(table, output, turned, sums);
            }
        }
    }

    /// All trees for a block of rows.
    fn add_block<A: Sum>(
        &self,
        table: &Table<A::Leaf>,
        output: &Output,
        turned: &[Block; SLOTS_MAX],
        out: &mut [f64],
    ) {
        let mut sums = A::start_many(output);
        let lanes = sums.as_mut();
        let (rows, count) = (out.len(), self.shape.steps());
        let both = rows > S::LANES;
        let mut ids = Block::default();
        for (tree, leaves) in table.values.chunks_exact(table.stride).enumerate() {
            let steps = &self.steps[tree * count..(tree + 1) * count];
            self.simd.run(ManyRows { shape: self.shape, both, turned, steps, ids: &mut ids });
            let lane = tree % lanes.len();
            self.simd.run(AddLeaves { sums: &mut lanes[lane], ids: &ids, leaves, rows });
        }
        for (row, out) in out.iter_mut().enumerate() {
            *out = A::end_many(&sums, row, output);
        }
    }
}

impl<S: Simd> Transposed<S> {
    /// How many tables so many slots need; None where looking up is no use.
    fn tables_for(slot_count: usize) -> Option<usize> {
        [1, 2, 4].into_iter().find(|tables| slot_count <= tables * S::SLOTS_PER_TABLE)
    }

    /// `steps` by tree, all trees of one length.
    fn new(steps: &[Step], shape: Shape, tables: usize) -> Transposed<S> {
        let count = shape.steps().max(1);
        let (mut questions, mut marks, mut masks) = (Vec::new(), Vec::new(), Vec::new());
        for trees in steps.chunks(S::LANES * count) {
            for step in 0..count {
                let lanes = |of: fn(&Step) -> u8| {
                    let mut lanes = S::Lanes::default();
                    let own = trees.iter().skip(step).step_by(count);
                    lanes.iter_mut().zip(own).for_each(|(lane, step)| *lane = of(step));
                    lanes
                };
                questions.push([lanes(|step| step.slot), lanes(|step| step.cut)]);
                if let Shape::Swept { sets, .. } = shape {
                    marks.push([lanes(|step| step.first), lanes(|step| step.next)]);
                    if sets {
                        masks.push(lanes(|step| step.mask));
                    }
                }
            }
        }
        Transposed { tables, questions, marks, masks }
    }

    /// Adds the outputs of all trees for one row.
    fn add<A: Sum>(
        &self,
        simd: S,
        shape: Shape,
        table: &Table<A::Leaf>,
        slots: &Aligned<SLOTS_MAX>,
        sum: &mut A,
    ) {
        match table.stride {
            32 => self.add_strided::<A, 32>(simd, shape, table, slots, sum),
            64 => self.add_strided::<A, 64>(simd, shape, table, slots, sum),
            128 => self.add_strided::<A, 128>(simd, shape, table, slots, sum),
            _ => self.add_strided::<A, 256>(simd, shape, table, slots, sum),
        }
    }

    /// With a stride known to the compiler a leaf is one load: no bound to check, no address to compute.
    fn add_strided<A: Sum, const STRIDE: usize>(
        &self,
        simd: S,
        shape: Shape,
        table: &Table<A::Leaf>,
        slots: &Aligned<SLOTS_MAX>,
        sum: &mut A,
    ) {
        let count = shape.steps();
        let trees = table.values.as_chunks::<STRIDE>().0;
        for (block, leaves) in trees.chunks(S::LANES).enumerate() {
            let own = block * count..(block + 1) * count;
            let ids = simd.run(OneRow {
                shape,
                tables: self.tables,
                slots,
                questions: &self.questions[own.clone()],
                marks: self.marks.get(own.clone()).unwrap_or_default(),
                masks: self.masks.get(own).unwrap_or_default(),
            });
            // Eight at a time, so that the sum knows its lanes; a block starts at a multiple of eight.
            let (eights, rest) = leaves.as_chunks::<LANES>();
            let (ids, ids_of_rest) = (ids.as_chunks::<LANES>().0, &ids[LANES * eights.len()..]);
            for (ids, leaves) in ids.iter().zip(eights) {
                for lane in 0..LANES {
                    sum.add(lane, leaves[lane][usize::from(ids[lane]) % STRIDE]);
                }
            }
            for (lane, (id, leaves)) in ids_of_rest.iter().zip(rest).enumerate() {
                sum.add(lane, leaves[usize::from(*id) % STRIDE]);
            }
        }
    }
}

/// Encodes one row.
struct Encode<'a> {
    encoder: &'a Encoder<u8>,
    row: &'a [f64],
    slots: &'a mut Aligned<SLOTS_MAX>,
}

impl<S: Simd> Kernel<S> for Encode<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self, simd: S) {
        self.encoder.encode(simd, self.row, &mut self.slots.0);
    }
}

/// Encodes a block of rows.
struct EncodeBlock<'a> {
    encoder: &'a Encoder<u8>,
    rows: &'a [f64],
    feature_count: usize,
    turned: &'a mut [Block; SLOTS_MAX],
}

impl<S: Simd> Kernel<S> for EncodeBlock<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self, simd: S) {
        self.encoder.encode_block(simd, self.rows, self.feature_count, self.turned);
    }
}

/// The leaves of one row in a vector of trees.
struct OneRow<'a, S: Simd> {
    shape: Shape,
    tables: usize,
    slots: &'a Aligned<SLOTS_MAX>,
    questions: &'a [[S::Lanes; 2]],
    marks: &'a [[S::Lanes; 2]],
    masks: &'a [S::Lanes],
}

impl<S: Simd> Kernel<S> for OneRow<'_, S> {
    type Output = S::Lanes;

    #[inline(always)]
    fn run(self, simd: S) -> S::Lanes {
        let leaves = match self.tables {
            1 => self.leaves::<1>(simd),
            2 => self.leaves::<2>(simd),
            _ => self.leaves::<4>(simd),
        };
        let mut ids = S::Lanes::default();
        simd.store(leaves, &mut ids);
        ids
    }
}

impl<S: Simd> OneRow<'_, S> {
    #[inline(always)]
    fn leaves<const TABLES: usize>(self, simd: S) -> S::Vector {
        let tables = simd.tables(self.slots);
        match self.shape {
            Shape::Swept { sets: true, steps } => {
                swept(simd, steps, &LookedUp::<S, TABLES, true> { simd, tables, row: &self })
            }
            shape => evaluate(simd, shape, &LookedUp::<S, TABLES, false> { simd, tables, row: &self }),
        }
    }
}

/// The nodes of many trees, with one row's ranks.
struct LookedUp<'a, S: Simd, const TABLES: usize, const SETS: bool> {
    simd: S,
    tables: S::Tables,
    row: &'a OneRow<'a, S>,
}

impl<S: Simd, const TABLES: usize, const SETS: bool> Nodes<S> for LookedUp<'_, S, TABLES, SETS> {
    #[inline(always)]
    fn question(&self, at: usize) -> (S::Vector, S::Vector) {
        let [slots, cuts] = &self.row.questions[at];
        let mut ranks = self.simd.lookup::<TABLES>(&self.tables, self.simd.load(slots));
        if SETS {
            ranks = self.simd.and(ranks, self.simd.load(&self.row.masks[at]));
        }
        (ranks, self.simd.load(cuts))
    }

    #[inline(always)]
    fn marks(&self, at: usize) -> [S::Vector; 2] {
        let [first, next] = &self.row.marks[at];
        [self.simd.load(first), self.simd.load(next)]
    }
}

/// The leaves of a block of rows in one tree.
struct ManyRows<'a> {
    shape: Shape,
    /// Whether there are more rows than one vector holds.
    both: bool,
    turned: &'a [Block; SLOTS_MAX],
    steps: &'a [Step],
    ids: &'a mut Block,
}

impl<S: Simd> Kernel<S> for ManyRows<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self, simd: S) {
        if self.both { self.leaves(Twice(simd)) } else { self.leaves(simd) }
    }
}

impl ManyRows<'_> {
    #[inline(always)]
    fn leaves<V: Vectors>(self, vectors: V) {
        let Self { turned, steps, ids, .. } = self;
        let leaves = match self.shape {
            Shape::Swept { sets: true, .. } => {
                swept(vectors, steps.len(), &Spread::<V, true> { vectors, turned, steps })
            }
            shape => evaluate(vectors, shape, &Spread::<V, false> { vectors, turned, steps }),
        };
        vectors.store_block(leaves, ids);
    }
}

/// Adds the outputs of one tree for a block of rows.
struct AddLeaves<'a, L> {
    sums: &'a mut [L; BLOCK_ROWS],
    ids: &'a Block,
    leaves: &'a [L],
    rows: usize,
}

impl<S: Simd, L: Leaf> Kernel<S> for AddLeaves<'_, L> {
    type Output = ();

    #[inline(always)]
    fn run(self, simd: S) {
        L::add(simd, self.sums, self.ids, self.leaves, self.rows);
    }
}

/// The nodes of one tree, with many rows' ranks.
struct Spread<'a, V, const SETS: bool> {
    vectors: V,
    turned: &'a [Block; SLOTS_MAX],
    steps: &'a [Step],
}

impl<V: Vectors, const SETS: bool> Nodes<V> for Spread<'_, V, SETS> {
    #[inline(always)]
    fn question(&self, at: usize) -> (V::Vector, V::Vector) {
        let step = &self.steps[at];
        let mut ranks = self.vectors.load_block(&self.turned[usize::from(step.slot)]);
        if SETS {
            ranks = self.vectors.and(ranks, self.vectors.splat(step.mask));
        }
        (ranks, self.vectors.splat(step.cut))
    }

    #[inline(always)]
    fn marks(&self, at: usize) -> [V::Vector; 2] {
        [self.steps[at].first, self.steps[at].next].map(|mark| self.vectors.splat(mark))
    }
}

/// A tree's nodes in the order of its shape, or many trees'.
trait Nodes<V: Vectors> {
    /// Ranks and cuts.
    fn question(&self, at: usize) -> (V::Vector, V::Vector);
    /// Swept: first and next.
    fn marks(&self, at: usize) -> [V::Vector; 2];
}

/// The leaf in every lane.
#[inline(always)]
fn evaluate<V: Vectors>(vectors: V, shape: Shape, nodes: &impl Nodes<V>) -> V::Vector {
    match shape {
        Shape::Symmetric { depth } => symmetric(vectors, depth, nodes),
        Shape::Complete { depth } => complete(vectors, depth, nodes),
        Shape::Swept { steps, .. } => swept(vectors, steps, nodes),
    }
}

/// Each level's answer is a bit of the leaf's number, the root's the highest.
#[inline(always)]
fn symmetric<V: Vectors>(vectors: V, depth: usize, nodes: &impl Nodes<V>) -> V::Vector {
    let mut leaf = vectors.splat(0);
    for level in 0..depth {
        let (rank, cut) = nodes.question(level);
        leaf = vectors.join(leaf, leaf, vectors.splat(1 << (depth - 1 - level)), rank, cut);
    }
    leaf
}

/// Nodes in preorder; see the head of the module.
#[inline(always)]
fn swept<V: Vectors>(vectors: V, steps: usize, nodes: &impl Nodes<V>) -> V::Vector {
    let mut leaf = vectors.splat(0);
    for at in 0..steps {
        let (rank, cut) = nodes.question(at);
        let [first, next] = nodes.marks(at);
        leaf = vectors.advance(leaf, first, next, rank, cut);
    }
    leaf
}

/// Nodes in postorder. Four levels are unrolled, so that intermediate results stay in registers; the levels above
/// join what lies on a short stack.
#[inline(always)]
fn complete<V: Vectors>(vectors: V, depth: usize, nodes: &impl Nodes<V>) -> V::Vector {
    match depth {
        0 => vectors.splat(0),
        1 => complete_1(vectors, nodes, 0),
        2 => complete_2(vectors, nodes, 0),
        3 => complete_3(vectors, nodes, 0),
        _ => complete_from_4(vectors, depth, nodes),
    }
}

#[inline(always)]
fn complete_from_4<V: Vectors>(vectors: V, depth: usize, nodes: &impl Nodes<V>) -> V::Vector {
    let mut stack = [vectors.splat(0); COMPLETE_DEPTH_MAX - 3];
    let (mut height, mut at) = (0, 0);
    for subtree in 1..=1_usize << (depth - 4) {
        let mut joined = complete_4(vectors, nodes, at);
        at += 15;
        // As in a binary counter: the second of two subtrees of one size is joined with the first.
        for level in 0..subtree.trailing_zeros() {
            height -= 1;
            let (rank, cut) = nodes.question(at);
            joined = vectors.join(stack[height], joined, vectors.splat(16 << level), rank, cut);
            at += 1;
        }
        stack[height] = joined;
        height += 1;
    }
    stack[0]
}

#[inline(always)]
fn complete_1<V: Vectors>(vectors: V, nodes: &impl Nodes<V>, first: usize) -> V::Vector {
    let (rank, cut) = nodes.question(first);
    let zero = vectors.splat(0);
    vectors.join(zero, zero, vectors.splat(1), rank, cut)
}

/// A subtree of so many levels whose nodes start at `first`, from two of one level less.
macro_rules! complete {
    ($name:ident, $below:ident, $depth:literal) => {
        #[inline(always)]
        fn $name<V: Vectors>(vectors: V, nodes: &impl Nodes<V>, first: usize) -> V::Vector {
            const NODES_BELOW: usize = (1 << ($depth - 1)) - 1;
            let left = $below(vectors, nodes, first);
            let right = $below(vectors, nodes, first + NODES_BELOW);
            let (rank, cut) = nodes.question(first + 2 * NODES_BELOW);
            vectors.join(left, right, vectors.splat(1 << ($depth - 1)), rank, cut)
        }
    };
}

complete!(complete_2, complete_1, 2);
complete!(complete_3, complete_2, 3);
complete!(complete_4, complete_3, 4);

fn most_splits(forest: &Forest) -> usize {
    forest.trees.iter().map(|tree| tree.nodes.len() / 2).max().unwrap_or(0)
}

/// Whether every level asks one question, and all leaves are on the last.
fn is_symmetric(tree: &Tree, places: &Places<u8>) -> bool {
    let mut level = vec![0];
    while let Node::Split(first) = &tree.nodes[level[0]] {
        let asked = places.question(first);
        let mut below = Vec::with_capacity(2 * level.len());
        for &node in &level {
            let Node::Split(split) = &tree.nodes[node] else { return false };
            if places.question(split) != asked {
                return false;
            }
            below.extend([split.left as usize, split.right as usize]);
        }
        level = below;
    }
    level.iter().all(|&node| matches!(tree.nodes[node], Node::Leaf(_)))
}

fn fill_symmetric(tree: &Tree, places: &Places<u8>, own: &mut [Step]) {
    let mut node = 0;
    for step in own {
        let Node::Split(split) = &tree.nodes[node] else { return };
        *step = Step::asking(split, places);
        node = split.left as usize;
    }
}

/// Nodes in postorder: a subtree's root is its last.
fn fill_complete(tree: &Tree, places: &Places<u8>, own: &mut [Step]) {
    let mut todo = vec![(0, 0, own.len())];
    while let Some((node, first, count)) = todo.pop() {
        if let Node::Split(split) = &tree.nodes[node] {
            own[first + count - 1] = Step::asking(split, places);
            let below = count / 2;
            todo.push((split.left as usize, first, below));
            todo.push((split.right as usize, first + below, below));
        }
    }
}

fn fill_swept(tree: &Tree, places: &Places<u8>, own: &mut [Step]) {
    let below = leaves_below(tree);
    let mut leaves_passed = 0;
    let mut steps = own.iter_mut();
    for node in preorder(tree) {
        match &tree.nodes[node] {
            Node::Leaf(_) => leaves_passed += 1,
            Node::Split(split) => {
                let step = steps.next().expect("there are steps for the largest tree");
                let next = leaves_passed + below[split.left as usize];
                *step = Step { first: leaves_passed as u8, next: next as u8, ..Step::asking(split, places) };
            }
        }
    }
}

impl Step {
    fn asking(split: &crate::ensemble::Split, places: &Places<u8>) -> Step {
        let Question { slot, mask, cut } = places.question(split);
        Step { slot: slot as u8, mask, cut, first: 0, next: 0 }
    }
}

/// A leaf above the last level stands for all below it, whatever the unset questions answer.
fn padded_places(tree: &Tree, depth: usize) -> Vec<Place> {
    let mut places = Vec::new();
    let mut todo = vec![(0, 0, 1 << depth)];
    while let Some((node, first, count)) = todo.pop() {
        match &tree.nodes[node] {
            Node::Leaf(_) => places.push(Place { node, first, count }),
            Node::Split(split) => {
                todo.push((split.left as usize, first, count / 2));
                todo.push((split.right as usize, first + count / 2, count / 2));
            }
        }
    }
    places
}

/// Nodes with every left side before its right side.
fn preorder(tree: &Tree) -> impl Iterator<Item = usize> {
    let mut todo = vec![0];
    std::iter::from_fn(move || {
        let node = todo.pop()?;
        if let Node::Split(split) = &tree.nodes[node] {
            todo.extend([split.right as usize, split.left as usize]);
        }
        Some(node)
    })
}

/// By node, the leaves at and below it. Children come after their parents, so one pass backward does it.
fn leaves_below(tree: &Tree) -> Vec<usize> {
    let mut below = vec![1; tree.nodes.len()];
    for (at, node) in tree.nodes.iter().enumerate().rev() {
        if let Node::Split(split) = node {
            below[at] = below[split.left as usize] + below[split.right as usize];
        }
    }
    below
}
