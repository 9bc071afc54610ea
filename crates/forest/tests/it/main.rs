//! The crate from outside.

/// Made-up tables.
mod table;
mod growing;
mod boosting;
mod scoring;
mod documents;
mod reference;
mod readers;
mod readers_hostile;
/// Contributions against other programs and against their definition.
mod explain;
mod explain_definition;
