//! Ids that were seen before, for streams that no database remembers: files that are replayed.

use std::collections::HashSet;

/// Remembers ids by 128 bits of hash for at least `horizon_us` of stream time and at most twice that, so that its memory
/// is bounded by the stream's rate and not by its length.
#[derive(Debug)]
pub struct Repeats {
    horizon_us: i64,
    turned_us: Option<i64>,
    current: HashSet<u128, foldhash::fast::FixedState>,
    previous: HashSet<u128, foldhash::fast::FixedState>,
}

impl Repeats {
    /// Remembers for at least `horizon_us`.
    pub fn new(horizon_us: i64) -> Repeats {
        Repeats { horizon_us, turned_us: None, current: HashSet::default(), previous: HashSet::default() }
    }

    /// Whether the id is new; it is remembered from now on. `stream_us` is the time of the stream.
    pub fn is_new(&mut self, id: &str, stream_us: i64) -> bool {
        let turned_us = *self.turned_us.get_or_insert(stream_us);
        if stream_us - turned_us >= self.horizon_us {
            self.previous = std::mem::take(&mut self.current);
            self.turned_us = Some(stream_us);
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
        let mut repeats = Repeats::new(100);
        assert!(repeats.is_new("a", 0));
        assert!(!repeats.is_new("a", 50));
        assert!(repeats.is_new("b", 100));
        assert!(!repeats.is_new("a", 150));
        assert!(repeats.is_new("c", 201));
        assert!(repeats.is_new("a", 202), "two turns later it is forgotten");
    }
}
