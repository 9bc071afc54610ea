//! A file through the engine at full speed.
//!
//! Three threads share the road: one reads and checks, one runs the engine (which deals large batches to all cores), one
//! writes. Blocks travel in a circle between them, so memory is that of a few blocks however long the file is.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};
use std::time::{Duration, Instant};

use anyhow::Result;
use engine::repeats::Repeats;
use engine::{Decisions, Engine, Status};

use crate::dataset::{Block, DatasetError, Reader, Reject, write_event};

/// Blocks under way at once: one being read, one decided, one written, one waiting.
const BLOCKS: usize = 4;

/// Ids are remembered at least this long in stream time: files that repeat an event do so close by.
const REPEAT_HORIZON_US: i64 = 40 * engine::time::DAY_US;

/// What a replay did.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub struct Summary {
    /// Events decided.
    pub events: u64,
    /// Rows that were no events, or whose time jumped too far ahead.
    pub rejected: u64,
    /// Events whose id was seen before: left out.
    pub repeated: u64,
    /// Events older than the newest of an entity, entered in their true place.
    pub late: u64,
    /// Events later than the detector allows: decided as of their time, not entered.
    pub too_late: u64,
    /// Wall time.
    pub seconds: f64,
}

/// How far a replay is.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// Events decided.
    pub events: u64,
    /// Share of the source that was read, where that is known.
    pub fraction: Option<f64>,
}

/// What a replay hands out, block by block, in stream order.
pub trait Sink: Send {
    /// Decided events. Rows with [`Status::TimeJump`] come back as rejects.
    ///
    /// # Errors
    /// If they cannot be written; the replay then ends.
    fn decided(&mut self, block: &Block, decisions: &Decisions) -> Result<()>;

    /// Rows that were not decided.
    ///
    /// # Errors
    /// As [`Sink::decided`].
    fn rejected(&mut self, rejects: &[Reject]) -> Result<()>;
}

struct Work {
    block: Block,
    decisions: Decisions,
    fraction: Option<f64>,
    repeated: u64,
}

/// Runs a stream of events through the engine in batches of `batch_rows`.
///
/// # Errors
/// If the source cannot be read on, or the sink fails.
pub fn replay(
    mut reader: Box<dyn Reader>,
    engine: &mut Engine,
    batch_rows: usize,
    sink: &mut dyn Sink,
    progress: &mut dyn FnMut(Progress),
) -> Result<Summary> {
    let started = Instant::now();
    let schema = Arc::new(engine.detector().schema.clone());
    let (idle_in, idle) = channel();
    for _ in 0..BLOCKS {
        let work =
            Work { block: Block::new(&schema), decisions: Decisions::default(), fraction: None, repeated: 0 };
        idle_in.send(work).expect("the receiver is held here");
    }
    let (read_in, read) = sync_channel(BLOCKS);
    let (decided_in, decided) = sync_channel(BLOCKS);
    let mut summary = std::thread::scope(|scope| {
        let repeats = Repeats::new(REPEAT_HORIZON_US, schema.max_time_jump_us);
        let reading = scope.spawn(move || {
            read_all(&mut *reader, batch_rows, repeats, &idle, |work| read_in.send(work).is_ok())
        });
        let writing = scope.spawn(move || write_all(sink, &decided, &idle_in));
        let summary = decide_all(engine, &read, |work| decided_in.send(work).is_ok(), progress);
        drop((read, decided_in));
        writing.join().expect("the writing thread does not panic")?;
        reading.join().expect("the reading thread does not panic")?;
        Ok::<_, anyhow::Error>(summary)
    })?;
    summary.seconds = started.elapsed().as_secs_f64();
    Ok(summary)
}

fn read_all(
    reader: &mut dyn Reader,
    batch_rows: usize,
    mut repeats: Repeats,
    idle: &Receiver<Work>,
    send: impl Fn(Work) -> bool,
) -> Result<(), DatasetError> {
    let mut more = true;
    while more {
        let Ok(mut work) = idle.recv() else { return Ok(()) };
        work.block.clear();
        more = reader.read(&mut work.block, batch_rows)?;
        work.repeated = drop_repeats(&mut work.block, &mut repeats);
        work.fraction = reader.progress();
        if !send(work) {
            return Ok(());
        }
    }
    Ok(())
}

/// Takes the events out whose id was seen before: their decision is the first one's.
fn drop_repeats(block: &mut Block, repeats: &mut Repeats) -> u64 {
    let rows = block.batch.len();
    let is_new = |row: usize, block: &Block, repeats: &mut Repeats| {
        repeats.is_new(block.batch.id(row), block.batch.time_us(row))
    };
    let Some(first) = (0..rows).find(|row| !is_new(*row, block, repeats)) else { return 0 };
    let all = std::mem::replace(block, Block::new(block.batch.schema()));
    block.rejects = all.rejects.clone();
    for row in (0..rows).filter(|row| *row != first) {
        if row < first || is_new(row, &all, repeats) {
            block.batch.push_row_of(&all.batch, row);
            block.lines.push(all.lines[row]);
        }
    }
    (rows - block.batch.len()) as u64
}

fn decide_all(
    engine: &mut Engine,
    read: &Receiver<Work>,
    send: impl Fn(Work) -> bool,
    progress: &mut dyn FnMut(Progress),
) -> Summary {
    let mut summary = Summary::default();
    let mut sequence = 0;
    let mut shown = Instant::now();
    for mut work in read {
        engine.process(&work.block.batch, sequence, &mut work.decisions);
        sequence += work.block.batch.len() as i64;
        summary.repeated += work.repeated;
        summary.count(&work.decisions);
        reject_time_jumps(engine, &mut work);
        summary.rejected += work.block.rejects.len() as u64;
        if shown.elapsed() > Duration::from_millis(100) {
            progress(Progress { events: summary.events, fraction: work.fraction });
            shown = Instant::now();
        }
        if !send(work) {
            break;
        }
    }
    progress(Progress { events: summary.events, fraction: Some(1.0) });
    summary
}

impl Summary {
    fn count(&mut self, decisions: &Decisions) {
        let of = |status: Status| decisions.statuses.iter().filter(|s| **s == status).count() as u64;
        self.late += of(Status::Late);
        self.too_late += of(Status::TooLate);
        self.events += decisions.len() as u64 - of(Status::TimeJump);
    }
}

fn reject_time_jumps(engine: &Engine, work: &mut Work) {
    let block = &mut work.block;
    let before = block.rejects.len();
    for row in (0..work.decisions.len()).filter(|row| work.decisions.statuses[*row] == Status::TimeJump) {
        let mut raw = String::new();
        write_event(&block.batch, row, true, &mut raw);
        let rejection = engine.time_jump(&block.batch, row).into();
        block.rejects.push(Reject { line: block.lines[row], rejection, raw });
    }
    // In the order of the file, so that where a batch was cut does not show.
    if block.rejects.len() > before {
        block.rejects.sort_by_key(|reject| reject.line);
    }
}

fn write_all(sink: &mut dyn Sink, decided: &Receiver<Work>, idle: &Sender<Work>) -> Result<()> {
    for work in decided {
        sink.rejected(&work.block.rejects)?;
        sink.decided(&work.block, &work.decisions)?;
        // Once reading has ended nobody waits for idle blocks any more.
        if idle.send(work).is_err() {
            continue;
        }
    }
    Ok(())
}
