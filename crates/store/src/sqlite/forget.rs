//! What is no longer to be there: ids that were erased, and what is older than is kept.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, params};

use crate::{Erased, Erasure, Result};

/// How often the write-ahead log is asked to be emptied, and how long a reader is waited for between.
const TRUNCATIONS: usize = 50;
const BETWEEN_TRUNCATIONS: Duration = Duration::from_millis(100);

/// A shorter id stands in any file by chance; the whole member of the event is looked for instead.
const TELLING_BYTES: usize = 6;

/// What is read of a file at a time.
const CHUNK_BYTES: usize = 1 << 20;

/// Positions of the decisions whose event holds the id.
pub(super) fn mentions(connection: &Connection, erasure: &Erasure, after: i64) -> Result<Vec<i64>> {
    let sql = "SELECT sequence FROM decisions WHERE sequence > ? AND instr(event, ?) > 0 ORDER BY sequence";
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map(params![after, erasure.member], |row| row.get(0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Writes the tombstone in place of the id.
pub(super) fn erase(connection: &Connection, erasure: &Erasure, sequences: &[i64]) -> Result<Erased> {
    let Erasure { value, tombstone, member, erased_member, is_key, is_id } = erasure;
    let mut erased = Erased::default();
    let mut rewrite = connection.prepare_cached(
        "UPDATE decisions SET event = replace(event, ?2, ?3), key = CASE WHEN ?4 AND key = ?6 THEN ?7 ELSE key END, \
         id = CASE WHEN ?5 THEN ?7 ELSE id END WHERE sequence = ?1 AND instr(event, ?2) > 0",
    )?;
    for sequence in sequences {
        let rewritten =
            rewrite.execute(params![sequence, member, erased_member, is_key, is_id, value, tombstone])?;
        erased.decisions += rewritten as u64;
    }
    if *is_key || *is_id {
        let alerts = connection
            .execute("UPDATE alerts SET entity = ?2 WHERE entity = ?1", params![value, tombstone])?;
        erased.alerts = alerts as u64;
    }
    if *is_id {
        let sql = "UPDATE alerts SET transaction_id = ?2 WHERE transaction_id = ?1";
        connection.execute(sql, params![value, tombstone])?;
    }
    erased.notes = erase_text(connection, erasure, "alert_changes", "alert, version", "note", "note")?;
    erased.rejections = erase_text(connection, erasure, "rejections", "id, id", "raw", "reason")?;
    Ok(erased)
}

/// Erases the id from two columns of text (or one, named twice) of a table whose rows two columns name.
fn erase_text(
    connection: &Connection,
    erasure: &Erasure,
    table: &str,
    name: &str,
    first: &str,
    second: &str,
) -> Result<u64> {
    let (one, other) = name.split_once(", ").unwrap_or((name, name));
    let find = format!(
        "SELECT {name}, coalesce({first}, ''), coalesce({second}, '') FROM {table} \
         WHERE instr({first}, ?1) > 0 OR instr({second}, ?1) > 0"
    );
    let mut statement = connection.prepare(&find)?;
    let rows = statement.query_map([&erasure.value], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, String>(2)?, row.get::<_, String>(3)?))
    })?;
    let found: Vec<_> = rows.collect::<rusqlite::Result<_>>()?;
    let update = format!("UPDATE {table} SET {first} = ?3, {second} = ?4 WHERE {one} = ?1 AND {other} = ?2");
    let update = if first == second { update.replace(&format!(", {second} = ?4"), "") } else { update };
    let mut changed = 0;
    for (row, version, first_text, second_text) in found {
        let (a, b) = (erasure.erased_from(&first_text), erasure.erased_from(&second_text));
        if a.is_none() && b.is_none() {
            continue;
        }
        changed += 1;
        let (a, b) = (a.unwrap_or(first_text), b.unwrap_or(second_text));
        match first == second {
            true => connection.execute(&update, params![row, version, a])?,
            false => connection.execute(&update, params![row, version, a, b])?,
        };
    }
    Ok(changed)
}

/// Empties the write-ahead log, and writes the file anew if the id still stands in what is free of it: pages that were split
/// long ago keep copies, which no deletion finds.
pub(super) fn scrub(connection: &Connection, path: &Path, erasure: &Erasure) -> Result<()> {
    truncate_log(connection)?;
    let sought = if erasure.value.len() < TELLING_BYTES { &erasure.member } else { &erasure.value };
    let stands = stands_in(path, sought.as_bytes());
    if stands.map_err(|source| crate::StoreError::Unusable { path: path.to_path_buf(), source })? {
        connection.execute_batch("VACUUM")?;
        truncate_log(connection)?;
    }
    connection.pragma_update(None, "secure_delete", false)?;
    Ok(())
}

fn truncate_log(connection: &Connection) -> Result<()> {
    for _ in 0..TRUNCATIONS {
        let busy: i64 = connection.query_row("PRAGMA wal_checkpoint(truncate)", [], |row| row.get(0))?;
        if busy == 0 {
            break;
        }
        std::thread::sleep(BETWEEN_TRUNCATIONS);
    }
    Ok(())
}

/// Whether bytes stand in a file, across the chunks that are read as well.
fn stands_in(path: &Path, sought: &[u8]) -> std::io::Result<bool> {
    let mut file = File::open(path)?;
    let mut held = Vec::with_capacity(CHUNK_BYTES + sought.len());
    loop {
        let read = file.by_ref().take(CHUNK_BYTES as u64).read_to_end(&mut held)?;
        if read == 0 {
            return Ok(false);
        }
        if held.windows(sought.len()).any(|window| window == sought) {
            return Ok(true);
        }
        held.drain(..held.len().saturating_sub(sought.len() - 1));
    }
}

/// Deletes a portion of what stands before a position.
pub(super) fn retire(
    connection: &Connection,
    before: i64,
    received_before_us: i64,
    limit: usize,
) -> Result<u64> {
    let sql = "SELECT sequence FROM decisions d WHERE sequence < ?1 AND NOT EXISTS \
               (SELECT 1 FROM labels l WHERE l.transaction_sequence = d.sequence AND l.sequence >= ?1) \
               ORDER BY sequence LIMIT ?2";
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map(params![before, limit as i64], |row| row.get(0))?;
    let old: Vec<i64> = rows.collect::<rusqlite::Result<_>>()?;
    for table in [
        "shadow_scores WHERE sequence",
        "alert_transactions WHERE sequence",
        "labels WHERE transaction_sequence",
        "decisions WHERE sequence",
    ] {
        let mut delete = connection.prepare_cached(&format!("DELETE FROM {table} = ?"))?;
        for sequence in &old {
            delete.execute([sequence])?;
        }
    }
    connection.execute("DELETE FROM rejections WHERE received_at_us < ?", [received_before_us])?;
    if old.is_empty() {
        // An alert goes with the last of its transactions.
        let orphan = "NOT EXISTS (SELECT 1 FROM alert_transactions t WHERE t.alert = ";
        connection.execute(&format!("DELETE FROM alert_changes WHERE {orphan} alert_changes.alert)"), [])?;
        connection.execute(&format!("DELETE FROM alerts WHERE {orphan} alerts.id)"), [])?;
    }
    Ok(old.len() as u64)
}
