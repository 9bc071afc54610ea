//! Deep trees in blocks of six levels, for AVX-512.
//!
//! A block is a complete tree of 63 nodes. One lookup and one comparison answer all of them, a bit each, and the way
//! down is then two looks at a table of 128 bytes. So a tree of depth 12 costs two fetches from memory instead of
//! twelve, as in a B-tree. All trees take their first block, then those that go on take their second, and so on: the
//! fetches of different trees wait together.

use crate::ensemble::{Forest, Node, Output, Precision, Summation, Tree};

use super::leaves::{EightLanes, InTurn, Sum};
use super::simd::{Aligned, Avx512, Kernel, SLOTS_MAX, Simd, WIDE_SLOTS_MAX, WideSlots};
use super::slots::{Code, Encoder, Places};

/// Exits of a block.
const WIDTH: usize = 64;
const LEVELS: u32 = WIDTH.ilog2();
/// Rows of a batch that go through a tree together.
const BLOCK_ROWS: usize = 64;

/// A forest in blocks, with ranks of one byte or two.
#[derive(Debug)]
pub(super) enum BlockTrees {
    Narrow(Blocks<Narrow>),
    Wide(Blocks<Wide>),
}

/// One-byte ranks in up to 256 slots.
#[derive(Debug)]
pub(super) struct Narrow;

/// Two-byte ranks in up to 64 slots, without sets.
#[derive(Debug)]
pub(super) struct Wide;

/// A width of ranks.
pub(super) trait Width {
    type Code: Code;
    /// A row's slots.
    type Row: Copy + Default;
    /// Cuts of a block.
    type Cuts: Copy + std::fmt::Debug;

    const SLOTS_MAX: usize;
    const CAN_HAVE_SETS: bool;

    fn slots(row: &mut Self::Row) -> &mut [Self::Code];
    /// Cuts that nothing is above.
    fn no_cuts() -> Self::Cuts;
    fn cut(cuts: &mut Self::Cuts, bit: usize) -> &mut Self::Code;
    /// Which nodes of a block send a row right, a bit each.
    fn goes_right<const TABLES: usize>(
        simd: Avx512,
        row: &Self::Row,
        block: &Block<Self::Cuts>,
        masks: Option<&Aligned<WIDTH>>,
    ) -> u64;
}

#[derive(Debug)]
pub(super) struct Blocks<W: Width> {
    simd: Avx512,
    encoder: Encoder<W::Code>,
    /// The first blocks of all trees, then the others.
    blocks: Vec<Block<W::Cuts>>,
    /// By block, if the forest has sets.
    masks: Vec<Aligned<WIDTH>>,
    /// The outputs of all leaves, and one entry more.
    values: Vec<f64>,
    tree_count: usize,
}

/// The questions of 63 nodes, by their [`bit`], and where the 64 ways out lead.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block<C> {
    slots: Aligned<WIDTH>,
    cuts: C,
    /// A bit for each exit that leads to another block; those are in order from `first_block` on.
    to_blocks: u64,
    /// A bit for each exit that is a leaf; those are in order from `first_value` on.
    to_leaves: u64,
    first_block: u32,
    first_value: u32,
}

/// Working memory.
#[derive(Clone, Debug, Default)]
pub(super) struct BlockScratch {
    narrow: Vec<Aligned<SLOTS_MAX>>,
    wide: Vec<WideSlots>,
    /// (block, tree or row) of the walks under way.
    walks: Vec<(u32, u32)>,
    outputs: Vec<f64>,
}

impl Width for Narrow {
    type Code = u8;
    type Row = Aligned<SLOTS_MAX>;
    type Cuts = Aligned<WIDTH>;

    const SLOTS_MAX: usize = SLOTS_MAX;
    const CAN_HAVE_SETS: bool = true;

    fn slots(row: &mut Aligned<SLOTS_MAX>) -> &mut [u8] {
        row
    }

    fn no_cuts() -> Aligned<WIDTH> {
        Aligned([u8::MAX; WIDTH])
    }

    fn cut(cuts: &mut Aligned<WIDTH>, bit: usize) -> &mut u8 {
        &mut cuts[bit]
    }

    #[inline(always)]
    fn goes_right<const TABLES: usize>(
        simd: Avx512,
        row: &Aligned<SLOTS_MAX>,
        block: &Block<Aligned<WIDTH>>,
        masks: Option<&Aligned<WIDTH>>,
    ) -> u64 {
        simd.goes_right::<TABLES>(&simd.tables(row), &block.slots, &block.cuts, masks)
    }
}

impl Width for Wide {
    type Code = u16;
    type Row = WideSlots;
    type Cuts = WideSlots;

    const SLOTS_MAX: usize = WIDE_SLOTS_MAX;
    const CAN_HAVE_SETS: bool = false;

    fn slots(row: &mut WideSlots) -> &mut [u16] {
        &mut row.0
    }

    fn no_cuts() -> WideSlots {
        WideSlots([u16::MAX; WIDTH])
    }

    fn cut(cuts: &mut WideSlots, bit: usize) -> &mut u16 {
        &mut cuts.0[bit]
    }

    #[inline(always)]
    fn goes_right<const TABLES: usize>(
        simd: Avx512,
        row: &WideSlots,
        block: &Block<WideSlots>,
        _masks: Option<&Aligned<WIDTH>>,
    ) -> u64 {
        simd.goes_right_wide(&simd.wide_tables(row), &block.slots, &block.cuts)
    }
}

impl BlockTrees {
    /// None if there are too many slots, or blocks.
    pub(super) fn compile(forest: &Forest, simd: Avx512) -> Option<BlockTrees> {
        let narrow = Blocks::compile(forest, simd).map(BlockTrees::Narrow);
        narrow.or_else(|| Blocks::compile(forest, simd).map(BlockTrees::Wide))
    }

    /// What will run, for people.
    pub(super) fn describe(&self) -> String {
        let (bytes, slots, blocks) = match self {
            BlockTrees::Narrow(trees) => ("one", trees.encoder.slot_count(), trees.blocks.len()),
            BlockTrees::Wide(trees) => ("two", trees.encoder.slot_count(), trees.blocks.len()),
        };
        format!("{blocks} blocks of six levels, {bytes}-byte ranks in {slots} slots")
    }

    /// The sum of all trees' outputs for one row.
    pub(super) fn sum(&self, output: &Output, row: &[f64], scratch: &mut BlockScratch) -> f64 {
        let BlockScratch { narrow, wide, walks, outputs } = scratch;
        match self {
            BlockTrees::Narrow(trees) => trees.sum(output, row, narrow, walks, outputs),
            BlockTrees::Wide(trees) => trees.sum(output, row, wide, walks, outputs),
        }
    }

    /// Puts the sum of every row into `out`: tree by tree for a block of rows, so that a tree is fetched once.
    pub(super) fn sum_batch(
        &self,
        output: &Output,
        rows: &[f64],
        feature_count: usize,
        scratch: &mut BlockScratch,
        out: &mut [f64],
    ) {
        for (rows, sums) in rows.chunks(BLOCK_ROWS * feature_count).zip(out.chunks_mut(BLOCK_ROWS)) {
            match output.summation {
                Summation::InTurn(Precision::Single) => {
                    self.sum_block::<InTurn<f32>>(output, rows, feature_count, scratch, sums);
                }
                Summation::InTurn(Precision::Double) => {
                    self.sum_block::<InTurn<f64>>(output, rows, feature_count, scratch, sums);
                }
                Summation::EightLanes => {
                    self.sum_block::<EightLanes>(output, rows, feature_count, scratch, sums);
                }
            }
        }
    }

    fn sum_block<A: Sum>(
        &self,
        output: &Output,
        rows: &[f64],
        feature_count: usize,
        scratch: &mut BlockScratch,
        sums: &mut [f64],
    ) {
        let BlockScratch { narrow, wide, walks, outputs } = scratch;
        let rows = rows.chunks_exact(feature_count);
        match self {
            BlockTrees::Narrow(trees) => trees.sum_block::<A>(output, rows, narrow, walks, outputs, sums),
            BlockTrees::Wide(trees) => trees.sum_block::<A>(output, rows, wide, walks, outputs, sums),
        }
    }
}

impl<W: Width> Blocks<W> {
    fn compile(forest: &Forest, simd: Avx512) -> Option<Blocks<W>> {
        let (encoder, places) = Encoder::new(forest, W::SLOTS_MAX)?;
        if encoder.has_sets() && !W::CAN_HAVE_SETS || forest.node_count() >= u32::MAX as usize {
            return None;
        }
        let tree_count = forest.trees.len();
        let has_sets = encoder.has_sets();
        let mut trees =
            Blocks { simd, encoder, blocks: Vec::new(), masks: Vec::new(), values: Vec::new(), tree_count };
        // (tree, node) of the blocks to come, in the order of their indices.
        let mut roots: Vec<(usize, usize)> = (0..tree_count).map(|tree| (tree, 0)).collect();
        let mut at = 0;
        while let Some(&(tree, root)) = roots.get(at) {
            let below = trees.push(&forest.trees[tree], root, roots.len(), has_sets, &places);
            roots.extend(below.into_iter().map(|node| (tree, node)));
            at += 1;
        }
        trees.values.push(0.0);
        Some(trees)
    }

    /// Appends the block of a node; the nodes of the blocks below it, from left to right.
    fn push(
        &mut self,
        tree: &Tree,
        root: usize,
        first_block: usize,
        has_sets: bool,
        places: &Places<W::Code>,
    ) -> Vec<usize> {
        let mut block = Block {
            slots: Aligned::default(),
            cuts: W::no_cuts(),
            to_blocks: 0,
            to_leaves: 0,
            first_block: first_block as u32,
            first_value: self.values.len() as u32,
        };
        let mut masks = Aligned([0; WIDTH]);
        let mut below = Vec::new();
        let mut todo = vec![(root, 1)];
        // Places count as in a heap: the root is 1, below i are 2i and 2i + 1. Left sides come first, so exits are in order.
        while let Some((node, place)) = todo.pop() {
            match &tree.nodes[node] {
                Node::Leaf(leaf) => {
                    block.to_leaves |= 1 << exit_of(place);
                    self.values.push(leaf.value);
                }
                Node::Split(_) if place >= WIDTH => {
                    block.to_blocks |= 1 << exit_of(place);
                    below.push(node);
                }
                Node::Split(split) => {
                    let question = places.question(split);
                    let bit = bit(place);
                    block.slots[bit] = question.slot as u8;
                    *W::cut(&mut block.cuts, bit) = question.cut;
                    masks[bit] = Into::<u32>::into(question.mask) as u8;
                    todo.extend([(split.right as usize, 2 * place + 1), (split.left as usize, 2 * place)]);
                }
            }
        }
        self.blocks.push(block);
        if has_sets {
            self.masks.push(masks);
        }
        below
    }

    fn sum(
        &self,
        output: &Output,
        row: &[f64],
        slots: &mut Vec<W::Row>,
        walks: &mut Vec<(u32, u32)>,
        outputs: &mut Vec<f64>,
    ) -> f64 {
        slots.resize(slots.len().max(1), W::Row::default());
        outputs.resize(outputs.len().max(self.tree_count), 0.0);
        walks.resize(walks.len().max(self.tree_count), (0, 0));
        self.simd.run(EncodeRow { trees: self, row, slots: &mut slots[0] });
        for (tree, walk) in walks[..self.tree_count].iter_mut().enumerate() {
            *walk = (tree as u32, tree as u32);
        }
        let walks = &mut walks[..self.tree_count];
        self.simd.run(Walk { trees: self, slots: &slots[..1], one_row: true, walks, outputs });
        output.sum(outputs[..self.tree_count].iter().copied())
    }

    fn sum_block<'r, A: Sum>(
        &self,
        output: &Output,
        rows: impl Iterator<Item = &'r [f64]>,
        slots: &mut Vec<W::Row>,
        walks: &mut Vec<(u32, u32)>,
        outputs: &mut Vec<f64>,
        out: &mut [f64],
    ) {
        slots.resize(BLOCK_ROWS, W::Row::default());
        outputs.resize(outputs.len().max(BLOCK_ROWS), 0.0);
        walks.resize(walks.len().max(BLOCK_ROWS), (0, 0));
        for (row, slots) in rows.zip(slots.iter_mut()) {
            self.simd.run(EncodeRow { trees: self, row, slots });
        }
        let mut sums = [A::start(output); BLOCK_ROWS];
        for tree in 0..self.tree_count {
            let walks = &mut walks[..out.len()];
            for (row, walk) in walks.iter_mut().enumerate() {
                *walk = (tree as u32, row as u32);
            }
            self.simd.run(Walk { trees: self, slots, one_row: false, walks, outputs });
            for (sum, output) in sums.iter_mut().zip(outputs.iter()) {
                sum.add(tree, A::leaf(*output));
            }
        }
        for (out, sum) in out.iter_mut().zip(sums) {
            *out = sum.end(output);
        }
    }
}

/// The first exit below a place, which is where a leaf there is found: unset nodes send nothing right.
fn exit_of(place: usize) -> usize {
    (place << (LEVELS - place.ilog2())) - WIDTH
}

/// The bit of a place: the three upper levels are seven bits, then come the eight trees of three levels below them, from left
/// to right, seven bits each.
fn bit(place: usize) -> usize {
    let level = place.ilog2();
    if level < 3 {
        return place - 1;
    }
    let below = place - (1 << level);
    let (tree, inner) = (below >> (level - 3), (below & ((1 << (level - 3)) - 1)) + (1 << (level - 3)));
    7 * (1 + tree) + inner - 1
}

/// By the answers of a tree of three levels: its exit. Places as in a heap, bit `place - 1`.
const EXITS: [u8; 128] = {
    let mut exits = [0; 128];
    let mut answers = 0;
    while answers < 128 {
        let mut place = 1;
        while place < 8 {
            place = 2 * place + (answers >> (place - 1) & 1);
        }
        exits[answers] = place as u8 - 8;
        answers += 1;
    }
    exits
};

/// The exit of a block by the answers of its nodes.
#[inline(always)]
fn exit(right: u64) -> u32 {
    let upper = EXITS[right as usize & 127];
    let lower = EXITS[(right >> (7 * (1 + u32::from(upper)))) as usize & 127];
    8 * u32::from(upper) + u32::from(lower)
}

struct EncodeRow<'a, W: Width> {
    trees: &'a Blocks<W>,
    row: &'a [f64],
    slots: &'a mut W::Row,
}

impl<W: Width> Kernel<Avx512> for EncodeRow<'_, W> {
    type Output = ();

    #[inline(always)]
    fn run(self, simd: Avx512) {
        self.trees.encoder.encode(simd, self.row, W::slots(self.slots));
    }
}

/// Walks down until all have arrived, and leaves the output of walk i in `outputs[i]`, i the second of its pair.
struct Walk<'a, W: Width> {
    trees: &'a Blocks<W>,
    slots: &'a [W::Row],
    /// Whether all walks are of the first row, or walk i of row i.
    one_row: bool,
    walks: &'a mut [(u32, u32)],
    outputs: &'a mut [f64],
}

impl<W: Width> Kernel<Avx512> for Walk<'_, W> {
    type Output = ();

    #[inline(always)]
    fn run(self, simd: Avx512) {
        match self.trees.encoder.slot_count() {
            ..=64 => self.walk::<1>(simd),
            65..=128 => self.walk::<2>(simd),
            _ => self.walk::<4>(simd),
        }
    }
}

impl<W: Width> Walk<'_, W> {
    #[inline(always)]
    fn walk<const TABLES: usize>(mut self, simd: Avx512) {
        let mut under_way = self.walks.len();
        while under_way > 0 {
            under_way = if self.one_row {
                let row = self.slots[0];
                self.step::<TABLES>(simd, under_way, |_| &row)
            } else {
                let rows = self.slots;
                self.step::<TABLES>(simd, under_way, |walk| &rows[walk])
            };
        }
    }

    /// Takes every walk through a block; how many go on, which are brought to the front.
    #[inline(always)]
    fn step<'r, const TABLES: usize>(
        &mut self,
        simd: Avx512,
        under_way: usize,
        row_of: impl Fn(usize) -> &'r W::Row,
    ) -> usize
    where
        W::Row: 'r,
    {
        let mut going_on = 0;
        for at in 0..under_way {
            let (block, walk) = self.walks[at];
            let masks = self.trees.masks.get(block as usize);
            let block = &self.trees.blocks[block as usize];
            let right = W::goes_right::<TABLES>(simd, row_of(walk as usize), block, masks);
            // Exits are counted without a branch: one of the two answers is of no use.
            let exit = 1 << exit(right);
            let blocks_before = (block.to_blocks & (exit - 1)).count_ones();
            let leaves_before = (block.to_leaves & (exit - 1)).count_ones();
            self.outputs[walk as usize] = self.trees.values[(block.first_value + leaves_before) as usize];
            self.walks[going_on] = (block.first_block + blocks_before, walk);
            going_on += usize::from(block.to_blocks & exit != 0);
        }
        going_on
    }
}
