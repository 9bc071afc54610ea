//! The loop: take messages in, enter and decide them, publish, commit.
//!
//! One thread does it, with one consumer for each stage. librdkafka calls back from inside `poll` when partitions come and
//! go; at that moment the transaction that is open is committed, so that whoever gets them next finds nothing half done.

mod commit;
mod groups;
mod joints;
mod learn;
mod models;
mod rows;
mod start;
mod traces;

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use engine::detector::Schema;
use engine::{Decider, Detector, Outcome, Status};
use lab::dataset::EventReader;
use rdkafka::TopicPartitionList;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::types::RDKafkaRespErr;
use store::{NewRejection, Store};
use tokio::sync::oneshot;

use super::chain::Chain;
use super::client::{self, ASK_TIMEOUT, Logged};
use super::condition::Condition;
use super::intake::{Incoming, Intake, Origin, Reject};
use super::labels::Labels;
use super::progress::Progress;
use super::publish::{Publisher, place};
use super::record::{Records, continue_with};
use super::recorder::{self, Recorder, Unit};
use super::restore::Restorer;
use super::settings::KafkaSettings;
use super::snapshots::Snapshots;
use super::stage::{Opened, Stage};
use super::topics::{self, Topics};
use super::transaction::{Outgoing, Transaction, TransactionError};
use super::watchdog;
use crate::service::models::{Challengers, Scorer};
use crate::service::pipeline::{Shared, lock, new_rejection, now_us};
use crate::service::recovery::versions;
use crate::service::render;
use crate::service::traces::context::Trace;

pub use groups::Membership;

/// Messages that are taken in before they are worked through.
const TAKEN_MAX: usize = 4_096;

/// How long to wait for a message when nothing else is due.
const WAIT: Duration = Duration::from_millis(50);

/// How long to wait when another stage's messages may come as well, or rows are waiting.
const SHORT_WAIT: Duration = Duration::from_millis(1);

/// Before something is tried again that failed.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// What is left is tidied up when nothing has come in for so long.
const QUIET: Duration = Duration::from_secs(1);

/// How often the database is asked for transactions that labels name, and for how many at once.
const LABELS_EVERY: Duration = Duration::from_millis(20);
const LABELS_MAX: usize = 500;

/// After that it is looked again so often: the transaction of a process that died is marked as given up only later.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// How long the stream may take to end.
const STOP_MAX: Duration = Duration::from_secs(25);

/// Newest decisions of a batch that are shown to viewers.
const SHOWN: usize = 20;

/// What a worker is made of.
pub struct Setup {
    /// The `[kafka]` table.
    pub settings: KafkaSettings,
    /// The detector.
    pub detector: Arc<Detector>,
    /// The database, if there is one.
    pub store: Option<Box<dyn Store>>,
    /// The queue of the thread that writes to it.
    pub queue: recorder::Queue,
    /// Figures for the doors.
    pub shared: Arc<Shared>,
    /// How the stream is, for the doors.
    pub condition: Arc<Condition>,
}

/// What a consumer reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Reads {
    /// The topic of a stage, by its place among those that this process runs.
    Stage(usize),
    /// The topic of labels.
    Labels,
}

/// How the stages of a chain are joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Joint {
    /// Through topics.
    Split,
    /// This process owns everything: what is still in the topics is worked off.
    Draining,
    /// In memory; the topics only keep the record.
    Fused,
}

/// Everything but the consumers' polls.
struct Core {
    settings: Arc<KafkaSettings>,
    group: String,
    detector: Arc<Detector>,
    shared: Arc<Shared>,
    condition: Arc<Condition>,
    chain: Chain,
    topics: Topics,
    /// Partitions of each stage's topic.
    partitions: Vec<usize>,
    /// The stages that this process runs.
    stages: Vec<Stage>,
    /// Labels on their way to the stages; `None` where no window reads them, or another process sees to it.
    labels: Option<Labels>,
    /// When the database was last asked for transactions that labels name.
    labels_sought: Instant,
    reader: EventReader,
    joint: Joint,
    decider: Decider,
    publisher: Publisher,
    /// Rows on their way to each stage's topic.
    records: Vec<Records>,
    recorder: Recorder,
    transaction: Transaction,
    /// The offsets that each group has last committed.
    committed: HashMap<Reads, Vec<(i32, Option<i64>)>>,
    /// Decisions in the transaction that is open, and in the one that is being committed.
    in_transaction: u64,
    in_commit: u64,
    /// The sampled ones of them, and since when those are being committed.
    sampled: Vec<Trace>,
    sampled_in_commit: (Vec<Trace>, Instant),
    /// What decisions are made with now.
    version: i64,
    challengers: Challengers,
    /// The turn of the lineup that decides.
    turn: Option<u64>,
    commit_interval: Duration,
    snapshot_every: u64,
    snapshots: Snapshots,
    snapshot_writer: Sender<SnapshotFile>,
    progress: Option<Progress>,
    ends: BaseConsumer<Logged>,
    opened: Receiver<Opened>,
    open: Sender<Opened>,
    /// Something was entered that is not committed, since then.
    uncommitted_since: Option<Instant>,
    /// When rows were last entered, until what is left is tidied up.
    busy: Option<Instant>,
    /// No broker could be reached, and nothing was heard of one since.
    is_cut_off: bool,
    /// Why nothing goes on, and when it is tried again.
    stalled: Option<(Stall, Instant)>,
}

/// What nothing goes on without.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Stall {
    Store(String),
    Kafka(String),
}

struct SnapshotFile {
    topic: String,
    partition: i32,
    offset: i64,
    bytes: Vec<u8>,
}

/// The running stream.
pub struct Stream {
    stop: Arc<AtomicBool>,
    ended: Option<oneshot::Receiver<()>>,
    thread: JoinHandle<Result<()>>,
}

impl Stream {
    /// Checks the topics, joins the group and begins. `data_dir` holds what makes this process known: its instance name.
    ///
    /// # Errors
    /// If Kafka cannot be reached, topics are missing, or a stage is unknown.
    pub fn start(setup: Setup, data_dir: &Path) -> Result<Stream> {
        let stop = Arc::new(AtomicBool::new(false));
        let (settings, condition) = (Arc::new(setup.settings.clone()), Arc::clone(&setup.condition));
        let (core, consumers) = Core::start(setup, data_dir)?;
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new().name("stream".into());
        let (tell, ended) = oneshot::channel();
        let body = move || {
            let result = run(&core, consumers, &stopped);
            // Nobody listens any more when it was told to stop.
            tell.send(()).unwrap_or_default();
            result
        };
        let thread = thread.spawn(body).context("cannot start the stream")?;
        watchdog::start(settings, condition, Arc::clone(&stop))?;
        Ok(Stream { stop, ended: Some(ended), thread })
    }

    /// What tells that it has ended by itself; once.
    pub fn ended(&mut self) -> Option<oneshot::Receiver<()>> {
        self.ended.take()
    }

    /// Commits what was decided, writes snapshots, leaves the group.
    ///
    /// # Errors
    /// If it could not go on earlier, or does not come to its end: then Kafka takes back what was not committed.
    pub fn stop(self) -> Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        let asked = Instant::now();
        while !self.thread.is_finished() {
            anyhow::ensure!(
                asked.elapsed() < STOP_MAX,
                "Kafka did not let the stream end; what was open is left to it"
            );
            std::thread::sleep(SHORT_WAIT);
        }
        self.thread.join().map_err(|_| anyhow::anyhow!("the stream ended by a panic"))?
    }
}

type Consumers = Vec<(Reads, Arc<BaseConsumer<Membership>>)>;

fn run(core: &Arc<Mutex<Core>>, consumers: Consumers, stop: &AtomicBool) -> Result<()> {
    let mut failed = Ok(());
    while !stop.load(Ordering::Relaxed) && failed.is_ok() {
        for (reads, consumer) in &consumers {
            if lock(core).has_enough(*reads) {
                continue;
            }
            let wait = lock(core).wait(*reads);
            failed = failed.and(take_in(core, consumer, *reads, wait));
        }
        lock(core).step();
    }
    lock(core).finish();
    // The core's own references go first, so that the consumers leave the group here, where no lock is held.
    lock(core).leave();
    drop(consumers);
    failed
}

/// Takes in what has come, waiting at most so long for the first message.
fn take_in(
    core: &Mutex<Core>,
    consumer: &BaseConsumer<Membership>,
    reads: Reads,
    wait: Duration,
) -> Result<()> {
    for taken in 0..TAKEN_MAX {
        match consumer.poll(if taken == 0 { wait } else { Duration::ZERO }) {
            None => break,
            Some(Ok(message)) => lock(core).enter(reads, &message)?,
            Some(Err(KafkaError::PartitionEOF(partition))) => lock(core).reach_end(reads, partition),
            Some(Err(KafkaError::MessageConsumptionFatal(code))) => {
                return Err(anyhow::anyhow!("the consumer cannot go on: {code}"));
            }
            Some(Err(error)) => lock(core).consumer_error(&error),
        }
    }
    Ok(())
}

impl Core {
    /// How long a stage's consumer may wait for a message.
    fn wait(&self, reads: Reads) -> Duration {
        let Reads::Stage(stage) = reads else { return Duration::ZERO };
        let only_first_flows = self.joint == Joint::Fused || self.stages.len() == 1;
        if only_first_flows && stage > 0 {
            return Duration::ZERO;
        }
        if !only_first_flows || self.stages[stage].holds_rows() {
            return SHORT_WAIT;
        }
        let commit_in =
            self.uncommitted_since.map(|since| self.commit_interval.saturating_sub(since.elapsed()));
        commit_in.unwrap_or(WAIT).min(WAIT)
    }

    fn enter(&mut self, reads: Reads, message: &BorrowedMessage) -> Result<()> {
        self.is_cut_off = false;
        let Reads::Stage(stage) = reads else {
            self.labels.iter_mut().for_each(|labels| labels.enter(message));
            return Ok(());
        };
        let stage = &mut self.stages[stage];
        stage
            .enter(message)
            .with_context(|| format!("{}/{}/{}", stage.topic, message.partition(), message.offset()))
    }

    /// Whether what was taken in is to be worked off first.
    fn has_enough(&self, reads: Reads) -> bool {
        reads == Reads::Labels && self.labels.as_ref().is_some_and(|labels| labels.waiting.len() >= TAKEN_MAX)
    }

    fn reach_end(&mut self, reads: Reads, partition: i32) {
        self.is_cut_off = false;
        match reads {
            Reads::Stage(stage) => self.stages[stage].reach_end(partition),
            Reads::Labels => self.labels.iter_mut().for_each(|labels| labels.reach_end(partition)),
        }
    }

    fn step(&mut self) {
        self.condition.go_round();
        self.transaction.poll();
        while let Ok(opened) = self.opened.try_recv() {
            if let Some(stage) = self.stages.iter_mut().find(|stage| stage.number == opened.stage) {
                stage.open(opened);
            }
        }
        if !self.goes_on() {
            return;
        }
        if self.joint != Joint::Fused {
            self.stages.iter_mut().for_each(Stage::start_flowing);
        }
        if !self.is_cut_off {
            self.stages.iter_mut().for_each(Stage::wake_silent);
        }
        if let Err(error) = self.work() {
            self.give_up(&error.to_string());
        }
    }

    /// Whether Kafka and the database are there; asks again now and then.
    fn goes_on(&mut self) -> bool {
        if let Some((_, again)) = &self.stalled
            && Instant::now() < *again
        {
            return false;
        }
        let missing = match self.stalled.take() {
            Some((Stall::Store(_), _)) => {
                self.recorder.probe().err().map(|error| Stall::Store(format!("{error:#}")))
            }
            _ => None,
        };
        let missing = missing
            .or_else(|| self.transaction.ready().err().map(|error| Stall::Kafka(format!("{error:#}"))));
        match missing {
            None => {
                self.is_cut_off = self.is_cut_off && !self.has_come_back();
                let cut_off = || "no broker of Kafka can be reached".to_string();
                self.condition.wait_for(self.is_cut_off.then(cut_off));
                true
            }
            Some(stall) => {
                self.stall(stall);
                false
            }
        }
    }

    /// Where nothing is left to read, nobody but a broker itself says that it is back. It is asked by a client that has not
    /// seen it go.
    fn has_come_back(&mut self) -> bool {
        let Ok(ends) = client::ends(&self.settings, &self.group) else { return false };
        self.ends = ends;
        self.ends.fetch_watermarks(&self.topics.stages[0], 0, RETRY_AFTER).is_ok()
    }

    fn stall(&mut self, stall: Stall) {
        self.condition.wait_for(Some(match &stall {
            Stall::Store(error) => format!("the database refuses: {error}"),
            Stall::Kafka(error) => format!("Kafka cannot be reached: {error}"),
        }));
        self.stalled = Some((stall, Instant::now() + RETRY_AFTER));
    }

    fn work(&mut self) -> Result<(), TransactionError> {
        self.transaction.check()?;
        self.count_commit();
        if !self.take_models()? {
            return Ok(());
        }
        self.join_stages()?;
        self.route_labels()?;
        for at in 0..self.stages.len() {
            match self.stages[at].number {
                0 if self.joint == Joint::Draining => {}
                0 if self.chain.merges() => self.merge(at)?,
                _ => self.run_stage(at)?,
            }
            self.bury(at)?;
        }
        if self.is_commit_due() {
            self.commit()?;
            self.take_snapshots()?;
        }
        if self.uncommitted_since.is_none() {
            self.tidy_up()?;
        }
        Ok(())
    }

    /// When nothing has come in for a while: commits that nothing is left, not even a mark of a transaction.
    fn tidy_up(&mut self) -> Result<(), TransactionError> {
        if self.busy.is_none_or(|since| since.elapsed() < QUIET) {
            return Ok(());
        }
        self.busy = Some(Instant::now() + LOOK_AGAIN);
        if self.joint == Joint::Fused {
            self.commit_record_ends()?;
        }
        let mut moved = false;
        for stage in &mut self.stages {
            moved |= stage.pass_marks()?;
        }
        if moved { self.commit_offsets() } else { Ok(()) }
    }
}
