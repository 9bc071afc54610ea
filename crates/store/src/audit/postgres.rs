//! The audit log as a table of a PostgreSQL database.

use postgres::{Client, Row};

use super::{AuditEntry, AuditFilter, Chain, Hash, Kept, NewAuditEntry};
use crate::postgres::{AUDIT_LOCK, SCHEMA_LOCK};
use crate::{Address, Result};

/// Nothing waits for ever; an entry that is noted is on the server's disk.
const SETTINGS: &str = "SET statement_timeout = '30s'; SET lock_timeout = '5s'; \
     SET idle_in_transaction_session_timeout = '10s'; SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 2; \
     SET tcp_keepalives_count = 3; SET client_min_messages = warning; SET jit = off; SET synchronous_commit = on;";

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS audit (
    number bigint PRIMARY KEY,
    at_us bigint NOT NULL,
    by text NOT NULL,
    roles text NOT NULL,
    action text NOT NULL,
    subject text NOT NULL,
    detail text NOT NULL,
    outcome text NOT NULL,
    hash bytea NOT NULL
);
CREATE INDEX IF NOT EXISTS audit_by ON audit (by, number);
CREATE INDEX IF NOT EXISTS audit_action ON audit (action COLLATE \"C\", number);
CREATE OR REPLACE FUNCTION audit_is_only_added_to() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'the audit log is only added to'; END $$;
CREATE OR REPLACE TRIGGER audit_not_changed BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
FOR EACH STATEMENT EXECUTE FUNCTION audit_is_only_added_to();
";

const COLUMNS: &str = "number, at_us, by, roles, action, subject, detail, outcome, hash";

pub struct Table(Client);

impl Table {
    pub fn open(address: &Address) -> Result<Table> {
        let mut client = address.connect()?;
        client.batch_execute(SETTINGS)?;
        let exists = "SELECT to_regclass('audit') IS NOT NULL";
        if !client.query_one(exists, &[])?.get::<_, bool>(0) {
            // Processes that start together wait for each other.
            let mut transaction = client.transaction()?;
            transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&SCHEMA_LOCK])?;
            transaction.batch_execute(SCHEMA)?;
            transaction.commit()?;
        }
        Ok(Table(client))
    }

    pub fn open_reader(address: &Address) -> Result<Table> {
        let mut client = address.connect()?;
        client.batch_execute(SETTINGS)?;
        client.batch_execute("SET default_transaction_read_only = on")?;
        Ok(Table(client))
    }
}

impl Kept for Table {
    fn append(&mut self, entries: &[NewAuditEntry]) -> Result<()> {
        let mut transaction = self.0.transaction()?;
        // One at a time: the next one is chained to what this one has written.
        transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&AUDIT_LOCK])?;
        let last = "SELECT number, hash FROM audit ORDER BY number DESC LIMIT 1";
        let chain = transaction.query_opt(last, &[])?.map_or_else(Chain::default, |row| Chain {
            number: row.get(0),
            hash: hash(&row, 1),
            flaw: None,
        });
        let insert = transaction
            .prepare(&format!("INSERT INTO audit ({COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"))?;
        for (number, hash, entry) in chain.link(entries) {
            let NewAuditEntry { at_us, by, roles, action, subject, detail, outcome } = entry;
            let hash = hash.0.as_slice();
            transaction
                .execute(&insert, &[&number, at_us, by, roles, action, subject, detail, outcome, &hash])?;
        }
        Ok(transaction.commit()?)
    }

    fn newest(&mut self, filter: &AuditFilter) -> Result<Vec<AuditEntry>> {
        let (least, beyond) = filter.actions();
        let sql = format!(
            "SELECT {COLUMNS} FROM audit WHERE ($1::bigint IS NULL OR number < $1) AND ($2::text IS NULL OR by = $2) \
             AND ($3::text IS NULL OR action COLLATE \"C\" >= $3) AND ($4::text IS NULL OR action COLLATE \"C\" < $4) \
             AND ($5::bigint IS NULL OR at_us >= $5) AND ($6::bigint IS NULL OR at_us < $6) \
             ORDER BY number DESC LIMIT $7"
        );
        let limit = filter.limit.min(i64::MAX as usize) as i64;
        let rows = self.0.query(
            &sql,
            &[&filter.before, &filter.by, &least, &beyond, &filter.from_us, &filter.to_us, &limit],
        )?;
        Ok(rows.iter().map(read).collect())
    }

    fn after(&mut self, number: i64, limit: usize) -> Result<Vec<AuditEntry>> {
        let sql = format!("SELECT {COLUMNS} FROM audit WHERE number > $1 ORDER BY number LIMIT $2");
        Ok(self.0.query(&sql, &[&number, &(limit as i64)])?.iter().map(read).collect())
    }
}

fn read(row: &Row) -> AuditEntry {
    let entry = NewAuditEntry {
        at_us: row.get(1),
        by: row.get(2),
        roles: row.get(3),
        action: row.get(4),
        subject: row.get(5),
        detail: row.get(6),
        outcome: row.get(7),
    };
    AuditEntry { number: row.get(0), entry, hash: hash(row, 8) }
}

/// A hash of another length is no hash of ours: it will be seen to be wrong.
fn hash(row: &Row, column: usize) -> Hash {
    Hash::of(row.get(column)).unwrap_or_default()
}
