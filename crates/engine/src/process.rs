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
use crate::features::{EntityView, KindState, Plan};
use crate::model::{Model, ReasonScratch};
use crate::observe::{Scratch, Shard};
use crate::reason::Reason;
use crate::time;

/// Batches smaller than this are worked through on the calling thread: waking others costs more than it saves.
pub(crate) const PARALLEL_ROWS_MIN: usize = 256;

/// Rows that are scored together: their features fit the first-level cache.
pub(crate) const CHUNK_ROWS: usize = 128;

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
    pub(crate) scratch: Scratch,
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
    pub(crate) fn of(self, row: usize) -> i64 {
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
        plan.tables.retain(|plan| Some(plan.name.as_str()) == kind);
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

    /// Decides by another rulebook from now on; the state stays. `detector` is this engine's own after
    /// [`Detector::with_rulebook`].
    ///
    /// # Panics
    /// If its features are others.
    pub fn set_rulebook(&mut self, detector: Arc<Detector>) {
        self.decider.set_rulebook(Arc::clone(&detector));
        self.detector = detector;
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
        self.scratch.begin(batch.len(), &self.plan);
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
        self.scratch.begin(batch.len(), &self.plan);
        self.place_in_time(batch, rows(), jumps, decisions);
        self.hash_entities_of(batch, rows());
        self.observe_here(batch, rows(), positions, decisions);
    }

    /// Learns that an earlier transaction was fraud or not. `transaction` is that transaction's row, `sequence` its
    /// position in the log. Windows count the label from now on.
    pub fn learn(&mut self, batch: &EventBatch, transaction: usize, sequence: i64, fraud: bool) {
        let shards = self.shards.len() as u64;
        for (kind, plan) in self.plan.tables.iter().enumerate() {
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
        for (kind, plan) in self.plan.tables.iter().enumerate() {
            let key = batch.text(transaction, plan.by);
            let hash = hash_text(key);
            let table = &mut self.shards[owner(hash, shards)].tables[kind];
            table.set_label(key, hash, batch.time_us(transaction), None, fraud);
        }
    }

    /// Names of the fields by which windows of labels are kept.
    pub fn kinds_with_labels(&self) -> impl Iterator<Item = &str> {
        let learns =
            |kind: &&str| self.tables_of(kind).any(|table| self.plan.tables[table].label_column.is_some());
        self.kinds().filter(learns)
    }

    /// The tables of a kind of entity.
    fn tables_of(&self, kind: &str) -> impl Iterator<Item = usize> {
        let tables = self.plan.tables.iter().enumerate();
        tables.filter(move |(_, plan)| plan.name == kind).map(|(table, _)| table)
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
        self.plan.tables.iter().map(|kind| kind.max_lateness_us).min().unwrap_or(i64::MAX)
    }

    /// What is held, by kind of entity.
    pub fn state(&self) -> Vec<KindState> {
        let table =
            |table: usize| KindState::join(self.shards.iter().map(|shard| shard.tables[table].state()));
        self.kinds().map(|kind| KindState::stack(self.tables_of(kind).map(table))).collect()
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
    pub fn inspect_each(
        &self,
        kind: &str,
        key: &str,
        mut each: impl FnMut(usize, f64),
    ) -> Option<(i64, usize)> {
        let hash = hash_text(key);
        let shard = &self.shards[owner(hash, self.shards.len() as u64)];
        let tables = || self.tables_of(kind).map(|table| &shard.tables[table]);
        tables().find(|table| table.holds(key, hash))?;
        let mut held = (i64::MIN, 0);
        for table in tables() {
            match table.inspect(key, hash, &mut each) {
                Some((newest_us, events)) => held = (held.0.max(newest_us), held.1.max(events)),
                None => table.inspect_nothing(&mut each),
            }
        }
        Some(held)
    }

    /// Names of the fields that name entities with windows.
    pub fn kinds(&self) -> impl Iterator<Item = &str> {
        let name = |table: usize| self.plan.tables[table].name.as_str();
        let is_first = move |table: &usize| self.tables_of(name(*table)).next() == Some(*table);
        (0..self.plan.tables.len()).filter(is_first).map(name)
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

    /// As [`Engine::set_rulebook`].
    ///
    /// # Panics
    /// If its features are others.
    pub fn set_rulebook(&mut self, detector: Arc<Detector>) {
        assert_eq!(
            detector.feature_fingerprint, self.detector.feature_fingerprint,
            "a rulebook changes no feature"
        );
        self.detector = detector;
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

/// The shard that owns an entity. The table inside uses the low bits of the hash, so this uses the high ones.
pub(crate) fn owner(hash: u64, shards: u64) -> usize {
    ((u128::from(hash) * u128::from(shards)) >> 64) as usize
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
        let review_score_min = detector.review_score_min(model);
        for (index, row) in features.chunks(columns).enumerate() {
            let score = self.scores[index];
            let cx = Context { batch, row: first_row + index, features: row, score };
            let decided = statuses[first_row + index] != Status::TimeJump;
            let outcome = if decided {
                self.decide_row(detector, model, review_score_min, &cx)
            } else {
                Outcome::Review
            };
            self.outcomes.push(outcome);
            self.fired_end.push(self.fired.len() as u32);
            self.reasons_end.push(self.reasons.len() as u32);
        }
    }

    fn decide_row(
        &mut self,
        detector: &Detector,
        model: Option<&Model>,
        review_score_min: f64,
        cx: &Context,
    ) -> Outcome {
        let amount = cx.batch.amount(cx.row);
        let by_policy = detector.policy.outcome(cx.score, amount, review_score_min);
        let outcome = decide(&detector.rules, by_policy, cx, &mut self.fired);
        let asked = outcome.max(by_policy) != Outcome::Approve;
        // What the review budget has room for is explained, whatever the amount.
        let has_room = review_score_min > 0.0 && cx.score >= review_score_min;
        if let Some(model) = model.filter(|_| asked || has_room) {
            model.explain(cx.features, &mut self.explaining, &mut self.reasons);
        }
        outcome
    }
}

/// Fields and expressions, in the order of the file.
fn complete_row(detector: &Detector, batch: &EventBatch, row: usize, features: &mut [f64]) {
    complete_columns(detector, 0..detector.features.len(), batch, row, features);
}

/// Some of them, windows left alone. A value that is not finite becomes missing.
pub(crate) fn complete_columns(
    detector: &Detector,
    columns: impl Iterator<Item = usize>,
    batch: &EventBatch,
    row: usize,
    features: &mut [f64],
) {
    for column in columns {
        let value = match &detector.features[column].definition {
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
        // No field: `as_features` names fields only.
        Source::Feature(_) => f64::NAN,
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
