//! Scores of models that decide nothing, and what became known of the transactions that they scored.

use crate::Versions;

/// How many of the newest `$1` decisions each version has scored, in the SQL of both databases.
pub(crate) const SCORED: &str = "WITH newest AS (SELECT sequence, version FROM decisions ORDER BY sequence DESC LIMIT $1) \
     SELECT version, count(*) FROM (SELECT version FROM newest UNION ALL \
     SELECT s.version FROM newest n JOIN shadow_scores s ON s.sequence = n.sequence) AS scores \
     GROUP BY version ORDER BY version";

/// The columns of a [`LabelledScore`] from the transactions of a common table `labelled`, in the SQL of both databases.
macro_rules! scores_of_labelled {
    ($labelled:literal) => {
        concat!(
            "WITH labelled AS (",
            $labelled,
            ") SELECT sequence, fraud, amount_minor, event_time_us, key, mark, version, score FROM labelled \
             WHERE score IS NOT NULL UNION ALL \
             SELECT j.sequence, j.fraud, j.amount_minor, j.event_time_us, j.key, j.mark, s.version, s.score \
             FROM labelled j JOIN shadow_scores s ON s.sequence = j.sequence ORDER BY 1, 7"
        )
    };
}

/// Every score of the newest `$1` labelled transactions.
pub(crate) const LABELLED: &str = scores_of_labelled!(
    "SELECT d.sequence, l.fraud, d.amount_minor, d.event_time_us, d.key, d.mark, d.version, d.score \
     FROM labels l JOIN decisions d ON d.sequence = l.transaction_sequence \
     WHERE l.sequence = (SELECT max(sequence) FROM labels m WHERE m.transaction_sequence = l.transaction_sequence) \
     ORDER BY l.sequence DESC LIMIT $1"
);

/// Every score of the newest `$2` transactions before the event time `$1`; without a label they are genuine.
pub(crate) const MATURED: &str = scores_of_labelled!(
    "SELECT d.sequence, coalesce((SELECT fraud FROM labels m WHERE m.transaction_sequence = d.sequence \
     ORDER BY m.sequence DESC LIMIT 1), false) AS fraud, \
     d.amount_minor, d.event_time_us, d.key, d.mark, d.version, d.score \
     FROM decisions d WHERE d.event_time_us < $1 ORDER BY d.sequence DESC LIMIT $2"
);

/// What a challenger said of an event, as it is written with the decision.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NewShadowScore {
    /// From [`crate::Store::version`]: names the model.
    pub version: i64,
    /// Its score; one that is not finite is not kept.
    pub score: f64,
}

/// The same as it is read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ShadowScore {
    /// Position of the decision.
    pub sequence: i64,
    /// Names the model.
    pub version: i64,
    /// Its score.
    pub score: f64,
}

/// A score of a transaction of which is known what it was: the champion's, or a challenger's.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelledScore {
    /// Position of the decision.
    pub sequence: i64,
    /// The newest label.
    pub fraud: bool,
    /// Amount in minor units.
    pub amount_minor: i64,
    /// Event time.
    pub event_time_us: i64,
    /// The key field's value.
    pub key: Option<String>,
    /// What made it, if it is synthetic.
    pub mark: Option<String>,
    /// Names the model.
    pub version: i64,
    /// Its score.
    pub score: f64,
}

/// What models have done lately.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Record {
    /// Every combination that decisions were made with, by number.
    pub versions: Vec<(i64, Versions)>,
    /// How many of the newest decisions each version has scored, as champion or challenger.
    pub scored: Vec<(i64, u64)>,
    /// Scores of the newest labelled transactions.
    pub labelled: Vec<LabelledScore>,
}
