//! The command line: one module a command, each with its arguments and what it does.

mod audit;
mod backtest;
mod bench;
mod compare;
mod decision;
mod demo;
mod detector;
mod engines;
mod evaluate;
mod features;
mod health;
mod input;
mod keys;
mod lists;
mod mlflow;
mod model;
mod output;
mod policy;
mod recipe;
mod replay;
mod retrain;
mod rules;
mod serve;
mod simulate;
mod splitting;
mod state;
mod store;
mod synth;
mod topics;
mod train;
mod validate;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Real-time fraud detection in one binary.
#[derive(Debug, Parser)]
#[command(name = "redflag", version, about, max_term_width = 100, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Everything at once with nothing installed: simulate, train, serve, stream
    Demo(demo::Args),
    /// The service: HTTP, WebSocket and the page
    Serve(serve::Args),
    /// Ask a running service whether it decides
    Health(health::Args),
    /// Make transactions with labelled fraud
    Simulate(simulate::Args),
    /// Run the whole engine over a file: decisions out
    Replay(replay::Args),
    /// Compute the feature matrix of a file
    Features(features::Args),
    /// Grow a model on a stretch of a file
    Train(Box<train::Args>),
    /// Train every family of models on the same days, and write a page about it
    Compare(compare::Args),
    /// Train and measure a model on several splits of the time
    Validate(Box<validate::Args>),
    /// Install the libraries that can grow models instead, and list them
    Engines(engines::Args),
    /// Measure a model on a later stretch
    Evaluate(evaluate::Args),
    /// Train again on what became known, and promote what is better: step by step, or all of it
    Retrain(retrain::Args),
    /// Take in other libraries' models, look at models, score with them, and say which decides
    Model(model::Args),
    /// Look at detector files
    Detector(detector::Args),
    /// Say how far made transactions can be trusted
    #[command(subcommand)]
    Synth(synth::Synth),
    /// Try rules on history: alerts a day, precision, money, and how they go together with what there is
    Backtest(backtest::Args),
    /// Look at rules, and change them while services run
    Rules(rules::Args),
    /// Look at lists of values that are allowed, denied or watched, and change them while services run
    Lists(lists::Args),
    /// Look at how a score becomes an outcome, and change it while services run
    Policy(policy::Args),
    /// Look at stored decisions
    Decision(decision::Args),
    /// Look at the database, copy it into another, export decisions
    Store(store::Args),
    /// Make, list and revoke API keys
    Keys(keys::Args),
    /// Look at the audit log, and check that nobody has changed it
    Audit(audit::Args),
    /// The project's benchmarks
    Bench(bench::Args),
    /// Look at the state: memory by kind of entity, or the windows of one
    State(state::Args),
    /// Create redflag's Kafka topics, and look into them
    Topics(topics::Args),
    /// Print the OpenAPI document of the service
    Openapi,
}

/// A mistake of the user: wrong usage or wrong input. Exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct WrongInput(pub String);

/// Parses the arguments, runs the command, and turns errors into a line and an exit code: 1 failed, 2 wrong usage or
/// input.
pub fn run() -> ExitCode {
    end_quietly_with_the_reader();
    let cli = Cli::parse();
    // Said before anything runs: a scorer itself would quietly take the best there is.
    let instructions = forest::Instructions::chosen()
        .map_err(|error| WrongInput(format!("{}: {error}", forest::Instructions::VARIABLE)).into());
    match instructions.and_then(|_| dispatch(cli.command)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if output::is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) if error.is::<retrain::Waits>() => {
            eprintln!("redflag: {error}");
            ExitCode::from(retrain::WAITS)
        }
        Err(error) => {
            eprintln!("redflag: {error:#}");
            ExitCode::from(if output::is_wrong_input(&error) { 2 } else { 1 })
        }
    }
}

/// `println!` panics where the reader has gone, as in `redflag model inspect FILE | head`. That is no mistake: the reader has
/// seen enough.
fn end_quietly_with_the_reader() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let said = panic.payload_as_str().unwrap_or_default();
        if said.starts_with("failed printing to stdout") && said.contains("Broken pipe") {
            std::process::exit(0);
        }
        usual(panic);
    }));
}

fn dispatch(command: Command) -> Result<()> {
    match command {
        Command::Demo(args) => demo::run(args),
        Command::Serve(args) => serve::run(args),
        Command::Health(args) => health::run(&args),
        Command::Simulate(args) => simulate::run(args),
        Command::Replay(args) => replay::run(args),
        Command::Features(args) => features::run(args),
        Command::Train(args) => train::run(*args),
        Command::Compare(args) => compare::run(args),
        Command::Engines(args) => engines::run(args),
        Command::Validate(args) => validate::run(*args),
        Command::Evaluate(args) => evaluate::run(args),
        Command::Model(args) => model::run(args),
        Command::Backtest(args) => backtest::run(&args),
        Command::Rules(args) => rules::run(args),
        Command::Lists(args) => lists::run(args),
        Command::Policy(args) => policy::run(args),
        Command::Retrain(args) => retrain::run(args),
        Command::Store(args) => store::run(args),
        Command::Synth(command) => synth::run(command),
        Command::Keys(args) => keys::run(args),
        Command::Audit(args) => audit::run(args),
        Command::Bench(args) => bench::run(args),
        Command::Detector(args) => detector::run(args),
        Command::Decision(args) => decision::run(args),
        Command::State(args) => state::run(args),
        Command::Topics(args) => topics::run(args),
        Command::Openapi => {
            println!("{}", crate::service::openapi_json());
            Ok(())
        }
    }
}
