//! How far partitions that other processes own have come.
//!
//! Each offset is committed with the newest event time before it, so that whoever shares the work can tell.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::Result;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Offset, TopicPartitionList};

use super::client::{self, ASK_TIMEOUT, Logged};
use super::order::Reach;
use super::settings::KafkaSettings;
use crate::service::pipeline::lock;

/// How often somebody is asked while partitions wait, and otherwise.
const URGENT: Duration = Duration::from_millis(20);
const ROUTINE: Duration = Duration::from_secs(1);

/// A client that has not got an answer for so long is replaced: librdkafka's have been seen to take a broker that has come back
/// for gone.
const REPLACE_AFTER: Duration = Duration::from_secs(5);

/// The newest event time as it is committed beside an offset.
pub fn metadata_of(newest_us: Option<i64>) -> String {
    newest_us.map(|us| us.to_string()).unwrap_or_default()
}

/// The inverse of [`metadata_of`].
pub fn time_of(metadata: &str) -> Option<i64> {
    metadata.parse().ok()
}

/// Newest event times of partitions, asked for in the background.
pub struct Progress {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// By partition. Absent: nothing is known.
    reaches: Mutex<HashMap<i32, Reach>>,
    /// The partitions that are asked about.
    wanted: Mutex<Vec<i32>>,
    urgent: AtomicBool,
    stop: AtomicBool,
}

impl Progress {
    /// Asks about partitions of `topic` on a thread of its own, from now on.
    pub fn watch(settings: &Arc<KafkaSettings>, group: &str, topic: &str) -> Result<Progress> {
        let shared = Arc::new(Shared::default());
        let watched = Arc::clone(&shared);
        let (settings, group, topic) = (Arc::clone(settings), group.to_string(), topic.to_string());
        let connect = move || client::reader(&settings, &group);
        let consumer = connect()?;
        std::thread::Builder::new()
            .name("progress".into())
            .spawn(move || watch(&watched, consumer, connect, &topic))?;
        Ok(Progress { shared })
    }

    /// How far partitions have come that others own, as far as that is known.
    pub fn of(&self, others: &[i32]) -> HashMap<i32, Reach> {
        let mut wanted = lock(&self.shared.wanted);
        if *wanted != others {
            *wanted = others.to_vec();
            lock(&self.shared.reaches).clear();
        }
        drop(wanted);
        lock(&self.shared.reaches).clone()
    }

    /// Whether somebody waits for an answer.
    pub fn set_urgent(&self, urgent: bool) {
        self.shared.urgent.store(urgent, Ordering::Relaxed);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
    }
}

fn watch(
    shared: &Shared,
    mut consumer: BaseConsumer<Logged>,
    connect: impl Fn() -> Result<BaseConsumer<Logged>>,
    topic: &str,
) {
    let mut idle_since = HashMap::new();
    let mut asked = Instant::now() - ROUTINE;
    let mut answered = Instant::now();
    while !shared.stop.load(Ordering::Relaxed) {
        std::thread::sleep(URGENT);
        let wanted = lock(&shared.wanted).clone();
        let due = shared.urgent.load(Ordering::Relaxed) || asked.elapsed() >= ROUTINE;
        if wanted.is_empty() || !due {
            continue;
        }
        asked = Instant::now();
        match ask(&consumer, topic, &wanted, &mut idle_since) {
            Ok(found) => {
                answered = Instant::now();
                let mut reaches = lock(&shared.reaches);
                if *lock(&shared.wanted) == wanted {
                    *reaches = found;
                }
            }
            // Until there is an answer the old ones hold.
            Err(error) if answered.elapsed() >= REPLACE_AFTER => {
                tracing::warn!(topic, %error, "it is not known how far other processes are; asked anew");
                consumer = connect().unwrap_or(consumer);
                answered = Instant::now();
            }
            Err(error) => tracing::debug!(topic, %error, "it is not known how far other processes are"),
        }
    }
}

fn ask(
    consumer: &BaseConsumer<Logged>,
    topic: &str,
    partitions: &[i32],
    idle_since: &mut HashMap<i32, Instant>,
) -> Result<HashMap<i32, Reach>> {
    let mut wanted = TopicPartitionList::new();
    for partition in partitions {
        wanted.add_partition(topic, *partition);
    }
    let committed = consumer.committed_offsets(wanted, ASK_TIMEOUT)?;
    let mut reaches = HashMap::new();
    for place in committed.elements_for_topic(topic) {
        let partition = place.partition();
        let (first, end) = consumer.fetch_watermarks(topic, partition, ASK_TIMEOUT)?;
        let at = match place.offset() {
            Offset::Offset(offset) => offset,
            _ => first,
        };
        if at < end {
            idle_since.remove(&partition);
        }
        let idle_since = (at >= end).then(|| *idle_since.entry(partition).or_insert_with(Instant::now));
        reaches.insert(partition, Reach { newest_us: time_of(place.metadata()), idle_since });
    }
    Ok(reaches)
}
