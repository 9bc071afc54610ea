//! Training again without a person: collect what became known, train, evaluate, register, judge, promote.
//!
//! A run is a folder. `run.json` says how far it is; each step leaves its result there, so that a step that is done is not done
//! again, whoever goes on: the service's schedule, a command line, Airflow.

use store::NewAuditEntry;

use crate::service::audit::entry;

/// What the settings say of it.
pub mod config;
/// When runs start.
pub mod schedule;
/// How far a run is.
pub mod run;
/// What is learnt from: stored decisions with what became of them.
pub mod rows;
/// What a run does, step by step.
pub mod steps;
/// Who starts the next run, where several processes could.
pub mod claim;

/// Logs something that happened to a run, and gives it as the audit log is to keep it.
pub fn said(run: &run::Run, words: &str) -> NewAuditEntry {
    let step = run.step.name();
    tracing::info!(run = run.id, state = run.state.name(), step, "retraining: {words}");
    let outcome = if run.state == run::State::Failed { "failed" } else { "ok" }.to_string();
    let action = format!("retraining.{step}");
    NewAuditEntry { detail: words.to_string(), outcome, ..entry("retraining", &action, &run.id) }
}
