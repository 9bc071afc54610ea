//! What is written in tests: decisions that differ in every column, and what is read back.

use engine::Outcome;
use store::{
    Group, NewDecision, NewLabel, NewRejection, NewShadowScore, Origin, StoredDecision, StoredLabel,
    Timeliness, Versions,
};

/// A decision that owns what it refers to.
#[derive(Debug, Clone)]
pub struct Row {
    pub sequence: i64,
    pub id: String,
    pub score: f64,
    pub outcome: Outcome,
    pub event_time_us: i64,
    pub features: Vec<f64>,
    pub event: String,
    pub shadow: Vec<NewShadowScore>,
}

/// The row at this position: every third is reviewed, every seventh declined, scores rise.
pub fn row(sequence: i64) -> Row {
    let outcome = match sequence {
        at if at % 7 == 6 => Outcome::Decline,
        at if at % 3 == 2 => Outcome::Review,
        _ => Outcome::Approve,
    };
    Row {
        sequence,
        id: format!("t{sequence}"),
        score: sequence as f64 / 1_000.0 + 1e-17,
        outcome,
        event_time_us: 1_522_540_800_000_000 + sequence * 1_000_001,
        features: vec![sequence as f64, -0.0, f64::NAN, f64::MIN_POSITIVE, 0.1 + 0.2],
        event: format!("{{\"id\":\"t{sequence}\",\"text\":\"ü\\\"\"}}"),
        shadow: Vec::new(),
    }
}

impl Row {
    pub fn key(&self) -> String {
        format!("c{}", self.sequence % 5)
    }

    fn timeliness(&self) -> Timeliness {
        [Timeliness::OnTime, Timeliness::Late, Timeliness::TooLate][(self.sequence % 4 % 3) as usize]
    }

    fn rules(&self) -> &'static str {
        ["", "one", "one,two"][(self.sequence % 3) as usize]
    }

    /// Every other row is synthetic, made by one of two.
    pub fn mark(&self) -> Option<&'static str> {
        [None, Some("simulator:card:7"), None, Some("ctgan-3f2a9c01")][(self.sequence % 4) as usize]
    }

    fn reasons(&self) -> Option<&'static str> {
        (self.outcome != Outcome::Approve).then_some(r#"[{"feature":"a","text":"\u00fc"}]"#)
    }

    fn fallback(&self) -> Option<&'static str> {
        (self.sequence % 13 == 5).then_some(r#"{"outcome":"approve"}"#)
    }

    fn origin(&self) -> Option<Origin> {
        let partition = self.sequence as i32 % 4;
        (partition != 3).then_some(Origin { partition, offset: self.sequence << 33 })
    }

    pub fn new_decision<'a>(&'a self, key: &'a str, version: i64) -> NewDecision<'a> {
        NewDecision {
            sequence: self.sequence,
            id: &self.id,
            key: Some(key).filter(|_| self.sequence % 11 != 10),
            event_time_us: self.event_time_us,
            decided_at_us: self.event_time_us + 5,
            latency_us: 17 + self.sequence,
            amount_minor: 100 * self.sequence,
            score: self.score,
            outcome: self.outcome,
            rules: self.rules(),
            timeliness: self.timeliness(),
            version,
            mark: self.mark(),
            event: &self.event,
            features: &self.features,
            reasons: self.reasons(),
            fallback: self.fallback(),
            origin: self.origin(),
            shadow: &self.shadow,
        }
    }

    /// As it must be read.
    pub fn stored(&self, versions: &Versions, label: Option<StoredLabel>) -> StoredDecision {
        StoredDecision {
            sequence: self.sequence,
            id: self.id.clone(),
            key: Some(self.key()).filter(|_| self.sequence % 11 != 10),
            event_time_us: self.event_time_us,
            decided_at_us: self.event_time_us + 5,
            latency_us: 17 + self.sequence,
            amount_minor: 100 * self.sequence,
            score: Some(self.score).filter(|score| score.is_finite()),
            outcome: self.outcome,
            rules: self.rules().split(',').filter(|rule| !rule.is_empty()).map(str::to_string).collect(),
            timeliness: self.timeliness(),
            mark: self.mark().map(str::to_string),
            event: self.event.clone(),
            features: self.features.clone(),
            reasons: self.reasons().map(str::to_string),
            fallback: self.fallback().map(str::to_string),
            origin: self.origin(),
            versions: std::sync::Arc::new(versions.clone()),
            label,
        }
    }
}

/// The same to the bit, missing values included.
pub fn assert_same(found: &StoredDecision, expected: &StoredDecision) {
    let bits =
        |decision: &StoredDecision| decision.features.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(found), bits(expected), "features of {}", found.id);
    let rest = |decision: &StoredDecision| StoredDecision { features: Vec::new(), ..decision.clone() };
    assert_eq!(rest(found), rest(expected));
}

pub fn versions(model: Option<&str>) -> Versions {
    Versions {
        detector: "card".to_string(),
        feature_fingerprint: "f1".to_string(),
        rules_fingerprint: "r1".to_string(),
        model: model.map(str::to_string),
        feature_names: ["a", "b", "c", "d", "e"].map(str::to_string).to_vec(),
    }
}

pub fn label(sequence: i64, transaction_sequence: i64, fraud: bool) -> NewLabel {
    NewLabel { sequence, transaction_sequence, fraud, known_at_us: 9_000 + sequence }
}

pub fn rejection(number: usize) -> NewRejection {
    NewRejection {
        received_at_us: number as i64,
        source: "http".to_string(),
        reason: format!("reason {number}"),
        raw: "{".to_string(),
    }
}

/// A group of these rows.
pub fn with_group<T>(rows: &[Row], version: i64, labels: &[NewLabel], work: impl FnOnce(&Group) -> T) -> T {
    let keys: Vec<String> = rows.iter().map(Row::key).collect();
    let decisions = rows.iter().zip(&keys).map(|(row, key)| row.new_decision(key, version)).collect();
    work(&Group { decisions, labels: labels.to_vec(), ..Group::default() })
}
