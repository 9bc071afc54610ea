//! Entering a batch: every table is shown the rows that name its entities, in stream order.
//!
//! Tables of one level know nothing of each other. What a table of a higher level keeps of an event depends on what the
//! levels before have said of it, so that is prepared in between.

use std::ops::Range;
use std::sync::Arc;

use rayon::prelude::*;

use crate::detector::Detector;
use crate::event::EventBatch;
use crate::expression::Context;
use crate::features::{EntityTable, Observation, Plan, RUN_ROWS, TablePlan, Timeliness, stored_number};
use crate::process::{
    CHUNK_ROWS, Decisions, Engine, PARALLEL_ROWS_MIN, Positions, Status, TimeJumps, complete_columns,
    hash_text, owner,
};

/// One owner of entities: a part of each table.
pub(crate) struct Shard {
    pub tables: Vec<EntityTable>,
    /// What it has computed of the batch, by table.
    observed: Vec<Observed>,
    /// Kept values and features of one row.
    values: Vec<i64>,
    features: Vec<f64>,
}

/// The rows of a batch that concern one shard's entities of one table, in stream order.
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
    prepared: &'a [Prepared],
}

/// What is known of a batch before its rows are entered.
#[derive(Default)]
pub(crate) struct Scratch {
    /// Table after table, row after row.
    hashes: Vec<u64>,
    /// Newest event time of the stream as of each row.
    pub stream_us: Vec<i64>,
    /// By table; empty where a table depends on nothing.
    prepared: Vec<Prepared>,
}

/// What a table that depends on more than fields must know of each row.
#[derive(Default)]
struct Prepared {
    /// Whether the table keeps it.
    enters: Vec<bool>,
    /// Row-major, the values of [`TablePlan::computed`].
    values: Vec<i64>,
}

impl Scratch {
    pub fn begin(&mut self, rows: usize, plan: &Plan) {
        self.hashes.resize(plan.tables.len() * rows, 0);
        self.stream_us.resize(rows, 0);
        self.prepared.resize_with(plan.tables.len(), Prepared::default);
        for (prepared, plan) in
            self.prepared.iter_mut().zip(&plan.tables).filter(|(_, plan)| plan.is_dependent())
        {
            prepared.enters.resize(rows, false);
            prepared.values.resize(rows * plan.computed.len(), 0);
        }
    }
}

impl Prepared {
    fn of(&self, row: usize) -> (bool, &[i64]) {
        let width = self.values.len().checked_div(self.enters.len()).unwrap_or(0);
        (self.enters.get(row).copied().unwrap_or(true), &self.values[row * width..][..width])
    }
}

/// Finds out what a table keeps of a row whose features hold all that the levels before have said.
fn prepare(
    detector: &Detector,
    plan: &TablePlan,
    batch: &EventBatch,
    row: usize,
    features: &mut [f64],
    values: &mut [i64],
) -> bool {
    complete_columns(detector, plan.needs.iter().copied(), batch, row, features);
    for ((_, column), value) in plan.computed.iter().zip(values) {
        *value = stored_number(features[*column]);
    }
    let cx = Context { batch, row, features, score: f64::NAN };
    plan.condition.as_ref().is_none_or(|condition| condition.test.evaluate(&cx))
}

impl Engine {
    /// "Now" is the event: the stream's time is that of its newest event, and a row too far ahead of it is refused.
    pub(crate) fn place_in_time(
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

    pub(crate) fn hash_entities(&mut self, batch: &EventBatch) {
        let hashes = &mut self.scratch.hashes;
        for (plan, hashes) in self.plan.tables.iter().zip(hashes.chunks_exact_mut(batch.len().max(1))) {
            let hash = |(first_row, hashes): (usize, &mut [u64])| {
                for (row, hash) in (first_row * CHUNK_ROWS..).zip(hashes) {
                    *hash = hash_text(batch.text(row, plan.by));
                }
            };
            if self.shards.len() > 1 && batch.len() >= PARALLEL_ROWS_MIN {
                hashes.par_chunks_mut(CHUNK_ROWS).enumerate().for_each(hash);
            } else {
                hashes.chunks_mut(CHUNK_ROWS).enumerate().for_each(hash);
            }
        }
    }

    /// As [`Engine::hash_entities`], of some rows.
    pub(crate) fn hash_entities_of(&mut self, batch: &EventBatch, rows: impl Iterator<Item = usize> + Clone) {
        let hashes = self.scratch.hashes.chunks_exact_mut(batch.len().max(1));
        for (plan, hashes) in self.plan.tables.iter().zip(hashes) {
            rows.clone().for_each(|row| hashes[row] = hash_text(batch.text(row, plan.by)));
        }
    }

    /// With one shard nothing needs to be dealt and gathered.
    pub(crate) fn observe_here(
        &mut self,
        batch: &EventBatch,
        mut rows: impl Iterator<Item = usize>,
        positions: Positions,
        decisions: &mut Decisions,
    ) {
        let columns = self.detector.features.len();
        let mut run = [0; RUN_ROWS];
        loop {
            let mut count = 0;
            let admitted = rows.by_ref().filter(|row| decisions.statuses[*row] != Status::TimeJump);
            for row in admitted.take(RUN_ROWS) {
                run[count] = row as u32;
                count += 1;
            }
            for (table, plan) in self.plan.tables.iter().enumerate() {
                if plan.is_dependent() {
                    let Prepared { enters, values } = &mut self.scratch.prepared[table];
                    for row in run[..count].iter().map(|row| *row as usize) {
                        let features = &mut decisions.features[row * columns..][..columns];
                        let values = &mut values[row * plan.computed.len()..][..plan.computed.len()];
                        enters[row] = prepare(&self.detector, plan, batch, row, features, values);
                    }
                }
                let Scratch { hashes, stream_us, prepared } = &self.scratch;
                let task = Task { batch, positions, hashes, stream_us, prepared };
                self.shards[0].observe_run(table, &task, &run[..count], |row, timeliness, features| {
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

    pub(crate) fn observe_sharded(
        &mut self,
        batch: &EventBatch,
        positions: Positions,
        decisions: &mut Decisions,
    ) {
        let shards = self.shards.len() as u64;
        let parallel = batch.len() >= PARALLEL_ROWS_MIN;
        for tables in self.plan.levels() {
            for table in tables.clone().filter(|table| self.plan.tables[*table].is_dependent()) {
                prepare_all(
                    &self.detector,
                    &self.plan.tables[table],
                    batch,
                    &mut self.scratch.prepared[table],
                    decisions,
                );
            }
            let Scratch { hashes, stream_us, prepared } = &self.scratch;
            let task = Task { batch, positions, hashes, stream_us, prepared };
            let statuses = &decisions.statuses;
            let work = |(number, shard): (usize, &mut Shard)| {
                shard.observe_own(tables.clone(), |hash| owner(hash, shards) == number, &task, statuses);
            };
            if parallel {
                self.shards.par_iter_mut().enumerate().for_each(work);
            } else {
                self.shards.iter_mut().enumerate().for_each(work);
            }
            self.gather(tables, parallel, decisions);
        }
    }

    fn gather(&self, tables: Range<usize>, parallel: bool, decisions: &mut Decisions) {
        let columns = self.detector.features.len();
        let gather = |(chunk, (features, statuses)): (usize, (&mut [f64], &mut [Status]))| {
            for shard in &self.shards {
                shard.gather(&self.plan, tables.clone(), chunk * CHUNK_ROWS, columns, features, statuses);
            }
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

/// [`prepare`] for all rows of a batch.
fn prepare_all(
    detector: &Detector,
    plan: &TablePlan,
    batch: &EventBatch,
    prepared: &mut Prepared,
    decisions: &mut Decisions,
) {
    let (columns, width) = (detector.features.len(), plan.computed.len());
    let statuses = &decisions.statuses;
    let work = |(chunk, (features, enters)): (usize, (&mut [f64], &mut [bool])), values: &mut [i64]| {
        for (index, (features, enters)) in features.chunks_mut(columns).zip(enters).enumerate() {
            let row = chunk * CHUNK_ROWS + index;
            let values = &mut values[index * width..][..width];
            *enters =
                statuses[row] != Status::TimeJump && prepare(detector, plan, batch, row, features, values);
        }
    };
    let features = decisions.features.par_chunks_mut(CHUNK_ROWS * columns);
    let rows = features.zip(prepared.enters.par_chunks_mut(CHUNK_ROWS)).enumerate();
    if width == 0 {
        rows.for_each(|rows| work(rows, &mut []));
    } else {
        let values = prepared.values.par_chunks_mut(CHUNK_ROWS * width);
        rows.zip(values).for_each(|(rows, values)| work(rows, values));
    }
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
            tables: plan.tables.iter().map(|plan| EntityTable::new(Arc::clone(plan))).collect(),
            observed: plan.tables.iter().map(|_| Observed::default()).collect(),
            values: Vec::new(),
            features: Vec::new(),
        }
    }

    /// Shows rows to one table and tells what became of each. A row that does not name the entity has no features of it.
    /// At most [`RUN_ROWS`].
    #[inline]
    fn observe_run(
        &mut self,
        table: usize,
        task: &Task,
        rows: &[u32],
        mut done: impl FnMut(usize, Timeliness, &[f64]),
    ) {
        let (prepared, hashes) = (&task.prepared[table], &task.hashes[table * task.batch.len()..]);
        let table = &mut self.tables[table];
        let by = table.plan.by;
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
            let (enters, computed) = prepared.of(row);
            let sequence = task.positions.of(row);
            table.plan.read_values(task.batch, row, sequence, computed, &mut self.values);
            let event = Observation {
                key,
                hash: hashes[row],
                time_us: task.batch.time_us(row),
                stream_us: task.stream_us[row],
                values: &self.values,
                enters,
            };
            let timeliness = table.observe(place, &event, &mut self.features);
            done(row, timeliness, &self.features);
        }
    }

    /// Works through the rows of the batch that concern this shard's entities, table after table, in stream order.
    fn observe_own(
        &mut self,
        tables: Range<usize>,
        owns: impl Fn(u64) -> bool,
        task: &Task,
        statuses: &[Status],
    ) {
        for table in tables {
            let mut observed = std::mem::take(&mut self.observed[table]);
            observed.clear();
            let (by, hashes) = (self.tables[table].plan.by, &task.hashes[table * statuses.len()..]);
            let concerns = |row: &usize| {
                owns(hashes[*row])
                    && statuses[*row] != Status::TimeJump
                    && !task.batch.text(*row, by).is_empty()
            };
            observed.rows.extend((0..statuses.len()).filter(concerns).map(|row| row as u32));
            for run in observed.rows.chunks(RUN_ROWS) {
                self.observe_run(table, task, run, |_, timeliness, features| {
                    observed.timeliness.push(timeliness);
                    observed.features.extend_from_slice(features);
                });
            }
            self.observed[table] = observed;
        }
    }

    /// Copies what it has computed of some rows to where it belongs in stream order.
    fn gather(
        &self,
        plan: &Plan,
        tables: Range<usize>,
        first_row: usize,
        columns: usize,
        features: &mut [f64],
        statuses: &mut [Status],
    ) {
        for (plan, observed) in plan.tables[tables.clone()].iter().zip(&self.observed[tables]) {
            let Observed { rows, timeliness, features: computed } = observed;
            let width = plan.columns.len();
            let from = rows.partition_point(|row| (*row as usize) < first_row);
            let computed = computed[from * width..].chunks_exact(width);
            for ((row, timeliness), computed) in rows[from..].iter().zip(&timeliness[from..]).zip(computed) {
                let row = *row as usize - first_row;
                let Some(status) = statuses.get_mut(row) else { break };
                worsen(status, *timeliness);
                let out = &mut features[row * columns..][..columns];
                plan.columns.iter().zip(computed).for_each(|(column, value)| out[*column] = *value);
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
