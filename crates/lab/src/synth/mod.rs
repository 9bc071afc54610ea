//! Synthetic transactions learnt from real ones, and an honest report about them.

/// Tables from files and into files.
pub mod read;
/// Rows as generators see them.
pub mod table;
/// How far made rows can be trusted.
pub mod report;
