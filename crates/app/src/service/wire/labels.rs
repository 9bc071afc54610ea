//! Labels: what became known of a transaction.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Instant;

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
