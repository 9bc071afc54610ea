//! Groups as they are written: in the embedded log's order, or merged into what is stored.
//!
//! Decisions go by `COPY`. A merge copies straight into the table as well, since nothing of a group is known except after
//! a crash: only if something is, it goes by way of a temporary table, and what is known is left out.

use std::collections::{HashMap, HashSet};
use std::io::Write;

use postgres::error::SqlState;
use postgres::{Statement, ToStatement, Transaction};

use super::alerts;
use super::copy::{COLUMNS, Rows};
use super::partitions::Partitions;
use super::session::Session;
use crate::alerts::Suspect;
use crate::{
    Group, NewDecision, NewFallback, NewLabel, NewRejection, Result, StoreError, Timeliness, Totals,
};

/// Rejections that are kept: enough to see what goes wrong, too few to fill a disk.
const REJECTIONS_MAX: i64 = 100_000;

const INSERT_LABELS_AT: &str = "INSERT INTO labels (sequence, transaction_sequence, fraud, known_at_us) \
     SELECT * FROM UNNEST($1::bigint[], $2::bigint[], $3::boolean[], $4::bigint[])";

const INSERT_LABELS: &str = "INSERT INTO labels (transaction_sequence, fraud, known_at_us) \
     SELECT a, b, c FROM UNNEST($1::bigint[], $2::boolean[], $3::bigint[]) WITH ORDINALITY AS l (a, b, c, n) ORDER BY n";

/// Shadow scores of decisions that are stored, found by id and event time.
const INSERT_SHADOW: &str = "INSERT INTO shadow_scores (sequence, version, score) \
     SELECT d.sequence, s.version, s.score \
     FROM UNNEST($1::text[], $2::bigint[], $3::bigint[], $4::double precision[]) AS s (id, event_time_us, version, score) \
     JOIN decisions d ON d.id = s.id AND d.event_time_us = s.event_time_us ON CONFLICT DO NOTHING";

/// What is rejected already is passed over before it could take a number.
const INSERT_REJECTIONS: &str = "INSERT INTO rejections (received_at_us, source, reason, raw) \
     SELECT a, b, c, d FROM UNNEST($1::bigint[], $2::text[], $3::text[], $4::text[]) WITH ORDINALITY AS r (a, b, c, d, n) \
     WHERE b = 'http' OR NOT EXISTS (SELECT 1 FROM rejections WHERE source = b AND source <> 'http') \
     ORDER BY n ON CONFLICT DO NOTHING RETURNING id";

/// Adds to the totals, and sets the last position given where the log has its own.
const ADD_TOTALS: &str = "UPDATE totals SET approve = approve + $1, review = review + $2, decline = decline + $3, \
     synthetic_approve = synthetic_approve + $4, synthetic_review = synthetic_review + $5, \
     synthetic_decline = synthetic_decline + $6, late = late + $7, rejected = rejected + $8, repeated = repeated + $9, \
     labels = labels + $10, labelled_fraud = labelled_fraud + $11 \
     RETURNING CASE WHEN $12::bigint >= 0 THEN setval('log_positions', $12::bigint) END";

const SET_FALLBACK: &str = "UPDATE decisions SET fallback = $1 WHERE id = $2 AND decided_at_us >= $3";

/// Writes a group with its own positions.
pub(super) fn append(session: &mut Session, partitions: &mut Partitions, group: &Group) -> Result<()> {
    let copy =
        session.prepare(&format!("COPY decisions (sequence, {COLUMNS}) FROM STDIN (FORMAT binary)"))?;
    let add_totals = session.prepare(ADD_TOTALS)?;
    let shadow = session.prepare(INSERT_SHADOW)?;
    let alerting = alerts::Statements::of(session)?;
    let mut transaction = session.client.transaction()?;
    if !group.decisions.is_empty() {
        partitions.make(&mut transaction, group.decisions.iter().map(|decision| decision.event_time_us))?;
        let mut rows = Rows::new();
        group.decisions.iter().for_each(|decision| rows.push_at(decision.sequence, decision));
        copy_in(&mut transaction, &copy, rows)?;
        insert_shadow(&mut transaction, &shadow, group.decisions.iter())?;
    }
    if !group.labels.is_empty() {
        let [sequences, transactions] =
            [|label: &NewLabel| label.sequence, |label: &NewLabel| label.transaction_sequence]
                .map(|part| group.labels.iter().map(part).collect::<Vec<_>>());
        let (fraud, known_at_us) = said(&group.labels);
        transaction.execute(INSERT_LABELS_AT, &[&sequences, &transactions, &fraud, &known_at_us])?;
    }
    if let Some(window_us) = group.alert_window_us {
        let decisions = group.decisions.iter();
        let suspects: Vec<Suspect> =
            decisions.filter_map(|decision| Suspect::of(decision.sequence, decision)).collect();
        alerts::enter(&mut transaction, &alerting, window_us, &suspects)?;
    }
    group.revisions.iter().try_for_each(|revision| alerts::revise(&mut transaction, revision))?;
    group.fallbacks.iter().try_for_each(|fallback| set_fallback(&mut transaction, fallback))?;
    insert_rejections(&mut transaction, &group.rejections)?;
    let mut totals = Totals::default();
    totals.add(group);
    let last_decision = group.decisions.iter().map(|decision| decision.sequence).max();
    let last = last_decision.max(group.labels.iter().map(|label| label.sequence).max());
    add(&mut transaction, &add_totals, &totals, last)?;
    Ok(transaction.commit()?)
}

/// Writes what is new of a group; how many decisions that were.
pub(super) fn merge(session: &mut Session, partitions: &mut Partitions, group: &Group) -> Result<u64> {
    let copy = session.prepare(&format!("COPY decisions ({COLUMNS}) FROM STDIN (FORMAT binary)"))?;
    let add_totals = session.prepare(ADD_TOTALS)?;
    let shadow = session.prepare(INSERT_SHADOW)?;
    let alerting = alerts::Statements::of(session)?;
    let mut transaction = session.client.transaction()?;
    let mut totals = Totals::default();
    if !group.decisions.is_empty() {
        partitions.make(&mut transaction, group.decisions.iter().map(|decision| decision.event_time_us))?;
        let known = merge_decisions(&mut transaction, &copy, &group.decisions, &mut totals)?;
        let new = group.decisions.iter().filter(|decision| !known.contains(decision.id));
        insert_shadow(&mut transaction, &shadow, new.clone())?;
        if let Some(window_us) = group.alert_window_us {
            let suspects = alerts::suspects(&mut transaction, &alerting, new)?;
            alerts::enter(&mut transaction, &alerting, window_us, &suspects)?;
        }
    }
    group.revisions.iter().try_for_each(|revision| alerts::revise(&mut transaction, revision))?;
    let labels = new_labels(&mut transaction, &group.labels)?;
    labels.iter().for_each(|label| totals.add_label(label));
    insert_labels(&mut transaction, &labels)?;
    totals.rejected = insert_rejections(&mut transaction, &group.rejections)?;
    totals.repeated = group.repeated;
    // Last, because others wait for the one row of totals until this is committed.
    add(&mut transaction, &add_totals, &totals, None)?;
    transaction.commit()?;
    Ok(totals.decisions())
}

/// The ids that were known before.
fn merge_decisions<'a>(
    transaction: &mut Transaction,
    copy: &Statement,
    decisions: &[NewDecision<'a>],
    totals: &mut Totals,
) -> Result<HashSet<&'a str>> {
    let mut unheard = transaction.savepoint("unheard")?;
    match copy_in(&mut unheard, copy, rows_of(decisions)) {
        Ok(()) => {
            unheard.commit()?;
            decisions.iter().for_each(|decision| totals.add_decision(decision));
            Ok(HashSet::new())
        }
        Err(StoreError::Postgres(error)) if error.code() == Some(&SqlState::UNIQUE_VIOLATION) => {
            unheard.rollback()?;
            merge_unknown(transaction, decisions, totals)
        }
        Err(error) => Err(error),
    }
}

/// By way of a temporary table, whose rows stand in the order in which they were copied.
fn merge_unknown<'a>(
    transaction: &mut Transaction,
    decisions: &[NewDecision<'a>],
    totals: &mut Totals,
) -> Result<HashSet<&'a str>> {
    transaction.batch_execute(&format!(
        "CREATE TEMPORARY TABLE IF NOT EXISTS incoming ON COMMIT DELETE ROWS \
         AS SELECT {COLUMNS} FROM decisions WITH NO DATA"
    ))?;
    let copy = format!("COPY incoming ({COLUMNS}) FROM STDIN (FORMAT binary)");
    copy_in(transaction, copy.as_str(), rows_of(decisions))?;
    let insert = format!(
        "INSERT INTO decisions ({COLUMNS}) SELECT {COLUMNS} FROM incoming ORDER BY ctid \
         ON CONFLICT DO NOTHING RETURNING id, outcome, timeliness, synthetic"
    );
    let mut known: HashSet<&str> = decisions.iter().map(|decision| decision.id).collect();
    for row in transaction.query(insert.as_str(), &[])? {
        known.remove(row.get::<_, &str>(0));
        let outcome = engine::Outcome::from_name(row.get(1)).expect("it was written from an outcome");
        totals.outcomes[outcome as usize] += 1;
        totals.synthetic[outcome as usize] += u64::from(row.get::<_, bool>(3));
        totals.late += u64::from(row.get::<_, &str>(2) != Timeliness::OnTime.name());
    }
    Ok(known)
}

fn set_fallback(transaction: &mut Transaction, fallback: &NewFallback) -> Result<()> {
    transaction.execute(SET_FALLBACK, &[&fallback.said, &fallback.id, &fallback.received_at_us])?;
    Ok(())
}

fn insert_shadow<'a>(
    transaction: &mut Transaction,
    statement: &Statement,
    decisions: impl Iterator<Item = &'a NewDecision<'a>> + Clone,
) -> Result<()> {
    let scores =
        || decisions.clone().flat_map(|decision| decision.shadow.iter().map(move |score| (decision, score)));
    let scores = || scores().filter(|(_, shadow)| shadow.score.is_finite());
    if scores().next().is_none() {
        return Ok(());
    }
    let ids: Vec<&str> = scores().map(|(decision, _)| decision.id).collect();
    let times: Vec<i64> = scores().map(|(decision, _)| decision.event_time_us).collect();
    let (versions, said): (Vec<i64>, Vec<f64>) =
        scores().map(|(_, shadow)| (shadow.version, shadow.score)).unzip();
    transaction.execute(statement, &[&ids, &times, &versions, &said])?;
    Ok(())
}

fn rows_of(decisions: &[NewDecision]) -> Rows {
    let mut rows = Rows::new();
    decisions.iter().for_each(|decision| rows.push(decision));
    rows
}

fn copy_in<S: ToStatement + ?Sized>(transaction: &mut Transaction, copy: &S, rows: Rows) -> Result<()> {
    let mut writer = transaction.copy_in(copy)?;
    // What the server says comes with the end; an error here only says that it has stopped to listen.
    let written = writer.write_all(&rows.finish());
    writer.finish()?;
    written.map_err(|source| StoreError::Unusable { path: "the connection".into(), source })
}

/// Replaces the totals, and lets positions go on behind the last one.
pub(super) fn set_totals(session: &mut Session, totals: &Totals) -> Result<()> {
    let add_totals = session.prepare(ADD_TOTALS)?;
    let mut transaction = session.client.transaction()?;
    transaction.batch_execute(
        "UPDATE totals SET approve = 0, review = 0, decline = 0, synthetic_approve = 0, synthetic_review = 0, \
         synthetic_decline = 0, late = 0, rejected = 0, repeated = 0, labels = 0, labelled_fraud = 0",
    )?;
    add(&mut transaction, &add_totals, totals, None)?;
    Ok(transaction.commit()?)
}

/// The labels that are neither stored nor say what the newest of their transaction says.
fn new_labels(transaction: &mut Transaction, labels: &[NewLabel]) -> Result<Vec<NewLabel>> {
    if labels.is_empty() {
        return Ok(Vec::new());
    }
    let about: Vec<i64> = labels.iter().map(|label| label.transaction_sequence).collect();
    let sql = "SELECT transaction_sequence, fraud, known_at_us FROM labels \
               WHERE transaction_sequence = ANY($1) ORDER BY sequence";
    let mut stored: HashMap<i64, Vec<(bool, i64)>> = HashMap::new();
    for row in transaction.query(sql, &[&about])? {
        stored.entry(row.get(0)).or_default().push((row.get(1), row.get(2)));
    }
    let mut new = Vec::new();
    for label in labels {
        let known = stored.entry(label.transaction_sequence).or_default();
        let says_newest = known.last().is_some_and(|(fraud, _)| *fraud == label.fraud);
        if !says_newest && !known.contains(&(label.fraud, label.known_at_us)) {
            known.push((label.fraud, label.known_at_us));
            new.push(*label);
        }
    }
    Ok(new)
}

fn insert_labels(transaction: &mut Transaction, labels: &[NewLabel]) -> Result<()> {
    if labels.is_empty() {
        return Ok(());
    }
    let transactions: Vec<i64> = labels.iter().map(|label| label.transaction_sequence).collect();
    let (fraud, known_at_us) = said(labels);
    transaction.execute(INSERT_LABELS, &[&transactions, &fraud, &known_at_us])?;
    Ok(())
}

fn said(labels: &[NewLabel]) -> (Vec<bool>, Vec<i64>) {
    labels.iter().map(|label| (label.fraud, label.known_at_us)).unzip()
}

/// How many rejections were new.
fn insert_rejections(transaction: &mut Transaction, rejections: &[NewRejection]) -> Result<u64> {
    if rejections.is_empty() {
        return Ok(0);
    }
    let received: Vec<i64> = rejections.iter().map(|rejection| rejection.received_at_us).collect();
    let texts = |part: fn(&NewRejection) -> &str| -> Vec<String> {
        rejections.iter().map(|rejection| storable(part(rejection))).collect()
    };
    let (sources, reasons) = (texts(|rejection| &rejection.source), texts(|rejection| &rejection.reason));
    let raw = texts(|rejection| &rejection.raw);
    let inserted = transaction.query(INSERT_REJECTIONS, &[&received, &sources, &reasons, &raw])?;
    if let Some(newest) = inserted.iter().map(|row| row.get::<_, i64>(0)).max() {
        transaction.execute("DELETE FROM rejections WHERE id <= $1", &[&(newest - REJECTIONS_MAX)])?;
    }
    Ok(inserted.len() as u64)
}

/// What came in and was no transaction can hold anything; PostgreSQL's text cannot hold NUL.
fn storable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

fn add(
    transaction: &mut Transaction,
    statement: &Statement,
    totals: &Totals,
    last_position: Option<i64>,
) -> Result<()> {
    let [approve, review, decline] = totals.outcomes.map(|count| count as i64);
    let synthetic = totals.synthetic.map(|count| count as i64);
    let [late, rejected, repeated, labels, labelled_fraud] =
        [totals.late, totals.rejected, totals.repeated, totals.labels, totals.labelled_fraud]
            .map(|count| count as i64);
    let last = last_position.unwrap_or(-1);
    transaction.query(
        statement,
        &[
            &approve,
            &review,
            &decline,
            &synthetic[0],
            &synthetic[1],
            &synthetic[2],
            &late,
            &rejected,
            &repeated,
            &labels,
            &labelled_fraud,
            &last,
        ],
    )?;
    Ok(())
}
