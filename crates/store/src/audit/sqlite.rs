//! The audit log as a file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension, Row, TransactionBehavior, params};

use super::{AuditEntry, AuditFilter, Chain, Hash, Kept, NewAuditEntry};
use crate::Result;

/// Others that add are done within milliseconds.
const PATIENCE: Duration = Duration::from_secs(5);

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS audit (
    number INTEGER PRIMARY KEY,
    at_us INTEGER NOT NULL,
    by TEXT NOT NULL,
    roles TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    detail TEXT NOT NULL,
    outcome TEXT NOT NULL,
    hash BLOB NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS audit_by ON audit (by, number);
CREATE INDEX IF NOT EXISTS audit_action ON audit (action, number);
CREATE TRIGGER IF NOT EXISTS audit_not_changed BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit log is only added to'); END;
CREATE TRIGGER IF NOT EXISTS audit_not_deleted BEFORE DELETE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit log is only added to'); END;
";

const COLUMNS: &str = "number, at_us, by, roles, action, subject, detail, outcome, hash";

/// The file in a data folder.
pub fn path(data_dir: &Path) -> PathBuf {
    data_dir.join("audit.db")
}

pub struct File(Connection);

impl File {
    pub fn open(path: &Path) -> Result<File> {
        let connection = Connection::open(path)?;
        connection.busy_timeout(PATIENCE)?;
        connection.pragma_update(None, "journal_mode", "wal")?;
        // The disk has an entry before anybody is told that it is noted.
        connection.pragma_update(None, "synchronous", "full")?;
        connection.execute_batch(SCHEMA)?;
        Ok(File(connection))
    }

    pub fn open_reader(path: &Path) -> Result<File> {
        let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        connection.busy_timeout(PATIENCE)?;
        Ok(File(connection))
    }
}

impl Kept for File {
    fn append(&mut self, entries: &[NewAuditEntry]) -> Result<()> {
        let transaction = self.0.transaction_with_behavior(TransactionBehavior::Immediate)?;
        {
            let last = "SELECT number, hash FROM audit ORDER BY number DESC LIMIT 1";
            let last = transaction.query_row(last, [], |row| Ok((row.get(0)?, Hash(row.get(1)?))));
            let (number, hash) = last.optional()?.unwrap_or_default();
            let mut insert = transaction.prepare_cached(&format!(
                "INSERT INTO audit ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
            ))?;
            for (number, hash, entry) in (Chain { number, hash, flaw: None }).link(entries) {
                insert.execute(params![
                    number,
                    entry.at_us,
                    entry.by,
                    entry.roles,
                    entry.action,
                    entry.subject,
                    entry.detail,
                    entry.outcome,
                    hash.0
                ])?;
            }
        }
        Ok(transaction.commit()?)
    }

    fn newest(&mut self, filter: &AuditFilter) -> Result<Vec<AuditEntry>> {
        let (least, beyond) = filter.actions();
        let sql = format!(
            "SELECT {COLUMNS} FROM audit WHERE (?1 IS NULL OR number < ?1) AND (?2 IS NULL OR by = ?2) \
             AND (?3 IS NULL OR action >= ?3) AND (?4 IS NULL OR action < ?4) AND (?5 IS NULL OR at_us >= ?5) \
             AND (?6 IS NULL OR at_us < ?6) ORDER BY number DESC LIMIT ?7"
        );
        let limit = filter.limit.min(i64::MAX as usize) as i64;
        let mut statement = self.0.prepare_cached(&sql)?;
        let wanted = params![filter.before, filter.by, least, beyond, filter.from_us, filter.to_us, limit];
        let rows = statement.query_map(wanted, read)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    fn after(&mut self, number: i64, limit: usize) -> Result<Vec<AuditEntry>> {
        let sql = format!("SELECT {COLUMNS} FROM audit WHERE number > ? ORDER BY number LIMIT ?");
        let mut statement = self.0.prepare_cached(&sql)?;
        let rows = statement.query_map(params![number, limit as i64], read)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}

fn read(row: &Row) -> rusqlite::Result<AuditEntry> {
    let entry = NewAuditEntry {
        at_us: row.get(1)?,
        by: row.get(2)?,
        roles: row.get(3)?,
        action: row.get(4)?,
        subject: row.get(5)?,
        detail: row.get(6)?,
        outcome: row.get(7)?,
    };
    // A hash of another length is no hash of ours: it will be seen to be wrong.
    let hash = Hash::of(row.get_ref(8)?.as_blob().unwrap_or_default()).unwrap_or_default();
    Ok(AuditEntry { number: row.get(0)?, entry, hash })
}
