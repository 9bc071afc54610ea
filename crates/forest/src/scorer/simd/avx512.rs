use std::arch::x86_64::*;

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
        if let Some(leaves) = leaves.first_chunk::<64>().filter(|_| leaves.len() == 64) {
            let table = leaves.as_chunks::<8>().0;
            blocks.for_each(|(sums, ids)| unsafe { add_8_of_64(sums, ids, table) });
        } else if let Some(leaves) = leaves.first_chunk::<32>().filter(|_| leaves.len() == 32) {
            let table = leaves.as_chunks::<8>().0;
            blocks.for_each(|(sums, ids)| unsafe { add_8_of_32(sums, ids, table) });
        } else {
            for (sums, ids) in blocks {
                for (sum, id) in sums.iter_mut().zip(ids) {
                    *sum += leaves[usize::from(*id)];
                }
            }
        }
    }

    #[inline(always)]
    fn add_singles(self, sums: &mut [f32; BLOCK_ROWS], ids: &Block, leaves: &[f32], rows: usize) {
        let (sums, ids) = (sums.as_chunks_mut::<16>().0, ids.0.as_chunks::<16>().0);
        let blocks = sums.iter_mut().zip(ids).take(rows.div_ceil(16));
        if let Some(leaves) = leaves.first_chunk::<64>().filter(|_| leaves.len() == 64) {
            let table = leaves.as_chunks::<16>().0;
            blocks.for_each(|(sums, ids)| unsafe { add_16_of_64(sums, ids, table) });
        } else if let Some(leaves) = leaves.first_chunk::<32>().filter(|_| leaves.len() == 32) {
            let table = leaves.as_chunks::<16>().0;
            blocks.for_each(|(sums, ids)| unsafe { add_16_of_32(sums, ids, table) });
        } else {
            for (sums, ids) in blocks {
                for (sum, id) in sums.iter_mut().zip(ids) {
                    *sum += leaves[usize::from(*id)];
                }
            }
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

// Leaves are looked up in registers: a permutation picks among two vectors, a blend by the next bit of the id among
// two permutations. SAFETY of the four: they need the instructions of the token.

#[inline(always)]
unsafe fn add_8_of_32(sums: &mut [f64; 8], ids: &[u8; 8], table: &[[f64; 8]]) {
    unsafe {
        let ids = _mm512_cvtepu8_epi64(_mm_loadl_epi64(ids.as_ptr().cast()));
        let part = |at: usize| _mm512_loadu_pd(table[at].as_ptr());
        let low = _mm512_permutex2var_pd(part(0), ids, part(1));
        let high = _mm512_permutex2var_pd(part(2), ids, part(3));
        let upper = _mm512_test_epi64_mask(ids, _mm512_set1_epi64(16));
        let own = _mm512_mask_blend_pd(upper, low, high);
        let to = sums.as_mut_ptr();
        _mm512_storeu_pd(to, _mm512_add_pd(_mm512_loadu_pd(to), own));
    }
}

#[inline(always)]
unsafe fn add_8_of_64(sums: &mut [f64; 8], ids: &[u8; 8], table: &[[f64; 8]]) {
    unsafe {
        let ids = _mm512_cvtepu8_epi64(_mm_loadl_epi64(ids.as_ptr().cast()));
        let part = |at: usize| _mm512_loadu_pd(table[at].as_ptr());
        let a = _mm512_permutex2var_pd(part(0), ids, part(1));
        let b = _mm512_permutex2var_pd(part(2), ids, part(3));
        let c = _mm512_permutex2var_pd(part(4), ids, part(5));
        let d = _mm512_permutex2var_pd(part(6), ids, part(7));
        let upper = _mm512_test_epi64_mask(ids, _mm512_set1_epi64(16));
        let low = _mm512_mask_blend_pd(upper, a, b);
        let high = _mm512_mask_blend_pd(upper, c, d);
        let own = _mm512_mask_blend_pd(_mm512_test_epi64_mask(ids, _mm512_set1_epi64(32)), low, high);
        let to = sums.as_mut_ptr();
        _mm512_storeu_pd(to, _mm512_add_pd(_mm512_loadu_pd(to), own));
    }
}

#[inline(always)]
unsafe fn add_16_of_32(sums: &mut [f32; 16], ids: &[u8; 16], table: &[[f32; 16]]) {
    unsafe {
        let ids = _mm512_cvtepu8_epi32(_mm_loadu_si128(ids.as_ptr().cast()));
        let part = |at: usize| _mm512_loadu_ps(table[at].as_ptr());
        let own = _mm512_permutex2var_ps(part(0), ids, part(1));
        let to = sums.as_mut_ptr();
        _mm512_storeu_ps(to, _mm512_add_ps(_mm512_loadu_ps(to), own));
    }
}

#[inline(always)]
unsafe fn add_16_of_64(sums: &mut [f32; 16], ids: &[u8; 16], table: &[[f32; 16]]) {
    unsafe {
        let ids = _mm512_cvtepu8_epi32(_mm_loadu_si128(ids.as_ptr().cast()));
        let part = |at: usize| _mm512_loadu_ps(table[at].as_ptr());
        let low = _mm512_permutex2var_ps(part(0), ids, part(1));
        let high = _mm512_permutex2var_ps(part(2), ids, part(3));
        let upper = _mm512_test_epi32_mask(ids, _mm512_set1_epi32(32));
        let own = _mm512_mask_blend_ps(upper, low, high);
        let to = sums.as_mut_ptr();
        _mm512_storeu_ps(to, _mm512_add_ps(_mm512_loadu_ps(to), own));
    }
}
