//! `redflag serve`: the service.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use engine::{Decisions, Detector, Engine};
use lab::artifact::ModelFile;
use lab::dataset::{Block, ColumnMap, Reader, Reject};
use lab::replay::{self, Sink};
use lab::train::BATCH_ROWS;

use super::output::{ReplayBar, load_detector};
use crate::log;
use crate::registry::Registry;
use crate::service::models::Models;
use crate::service::recovery::Recovery;
use crate::service::run::{DataDir, Service, listen};
use crate::service::settings::{DEFAULT_FILE, ModelSource, Settings};
use crate::service::wire::{Source, SourceKind};

/// The service: HTTP, WebSocket and the page.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  redflag serve --config redflag.toml\n  redflag serve --print-config > redflag.toml\n  \
                        REDFLAG_DETECTOR=paysim redflag serve"
)]
pub struct Args {
    /// Settings file; without one the defaults hold, and REDFLAG_* variables override either
    #[arg(long)]
    config: Option<PathBuf>,
    /// Print the commented default settings and exit
    #[arg(long)]
    print_config: bool,
}

/// Runs the command.
///
/// # Errors
/// If a setting is wrong, the port is taken, the data folder cannot be used, or model and detector do not match.
pub fn run(args: Args) -> Result<()> {
    if args.print_config {
        print!("{DEFAULT_FILE}");
        return Ok(());
    }
    let settings = Settings::load(args.config.as_deref(), |name| std::env::var(name).ok())?;
    let _logs = log::start(settings.log)?;
    let detector = load_detector(&settings.detector)?;
    let listener = listen(settings.listen)?;
    // Port 0 asks for any that is free: say which.
    let address = listener.local_addr()?;
    let data_dir = DataDir::take(&settings.data_dir)?;
    let detector = settings.privacy.with_cards(detector, &settings)?;
    if let Some(history) = settings.warm_up.as_deref().filter(|_| !data_dir.recovery.has_base()) {
        let schema = Arc::new(detector.schema.clone());
        let reader = lab::dataset::open(history, &schema, &ColumnMap::default())
            .with_context(|| format!("cannot warm up from {}", history.display()))?;
        warm_up(&data_dir.recovery, &detector, reader)?;
    }
    let models = models(&settings, &detector)?;
    let kind = if settings.kafka.is_on() { SourceKind::Kafka } else { SourceKind::Http };
    let source = Source { kind, rate_per_second: None, time_factor: None, mark: None };
    let name = detector.name.clone();
    let mut replayed = 0;
    let service = Service::start(&settings, data_dir, listener, detector, models, source, &mut |entries| {
        replayed = entries;
        tracing::info!(entries, "replaying the log");
    })?;
    let scheme = if settings.access.tls.certificate.is_some() { "https" } else { "http" };
    println!("redflag serves detector `{name}` on {scheme}://{address}");
    service.run(std::future::pending())
}

/// The models that the settings name, with the rulebooks of the registry.
fn models(settings: &Settings, detector: &Arc<Detector>) -> Result<Arc<Models>> {
    let registry = Registry::open(&settings.registry())?;
    match &settings.model {
        ModelSource::Rules => Models::of_file(detector, None, registry),
        ModelSource::File(path) => Models::of_file(detector, Some(&ModelFile::load(path)?), registry),
        ModelSource::Registry => Models::of_registry(detector, registry),
    }
}

/// Fills the windows from history and keeps the result as the state before the log.
///
/// # Errors
/// If the history cannot be read or the base not written.
pub fn warm_up(
    recovery: &Recovery,
    detector: &Arc<Detector>,
    history: Box<dyn Reader>,
) -> Result<replay::Summary> {
    let mut engine = Engine::new(Arc::clone(detector), None, 1);
    let bar = ReplayBar::new("filling the windows");
    let summary =
        replay::replay(history, &mut engine, BATCH_ROWS, &mut Nothing, &mut |progress| bar.show(progress))?;
    bar.finish();
    recovery.write_base(&engine.snapshot(-1))?;
    Ok(summary)
}

/// A sink for who only wants the state.
struct Nothing;

impl Sink for Nothing {
    fn decided(&mut self, _: &Block, _: &Decisions) -> Result<()> {
        Ok(())
    }

    fn rejected(&mut self, rejects: &[Reject]) -> Result<()> {
        for reject in rejects.iter().take(3) {
            tracing::warn!(line = reject.line, reason = %reject.rejection, "left out");
        }
        Ok(())
    }
}
