//! Training again without a person: collect what became known, train, evaluate, register, judge, promote.
//!
//! A run is a folder. `run.json` says how far it is; each step leaves its result there, so that a step that is done is not done
//! again, whoever goes on: the service's schedule, a command line, Airflow.

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

/// Notes something that happened to a run.
pub fn note(run: &run::Run, words: &str) {
    tracing::info!(run = run.id, state = run.state.name(), step = run.step.name(), "retraining: {words}");
}
