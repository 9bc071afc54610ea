use std::arch::x86_64::*;
use std::ops::AddAssign;

use super::{Aligned, BLOCK_ROWS, Block, Kernel, SLOTS_MAX, Simd, Thresholds, Vectors};

/// AVX-512 with VBMI: Intel since Ice Lake (2019), AMD since Zen 4 (2022).
#[derive(Clone, Copy, Debug)]
pub(in crate::scorer) struct Avx512(());

impl Avx512 {
    /// The token, if this processor has what is needed.
    pub(in crate::scorer) fn detect() -> Option<Avx512> {
        let has = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512vbmi")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2")
            && is_x86_feature_detected!("popcnt");
        has.then_some(Avx512(()))
    }

    /// Which of 64 nodes send a row right, a bit each: `slots[at] > cut`, with `at < TABLES * 64`.
    #[inline(always)]
    pub(in crate::scorer) fn goes_right<const TABLES: usize>(
        self,
        tables: &[__m512i; 4],
        at: &Aligned<64>,
        cut: &Aligned<64>,
        mask: Option<&Aligned<64>>,
    ) -> u64 {
        let mut ranks = self.lookup::<TABLES>(tables, self.load(at));
        if let Some(mask) = mask {
            ranks = self.and(ranks, self.load(mask));
        }
        // SAFETY: the token says that the instructions exist.
        unsafe { _mm512_cmpgt_epu8_mask(ranks, self.load(cut)) }
    }

    /// The first 64 of a row's two-byte slots, ready to be looked up.
    #[inline(always)]
    pub(in crate::scorer) fn wide_tables(self, slots: &WideSlots) -> [__m512i; 2] {
        // SAFETY: the token says that the instructions exist, and 2 × 64 bytes are read from 64 two-byte slots.
        unsafe {
            let from: *const __m512i = slots.0.as_ptr().cast();
            [_mm512_load_si512(from), _mm512_load_si512(from.add(1))]
        }
    }

    /// Which of 64 nodes send a row right, a bit each: `slots[at] > cut`, with `at < 64`.
    #[inline(always)]
    pub(in crate::scorer) fn goes_right_wide(
        self,
        tables: &[__m512i; 2],
        at: &Aligned<64>,
        cuts: &WideSlots,
    ) -> u64 {
        // SAFETY: the token says that the instructions exist, and 2 × 64 bytes are read from 64 two-byte cuts.
        unsafe {
            let at = self.load(at);
            let cuts: *const __m512i = cuts.0.as_ptr().cast();
            let low = _mm512_cvtepu8_epi16(_mm512_castsi512_si256(at));
            let high = _mm512_cvtepu8_epi16(_mm512_extracti64x4_epi64::<1>(at));
            let [a, b] = *tables;
            let low = _mm512_permutex2var_epi16(a, low, b);
            let high = _mm512_permutex2var_epi16(a, high, b);
            let low = _mm512_cmpgt_epu16_mask(low, _mm512_load_si512(cuts));
            let high = _mm512_cmpgt_epu16_mask(high, _mm512_load_si512(cuts.add(1)));
            u64::from(low) | u64::from(high) << 32
        }
    }
}

/// Two-byte slots that can be looked up.
pub(in crate::scorer) const WIDE_SLOTS_MAX: usize = 64;

/// 64 two-byte slots, or cuts, on a cache line's boundary.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(in crate::scorer) struct WideSlots(pub(in crate::scorer) [u16; WIDE_SLOTS_MAX]);

impl Default for WideSlots {
    fn default() -> WideSlots {
        WideSlots([0; WIDE_SLOTS_MAX])
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,bmi1,bmi2,popcnt")]
fn compiled<K: Kernel<Avx512>>(simd: Avx512, kernel: K) -> K::Output {
    kernel.run(simd)
}

// SAFETY of every block below: the token says that the instructions exist; loads and stores take references to memory
// of their own size and alignment.
impl Vectors for Avx512 {
    type Vector = __m512i;

    #[inline(always)]
    fn splat(self, byte: u8) -> __m512i {
        unsafe { _mm512_set1_epi8(byte as i8) }
    }

    #[inline(always)]
    fn and(self, a: __m512i, b: __m512i) -> __m512i {
        unsafe { _mm512_and_si512(a, b) }
    }

    #[inline(always)]
    fn load_block(self, block: &Block) -> __m512i {
        unsafe { _mm512_load_si512(block.0.as_ptr().cast()) }
    }

    #[inline(always)]
    fn store_block(self, vector: __m512i, block: &mut Block) {
        unsafe { _mm512_store_si512(block.0.as_mut_ptr().cast(), vector) }
    }

    #[inline(always)]
    fn join(self, left: __m512i, right: __m512i, bit: __m512i, rank: __m512i, cut: __m512i) -> __m512i {
        unsafe { _mm512_mask_add_epi8(left, _mm512_cmpgt_epu8_mask(rank, cut), right, bit) }
    }

    #[inline(always)]
    fn advance(self, leaf: __m512i, first: __m512i, next: __m512i, rank: __m512i, cut: __m512i) -> __m512i {
        unsafe {
            let right = _mm512_cmpgt_epu8_mask(rank, cut);
            let here = _mm512_mask_cmpge_epu8_mask(right, leaf, first);
            _mm512_mask_max_epu8(leaf, here, leaf, next)
        }
    }
}

impl Simd for Avx512 {
    type Lanes = Aligned<64>;
    type Tables = [__m512i; 4];

    const LANES: usize = 64;
    const SLOTS_PER_TABLE: usize = 64;
    const STEPS_MAX: usize = 255;

    #[inline(always)]
    fn run<K: Kernel<Avx512>>(self, kernel: K) -> K::Output {
        unsafe { compiled(self, kernel) }
    }

    #[inline(always)]
    fn load(self, lanes: &Aligned<64>) -> __m512i {
        unsafe { _mm512_load_si512(lanes.0.as_ptr().cast()) }
    }

    #[inline(always)]
    fn store(self, vector: __m512i, lanes: &mut Aligned<64>) {
        unsafe { _mm512_store_si512(lanes.0.as_mut_ptr().cast(), vector) }
    }

    #[inline(always)]
    fn load_pair(self, block: &Block) -> [__m512i; 2] {
        unsafe {
            let from: *const __m512i = block.0.as_ptr().cast();
            [_mm512_load_si512(from), _mm512_load_si512(from.add(1))]
        }
    }

    #[inline(always)]
    fn store_pair(self, pair: [__m512i; 2], block: &mut Block) {
        unsafe {
            let to: *mut __m512i = block.0.as_mut_ptr().cast();
            _mm512_store_si512(to, pair[0]);
            _mm512_store_si512(to.add(1), pair[1]);
        }
    }

    #[inline(always)]
    fn tables(self, slots: &Aligned<SLOTS_MAX>) -> [__m512i; 4] {
        unsafe {
            let from: *const __m512i = slots.0.as_ptr().cast();
            [
                _mm512_load_si512(from),
                _mm512_load_si512(from.add(1)),
                _mm512_load_si512(from.add(2)),
                _mm512_load_si512(from.add(3)),
            ]
        }
    }

    #[inline(always)]
    fn lookup<const TABLES: usize>(self, tables: &[__m512i; 4], at: __m512i) -> __m512i {
        unsafe {
            match TABLES {
                1 => _mm512_permutexvar_epi8(at, tables[0]),
                2 => _mm512_permutex2var_epi8(tables[0], at, tables[1]),
                _ => {
                    let low = _mm512_permutex2var_epi8(tables[0], at, tables[1]);
                    let high = _mm512_permutex2var_epi8(tables[2], at, tables[3]);
                    _mm512_mask_blend_epi8(_mm512_movepi8_mask(at), low, high)
                }
            }
        }
    }

    #[inline(always)]
    fn add_doubles(self, sums: &mut [f64; BLOCK_ROWS], ids: &Block, leaves: &[f64], rows: usize) {
        let (sums, ids) = (sums.as_chunks_mut::<8>().0, ids.0.as_chunks::<8>().0);
        let blocks = sums.iter_mut().zip(ids).take(rows.div_ceil(8));
        match leaves.as_chunks::<8>().0 {
            [a, b, c, d] => unsafe { add_of_32([a, b, c, d].map(|part| doubles(part)), blocks) },
            [a, b, c, d, e, f, g, h] => unsafe {
                add_of_64([a, b, c, d, e, f, g, h].map(|part| doubles(part)), blocks);
            },
            _ => add_each(leaves, blocks),
        }
    }

    #[inline(always)]
    fn add_singles(self, sums: &mut [f32; BLOCK_ROWS], ids: &Block, leaves: &[f32], rows: usize) {
        let (sums, ids) = (sums.as_chunks_mut::<16>().0, ids.0.as_chunks::<16>().0);
        let blocks = sums.iter_mut().zip(ids).take(rows.div_ceil(16));
        match leaves.as_chunks::<16>().0 {
            [a, b] => unsafe { add_singles_of_32([a, b].map(|part| singles(part)), blocks) },
            [a, b, c, d] => unsafe { add_singles_of_64([a, b, c, d].map(|part| singles(part)), blocks) },
            _ => add_each(leaves, blocks),
        }
    }

    #[inline(always)]
    fn count(self, thresholds: &Thresholds, x: f64) -> u32 {
        unsafe {
            let from = thresholds.0.as_ptr();
            let x = _mm512_set1_pd(x);
            let low = _mm512_cmp_pd_mask::<_CMP_LE_OQ>(_mm512_load_pd(from), x);
            let high = _mm512_cmp_pd_mask::<_CMP_LE_OQ>(_mm512_load_pd(from.add(8)), x);
            (u32::from(low) | u32::from(high) << 8).count_ones()
        }
    }
}

/// Leaves that are too many for registers.
#[inline(always)]
fn add_each<'a, T: Copy + AddAssign + 'a, const N: usize>(
    leaves: &[T],
    blocks: impl Iterator<Item = (&'a mut [T; N], &'a [u8; N])>,
) {
    for (sums, ids) in blocks {
        for (sum, id) in sums.iter_mut().zip(ids) {
            *sum += leaves[usize::from(*id)];
        }
    }
}

// Leaves are looked up in registers: a permutation picks among two vectors, a blend by the next bit of the id among
// two permutations. SAFETY of the following: they need the instructions of the token.

#[inline(always)]
unsafe fn doubles(from: &[f64; 8]) -> __m512d {
    unsafe { _mm512_loadu_pd(from.as_ptr()) }
}

#[inline(always)]
unsafe fn singles(from: &[f32; 16]) -> __m512 {
    unsafe { _mm512_loadu_ps(from.as_ptr()) }
}

#[inline(always)]
unsafe fn add_of_32<'a>(
    [a, b, c, d]: [__m512d; 4],
    blocks: impl Iterator<Item = (&'a mut [f64; 8], &'a [u8; 8])>,
) {
    for (sums, ids) in blocks {
        unsafe {
            let ids = _mm512_cvtepu8_epi64(_mm_loadl_epi64(ids.as_ptr().cast()));
            let low = _mm512_permutex2var_pd(a, ids, b);
            let high = _mm512_permutex2var_pd(c, ids, d);
            let own = _mm512_mask_blend_pd(_mm512_test_epi64_mask(ids, _mm512_set1_epi64(16)), low, high);
            _mm512_storeu_pd(sums.as_mut_ptr(), _mm512_add_pd(doubles(sums), own));
        }
    }
}

#[inline(always)]
unsafe fn add_of_64<'a>(
    [a, b, c, d, e, f, g, h]: [__m512d; 8],
    blocks: impl Iterator<Item = (&'a mut [f64; 8], &'a [u8; 8])>,
) {
    for (sums, ids) in blocks {
        unsafe {
            let ids = _mm512_cvtepu8_epi64(_mm_loadl_epi64(ids.as_ptr().cast()));
            let odd = _mm512_test_epi64_mask(ids, _mm512_set1_epi64(16));
            let low_pair = (_mm512_permutex2var_pd(a, ids, b), _mm512_permutex2var_pd(c, ids, d));
            let high_pair = (_mm512_permutex2var_pd(e, ids, f), _mm512_permutex2var_pd(g, ids, h));
            let low = _mm512_mask_blend_pd(odd, low_pair.0, low_pair.1);
            let high = _mm512_mask_blend_pd(odd, high_pair.0, high_pair.1);
            let own = _mm512_mask_blend_pd(_mm512_test_epi64_mask(ids, _mm512_set1_epi64(32)), low, high);
            _mm512_storeu_pd(sums.as_mut_ptr(), _mm512_add_pd(doubles(sums), own));
        }
    }
}

#[inline(always)]
unsafe fn add_singles_of_32<'a>(
    [a, b]: [__m512; 2],
    blocks: impl Iterator<Item = (&'a mut [f32; 16], &'a [u8; 16])>,
) {
    for (sums, ids) in blocks {
        unsafe {
            let ids = _mm512_cvtepu8_epi32(_mm_loadu_si128(ids.as_ptr().cast()));
            let own = _mm512_permutex2var_ps(a, ids, b);
            _mm512_storeu_ps(sums.as_mut_ptr(), _mm512_add_ps(singles(sums), own));
        }
    }
}

#[inline(always)]
unsafe fn add_singles_of_64<'a>(
    [a, b, c, d]: [__m512; 4],
    blocks: impl Iterator<Item = (&'a mut [f32; 16], &'a [u8; 16])>,
) {
    for (sums, ids) in blocks {
        unsafe {
            let ids = _mm512_cvtepu8_epi32(_mm_loadu_si128(ids.as_ptr().cast()));
            let low = _mm512_permutex2var_ps(a, ids, b);
            let high = _mm512_permutex2var_ps(c, ids, d);
            let own = _mm512_mask_blend_ps(_mm512_test_epi32_mask(ids, _mm512_set1_epi32(32)), low, high);
            _mm512_storeu_ps(sums.as_mut_ptr(), _mm512_add_ps(singles(sums), own));
        }
    }
}
