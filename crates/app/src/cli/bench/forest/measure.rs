//! The clock: engines take turns, so that a noisy neighbour hits them all alike.

use std::path::Path;
use std::rc::Rc;
use std::time::Instant;

use ::forest::{Forest, Scratch};
use anyhow::Result;

use super::engine::{Engine, Ours, instructions};
use super::peers::Peer;
use super::rows::{DIFFERENT, Rows};
use crate::cli::bench::Spread;
use crate::cli::output::CountBar;

/// Rows a call: one, as a service gets them, to all.
pub const BATCHES: [usize; 4] = [1, 64, 1_024, super::rows::COUNT];

/// How long one turn should take: long enough for the clock, short enough to take many.
const TURN_SECONDS: f64 = 0.02;

/// How often the largest batch is measured, at most: it takes long, and averages by itself.
const LARGE_TURNS: u32 = 7;

/// What one engine took for batches of one size.
#[derive(Clone, serde::Serialize)]
pub struct Timing {
    pub engine: String,
    pub rows_per_call: usize,
    pub us_per_row: Spread,
    /// Its median over that of redflag's quickest.
    pub times_redflag: f64,
}

/// Times all engines, batch size by batch size.
pub fn times(engines: &mut [Box<dyn Engine>], rows: &Rows, repetitions: u32) -> Result<Vec<Timing>> {
    let mut timings = Vec::new();
    let turns = |batch| if batch < super::rows::COUNT { repetitions } else { repetitions.min(LARGE_TURNS) };
    let total: u32 = BATCHES.iter().map(|batch| turns(*batch)).sum();
    let bar = CountBar::new("measuring", "turns", Some(u64::from(total) * engines.len() as u64));
    let mut done = 0;
    for batch in BATCHES {
        let turns = turns(batch);
        let mut stopwatches = warmed(engines, rows, batch, turns)?;
        for _ in 0..turns {
            for (engine, stopwatch) in engines.iter_mut().zip(&mut stopwatches) {
                stopwatch.take_turn(engine.as_mut(), rows)?;
                done += 1;
                bar.show(done);
            }
        }
        timings.extend(compared(engines, stopwatches));
    }
    bar.finish();
    Ok(timings)
}

/// A stopwatch for each engine, warm, with as many calls a turn as the clock needs, and enough to see different rows.
fn warmed(engines: &mut [Box<dyn Engine>], rows: &Rows, batch: usize, turns: u32) -> Result<Vec<Stopwatch>> {
    let least = DIFFERENT.div_ceil(batch * turns as usize);
    let warm = |engine: &mut Box<dyn Engine>| {
        engine.seconds(rows, 0, batch, 1)?;
        let call_seconds = engine.seconds(rows, 0, batch, least)? / least as f64;
        let calls = ((TURN_SECONDS / call_seconds) as usize).clamp(least, super::rows::COUNT);
        Ok(Stopwatch { batch, calls, first: 0, us_per_row: Vec::new() })
    };
    engines.iter_mut().map(warm).collect()
}

struct Stopwatch {
    batch: usize,
    calls: usize,
    first: usize,
    us_per_row: Vec<f64>,
}

impl Stopwatch {
    fn take_turn(&mut self, engine: &mut dyn Engine, rows: &Rows) -> Result<()> {
        let seconds = engine.seconds(rows, self.first, self.batch, self.calls)?;
        self.us_per_row.push(seconds * 1e6 / (self.batch * self.calls) as f64);
        for _ in 0..self.calls {
            self.first = rows.after(self.first, self.batch);
        }
        Ok(())
    }
}

fn compared(engines: &[Box<dyn Engine>], stopwatches: Vec<Stopwatch>) -> Vec<Timing> {
    let timed = engines.iter().zip(stopwatches).map(|(engine, stopwatch)| Timing {
        engine: engine.name().to_owned(),
        rows_per_call: stopwatch.batch,
        us_per_row: Spread::of(stopwatch.us_per_row),
        times_redflag: 0.0,
    });
    let mut timings: Vec<Timing> = timed.collect();
    let ours = timings.iter().take(instructions().len()).map(|timing| timing.us_per_row.median);
    let quickest = ours.fold(f64::INFINITY, f64::min);
    timings.iter_mut().for_each(|timing| timing.times_redflag = timing.us_per_row.median / quickest);
    timings
}

/// How an engine's results differ from redflag's, over [`DIFFERENT`] rows.
#[derive(Clone, serde::Serialize)]
pub struct Agreement {
    pub engine: String,
    /// Whether margins are compared, or else scores.
    pub margins: bool,
    /// Share of rows with the same number to the last bit.
    pub same: f64,
    pub difference_max: f64,
}

/// Compares the results of all engines with those of redflag's first, one by one and in a batch.
pub fn agreements(forest: &Forest, engines: &mut [Box<dyn Engine>], rows: &Rows) -> Result<Vec<Agreement>> {
    let (scorer, mut scratch) = (forest.scorer(), Scratch::default());
    let (mut margins, mut scores) = (Vec::new(), Vec::new());
    scorer.margin_batch(rows.wide(0, DIFFERENT), &mut scratch, &mut margins);
    scorer.score_batch(rows.wide(0, DIFFERENT), &mut scratch, &mut scores);
    let mut compare = |engine: &mut Box<dyn Engine>| {
        let ours = if engine.gives_margins() { &margins } else { &scores };
        let (mut theirs, mut one) = (Vec::new(), Vec::new());
        engine.score(0, DIFFERENT, &mut theirs)?;
        let mut differences: Vec<f64> = ours.iter().zip(&theirs).map(|(a, b)| difference(*a, *b)).collect();
        // Libraries have another way for single rows, which need not agree with the one for many.
        for (row, own) in ours.iter().enumerate().take(DIFFERENT / 16) {
            engine.score(row, 1, &mut one)?;
            differences.push(difference(*own, one[0]));
        }
        let same = differences.iter().filter(|difference| **difference == 0.0).count();
        Ok(Agreement {
            engine: engine.name().to_owned(),
            margins: engine.gives_margins(),
            same: same as f64 / differences.len() as f64,
            difference_max: differences.iter().copied().fold(0.0, f64::max),
        })
    };
    engines.iter_mut().map(&mut compare).collect()
}

/// How far two results lie apart; endlessly, if one is no number and the other is.
fn difference(ours: f64, theirs: f64) -> f64 {
    if ours.to_bits() == theirs.to_bits() || ours == theirs {
        return 0.0;
    }
    let difference = (ours - theirs).abs();
    if difference.is_nan() { f64::INFINITY } else { difference }
}

/// From a file to its first score.
#[derive(Clone, serde::Serialize)]
pub struct Load {
    pub engine: String,
    pub ms: Spread,
}

/// Times how long redflag, and each library that reads the file itself, take to their first score.
pub fn loads(model: &Path, peers: &[Peer], rows: &Rc<Rows>, repetitions: u32) -> Result<Vec<Load>> {
    let readers: Vec<&Peer> = peers.iter().filter(|peer| peer.compile_seconds.is_none()).collect();
    let mut measured = vec![Vec::new(); readers.len() + 1];
    let mut first = Vec::new();
    for _ in 0..repetitions {
        let started = Instant::now();
        let forest = ::forest::read::read(&std::fs::read(model)?)?.forest;
        std::hint::black_box(forest.scorer().margin(rows.wide(0, 1), &mut Scratch::default()));
        measured[0].push(started.elapsed().as_secs_f64() * 1e3);
        for (peer, measured) in readers.iter().zip(&mut measured[1..]) {
            let started = Instant::now();
            peer.load(model, rows)?.score(0, 1, &mut first)?;
            measured.push(started.elapsed().as_secs_f64() * 1e3);
        }
    }
    let names = std::iter::once("redflag".to_owned()).chain(readers.iter().map(|peer| peer.name()));
    Ok(names.zip(measured).map(|(engine, ms)| Load { engine, ms: Spread::of(ms) }).collect())
}

/// redflag's engines, one for each set of instructions, then those of the peers; a peer that cannot be loaded is told of.
pub fn engines(
    forest: &Forest,
    model: &Path,
    peers: &mut Vec<Peer>,
    rows: &Rc<Rows>,
    absent: &mut Vec<super::peers::Absent>,
) -> Vec<Box<dyn Engine>> {
    let mut engines: Vec<Box<dyn Engine>> = Vec::new();
    for set in instructions() {
        engines.push(Box::new(Ours::new(forest, set, rows)));
    }
    peers.retain(|peer| match peer.load(model, rows) {
        Ok(engine) => {
            engines.push(engine);
            true
        }
        Err(error) => {
            absent.push(super::peers::Absent { peer: peer.name(), why: format!("{error:#}") });
            false
        }
    });
    engines
}
