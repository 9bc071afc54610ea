//! The service: one thread that decides and remembers, and the doors to it.
//!
//! `api` (or the demo's simulator through it) hands requests to the `pipeline` over a bounded queue; the pipeline runs
//! the engine, writes each group of decisions in one database transaction, and only then answers. `live` shows what
//! happened to whoever looks; a slow viewer gets a fresh picture later, and scoring never waits for it.

/// What was written in `redflag.toml` and the environment, and what it means.
pub mod settings;
/// What is answered when the deadline has passed.
pub mod fallback;
/// From the log and a snapshot to the state, and where both are kept.
pub mod recovery;
/// Decisions as text.
pub mod render;
/// The models that score: the champion, and challengers in the shadow.
pub mod models;
/// The challenger that learns from each label.
pub mod online;
/// How they fare on what became known.
pub mod figures;
/// The same in curves and thresholds.
pub mod performance;
/// How far decisions are from what the champion learnt from.
pub mod drift;
/// What a review budget means for the champion.
pub mod budget;
/// What watches for drift.
pub mod monitors;
/// Runs of training again.
pub mod retraining;
/// What is measured, for Prometheus.
pub mod metrics;
/// What became of some requests, part by part, for OpenTelemetry.
pub mod traces;
/// How the service is, part by part.
pub mod health;
/// What came in and was no transaction, for people.
pub mod rejections;
/// Card numbers: the key of their tokens.
pub mod privacy;
/// Ids that are erased from all that is kept.
pub mod erasure;
/// What is older than is kept goes.
pub mod retention;
/// What people do with alerts.
pub mod alerts;
/// The thread that decides and remembers.
pub mod pipeline;
/// What waits to be written for others to read.
pub mod entities;
/// Redis, where others read.
pub mod redis;
/// What happened, counted by time.
pub mod activity;
/// Figures of what happened: totals, rates, latency.
pub mod stats;
/// The wire types of the API.
pub mod wire;
/// Why a stored decision looks suspicious.
pub mod reasons;
/// A stored decision again, and what would have been decided instead.
pub mod past;
/// Who did and saw what, noted for good.
pub mod audit;
/// Synthetic transactions on demand.
pub mod generate;
/// Who asks, and what they may.
pub mod access;
/// HTTP and WebSocket.
pub mod api;
/// Connections: taken in, encrypted, led to the doors.
pub mod listen;
/// The life of the service: start, run, drain.
pub mod run;

pub use api::openapi_json;
