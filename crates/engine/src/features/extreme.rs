//! The least or greatest value of a sliding window.

use std::collections::VecDeque;

use super::MISSING;
use super::ring::Ring;

/// A monotone queue of the names of events: values only get worse towards its end, so its front is the extreme, and
/// each event enters and leaves once.
#[derive(Debug, Default)]
pub(super) struct Queue(VecDeque<u64>);

/// The values that a queue is about.
#[derive(Clone, Copy)]
pub(super) struct Values<'a> {
    pub ring: &'a Ring,
    pub words: usize,
    pub column: usize,
    pub greatest: bool,
}

impl Values<'_> {
    pub fn of(self, name: u64) -> i64 {
        self.ring.value(name, self.column, self.words)
    }

    fn is_worse(self, value: i64, than: i64) -> bool {
        if self.greatest { value < than } else { value > than }
    }

    /// The better of two values, either of which may be missing.
    pub fn better(self, best: Option<i64>, value: i64) -> Option<i64> {
        match best {
            _ if value == MISSING => best,
            Some(best) if !self.is_worse(best, value) => Some(best),
            _ => Some(value),
        }
    }

    /// The best of some events.
    pub fn best(self, names: std::ops::Range<u64>) -> Option<i64> {
        names.fold(None, |best, name| self.better(best, self.of(name)))
    }
}

impl Queue {
    pub fn front(&self) -> Option<u64> {
        self.0.front().copied()
    }

    pub fn bytes(&self) -> usize {
        self.0.capacity() * size_of::<u64>()
    }

    /// The window grows by an event newer than all in it.
    pub fn enter(&mut self, name: u64, values: Values) {
        let value = values.of(name);
        if value == MISSING {
            return;
        }
        while self.0.back().is_some_and(|&last| !values.is_worse(value, values.of(last))) {
            self.0.pop_back();
        }
        self.0.push_back(name);
    }

    /// The window now starts at this event.
    pub fn leave(&mut self, from: u64) {
        while self.0.front().is_some_and(|&front| front < from) {
            self.0.pop_front();
        }
    }

    /// An event is about to take this name, and the newer ones the names after their own.
    pub fn make_room(&mut self, name: u64) {
        let newer = self.0.partition_point(|&held| held < name);
        self.0.range_mut(newer..).for_each(|held| *held += 1);
    }

    /// The window grows by an event in its midst. It can only ever be the extreme if it is better than all that is
    /// newer, of which the next in the queue is the best.
    pub fn enter_late(&mut self, name: u64, values: Values) {
        let value = values.of(name);
        let newer = self.0.partition_point(|&held| held < name);
        let beats = |held: &u64| values.is_worse(values.of(*held), value);
        if value == MISSING || self.0.get(newer).is_some_and(|next| !beats(next)) {
            return;
        }
        let mut older = newer;
        while older > 0 && !values.is_worse(value, values.of(self.0[older - 1])) {
            older -= 1;
        }
        self.0.drain(older..newer);
        self.0.insert(older, name);
    }

    /// The value of an event in the window has changed.
    pub fn replaced(&mut self, name: u64, old: i64, window: std::ops::Range<u64>, values: Values) {
        let held = self.0.binary_search(&name);
        let new = values.of(name);
        let got_worse = new == MISSING || (old != MISSING && values.is_worse(new, old));
        match held {
            // What it stood before may count now.
            Ok(_) if got_worse => {
                self.0.clear();
                window.for_each(|name| self.enter(name, values));
            }
            Ok(at) => {
                self.0.remove(at);
                self.enter_late(name, values);
            }
            Err(_) if got_worse => {}
            Err(_) => self.enter_late(name, values),
        }
    }
}
