//! Figures of the service, and the live feed that carries them.

use serde::Serialize;
use utoipa::ToSchema;

use super::{Alert, AlertCounts, DecisionSummary, Generation, Instant};

/// Figures of the service.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Stats {
    /// Name of the detector.
    pub detector: String,
    /// Id of the model; null without one.
    pub model: Option<String>,
    /// When the service started.
    #[schema(value_type = String, format = DateTime)]
    pub started_at: Instant,
    /// Now.
    #[schema(value_type = String, format = DateTime)]
    pub now: Instant,
    /// The newest event time; null before the first event.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub stream_time: Option<Instant>,
    /// Where transactions come from.
    pub source: Source,
    /// ISO 4217 code of amounts.
    pub currency: String,
    /// Totals since the database began.
    pub totals: Totals,
    /// Decisions a second, mean of the last five.
    pub rate_per_second: f64,
    /// From receipt to answer, over the last one to two minutes.
    pub latency_us: Latency,
    /// Decisions by score in equal bins over 0 to 1, since this start.
    pub score_histogram: Vec<u64>,
    /// The last seconds, oldest first, at most 300.
    pub timeline: Vec<TimelinePoint>,
    /// What the engine holds.
    pub state: StateSize,
}

/// Where transactions come from.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Source {
    /// `http`, or `simulator` in the demo.
    pub kind: SourceKind,
    /// Transactions a second that the simulator sends.
    pub rate_per_second: Option<f64>,
    /// Simulated seconds in a second.
    pub time_factor: Option<f64>,
    /// What the simulator marks its transactions with. In its world they are the real ones.
    #[schema(example = "simulator:card:7")]
    pub mark: Option<String>,
}

/// Kinds of sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum SourceKind {
    /// The built-in simulator, through HTTP as everybody else.
    Simulator,
    /// Whoever posts.
    Http,
    /// A topic.
    Kafka,
}

/// Totals since the database began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct Totals {
    /// Decisions.
    pub decisions: u64,
    /// Of them approved.
    pub approved: u64,
    /// Of them sent to review.
    pub in_review: u64,
    /// Of them declined.
    pub declined: u64,
    /// What was no transaction.
    pub rejected: u64,
    /// Answers to ids seen before.
    pub repeated: u64,
    /// Decisions on late events.
    pub late: u64,
    /// Labels.
    pub labels: u64,
    /// Labels that say fraud.
    pub labelled_fraud: u64,
    /// Of the decisions those on synthetic transactions.
    pub synthetic: SyntheticTotals,
}

impl From<store::Totals> for Totals {
    fn from(totals: store::Totals) -> Totals {
        let [approved, in_review, declined] = totals.outcomes;
        Totals {
            decisions: totals.decisions(),
            approved,
            in_review,
            declined,
            rejected: totals.rejected,
            repeated: totals.repeated,
            late: totals.late,
            labels: totals.labels,
            labelled_fraud: totals.labelled_fraud,
            synthetic: totals.synthetic.into(),
        }
    }
}

/// Decisions on synthetic transactions since the database began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct SyntheticTotals {
    /// Decisions.
    pub decisions: u64,
    /// Of them approved.
    pub approved: u64,
    /// Of them sent to review.
    pub in_review: u64,
    /// Of them declined.
    pub declined: u64,
}

impl From<[u64; 3]> for SyntheticTotals {
    fn from([approved, in_review, declined]: [u64; 3]) -> SyntheticTotals {
        SyntheticTotals { decisions: approved + in_review + declined, approved, in_review, declined }
    }
}

/// Percentiles in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct Latency {
    /// Answers counted.
    pub count: u64,
    /// Half were faster.
    pub p50: u64,
    /// Nine in ten were faster.
    pub p90: u64,
    /// 99 in 100 were faster.
    pub p99: u64,
    /// 999 in 1,000 were faster.
    pub p999: u64,
    /// The slowest.
    pub max: u64,
}

/// One second of the timeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct TimelinePoint {
    /// The second.
    #[schema(value_type = String, format = DateTime)]
    pub at: Instant,
    /// Decisions.
    pub decisions: u64,
    /// Of them sent to review.
    pub in_review: u64,
    /// Of them declined.
    pub declined: u64,
    /// Labels that say fraud.
    pub labelled_fraud: u64,
}

/// What the engine holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct StateSize {
    /// Entities of all kinds.
    pub entities: u64,
    /// Events held for them.
    pub events: u64,
    /// Memory of it.
    pub bytes: u64,
}

/// A message of the live feed, a few times a second.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct LiveMessage {
    /// `snapshot` first, then `update`.
    pub kind: LiveKind,
    /// Figures.
    pub stats: Stats,
    /// Decisions since the last message, newest first, at most 50; up to 100 newest in a snapshot.
    pub decisions: Vec<DecisionSummary>,
    /// Decisions since the last message that are not listed.
    pub skipped: u64,
    /// Jobs that send synthetic transactions or have ended less than half a minute ago, newest first.
    pub generations: Vec<Generation>,
    /// Alerts that wait.
    pub alerts: AlertCounts,
    /// The newest alert, for a banner; null before the first one since the start.
    pub newest_alert: Option<Alert>,
}

/// Kinds of live messages.
#[expect(dead_code, reason = "describes what is written as text")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum LiveKind {
    /// The first message of a connection.
    Snapshot,
    /// Every later one.
    Update,
}
