//! The whole: a batch of events in, decisions out.
//!
//! Every (kind of entity, entity) has one owner, the shard that its hash names. A batch is dealt by entity, each shard
//! works through its events in stream order, the results are gathered in stream order, expressions, scores and rules
//! follow row by row. No step looks at how many shards there are or where a batch was cut, so neither can show.

use std::hash::BuildHasher;
use std::sync::Arc;

use rayon::prelude::*;

use crate::decide::{Outcome, decide};
use crate::detector::{Definition, Detector, Source};
use crate::event::{EventBatch, FieldError, Label};
use crate::expression::Context;
use crate::features::{EntityTable, EntityView, KindState, Observation, Plan, RUN_ROWS, Timeliness};
use crate::model::{Model, ReasonScratch};
use crate::reason::Reason;
use crate::time;

/// Batches smaller than this are worked through on the calling thread: waking others costs more than it saves.
const PARALLEL_ROWS_MIN: usize = 256;

/// Rows that are scored together: their features fit the first-level cache.
const CHUNK_ROWS: usize = 128;

/// What became of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Decided, in order.
    OnTime,
    /// Decided as of its own time, and entered there: it is older than the newest event of one of its entities.
    Late,
    /// Decided as of its own time, but too late to be entered.
    TooLate,
    /// Not decided: its time is further ahead of the stream than the detector allows.
    TimeJump,
}

/// The decisions of a batch, one row each, in stream order.
#[derive(Debug, Default, Clone)]
pub struct Decisions {
    /// Row-major, rows times features; NaN is missing. Rows with [`Status::TimeJump`] are all NaN.
    pub features: Vec<f64>,
    /// Probability of fraud; NaN without a model.
    pub scores: Vec<f64>,
    /// Outcomes.
    pub outcomes: Vec<Outcome>,
    /// What became of each row.
    pub statuses: Vec<Status>,
    fired: Vec<u16>,
    fired_end: Vec<u32>,
    reasons: Vec<Reason>,
    reasons_end: Vec<u32>,
}

impl Decisions {
    /// Rows.
    pub fn len(&self) -> usize {
        self.statuses.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.statuses.is_empty()
    }

    /// Puts what earlier stages, elsewhere, have found out about a row.
    ///
    /// # Panics
    /// If there is no such row, or the number of features is another.
    pub fn set_row(&mut self, row: usize, features: &[f64], status: Status) {
        let columns = self.features.len() / self.len().max(1);
        self.features[row * columns..][..columns].copy_from_slice(features);
        self.statuses[row] = status;
    }

    /// Features of a row.
    pub fn features_of(&self, row: usize) -> &[f64] {
        let columns = self.features.len() / self.len().max(1);
        &self.features[row * columns..(row + 1) * columns]
    }

    /// Indices of the rules that fired for a row.
    pub fn rules_of(&self, row: usize) -> &[u16] {
        let start = if row == 0 { 0 } else { self.fired_end[row - 1] as usize };
        &self.fired[start..self.fired_end[row] as usize]
    }

    /// Why a row looks suspicious, largest contribution first. Empty below the threshold of review, without a model, and for
    /// models that cannot say.
    pub fn reasons_of(&self, row: usize) -> &[Reason] {
        let start = if row == 0 { 0 } else { self.reasons_end[row - 1] as usize };
        &self.reasons[start..self.reasons_end[row] as usize]
    }

    /// Begins a batch: rows in time, no feature known. For rows that pass through stages one by one; an engine that
    /// does it all begins by itself.
    pub fn begin(&mut self, rows: usize, columns: usize) {
        self.features.clear();
        self.features.resize(rows * columns, f64::NAN);
        self.statuses.clear();
        self.statuses.resize(rows, Status::OnTime);
        self.scores.clear();
        self.outcomes.clear();
        self.fired.clear();
        self.fired_end.clear();
        self.reasons.clear();
        self.reasons_end.clear();
    }
}

/// The state of a detector and what computes on it.
pub struct Engine {
    pub(crate) detector: Arc<Detector>,
    pub(crate) plan: Plan,
    /// The one kind of entity that a stage keeps; all of them if `None`.
    pub(crate) only: Option<String>,
    pub(crate) shards: Vec<Shard>,
    /// Newest event time of the stream.
    pub(crate) stream_us: Option<i64>,
    decider: Decider,
    scratch: Scratch,
}

/// What makes decisions of features: expressions, model, rules. It has no state.
pub struct Decider {
    detector: Arc<Detector>,
    model: Option<Model>,
    chunks: Vec<Chunk>,
    takes_all_cores: bool,
}

/// The positions of a batch's rows in the log.
#[derive(Debug, Clone, Copy)]
pub enum Positions<'a> {
    /// Row `i` stands at this and `i`.
    From(i64),
    /// Each row has its own, by row.
    Each(&'a [i64]),
}

impl Positions<'_> {
    #[inline]
    fn of(self, row: usize) -> i64 {
        match self {
            Positions::From(first) => first + row as i64,
            Positions::Each(positions) => positions[row],
        }
    }
}

/// What a stage does with an event that is too far ahead of the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeJumps {
    /// Refuses it: so the first stage, where the stream comes in.
    Refuse,
    /// Takes it: an earlier stage has let it through.
    Admit,
}

/// One owner of entities: a table for each kind.
pub(crate) struct Shard {
    pub tables: Vec<EntityTable>,
    /// What it has computed of the batch, by kind.
    observed: Vec<Observed>,
    /// Kept values and features of one row.
    values: Vec<i64>,
    features: Vec<f64>,
}

/// The rows of a batch that concern one shard's entities of one kind, in stream order.
#[derive(Default)]
struct Observed {
    rows: Vec<u32>,
    timeliness: Vec<Timeliness>,
    /// Row-major, in the order of the plan's columns.
    features: Vec<f64>,
}

/// A batch, with what all shards need to know of it.
#[derive(Clone, Copy)]
struct Task<'a> {
    batch: &'a EventBatch,
    positions: Positions<'a>,
    hashes: &'a [u64],
    stream_us: &'a [i64],
}

#[derive(Default)]
struct Scratch {
    /// Kind after kind, row after row.
    hashes: Vec<u64>,
    /// Newest event time of the stream as of each row.
    stream_us: Vec<i64>,
}

/// Results of one run of rows, computed by one thread.
#[derive(Default)]
struct Chunk {
    forest: forest::Scratch,
    scores: Vec<f64>,
    outcomes: Vec<Outcome>,
    fired: Vec<u16>,
    fired_end: Vec<u32>,
    explaining: ReasonScratch,
    reasons: Vec<Reason>,
    reasons_end: Vec<u32>,
}

/// Hash of an entity's id. Fixed, so that shards and snapshots agree between processes.
pub(crate) fn hash_text(text: &str) -> u64 {
    foldhash::quality::FixedState::with_seed(0x7265_6466_6c61_6721).hash_one(text)
}

impl Engine {
    /// An engine without a past. `shards` owners share the entities; results do not depend on how many.
    pub fn new(detector: Arc<Detector>, model: Option<Model>, shards: usize) -> Engine {
        let plan = Plan::new(&detector);
        Engine::with_plan(detector, plan, None, model, shards)
    }

    /// A stage without a past: it keeps the windows of one kind of entity, or of none. A chain of stages, one for each
    /// kind, computes what one engine does; see [`Engine::observe_rows`].
    pub fn stage(detector: Arc<Detector>, kind: Option<&str>) -> Engine {
        let mut plan = Plan::new(&detector);
        plan.kinds.retain(|plan| Some(plan.name.as_str()) == kind);
        Engine::with_plan(detector, plan, Some(kind.unwrap_or_default().to_string()), None, 1)
    }

    fn with_plan(
        detector: Arc<Detector>,
        plan: Plan,
        only: Option<String>,
        model: Option<Model>,
        shards: usize,
    ) -> Engine {
        let shards = (0..shards.max(1)).map(|_| Shard::new(&plan)).collect();
        let decider = Decider::new(Arc::clone(&detector), model);
        Engine { detector, plan, only, shards, stream_us: None, decider, scratch: Scratch::default() }
    }

    /// Its detector.
    pub fn detector(&self) -> &Arc<Detector> {
        &self.detector
    }

    /// Its model.
    pub fn model(&self) -> Option<&Model> {
        self.decider.model.as_ref()
    }

    /// Replaces the model; the state stays.
    pub fn set_model(&mut self, model: Option<Model>) {
        self.decider.model = model;
    }

    /// The newest event time of the stream.
    pub fn stream_us(&self) -> Option<i64> {
        self.stream_us
    }

    /// Decides a batch of transactions and enters them. Row `i` has the position `first_sequence + i` in the log.
    /// `decisions` is overwritten; its memory is reused, so that in steady state nothing is allocated.
    pub fn process(&mut self, batch: &EventBatch, first_sequence: i64, decisions: &mut Decisions) {
        self.observe(batch, first_sequence, decisions);
        self.decider.decide(batch, decisions);
    }

    /// Enters a batch of transactions and computes their window features only: what replaying a log for its state needs.
    pub fn observe(&mut self, batch: &EventBatch, first_sequence: i64, decisions: &mut Decisions) {
        decisions.begin(batch.len(), self.detector.features.len());
        let positions = Positions::From(first_sequence);
        self.scratch.begin(batch.len(), self.plan.kinds.len());
        self.place_in_time(batch, 0..batch.len(), TimeJumps::Refuse, decisions);
        self.hash_entities(batch);
        if self.shards.len() == 1 {
            self.observe_here(batch, 0..batch.len(), positions, decisions);
        } else {
            self.observe_sharded(batch, positions, decisions);
        }
    }

    /// Enters some rows of a batch, in the order given, and adds what this engine's kinds of entities know of them to
    /// `decisions`, which was begun for the batch. So a batch whose rows belong to many partitions passes through the
    /// stages that own them, and is decided once. Rows that were refused by an earlier stage are left alone.
    pub fn observe_rows(
        &mut self,
        batch: &EventBatch,
        rows: &[u32],
        positions: Positions,
        jumps: TimeJumps,
        decisions: &mut Decisions,
    ) {
        let rows = || rows.iter().map(|row| *row as usize);
        self.scratch.begin(batch.len(), self.plan.kinds.len());
        self.place_in_time(batch, rows(), jumps, decisions);
        for (kind, hashes) in
            self.plan.kinds.iter().zip(self.scratch.hashes.chunks_exact_mut(batch.len().max(1)))
        {
            rows().for_each(|row| hashes[row] = hash_text(batch.text(row, kind.by)));
        }
        self.observe_here(batch, rows(), positions, decisions);
    }

    /// Learns that an earlier transaction was fraud or not. `transaction` is that transaction's row, `sequence` its
    /// position in the log. Windows count the label from now on.
    pub fn learn(&mut self, batch: &EventBatch, transaction: usize, sequence: i64, fraud: bool) {
        let shards = self.shards.len() as u64;
        for (kind, plan) in self.plan.kinds.iter().enumerate() {
            let key = batch.text(transaction, plan.by);
            let hash = hash_text(key);
            let table = &mut self.shards[owner(hash, shards)].tables[kind];
            table.set_label(key, hash, batch.time_us(transaction), Some(sequence), fraud);
        }
    }

    /// As [`Engine::learn`], where nobody knows any more at which position the transaction stands: of an entity's events at
    /// the same instant, which look alike to every window, the first is taken.
    pub fn learn_by_time(&mut self, batch: &EventBatch, transaction: usize, fraud: bool) {
        let shards = self.shards.len() as u64;
        for (kind, plan) in self.plan.kinds.iter().enumerate() {
            let key = batch.text(transaction, plan.by);
            let hash = hash_text(key);
            let table = &mut self.shards[owner(hash, shards)].tables[kind];
            table.set_label(key, hash, batch.time_us(transaction), None, fraud);
        }
    }

    /// Names of the fields by which windows of labels are kept.
    pub fn kinds_with_labels(&self) -> impl Iterator<Item = &str> {
        self.plan.kinds.iter().filter(|plan| plan.label_column.is_some()).map(|plan| plan.name.as_str())
    }

    /// Why a row with [`Status::TimeJump`] was not decided; `batch` is the one that was processed last.
    pub fn time_jump(&self, batch: &EventBatch, row: usize) -> FieldError {
        let schema = batch.schema();
        let limit = time::format_duration(schema.max_time_jump_us);
        // The stream's time at that row, not at the end of the batch: where a batch was cut must not show.
        let newest = self.scratch.stream_us.get(row).copied().map(time::format_instant).unwrap_or_default();
        FieldError::new(
            schema.time_field(),
            time::format_instant(batch.time_us(row)),
            format!("a time at most {limit} (max_time_jump) after the newest of the stream, {newest}"),
        )
    }

    /// How much older than the newest of its entity an event may be and still enter its true place, whatever the kind.
    pub fn max_lateness_us(&self) -> i64 {
        self.plan.kinds.iter().map(|kind| kind.max_lateness_us).min().unwrap_or(i64::MAX)
    }

    /// What is held, by kind of entity.
    pub fn state(&self) -> Vec<KindState> {
        let kinds = 0..self.plan.kinds.len();
        kinds
            .map(|kind| KindState::join(self.shards.iter().map(|shard| shard.tables[kind].state())))
            .collect()
    }

    /// The windows of one entity as of its newest event; `None` if nothing of it is held. `kind` is the name of the
    /// field that holds its id.
    pub fn inspect(&self, kind: &str, key: &str) -> Option<EntityView> {
        let mut features = Vec::new();
        let name = |column: usize| self.detector.features[column].name.clone();
        let (newest_us, events) =
            self.inspect_each(kind, key, |column, value| features.push((name(column), value)))?;
        Some(EntityView { newest_us, events, features })
    }

    /// As [`Engine::inspect`], without allocating: gives each feature as (column, value), then the time of the entity's
    /// newest event and how many are held.
    pub fn inspect_each(&self, kind: &str, key: &str, each: impl FnMut(usize, f64)) -> Option<(i64, usize)> {
        let at = self.plan.kinds.iter().position(|plan| plan.name == kind)?;
        let hash = hash_text(key);
        self.shards[owner(hash, self.shards.len() as u64)].tables[at].inspect(key, hash, each)
    }

    /// Names of the fields that name entities with windows.
    pub fn kinds(&self) -> impl Iterator<Item = &str> {
        self.plan.kinds.iter().map(|plan| plan.name.as_str())
    }

    /// "Now" is the event: the stream's time is that of its newest event, and a row too far ahead of it is refused.
    fn place_in_time(
        &mut self,
        batch: &EventBatch,
        rows: impl Iterator<Item = usize>,
        jumps: TimeJumps,
        decisions: &mut Decisions,
    ) {
        let jump_us = self.detector.schema.max_time_jump_us;
        let mut newest_us = self.stream_us;
        for row in rows {
            let (time_us, status) = (batch.time_us(row), &mut decisions.statuses[row]);
            if *status == Status::TimeJump {
                continue;
            }
            let too_far = newest_us.is_some_and(|newest_us| time_us > newest_us + jump_us);
            if too_far && jumps == TimeJumps::Refuse {
                *status = Status::TimeJump;
            } else {
                newest_us = newest_us.max(Some(time_us));
            }
            self.scratch.stream_us[row] = newest_us.unwrap_or(time_us);
        }
        self.stream_us = newest_us;
    }

    fn hash_entities(&mut self, batch: &EventBatch) {
        let hashes = &mut self.scratch.hashes;
        for (kind, hashes) in self.plan.kinds.iter().zip(hashes.chunks_exact_mut(batch.len().max(1))) {
            let hash = |(first_row, hashes): (usize, &mut [u64])| {
                for (row, hash) in (first_row * CHUNK_ROWS..).zip(hashes) {
                    *hash = hash_text(batch.text(row, kind.by));
                }
            };
            if self.shards.len() > 1 && batch.len() >= PARALLEL_ROWS_MIN {
                hashes.par_chunks_mut(CHUNK_ROWS).enumerate().for_each(hash);
            } else {
                hashes.chunks_mut(CHUNK_ROWS).enumerate().for_each(hash);
            }
        }
    }

    /// With one shard nothing needs to be dealt and gathered.
    fn observe_here(
        &mut self,
        batch: &EventBatch,
        mut rows: impl Iterator<Item = usize>,
        positions: Positions,
        decisions: &mut Decisions,
    ) {
        let columns = self.detector.features.len();
        let Scratch { hashes, stream_us } = &self.scratch;
        let task = Task { batch, positions, hashes, stream_us };
        let shard = &mut self.shards[0];
        let mut run = [0; RUN_ROWS];
        loop {
            let mut count = 0;
            let admitted = rows.by_ref().filter(|row| decisions.statuses[*row] != Status::TimeJump);
            for row in admitted.take(RUN_ROWS) {
                run[count] = row as u32;
                count += 1;
            }
            for (kind, plan) in self.plan.kinds.iter().enumerate() {
                shard.observe_run(kind, &task, &run[..count], |row, timeliness, features| {
                    let out = &mut decisions.features[row * columns..][..columns];
                    plan.columns.iter().zip(features).for_each(|(column, value)| out[*column] = *value);
                    worsen(&mut decisions.statuses[row], timeliness);
                });
            }
            if count < RUN_ROWS {
                return;
            }
        }
    }

    fn observe_sharded(&mut self, batch: &EventBatch, positions: Positions, decisions: &mut Decisions) {
        let columns = self.detector.features.len();
        let shards = self.shards.len() as u64;
        let Scratch { hashes, stream_us } = &self.scratch;
        let task = Task { batch, positions, hashes, stream_us };
        let statuses = &decisions.statuses;
        let parallel = batch.len() >= PARALLEL_ROWS_MIN;
        let work = |(number, shard): (usize, &mut Shard)| {
            shard.observe_own(|hash| owner(hash, shards) == number, &task, statuses);
        };
        if parallel {
            self.shards.par_iter_mut().enumerate().for_each(work);
        } else {
            self.shards.iter_mut().enumerate().for_each(work);
        }
        let (shards, plan) = (&self.shards, &self.plan);
        let gather = |(chunk, (features, statuses)): (usize, (&mut [f64], &mut [Status]))| {
            shards
                .iter()
                .for_each(|shard| shard.gather(plan, chunk * CHUNK_ROWS, columns, features, statuses));
        };
        let (features, statuses) = (&mut decisions.features, &mut decisions.statuses);
        if parallel {
            let features = features.par_chunks_mut(CHUNK_ROWS * columns);
            features.zip(statuses.par_chunks_mut(CHUNK_ROWS)).enumerate().for_each(gather);
        } else {
            let features = features.chunks_mut(CHUNK_ROWS * columns);
            features.zip(statuses.chunks_mut(CHUNK_ROWS)).enumerate().for_each(gather);
        }
    }
}

impl Decider {
    /// What decides for this detector with this model.
    pub fn new(detector: Arc<Detector>, model: Option<Model>) -> Decider {
        Decider { detector, model, chunks: Vec::new(), takes_all_cores: true }
    }

    /// Works on the thread that calls it alone: batches take longer, and cost less.
    pub fn on_one_thread(mut self) -> Decider {
        self.takes_all_cores = false;
        self
    }

    /// Its model.
    pub fn model(&self) -> Option<&Model> {
        self.model.as_ref()
    }

    /// Expressions, scores, rules: row by row, in runs of [`CHUNK_ROWS`].
    /// `decisions` holds the window features of all rows.
    pub fn decide(&mut self, batch: &EventBatch, decisions: &mut Decisions) {
        let columns = self.detector.features.len();
        let chunks = batch.len().div_ceil(CHUNK_ROWS);
        if self.chunks.len() < chunks {
            self.chunks.resize_with(chunks, Chunk::default);
        }
        let (detector, model) = (&*self.detector, self.model.as_ref());
        let statuses = &decisions.statuses;
        let features = decisions.features.chunks_mut(CHUNK_ROWS * columns);
        let outputs = &mut self.chunks[..chunks];
        let work = |(number, (rows, chunk)): (usize, (&mut [f64], &mut Chunk))| {
            chunk.fill(detector, model, batch, number * CHUNK_ROWS, statuses, rows);
        };
        if self.takes_all_cores && chunks > 1 && batch.len() >= PARALLEL_ROWS_MIN {
            let features = decisions.features.par_chunks_mut(CHUNK_ROWS * columns);
            features.zip(outputs.par_iter_mut()).enumerate().for_each(work);
        } else {
            features.zip(outputs.iter_mut()).enumerate().for_each(work);
        }
        for chunk in &self.chunks[..chunks] {
            decisions.scores.extend_from_slice(&chunk.scores);
            decisions.outcomes.extend_from_slice(&chunk.outcomes);
            let before = decisions.fired.len() as u32;
            decisions.fired.extend_from_slice(&chunk.fired);
            decisions.fired_end.extend(chunk.fired_end.iter().map(|end| before + end));
            let before = decisions.reasons.len() as u32;
            decisions.reasons.extend_from_slice(&chunk.reasons);
            decisions.reasons_end.extend(chunk.reasons_end.iter().map(|end| before + end));
        }
    }
}

impl Scratch {
    fn begin(&mut self, rows: usize, kinds: usize) {
        self.hashes.resize(kinds * rows, 0);
        self.stream_us.resize(rows, 0);
    }
}

/// The shard that owns an entity. The table inside uses the low bits of the hash, so this uses the high ones.
pub(crate) fn owner(hash: u64, shards: u64) -> usize {
    ((u128::from(hash) * u128::from(shards)) >> 64) as usize
}

impl From<Timeliness> for Status {
    fn from(timeliness: Timeliness) -> Status {
        match timeliness {
            Timeliness::OnTime => Status::OnTime,
            Timeliness::Late => Status::Late,
            Timeliness::TooLate => Status::TooLate,
        }
    }
}

impl Shard {
    pub(crate) fn new(plan: &Plan) -> Shard {
        Shard {
            tables: plan.kinds.iter().map(|kind| EntityTable::new(Arc::clone(kind))).collect(),
            observed: plan.kinds.iter().map(|_| Observed::default()).collect(),
            values: Vec::new(),
            features: Vec::new(),
        }
    }

    /// Enters rows into the table of one kind and tells what became of each. A row that does not name the entity has no
    /// features of it. At most [`RUN_ROWS`].
    #[inline]
    fn observe_run(
        &mut self,
        kind: usize,
        task: &Task,
        rows: &[u32],
        mut done: impl FnMut(usize, Timeliness, &[f64]),
    ) {
        let table = &mut self.tables[kind];
        let by = table.plan.by;
        let hashes = &task.hashes[kind * task.batch.len()..][..task.batch.len()];
        let Some(&first) = rows.first() else { return };
        let rows = rows.iter().map(|row| *row as usize);
        let keys = rows.clone().map(|row| (task.batch.text(row, by), hashes[row]));
        table.look_up(keys, task.stream_us[first as usize]);
        self.features.resize(table.plan.columns.len(), f64::NAN);
        for (place, row) in rows.enumerate() {
            let key = task.batch.text(row, by);
            if key.is_empty() {
                continue;
            }
            table.plan.read_values(task.batch, row, task.positions.of(row), &mut self.values);
            let event = Observation {
                key,
                hash: hashes[row],
                time_us: task.batch.time_us(row),
                stream_us: task.stream_us[row],
                values: &self.values,
            };
            let timeliness = table.observe(place, &event, &mut self.features);
            done(row, timeliness, &self.features);
        }
    }

    /// Works through the rows of the batch that concern this shard's entities, kind after kind, in stream order.
    fn observe_own(&mut self, owns: impl Fn(u64) -> bool, task: &Task, statuses: &[Status]) {
        for kind in 0..self.tables.len() {
            let mut observed = std::mem::take(&mut self.observed[kind]);
            observed.clear();
            let (by, hashes) = (self.tables[kind].plan.by, &task.hashes[kind * statuses.len()..]);
            let concerns = |row: &usize| {
                owns(hashes[*row])
                    && statuses[*row] != Status::TimeJump
                    && !task.batch.text(*row, by).is_empty()
            };
            observed.rows.extend((0..statuses.len()).filter(concerns).map(|row| row as u32));
            for run in observed.rows.chunks(RUN_ROWS) {
                self.observe_run(kind, task, run, |_, timeliness, features| {
                    observed.timeliness.push(timeliness);
                    observed.features.extend_from_slice(features);
                });
            }
            self.observed[kind] = observed;
        }
    }

    /// Copies what it has computed of some rows to where it belongs in stream order.
    fn gather(
        &self,
        plan: &Plan,
        first_row: usize,
        columns: usize,
        features: &mut [f64],
        statuses: &mut [Status],
    ) {
        for (kind, Observed { rows, timeliness, features: computed }) in plan.kinds.iter().zip(&self.observed)
        {
            let width = kind.columns.len();
            let from = rows.partition_point(|row| (*row as usize) < first_row);
            let computed = computed[from * width..].chunks_exact(width);
            for ((row, timeliness), computed) in rows[from..].iter().zip(&timeliness[from..]).zip(computed) {
                let row = *row as usize - first_row;
                let Some(status) = statuses.get_mut(row) else { break };
                worsen(status, *timeliness);
                let out = &mut features[row * columns..][..columns];
                kind.columns.iter().zip(computed).for_each(|(column, value)| out[*column] = *value);
            }
        }
    }
}

impl Observed {
    fn clear(&mut self) {
        self.rows.clear();
        self.timeliness.clear();
        self.features.clear();
    }
}

fn worsen(status: &mut Status, timeliness: Timeliness) {
    let other = Status::from(timeliness);
    if other as u8 > *status as u8 {
        *status = other;
    }
}

impl Chunk {
    fn fill(
        &mut self,
        detector: &Detector,
        model: Option<&Model>,
        batch: &EventBatch,
        first_row: usize,
        statuses: &[Status],
        features: &mut [f64],
    ) {
        let columns = detector.features.len();
        self.scores.clear();
        self.outcomes.clear();
        self.fired.clear();
        self.fired_end.clear();
        self.reasons.clear();
        self.reasons_end.clear();
        for (index, row) in features.chunks_mut(columns).enumerate() {
            if statuses[first_row + index] != Status::TimeJump {
                complete_row(detector, batch, first_row + index, row);
            }
        }
        match model {
            Some(model) => model.score_batch(features, &mut self.forest, &mut self.scores),
            None => self.scores.resize(features.len() / columns, f64::NAN),
        }
        for (index, row) in features.chunks(columns).enumerate() {
            let score = self.scores[index];
            let cx = Context { batch, row: first_row + index, features: row, score };
            let decided = statuses[first_row + index] != Status::TimeJump;
            let outcome = if decided { self.decide_row(detector, model, &cx) } else { Outcome::Review };
            self.outcomes.push(outcome);
            self.fired_end.push(self.fired.len() as u32);
            self.reasons_end.push(self.reasons.len() as u32);
        }
    }

    fn decide_row(&mut self, detector: &Detector, model: Option<&Model>, cx: &Context) -> Outcome {
        let review_score_min = model.map_or(0.0, |model| model.review_score_min);
        let amount = cx.batch.amount(cx.row);
        let by_policy = detector.policy.outcome(cx.score, amount, review_score_min);
        let outcome = decide(&detector.rules, by_policy, cx, &mut self.fired);
        let asked = outcome.max(by_policy) != Outcome::Approve;
        if let Some(model) = model.filter(|model| asked || model.reviews(cx.score)) {
            model.explain(cx.features, &mut self.explaining, &mut self.reasons);
        }
        outcome
    }
}

/// Fields and expressions, in the order of the file. A value that is not finite becomes missing.
fn complete_row(detector: &Detector, batch: &EventBatch, row: usize, features: &mut [f64]) {
    for (column, feature) in detector.features.iter().enumerate() {
        let value = match &feature.definition {
            Definition::Window(_) => continue,
            Definition::Field(source) => field_value(detector, *source, batch, row),
            Definition::Expression(expression) => {
                expression.evaluate(&Context { batch, row, features, score: f64::NAN })
            }
        };
        features[column] = if value.is_finite() { value } else { f64::NAN };
    }
}

fn field_value(detector: &Detector, source: Source, batch: &EventBatch, row: usize) -> f64 {
    match source {
        Source::Amount => batch.amount(row),
        Source::Label => f64::from(u8::from(batch.label(row) == Label::Fraud)),
        Source::Number(slot) => batch.number(row, slot),
        Source::Text(slot) => category_code(detector, batch.text(row, slot), slot),
    }
}

/// The position of a category among the declared values; missing if it is none of them.
fn category_code(detector: &Detector, text: &str, slot: usize) -> f64 {
    use crate::detector::FieldKind;
    let values = detector.schema.fields.iter().find_map(|field| match &field.kind {
        FieldKind::Category { slot: s, values } if *s == slot => Some(values),
        _ => None,
    });
    let position = values.and_then(|values| values.iter().position(|value| value == text));
    position.map_or(f64::NAN, |position| position as f64)
}
