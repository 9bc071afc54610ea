//! The log in brief: enough to count what happened, and no more.

use engine::Outcome;

/// A decision in brief.
#[derive(Debug, Clone, PartialEq)]
pub struct Brief {
    /// When it was decided.
    pub decided_at_us: i64,
    /// Event time.
    pub event_time_us: i64,
    /// Amount in minor units.
    pub amount_minor: i64,
    /// Score.
    pub score: Option<f64>,
    /// Outcome.
    pub outcome: Outcome,
    /// Whether something made the transaction.
    pub synthetic: bool,
    /// The event in canonical JSON.
    pub event: String,
}

/// An entry of the log in brief.
#[derive(Debug, Clone, PartialEq)]
pub enum BriefEntry {
    /// Something was decided.
    Decision {
        /// Position.
        sequence: i64,
        /// What.
        decision: Brief,
    },
    /// Something became known.
    Label {
        /// Position.
        sequence: i64,
        /// Of what.
        decision: Brief,
        /// Fraud or not.
        fraud: bool,
        /// What was known before, if anything was.
        before: Option<bool>,
    },
}

impl BriefEntry {
    /// Position in the log.
    pub fn sequence(&self) -> i64 {
        match self {
            BriefEntry::Decision { sequence, .. } | BriefEntry::Label { sequence, .. } => *sequence,
        }
    }

    /// From the columns of [`BRIEF`].
    pub(crate) fn of(
        sequence: i64,
        decision: Brief,
        fraud: Option<bool>,
        before: Option<bool>,
    ) -> BriefEntry {
        match fraud {
            None => BriefEntry::Decision { sequence, decision },
            Some(fraud) => BriefEntry::Label { sequence, decision, fraud, before },
        }
    }
}

/// Up to `$2` entries after the position `$1`, in the SQL of both databases.
pub(crate) const BRIEF: &str = "SELECT * FROM (SELECT sequence, decided_at_us, event_time_us, amount_minor, score, outcome, mark IS NOT NULL, event, \
     CAST(NULL AS boolean) AS fraud, CAST(NULL AS boolean) AS said_before FROM decisions WHERE sequence > $1 \
     ORDER BY sequence LIMIT $2) AS made \
     UNION ALL \
     SELECT * FROM (SELECT l.sequence, d.decided_at_us, d.event_time_us, d.amount_minor, d.score, d.outcome, \
     d.mark IS NOT NULL, d.event, l.fraud, (SELECT p.fraud FROM labels p WHERE p.transaction_sequence = l.transaction_sequence \
     AND p.sequence < l.sequence ORDER BY p.sequence DESC LIMIT 1) FROM labels l \
     JOIN decisions d ON d.sequence = l.transaction_sequence WHERE l.sequence > $1 \
     ORDER BY l.sequence LIMIT $2) AS learnt \
     ORDER BY 1 LIMIT $2";
