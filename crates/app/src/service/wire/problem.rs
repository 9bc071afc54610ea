//! Problem documents: what is wrong, and with which field.

use serde::Serialize;
use utoipa::ToSchema;

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
