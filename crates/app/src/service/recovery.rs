//! From the log and a snapshot to the state, and where both are kept.
//!
//! The log is the truth: transactions and labels in the database, in order. A snapshot saves time. The base, written
//! once, is the state before the log begins: empty, or filled by history. Base and log together give the state at any
//! position, which is how a stored decision is recomputed.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use engine::{Decisions, Detector, Engine, EventBatch, Model};
use lab::dataset::EventReader;
use store::{LogEntry, Store, Versions};

/// Entries of the log that are read at a time.
const PAGE: usize = 10_000;

/// Where a snapshot says what it is of.
const HEAD_BYTES: u64 = 4_096;

/// A decision that the base has passed: what was known before it is no longer kept.
#[derive(Debug, thiserror::Error)]
#[error("what was known before this decision is no longer kept (`retention`)")]
pub struct Gone;

/// The data folder of one service.
#[derive(Debug, Clone)]
pub struct Recovery {
    data_dir: PathBuf,
    /// Held by whoever makes a new base of what stands in base and log.
    base_changes: Arc<Mutex<()>>,
}

/// What decisions of this detector and model are made with.
pub fn versions(detector: &Detector, model: Option<&str>) -> Versions {
    Versions {
        detector: detector.name.clone(),
        feature_fingerprint: detector.feature_fingerprint.clone(),
        rules_fingerprint: detector.rules_fingerprint.clone(),
        model: model.map(str::to_string),
        feature_names: detector.feature_names(),
    }
}

impl Recovery {
    /// Recovery from this data folder.
    pub fn new(data_dir: &Path) -> Recovery {
        Recovery { data_dir: data_dir.to_path_buf(), base_changes: Arc::default() }
    }

    /// Where all is kept.
    pub fn folder(&self) -> &Path {
        &self.data_dir
    }

    fn latest(&self) -> PathBuf {
        self.data_dir.join("state.snapshot")
    }

    fn base(&self) -> PathBuf {
        self.data_dir.join("base.snapshot")
    }

    /// Whether a base was written.
    pub fn has_base(&self) -> bool {
        self.base().exists()
    }

    /// Writes the newest snapshot, whole or not at all.
    ///
    /// # Errors
    /// If the folder cannot be written.
    pub fn write(&self, bytes: &[u8]) -> Result<()> {
        write_whole(&self.latest(), bytes)
    }

    /// Writes the base: the state before the log begins.
    ///
    /// # Errors
    /// If the folder cannot be written.
    pub fn write_base(&self, bytes: &[u8]) -> Result<()> {
        write_whole(&self.base(), bytes)
    }

    /// The state at the end of the log, and the next position. `progress` is told how many entries were replayed.
    ///
    /// # Errors
    /// If the store refuses, or the base belongs to another detector.
    pub fn restore(
        &self,
        detector: &Arc<Detector>,
        model: Option<Model>,
        store: &mut dyn Store,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(Engine, i64)> {
        let last = store.last_position()?;
        let base = self.base_position()?;
        let (mut engine, position) = match self.read(&self.latest(), detector, &model).ok().flatten() {
            Some(found) if found.1 <= last && found.1 >= base => found,
            // The base has moved past it: what is between may be deleted.
            Some(found) if found.1 < base => self.base_engine(detector, model)?,
            Some(_) => {
                // It has seen what the log has lost, by a loss of power. Left there, it would seem right as soon as the
                // log has grown past its position with other events.
                self.remove_latest()?;
                self.base_engine(detector, model)?
            }
            None => self.base_engine(detector, model)?,
        };
        replay_log(&mut engine, store, position, last, progress)?;
        Ok((engine, last + 1))
    }

    fn remove_latest(&self) -> Result<()> {
        let path = self.latest();
        std::fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))
    }

    /// The state just before the entry at `position`, from the base and the log.
    ///
    /// # Errors
    /// As [`Recovery::restore`].
    pub fn restore_before(
        &self,
        position: i64,
        detector: &Arc<Detector>,
        model: Option<Model>,
        store: &mut dyn Store,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Engine> {
        let (mut engine, from) = self.base_engine(detector, model)?;
        if position <= from {
            return Err(Gone.into());
        }
        replay_log(&mut engine, store, from, position - 1, progress)?;
        Ok(engine)
    }

    /// The last position of the log that the base contains; -1 if it contains none.
    ///
    /// # Errors
    /// If the base cannot be read.
    pub fn base_position(&self) -> Result<i64> {
        let path = self.base();
        let mut head = Vec::new();
        match File::open(&path).and_then(|file| file.take(HEAD_BYTES).read_to_end(&mut head)) {
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(-1),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
        engine::snapshot::position_of(&head).with_context(|| format!("cannot use {}", path.display()))
    }

    /// Moves the base forward, so that it contains the log up to and including `position`.
    ///
    /// # Errors
    /// If the store refuses, or the folder cannot be written.
    pub fn move_base(&self, position: i64, detector: &Arc<Detector>, store: &mut dyn Store) -> Result<()> {
        let _alone = self.base_changes.lock().unwrap_or_else(PoisonError::into_inner);
        let engine = self.restore_before(position + 1, detector, None, store, &mut |_| {})?;
        self.write_base(&engine.snapshot(position))
    }

    /// Gives an entity another id in both snapshots.
    ///
    /// # Errors
    /// If one cannot be read or written.
    pub fn rename(&self, detector: &Arc<Detector>, field: &str, old: &str, new: &str) -> Result<()> {
        let _alone = self.base_changes.lock().unwrap_or_else(PoisonError::into_inner);
        for path in [self.latest(), self.base()].iter().filter(|path| path.exists()) {
            let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
            let renamed = engine::snapshot::renamed(detector, &bytes, field, old, new);
            write_whole(path, &renamed.with_context(|| format!("cannot use {}", path.display()))?)?;
        }
        Ok(())
    }

    fn base_engine(&self, detector: &Arc<Detector>, model: Option<Model>) -> Result<(Engine, i64)> {
        match self.read(&self.base(), detector, &model)? {
            Some(found) => Ok(found),
            None => Ok((Engine::new(Arc::clone(detector), model, 1), -1)),
        }
    }

    fn read(
        &self,
        path: &Path,
        detector: &Arc<Detector>,
        model: &Option<Model>,
    ) -> Result<Option<(Engine, i64)>> {
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        };
        let restored = Engine::restore(Arc::clone(detector), model.clone(), 1, &bytes);
        Ok(Some(restored.with_context(|| format!("cannot use {}", path.display()))?))
    }
}

fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let partial = path.with_extension("partial");
    std::fs::write(&partial, bytes)
        .and_then(|()| std::fs::rename(&partial, path))
        .with_context(|| format!("cannot write {}", path.display()))
}

/// Enters the log after `position`, up to and including `last`.
fn replay_log(
    engine: &mut Engine,
    store: &mut dyn Store,
    mut position: i64,
    last: i64,
    progress: &mut dyn FnMut(u64),
) -> Result<()> {
    let schema = Arc::new(engine.detector().schema.clone());
    let mut replayer = Replayer {
        reader: EventReader::without_labels(&schema),
        batch: EventBatch::new(schema),
        first_sequence: 0,
        decisions: Decisions::default(),
    };
    let mut done = 0;
    while position < last {
        let page = store.log(position, PAGE)?;
        let Some(newest) = page.last() else { break };
        position = newest.sequence();
        for entry in page.iter().take_while(|entry| entry.sequence() <= last) {
            replayer.enter(engine, entry)?;
            done += 1;
        }
        replayer.flush(engine);
        progress(done);
    }
    Ok(())
}

/// Gathers transactions whose positions follow each other into batches.
struct Replayer {
    reader: EventReader,
    batch: EventBatch,
    first_sequence: i64,
    decisions: Decisions,
}

impl Replayer {
    fn enter(&mut self, engine: &mut Engine, entry: &LogEntry) -> Result<()> {
        match entry {
            LogEntry::Transaction { sequence, event } => {
                if *sequence != self.first_sequence + self.batch.len() as i64 {
                    self.flush(engine);
                    self.first_sequence = *sequence;
                }
                self.read(event, *sequence)
            }
            LogEntry::Label { sequence, transaction_sequence, event, fraud } => {
                self.flush(engine);
                self.read(event, *sequence)?;
                engine.learn(&self.batch, 0, *transaction_sequence, *fraud);
                self.batch.clear();
                self.first_sequence = sequence + 1;
                Ok(())
            }
        }
    }

    fn read(&mut self, event: &str, sequence: i64) -> Result<()> {
        let read = self.reader.read(event.as_bytes(), &mut self.batch);
        read.with_context(|| format!("entry {sequence} of the log is not an event of this detector"))
    }

    fn flush(&mut self, engine: &mut Engine) {
        engine.observe(&self.batch, self.first_sequence, &mut self.decisions);
        self.first_sequence += self.batch.len() as i64;
        self.batch.clear();
    }
}
