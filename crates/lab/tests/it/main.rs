//! Tests of the lab through its public doors.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod simulate;
mod metrics;
mod handbook;
mod schema;
mod training;
mod drift;
mod engines;
mod marks;
mod online;
mod recovery;
mod synth;
mod synth_report;
