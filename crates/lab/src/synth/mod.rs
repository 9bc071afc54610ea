//! Synthetic transactions learnt from real ones, and an honest report about them.

/// How far made rows are from real ones.
mod distance;
/// A training as a page.
pub mod draw;
/// From rows to what a network can learn, and back.
mod encode;
/// Training a generator.
pub mod fit;
/// Generators that learn against an adversary.
mod gan;
/// A trained generator.
pub mod generator;
/// Real transactions with made frauds among them.
pub mod mix;
/// Small neural networks.
mod network;
/// What is put right after training.
mod polish;
/// Tables from files and into files.
pub mod read;
/// How far made rows can be trusted.
pub mod report;
/// Rows between real rows.
mod smote;
/// Rows as generators see them.
pub mod table;

pub use gan::Losses;
