//! The binary `redflag`: the only place that knows HTTP, JSON over the wire, settings and the time of day.

#![forbid(unsafe_code)]

/// Rules tried on history.
mod backtest;
/// The command line.
mod cli;
/// What is logged, and how.
mod log;
/// Objects by name, in a folder or in a bucket.
mod objects;
/// Models with their facts, and which of them decides.
mod registry;
/// Training again without a person.
mod retraining;
/// The service: a pipeline of one thread, and the doors to it.
mod service;
/// Kafka in and out: transactions become decisions, exactly once.
mod stream;
/// MLflow: models, and how they came to be, told to its server.
mod mlflow;

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::run()
}
