//! All entities of one kind that one shard owns.

use std::sync::Arc;

use hashbrown::HashTable;

use super::extreme::Queue;
use super::key::Key;
use super::measure::{evaluate, of_nothing};
use super::plan::TablePlan;
use super::ring::Ring;
use super::state::KindState;
use super::tallies::{Moment, Tallies, ValueCounts, Windows};
use crate::process::hash_text;

/// One transaction as a table sees it.
#[derive(Clone, Copy)]
pub(crate) struct Observation<'a> {
    pub key: &'a str,
    /// Hash of the key.
    pub hash: u64,
    pub time_us: i64,
    /// The newest event time of the whole stream, this event included.
    pub stream_us: i64,
    /// Kept values in the order of the plan's sources, and the position in the log where labels are learnt.
    pub values: &'a [i64],
    /// Whether it is one of those that the table keeps.
    pub enters: bool,
}

/// How an event stands to the newest of its entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timeliness {
    OnTime,
    /// Older than the newest, and entered in its true place.
    Late,
    /// Older than the allowed lateness: answered as of its time, not entered.
    TooLate,
}

/// Rows whose entities are looked up together.
pub(crate) const RUN_ROWS: usize = 32;

/// The slot of an entity that is not held.
const NOWHERE: u32 = u32::MAX;

/// The newest time of a slot without an entity: it never expires.
const NEVER: i64 = i64::MAX;

/// The entities of one kind. An event touches the index, its entity, the entity's block and its ring, and no more.
#[derive(Debug)]
pub(crate) struct EntityTable {
    pub plan: Arc<TablePlan>,
    index: HashTable<u32>,
    entities: Vec<Entity>,
    /// Cursors and sums of each entity.
    blocks: Vec<u64>,
    queues: Vec<Queue>,
    distincts: Vec<ValueCounts>,
    free: Vec<u32>,
    hand: usize,
    /// The slots of a run of events.
    found: [u32; RUN_ROWS],
    /// Whether no entity came or went since they were found.
    found_holds: bool,
}

/// One line of cache.
#[derive(Debug)]
#[repr(align(64))]
struct Entity {
    key: Key,
    newest_us: i64,
    ring: Ring,
}

impl Entity {
    fn none() -> Entity {
        Entity { key: Key::default(), newest_us: NEVER, ring: Ring::default() }
    }

    fn is_live(&self) -> bool {
        self.newest_us != NEVER
    }
}

impl EntityTable {
    pub fn new(plan: Arc<TablePlan>) -> Self {
        EntityTable {
            plan,
            index: HashTable::new(),
            entities: Vec::new(),
            blocks: Vec::new(),
            queues: Vec::new(),
            distincts: Vec::new(),
            free: Vec::new(),
            hand: 0,
            found: [NOWHERE; RUN_ROWS],
            found_holds: false,
        }
    }

    /// Prepares for a run of events, at most [`RUN_ROWS`]: frees what has expired, finds their entities and asks for
    /// their memory. A large population does not fit any cache: one row after the other would wait for memory a dozen
    /// times, many rows at once wait together. Two short passes, because a processor looks only a few hundred
    /// instructions ahead.
    #[inline]
    pub fn look_up<'a>(&mut self, keys: impl ExactSizeIterator<Item = (&'a str, u64)>, stream_us: i64) {
        let count = keys.len();
        // Two looks an event, because it adds at most one entity: a hand as fast as the table grows never comes round.
        self.free_expired(2 * count, stream_us);
        for (place, (key, hash)) in keys.enumerate() {
            self.found[place] = self.find(key, hash).map_or(NOWHERE, |slot| slot as u32);
        }
        for slot in self.found[..count].iter().filter(|slot| **slot != NOWHERE) {
            self.touch(*slot as usize);
        }
        self.found_holds = true;
    }

    /// Asks for all memory of an entity that an event may need, at once.
    #[inline]
    fn touch(&self, slot: usize) {
        let ring = &self.entities[slot].ring;
        let entries = ring.entries(self.plan.entry_words());
        let block = &self.blocks[span(slot, self.plan.block_words())];
        let mut seen = entries.word_near(ring.first()) ^ block.last().map_or(0, |word| *word as i64);
        for cursor in &block[..self.plan.crossings.len()] {
            seen ^= entries.word_near(*cursor);
        }
        std::hint::black_box(seen);
    }

    /// Enters the event at this place of the run, and writes this kind's features of it to `out`, in the order of the
    /// plan's columns.
    #[inline]
    pub fn observe(&mut self, place: usize, event: &Observation, out: &mut [f64]) -> Timeliness {
        if !event.enters {
            self.look(place, event, out);
            return Timeliness::OnTime;
        }
        let slot = self.find_or_create(place, event);
        let newest_us = self.entities[slot].newest_us;
        if event.time_us >= newest_us {
            self.entities[slot].newest_us = event.time_us;
            self.windows(slot).observe_newest(event.time_us, event.values, out);
            return Timeliness::OnTime;
        }
        let enters = event.time_us >= newest_us - self.plan.max_lateness_us;
        self.windows(slot).observe_late(event.time_us, newest_us, event.values, enters, out);
        match enters {
            // No window has looked past it yet: nothing was answered without it.
            true if event.time_us > newest_us - self.plan.delay_us => Timeliness::OnTime,
            true => Timeliness::Late,
            false => Timeliness::TooLate,
        }
    }

    /// Writes the features as of an event that is none of those that the table keeps. An entity whose events have all left
    /// its windows is freed: nothing tells it from one that never had any.
    fn look(&mut self, place: usize, event: &Observation, out: &mut [f64]) {
        let Some(slot) = self.find_live(place, event) else { return self.read_nothing(out) };
        let newest_us = self.entities[slot].newest_us;
        if event.time_us < newest_us {
            return self.windows(slot).look_late(event.time_us, newest_us, out);
        }
        self.entities[slot].newest_us = event.time_us;
        self.windows(slot).look_newest(event.time_us, out);
        if self.entities[slot].ring.len() == 0 {
            self.release(slot);
        }
    }

    /// The features of an entity of which nothing is held.
    fn read_nothing(&self, out: &mut [f64]) {
        let (before, after) = self.plan.reads();
        before.iter().chain(after).zip(out).for_each(|(read, out)| *out = of_nothing(read));
    }

    /// Sets the label of the event with this time and sequence number (of the first one with this time if that is not
    /// known), if it is still held.
    pub fn set_label(&mut self, key: &str, hash: u64, time_us: i64, sequence: Option<i64>, fraud: bool) {
        let words = self.plan.entry_words();
        let (Some(_), Some(slot)) = (self.plan.label_column, self.find(key, hash)) else { return };
        let ring = &self.entities[slot].ring;
        let from = ring.upper_bound(time_us - 1, words);
        let column_of_sequence = self.plan.sources.len();
        let same_time = (from..ring.end()).take_while(|name| ring.time(*name, words) == time_us);
        let is_it = |name: &u64| {
            sequence.is_none_or(|sequence| ring.value(*name, column_of_sequence, words) == sequence)
        };
        let Some(name) = same_time.into_iter().find(is_it) else { return };
        let plan = Arc::clone(&self.plan);
        for (column, new) in plan.learnt(time_us, fraud) {
            let ring = &mut self.entities[slot].ring;
            let old = ring.value(name, column, words);
            ring.set_value(name, column, words, new);
            self.windows(slot).replaced(name, column, old, new);
        }
    }

    pub fn state(&self) -> KindState {
        let live = || self.entities.iter().filter(|entity| entity.is_live());
        let largest = live().max_by_key(|entity| entity.ring.len());
        let rings: usize = live().map(|entity| entity.ring.bytes() + entity.key.heap_bytes()).sum();
        let queues: usize = self.queues.iter().map(Queue::bytes).sum();
        let counts: usize = self.distincts.iter().map(|counts| counts.allocation_size()).sum();
        let flat = self.entities.capacity() * size_of::<Entity>()
            + self.blocks.capacity() * size_of::<u64>()
            + self.queues.capacity() * size_of::<Queue>()
            + self.distincts.capacity() * size_of::<ValueCounts>()
            + self.index.allocation_size();
        KindState {
            kind: self.plan.name.clone(),
            entities: live().count(),
            events: live().map(|entity| entity.ring.len()).sum(),
            bytes: rings + queues + counts + flat,
            largest: largest.map(|entity| (entity.key.as_str().to_string(), entity.ring.len())),
        }
    }

    /// Whether anything of an entity is held.
    pub fn holds(&self, key: &str, hash: u64) -> bool {
        self.find(key, hash).is_some()
    }

    /// Gives each feature (column, value) of an entity of which nothing is held.
    pub fn inspect_nothing(&self, mut each: impl FnMut(usize, f64)) {
        let (before, after) = self.plan.reads();
        let reads = self.plan.columns.iter().zip(before.iter().chain(after));
        reads.for_each(|(column, read)| each(*column, of_nothing(read)));
    }

    /// Gives each feature (column, value) of an entity as of its newest event, that event included; then the time of that
    /// event and how many are held.
    pub fn inspect(&self, key: &str, hash: u64, mut each: impl FnMut(usize, f64)) -> Option<(i64, usize)> {
        let slot = self.find(key, hash)?;
        let held = &self.entities[slot];
        let (cursors, sums) =
            self.blocks[span(slot, self.plan.block_words())].split_at(self.plan.crossings.len());
        let tallies = Tallies {
            plan: &self.plan,
            ring: &held.ring,
            cursors,
            sums: sums.as_chunks().0,
            queues: &self.queues[span(slot, self.plan.extremes.len())],
            distincts: &self.distincts[span(slot, self.plan.distincts.len())],
            moment: Moment::Newest,
        };
        let (before, after) = self.plan.reads();
        for (column, read) in self.plan.columns.iter().zip(before.iter().chain(after)) {
            each(*column, evaluate(read, &tallies, held.newest_us));
        }
        Some((held.newest_us, held.ring.len()))
    }

    /// Every live entity with its key, newest time and events in order.
    pub fn dump(&self, mut each: impl FnMut(&str, i64, &mut dyn Iterator<Item = &[i64]>)) {
        let words = self.plan.entry_words();
        for Entity { key, newest_us, ring } in self.entities.iter().filter(|entity| entity.is_live()) {
            let mut entries = (ring.first()..ring.end()).map(|name| ring.entry(name, words));
            each(key.as_str(), *newest_us, &mut entries);
        }
    }

    /// Puts back an entity that [`EntityTable::dump`] wrote; false if it cannot have written this.
    pub fn restore(&mut self, key: &str, hash: u64, newest_us: i64, entries: &[i64]) -> bool {
        let words = self.plan.entry_words();
        let ascending = entries.chunks_exact(words).is_sorted_by_key(|entry| entry[0]);
        let whole = !entries.is_empty() && entries.len().is_multiple_of(words);
        if !ascending
            || !whole
            || entries[entries.len() - words] > newest_us
            || self.find(key, hash).is_some()
        {
            return false;
        }
        let slot = self.create(key, hash, newest_us);
        let mut windows = self.windows(slot);
        entries.chunks_exact(words).for_each(|entry| windows.push(entry[0], &entry[1..]));
        windows.slide(newest_us);
        true
    }

    #[inline]
    fn windows(&mut self, slot: usize) -> Windows<'_> {
        let plan = &*self.plan;
        let block = &mut self.blocks[span(slot, plan.block_words())];
        let (cursors, sums) = block.split_at_mut(plan.crossings.len());
        Windows {
            plan,
            ring: &mut self.entities[slot].ring,
            cursors,
            sums: sums.as_chunks_mut().0,
            queues: &mut self.queues[span(slot, plan.extremes.len())],
            distincts: &mut self.distincts[span(slot, plan.distincts.len())],
        }
    }

    #[inline]
    fn find(&self, key: &str, hash: u64) -> Option<usize> {
        let same = |slot: &u32| self.entities[*slot as usize].key.is(key);
        self.index.find(hash, same).map(|slot| *slot as usize)
    }

    #[inline]
    fn find_or_create(&mut self, place: usize, event: &Observation) -> usize {
        match self.find_live(place, event) {
            Some(slot) => slot,
            None => self.create(event.key, event.hash, event.time_us),
        }
    }

    /// The entity of the event at this place of the run.
    #[inline]
    fn find_live(&mut self, place: usize, event: &Observation) -> Option<usize> {
        let found = match self.found[place] {
            slot if self.found_holds => (slot != NOWHERE).then_some(slot as usize),
            _ => self.find(event.key, event.hash),
        };
        // Freed or not yet freed by `free_expired`, the entity's past must look the same: nothing of it is left.
        if let Some(slot) = found.filter(|slot| self.expired(*slot, event.stream_us)) {
            self.release(slot);
            return None;
        }
        found
    }

    #[cold]
    fn create(&mut self, key: &str, hash: u64, newest_us: i64) -> usize {
        self.found_holds = false;
        let slot = match self.free.pop() {
            Some(slot) => slot as usize,
            None => self.add_slot(),
        };
        self.entities[slot] = Entity { key: Key::new(key), newest_us, ring: Ring::default() };
        let entities = &self.entities;
        let hash_of = |slot: &u32| hash_text(entities[*slot as usize].key.as_str());
        self.index.insert_unique(hash, slot as u32, hash_of);
        slot
    }

    fn add_slot(&mut self) -> usize {
        self.entities.push(Entity::none());
        let count = self.entities.len();
        self.blocks.resize(count * self.plan.block_words(), 0);
        self.queues.resize_with(count * self.plan.extremes.len(), Queue::default);
        self.distincts.resize_with(count * self.plan.distincts.len(), ValueCounts::default);
        count - 1
    }

    #[inline]
    fn expired(&self, slot: usize, stream_us: i64) -> bool {
        self.entities[slot].newest_us < stream_us - self.plan.expiry_us
    }

    /// Looks at some entities, in turn, and frees those of which nothing can matter any more.
    #[inline]
    fn free_expired(&mut self, looks: usize, stream_us: i64) {
        for _ in 0..looks {
            self.hand = if self.hand + 1 < self.entities.len() { self.hand + 1 } else { 0 };
            if self.hand < self.entities.len() && self.expired(self.hand, stream_us) {
                self.release(self.hand);
            }
        }
    }

    #[cold]
    fn release(&mut self, slot: usize) {
        self.found_holds = false;
        let hash = hash_text(self.entities[slot].key.as_str());
        if let Ok(found) = self.index.find_entry(hash, |at| *at as usize == slot) {
            found.remove();
        }
        self.entities[slot] = Entity::none();
        self.blocks[span(slot, self.plan.block_words())].fill(0);
        self.queues[span(slot, self.plan.extremes.len())].fill_with(Queue::default);
        self.distincts[span(slot, self.plan.distincts.len())].fill_with(ValueCounts::default);
        self.free.push(slot as u32);
    }
}

fn span(slot: usize, stride: usize) -> std::ops::Range<usize> {
    slot * stride..(slot + 1) * stride
}
