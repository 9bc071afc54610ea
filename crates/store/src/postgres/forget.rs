//! Ids that were erased.

use postgres::{Client, Transaction};

use crate::{Erased, Erasure, Result};

/// Positions of the decisions whose event holds the id.
pub(super) fn mentions(client: &mut Client, erasure: &Erasure, after: i64) -> Result<Vec<i64>> {
    let sql =
        "SELECT sequence FROM decisions WHERE sequence > $1 AND position($2 in event) > 0 ORDER BY sequence";
    Ok(client.query(sql, &[&after, &erasure.member])?.iter().map(|row| row.get(0)).collect())
}

/// Writes the tombstone in place of the id.
pub(super) fn erase(client: &mut Client, erasure: &Erasure, sequences: &[i64]) -> Result<Erased> {
    let Erasure { value, tombstone, member, erased_member, is_key, is_id } = erasure;
    let mut transaction = client.transaction()?;
    let mut erased = Erased {
        decisions: transaction.execute(
            "UPDATE decisions SET event = replace(event, $2, $3), \
             key = CASE WHEN $4 AND key = $6 THEN $7 ELSE key END, id = CASE WHEN $5 THEN $7 ELSE id END \
             WHERE sequence = ANY($1) AND position($2 in event) > 0",
            &[&sequences, member, erased_member, is_key, is_id, value, tombstone],
        )?,
        ..Erased::default()
    };
    if *is_key || *is_id {
        let sql = "UPDATE alerts SET entity = $2 WHERE entity = $1";
        erased.alerts = transaction.execute(sql, &[value, tombstone])?;
    }
    if *is_id {
        let sql = "UPDATE alerts SET transaction_id = $2 WHERE transaction_id = $1";
        transaction.execute(sql, &[value, tombstone])?;
    }
    erased.notes = erase_text(&mut transaction, erasure, "alert_changes", ["alert", "version"], "note")?;
    erased.rejections = erase_text(&mut transaction, erasure, "rejections", ["id", "id"], "raw")?;
    erased.rejections += erase_text(&mut transaction, erasure, "rejections", ["id", "id"], "reason")?;
    transaction.commit()?;
    Ok(erased)
}

/// Erases the id from a column of text of a table whose rows two columns name.
fn erase_text(
    transaction: &mut Transaction,
    erasure: &Erasure,
    table: &str,
    [one, other]: [&str; 2],
    column: &str,
) -> Result<u64> {
    let find = format!(
        "SELECT {one}::bigint, {other}::bigint, {column} FROM {table} WHERE position($1 in {column}) > 0"
    );
    let update = format!("UPDATE {table} SET {column} = $3 WHERE {one} = $1 AND {other} = $2");
    let mut changed = 0;
    for row in transaction.query(&find, &[&erasure.value])? {
        let (one, other): (i64, i64) = (row.get(0), row.get(1));
        if let Some(text) = erasure.erased_from(row.get(2)) {
            changed += transaction.execute(&update, &[&one, &other, &text])?;
        }
    }
    Ok(changed)
}

/// Frees what the rows were before. The server overwrites it as it needs the room.
pub(super) fn scrub(client: &mut Client) -> Result<()> {
    // One at a time: several statements at once would be a transaction, in which it may not run.
    for table in ["decisions", "alerts", "alert_changes", "rejections"] {
        client.batch_execute(&format!("VACUUM {table}"))?;
    }
    Ok(())
}
