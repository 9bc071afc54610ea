//! `redflag demo`: everything at once with nothing installed.
//!
//! A simulated world with a past and a present. The past fills the windows and trains a model; the present is streamed
//! through HTTP as anybody's transactions would be, and frauds become known a simulated week later. Stopped and started
//! again on the same data folder, the same world goes on where its log ends.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use axum::body::Bytes;
use axum::http::{Method, Request};
use engine::time::{DAY_US, SECOND_US};
use engine::{Detector, Label};
use forest::grow::{Algorithm, Params};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use lab::artifact::ModelFile;
use lab::dataset::{Block, SimulatedReader, write_event};
use lab::replay;
use lab::simulate::{self, Settings as Simulation};
use lab::train::{self, BATCH_ROWS, Recipe, TrainingSet};
use serde::{Deserialize, Serialize};
use store::Database;

use super::output::load_detector;
use super::serve::log_to_stderr;
use crate::service::models::Models;
use crate::service::pipeline::now_us;
use crate::service::run::{DataDir, Service, listen};
use crate::service::settings::Settings;
use crate::service::wire::{Source, SourceKind};

/// Days before the stream that fill the windows; the model learns from the later part of them.
const HISTORY_DAYS: i64 = 70;

/// Days of history that the model learns from, up to a week before the stream: what is newer has no labels yet.
const TRAINING_DAYS: i64 = 28;

/// Simulated time until a fraud is known.
const LABEL_DELAY_US: i64 = 7 * DAY_US;

/// Everything at once with nothing installed: simulate, train, serve, stream.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  redflag demo\n  redflag demo --port 9000 --rate 500 --data-dir /tmp/demo"
)]
pub struct Args {
    /// Port on the loopback address
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// Transactions a second
    #[arg(long, default_value_t = 100.0, value_parser = positive)]
    rate: f64,
    /// Where the database and the model are kept; the same folder goes on where it ended
    #[arg(long, default_value = "redflag-data/demo")]
    data_dir: PathBuf,
    /// Seed of the simulated world
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// Customers in the simulated world
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(10..=1_000_000))]
    customers: u32,
}

fn positive(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| "expected a number".to_string())?;
    if rate > 0.0 && rate <= 1e6 {
        Ok(rate)
    } else {
        Err("expected a number above 0 and up to 1000000".to_string())
    }
}

/// The simulated world, written down at the first start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct World {
    seed: u64,
    customers: u32,
    /// When the stream begins; history lies before it.
    stream_from_us: i64,
}

/// Runs the command.
///
/// # Errors
/// If the port is taken or the folder cannot be used.
pub fn run(args: Args) -> Result<()> {
    log_to_stderr();
    let listen_on = SocketAddr::from(([127, 0, 0, 1], args.port));
    let listener = listen(listen_on)?;
    let data_dir = DataDir::take(&args.data_dir)?;
    let detector = load_detector("card")?;
    let world = World::open(&args)?;
    let started = Instant::now();
    let model = prepare(&args.data_dir, &data_dir, &detector, &world)?;
    let time_factor = args.rate / world.natural_rate();
    let source = Source {
        kind: SourceKind::Simulator,
        rate_per_second: Some(args.rate),
        time_factor: Some((time_factor * 10.0).round() / 10.0),
    };
    let settings = Settings { listen: listen_on, data_dir: args.data_dir.clone(), ..Settings::default() };
    let models = Arc::new(Models::of_file(&detector, Some(&model))?);
    let mut say = |entries| println!("replayed {entries} entries of the log");
    let service =
        Service::start(&settings, data_dir, listener, Arc::clone(&detector), models, source, &mut say)?;
    println!("ready after {:.1} s", started.elapsed().as_secs_f64());
    println!("streaming {} transactions/s ({time_factor:.0} times real time)", args.rate);
    println!("\n  open http://{listen_on}\n\nCtrl-C stops; the same folder goes on where it ended.");
    let after_us = newest_event(&args.data_dir)?;
    let stream = Stream { address: listen_on, detector, world, rate: args.rate, after_us };
    service.run(async move {
        if let Err(error) = stream.run().await {
            tracing::error!(error = %format!("{error:#}"), "the simulated stream has ended");
        }
    })
}

/// The newest event in the log, if there is one: the stream goes on after it.
fn newest_event(data_dir: &Path) -> Result<Option<i64>> {
    let newest = Database::in_folder(data_dir)
        .open_reader()?
        .decisions(&store::Filter { limit: 1, ..Default::default() })?;
    Ok(newest.first().map(|decision| decision.event_time_us))
}

/// History, windows and model: made at the first start, found at later ones.
fn prepare(path: &Path, data_dir: &DataDir, detector: &Arc<Detector>, world: &World) -> Result<ModelFile> {
    let model_path = path.join("model.json");
    if model_path.exists() && data_dir.recovery.has_base() {
        return ModelFile::load(&model_path);
    }
    let trained_to_us = world.stream_from_us - LABEL_DELAY_US;
    let period = trained_to_us - TRAINING_DAYS * DAY_US..trained_to_us;
    println!("simulating {HISTORY_DAYS} days of {} customers and computing their features", world.customers);
    let schema = Arc::new(detector.schema.clone());
    let history = SimulatedReader::new(world.history()?, &schema);
    let mut set = TrainingSet::new(detector.features.len(), Some(period));
    let mut engine = engine::Engine::new(Arc::clone(detector), None, train::cores());
    let summary = replay::replay(Box::new(history), &mut engine, BATCH_ROWS, &mut set, &mut |_| {})?;
    println!("  {} transactions in {:.1} s", summary.events, summary.seconds);
    data_dir.recovery.write_base(&engine.snapshot(-1))?;
    println!("training on {} of them, {} fraud", set.len(), set.frauds());
    let trained = Instant::now();
    let model = train::train(detector, &set, &Recipe::plain(Params::defaults(Algorithm::Gbdt)), &mut |_| {})?;
    println!("  {} trees in {:.1} s", model.forest.tree_count(), trained.elapsed().as_secs_f64());
    model.save(&model_path)?;
    Ok(model)
}

impl World {
    /// The world of the data folder, or a new one whose stream begins a month and a half ago.
    fn open(args: &Args) -> Result<World> {
        let path = args.data_dir.join("world.json");
        if let Ok(text) = std::fs::read_to_string(&path) {
            return serde_json::from_str(&text).with_context(|| format!("{} is damaged", path.display()));
        }
        let today_us = now_us().div_euclid(DAY_US) * DAY_US;
        let world =
            World { seed: args.seed, customers: args.customers, stream_from_us: today_us - 45 * DAY_US };
        std::fs::write(&path, serde_json::to_string(&world)?)
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(world)
    }

    fn history(&self) -> Result<Box<dyn simulate::Simulator>> {
        let days = Some(HISTORY_DAYS as u32);
        Ok(simulate::simulator(
            "card",
            &self.simulation(self.stream_from_us - HISTORY_DAYS * DAY_US, 0, days),
        )?)
    }

    fn stream(&self) -> Result<Box<dyn simulate::Simulator>> {
        Ok(simulate::simulator("card", &self.simulation(self.stream_from_us, FIRST_STREAM_ID, None))?)
    }

    fn simulation(&self, start_us: i64, first_id: i64, days: Option<u32>) -> Simulation {
        Simulation {
            seed: self.seed,
            start_us,
            first_id,
            rows: None,
            days,
            customers: Some(self.customers),
            terminals: Some(self.customers * 2),
        }
    }

    /// Transactions a second of this world in real time: customers make two a day on average, fewer fall out at the
    /// day's edges.
    fn natural_rate(&self) -> f64 {
        f64::from(self.customers) * 1.93 / 86_400.0
    }
}

/// Ids of the stream begin here, above all of history.
const FIRST_STREAM_ID: i64 = 1_000_000_000;

/// The present, streamed at a fixed rate.
struct Stream {
    address: SocketAddr,
    detector: Arc<Detector>,
    world: World,
    rate: f64,
    after_us: Option<i64>,
}

/// A fraud that becomes known at `due_us` of simulated time.
struct Due {
    due_us: i64,
    id: String,
}

impl Stream {
    async fn run(self) -> Result<()> {
        let schema = Arc::new(self.detector.schema.clone());
        let mut reader = SimulatedReader::new(self.world.stream()?, &schema);
        let mut block = Block::new(&schema);
        let mut client = Client::connect(self.address).await?;
        let mut due: VecDeque<Due> = VecDeque::new();
        let mut pace = Pace::new(self.rate);
        let mut body = String::new();
        loop {
            block.clear();
            if !reader.read_one(&mut block) {
                return Ok(());
            }
            if block.batch.is_empty() {
                continue;
            }
            let time_us = block.batch.time_us(0);
            let seen = self.after_us.is_some_and(|after_us| time_us < after_us);
            if block.batch.label(0) == Label::Fraud {
                due.push_back(Due { due_us: time_us + LABEL_DELAY_US, id: block.batch.id(0).to_string() });
            }
            if seen {
                // Decided and labelled before the restart; what is due by now is dropped with it.
                due.retain(|label| label.due_us > time_us);
                continue;
            }
            pace.wait().await;
            body.clear();
            write_event(&block.batch, 0, false, &mut body);
            client.post("/v1/transactions", &body).await?;
            while due.front().is_some_and(|label| label.due_us <= time_us) {
                let Some(label) = due.pop_front() else { break };
                let body = format!("{{\"transaction_id\":\"{}\",\"fraud\":true}}", label.id);
                client.post("/v1/labels", &body).await?;
            }
        }
    }
}

/// Open-loop pacing: transaction n is due at n / rate, however long the answers take.
struct Pace {
    started: Instant,
    sent: u64,
    rate: f64,
}

impl Pace {
    fn new(rate: f64) -> Pace {
        Pace { started: Instant::now(), sent: 0, rate }
    }

    async fn wait(&mut self) {
        let due = self.started + Duration::from_secs_f64(self.sent as f64 / self.rate);
        self.sent += 1;
        if due > Instant::now() {
            tokio::time::sleep_until(due.into()).await;
        }
    }
}

/// One connection to our own door, as any client would have.
struct Client {
    address: SocketAddr,
    sender: SendRequest<Full<Bytes>>,
}

impl Client {
    async fn connect(address: SocketAddr) -> Result<Client> {
        let stream = tokio::net::TcpStream::connect(address).await.context("cannot reach the service")?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(async move { drop(connection.await) });
        Ok(Client { address, sender })
    }

    /// Posts until it is answered; a service that refuses for the moment is asked again.
    async fn post(&mut self, path: &str, body: &str) -> Result<()> {
        loop {
            let request = Request::builder()
                .method(Method::POST)
                .uri(path)
                .header("host", self.address.to_string())
                .header("content-type", "application/json")
                .header("redflag-synthetic", "1")
                .body(Full::new(Bytes::copy_from_slice(body.as_bytes())))?;
            let answer = match self.sender.send_request(request).await {
                Ok(answer) => answer,
                Err(_) => {
                    tokio::time::sleep(Duration::from_secs_f64(RETRY_S)).await;
                    *self = Client::connect(self.address).await?;
                    continue;
                }
            };
            let status = answer.status();
            answer.into_body().collect().await?;
            if status != axum::http::StatusCode::SERVICE_UNAVAILABLE {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_secs_f64(RETRY_S)).await;
        }
    }
}

/// Seconds before asking again.
const RETRY_S: f64 = 0.5;

const _: () = assert!(LABEL_DELAY_US > SECOND_US, "a label must come after its transaction");
