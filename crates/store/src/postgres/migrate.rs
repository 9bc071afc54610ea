//! The schema, one step a version, under a lock: processes that start together wait for each other.

use postgres::Client;

use super::session::SCHEMA_LOCK;
use crate::{Result, StoreError};

/// A released step is never edited.
const MIGRATIONS: [&str; 7] = [
    include_str!("../../migrations/postgres/0001_decisions.sql"),
    include_str!("../../migrations/postgres/0002_reasons.sql"),
    include_str!("../../migrations/postgres/0003_origins.sql"),
    include_str!("../../migrations/postgres/0004_shadow_scores.sql"),
    include_str!("../../migrations/postgres/0005_marks.sql"),
    include_str!("../../migrations/postgres/0006_alerts.sql"),
    include_str!("../../migrations/postgres/0007_fallbacks.sql"),
];

const KNOWN: i64 = MIGRATIONS.len() as i64;

/// Brings the schema to this program's version.
pub(super) fn migrate(client: &mut Client) -> Result<()> {
    if schema_version(client)? == KNOWN {
        return Ok(());
    }
    let mut transaction = client.transaction()?;
    transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&SCHEMA_LOCK])?;
    transaction.batch_execute("CREATE TABLE IF NOT EXISTS schema_version (version bigint NOT NULL)")?;
    let found: i64 =
        transaction.query_one("SELECT coalesce(max(version), 0) FROM schema_version", &[])?.get(0);
    if found > KNOWN {
        return Err(StoreError::Newer { found, known: KNOWN });
    }
    for (version, step) in (1_i64..).zip(MIGRATIONS).skip(found as usize) {
        transaction.batch_execute(step)?;
        transaction.execute("INSERT INTO schema_version VALUES ($1)", &[&version])?;
    }
    Ok(transaction.commit()?)
}

/// A reader takes the schema as it is, so it must be this program's.
pub(super) fn check_schema(client: &mut Client) -> Result<()> {
    match schema_version(client)? {
        KNOWN => Ok(()),
        found if found > KNOWN => Err(StoreError::Newer { found, known: KNOWN }),
        found => Err(StoreError::Older { found, known: KNOWN }),
    }
}

/// 0 where there is none.
pub(super) fn schema_version(client: &mut Client) -> Result<i64> {
    let exists = "SELECT to_regclass('schema_version') IS NOT NULL";
    if !client.query_one(exists, &[])?.get::<_, bool>(0) {
        return Ok(0);
    }
    Ok(client.query_one("SELECT coalesce(max(version), 0) FROM schema_version", &[])?.get(0))
}
