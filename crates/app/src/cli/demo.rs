//! `redflag demo`: everything at once with nothing installed.
//!
//! A simulated world with a past and a present. The past fills the windows and trains a model; the present is streamed
//! through HTTP as anybody's transactions would be, and frauds become known when their time has passed. Stopped and
//! started again on the same data folder, the same world goes on where its log ends.

mod stream;
mod world;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;
use engine::Detector;
use engine::time::format_duration;
use forest::grow::{Algorithm, Params};
use lab::artifact::ModelFile;
use lab::replay;
use lab::train::{self, BATCH_ROWS, Recipe, TrainingSet};
use store::Database;

use self::stream::Stream;
use self::world::World;
use super::output::load_detector;
use crate::log;
use crate::registry::Registry;
use crate::service::models::Models;
use crate::service::run::{DataDir, Service, listen};
use crate::service::settings::Settings;
use crate::service::wire::{Source, SourceKind};
use crate::service::{generate, privacy};

/// Everything at once with nothing installed: simulate, train, serve, stream.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  redflag demo
  redflag demo --port 9000 --rate 500 --data-dir /tmp/demo
  redflag demo --detector ulb --model ulb.model")]
pub struct Args {
    /// Detector whose events are streamed: card, card-handbook, ulb, paysim or banking
    #[arg(long, value_name = "NAME", default_value = "card")]
    detector: String,
    /// Model that decides [default: one that is trained on the simulated past]
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// Port on the loopback address
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// Transactions a second
    #[arg(long, default_value_t = 100.0, value_parser = positive)]
    rate: f64,
    /// Where the database and the model are kept; the same folder goes on where it ended [default: redflag-data/demo,
    /// of other detectors than card redflag-data/demo-NAME]
    #[arg(long, value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
    /// Seed of the simulated world
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// Customers in the simulated world, or accounts [default: 5000; of paysim 50000]
    #[arg(long, value_parser = clap::value_parser!(u32).range(10..=1_000_000))]
    customers: Option<u32>,
}

fn positive(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| "expected a number".to_string())?;
    if rate > 0.0 && rate <= 1e6 {
        Ok(rate)
    } else {
        Err("expected a number above 0 and up to 1000000".to_string())
    }
}

impl Args {
    fn folder(&self) -> PathBuf {
        let usual = || match self.detector.as_str() {
            "card" => PathBuf::from("redflag-data/demo"),
            other => PathBuf::from(format!("redflag-data/demo-{other}")),
        };
        self.data_dir.clone().unwrap_or_else(usual)
    }
}

/// Runs the command.
///
/// # Errors
/// If there is no simulator of the detector, the model is not of it, the port is taken or the folder cannot be used.
pub fn run(args: Args) -> Result<()> {
    let _logs = log::start(log::Format::Text)?;
    let detector = load_detector(&args.detector)?;
    let named = args.model.as_deref().map(ModelFile::load).transpose()?;
    if let Some(model) = &named {
        model.bind(&detector)?;
    }
    let listener = listen(SocketAddr::from(([127, 0, 0, 1], args.port)))?;
    let listen_on = listener.local_addr()?;
    let folder = args.folder();
    let data_dir = DataDir::take(&folder)?;
    let detector = privacy::Config::default()
        .with_cards(detector, &Settings { data_dir: folder.clone(), ..Settings::default() })?;
    let world = World::open(&folder, &detector, args.seed, args.customers)?;
    let started = Instant::now();
    let model = prepare(&folder, &data_dir, &detector, &world, named)?;
    let simulator = world.simulator()?;
    let source = source(args.rate, simulator.rows_per_day(), world.mark());
    let settings = Settings {
        listen: listen_on,
        data_dir: folder.clone(),
        mature_after_us: Some(world.label_delay_us),
        synthetic: generate::Config { generators: Some(folder.join("generators")), ..Default::default() },
        ..Settings::default()
    };
    let models = Models::of_file(&detector, Some(&model), Registry::open(&settings.registry())?)?;
    let mut say = |entries| println!("replayed {entries} entries of the log");
    let service =
        Service::start(&settings, data_dir, listener, Arc::clone(&detector), models, source, &mut say)?;
    println!("ready after {:.1} s", started.elapsed().as_secs_f64());
    println!("streaming {} transactions/s of {}", args.rate, args.detector);
    println!("frauds become known after {} of its time", format_duration(world.label_delay_us));
    println!("\n  open http://{listen_on}\n\nCtrl-C stops; the same folder goes on where it ended.");
    let stream = Stream {
        address: listen_on,
        detector,
        simulator,
        mark: world.mark(),
        from_us: world.stream_from_us,
        after_us: newest_event(&folder)?,
        label_delay_us: world.label_delay_us,
        rate: args.rate,
    };
    service.run(async move {
        if let Err(error) = stream.run().await {
            tracing::error!(error = %format!("{error:#}"), "the simulated stream has ended");
        }
    })
}

/// Where the transactions come from, and how much quicker than in the world itself.
fn source(rate: f64, rows_per_day: f64, mark: String) -> Source {
    let time_factor = rate * DAY_S / rows_per_day;
    Source {
        kind: SourceKind::Simulator,
        rate_per_second: Some(rate),
        time_factor: Some((time_factor * 10.0).round() / 10.0),
        mark: Some(mark),
    }
}

/// Seconds in a day.
const DAY_S: f64 = 86_400.0;

/// The newest event in the log, if there is one: the stream goes on after it.
fn newest_event(data_dir: &Path) -> Result<Option<i64>> {
    let newest = Database::in_folder(data_dir)
        .open_reader()?
        .decisions(&store::Filter { limit: 1, ..Default::default() })?;
    Ok(newest.first().map(|decision| decision.event_time_us))
}

/// History, windows and model: made at the first start, found at later ones.
fn prepare(
    folder: &Path,
    data_dir: &DataDir,
    detector: &Arc<Detector>,
    world: &World,
    named: Option<ModelFile>,
) -> Result<ModelFile> {
    let model_path = folder.join("model.json");
    let past = !data_dir.recovery.has_base() || (named.is_none() && !model_path.exists());
    let set = past.then(|| live_through_history(data_dir, detector, world)).transpose()?;
    let model = match (named, set) {
        (Some(model), _) => model,
        (None, Some(set)) => grow(detector, &set)?,
        (None, None) => return ModelFile::load(&model_path),
    };
    model.save(&model_path)?;
    Ok(model)
}

/// Fills the windows with the past; what is to be learnt from it.
fn live_through_history(data_dir: &DataDir, detector: &Arc<Detector>, world: &World) -> Result<TrainingSet> {
    println!("simulating the past of {} and computing its features", world.detector);
    let schema = Arc::new(detector.schema.clone());
    let mut set = TrainingSet::new(detector.features.len(), Some(world.training()));
    let mut engine = engine::Engine::new(Arc::clone(detector), None, train::cores());
    let history = Box::new(world.history(&schema)?);
    let summary = replay::replay(history, &mut engine, BATCH_ROWS, &mut set, &mut |_| {})?;
    println!("  {} transactions in {:.1} s", summary.events, summary.seconds);
    data_dir.recovery.write_base(&engine.snapshot(-1))?;
    Ok(set)
}

fn grow(detector: &Arc<Detector>, set: &TrainingSet) -> Result<ModelFile> {
    println!("training on {} of them, {} fraud", set.len(), set.frauds());
    let trained = Instant::now();
    let model = train::train(detector, set, &Recipe::plain(Params::defaults(Algorithm::Gbdt)), &mut |_| {})?;
    println!("  {} trees in {:.1} s", model.forest.tree_count(), trained.elapsed().as_secs_f64());
    Ok(model)
}
