//! Erasures.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Whose id is to go, and why.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ErasureRequest {
    /// The field that holds the id.
    #[schema(example = "customer_id")]
    pub field: String,
    /// The id; of a card its number or its token.
    #[schema(example = "596")]
    pub value: String,
    /// Why, for the audit log.
    #[schema(example = "request of 2026-11-23")]
    pub reason: String,
}

/// What an id was erased from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ErasureDone {
    /// What stands for it from now on.
    pub tombstone: String,
    /// Decisions with their events.
    pub decisions: u64,
    /// Alerts.
    pub alerts: u64,
    /// Notes on alerts that quoted it.
    pub notes: u64,
    /// Rejections that quoted it.
    pub rejections: u64,
    /// What this service could not erase it from, if there is such.
    pub elsewhere: Option<String>,
}

impl ErasureDone {
    /// The counts of an erasure; `has_topics`: Kafka holds the events as well.
    pub fn of(tombstone: String, erased: store::Erased, has_topics: bool) -> ErasureDone {
        let elsewhere =
            "Kafka's topics and the snapshots of partitions hold it for as long as their owner keeps them";
        ErasureDone {
            tombstone,
            decisions: erased.decisions,
            alerts: erased.alerts,
            notes: erased.notes,
            rejections: erased.rejections,
            elsewhere: has_topics.then(|| elsewhere.to_string()),
        }
    }
}
