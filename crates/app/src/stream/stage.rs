//! One stage's partitions: what each is waiting for, and the rows that have come in.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use anyhow::Result;
use engine::{Decisions, Positions, TimeJumps};
use lab::dataset::EventReader;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{Offset, TopicPartitionList};

use super::client::{ASK_TIMEOUT, Logged};
use super::condition::{Condition, Partition, Restoring};
use super::intake::{Concealed, Incoming, Intake, Place, Reject};
use super::order::{Order, Reach};
use super::progress::metadata_of;
use super::record;
use super::recorder::Unit;
use super::restore::Restorer;
use super::task::Task;
use super::worker::Membership;
use crate::service::pipeline::check_size;
use crate::service::redis::Redis;

/// Before a restore is tried again that failed.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// Rows of one partition that may wait for others in memory; beyond that it is paused.
const HELD_MAX: usize = 50_000;

/// Rows that are taken through the stages together where partitions are merged.
const CHUNK_ROWS: usize = 512;

/// How long a partition may be silent that is not read to its end. librdkafka's fetcher has been seen to stand still after a
/// broker's restart with nothing to show for it.
const SILENT_MAX: Duration = Duration::from_secs(10);

/// One stage of the chain, as far as this process has to do with it.
pub struct Stage {
    /// Its number in the chain.
    pub number: usize,
    /// Its topic.
    pub topic: String,
    /// Its consumer.
    pub consumer: Arc<BaseConsumer<Membership>>,
    /// By partition; `None` for those that others own.
    pub slots: Vec<Option<Slot>>,
    /// Rows that have come in and are not yet entered, where the order between partitions does not matter.
    pub intake: Intake,
    /// How long in event time a chunk of rows may be that is merged with those of other partitions; `None` where nothing is
    /// to be merged.
    chunk_us: Option<i64>,
    order: Order,
    /// Empty chunks.
    spare: Vec<Intake>,
    /// What was no transaction.
    pub rejects: Vec<Reject>,
    /// For opening partitions.
    pub restorer: Restorer,
    reader: EventReader,
    condition: Arc<Condition>,
    /// Told apart from those of an earlier assignment.
    epoch: u64,
}

/// One partition that this process owns.
pub struct Slot {
    /// Its state, when it is restored.
    pub task: Option<Task>,
    /// The consumer delivers it.
    pub flowing: bool,
    /// The next message to take.
    pub read_offset: i64,
    /// Nothing is left to read, since then.
    pub at_end: Option<Instant>,
    /// When it last began to flow or a message of it came.
    heard: Instant,
    /// Newest event time of the rows that have come in.
    pub newest_us: Option<i64>,
    /// Rows that wait for those of other partitions, in the order of the topic.
    chunks: VecDeque<Intake>,
    /// How many.
    held: usize,
    paused: bool,
    /// The progress that was last committed.
    told_us: Option<i64>,
    epoch: u64,
    abandoned: Arc<AtomicBool>,
    rows: Vec<u32>,
}

/// A partition that was restored.
pub struct Opened {
    /// The stage's number.
    pub stage: usize,
    /// The partition.
    pub partition: i32,
    epoch: u64,
    task: Task,
}

impl Stage {
    /// A stage that owns nothing yet.
    pub fn new(
        number: usize,
        partitions: usize,
        consumer: Arc<BaseConsumer<Membership>>,
        restorer: Restorer,
        condition: Arc<Condition>,
        chunk_us: Option<i64>,
    ) -> Stage {
        let schema = Arc::new(restorer.detector.schema.clone());
        Stage {
            number,
            topic: restorer.topic.clone(),
            consumer,
            slots: (0..partitions).map(|_| None).collect(),
            intake: Intake::new(&schema),
            chunk_us,
            order: Order::default(),
            spare: Vec::new(),
            rejects: Vec::new(),
            reader: EventReader::without_labels(&schema),
            restorer,
            condition,
            epoch: 0,
        }
    }

    /// Takes a partition and begins to restore it. The consumer has paused it.
    pub fn take(&mut self, partition: i32, opened: &Sender<Opened>) {
        self.forget(partition);
        let Some(place) = usize::try_from(partition).ok().filter(|place| *place < self.slots.len()) else {
            return;
        };
        self.epoch += 1;
        let abandoned = Arc::new(AtomicBool::new(false));
        let restoring = Arc::new(Restoring::default());
        self.condition.set(&self.topic, partition, Some(Partition::Restoring(Arc::clone(&restoring))));
        self.slots[place] = Some(Slot {
            task: None,
            flowing: false,
            read_offset: 0,
            at_end: None,
            heard: Instant::now(),
            newest_us: None,
            chunks: VecDeque::new(),
            held: 0,
            paused: false,
            told_us: None,
            epoch: self.epoch,
            abandoned: Arc::clone(&abandoned),
            rows: Vec::new(),
        });
        let (restorer, stage, epoch, opened) =
            (self.restorer.clone(), self.number, self.epoch, opened.clone());
        let body = move || {
            if let Some(task) = restore_patiently(&restorer, partition, &restoring, &abandoned) {
                // Whoever wanted it may be gone.
                drop(opened.send(Opened { stage, partition, epoch, task }));
            }
        };
        if let Err(error) = std::thread::Builder::new().name("restore".into()).spawn(body) {
            tracing::error!(%error, "no thread to restore a partition");
        }
    }

    /// Gives a partition up, and the rows of it that are not entered.
    pub fn forget(&mut self, partition: i32) {
        let Some(slot) = self.slots.get_mut(partition as usize).and_then(Option::take) else { return };
        slot.abandoned.store(true, Ordering::Relaxed);
        self.condition.set(&self.topic, partition, None);
        self.rejects.retain(|reject| reject.origin.partition != partition);
        if self.intake.owners.contains(&partition) {
            let mut kept = Intake::new(self.intake.batch.schema());
            let rows = (0..self.intake.len()).filter(|row| self.intake.owners[*row] != partition);
            rows.for_each(|row| kept.add_row_of(&self.intake, row));
            self.intake = kept;
        }
    }

    /// A partition is restored: it will flow from where its state ends.
    pub fn open(&mut self, opened: Opened) {
        let Some(Some(slot)) = self.slots.get_mut(opened.partition as usize) else { return };
        if slot.epoch != opened.epoch {
            return;
        }
        slot.read_offset = opened.task.next_offset;
        slot.newest_us = opened.task.newest_us;
        slot.task = Some(opened.task);
    }

    /// Lets restored partitions flow. What the consumer has fetched of them before is forgotten by the seek.
    pub fn start_flowing(&mut self) {
        for (partition, slot) in (0..).zip(&mut self.slots) {
            let Some(slot) = slot.as_mut().filter(|slot| slot.task.is_some() && !slot.flowing) else {
                continue;
            };
            match seek(&self.consumer, &self.topic, partition, slot.read_offset) {
                Ok(()) => {
                    slot.flowing = true;
                    slot.at_end = None;
                    slot.heard = Instant::now();
                    self.condition.set(&self.topic, partition, Some(Partition::Live));
                    tracing::info!(topic = self.topic, partition, offset = slot.read_offset, "live");
                }
                // The consumer is still finding the partition's leader: next time.
                Err(error) => tracing::debug!(topic = self.topic, partition, %error, "cannot seek yet"),
            }
        }
    }

    /// Lets partitions flow anew that have been silent for too long and are not read to their ends.
    pub fn wake_silent(&mut self) {
        for (partition, slot) in (0..).zip(&mut self.slots) {
            let is_silent = |slot: &&mut Slot| {
                slot.flowing && !slot.paused && slot.at_end.is_none() && slot.heard.elapsed() >= SILENT_MAX
            };
            let Some(slot) = slot.as_mut().filter(is_silent) else { continue };
            slot.heard = Instant::now();
            let sought = seek(&self.consumer, &self.topic, partition, slot.read_offset);
            tracing::warn!(topic = self.topic, partition, ?sought, "nothing is delivered, asked again");
        }
    }

    /// Stops or starts what the consumer delivers of all partitions.
    pub fn set_flowing(&mut self, flowing: bool) {
        for (partition, slot) in (0..).zip(&mut self.slots) {
            let Some(slot) = slot.as_mut().filter(|slot| slot.task.is_some()) else { continue };
            if slot.flowing && !flowing {
                pause(&self.consumer, &self.topic, partition, true);
            }
            // To flow again it is sought first.
            slot.flowing = false;
        }
        if flowing {
            self.start_flowing();
        }
    }

    /// Whether every partition of the stage is here and its state restored.
    pub fn is_whole(&self) -> bool {
        self.slots.iter().all(|slot| slot.as_ref().is_some_and(|slot| slot.task.is_some() && slot.flowing))
    }

    /// The next rows to enter: those of the partition that is furthest behind, as far as they are not too far ahead of a
    /// partition that is still to come. Swapped into `intake`, which is empty; false if there are none.
    pub fn next_chunk(&mut self, limits: &[i64], intake: &mut Intake) -> bool {
        let heads =
            self.slots.iter().enumerate().filter_map(|(at, slot)| Some((at, slot.as_ref()?.head_us()?)));
        let Some((at, _)) = heads.filter(|(at, head_us)| head_us <= &limits[*at]).min_by_key(|(_, us)| *us)
        else {
            return false;
        };
        let Some(slot) = &mut self.slots[at] else { return false };
        let Some(mut chunk) = slot.chunks.pop_front() else { return false };
        let fitting = chunk.merge_us.partition_point(|us| *us <= limits[at]);
        if fitting < chunk.len() {
            slot.chunks.push_front(split_off(&mut chunk, fitting));
        }
        slot.held -= chunk.len();
        std::mem::swap(&mut chunk, intake);
        self.spare.push(chunk);
        true
    }

    /// Whether rows wait for other partitions.
    pub fn holds_rows(&self) -> bool {
        self.slots.iter().flatten().any(|slot| slot.held > 0)
    }

    /// Whether rows wait, and since the last commit it has changed where: others may wait in turn to hear of it.
    pub fn has_news(&self) -> bool {
        let told = |slot: &Slot| slot.told_us == slot.progress_us();
        self.holds_rows() && !self.slots.iter().flatten().all(told)
    }

    /// What [`Stage::offsets`] said is on its way.
    pub fn note_committed(&mut self) {
        self.slots.iter_mut().flatten().for_each(|slot| slot.told_us = slot.progress_us());
    }

    /// Takes what was no transaction and lies before all rows that are still to be entered: what lies behind one of them is
    /// read again if that is, and must not be told twice.
    pub fn take_rejects(&mut self) -> Vec<Reject> {
        let slots = &self.slots;
        let is_due = |reject: &mut Reject| {
            let slot = slots.get(reject.origin.partition as usize).and_then(Option::as_ref);
            let task = slot.and_then(|slot| slot.task.as_ref());
            task.is_some_and(|task| reject.origin.offset < task.next_offset)
        };
        self.rejects.extract_if(.., is_due).collect()
    }

    /// Whether nothing is left to read or to enter.
    pub fn is_drained(&self) -> bool {
        self.intake.is_empty() && self.slots.iter().flatten().all(|slot| slot.at_end.is_some())
    }

    /// Partitions that this process does not own.
    pub fn others(&self) -> Vec<i32> {
        (0..).zip(&self.slots).filter(|(_, slot)| slot.is_none()).map(|(partition, _)| partition).collect()
    }

    /// A partition has nothing left to read.
    pub fn reach_end(&mut self, partition: i32) {
        if let Some(Some(slot)) = self.slots.get_mut(partition as usize) {
            slot.at_end.get_or_insert_with(Instant::now);
        }
    }

    /// Moves on behind the marks of transactions that the consumer has passed: they take offsets as messages do, and a group
    /// that stands before one looks as if it had work left. Whether there were any.
    ///
    /// # Errors
    /// If librdkafka does not tell where it is.
    pub fn pass_marks(&mut self) -> Result<bool, rdkafka::error::KafkaError> {
        if !self.intake.is_empty() {
            return Ok(false);
        }
        let mut moved = false;
        // Every message up to there was taken in by this thread: what lies between is none.
        for place in self.consumer.position()?.elements_for_topic(&self.topic) {
            let (Some(Some(slot)), Offset::Offset(passed)) =
                (self.slots.get_mut(place.partition() as usize), place.offset())
            else {
                continue;
            };
            if slot.flowing && passed > slot.read_offset {
                slot.read_offset = passed;
                moved = true;
            }
        }
        self.note_entered();
        Ok(moved)
    }

    /// Whether everything was read that was ever written to the partitions, by transactions that are still open as well.
    /// `ends` tells where they end.
    ///
    /// # Errors
    /// If Kafka does not answer.
    pub fn has_read_all(&mut self, ends: &BaseConsumer<Logged>) -> Result<bool, rdkafka::error::KafkaError> {
        self.pass_marks()?;
        for (partition, slot) in (0..).zip(&self.slots) {
            let Some(slot) = slot else { continue };
            let (_, end) = ends.fetch_watermarks(&self.topic, partition, ASK_TIMEOUT)?;
            if slot.read_offset < end {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Takes a message in.
    ///
    /// # Errors
    /// If it should be a stage record and is not.
    pub fn enter(&mut self, message: &BorrowedMessage) -> Result<(), record::Foreign> {
        let (partition, offset) = (message.partition(), message.offset());
        let Some(Some(slot)) = self.slots.get_mut(partition as usize) else { return Ok(()) };
        if !slot.flowing || offset < slot.read_offset {
            return Ok(());
        }
        slot.at_end = None;
        slot.heard = Instant::now();
        slot.read_offset = offset + 1;
        if self.number == 0 {
            self.enter_event(message);
            Ok(())
        } else {
            self.enter_rows(message)
        }
    }

    fn enter_event(&mut self, message: &BorrowedMessage) {
        let Some(Some(slot)) = self.slots.get_mut(message.partition() as usize) else { return };
        let incoming = Incoming::of(message);
        let origin = incoming.origin;
        let (partition, offset) = (origin.partition, origin.offset);
        let newest_us = slot.newest_us;
        let max_time_jump_us = self.restorer.detector.schema.max_time_jump_us;
        let intake = match self.chunk_us {
            Some(_) => slot.chunk(&mut self.spare, &self.intake),
            None => &mut self.intake,
        };
        let tokens_before = intake.batch.tokens_made();
        match check_size(incoming.payload)
            .and_then(|()| self.reader.read(incoming.payload, &mut intake.batch))
        {
            Ok(()) => {
                let time_us = intake.batch.time_us(intake.batch.len() - 1);
                let merge_us = newest_after(newest_us, time_us, max_time_jump_us);
                let concealed = Concealed::of(&incoming, &intake.batch, tokens_before);
                intake.add(
                    concealed.as_ref().map_or(incoming, |concealed| concealed.incoming(origin)),
                    Place { owner: partition, offset, merge_us },
                    engine::Status::OnTime,
                    false,
                );
                slot.hold(merge_us, self.chunk_us);
            }
            Err(rejection) => self.rejects.push(Reject {
                origin: incoming.origin,
                key: incoming.key.map(<[u8]>::to_vec),
                payload: incoming.payload.to_vec(),
                headers: incoming.headers,
                rejection,
            }),
        }
    }

    fn enter_rows(&mut self, message: &BorrowedMessage) -> Result<(), record::Foreign> {
        let columns = self.restorer.detector.features.len();
        for row in record::rows(message.payload().unwrap_or_default())? {
            let row = row?;
            // The first stage has read it already.
            self.reader.read(row.incoming.payload, &mut self.intake.batch).map_err(|_| record::Foreign)?;
            let before = self.intake.features.len();
            self.intake.features.extend(row.features());
            self.intake.features.resize(before + columns, f64::NAN);
            let at = Place { owner: message.partition(), offset: message.offset(), merge_us: 0 };
            match row.label {
                Some(fraud) => self.intake.add_label(row.incoming, at, fraud),
                None => self.intake.add(row.incoming, at, row.status, row.decided),
            }
        }
        Ok(())
    }

    /// Enters a unit's rows into the states of their partitions. `owner` tells whose a row is.
    pub fn observe(
        &mut self,
        unit: &mut Unit,
        redis: Option<&Redis>,
        owner: impl Fn(&Intake, usize) -> usize,
    ) {
        self.slots.iter_mut().flatten().for_each(|slot| slot.rows.clear());
        for row in &unit.order {
            let Some(slot) = &mut self.slots[owner(&unit.intake, *row as usize)] else { continue };
            match unit.intake.labels[*row as usize] {
                None => slot.rows.push(*row),
                // A label counts from where it stands: what comes before it is entered before it.
                Some(fraud) => {
                    slot.observe(self.number, (&unit.intake, &unit.positions), &mut unit.decisions, redis);
                    slot.learn(&unit.intake, *row as usize, fraud, redis);
                }
            }
        }
        for slot in self.slots.iter_mut().flatten() {
            slot.observe(self.number, (&unit.intake, &unit.positions), &mut unit.decisions, redis);
        }
    }

    /// After everything that came in and does not wait was entered: where each partition's state stands.
    pub fn note_entered(&mut self) {
        for slot in self.slots.iter_mut().flatten() {
            let first_held = slot.chunks.iter().find_map(|chunk| chunk.offsets.first().copied());
            let Some(task) = &mut slot.task else { continue };
            task.next_offset = first_held.unwrap_or(slot.read_offset);
        }
    }

    /// Offsets and newest times, to be committed.
    ///
    /// # Errors
    /// If librdkafka does not take them.
    pub fn offsets(&self) -> Result<TopicPartitionList, rdkafka::error::KafkaError> {
        let mut offsets = TopicPartitionList::new();
        for (partition, slot) in (0..).zip(&self.slots) {
            let Some(slot) = slot else { continue };
            let Some(task) = &slot.task else { continue };
            let mut place = offsets.add_partition(&self.topic, partition);
            place.set_offset(Offset::Offset(task.next_offset))?;
            place.set_metadata(metadata_of(slot.progress_us()));
        }
        Ok(offsets)
    }

    /// How far each partition may be entered in event time; `elsewhere` tells of those that others own.
    pub fn limits(&self, drift_us: i64, elsewhere: impl Fn(i32) -> Reach) -> Vec<i64> {
        self.order.limits(&self.reaches(elsewhere), drift_us, Instant::now())
    }

    /// Remembers how far partitions have come, after what may be entered was entered.
    pub fn note_order(&mut self, elsewhere: impl Fn(i32) -> Reach) {
        self.order.note(&self.reaches(elsewhere), self.holds_rows(), Instant::now());
    }

    fn reaches(&self, elsewhere: impl Fn(i32) -> Reach) -> Vec<Reach> {
        let reach = |(partition, slot): (i32, &Option<Slot>)| match slot {
            Some(slot) => slot.reach(),
            None => elsewhere(partition),
        };
        (0..).zip(&self.slots).map(reach).collect()
    }

    /// Pauses partitions of which too many rows wait.
    pub fn pause_held(&mut self) {
        for (partition, slot) in (0..).zip(&mut self.slots) {
            let Some(slot) = slot.as_mut().filter(|slot| slot.flowing) else { continue };
            let pause_now = slot.held > HELD_MAX || (slot.paused && slot.held > HELD_MAX / 4);
            if pause_now != slot.paused {
                slot.paused = pause_now;
                slot.heard = Instant::now();
                pause(&self.consumer, &self.topic, partition, pause_now);
                let how = if pause_now { Partition::Held } else { Partition::Live };
                self.condition.set(&self.topic, partition, Some(how));
            }
        }
    }
}

impl Slot {
    /// Enters the rows that were dealt to it.
    fn observe(
        &mut self,
        stage: usize,
        (intake, positions): (&Intake, &[i64]),
        decisions: &mut Decisions,
        redis: Option<&Redis>,
    ) {
        let Some(task) = self.task.as_mut().filter(|_| !self.rows.is_empty()) else { return };
        let jumps = if stage == 0 { TimeJumps::Refuse } else { TimeJumps::Admit };
        task.engine.observe_rows(&intake.batch, &self.rows, Positions::Each(positions), jumps, decisions);
        if let Some(redis) = redis {
            redis.offer_rows(&task.engine, &intake.batch, &self.rows);
        }
        task.since_snapshot += self.rows.len() as u64;
        task.newest_us = task.newest_us.max(task.engine.stream_us());
        self.rows.clear();
    }

    fn learn(&mut self, intake: &Intake, row: usize, fraud: bool, redis: Option<&Redis>) {
        let Some(task) = &mut self.task else { return };
        task.learn(&intake.batch, row, intake.origins[row], fraud);
        if let Some(redis) = redis {
            redis.offer_learnt(&task.engine, &intake.batch, row);
        }
    }

    /// The time of the first row that waits.
    fn head_us(&self) -> Option<i64> {
        self.chunks.front().and_then(|chunk| chunk.merge_us.first().copied())
    }

    /// How far it has come in event time, for others: up to the first row that waits. Before anything was ever entered that
    /// is all there is to say, and two processes that know nothing of each other would wait for each other forever.
    fn progress_us(&self) -> Option<i64> {
        self.head_us().or(self.task.as_ref().and_then(|task| task.newest_us))
    }

    /// The chunk that takes the next row.
    fn chunk(&mut self, spare: &mut Vec<Intake>, like: &Intake) -> &mut Intake {
        if self.chunks.back().is_none_or(|chunk| chunk.is_closed || chunk.len() >= CHUNK_ROWS) {
            self.chunks.push_back(spare.pop().unwrap_or_else(|| Intake::new(like.batch.schema())));
        }
        self.chunks.back_mut().expect("one was just pushed if there was none")
    }

    /// A row has come in; closes its chunk if that has become too long in event time.
    fn hold(&mut self, newest_us: i64, chunk_us: Option<i64>) {
        self.newest_us = Some(newest_us);
        if let (Some(chunk_us), Some(chunk)) = (chunk_us, self.chunks.back_mut()) {
            self.held += 1;
            chunk.is_closed = newest_us - chunk.merge_us[0] > chunk_us;
        }
    }

    fn reach(&self) -> Reach {
        Reach { newest_us: self.newest_us, idle_since: self.at_end.filter(|_| self.held == 0) }
    }
}

/// Cuts a chunk before a row; the rows from there on.
fn split_off(chunk: &mut Intake, at: usize) -> Intake {
    let (mut first, mut rest) = (Intake::new(chunk.batch.schema()), Intake::new(chunk.batch.schema()));
    (0..at).for_each(|row| first.add_row_of(chunk, row));
    (at..chunk.len()).for_each(|row| rest.add_row_of(chunk, row));
    (first.received, rest.received, rest.is_closed) = (chunk.received, chunk.received, chunk.is_closed);
    *chunk = first;
    rest
}

/// The newest event time of a partition after one more event. One too far ahead will be refused and moves nothing.
fn newest_after(newest_us: Option<i64>, time_us: i64, max_time_jump_us: i64) -> i64 {
    match newest_us {
        Some(newest_us) if time_us.saturating_sub(newest_us) > max_time_jump_us => newest_us,
        Some(newest_us) => newest_us.max(time_us),
        None => time_us,
    }
}

fn restore_patiently(
    restorer: &Restorer,
    partition: i32,
    restoring: &Restoring,
    abandoned: &AtomicBool,
) -> Option<Task> {
    while !abandoned.load(Ordering::Relaxed) {
        match restorer.restore(partition, restoring) {
            Ok(task) => return Some(task),
            Err(error) => {
                let error = format!("{error:#}");
                tracing::warn!(topic = restorer.topic, partition, error, "cannot restore the partition yet");
                std::thread::sleep(RETRY_AFTER);
            }
        }
    }
    None
}

fn seek(consumer: &BaseConsumer<Membership>, topic: &str, partition: i32, offset: i64) -> Result<()> {
    let mut to = TopicPartitionList::new();
    to.add_partition_offset(topic, partition, Offset::Offset(offset))?;
    let sought = consumer.seek_partitions(to, ASK_TIMEOUT)?;
    for place in sought.elements() {
        place.error()?;
    }
    pause(consumer, topic, partition, false);
    Ok(())
}

/// Stops the consumer from delivering a partition, or lets it go on.
pub fn pause(consumer: &BaseConsumer<Membership>, topic: &str, partition: i32, paused: bool) {
    let mut list = TopicPartitionList::new();
    list.add_partition(topic, partition);
    let done = if paused { consumer.pause(&list) } else { consumer.resume(&list) };
    if let Err(error) = done {
        // It was taken away meanwhile: the group tells so next.
        tracing::debug!(topic, partition, %error, "cannot pause or resume");
    }
}
