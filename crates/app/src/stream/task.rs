//! The state of one partition of one stage.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use engine::{Detector, Engine, EventBatch};

use super::chain::Link;
use super::intake::Origin;
use super::seen::SeenIds;

/// First bytes of a task's snapshot; the digit is the version of the format.
const MAGIC: &[u8; 8] = b"RFTASK1\n";

/// Bytes before the list of ids: magic, next offset, newest time, length of the list.
const HEAD: usize = 32;

/// No event yet.
const NO_TIME: i64 = i64::MIN;

/// The state of one partition of one stage: what comes before `next_offset` is in it, and nothing else.
pub struct Task {
    /// The windows of the partition's entities.
    pub engine: Engine,
    /// Ids that were seen before; the first stage's only.
    pub seen: SeenIds,
    /// Offset of the next message.
    pub next_offset: i64,
    /// Newest event time.
    pub newest_us: Option<i64>,
    /// Rows entered since the last snapshot.
    pub since_snapshot: u64,
}

impl Task {
    /// A task without a past.
    pub fn new(detector: &Arc<Detector>, link: &Link, ids_remembered: u64) -> Task {
        Task {
            engine: Engine::stage(Arc::clone(detector), link.kind.as_deref()),
            seen: SeenIds::new(ids_remembered),
            next_offset: 0,
            newest_us: None,
            since_snapshot: 0,
        }
    }

    /// Learns what a transaction was, which stands in row `row` and stood at `origin`.
    pub fn learn(&mut self, batch: &EventBatch, row: usize, origin: Origin, fraud: bool) {
        if origin.is_known() {
            self.engine.learn(batch, row, origin.position(), fraud);
        } else {
            self.engine.learn_by_time(batch, row, fraud);
        }
        self.since_snapshot += 1;
    }

    /// The state as bytes.
    pub fn snapshot(&self) -> Vec<u8> {
        let mut ids = Vec::new();
        self.seen.write(&mut ids);
        let engine = self.engine.snapshot(self.next_offset - 1);
        let mut out = Vec::with_capacity(HEAD + ids.len() + engine.len());
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&self.next_offset.to_le_bytes());
        out.extend_from_slice(&self.newest_us.unwrap_or(NO_TIME).to_le_bytes());
        out.extend_from_slice(&(ids.len() as u64).to_le_bytes());
        out.extend_from_slice(&ids);
        out.extend_from_slice(&engine);
        out
    }

    /// Restores what [`Task::snapshot`] wrote.
    ///
    /// # Errors
    /// If it is damaged, or belongs to another detector or stage.
    pub fn restore(detector: &Arc<Detector>, link: &Link, ids_remembered: u64, bytes: &[u8]) -> Result<Task> {
        if bytes.len() < HEAD || !bytes.starts_with(MAGIC) {
            bail!("not a snapshot of a partition of this version");
        }
        let word = |at: usize| -> [u8; 8] { bytes[at..at + 8].try_into().expect("the head was measured") };
        let newest_us = i64::from_le_bytes(word(16));
        let ids_end =
            usize::try_from(u64::from_le_bytes(word(24))).ok().and_then(|len| len.checked_add(HEAD));
        let ids = ids_end.and_then(|end| bytes.get(HEAD..end)).context("the snapshot is cut off")?;
        let seen = SeenIds::read(ids_remembered, ids).context("the snapshot is damaged")?;
        let state = &bytes[HEAD + ids.len()..];
        let (engine, position) = Engine::restore_stage(Arc::clone(detector), link.kind.as_deref(), state)?;
        let next_offset = i64::from_le_bytes(word(8));
        if position != next_offset - 1 {
            bail!("the snapshot is damaged");
        }
        let newest_us = (newest_us != NO_TIME).then_some(newest_us);
        Ok(Task { engine, seen, next_offset, newest_us, since_snapshot: 0 })
    }
}
