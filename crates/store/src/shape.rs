//! How large a database is, and what it is made of.

/// The figures of a database.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Shape {
    /// Program and version, as `PostgreSQL 15.18`.
    pub kind: String,
    /// Version of the schema.
    pub schema: i64,
    /// Rows of decisions.
    pub decisions: u64,
    /// Rows of labels.
    pub labels: u64,
    /// Rejections that are kept.
    pub rejections: u64,
    /// Combinations of detector, model and rules.
    pub versions: u64,
    /// Bytes of everything, indexes included.
    pub bytes: u64,
    /// Parts of the decisions, oldest first; none where they are in one piece.
    pub partitions: Vec<Partition>,
}

/// A part of the decisions.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Partition {
    /// Its table.
    pub name: String,
    /// Rows.
    pub decisions: u64,
    /// Bytes, indexes included.
    pub bytes: u64,
}
