//! Labels on their way in: from the topic of labels to the stages whose windows read them.
//!
//! A label names a transaction. Its stages own the transaction's entities, so the label needs the transaction's fields: from
//! the database, or from the label's own message, which may be the whole event with the detector's label field. It then
//! travels in the stages' topics between the transactions, and counts from where it stands there.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::detector::Schema;
use engine::{EventBatch, FieldError, Label, Rejection};
use lab::dataset::{ColumnMap, EventReader, write_event};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{Offset, TopicPartitionList};

use store::{NewLabel, StoredDecision};

use super::intake::{Incoming, Origin, Place, Reject};
use super::recorder::Unit;
use super::worker::Membership;

/// How long a label waits for its transaction to be stored: it may have overtaken it.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a message of the topic says where it is not a whole event.
#[derive(serde::Deserialize)]
struct Named {
    transaction_id: String,
    fraud: bool,
}

/// A label that was read.
pub struct Waiting {
    /// Where it stands.
    pub partition: i32,
    /// Where it stands.
    pub offset: i64,
    /// Its message's timestamp: when it became known.
    pub known_at_us: i64,
    /// What it names.
    pub transaction_id: String,
    /// What it says.
    pub fraud: bool,
    /// The transaction in canonical JSON, where the message holds it.
    pub event: Option<String>,
    since: Instant,
    key: Option<Vec<u8>>,
    payload: Vec<u8>,
}

/// The topic of labels, as far as this process reads it.
pub struct Labels {
    /// Its consumer.
    pub consumer: Arc<BaseConsumer<Membership>>,
    /// Its topic.
    pub topic: String,
    /// By partition: the offset of the next message, and whether everything was read; `None` for those that others own.
    slots: Vec<Option<(i64, bool)>>,
    /// Labels in the order of their partitions.
    pub waiting: VecDeque<Waiting>,
    /// What was no label.
    pub rejects: Vec<Reject>,
    reader: EventReader,
    batch: EventBatch,
}

impl Labels {
    /// Owns nothing yet.
    pub fn new(
        topic: &str,
        partitions: usize,
        consumer: Arc<BaseConsumer<Membership>>,
        schema: &Arc<Schema>,
    ) -> Labels {
        Labels {
            consumer,
            topic: topic.to_string(),
            slots: vec![None; partitions],
            waiting: VecDeque::new(),
            rejects: Vec::new(),
            reader: EventReader::with_labels(schema, &ColumnMap::default()),
            batch: EventBatch::new(Arc::clone(schema)),
        }
    }

    /// Partitions were given to this process; they are read from where the group has committed.
    pub fn take(&mut self, partitions: &[i32]) {
        for partition in partitions {
            if let Some(slot) = self.slots.get_mut(*partition as usize) {
                *slot = Some((-1, false));
            }
        }
    }

    /// Partitions were given to others, or are to be read again.
    pub fn forget(&mut self, partitions: &[i32]) {
        for partition in partitions {
            if let Some(slot) = self.slots.get_mut(*partition as usize) {
                *slot = None;
            }
        }
        self.waiting.retain(|label| !partitions.contains(&label.partition));
        self.rejects.retain(|reject| !partitions.contains(&reject.origin.partition));
    }

    /// Reads again what was not committed.
    pub fn rewind(&mut self) {
        let owned: Vec<i32> =
            (0..).zip(&self.slots).filter(|(_, slot)| slot.is_some()).map(|(p, _)| p).collect();
        let mut list = TopicPartitionList::new();
        for partition in &owned {
            list.add_partition(&self.topic, *partition);
        }
        self.forget(&owned);
        let committed = self.consumer.committed_offsets(list, super::client::ASK_TIMEOUT);
        let sought = committed.and_then(|mut committed| {
            for mut place in committed.elements_for_topic(&self.topic) {
                if place.offset() == Offset::Invalid {
                    place.set_offset(Offset::Beginning)?;
                }
            }
            committed = self.consumer.seek_partitions(committed, super::client::ASK_TIMEOUT)?;
            committed.elements().iter().try_for_each(|place| place.error())
        });
        if let Err(error) = sought {
            tracing::warn!(%error, "labels that were not committed come again after a restart only");
        }
        self.take(&owned);
    }

    /// Whether every partition is here: nobody else sends labels to the stages.
    pub fn is_whole(&self) -> bool {
        self.slots.iter().all(Option::is_some)
    }

    /// A partition has nothing left to read.
    pub fn reach_end(&mut self, partition: i32) {
        if let Some(Some((_, at_end))) = self.slots.get_mut(partition as usize) {
            *at_end = true;
        }
    }

    /// Takes a message in.
    pub fn enter(&mut self, message: &BorrowedMessage) {
        let incoming = Incoming::of(message);
        let (partition, offset) = (incoming.origin.partition, incoming.origin.offset);
        let Some(Some(slot)) = self.slots.get_mut(partition as usize) else { return };
        *slot = (offset + 1, false);
        match self.read(incoming.payload) {
            Ok((transaction_id, fraud, event)) => self.waiting.push_back(Waiting {
                partition,
                offset,
                known_at_us: incoming.origin.timestamp_ms.max(0) * 1_000,
                transaction_id,
                fraud,
                event,
                since: Instant::now(),
                key: incoming.key.map(<[u8]>::to_vec),
                payload: incoming.payload.to_vec(),
            }),
            Err(rejection) => self.rejects.push(Reject {
                origin: incoming.origin,
                key: incoming.key.map(<[u8]>::to_vec),
                payload: incoming.payload.to_vec(),
                headers: message.headers().map(|headers| headers.detach()),
                rejection,
            }),
        }
    }

    /// A label by the transaction's id, or the whole event with its label.
    fn read(&mut self, payload: &[u8]) -> Result<(String, bool, Option<String>), Rejection> {
        if let Ok(Named { transaction_id, fraud }) = serde_json::from_slice(payload) {
            let schema = self.batch.schema();
            let known = schema.known_as(schema.id_field(), &transaction_id).into_owned();
            return Ok((known, fraud, None));
        }
        self.batch.clear();
        self.reader.read(payload, &mut self.batch)?;
        let fraud = match self.batch.label(0) {
            Label::Fraud => true,
            Label::Genuine => false,
            Label::Unknown => {
                let field = self.batch.schema().label_field().unwrap_or("fraud");
                return Err(FieldError::new(field, "missing", "true or false").into());
            }
        };
        let mut event = String::new();
        write_event(&self.batch, 0, false, &mut event);
        Ok((self.batch.id(0).to_string(), fraud, Some(event)))
    }

    /// Takes the first labels out of the queue for which `found` has the stored decision, or which hold their transaction
    /// themselves, as rows of `unit`. Those that have waited too long go to `lost`; the others go on waiting.
    pub fn route(
        &mut self,
        found: Vec<Option<StoredDecision>>,
        reader: &EventReader,
        has_database: bool,
        unit: &mut Unit,
        lost: &mut Vec<Reject>,
    ) {
        let mut still_waiting = VecDeque::new();
        for stored in found {
            let Some(label) = self.waiting.pop_front() else { break };
            let patient = has_database && label.since.elapsed() < PATIENCE;
            let event = stored.as_ref().map(|stored| stored.event.as_str()).or(label.event.as_deref());
            match event.filter(|_| stored.is_some() || !patient) {
                Some(event) => label.enter(event, stored.as_ref(), reader, unit),
                None if patient => still_waiting.push_back(label),
                None => lost.push(label.into_reject(has_database)),
            }
        }
        // Those that wait stay in front of what was not looked at.
        while let Some(label) = still_waiting.pop_back() {
            self.waiting.push_front(label);
        }
    }

    /// Offsets to be committed: those of labels that still wait are not among them.
    ///
    /// # Errors
    /// If librdkafka does not take them.
    pub fn offsets(&self) -> Result<TopicPartitionList, rdkafka::error::KafkaError> {
        let mut offsets = TopicPartitionList::new();
        for (partition, slot) in (0..).zip(&self.slots) {
            let Some((next, _)) = slot.filter(|(next, _)| *next >= 0) else { continue };
            let first =
                self.waiting.iter().find(|label| label.partition == partition).map(|label| label.offset);
            offsets.add_partition_offset(&self.topic, partition, Offset::Offset(first.unwrap_or(next)))?;
        }
        Ok(offsets)
    }
}

impl Waiting {
    /// Becomes a row of the stages' intake, and a label to be stored.
    fn enter(&self, event: &str, stored: Option<&StoredDecision>, reader: &EventReader, unit: &mut Unit) {
        // What was stored, or read before, is an event of this detector.
        if reader.read(event.as_bytes(), &mut unit.intake.batch).is_err() {
            return;
        }
        let origin = stored.and_then(|stored| stored.origin).map_or(Origin::UNKNOWN, |origin| Origin {
            partition: origin.partition,
            offset: origin.offset,
            timestamp_ms: -1,
        });
        let incoming = Incoming { origin, key: None, payload: event.as_bytes(), headers: None };
        unit.intake.add_label(incoming, Place { owner: 0, offset: 0, merge_us: 0 }, self.fraud);
        unit.labels.extend(stored.map(|stored| NewLabel {
            sequence: 0,
            transaction_sequence: stored.sequence,
            fraud: self.fraud,
            known_at_us: self.known_at_us,
        }));
    }

    fn into_reject(self, has_database: bool) -> Reject {
        let expected = if has_database {
            "the id of a stored transaction"
        } else {
            "the whole event with its label: without a database nothing but the message itself can tell its fields"
        };
        Reject {
            origin: Origin {
                partition: self.partition,
                offset: self.offset,
                timestamp_ms: self.known_at_us / 1_000,
            },
            key: self.key,
            payload: self.payload,
            headers: None,
            rejection: FieldError::new("transaction_id", &self.transaction_id, expected).into(),
        }
    }
}
