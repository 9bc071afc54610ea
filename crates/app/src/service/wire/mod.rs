//! The wire types of the API. The OpenAPI document, and from it the page's types, are made from these.

use std::collections::BTreeMap;

use engine::Narrator;
use engine::time::format_instant;
use lab::facts::Facts;
use serde::{Deserialize, Serialize, Serializer};
use store::{StoredDecision, Timeliness};
use utoipa::ToSchema;

use crate::registry::Promotion;

mod access;
mod activity;
mod alerts;
mod audit;
mod backtest;
mod health;
mod inspection;
mod performance;
mod privacy;
mod retraining;
mod rules;
mod synthetic;

pub use access::*;
pub use activity::*;
pub use alerts::*;
pub use audit::*;
pub use backtest::*;
pub use health::*;
pub use inspection::*;
pub use performance::*;
pub use privacy::*;
pub use retraining::*;
pub use rules::*;
pub use synthetic::*;

/// An instant, as RFC 3339 in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ToSchema)]
#[schema(value_type = String, format = DateTime, example = "2026-01-31T12:00:00Z")]
pub struct Instant(pub i64);

impl Serialize for Instant {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format_instant(self.0))
    }
}

impl<'de> Deserialize<'de> for Instant {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Instant, D::Error> {
        let text = String::deserialize(deserializer)?;
        let us = engine::time::parse_instant(&text);
        us.map(Instant).ok_or_else(|| serde::de::Error::custom(format_args!("{text:?} is no RFC 3339 time")))
    }
}

/// What happens to a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It goes through.
    Approve,
    /// A person looks at it.
    Review,
    /// It is refused.
    Decline,
}

impl From<engine::Outcome> for Outcome {
    fn from(outcome: engine::Outcome) -> Outcome {
        match outcome {
            engine::Outcome::Approve => Outcome::Approve,
            engine::Outcome::Review => Outcome::Review,
            engine::Outcome::Decline => Outcome::Decline,
        }
    }
}

/// A decision in short: the answer to a transaction, a row of a list.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct DecisionSummary {
    /// The transaction's id.
    pub id: String,
    /// Position in the log.
    pub sequence: i64,
    /// The key field's value: the card or customer.
    pub key: Option<String>,
    /// When it happened.
    #[schema(value_type = String, format = DateTime)]
    pub event_time: Instant,
    /// When it was decided.
    #[schema(value_type = String, format = DateTime)]
    pub decided_at: Instant,
    /// Amount in major units.
    pub amount: f64,
    /// Probability of fraud; null without a model.
    pub score: Option<f64>,
    /// What was decided.
    pub outcome: Outcome,
    /// Rules that fired.
    pub rules: Vec<String>,
    /// Features that speak for fraud, the strongest first. Empty below the threshold of review.
    pub reasons: Vec<Reason>,
    /// Older than the newest event of one of its entities.
    pub late: bool,
    /// Microseconds from receipt to decision.
    pub latency_us: i64,
    /// What made it, if it is synthetic: a simulator or a generator. Null of a real one.
    #[schema(example = "simulator:card:7")]
    pub synthetic: Option<String>,
    /// What the caller was told instead, where the deadline had passed before there was this decision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub fallback: Option<Fallback>,
}

/// What a transaction is answered.
#[expect(dead_code, reason = "describes what is written as text")]
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(untagged)]
pub enum Decided {
    /// Its decision.
    Decision(DecisionSummary),
    /// What rules say of it, when the deadline has passed.
    Fallback(FallbackDecision),
}

/// What is answered to a transaction when the deadline has passed: what rules say of it alone, without windows and model.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct FallbackDecision {
    /// The transaction's id.
    pub id: String,
    /// The key field's value: the card or customer.
    pub key: Option<String>,
    /// When it happened.
    #[schema(value_type = String, format = DateTime)]
    pub event_time: Instant,
    /// Amount in major units.
    pub amount: f64,
    /// What is answered.
    pub outcome: Outcome,
    /// Rules that fired.
    pub rules: Vec<String>,
    /// That it is a fallback. The decision follows: post the transaction again to get it.
    pub fallback: Fallback,
}

/// What a caller was told because there was no decision in time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Fallback {
    /// What it was told.
    pub outcome: Outcome,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub answered_at: Instant,
    /// How long it had waited, in microseconds.
    pub waited_us: i64,
    /// Rules that fired on the transaction alone.
    pub rules: Vec<String>,
}

/// A feature that speaks for fraud.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Reason {
    /// Its name in the detector.
    pub feature: String,
    /// Its value; null is missing.
    pub value: Option<f64>,
    /// What it adds to the margin of the model, above 0: to the log-odds for boosting (a Shapley value).
    pub contribution: f64,
    /// The same in words.
    #[schema(example = "amount is 6.2 times the card's 30-day mean")]
    pub text: String,
}

/// What speaks for fraud in a decision.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ReasonList {
    /// Features that speak for fraud, the strongest first.
    pub reasons: Vec<Reason>,
}

impl Reason {
    /// Reasons in words.
    pub fn tell(reasons: &[engine::Reason], narrator: Narrator) -> Vec<Reason> {
        let tell = |reason: &engine::Reason| Reason {
            feature: narrator.detector.features[reason.feature].name.clone(),
            value: Some(reason.value).filter(|value| value.is_finite()),
            contribution: reason.contribution,
            text: narrator.sentence(reason.feature),
        };
        reasons.iter().map(tell).collect()
    }
}

/// Everything that is stored of a decision.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Decision {
    /// The decision in short.
    #[serde(flatten)]
    pub summary: DecisionSummary,
    /// The event in its canonical form.
    #[schema(value_type = Object)]
    pub event: serde_json::Value,
    /// All feature values, in the detector's order.
    pub features: Vec<FeatureValue>,
    /// What it was decided with.
    pub versions: DecisionVersions,
    /// What is known of it by now.
    pub label: Option<LabelKnown>,
}

/// A feature with its value.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct FeatureValue {
    /// Its name in the detector.
    pub name: String,
    /// Its value; null is missing.
    pub value: Option<f64>,
}

/// The windows of an entity as of its newest event.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct EntityWindows {
    /// The field that names it.
    #[schema(example = "customer_id")]
    pub kind: String,
    /// Its id.
    pub id: String,
    /// Time of its newest event.
    #[schema(value_type = String, format = DateTime)]
    pub event_time: Instant,
    /// Its window features.
    pub features: Vec<FeatureValue>,
    /// Where they were found.
    pub source: EntitySource,
}

/// Where the windows of an entity were found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum EntitySource {
    /// In this process.
    Engine,
    /// In Redis, where another process or an earlier run wrote them.
    Redis,
}

/// What a decision was made with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct DecisionVersions {
    /// Name of the detector.
    pub detector: String,
    /// Fingerprint of its feature list.
    pub detector_fingerprint: String,
    /// Id of the model.
    pub model: Option<String>,
    /// Fingerprint of rules and policy.
    pub rules: String,
}

/// A label, and when it became known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct LabelKnown {
    /// Fraud or not.
    pub fraud: bool,
    /// When it became known.
    #[schema(value_type = String, format = DateTime)]
    pub known_at: Instant,
}

/// A page of decisions, newest first.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct DecisionPage {
    /// The decisions.
    pub items: Vec<DecisionSummary>,
    /// Ask with this for the next page; null at the end.
    pub next_cursor: Option<String>,
}

/// What became known of a transaction.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LabelRequest {
    /// The transaction's id.
    pub transaction_id: String,
    /// Fraud or not.
    pub fraud: bool,
}

/// A label was stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct LabelAccepted {
    /// The transaction's id.
    pub transaction_id: String,
    /// Fraud or not.
    pub fraud: bool,
    /// Position in the log.
    pub sequence: i64,
    /// When it became known.
    #[schema(value_type = String, format = DateTime)]
    pub known_at: Instant,
}

/// What a batch became, line by line.
#[expect(dead_code, reason = "describes what is written as text, line by line")]
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(untagged)]
pub enum BatchLine {
    /// The line was decided.
    Decided(DecisionSummary),
    /// The line was no transaction.
    Rejected(LineProblem),
}

/// What is wrong with a line of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct LineProblem {
    /// The line, from 1.
    pub line: u64,
    /// Everything that is wrong with it.
    pub errors: Vec<ProblemField>,
}

/// A problem document (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Problem {
    /// Names the kind of problem.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What is wrong this time.
    pub detail: String,
    /// The fields at fault.
    pub errors: Vec<ProblemField>,
}

/// What is wrong with one field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ProblemField {
    /// The field; `body` where the whole is meant.
    pub field: String,
    /// What was found.
    pub value: String,
    /// What was expected.
    pub expected: String,
}

impl From<engine::FieldError> for ProblemField {
    fn from(error: engine::FieldError) -> ProblemField {
        let field = if error.field.is_empty() { "body".to_string() } else { error.field };
        ProblemField { field, value: error.value, expected: error.expected }
    }
}

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

/// What makes synthetic transactions: one of the two.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(example = json!({"simulator": "card"}))]
pub struct GenerationSource {
    /// The simulator of this name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub simulator: Option<String>,
    /// The generator of this name: a file in the folder that `synthetic.generators` names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generator: Option<String>,
}

/// Which synthetic transactions are wanted.
#[derive(Debug, Clone, PartialEq, ToSchema)]
#[schema(example = json!({"rows": 1000, "fraud_share": 0.05, "to": "stream", "rate": 100}))]
pub struct GenerationRequest {
    /// How many: up to 10,000 in an answer, up to `synthetic.rows` in a file or down the stream.
    pub rows: u64,
    /// Share of frauds among them, 0 to 1; by default what the source makes.
    pub fraud_share: Option<f64>,
    /// What makes them; by default the simulator of the detector.
    pub source: Option<GenerationSource>,
    /// Seed of everything random; by default a random one, which is told.
    pub seed: Option<u64>,
    /// `rows` (the default): they are the answer. `file`: a file is. `stream`: a job sends them down the live stream.
    pub to: Option<String>,
    /// Of a file: `csv` (the default), `jsonl` or `parquet`.
    pub format: Option<String>,
    /// Transactions a second of a job; by default as fast as they are decided.
    pub rate: Option<f64>,
    /// When the first one may be; by default after the live stream's newest. Not of a job.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub start: Option<String>,
}

/// Synthetic transactions.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct GeneratedRows {
    /// What made them.
    pub source: GenerationSource,
    /// What they are marked with.
    #[schema(example = "simulator:card:7")]
    pub synthetic: String,
    /// Seed of everything random.
    pub seed: u64,
    /// When the first one may be.
    #[schema(value_type = String, format = DateTime)]
    pub start: Instant,
    /// How many are frauds.
    pub frauds: u64,
    /// Their share.
    pub fraud_share: f64,
    /// The transactions as they would be posted, with label and mark.
    #[schema(value_type = Vec<Object>)]
    pub rows: Vec<serde_json::Value>,
}

/// A job that sends synthetic transactions down the live stream.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Generation {
    /// Its id. Ids of its transactions and of their entities begin with `syn-` and it.
    pub id: String,
    /// How it stands.
    pub state: GenerationState,
    /// What makes the transactions.
    pub source: GenerationSource,
    /// What they are marked with.
    #[schema(example = "simulator:card:7")]
    pub synthetic: String,
    /// Seed of everything random.
    pub seed: u64,
    /// When the first one may be, in the time of the stream.
    #[schema(value_type = String, format = DateTime)]
    pub start: Instant,
    /// Share of frauds that is wanted.
    pub fraud_share: Option<f64>,
    /// Transactions a second; null is as fast as they are decided.
    pub rate: Option<f64>,
    /// Transactions that are wanted.
    pub rows: u64,
    /// Transactions that were sent.
    pub done: u64,
    /// Of them frauds.
    pub frauds: u64,
    /// Of them rejected.
    pub rejected: u64,
    /// Frauds of which was said that they are.
    pub labels: u64,
    /// When it began.
    #[schema(value_type = String, format = DateTime)]
    pub started_at: Instant,
    /// When it ended.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ended_at: Option<Instant>,
    /// Why it failed, or why the first transaction was rejected.
    pub detail: Option<String>,
    /// Where to look further.
    pub links: GenerationLinks,
}

/// How a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum GenerationState {
    /// It sends.
    Running,
    /// Everything was sent.
    Done,
    /// It was told to stop.
    Cancelled,
    /// It could not go on.
    Failed,
}

/// Where to look further.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct GenerationLinks {
    /// The job itself; DELETE stops it.
    #[serde(rename = "self")]
    pub job: String,
    /// Decisions on what this source and seed made.
    pub decisions: String,
}

impl GenerationLinks {
    /// Links of the job of this id, whose transactions carry this mark.
    pub fn of(id: &str, mark: &str) -> GenerationLinks {
        GenerationLinks {
            job: format!("/v1/generate/{id}"),
            decisions: format!("/v1/decisions?synthetic={mark}"),
        }
    }
}

/// Jobs, newest first.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct GenerationList {
    /// The jobs.
    pub items: Vec<Generation>,
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

/// The models that are known, the champion first.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ModelList {
    /// The models.
    pub models: Vec<ModelInfo>,
    /// What `live` figures are taken on; null where nothing is stored.
    pub compared: Option<Compared>,
}

/// The labelled transactions on which models are compared: all of them have scored each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Compared {
    /// Transactions.
    pub transactions: u64,
    /// Of them fraud.
    pub frauds: u64,
}

/// A model. Texts are empty and numbers 0 where nobody knows any more how it came to be.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ModelInfo {
    /// Its id.
    pub id: String,
    /// Name of the detector it is for.
    pub detector: String,
    /// `gbdt`, `random-forest` or `decision-tree`.
    pub algorithm: String,
    /// What grew it.
    pub engine: String,
    /// Version of what grew it.
    pub engine_version: String,
    /// Trees; null of a model that is not in use.
    pub trees: Option<usize>,
    /// First instant of its training data.
    pub trained_from: String,
    /// First instant after its training data.
    pub trained_to: String,
    /// Rows learnt from.
    pub rows: u64,
    /// Of them fraud.
    pub frauds: u64,
    /// Seed of everything random.
    pub seed: u64,
    /// Fingerprint of the feature list it was trained on.
    pub fingerprint: String,
    /// Fingerprint of the rows that were learnt from.
    pub data_fingerprint: String,
    /// When it was made.
    pub made_at: String,
    /// What it does here.
    pub role: ModelRole,
    /// Figures measured on later data.
    pub metrics: BTreeMap<String, f64>,
    /// The newest thing that was done to it; null without a registry.
    pub promotion: Option<ModelPromotion>,
    /// How it fares here; null of a model that is not in use, and where nothing is stored.
    pub live: Option<LiveFigures>,
}

/// How a model fares on what became known, beside the others on the same transactions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, ToSchema)]
pub struct LiveFigures {
    /// Of the newest 100,000 decisions, how many it has scored.
    pub scored: u64,
    /// Of the transactions compared, how many its scores would have sent to review or declined, at the champion's
    /// threshold and without rules.
    pub alerts: u64,
    /// Area under the ROC curve; null unless frauds and genuine transactions are known.
    pub auc_roc: Option<f64>,
    /// Average precision; null unless frauds and genuine transactions are known.
    pub average_precision: Option<f64>,
    /// Share of frauds among the alerts; null without alerts.
    pub precision: Option<f64>,
    /// Share of the frauds that are among the alerts; null without frauds.
    pub recall: Option<f64>,
}

/// What a model does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ModelRole {
    /// It decides.
    Champion,
    /// It scores the same events in the shadow.
    Challenger,
    /// It is kept.
    Registered,
}

/// What a model is to do, who says so, and why.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, ToSchema)]
pub struct PromoteRequest {
    /// `champion`, `challenger` or `retired`: a challenger no longer.
    #[serde(rename = "as", default)]
    #[schema(example = "champion")]
    pub role: String,
    /// Why; it stands in the history.
    #[serde(default)]
    #[schema(example = "finds a tenth more at the same precision")]
    pub reason: String,
    /// Who.
    #[serde(default)]
    #[schema(example = "ada")]
    pub by: String,
}

/// Something that was done to a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ModelPromotion {
    /// Counts up from 1.
    pub number: u64,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: String,
    /// By whom.
    pub by: String,
    /// Why.
    pub reason: String,
    /// `champion`, `challenger`, `retired`, or `rollback` to it.
    #[serde(rename = "as")]
    pub role: String,
    /// To which model.
    pub model: String,
    /// The champion before.
    pub from: Option<String>,
    /// The champion since.
    pub champion: Option<String>,
    /// The challengers since.
    pub challengers: Vec<String>,
}

impl From<Promotion> for ModelPromotion {
    fn from(made: Promotion) -> ModelPromotion {
        ModelPromotion {
            number: made.number,
            at: made.at,
            by: made.by,
            reason: made.reason,
            role: made.step.name().to_string(),
            model: made.model,
            from: made.from,
            champion: made.aliases.champion,
            challengers: made.aliases.challengers,
        }
    }
}

impl ModelInfo {
    /// What the facts say; the rest is for the caller to fill in.
    pub fn of(facts: &Facts, role: ModelRole) -> ModelInfo {
        ModelInfo {
            id: facts.model_id.clone(),
            detector: facts.detector.clone(),
            algorithm: facts.algorithm.clone(),
            engine: facts.engine.clone(),
            engine_version: facts.engine_version.clone(),
            trees: None,
            trained_from: facts.trained_from.clone(),
            trained_to: facts.trained_to.clone(),
            rows: facts.rows,
            frauds: facts.frauds,
            seed: facts.seed,
            fingerprint: facts.feature_fingerprint.clone(),
            data_fingerprint: facts.data_fingerprint.clone(),
            made_at: facts.made_at.clone(),
            role,
            metrics: facts.metrics.clone(),
            promotion: None,
            live: None,
        }
    }
}

/// What this program wrote is read back; anything else is no reason.
fn stored_reasons(stored: &StoredDecision) -> Vec<Reason> {
    stored.reasons.as_deref().and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default()
}

impl DecisionSummary {
    /// The summary of a stored decision, amounts in units of `minor_per_unit`.
    pub fn of(stored: &StoredDecision, minor_per_unit: f64) -> DecisionSummary {
        DecisionSummary {
            id: stored.id.clone(),
            sequence: stored.sequence,
            key: stored.key.clone(),
            event_time: Instant(stored.event_time_us),
            decided_at: Instant(stored.decided_at_us),
            amount: stored.amount_minor as f64 / minor_per_unit,
            score: stored.score,
            outcome: stored.outcome.into(),
            rules: stored.rules.clone(),
            reasons: stored_reasons(stored),
            late: stored.timeliness != Timeliness::OnTime,
            latency_us: stored.latency_us,
            synthetic: stored.mark.clone(),
            // What this program wrote is read back.
            fallback: stored.fallback.as_deref().and_then(|said| serde_json::from_str(said).ok()),
        }
    }
}

impl Decision {
    /// All of a stored decision.
    pub fn of(stored: &StoredDecision, minor_per_unit: f64) -> Decision {
        let versions = &stored.versions;
        let features = versions.feature_names.iter().zip(&stored.features);
        Decision {
            summary: DecisionSummary::of(stored, minor_per_unit),
            event: serde_json::from_str(&stored.event).unwrap_or(serde_json::Value::Null),
            features: features
                .map(|(name, value)| FeatureValue {
                    name: name.clone(),
                    value: Some(*value).filter(|v| v.is_finite()),
                })
                .collect(),
            versions: DecisionVersions {
                detector: versions.detector.clone(),
                detector_fingerprint: versions.feature_fingerprint.clone(),
                model: versions.model.clone(),
                rules: versions.rules_fingerprint.clone(),
            },
            label: stored
                .label
                .map(|label| LabelKnown { fraud: label.fraud, known_at: Instant(label.known_at_us) }),
        }
    }
}
