//! Values to ranks.
//!
//! The rank of `x` is the number of thresholds `t <= x` of its feature in the whole forest, so `x < t_i` exactly
//! when `rank(x) <= i`. Nothing is rounded: the comparison of ranks is the comparison of values. A missing
//! value gets the lowest rank in one copy and one above every cut in the other; a split reads the copy that
//! sends a missing value where the split wants it, so missing values cost nothing while walking.

use std::collections::HashMap;

use crate::ensemble::{Forest, Split, Test, Tree};

/// The thresholds of a forest, feature by feature.
///
/// A row of ranks has two slots for each feature that any split looks at: the feature at place i of `features` has
/// slot 2i, where a missing value is lowest, and slot 2i + 1, where it is highest.
#[derive(Debug)]
pub(super) struct Ranker {
    features: Vec<FeatureRanks>,
    /// Keys of every feature's thresholds, each ascending and padded with [`PADDING`] to a power of two.
    keys: Vec<i64>,
}

#[derive(Clone, Copy, Debug)]
struct FeatureRanks {
    feature: usize,
    start: usize,
    /// The padded length is `2^steps`, its last entry always padding: a search takes exactly `steps` comparisons.
    steps: u32,
    /// The rank of a missing value in the high slot, above every cut: the number of thresholds.
    highest: u32,
}

/// Above the key of every number.
const PADDING: i64 = i64::MAX;
/// Below the key of every number, so a missing value has rank 0.
const MISSING: i64 = i64::MIN;

/// A whole number that stands to other keys as `x` to other values: comparing these is quicker than comparing floats.
#[inline(always)]
fn key(x: f64) -> i64 {
    if x.is_nan() {
        return MISSING;
    }
    // Adding 0.0 makes -0.0 into 0.0, with which it compares equal.
    let bits = (x + 0.0).to_bits() as i64;
    bits ^ ((bits >> 63) & i64::MAX)
}

impl Ranker {
    pub(super) fn new(forest: &Forest) -> Ranker {
        let mut by_feature: HashMap<u32, Vec<i64>> = HashMap::new();
        for split in forest.trees.iter().flat_map(Tree::splits) {
            by_feature.entry(split.feature).or_default().push(key(threshold(split)));
        }
        let mut used: Vec<_> = by_feature.into_iter().collect();
        used.sort_unstable_by_key(|(feature, _)| *feature);
        let mut ranker = Ranker { features: Vec::new(), keys: Vec::new() };
        for (feature, keys) in used {
            ranker.push(feature as usize, keys);
        }
        ranker
    }

    fn push(&mut self, feature: usize, mut keys: Vec<i64>) {
        keys.sort_unstable();
        keys.dedup();
        let steps = usize::BITS - keys.len().leading_zeros();
        let start = self.keys.len();
        let highest = keys.len() as u32;
        self.keys.extend(keys);
        self.keys.resize(start + (1 << steps), PADDING);
        self.features.push(FeatureRanks { feature, start, steps, highest });
    }

    /// Ranks in a row of ranks.
    pub(super) fn slot_count(&self) -> usize {
        2 * self.features.len()
    }

    /// The highest rank that occurs.
    pub(super) fn highest_rank(&self) -> u32 {
        self.features.iter().map(|feature| feature.highest).max().unwrap_or(0)
    }

    /// Where a split looks, and its cut: it goes right exactly when `ranks[slot] > cut`.
    pub(super) fn slot_and_cut(&self, split: &Split) -> (usize, u32) {
        let at = self
            .features
            .binary_search_by_key(&(split.feature as usize), |feature| feature.feature)
            .expect("every split's feature was collected");
        let slot = if split.missing_left { 2 * at } else { 2 * at + 1 };
        // The threshold counts itself, and a value equal to it must be above the cut.
        (slot, self.rank(&self.features[at], key(threshold(split))) - 1)
    }

    /// Writes the ranks of a row into the first `slot_count` of `slots`.
    #[inline(always)]
    pub(super) fn rank_row<T>(&self, row: &[f64], slots: &mut [T], narrow: impl Fn(u32) -> T) {
        for (feature, slots) in self.features.iter().zip(slots.as_chunks_mut::<2>().0) {
            let key = key(row[feature.feature]);
            let rank = self.rank(feature, key);
            *slots = [narrow(rank), narrow(if key == MISSING { feature.highest } else { rank })];
        }
    }

    #[inline(always)]
    fn rank(&self, feature: &FeatureRanks, key: i64) -> u32 {
        let keys = &self.keys[feature.start..];
        let rank = match feature.steps {
            1 => search::<1, 2>(keys, key),
            2 => search::<2, 4>(keys, key),
            3 => search::<3, 8>(keys, key),
            4 => search::<4, 16>(keys, key),
            5 => search::<5, 32>(keys, key),
            6 => search::<6, 64>(keys, key),
            7 => search::<7, 128>(keys, key),
            8 => search::<8, 256>(keys, key),
            steps => search_long(&keys[..1 << steps], steps, key),
        };
        rank as u32
    }
}

/// How many of the first `SIZE` keys are `<= key`: a binary search without branches, since which way it goes
/// cannot be foretold. With the loop unrolled the compiler knows that indices stay inside.
#[inline(always)]
fn search<const STEPS: u32, const SIZE: usize>(keys: &[i64], key: i64) -> usize {
    let Some(keys) = keys.first_chunk::<SIZE>() else { unreachable!("keys are padded to full size") };
    let mut rank = 0;
    for step in (0..STEPS).rev() {
        let half = 1 << step;
        rank += usize::from(keys[(rank + half - 1) & (SIZE - 1)] <= key) << step;
    }
    rank
}

fn search_long(keys: &[i64], steps: u32, key: i64) -> usize {
    let mut rank = 0;
    for step in (0..steps).rev() {
        rank += usize::from(keys[rank + (1 << step) - 1] <= key) << step;
    }
    rank
}

fn threshold(split: &Split) -> f64 {
    let (Test::Below(threshold) | Test::AtMost(threshold)) = split.test else { return 0.0 };
    threshold
}
