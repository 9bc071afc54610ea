//! The state as bytes, and back.
//!
//! Only what cannot be derived is written: each entity's key, newest time and events. Cursors and running tallies are
//! rebuilt from them by the code that maintains them, so a snapshot cannot disagree with its own sums, and it can be
//! restored into any number of shards.

use std::sync::Arc;

use crate::detector::Detector;
use crate::features::text_value;
use crate::model::Model;
use crate::process::{Engine, hash_text, owner};
use crate::time::{TIME_RANGE_US, format_duration};

/// First bytes of every snapshot; the digit is the version of the format.
const MAGIC: &[u8; 8] = b"RFSTATE1";

/// Why a snapshot cannot be restored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// Not a snapshot, or of a version that is not known.
    #[error("not a state snapshot of this version")]
    Unknown,
    /// Written for another feature list.
    #[error("the snapshot belongs to the feature list {found}, the detector has {wanted}")]
    OtherFeatures {
        /// Fingerprint in the snapshot.
        found: String,
        /// Fingerprint of the detector.
        wanted: String,
    },
    /// It ends early, or its checksum is wrong.
    #[error("the snapshot is damaged at byte {0}")]
    Damaged(usize),
}

impl Engine {
    /// Writes the state. `position` is the last position of the log that it contains.
    pub fn snapshot(&self, position: i64) -> Vec<u8> {
        let mut out = self.head(position);
        for kind in 0..self.plan.tables.len() {
            for shard in &self.shards {
                shard.tables[kind].dump(|key, newest_us, entries| {
                    put_text(&mut out, key);
                    put(&mut out, newest_us);
                    let count_at = out.len();
                    put(&mut out, 0);
                    let mut words = 0_i64;
                    for entry in entries {
                        entry.iter().for_each(|word| put(&mut out, *word));
                        words += entry.len() as i64;
                    }
                    out[count_at..count_at + 8].copy_from_slice(&words.to_le_bytes());
                });
            }
            // No key is empty: this ends the kind.
            put_text(&mut out, "");
        }
        let sum = checksum(&out);
        out.extend_from_slice(&sum.to_le_bytes());
        out
    }

    fn head(&self, position: i64) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        put_text(&mut out, &layout(&self.detector, self.only.as_deref()));
        put(&mut out, position);
        put(&mut out, i64::from(self.stream_us.is_some()));
        put(&mut out, self.stream_us.unwrap_or(0));
        out
    }

    /// Restores a state that [`Engine::snapshot`] wrote, and the log position it stands at.
    ///
    /// # Errors
    /// If the bytes are no snapshot, are damaged, or belong to another feature list.
    pub fn restore(
        detector: Arc<Detector>,
        model: Option<Model>,
        shards: usize,
        bytes: &[u8],
    ) -> Result<(Engine, i64), SnapshotError> {
        let mut engine = Engine::new(detector, model, shards);
        let position = engine.refill(bytes)?;
        Ok((engine, position))
    }

    /// Restores the state of a stage.
    ///
    /// # Errors
    /// As [`Engine::restore`], and if the snapshot is that of another stage.
    pub fn restore_stage(
        detector: Arc<Detector>,
        kind: Option<&str>,
        bytes: &[u8],
    ) -> Result<(Engine, i64), SnapshotError> {
        let mut engine = Engine::stage(detector, kind);
        let position = engine.refill(bytes)?;
        Ok((engine, position))
    }

    /// Gives an entity another id in all that is held: where it is looked up, and where it was counted among different ones.
    /// `field` is its field's name. Ids matter by being equal only, so every later feature is what it would have been.
    ///
    /// # Errors
    /// Never of a state that was written by this program.
    pub fn rename(&mut self, field: &str, old: &str, new: &str) -> Result<(), SnapshotError> {
        let bytes = renamed(&self.detector, &self.snapshot(0), field, old, new)?;
        let (detector, model) = (Arc::clone(&self.detector), self.model().cloned());
        let (only, shards) = (self.only.clone(), self.shards.len());
        let mut engine = match only {
            Some(kind) => Engine::stage(detector, Some(&kind)),
            None => Engine::new(detector, model, shards),
        };
        engine.refill(&bytes)?;
        *self = engine;
        Ok(())
    }

    fn refill(&mut self, bytes: &[u8]) -> Result<i64, SnapshotError> {
        let body_len = bytes.len().checked_sub(8).ok_or(SnapshotError::Unknown)?;
        let body = bytes[..body_len].strip_prefix(MAGIC).ok_or(SnapshotError::Unknown)?;
        if checksum(&bytes[..body_len]).to_le_bytes() != bytes[body_len..] {
            return Err(SnapshotError::Damaged(body_len));
        }
        let mut reader = Reader { bytes: body, at: 0 };
        let found = reader.text()?.to_string();
        let wanted = layout(&self.detector, self.only.as_deref());
        if found != wanted {
            return Err(SnapshotError::OtherFeatures { found, wanted });
        }
        let position = reader.word()?;
        let has_time = reader.word()? == 1;
        let stream_us = reader.instant()?;
        self.stream_us = has_time.then_some(stream_us);
        let mut entries = Vec::new();
        for kind in 0..self.plan.tables.len() {
            while let Some((key, newest_us)) = reader.entity(&mut entries)? {
                let hash = hash_text(key);
                let shard = owner(hash, self.shards.len() as u64);
                let table = &mut self.shards[shard].tables[kind];
                if !table.restore(key, hash, newest_us, &entries) {
                    return Err(SnapshotError::Damaged(reader.at));
                }
            }
        }
        if reader.at != body.len() {
            return Err(SnapshotError::Damaged(reader.at));
        }
        Ok(position)
    }
}

/// The log position that a snapshot stands at, told by its first bytes.
///
/// # Errors
/// If these are not the first bytes of a snapshot.
pub fn position_of(bytes: &[u8]) -> Result<i64, SnapshotError> {
    let body = bytes.strip_prefix(MAGIC).ok_or(SnapshotError::Unknown)?;
    let mut reader = Reader { bytes: body, at: 0 };
    reader.text()?;
    reader.word()
}

/// A snapshot of a whole engine in which an entity has another id; see [`Engine::rename`].
///
/// # Errors
/// If the bytes are no snapshot, are damaged, or belong to another feature list.
pub fn renamed(
    detector: &Arc<Detector>,
    bytes: &[u8],
    field: &str,
    old: &str,
    new: &str,
) -> Result<Vec<u8>, SnapshotError> {
    let (engine, position) = Engine::restore(Arc::clone(detector), None, 1, bytes)?;
    let index = detector.schema.index_of(field);
    let Some(slot) = index.and_then(|index| detector.schema.fields[index].kind.text_slot()) else {
        return Ok(bytes.to_vec());
    };
    let (old_value, new_value) = (text_value(old), text_value(new));
    let mut out = engine.head(position);
    for (kind, plan) in engine.plan.tables.iter().enumerate() {
        let columns: Vec<usize> = plan.columns_of_text(slot).collect();
        let mut words = Vec::new();
        engine.shards[0].tables[kind].dump(|key, newest_us, entries| {
            put_text(&mut out, if plan.by == slot && key == old { new } else { key });
            put(&mut out, newest_us);
            words.clear();
            for entry in entries {
                let start = words.len();
                words.extend_from_slice(entry);
                for word in columns.iter().map(|column| start + 1 + column) {
                    words[word] = if words[word] == old_value { new_value } else { words[word] };
                }
            }
            put(&mut out, words.len() as i64);
            words.iter().for_each(|word| put(&mut out, *word));
        });
        put_text(&mut out, "");
    }
    let sum = checksum(&out);
    out.extend_from_slice(&sum.to_le_bytes());
    Ok(out)
}

/// What the entries of a state mean: the feature list, and the settings outside of it that they depend on.
fn layout(detector: &Detector, only: Option<&str>) -> String {
    let schema = &detector.schema;
    let stage = only.map(|kind| format!(", stage {kind}")).unwrap_or_default();
    format!(
        "{} with {} decimals, lateness {}, time jump {}{stage}",
        detector.feature_fingerprint,
        schema.amount_decimals,
        format_duration(schema.max_lateness_us),
        format_duration(schema.max_time_jump_us),
    )
}

fn put(out: &mut Vec<u8>, word: i64) {
    out.extend_from_slice(&word.to_le_bytes());
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&(text.len() as u32).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

/// Tells a whole file from one that was cut or changed by accident.
fn checksum(bytes: &[u8]) -> u64 {
    use std::hash::{BuildHasher, Hasher};
    let mut hasher = foldhash::quality::FixedState::with_seed(3).build_hasher();
    hasher.write(bytes);
    hasher.finish()
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], SnapshotError> {
        let end = self.at.checked_add(count).ok_or(SnapshotError::Damaged(self.at))?;
        let taken = self.bytes.get(self.at..end).ok_or(SnapshotError::Damaged(self.at))?;
        self.at = end;
        Ok(taken)
    }

    fn word(&mut self) -> Result<i64, SnapshotError> {
        let bytes = self.take(8)?;
        Ok(i64::from_le_bytes(bytes.try_into().expect("eight bytes were taken")))
    }

    fn instant(&mut self) -> Result<i64, SnapshotError> {
        let at = self.at;
        self.word()
            .and_then(|us| if TIME_RANGE_US.contains(&us) { Ok(us) } else { Err(SnapshotError::Damaged(at)) })
    }

    fn text(&mut self) -> Result<&'a str, SnapshotError> {
        let bytes = self.take(4)?;
        let len = u32::from_le_bytes(bytes.try_into().expect("four bytes were taken"));
        let at = self.at;
        std::str::from_utf8(self.take(len as usize)?).map_err(|_| SnapshotError::Damaged(at))
    }

    /// The next entity's key and newest time, its entries into `entries`; `None` at the end of a kind.
    fn entity(&mut self, entries: &mut Vec<i64>) -> Result<Option<(&'a str, i64)>, SnapshotError> {
        let key = self.text()?;
        if key.is_empty() {
            return Ok(None);
        }
        let newest_us = self.instant()?;
        let count = usize::try_from(self.word()?).map_err(|_| SnapshotError::Damaged(self.at))?;
        let bytes = self.take(count.checked_mul(8).ok_or(SnapshotError::Damaged(self.at))?)?;
        entries.clear();
        entries.extend(
            bytes.chunks_exact(8).map(|word| i64::from_le_bytes(word.try_into().expect("chunks of eight"))),
        );
        Ok(Some((key, newest_us)))
    }
}
