//! Chance that is the same on every machine and in every version.
//!
//! A [`Stream`] is xoshiro256++ (Blackman and Vigna, "Scrambled linear pseudorandom number generators", 2021), seeded
//! by SplitMix64 (Steele, Lea and Flood, 2014) from a seed, a purpose, an entity and a slot of time. So the purchases
//! of one customer on one day can be made at any time, in any order, twice, and come out the same.

/// The increment of SplitMix64: 2^64 divided by the golden ratio, made odd.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// A stream of random numbers for one purpose, entity and slot.
#[derive(Clone, Debug)]
pub(crate) struct Stream {
    state: [u64; 4],
}

impl Stream {
    /// The stream that belongs to these four numbers and no others.
    pub(crate) fn at(seed: u64, purpose: u64, entity: u64, slot: i64) -> Self {
        let mut key = seed;
        for word in [purpose, entity, slot as u64] {
            key = mix(key.wrapping_add(GOLDEN)) ^ word;
        }
        let state = [1, 2, 3, 4].map(|step: u64| mix(key.wrapping_add(GOLDEN.wrapping_mul(step))));
        Self { state }
    }

    /// A seed for what has a stream of its own.
    pub(crate) fn seed_of(seed: u64, purpose: u64, entity: u64, slot: i64) -> u64 {
        Stream::at(seed, purpose, entity, slot).next_u64()
    }

    fn next_u64(&mut self) -> u64 {
        let [a, b, c, d] = self.state;
        let result = a.wrapping_add(d).rotate_left(23).wrapping_add(a);
        let (c, d) = (c ^ a, d ^ b);
        self.state = [a ^ d, b ^ c, c ^ (b << 17), d.rotate_left(45)];
        result
    }

    /// Uniform in [0, 1), a multiple of 2^-53.
    pub(crate) fn uniform(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// Uniform in [low, high).
    pub(crate) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.uniform()
    }

    /// Uniform among the whole numbers below `count`, without bias (Lemire, "Fast random integer generation in an
    /// interval", 2019).
    pub(crate) fn below(&mut self, count: u32) -> u32 {
        let count = u64::from(count);
        loop {
            let product = (self.next_u64() >> 32) * count;
            let low = product & 0xffff_ffff;
            if low >= count || low >= (1 << 32) % count {
                return (product >> 32) as u32;
            }
        }
    }

    /// True with this probability.
    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        self.uniform() < probability
    }

    /// Two independent standard normals, by the polar method (Marsaglia and Bray, 1964).
    pub(crate) fn normal_pair(&mut self) -> (f64, f64) {
        loop {
            let (x, y) = (2.0 * self.uniform() - 1.0, 2.0 * self.uniform() - 1.0);
            let square = x * x + y * y;
            if square > 0.0 && square < 1.0 {
                let scale = (-2.0 * libm::log(square) / square).sqrt();
                return (x * scale, y * scale);
            }
        }
    }

    pub(crate) fn normal(&mut self) -> f64 {
        self.normal_pair().0
    }

    pub(crate) fn lognormal(&mut self, median: f64, sigma: f64) -> f64 {
        median * libm::exp(sigma * self.normal())
    }

    /// Exponential with mean one.
    pub(crate) fn exponential(&mut self) -> f64 {
        -libm::log(1.0 - self.uniform())
    }

    /// Poisson, given e^-mean, by multiplying uniforms (Knuth); for means up to a few tens.
    pub(crate) fn poisson(&mut self, exp_minus_mean: f64) -> u32 {
        let mut product = self.uniform();
        let mut count = 0;
        while product >= exp_minus_mean && count < 1_000 {
            product *= self.uniform();
            count += 1;
        }
        count
    }

    /// One of `choices`, each with a weight.
    pub(crate) fn weighted<T: Copy>(&mut self, choices: &[(T, f64)]) -> T {
        let total: f64 = choices.iter().map(|(_, weight)| weight).sum();
        let mut at = self.uniform() * total;
        for (choice, weight) in choices {
            at -= weight;
            if at < 0.0 {
                return *choice;
            }
        }
        choices.last().expect("choices are never empty").0
    }

    /// `count` different whole numbers below `total`, or all of them.
    pub(crate) fn distinct(&mut self, count: u32, total: u32) -> Vec<u32> {
        let mut chosen: Vec<u32> = Vec::with_capacity(count.min(total) as usize);
        while chosen.len() < count.min(total) as usize {
            let candidate = self.below(total);
            if !chosen.contains(&candidate) {
                chosen.push(candidate);
            }
        }
        chosen
    }
}

/// The output function of SplitMix64.
fn mix(mut value: u64) -> u64 {
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream() -> Stream {
        Stream::at(7, 1, 2, 3)
    }

    fn moments(draws: impl Iterator<Item = f64>) -> (f64, f64) {
        let (mut n, mut sum, mut squares) = (0.0, 0.0, 0.0);
        for x in draws {
            n += 1.0;
            sum += x;
            squares += x * x;
        }
        (sum / n, squares / n - (sum / n).powi(2))
    }

    /// The generator's definition, checked on the reference implementation's first outputs for state 1, 2, 3, 4.
    #[test]
    fn xoshiro256_plus_plus_gives_the_reference_outputs() {
        let mut rng = Stream { state: [1, 2, 3, 4] };
        let first: Vec<u64> = (0..4).map(|_| rng.next_u64()).collect();
        assert_eq!(first, [41_943_041, 58_720_359, 3_588_806_011_781_223, 3_591_011_842_654_386]);
    }

    #[test]
    fn distributions_have_their_moments() {
        let mut rng = stream();
        let n = 200_000;
        let near = |(mean, variance): (f64, f64), want: (f64, f64)| {
            assert!((mean - want.0).abs() < 0.02, "mean {mean}, want {}", want.0);
            assert!((variance / want.1 - 1.0).abs() < 0.03, "variance {variance}, want {}", want.1);
        };
        near(moments((0..n).map(|_| rng.uniform())), (0.5, 1.0 / 12.0));
        near(moments((0..n).map(|_| rng.normal_pair().1)), (0.0, 1.0));
        near(moments((0..n).map(|_| rng.exponential())), (1.0, 1.0));
        let rate = libm::exp(-3.0);
        near(moments((0..n).map(|_| f64::from(rng.poisson(rate)))), (3.0, 3.0));
        near(moments((0..n).map(|_| f64::from(rng.below(6)))), (2.5, 35.0 / 12.0));
    }

    #[test]
    fn neighbouring_streams_are_unrelated() {
        let (mean, variance) = moments((0..50_000).map(|entity| Stream::at(0, 1, entity, 17_622).uniform()));
        assert!((mean - 0.5).abs() < 0.01 && (variance * 12.0 - 1.0).abs() < 0.03);
    }

    #[test]
    fn distinct_numbers_are_distinct_and_at_most_all() {
        let mut all = stream().distinct(9, 5);
        all.sort_unstable();
        assert_eq!(all, [0, 1, 2, 3, 4]);
    }
}
