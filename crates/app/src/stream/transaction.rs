//! The transaction: begin, add, commit, give up.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::OwnedHeaders;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use super::client::{self, ASK_TIMEOUT, Logged};
use super::settings::KafkaSettings;

/// How long a commit is tried again before the transaction is given up.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long to let the producer work when its queue is full.
const QUEUE_WAIT: Duration = Duration::from_millis(1);

/// The transaction cannot be completed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct TransactionError(String);

impl TransactionError {
    /// The database refuses what the transaction has decided.
    pub fn store(error: &str) -> TransactionError {
        TransactionError(format!("the database refuses: {error}"))
    }
}

impl From<KafkaError> for TransactionError {
    fn from(error: KafkaError) -> Self {
        TransactionError(error.to_string())
    }
}

/// A message to send.
pub struct Outgoing<'a> {
    /// Where to.
    pub topic: &'a str,
    /// The partition; by the key if `None`.
    pub partition: Option<i32>,
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// What it holds.
    pub payload: &'a [u8],
    /// Kafka's timestamp in milliseconds; -1 for now.
    pub timestamp_ms: i64,
    /// Its headers.
    pub headers: Option<OwnedHeaders>,
}

/// The transactional producer of this process, and the transaction that is open.
pub struct Transaction {
    settings: Arc<KafkaSettings>,
    id: String,
    /// `None` until the broker knows it.
    producer: Option<BaseProducer<Logged>>,
    open: Option<Instant>,
}

impl Transaction {
    /// None is open, and nobody was asked yet. A producer of the same `id` that is still alive somewhere is fenced off
    /// when this one is first used.
    pub fn new(settings: &Arc<KafkaSettings>, id: &str) -> Transaction {
        Transaction { settings: Arc::clone(settings), id: id.to_string(), producer: None, open: None }
    }

    /// Makes the producer known to the broker, if it is not.
    ///
    /// # Errors
    /// If the broker cannot be reached now.
    pub fn ready(&mut self) -> Result<()> {
        if self.producer.is_none() {
            let producer = client::producer(&self.settings, &self.id)?;
            producer.init_transactions(ASK_TIMEOUT)?;
            self.producer = Some(producer);
        }
        Ok(())
    }

    /// When the open transaction began.
    pub fn opened(&self) -> Option<Instant> {
        self.open
    }

    /// Begins one, if none is open.
    ///
    /// # Errors
    /// If the producer is not ready or was fenced off.
    pub fn begin(&mut self) -> Result<(), TransactionError> {
        if self.open.is_none() {
            if let Err(error) = self.producer()?.begin_transaction() {
                // It was fenced off: only a new one can go on.
                self.producer = None;
                return Err(error.into());
            }
            self.open = Some(Instant::now());
        }
        Ok(())
    }

    /// Adds a message.
    ///
    /// # Errors
    /// If the producer refuses it.
    pub fn send(&mut self, message: Outgoing) -> Result<(), TransactionError> {
        self.begin()?;
        let producer = self.producer()?;
        let mut record = BaseRecord::<[u8], [u8]>::to(message.topic).payload(message.payload);
        record.key = message.key;
        record.partition = message.partition;
        record.headers = message.headers;
        record.timestamp = (message.timestamp_ms >= 0).then_some(message.timestamp_ms);
        let mut waiting = record;
        loop {
            match producer.send(waiting) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), record)) => {
                    producer.poll(QUEUE_WAIT);
                    waiting = record;
                }
                Err((error, _)) => return Err(error.into()),
            }
        }
    }

    /// Lets the producer tell about errors.
    pub fn poll(&self) {
        if let Some(producer) = &self.producer {
            producer.poll(Duration::ZERO);
        }
    }

    /// Commits what was sent together with the offsets of each group.
    ///
    /// # Errors
    /// If it cannot be; then give it up.
    pub fn commit(
        &mut self,
        offsets: &[(TopicPartitionList, ConsumerGroupMetadata)],
    ) -> Result<(), TransactionError> {
        self.begin()?;
        let producer = self.producer()?;
        for (offsets, group) in offsets.iter().filter(|(offsets, _)| offsets.count() > 0) {
            patiently(|| producer.send_offsets_to_transaction(offsets, group, ASK_TIMEOUT))?;
        }
        patiently(|| producer.commit_transaction(ASK_TIMEOUT))?;
        self.open = None;
        Ok(())
    }

    /// Gives up what is open. A producer that cannot even do that is replaced by a new one.
    pub fn abort(&mut self) {
        let Some(producer) = &self.producer else { return };
        let aborted = match self.open {
            Some(_) => patiently(|| producer.abort_transaction(ASK_TIMEOUT)),
            None => Ok(()),
        };
        if let Err(error) = aborted {
            tracing::warn!(%error, "the transaction cannot be given up; a new producer takes over");
            self.producer = None;
        }
        self.open = None;
    }

    fn producer(&self) -> Result<&BaseProducer<Logged>, TransactionError> {
        self.producer.as_ref().ok_or_else(|| TransactionError("the producer is not ready".to_string()))
    }
}

/// Tries again what may be tried again.
fn patiently(attempt: impl Fn() -> Result<(), KafkaError>) -> Result<(), TransactionError> {
    let started = Instant::now();
    loop {
        match attempt() {
            Ok(()) => return Ok(()),
            Err(KafkaError::Transaction(error)) if error.is_retriable() && started.elapsed() < PATIENCE => {
                std::thread::sleep(Duration::from_millis(20));
            }
            Err(error) => return Err(error.into()),
        }
    }
}
