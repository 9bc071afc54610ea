//! The audit log: who did and saw what. Entries are only ever added, and chained by their hashes, so that a change of one
//! shows in all that follow.
//!
//! It never waits for the log of decisions, nor holds it up: beside SQLite (and where nothing is stored) it is a file of
//! its own, `audit.db` in the data folder; in PostgreSQL a table of its own, over a connection of its own. Several
//! processes may add to one log.

mod chain;
mod postgres;
mod sqlite;

use std::fmt::Write as _;
use std::path::Path;

pub use self::chain::{Chain, Flaw};
use crate::{Database, Result};

/// Entries that are read at a time to check the chain.
const CHECKED_AT_ONCE: usize = 10_000;

/// What is to be noted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewAuditEntry {
    /// When it happened, in microseconds since 1970.
    pub at_us: i64,
    /// Who did it: the name of a key or of a person, or of a part of the service.
    pub by: String,
    /// The roles that they had, comma-separated; empty where nobody is asked who they are.
    pub roles: String,
    /// What was done, as `rules.publish` or `decision.read`.
    pub action: String,
    /// What it was done to.
    pub subject: String,
    /// A few words more.
    pub detail: String,
    /// What came of it: an HTTP status, `ok` or `failed`.
    pub outcome: String,
}

impl NewAuditEntry {
    /// PostgreSQL's text cannot hold NUL, and an entry that it refuses would be in the way of all others for ever.
    fn without_nul(&self) -> NewAuditEntry {
        let clean = |text: &String| text.replace('\0', "\u{FFFD}");
        NewAuditEntry {
            at_us: self.at_us,
            by: clean(&self.by),
            roles: clean(&self.roles),
            action: clean(&self.action),
            subject: clean(&self.subject),
            detail: clean(&self.detail),
            outcome: clean(&self.outcome),
        }
    }
}

/// What was noted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// Its number, from 1 without gaps.
    pub number: i64,
    /// What it says.
    pub entry: NewAuditEntry,
    /// SHA-256 over the hash before it and all of the entry.
    pub hash: Hash,
}

/// A link of the chain.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// The hash in 64 hexadecimal digits.
    pub fn hex(&self) -> String {
        self.0.iter().fold(String::with_capacity(64), |mut text, byte| {
            // A string takes all that is written to it.
            let _infallible = write!(text, "{byte:02x}");
            text
        })
    }

    fn of(bytes: &[u8]) -> Option<Hash> {
        Some(Hash(bytes.try_into().ok()?))
    }
}

/// Which entries are wanted, the newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Only those before this number.
    pub before: Option<i64>,
    /// Only by this one.
    pub by: Option<String>,
    /// Only this action; `rules.*` for all that begin with `rules.`.
    pub action: Option<String>,
    /// From this time on, in microseconds.
    pub from_us: Option<i64>,
    /// Before this time, in microseconds.
    pub to_us: Option<i64>,
    /// At most so many.
    pub limit: usize,
}

impl AuditFilter {
    /// The least and the first too great name of an action that is wanted.
    fn actions(&self) -> (Option<String>, Option<String>) {
        let Some(action) = &self.action else { return (None, None) };
        match action.strip_suffix('*') {
            // No character of an action comes after this one.
            Some(prefix) => (Some(prefix.to_string()), Some(format!("{prefix}\u{10FFFF}"))),
            None => (Some(action.clone()), Some(format!("{action}\u{1}"))),
        }
    }
}

/// Where entries are kept.
trait Kept: Send {
    fn append(&mut self, entries: &[NewAuditEntry]) -> Result<()>;
    fn newest(&mut self, filter: &AuditFilter) -> Result<Vec<AuditEntry>>;
    /// In their order, those with a greater number.
    fn after(&mut self, number: i64, limit: usize) -> Result<Vec<AuditEntry>>;
}

/// An audit log.
pub struct AuditLog(Box<dyn Kept>);

impl AuditLog {
    /// Opens or creates the log that belongs to a database; without one, that of the data folder.
    ///
    /// # Errors
    /// If it cannot be used.
    pub fn open(database: Option<&Database>, data_dir: &Path) -> Result<AuditLog> {
        Ok(AuditLog(match database {
            Some(Database::Postgres { address, .. }) => Box::new(postgres::Table::open(address)?),
            _ => Box::new(sqlite::File::open(&sqlite::path(data_dir))?),
        }))
    }

    /// Opens it for reading, beside those who write.
    ///
    /// # Errors
    /// If there is none.
    pub fn open_reader(database: Option<&Database>, data_dir: &Path) -> Result<AuditLog> {
        Ok(AuditLog(match database {
            Some(Database::Postgres { address, .. }) => Box::new(postgres::Table::open_reader(address)?),
            _ => Box::new(sqlite::File::open_reader(&sqlite::path(data_dir))?),
        }))
    }

    /// Adds entries, all or none; stored when it returns.
    ///
    /// # Errors
    /// If the database refuses.
    pub fn append(&mut self, entries: &[NewAuditEntry]) -> Result<()> {
        let entries: Vec<NewAuditEntry> = entries.iter().map(NewAuditEntry::without_nul).collect();
        if entries.is_empty() { Ok(()) } else { self.0.append(&entries) }
    }

    /// Those that a filter wants, the newest first.
    ///
    /// # Errors
    /// If the database refuses.
    pub fn entries(&mut self, filter: &AuditFilter) -> Result<Vec<AuditEntry>> {
        self.0.newest(filter)
    }

    /// Goes over all entries and checks that each follows from the one before. `progress` is told how many were.
    ///
    /// # Errors
    /// If the database refuses. That an entry was changed is no error: [`Chain::flaw`] says so.
    pub fn verify(&mut self, progress: &mut dyn FnMut(u64)) -> Result<Chain> {
        let mut chain = Chain::default();
        loop {
            let entries = self.0.after(chain.number, CHECKED_AT_ONCE)?;
            if entries.is_empty() || !entries.iter().all(|entry| chain.take(entry)) {
                return Ok(chain);
            }
            progress(chain.number as u64);
        }
    }
}
