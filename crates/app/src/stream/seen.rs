//! Ids that were seen before.

use std::collections::HashSet;
use std::hash::BuildHasher;

/// Remembers the last `capacity` to twice `capacity` ids by 64 bits of hash: one new id in 10^12 is taken for one of ten
/// million known ones.
#[derive(Debug, Clone)]
pub struct SeenIds {
    capacity: usize,
    current: Ids,
    previous: Ids,
}

type Ids = HashSet<u64, std::hash::BuildHasherDefault<Itself>>;

/// The ids are hashes already.
#[derive(Debug, Clone, Default)]
struct Itself(u64);

impl std::hash::Hasher for Itself {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("only 64-bit hashes are kept")
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

impl SeenIds {
    /// Remembers nothing yet.
    pub fn new(capacity: u64) -> SeenIds {
        SeenIds { capacity: capacity as usize, current: Ids::default(), previous: Ids::default() }
    }

    /// Whether the id is new; it is remembered from now on.
    pub fn is_new(&mut self, id: &str) -> bool {
        let hash = foldhash::quality::FixedState::with_seed(0x7365_656e).hash_one(id);
        if self.previous.contains(&hash) || !self.current.insert(hash) {
            return false;
        }
        if self.current.len() >= self.capacity {
            self.previous = std::mem::take(&mut self.current);
        }
        true
    }

    /// Appends all ids to `out`: two counted lists of 64-bit words, little-endian.
    pub fn write(&self, out: &mut Vec<u8>) {
        for ids in [&self.current, &self.previous] {
            out.extend_from_slice(&(ids.len() as u64).to_le_bytes());
            ids.iter().for_each(|hash| out.extend_from_slice(&hash.to_le_bytes()));
        }
    }

    /// Reads what [`SeenIds::write`] wrote; `None` if it cannot have written this.
    pub fn read(capacity: u64, bytes: &[u8]) -> Option<SeenIds> {
        let (words, rest) = bytes.as_chunks::<8>();
        let mut words = words.iter().map(|word| u64::from_le_bytes(*word));
        let mut list = || {
            let count = words.next()?;
            let ids: Ids = words.by_ref().take(usize::try_from(count).ok()?).collect();
            (ids.len() as u64 == count).then_some(ids)
        };
        let (current, previous) = (list()?, list()?);
        (rest.is_empty() && words.next().is_none()).then_some(SeenIds {
            capacity: capacity as usize,
            current,
            previous,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_known_until_as_many_others_came() {
        let mut seen = SeenIds::new(10);
        assert!(seen.is_new("a"));
        (0..9).for_each(|id| assert!(seen.is_new(&id.to_string())));
        assert!(!seen.is_new("a"), "it is among the last ten to twenty");
        let mut bytes = Vec::new();
        seen.write(&mut bytes);
        let mut restored = SeenIds::read(10, &bytes).expect("it was just written");
        assert!(!restored.is_new("a"));
        assert!(SeenIds::read(10, &bytes[..bytes.len() - 8]).is_none());
        (10..30).for_each(|id| assert!(restored.is_new(&id.to_string())));
        assert!(restored.is_new("a"), "it was forgotten");
    }
}
