//! A connection with its settings, its prepared statements, and its hold on the log.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use postgres::{Client, Statement};

use super::address::Address;
use super::migrate::{check_schema, migrate};
use crate::{Result, StoreError, Sync};

/// Advisory locks, by what they guard: any numbers that nobody else uses.
pub(super) const LOG_LOCK: i64 = 0x7265_6466_6c61_6701;
pub(crate) const SCHEMA_LOCK: i64 = 0x7265_6466_6c61_6702;
pub(super) const PARTITION_LOCK: i64 = 0x7265_6466_6c61_6703;
pub(crate) const AUDIT_LOCK: i64 = 0x7265_6466_6c61_6704;

/// A service that was killed is missed by the server a moment later: so long its successor waits for the log.
const HOLD_PATIENCE: Duration = Duration::from_secs(3);
const HOLD_INTERVAL: Duration = Duration::from_millis(50);

/// What every session is told. Nothing waits for ever: not a statement, not a lock, and a writer that stands still in the
/// middle of a group gives up its locks. The server misses a dead client as soon as the client misses a dead server. Few
/// statements are large enough for compiling them to pay.
const SETTINGS: &str = "SET statement_timeout = '30s'; SET lock_timeout = '5s'; \
     SET idle_in_transaction_session_timeout = '10s'; SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 2; \
     SET tcp_keepalives_count = 3; SET client_min_messages = warning; SET jit = off; SET extra_float_digits = 1;";

/// Who a session writes for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Writes; what a commit waits for.
    Writer(Sync),
    /// Only reads.
    Reader,
}

/// Who else may write to the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hold {
    /// Nobody: its order is this process's.
    Alone,
    /// Others that merge as well.
    Shared,
}

pub(super) struct Session {
    pub client: Client,
    statements: HashMap<String, Statement>,
    hold: Option<Hold>,
}

impl Session {
    /// Connects, and brings the schema to this program's version or checks that it has it.
    pub fn open(address: &Address, role: Role) -> Result<Session> {
        let mut client = address.connect()?;
        client.batch_execute(SETTINGS)?;
        match role {
            Role::Writer(sync) => {
                // Off: the server has it and writes it to its disk within a second.
                let wait = if sync == Sync::Commit { "on" } else { "off" };
                client.batch_execute(&format!("SET synchronous_commit = {wait}"))?;
                migrate(&mut client)?;
            }
            Role::Reader => {
                client.batch_execute("SET default_transaction_read_only = on")?;
                check_schema(&mut client)?;
            }
        }
        Ok(Session { client, statements: HashMap::new(), hold: None })
    }

    /// A statement, prepared once a session.
    pub fn prepare(&mut self, sql: &str) -> Result<Statement> {
        if let Some(statement) = self.statements.get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.client.prepare(sql)?;
        self.statements.insert(sql.to_string(), statement.clone());
        Ok(statement)
    }

    /// Takes the log for this process, alone or with others of its kind, until the session ends.
    pub fn hold(&mut self, wanted: Hold) -> Result<()> {
        if self.hold == Some(wanted) || self.hold == Some(Hold::Alone) {
            return Ok(());
        }
        let sql = match wanted {
            Hold::Alone => "SELECT pg_try_advisory_lock($1)",
            Hold::Shared => "SELECT pg_try_advisory_lock_shared($1)",
        };
        let asked = Instant::now();
        while !self.client.query_one(sql, &[&LOG_LOCK])?.get::<_, bool>(0) {
            if asked.elapsed() > HOLD_PATIENCE {
                return Err(StoreError::InUse);
            }
            std::thread::sleep(HOLD_INTERVAL);
        }
        self.hold = Some(wanted);
        Ok(())
    }
}
