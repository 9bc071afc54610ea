//! SQLite in one file, with a write-ahead log.
//!
//! Commits append to the log and never wait for the database file: moving the log into it (a checkpoint) is done by a
//! thread of its own, because in the middle of a commit it would stall every answer that waits for that commit.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use engine::Outcome;
use rusqlite::{Connection, OpenFlags, OptionalExtension, Row, params};

use crate::{
    Filter, Group, LogEntry, NewDecision, NewLabel, NewRejection, Result, Store, StoreError, StoredDecision,
    StoredLabel, Timeliness, Totals, Versions,
};

/// The schema, one step a version. A released step is never edited.
const MIGRATIONS: [&str; 2] = [
    include_str!("../migrations/sqlite/0001_decisions.sql"),
    include_str!("../migrations/sqlite/0002_reasons.sql"),
];

/// The schema version from which on decisions have reasons.
const REASONS_SINCE: i64 = 2;

/// Rejections that are kept: enough to see what goes wrong, too few to fill a disk.
const REJECTIONS_MAX: i64 = 100_000;

/// How often the log is moved into the database file, and made safe against the loss of power where commits are not.
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(1);

/// How long the one writer waits for a person with a shell on the database. Its callers can be told to try again, and
/// that is better than to let them wait.
const WRITER_PATIENCE: Duration = Duration::from_millis(250);

/// How long a reader waits.
const READER_PATIENCE: Duration = Duration::from_secs(5);

/// The highest nice value.
const LEAST_PRIORITY: i32 = 19;

/// When the log has grown beyond this, the writer itself moves the rest of it, so that it starts anew.
const LOG_PAGES_MAX: i64 = 64_000;

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
    totals: Totals,
    rejections: i64,
    checkpoints: Option<Checkpoints>,
    /// The schema of the file: a reader takes it as it is.
    schema: i64,
}

struct Checkpoints {
    stop: Arc<AtomicBool>,
    /// Pages in the log at the last checkpoint.
    log_pages: Arc<AtomicI64>,
    thread: Option<JoinHandle<()>>,
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
        sqlite.totals = read_totals(&sqlite.connection)?;
        sqlite.rejections =
            sqlite
                .connection
                .query_row("SELECT coalesce(max(id), 0) FROM rejections", [], |row| row.get(0))?;
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
            totals: Totals::default(),
            rejections: 0,
            checkpoints,
            schema,
        })
    }

    /// What is read of a decision.
    fn columns(&self) -> String {
        let reasons = if self.schema >= REASONS_SINCE { "reasons" } else { "NULL AS reasons" };
        format!("{COLUMNS}, {reasons}")
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

    fn write(&mut self, group: &Group) -> Result<()> {
        let mut totals = self.totals;
        totals.add(group);
        let mut rejections = self.rejections;
        insert_decisions(&self.connection, &group.decisions)?;
        for label in &group.labels {
            insert_label(&self.connection, label)?;
        }
        for rejection in &group.rejections {
            rejections += 1;
            insert_rejection(&self.connection, rejections, rejection)?;
        }
        write_totals(&self.connection, &self.totals, &totals)?;
        self.connection.prepare_cached("COMMIT")?.execute([])?;
        self.totals = totals;
        self.rejections = rejections;
        Ok(())
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

const COLUMNS: &str = "sequence, id, key, event_time_us, decided_at_us, latency_us, amount_minor, score, outcome, rules, \
     timeliness, version, synthetic, event, features, \
     (SELECT max(labels.sequence) FROM labels WHERE transaction_sequence = decisions.sequence) AS label_sequence, \
     (SELECT fraud FROM labels WHERE transaction_sequence = decisions.sequence ORDER BY labels.sequence DESC LIMIT 1) \
     AS fraud, \
     (SELECT known_at_us FROM labels WHERE transaction_sequence = decisions.sequence ORDER BY labels.sequence DESC \
     LIMIT 1) AS known_at_us";

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

    fn begin(&mut self) -> Result<()> {
        if self.connection.is_autocommit() {
            self.connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        }
        Ok(())
    }

    fn append(&mut self, group: &Group) -> Result<()> {
        self.begin()?;
        if let Err(error) = self.write(group) {
            // The first error says what is wrong; that of undoing it would only hide it.
            drop(self.connection.execute_batch("ROLLBACK"));
            return Err(error);
        }
        self.bound_log();
        Ok(())
    }

    fn probe(&mut self) -> Result<()> {
        if !self.connection.is_autocommit() {
            self.connection.execute_batch("ROLLBACK")?;
        }
        write_a_total_again(&mut self.connection)
    }

    fn find(&mut self, id: &str) -> Result<Option<StoredDecision>> {
        let sql = format!("SELECT {} FROM decisions WHERE id = ?", self.columns());
        Ok(self.query(&sql, &[&id])?.pop())
    }

    fn position(&mut self, id: &str) -> Result<Option<i64>> {
        let mut statement = self.connection.prepare_cached("SELECT sequence FROM decisions WHERE id = ?")?;
        Ok(statement.query_row([id], |row| row.get(0)).optional()?)
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

fn insert_decisions(connection: &Connection, decisions: &[NewDecision]) -> Result<()> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO decisions (sequence, id, key, event_time_us, decided_at_us, latency_us, amount_minor, score, \
         outcome, rules, timeliness, version, synthetic, event, features, reasons) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )?;
    let mut blob = Vec::new();
    for decision in decisions {
        blob.clear();
        decision.features.iter().for_each(|value| blob.extend_from_slice(&value.to_le_bytes()));
        statement.execute(params![
            decision.sequence,
            decision.id,
            decision.key,
            decision.event_time_us,
            decision.decided_at_us,
            decision.latency_us,
            decision.amount_minor,
            Some(decision.score).filter(|score| score.is_finite()),
            decision.outcome.name(),
            decision.rules,
            decision.timeliness.name(),
            decision.version,
            decision.synthetic,
            decision.event,
            blob,
            decision.reasons,
        ])?;
    }
    Ok(())
}

fn insert_label(connection: &Connection, label: &NewLabel) -> Result<()> {
    let sql = "INSERT INTO labels (sequence, transaction_sequence, fraud, known_at_us) VALUES (?, ?, ?, ?)";
    let values = params![label.sequence, label.transaction_sequence, label.fraud, label.known_at_us];
    connection.prepare_cached(sql)?.execute(values)?;
    Ok(())
}

fn insert_rejection(connection: &Connection, id: i64, rejection: &NewRejection) -> Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO rejections (id, received_at_us, source, reason, raw) VALUES (?, ?, ?, ?, ?)",
        )?
        .execute(params![id, rejection.received_at_us, rejection.source, rejection.reason, rejection.raw])?;
    connection.prepare_cached("DELETE FROM rejections WHERE id <= ?")?.execute([id - REJECTIONS_MAX])?;
    Ok(())
}

/// The totals by name, in a fixed order.
fn named(totals: &Totals) -> [(&'static str, u64); 8] {
    [
        ("approve", totals.outcomes[0]),
        ("review", totals.outcomes[1]),
        ("decline", totals.outcomes[2]),
        ("late", totals.late),
        ("rejected", totals.rejected),
        ("repeated", totals.repeated),
        ("labels", totals.labels),
        ("labelled_fraud", totals.labelled_fraud),
    ]
}

fn write_totals(connection: &Connection, before: &Totals, after: &Totals) -> Result<()> {
    let mut statement =
        connection.prepare_cached("INSERT OR REPLACE INTO totals (name, value) VALUES (?, ?)")?;
    for ((name, value), (_, old)) in named(after).into_iter().zip(named(before)) {
        if value != old {
            statement.execute(params![name, value as i64])?;
        }
    }
    Ok(())
}

/// A real write, so that a full disk shows.
fn write_a_total_again(connection: &mut Connection) -> Result<()> {
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    transaction.execute(
        "INSERT OR REPLACE INTO totals (name, value) \
         VALUES ('approve', coalesce((SELECT value FROM totals WHERE name = 'approve'), 0))",
        [],
    )?;
    Ok(transaction.commit()?)
}

fn read_totals(connection: &Connection) -> Result<Totals> {
    let mut statement = connection.prepare_cached("SELECT value FROM totals WHERE name = ?")?;
    let mut value = |name: &str| -> Result<u64> {
        let value: Option<i64> = statement.query_row([name], |row| row.get(0)).optional()?;
        Ok(value.unwrap_or(0) as u64)
    };
    Ok(Totals {
        outcomes: [value("approve")?, value("review")?, value("decline")?],
        late: value("late")?,
        rejected: value("rejected")?,
        repeated: value("repeated")?,
        labels: value("labels")?,
        labelled_fraud: value("labelled_fraud")?,
    })
}

fn read_decision(row: &Row) -> rusqlite::Result<StoredDecision> {
    let features: Vec<u8> = row.get("features")?;
    let rules: String = row.get("rules")?;
    let label = match row.get("label_sequence")? {
        Some(sequence) => {
            Some(StoredLabel { sequence, fraud: row.get("fraud")?, known_at_us: row.get("known_at_us")? })
        }
        None => None,
    };
    Ok(StoredDecision {
        sequence: row.get("sequence")?,
        id: row.get("id")?,
        key: row.get("key")?,
        event_time_us: row.get("event_time_us")?,
        decided_at_us: row.get("decided_at_us")?,
        latency_us: row.get("latency_us")?,
        amount_minor: row.get("amount_minor")?,
        score: row.get("score")?,
        outcome: Outcome::from_name(&row.get::<_, String>("outcome")?).unwrap_or(Outcome::Review),
        rules: rules.split(',').filter(|rule| !rule.is_empty()).map(str::to_string).collect(),
        timeliness: Timeliness::from_name(&row.get::<_, String>("timeliness")?).unwrap_or(Timeliness::OnTime),
        synthetic: row.get("synthetic")?,
        event: row.get("event")?,
        features: features
            .chunks_exact(8)
            .map(|bytes| f64::from_le_bytes(bytes.try_into().expect("chunks of eight")))
            .collect(),
        reasons: row.get("reasons")?,
        versions: Arc::new(Versions {
            detector: String::new(),
            feature_fingerprint: String::new(),
            rules_fingerprint: String::new(),
            model: None,
            feature_names: Vec::new(),
        }),
        label,
    })
}

fn read_log_entry(row: &Row) -> rusqlite::Result<LogEntry> {
    let (sequence, event) = (row.get(0)?, row.get(1)?);
    let transaction_sequence: Option<i64> = row.get(2)?;
    Ok(match transaction_sequence {
        None => LogEntry::Transaction { sequence, event },
        Some(transaction_sequence) => {
            LogEntry::Label { sequence, transaction_sequence, event, fraud: row.get(3)? }
        }
    })
}

impl Checkpoints {
    fn start(path: PathBuf) -> Checkpoints {
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
