//! Vectors of bytes: what the shallow layouts ask of a processor, answered by AVX-512 VBMI, by AVX2, and by plain
//! Rust everywhere.
//!
//! This folder is the only unsafe code of the crate. A token such as [`Avx512`] can only be had on a processor that
//! has the instructions, and every vector operation takes one: that is the whole argument for safety. Results do not depend
//! on which token is used; the tests hold the three against each other and against the plain walk.

use std::fmt::Debug;
use std::ops::{Deref, DerefMut};

#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod avx2;
mod portable;

#[cfg(target_arch = "x86_64")]
pub(super) use avx2::Avx2;
#[cfg(target_arch = "x86_64")]
pub(super) use avx512::{Avx512, WIDE_SLOTS_MAX, WideSlots};
pub(super) use portable::Portable;

/// Slots that a row of one-byte codes can have, so that a slot is a byte, and a byte always a valid index.
pub(super) const SLOTS_MAX: usize = 256;

/// Bytes on a cache line's boundary.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(super) struct Aligned<const N: usize>(pub(super) [u8; N]);

/// Sixteen thresholds, ascending, the rest NaN: one step of a search.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(super) struct Thresholds(pub(super) [f64; 16]);

impl<const N: usize> Default for Aligned<N> {
    fn default() -> Self {
        Aligned([0; N])
    }
}

impl<const N: usize> Deref for Aligned<N> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl<const N: usize> DerefMut for Aligned<N> {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

/// A loop to be compiled for one processor's instructions. Its `run` must be `#[inline(always)]`.
pub(super) trait Kernel<S: Simd> {
    type Output;

    fn run(self, simd: S) -> Self::Output;
}

/// Vectors of unsigned bytes.
pub(super) trait Vectors: Copy {
    /// A vector in a register.
    type Vector: Copy;

    fn splat(self, byte: u8) -> Self::Vector;
    fn and(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// As many bytes from the start of a block as the vector holds.
    fn load_block(self, block: &Block) -> Self::Vector;
    fn store_block(self, vector: Self::Vector, block: &mut Block);

    /// `right + bit` where `rank > cut`, else `left`.
    fn join(
        self,
        left: Self::Vector,
        right: Self::Vector,
        bit: Self::Vector,
        rank: Self::Vector,
        cut: Self::Vector,
    ) -> Self::Vector;
    /// `max(leaf, next)` where `rank > cut` and `leaf >= first`, else `leaf`.
    fn advance(
        self,
        leaf: Self::Vector,
        first: Self::Vector,
        next: Self::Vector,
        rank: Self::Vector,
        cut: Self::Vector,
    ) -> Self::Vector;
}

/// What the layouts ask of one processor.
pub(super) trait Simd: Vectors + Debug + Send + Sync + 'static {
    /// A vector in memory.
    type Lanes: Copy + Debug + Default + DerefMut<Target = [u8]> + Send + Sync;
    /// A row's slots, ready to be looked up.
    type Tables: Copy;

    /// Bytes in a vector, at most half of a [`Block`].
    const LANES: usize;
    /// Slots that one unit of `TABLES` in [`Simd::lookup`] covers; 0 where walking is quicker than looking up.
    const SLOTS_PER_TABLE: usize;

    /// As many nodes a tree are worth evaluating whole; larger trees are walked.
    const STEPS_MAX: usize;

    /// Runs a kernel compiled for these instructions.
    fn run<K: Kernel<Self>>(self, kernel: K) -> K::Output;

    fn load(self, lanes: &Self::Lanes) -> Self::Vector;
    fn store(self, vector: Self::Vector, lanes: &mut Self::Lanes);
    /// The first two vectors of a block.
    fn load_pair(self, block: &Block) -> [Self::Vector; 2];
    fn store_pair(self, pair: [Self::Vector; 2], block: &mut Block);

    fn tables(self, slots: &Aligned<SLOTS_MAX>) -> Self::Tables;
    /// `slots[at]` in every lane; `at < TABLES * SLOTS_PER_TABLE`, `TABLES` is 1, 2 or 4.
    fn lookup<const TABLES: usize>(self, tables: &Self::Tables, at: Self::Vector) -> Self::Vector;

    /// Adds `leaves[ids[row]]` to the sum of each of the first `rows` rows, or of more. `leaves` are a power of two and 32 at least, every id
    /// is below their number.
    fn add_doubles(self, sums: &mut [f64; BLOCK_ROWS], ids: &Block, leaves: &[f64], rows: usize) {
        for (sum, id) in sums.iter_mut().zip(&ids.0).take(rows) {
            *sum += leaves[usize::from(*id)];
        }
    }
    /// As [`Simd::add_doubles`].
    fn add_singles(self, sums: &mut [f32; BLOCK_ROWS], ids: &Block, leaves: &[f32], rows: usize) {
        for (sum, id) in sums.iter_mut().zip(&ids.0).take(rows) {
            *sum += leaves[usize::from(*id)];
        }
    }

    /// How many thresholds are `<= x`; none if `x` is NaN.
    fn count(self, thresholds: &Thresholds, x: f64) -> u32;
}

/// Room for two vectors of any kind.
pub(super) type Block = Aligned<BLOCK_ROWS>;
/// Bytes of a [`Block`], one a row.
pub(super) const BLOCK_ROWS: usize = 128;

/// Two vectors side by side: twice the work in flight while one waits for the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Twice<S>(pub(super) S);

impl<S: Simd> Vectors for Twice<S> {
    type Vector = [S::Vector; 2];

    #[inline(always)]
    fn splat(self, byte: u8) -> [S::Vector; 2] {
        [self.0.splat(byte); 2]
    }

    #[inline(always)]
    fn and(self, a: [S::Vector; 2], b: [S::Vector; 2]) -> [S::Vector; 2] {
        [self.0.and(a[0], b[0]), self.0.and(a[1], b[1])]
    }

    #[inline(always)]
    fn load_block(self, block: &Block) -> [S::Vector; 2] {
        self.0.load_pair(block)
    }

    #[inline(always)]
    fn store_block(self, vector: [S::Vector; 2], block: &mut Block) {
        self.0.store_pair(vector, block);
    }

    #[inline(always)]
    fn join(
        self,
        left: Self::Vector,
        right: Self::Vector,
        bit: Self::Vector,
        rank: Self::Vector,
        cut: Self::Vector,
    ) -> Self::Vector {
        [
            self.0.join(left[0], right[0], bit[0], rank[0], cut[0]),
            self.0.join(left[1], right[1], bit[1], rank[1], cut[1]),
        ]
    }

    #[inline(always)]
    fn advance(
        self,
        leaf: Self::Vector,
        first: Self::Vector,
        next: Self::Vector,
        rank: Self::Vector,
        cut: Self::Vector,
    ) -> Self::Vector {
        [
            self.0.advance(leaf[0], first[0], next[0], rank[0], cut[0]),
            self.0.advance(leaf[1], first[1], next[1], rank[1], cut[1]),
        ]
    }
}
