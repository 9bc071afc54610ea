//! How the service is, part by part.

use serde::Serialize;
use utoipa::ToSchema;

use super::Instant;

/// How the service is.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Health {
    /// `ok` if every part is.
    pub status: HealthStatus,
    /// The parts.
    pub parts: Vec<HealthPart>,
}

/// How one part is.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct HealthPart {
    /// Its name: `source`, `pipeline`, `engine`, `model`, `drift`, `store`, `disk`, `kafka`, `redis`, `traces`, `mlflow`.
    pub name: String,
    /// How it is.
    pub status: HealthStatus,
    /// In words.
    pub detail: String,
    /// What to do about it; null where there is nothing to do.
    pub advice: Option<String>,
    /// Its figures.
    pub figures: Vec<HealthFigure>,
    /// The last thing that went wrong with it since the start; null if nothing did.
    pub last_error: Option<PartError>,
}

/// Something that went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct PartError {
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Instant,
    /// What.
    pub text: String,
}

/// A figure of a part.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct HealthFigure {
    /// Its name.
    #[schema(example = "lag")]
    pub name: String,
    /// Its value.
    pub value: f64,
    /// Its unit: `count`, `bytes`, `us`, `s`, `per_second` or `share`.
    pub unit: String,
}

/// Good or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum HealthStatus {
    /// As it should be.
    Ok,
    /// Not as it should be.
    Degraded,
    /// Not in use here.
    Off,
}

/// What came in and was no transaction, newest first.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct RejectionPage {
    /// Rejections that are stored.
    pub stored: u64,
    /// The same by what is wrong, the most frequent first, at most 20. Values are left out, so that alike ones are one.
    pub kinds: Vec<RejectionKind>,
    /// The newest, as many as were asked for.
    pub items: Vec<RejectionInfo>,
}

/// How often something is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct RejectionKind {
    /// What is wrong.
    pub reason: String,
    /// How often.
    pub count: u64,
    /// When last.
    #[schema(value_type = String, format = DateTime)]
    pub last_at: Instant,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct RejectionInfo {
    /// When it came in.
    #[schema(value_type = String, format = DateTime)]
    pub received_at: Instant,
    /// Where from: `http`, or a place in a topic.
    pub source: String,
    /// What is wrong with it.
    pub reason: String,
    /// What came in, at most 2,048 bytes.
    pub raw: String,
}
