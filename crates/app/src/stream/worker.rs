//! The loop: take messages in, enter and decide them, publish, commit.
//!
//! One thread does it, with one consumer for each stage. librdkafka calls back from inside `poll` when partitions come and
//! go; at that moment the transaction that is open is committed, so that whoever gets them next finds nothing half done.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use engine::detector::Schema;
use engine::{Decider, Detector, Model, Outcome, Status};
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
use super::recorder::{Recorder, Unit};
use super::restore::Restorer;
use super::settings::KafkaSettings;
use super::snapshots::Snapshots;
use super::stage::{Opened, Stage};
use super::topics::{self, Topics};
use super::transaction::{Outgoing, Transaction, TransactionError};
use crate::service::pipeline::{Shared, lock, new_rejection, now_us};
use crate::service::recovery::versions;
use crate::service::render;

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

/// Newest decisions of a batch that are shown to viewers.
const SHOWN: usize = 20;

/// What a worker is made of.
pub struct Setup {
    /// The `[kafka]` table.
    pub settings: KafkaSettings,
    /// The detector.
    pub detector: Arc<Detector>,
    /// The model.
    pub model: Option<Model>,
    /// The database, if there is one.
    pub store: Option<Box<dyn Store>>,
    /// Figures for the doors.
    pub shared: Arc<Shared>,
    /// How the stream is, for the doors.
    pub condition: Arc<Condition>,
}

/// What a consumer reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reads {
    /// The topic of a stage, by its place among those that this process runs.
    Stage(usize),
    /// The topic of labels.
    Labels,
}

/// Tells the core what the consumer group says, and forwards librdkafka's log.
pub struct Membership {
    reads: Reads,
    core: OnceLock<Weak<Mutex<Core>>>,
}

impl ClientContext for Membership {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        Logged.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        Logged.error(error, reason);
    }
}

impl ConsumerContext for Membership {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, what: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let partitions: Vec<i32> = list.elements().iter().map(|place| place.partition()).collect();
        let core = self.core.get().and_then(Weak::upgrade);
        let done = if what == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            let assigned = consumer.incremental_assign(list).and_then(|()| match self.reads {
                // Nothing flows before its state is there.
                Reads::Stage(_) => consumer.pause(list),
                Reads::Labels => Ok(()),
            });
            if let Some(core) = core {
                lock(&core).assigned(self.reads, &partitions);
            }
            assigned
        } else {
            if let Some(core) = core {
                lock(&core).revoked(self.reads, &partitions, consumer.assignment_lost());
            }
            consumer.incremental_unassign(list)
        };
        if let Err(error) = done {
            tracing::warn!(%error, "the consumer group's word could not be followed");
        }
    }
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
    version: i64,
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
        Ok(Stream { stop, ended: Some(ended), thread })
    }

    /// What tells that it has ended by itself; once.
    pub fn ended(&mut self) -> Option<oneshot::Receiver<()>> {
        self.ended.take()
    }

    /// Commits what was decided, writes snapshots, leaves the group.
    ///
    /// # Errors
    /// If it could not go on earlier.
    pub fn stop(self) -> Result<()> {
        self.stop.store(true, Ordering::Relaxed);
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
    fn start(setup: Setup, data_dir: &Path) -> Result<(Arc<Mutex<Core>>, Consumers)> {
        let Setup { settings, detector, model, mut store, shared, condition } = setup;
        let chain = Chain::of(&detector);
        let selected = chain.select(&settings.stages)?;
        let group = settings.group(&detector.name);
        let topics = Topics::of(&settings, &group, &chain);
        topics::partitions(&settings, &topics.all())?;
        let stage_topics: Vec<&str> = topics.stages.iter().map(String::as_str).collect();
        let partitions = topics::partitions(&settings, &stage_topics)?;
        let settings = Arc::new(settings);
        let versions = versions(&detector, model.as_ref());
        let version = store.as_mut().map_or(Ok(0), |store| store.version(&versions))?;
        let schema = Arc::new(detector.schema.clone());
        let folder = if settings.snapshots.is_empty() {
            data_dir.join("snapshots")
        } else {
            (&settings.snapshots).into()
        };
        let snapshots = Snapshots::new(&folder, &group);
        let progress = (chain.merges() && selected.contains(&0))
            .then(|| Progress::watch(&settings, &chain.group(&group, 0), &topics.stages[0]))
            .transpose()?;
        let (open, opened) = channel();
        let core = Core {
            shared,
            condition,
            joint: Joint::Split,
            decider: Decider::new(Arc::clone(&detector), model),
            publisher: Publisher::new(topics.clone(), detector.schema.minor_per_unit(), &versions),
            records: topics.stages.iter().map(|_| Records::default()).collect(),
            recorder: Recorder::new(&schema, store, version)?,
            transaction: Transaction::new(&settings, &format!("{group}-{}", instance(data_dir)?)),
            version,
            commit_interval: settings.commit_interval,
            snapshot_every: settings.snapshot_every,
            snapshot_writer: snapshot_writer(snapshots.clone())?,
            snapshots: snapshots.clone(),
            progress,
            ends: client::ends(&settings, &group)?,
            opened,
            open,
            uncommitted_since: None,
            busy: Some(Instant::now()),
            stalled: None,
            stages: Vec::new(),
            labels: None,
            labels_sought: Instant::now(),
            reader: EventReader::without_labels(&schema),
            partitions,
            topics,
            chain,
            detector,
        };
        let core = Arc::new(Mutex::new(core));
        let mut consumers = Vec::new();
        let routes_labels = selected.contains(&0) && lock(&core).chain.links.iter().any(|link| link.learns);
        for (at, number) in selected.into_iter().enumerate() {
            let stage = lock(&core).join(at, number, &settings, &group, &snapshots, &core)?;
            consumers.push((Reads::Stage(at), Arc::clone(&stage.consumer)));
            lock(&core).stages.push(stage);
        }
        if routes_labels {
            let labels = lock(&core).join_labels(&settings, &group, &schema, &core)?;
            consumers.push((Reads::Labels, Arc::clone(&labels.consumer)));
            lock(&core).labels = Some(labels);
        }
        Ok((core, consumers))
    }

    /// Joins the consumer group of one stage.
    fn join(
        &self,
        at: usize,
        number: usize,
        settings: &Arc<KafkaSettings>,
        group: &str,
        snapshots: &Snapshots,
        core: &Arc<Mutex<Core>>,
    ) -> Result<Stage> {
        let group = self.chain.group(group, number);
        let membership = Membership { reads: Reads::Stage(at), core: OnceLock::from(Arc::downgrade(core)) };
        let consumer = Arc::new(client::group_consumer(settings, &group, membership)?);
        let topic = self.topics.stages[number].clone();
        consumer.subscribe(&[&topic])?;
        let restorer = Restorer {
            settings: Arc::clone(settings),
            group,
            detector: Arc::clone(&self.detector),
            link: self.chain.links[number].clone(),
            first: number == 0,
            topic,
            snapshots: snapshots.clone(),
        };
        let chunk_us = (number == 0 && self.chain.merges()).then_some(self.chain.drift_us / 2);
        let condition = Arc::clone(&self.condition);
        Ok(Stage::new(number, self.partitions[number], consumer, restorer, condition, chunk_us))
    }

    /// Joins the consumer group of the topic of labels.
    fn join_labels(
        &self,
        settings: &Arc<KafkaSettings>,
        group: &str,
        schema: &Arc<Schema>,
        core: &Arc<Mutex<Core>>,
    ) -> Result<Labels> {
        let membership = Membership { reads: Reads::Labels, core: OnceLock::from(Arc::downgrade(core)) };
        let consumer = Arc::new(client::group_consumer(settings, &format!("{group}-labels"), membership)?);
        consumer.subscribe(&[&self.topics.labels])?;
        let partitions = topics::partitions(settings, &[&self.topics.labels])?[0];
        Ok(Labels::new(&self.topics.labels, partitions, consumer, schema))
    }

    // --- what the consumer groups say ---------------------------------------------------------------------------------

    fn assigned(&mut self, reads: Reads, partitions: &[i32]) {
        let Reads::Stage(stage) = reads else {
            self.labels.iter_mut().for_each(|labels| labels.take(partitions));
            return;
        };
        self.condition.join();
        // Nothing is taken any more after the end.
        if partitions.is_empty() || self.stages.get(stage).is_none() {
            return;
        }
        tracing::info!(topic = self.stages[stage].topic, ?partitions, "got partitions");
        for partition in partitions {
            self.stages[stage].take(*partition, &self.open);
        }
    }

    fn revoked(&mut self, reads: Reads, partitions: &[i32], lost: bool) {
        let Reads::Stage(stage) = reads else {
            if lost {
                self.give_up("the group has given its labels to others");
            } else if let Err(error) = self.commit().and_then(|()| self.split()) {
                self.give_up(&error.to_string());
            }
            self.labels.iter_mut().for_each(|labels| labels.forget(partitions));
            return;
        };
        // After the end there is nothing left to give up.
        let Some(topic) = self.stages.get(stage).map(|stage| stage.topic.clone()) else { return };
        tracing::info!(topic, ?partitions, lost, "partitions go elsewhere");
        if lost {
            self.give_up("the group has given its partitions to others");
        } else {
            self.hand_over(stage, partitions);
        }
        partitions.iter().for_each(|partition| self.stages[stage].forget(*partition));
    }

    /// Commits, and leaves a snapshot for whoever comes next.
    fn hand_over(&mut self, stage: usize, partitions: &[i32]) {
        if let Err(error) = self.commit().and_then(|()| self.split()) {
            self.give_up(&error.to_string());
            return;
        }
        for partition in partitions {
            self.snapshot(stage, *partition);
        }
    }

    fn consumer_error(&mut self, error: &KafkaError) {
        match error {
            KafkaError::MessageConsumption(RDKafkaErrorCode::AllBrokersDown) => {
                self.condition.wait_for(Some("no broker of Kafka can be reached".to_string()));
            }
            error => tracing::debug!(%error, "the consumer says"),
        }
    }

    // --- one step -----------------------------------------------------------------------------------------------------

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
        match reads {
            Reads::Stage(stage) => self.stages[stage].reach_end(partition),
            Reads::Labels => self.labels.iter_mut().for_each(|labels| labels.reach_end(partition)),
        }
    }

    fn step(&mut self) {
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
                self.condition.wait_for(None);
                true
            }
            Some(stall) => {
                self.stall(stall);
                false
            }
        }
    }

    fn stall(&mut self, stall: Stall) {
        self.condition.wait_for(Some(match &stall {
            Stall::Store(error) => format!("the database refuses: {error}"),
            Stall::Kafka(error) => format!("Kafka cannot be reached: {error}"),
        }));
        self.stalled = Some((stall, Instant::now() + RETRY_AFTER));
    }

    fn work(&mut self) -> Result<(), TransactionError> {
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
        if self.busy.is_some_and(|since| since.elapsed() >= QUIET) {
            self.busy = Some(Instant::now() + LOOK_AGAIN);
            if self.joint == Joint::Fused {
                self.commit_record_ends()?;
            }
            for stage in &mut self.stages {
                stage.ask_ends()?;
            }
        }
        let mut moved = false;
        for stage in &mut self.stages {
            if stage.reach_asked_ends() {
                stage.note_entered();
                moved = true;
            }
        }
        if moved { self.commit_offsets() } else { Ok(()) }
    }

    // --- how stages are joined ----------------------------------------------------------------------------------------

    /// Fuses the stages as soon as this process owns all partitions of all of them.
    fn join_stages(&mut self) -> Result<(), TransactionError> {
        let chained = self.chain.links.len() > 1 && self.stages.len() == self.chain.links.len();
        let drained = self.joint == Joint::Draining && self.have_read_all()?;
        match self.joint {
            Joint::Split if chained && self.owns_everything() => {
                // What was sent to the topics becomes visible; each is read once more to its end.
                self.commit()?;
                self.stages[1..].iter_mut().for_each(|stage| stage.set_flowing(true));
                self.joint = Joint::Draining;
            }
            Joint::Draining if !self.owns_everything() => self.joint = Joint::Split,
            Joint::Draining if drained => {
                self.commit()?;
                self.stages[1..].iter_mut().for_each(|stage| stage.set_flowing(false));
                self.joint = Joint::Fused;
                self.condition.set_fused(true);
                tracing::info!("the stages are fused");
            }
            _ => {}
        }
        Ok(())
    }

    fn owns_everything(&self) -> bool {
        self.stages.iter().all(Stage::is_whole) && self.labels.as_ref().is_none_or(Labels::is_whole)
    }

    /// Whether the stages behind the first have read all that is in their topics. The consumers' word is not enough: they see
    /// no further than the first transaction that is open, and this process's own rows may lie behind another's.
    fn have_read_all(&mut self) -> Result<bool, TransactionError> {
        for stage in &mut self.stages[1..] {
            if !stage.is_drained() || !stage.has_read_all(&self.ends)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Joins the stages through their topics again: each goes on behind what this process has written.
    fn split(&mut self) -> Result<(), TransactionError> {
        if self.joint == Joint::Fused {
            self.commit_record_ends()?;
            self.condition.set_fused(false);
            tracing::info!("the stages are split");
        }
        self.joint = Joint::Split;
        Ok(())
    }

    /// Commits where the records of fused stages end: nobody else writes them, so all of it is in the states.
    fn commit_record_ends(&mut self) -> Result<(), TransactionError> {
        let mut moved = false;
        for stage in &mut self.stages[1..] {
            for (partition, slot) in (0..).zip(&mut stage.slots) {
                let Some(slot) = slot else { continue };
                let (_, end) = self.ends.fetch_watermarks(&stage.topic, partition, ASK_TIMEOUT)?;
                moved |= slot.read_offset != end;
                slot.read_offset = end;
                if let Some(task) = &mut slot.task {
                    task.next_offset = end;
                }
            }
        }
        if moved { self.commit_offsets() } else { Ok(()) }
    }

    // --- rows through the stages --------------------------------------------------------------------------------------

    /// Takes what has come in through the stage.
    fn run_stage(&mut self, at: usize) -> Result<(), TransactionError> {
        let mut unit = self.recorder.unit();
        std::mem::swap(&mut unit.intake, &mut self.stages[at].intake);
        self.run_unit(at, unit)?;
        self.flush_records()
    }

    /// Takes what has come in through the first stage, in the order of time as far as partitions go: they meet in the
    /// next one. Rows of partitions that are too far ahead wait.
    fn merge(&mut self, at: usize) -> Result<(), TransactionError> {
        let others = self.stages[at].others();
        let others_us = self.progress.as_ref().map_or(Some(i64::MAX), |progress| progress.least_us(&others));
        let limits = self.stages[at].limits(self.chain.drift_us, others_us);
        while !self.is_commit_due() {
            let mut unit = self.recorder.unit();
            if !self.stages[at].next_chunk(&limits, &mut unit.intake) {
                self.recorder.put_back(unit);
                break;
            }
            self.run_unit(at, unit)?;
        }
        self.stages[at].note_entered();
        if self.stages[at].has_news() {
            self.uncommitted_since.get_or_insert_with(Instant::now);
        }
        self.stages[at].pause_held();
        if let Some(progress) = &self.progress {
            progress.set_urgent(self.stages[at].holds_rows());
        }
        self.flush_records()
    }

    fn is_commit_due(&self) -> bool {
        self.uncommitted_since.is_some_and(|since| since.elapsed() >= self.commit_interval)
    }

    fn run_unit(&mut self, at: usize, mut unit: Box<Unit>) -> Result<(), TransactionError> {
        if unit.intake.is_empty() {
            self.stages[at].note_entered();
            self.recorder.put_back(unit);
            return Ok(());
        }
        unit.positions.extend(unit.intake.origins.iter().map(|origin: &Origin| origin.position()));
        unit.order.extend(0..unit.intake.len() as u32);
        if self.stages[at].number == 0 {
            self.drop_repeats(at, &mut unit);
        }
        continue_with(&unit.intake, self.detector.features.len(), &mut unit.decisions);
        let redis = self.shared.redis.as_ref();
        self.stages[at].observe(&mut unit, redis, |intake, row| intake.owners[row] as usize);
        self.stages[at].note_entered();
        self.uncommitted_since.get_or_insert_with(Instant::now);
        self.busy = Some(Instant::now());
        self.refuse_time_jumps(at, &mut unit)?;
        unit.order.retain(|row| !unit.intake.decided[*row as usize]);
        self.pass_on(at, unit)
    }

    /// Leaves out the rows whose id was seen before.
    fn drop_repeats(&mut self, at: usize, unit: &mut Unit) {
        let slots = &mut self.stages[at].slots;
        unit.order.retain(|row| {
            let slot = slots[unit.intake.owners[*row as usize] as usize].as_mut();
            let task = slot.and_then(|slot| slot.task.as_mut());
            task.is_some_and(|task| task.seen.is_new(unit.intake.batch.id(*row as usize)))
        });
        unit.repeated = (unit.intake.len() - unit.order.len()) as u64;
    }

    /// Decides here, or leaves it to the next stage.
    fn pass_on(&mut self, at: usize, mut unit: Box<Unit>) -> Result<(), TransactionError> {
        let number = self.stages[at].number;
        if number == self.chain.last() {
            return self.decide(unit);
        }
        if self.joint != Joint::Fused {
            self.forward(number + 1, &unit, true)?;
            self.recorder.put_back(unit);
            return Ok(());
        }
        for next in number + 1..=self.chain.last() {
            self.forward(next, &unit, false)?;
            let (link, partitions) = (&self.chain.links[next], self.partitions[next]);
            let redis = self.shared.redis.as_ref();
            let owner = |intake: &Intake, row| link.partition(&intake.batch, row, partitions);
            self.stages[next].observe(&mut unit, redis, owner);
        }
        self.decide(unit)
    }

    /// Sends labels to the stages that read them, each when its transaction is found.
    fn route_labels(&mut self) -> Result<(), TransactionError> {
        let Some(labels) = self.labels.as_mut().filter(|_| self.joint != Joint::Draining) else {
            return Ok(());
        };
        let rejects = std::mem::take(&mut labels.rejects);
        let due = !labels.waiting.is_empty() && self.labels_sought.elapsed() >= LABELS_EVERY;
        let ids = labels.waiting.iter().take(LABELS_MAX).map(|label| label.transaction_id.clone()).collect();
        let topic = labels.topic.clone();
        self.bury_all(&topic, rejects)?;
        if !due {
            return Ok(());
        }
        self.labels_sought = Instant::now();
        let found =
            self.recorder.find(ids).map_err(|error| TransactionError::store(&format!("{error:#}")))?;
        let mut unit = self.recorder.unit();
        let mut lost = Vec::new();
        if let Some(labels) = &mut self.labels {
            labels.route(found, &self.reader, self.recorder.is_on(), &mut unit, &mut lost);
        }
        self.bury_all(&topic, lost)?;
        self.learn(unit)
    }

    fn learn(&mut self, mut unit: Box<Unit>) -> Result<(), TransactionError> {
        if unit.intake.is_empty() {
            self.recorder.put_back(unit);
            return Ok(());
        }
        unit.order.extend(0..unit.intake.len() as u32);
        unit.positions.extend(unit.intake.origins.iter().map(|origin: &Origin| origin.position()));
        continue_with(&unit.intake, self.detector.features.len(), &mut unit.decisions);
        for next in 1..self.chain.links.len() {
            if !self.chain.links[next].learns {
                continue;
            }
            self.forward(next, &unit, false)?;
            if self.joint == Joint::Fused {
                let (link, partitions) = (&self.chain.links[next], self.partitions[next]);
                let owner = |intake: &Intake, row| link.partition(&intake.batch, row, partitions);
                self.stages[next].observe(&mut unit, self.shared.redis.as_ref(), owner);
            }
        }
        self.flush_records()?;
        self.uncommitted_since.get_or_insert_with(Instant::now);
        self.busy = Some(Instant::now());
        let frauds = unit.intake.labels.iter().filter(|label| **label == Some(true)).count() as u64;
        let mut stats = lock(&self.shared.stats);
        stats.totals.labels += unit.intake.len() as u64;
        stats.totals.labelled_fraud += frauds;
        stats.second(now_us() / 1_000_000).labelled_fraud += frauds;
        drop(stats);
        unit.order.clear();
        self.recorder.offer(unit);
        Ok(())
    }

    /// Writes rows to the next stage's topic: to be decided there, or as the record of what was decided here.
    fn forward(&mut self, next: usize, unit: &Unit, undecided: bool) -> Result<(), TransactionError> {
        let (link, partitions) = (&self.chain.links[next], self.partitions[next]);
        for row in unit.order.iter().map(|row| *row as usize) {
            let features = if undecided { unit.decisions.features_of(row) } else { &[] };
            let partition = link.partition(&unit.intake.batch, row, partitions);
            let status = unit.decisions.statuses[row];
            if let Some(full) = self.records[next].add(partition, &unit.intake, row, status, features) {
                send_record(&mut self.transaction, &self.topics.stages[next], partition, &full)?;
            }
        }
        Ok(())
    }

    /// Sends the stage records that are still gathering rows.
    fn flush_records(&mut self) -> Result<(), TransactionError> {
        for (topic, records) in self.topics.stages.iter().zip(&mut self.records) {
            for (partition, message) in records.drain() {
                send_record(&mut self.transaction, topic, partition, &message)?;
            }
        }
        Ok(())
    }

    fn decide(&mut self, mut unit: Box<Unit>) -> Result<(), TransactionError> {
        self.decider.decide(&unit.intake.batch, &mut unit.decisions);
        let (detector, batch) = (&self.detector, &unit.intake.batch);
        if self.recorder.is_on() {
            unit.rendered.fill(detector, batch, &unit.decisions);
        } else {
            unit.rendered.explain(detector, batch, &unit.decisions);
        }
        unit.decided_at_us = now_us();
        unit.latency_us = unit.intake.received.elapsed().as_micros() as i64;
        for row in unit.order.iter().map(|row| *row as usize) {
            let decision = unit.decision(row, self.version);
            self.publisher.decision(&decision, unit.intake.incoming(row), &mut self.transaction)?;
        }
        self.count(&unit);
        if let Some(redis) = &self.shared.redis {
            for row in &unit.order {
                let decision = unit.decision(*row as usize, self.version);
                let summary = render::summary(&decision, self.detector.schema.minor_per_unit());
                redis.offer_decision(decision.key.unwrap_or_default(), &summary);
            }
        }
        self.recorder.offer(unit);
        Ok(())
    }

    fn count(&self, unit: &Unit) {
        let minor_per_unit = self.detector.schema.minor_per_unit();
        let mut stats = lock(&self.shared.stats);
        for row in unit.order.iter().map(|row| *row as usize) {
            let outcome = unit.decisions.outcomes[row];
            stats.totals.outcomes[outcome as usize] += 1;
            stats.totals.late += u64::from(unit.decisions.statuses[row] != Status::OnTime);
            stats.count_score(unit.decisions.scores[row]);
        }
        let outcomes = |wanted: Outcome| {
            unit.order.iter().filter(|row| unit.decisions.outcomes[**row as usize] == wanted).count() as u64
        };
        stats.totals.repeated += unit.repeated;
        stats.totals.rejected += unit.rejections.len() as u64;
        let now_s = unit.decided_at_us / 1_000_000;
        let second = stats.second(now_s);
        second.decisions += unit.order.len() as u64;
        second.in_review += outcomes(Outcome::Review);
        second.declined += outcomes(Outcome::Decline);
        let shown = unit.order.len().saturating_sub(SHOWN);
        stats.decided += shown as u64;
        for row in &unit.order[shown..] {
            stats.keep_recent(&render::summary(&unit.decision(*row as usize, self.version), minor_per_unit));
            stats.count_latency(unit.latency_us as u64, now_s);
        }
        drop(stats);
        lock(&self.shared.condition).stream_us = self.stages.first().and_then(newest_us);
    }

    /// Events whose time is too far ahead are no decisions but dead letters.
    fn refuse_time_jumps(&mut self, at: usize, unit: &mut Unit) -> Result<(), TransactionError> {
        let stage = &self.stages[at];
        if stage.number > 0 {
            return Ok(());
        }
        let statuses = &unit.decisions.statuses;
        for row in unit.order.iter().map(|row| *row as usize).filter(|row| statuses[*row] == Status::TimeJump)
        {
            let slot = stage.slots[unit.intake.owners[row] as usize].as_ref();
            let Some(task) = slot.and_then(|slot| slot.task.as_ref()) else { continue };
            let rejection = task.engine.time_jump(&unit.intake.batch, row).into();
            let incoming = unit.intake.incoming(row);
            let source = place(&stage.topic, incoming.origin);
            unit.rejections.push(new_rejection(&source, &rejection, incoming.payload));
            self.publisher.dead_letter(&stage.topic, incoming, &rejection, &mut self.transaction)?;
        }
        unit.order.retain(|row| unit.decisions.statuses[*row as usize] != Status::TimeJump);
        Ok(())
    }

    /// Sends what was no transaction to the dead letters.
    fn bury(&mut self, at: usize) -> Result<(), TransactionError> {
        let rejects = self.stages[at].take_rejects();
        let topic = self.stages[at].topic.clone();
        self.bury_all(&topic, rejects)
    }

    fn bury_all(&mut self, topic: &str, rejects: Vec<Reject>) -> Result<(), TransactionError> {
        if rejects.is_empty() {
            return Ok(());
        }
        let mut rejections: Vec<NewRejection> = Vec::with_capacity(rejects.len());
        for reject in &rejects {
            let incoming = Incoming {
                origin: reject.origin,
                key: reject.key.as_deref(),
                payload: &reject.payload,
                headers: reject.headers.clone(),
            };
            rejections.push(new_rejection(&place(topic, reject.origin), &reject.rejection, &reject.payload));
            self.publisher.dead_letter(topic, incoming, &reject.rejection, &mut self.transaction)?;
        }
        lock(&self.shared.stats).totals.rejected += rejections.len() as u64;
        let mut unit = self.recorder.unit();
        unit.rejections = rejections;
        self.recorder.offer(unit);
        self.uncommitted_since.get_or_insert_with(Instant::now);
        Ok(())
    }

    // --- commit, give up ----------------------------------------------------------------------------------------------

    /// Commits what was entered and decided.
    fn commit(&mut self) -> Result<(), TransactionError> {
        if self.uncommitted_since.is_none() && self.transaction.opened().is_none() {
            return Ok(());
        }
        self.flush_records()?;
        if let Err(error) = self.recorder.settle() {
            let error = format!("{error:#}");
            self.stall(Stall::Store(error.clone()));
            return Err(TransactionError::store(&error));
        }
        self.commit_offsets()
    }

    fn commit_offsets(&mut self) -> Result<(), TransactionError> {
        let mut offsets = Vec::with_capacity(self.stages.len());
        for stage in &self.stages {
            // Where fused stages' records end is committed apart, when it is known.
            if let Some(group) = stage.consumer.group_metadata() {
                offsets.push((stage.offsets()?, group));
            }
        }
        if let Some(labels) = &self.labels
            && let Some(group) = labels.consumer.group_metadata()
        {
            offsets.push((labels.offsets()?, group));
        }
        let started = Instant::now();
        self.transaction.commit(&offsets)?;
        tracing::debug!(commit_ms = started.elapsed().as_millis() as u64, "committed");
        self.uncommitted_since = None;
        self.stages.iter_mut().for_each(Stage::note_committed);
        Ok(())
    }

    /// The transaction cannot be completed: what was entered since the last commit is undone by restoring the states.
    fn give_up(&mut self, why: &str) {
        tracing::warn!(why, "the transaction is given up; states are restored as of the last commit");
        self.transaction.abort();
        self.records.iter_mut().for_each(Records::clear);
        self.uncommitted_since = None;
        // What was given up leaves marks as well.
        self.busy = Some(Instant::now());
        self.joint = Joint::Split;
        self.condition.set_fused(false);
        self.labels.iter_mut().for_each(Labels::rewind);
        for stage in &mut self.stages {
            stage.set_flowing(false);
            let owned: Vec<i32> =
                (0..).zip(&stage.slots).filter(|(_, slot)| slot.is_some()).map(|(p, _)| p).collect();
            owned.iter().for_each(|partition| stage.take(*partition, &self.open));
        }
    }

    // --- snapshots ----------------------------------------------------------------------------------------------------

    fn take_snapshots(&mut self) -> Result<(), TransactionError> {
        let mut due = BTreeSet::new();
        for (at, stage) in self.stages.iter().enumerate() {
            for (partition, slot) in (0..).zip(&stage.slots) {
                let task = slot.as_ref().and_then(|slot| slot.task.as_ref());
                if task.is_some_and(|task| task.since_snapshot >= self.snapshot_every) {
                    due.insert((at, partition));
                }
            }
        }
        if self.joint == Joint::Fused && due.iter().any(|(at, _)| *at > 0) {
            self.commit_record_ends()?;
        }
        due.into_iter().for_each(|(at, partition)| self.snapshot(at, partition));
        Ok(())
    }

    /// Writes a partition's state, just after a commit.
    fn snapshot(&mut self, at: usize, partition: i32) {
        let stage = &mut self.stages[at];
        let Some(Some(slot)) = stage.slots.get_mut(partition as usize) else { return };
        let Some(task) = slot.task.as_mut().filter(|task| task.since_snapshot > 0) else { return };
        task.since_snapshot = 0;
        let file = SnapshotFile {
            topic: stage.topic.clone(),
            partition,
            offset: task.next_offset,
            bytes: task.snapshot(),
        };
        // The writer ends after this.
        drop(self.snapshot_writer.send(file));
    }

    /// Lets the consumers go.
    fn leave(&mut self) {
        self.stages.clear();
        self.labels = None;
    }

    fn finish(&mut self) {
        if let Err(error) = self.commit().and_then(|()| self.split()) {
            tracing::warn!(%error, "the last transaction is given up");
            self.transaction.abort();
            return;
        }
        for at in 0..self.stages.len() {
            for partition in 0..self.stages[at].slots.len() as i32 {
                let stage = &mut self.stages[at];
                let Some(Some(slot)) = stage.slots.get_mut(partition as usize) else { continue };
                let Some(task) = slot.task.as_mut().filter(|task| task.since_snapshot > 0) else { continue };
                // At once: the writer's thread ends with the process.
                if let Err(error) =
                    self.snapshots.write(&stage.topic, partition, task.next_offset, &task.snapshot())
                {
                    tracing::warn!(error = %format!("{error:#}"), "no snapshot could be written");
                }
            }
        }
    }
}

fn newest_us(stage: &Stage) -> Option<i64> {
    stage.slots.iter().flatten().filter_map(|slot| slot.newest_us).max()
}

fn send_record(
    transaction: &mut Transaction,
    topic: &str,
    partition: usize,
    payload: &[u8],
) -> Result<(), TransactionError> {
    let partition = Some(partition as i32);
    transaction.send(Outgoing { topic, partition, key: None, payload, timestamp_ms: -1, headers: None })
}

fn snapshot_writer(snapshots: Snapshots) -> Result<Sender<SnapshotFile>> {
    let (send, files) = channel::<SnapshotFile>();
    let body = move || {
        for file in files {
            if let Err(error) = snapshots.write(&file.topic, file.partition, file.offset, &file.bytes) {
                // The topic has everything; a restore takes longer, that is all.
                tracing::warn!(error = %format!("{error:#}"), "no snapshot could be written");
            }
        }
    };
    std::thread::Builder::new()
        .name("snapshots".into())
        .spawn(body)
        .context("cannot start the snapshot writer")?;
    Ok(send)
}

/// What tells this process from the others of its group, the same after a restart on the same data folder: the producer that
/// comes back fences off the transaction that the dead one has left open.
fn instance(data_dir: &Path) -> Result<String> {
    let path = data_dir.join("instance");
    if let Ok(found) = std::fs::read_to_string(&path) {
        return Ok(found.trim().to_string());
    }
    let mixed = foldhash::quality::RandomState::default();
    let name = format!("{:016x}", std::hash::BuildHasher::hash_one(&mixed, (std::process::id(), now_us())));
    std::fs::write(&path, &name).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(name)
}
