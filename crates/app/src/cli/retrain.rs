//! `redflag retrain`: training again on what became known, step by step or all of it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use clap::Subcommand;
use engine::Detector;
use lab::train::write_rows;
use serde_json::json;

use super::WrongInput;
use super::output::{CountBar, detector_text, load_detector};
use super::recipe::Making;
use crate::log;
use crate::registry::Registry;
use crate::registry::rulebooks::applied;
use crate::retraining::config::Config;
use crate::retraining::rows::{Wanted, collect};
use crate::retraining::run::{Run, State, Step};
use crate::retraining::steps::Work;
use crate::service::settings::Settings;

/// The exit code of a step that has to wait: "temporary failure" of `sysexits.h`, for whoever asks again later.
pub const WAITS: u8 = 75;

/// Something has to be waited for. Exit code 75.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Waits(String);

/// Train again on what became known.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A run is a folder. Each step leaves its result there, and one that is done is not done again: interrupted, the same command goes
on where it ended. What is learnt from is the database of the settings, beside the service that writes it.

Exit codes: 0 done, whatever the verdict; 75 to be asked again later (the challenger scores in the shadow, or a person is to
approve); 2 wrong input; 1 failed.

Examples:
  redflag retrain run --run runs/42 --config redflag.toml
  redflag retrain judge --run runs/42 --config redflag.toml --json
  redflag retrain approve --run runs/42 --config redflag.toml --by maria
  redflag retrain collect --config redflag.toml --out rows.parquet")]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Collect matured transactions with the features that they were decided on
    Collect {
        #[command(flatten)]
        common: Optional,
        /// Only write the rows here, as Parquet, without a run
        #[arg(long, value_name = "FILE", required_unless_present = "run")]
        out: Option<PathBuf>,
    },
    /// Grow the challenger on all but the newest weeks
    Train(Common),
    /// Measure it on the newest weeks
    Evaluate(Common),
    /// Keep it in the registry and let it score in the shadow
    Register(Common),
    /// Compare it with the champion, once the shadow is over
    Judge(Common),
    /// Promote it if it meets every criterion
    Promote(Common),
    /// All steps, as far as they go
    Run(Common),
    /// Promote the challenger of a run that waits for a person
    Approve(Signed),
    /// End a run; its challenger scores no longer
    Cancel(Signed),
    /// Say how far a run is
    Show(Common),
}

#[derive(Debug, clap::Args)]
struct Common {
    /// The run's folder, made if there is none
    #[arg(long, value_name = "DIR")]
    run: PathBuf,
    #[command(flatten)]
    with: With,
}

#[derive(Debug, clap::Args)]
struct Optional {
    /// The run's folder, made if there is none
    #[arg(long, value_name = "DIR", conflicts_with = "out")]
    run: Option<PathBuf>,
    #[command(flatten)]
    with: With,
}

#[derive(Debug, Clone, clap::Args)]
struct With {
    /// Settings file of the service; REDFLAG_* variables override it
    #[arg(long)]
    config: Option<PathBuf>,
    /// Transactions of this file are learnt from as well: history from before the database's first
    #[arg(long, value_name = "FILE")]
    also: Option<PathBuf>,
    /// What starts the run, as it is shown
    #[arg(long, value_name = "TEXT", default_value = "command line")]
    trigger: String,
    /// Use few cores at the lowest priority, as beside a service
    #[arg(long)]
    humble: bool,
    /// Print the run as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct Signed {
    #[command(flatten)]
    common: Common,
    /// Who
    #[arg(long, value_name = "NAME")]
    by: String,
    /// Why
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
}

/// Runs the command.
///
/// # Errors
/// If a step goes wrong, or has to wait.
pub fn run(args: Args) -> Result<()> {
    let _logs = log::start(log::Format::Text)?;
    match args.what {
        What::Collect { common: Optional { run: None, with }, out } => rows(&with, &out.unwrap_or_default()),
        What::Collect { common: Optional { run: Some(run), with }, .. } => {
            go(&Common { run, with }, Step::Collect)
        }
        What::Train(common) => go(&common, Step::Train),
        What::Evaluate(common) => go(&common, Step::Evaluate),
        What::Register(common) => go(&common, Step::Register),
        What::Judge(common) => go(&common, Step::Judge),
        What::Promote(common) | What::Run(common) => go(&common, Step::Promote),
        What::Approve(Signed { common, by, reason }) => change(&common, |work| work.approve(&by, &reason)),
        What::Cancel(Signed { common, by, reason }) => change(&common, |work| work.cancel(&by, &reason)),
        What::Show(common) => show(&common),
    }
}

impl With {
    fn settings(&self) -> Result<Settings> {
        let mut settings = Settings::load(self.config.as_deref(), |name| std::env::var(name).ok())?;
        settings.retraining.also = self.also.clone().or(settings.retraining.also);
        Ok(settings)
    }
}

/// How challengers are made, by the options of `redflag train`.
///
/// # Errors
/// If the options are none of them.
pub fn making(config: &Config) -> Result<Making> {
    let named = ["--engine", config.engine.as_str(), "--algorithm", config.algorithm.as_str()];
    Making::of(named.into_iter().chain(config.recipe.split_whitespace())).map_err(|error| {
        WrongInput(format!("`retraining.engine`, `.algorithm`, `.recipe`: {error:#}")).into()
    })
}

fn open(common: &Common) -> Result<Work> {
    let settings = common.with.settings()?;
    if common.with.humble {
        humble(settings.retraining.cores);
    }
    let recipe = making(&settings.retraining)?.recipe()?;
    let detector = deciding(&settings)?;
    let text = detector_text(&settings.detector)?;
    Work::open(&common.run, settings, (Arc::new(detector), text), recipe, &common.with.trigger)
}

/// The detector with the rulebook in force: a challenger is trained for the policy that it would decide by, and judged by it.
fn deciding(settings: &Settings) -> Result<Detector> {
    let detector = load_detector(&settings.detector)?;
    let made = Registry::open(&settings.registry())?.rulebook_in_force(&detector)?;
    Ok(applied(&detector, &made.rulebook)?)
}

/// Gives way to everybody else: the lowest priority, and no more than so many cores. Where the system does not allow it, the work
/// is done all the same.
fn humble(cores: usize) {
    let done = rustix::process::nice(19).map(|_| ()).and_then(|()| {
        let allowed = rustix::thread::sched_getaffinity(None)?;
        let mut few = rustix::thread::CpuSet::new();
        // The last ones: interrupts and the first threads of others are mostly on the first.
        let mine =
            (0..rustix::thread::CpuSet::MAX_CPU).rev().filter(|core| allowed.is_set(*core)).take(cores);
        mine.for_each(|core| few.set(core));
        rustix::thread::sched_setaffinity(None, &few)
    });
    if let Err(error) = done {
        tracing::warn!(%error, "retraining: the system does not let it give way to others");
    }
}

/// All that is to be done up to a step.
fn go(common: &Common, last: Step) -> Result<()> {
    let mut work = open(common)?;
    let mut bar: Option<(&'static str, CountBar)> = None;
    let done = work.go(last, &mut |unit, count| {
        if bar.as_ref().is_none_or(|(shown, _)| *shown != unit) {
            bar = Some((unit, CountBar::new("retraining", unit, None)));
        }
        bar.iter().for_each(|(_, bar)| bar.show(count));
    });
    bar.into_iter().for_each(|(_, bar)| bar.finish());
    tell(work.run(), common.with.json)?;
    done?;
    match work.run().state {
        State::Shadow | State::Approval => Err(Waits(work.run().detail.clone()).into()),
        _ => Ok(()),
    }
}

fn change(common: &Common, change: impl FnOnce(&mut Work) -> Result<()>) -> Result<()> {
    found(&common.run)?;
    let mut work = open(common)?;
    change(&mut work)?;
    tell(work.run(), common.with.json)
}

fn found(folder: &Path) -> Result<Run> {
    let none = || WrongInput(format!("--run is {}: there is no run in this folder", folder.display()));
    Run::find(folder)?.ok_or_else(|| none().into())
}

fn show(common: &Common) -> Result<()> {
    tell(&found(&common.run)?, common.with.json)
}

fn tell(run: &Run, json: bool) -> Result<()> {
    if json {
        println!("{}", serde_json::to_string(run)?);
        return Ok(());
    }
    println!("run      {} ({})", run.id, run.trigger);
    println!("state    {}, step {}", run.state.name(), run.step.name());
    run.model.iter().for_each(|model| println!("model    {model}"));
    for (name, value) in &run.figures {
        println!("  {name:<22} {value}");
    }
    for criterion in run.verdict.iter().flat_map(|verdict| &verdict.criteria) {
        println!(
            "  {:<4} {:<12} {}",
            if criterion.met { "yes" } else { "no" },
            criterion.name,
            criterion.words
        );
    }
    if !run.detail.is_empty() {
        println!("detail   {}", run.detail);
    }
    Ok(())
}

/// Only the rows, for whoever trains elsewhere.
fn rows(with: &With, out: &Path) -> Result<()> {
    let settings = with.settings()?;
    let detector = load_detector(&settings.detector)?;
    let wanted = Wanted {
        detector: &detector,
        from_us: None,
        stretch: settings.retraining.stretch,
        rows_max: settings.retraining.rows_max,
        mature_after_us: settings.mature_after_us,
    };
    let bar = CountBar::new("collecting", "decisions", None);
    let collected = collect(&mut *settings.database().open_reader()?, &wanted, &mut |read| bar.show(read));
    bar.finish();
    let collected = collected?;
    write_rows(&collected.set, &detector.feature_names(), out)?;
    match with.json {
        true => println!("{}", json!({ "counts": collected.counts, "out": out })),
        false => collected.counts.iter().for_each(|(name, count)| println!("{name:<22} {count}")),
    }
    Ok(())
}
