//! The windows of one entity: cursors over its ring, and what lies between them.

use hashbrown::HashMap;
use hashbrown::hash_map;

use super::MISSING;
use super::extreme::{Queue, Values};
use super::measure::{evaluate, nearest_f64};
use super::plan::{ARRIVAL, Crossing, Extreme, Frame, Measure, Read, SUM_WORDS, TablePlan};
use super::ring::{Entries, Ring};

pub(super) type ValueCounts = HashMap<i64, u32, foldhash::fast::FixedState>;

/// A running sum, low word first.
pub(super) type SumWords = [u64; SUM_WORDS];

/// Everything of one entity that an event changes.
///
/// A cursor is the name of the first event that is newer than "now" less the cursor's offset. Sums and distinct counts
/// follow the cursors forwards and backwards; the queues of extremes only know the newest "now".
pub(super) struct Windows<'a> {
    pub plan: &'a TablePlan,
    pub ring: &'a mut Ring,
    pub cursors: &'a mut [u64],
    pub sums: &'a mut [SumWords],
    pub queues: &'a mut [Queue],
    pub distincts: &'a mut [ValueCounts],
}

/// What the features of an entity are computed from.
#[derive(Clone, Copy)]
pub(super) struct Tallies<'a> {
    pub plan: &'a TablePlan,
    pub ring: &'a Ring,
    pub cursors: &'a [u64],
    pub sums: &'a [SumWords],
    pub queues: &'a [Queue],
    pub distincts: &'a [ValueCounts],
    pub moment: Moment<'a>,
}

/// Where the cursors stand.
#[derive(Clone, Copy)]
pub(super) enum Moment<'a> {
    /// At the newest event.
    Newest,
    /// At a time older than this, at which the newest event was seen.
    Past { newest_us: i64 },
    /// There, of a late event with these values, which is counted and not in the ring yet.
    PastWith { newest_us: i64, values: &'a [i64] },
}

impl Windows<'_> {
    /// Enters an event that is not older than any other, and reads the features before and after it.
    #[inline]
    pub fn observe_newest(&mut self, time_us: i64, values: &[i64], out: &mut [f64]) {
        let (before, after) = self.plan.reads();
        let (out_before, out_after) = out.split_at_mut(before.len());
        self.arrive(time_us, out_before);
        self.push(time_us, values);
        self.read(after, time_us, Moment::Newest, out_after);
    }

    /// Comes to the time of the newest event and reads the features before it.
    #[inline]
    fn arrive(&mut self, time_us: i64, out_before: &mut [f64]) {
        self.slide(time_us);
        self.ring.drop_until(time_us - self.plan.retention_us, self.plan.entry_words());
        let (before, _) = self.plan.reads();
        if !before.is_empty() {
            self.read(before, time_us, Moment::Newest, out_before);
        }
    }

    /// Reads the features as of the time of an event that is not kept here, and not older than any other.
    pub fn look_newest(&mut self, time_us: i64, out: &mut [f64]) {
        let (before, after) = self.plan.reads();
        let (out_before, out_after) = out.split_at_mut(before.len());
        self.arrive(time_us, out_before);
        self.read(after, time_us, Moment::Newest, out_after);
    }

    /// Reads the features as of the time of a late event that is not kept here.
    pub fn look_late(&mut self, time_us: i64, newest_us: i64, out: &mut [f64]) {
        let (before, after) = self.plan.reads();
        let (out_before, out_after) = out.split_at_mut(before.len());
        self.retreat(time_us);
        self.read(before, time_us, Moment::Past { newest_us }, out_before);
        self.read(after, time_us, Moment::Past { newest_us }, out_after);
        self.advance(newest_us);
    }

    /// Reads the features as of the time of a late event, before and after it, and enters it there if it may.
    /// What is newer is taken back and put back again, so that this costs no more than it is late.
    pub fn observe_late(
        &mut self,
        time_us: i64,
        newest_us: i64,
        values: &[i64],
        enters: bool,
        out: &mut [f64],
    ) {
        let (before, after) = self.plan.reads();
        let (out_before, out_after) = out.split_at_mut(before.len());
        self.retreat(time_us);
        self.read(before, time_us, Moment::Past { newest_us }, out_before);
        let arrival = &self.plan.crossings[ARRIVAL];
        tally::<true>(arrival, values, self.sums, self.distincts);
        self.cursors[ARRIVAL] += 1;
        self.read(after, time_us, Moment::PastWith { newest_us, values }, out_after);
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
        let name = self.cursors[ARRIVAL];
        self.cursors[ARRIVAL] = name + 1;
        if !self.queues.is_empty() {
            self.slide_queues(ARRIVAL, name);
        }
    }

    /// Moves everything to where it stands when the newest event is at `now_us`.
    #[inline]
    pub fn slide(&mut self, now_us: i64) {
        if self.queues.is_empty() {
            self.advance(now_us);
        } else {
            self.slide_with_queues(now_us);
        }
    }

    /// Corrects what is kept after a value of an event has changed.
    pub fn replaced(&mut self, name: u64, column: usize, old: i64, new: i64) {
        let plan = self.plan;
        let cursors = &*self.cursors;
        let holds = |frame: &Frame| range(frame, cursors).contains(&name);
        let sums = plan.sums.iter().zip(&mut *self.sums);
        for (sum, held) in sums.filter(|(sum, _)| sum.column == column && holds(&sum.frame)) {
            *held = sum_words(sum_of(*held) + sum.of.of(new) - sum.of.of(old));
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
        for (read, out) in reads.iter().zip(out) {
            // The two simplest here, so that they cost no call.
            *out = match read.measure {
                Measure::Count => count(&read.frame, self.cursors),
                Measure::Sum { sum } => nearest_f64(sum_of(self.sums[sum])) / read.scale,
                _ => evaluate(read, &self.tallies(moment), now_us),
            };
        }
    }

    fn tallies<'a>(&'a self, moment: Moment<'a>) -> Tallies<'a> {
        Tallies {
            plan: self.plan,
            ring: self.ring,
            cursors: self.cursors,
            sums: self.sums,
            queues: self.queues,
            distincts: self.distincts,
            moment,
        }
    }

    /// Moves the cursors, sums and distinct counts forward, nearest cursor first, so that an event enters a window
    /// before it leaves it.
    #[inline]
    fn advance(&mut self, now_us: i64) {
        let (entries, end) = (self.ring.entries(self.plan.entry_words()), self.ring.end());
        for (crossing, cursor) in self.plan.crossings.iter().zip(&mut *self.cursors) {
            *cursor = advance(crossing, entries, *cursor..end, now_us, self.sums, self.distincts);
        }
    }

    fn slide_with_queues(&mut self, now_us: i64) {
        for (cursor, crossing) in self.plan.crossings.iter().enumerate() {
            let (entries, end) = (self.ring.entries(self.plan.entry_words()), self.ring.end());
            let from = self.cursors[cursor];
            self.cursors[cursor] = advance(crossing, entries, from..end, now_us, self.sums, self.distincts);
            self.slide_queues(cursor, from);
        }
    }

    /// Moves the cursors, sums and distinct counts back, farthest cursor first, so that an event is back in a window
    /// before it has not entered it.
    fn retreat(&mut self, now_us: i64) {
        let (entries, first) = (self.ring.entries(self.plan.entry_words()), self.ring.first());
        for (crossing, cursor) in self.plan.crossings.iter().zip(&mut *self.cursors).rev() {
            while *cursor > first {
                let entry = entries.get(*cursor - 1);
                if entry[0] <= now_us - crossing.offset_us {
                    break;
                }
                tally::<false>(crossing, &entry[1..], self.sums, self.distincts);
                *cursor -= 1;
            }
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
    fn slide_queues(&mut self, cursor: usize, from: u64) {
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

/// Lets events cross a cursor up to the first that is too new, and gives that one's name.
#[inline]
fn advance(
    crossing: &Crossing,
    entries: Entries,
    names: std::ops::Range<u64>,
    now_us: i64,
    sums: &mut [SumWords],
    distincts: &mut [ValueCounts],
) -> u64 {
    let end = names.end;
    for name in names {
        let entry = entries.get(name);
        if entry[0] > now_us - crossing.offset_us {
            return name;
        }
        tally::<true>(crossing, &entry[1..], sums, distincts);
    }
    end
}

/// An event with these values crosses a cursor: it enters some windows and leaves others; backwards, the other way.
#[inline]
fn tally<const FORWARD: bool>(
    crossing: &Crossing,
    values: &[i64],
    sums: &mut [SumWords],
    distincts: &mut [ValueCounts],
) {
    let direction = if FORWARD { 1 } else { -1 };
    for step in &crossing.sums {
        let value = values[step.column as usize];
        let present = if value == MISSING { 0 } else { value };
        let held = &mut sums[step.at as usize];
        *held = sum_words(sum_of(*held) + i128::from(present * step.sign * direction));
    }
    if !crossing.only_sums {
        tally_others::<FORWARD>(crossing, values, sums, distincts);
    }
}

fn tally_others<const FORWARD: bool>(
    crossing: &Crossing,
    values: &[i64],
    sums: &mut [SumWords],
    distincts: &mut [ValueCounts],
) {
    let direction = if FORWARD { 1 } else { -1 };
    for (step, of) in &crossing.other_sums {
        let held = &mut sums[step.at as usize];
        let value = of.of(values[step.column as usize]);
        *held = sum_words(sum_of(*held) + value * i128::from(step.sign * direction));
    }
    for step in &crossing.distincts {
        let value = values[step.column as usize];
        let counts = &mut distincts[step.at as usize];
        if step.enters == FORWARD { count_in(counts, value) } else { count_out(counts, value) }
    }
}

#[inline]
fn sum_of(words: SumWords) -> i128 {
    (i128::from(words[1] as i64) << 64) | i128::from(words[0])
}

#[inline]
fn sum_words(sum: i128) -> SumWords {
    [sum as u64, (sum >> 64) as u64]
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

#[inline]
fn count(frame: &Frame, cursors: &[u64]) -> f64 {
    let names = range(frame, cursors);
    // Through i64, for which the processor has an instruction.
    (names.end - names.start) as i64 as f64
}

fn values_of<'a>(plan: &TablePlan, ring: &'a Ring, extreme: &Extreme) -> Values<'a> {
    Values { ring, words: plan.entry_words(), column: extreme.column, greatest: extreme.greatest }
}

impl<'a> Tallies<'a> {
    #[inline]
    pub fn count(&self, frame: &Frame) -> f64 {
        count(frame, self.cursors)
    }

    #[inline]
    pub fn sum(&self, index: usize) -> i128 {
        sum_of(self.sums[index])
    }

    pub fn distinct(&self, index: usize) -> usize {
        self.distincts[index].len()
    }

    /// The newest event of a frame.
    pub fn last(&self, frame: &Frame) -> Option<&'a [i64]> {
        let names = range(frame, self.cursors);
        (!names.is_empty()).then(|| self.ring.entry(names.end - 1, self.plan.entry_words()))
    }

    /// The oldest event of a frame.
    pub fn first(&self, frame: &Frame) -> Option<&'a [i64]> {
        let names = range(frame, self.cursors);
        (!names.is_empty()).then(|| self.ring.entry(names.start, self.plan.entry_words()))
    }

    pub fn extreme(&self, index: usize) -> Option<i64> {
        let (extreme, queue) = (&self.plan.extremes[index], &self.queues[index]);
        let values = values_of(self.plan, self.ring, extreme);
        let mut window = range(&extreme.frame, self.cursors);
        match self.moment {
            Moment::Newest => queue.front().map(|name| values.of(name)),
            Moment::PastWith { newest_us, values: current } if extreme.frame.near == ARRIVAL => {
                window.end -= 1;
                let past = self.past_extreme(extreme, queue, window, newest_us);
                values.better(past, current[extreme.column])
            }
            Moment::Past { newest_us } | Moment::PastWith { newest_us, .. } => {
                self.past_extreme(extreme, queue, window, newest_us)
            }
        }
    }

    /// The extreme of a window that is older than the queue's. The queue's front is the best of all from where its own
    /// window starts: if it is in the older one, only what has left since remains to be looked at.
    fn past_extreme(
        &self,
        extreme: &Extreme,
        queue: &Queue,
        window: std::ops::Range<u64>,
        newest_us: i64,
    ) -> Option<i64> {
        let (ring, words) = (self.ring, self.plan.entry_words());
        let values = values_of(self.plan, ring, extreme);
        match queue.front().filter(|front| window.contains(front)) {
            Some(front) => {
                let left = ring.upper_bound(newest_us - extreme.frame.far_us, words);
                values.better(values.best(window.start..left), values.of(front))
            }
            None => values.best(window),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::ring::LOOKS;
    use crate::{Decisions, Detector, Engine, EventBatch, Status, Value};

    const DETECTOR: &str = r#"
name = "hot"
[event]
id = "id"
time = "time"
amount = "amount"
key = "terminal"
max_lateness = "1h"
[[feature]]
name = "count"
by = "terminal"
aggregate = "count"
windows = ["1h", "30d"]
[[feature]]
name = "sum"
by = "terminal"
aggregate = "sum"
of = "amount"
windows = ["30d"]
delay = "7d"
[[feature]]
name = "amounts"
by = "terminal"
aggregate = "distinct"
of = "amount"
windows = ["30d"]
[[feature]]
name = "most"
by = "terminal"
aggregate = "max"
of = "amount"
windows = ["30d"]
"#;

    /// Events of one terminal, nine seconds apart.
    const EVENTS: i64 = 300_000;
    const STEP_US: i64 = 9_000_000;

    fn observe(engine: &mut Engine, number: i64, time_us: i64, amount: i64) -> Decisions {
        let mut batch = EventBatch::new(Arc::new(engine.detector().schema.clone()));
        batch.begin_row();
        let values =
            [Value::Integer(number), Value::Instant(time_us), Value::Integer(amount), Value::Integer(1)];
        values.into_iter().enumerate().for_each(|(field, value)| batch.set(field, value));
        batch.end_row().expect("the event is sound");
        let mut decisions = Decisions::default();
        engine.observe(&batch, number, &mut decisions);
        decisions
    }

    /// A late event on a hot entity costs what has changed since, not the window.
    #[test]
    fn a_late_event_of_a_hot_entity_looks_at_few_others() {
        let mut engine = Engine::new(Arc::new(Detector::parse(DETECTOR).expect("it is sound")), None, 1);
        let time_us = |number: i64| 1_600_000_000_000_000 + number * STEP_US;
        for number in 0..EVENTS {
            // The greatest was last seen 2.5 h ago: a greatest newer than the late event would have to be searched for.
            observe(&mut engine, number, time_us(number), 1_000 - number % 1_000);
        }
        let held = 30 * 86_400_000_000 / STEP_US;
        for (minutes, status) in [(5, Status::Late), (90, Status::TooLate)] {
            let newer = minutes * 60_000_000 / STEP_US;
            LOOKS.set(0);
            let decisions = observe(&mut engine, EVENTS, time_us(EVENTS - 1 - newer), 50);
            assert_eq!(decisions.statuses, [status]);
            assert_eq!(decisions.features[1], held as f64 + 1.0, "an event at the window's end is out of it");
            let looks = LOOKS.get() as i64;
            assert!(looks < 20 * newer + 500, "{minutes} min: {looks} looks for {newer} newer events");
        }
    }
}
