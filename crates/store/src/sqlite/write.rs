//! Groups as they are written: in the embedded log's order, or merged into what is stored.

use rusqlite::{CachedStatement, Connection, OptionalExtension, params};

use super::alerts;
use super::rows::read_totals;
use crate::alerts::Suspect;
use crate::{Group, NewDecision, NewFallback, NewLabel, NewRejection, Result, Totals};

/// Rejections that are kept: enough to see what goes wrong, too few to fill a disk.
const REJECTIONS_MAX: i64 = 100_000;

macro_rules! insert_decision {
    () => {
        "INSERT INTO decisions (sequence, id, key, event_time_us, decided_at_us, latency_us, amount_minor, score, \
         outcome, rules, timeliness, version, synthetic, event, features, reasons, origin_partition, origin_offset, \
         mark, fallback) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    };
}

const INSERT_DECISION: &str = insert_decision!();

/// The same, but what is known is left as it is.
const MERGE_DECISION: &str = concat!(insert_decision!(), " ON CONFLICT (id) DO NOTHING");

const INSERT_SHADOW: &str = "INSERT INTO shadow_scores (sequence, version, score) VALUES (?, ?, ?)";

const SET_FALLBACK: &str = "UPDATE decisions SET fallback = ? WHERE id = ? AND decided_at_us >= ?";

/// A row that stays where it is costs one page of the log; `INSERT OR REPLACE` wrote the index of names anew as well.
const SET_TOTAL: &str =
    "INSERT INTO totals (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value";

/// What the one writer counts; the same stands in the database.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    pub(super) totals: Totals,
    /// Id of the newest rejection.
    rejections: i64,
}

impl Counts {
    pub(super) fn read(connection: &Connection) -> Result<Counts> {
        let newest = "SELECT coalesce(max(id), 0) FROM rejections";
        let rejections = connection.query_row(newest, [], |row| row.get(0))?;
        Ok(Counts { totals: read_totals(connection)?, rejections })
    }

    /// Writes the totals that are no longer what they were.
    pub(super) fn replace_by(&self, after: &Counts, connection: &Connection) -> Result<()> {
        let mut statement = connection.prepare_cached(SET_TOTAL)?;
        for ((name, value), (_, old)) in named(&after.totals).into_iter().zip(named(&self.totals)) {
            if value != old {
                statement.execute(params![name, value as i64])?;
            }
        }
        Ok(())
    }
}

/// Writes a group with its own positions.
pub(super) fn append(connection: &Connection, group: &Group, counts: &mut Counts) -> Result<()> {
    let mut insert = connection.prepare_cached(INSERT_DECISION)?;
    let mut shadow = connection.prepare_cached(INSERT_SHADOW)?;
    let mut blob = Vec::new();
    for decision in &group.decisions {
        insert_decision(&mut insert, decision.sequence, decision, &mut blob)?;
        insert_shadow(&mut shadow, decision.sequence, decision)?;
    }
    for label in &group.labels {
        insert_label(connection, label.sequence, label)?;
    }
    group.fallbacks.iter().try_for_each(|fallback| set_fallback(connection, fallback))?;
    if let Some(window_us) = group.alert_window_us {
        let decisions = group.decisions.iter();
        let suspects: Vec<Suspect> =
            decisions.filter_map(|decision| Suspect::of(decision.sequence, decision)).collect();
        alerts::enter(connection, window_us, &suspects)?;
    }
    group.revisions.iter().try_for_each(|revision| alerts::revise(connection, revision))?;
    for rejection in &group.rejections {
        insert_rejection(connection, rejection, counts)?;
    }
    counts.totals.add(group);
    Ok(())
}

/// Writes what is new of a group, from the position `next` on; how many decisions that were.
pub(super) fn merge(
    connection: &Connection,
    group: &Group,
    mut next: i64,
    counts: &mut Counts,
) -> Result<u64> {
    let first = next;
    let mut insert = connection.prepare_cached(MERGE_DECISION)?;
    let mut shadow = connection.prepare_cached(INSERT_SHADOW)?;
    let mut blob = Vec::new();
    let mut suspects = Vec::new();
    for decision in &group.decisions {
        if insert_decision(&mut insert, next, decision, &mut blob)? > 0 {
            insert_shadow(&mut shadow, next, decision)?;
            suspects.extend(Suspect::of(next, decision));
            counts.totals.add_decision(decision);
            next += 1;
        }
    }
    let new = (next - first) as u64;
    if let Some(window_us) = group.alert_window_us {
        alerts::enter(connection, window_us, &suspects)?;
    }
    group.revisions.iter().try_for_each(|revision| alerts::revise(connection, revision))?;
    for label in &group.labels {
        if !is_known_label(connection, label)? {
            insert_label(connection, next, label)?;
            counts.totals.add_label(label);
            next += 1;
        }
    }
    for rejection in &group.rejections {
        if !has_rejection(connection, &rejection.source)? {
            insert_rejection(connection, rejection, counts)?;
            counts.totals.rejected += 1;
        }
    }
    counts.totals.repeated += group.repeated;
    Ok(new)
}

/// How many rows were written: none if the decision is known and that may be.
fn insert_decision(
    insert: &mut CachedStatement,
    sequence: i64,
    decision: &NewDecision,
    blob: &mut Vec<u8>,
) -> Result<usize> {
    blob.clear();
    decision.features.iter().for_each(|value| blob.extend_from_slice(&value.to_le_bytes()));
    Ok(insert.execute(params![
        sequence,
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
        decision.mark.is_some(),
        decision.event,
        &*blob,
        decision.reasons,
        decision.origin.map(|origin| origin.partition),
        decision.origin.map(|origin| origin.offset),
        decision.mark,
        decision.fallback,
    ])?)
}

fn set_fallback(connection: &Connection, fallback: &NewFallback) -> Result<()> {
    let values = params![fallback.said, fallback.id, fallback.received_at_us];
    connection.prepare_cached(SET_FALLBACK)?.execute(values)?;
    Ok(())
}

fn insert_shadow(insert: &mut CachedStatement, sequence: i64, decision: &NewDecision) -> Result<()> {
    for shadow in decision.shadow.iter().filter(|shadow| shadow.score.is_finite()) {
        insert.execute(params![sequence, shadow.version, shadow.score])?;
    }
    Ok(())
}

fn insert_label(connection: &Connection, sequence: i64, label: &NewLabel) -> Result<()> {
    let sql = "INSERT INTO labels (sequence, transaction_sequence, fraud, known_at_us) VALUES (?, ?, ?, ?)";
    let values = params![sequence, label.transaction_sequence, label.fraud, label.known_at_us];
    connection.prepare_cached(sql)?.execute(values)?;
    Ok(())
}

/// Whether this very label is stored, or the newest one of its transaction says the same.
fn is_known_label(connection: &Connection, label: &NewLabel) -> Result<bool> {
    let mut statement = connection.prepare_cached(
        "SELECT fraud = ?2 AND (known_at_us = ?3 \
         OR sequence = (SELECT max(sequence) FROM labels WHERE transaction_sequence = ?1)) AS known \
         FROM labels WHERE transaction_sequence = ?1 ORDER BY known DESC LIMIT 1",
    )?;
    let values = params![label.transaction_sequence, label.fraud, label.known_at_us];
    Ok(statement.query_row(values, |row| row.get(0)).optional()?.unwrap_or(false))
}

fn has_rejection(connection: &Connection, source: &str) -> Result<bool> {
    let mut statement =
        connection.prepare_cached("SELECT 1 FROM rejections WHERE source = ? AND source <> 'http'")?;
    Ok(statement.exists([source])?)
}

fn insert_rejection(connection: &Connection, rejection: &NewRejection, counts: &mut Counts) -> Result<()> {
    counts.rejections += 1;
    connection
        .prepare_cached(
            "INSERT INTO rejections (id, received_at_us, source, reason, raw) VALUES (?, ?, ?, ?, ?)",
        )?
        .execute(params![
            counts.rejections,
            rejection.received_at_us,
            rejection.source,
            rejection.reason,
            rejection.raw
        ])?;
    connection
        .prepare_cached("DELETE FROM rejections WHERE id <= ?")?
        .execute([counts.rejections - REJECTIONS_MAX])?;
    Ok(())
}

/// The totals by name, in a fixed order.
fn named(totals: &Totals) -> [(&'static str, u64); 11] {
    [
        ("approve", totals.outcomes[0]),
        ("review", totals.outcomes[1]),
        ("decline", totals.outcomes[2]),
        ("synthetic_approve", totals.synthetic[0]),
        ("synthetic_review", totals.synthetic[1]),
        ("synthetic_decline", totals.synthetic[2]),
        ("late", totals.late),
        ("rejected", totals.rejected),
        ("repeated", totals.repeated),
        ("labels", totals.labels),
        ("labelled_fraud", totals.labelled_fraud),
    ]
}

/// A real write, so that a full disk shows.
pub(super) fn a_total_again(connection: &mut Connection) -> Result<()> {
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    transaction.execute(
        "INSERT OR REPLACE INTO totals (name, value) \
         VALUES ('approve', coalesce((SELECT value FROM totals WHERE name = 'approve'), 0))",
        [],
    )?;
    Ok(transaction.commit()?)
}
