//! Values to slots: small whole numbers that compare as the values do.
//!
//! The rank of `x` is the number of thresholds `t <= x` of its feature in the whole forest, so a value goes right of threshold
//! i exactly when its rank is greater than i. Nothing is rounded: the comparison of ranks is the comparison of
//! values. A row becomes a short array of slots, and every split a question to one slot: `slot & mask > cut`.
//!
//! - A slot is one byte or two. A feature with more thresholds than a slot can count has several, each for its own
//!   stretch of thresholds: lowest below the stretch, highest above it.
//! - A missing value is lowest in one copy of a slot and highest in the other; a split looks at the copy that
//!   sends missing values where it wants them, so they cost nothing while walking.
//! - Membership in a set depends on the rank alone, so all sets of a feature are a table from rank to bits.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;

use crate::ensemble::{Forest, Missing, Precision, Split, Test, Tree, ZERO_MAX};

use super::simd::{Aligned, BLOCK_ROWS, SLOTS_MAX, Simd, Thresholds};

/// What a slot holds.
pub(super) trait Code: Copy + Default + Into<u32> {
    /// The highest code; as many thresholds fit one slot.
    const MAX: u32;
    /// Sets of categories in one slot.
    const SETS: usize;

    fn new(code: u32) -> Self;
}

impl Code for u8 {
    const MAX: u32 = u8::MAX as u32;
    const SETS: usize = 8;

    fn new(code: u32) -> u8 {
        code as u8
    }
}

impl Code for u16 {
    const MAX: u32 = u16::MAX as u32;
    const SETS: usize = 1;

    fn new(code: u32) -> u16 {
        code as u16
    }
}

/// The question that a split asks: it goes right exactly when `slots[slot] & mask > cut`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Question<C> {
    pub(super) slot: usize,
    pub(super) mask: C,
    pub(super) cut: C,
}

/// Turns rows into slots.
#[derive(Debug)]
pub(super) struct Encoder<C> {
    values: Precision,
    features: Vec<Feature>,
    searches: Vec<Thresholds>,
    /// By feature with sets, by rank and then for NaN: the slots of all its sets.
    sets: Vec<C>,
    slot_count: usize,
}

/// One feature that splits look at.
#[derive(Debug)]
struct Feature {
    feature: usize,
    search: Search,
    /// Where most features' ranks go: one slot with NaN lowest, one with NaN highest.
    plain: [Option<u32>; 2],
    /// Everything else.
    others: Vec<Destination>,
}

/// Sixteen-way search in [`Encoder::searches`]: the first entry of each level, from the coarsest.
#[derive(Clone, Copy, Debug, Default)]
struct Search {
    levels: u32,
    first: [u32; LEVELS_MAX],
}

#[derive(Debug)]
enum Destination {
    /// The rank, in as many slots as it takes.
    Rank { missing: Missing, missing_high: bool, slot: usize, slots: usize, rank_of_zero: u32 },
    /// The slots of all sets, from `table + rank * slots`; `nan_row` is the rank that stands for NaN.
    Sets { slot: usize, slots: usize, table: usize, nan_row: u32 },
}

/// A forest's questions while they are collected.
#[derive(Default)]
struct Asked<'f> {
    thresholds: Vec<f64>,
    ranks: BTreeSet<(Missing, bool)>,
    sets: Vec<&'f Split>,
}

/// Places of a forest's questions, by feature.
pub(super) struct Places<C> {
    thresholds: HashMap<u32, Vec<f64>>,
    ranks: HashMap<(u32, Missing, bool), usize>,
    sets: HashMap<SetKey, (usize, C)>,
}

type SetKey = (u32, Missing, bool, Vec<u64>);

/// As many as five levels of sixteen can search.
const LEVELS_MAX: usize = 5;
const THRESHOLDS_MAX: usize = (1 << (4 * LEVELS_MAX)) - 1;
/// Tables of sets beyond so many entries are not worth their memory.
const SETS_MAX: usize = 1 << 24;

impl<C: Code> Encoder<C> {
    /// None if more than `slots_max` slots would be needed.
    pub(super) fn new(forest: &Forest, slots_max: usize) -> Option<(Encoder<C>, Places<C>)> {
        let mut asked: BTreeMap<u32, Asked> = BTreeMap::new();
        for split in forest.trees.iter().flat_map(Tree::splits) {
            asked.entry(split.feature).or_default().add(split);
        }
        let mut encoder = Encoder {
            values: forest.values,
            features: Vec::new(),
            searches: Vec::new(),
            sets: Vec::new(),
            slot_count: 0,
        };
        let mut places = Places { thresholds: HashMap::new(), ranks: HashMap::new(), sets: HashMap::new() };
        for (feature, asked) in asked {
            let asked = asked.sorted();
            if asked.thresholds.len() > THRESHOLDS_MAX {
                return None;
            }
            encoder.push(feature, asked, &mut places);
            if encoder.slot_count > slots_max || encoder.sets.len() > SETS_MAX {
                return None;
            }
        }
        Some((encoder, places))
    }

    /// Slots of a row.
    pub(super) fn slot_count(&self) -> usize {
        self.slot_count
    }

    /// Whether questions have masks other than all bits.
    pub(super) fn has_sets(&self) -> bool {
        !self.sets.is_empty()
    }

    fn push(&mut self, feature: u32, asked: Asked, places: &mut Places<C>) {
        let thresholds = &asked.thresholds;
        let slots = thresholds.len().div_ceil(C::MAX as usize).max(1);
        let search = self.push_search(thresholds);
        let mut pushed = Feature { feature: feature as usize, search, plain: [None; 2], others: Vec::new() };
        for &(missing, missing_high) in &asked.ranks {
            let slot = self.take(slots);
            places.ranks.insert((feature, missing, missing_high), slot);
            if missing == Missing::Nan && slots == 1 {
                pushed.plain[usize::from(missing_high)] = Some(slot as u32);
                continue;
            }
            let rank_of_zero = thresholds.partition_point(|threshold| *threshold <= 0.0) as u32;
            pushed.others.push(Destination::Rank { missing, missing_high, slot, slots, rank_of_zero });
        }
        if !asked.sets.is_empty() {
            pushed.others.push(self.push_sets(feature, &asked, places));
        }
        self.features.push(pushed);
        places.thresholds.insert(feature, asked.thresholds);
    }

    fn take(&mut self, slots: usize) -> usize {
        self.slot_count += slots;
        self.slot_count - slots
    }

    /// Thresholds as a tree of sixteens. Level by level from the finest: entry i of a level is the last threshold below
    /// its child i, if that child is full.
    fn push_search(&mut self, thresholds: &[f64]) -> Search {
        let mut levels = vec![thresholds.to_vec()];
        while let Some(last) = levels.last().filter(|level| level.len() >= 16) {
            levels.push(last.chunks_exact(16).map(|chunk| chunk[15]).collect());
        }
        let mut search = Search { levels: levels.len() as u32, first: [0; LEVELS_MAX] };
        for (level, entries) in levels.iter().rev().enumerate() {
            search.first[level] = self.searches.len() as u32;
            // One more than are full: a value above all full ones looks there.
            for at in 0..entries.len() / 16 + 1 {
                let own = entries.iter().skip(16 * at).take(16);
                let mut padded = [f64::NAN; 16];
                padded.iter_mut().zip(own).for_each(|(place, threshold)| *place = *threshold);
                self.searches.push(Thresholds(padded));
            }
        }
        search
    }

    fn push_sets(&mut self, feature: u32, asked: &Asked, places: &mut Places<C>) -> Destination {
        let slots = asked.sets.len().div_ceil(C::SETS);
        let slot = self.take(slots);
        for (at, split) in asked.sets.iter().enumerate() {
            let place = (slot + at / C::SETS, C::new(1 << (at % C::SETS)));
            places.sets.insert(set_key(split), place);
        }
        let table = self.sets.len();
        // A threshold has the rank of its own entry; below all of them stands the lowest value there is.
        let of_ranks = std::iter::once(f64::NEG_INFINITY).chain(asked.thresholds.iter().copied());
        for x in of_ranks.chain([f64::NAN]) {
            for sets in asked.sets.chunks(C::SETS) {
                let bits = sets.iter().enumerate().map(|(bit, set)| u32::from(!set.goes_left(x)) << bit);
                self.sets.push(C::new(bits.sum()));
            }
        }
        let nan_row = asked.thresholds.len() as u32 + 1;
        debug_assert_eq!(feature, asked.sets[0].feature);
        Destination::Sets { slot, slots, table, nan_row }
    }

    /// Writes the slots of a row into the first [`Encoder::slot_count`] of `slots`.
    #[inline(always)]
    pub(super) fn encode<S: Simd>(&self, simd: S, row: &[f64], slots: &mut [C]) {
        for feature in &self.features {
            let x = self.values.round(row[feature.feature]);
            // No threshold is at most NaN: its rank is 0.
            let rank = self.rank(simd, feature.search, x);
            if let Some(slot) = feature.plain[0] {
                slots[slot as usize] = C::new(rank);
            }
            if let Some(slot) = feature.plain[1] {
                slots[slot as usize] = C::new(if x.is_nan() { C::MAX } else { rank });
            }
            for destination in &feature.others {
                self.encode_other(destination, x, rank, slots);
            }
        }
    }

    #[inline(always)]
    fn rank<S: Simd>(&self, simd: S, search: Search, x: f64) -> u32 {
        let count = |entry: u32| simd.count(&self.searches[entry as usize], x);
        match search.levels {
            // Up to 15 and up to 255 thresholds: nearly every feature there is.
            1 => return count(search.first[0]),
            2 => {
                let rank = count(search.first[0]);
                return 16 * rank + count(search.first[1] + rank);
            }
            _ => {}
        }
        let mut rank = 0;
        for level in 0..search.levels as usize {
            let entry = search.first[level % LEVELS_MAX] + rank;
            rank = 16 * rank + simd.count(&self.searches[entry as usize], x);
        }
        rank
    }

    fn encode_other(&self, destination: &Destination, x: f64, rank: u32, slots: &mut [C]) {
        match *destination {
            Destination::Rank { missing, missing_high, slot, slots: count, rank_of_zero } => {
                let own = &mut slots[slot..slot + count];
                let is_missing = match missing {
                    Missing::Nan => x.is_nan(),
                    Missing::NanOrZero => x.is_nan() || x.abs() <= ZERO_MAX,
                    Missing::Never => false,
                };
                if is_missing {
                    own.fill(C::new(if missing_high { C::MAX } else { 0 }));
                    return;
                }
                let rank = if x.is_nan() { rank_of_zero } else { rank };
                for (stretch, code) in own.iter_mut().enumerate() {
                    *code = C::new(rank.saturating_sub(stretch as u32 * C::MAX).min(C::MAX));
                }
            }
            Destination::Sets { slot, slots: count, table, nan_row } => {
                let rank = if x.is_nan() { nan_row } else { rank };
                let from = table + rank as usize * count;
                slots[slot..slot + count].copy_from_slice(&self.sets[from..from + count]);
            }
        }
    }
}

impl Encoder<u8> {
    /// Writes the slots of a block of rows, slot by slot: feature by feature, so that a feature's thresholds are fetched
    /// once.
    #[inline(always)]
    pub(super) fn encode_block<S: Simd>(
        &self,
        simd: S,
        rows: &[f64],
        feature_count: usize,
        turned: &mut [Aligned<BLOCK_ROWS>; SLOTS_MAX],
    ) {
        for feature in &self.features {
            for (at, row) in rows.chunks_exact(feature_count).enumerate().take(BLOCK_ROWS) {
                let x = self.values.round(row[feature.feature]);
                let rank = self.rank(simd, feature.search, x);
                if let Some(slot) = feature.plain[0] {
                    turned[slot as usize % SLOTS_MAX][at] = rank as u8;
                }
                if let Some(slot) = feature.plain[1] {
                    let code = if x.is_nan() { u8::MAX } else { rank as u8 };
                    turned[slot as usize % SLOTS_MAX][at] = code;
                }
                if !feature.others.is_empty() {
                    self.encode_others(feature, x, rank, at, turned);
                }
            }
        }
    }

    fn encode_others(
        &self,
        feature: &Feature,
        x: f64,
        rank: u32,
        at: usize,
        turned: &mut [Aligned<BLOCK_ROWS>; SLOTS_MAX],
    ) {
        let mut slots = [0; SLOTS_MAX];
        for destination in &feature.others {
            self.encode_other(destination, x, rank, &mut slots);
            for slot in destination.slots() {
                turned[slot][at] = slots[slot];
            }
        }
    }
}

impl Destination {
    fn slots(&self) -> Range<usize> {
        let (Destination::Rank { slot, slots, .. } | Destination::Sets { slot, slots, .. }) = self;
        *slot..slot + slots
    }
}

impl<C: Code> Places<C> {
    /// What a split asks.
    pub(super) fn question(&self, split: &Split) -> Question<C> {
        let Some(boundary) = boundary(&split.test) else {
            let (slot, mask) = self.sets[&set_key(split)];
            return Question { slot, mask, cut: C::new(0) };
        };
        let index = self.thresholds[&split.feature].partition_point(|threshold| *threshold < boundary) as u32;
        let slot = self.ranks[&rank_key(split)] + (index / C::MAX) as usize;
        Question { slot, mask: C::new(C::MAX), cut: C::new(index % C::MAX) }
    }
}

impl<'f> Asked<'f> {
    fn add(&mut self, split: &'f Split) {
        match &split.test {
            Test::Within(ranges) => {
                self.thresholds.extend(ranges.as_flattened());
                if split.missing == Missing::NanOrZero {
                    // So that the rank alone tells what is zero.
                    self.thresholds.extend([-ZERO_MAX, ZERO_MAX.next_up()]);
                }
                self.sets.push(split);
            }
            test => {
                self.thresholds.extend(boundary(test));
                let (_, missing, missing_high) = rank_key(split);
                self.ranks.insert((missing, missing_high));
            }
        }
    }

    fn sorted(mut self) -> Asked<'f> {
        self.thresholds.sort_unstable_by(f64::total_cmp);
        self.thresholds.dedup_by(|a, b| a == b);
        let mut seen = BTreeSet::new();
        self.sets.retain(|split| seen.insert(set_key(split)));
        self
    }
}

/// The least number that goes right of a threshold; None for a set.
fn boundary(test: &Test) -> Option<f64> {
    match test {
        // -0.0 and 0.0 are the same threshold.
        Test::Below(threshold) => Some(threshold + 0.0),
        Test::AtMost(threshold) => Some(threshold.next_up()),
        Test::Within(_) => None,
    }
}

/// Which copy of a feature's rank a split looks at.
fn rank_key(split: &Split) -> (u32, Missing, bool) {
    // Where nothing is missing there is one copy.
    (split.feature, split.missing, split.missing != Missing::Never && !split.missing_left)
}

fn set_key(split: &Split) -> SetKey {
    let Test::Within(ranges) = &split.test else { unreachable!("only sets are looked up as sets") };
    let bounds = ranges.as_flattened().iter().map(|bound| (bound + 0.0).to_bits()).collect();
    (split.feature, split.missing, split.missing_left, bounds)
}
