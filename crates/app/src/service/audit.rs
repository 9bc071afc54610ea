//! Who did and saw what, noted for good: a thread of its own writes to the audit log, so that nobody who reads waits for it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use store::{AuditLog, Database, NewAuditEntry};
use tokio::sync::oneshot;

use super::access::KeyChange;
use super::api::Doors;
use super::pipeline::now_us;

/// Entries that may wait to be written.
const QUEUE: usize = 8_192;

/// Entries that are written at a time.
const AT_ONCE: usize = 256;

/// After a failure the log is tried again this much later.
const PAUSE: Duration = Duration::from_millis(500);

/// At the end, what waits gets this long.
const LAST_WRITE: Duration = Duration::from_secs(2);

/// An entry of this moment, without roles, detail and outcome.
pub fn entry(by: &str, action: &str, subject: &str) -> NewAuditEntry {
    NewAuditEntry {
        at_us: now_us(),
        by: by.to_string(),
        action: action.to_string(),
        subject: subject.to_string(),
        ..NewAuditEntry::default()
    }
}

/// The way to the audit log.
pub struct Audit {
    queue: SyncSender<Work>,
    state: Arc<State>,
    database: Option<Database>,
    data_dir: PathBuf,
}

#[derive(Default)]
struct State {
    /// Entries that found no room since the last that says so.
    lost: AtomicU64,
    /// Whether the last one could not be written.
    fails: AtomicBool,
}

enum Work {
    Note(NewAuditEntry),
    /// Whoever asks is told whether it is stored.
    Record(NewAuditEntry, oneshot::Sender<bool>),
    /// Told when all before it is written.
    Flush(SyncSender<()>),
}

impl Audit {
    /// Opens the log that belongs to a database, or that of the data folder, and starts the thread.
    ///
    /// # Errors
    /// If the log cannot be used.
    pub fn start(database: Option<Database>, data_dir: &Path) -> Result<Audit> {
        let log = AuditLog::open(database.as_ref(), data_dir).context("audit log")?;
        let (queue, work) = mpsc::sync_channel(QUEUE);
        let state = Arc::new(State::default());
        let writer = Writer {
            log: Some(log),
            state: Arc::clone(&state),
            database: database.clone(),
            data_dir: data_dir.to_path_buf(),
        };
        let thread = std::thread::Builder::new().name("audit".into()).spawn(move || writer.run(&work));
        thread.context("cannot start the audit log's thread")?;
        Ok(Audit { queue, state, database, data_dir: data_dir.to_path_buf() })
    }

    /// Notes what was seen or done, and waits for nothing. Where the queue is full the entry is lost; how many were is
    /// noted as soon as there is room.
    pub fn note(&self, entry: NewAuditEntry) {
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) =
            self.queue.try_send(Work::Note(entry))
        {
            self.state.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Notes what was changed; it is stored when this returns.
    ///
    /// # Errors
    /// If it is not stored.
    pub async fn record(&self, entry: NewAuditEntry) -> Result<()> {
        let (done, stored) = oneshot::channel();
        if self.queue.try_send(Work::Record(entry, done)).is_err() {
            self.state.lost.fetch_add(1, Ordering::Relaxed);
            bail!("the queue to the audit log is full");
        }
        if !stored.await.unwrap_or(false) {
            bail!("the audit log cannot be written");
        }
        Ok(())
    }

    /// Whether the last entry could be written. Where it could not, nothing should be changed.
    pub fn is_writable(&self) -> bool {
        !self.state.fails.load(Ordering::Relaxed)
    }

    /// A connection for reading. Not from a thread that drives a runtime.
    ///
    /// # Errors
    /// If it cannot be had.
    pub fn reader(&self) -> store::Result<AuditLog> {
        AuditLog::open_reader(self.database.as_ref(), &self.data_dir)
    }

    /// Waits a while for what is not written yet.
    pub fn finish(&self) {
        let (told, written) = mpsc::sync_channel(1);
        if self.queue.try_send(Work::Flush(told)).is_err() || written.recv_timeout(LAST_WRITE).is_err() {
            tracing::error!("the last entries of the audit log may be missing");
        }
    }
}

/// Keeps keys and certificate fresh, and notes which keys were added and revoked.
pub async fn follow_access(api: Arc<Doors>) {
    let noted = |change: KeyChange| {
        tracing::info!(
            action = change.action,
            name = change.name,
            role = change.role,
            "the file of keys has changed"
        );
        let (detail, outcome) = (format!("role {}", change.role), "ok".to_string());
        api.audit.note(NewAuditEntry {
            detail,
            outcome,
            ..entry("the file of keys", change.action, &change.name)
        });
    };
    api.access.watch(noted).await;
}

/// The thread's side.
struct Writer {
    /// `None` after a failure, until it is opened again.
    log: Option<AuditLog>,
    state: Arc<State>,
    database: Option<Database>,
    data_dir: PathBuf,
}

impl Writer {
    fn run(mut self, queue: &Receiver<Work>) {
        while let Ok(first) = queue.recv() {
            let mut entries = Vec::new();
            let mut told = Vec::new();
            let mut flushed = Vec::new();
            for work in std::iter::once(first).chain(queue.try_iter()).take(AT_ONCE) {
                match work {
                    Work::Note(entry) => entries.push(entry),
                    Work::Record(entry, done) => {
                        entries.push(entry);
                        told.push(done);
                    }
                    Work::Flush(done) => flushed.push(done),
                }
            }
            self.store(entries, told);
            // Whoever waited for the end may have given up.
            flushed.into_iter().for_each(|done| done.send(()).unwrap_or_default());
        }
    }

    /// Stores entries, again and again; who waits for one is told of the first failure.
    fn store(&mut self, mut entries: Vec<NewAuditEntry>, mut told: Vec<oneshot::Sender<bool>>) {
        let lost = self.state.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            tracing::error!(lost, "entries of the audit log found no room in its queue");
            let detail = format!("{lost} entries found no room in the queue");
            let outcome = "failed".to_string();
            entries.push(NewAuditEntry { detail, outcome, ..entry("redflag", "audit.lost", "audit") });
        }
        while let Err(error) = self.try_store(&entries) {
            tracing::error!(%error, entries = entries.len(), "the audit log cannot be written");
            self.state.fails.store(true, Ordering::Relaxed);
            // Who is told of the failure may have gone.
            told.drain(..).for_each(|done| done.send(false).unwrap_or_default());
            std::thread::sleep(PAUSE);
        }
        self.state.fails.store(false, Ordering::Relaxed);
        // It is stored, whether somebody still wants to know or not.
        told.drain(..).for_each(|done| done.send(true).unwrap_or_default());
    }

    fn try_store(&mut self, entries: &[NewAuditEntry]) -> store::Result<()> {
        let mut log = match self.log.take() {
            Some(log) => log,
            None => AuditLog::open(self.database.as_ref(), &self.data_dir)?,
        };
        log.append(entries)?;
        self.log = Some(log);
        Ok(())
    }
}
