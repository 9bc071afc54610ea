//! A thread of its own that moves the write-ahead log into the database file.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::Connection;

/// How often the log is moved into the database file, and made safe against the loss of power where commits are not.
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(1);

/// The highest nice value.
const LEAST_PRIORITY: i32 = 19;

/// The thread; it ends when this is dropped.
pub(super) struct Checkpoints {
    stop: Arc<AtomicBool>,
    /// Pages in the log at the last checkpoint.
    pub(super) log_pages: Arc<AtomicI64>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpoints {
    pub(super) fn start(path: PathBuf) -> Checkpoints {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let log_pages = Arc::new(AtomicI64::new(0));
        let pages = Arc::clone(&log_pages);
        let thread = std::thread::Builder::new().name("checkpoint".into()).spawn(move || {
            let Ok(connection) = Connection::open(&path) else { return };
            // On a busy machine a decision comes first. Without the right to step back it works all the same.
            rustix::process::setpriority_process(Some(rustix::thread::gettid()), LEAST_PRIORITY).ok();
            while !stopped.load(Ordering::Acquire) {
                std::thread::park_timeout(CHECKPOINT_INTERVAL);
                // A checkpoint that fails is tried again a second later; the log holds everything meanwhile.
                if let Ok(found) =
                    connection.query_row("PRAGMA wal_checkpoint(passive)", [], |row| row.get(1))
                {
                    pages.store(found, Ordering::Release);
                }
            }
        });
        Checkpoints { stop, log_pages, thread: thread.ok() }
    }
}

impl Drop for Checkpoints {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // The thread cannot panic, and there is nobody left to tell.
            drop(thread.join());
        }
    }
}
