//! Alerts in SQLite.

use rusqlite::{Connection, OptionalExtension, Params, ToSql, params, params_from_iter};

use crate::alerts::{
    CHANGES, COLUMNS, COUNTS, FROM, Fold, INSERT_CHANGE, LINKS, REVISE, Suspect, Value, conditions,
    disposition_name, read_alert, read_alert_change,
};
use crate::{
    AlertChange, AlertCounts, AlertFilter, AlertRecord, AlertRevision, Result, StoreError, StoredAlert,
};

const PUT_ALERT: &str = "INSERT INTO alerts (id, entity, state, version, opened_at_us, first_event_us, last_event_us, transactions, declined, \
     amount_minor, at_risk_minor, score, transaction_id, transaction_sequence, mark, assignee, disposition, closed_by, \
     closed_at_us, reopen_asked_by) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) \
     ON CONFLICT (id) DO UPDATE SET version = excluded.version, first_event_us = excluded.first_event_us, \
     last_event_us = excluded.last_event_us, transactions = excluded.transactions, declined = excluded.declined, \
     amount_minor = excluded.amount_minor, at_risk_minor = excluded.at_risk_minor, score = excluded.score, \
     transaction_id = excluded.transaction_id, transaction_sequence = excluded.transaction_sequence";

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
        match self {
            Value::Text(text) => text.to_sql(),
            Value::Integer(number) => number.to_sql(),
            Value::Real(number) => number.to_sql(),
        }
    }
}

/// Enters suspects into the alerts of their entities.
pub(super) fn enter(connection: &Connection, window_us: i64, suspects: &[Suspect]) -> Result<()> {
    let waiting = format!(
        "SELECT {COLUMNS} {FROM} WHERE a.entity = $1 AND a.state <> 'closed' ORDER BY a.id DESC LIMIT 1"
    );
    let mut entities: Vec<&str> = suspects.iter().map(Suspect::entity).collect();
    entities.sort_unstable();
    entities.dedup();
    let mut newest = Vec::new();
    for entity in entities {
        newest.extend(read(connection, &waiting, [entity])?);
    }
    let mut fold = Fold::new(window_us, newest);
    suspects.iter().for_each(|suspect| fold.enter(*suspect));
    for alert in fold.changed() {
        put_alert(connection, alert)?;
    }
    link(connection, &fold.links)
}

/// Writes what people did.
pub(super) fn revise(connection: &Connection, revision: &AlertRevision) -> Result<()> {
    let AlertRevision { alert, change } = revision;
    let revised = connection.prepare_cached(REVISE)?.execute(params![
        alert.state.name(),
        alert.assignee,
        alert.disposition.map(disposition_name),
        alert.closed_by,
        alert.closed_at_us,
        alert.reopen_asked_by,
        alert.id,
        alert.version - 1
    ])?;
    if revised == 0 {
        return Err(StoreError::AlertChanged(alert.id));
    }
    put_change(connection, change)
}

pub(super) fn matching(connection: &Connection, filter: &AlertFilter) -> Result<Vec<StoredAlert>> {
    let (conditions, values) = conditions(filter);
    read(connection, &format!("SELECT {COLUMNS} {FROM} {conditions}"), params_from_iter(values))
}

pub(super) fn by_id(connection: &Connection, id: i64) -> Result<Option<StoredAlert>> {
    Ok(read(connection, &format!("SELECT {COLUMNS} {FROM} WHERE a.id = $1"), [id])?.pop())
}

pub(super) fn counts(connection: &Connection, overdue_before_us: i64) -> Result<AlertCounts> {
    Ok(connection.prepare_cached(COUNTS)?.query_row([overdue_before_us], |row| {
        Ok(AlertCounts {
            open: row.get(0)?,
            assigned: row.get(1)?,
            overdue: row.get(2)?,
            closed: row.get(3)?,
            at_risk_minor: row.get(4)?,
        })
    })?)
}

pub(super) fn changes(connection: &Connection, from: i64, to: i64) -> Result<Vec<AlertChange>> {
    let mut statement = connection.prepare_cached(CHANGES)?;
    let rows = statement.query_map([from, to], |row| Ok(read_alert_change!(row?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

pub(super) fn records(connection: &Connection, after: i64, limit: usize) -> Result<Vec<AlertRecord>> {
    let sql = format!("SELECT {COLUMNS} {FROM} WHERE a.id > $1 ORDER BY a.id LIMIT $2");
    let alerts = read(connection, &sql, [after, limit as i64])?;
    let Some((first, last)) = alerts.first().zip(alerts.last()) else { return Ok(Vec::new()) };
    let changes = changes(connection, first.id, last.id)?;
    let mut statement = connection.prepare_cached(LINKS)?;
    let links = statement.query_map([first.id, last.id], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let links: Vec<(i64, i64)> = links.collect::<rusqlite::Result<_>>()?;
    Ok(AlertRecord::gather(alerts, &links, &changes))
}

pub(super) fn put(connection: &Connection, records: &[AlertRecord]) -> Result<()> {
    for AlertRecord { alert, transactions, changes } in records {
        let known = connection
            .prepare_cached("SELECT 1 FROM alerts WHERE id = ?")?
            .query_row([alert.id], |_| Ok(()))
            .optional()?;
        if known.is_some() {
            continue;
        }
        put_alert(connection, alert)?;
        let links: Vec<(i64, i64)> = transactions.iter().map(|sequence| (alert.id, *sequence)).collect();
        link(connection, &links)?;
        changes.iter().try_for_each(|change| put_change(connection, change))?;
    }
    Ok(())
}

fn read(connection: &Connection, sql: &str, parameters: impl Params) -> Result<Vec<StoredAlert>> {
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map(parameters, |row| Ok(read_alert!(row?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn put_alert(connection: &Connection, alert: &StoredAlert) -> Result<()> {
    connection.prepare_cached(PUT_ALERT)?.execute(params![
        alert.id,
        alert.entity,
        alert.state.name(),
        alert.version,
        alert.opened_at_us,
        alert.first_event_us,
        alert.last_event_us,
        alert.transactions,
        alert.declined,
        alert.amount_minor,
        alert.at_risk_minor,
        alert.score,
        alert.transaction_id,
        alert.transaction_sequence,
        alert.mark,
        alert.assignee,
        alert.disposition.map(disposition_name),
        alert.closed_by,
        alert.closed_at_us,
        alert.reopen_asked_by
    ])?;
    Ok(())
}

fn link(connection: &Connection, links: &[(i64, i64)]) -> Result<()> {
    let mut statement =
        connection.prepare_cached("INSERT INTO alert_transactions (alert, sequence) VALUES (?, ?)")?;
    links.iter().try_for_each(|link| statement.execute([link.0, link.1]).map(drop))?;
    Ok(())
}

fn put_change(connection: &Connection, change: &AlertChange) -> Result<()> {
    connection.prepare_cached(INSERT_CHANGE)?.execute(params![
        change.alert,
        change.version,
        change.at_us,
        change.by,
        change.action.name(),
        change.target,
        change.note
    ])?;
    Ok(())
}
