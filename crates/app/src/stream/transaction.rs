//! The transaction: begin, add, commit, give up. While one is being committed the next is filled.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
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

/// How long to let the producer work before looking again.
const LOOK_AGAIN: Duration = Duration::from_micros(200);

/// Producers that take turns. When a commit returns, Kafka still writes its marks, and for so long the same producer cannot
/// begin the next transaction: librdkafka asks again after 20 ms (`rd_kafka_txn_handle_AddPartitionsToTxn`).
const PRODUCERS: usize = 4;

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

type Producing = Arc<BaseProducer<Logged>>;

/// The offsets of one consumer group.
pub type GroupOffsets = (TopicPartitionList, ConsumerGroupMetadata);

/// A transaction whose messages are written, on its way to being committed.
struct Commit {
    producer: Producing,
    offsets: Vec<GroupOffsets>,
    done: Sender<Committed>,
}

/// What became of it: how long it took, or an error, and whether its producer can go on after it.
type Committed = Result<Duration, (TransactionError, bool)>;

/// The transactional producers of this process, and the transactions that are open.
pub struct Transaction {
    settings: Arc<KafkaSettings>,
    id: String,
    /// `None` until the broker knows it.
    producers: [Option<Producing>; PRODUCERS],
    /// Whose turn it is.
    turn: usize,
    open: Option<Instant>,
    committer: Sender<Commit>,
    /// The producer of the transaction that is being committed, and where its end will be told.
    ending: Option<(usize, Receiver<Committed>)>,
    /// How long the last commit took, until somebody asks.
    took: Option<Duration>,
}

impl Transaction {
    /// None is open, and nobody was asked yet. Producers of the same `id` that are still alive somewhere are fenced off
    /// when these are first used.
    ///
    /// # Errors
    /// If there is no thread for commits.
    pub fn new(settings: &Arc<KafkaSettings>, id: &str) -> Result<Transaction> {
        let (committer, commits) = channel();
        std::thread::Builder::new().name("commit".into()).spawn(move || commit_all(&commits))?;
        Ok(Transaction {
            settings: Arc::clone(settings),
            id: id.to_string(),
            producers: [const { None }; PRODUCERS],
            turn: 0,
            open: None,
            committer,
            ending: None,
            took: None,
        })
    }

    /// Makes the producers known to the broker that are not.
    ///
    /// # Errors
    /// If the broker cannot be reached now.
    pub fn ready(&mut self) -> Result<()> {
        for (number, producer) in self.producers.iter_mut().enumerate().filter(|(_, known)| known.is_none()) {
            let unknown = client::producer(&self.settings, &format!("{}-{number}", self.id))?;
            unknown.init_transactions(ASK_TIMEOUT)?;
            *producer = Some(Arc::new(unknown));
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
                self.producers[self.turn] = None;
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
                    producer.poll(Duration::ZERO);
                    std::thread::sleep(LOOK_AGAIN);
                    waiting = record;
                }
                Err((error, _)) => return Err(error.into()),
            }
        }
    }

    /// Lets the producers tell about errors.
    pub fn poll(&self) {
        for producer in self.producers.iter().flatten() {
            producer.poll(Duration::ZERO);
        }
    }

    /// Begins to commit what was sent together with the offsets of each group: when this returns everything is written, and
    /// the next transaction may be filled while Kafka commits this one. One is committed at a time.
    ///
    /// # Errors
    /// If this or the one before cannot be committed; then give up.
    pub fn commit(&mut self, offsets: Vec<GroupOffsets>) -> Result<(), TransactionError> {
        self.wait()?;
        self.begin()?;
        let producer = Arc::clone(self.producer()?);
        flush(&producer)?;
        let (done, ended) = channel();
        if self.committer.send(Commit { producer, offsets, done }).is_err() {
            return Err(TransactionError("nobody commits any more".to_string()));
        }
        self.ending = Some((self.turn, ended));
        self.open = None;
        self.turn = (self.turn + 1) % PRODUCERS;
        Ok(())
    }

    /// Waits until what is being committed is committed.
    ///
    /// # Errors
    /// If it cannot be; then give up.
    pub fn wait(&mut self) -> Result<(), TransactionError> {
        let Some((turn, ended)) = self.ending.take() else { return Ok(()) };
        let committed = ended.recv();
        self.end(turn, committed.unwrap_or_else(|_| Err((lost(), false))))
    }

    /// Looks whether what is being committed is committed, without waiting.
    ///
    /// # Errors
    /// If it cannot be; then give up.
    pub fn check(&mut self) -> Result<(), TransactionError> {
        let Some((turn, ended)) = &self.ending else { return Ok(()) };
        let committed = match ended.try_recv() {
            Ok(committed) => committed,
            Err(TryRecvError::Empty) => return Ok(()),
            Err(TryRecvError::Disconnected) => Err((lost(), false)),
        };
        let turn = *turn;
        self.ending = None;
        self.end(turn, committed)
    }

    fn end(&mut self, turn: usize, committed: Committed) -> Result<(), TransactionError> {
        match committed {
            Ok(took) => {
                self.took = Some(took);
                Ok(())
            }
            Err((error, goes_on)) => {
                if !goes_on {
                    self.producers[turn] = None;
                }
                Err(error)
            }
        }
    }

    /// How long the last commit took; once.
    pub fn take_time(&mut self) -> Option<Duration> {
        self.took.take()
    }

    /// Gives up what is open, after what is being committed has come to its end, whichever it is. A producer that cannot even
    /// do that is replaced by a new one.
    pub fn abort(&mut self) {
        if let Err(error) = self.wait() {
            tracing::warn!(%error, "the transaction before is given up as well");
        }
        if let (Some(_), Some(producer)) = (self.open.take(), &self.producers[self.turn])
            && !abort(producer)
        {
            self.producers[self.turn] = None;
        }
    }

    fn producer(&self) -> Result<&Producing, TransactionError> {
        self.producers[self.turn]
            .as_ref()
            .ok_or_else(|| TransactionError("the producer is not ready".to_string()))
    }
}

/// Commits one after the other until nobody sends any more.
fn commit_all(commits: &Receiver<Commit>) {
    for Commit { producer, offsets, done } in commits {
        let committed = commit(&producer, &offsets).map_err(|error| (error, abort(&producer)));
        // Whoever began it may be gone.
        drop(done.send(committed));
    }
}

/// How long it took.
fn commit(producer: &Producing, offsets: &[GroupOffsets]) -> Result<Duration, TransactionError> {
    let started = Instant::now();
    for (offsets, group) in offsets.iter().filter(|(offsets, _)| offsets.count() > 0) {
        patiently(|| producer.send_offsets_to_transaction(offsets, group, ASK_TIMEOUT))?;
    }
    patiently(|| producer.commit_transaction(ASK_TIMEOUT))?;
    let took = started.elapsed();
    tracing::debug!(commit_ms = took.as_millis() as u64, "committed");
    Ok(took)
}

/// Aborts the transaction that is open; false if the producer cannot, and is of no more use.
fn abort(producer: &Producing) -> bool {
    let aborted = patiently(|| producer.abort_transaction(ASK_TIMEOUT));
    if let Err(error) = &aborted {
        tracing::warn!(%error, "the transaction cannot be given up; a new producer takes over");
    }
    aborted.is_ok()
}

fn lost() -> TransactionError {
    TransactionError("the thread that commits has ended".to_string())
}

/// Waits until everything is written, for the linger at least. The library's own wait looks every 100 ms where deliveries are
/// not reported, and its `poll` spins through the last millisecond.
fn flush(producer: &Producing) -> Result<(), TransactionError> {
    let started = Instant::now();
    while producer.in_flight_count() > 0 {
        if started.elapsed() >= PATIENCE {
            return Err(TransactionError("what was decided cannot be written".to_string()));
        }
        producer.poll(Duration::ZERO);
        std::thread::sleep(LOOK_AGAIN);
    }
    Ok(())
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
