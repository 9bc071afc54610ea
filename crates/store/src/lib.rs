//! What is remembered: decisions with their events, labels, rejections, totals.
//!
//! One trait, so that everything above it knows no database. A group of decisions and labels is written in one database
//! transaction together with the totals that count them: after a crash either all of it is there or none.

use std::ops::Range;

use engine::Outcome;

mod activity;
mod alerts;
mod audit;
mod database;
mod erase;
mod sqlite;
mod postgres;
mod shadow;
mod shape;
mod transfer;

pub use activity::{Brief, BriefEntry};
pub use alerts::{
    AlertAction, AlertChange, AlertCounts, AlertFilter, AlertOrder, AlertRecord, AlertRevision, AlertState,
    StoredAlert,
};
pub use audit::{AuditEntry, AuditFilter, AuditLog, Chain, Flaw, Hash, NewAuditEntry};
pub use database::Database;
pub use erase::{Erased, Erasure};
pub use postgres::{Address, Postgres, Scratch};
pub use shadow::{LabelledScore, NewShadowScore, Record, ShadowScore};
pub use shape::{Partition, Shape};
pub use sqlite::{Sqlite, Sync};
pub use transfer::{ALWAYS, TableSum, checksums, transfer};

/// Why the store could not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database refused.
    #[error("database: {0}")]
    Database(#[from] rusqlite::Error),
    /// PostgreSQL refused, or cannot be reached.
    #[error("database: {}", postgres::why(.0))]
    Postgres(#[from] ::postgres::Error),
    /// The files that an encrypted connection needs cannot be used.
    #[error("cannot set up TLS: {0}")]
    Tls(String),
    /// The target of a copy is neither empty nor the beginning of the source.
    #[error("the target holds transaction {0:?}, which the source does not have there")]
    Unrelated(String),
    /// Another process writes the log.
    #[error("the database is in use by another redflag")]
    InUse,
    /// An alert is not as it was when somebody looked at it.
    #[error("the alert {0} was changed meanwhile")]
    AlertChanged(i64),
    /// A decision was made with what the database does not know.
    #[error("the database knows no version {0}")]
    UnknownVersion(i64),
    /// The folder or file cannot be used.
    #[error("cannot use {path}: {source}")]
    Unusable {
        /// The file.
        path: std::path::PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file was written by a newer program.
    #[error("the database has schema version {found}, this program knows up to {known}")]
    Newer {
        /// Version found.
        found: i64,
        /// Newest version known.
        known: i64,
    },
    /// The tables were made by an older program, or not at all, and whoever only looks does not change them.
    #[error(
        "the database has schema version {found}, this program reads version {known}; whoever writes brings it up"
    )]
    Older {
        /// Version found; 0 if there are no tables.
        found: i64,
        /// The version that is read.
        known: i64,
    },
}

/// A result of the store.
pub type Result<T> = std::result::Result<T, StoreError>;

/// What decisions are made with.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Versions {
    /// Name of the detector.
    pub detector: String,
    /// Fingerprint of its feature list.
    pub feature_fingerprint: String,
    /// Fingerprint of its rules and policy.
    pub rules_fingerprint: String,
    /// Id of the model.
    pub model: Option<String>,
    /// Names of the feature values, in their order.
    pub feature_names: Vec<String>,
}

/// A decision as it is written.
#[derive(Debug, Clone, Copy)]
pub struct NewDecision<'a> {
    /// Position in the log.
    pub sequence: i64,
    /// The transaction's id: the idempotency key.
    pub id: &'a str,
    /// The key field's value.
    pub key: Option<&'a str>,
    /// Event time.
    pub event_time_us: i64,
    /// When it was decided.
    pub decided_at_us: i64,
    /// From receipt to decision.
    pub latency_us: i64,
    /// Amount in minor units.
    pub amount_minor: i64,
    /// Score; NaN without a model.
    pub score: f64,
    /// Outcome.
    pub outcome: Outcome,
    /// Names of the rules that fired, comma-separated.
    pub rules: &'a str,
    /// How the event stood to the stream.
    pub timeliness: Timeliness,
    /// From [`Store::version`].
    pub version: i64,
    /// What made it, if it is synthetic: a simulator or generator.
    pub mark: Option<&'a str>,
    /// The event in canonical JSON.
    pub event: &'a str,
    /// All feature values.
    pub features: &'a [f64],
    /// Why it looks suspicious, as JSON; `None` if there is nothing to say.
    pub reasons: Option<&'a str>,
    /// What the caller was told instead, as JSON; `None` if it was told this.
    pub fallback: Option<&'a str>,
    /// Where the transaction stood in its topic; `None` over HTTP.
    pub origin: Option<Origin>,
    /// What challengers say of it.
    pub shadow: &'a [NewShadowScore],
}

/// A place in the topic that transactions come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
pub struct Origin {
    /// The partition.
    pub partition: i32,
    /// The offset in it.
    pub offset: i64,
}

/// How an event stood to the newest of its entities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timeliness {
    /// In order.
    OnTime,
    /// Older, and entered in its true place.
    Late,
    /// Too old to be entered.
    TooLate,
}

impl Timeliness {
    const ALL: [Timeliness; 3] = [Timeliness::OnTime, Timeliness::Late, Timeliness::TooLate];

    /// The name in the database.
    pub fn name(self) -> &'static str {
        match self {
            Timeliness::OnTime => "on_time",
            Timeliness::Late => "late",
            Timeliness::TooLate => "too_late",
        }
    }

    fn from_name(name: &str) -> Option<Timeliness> {
        Self::ALL.into_iter().find(|timeliness| timeliness.name() == name)
    }
}

/// A label as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct NewLabel {
    /// Position in the log.
    pub sequence: i64,
    /// Position of the transaction that it is about.
    pub transaction_sequence: i64,
    /// Fraud or not.
    pub fraud: bool,
    /// When it became known.
    pub known_at_us: i64,
}

/// What a caller was told because the deadline had passed before the decision was there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewFallback {
    /// The transaction's id.
    pub id: String,
    /// When it came in: a decision that was made before was told to somebody else, and stands.
    pub received_at_us: i64,
    /// What was said, as JSON.
    pub said: String,
}

/// A rejection as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NewRejection {
    /// When it came in.
    pub received_at_us: i64,
    /// Where it came from.
    pub source: String,
    /// What is wrong with it.
    pub reason: String,
    /// What came in, cut to a bounded length.
    pub raw: String,
}

/// What is written in one transaction.
#[derive(Debug, Clone, Default)]
pub struct Group<'a> {
    /// Decisions in the order of the log.
    pub decisions: Vec<NewDecision<'a>>,
    /// Labels in the order of the log.
    pub labels: Vec<NewLabel>,
    /// Rejections.
    pub rejections: Vec<NewRejection>,
    /// Answers to ids seen before.
    pub repeated: u64,
    /// How far from an alert's first event another one of its entity joins it, in microseconds; without it decisions give
    /// no alerts.
    pub alert_window_us: Option<i64>,
    /// What people do with alerts.
    pub revisions: Vec<AlertRevision>,
    /// What callers were told before there was a decision.
    pub fallbacks: Vec<NewFallback>,
}

/// A decision as it is read.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredDecision {
    /// Position in the log.
    pub sequence: i64,
    /// The transaction's id.
    pub id: String,
    /// The key field's value.
    pub key: Option<String>,
    /// Event time.
    pub event_time_us: i64,
    /// When it was decided.
    pub decided_at_us: i64,
    /// From receipt to decision.
    pub latency_us: i64,
    /// Amount in minor units.
    pub amount_minor: i64,
    /// Score.
    pub score: Option<f64>,
    /// Outcome.
    pub outcome: Outcome,
    /// Names of the rules that fired.
    pub rules: Vec<String>,
    /// How the event stood to the stream.
    pub timeliness: Timeliness,
    /// What made it, if it is synthetic: a simulator or generator.
    pub mark: Option<String>,
    /// The event in canonical JSON.
    pub event: String,
    /// All feature values.
    pub features: Vec<f64>,
    /// Why it looks suspicious, as JSON.
    pub reasons: Option<String>,
    /// What the caller was told instead, as JSON; `None` if it was told this.
    pub fallback: Option<String>,
    /// Where the transaction stood in its topic; `None` over HTTP.
    pub origin: Option<Origin>,
    /// What it was decided with.
    pub versions: std::sync::Arc<Versions>,
    /// The newest label.
    pub label: Option<StoredLabel>,
}

/// A label as it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredLabel {
    /// Position in the log.
    pub sequence: i64,
    /// Fraud or not.
    pub fraud: bool,
    /// When it became known.
    pub known_at_us: i64,
}

/// Which decisions are wanted.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Filter {
    /// Before this position: the cursor of the page before.
    pub before: Option<i64>,
    /// With this outcome.
    pub outcome: Option<Outcome>,
    /// With this key.
    pub key: Option<String>,
    /// With at least this score.
    pub min_score: Option<f64>,
    /// From this event time on.
    pub from_us: Option<i64>,
    /// Before this event time.
    pub to_us: Option<i64>,
    /// Synthetic or real.
    pub made: Option<Made>,
    /// At most so many.
    pub limit: usize,
}

/// How transactions came to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Made {
    /// They happened.
    Real,
    /// Something made them.
    Synthetic,
    /// This made them.
    By(String),
    /// They happened, or this made them.
    RealOrBy(String),
    /// Something else than this made them.
    NotBy(String),
}

/// An entry of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogEntry {
    /// A transaction that was accepted.
    Transaction {
        /// Position.
        sequence: i64,
        /// The event in canonical JSON.
        event: String,
    },
    /// A label that was accepted.
    Label {
        /// Position.
        sequence: i64,
        /// Position of its transaction.
        transaction_sequence: i64,
        /// The transaction in canonical JSON.
        event: String,
        /// Fraud or not.
        fraud: bool,
    },
}

impl LogEntry {
    /// Position in the log.
    pub fn sequence(&self) -> i64 {
        match self {
            LogEntry::Transaction { sequence, .. } | LogEntry::Label { sequence, .. } => *sequence,
        }
    }
}

/// Running totals.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, serde::Serialize)]
pub struct Totals {
    /// Decisions by outcome, mildest first.
    pub outcomes: [u64; 3],
    /// Of them those on synthetic transactions.
    pub synthetic: [u64; 3],
    /// Decisions on events older than the newest of an entity.
    pub late: u64,
    /// Rejections.
    pub rejected: u64,
    /// Answers to ids seen before.
    pub repeated: u64,
    /// Labels.
    pub labels: u64,
    /// Labels that say fraud.
    pub labelled_fraud: u64,
}

impl Totals {
    /// All decisions.
    pub fn decisions(&self) -> u64 {
        self.outcomes.iter().sum()
    }

    /// Adds what a group counts.
    pub fn add(&mut self, group: &Group) {
        group.decisions.iter().for_each(|decision| self.add_decision(decision));
        self.rejected += group.rejections.len() as u64;
        self.repeated += group.repeated;
        group.labels.iter().for_each(|label| self.add_label(label));
    }

    /// Adds one decision.
    pub fn add_decision(&mut self, decision: &NewDecision) {
        self.outcomes[decision.outcome as usize] += 1;
        self.synthetic[decision.outcome as usize] += u64::from(decision.mark.is_some());
        self.late += u64::from(decision.timeliness != Timeliness::OnTime);
    }

    /// Adds one label.
    pub fn add_label(&mut self, label: &NewLabel) {
        self.labels += 1;
        self.labelled_fraud += u64::from(label.fraud);
    }
}

/// A database of decisions. Calls block; one value is used by one thread at a time.
pub trait Store: Send {
    /// The number that stands for these versions, the same for the same versions.
    ///
    /// # Errors
    /// If the database refuses.
    fn version(&mut self, versions: &Versions) -> Result<i64>;

    /// Takes the log for this process alone, for as long as it lives: nobody else may append or merge.
    ///
    /// # Errors
    /// If another process has it.
    fn hold_log(&mut self) -> Result<()>;

    /// Begins a group: what is asked from here to [`Store::append`] belongs to its transaction. Asking one question a
    /// transaction would cost more than the answer.
    ///
    /// # Errors
    /// If the database refuses.
    fn begin(&mut self) -> Result<()>;

    /// Writes a group and ends its transaction, begun or not. When it returns, the group survives the end of the process.
    ///
    /// # Errors
    /// If the database refuses, or an alert is not as a revision expects it; then nothing of the group is written.
    fn append(&mut self, group: &Group) -> Result<()>;

    /// Positions after `after` of the decisions whose event holds the id, in ascending order.
    ///
    /// # Errors
    /// If the database refuses.
    fn mentions(&mut self, erasure: &Erasure, after: i64) -> Result<Vec<i64>>;

    /// Writes the tombstone in place of the id into the decisions at these positions, and into alerts, notes and rejections,
    /// in one transaction. What was erased before is as it was.
    ///
    /// # Errors
    /// If the database refuses.
    fn erase(&mut self, erasure: &Erasure, sequences: &[i64]) -> Result<Erased>;

    /// Leaves nothing of what was erased in the files: free pages, the write-ahead log.
    ///
    /// # Errors
    /// If the database refuses, or somebody reads for too long.
    fn scrub(&mut self, erasure: &Erasure) -> Result<()>;

    /// The first position whose event is not older than this, if there is one.
    ///
    /// # Errors
    /// If the database refuses.
    fn first_since(&mut self, event_time_us: i64) -> Result<Option<i64>>;

    /// Deletes a portion of what stands before a position, at most `limit` decisions, with their labels, scores and alerts;
    /// and rejections that came in before `received_before_us`. Decisions that a label at that position or behind it needs
    /// stay. How many decisions went; none: it is done.
    ///
    /// # Errors
    /// If the database refuses.
    fn retire(&mut self, before: i64, received_before_us: i64, limit: usize) -> Result<u64>;

    /// Writes a group whose order another log (a topic) holds, and says how many of its decisions were new. It is written
    /// in one transaction and may come again: a crash between this and the commit of the other log repeats it, and
    /// several processes may write at once. So positions in the group are ignored, the database gives them; and what is
    /// known already is left as it is and counted nowhere: a decision whose id is stored, a label that is stored or says
    /// what the newest of its transaction says, a rejection from a place (any `source` but `http`) that has one.
    /// `transaction_sequence` of a label is the stored position of its transaction.
    ///
    /// # Errors
    /// If the database refuses; then nothing of the group is written.
    fn merge(&mut self, group: &Group) -> Result<u64>;

    /// Finds out whether it would accept a group now, and leaves no trace. A group that was begun is given up.
    ///
    /// # Errors
    /// If it would not.
    fn probe(&mut self) -> Result<()>;

    /// The decision of a transaction.
    ///
    /// # Errors
    /// If the database refuses.
    fn find(&mut self, id: &str) -> Result<Option<StoredDecision>>;

    /// The position of a transaction in the log.
    ///
    /// # Errors
    /// If the database refuses.
    fn position(&mut self, id: &str) -> Result<Option<i64>>;

    /// The positions of these transactions in the log, in the order of the ids.
    ///
    /// # Errors
    /// If the database refuses.
    fn positions(&mut self, ids: &[&str]) -> Result<Vec<Option<i64>>>;

    /// Decisions, newest first.
    ///
    /// # Errors
    /// If the database refuses.
    fn decisions(&mut self, filter: &Filter) -> Result<Vec<StoredDecision>>;

    /// Up to `limit` entries of the log after a position, in order.
    ///
    /// # Errors
    /// If the database refuses.
    fn log(&mut self, after: i64, limit: usize) -> Result<Vec<LogEntry>>;

    /// The last position of the log; -1 if it is empty.
    ///
    /// # Errors
    /// If the database refuses.
    fn last_position(&mut self) -> Result<i64>;

    /// Running totals.
    ///
    /// # Errors
    /// If the database refuses.
    fn totals(&mut self) -> Result<Totals>;

    /// Up to `limit` decisions after a position, in order, with event times in `range_us`.
    ///
    /// # Errors
    /// If the database refuses.
    fn history(&mut self, after: i64, range_us: &Range<i64>, limit: usize) -> Result<Vec<StoredDecision>>;

    /// Labels after a position, up to and including `last`, in order.
    ///
    /// # Errors
    /// If the database refuses.
    fn labels(&mut self, after: i64, last: i64) -> Result<Vec<NewLabel>>;

    /// Scores of challengers for decisions after a position, up to and including `last`, in order.
    ///
    /// # Errors
    /// If the database refuses.
    fn shadow_scores(&mut self, after: i64, last: i64) -> Result<Vec<ShadowScore>>;

    /// What models have done lately: on the newest `limit` decisions, and on the newest `limit` labelled transactions. A
    /// transaction that was labelled twice counts once, with its newest label. With `matured_before_us`, an event time, it
    /// is the newest `limit` transactions before that instead, and those without a label are genuine.
    ///
    /// # Errors
    /// If the database refuses.
    fn record(&mut self, limit: usize, matured_before_us: Option<i64>) -> Result<Record>;

    /// Up to `limit` entries of the log after a position, in order and in brief.
    ///
    /// # Errors
    /// If the database refuses.
    fn brief(&mut self, after: i64, limit: usize) -> Result<Vec<BriefEntry>>;

    /// Alerts in the order of the filter.
    ///
    /// # Errors
    /// If the database refuses.
    fn alerts(&mut self, filter: &AlertFilter) -> Result<Vec<StoredAlert>>;

    /// The alert of this id.
    ///
    /// # Errors
    /// If the database refuses.
    fn alert(&mut self, id: i64) -> Result<Option<StoredAlert>>;

    /// How many alerts there are; those that were opened before `overdue_before_us` and are not closed are overdue.
    ///
    /// # Errors
    /// If the database refuses.
    fn alert_counts(&mut self, overdue_before_us: i64) -> Result<AlertCounts>;

    /// What was done with an alert, oldest first.
    ///
    /// # Errors
    /// If the database refuses.
    fn alert_changes(&mut self, id: i64) -> Result<Vec<AlertChange>>;

    /// Up to `limit` transactions of an alert, newest first.
    ///
    /// # Errors
    /// If the database refuses.
    fn alert_decisions(&mut self, id: i64, limit: usize) -> Result<Vec<StoredDecision>>;

    /// Up to `limit` alerts with greater ids than this one, in order, with everything about them.
    ///
    /// # Errors
    /// If the database refuses.
    fn alert_records(&mut self, after: i64, limit: usize) -> Result<Vec<AlertRecord>>;

    /// Writes alerts of another store. Those that are there are left as they are.
    ///
    /// # Errors
    /// If the database refuses; then nothing of it is written.
    fn put_alert_records(&mut self, records: &[AlertRecord]) -> Result<()>;

    /// The rejections that are kept, oldest first.
    ///
    /// # Errors
    /// If the database refuses.
    fn rejections(&mut self) -> Result<Vec<NewRejection>>;

    /// The newest `limit` of them, newest first, and how many are kept.
    ///
    /// # Errors
    /// If the database refuses.
    fn newest_rejections(&mut self, limit: usize) -> Result<(Vec<NewRejection>, u64)>;

    /// When the newest `limit` of them came in, in microseconds since 1970, and why they are none, newest first.
    ///
    /// # Errors
    /// If the database refuses.
    fn newest_reasons(&mut self, limit: usize) -> Result<Vec<(i64, String)>>;

    /// All that decisions were made with, in the order of their numbers.
    ///
    /// # Errors
    /// If the database refuses.
    fn all_versions(&mut self) -> Result<Vec<(i64, Versions)>>;

    /// Replaces the totals, which a copy takes over from its source.
    ///
    /// # Errors
    /// If the database refuses.
    fn set_totals(&mut self, totals: &Totals) -> Result<()>;

    /// How large it is, and what it is made of.
    ///
    /// # Errors
    /// If the database refuses.
    fn shape(&mut self) -> Result<Shape>;
}
