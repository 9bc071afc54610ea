//! The audit log over the wire.

use serde::Serialize;
use utoipa::ToSchema;

use super::Instant;

/// A page of the audit log, the newest entries first.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct AuditPage {
    /// The entries.
    pub items: Vec<AuditEntry>,
    /// For the next page; null if there is none.
    pub next_cursor: Option<String>,
}

/// Who did or saw what.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct AuditEntry {
    /// Its number, from 1 without gaps.
    pub number: i64,
    /// When it happened.
    #[schema(value_type = String, format = DateTime)]
    pub at: Instant,
    /// Who did it.
    pub by: String,
    /// The roles that they had, comma-separated.
    pub roles: String,
    /// What was done.
    #[schema(example = "decision.read")]
    pub action: String,
    /// What it was done to.
    pub subject: String,
    /// A few words more.
    pub detail: String,
    /// What came of it: an HTTP status, `ok` or `failed`.
    #[schema(example = "200")]
    pub outcome: String,
    /// SHA-256 over the hash before it and the entry, in hexadecimal digits.
    pub hash: String,
}

impl From<store::AuditEntry> for AuditEntry {
    fn from(stored: store::AuditEntry) -> AuditEntry {
        let entry = stored.entry;
        AuditEntry {
            number: stored.number,
            at: Instant(entry.at_us),
            by: entry.by,
            roles: entry.roles,
            action: entry.action,
            subject: entry.subject,
            detail: entry.detail,
            outcome: entry.outcome,
            hash: stored.hash.hex(),
        }
    }
}
