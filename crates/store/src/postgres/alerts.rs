//! Alerts in PostgreSQL.

use postgres::types::ToSql;
use postgres::{Client, GenericClient, Statement, ToStatement, Transaction};

use super::session::Session;
use crate::alerts::{
    CHANGES, COLUMNS, COUNTS, FROM, Fold, INSERT_CHANGE, LINKS, REVISE, Suspect, Value, conditions,
    disposition_name, read_alert, read_alert_change,
};
use crate::{
    AlertChange, AlertCounts, AlertFilter, AlertRecord, AlertRevision, NewDecision, Result, StoreError,
    StoredAlert,
};

/// Alerts that transactions have joined, column by column: one statement for all of a group.
const PUT_ALERTS: &str = "INSERT INTO alerts (id, entity, state, version, opened_at_us, first_event_us, last_event_us, transactions, declined, \
     amount_minor, at_risk_minor, score, transaction_id, transaction_sequence, mark) \
     SELECT * FROM UNNEST($1::bigint[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], \
     $8::bigint[], $9::bigint[], $10::bigint[], $11::double precision[], $12::double precision[], $13::text[], \
     $14::bigint[], $15::text[]) \
     ON CONFLICT (id) DO UPDATE SET version = excluded.version, first_event_us = excluded.first_event_us, \
     last_event_us = excluded.last_event_us, transactions = excluded.transactions, declined = excluded.declined, \
     amount_minor = excluded.amount_minor, at_risk_minor = excluded.at_risk_minor, score = excluded.score, \
     transaction_id = excluded.transaction_id, transaction_sequence = excluded.transaction_sequence";

/// What people have made of an alert of another store.
const SETTLE: &str = "UPDATE alerts SET assignee = $2, disposition = $3, closed_by = $4, closed_at_us = $5, reopen_asked_by = $6 \
     WHERE id = $1";

const LINK: &str =
    "INSERT INTO alert_transactions (alert, sequence) SELECT * FROM UNNEST($1::bigint[], $2::bigint[])";

/// The positions of decisions of this transaction, found by id and event time.
const PLACES: &str = "SELECT s.n, d.sequence FROM UNNEST($1::text[], $2::bigint[]) WITH ORDINALITY AS s (id, event_time_us, n) \
     JOIN decisions d ON d.id = s.id AND d.event_time_us = s.event_time_us ORDER BY d.sequence";

/// What every group with suspects needs, prepared once a session.
pub(super) struct Statements {
    waiting: Statement,
    places: Statement,
    put: Statement,
    link: Statement,
}

impl Statements {
    pub(super) fn of(session: &mut Session) -> Result<Statements> {
        let waiting = format!(
            "SELECT {COLUMNS} {FROM} WHERE a.entity = ANY($1) AND a.state <> 'closed' ORDER BY a.id FOR UPDATE OF a"
        );
        Ok(Statements {
            waiting: session.prepare(&waiting)?,
            places: session.prepare(PLACES)?,
            put: session.prepare(PUT_ALERTS)?,
            link: session.prepare(LINK)?,
        })
    }
}

/// Enters decisions of a group that were not approved into the alerts of their entities. `FOR UPDATE`: whoever closes an alert
/// at the same time does so before, and it is not found, or after, and learns that it has changed.
pub(super) fn enter(
    transaction: &mut Transaction,
    statements: &Statements,
    window_us: i64,
    suspects: &[Suspect],
) -> Result<()> {
    if suspects.is_empty() {
        return Ok(());
    }
    let entities: Vec<&str> = suspects.iter().map(Suspect::entity).collect();
    let waiting = read(transaction, &statements.waiting, &[&entities])?;
    let mut fold = Fold::new(window_us, waiting);
    suspects.iter().for_each(|suspect| fold.enter(*suspect));
    put_alerts(transaction, &statements.put, &fold.changed().collect::<Vec<_>>())?;
    link(transaction, &statements.link, &fold.links)
}

/// The suspects among decisions whose positions the database has just given.
pub(super) fn suspects<'a>(
    transaction: &mut Transaction,
    statements: &Statements,
    decisions: impl Iterator<Item = &'a NewDecision<'a>>,
) -> Result<Vec<Suspect<'a>>> {
    let unplaced: Vec<&NewDecision> = decisions.filter(|one| Suspect::of(0, one).is_some()).collect();
    if unplaced.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<&str> = unplaced.iter().map(|decision| decision.id).collect();
    let times: Vec<i64> = unplaced.iter().map(|decision| decision.event_time_us).collect();
    let placed = transaction.query(&statements.places, &[&ids, &times])?;
    let suspect = |row: &postgres::Row| {
        let decision = unplaced[row.get::<_, i64>(0) as usize - 1];
        Suspect::of(row.get(1), decision)
    };
    Ok(placed.iter().filter_map(suspect).collect())
}

/// Writes what people did.
pub(super) fn revise(transaction: &mut Transaction, revision: &AlertRevision) -> Result<()> {
    let AlertRevision { alert, change } = revision;
    let expected = alert.version - 1;
    let (state, disposition) = (alert.state.name(), alert.disposition.map(disposition_name));
    let revised = transaction.execute(
        REVISE,
        &[
            &state,
            &alert.assignee,
            &disposition,
            &alert.closed_by,
            &alert.closed_at_us,
            &alert.reopen_asked_by,
            &alert.id,
            &expected,
        ],
    )?;
    if revised == 0 {
        return Err(StoreError::AlertChanged(alert.id));
    }
    put_change(transaction, change)
}

pub(super) fn matching(client: &mut Client, filter: &AlertFilter) -> Result<Vec<StoredAlert>> {
    let (conditions, values) = conditions(filter);
    let values: Vec<&(dyn ToSql + Sync)> = values.iter().map(value).collect();
    read(client, &format!("SELECT {COLUMNS} {FROM} {conditions}"), &values)
}

pub(super) fn by_id(client: &mut Client, id: i64) -> Result<Option<StoredAlert>> {
    Ok(read(client, &format!("SELECT {COLUMNS} {FROM} WHERE a.id = $1"), &[&id])?.pop())
}

pub(super) fn counts(client: &mut Client, overdue_before_us: i64) -> Result<AlertCounts> {
    let row = client.query_one(COUNTS, &[&overdue_before_us])?;
    Ok(AlertCounts {
        open: row.get(0),
        assigned: row.get(1),
        overdue: row.get(2),
        closed: row.get(3),
        at_risk_minor: row.get(4),
    })
}

pub(super) fn changes(client: &mut Client, from: i64, to: i64) -> Result<Vec<AlertChange>> {
    Ok(client.query(CHANGES, &[&from, &to])?.iter().map(|row| read_alert_change!(row)).collect())
}

pub(super) fn records(client: &mut Client, after: i64, limit: usize) -> Result<Vec<AlertRecord>> {
    let sql = format!("SELECT {COLUMNS} {FROM} WHERE a.id > $1 ORDER BY a.id LIMIT $2");
    let alerts = read(client, &sql, &[&after, &(limit as i64)])?;
    let Some((first, last)) = alerts.first().zip(alerts.last()) else { return Ok(Vec::new()) };
    let changes = changes(client, first.id, last.id)?;
    let links = client.query(LINKS, &[&first.id, &last.id])?;
    let links: Vec<(i64, i64)> = links.iter().map(|row| (row.get(0), row.get(1))).collect();
    Ok(AlertRecord::gather(alerts, &links, &changes))
}

pub(super) fn put(transaction: &mut Transaction, records: &[AlertRecord]) -> Result<()> {
    let ids: Vec<i64> = records.iter().map(|record| record.alert.id).collect();
    let known = transaction.query("SELECT id FROM alerts WHERE id = ANY($1)", &[&ids])?;
    let known: Vec<i64> = known.iter().map(|row| row.get(0)).collect();
    let new = || records.iter().filter(|record| !known.contains(&record.alert.id));
    put_alerts(transaction, PUT_ALERTS, &new().map(|record| &record.alert).collect::<Vec<_>>())?;
    for AlertRecord { alert, transactions, changes } in new() {
        let disposition = alert.disposition.map(disposition_name);
        let settled: [&(dyn ToSql + Sync); 6] = [
            &alert.id,
            &alert.assignee,
            &disposition,
            &alert.closed_by,
            &alert.closed_at_us,
            &alert.reopen_asked_by,
        ];
        transaction.execute(SETTLE, &settled)?;
        let links: Vec<(i64, i64)> = transactions.iter().map(|sequence| (alert.id, *sequence)).collect();
        link(transaction, LINK, &links)?;
        changes.iter().try_for_each(|change| put_change(transaction, change))?;
    }
    Ok(())
}

fn value(value: &Value) -> &(dyn ToSql + Sync) {
    match value {
        Value::Text(text) => text,
        Value::Integer(number) => number,
        Value::Real(number) => number,
    }
}

fn read(
    client: &mut impl GenericClient,
    sql: &(impl ToStatement + ?Sized),
    parameters: &[&(dyn ToSql + Sync)],
) -> Result<Vec<StoredAlert>> {
    Ok(client.query(sql, parameters)?.iter().map(|row| read_alert!(row)).collect())
}

fn put_alerts(
    transaction: &mut Transaction,
    sql: &(impl ToStatement + ?Sized),
    alerts: &[&StoredAlert],
) -> Result<()> {
    fn column<'a, T>(alerts: &[&'a StoredAlert], part: impl Fn(&'a StoredAlert) -> T) -> Vec<T> {
        alerts.iter().map(|alert| part(alert)).collect()
    }
    let numbers = [
        |alert: &StoredAlert| alert.id,
        |alert: &StoredAlert| alert.version,
        |alert: &StoredAlert| alert.opened_at_us,
        |alert: &StoredAlert| alert.first_event_us,
        |alert: &StoredAlert| alert.last_event_us,
        |alert: &StoredAlert| alert.transactions,
        |alert: &StoredAlert| alert.declined,
        |alert: &StoredAlert| alert.amount_minor,
        |alert: &StoredAlert| alert.transaction_sequence,
    ];
    let [id, version, opened, first, last, transactions, declined, amount, sequence] =
        numbers.map(|part| column(alerts, part));
    let entity = column(alerts, |alert| alert.entity.as_str());
    let state = column(alerts, |alert| alert.state.name());
    let at_risk = column(alerts, |alert| alert.at_risk_minor);
    let score = column(alerts, |alert| alert.score);
    let transaction_id = column(alerts, |alert| alert.transaction_id.as_str());
    let mark = column(alerts, |alert| alert.mark.as_deref());
    let columns: [&(dyn ToSql + Sync); 15] = [
        &id,
        &entity,
        &state,
        &version,
        &opened,
        &first,
        &last,
        &transactions,
        &declined,
        &amount,
        &at_risk,
        &score,
        &transaction_id,
        &sequence,
        &mark,
    ];
    transaction.execute(sql, &columns)?;
    Ok(())
}

fn link(
    transaction: &mut Transaction,
    sql: &(impl ToStatement + ?Sized),
    links: &[(i64, i64)],
) -> Result<()> {
    let (alerts, sequences): (Vec<i64>, Vec<i64>) = links.iter().copied().unzip();
    transaction.execute(sql, &[&alerts, &sequences])?;
    Ok(())
}

fn put_change(transaction: &mut Transaction, change: &AlertChange) -> Result<()> {
    let values: [&(dyn ToSql + Sync); 7] = [
        &change.alert,
        &change.version,
        &change.at_us,
        &change.by,
        &change.action.name(),
        &change.target,
        &change.note,
    ];
    transaction.execute(INSERT_CHANGE, &values)?;
    Ok(())
}
