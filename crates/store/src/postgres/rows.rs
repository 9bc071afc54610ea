//! Rows as they are read.

use std::sync::Arc;

use engine::Outcome;
use postgres::{Client, Row};

use super::migrate::schema_version;
use crate::{
    Brief, BriefEntry, LabelledScore, LogEntry, NewLabel, NewRejection, Origin, Partition, Result,
    ShadowScore, Shape, StoredDecision, StoredLabel, Timeliness, Totals, Versions,
};

/// Decisions with their newest labels, to be followed by conditions.
pub(super) const DECISIONS: &str = "SELECT d.sequence, d.id, d.key, d.event_time_us, d.decided_at_us, d.latency_us, d.amount_minor, d.score, d.outcome, \
     d.rules, d.timeliness, d.version, d.mark, d.event, d.features, d.reasons, d.origin_partition, d.origin_offset, \
     l.sequence, l.fraud, l.known_at_us, d.fallback \
     FROM decisions d LEFT JOIN LATERAL (SELECT sequence, fraud, known_at_us FROM labels \
     WHERE transaction_sequence = d.sequence ORDER BY sequence DESC LIMIT 1) l ON true";

/// Number of what a decision was made with.
pub(super) fn read_version(row: &Row) -> i64 {
    row.get(11)
}

pub(super) fn read_decision(row: &Row, versions: Arc<Versions>) -> StoredDecision {
    let rules: &str = row.get(9);
    let origin: (Option<i32>, Option<i64>) = (row.get(16), row.get(17));
    let label: Option<i64> = row.get(18);
    StoredDecision {
        sequence: row.get(0),
        id: row.get(1),
        key: row.get(2),
        event_time_us: row.get(3),
        decided_at_us: row.get(4),
        latency_us: row.get(5),
        amount_minor: row.get(6),
        score: row.get(7),
        outcome: Outcome::from_name(row.get(8)).unwrap_or(Outcome::Review),
        rules: rules.split(',').filter(|rule| !rule.is_empty()).map(str::to_string).collect(),
        timeliness: Timeliness::from_name(row.get(10)).unwrap_or(Timeliness::OnTime),
        mark: row.get(12),
        event: row.get(13),
        features: row.get(14),
        reasons: row.get(15),
        fallback: row.get(21),
        origin: origin.0.zip(origin.1).map(|(partition, offset)| Origin { partition, offset }),
        versions,
        label: label.map(|sequence| StoredLabel { sequence, fraud: row.get(19), known_at_us: row.get(20) }),
    }
}

pub(super) fn read_versions(row: &Row) -> Versions {
    Versions {
        detector: row.get(0),
        feature_fingerprint: row.get(1),
        rules_fingerprint: row.get(2),
        model: row.get(3),
        feature_names: row.get::<_, &str>(4).lines().map(str::to_string).collect(),
    }
}

pub(super) fn read_log_entry(row: &Row) -> LogEntry {
    let (sequence, event) = (row.get(0), row.get(1));
    match row.get::<_, Option<i64>>(2) {
        None => LogEntry::Transaction { sequence, event },
        Some(transaction_sequence) => {
            LogEntry::Label { sequence, transaction_sequence, event, fraud: row.get(3) }
        }
    }
}

pub(super) fn read_brief(row: &Row) -> BriefEntry {
    let decision = Brief {
        decided_at_us: row.get(1),
        event_time_us: row.get(2),
        amount_minor: row.get(3),
        score: row.get(4),
        outcome: Outcome::from_name(row.get(5)).unwrap_or(Outcome::Review),
        synthetic: row.get(6),
        event: row.get(7),
    };
    BriefEntry::of(row.get(0), decision, row.get(8), row.get(9))
}

pub(super) const TOTALS: &str = "SELECT approve, review, decline, synthetic_approve, synthetic_review, synthetic_decline, late, rejected, repeated, \
     labels, labelled_fraud FROM totals";

pub(super) fn read_totals(row: &Row) -> Totals {
    let value = |column: usize| row.get::<_, i64>(column) as u64;
    Totals {
        outcomes: [value(0), value(1), value(2)],
        synthetic: [value(3), value(4), value(5)],
        late: value(6),
        rejected: value(7),
        repeated: value(8),
        labels: value(9),
        labelled_fraud: value(10),
    }
}

pub(super) fn read_label(row: &Row) -> NewLabel {
    NewLabel {
        sequence: row.get(0),
        transaction_sequence: row.get(1),
        fraud: row.get(2),
        known_at_us: row.get(3),
    }
}

pub(super) fn read_shadow_score(row: &Row) -> ShadowScore {
    ShadowScore { sequence: row.get(0), version: row.get(1), score: row.get(2) }
}

pub(super) fn read_labelled_score(row: &Row) -> LabelledScore {
    LabelledScore {
        sequence: row.get(0),
        fraud: row.get(1),
        amount_minor: row.get(2),
        event_time_us: row.get(3),
        key: row.get(4),
        mark: row.get(5),
        version: row.get(6),
        score: row.get(7),
    }
}

pub(super) fn read_rejection(row: &Row) -> NewRejection {
    NewRejection { received_at_us: row.get(0), source: row.get(1), reason: row.get(2), raw: row.get(3) }
}

pub(super) fn shape(client: &mut Client) -> Result<Shape> {
    let schema = schema_version(client)?;
    let partitions = client.query(
        "SELECT c.relname::text, pg_total_relation_size(c.oid) FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid \
         WHERE i.inhparent = 'decisions'::regclass ORDER BY c.relname",
        &[],
    )?;
    let partitions: Result<Vec<Partition>> = partitions.iter().map(|row| partition(client, row)).collect();
    let kind: &str = &client.query_one("SHOW server_version", &[])?.get::<_, String>(0);
    let rest = client.query_one(
        "SELECT sum(pg_total_relation_size(name::regclass))::bigint FROM \
         unnest(ARRAY['labels', 'shadow_scores', 'rejections', 'versions', 'totals', 'schema_version']) name",
        &[],
    )?;
    let partitions = partitions?;
    Ok(Shape {
        kind: format!("PostgreSQL {kind}"),
        schema,
        decisions: partitions.iter().map(|partition| partition.decisions).sum(),
        labels: count(client, "labels")?,
        rejections: count(client, "rejections")?,
        versions: count(client, "versions")?,
        bytes: rest.get::<_, i64>(0) as u64 + partitions.iter().map(|partition| partition.bytes).sum::<u64>(),
        partitions,
    })
}

fn partition(client: &mut Client, row: &Row) -> Result<Partition> {
    let name: String = row.get(0);
    let decisions = count(client, &name)?;
    Ok(Partition { name, decisions, bytes: row.get::<_, i64>(1) as u64 })
}

fn count(client: &mut Client, table: &str) -> Result<u64> {
    let counted: i64 = client.query_one(&format!("SELECT count(*) FROM {table}"), &[])?.get(0);
    Ok(counted as u64)
}
