//! Rows as they are read.

use std::sync::Arc;

use engine::Outcome;
use rusqlite::{Connection, OptionalExtension, Row};

use crate::activity::BRIEF;
use crate::{
    Brief, BriefEntry, LabelledScore, LogEntry, NewLabel, NewRejection, Origin, Result, ShadowScore, Shape,
    StoredDecision, StoredLabel, Timeliness, Totals, Versions, shadow,
};

pub(super) const COLUMNS: &str = "sequence, id, key, event_time_us, decided_at_us, latency_us, amount_minor, score, outcome, rules, \
     timeliness, version, event, features, \
     (SELECT max(labels.sequence) FROM labels WHERE transaction_sequence = decisions.sequence) AS label_sequence, \
     (SELECT fraud FROM labels WHERE transaction_sequence = decisions.sequence ORDER BY labels.sequence DESC LIMIT 1) \
     AS fraud, \
     (SELECT known_at_us FROM labels WHERE transaction_sequence = decisions.sequence ORDER BY labels.sequence DESC \
     LIMIT 1) AS known_at_us";

pub(super) fn read_totals(connection: &Connection) -> Result<Totals> {
    let mut statement = connection.prepare_cached("SELECT value FROM totals WHERE name = ?")?;
    let mut value = |name: &str| -> Result<u64> {
        let value: Option<i64> = statement.query_row([name], |row| row.get(0)).optional()?;
        Ok(value.unwrap_or(0) as u64)
    };
    Ok(Totals {
        outcomes: [value("approve")?, value("review")?, value("decline")?],
        synthetic: [value("synthetic_approve")?, value("synthetic_review")?, value("synthetic_decline")?],
        late: value("late")?,
        rejected: value("rejected")?,
        repeated: value("repeated")?,
        labels: value("labels")?,
        labelled_fraud: value("labelled_fraud")?,
    })
}
pub(super) fn read_decision(row: &Row) -> rusqlite::Result<StoredDecision> {
    let features: Vec<u8> = row.get("features")?;
    let rules: String = row.get("rules")?;
    let label = match row.get("label_sequence")? {
        Some(sequence) => {
            Some(StoredLabel { sequence, fraud: row.get("fraud")?, known_at_us: row.get("known_at_us")? })
        }
        None => None,
    };
    Ok(StoredDecision {
        sequence: row.get("sequence")?,
        id: row.get("id")?,
        key: row.get("key")?,
        event_time_us: row.get("event_time_us")?,
        decided_at_us: row.get("decided_at_us")?,
        latency_us: row.get("latency_us")?,
        amount_minor: row.get("amount_minor")?,
        score: row.get("score")?,
        outcome: Outcome::from_name(&row.get::<_, String>("outcome")?).unwrap_or(Outcome::Review),
        rules: rules.split(',').filter(|rule| !rule.is_empty()).map(str::to_string).collect(),
        timeliness: Timeliness::from_name(&row.get::<_, String>("timeliness")?).unwrap_or(Timeliness::OnTime),
        mark: row.get("mark")?,
        event: row.get("event")?,
        features: features
            .chunks_exact(8)
            .map(|bytes| f64::from_le_bytes(bytes.try_into().expect("chunks of eight")))
            .collect(),
        reasons: row.get("reasons")?,
        fallback: row.get("fallback")?,
        origin: read_origin(row)?,
        versions: Arc::new(Versions {
            detector: String::new(),
            feature_fingerprint: String::new(),
            rules_fingerprint: String::new(),
            model: None,
            feature_names: Vec::new(),
        }),
        label,
    })
}

fn read_origin(row: &Row) -> rusqlite::Result<Option<Origin>> {
    let partition: Option<i32> = row.get("origin_partition")?;
    let offset: Option<i64> = row.get("origin_offset")?;
    Ok(partition.zip(offset).map(|(partition, offset)| Origin { partition, offset }))
}

pub(super) fn read_log_entry(row: &Row) -> rusqlite::Result<LogEntry> {
    let (sequence, event) = (row.get(0)?, row.get(1)?);
    let transaction_sequence: Option<i64> = row.get(2)?;
    Ok(match transaction_sequence {
        None => LogEntry::Transaction { sequence, event },
        Some(transaction_sequence) => {
            LogEntry::Label { sequence, transaction_sequence, event, fraud: row.get(3)? }
        }
    })
}

pub(super) fn brief(connection: &Connection, after: i64, limit: usize) -> Result<Vec<BriefEntry>> {
    let mut statement = connection.prepare_cached(BRIEF)?;
    let rows = statement.query_map([after, limit as i64], |row| {
        let outcome = Outcome::from_name(row.get_ref(5)?.as_str()?).unwrap_or(Outcome::Review);
        let decision = Brief {
            decided_at_us: row.get(1)?,
            event_time_us: row.get(2)?,
            amount_minor: row.get(3)?,
            score: row.get(4)?,
            outcome,
            synthetic: row.get(6)?,
            event: row.get(7)?,
        };
        Ok(BriefEntry::of(row.get(0)?, decision, row.get(8)?, row.get(9)?))
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

pub(super) fn labels(connection: &Connection, after: i64, last: i64) -> Result<Vec<NewLabel>> {
    let mut statement = connection.prepare_cached(
        "SELECT sequence, transaction_sequence, fraud, known_at_us FROM labels \
         WHERE sequence > ? AND sequence <= ? ORDER BY sequence",
    )?;
    let rows = statement.query_map([after, last], |row| {
        Ok(NewLabel {
            sequence: row.get(0)?,
            transaction_sequence: row.get(1)?,
            fraud: row.get(2)?,
            known_at_us: row.get(3)?,
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

pub(super) fn shadow_scores(connection: &Connection, after: i64, last: i64) -> Result<Vec<ShadowScore>> {
    let mut statement = connection.prepare_cached(
        "SELECT sequence, version, score FROM shadow_scores WHERE sequence > ? AND sequence <= ? \
         ORDER BY sequence, version",
    )?;
    let rows = statement.query_map([after, last], |row| {
        Ok(ShadowScore { sequence: row.get(0)?, version: row.get(1)?, score: row.get(2)? })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// How many of the newest decisions each version has scored.
pub(super) fn scored(connection: &Connection, limit: usize) -> Result<Vec<(i64, u64)>> {
    let mut statement = connection.prepare_cached(shadow::SCORED)?;
    let rows = statement.query_map([limit as i64], |row| Ok((row.get(0)?, row.get::<_, i64>(1)? as u64)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Scores of the newest labelled transactions.
pub(super) fn labelled(
    connection: &Connection,
    limit: usize,
    matured_before_us: Option<i64>,
) -> Result<Vec<LabelledScore>> {
    let limit = limit as i64;
    let rows: rusqlite::Result<_> = match matured_before_us {
        None => {
            connection.prepare_cached(shadow::LABELLED)?.query_map([limit], read_labelled_score)?.collect()
        }
        Some(before_us) => connection
            .prepare_cached(shadow::MATURED)?
            .query_map([before_us, limit], read_labelled_score)?
            .collect(),
    };
    Ok(rows?)
}

fn read_labelled_score(row: &Row) -> rusqlite::Result<LabelledScore> {
    Ok(LabelledScore {
        sequence: row.get(0)?,
        fraud: row.get(1)?,
        amount_minor: row.get(2)?,
        event_time_us: row.get(3)?,
        key: row.get(4)?,
        mark: row.get(5)?,
        version: row.get(6)?,
        score: row.get(7)?,
    })
}

pub(super) fn rejections(connection: &Connection) -> Result<Vec<NewRejection>> {
    let mut statement = connection
        .prepare_cached("SELECT received_at_us, source, reason, raw FROM rejections ORDER BY id")?;
    let rows = statement.query_map([], read_rejection)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

pub(super) fn newest_rejections(connection: &Connection, limit: usize) -> Result<(Vec<NewRejection>, u64)> {
    let mut statement = connection.prepare_cached(
        "SELECT received_at_us, source, reason, raw FROM rejections ORDER BY id DESC LIMIT ?",
    )?;
    let newest: rusqlite::Result<_> = statement.query_map([limit as i64], read_rejection)?.collect();
    let stored: i64 = connection.query_row("SELECT count(*) FROM rejections", [], |row| row.get(0))?;
    Ok((newest?, stored as u64))
}

pub(super) fn newest_reasons(connection: &Connection, limit: usize) -> Result<Vec<(i64, String)>> {
    let mut statement = connection
        .prepare_cached("SELECT received_at_us, reason FROM rejections ORDER BY id DESC LIMIT ?")?;
    let rows = statement.query_map([limit as i64], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn read_rejection(row: &Row) -> rusqlite::Result<NewRejection> {
    Ok(NewRejection {
        received_at_us: row.get(0)?,
        source: row.get(1)?,
        reason: row.get(2)?,
        raw: row.get(3)?,
    })
}

pub(super) fn shape(connection: &Connection, schema: i64) -> Result<Shape> {
    let count = |table: &str| -> Result<u64> {
        let counted: i64 =
            connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0))?;
        Ok(counted as u64)
    };
    let pragma = |name: &str| -> Result<i64> {
        Ok(connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get(0))?)
    };
    Ok(Shape {
        kind: format!("SQLite {}", rusqlite::version()),
        schema,
        decisions: count("decisions")?,
        labels: count("labels")?,
        rejections: count("rejections")?,
        versions: count("versions")?,
        bytes: (pragma("page_count")? * pragma("page_size")?) as u64,
        partitions: Vec::new(),
    })
}
