//! From sending a transaction to reading its decision.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use engine::Detector;
use lab::dataset::{Block, SimulatedReader, write_event};
use lab::simulate::Simulator;
use rdkafka::consumer::BaseConsumer;
use rdkafka::message::Message;
use rdkafka::producer::{BaseRecord, Producer};

use crate::cli::topics::follow;
use crate::service::pipeline::lock;
use crate::stream::client::{self, Logged};
use crate::stream::settings::KafkaSettings;

/// Transactions at the beginning that are not counted: connections are made, caches filled.
const WARM_UP: usize = 1_000;

/// How long the last decision may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Milliseconds from sending to reading.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub struct Percentiles {
    p50_ms: f64,
    p90_ms: f64,
    p99_ms: f64,
    max_ms: f64,
}

/// As two kinds of readers see it.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub struct Latency {
    read_uncommitted: Percentiles,
    read_committed: Percentiles,
}

/// When each transaction was sent, by id.
type Sent = Mutex<HashMap<String, Instant>>;

/// Sends `events` transactions at `rate` a second and reads their decisions.
///
/// # Errors
/// If decisions do not come.
pub fn measure(
    detector: &Detector,
    simulator: Box<dyn Simulator>,
    settings: &KafkaSettings,
    rate: f64,
    events: u64,
) -> Result<Latency> {
    // The sender adds nothing of its own.
    let eager = KafkaSettings { linger: Duration::ZERO, ..settings.clone() };
    let sent = Sent::default();
    let reader = |uncommitted| follow(&eager, &settings.decisions, true, uncommitted);
    let (uncommitted, committed) = (reader(true)?, reader(false)?);
    std::thread::scope(|scope| {
        let uncommitted = scope.spawn(|| read(&uncommitted, &sent, events));
        let committed = scope.spawn(|| read(&committed, &sent, events));
        send(detector, simulator, &eager, rate, &sent)?;
        let join = |read: std::thread::ScopedJoinHandle<Result<Vec<Duration>>>| {
            read.join().map_err(|_| anyhow::anyhow!("the reader ended by a panic"))?.and_then(percentiles)
        };
        Ok(Latency { read_uncommitted: join(uncommitted)?, read_committed: join(committed)? })
    })
}

fn send(
    detector: &Detector,
    simulator: Box<dyn Simulator>,
    settings: &KafkaSettings,
    rate: f64,
    sent: &Sent,
) -> Result<()> {
    let producer = client::plain_producer(settings)?;
    let schema = std::sync::Arc::new(detector.schema.clone());
    let mut reader = SimulatedReader::new(simulator, &schema);
    let mut block = Block::new(&schema);
    let (started, mut rows) = (Instant::now(), 0_u64);
    while reader.read_one(&mut block) {
        let mut json = String::new();
        write_event(&block.batch, 0, false, &mut json);
        let due = Duration::from_secs_f64(rows as f64 / rate);
        std::thread::sleep(due.saturating_sub(started.elapsed()));
        lock(sent).insert(block.batch.id(0).to_string(), Instant::now());
        let mut record = BaseRecord::<str, str>::to(&settings.transactions).payload(&json);
        record.key = block.batch.key(0);
        producer.send(record).map_err(|(error, _)| error).context("cannot send a transaction")?;
        producer.poll(Duration::ZERO);
        block.clear();
        rows += 1;
    }
    Ok(producer.flush(PATIENCE)?)
}

fn read(consumer: &BaseConsumer<Logged>, sent: &Sent, events: u64) -> Result<Vec<Duration>> {
    let mut taken = Vec::with_capacity(events as usize);
    let mut last = Instant::now();
    while (taken.len() as u64) < events {
        let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) else {
            if last.elapsed() > PATIENCE {
                bail!("only {} of {events} decisions came", taken.len());
            }
            continue;
        };
        last = Instant::now();
        let decision: serde_json::Value = serde_json::from_slice(message.payload().unwrap_or_default())?;
        let id = decision["id"].as_str().context("a decision without an id")?;
        let since = lock(sent).get(id).copied().context("a decision on a transaction that was not sent")?;
        taken.push(last - since);
    }
    Ok(taken)
}

fn percentiles(mut taken: Vec<Duration>) -> Result<Percentiles> {
    if taken.len() <= 2 * WARM_UP {
        bail!("too few transactions: at least {} are needed", 2 * WARM_UP);
    }
    let mut measured = taken.split_off(WARM_UP);
    measured.sort_unstable();
    let at = |share: f64| measured[((measured.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    Ok(Percentiles { p50_ms: at(0.5), p90_ms: at(0.9), p99_ms: at(0.99), max_ms: at(1.0) })
}

impl std::fmt::Display for Latency {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (name, taken) in
            [("read_uncommitted", self.read_uncommitted), ("read_committed", self.read_committed)]
        {
            let Percentiles { p50_ms, p90_ms, p99_ms, max_ms } = taken;
            writeln!(
                f,
                "{name:<16} p50 {p50_ms:.2} ms, p90 {p90_ms:.2} ms, p99 {p99_ms:.2} ms, max {max_ms:.2} ms"
            )?;
        }
        Ok(())
    }
}
