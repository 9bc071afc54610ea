//! From a snapshot and a topic to the state at the committed offset.
//!
//! A thread of its own restores a partition, with a consumer of its own, so that the other partitions of the process are
//! decided on meanwhile. What it reads again is entered and nothing of it is emitted.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use engine::{Decisions, Detector, EventBatch, Positions, TimeJumps};
use lab::dataset::EventReader;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};

use super::chain::Link;
use super::client::{self, ASK_TIMEOUT, Logged};
use super::condition::Restoring;
use super::intake::{Incoming, Origin};
use super::progress::time_of;
use super::record;
use super::settings::KafkaSettings;
use super::snapshots::Snapshots;
use super::task::Task;
use crate::service::pipeline::check_size;

/// Rows that are entered at once.
const BATCH_ROWS: usize = 2_048;

/// How long to wait for a message before looking whether there is one.
const POLL: Duration = Duration::from_millis(200);

/// A log line at least so often.
const TELL_EVERY: Duration = Duration::from_secs(2);

/// What is needed to restore partitions of one stage.
#[derive(Clone)]
pub struct Restorer {
    /// How Kafka is reached.
    pub settings: Arc<KafkaSettings>,
    /// Whose offsets count.
    pub group: String,
    /// The detector.
    pub detector: Arc<Detector>,
    /// The stage.
    pub link: Link,
    /// Whether it is the first one: its topic holds events, the others' stage records.
    pub first: bool,
    /// Its topic.
    pub topic: String,
    /// Where snapshots are.
    pub snapshots: Snapshots,
}

impl Restorer {
    /// The state of a partition as of the offset that its group has committed.
    ///
    /// # Errors
    /// If Kafka cannot be reached, or the topic no longer holds what is missing.
    pub fn restore(&self, partition: i32, progress: &Restoring) -> Result<Task> {
        let consumer = client::reader(&self.settings, &self.group)?;
        let (committed, newest_us) = self.committed(&consumer, partition)?;
        let mut task = self.newest_snapshot(partition, committed)?;
        progress.from.store(task.next_offset, Ordering::Relaxed);
        progress.to.store(committed, Ordering::Relaxed);
        if task.next_offset < committed {
            self.replay(&consumer, partition, committed, &mut task, progress)?;
        }
        task.newest_us = task.newest_us.max(newest_us);
        Ok(task)
    }

    /// The committed offset, 0 if there is none, and the newest event time that was committed with it.
    fn committed(&self, consumer: &BaseConsumer<Logged>, partition: i32) -> Result<(i64, Option<i64>)> {
        let mut wanted = TopicPartitionList::new();
        wanted.add_partition(&self.topic, partition);
        // Kafka does not answer as long as a transaction with offsets of the partition is open.
        let found = consumer.committed_offsets(wanted, ASK_TIMEOUT).context(
            "the committed offset is not told; if that lasts for minutes, a transaction has lost its end: \
             kafka-transactions.sh find-hanging and abort",
        )?;
        let place =
            found.find_partition(&self.topic, partition).context("no answer about the committed offset")?;
        place.error()?;
        match place.offset() {
            Offset::Offset(offset) => Ok((offset, time_of(place.metadata()))),
            _ => Ok((0, None)),
        }
    }

    /// The newest usable snapshot up to an offset; an empty state without one.
    ///
    /// # Errors
    /// If it cannot be found out whether there are snapshots: reading everything again instead might take hours.
    fn newest_snapshot(&self, partition: i32, committed: i64) -> Result<Task> {
        let ids = self.settings.ids_remembered;
        for (offset, bytes) in self.snapshots.up_to(&self.topic, partition, committed)? {
            match bytes.and_then(|bytes| Task::restore(&self.detector, &self.link, ids, &bytes)) {
                Ok(task) => return Ok(task),
                Err(error) => {
                    let error = format!("{error:#}");
                    tracing::warn!(topic = self.topic, partition, offset, error, "a snapshot cannot be used");
                }
            }
        }
        Ok(Task::new(&self.detector, &self.link, ids))
    }

    fn replay(
        &self,
        consumer: &BaseConsumer<Logged>,
        partition: i32,
        committed: i64,
        task: &mut Task,
        progress: &Restoring,
    ) -> Result<()> {
        let from = task.next_offset.max(self.check_kept(consumer, partition, task.next_offset)?);
        let mut start = TopicPartitionList::new();
        start.add_partition_offset(&self.topic, partition, Offset::Offset(from))?;
        consumer.assign(&start)?;
        let schema = Arc::new(self.detector.schema.clone());
        let mut replay = Replay {
            reader: EventReader::without_labels(&schema),
            batch: EventBatch::new(schema),
            rows: Vec::new(),
            positions: Vec::new(),
            decisions: Decisions::default(),
            first: self.first,
            columns: self.detector.features.len(),
        };
        let mut told = Instant::now();
        loop {
            match consumer.poll(POLL) {
                Some(Ok(message)) if message.offset() < committed => {
                    task.next_offset = message.offset() + 1;
                    replay.enter(&Incoming::of(&message), task)?;
                }
                // What lies beyond was not committed.
                Some(Ok(_)) => break,
                Some(Err(KafkaError::PartitionEOF(_))) => {
                    self.check_whole(consumer, partition, committed)?;
                    break;
                }
                Some(Err(error)) => bail!(error),
                None => {}
            }
            progress.at.store(task.next_offset, Ordering::Relaxed);
            if told.elapsed() > TELL_EVERY {
                tell(&self.topic, partition, progress, told.elapsed());
                told = Instant::now();
            }
        }
        replay.flush(task);
        task.next_offset = committed;
        progress.at.store(committed, Ordering::Relaxed);
        Ok(())
    }

    /// Everything up to the committed offset could be read. A broker that has just come back may not show all of it yet.
    fn check_whole(&self, consumer: &BaseConsumer<Logged>, partition: i32, committed: i64) -> Result<()> {
        let (_, end) = consumer.fetch_watermarks(&self.topic, partition, ASK_TIMEOUT)?;
        if end < committed {
            bail!("the topic ends at {end}, before the committed offset {committed}");
        }
        Ok(())
    }

    /// The first offset that the topic still holds.
    fn check_kept(&self, consumer: &BaseConsumer<Logged>, partition: i32, wanted: i64) -> Result<i64> {
        let (first, _) = consumer.fetch_watermarks(&self.topic, partition, ASK_TIMEOUT)?;
        if first > wanted {
            let topic = &self.topic;
            tracing::warn!(
                topic,
                partition,
                wanted,
                first,
                "the topic has forgotten what the state would need"
            );
        }
        Ok(first)
    }
}

fn tell(topic: &str, partition: i32, progress: &Restoring, _: Duration) {
    let (done, all) = progress.done_of();
    tracing::info!(topic, partition, done, all, "restoring");
}

/// Enters messages and forgets what comes of them.
struct Replay {
    reader: EventReader,
    batch: EventBatch,
    rows: Vec<u32>,
    positions: Vec<i64>,
    decisions: Decisions,
    first: bool,
    columns: usize,
}

impl Replay {
    fn enter(&mut self, message: &Incoming, task: &mut Task) -> Result<()> {
        if self.first {
            self.enter_event(message.payload, message.origin, task);
        } else {
            for row in record::rows(message.payload)? {
                let row = row?;
                match row.label {
                    None => self.enter_event(row.incoming.payload, row.incoming.origin, task),
                    Some(fraud) => self.enter_label(row.incoming.payload, row.incoming.origin, fraud, task),
                }
            }
        }
        if self.batch.len() >= BATCH_ROWS {
            self.flush(task);
        }
        Ok(())
    }

    fn enter_event(&mut self, payload: &[u8], origin: Origin, task: &mut Task) {
        // What was refused then is refused again.
        if check_size(payload).is_err() || self.reader.read(payload, &mut self.batch).is_err() {
            return;
        }
        let row = self.batch.len() - 1;
        if self.first && !task.seen.is_new(self.batch.id(row)) {
            self.batch.pop_row();
            return;
        }
        self.rows.push(row as u32);
        self.positions.push(origin.position());
    }

    fn enter_label(&mut self, payload: &[u8], origin: Origin, fraud: bool, task: &mut Task) {
        self.flush(task);
        if self.reader.read(payload, &mut self.batch).is_ok() {
            task.learn(&self.batch, 0, origin, fraud);
        }
        self.batch.clear();
    }

    fn flush(&mut self, task: &mut Task) {
        let jumps = if self.first { TimeJumps::Refuse } else { TimeJumps::Admit };
        self.decisions.begin(self.batch.len(), self.columns);
        let positions = Positions::Each(&self.positions);
        task.engine.observe_rows(&self.batch, &self.rows, positions, jumps, &mut self.decisions);
        task.newest_us = task.newest_us.max(task.engine.stream_us());
        task.since_snapshot += self.rows.len() as u64;
        self.batch.clear();
        self.rows.clear();
        self.positions.clear();
    }
}
