//! The windows of one entity: cursors over its ring, and what lies between them.

use hashbrown::HashMap;
use hashbrown::hash_map;

use super::MISSING;
use super::extreme::{Queue, Values};
use super::measure::evaluate;
use super::plan::{ARRIVAL, Crossing, Extreme, Frame, KindPlan, Read, SUM_WORDS};
use super::ring::Ring;

pub(super) type ValueCounts = HashMap<i64, u32, foldhash::fast::FixedState>;

/// Everything of one entity that an event changes.
///
/// A cursor is the name of the first event that is newer than "now" less the cursor's offset. Sums and distinct counts
/// follow the cursors forwards and backwards; the queues of extremes only know the newest "now".
pub(super) struct Windows<'a> {
    pub plan: &'a KindPlan,
    pub ring: &'a mut Ring,
    pub cursors: &'a mut [u64],
    pub sums: &'a mut [u64],
    pub queues: &'a mut [Queue],
    pub distincts: &'a mut [ValueCounts],
}

/// What the features of an entity are computed from.
#[derive(Clone, Copy)]
pub(super) struct Tallies<'a> {
    pub plan: &'a KindPlan,
    pub ring: &'a Ring,
    pub cursors: &'a [u64],
    pub sums: &'a [u64],
    pub queues: &'a [Queue],
    pub distincts: &'a [ValueCounts],
    pub moment: Moment<'a>,
}

/// Where the cursors stand.
#[derive(Clone, Copy)]
pub(super) enum Moment<'a> {
    /// At the newest event.
    Newest,
    /// At an older time.
    Past,
    /// At the time of a late event with these values, which is counted and not in the ring yet.
    PastWith(&'a [i64]),
}

impl Windows<'_> {
    /// Enters an event that is not older than any other, and reads the features before and after it.
    #[inline]
    pub fn observe_newest(&mut self, time_us: i64, values: &[i64], out: &mut [f64]) {
        self.slide(time_us);
        self.ring.drop_until(time_us - self.plan.retention_us, self.plan.entry_words());
        let (before, after) = self.plan.reads();
        let (out_before, out_after) = out.split_at_mut(before.len());
        self.read(before, time_us, Moment::Newest, out_before);
        self.push(time_us, values);
        self.read(after, time_us, Moment::Newest, out_after);
    }

    /// Reads the features as of the time of a late event, before and after it, and enters it there if it may.
    /// What is newer is taken back and put back again, so that this costs no more than it is late.
    pub fn observe_late(&mut self, time_us: i64, values: &[i64], enters: bool, out: &mut [f64]) {
        let words = self.plan.entry_words();
        let newest_us = self.ring.time(self.ring.end() - 1, words);
        let (before, after) = self.plan.reads();
        let (out_before, out_after) = out.split_at_mut(before.len());
        self.retreat(time_us);
        self.read(before, time_us, Moment::Past, out_before);
        let arrival = &self.plan.crossings[ARRIVAL];
        tally::<true>(arrival, values, self.sums, self.distincts);
        self.cursors[ARRIVAL] += 1;
        self.read(after, time_us, Moment::PastWith(values), out_after);
        if enters {
            self.insert(self.cursors[ARRIVAL] - 1, time_us, values, newest_us);
        } else {
            tally::<false>(arrival, values, self.sums, self.distincts);
            self.cursors[ARRIVAL] -= 1;
        }
        self.advance(newest_us);
    }

    /// Enters an event that is not older than any other.
    #[inline]
    pub fn push(&mut self, time_us: i64, values: &[i64]) {
        self.ring.push(time_us, values);
        tally::<true>(&self.plan.crossings[ARRIVAL], values, self.sums, self.distincts);
        self.cursors[ARRIVAL] += 1;
        self.slide_queues(ARRIVAL, self.cursors[ARRIVAL] - 1);
    }

    /// Moves everything to where it stands when the newest event is at `now_us`, nearest cursor first, so that an event
    /// enters a window before it leaves it.
    #[inline]
    pub fn slide(&mut self, now_us: i64) {
        for cursor in 0..self.plan.offsets.len() {
            let from = self.cursors[cursor];
            self.advance_cursor(cursor, now_us);
            self.slide_queues(cursor, from);
        }
    }

    /// Corrects what is kept after a value of an event has changed.
    pub fn replaced(&mut self, name: u64, column: usize, old: i64, new: i64) {
        let plan = self.plan;
        let cursors = &*self.cursors;
        let holds = |frame: &Frame| range(frame, cursors).contains(&name);
        let sums = plan.sums.iter().zip(self.sums.chunks_exact_mut(SUM_WORDS));
        for (sum, held) in sums.filter(|(sum, _)| sum.column == column && holds(&sum.frame)) {
            put_sum(held, get_sum(held) + sum.of.of(new) - sum.of.of(old));
        }
        let distincts = plan.distincts.iter().zip(&mut *self.distincts);
        for (_, counts) in distincts.filter(|(it, _)| it.column == column && holds(&it.frame)) {
            count_out(counts, old);
            count_in(counts, new);
        }
        let queues = plan.extremes.iter().zip(&mut *self.queues);
        for (extreme, queue) in queues.filter(|(it, _)| it.column == column && holds(&it.frame)) {
            let window = range(&extreme.frame, cursors);
            queue.replaced(name, old, window, values_of(plan, self.ring, extreme));
        }
    }

    #[inline]
    fn read(&self, reads: &[Read], now_us: i64, moment: Moment, out: &mut [f64]) {
        let tallies = Tallies {
            plan: self.plan,
            ring: self.ring,
            cursors: self.cursors,
            sums: self.sums,
            queues: self.queues,
            distincts: self.distincts,
            moment,
        };
        for (read, out) in reads.iter().zip(out) {
            *out = evaluate(read, &tallies, now_us);
        }
    }

    /// Moves the cursors, sums and distinct counts forward.
    fn advance(&mut self, now_us: i64) {
        for cursor in 0..self.plan.offsets.len() {
            self.advance_cursor(cursor, now_us);
        }
    }

    #[inline]
    fn advance_cursor(&mut self, cursor: usize, now_us: i64) {
        let limit = now_us - self.plan.offsets[cursor];
        let end = self.ring.end();
        let mut name = self.cursors[cursor];
        while name < end {
            let entry = self.ring.entry(name, self.plan.entry_words());
            if entry[0] > limit {
                break;
            }
            tally::<true>(&self.plan.crossings[cursor], &entry[1..], self.sums, self.distincts);
            name += 1;
        }
        self.cursors[cursor] = name;
    }

    /// Moves the cursors, sums and distinct counts back, farthest cursor first, so that an event is back in a window
    /// before it has not entered it.
    fn retreat(&mut self, now_us: i64) {
        for cursor in (0..self.plan.offsets.len()).rev() {
            let limit = now_us - self.plan.offsets[cursor];
            let mut name = self.cursors[cursor];
            while name > self.ring.first() {
                let entry = self.ring.entry(name - 1, self.plan.entry_words());
                if entry[0] <= limit {
                    break;
                }
                tally::<false>(&self.plan.crossings[cursor], &entry[1..], self.sums, self.distincts);
                name -= 1;
            }
            self.cursors[cursor] = name;
        }
    }

    /// Puts a late event into the ring, and into the queues as they stand at the newest event.
    fn insert(&mut self, name: u64, time_us: i64, values: &[i64], newest_us: i64) {
        self.ring.insert(name, time_us, values);
        for (extreme, queue) in self.plan.extremes.iter().zip(&mut *self.queues) {
            queue.make_room(name);
            if extreme.frame.holds_age(newest_us - time_us) {
                queue.enter_late(name, values_of(self.plan, self.ring, extreme));
            }
        }
    }

    /// A cursor has moved on: events from `from` on enter some queues, and others start where it stands now.
    #[inline]
    fn slide_queues(&mut self, cursor: usize, from: u64) {
        if self.queues.is_empty() || from == self.cursors[cursor] {
            return;
        }
        let (plan, to) = (self.plan, self.cursors[cursor]);
        for &index in &plan.crossings[cursor].extremes_in {
            let values = values_of(plan, self.ring, &plan.extremes[index]);
            (from..to).for_each(|name| self.queues[index].enter(name, values));
        }
        for &index in &plan.crossings[cursor].extremes_out {
            self.queues[index].leave(to);
        }
    }
}

/// An event with these values crosses a cursor: it enters some windows and leaves others; backwards, the other way.
#[inline]
fn tally<const FORWARD: bool>(
    crossing: &Crossing,
    values: &[i64],
    sums: &mut [u64],
    distincts: &mut [ValueCounts],
) {
    for step in &crossing.sums {
        let value = step.of.of(values[step.column]);
        let held = &mut sums[step.at..step.at + SUM_WORDS];
        let change = if step.enters == FORWARD { value } else { -value };
        put_sum(held, get_sum(held) + change);
    }
    for step in &crossing.distincts {
        let value = values[step.column];
        let counts = &mut distincts[step.at];
        if step.enters == FORWARD { count_in(counts, value) } else { count_out(counts, value) }
    }
}

#[inline]
fn get_sum(words: &[u64]) -> i128 {
    (i128::from(words[1] as i64) << 64) | i128::from(words[0])
}

#[inline]
fn put_sum(words: &mut [u64], sum: i128) {
    words[0] = sum as u64;
    words[1] = (sum >> 64) as u64;
}

fn count_in(counts: &mut ValueCounts, value: i64) {
    if value != MISSING {
        *counts.entry(value).or_insert(0) += 1;
    }
}

fn count_out(counts: &mut ValueCounts, value: i64) {
    if let hash_map::Entry::Occupied(mut entry) = counts.entry(value) {
        *entry.get_mut() -= 1;
        if *entry.get() == 0 {
            entry.remove();
        }
    }
}

/// The names of a frame's events.
#[inline]
fn range(frame: &Frame, cursors: &[u64]) -> std::ops::Range<u64> {
    cursors[frame.far]..cursors[frame.near]
}

fn values_of<'a>(plan: &KindPlan, ring: &'a Ring, extreme: &Extreme) -> Values<'a> {
    Values { ring, words: plan.entry_words(), column: extreme.column, greatest: extreme.greatest }
}

impl<'a> Tallies<'a> {
    #[inline]
    pub fn count(&self, frame: &Frame) -> f64 {
        let names = range(frame, self.cursors);
        // Through i64, for which the processor has an instruction.
        (names.end - names.start) as i64 as f64
    }

    #[inline]
    pub fn sum(&self, index: usize) -> i128 {
        get_sum(&self.sums[index * SUM_WORDS..][..SUM_WORDS])
    }

    pub fn distinct(&self, index: usize) -> usize {
        self.distincts[index].len()
    }

    /// The newest event of a frame.
    pub fn last(&self, frame: &Frame) -> Option<&'a [i64]> {
        let names = range(frame, self.cursors);
        (!names.is_empty()).then(|| self.ring.entry(names.end - 1, self.plan.entry_words()))
    }

    pub fn extreme(&self, index: usize) -> Option<i64> {
        let (extreme, queue) = (&self.plan.extremes[index], &self.queues[index]);
        let values = values_of(self.plan, self.ring, extreme);
        let mut window = range(&extreme.frame, self.cursors);
        match self.moment {
            Moment::Newest => queue.front().map(|name| values.of(name)),
            Moment::PastWith(current) if extreme.frame.near == ARRIVAL => {
                window.end -= 1;
                values.better(self.past_extreme(extreme, queue, window), current[extreme.column])
            }
            _ => self.past_extreme(extreme, queue, window),
        }
    }

    /// The extreme of a window that is older than the queue's. The queue's front is the best of all from where its own
    /// window starts: if it is in the older one, only what has left since remains to be looked at.
    fn past_extreme(&self, extreme: &Extreme, queue: &Queue, window: std::ops::Range<u64>) -> Option<i64> {
        let (ring, words) = (self.ring, self.plan.entry_words());
        let values = values_of(self.plan, ring, extreme);
        match queue.front().filter(|front| window.contains(front)) {
            Some(front) => {
                let newest_us = ring.time(ring.end() - 1, words);
                let left = ring.upper_bound(newest_us - extreme.frame.far_us, words);
                values.better(values.best(window.start..left), values.of(front))
            }
            None => values.best(window),
        }
    }
}
