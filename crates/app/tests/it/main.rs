//! The binary as its users meet it: arguments in; files, lines and exit codes out.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod desk;
mod simulated;
mod wrong_rows;
mod messages;
mod handbook;
mod lab;
mod explain;
mod other_sets;
mod native_models;
mod registry;
mod engines;
mod mlflow;
