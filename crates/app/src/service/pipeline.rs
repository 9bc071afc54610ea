//! The thread that decides and remembers.
//!
//! It takes what waits in the queue, at most [`GROUP_MAX`] requests, as one group: parses, answers repeated ids from the
//! store, runs the engine, writes the group in one database transaction, and answers. While it commits, the next group
//! gathers. An answer therefore means that the decision is stored, and under load the price of a commit is shared.
//!
//! If the store refuses, the engine has seen events that are not in the log. Then nothing is answered with a decision:
//! callers are turned away until the store accepts again and the state is rebuilt from snapshot and log.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::body::Bytes;
use engine::card::{mask, mask_start};
use engine::features::EntityView;
use engine::{Decisions, Detector, Engine, EventBatch, FieldError, Rejection, Status};
use lab::dataset::EventReader;
use store::{Erased, Group, NewDecision, NewFallback, NewLabel, NewRejection, Store, StoredDecision};
use tokio::sync::{mpsc, oneshot};

use super::alerts::{self, Plan, Refused};
use super::erasure::PendingErasure;
use super::models::{Challengers, Models, ShadowScores};
use super::recovery::{Recovery, versions};
use super::redis::Redis;
use super::render::{self, Rendered};
use super::stats::Stats;
use super::traces::context::Trace;
use super::traces::{Stages, Traces};
use super::wire::{AlertRequest, DecisionSummary, Instant as WireInstant, LabelAccepted, StateSize};

/// Requests in one group: enough to share a commit, few enough to stay within a millisecond or two.
const GROUP_MAX: usize = 256;

/// The largest transaction: hundreds of times an ordinary one.
pub const TRANSACTION_BYTES_MAX: usize = 64 << 10;

/// Looks at the sockets before a group is closed.
const GATHERING_TURNS: usize = 2;

/// How much of a rejected body is kept.
const RAW_BYTES_MAX: usize = 2_048;

/// How much of the reasons for a rejection is kept.
const REASON_BYTES_MAX: usize = 2_048;

/// Decisions that are deleted at a time: a few milliseconds.
const RETIRED_AT_ONCE: usize = 500;

/// How long to wait before trying a store again that refused.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// How often the size of the state is measured, at the most.
const STATE_INTERVAL: Duration = Duration::from_secs(1);

/// Measuring looks at every entity: it may take this share of the time.
const STATE_SHARE: u32 = 100;

/// What the pipeline is asked.
pub enum Request {
    /// Decide transactions, one JSON object each.
    Decide {
        /// The bodies.
        bodies: Vec<Bytes>,
        /// When the request came in.
        received: Instant,
        /// The trace that it belongs to, if it is sampled.
        trace: Option<Trace>,
        /// Gets an answer for each body, in order.
        reply: oneshot::Sender<Result<Vec<Answer>, Unavailable>>,
    },
    /// Learn what became known of a transaction.
    Label {
        /// The transaction's id.
        transaction_id: String,
        /// Fraud or not.
        fraud: bool,
        /// `None` if there is no such transaction.
        reply: oneshot::Sender<Result<Option<LabelAccepted>, Unavailable>>,
    },
    /// Look at the windows of an entity.
    Inspect {
        /// The field that names it.
        kind: String,
        /// Its id.
        id: String,
        /// `None` if nothing is held of it.
        reply: oneshot::Sender<Result<Option<EntityView>, Unavailable>>,
    },
    /// Do something with an alert.
    Revise {
        /// The alert.
        id: i64,
        /// What.
        wanted: AlertRequest,
        /// What was written, or why nothing was.
        reply: oneshot::Sender<Result<Result<Plan, Refused>, Unavailable>>,
    },
    /// Erase an id from all that is kept.
    Erase {
        /// What is to go.
        erasure: PendingErasure,
        /// Positions of decisions that hold it, found beside the pipeline.
        found: Vec<i64>,
        /// The last position that was looked at.
        looked_to: i64,
        /// From how much it went.
        reply: oneshot::Sender<Result<Erased, String>>,
    },
    /// Delete a portion of what is older than is kept.
    Retire {
        /// The first position that stays.
        before: i64,
        /// Rejections from before this go as well.
        received_before_us: i64,
        /// How many decisions went.
        reply: oneshot::Sender<Result<u64, Unavailable>>,
    },
    /// Count and keep what could not even be read.
    Reject(NewRejection),
    /// Keep what a caller was told before there was a decision.
    Fallback(NewFallback),
    /// Finish: write a snapshot and end.
    Stop,
}

/// The store refuses at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unavailable;

/// What became of one body.
#[derive(Debug, Clone)]
pub enum Answer {
    /// A `DecisionSummary` as JSON.
    Decided { json: String, repeated: bool },
    /// It was no transaction.
    Rejected(Rejection),
}

/// What the pipeline shares with the doors.
pub struct Shared {
    /// The detector.
    pub detector: Arc<Detector>,
    /// Figures, written group by group.
    pub stats: Mutex<Stats>,
    /// How the store and the engine are.
    pub condition: Mutex<Condition>,
    /// Where others read, if there is such a place.
    pub redis: Option<Redis>,
    /// What scores.
    pub models: Arc<Models>,
    /// Where traces go, if they go anywhere.
    pub traces: Option<Traces>,
    /// How alerts are kept.
    pub alerts: alerts::Config,
    /// How long after it happened a transaction without a label counts as genuine, in microseconds of event time.
    pub mature_after_us: Option<i64>,
}

/// How the pipeline is.
#[derive(Debug, Clone, Default)]
pub struct Condition {
    /// The last thing the store refused, until it accepts again.
    pub store_error: Option<String>,
    /// What the engine holds.
    pub state: StateSize,
}

/// Locks a mutex whose data stays usable whatever happened to another holder: figures, not truth.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Microseconds since 1970.
pub fn now_us() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as i64)
}

/// The engine, the store, and what they need to work group by group.
pub struct Pipeline {
    engine: Engine,
    store: Box<dyn Store>,
    recovery: Recovery,
    shared: Arc<Shared>,
    reader: EventReader,
    /// What decisions are made with now.
    version: i64,
    challengers: Challengers,
    /// The turn of the lineup that decides.
    turn: Option<u64>,
    /// Position of the next entry of the log.
    next_sequence: i64,
    snapshot_every: u64,
    since_snapshot: u64,
    measure_state_at: Instant,
    /// The store refused: the engine may have seen what the log does not have.
    refused: bool,
    work: Work,
}

/// Buffers of one group, reused.
struct Work {
    batch: EventBatch,
    decisions: Decisions,
    /// When each row of the batch came in.
    received: Vec<Instant>,
    /// What is stored of each row as text.
    rendered: Rendered,
    /// What challengers say of each row.
    shadow: ShadowScores,
    /// Ids of the batch, for repeats within a group.
    ids: HashMap<String, usize>,
    rejections: Vec<NewRejection>,
    fallbacks: Vec<NewFallback>,
    repeated: u64,
}

/// What a body will be answered, once the group is stored.
enum Pending {
    Row(usize),
    Again(usize),
    Done(Answer),
}

/// A request whose answers wait for the commit.
struct Waiting {
    pending: Vec<Pending>,
    received: Instant,
    trace: Option<Trace>,
    reply: oneshot::Sender<Result<Vec<Answer>, Unavailable>>,
}

impl Pipeline {
    /// A pipeline that continues at the end of the log.
    ///
    /// # Errors
    /// If the store refuses.
    pub fn new(
        engine: Engine,
        mut store: Box<dyn Store>,
        recovery: Recovery,
        shared: Arc<Shared>,
        snapshot_every: u64,
    ) -> store::Result<Pipeline> {
        let next_sequence = store.last_position()? + 1;
        let schema = Arc::new(engine.detector().schema.clone());
        let mut pipeline = Pipeline {
            reader: EventReader::without_labels(&schema),
            engine,
            store,
            recovery,
            shared,
            version: 0,
            challengers: Challengers::default(),
            turn: None,
            next_sequence,
            snapshot_every,
            since_snapshot: 0,
            measure_state_at: Instant::now(),
            refused: false,
            work: Work::new(EventBatch::new(schema)),
        };
        pipeline.take_models()?;
        pipeline.measure_state();
        Ok(pipeline)
    }

    /// Takes the models and rules of the newest lineup, between two groups: what is decided together is decided by one model
    /// and one rulebook.
    fn take_models(&mut self) -> store::Result<()> {
        let Some(lineup) = self.shared.models.other_than(self.turn) else { return Ok(()) };
        let champion = lineup.champion.as_ref().map(|loaded| loaded.model.clone());
        let detector = &lineup.detector;
        let version = self.store.version(&versions(detector, lineup.champion_id()))?;
        let mut challengers = Vec::new();
        for (id, scorer) in lineup.in_the_shadow() {
            challengers.push((self.store.version(&versions(detector, Some(id)))?, scorer));
        }
        self.engine.set_model(champion);
        self.engine.set_rulebook(Arc::clone(detector));
        self.challengers = Challengers::new(challengers);
        (self.version, self.turn) = (version, Some(lineup.turn()));
        Ok(())
    }

    /// Works on a thread of its own until told to stop, then writes a snapshot.
    pub fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        let mut group = Vec::with_capacity(GROUP_MAX);
        while requests.blocking_recv_many(&mut group, GROUP_MAX) > 0 && self.turn(&mut group) {
            while self.refused && !self.rebuild() {
                std::thread::sleep(RETRY_AFTER);
                if !turn_away_all(&mut requests) {
                    return;
                }
            }
        }
        self.write_snapshot();
    }

    /// Works on the thread that answers HTTP until told to stop, then writes a snapshot. On a machine of few cores a
    /// group is decided and stored in less time than it takes to wake another thread and be woken by it.
    pub async fn run_inline(mut self, mut requests: mpsc::Receiver<Request>) {
        let mut group = Vec::with_capacity(GROUP_MAX);
        while requests.recv_many(&mut group, GROUP_MAX).await > 0 {
            // Every connection that has something to say by now says it first, and those that are heard meanwhile: they
            // share a commit, which costs as much for one as for all.
            for _ in 0..GATHERING_TURNS {
                tokio::task::yield_now().await;
            }
            while let Some(request) = (group.len() < GROUP_MAX).then(|| requests.try_recv().ok()).flatten() {
                group.push(request);
            }
            if !self.turn(&mut group) {
                break;
            }
            while self.refused && !self.rebuild() {
                tokio::time::sleep(RETRY_AFTER).await;
                if !turn_away_all(&mut requests) {
                    return;
                }
            }
        }
        self.write_snapshot();
    }

    /// One turn: work through what waits, then what is due now and then. False if it was told to stop.
    fn turn(&mut self, group: &mut Vec<Request>) -> bool {
        let running = self.work_through(group);
        self.measure_state();
        if self.since_snapshot >= self.snapshot_every {
            self.write_snapshot();
        }
        running
    }

    /// Works through what was waiting; false if it contained the word to stop.
    fn work_through(&mut self, requests: &mut Vec<Request>) -> bool {
        let mut running = true;
        let mut waiting = Vec::new();
        if let Err(error) = self.take_models() {
            // Those of before go on; the next group looks again.
            tracing::warn!(%error, "the models of the newest promotion cannot be taken yet");
        }
        for request in requests.drain(..) {
            match request {
                Request::Stop => running = false,
                // One caller has waited for the store to refuse; the others need not.
                request if self.refused => turn_away(request),
                Request::Decide { bodies, received, trace, reply } => {
                    let pending: Result<_, _> =
                        bodies.iter().map(|body| self.enter(body, received)).collect();
                    match pending {
                        Ok(pending) => waiting.push(Waiting { pending, received, trace, reply }),
                        Err(unavailable) => drop(reply.send(Err(unavailable))),
                    }
                }
                Request::Label { transaction_id, fraud, reply } => {
                    // The log has one order: what came before the label is stored before it.
                    self.finish_group(&mut waiting);
                    drop(reply.send(self.label(&transaction_id, fraud)));
                }
                Request::Revise { id, wanted, reply } => {
                    self.finish_group(&mut waiting);
                    drop(reply.send(self.revise(id, &wanted).map_err(|error| self.refuse(&error))));
                }
                Request::Erase { erasure, found, looked_to, reply } => {
                    self.finish_group(&mut waiting);
                    let erased = self.erase(&erasure, found, looked_to);
                    drop(reply.send(erased.map_err(|error| format!("{error:#}"))));
                }
                Request::Retire { before, received_before_us, reply } => {
                    self.finish_group(&mut waiting);
                    let retired = self.store.retire(before, received_before_us, RETIRED_AT_ONCE);
                    reply.send(retired.map_err(|error| self.refuse(&error))).ok();
                }
                Request::Inspect { kind, id, reply } => drop(reply.send(Ok(self.engine.inspect(&kind, &id)))),
                Request::Reject(rejection) => self.work.rejections.push(rejection),
                Request::Fallback(fallback) => self.work.fallbacks.push(fallback),
            }
        }
        self.finish_group(&mut waiting);
        running
    }

    /// Parses a body into the batch, or finds out what it will be answered instead.
    fn enter(&mut self, body: &[u8], received: Instant) -> Result<Pending, Unavailable> {
        let work = &mut self.work;
        if let Err(rejection) = check_size(body).and_then(|()| self.reader.read(body, &mut work.batch)) {
            work.rejections.push(new_rejection("http", &rejection, body));
            return Ok(Pending::Done(Answer::Rejected(rejection)));
        }
        let row = work.batch.len() - 1;
        let id = work.batch.id(row);
        if let Some(first) = work.ids.get(id).copied() {
            work.batch.pop_row();
            work.repeated += 1;
            return Ok(Pending::Again(first));
        }
        match self.store.begin().and_then(|()| self.store.position(id)) {
            Ok(None) => {
                work.ids.insert(id.to_string(), row);
                work.received.push(received);
                Ok(Pending::Row(row))
            }
            Ok(Some(_)) => self.answer_from_store(row),
            Err(error) => {
                self.work.batch.pop_row();
                Err(self.refuse(&error))
            }
        }
    }

    /// Takes the last row, whose id is stored, out of the batch and answers what is stored.
    fn answer_from_store(&mut self, row: usize) -> Result<Pending, Unavailable> {
        let found = self.store.find(self.work.batch.id(row));
        self.work.batch.pop_row();
        match found {
            Ok(Some(stored)) => {
                self.work.repeated += 1;
                let summary = DecisionSummary::of(&stored, self.work.batch.schema().minor_per_unit());
                let json = serde_json::to_string(&summary).expect("a summary has no maps with odd keys");
                Ok(Pending::Done(Answer::Decided { json, repeated: true }))
            }
            Ok(None) => Err(Unavailable),
            Err(error) => Err(self.refuse(&error)),
        }
    }

    /// Decides, stores and answers what was entered.
    fn finish_group(&mut self, waiting: &mut Vec<Waiting>) {
        if waiting.is_empty() && self.work.rejections.is_empty() && self.work.fallbacks.is_empty() {
            return;
        }
        let decided_at_us = now_us();
        let started = Instant::now();
        self.engine.process(&self.work.batch, self.next_sequence, &mut self.work.decisions);
        self.challengers.score(&self.work.decisions.features, self.work.batch.len(), &mut self.work.shadow);
        self.work.render(&self.engine);
        let group = Group {
            alert_window_us: Some(self.shared.alerts.window_us),
            ..self.work.group(self.next_sequence, decided_at_us, self.version)
        };
        let decided = Instant::now();
        let decide_us = (decided - started).as_micros() as u64;
        let appended = self.store.append(&group);
        let stored = Instant::now();
        let commit_us = (stored - decided).as_micros() as u64;
        match appended {
            Ok(()) => {
                self.since_snapshot += group.decisions.len() as u64;
                let answers = self.work.answers(&self.engine, &group);
                // Positions behind the last decision, of refused time jumps, are given again: a snapshot that stood on
                // one of them would be ahead of the log.
                let last = group.decisions.last().map(|decision| decision.sequence);
                self.next_sequence = last.map_or(self.next_sequence, |last| last + 1);
                let mut stats = lock(&self.shared.stats);
                stats.count_commit(commit_us, decided_at_us / 1_000_000);
                let waited = waiting.iter().map(|request| (started - request.received).as_micros() as u64);
                stats.count_stages(waited, decide_us, commit_us, group.decisions.len() as u64);
                drop(stats);
                self.count(&group, &answers, waiting, decided_at_us / 1_000_000);
                self.publish(&answers);
                let traced = self.traced(waiting);
                let group = group.decisions.len() as u32;
                answer_all(waiting, &answers);
                self.trace(&traced, Stages { started, decided, stored, answered: stored, group });
            }
            Err(error) => {
                drop(group);
                self.refuse(&error);
                waiting.drain(..).for_each(|waiting| drop(waiting.reply.send(Err(Unavailable))));
            }
        }
        self.work.clear();
    }

    /// The sampled requests of a group.
    fn traced(&self, waiting: &[Waiting]) -> Vec<(Trace, Instant)> {
        match self.shared.traces {
            None => Vec::new(),
            Some(_) => {
                waiting.iter().filter_map(|request| Some((request.trace?, request.received))).collect()
            }
        }
    }

    /// Keeps how it went, when everybody is answered.
    fn trace(&self, traced: &[(Trace, Instant)], stages: Stages) {
        let (Some(traces), false) = (&self.shared.traces, traced.is_empty()) else { return };
        let stages = Stages { answered: Instant::now(), ..stages };
        traced.iter().for_each(|(trace, received)| traces.decided(*trace, *received, &stages));
    }

    /// Offers what is stored to others, who are not waited for.
    fn publish(&self, answers: &[Answer]) {
        let Some(redis) = &self.shared.redis else { return };
        let summaries = answers.iter().enumerate().filter_map(|(row, answer)| match answer {
            Answer::Decided { json, .. } => Some((row, json.as_str())),
            Answer::Rejected(_) => None,
        });
        redis.offer(&self.engine, &self.work.batch, &self.work.decisions, summaries);
    }

    fn label(&mut self, transaction_id: &str, fraud: bool) -> Result<Option<LabelAccepted>, Unavailable> {
        self.store_label(transaction_id, fraud).map_err(|error| self.refuse(&error))
    }

    fn store_label(&mut self, transaction_id: &str, fraud: bool) -> store::Result<Option<LabelAccepted>> {
        let schema = &self.shared.detector.schema;
        let transaction_id = &*schema.known_as(schema.id_field(), transaction_id);
        let Some(stored) = self.store.find(transaction_id)? else { return Ok(None) };
        if let Some(known) = stored.label.filter(|known| known.fraud == fraud) {
            // Whoever got no answer sends it again: it counts once.
            let known_at = WireInstant(known.known_at_us);
            let accepted =
                LabelAccepted { transaction_id: stored.id, fraud, sequence: known.sequence, known_at };
            return Ok(Some(accepted));
        }
        let sequence = self.next_sequence;
        let known_at_us = now_us();
        let label = NewLabel { sequence, transaction_sequence: stored.sequence, fraud, known_at_us };
        let group = Group { labels: vec![label], ..Group::default() };
        self.store.append(&group)?;
        self.learn(&group, std::slice::from_ref(&stored));
        let known_at = WireInstant(known_at_us);
        Ok(Some(LabelAccepted { transaction_id: stored.id, fraud, sequence, known_at }))
    }

    /// Learns the labels of a group that is stored, each of the decision at its place.
    fn learn(&mut self, group: &Group, decisions: &[StoredDecision]) {
        self.next_sequence += group.labels.len() as i64;
        let mut batch = EventBatch::new(Arc::clone(self.work.batch.schema()));
        for (label, decision) in group.labels.iter().zip(decisions) {
            batch.clear();
            if self.reader.read(decision.event.as_bytes(), &mut batch).is_ok() {
                self.engine.learn(&batch, 0, decision.sequence, label.fraud);
                if let Some(redis) = &self.shared.redis {
                    redis.offer_learnt(&self.engine, &batch, 0);
                }
            }
        }
        let mut stats = lock(&self.shared.stats);
        stats.totals.add(group);
        for (label, decision) in group.labels.iter().zip(decisions) {
            stats.label_delays.observe(decision.event_time_us, label.known_at_us);
            stats.second(label.known_at_us / 1_000_000).labelled_fraud += u64::from(label.fraud);
        }
    }

    /// Does something with an alert; if that closes it, its transactions are labelled in the same transaction.
    fn revise(&mut self, id: i64, wanted: &AlertRequest) -> store::Result<Result<Plan, Refused>> {
        let plan = match Plan::of(&mut *self.store, id, wanted, now_us())? {
            Ok(plan) => plan,
            Err(refused) => return Ok(Err(refused)),
        };
        let group = plan.group(self.next_sequence);
        self.store.append(&group)?;
        self.learn(&group, &plan.labelled);
        Ok(Ok(plan))
    }

    /// Erases an id from the database, the snapshots and the state; what is decided later is what it would have been.
    fn erase(
        &mut self,
        pending: &PendingErasure,
        mut found: Vec<i64>,
        looked_to: i64,
    ) -> anyhow::Result<Erased> {
        let erasure = pending.erasure();
        found.extend(self.store.mentions(&erasure, looked_to)?);
        let erased = self.store.erase(&erasure, &found)?;
        self.engine.rename(&pending.field, &pending.value, &pending.tombstone)?;
        self.recovery.rename(&self.shared.detector, &pending.field, &pending.value, &pending.tombstone)?;
        self.store.scrub(&erasure)?;
        self.recovery.finish_erasure()?;
        Ok(erased)
    }

    fn count(&self, group: &Group, answers: &[Answer], waiting: &[Waiting], now_s: i64) {
        let mut stats = lock(&self.shared.stats);
        stats.totals.add(group);
        stats.count_rejections(&group.rejections);
        stats.stream_us = self.engine.stream_us();
        let second = stats.second(now_s);
        second.decisions += group.decisions.len() as u64;
        for decision in &group.decisions {
            second.in_review += u64::from(decision.outcome == engine::Outcome::Review);
            second.declined += u64::from(decision.outcome == engine::Outcome::Decline);
        }
        group.decisions.iter().for_each(|decision| stats.count_score(decision.score));
        for answer in answers {
            if let Answer::Decided { json, .. } = answer {
                stats.keep_recent(json);
            }
        }
        for request in waiting {
            stats.count_latency(request.received.elapsed().as_micros() as u64, now_s);
        }
    }

    /// Remembers what the store refused, for whoever looks at the health.
    fn refuse(&mut self, error: &store::StoreError) -> Unavailable {
        tracing::error!(%error, "the store refused");
        lock(&self.shared.condition).store_error = Some(error.to_string());
        self.refused = true;
        Unavailable
    }

    /// Brings the engine back to what the log says; false if the store does not accept yet. Nobody has to ask for that:
    /// a service that says that it is not ready is asked nothing.
    fn rebuild(&mut self) -> bool {
        self.work.clear();
        match self.restored() {
            Ok((engine, next_sequence)) => {
                tracing::info!(next_sequence, "the store accepts again");
                self.engine = engine;
                self.next_sequence = next_sequence;
                self.refused = false;
                lock(&self.shared.condition).store_error = None;
            }
            Err(error) => tracing::error!(error = %format!("{error:#}"), "cannot rebuild the state yet"),
        }
        !self.refused
    }

    fn restored(&mut self) -> anyhow::Result<(Engine, i64)> {
        self.store.probe()?;
        let model = self.engine.model().cloned();
        let detector = Arc::clone(self.engine.detector());
        self.recovery.restore(&detector, model, &mut *self.store, &mut |_| {})
    }

    fn measure_state(&mut self) {
        let started = Instant::now();
        if started < self.measure_state_at {
            return;
        }
        let sum = |size: StateSize, kind: engine::features::KindState| StateSize {
            entities: size.entities + kind.entities as u64,
            events: size.events + kind.events as u64,
            bytes: size.bytes + kind.bytes as u64,
        };
        let state = self.engine.state().into_iter().fold(StateSize::default(), sum);
        let mut condition = lock(&self.shared.condition);
        condition.state = state;
        self.measure_state_at = Instant::now() + STATE_INTERVAL.max(started.elapsed() * STATE_SHARE);
    }

    fn write_snapshot(&mut self) {
        if self.refused {
            return;
        }
        let bytes = self.engine.snapshot(self.next_sequence - 1);
        if let Err(error) = self.recovery.write(&bytes) {
            // The log has everything; a restart takes longer, that is all.
            tracing::warn!(error = %format!("{error:#}"), "no snapshot could be written");
        }
        self.since_snapshot = 0;
    }
}

fn answer_all(waiting: &mut Vec<Waiting>, rows: &[Answer]) {
    for request in waiting.drain(..) {
        let answers = request.pending.into_iter().map(|pending| match pending {
            Pending::Done(answer) => answer,
            Pending::Row(row) => rows[row].clone(),
            Pending::Again(row) => match &rows[row] {
                Answer::Decided { json, .. } => Answer::Decided { json: json.clone(), repeated: true },
                rejected @ Answer::Rejected(_) => rejected.clone(),
            },
        });
        // Whoever asked may have gone; the decision stands all the same.
        drop(request.reply.send(Ok(answers.collect())));
    }
}

/// A line of a batch can be as long as the batch.
///
/// # Errors
/// If it is longer than a transaction may be.
pub fn check_size(body: &[u8]) -> Result<(), Rejection> {
    if body.len() <= TRANSACTION_BYTES_MAX {
        return Ok(());
    }
    let found = format_args!("a transaction of more than {TRANSACTION_BYTES_MAX} bytes");
    Err(FieldError::new("", found, "a smaller one").into())
}

/// Answers a request that the store cannot serve now.
fn turn_away(request: Request) {
    match request {
        Request::Decide { reply, .. } => drop(reply.send(Err(Unavailable))),
        Request::Label { reply, .. } => drop(reply.send(Err(Unavailable))),
        Request::Inspect { reply, .. } => drop(reply.send(Err(Unavailable))),
        Request::Revise { reply, .. } => drop(reply.send(Err(Unavailable))),
        Request::Erase { reply, .. } => drop(reply.send(Err("the store refuses at the moment".to_string()))),
        Request::Retire { reply, .. } => drop(reply.send(Err(Unavailable))),
        Request::Reject(_) | Request::Fallback(_) | Request::Stop => {}
    }
}

/// Turns away whoever waits; false if that was the word to stop.
fn turn_away_all(requests: &mut mpsc::Receiver<Request>) -> bool {
    while let Ok(request) = requests.try_recv() {
        if matches!(request, Request::Stop) {
            return false;
        }
        turn_away(request);
    }
    true
}

impl Work {
    fn new(batch: EventBatch) -> Work {
        Work {
            batch,
            decisions: Decisions::default(),
            received: Vec::new(),
            rendered: Rendered::default(),
            shadow: ShadowScores::default(),
            ids: HashMap::new(),
            rejections: Vec::new(),
            fallbacks: Vec::new(),
            repeated: 0,
        }
    }

    fn clear(&mut self) {
        self.batch.clear();
        self.received.clear();
        self.rendered.clear();
        self.ids.clear();
        self.rejections.clear();
        self.fallbacks.clear();
        self.repeated = 0;
    }

    /// Writes each row's event, fired rules and reasons as text.
    fn render(&mut self, engine: &Engine) {
        self.rendered.fill(engine.detector(), &self.batch, &self.decisions);
        for row in (0..self.batch.len()).filter(|row| self.decisions.statuses[*row] == Status::TimeJump) {
            let rejection = engine.time_jump(&self.batch, row).into();
            self.rejections.push(new_rejection("http", &rejection, self.rendered.event(row).as_bytes()));
        }
    }

    fn group(&self, first_sequence: i64, decided_at_us: i64, version: i64) -> Group<'_> {
        let decided = (0..self.batch.len()).filter(|row| self.decisions.statuses[*row] != Status::TimeJump);
        Group {
            decisions: decided.map(|row| self.row(row, first_sequence, decided_at_us, version)).collect(),
            labels: Vec::new(),
            rejections: self.rejections.clone(),
            fallbacks: self.fallbacks.clone(),
            repeated: self.repeated,
            ..Group::default()
        }
    }

    fn row(&self, row: usize, first_sequence: i64, decided_at_us: i64, version: i64) -> NewDecision<'_> {
        let decided = self.rendered.decision(&self.batch, &self.decisions, row);
        let latency_us = self.received[row].elapsed().as_micros() as i64;
        NewDecision {
            sequence: first_sequence + row as i64,
            decided_at_us,
            latency_us,
            version,
            shadow: self.shadow.of(row),
            ..decided
        }
    }

    /// The answer to each row, in order.
    fn answers(&self, engine: &Engine, group: &Group) -> Vec<Answer> {
        let minor_per_unit = engine.detector().schema.minor_per_unit();
        let mut stored = group.decisions.iter();
        (0..self.batch.len())
            .map(|row| match self.decisions.statuses[row] {
                Status::TimeJump => Answer::Rejected(engine.time_jump(&self.batch, row).into()),
                _ => {
                    let decision = stored.next().expect("every row that was not refused is in the group");
                    Answer::Decided { json: render::summary(decision, minor_per_unit), repeated: false }
                }
            })
            .collect()
    }
}

/// A rejection as it is stored: body and reasons cut to a bounded length, card numbers in them masked.
pub fn new_rejection(source: &str, rejection: &Rejection, body: &[u8]) -> NewRejection {
    NewRejection {
        received_at_us: now_us(),
        source: source.to_string(),
        reason: mask_start(&mask(&rejection.to_string()), REASON_BYTES_MAX),
        // A character more than is kept: so that what is cut is seen to be cut.
        raw: mask_start(&String::from_utf8_lossy(&body[..body.len().min(RAW_BYTES_MAX + 4)]), RAW_BYTES_MAX),
    }
}
