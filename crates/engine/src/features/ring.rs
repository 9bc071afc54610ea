//! The events of one entity in time order: a ring of fixed-size entries in one allocation.

/// A growable ring of entries of `words` 64-bit words each: time, then the kept values.
#[derive(Debug, Clone, Default)]
pub(super) struct Ring {
    words: Box<[i64]>,
    /// Entries that fit; a power of two, or 0.
    capacity: u32,
    head: u32,
    len: u32,
}

/// Four entries: most entities of a large population have few events.
const LEAST_CAPACITY: u32 = 4;

impl Ring {
    pub fn len(&self) -> usize {
        self.len as usize
    }

    pub fn bytes(&self) -> usize {
        self.words.len() * size_of::<i64>()
    }

    #[inline]
    pub fn entry(&self, at: usize, words: usize) -> &[i64] {
        let start = self.slot(at) * words;
        &self.words[start..start + words]
    }

    #[inline]
    pub fn time(&self, at: usize, words: usize) -> i64 {
        self.words[self.slot(at) * words]
    }

    #[inline]
    pub fn value(&self, at: usize, column: usize, words: usize) -> i64 {
        self.words[self.slot(at) * words + 1 + column]
    }

    pub fn set_value(&mut self, at: usize, column: usize, words: usize, value: i64) {
        let start = self.slot(at) * words;
        self.words[start + 1 + column] = value;
    }

    pub fn push(&mut self, time: i64, values: &[i64]) {
        let words = 1 + values.len();
        if self.len == self.capacity {
            self.resize((self.capacity * 2).max(LEAST_CAPACITY), words);
        }
        let start = self.slot(self.len as usize) * words;
        let entry = &mut self.words[start..start + words];
        entry[0] = time;
        entry[1..].copy_from_slice(values);
        self.len += 1;
    }

    /// Inserts before position `at` by moving what is newer: late events are rarely very late.
    pub fn insert(&mut self, at: usize, time: i64, values: &[i64]) {
        let words = 1 + values.len();
        self.push(time, values);
        for position in (at..self.len() - 1).rev() {
            let (from, to) = (self.slot(position) * words, self.slot(position + 1) * words);
            for word in 0..words {
                self.words.swap(from + word, to + word);
            }
        }
    }

    /// Drops the oldest `count` entries, and memory that has become four times too large.
    pub fn drop_oldest(&mut self, count: usize, words: usize) {
        debug_assert!(count <= self.len(), "cannot drop more than there is");
        if count == 0 {
            return;
        }
        self.head = self.slot(count) as u32;
        self.len -= count as u32;
        if self.capacity > LEAST_CAPACITY && self.len < self.capacity / 8 {
            self.resize(self.capacity / 4, words);
        }
    }

    /// The first position whose time is after `time`.
    pub fn upper_bound(&self, time: i64, words: usize) -> usize {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = (low + high) / 2;
            if self.time(middle, words) <= time {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// A word of the entry at a position, be it used or not; only to have touched its memory.
    #[inline]
    pub fn word_near(&self, at: usize, words: usize) -> i64 {
        self.words.get(self.slot(at) * words).copied().unwrap_or_default()
    }

    #[inline]
    fn slot(&self, at: usize) -> usize {
        (self.head as usize + at) & (self.capacity as usize).wrapping_sub(1)
    }

    fn resize(&mut self, capacity: u32, words: usize) {
        let capacity = capacity.max(LEAST_CAPACITY);
        let mut grown = vec![0; capacity as usize * words].into_boxed_slice();
        for at in 0..self.len() {
            grown[at * words..(at + 1) * words].copy_from_slice(self.entry(at, words));
        }
        self.words = grown;
        self.capacity = capacity;
        self.head = 0;
    }
}
