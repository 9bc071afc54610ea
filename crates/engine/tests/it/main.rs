//! The engine from outside: text and events in, mistakes and decisions out.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

/// Features straight from their definition, quadratic and plain.
mod oracle;
/// The engine against the oracle; batches, shards, snapshots, freed entities.
mod windows;
/// What is said about a wrong detector file.
mod mistakes;
/// Mutilated detector files and snapshots are errors, never panics.
mod mutations;
/// The detectors that are shipped, their samples and their schema.
mod rulebook;
mod shipped;
/// Reasons: which, when, and in what words.
mod reasons;
/// A chain of stages, one for each kind of entity, against the engine that does it all.
mod stages;
