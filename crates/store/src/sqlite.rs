//! SQLite in one file, with a write-ahead log.
//!
//! Commits append to the log and never wait for the database file: moving the log into it (a checkpoint) is done by a
//! thread of its own, because in the middle of a commit it would stall every answer that waits for that commit.

mod alerts;
mod checkpoints;
mod forget;
mod rows;
mod write;

use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use engine::Outcome;
use rusqlite::{Connection, OpenFlags, OptionalExtension, params};

use self::checkpoints::Checkpoints;
use self::rows::{COLUMNS, read_decision, read_log_entry, read_totals};
use self::write::Counts;
use crate::{
    AlertChange, AlertCounts, AlertFilter, AlertRecord, BriefEntry, Erased, Erasure, Filter, Group, LogEntry,
    Made, NewLabel, NewRejection, Record, Result, ShadowScore, Shape, Store, StoreError, StoredAlert,
    StoredDecision, Totals, Versions,
};

/// The schema, one step a version. A released step is never edited.
const MIGRATIONS: [&str; 7] = [
    include_str!("../migrations/sqlite/0001_decisions.sql"),
    include_str!("../migrations/sqlite/0002_reasons.sql"),
    include_str!("../migrations/sqlite/0003_origins.sql"),
    include_str!("../migrations/sqlite/0004_shadow_scores.sql"),
    include_str!("../migrations/sqlite/0005_marks.sql"),
    include_str!("../migrations/sqlite/0006_alerts.sql"),
    include_str!("../migrations/sqlite/0007_fallbacks.sql"),
];

/// The schema version from which on decisions have reasons.
const REASONS_SINCE: i64 = 2;

/// The schema version from which on decisions have origins.
const ORIGINS_SINCE: i64 = 3;

/// The schema version from which on there are challengers.
const SHADOW_SINCE: i64 = 4;

/// The schema version from which on decisions say what made them.
const MARKS_SINCE: i64 = 5;

/// The schema version from which on there are alerts.
const ALERTS_SINCE: i64 = 6;

/// The schema version from which on decisions say what was answered instead.
const FALLBACKS_SINCE: i64 = 7;

/// How long the one writer waits for a person with a shell on the database. Its callers can be told to try again, and
/// that is better than to let them wait.
const WRITER_PATIENCE: Duration = Duration::from_millis(250);

/// How long a reader waits.
const READER_PATIENCE: Duration = Duration::from_secs(5);

/// When the log has grown beyond this (about 50 MB), the writer itself moves the rest of it, so that it starts anew. A log that is short
/// stays in memory and stops growing early: its blocks are allocated, and commits do not wait for the file system.
const LOG_PAGES_MAX: i64 = 12_000;

/// What a commit waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sync {
    /// The operating system has it: it survives the death of the process, and within a second that of the machine.
    Interval,
    /// The disk has it: it survives the loss of power. As slow as the disk's flush.
    Commit,
}

/// A SQLite database of decisions.
pub struct Sqlite {
    path: PathBuf,
    connection: Connection,
    versions: HashMap<i64, Arc<Versions>>,
    counts: Counts,
    checkpoints: Option<Checkpoints>,
    /// The schema of the file: a reader takes it as it is.
    schema: i64,
}

impl Sqlite {
    /// Opens or creates the database for writing.
    ///
    /// # Errors
    /// If the file cannot be used, or a newer program wrote it.
    pub fn open(path: &Path, sync: Sync) -> Result<Sqlite> {
        check_writable(path)?;
        // One value is used by one thread at a time: SQLite need not guard against two.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(WRITER_PATIENCE)?;
        connection.pragma_update(None, "journal_mode", "wal")?;
        connection.pragma_update(
            None,
            "synchronous",
            if sync == Sync::Commit { "full" } else { "normal" },
        )?;
        connection.pragma_update(None, "wal_autocheckpoint", 0)?;
        connection.pragma_update(None, "cache_size", -65_536)?;
        migrate(&connection)?;
        connection.set_prepared_statement_cache_capacity(64);
        let checkpoints = Checkpoints::start(path.to_path_buf());
        let mut sqlite = Sqlite::with(path, connection, Some(checkpoints))?;
        sqlite.counts = Counts::read(&sqlite.connection)?;
        Ok(sqlite)
    }

    /// Opens the database for reading, beside a writer.
    ///
    /// # Errors
    /// If there is no such database.
    pub fn open_reader(path: &Path) -> Result<Sqlite> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(READER_PATIENCE)?;
        Sqlite::with(path, connection, None)
    }

    /// The version of SQLite that is built in.
    pub fn library_version() -> &'static str {
        rusqlite::version()
    }

    /// The database file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn with(path: &Path, connection: Connection, checkpoints: Option<Checkpoints>) -> Result<Sqlite> {
        let schema = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        Ok(Sqlite {
            path: path.to_path_buf(),
            connection,
            versions: HashMap::new(),
            counts: Counts::default(),
            checkpoints,
            schema,
        })
    }

    /// What is read of a decision.
    fn columns(&self) -> String {
        let reasons = if self.schema >= REASONS_SINCE { "reasons" } else { "NULL AS reasons" };
        let origin = if self.schema >= ORIGINS_SINCE {
            "origin_partition, origin_offset"
        } else {
            "NULL AS origin_partition, NULL AS origin_offset"
        };
        let fallback = if self.schema >= FALLBACKS_SINCE { "fallback" } else { "NULL AS fallback" };
        format!("{COLUMNS}, {reasons}, {origin}, {} AS mark, {fallback}", self.mark())
    }

    /// What is found of alerts; nothing in a file of before there were any.
    fn if_alerts<T: Default>(&self, find: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        if self.schema >= ALERTS_SINCE { find(&self.connection) } else { Ok(T::default()) }
    }

    /// What made a transaction, in SQL.
    fn mark(&self) -> &'static str {
        if self.schema >= MARKS_SINCE { "mark" } else { "CASE WHEN synthetic THEN 'simulator' END" }
    }

    fn versions(&mut self, id: i64) -> Result<Arc<Versions>> {
        if let Some(versions) = self.versions.get(&id) {
            return Ok(Arc::clone(versions));
        }
        let mut statement = self.connection.prepare_cached(
            "SELECT detector, feature_fingerprint, rules_fingerprint, model, feature_names FROM versions WHERE id = ?",
        )?;
        let versions = statement.query_row([id], |row| {
            Ok(Versions {
                detector: row.get(0)?,
                feature_fingerprint: row.get(1)?,
                rules_fingerprint: row.get(2)?,
                model: row.get(3)?,
                feature_names: row.get::<_, String>(4)?.lines().map(str::to_string).collect(),
            })
        })?;
        let versions = Arc::new(versions);
        self.versions.insert(id, Arc::clone(&versions));
        Ok(versions)
    }

    fn query(&mut self, sql: &str, parameters: &[&dyn rusqlite::ToSql]) -> Result<Vec<StoredDecision>> {
        let mut found = Vec::new();
        {
            let mut statement = self.connection.prepare_cached(sql)?;
            let mut rows = statement.query(parameters)?;
            while let Some(row) = rows.next()? {
                found.push((read_decision(row)?, row.get::<_, i64>("version")?));
            }
        }
        found
            .into_iter()
            .map(|(mut decision, version)| {
                decision.versions = self.versions(version)?;
                Ok(decision)
            })
            .collect()
    }

    /// Writes in the transaction that was begun and ends it: by what `write` did, or by nothing of it.
    fn in_transaction<T>(&mut self, write: impl FnOnce(&Connection, &mut Counts) -> Result<T>) -> Result<T> {
        self.begin()?;
        let mut counts = self.counts;
        let written = write(&self.connection, &mut counts).and_then(|value| {
            self.counts.replace_by(&counts, &self.connection)?;
            self.connection.prepare_cached("COMMIT")?.execute([])?;
            Ok(value)
        });
        match written {
            Ok(value) => {
                self.counts = counts;
                self.bound_log();
                Ok(value)
            }
            Err(error) => {
                // The first error says what is wrong; that of undoing it would only hide it.
                drop(self.connection.execute_batch("ROLLBACK"));
                Err(error)
            }
        }
    }

    /// Once in a while the writer itself finishes what the checkpoint thread has left, so that the log starts anew: as
    /// long as somebody writes, a checkpoint beside it is always a few pages behind.
    fn bound_log(&mut self) {
        let Some(checkpoints) = &self.checkpoints else { return };
        if checkpoints.log_pages.load(Ordering::Acquire) > LOG_PAGES_MAX {
            // The group is stored whatever becomes of this; the thread will try again.
            drop(self.connection.query_row("PRAGMA wal_checkpoint(passive)", [], |_| Ok(())));
            checkpoints.log_pages.store(0, Ordering::Release);
        }
    }
}

impl Store for Sqlite {
    fn version(&mut self, versions: &Versions) -> Result<i64> {
        let names = versions.feature_names.join("\n");
        let known = self
            .connection
            .query_row(
                "SELECT id FROM versions WHERE detector = ? AND feature_fingerprint = ? AND rules_fingerprint = ? \
                 AND model IS ?",
                params![versions.detector, versions.feature_fingerprint, versions.rules_fingerprint, versions.model],
                |row| row.get(0),
            )
            .optional()?;
        if let Some(id) = known {
            return Ok(id);
        }
        self.connection.execute(
            "INSERT INTO versions (detector, feature_fingerprint, rules_fingerprint, model, feature_names) \
             VALUES (?, ?, ?, ?, ?)",
            params![
                versions.detector,
                versions.feature_fingerprint,
                versions.rules_fingerprint,
                versions.model,
                names
            ],
        )?;
        Ok(self.connection.last_insert_rowid())
    }

    /// A file has one writer: the data folder's lock says who.
    fn hold_log(&mut self) -> Result<()> {
        Ok(())
    }

    fn begin(&mut self) -> Result<()> {
        if self.connection.is_autocommit() {
            self.connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        }
        Ok(())
    }

    fn append(&mut self, group: &Group) -> Result<()> {
        self.in_transaction(|connection, counts| write::append(connection, group, counts))
    }

    fn merge(&mut self, group: &Group) -> Result<u64> {
        let next = self.last_position()? + 1;
        self.in_transaction(|connection, counts| write::merge(connection, group, next, counts))
    }

    fn mentions(&mut self, erasure: &Erasure, after: i64) -> Result<Vec<i64>> {
        forget::mentions(&self.connection, erasure, after)
    }

    fn erase(&mut self, erasure: &Erasure, sequences: &[i64]) -> Result<Erased> {
        self.connection.pragma_update(None, "secure_delete", true)?;
        self.in_transaction(|connection, _| forget::erase(connection, erasure, sequences))
    }

    fn scrub(&mut self, erasure: &Erasure) -> Result<()> {
        forget::scrub(&self.connection, &self.path, erasure)
    }

    fn first_since(&mut self, event_time_us: i64) -> Result<Option<i64>> {
        let sql = "SELECT sequence FROM decisions WHERE event_time_us >= ? ORDER BY sequence LIMIT 1";
        Ok(self.connection.query_row(sql, [event_time_us], |row| row.get(0)).optional()?)
    }

    fn retire(&mut self, before: i64, received_before_us: i64, limit: usize) -> Result<u64> {
        self.connection.pragma_update(None, "secure_delete", true)?;
        self.in_transaction(|connection, _| forget::retire(connection, before, received_before_us, limit))
    }

    fn probe(&mut self) -> Result<()> {
        if !self.connection.is_autocommit() {
            self.connection.execute_batch("ROLLBACK")?;
        }
        write::a_total_again(&mut self.connection)
    }

    fn find(&mut self, id: &str) -> Result<Option<StoredDecision>> {
        let sql = format!("SELECT {} FROM decisions WHERE id = ?", self.columns());
        Ok(self.query(&sql, &[&id])?.pop())
    }

    fn position(&mut self, id: &str) -> Result<Option<i64>> {
        let mut statement = self.connection.prepare_cached("SELECT sequence FROM decisions WHERE id = ?")?;
        Ok(statement.query_row([id], |row| row.get(0)).optional()?)
    }

    fn positions(&mut self, ids: &[&str]) -> Result<Vec<Option<i64>>> {
        ids.iter().map(|id| self.position(id)).collect()
    }

    fn decisions(&mut self, filter: &Filter) -> Result<Vec<StoredDecision>> {
        let mut conditions = vec!["1 = 1"];
        let mut parameters: Vec<&dyn rusqlite::ToSql> = Vec::new();
        let outcome = filter.outcome.map(Outcome::name);
        macro_rules! condition {
            ($value:expr, $sql:expr) => {
                if let Some(value) = $value {
                    conditions.push($sql);
                    parameters.push(value);
                }
            };
        }
        condition!(&filter.before, "sequence < ?");
        condition!(&outcome, "outcome = ?");
        condition!(&filter.key, "key = ?");
        condition!(&filter.min_score, "score >= ?");
        condition!(&filter.from_us, "event_time_us >= ?");
        condition!(&filter.to_us, "event_time_us < ?");
        let made = match &filter.made {
            Some(Made::Real) => Some(format!("{} IS NULL", self.mark())),
            Some(Made::Synthetic) => Some(format!("{} IS NOT NULL", self.mark())),
            Some(Made::By(mark)) => {
                parameters.push(mark);
                Some(format!("{} = ?", self.mark()))
            }
            Some(Made::RealOrBy(mark)) => {
                parameters.push(mark);
                Some(format!("({0} IS NULL OR {0} = ?)", self.mark()))
            }
            Some(Made::NotBy(mark)) => {
                parameters.push(mark);
                Some(format!("{} <> ?", self.mark()))
            }
            None => None,
        };
        conditions.extend(made.as_deref());
        if filter.outcome.is_some_and(|outcome| outcome != Outcome::Approve) {
            // Says what the partial index needs to know to be used.
            conditions.push("outcome <> 'approve'");
        }
        let limit = filter.limit as i64;
        parameters.push(&limit);
        let sql = format!(
            "SELECT {} FROM decisions WHERE {} ORDER BY sequence DESC LIMIT ?",
            self.columns(),
            conditions.join(" AND ")
        );
        self.query(&sql, &parameters)
    }

    fn log(&mut self, after: i64, limit: usize) -> Result<Vec<LogEntry>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT * FROM (SELECT sequence, event, NULL, NULL FROM decisions WHERE sequence > ?1 \
             ORDER BY sequence LIMIT ?2) \
             UNION ALL \
             SELECT * FROM (SELECT l.sequence, d.event, l.transaction_sequence, l.fraud FROM labels l \
             JOIN decisions d ON d.sequence = l.transaction_sequence WHERE l.sequence > ?1 \
             ORDER BY l.sequence LIMIT ?2) \
             ORDER BY 1 LIMIT ?2",
        )?;
        let rows = statement.query_map(params![after, limit as i64], read_log_entry)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    fn last_position(&mut self) -> Result<i64> {
        let sql = "SELECT max(coalesce((SELECT max(sequence) FROM decisions), -1), \
                   coalesce((SELECT max(sequence) FROM labels), -1))";
        Ok(self.connection.query_row(sql, [], |row| row.get(0))?)
    }

    fn totals(&mut self) -> Result<Totals> {
        read_totals(&self.connection)
    }

    fn history(&mut self, after: i64, range_us: &Range<i64>, limit: usize) -> Result<Vec<StoredDecision>> {
        let sql = format!(
            "SELECT {} FROM decisions WHERE sequence > ? AND event_time_us >= ? AND event_time_us < ? \
             ORDER BY sequence LIMIT ?",
            self.columns()
        );
        self.query(&sql, &[&after, &range_us.start, &range_us.end, &(limit as i64)])
    }

    fn labels(&mut self, after: i64, last: i64) -> Result<Vec<NewLabel>> {
        rows::labels(&self.connection, after, last)
    }

    fn shadow_scores(&mut self, after: i64, last: i64) -> Result<Vec<ShadowScore>> {
        if self.schema < SHADOW_SINCE {
            return Ok(Vec::new());
        }
        rows::shadow_scores(&self.connection, after, last)
    }

    fn record(&mut self, limit: usize, matured_before_us: Option<i64>) -> Result<Record> {
        if self.schema < SHADOW_SINCE {
            return Err(StoreError::Older { found: self.schema, known: SHADOW_SINCE });
        }
        let scored = rows::scored(&self.connection, limit)?;
        let labelled = rows::labelled(&self.connection, limit, matured_before_us)?;
        Ok(Record { versions: self.all_versions()?, scored, labelled })
    }

    fn brief(&mut self, after: i64, limit: usize) -> Result<Vec<BriefEntry>> {
        rows::brief(&self.connection, after, limit)
    }

    fn alerts(&mut self, filter: &AlertFilter) -> Result<Vec<StoredAlert>> {
        self.if_alerts(|connection| alerts::matching(connection, filter))
    }

    fn alert(&mut self, id: i64) -> Result<Option<StoredAlert>> {
        self.if_alerts(|connection| alerts::by_id(connection, id))
    }

    fn alert_counts(&mut self, overdue_before_us: i64) -> Result<AlertCounts> {
        self.if_alerts(|connection| alerts::counts(connection, overdue_before_us))
    }

    fn alert_changes(&mut self, id: i64) -> Result<Vec<AlertChange>> {
        self.if_alerts(|connection| alerts::changes(connection, id, id))
    }

    fn alert_decisions(&mut self, id: i64, limit: usize) -> Result<Vec<StoredDecision>> {
        let sql = format!(
            "SELECT {} FROM decisions WHERE sequence IN (SELECT sequence FROM alert_transactions WHERE alert = ? \
             ORDER BY sequence DESC LIMIT ?) ORDER BY sequence DESC",
            self.columns()
        );
        self.query(&sql, &[&id, &(limit as i64)])
    }

    fn alert_records(&mut self, after: i64, limit: usize) -> Result<Vec<AlertRecord>> {
        self.if_alerts(|connection| alerts::records(connection, after, limit))
    }

    fn put_alert_records(&mut self, records: &[AlertRecord]) -> Result<()> {
        self.in_transaction(|connection, _| alerts::put(connection, records))
    }

    fn rejections(&mut self) -> Result<Vec<NewRejection>> {
        rows::rejections(&self.connection)
    }

    fn newest_rejections(&mut self, limit: usize) -> Result<(Vec<NewRejection>, u64)> {
        rows::newest_rejections(&self.connection, limit)
    }

    fn newest_reasons(&mut self, limit: usize) -> Result<Vec<(i64, String)>> {
        rows::newest_reasons(&self.connection, limit)
    }

    fn all_versions(&mut self) -> Result<Vec<(i64, Versions)>> {
        let mut statement = self.connection.prepare("SELECT id FROM versions ORDER BY id")?;
        let ids: Vec<i64> = statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
        drop(statement);
        ids.into_iter().map(|id| Ok((id, (*self.versions(id)?).clone()))).collect()
    }

    fn set_totals(&mut self, totals: &Totals) -> Result<()> {
        self.in_transaction(|_, counts| {
            counts.totals = *totals;
            Ok(())
        })
    }

    fn shape(&mut self) -> Result<Shape> {
        rows::shape(&self.connection, self.schema)
    }
}

/// A clear word about a folder that cannot be written beats SQLite's "unable to open database file".
fn check_writable(path: &Path) -> Result<()> {
    let opened = std::fs::OpenOptions::new().create(true).append(true).open(path);
    opened.map(drop).map_err(|source| StoreError::Unusable { path: path.to_path_buf(), source })
}

fn migrate(connection: &Connection) -> Result<()> {
    let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let known = MIGRATIONS.len() as i64;
    if found > known {
        return Err(StoreError::Newer { found, known });
    }
    for (version, step) in (1..).zip(MIGRATIONS).skip(found as usize) {
        connection.execute_batch(&format!("BEGIN; {step} PRAGMA user_version = {version}; COMMIT;"))?;
    }
    Ok(())
}
