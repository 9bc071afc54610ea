use super::{Aligned, Block, Kernel, SLOTS_MAX, Simd, Thresholds, Vectors};

/// Plain Rust over short arrays, which compilers turn into whatever vectors there are.
#[derive(Clone, Copy, Debug)]
pub(in crate::scorer) struct Portable;

const LANES: usize = 32;

impl Vectors for Portable {
    type Vector = [u8; LANES];

    #[inline(always)]
    fn splat(self, byte: u8) -> [u8; LANES] {
        [byte; LANES]
    }

    #[inline(always)]
    fn and(self, a: [u8; LANES], b: [u8; LANES]) -> [u8; LANES] {
        std::array::from_fn(|at| a[at] & b[at])
    }

    #[inline(always)]
    fn load_block(self, block: &Block) -> [u8; LANES] {
        block.as_chunks().0[0]
    }

    #[inline(always)]
    fn store_block(self, vector: [u8; LANES], block: &mut Block) {
        block.as_chunks_mut().0[0] = vector;
    }

    #[inline(always)]
    fn join(
        self,
        left: [u8; LANES],
        right: [u8; LANES],
        bit: [u8; LANES],
        rank: [u8; LANES],
        cut: [u8; LANES],
    ) -> [u8; LANES] {
        let mut joined = left;
        for at in 0..LANES {
            let goes_right = if rank[at] > cut[at] { 0xff } else { 0 };
            joined[at] ^= (left[at] ^ right[at].wrapping_add(bit[at])) & goes_right;
        }
        joined
    }

    #[inline(always)]
    fn advance(
        self,
        leaf: [u8; LANES],
        first: [u8; LANES],
        next: [u8; LANES],
        rank: [u8; LANES],
        cut: [u8; LANES],
    ) -> [u8; LANES] {
        let mut moved = leaf;
        for at in 0..LANES {
            let right = if rank[at] > cut[at] { 0xff } else { 0 };
            let here = if leaf[at] >= first[at] { 0xff } else { 0 };
            moved[at] = leaf[at].max(next[at] & right & here);
        }
        moved
    }
}

impl Simd for Portable {
    type Lanes = Aligned<LANES>;
    type Tables = Aligned<SLOTS_MAX>;

    const LANES: usize = LANES;
    const SLOTS_PER_TABLE: usize = 0;
    const STEPS_MAX: usize = 127;

    #[inline(always)]
    fn run<K: Kernel<Portable>>(self, kernel: K) -> K::Output {
        kernel.run(self)
    }

    #[inline(always)]
    fn load(self, lanes: &Aligned<LANES>) -> [u8; LANES] {
        lanes.0
    }

    #[inline(always)]
    fn store(self, vector: [u8; LANES], lanes: &mut Aligned<LANES>) {
        lanes.0 = vector;
    }

    #[inline(always)]
    fn load_pair(self, block: &Block) -> [[u8; LANES]; 2] {
        let halves = block.as_chunks().0;
        [halves[0], halves[1]]
    }

    #[inline(always)]
    fn store_pair(self, pair: [[u8; LANES]; 2], block: &mut Block) {
        block.as_chunks_mut().0[..2].copy_from_slice(&pair);
    }

    #[inline(always)]
    fn tables(self, slots: &Aligned<SLOTS_MAX>) -> Aligned<SLOTS_MAX> {
        *slots
    }

    #[inline(always)]
    fn lookup<const TABLES: usize>(self, tables: &Aligned<SLOTS_MAX>, at: [u8; LANES]) -> [u8; LANES] {
        at.map(|at| tables.0[usize::from(at)])
    }

    #[inline(always)]
    fn count(self, thresholds: &Thresholds, x: f64) -> u32 {
        thresholds.0.iter().map(|threshold| u32::from(*threshold <= x)).sum()
    }
}
