//! The wire types of the API. The OpenAPI document, and from it the page's types, are made from these.

use engine::time::format_instant;
use serde::{Deserialize, Serialize, Serializer};
use utoipa::ToSchema;

mod access;
mod activity;
mod alerts;
mod audit;
mod backtest;
mod decisions;
mod generation;
mod health;
mod inspection;
mod labels;
mod models;
mod performance;
mod privacy;
mod problem;
mod retraining;
mod rules;
mod stats;
mod synthetic;

pub use access::*;
pub use activity::*;
pub use alerts::*;
pub use audit::*;
pub use backtest::*;
pub use decisions::*;
pub use generation::*;
pub use health::*;
pub use inspection::*;
pub use labels::*;
pub use models::*;
pub use performance::*;
pub use privacy::*;
pub use problem::*;
pub use retraining::*;
pub use rules::*;
pub use stats::*;
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
