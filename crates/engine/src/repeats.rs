//! Ids that were seen before, for streams that no database remembers: files that are replayed.

use std::collections::HashSet;

/// Remembers ids by 128 bits of hash for at least `horizon_us` of stream time and at most twice that, so that its memory
/// is bounded by the stream's rate and not by its length.
#[derive(Debug)]
pub struct Repeats {
    horizon_us: i64,
    max_time_jump_us: i64,
    stream_us: Option<i64>,
    turned_us: i64,
    current: HashSet<u128, foldhash::fast::FixedState>,
    previous: HashSet<u128, foldhash::fast::FixedState>,
}

impl Repeats {
    /// Remembers for at least `horizon_us`. A time further than `max_time_jump_us` ahead does not move the stream.
    pub fn new(horizon_us: i64, max_time_jump_us: i64) -> Repeats {
        Repeats {
            horizon_us,
            max_time_jump_us,
            stream_us: None,
            turned_us: i64::MIN / 2,
            current: HashSet::default(),
            previous: HashSet::default(),
        }
    }

    /// Whether the id of an event at `time_us` is new; it is remembered from now on.
    pub fn is_new(&mut self, id: &str, time_us: i64) -> bool {
        match self.stream_us {
            Some(stream_us) if time_us - stream_us > self.max_time_jump_us => {}
            Some(stream_us) => self.stream_us = Some(stream_us.max(time_us)),
            None => (self.stream_us, self.turned_us) = (Some(time_us), time_us),
        }
        if self.stream_us.is_some_and(|stream_us| stream_us - self.turned_us >= self.horizon_us) {
            self.previous = std::mem::take(&mut self.current);
            self.turned_us = self.stream_us.unwrap_or(time_us);
        }
        let hash = hash_id(id);
        !self.previous.contains(&hash) && self.current.insert(hash)
    }
}

fn hash_id(id: &str) -> u128 {
    use std::hash::BuildHasher;
    let half = |seed| u128::from(foldhash::quality::FixedState::with_seed(seed).hash_one(id));
    half(1) << 64 | half(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_known_within_the_horizon() {
        let mut repeats = Repeats::new(100, 1_000);
        assert!(repeats.is_new("a", 0));
        assert!(!repeats.is_new("a", 50));
        assert!(repeats.is_new("b", 100));
        assert!(!repeats.is_new("a", 150));
        assert!(repeats.is_new("c", 201));
        assert!(repeats.is_new("a", 202), "two turns later it is forgotten");
    }
}
