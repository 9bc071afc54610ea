//! Values to ranks.
//!
//! The rank of `x` is the number of thresholds `t <= x` of its feature in the whole forest, so `x < t_i` exactly
//! when `rank(x) <= i`. Nothing is rounded: the comparison of ranks is the comparison of values. A missing
//! value gets the lowest rank in one copy and one above every cut in the other; a split reads the copy that
//! sends a missing value where the split wants it, so missing values cost nothing while walking.

use std::collections::HashMap;

use crate::ensemble::{Forest, Split, Tree};

/// The thresholds of a forest, and where in a row of ranks each (feature, side of missing) stands.
#[derive(Debug)]
pub(super) struct Ranker {
    features: Vec<FeatureRanks>,
    /// Every feature's thresholds, each ascending and padded with NaN to a power of two less one.
    thresholds: Vec<f64>,
    slot_count: usize,
}

#[derive(Clone, Copy, Debug)]
struct FeatureRanks {
    feature: usize,
    start: usize,
    /// The padded length is `2^steps - 1`: a search takes exactly so many comparisons.
    steps: u32,
    low_slot: usize,
    high_slot: usize,
    /// The rank of a missing value in the high copy: above every cut.
    highest: u32,
}

impl Ranker {
    pub(super) fn new(forest: &Forest) -> Ranker {
        let mut by_feature: HashMap<u32, Vec<f64>> = HashMap::new();
        for split in forest.trees.iter().flat_map(Tree::splits) {
            by_feature.entry(split.feature).or_default().push(split.threshold);
        }
        let mut used: Vec<_> = by_feature.into_iter().collect();
        used.sort_unstable_by_key(|(feature, _)| *feature);
        let mut ranker = Ranker { features: Vec::new(), thresholds: Vec::new(), slot_count: 2 * used.len() };
        for (feature, thresholds) in used {
            ranker.push(feature as usize, thresholds);
        }
        ranker
    }

    fn push(&mut self, feature: usize, mut thresholds: Vec<f64>) {
        thresholds.sort_unstable_by(f64::total_cmp);
        // By value, so that 0.0 and -0.0, which every x compares alike with, are one threshold.
        thresholds.dedup_by(|a, b| a == b);
        let steps = usize::BITS - thresholds.len().leading_zeros();
        let start = self.thresholds.len();
        let highest = thresholds.len() as u32;
        self.thresholds.extend(thresholds);
        self.thresholds.resize(start + (1 << steps) - 1, f64::NAN);
        let low_slot = 2 * self.features.len();
        self.features.push(FeatureRanks {
            feature,
            start,
            steps,
            low_slot,
            high_slot: low_slot + 1,
            highest,
        });
    }

    /// Ranks in a row of ranks: two for each feature that any split looks at.
    pub(super) fn slot_count(&self) -> usize {
        self.slot_count
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
        let feature = &self.features[at];
        let slot = if split.missing_left { feature.low_slot } else { feature.high_slot };
        // The rank of the threshold itself counts itself, and it must go right of the cut.
        (slot, feature.rank(&self.thresholds, split.threshold) - 1)
    }

    /// Calls `put(slot, rank)` for every slot.
    #[inline(always)]
    pub(super) fn rank_row(&self, row: &[f64], mut put: impl FnMut(usize, u32)) {
        for feature in &self.features {
            let x = row[feature.feature];
            let rank = feature.rank(&self.thresholds, x);
            put(feature.low_slot, rank);
            put(feature.high_slot, if x.is_nan() { feature.highest } else { rank });
        }
    }
}

impl FeatureRanks {
    /// Branch-free binary search. NaN compares false with everything: padding counts for nothing, and a
    /// missing value gets rank 0.
    #[inline(always)]
    fn rank(&self, thresholds: &[f64], x: f64) -> u32 {
        let own = &thresholds[self.start..self.start + (1 << self.steps) - 1];
        let mut rank = 0;
        for step in (0..self.steps).rev() {
            let half = 1 << step;
            rank += if own[rank + half - 1] <= x { half } else { 0 };
        }
        rank as u32
    }
}
