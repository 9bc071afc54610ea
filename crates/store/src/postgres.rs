//! PostgreSQL: decisions in partitions by month, written by `COPY`.
//!
//! A connection that is lost costs the group that was being written, which is reported as failed; the next call connects
//! again. Reading that finds its connection lost does so at once.
//!
//! Calls block on a runtime of the driver's own: they must not come from a thread that drives another one.

mod address;
mod alerts;
mod copy;
mod forget;
mod migrate;
mod partitions;
mod rows;
mod session;
mod write;
mod scratch;

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use engine::Outcome;
use postgres::Row;
use postgres::types::ToSql;

pub use self::address::Address;
pub(crate) use self::address::why;
use self::partitions::Partitions;
use self::rows::{
    DECISIONS, TOTALS, read_decision, read_log_entry, read_totals, read_version, read_versions,
};
pub use self::scratch::Scratch;
pub(crate) use self::session::{AUDIT_LOCK, SCHEMA_LOCK};
use self::session::{Hold, Role, Session};
use crate::activity::BRIEF;
use crate::{
    AlertChange, AlertCounts, AlertFilter, AlertRecord, BriefEntry, Erased, Erasure, Filter, Group, LogEntry,
    Made, NewLabel, NewRejection, Record, Result, ShadowScore, Shape, Store, StoreError, StoredAlert,
    StoredDecision, Sync, Totals, Versions, shadow,
};

/// A PostgreSQL database of decisions.
pub struct Postgres {
    address: Address,
    role: Role,
    session: Option<Session>,
    /// What the log was taken for, to be taken again by the next session.
    hold: Option<Hold>,
    partitions: Partitions,
    versions: HashMap<i64, Arc<Versions>>,
}

impl Postgres {
    /// Connects for writing, and makes the tables if need be. Months that end `retention_us` before the newest one are
    /// dropped whenever a new one begins.
    ///
    /// # Errors
    /// If the server cannot be reached or refuses, or a newer program made the tables.
    pub fn open(address: &Address, sync: Sync, retention_us: Option<i64>) -> Result<Postgres> {
        Postgres::with(address, Role::Writer(sync), retention_us)
    }

    /// Connects for reading, beside writers.
    ///
    /// # Errors
    /// If the server cannot be reached or refuses, or holds no tables of this program's version.
    pub fn open_reader(address: &Address) -> Result<Postgres> {
        Postgres::with(address, Role::Reader, None)
    }

    fn with(address: &Address, role: Role, retention_us: Option<i64>) -> Result<Postgres> {
        Ok(Postgres {
            address: address.clone(),
            role,
            session: Some(Session::open(address, role)?),
            hold: None,
            partitions: Partitions::new(retention_us),
            versions: HashMap::new(),
        })
    }

    /// Works on a session, which is opened if there is none and given up if it is lost.
    fn work<T>(&mut self, work: impl FnOnce(&mut Session, &mut Partitions) -> Result<T>) -> Result<T> {
        let mut session = match self.session.take() {
            Some(session) => session,
            None => Session::open(&self.address, self.role)?,
        };
        let done = match self.hold {
            Some(hold) => session.hold(hold).and_then(|()| work(&mut session, &mut self.partitions)),
            None => work(&mut session, &mut self.partitions),
        };
        if done.is_err() {
            self.partitions.forget();
        }
        if !done.as_ref().is_err_and(is_lost) {
            self.session = Some(session);
        }
        done
    }

    /// Reads, once more if the connection turns out to be lost.
    fn read<T>(&mut self, work: impl Fn(&mut Session) -> Result<T>) -> Result<T> {
        let connected = self.session.is_some();
        match self.work(|session, _| work(session)) {
            Err(error) if connected && is_lost(&error) => self.work(|session, _| work(session)),
            done => done,
        }
    }

    fn query(&mut self, sql: &str, parameters: &[&(dyn ToSql + std::marker::Sync)]) -> Result<Vec<Row>> {
        self.read(|session| {
            let statement = session.prepare(sql)?;
            Ok(session.client.query(&statement, parameters)?)
        })
    }

    fn decisions_where(
        &mut self,
        conditions: &str,
        parameters: &[&(dyn ToSql + std::marker::Sync)],
    ) -> Result<Vec<StoredDecision>> {
        let rows = self.query(&format!("{DECISIONS} {conditions}"), parameters)?;
        rows.iter().map(|row| Ok(read_decision(row, self.versions(read_version(row))?))).collect()
    }

    fn versions(&mut self, id: i64) -> Result<Arc<Versions>> {
        if let Some(versions) = self.versions.get(&id) {
            return Ok(Arc::clone(versions));
        }
        let sql = "SELECT detector, feature_fingerprint, rules_fingerprint, model, feature_names \
                   FROM versions WHERE id = $1";
        let found = self.query(sql, &[&id])?;
        let versions = Arc::new(found.first().map(read_versions).ok_or(StoreError::UnknownVersion(id))?);
        self.versions.insert(id, Arc::clone(&versions));
        Ok(versions)
    }

    /// Stands in for a foreign key, which would be looked up row by row.
    fn check_versions(&mut self, group: &Group) -> Result<()> {
        let mut last = None;
        for decision in &group.decisions {
            if last.replace(decision.version) != Some(decision.version) {
                self.versions(decision.version)?;
            }
            for shadow in decision.shadow {
                self.versions(shadow.version)?;
            }
        }
        Ok(())
    }
}

/// Whether the connection is of no more use: the server or the way to it has gone.
fn is_lost(error: &StoreError) -> bool {
    match error {
        // 08: connection exceptions. 57P: the server shuts down. 25P03: it has given up a session that stood still.
        StoreError::Postgres(error) => error
            .code()
            .is_none_or(|code| ["08", "57P", "25P03"].iter().any(|class| code.code().starts_with(class))),
        StoreError::Unusable { .. } => true,
        _ => false,
    }
}

impl Store for Postgres {
    fn version(&mut self, versions: &Versions) -> Result<i64> {
        let names = versions.feature_names.join("\n");
        self.work(|session, _| {
            let insert = "INSERT INTO versions (detector, feature_fingerprint, rules_fingerprint, model, feature_names) \
                          VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING";
            let Versions { detector, feature_fingerprint, rules_fingerprint, model, .. } = versions;
            let find = "SELECT id FROM versions WHERE detector = $1 AND feature_fingerprint = $2 \
                        AND rules_fingerprint = $3 AND model IS NOT DISTINCT FROM $4";
            let known: [&(dyn ToSql + std::marker::Sync); 4] =
                [detector, feature_fingerprint, rules_fingerprint, model];
            if let Some(row) = session.client.query_opt(find, &known)? {
                return Ok(row.get(0));
            }
            let new = [&known[..], &[&names]].concat();
            session.client.execute(insert, &new)?;
            Ok(session.client.query_one(find, &known)?.get(0))
        })
    }

    fn hold_log(&mut self) -> Result<()> {
        self.hold = Some(Hold::Alone);
        self.work(|_, _| Ok(()))
    }

    /// One process writes the log, so what it asks before a group cannot change before the group is written.
    fn begin(&mut self) -> Result<()> {
        Ok(())
    }

    fn append(&mut self, group: &Group) -> Result<()> {
        self.check_versions(group)?;
        self.work(|session, partitions| write::append(session, partitions, group))
    }

    fn merge(&mut self, group: &Group) -> Result<u64> {
        self.check_versions(group)?;
        self.hold.get_or_insert(Hold::Shared);
        self.work(|session, partitions| write::merge(session, partitions, group))
    }

    fn mentions(&mut self, erasure: &Erasure, after: i64) -> Result<Vec<i64>> {
        self.work(|session, _| forget::mentions(&mut session.client, erasure, after))
    }

    fn erase(&mut self, erasure: &Erasure, sequences: &[i64]) -> Result<Erased> {
        self.work(|session, _| forget::erase(&mut session.client, erasure, sequences))
    }

    fn scrub(&mut self, _: &Erasure) -> Result<()> {
        self.work(|session, _| forget::scrub(&mut session.client))
    }

    fn first_since(&mut self, event_time_us: i64) -> Result<Option<i64>> {
        self.work(|session, _| {
            let sql = "SELECT min(sequence) FROM decisions WHERE event_time_us >= $1";
            Ok(session.client.query_one(sql, &[&event_time_us])?.get(0))
        })
    }

    /// Whole months are dropped, as new ones are made.
    fn retire(&mut self, _: i64, _: i64, _: usize) -> Result<u64> {
        Ok(0)
    }

    fn probe(&mut self) -> Result<()> {
        self.work(|session, _| {
            session.client.execute("UPDATE totals SET approve = approve", &[])?;
            Ok(())
        })
    }

    fn find(&mut self, id: &str) -> Result<Option<StoredDecision>> {
        // Two months may hold an id whose events differ in time. Asked for the first by its position, the server might walk
        // through all positions.
        let found = self.decisions_where("WHERE d.id = $1", &[&id])?;
        Ok(found.into_iter().min_by_key(|decision| decision.sequence))
    }

    fn position(&mut self, id: &str) -> Result<Option<i64>> {
        Ok(self.positions(&[id])?[0])
    }

    fn positions(&mut self, ids: &[&str]) -> Result<Vec<Option<i64>>> {
        let rows = self.query("SELECT id, sequence FROM decisions WHERE id = ANY($1)", &[&ids])?;
        let mut found: HashMap<&str, i64> = HashMap::with_capacity(rows.len());
        for row in &rows {
            let (id, sequence): (&str, i64) = (row.get(0), row.get(1));
            let first = found.entry(id).or_insert(sequence);
            *first = sequence.min(*first);
        }
        Ok(ids.iter().map(|id| found.get(id).copied()).collect())
    }

    fn decisions(&mut self, filter: &Filter) -> Result<Vec<StoredDecision>> {
        let mut conditions = vec!["true".to_string()];
        let mut parameters: Vec<&(dyn ToSql + std::marker::Sync)> = Vec::new();
        let outcome = filter.outcome.map(Outcome::name);
        macro_rules! condition {
            ($value:expr, $sql:expr) => {
                if let Some(value) = $value {
                    parameters.push(value);
                    conditions.push(format!("d.{} ${}", $sql, parameters.len()));
                }
            };
        }
        condition!(&filter.before, "sequence <");
        condition!(&outcome, "outcome =");
        condition!(&filter.key, "key =");
        condition!(&filter.min_score, "score >=");
        condition!(&filter.from_us, "event_time_us >=");
        condition!(&filter.to_us, "event_time_us <");
        match &filter.made {
            Some(Made::Real) => conditions.push("d.mark IS NULL".to_string()),
            Some(Made::Synthetic) => conditions.push("d.mark IS NOT NULL".to_string()),
            Some(Made::By(mark)) => {
                parameters.push(mark);
                conditions.push(format!("d.mark = ${}", parameters.len()));
            }
            Some(Made::RealOrBy(mark)) => {
                parameters.push(mark);
                conditions.push(format!("(d.mark IS NULL OR d.mark = ${})", parameters.len()));
            }
            Some(Made::NotBy(mark)) => {
                parameters.push(mark);
                conditions.push(format!("d.mark <> ${}", parameters.len()));
            }
            None => {}
        }
        if filter.outcome.is_some_and(|outcome| outcome != Outcome::Approve) {
            // Says what the partial index needs to know to be used.
            conditions.push("d.outcome <> 'approve'".to_string());
        }
        let limit = filter.limit as i64;
        parameters.push(&limit);
        let conditions = conditions.join(" AND ");
        let sql = format!("WHERE {conditions} ORDER BY d.sequence DESC LIMIT ${}", parameters.len());
        self.decisions_where(&sql, &parameters)
    }

    fn log(&mut self, after: i64, limit: usize) -> Result<Vec<LogEntry>> {
        let sql = "(SELECT sequence, event, NULL::bigint, NULL::boolean FROM decisions WHERE sequence > $1 \
                   ORDER BY sequence LIMIT $2) \
                   UNION ALL \
                   (SELECT l.sequence, d.event, l.transaction_sequence, l.fraud FROM labels l \
                   JOIN decisions d ON d.sequence = l.transaction_sequence WHERE l.sequence > $1 \
                   ORDER BY l.sequence LIMIT $2) \
                   ORDER BY 1 LIMIT $2";
        let rows = self.query(sql, &[&after, &(limit as i64)])?;
        Ok(rows.iter().map(read_log_entry).collect())
    }

    fn last_position(&mut self) -> Result<i64> {
        let sql = "SELECT greatest(coalesce((SELECT max(sequence) FROM decisions), -1), \
                   coalesce((SELECT max(sequence) FROM labels), -1))";
        Ok(self.query(sql, &[])?.first().map_or(-1, |row| row.get(0)))
    }

    fn totals(&mut self) -> Result<Totals> {
        Ok(self.query(TOTALS, &[])?.first().map(read_totals).unwrap_or_default())
    }

    fn history(&mut self, after: i64, range_us: &Range<i64>, limit: usize) -> Result<Vec<StoredDecision>> {
        let sql = "WHERE d.sequence > $1 AND d.event_time_us >= $2 AND d.event_time_us < $3 \
                   ORDER BY d.sequence LIMIT $4";
        self.decisions_where(sql, &[&after, &range_us.start, &range_us.end, &(limit as i64)])
    }

    fn labels(&mut self, after: i64, last: i64) -> Result<Vec<NewLabel>> {
        let sql = "SELECT sequence, transaction_sequence, fraud, known_at_us FROM labels \
                   WHERE sequence > $1 AND sequence <= $2 ORDER BY sequence";
        Ok(self.query(sql, &[&after, &last])?.iter().map(rows::read_label).collect())
    }

    fn shadow_scores(&mut self, after: i64, last: i64) -> Result<Vec<ShadowScore>> {
        let sql = "SELECT sequence, version, score FROM shadow_scores WHERE sequence > $1 AND sequence <= $2 \
                   ORDER BY sequence, version";
        Ok(self.query(sql, &[&after, &last])?.iter().map(rows::read_shadow_score).collect())
    }

    fn record(&mut self, limit: usize, matured_before_us: Option<i64>) -> Result<Record> {
        let limit = limit as i64;
        let counted = |row: &Row| (row.get(0), row.get::<_, i64>(1) as u64);
        let scored = self.query(shadow::SCORED, &[&limit])?.iter().map(counted).collect();
        let labelled = match matured_before_us {
            None => self.query(shadow::LABELLED, &[&limit])?,
            Some(before_us) => self.query(shadow::MATURED, &[&before_us, &limit])?,
        };
        let labelled = labelled.iter().map(rows::read_labelled_score).collect();
        Ok(Record { versions: self.all_versions()?, scored, labelled })
    }

    fn brief(&mut self, after: i64, limit: usize) -> Result<Vec<BriefEntry>> {
        Ok(self.query(BRIEF, &[&after, &(limit as i64)])?.iter().map(rows::read_brief).collect())
    }

    fn alerts(&mut self, filter: &AlertFilter) -> Result<Vec<StoredAlert>> {
        self.read(|session| alerts::matching(&mut session.client, filter))
    }

    fn alert(&mut self, id: i64) -> Result<Option<StoredAlert>> {
        self.read(|session| alerts::by_id(&mut session.client, id))
    }

    fn alert_counts(&mut self, overdue_before_us: i64) -> Result<AlertCounts> {
        self.read(|session| alerts::counts(&mut session.client, overdue_before_us))
    }

    fn alert_changes(&mut self, id: i64) -> Result<Vec<AlertChange>> {
        self.read(|session| alerts::changes(&mut session.client, id, id))
    }

    fn alert_decisions(&mut self, id: i64, limit: usize) -> Result<Vec<StoredDecision>> {
        let sql = "WHERE d.sequence IN (SELECT sequence FROM alert_transactions WHERE alert = $1 \
                   ORDER BY sequence DESC LIMIT $2) ORDER BY d.sequence DESC";
        self.decisions_where(sql, &[&id, &(limit.min(i64::MAX as usize) as i64)])
    }

    fn alert_records(&mut self, after: i64, limit: usize) -> Result<Vec<AlertRecord>> {
        self.read(|session| alerts::records(&mut session.client, after, limit))
    }

    fn put_alert_records(&mut self, records: &[AlertRecord]) -> Result<()> {
        self.work(|session, _| {
            let mut transaction = session.client.transaction()?;
            alerts::put(&mut transaction, records)?;
            Ok(transaction.commit()?)
        })
    }

    fn rejections(&mut self) -> Result<Vec<NewRejection>> {
        let sql = "SELECT received_at_us, source, reason, raw FROM rejections ORDER BY id";
        Ok(self.query(sql, &[])?.iter().map(rows::read_rejection).collect())
    }

    fn newest_rejections(&mut self, limit: usize) -> Result<(Vec<NewRejection>, u64)> {
        let sql = "SELECT received_at_us, source, reason, raw FROM rejections ORDER BY id DESC LIMIT $1";
        let newest = self.query(sql, &[&(limit as i64)])?.iter().map(rows::read_rejection).collect();
        let stored = self.query("SELECT count(*) FROM rejections", &[])?;
        Ok((newest, stored.first().map_or(0, |row| row.get::<_, i64>(0)) as u64))
    }

    fn newest_reasons(&mut self, limit: usize) -> Result<Vec<(i64, String)>> {
        let sql = "SELECT received_at_us, reason FROM rejections ORDER BY id DESC LIMIT $1";
        Ok(self.query(sql, &[&(limit as i64)])?.iter().map(|row| (row.get(0), row.get(1))).collect())
    }

    fn all_versions(&mut self) -> Result<Vec<(i64, Versions)>> {
        let ids = self.query("SELECT id FROM versions ORDER BY id", &[])?;
        ids.iter().map(|row| Ok((row.get(0), (*self.versions(row.get(0))?).clone()))).collect()
    }

    fn set_totals(&mut self, totals: &Totals) -> Result<()> {
        self.work(|session, _| write::set_totals(session, totals))
    }

    fn shape(&mut self) -> Result<Shape> {
        self.read(|session| rows::shape(&mut session.client))
    }
}
