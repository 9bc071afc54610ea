//! The life of the service: open what is kept, start, run, drain.

use std::fs::File;
use std::future::Future;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use engine::Detector;
use store::Sync;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, watch};

use super::activity;
use super::api::{self, Doors, StreamDoor};
use super::audit;
use super::erasure;
use super::health;
use super::listen::Server;
use super::metrics;
use super::models::Models;
use super::monitors;
use super::online::{self, Online};
use super::pipeline::{Condition, Pipeline, Request, Shared, lock};
use super::recovery::Recovery;
use super::redis::{self, Redis};
use super::retention;
use super::retraining;
use super::settings::Settings;
use super::stats::Stats;
use super::traces::Traces;
use super::wire;
use crate::stream::lag::Lag;
use crate::stream::{self, client, watchdog, worker::Stream};

/// After the word to stop, requests under way get this long.
const DRAIN: Duration = Duration::from_secs(3);

/// What still waits at the end for Redis, or for the receiver of traces, gets this long.
const LAST_WRITE: Duration = Duration::from_millis(500);

/// A service that is ready to run.
pub struct Service {
    listener: TcpListener,
    runtime: Runtime,
    api: Arc<Doors>,
    pipeline: Worker,
    _lock: File,
}

/// Where the pipeline works.
enum Worker {
    /// On a thread of its own: commits that wait for the disk hold nobody else up.
    Thread(JoinHandle<()>),
    /// On the one thread that answers HTTP.
    Inline(tokio::task::JoinHandle<()>),
    /// From Kafka; with it the end of the queue that nobody fills.
    Stream(Stream, mpsc::Receiver<Request>),
}

impl Worker {
    /// The worker, and what tells that it has ended by itself.
    fn split(mut self) -> (Worker, impl Future<Output = ()>) {
        let ended = match &mut self {
            Worker::Stream(stream, _) => stream.ended(),
            _ => None,
        };
        let wait = async move {
            match ended {
                Some(ended) => drop(ended.await),
                None => std::future::pending().await,
            }
        };
        (self, wait)
    }
}

/// From so many cores on, HTTP and the pipeline work side by side.
const PARALLEL_CORES: usize = 4;

/// The data folder, held by this process alone.
pub struct DataDir {
    /// What is kept in it.
    pub recovery: Recovery,
    lock: File,
}

impl DataDir {
    /// Creates the folder if need be, and takes it.
    ///
    /// # Errors
    /// If it cannot be written, or another process has it.
    pub fn take(path: &Path) -> Result<DataDir> {
        std::fs::create_dir_all(path)
            .with_context(|| format!("cannot create the data folder {}", path.display()))?;
        let lock = File::create(path.join("lock"))
            .with_context(|| format!("cannot write to the data folder {}", path.display()))?;
        if lock.try_lock().is_err() {
            bail!("the data folder {} is in use by another redflag", path.display());
        }
        Ok(DataDir { recovery: Recovery::new(path), lock })
    }
}

/// Listens, so that a port that is taken is known before any work is done.
///
/// # Errors
/// If the address cannot be had.
pub fn listen(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).with_context(|| format!("cannot listen on {address}"))
}

impl Service {
    /// Opens the store, brings the engine to the end of the log, and starts the pipeline. `progress` is told how many
    /// entries of the log were replayed.
    ///
    /// # Errors
    /// If the store cannot be opened, or holds another detector's state.
    pub fn start(
        settings: &Settings,
        data_dir: DataDir,
        listener: TcpListener,
        detector: Arc<Detector>,
        models: Arc<Models>,
        source: wire::Source,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Service> {
        if settings.online {
            models.join(Online::open(&detector, settings.mature_after_us, &settings.data_dir));
        }
        if settings.kafka.is_on() {
            return Service::start_stream(settings, data_dir, listener, detector, models, source);
        }
        let recovery = data_dir.recovery;
        let database = settings.database();
        let mut store = database.open(settings.sync).with_context(|| format!("database {database}"))?;
        store.hold_log().with_context(|| format!("database {database}"))?;
        erasure::go_on(&recovery, &detector, &mut *store)?;
        let (engine, _) = recovery.restore(&detector, None, &mut *store, progress)?;
        let shared = Arc::new(Shared {
            redis: start_redis(settings, &detector)?,
            detector,
            traces: Traces::start(&settings.traces, Some(&database))?,
            stats: Mutex::new(Stats::new(store.totals()?, engine.stream_us())),
            condition: Mutex::new(Condition::default()),
            models,
            alerts: settings.alerts,
            mature_after_us: settings.mature_after_us,
        });
        let (requests, queue) = mpsc::channel(settings.queue);
        // While it works on the thread that answers HTTP, nobody could be answered that the deadline has passed.
        let inline = database.is_in_process()
            && settings.sync == Sync::Interval
            && settings.decision_deadline_ms.is_none();
        let pipeline =
            Pipeline::new(engine, store, recovery.clone(), Arc::clone(&shared), settings.snapshot_every)?;
        let (runtime, pipeline) = start_pipeline(pipeline, queue, inline)?;
        let database = Some(database);
        let api = Doors::new(settings, source, requests, shared, database, recovery, None)?;
        let api = Arc::new(api);
        Ok(Service { listener, runtime, api, pipeline, _lock: data_dir.lock })
    }

    /// Joins the consumer group that decides what a Kafka topic holds.
    fn start_stream(
        settings: &Settings,
        data_dir: DataDir,
        listener: TcpListener,
        detector: Arc<Detector>,
        models: Arc<Models>,
        source: wire::Source,
    ) -> Result<Service> {
        let database = settings.remember.then(|| settings.database());
        watchdog::await_server("Kafka", || client::reach(&settings.kafka))?;
        // What Kafka has committed must be stored for good: it will not come again.
        let open = |database: &store::Database| Ok(database.open(Sync::Commit)?);
        let open = |database| watchdog::await_server("the database", || open(database));
        let mut store = database.as_ref().map(open).transpose()?;
        if let Some(store) = &mut store {
            erasure::go_on(&data_dir.recovery, &detector, &mut **store)?;
        }
        let totals = store.as_mut().map_or(Ok(store::Totals::default()), |store| store.totals())?;
        let shared = Arc::new(Shared {
            detector: Arc::clone(&detector),
            traces: Traces::start(&settings.traces, database.as_ref())?,
            stats: Mutex::new(Stats::new(totals, None)),
            condition: Mutex::new(Condition::default()),
            redis: start_redis(settings, &detector)?,
            models,
            alerts: settings.alerts,
            mature_after_us: settings.mature_after_us,
        });
        let (recorder, recorded) = std::sync::mpsc::channel();
        let condition = Arc::new(stream::condition::Condition::default());
        let setup = stream::worker::Setup {
            settings: settings.kafka.clone(),
            detector,
            store,
            queue: (recorder.clone(), recorded),
            shared: Arc::clone(&shared),
            condition: Arc::clone(&condition),
        };
        let stream = Stream::start(setup, &settings.data_dir)?;
        let (requests, queue) = mpsc::channel(1);
        let transactions = settings.kafka.transactions.clone();
        let feed = Mutex::new(None);
        let lag = Arc::new(Lag::default());
        lag.watch(&settings.kafka, &settings.kafka.group(&shared.detector.name))?;
        let door =
            StreamDoor { condition, lag, transactions, settings: settings.kafka.clone(), feed, recorder };
        let recovery = data_dir.recovery;
        let api = Doors::new(settings, source, requests, shared, database, recovery, Some(door))?;
        let api = Arc::new(api);
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        Ok(Service { listener, runtime, api, pipeline: Worker::Stream(stream, queue), _lock: data_dir.lock })
    }

    /// Serves until Ctrl-C or SIGTERM, beside `driver`, which feeds the demo. Then drains: no new requests, those under
    /// way are answered, a snapshot is written.
    ///
    /// # Errors
    /// If the sockets fail.
    pub fn run(self, driver: impl Future<Output = ()> + Send + 'static) -> Result<()> {
        let Service { listener, runtime, api, pipeline, _lock } = self;
        let (pipeline, ended) = pipeline.split();
        let served = runtime.block_on(serve(listener, Arc::clone(&api), driver, ended));
        // The queue may be full of requests; the word to stop waits behind them, so all of them are answered.
        let stopped = runtime.block_on(api.requests.send(Request::Stop)).is_ok();
        let ended = match pipeline {
            Worker::Thread(thread) => thread.join().is_ok(),
            Worker::Inline(task) => runtime.block_on(task).is_ok(),
            Worker::Stream(stream, _queue) => return end_stream(stream, &api, runtime).and(served),
        };
        if !(stopped && ended) {
            bail!("the pipeline ended by a panic");
        }
        finish(&api);
        // Connections to a server end by talking to it, which no thread of the runtime may wait for.
        lock(&api.readers).clear();
        runtime.shutdown_timeout(Duration::from_millis(200));
        served
    }
}

fn end_stream(stream: Stream, api: &Doors, runtime: Runtime) -> Result<()> {
    let ended = stream.stop();
    finish(api);
    // Connections to a server end by talking to it, which no thread of the runtime may wait for.
    lock(&api.readers).clear();
    runtime.shutdown_timeout(Duration::from_millis(200));
    ended
}

/// Lets those who write beside the decisions come to their ends.
fn finish(api: &Doors) {
    api.audit.finish();
    if let Some(redis) = &api.shared.redis {
        redis.finish(LAST_WRITE);
    }
    if let Some(traces) = &api.shared.traces {
        traces.finish(LAST_WRITE);
    }
}

fn start_redis(settings: &Settings, detector: &Arc<Detector>) -> Result<Option<Redis>> {
    let config = settings.redis.clone().map(|url| redis::Config { url, ttl_s: settings.redis_ttl_s });
    config.map(|config| Redis::start(&config, detector)).transpose()
}

fn start_pipeline(
    pipeline: Pipeline,
    queue: mpsc::Receiver<Request>,
    may_be_inline: bool,
) -> Result<(Runtime, Worker)> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    if may_be_inline && cores < PARALLEL_CORES {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let task = runtime.spawn(pipeline.run_inline(queue));
        return Ok((runtime, Worker::Inline(task)));
    }
    let runtime = Builder::new_multi_thread().enable_all().build()?;
    let thread = std::thread::Builder::new().name("pipeline".into()).spawn(move || pipeline.run(queue));
    Ok((runtime, Worker::Thread(thread.context("cannot start the pipeline's thread")?)))
}

async fn serve(
    listener: TcpListener,
    api: Arc<Doors>,
    driver: impl Future<Output = ()> + Send + 'static,
    ended: impl Future<Output = ()>,
) -> Result<()> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let viewers = tokio::spawn(api::publish(Arc::clone(&api)));
    let alerts = tokio::spawn(api::watch_alerts(Arc::clone(&api)));
    let activity = tokio::spawn(activity::follow(Arc::clone(&api)));
    let health = tokio::spawn(health::watch(Arc::clone(&api)));
    let retention = tokio::spawn(retention::watch(Arc::clone(&api)));
    let access = tokio::spawn(audit::follow_access(Arc::clone(&api)));
    let figures = tokio::spawn(metrics::watch(Arc::clone(&api)));
    let monitors = tokio::spawn(monitors::watch(Arc::clone(&api)));
    let online = tokio::spawn(online::follow(Arc::clone(&api)));
    let retraining = tokio::spawn(retraining::watch(Arc::clone(&api)));
    let held = Arc::clone(&api);
    let driver = tokio::spawn(driver);
    let (stop, stopped) = watch::channel(false);
    let server = Server::new(&api, stopped)?;
    let serving = tokio::spawn(server.run(listener));
    tokio::select! {
        asked = asked_to_stop() => asked?,
        () = ended => {}
    }
    tracing::info!("stopping: answering what is under way");
    driver.abort();
    // Whoever served may have failed already; its end says so.
    stop.send(true).unwrap_or_default();
    let drained = tokio::time::timeout(DRAIN, serving).await;
    let tasks = [viewers, alerts, activity, health, retention, access, figures, monitors, online, retraining];
    tasks.iter().for_each(tokio::task::JoinHandle::abort);
    held.retraining.interrupt();
    match drained {
        Ok(ended) => Ok(ended?),
        // Viewers keep their sockets open: they are not waited for.
        Err(_) => Ok(()),
    }
}

async fn asked_to_stop() -> Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        pressed = tokio::signal::ctrl_c() => pressed?,
        _ = terminate.recv() => {}
    }
    Ok(())
}
