//! Which kinds of entities a detector's chain passes, and who owns a row.

use std::sync::Arc;

use anyhow::Result;
use engine::detector::Definition;
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
    /// The chain of a detector: a kind of entity comes after those that its windows read.
    ///
    /// # Errors
    /// If two kinds read each other's windows: then no order will do.
    pub fn of(detector: &Arc<Detector>) -> Result<Chain> {
        let schema = &detector.schema;
        let engine = Engine::new(Arc::clone(detector), None, 1);
        let mut waiting: Vec<&str> = engine.kinds().collect();
        let learning: Vec<&str> = engine.kinds_with_labels().collect();
        let key = schema.key.map(|slot| schema.text_name(slot));
        let stands_first = |key: &&str| {
            waiting.contains(key) && !learning.contains(key) && read_by(detector, key).is_empty()
        };
        let first_kind = key.filter(stands_first);
        waiting.retain(|kind| Some(*kind) != first_kind);
        let name = first_kind.map_or("transaction", short_name).to_string();
        let kind = first_kind.map(str::to_string);
        let mut links = vec![Link { name, slot: schema.key, kind, learns: false }];
        while !waiting.is_empty() {
            let is_ready = |kind: &&str| read_by(detector, kind).iter().all(|read| !waiting.contains(read));
            let Some(next) = waiting.iter().position(is_ready) else {
                let mistake = format!(
                    "windows by {} read each other: over Kafka one kind of entity must come after the other",
                    waiting.join(" and ")
                );
                return Err(WrongInput(mistake).into());
            };
            let kind = waiting.remove(next);
            let field = schema.fields.iter().find(|field| field.name == kind);
            let slot = field.and_then(|field| field.kind.text_slot());
            let learns = learning.contains(&kind);
            links.push(Link {
                name: short_name(kind).to_string(),
                slot,
                kind: Some(kind.to_string()),
                learns,
            });
        }
        let lateness =
            |link: &Link| Engine::stage(Arc::clone(detector), link.kind.as_deref()).max_lateness_us();
        let drift_us = links.iter().skip(1).map(lateness).min().unwrap_or(i64::MAX) / 2;
        Ok(Chain { links, drift_us })
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

/// The other kinds of entities whose windows those of this kind read.
fn read_by<'a>(detector: &'a Detector, kind: &str) -> Vec<&'a str> {
    let name = |slot: usize| detector.schema.text_name(slot);
    let is_own = |column: &usize| match &detector.features[*column].definition {
        Definition::Window(window) => name(window.by) == kind,
        _ => false,
    };
    let behind =
        (0..detector.features.len()).filter(is_own).flat_map(|column| detector.entities_behind(column));
    behind.map(name).filter(|other| *other != kind).collect()
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

    /// Counts of each kind's events where the other kind's counts are large, if it says so.
    fn detector(shop_reads_card: bool, card_reads_shop: bool) -> Arc<Detector> {
        let mut text = "name = \"two\"\n[event]\nid = \"id\"\ntime = \"t\"\namount = \"a\"\nkey = \"card\"\n\
                        fields = { shop = \"id\" }\n"
            .to_string();
        for (name, by) in [("c", "card"), ("s", "shop")] {
            text += &format!(
                "[[feature]]\nname = \"{name}\"\nby = \"{by}\"\naggregate = \"count\"\nwindows = [\"1d\"]\n"
            );
        }
        for (name, by, other, reads) in
            [("cs", "card", "s_1d", card_reads_shop), ("sc", "shop", "c_1d", shop_reads_card)]
        {
            let condition = if reads { format!("{other} > 2.0") } else { "a > 2.0".to_string() };
            text += &format!(
                "[[feature]]\nname = \"{name}\"\nby = \"{by}\"\naggregate = \"count\"\nwindows = [\"1d\"]\n\
                 where = \"{condition}\"\n"
            );
        }
        Arc::new(Detector::parse(&text.replace("\"a >", "\"amount >")).expect("it is sound"))
    }

    #[test]
    fn a_kind_comes_after_those_whose_windows_it_reads() {
        let names = |chain: Chain| chain.links.into_iter().map(|link| link.name).collect::<Vec<_>>();
        let of = |shop_reads_card, card_reads_shop| Chain::of(&detector(shop_reads_card, card_reads_shop));
        assert_eq!(names(of(false, false).unwrap()), ["card", "shop"]);
        assert_eq!(names(of(true, false).unwrap()), ["card", "shop"]);
        assert_eq!(names(of(false, true).unwrap()), ["transaction", "shop", "card"]);
        let error = of(true, true).unwrap_err().to_string();
        assert!(error.starts_with("windows by card and shop read each other"), "{error}");
    }

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
