//! What goes to the database, written by a thread of its own while the next rows are decided.
//!
//! A transaction commits only after everything that it decided is stored. Storing it again changes nothing, so a commit that
//! fails after that costs time, never truth.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use engine::Decisions;
use engine::detector::Schema;
use store::{Group, NewDecision, NewLabel, NewRejection, Origin, Store, StoredDecision, Versions};
use tokio::sync::oneshot;

use super::intake::Intake;
use crate::service::alerts::{Plan, Refused};
use crate::service::models::ShadowScores;
use crate::service::pipeline::now_us;
use crate::service::render::Rendered;
use crate::service::wire::AlertRequest;

/// A database that takes longer than this for what one transaction holds is treated as gone: Kafka gives the transaction up
/// soon after.
const PATIENCE: Duration = Duration::from_secs(10);

/// Rows of one stage on their way through, and what became of them. The memory is kept from batch to batch.
pub struct Unit {
    /// The rows.
    pub intake: Intake,
    /// The rows that go on, in the order in which they are entered.
    pub order: Vec<u32>,
    /// Positions that labels are learnt by, row by row.
    pub positions: Vec<i64>,
    /// What became of the rows.
    pub decisions: Decisions,
    /// The same as text.
    pub rendered: Rendered,
    /// What was no transaction.
    pub rejections: Vec<NewRejection>,
    /// What became known of earlier transactions.
    pub labels: Vec<NewLabel>,
    /// Rows whose id was seen before.
    pub repeated: u64,
    /// When they were taken on, to be entered and decided.
    pub taken: Instant,
    /// When the rows were decided.
    pub decided_at_us: i64,
    /// From receipt to decision.
    pub latency_us: i64,
    /// What the rows were decided with.
    pub version: i64,
    /// What challengers say of them.
    pub shadow: ShadowScores,
}

impl Unit {
    fn new(schema: &Arc<Schema>) -> Unit {
        Unit {
            intake: Intake::new(schema),
            order: Vec::new(),
            positions: Vec::new(),
            decisions: Decisions::default(),
            rendered: Rendered::default(),
            rejections: Vec::new(),
            labels: Vec::new(),
            repeated: 0,
            taken: Instant::now(),
            decided_at_us: 0,
            latency_us: 0,
            version: 0,
            shadow: ShadowScores::default(),
        }
    }

    fn clear(&mut self) {
        self.intake.clear();
        self.order.clear();
        self.positions.clear();
        self.rendered.clear();
        self.rejections.clear();
        self.labels.clear();
        self.repeated = 0;
        self.shadow.clear();
    }

    /// A row's decision as it is published and stored.
    pub fn decision(&self, row: usize) -> NewDecision<'_> {
        let origin = self.intake.origins[row];
        NewDecision {
            decided_at_us: self.decided_at_us,
            latency_us: self.latency_us,
            version: self.version,
            shadow: self.shadow.of(row),
            origin: Some(Origin { partition: origin.partition, offset: origin.offset }),
            ..self.rendered.decision(&self.intake.batch, &self.decisions, row)
        }
    }

    /// All that is stored of it.
    pub fn group(&self) -> Group<'_> {
        Group {
            decisions: self.order.iter().map(|row| self.decision(*row as usize)).collect(),
            labels: self.labels.clone(),
            rejections: self.rejections.clone(),
            repeated: self.repeated,
            ..Group::default()
        }
    }
}

/// What the thread that stores is asked.
pub enum Work {
    /// Store what was decided.
    Merge(Box<Unit>),
    /// Do something with an alert.
    Revise {
        /// The alert.
        id: i64,
        /// What.
        wanted: AlertRequest,
        /// What was written, or why nothing was.
        reply: oneshot::Sender<store::Result<Result<Plan, Refused>>>,
    },

    /// The numbers that stand for versions.
    Number(Vec<Versions>, Sender<store::Result<Vec<i64>>>),
    /// Stored decisions by the ids of their transactions.
    Find(Vec<String>, Sender<store::Result<Vec<Option<StoredDecision>>>>),
    /// Find out whether the database accepts.
    Probe,
}

/// The way to the thread that stores, and its end.
pub type Queue = (Sender<Work>, Receiver<Work>);

/// Hands units to the thread that stores them.
pub struct Recorder {
    schema: Arc<Schema>,
    /// `None` without a database.
    thread: Option<Thread>,
    #[expect(
        clippy::vec_box,
        reason = "units travel between threads and queues: a pointer moves, not a kilobyte"
    )]
    idle: Vec<Box<Unit>>,
}

struct Thread {
    work: Sender<Work>,
    done: Receiver<(Option<Box<Unit>>, store::Result<()>)>,
    /// Handed over and not yet done.
    under_way: usize,
}

impl Recorder {
    /// Records in `store`, if there is one, alerts by this window.
    ///
    /// # Errors
    /// If no thread can be had.
    pub fn new(
        schema: &Arc<Schema>,
        store: Option<Box<dyn Store>>,
        queue: Queue,
        alert_window_us: i64,
    ) -> Result<Recorder> {
        let thread = store.map(|store| Thread::start(store, queue, alert_window_us)).transpose()?;
        Ok(Recorder { schema: Arc::clone(schema), thread, idle: Vec::new() })
    }

    /// Whether there is a database.
    pub fn is_on(&self) -> bool {
        self.thread.is_some()
    }

    /// An empty unit.
    pub fn unit(&mut self) -> Box<Unit> {
        self.idle.pop().unwrap_or_else(|| Box::new(Unit::new(&self.schema)))
    }

    /// Takes a unit back without storing it.
    pub fn put_back(&mut self, mut unit: Box<Unit>) {
        unit.clear();
        self.idle.push(unit);
    }

    /// Stores a unit, sooner or later.
    pub fn offer(&mut self, unit: Box<Unit>) {
        match &mut self.thread {
            Some(thread) => thread.send(Work::Merge(unit)),
            None => self.put_back(unit),
        }
    }

    /// Waits until everything offered is stored.
    ///
    /// # Errors
    /// If something could not be stored.
    pub fn settle(&mut self) -> Result<()> {
        let mut settled = Ok(());
        while let Some(thread) = self.thread.as_mut().filter(|thread| thread.under_way > 0) {
            let (unit, stored) = thread.next(PATIENCE)?;
            if let Some(unit) = unit {
                self.put_back(unit);
            }
            settled = settled.and(stored.map_err(anyhow::Error::from));
        }
        settled
    }

    /// Stored decisions by their transactions' ids; none without a database.
    ///
    /// # Errors
    /// If the database refuses.
    pub fn find(&mut self, ids: Vec<String>) -> Result<Vec<Option<StoredDecision>>> {
        let Some(thread) = &self.thread else { return Ok(vec![None; ids.len()]) };
        let (tell, found) = channel();
        thread.work.send(Work::Find(ids, tell)).context("the thread that writes to it has ended")?;
        Ok(found.recv_timeout(PATIENCE).context("it does not answer")??)
    }

    /// The numbers that stand for these versions; all 0 without a database.
    ///
    /// # Errors
    /// If the database refuses.
    pub fn number(&mut self, versions: Vec<Versions>) -> Result<Vec<i64>> {
        let Some(thread) = &self.thread else { return Ok(vec![0; versions.len()]) };
        let (tell, numbers) = channel();
        thread.work.send(Work::Number(versions, tell)).context("the thread that writes to it has ended")?;
        Ok(numbers.recv_timeout(PATIENCE).context("it does not answer")??)
    }

    /// Asks whether the database accepts again.
    ///
    /// # Errors
    /// If it does not.
    pub fn probe(&mut self) -> Result<()> {
        // What was under way when it failed is not asked about again.
        drop(self.settle());
        if let Some(thread) = &mut self.thread {
            thread.send(Work::Probe);
        }
        self.settle()
    }
}

/// Two processes that merge the same rows may stand in each other's way, and a server that restarts is back in a moment:
/// neither is worth giving a transaction up.
fn merge_patiently(store: &mut dyn Store, group: &Group) -> store::Result<()> {
    let mut merged = store.merge(group).map(drop);
    for pause_ms in [20, 100, 500] {
        if merged.is_ok() {
            break;
        }
        std::thread::sleep(Duration::from_millis(pause_ms));
        merged = store.merge(group).map(drop);
    }
    merged
}

impl Thread {
    fn start(mut store: Box<dyn Store>, (work, waiting): Queue, alert_window_us: i64) -> Result<Thread> {
        let (tell, done) = channel();
        let body = move || {
            for work in waiting {
                let told = match work {
                    Work::Merge(unit) => {
                        let group = Group { alert_window_us: Some(alert_window_us), ..unit.group() };
                        let merged = merge_patiently(&mut *store, &group);
                        tell.send((Some(unit), merged))
                    }
                    Work::Revise { id, wanted, reply } => {
                        // Whoever asked may have gone.
                        drop(reply.send(Plan::merge(&mut *store, id, &wanted, now_us())));
                        continue;
                    }
                    Work::Number(versions, tell) => {
                        // Whoever asked may have lost patience.
                        drop(tell.send(versions.iter().map(|one| store.version(one)).collect()));
                        continue;
                    }
                    Work::Find(ids, tell) => {
                        // Whoever asked may have lost patience.
                        drop(tell.send(ids.iter().map(|id| store.find(id)).collect()));
                        continue;
                    }
                    Work::Probe => tell.send((None, store.probe())),
                };
                if told.is_err() {
                    return;
                }
            }
        };
        std::thread::Builder::new()
            .name("recorder".into())
            .spawn(body)
            .context("cannot start the recorder")?;
        Ok(Thread { work, done, under_way: 0 })
    }

    fn send(&mut self, work: Work) {
        // The thread ends after its sender only.
        self.under_way += usize::from(self.work.send(work).is_ok());
    }

    fn next(&mut self, patience: Duration) -> Result<(Option<Box<Unit>>, store::Result<()>)> {
        match self.done.recv_timeout(patience) {
            Ok(done) => {
                self.under_way -= 1;
                Ok(done)
            }
            Err(RecvTimeoutError::Timeout) => {
                anyhow::bail!("it has not answered for {} s", patience.as_secs())
            }
            Err(RecvTimeoutError::Disconnected) => {
                self.under_way = 0;
                anyhow::bail!("the thread that writes to it has ended")
            }
        }
    }
}
