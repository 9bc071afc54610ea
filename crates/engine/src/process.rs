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
use crate::features::{
    EntityTable, EntityView, Inspected, KindState, Observation, Plan, Timeliness, WARM_ROWS,
};
use crate::model::Model;
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

    fn clear(&mut self) {
        self.features.clear();
        self.scores.clear();
        self.outcomes.clear();
        self.statuses.clear();
        self.fired.clear();
        self.fired_end.clear();
    }
}

/// The state of a detector and what computes on it.
pub struct Engine {
    pub(crate) detector: Arc<Detector>,
    pub(crate) plan: Plan,
    model: Option<Model>,
    pub(crate) shards: Vec<Shard>,
    /// Newest event time of the stream.
    pub(crate) stream_us: Option<i64>,
    scratch: Scratch,
}

/// One owner of entities: a table for each kind.
pub(crate) struct Shard {
    pub tables: Vec<EntityTable>,
    values: Vec<i64>,
    /// Rows done, and their features of each kind.
    rows: Vec<Observed>,
    features: Vec<f64>,
    row: Vec<f64>,
    /// Rows of the batch that concern this shard.
    own: Vec<usize>,
}

/// A row that a shard has entered into its table of one kind.
struct Observed {
    row: usize,
    kind: usize,
    timeliness: Timeliness,
}

#[derive(Default)]
struct Scratch {
    /// Row-major, rows times kinds.
    hashes: Vec<u64>,
    /// Newest event time of the stream as of each row.
    stream_us: Vec<i64>,
    chunks: Vec<Chunk>,
}

/// Results of one run of rows, computed by one thread.
#[derive(Default)]
struct Chunk {
    forest: forest::Scratch,
    scores: Vec<f64>,
    outcomes: Vec<Outcome>,
    fired: Vec<u16>,
    fired_end: Vec<u32>,
}

/// Hash of an entity's id. Fixed, so that shards and snapshots agree between processes.
pub(crate) fn hash_text(text: &str) -> u64 {
    foldhash::quality::FixedState::with_seed(0x7265_6466_6c61_6721).hash_one(text)
}

impl Engine {
    /// An engine without a past. `shards` owners share the entities; results do not depend on how many.
    pub fn new(detector: Arc<Detector>, model: Option<Model>, shards: usize) -> Engine {
        let plan = Plan::new(&detector);
        let shards = (0..shards.max(1)).map(|_| Shard::new(&plan)).collect();
        Engine { detector, plan, model, shards, stream_us: None, scratch: Scratch::default() }
    }

    /// Its detector.
    pub fn detector(&self) -> &Arc<Detector> {
        &self.detector
    }

    /// Its model.
    pub fn model(&self) -> Option<&Model> {
        self.model.as_ref()
    }

    /// Replaces the model; the state stays.
    pub fn set_model(&mut self, model: Option<Model>) {
        self.model = model;
    }

    /// The newest event time of the stream.
    pub fn stream_us(&self) -> Option<i64> {
        self.stream_us
    }

    /// Decides a batch of transactions and enters them. Row `i` has the position `first_sequence + i` in the log.
    /// `decisions` is overwritten; its memory is reused, so that in steady state nothing is allocated.
    pub fn process(&mut self, batch: &EventBatch, first_sequence: i64, decisions: &mut Decisions) {
        self.observe(batch, first_sequence, decisions);
        self.decide(batch, decisions);
    }

    /// Enters a batch of transactions and computes their window features only: what replaying a log for its state needs.
    pub fn observe(&mut self, batch: &EventBatch, first_sequence: i64, decisions: &mut Decisions) {
        decisions.clear();
        self.place_in_time(batch, decisions);
        self.hash_entities(batch);
        decisions.features.resize(batch.len() * self.detector.features.len(), f64::NAN);
        if self.shards.len() == 1 {
            self.observe_here(batch, first_sequence, decisions);
        } else {
            self.observe_sharded(batch, first_sequence, decisions);
        }
    }

    /// Learns that an earlier transaction was fraud or not. `transaction` is that transaction's row, `sequence` its
    /// position in the log. Windows count the label from now on.
    pub fn learn(&mut self, batch: &EventBatch, transaction: usize, sequence: i64, fraud: bool) {
        let shards = self.shards.len() as u64;
        for (kind, plan) in self.plan.kinds.iter().enumerate() {
            let key = batch.text(transaction, plan.by);
            let hash = hash_text(key);
            let table = &mut self.shards[owner(hash, shards)].tables[kind];
            table.set_label(key, hash, batch.time_us(transaction), sequence, fraud);
        }
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
        let at = self.plan.kinds.iter().position(|plan| plan.name == kind)?;
        let hash = hash_text(key);
        let table = &self.shards[owner(hash, self.shards.len() as u64)].tables[at];
        let Inspected { values, newest_us, events } = table.inspect(key, hash)?;
        let named =
            values.into_iter().map(|(feature, value)| (self.detector.features[feature].name.clone(), value));
        Some(EntityView { newest_us, events, features: named.collect() })
    }

    /// Names of the fields that name entities with windows.
    pub fn kinds(&self) -> impl Iterator<Item = &str> {
        self.plan.kinds.iter().map(|plan| plan.name.as_str())
    }

    /// "Now" is the event: the stream's time is that of its newest event, and a row too far ahead of it is refused.
    fn place_in_time(&mut self, batch: &EventBatch, decisions: &mut Decisions) {
        let jump_us = self.detector.schema.max_time_jump_us;
        self.scratch.stream_us.clear();
        for row in 0..batch.len() {
            let time_us = batch.time_us(row);
            let status = match self.stream_us {
                Some(stream_us) if time_us > stream_us + jump_us => Status::TimeJump,
                stream_us => {
                    self.stream_us = Some(stream_us.map_or(time_us, |stream_us| stream_us.max(time_us)));
                    Status::OnTime
                }
            };
            decisions.statuses.push(status);
            self.scratch.stream_us.push(self.stream_us.unwrap_or(time_us));
        }
    }

    fn hash_entities(&mut self, batch: &EventBatch) {
        self.scratch.hashes.clear();
        for row in 0..batch.len() {
            self.scratch
                .hashes
                .extend(self.plan.kinds.iter().map(|kind| hash_text(batch.text(row, kind.by))));
        }
    }

    fn observe_here(&mut self, batch: &EventBatch, first_sequence: i64, decisions: &mut Decisions) {
        let columns = self.detector.features.len();
        let (shard, scratch) = (&mut self.shards[0], &self.scratch);
        for row in 0..batch.len() {
            if row % WARM_ROWS == 0 {
                shard.warm(&scratch.hashes, row);
            }
            if decisions.statuses[row] == Status::TimeJump {
                continue;
            }
            let mut timeliness = Timeliness::OnTime;
            let out = &mut decisions.features[row * columns..(row + 1) * columns];
            for kind in 0..shard.tables.len() {
                timeliness = timeliness.max(shard.observe(kind, batch, row, first_sequence, scratch, out));
            }
            decisions.statuses[row] = timeliness.into();
        }
    }

    fn observe_sharded(&mut self, batch: &EventBatch, first_sequence: i64, decisions: &mut Decisions) {
        let columns = self.detector.features.len();
        let shards = self.shards.len() as u64;
        let scratch = &self.scratch;
        let statuses = &decisions.statuses;
        let work = |(number, shard): (usize, &mut Shard)| {
            shard.observe_own(number, shards, batch, first_sequence, scratch, statuses, columns);
        };
        if batch.len() >= PARALLEL_ROWS_MIN {
            self.shards.par_iter_mut().enumerate().for_each(work);
        } else {
            self.shards.iter_mut().enumerate().for_each(work);
        }
        for shard in &self.shards {
            gather(shard, &self.plan, columns, decisions);
        }
    }

    /// Expressions, scores, rules: row by row, in runs of [`CHUNK_ROWS`].
    fn decide(&mut self, batch: &EventBatch, decisions: &mut Decisions) {
        let columns = self.detector.features.len();
        let chunks = batch.len().div_ceil(CHUNK_ROWS);
        if self.scratch.chunks.len() < chunks {
            self.scratch.chunks.resize_with(chunks, Chunk::default);
        }
        let (detector, model) = (&*self.detector, self.model.as_ref());
        let statuses = &decisions.statuses;
        let features = decisions.features.chunks_mut(CHUNK_ROWS * columns);
        let outputs = &mut self.scratch.chunks[..chunks];
        let work = |(number, (rows, chunk)): (usize, (&mut [f64], &mut Chunk))| {
            chunk.fill(detector, model, batch, number * CHUNK_ROWS, statuses, rows);
        };
        if chunks > 1 && batch.len() >= PARALLEL_ROWS_MIN {
            let features = decisions.features.par_chunks_mut(CHUNK_ROWS * columns);
            features.zip(outputs.par_iter_mut()).enumerate().for_each(work);
        } else {
            features.zip(outputs.iter_mut()).enumerate().for_each(work);
        }
        for chunk in &self.scratch.chunks[..chunks] {
            decisions.scores.extend_from_slice(&chunk.scores);
            decisions.outcomes.extend_from_slice(&chunk.outcomes);
            let before = decisions.fired.len() as u32;
            decisions.fired.extend_from_slice(&chunk.fired);
            decisions.fired_end.extend(chunk.fired_end.iter().map(|end| before + end));
        }
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
            values: Vec::new(),
            rows: Vec::new(),
            features: Vec::new(),
            row: Vec::new(),
            own: Vec::new(),
        }
    }

    /// Fetches the memory of the next rows' entities.
    fn warm(&self, hashes: &[u64], row: usize) {
        let kinds = self.tables.len();
        for (kind, table) in self.tables.iter().enumerate() {
            table.warm(hashes[row * kinds..].iter().skip(kind).step_by(kinds).copied().take(WARM_ROWS));
        }
    }

    /// Enters one row into the table of one kind. A row that does not name the entity has no features of it.
    fn observe(
        &mut self,
        kind: usize,
        batch: &EventBatch,
        row: usize,
        first_sequence: i64,
        scratch: &Scratch,
        out: &mut [f64],
    ) -> Timeliness {
        let table = &mut self.tables[kind];
        let key = batch.text(row, table.plan.by);
        if key.is_empty() {
            return Timeliness::OnTime;
        }
        table.plan.read_values(batch, row, first_sequence + row as i64, &mut self.values);
        let event = Observation {
            key,
            hash: scratch.hashes[row * self.tables.len() + kind],
            time_us: batch.time_us(row),
            stream_us: scratch.stream_us[row],
            values: &self.values,
        };
        self.tables[kind].observe(&event, out)
    }

    /// Works through the rows of the batch that concern this shard's entities, kind after kind, in stream order.
    #[expect(clippy::too_many_arguments, reason = "the whole of a batch, shared by all shards")]
    fn observe_own(
        &mut self,
        number: usize,
        shards: u64,
        batch: &EventBatch,
        first_sequence: i64,
        scratch: &Scratch,
        statuses: &[Status],
        columns: usize,
    ) {
        self.rows.clear();
        self.features.clear();
        let kinds = self.tables.len();
        let mut out = std::mem::take(&mut self.row);
        let mut own = std::mem::take(&mut self.own);
        out.resize(columns, f64::NAN);
        for kind in 0..kinds {
            let plan = Arc::clone(&self.tables[kind].plan);
            let hash = |row: usize| scratch.hashes[row * kinds + kind];
            let is_own =
                |row: &usize| owner(hash(*row), shards) == number && statuses[*row] != Status::TimeJump;
            own.clear();
            own.extend((0..statuses.len()).filter(is_own));
            for rows in own.chunks(WARM_ROWS) {
                self.tables[kind].warm(rows.iter().map(|row| hash(*row)));
                for &row in rows {
                    plan.reads().for_each(|read| out[read.feature] = f64::NAN);
                    let timeliness = self.observe(kind, batch, row, first_sequence, scratch, &mut out);
                    self.rows.push(Observed { row, kind, timeliness });
                    self.features.extend(plan.reads().map(|read| out[read.feature]));
                }
            }
        }
        self.row = out;
        self.own = own;
    }
}

/// Copies what a shard has computed to where it belongs in stream order.
fn gather(shard: &Shard, plan: &Plan, columns: usize, decisions: &mut Decisions) {
    let mut values = shard.features.iter();
    for &Observed { row, kind, timeliness } in &shard.rows {
        for (read, value) in plan.kinds[kind].reads().zip(&mut values) {
            decisions.features[row * columns + read.feature] = *value;
        }
        let status = &mut decisions.statuses[row];
        *status = severer(*status, timeliness.into());
    }
}

fn severer(a: Status, b: Status) -> Status {
    if a as u8 >= b as u8 { a } else { b }
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
        for (index, row) in features.chunks_mut(columns).enumerate() {
            if statuses[first_row + index] != Status::TimeJump {
                complete_row(detector, batch, first_row + index, row);
            }
        }
        match model {
            Some(model) => model.scorer().score_batch(features, &mut self.forest, &mut self.scores),
            None => self.scores.resize(features.len() / columns, f64::NAN),
        }
        for (index, row) in features.chunks(columns).enumerate() {
            let score = self.scores[index];
            let cx = Context { batch, row: first_row + index, features: row, score };
            let decided = statuses[first_row + index] != Status::TimeJump;
            let outcome = if decided { self.decide_row(detector, model, &cx) } else { Outcome::Review };
            self.outcomes.push(outcome);
            self.fired_end.push(self.fired.len() as u32);
        }
    }

    fn decide_row(&mut self, detector: &Detector, model: Option<&Model>, cx: &Context) -> Outcome {
        let review_score_min = model.map_or(0.0, |model| model.review_score_min);
        let amount = cx.batch.amount(cx.row);
        let by_policy = detector.policy.outcome(cx.score, amount, review_score_min);
        decide(&detector.rules, by_policy, cx, &mut self.fired)
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
