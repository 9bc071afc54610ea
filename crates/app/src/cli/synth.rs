//! `redflag synth`: made transactions, and how far they can be trusted.

mod report;

use anyhow::Result;
use clap::Subcommand;

/// What can be done.
#[derive(Debug, Subcommand)]
pub enum Synth {
    /// Write a page about how real synthetic transactions are, and what they are not fit for
    Report(report::Args),
}

/// Runs the command.
///
/// # Errors
/// As the command says.
pub fn run(command: Synth) -> Result<()> {
    match command {
        Synth::Report(args) => report::run(args),
    }
}
