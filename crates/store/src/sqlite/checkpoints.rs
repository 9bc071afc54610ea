//! A thread of its own that moves the write-ahead log into the database file.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::LOG_PAGES_MAX;

/// How often the log is moved into the database file, and made safe against the loss of power where commits are not.
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(1);

/// A nice value: on a busy machine a decision comes first. Not the highest, with which it hardly runs beside a busy writer, and the
/// log grows until the writer has to wait for it.
const PRIORITY: i32 = 5;

/// A checkpoint that takes no longer has left little to do.
const SHORT: Duration = Duration::from_millis(30);

/// Checkpoints one after the other, at the most, until one is short.
const TURNS_MAX: usize = 8;

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
            // Without the right to step back it works all the same.
            rustix::process::setpriority_process(Some(rustix::thread::gettid()), PRIORITY).ok();
            while !stopped.load(Ordering::Acquire) {
                std::thread::park_timeout(CHECKPOINT_INTERVAL);
                // A checkpoint that fails is tried again a second later; the log holds everything meanwhile.
                if let Ok(found) = checkpoint(&connection) {
                    pages.store(found, Ordering::Release);
                }
            }
        });
        Checkpoints { stop, log_pages, thread: thread.ok() }
    }
}

/// Moves the log into the file and gives its length in pages. A long log is followed until little of it is left: what is left then
/// is the writer's to move, who decides nothing meanwhile.
fn checkpoint(connection: &Connection) -> rusqlite::Result<i64> {
    let mut pages = 0;
    for _ in 0..TURNS_MAX {
        let began = Instant::now();
        pages = connection.query_row("PRAGMA wal_checkpoint(passive)", [], |row| row.get(1))?;
        if pages <= LOG_PAGES_MAX || began.elapsed() < SHORT {
            break;
        }
    }
    Ok(pages)
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
