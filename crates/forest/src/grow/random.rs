/// SplitMix64 (Steele, Lea and Flood 2014): one word of state, and any seed is a good seed.
#[derive(Clone, Debug)]
pub(super) struct Random {
    state: u64,
}

impl Random {
    /// An independent generator for each stream of a seed, such as a tree's.
    pub(super) fn new(seed: u64, stream: u64) -> Random {
        let mut random = Random { state: seed };
        let start = random.next();
        Random { state: start ^ Random { state: stream }.next() }
    }

    pub(super) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.state)
    }

    /// Uniform in `0..bound` (Lemire 2019, without the rejection: the bias is below 2^-32 for any table).
    pub(super) fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }

    /// `count` different numbers of `0..of`, ascending (Knuth's algorithm S).
    pub(super) fn choose(&mut self, count: usize, of: usize) -> Vec<u32> {
        let mut chosen = Vec::with_capacity(count);
        for at in 0..of {
            if self.below(of - at) < count - chosen.len() {
                chosen.push(at as u32);
            }
        }
        chosen
    }
}

/// Spreads the bits of a word: words that differ little become words that have nothing in common.
pub(super) fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
