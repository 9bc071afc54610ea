//! From a transaction being in its topic to its decision being read.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use engine::Detector;
use lab::dataset::{Block, SimulatedReader, write_event};
use lab::simulate::Simulator;
use rdkafka::consumer::BaseConsumer;
use rdkafka::message::Message;
use rdkafka::producer::{BaseRecord, Producer};

use crate::cli::topics::follow;
use crate::stream::client::{self, Logged};
use crate::stream::settings::KafkaSettings;

/// Seconds at the beginning that are not counted: connections are made, the broker compiles what it runs.
const WARM_UP_S: f64 = 5.0;

/// How long the last decision may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long the sender gathers: what it takes is not counted, and a request for every transaction would keep the broker from
/// what is.
const SENDER_LINGER: Duration = Duration::from_millis(5);

/// Milliseconds; those of the clock count whole, so that nothing is made less than it is.
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

/// Sends `events` transactions at `rate` a second and reads their decisions. Kafka stamps transactions as they come to their
/// topic, to the millisecond below.
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
    let mut sender = KafkaSettings { linger: SENDER_LINGER, ..settings.clone() };
    // While an idempotent producer of librdkafka waits for an answer it keeps a core busy, which redflag and the broker need.
    sender.properties.insert("enable.idempotence".into(), "false".into());
    let reader = |uncommitted| follow(settings, &settings.decisions, true, uncommitted);
    let (uncommitted, committed) = (reader(true)?, reader(false)?);
    let warm_up = (rate * WARM_UP_S) as usize;
    std::thread::scope(|scope| {
        let uncommitted = scope.spawn(|| read(&uncommitted, events));
        let committed = scope.spawn(|| read(&committed, events));
        send(detector, simulator, &sender, rate)?;
        let join = |read: std::thread::ScopedJoinHandle<Result<Vec<Duration>>>| {
            let taken = read.join().map_err(|_| anyhow::anyhow!("the reader ended by a panic"))??;
            anyhow::Ok(percentiles(&taken[warm_up..]))
        };
        Ok(Latency { read_uncommitted: join(uncommitted)?, read_committed: join(committed)? })
    })
}

fn send(
    detector: &Detector,
    simulator: Box<dyn Simulator>,
    settings: &KafkaSettings,
    rate: f64,
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
        let mut record = BaseRecord::<str, str>::to(&settings.transactions).payload(&json);
        record.key = block.batch.key(0);
        producer.send(record).map_err(|(error, _)| error).context("cannot send a transaction")?;
        producer.poll(Duration::ZERO);
        block.clear();
        rows += 1;
    }
    Ok(producer.flush(PATIENCE)?)
}

fn read(consumer: &BaseConsumer<Logged>, events: u64) -> Result<Vec<Duration>> {
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
        let came_ms = message.timestamp().to_millis().context("a decision without a time")?;
        let came = UNIX_EPOCH + Duration::from_millis(came_ms as u64);
        // The same clock: broker and reader are on one machine, or the machines' clocks agree.
        taken.push(SystemTime::now().duration_since(came).unwrap_or_default());
    }
    Ok(taken)
}

fn percentiles(taken: &[Duration]) -> Percentiles {
    let mut sorted = taken.to_vec();
    sorted.sort_unstable();
    let at = |share: f64| sorted[((sorted.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    Percentiles { p50_ms: at(0.5), p90_ms: at(0.9), p99_ms: at(0.99), max_ms: at(1.0) }
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
