//! Who asks, over the wire.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Who asks, and what they may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Me {
    /// The name; null where nobody is asked who they are.
    pub name: Option<String>,
    /// Of ingest, analyst, engineer and admin.
    pub roles: Vec<String>,
    /// How it is known: `key`, `token` or `session`; `off` where nobody is asked.
    #[schema(example = "session")]
    pub authentication: String,
}

/// What is shown to sign in.
#[derive(Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionRequest {
    /// An API key, or a token of the identity provider.
    #[schema(example = "rf_...")]
    pub key: String,
}
