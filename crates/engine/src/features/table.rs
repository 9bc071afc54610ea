//! All entities of one kind that one shard owns.

use std::collections::VecDeque;
use std::sync::Arc;

use hashbrown::{HashMap, HashTable};

use super::MISSING;
use super::key::Key;
use super::plan::{Frame, KindPlan, Measure, Read};
use super::ring::Ring;
use super::state::KindState;

type ValueCounts = HashMap<i64, u32, foldhash::fast::FixedState>;

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

/// What [`EntityTable::inspect`] finds.
pub(crate) struct Inspected {
    /// (feature, value) pairs.
    pub values: Vec<(usize, f64)>,
    pub newest_us: i64,
    /// Events held.
    pub events: usize,
}

/// Rows whose entities are looked up together.
pub(crate) const WARM_ROWS: usize = 32;

/// The entities of one kind. Everything of fixed size per entity lies in flat vectors, `stride` apart.
#[derive(Debug)]
pub(crate) struct EntityTable {
    pub plan: Arc<KindPlan>,
    index: HashTable<u32>,
    entities: Vec<Entity>,
    /// Positions in the ring: the first event newer than the cursor's offset.
    cursors: Vec<u32>,
    sums: Vec<i128>,
    extremes: Vec<VecDeque<u64>>,
    distincts: Vec<ValueCounts>,
    free: Vec<u32>,
    hand: usize,
    /// Reused by late events.
    scan: Scan,
}

#[derive(Debug, Default)]
struct Entity {
    key: Key,
    hash: u64,
    live: bool,
    newest_us: i64,
    /// Events dropped so far: position + dropped names an event for ever.
    dropped: u64,
    ring: Ring,
}

impl EntityTable {
    pub fn new(plan: Arc<KindPlan>) -> Self {
        EntityTable {
            index: HashTable::new(),
            entities: Vec::new(),
            cursors: Vec::new(),
            sums: Vec::new(),
            extremes: Vec::new(),
            distincts: Vec::new(),
            free: Vec::new(),
            hand: 0,
            scan: Scan::new(&plan),
            plan,
        }
    }

    /// Reads what entering events of these entities is going to read, and changes nothing. A large population does not
    /// fit any cache: one row after the other would wait for memory a dozen times, many rows at once wait together.
    /// Three short passes, because a processor looks only a few hundred instructions ahead. At most [`WARM_ROWS`].
    pub fn warm(&self, hashes: impl ExactSizeIterator<Item = u64>) {
        if hashes.len() < 2 {
            return;
        }
        let mut found = [0_u32; WARM_ROWS];
        let mut count = 0;
        for hash in hashes {
            let same = |at: &u32| self.entities[*at as usize].hash == hash;
            if let Some(at) = self.index.find(hash, same) {
                found[count] = *at;
                count += 1;
            }
        }
        let found = &found[..count];
        let mut seen = 0;
        for entity in found.iter().map(|at| *at as usize) {
            seen ^= self.cursors.get(entity * self.plan.offsets.len()).map_or(0, |cursor| i64::from(*cursor));
            seen ^= i64::from(self.entities[entity].key.is(""));
            let sums = &self.sums[span(entity, self.plan.sums.len())];
            seen ^= sums.first().zip(sums.last()).map_or(0, |(first, last)| (first ^ last) as i64);
        }
        let words = self.plan.entry_words();
        for entity in found.iter().map(|at| *at as usize) {
            let ring = &self.entities[entity].ring;
            seen ^= ring.word_near(0, words) ^ ring.word_near(ring.len(), words);
            for cursor in &self.cursors[span(entity, self.plan.offsets.len())] {
                // The next event to cross, and the one after it, which says that it does not.
                seen ^= ring.word_near(*cursor as usize, words);
                seen ^= ring.word_near(*cursor as usize + 1, words);
            }
        }
        std::hint::black_box(seen);
    }

    /// Enters an event and writes this kind's features of it to `out`, the row of the feature matrix.
    pub fn observe(&mut self, event: &Observation, out: &mut [f64]) -> Timeliness {
        self.free_expired(event.stream_us);
        let entity = self.find_or_create(event);
        let held = &self.entities[entity];
        if held.ring.len() == 0 || event.time_us >= held.newest_us {
            self.observe_newest(entity, event, out);
            return Timeliness::OnTime;
        }
        self.read_as_of(entity, event, out);
        if event.time_us < self.entities[entity].newest_us - self.plan.max_lateness_us {
            return Timeliness::TooLate;
        }
        self.insert_late(entity, event);
        Timeliness::Late
    }

    /// Sets the label of the event with this time and sequence number, if it is still held.
    pub fn set_label(&mut self, key: &str, hash: u64, time_us: i64, sequence: i64, fraud: bool) {
        let plan = Arc::clone(&self.plan);
        let words = plan.entry_words();
        let (Some(column), Some(entity)) = (plan.label_column, self.find(key, hash)) else { return };
        let ring = &self.entities[entity].ring;
        let from = ring.upper_bound(time_us - 1, words);
        let same_time = (from..ring.len()).take_while(|at| ring.time(*at, words) == time_us);
        let column_of_sequence = plan.sources.len();
        let is_it = |at: &usize| ring.value(*at, column_of_sequence, words) == sequence;
        let Some(at) = same_time.into_iter().find(is_it) else { return };
        let (old, new) = (ring.value(at, column, words), i64::from(fraud));
        self.entities[entity].ring.set_value(at, column, words, new);
        self.replace_value(entity, at, column, old, new);
    }

    pub fn state(&self) -> KindState {
        let live = || self.entities.iter().filter(|entity| entity.live);
        let largest = live().max_by_key(|entity| entity.ring.len());
        let rings: usize = live().map(|entity| entity.ring.bytes() + entity.key.heap_bytes()).sum();
        let deques: usize = self.extremes.iter().map(|deque| deque.capacity() * 8).sum();
        let counts: usize = self.distincts.iter().map(|counts| counts.allocation_size()).sum();
        let flat = self.entities.capacity() * size_of::<Entity>()
            + self.cursors.capacity() * 4
            + self.sums.capacity() * 16
            + self.extremes.capacity() * size_of::<VecDeque<u64>>()
            + self.distincts.capacity() * size_of::<ValueCounts>()
            + self.index.allocation_size();
        KindState {
            kind: self.plan.name.clone(),
            entities: live().count(),
            events: live().map(|entity| entity.ring.len()).sum(),
            bytes: rings + deques + counts + flat,
            largest: largest.map(|entity| (entity.key.as_str().to_string(), entity.ring.len())),
        }
    }

    /// An entity as of its newest event, that event included.
    pub fn inspect(&self, key: &str, hash: u64) -> Option<Inspected> {
        let entity = self.find(key, hash)?;
        let held = &self.entities[entity];
        let tallies = Live::new(self, entity);
        let values =
            self.plan.reads().map(|read| (read.feature, evaluate(read, &tallies, held.newest_us))).collect();
        Some(Inspected { values, newest_us: held.newest_us, events: held.ring.len() })
    }

    /// Every live entity with its key, newest time and events in order.
    pub fn dump(&self, mut each: impl FnMut(&str, i64, &mut dyn Iterator<Item = &[i64]>)) {
        let words = self.plan.entry_words();
        for entity in self.entities.iter().filter(|entity| entity.live) {
            let mut entries = (0..entity.ring.len()).map(|at| entity.ring.entry(at, words));
            each(entity.key.as_str(), entity.newest_us, &mut entries);
        }
    }

    /// Puts back an entity that [`EntityTable::dump`] wrote; false if it cannot have written this.
    pub fn restore(&mut self, key: &str, hash: u64, newest_us: i64, entries: &[i64]) -> bool {
        let words = self.plan.entry_words();
        let ascending = entries.chunks_exact(words).is_sorted_by_key(|entry| entry[0]);
        let whole = !entries.is_empty() && entries.len().is_multiple_of(words);
        if !ascending
            || !whole
            || entries[entries.len() - words] != newest_us
            || self.find(key, hash).is_some()
        {
            return false;
        }
        let entity = self.create(key, hash);
        for entry in entries.chunks_exact(words) {
            self.entities[entity].ring.push(entry[0], &entry[1..]);
            let at = self.entities[entity].ring.len() - 1;
            self.cross(entity, at, self.plan.offsets.len());
        }
        self.entities[entity].newest_us = newest_us;
        self.advance(entity, newest_us);
        true
    }

    fn find(&self, key: &str, hash: u64) -> Option<usize> {
        let same = |at: &u32| self.entities[*at as usize].key.is(key);
        self.index.find(hash, same).map(|at| *at as usize)
    }

    fn find_or_create(&mut self, event: &Observation) -> usize {
        match self.find(event.key, event.hash) {
            // Freed or not yet freed by `free_expired`, the entity's past must look the same: nothing of it is left.
            Some(entity) if self.expired(entity, event.stream_us) => {
                self.release(entity);
                self.create(event.key, event.hash)
            }
            Some(entity) => entity,
            None => self.create(event.key, event.hash),
        }
    }

    fn create(&mut self, key: &str, hash: u64) -> usize {
        let entity = match self.free.pop() {
            Some(entity) => entity as usize,
            None => self.add_slot(),
        };
        self.entities[entity] = Entity { key: Key::new(key), hash, live: true, ..Entity::default() };
        let entities = &self.entities;
        self.index.insert_unique(hash, entity as u32, |at| entities[*at as usize].hash);
        entity
    }

    fn add_slot(&mut self) -> usize {
        self.entities.push(Entity::default());
        let count = self.entities.len();
        self.cursors.resize(count * self.plan.offsets.len(), 0);
        self.sums.resize(count * self.plan.sums.len(), 0);
        self.extremes.resize_with(count * self.plan.extremes.len(), VecDeque::new);
        self.distincts.resize_with(count * self.plan.distincts.len(), ValueCounts::default);
        count - 1
    }

    fn expired(&self, entity: usize, stream_us: i64) -> bool {
        self.entities[entity].newest_us < stream_us - self.plan.expiry_us
    }

    /// Looks at two entities an event, in turn, and frees those of which nothing can matter any more. Two, because an
    /// event adds at most one: a hand that moves as fast as the table grows never comes round.
    fn free_expired(&mut self, stream_us: i64) {
        for _ in 0..self.entities.len().min(2) {
            self.hand = if self.hand + 1 < self.entities.len() { self.hand + 1 } else { 0 };
            if self.entities[self.hand].live && self.expired(self.hand, stream_us) {
                self.release(self.hand);
            }
        }
    }

    fn release(&mut self, entity: usize) {
        let hash = self.entities[entity].hash;
        if let Ok(found) = self.index.find_entry(hash, |at| *at as usize == entity) {
            found.remove();
        }
        self.entities[entity] = Entity::default();
        self.cursors[span(entity, self.plan.offsets.len())].fill(0);
        self.sums[span(entity, self.plan.sums.len())].fill(0);
        self.extremes[span(entity, self.plan.extremes.len())].iter_mut().for_each(|e| *e = VecDeque::new());
        self.distincts[span(entity, self.plan.distincts.len())]
            .iter_mut()
            .for_each(|d| *d = ValueCounts::default());
        self.free.push(entity as u32);
    }

    fn observe_newest(&mut self, entity: usize, event: &Observation, out: &mut [f64]) {
        self.entities[entity].newest_us = event.time_us;
        self.advance(entity, event.time_us);
        self.drop_old(entity, event.time_us);
        self.read(entity, &self.plan.reads_before, event.time_us, out);
        self.entities[entity].ring.push(event.time_us, event.values);
        self.cross(entity, self.entities[entity].ring.len() - 1, self.plan.offsets.len());
        self.read(entity, &self.plan.reads_after, event.time_us, out);
    }

    fn read(&self, entity: usize, reads: &[Read], now_us: i64, out: &mut [f64]) {
        let tallies = Live::new(self, entity);
        for read in reads {
            out[read.feature] = evaluate(read, &tallies, now_us);
        }
    }

    /// Moves the cursors to where they stand when the newest event is at `now_us`, nearest first, so that an event
    /// enters a window before it leaves it.
    fn advance(&mut self, entity: usize, now_us: i64) {
        let words = self.plan.entry_words();
        let stride = self.plan.offsets.len();
        let len = self.entities[entity].ring.len();
        for cursor in 0..stride {
            let limit = now_us - self.plan.offsets[cursor];
            let mut at = self.cursors[entity * stride + cursor] as usize;
            while at < len && self.entities[entity].ring.time(at, words) <= limit {
                self.cross(entity, at, cursor);
                at += 1;
            }
            self.cursors[entity * stride + cursor] = at as u32;
        }
    }

    /// The event at `at` crosses a cursor: it enters some windows and leaves others.
    #[inline]
    fn cross(&mut self, entity: usize, at: usize, cursor: usize) {
        let plan = &*self.plan;
        let crossing = &plan.crossings[cursor];
        let held = &self.entities[entity];
        let entry = held.ring.entry(at, plan.entry_words());
        let sums = &mut self.sums[span(entity, plan.sums.len())];
        for (index, sum) in &crossing.sums_in {
            sums[*index] += sum.of.of(entry[1 + sum.column]);
        }
        for (index, sum) in &crossing.sums_out {
            sums[*index] -= sum.of.of(entry[1 + sum.column]);
        }
        if !crossing.only_sums {
            self.cross_values(entity, at, cursor);
        }
    }

    /// The event crosses a cursor of windows that keep the values themselves.
    fn cross_values(&mut self, entity: usize, at: usize, cursor: usize) {
        let plan = &*self.plan;
        let crossing = &plan.crossings[cursor];
        let held = &self.entities[entity];
        let entry = held.ring.entry(at, plan.entry_words());
        let name = held.dropped + at as u64;
        for &index in &crossing.extremes_in {
            let extreme = plan.extremes[index];
            let deque = &mut self.extremes[entity * plan.extremes.len() + index];
            enter_extreme(deque, held, name, extreme.column, extreme.greatest, plan.entry_words());
        }
        for &index in &crossing.extremes_out {
            let deque = &mut self.extremes[entity * plan.extremes.len() + index];
            if deque.front() == Some(&name) {
                deque.pop_front();
            }
        }
        for &index in &crossing.distincts_in {
            let counts = &mut self.distincts[entity * plan.distincts.len() + index];
            count_in(counts, entry[1 + plan.distincts[index].column]);
        }
        for &index in &crossing.distincts_out {
            let counts = &mut self.distincts[entity * plan.distincts.len() + index];
            count_out(counts, entry[1 + plan.distincts[index].column]);
        }
    }

    /// Drops events that no window can reach any more, not even that of a late event.
    fn drop_old(&mut self, entity: usize, now_us: i64) {
        let plan = &*self.plan;
        let held = &mut self.entities[entity];
        let passed = self.cursors[span(entity, plan.offsets.len())].last().copied().unwrap_or(0) as usize;
        let limit = now_us - plan.retention_us;
        let words = plan.entry_words();
        let old = (0..passed).take_while(|at| held.ring.time(*at, words) <= limit).count();
        if old > 0 {
            held.ring.drop_oldest(old, words);
            held.dropped += old as u64;
            for cursor in &mut self.cursors[span(entity, plan.offsets.len())] {
                *cursor -= old as u32;
            }
        }
    }

    /// Reads the features as they were at the time of a late event.
    fn read_as_of(&mut self, entity: usize, event: &Observation, out: &mut [f64]) {
        let plan = Arc::clone(&self.plan);
        let mut scan = std::mem::take(&mut self.scan);
        scan.fill(&plan, &self.entities[entity].ring, event.time_us);
        let view = |scan: &Scan, reads: &[Read], out: &mut [f64]| {
            let tallies = Past { scan, ring: &self.entities[entity].ring, plan: &plan };
            reads.iter().for_each(|read| out[read.feature] = evaluate(read, &tallies, event.time_us));
        };
        view(&scan, &plan.reads_before, out);
        scan.add_current(&plan, event.values);
        view(&scan, &plan.reads_after, out);
        self.scan = scan;
    }

    fn insert_late(&mut self, entity: usize, event: &Observation) {
        let plan = Arc::clone(&self.plan);
        let held = &mut self.entities[entity];
        let at = held.ring.upper_bound(event.time_us, plan.entry_words());
        held.ring.insert(at, event.time_us, event.values);
        let now_us = held.newest_us;
        for (cursor, offset) in self.cursors[span(entity, plan.offsets.len())].iter_mut().zip(&plan.offsets) {
            if event.time_us <= now_us - offset {
                *cursor += 1;
            }
        }
        let sums = &mut self.sums[span(entity, plan.sums.len())];
        for (sum, held) in plan.sums.iter().zip(sums) {
            let frame = plan.frames[sum.frame];
            let age = now_us - event.time_us;
            if age >= frame.near_us && age < frame.far_us {
                *held += sum.of.of(event.values[sum.column]);
            }
        }
        self.recount(entity, None);
    }

    /// Corrects the running tallies after a value of the event at `at` has changed.
    fn replace_value(&mut self, entity: usize, at: usize, column: usize, old: i64, new: i64) {
        let plan = Arc::clone(&self.plan);
        for (index, sum) in plan.sums.iter().enumerate().filter(|(_, sum)| sum.column == column) {
            let (from, to) = self.frame_range(entity, sum.frame);
            if (from..to).contains(&at) {
                let held = &mut self.sums[entity * plan.sums.len() + index];
                *held += sum.of.of(new) - sum.of.of(old);
            }
        }
        self.recount(entity, Some(column));
    }

    /// Computes extremes and distinct counts anew from the ring, for one column or for all.
    fn recount(&mut self, entity: usize, column: Option<usize>) {
        let plan = Arc::clone(&self.plan);
        let words = plan.entry_words();
        let wanted = |of: usize| column.is_none_or(|column| column == of);
        for (index, extreme) in plan.extremes.iter().enumerate().filter(|(_, e)| wanted(e.column)) {
            let (from, to) = self.frame_range(entity, extreme.frame);
            let held = &self.entities[entity];
            let deque = &mut self.extremes[entity * plan.extremes.len() + index];
            deque.clear();
            for at in from..to {
                enter_extreme(deque, held, held.dropped + at as u64, extreme.column, extreme.greatest, words);
            }
        }
        for (index, distinct) in plan.distincts.iter().enumerate().filter(|(_, d)| wanted(d.column)) {
            let (from, to) = self.frame_range(entity, distinct.frame);
            let ring = &self.entities[entity].ring;
            let counts = &mut self.distincts[entity * plan.distincts.len() + index];
            counts.clear();
            (from..to).for_each(|at| count_in(counts, ring.value(at, distinct.column, words)));
        }
    }

    /// The positions of a frame's events.
    fn frame_range(&self, entity: usize, frame: usize) -> (usize, usize) {
        Live::new(self, entity).range(frame)
    }
}

fn span(entity: usize, stride: usize) -> std::ops::Range<usize> {
    entity * stride..(entity + 1) * stride
}

/// The monotone queue of a sliding extreme: values in the queue only get worse towards its end, so its front is the
/// extreme, and each event enters and leaves once.
fn enter_extreme(
    deque: &mut VecDeque<u64>,
    entity: &Entity,
    name: u64,
    column: usize,
    greatest: bool,
    words: usize,
) {
    let value_of = |name: u64| entity.ring.value((name - entity.dropped) as usize, column, words);
    let value = value_of(name);
    if value == MISSING {
        return;
    }
    while let Some(&last) = deque.back() {
        let worse = if greatest { value_of(last) <= value } else { value_of(last) >= value };
        if !worse {
            break;
        }
        deque.pop_back();
    }
    deque.push_back(name);
}

fn count_in(counts: &mut ValueCounts, value: i64) {
    if value != MISSING {
        *counts.entry(value).or_insert(0) += 1;
    }
}

fn count_out(counts: &mut ValueCounts, value: i64) {
    if let hashbrown::hash_map::Entry::Occupied(mut entry) = counts.entry(value) {
        *entry.get_mut() -= 1;
        if *entry.get() == 0 {
            entry.remove();
        }
    }
}

/// What the aggregates of an entity can be computed from.
trait Tallies {
    fn count(&self, frame: usize) -> usize;
    fn sum(&self, index: usize) -> i128;
    fn extreme(&self, index: usize) -> Option<i64>;
    fn distinct(&self, index: usize) -> usize;
    /// Time and position of the newest event of a frame.
    fn last(&self, frame: usize) -> Option<(i64, usize)>;
    fn value(&self, at: usize, column: usize) -> i64;
}

/// The running tallies, as of the entity's newest event.
struct Live<'a> {
    table: &'a EntityTable,
    entity: usize,
    cursors: &'a [u32],
    sums: &'a [i128],
    frames: &'a [Frame],
    ring: &'a Ring,
}

impl<'a> Live<'a> {
    fn new(table: &'a EntityTable, entity: usize) -> Self {
        Live {
            table,
            entity,
            cursors: &table.cursors[span(entity, table.plan.offsets.len())],
            sums: &table.sums[span(entity, table.plan.sums.len())],
            frames: &table.plan.frames,
            ring: &table.entities[entity].ring,
        }
    }

    fn range(&self, frame: usize) -> (usize, usize) {
        let frame = &self.frames[frame];
        let near = frame.near.map_or(self.ring.len(), |cursor| self.cursors[cursor] as usize);
        (self.cursors[frame.far] as usize, near)
    }
}

impl Tallies for Live<'_> {
    fn count(&self, frame: usize) -> usize {
        let (from, to) = self.range(frame);
        to - from
    }

    fn sum(&self, index: usize) -> i128 {
        self.sums[index]
    }

    fn extreme(&self, index: usize) -> Option<i64> {
        let plan = &*self.table.plan;
        let held = &self.table.entities[self.entity];
        let name = self.table.extremes[self.entity * plan.extremes.len() + index].front()?;
        let at = (name - held.dropped) as usize;
        Some(held.ring.value(at, plan.extremes[index].column, plan.entry_words()))
    }

    fn distinct(&self, index: usize) -> usize {
        self.table.distincts[self.entity * self.table.plan.distincts.len() + index].len()
    }

    fn last(&self, frame: usize) -> Option<(i64, usize)> {
        let (from, to) = self.range(frame);
        (to > from).then(|| (self.ring.time(to - 1, self.table.plan.entry_words()), to - 1))
    }

    fn value(&self, at: usize, column: usize) -> i64 {
        self.ring.value(at, column, self.table.plan.entry_words())
    }
}

/// The tallies at a past moment, from a scan of the ring.
#[derive(Debug, Default)]
struct Scan {
    ranges: Vec<(usize, usize)>,
    counts: Vec<usize>,
    sums: Vec<i128>,
    extremes: Vec<Option<i64>>,
    distincts: Vec<ValueCounts>,
}

impl Scan {
    fn new(plan: &KindPlan) -> Scan {
        Scan { distincts: vec![ValueCounts::default(); plan.distincts.len()], ..Scan::default() }
    }

    fn fill(&mut self, plan: &KindPlan, ring: &Ring, now_us: i64) {
        let words = plan.entry_words();
        let bound = |distance: i64| ring.upper_bound(now_us - distance, words);
        self.ranges.clear();
        self.ranges.extend(plan.frames.iter().map(|frame| (bound(frame.far_us), bound(frame.near_us))));
        self.counts.clear();
        self.counts.extend(self.ranges.iter().map(|(from, to)| to - from));
        let ranges = &self.ranges;
        let values = |frame: usize, column: usize| {
            let (from, to) = ranges[frame];
            (from..to).map(move |at| ring.value(at, column, words))
        };
        self.sums.clear();
        let sum = |sum: &super::plan::Sum| {
            values(sum.frame, sum.column).map(|value| sum.of.of(value)).sum::<i128>()
        };
        self.sums.extend(plan.sums.iter().map(sum));
        self.extremes.clear();
        self.extremes.extend(plan.extremes.iter().map(|extreme| {
            values(extreme.frame, extreme.column)
                .fold(None, |best, value| better(best, value, extreme.greatest))
        }));
        for (counts, distinct) in self.distincts.iter_mut().zip(&plan.distincts) {
            counts.clear();
            values(distinct.frame, distinct.column).for_each(|value| count_in(counts, value));
        }
    }

    /// Enters the event itself into the windows that reach up to now.
    fn add_current(&mut self, plan: &KindPlan, values: &[i64]) {
        let current = |frame: usize| plan.frames[frame].near.is_none();
        for (frame, count) in self.counts.iter_mut().enumerate().filter(|(frame, _)| current(*frame)) {
            debug_assert!(frame < plan.frames.len(), "one count a frame");
            *count += 1;
        }
        for (sum, held) in plan.sums.iter().zip(&mut self.sums).filter(|(sum, _)| current(sum.frame)) {
            *held += sum.of.of(values[sum.column]);
        }
        for (extreme, held) in plan.extremes.iter().zip(&mut self.extremes).filter(|(e, _)| current(e.frame))
        {
            *held = better(*held, values[extreme.column], extreme.greatest);
        }
        for (distinct, held) in
            plan.distincts.iter().zip(&mut self.distincts).filter(|(d, _)| current(d.frame))
        {
            count_in(held, values[distinct.column]);
        }
    }
}

fn better(best: Option<i64>, value: i64, greatest: bool) -> Option<i64> {
    match best {
        _ if value == MISSING => best,
        Some(best) if (best >= value) == greatest => Some(best),
        _ => Some(value),
    }
}

struct Past<'a> {
    scan: &'a Scan,
    ring: &'a Ring,
    plan: &'a KindPlan,
}

impl Tallies for Past<'_> {
    fn count(&self, frame: usize) -> usize {
        self.scan.counts[frame]
    }

    fn sum(&self, index: usize) -> i128 {
        self.scan.sums[index]
    }

    fn extreme(&self, index: usize) -> Option<i64> {
        self.scan.extremes[index]
    }

    fn distinct(&self, index: usize) -> usize {
        self.scan.distincts[index].len()
    }

    fn last(&self, frame: usize) -> Option<(i64, usize)> {
        let (from, to) = self.scan.ranges[frame];
        (to > from).then(|| (self.ring.time(to - 1, self.plan.entry_words()), to - 1))
    }

    fn value(&self, at: usize, column: usize) -> i64 {
        self.ring.value(at, column, self.plan.entry_words())
    }
}

fn evaluate(read: &Read, tallies: &impl Tallies, now_us: i64) -> f64 {
    let present = |presence: Option<usize>| match presence {
        Some(index) => nearest_f64(tallies.sum(index)),
        None => tallies.count(read.frame) as f64,
    };
    let or_empty = |value: Option<f64>| value.unwrap_or(read.empty);
    match read.measure {
        Measure::Count => tallies.count(read.frame) as f64,
        Measure::Sum { sum } => nearest_f64(tallies.sum(sum)) / read.scale,
        Measure::Mean { sum, presence } => {
            let count = present(presence);
            or_empty((count > 0.0).then(|| nearest_f64(tallies.sum(sum)) / (count * read.scale)))
        }
        Measure::Std { sum, square, presence } => {
            let count = present(presence);
            or_empty(
                (count > 1.0).then(|| deviation(tallies.sum(sum), tallies.sum(square), count) / read.scale),
            )
        }
        Measure::Extreme { index } => or_empty(tallies.extreme(index).map(|value| value as f64 / read.scale)),
        Measure::Distinct { index } => tallies.distinct(index) as f64,
        Measure::Last { column } => {
            let value = tallies.last(read.frame).map(|(_, at)| tallies.value(at, column));
            or_empty(value.filter(|value| *value != MISSING).map(|value| value as f64 / read.scale))
        }
        Measure::SinceLast => {
            or_empty(tallies.last(read.frame).map(|(time, _)| (now_us - time) as f64 / 1e6))
        }
        Measure::Ratio { sums, baseline, lengths } => {
            let (short, long) = match sums {
                Some((short, long)) => (nearest_f64(tallies.sum(short)), nearest_f64(tallies.sum(long))),
                None => (tallies.count(read.frame) as f64, tallies.count(baseline) as f64),
            };
            or_empty((long != 0.0).then(|| short * lengths / long))
        }
    }
}

/// The nearest double. Most sums fit 64 bits, which the processor converts itself.
#[inline]
fn nearest_f64(sum: i128) -> f64 {
    match i64::try_from(sum) {
        Ok(sum) => sum as f64,
        Err(_) => sum as f64,
    }
}

/// The sample standard deviation from exact sums: the sum of squared distances from the integer part of the mean is an
/// integer, so nothing cancels; only its small remainder is taken off in floating point.
fn deviation(sum: i128, square: i128, count: f64) -> f64 {
    let n = count as i128;
    let centre = sum.div_euclid(n);
    let remainder = sum.rem_euclid(n) as f64;
    // Modular arithmetic: the parts may overflow, the result, which is at most `square`, does not.
    let distances = square
        .wrapping_sub(centre.wrapping_mul(sum).wrapping_mul(2))
        .wrapping_add(centre.wrapping_mul(centre).wrapping_mul(n));
    let variance = (distances as f64 - remainder * remainder / count) / (count - 1.0);
    variance.max(0.0).sqrt()
}
