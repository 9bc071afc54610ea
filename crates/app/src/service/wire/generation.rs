//! Jobs and answers that make synthetic transactions.

use serde::Serialize;
use utoipa::ToSchema;

use super::Instant;

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
