//! The events of one entity in time order: a ring of fixed-size entries in one allocation.
//!
//! An event's name is its number in the entity's past. Its slot is the name modulo the capacity, so that names stay
//! good while older events are dropped and the ring grows; only an event that is inserted late moves the newer ones.

/// A growable ring of entries of `words` 64-bit words each: time, then the kept values.
#[derive(Debug, Default)]
pub(super) struct Ring {
    words: Box<[i64]>,
    /// Name of the oldest entry.
    first: u64,
    len: u32,
    /// Entries that fit; a power of two, or 0.
    capacity: u32,
}

#[cfg(test)]
thread_local! {
    /// How often entries were looked at: tests hold events to the work that they may cost.
    pub(super) static LOOKS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// The entries of a ring by name.
#[derive(Clone, Copy)]
pub(super) struct Entries<'a> {
    all: &'a [i64],
    mask: u64,
    words: usize,
}

impl<'a> Entries<'a> {
    #[inline]
    pub fn get(self, name: u64) -> &'a [i64] {
        #[cfg(test)]
        LOOKS.set(LOOKS.get() + 1);
        &self.all[(name & self.mask) as usize * self.words..][..self.words]
    }

    /// A word of the entry in the slot of a name, be it used or not; only to have touched its memory.
    #[inline]
    pub fn word_near(self, name: u64) -> i64 {
        self.all.get((name & self.mask) as usize * self.words).copied().unwrap_or_default()
    }
}

/// Four entries: most entities of a large population have few events.
const LEAST_CAPACITY: u32 = 4;

impl Ring {
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// Name of the oldest entry.
    #[inline]
    pub fn first(&self) -> u64 {
        self.first
    }

    /// Name of the next entry.
    #[inline]
    pub fn end(&self) -> u64 {
        self.first + u64::from(self.len)
    }

    pub fn bytes(&self) -> usize {
        self.words.len() * size_of::<i64>()
    }

    /// For looking at many entries.
    #[inline]
    pub fn entries(&self, words: usize) -> Entries<'_> {
        Entries { all: &self.words, mask: u64::from(self.capacity).wrapping_sub(1), words }
    }

    #[inline]
    pub fn entry(&self, name: u64, words: usize) -> &[i64] {
        &self.words[self.slot(name) * words..][..words]
    }

    #[inline]
    pub fn time(&self, name: u64, words: usize) -> i64 {
        self.words[self.slot(name) * words]
    }

    #[inline]
    pub fn value(&self, name: u64, column: usize, words: usize) -> i64 {
        self.words[self.slot(name) * words + 1 + column]
    }

    pub fn set_value(&mut self, name: u64, column: usize, words: usize, value: i64) {
        let start = self.slot(name) * words;
        self.words[start + 1 + column] = value;
    }

    #[inline]
    pub fn push(&mut self, time: i64, values: &[i64]) {
        let words = 1 + values.len();
        if self.len == self.capacity {
            self.resize(self.capacity * 2, words);
        }
        let start = self.slot(self.end()) * words;
        let entry = &mut self.words[start..][..words];
        entry[0] = time;
        entry[1..].copy_from_slice(values);
        self.len += 1;
    }

    /// Inserts an entry under a name by moving what is newer: late events are rarely very late.
    pub fn insert(&mut self, name: u64, time: i64, values: &[i64]) {
        let words = 1 + values.len();
        self.push(time, values);
        for newer in (name..self.end() - 1).rev() {
            let (from, to) = (self.slot(newer) * words, self.slot(newer + 1) * words);
            for word in 0..words {
                self.words.swap(from + word, to + word);
            }
        }
    }

    /// Drops the entries up to a time, and memory that has become four times too large.
    #[inline]
    pub fn drop_until(&mut self, time: i64, words: usize) {
        let entries = self.entries(words);
        let old = (self.first..self.end()).take_while(|name| entries.get(*name)[0] <= time).count();
        self.first += old as u64;
        self.len -= old as u32;
        if self.len < self.capacity / 8 && self.capacity > LEAST_CAPACITY {
            self.resize(self.capacity / 4, words);
        }
    }

    /// The first name whose time is after `time`.
    pub fn upper_bound(&self, time: i64, words: usize) -> u64 {
        let (mut low, mut high) = (self.first, self.end());
        while low < high {
            let middle = low.midpoint(high);
            if self.time(middle, words) <= time {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    #[inline]
    fn slot(&self, name: u64) -> usize {
        #[cfg(test)]
        LOOKS.set(LOOKS.get() + 1);
        (name & u64::from(self.capacity).wrapping_sub(1)) as usize
    }

    #[cold]
    fn resize(&mut self, capacity: u32, words: usize) {
        let old = std::mem::take(self);
        self.capacity = capacity.max(LEAST_CAPACITY);
        self.words = vec![0; self.capacity as usize * words].into_boxed_slice();
        (self.first, self.len) = (old.first, old.len);
        for name in self.first..self.end() {
            let start = self.slot(name) * words;
            self.words[start..start + words].copy_from_slice(old.entry(name, words));
        }
    }
}
