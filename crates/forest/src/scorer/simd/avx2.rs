use std::arch::x86_64::*;

use super::{Aligned, Block, Kernel, SLOTS_MAX, Simd, Thresholds, Vectors};

/// AVX2: Intel since Haswell (2013), AMD since Zen (2017).
#[derive(Clone, Copy, Debug)]
pub(in crate::scorer) struct Avx2(());

impl Avx2 {
    /// The token, if this processor has what is needed.
    pub(in crate::scorer) fn detect() -> Option<Avx2> {
        let has = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2")
            && is_x86_feature_detected!("popcnt");
        has.then_some(Avx2(()))
    }
}

/// A shuffle looks up 16 slots, so 128 slots are eight shuffles; beyond that walking is quicker.
const TABLES_MAX: usize = 8;

#[target_feature(enable = "avx2,bmi1,bmi2,popcnt")]
fn compiled<K: Kernel<Avx2>>(simd: Avx2, kernel: K) -> K::Output {
    kernel.run(simd)
}

// SAFETY of every block below: the token says that the instructions exist; loads and stores take references to memory
// of their own size and alignment.
impl Vectors for Avx2 {
    type Vector = __m256i;

    #[inline(always)]
    fn splat(self, byte: u8) -> __m256i {
        unsafe { _mm256_set1_epi8(byte as i8) }
    }

    #[inline(always)]
    fn and(self, a: __m256i, b: __m256i) -> __m256i {
        unsafe { _mm256_and_si256(a, b) }
    }

    #[inline(always)]
    fn load_block(self, block: &Block) -> __m256i {
        unsafe { _mm256_load_si256(block.0.as_ptr().cast()) }
    }

    #[inline(always)]
    fn store_block(self, vector: __m256i, block: &mut Block) {
        unsafe { _mm256_store_si256(block.0.as_mut_ptr().cast(), vector) }
    }

    #[inline(always)]
    fn join(self, left: __m256i, right: __m256i, bit: __m256i, rank: __m256i, cut: __m256i) -> __m256i {
        unsafe {
            let stays = _mm256_cmpeq_epi8(_mm256_max_epu8(rank, cut), cut);
            _mm256_blendv_epi8(_mm256_add_epi8(right, bit), left, stays)
        }
    }

    #[inline(always)]
    fn advance(self, leaf: __m256i, first: __m256i, next: __m256i, rank: __m256i, cut: __m256i) -> __m256i {
        unsafe {
            let stays = _mm256_cmpeq_epi8(_mm256_max_epu8(rank, cut), cut);
            let here = _mm256_cmpeq_epi8(_mm256_max_epu8(leaf, first), leaf);
            _mm256_max_epu8(leaf, _mm256_and_si256(next, _mm256_andnot_si256(stays, here)))
        }
    }
}

impl Simd for Avx2 {
    type Lanes = Aligned<32>;
    type Tables = [__m256i; TABLES_MAX];

    const LANES: usize = 32;
    const SLOTS_PER_TABLE: usize = 32;
    const STEPS_MAX: usize = 127;

    #[inline(always)]
    fn run<K: Kernel<Avx2>>(self, kernel: K) -> K::Output {
        unsafe { compiled(self, kernel) }
    }

    #[inline(always)]
    fn load(self, lanes: &Aligned<32>) -> __m256i {
        unsafe { _mm256_load_si256(lanes.0.as_ptr().cast()) }
    }

    #[inline(always)]
    fn store(self, vector: __m256i, lanes: &mut Aligned<32>) {
        unsafe { _mm256_store_si256(lanes.0.as_mut_ptr().cast(), vector) }
    }

    #[inline(always)]
    fn load_pair(self, block: &Block) -> [__m256i; 2] {
        unsafe {
            let from: *const __m256i = block.0.as_ptr().cast();
            [_mm256_load_si256(from), _mm256_load_si256(from.add(1))]
        }
    }

    #[inline(always)]
    fn store_pair(self, pair: [__m256i; 2], block: &mut Block) {
        unsafe {
            let to: *mut __m256i = block.0.as_mut_ptr().cast();
            _mm256_store_si256(to, pair[0]);
            _mm256_store_si256(to.add(1), pair[1]);
        }
    }

    #[inline(always)]
    fn tables(self, slots: &Aligned<SLOTS_MAX>) -> [__m256i; TABLES_MAX] {
        unsafe {
            let from: *const __m128i = slots.0.as_ptr().cast();
            let mut tables = [_mm256_setzero_si256(); TABLES_MAX];
            for (at, table) in tables.iter_mut().enumerate() {
                *table = _mm256_broadcastsi128_si256(_mm_load_si128(from.add(at)));
            }
            tables
        }
    }

    /// A shuffle gives 0 where the top bit of its index is set: each table answers for its own sixteen slots
    /// and is silent elsewhere, and the answers are put together with OR.
    #[inline(always)]
    fn lookup<const TABLES: usize>(self, tables: &[__m256i; TABLES_MAX], at: __m256i) -> __m256i {
        unsafe {
            let mut found = _mm256_setzero_si256();
            for (table, slots) in tables.iter().enumerate().take(2 * TABLES) {
                let own = _mm256_xor_si256(at, _mm256_set1_epi8(16 * table as i8));
                let own = _mm256_adds_epu8(own, _mm256_set1_epi8(0x70));
                found = _mm256_or_si256(found, _mm256_shuffle_epi8(*slots, own));
            }
            found
        }
    }

    #[inline(always)]
    fn count(self, thresholds: &Thresholds, x: f64) -> u32 {
        unsafe {
            let from = thresholds.0.as_ptr();
            let x = _mm256_set1_pd(x);
            let mut hits = _mm256_setzero_si256();
            for at in [0, 4, 8, 12] {
                let hit = _mm256_cmp_pd::<_CMP_LE_OQ>(_mm256_load_pd(from.add(at)), x);
                // Each hit is -1.
                hits = _mm256_add_epi64(hits, _mm256_castpd_si256(hit));
            }
            let halves = _mm_add_epi64(_mm256_castsi256_si128(hits), _mm256_extracti128_si256::<1>(hits));
            let sum = _mm_add_epi64(halves, _mm_unpackhi_epi64(halves, halves));
            _mm_cvtsi128_si64(sum).unsigned_abs() as u32
        }
    }
}
