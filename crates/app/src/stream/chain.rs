//! Which kinds of entities a detector's chain passes, and who owns a row.

use std::sync::Arc;

use anyhow::Result;
use engine::{Detector, Engine, EventBatch};

use crate::cli::WrongInput;

/// The stages of a detector: the first takes transactions as they are partitioned, by the key; each other kind of entity is
/// one more. A kind that reads labels is never the first: labels come in between transactions, and only a topic of our own
/// can hold both in one order.
#[derive(Debug, Clone)]
pub struct Chain {
    /// The stages in their order.
    pub links: Vec<Link>,
    /// How far partitions of the first stage may drift apart in event time, so that what comes last still enters the later
    /// stages' windows in its true place.
    pub drift_us: i64,
}

/// One stage.
#[derive(Debug, Clone)]
pub struct Link {
    /// What it is called in settings and topic names: the field without `_id`.
    pub name: String,
    /// The field that names its entities; `None` if it keeps no windows.
    pub kind: Option<String>,
    /// Text slot of that field.
    pub slot: Option<usize>,
    /// Whether its windows read labels.
    pub learns: bool,
}

impl Chain {
    /// The chain of a detector.
    pub fn of(detector: &Arc<Detector>) -> Chain {
        let schema = &detector.schema;
        let engine = Engine::new(Arc::clone(detector), None, 1);
        let kinds: Vec<String> = engine.kinds().map(str::to_string).collect();
        let key = schema.key.map(|slot| schema.text_name(slot).to_string());
        let learning: Vec<&str> = engine.kinds_with_labels().collect();
        let first_kind = key.filter(|key| kinds.contains(key) && !learning.contains(&key.as_str()));
        let name = first_kind.as_deref().map_or("transaction", short_name).to_string();
        let mut links = vec![Link { name, slot: schema.key, kind: first_kind.clone(), learns: false }];
        for kind in kinds.iter().filter(|kind| Some(*kind) != first_kind.as_ref()) {
            let field = schema.fields.iter().find(|field| field.name == *kind);
            let slot = field.and_then(|field| field.kind.text_slot());
            let learns = learning.contains(&kind.as_str());
            links.push(Link { name: short_name(kind).to_string(), slot, kind: Some(kind.clone()), learns });
        }
        let lateness =
            |link: &Link| Engine::stage(Arc::clone(detector), link.kind.as_deref()).max_lateness_us();
        let drift_us = links.iter().skip(1).map(lateness).min().unwrap_or(i64::MAX) / 2;
        Chain { links, drift_us }
    }

    /// Whether partitions of the first stage meet in a later one.
    pub fn merges(&self) -> bool {
        self.links.len() > 1
    }

    /// The numbers of the stages of these names; `all` is all of them.
    ///
    /// # Errors
    /// If there is no such stage.
    pub fn select(&self, names: &[String]) -> Result<Vec<usize>> {
        if names.iter().any(|name| name == "all") {
            return Ok((0..self.links.len()).collect());
        }
        let mut selected = Vec::new();
        for name in names {
            let known = |link: &Link| link.name == *name || link.kind.as_deref() == Some(name);
            match self.links.iter().position(known) {
                Some(stage) => selected.push(stage),
                None => {
                    let known: Vec<&str> = self.links.iter().map(|link| link.name.as_str()).collect();
                    let mistake =
                        format!("there is no stage `{name}`; this detector has all, {}", known.join(", "));
                    return Err(WrongInput(mistake).into());
                }
            }
        }
        selected.sort_unstable();
        selected.dedup();
        Ok(selected)
    }

    /// The consumer group of a stage: the first one's is the group itself.
    pub fn group(&self, group: &str, number: usize) -> String {
        if number == 0 { group.to_string() } else { format!("{group}-{}", self.links[number].name) }
    }

    /// Number of the last stage: the one that decides.
    pub fn last(&self) -> usize {
        self.links.len() - 1
    }
}

impl Link {
    /// The partition of this stage's topic that owns a row's entity. A row that names none may go anywhere, as long as it
    /// is always the same place.
    pub fn partition(&self, batch: &EventBatch, row: usize, partitions: usize) -> usize {
        let entity = self.slot.map_or("", |slot| batch.text(row, slot));
        let text = if entity.is_empty() { batch.id(row) } else { entity };
        // Signed shift and mask as in Kafka's own partitioner.
        (murmur2(text.as_bytes()) & 0x7fff_ffff) as usize % partitions
    }
}

/// `terminal_id` is the stage `terminal`.
fn short_name(field: &str) -> &str {
    field.strip_suffix("_id").unwrap_or(field)
}

/// The hash of Kafka's default partitioner (`org.apache.kafka.common.utils.Utils.murmur2`), so that anybody can tell where
/// an entity is.
pub fn murmur2(data: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mut hash = 0x9747_b28c ^ data.len() as u32;
    let (words, rest) = data.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k ^= k >> 24;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    if !rest.is_empty() {
        for (place, byte) in rest.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * place);
        }
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of the test of `Utils.murmur2` in Apache Kafka (UtilsTest.testMurmur2).
    #[test]
    fn the_partitioner_is_kafkas() {
        let cases: [(&str, i32); 6] = [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ];
        for (text, expected) in cases {
            assert_eq!(murmur2(text.as_bytes()) as i32, expected, "{text}");
        }
    }
}
