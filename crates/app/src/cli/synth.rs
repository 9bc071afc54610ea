//! `redflag synth`: made transactions, and how far they can be trusted.

mod fit;
mod report;
mod sample;

use anyhow::Result;
use clap::Subcommand;

/// What can be done.
#[derive(Debug, Subcommand)]
pub enum Synth {
    /// Train a generator on real transactions
    Fit(Box<fit::Args>),
    /// Make transactions with a trained generator
    Sample(sample::Args),
    /// Write a page about how real synthetic transactions are, and what they are not fit for
    Report(report::Args),
}

/// Runs the command.
///
/// # Errors
/// As the command says.
pub fn run(command: Synth) -> Result<()> {
    match command {
        Synth::Fit(args) => fit::run(*args),
        Synth::Sample(args) => sample::run(args),
        Synth::Report(args) => report::run(args),
    }
}

/// What is wrong with files is the user's to mend; what the system refuses keeps its own words.
fn wrong(error: anyhow::Error) -> anyhow::Error {
    crate::cli::WrongInput(format!("{error:#}")).into()
}
