//! `redflag bench engine`: what one event costs, alone and in a stream.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result};
use engine::{Decisions, Detector, Engine, EventBatch, Model};
use forest::grow::{Algorithm, Params};
use lab::dataset::{
    Block, ColumnMap, EventReader, Reader, SimulatedReader, TableWriter, write_event, write_json_text,
    write_number,
};
use lab::replay::Sink;
use lab::simulate::{Settings, simulator};
use lab::train::{BATCH_ROWS, Recipe, TrainingSet, cores, load, train};

use super::{Machine, Spread};
use crate::cli::input::{Flow, run_into_table};
use crate::cli::output::load_detector;
use crate::cli::{replay, simulate};

/// Trees of the models that the benchmarks score with.
const TREES: usize = 200;

/// Single events that a repetition decides: enough for the percentiles of a thousandth.
const SINGLE_EVENTS: usize = 200_000;

/// What one event costs, alone and in a stream.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
windows  exact count and sum of a card over 1 h, 24 h and 7 d, one core, batches of 4,096
event    one event of 12 fields: parsed from JSON, windowed, scored by 200 trees, written back as JSON; one core
replay   a file of transactions with the Handbook's features and 200 trees into a file of decisions; all cores

Example: redflag bench engine --rows 1000000 --json")]
pub struct Args {
    /// Transactions
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(100_000..))]
    rows: u64,
    /// Cards
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    cards: u32,
    /// How often each is measured
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    repetitions: u32,
    /// Print the figures as JSON
    #[arg(long)]
    json: bool,
}

#[derive(serde::Serialize)]
struct Figures {
    machine: Machine,
    rows: u64,
    cards: u32,
    repetitions: u32,
    windows_ns_per_event: Spread,
    event_us: Spread,
    event_us_p50: f64,
    event_us_p99: f64,
    event_us_p999: f64,
    event_us_max: f64,
    replay_events_per_second: Spread,
}

/// Runs the benchmark.
///
/// # Errors
/// If its temporary files cannot be written.
pub fn run(args: &Args) -> Result<()> {
    let machine = Machine::this();
    eprintln!("{machine}");
    let windows_ns_per_event = windows(args)?;
    let (event_us, mut single_ns) = events(args)?;
    let mut percentile = |share: f64| {
        let at = ((single_ns.len() - 1) as f64 * share) as usize;
        f64::from(*single_ns.select_nth_unstable(at).1) / 1e3
    };
    let figures = Figures {
        machine,
        rows: args.rows,
        cards: args.cards,
        repetitions: args.repetitions,
        windows_ns_per_event,
        event_us,
        event_us_p50: percentile(0.5),
        event_us_p99: percentile(0.99),
        event_us_p999: percentile(0.999),
        event_us_max: percentile(1.0),
        replay_events_per_second: replayed(args)?,
    };
    if args.json {
        println!("{}", serde_json::to_string(&figures)?);
    } else {
        print!("{figures}");
    }
    Ok(())
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Figures {
            rows, cards, repetitions, event_us_p50, event_us_p99, event_us_p999, event_us_max, ..
        } = self;
        writeln!(f, "{rows} transactions of {cards} cards, median of {repetitions} (least to most)")?;
        for (name, Spread { median, min, max }, unit) in
            [("windows", self.windows_ns_per_event, "ns/event"), ("event", self.event_us, "us/event")]
        {
            writeln!(f, "{name:<8} {median:>12.3} {unit} ({min:.3} to {max:.3})")?;
        }
        writeln!(
            f,
            "         p50 {event_us_p50:.2} us, p99 {event_us_p99:.2} us, p99.9 {event_us_p999:.2} us, \
             max {event_us_max:.2} us"
        )?;
        let Spread { median, min, max } = self.replay_events_per_second;
        writeln!(f, "{:<8} {median:>12.0} events/s ({min:.0} to {max:.0})", "replay")
    }
}

fn repeat(args: &Args, mut measure: impl FnMut() -> Result<f64>) -> Result<Spread> {
    let measured: Result<Vec<f64>> = (0..args.repetitions).map(|_| measure()).collect();
    Ok(Spread::of(measured?))
}

fn detector(text: &str) -> Arc<Detector> {
    Arc::new(Detector::parse(text).expect("the benchmark's detector has no mistakes"))
}

/// Simulated card payments under the fields of a detector.
fn simulated(args: &Args, rows: u64, detector: &Detector) -> Result<SimulatedReader> {
    let settings = Settings { seed: 1, rows: Some(rows), customers: Some(args.cards), ..Settings::default() };
    Ok(SimulatedReader::new(simulator("card", &settings)?, &Arc::new(detector.schema.clone())))
}

/// Windows alone: nanoseconds an event, on one core.
fn windows(args: &Args) -> Result<Spread> {
    let detector = detector(include_str!("windows.toml"));
    let mut reader = simulated(args, args.rows, &detector)?;
    let mut batches: Vec<EventBatch> = Vec::new();
    let mut more = true;
    while more {
        let mut block = Block::new(&Arc::new(detector.schema.clone()));
        more = reader.read(&mut block, BATCH_ROWS)?;
        batches.push(block.batch);
    }
    repeat(args, || {
        let mut engine = Engine::new(Arc::clone(&detector), None, 1);
        let mut decisions = Decisions::default();
        let mut sequence = 0;
        let started = Instant::now();
        for batch in &batches {
            engine.observe(batch, sequence, &mut decisions);
            sequence += batch.len() as i64;
        }
        Ok(started.elapsed().as_nanos() as f64 / sequence as f64)
    })
}

/// One event at a time, from JSON to JSON: microseconds an event, and the nanoseconds of each of the last repetition.
fn events(args: &Args) -> Result<(Spread, Vec<u32>)> {
    let detector = detector(include_str!("event.toml"));
    let lines = json_lines(args, &detector)?;
    let model = model(&detector, &lines)?;
    // The first half fills the windows, the second is measured.
    let (past, measured) = lines.split_at(lines.len() / 2);
    let mut single_ns = Vec::with_capacity(measured.len());
    let spread = repeat(args, || {
        single_ns.clear();
        let mut decider = Decider::new(&detector, model.clone());
        past.iter().try_for_each(|line| decider.decide(line.as_bytes()))?;
        let started = Instant::now();
        let mut last = started;
        for line in measured {
            decider.decide(line.as_bytes())?;
            let now = Instant::now();
            single_ns.push((now - last).as_nanos() as u32);
            last = now;
        }
        Ok(started.elapsed().as_nanos() as f64 / 1e3 / measured.len() as f64)
    })?;
    Ok((spread, single_ns))
}

/// The simulator's payments with the fields that it lacks, so that an event has twelve and a label.
fn json_lines(args: &Args, detector: &Detector) -> Result<Vec<String>> {
    const CATEGORIES: [&str; 5] = ["grocery", "fuel", "travel", "electronics", "restaurant"];
    let bare = load_detector("card")?;
    let mut reader = simulated(args, (2 * SINGLE_EVENTS as u64).min(args.rows), &bare)?;
    let mut block = Block::new(&Arc::new(bare.schema.clone()));
    let mut lines = Vec::new();
    while reader.read_one(&mut block) {
        let row = lines.len();
        let mut line = String::new();
        write_event(&block.batch, 0, true, &mut line);
        line.pop();
        let (category, device, present) = (CATEGORIES[row % 5], row * 7_919 % 100_003, row % 3 > 0);
        line.push_str(&format!(
            r#","currency":"EUR","merchant_category":"{category}","device_id":"d-{device:06}","card_present":{present},"distance_km":{}.{}}}"#,
            row * 31 % 977,
            row % 10,
        ));
        lines.push(line);
        block.clear();
    }
    debug_assert_eq!(detector.schema.fields.len(), 13, "twelve fields and the label");
    Ok(lines)
}

/// A model of [`TREES`] trees, grown on the events that it will score.
fn model(detector: &Arc<Detector>, lines: &[String]) -> Result<Model> {
    let reader = EventReader::with_labels(&detector.schema, &ColumnMap::default());
    let mut block = Block::new(&Arc::new(detector.schema.clone()));
    let mut decisions = Decisions::default();
    let mut engine = Engine::new(Arc::clone(detector), None, 1);
    let mut set = TrainingSet::new(detector.features.len(), None);
    for (number, lines) in lines.chunks(BATCH_ROWS).enumerate() {
        block.clear();
        for line in lines {
            reader.read(line.as_bytes(), &mut block.batch)?;
        }
        engine.process(&block.batch, (number * BATCH_ROWS) as i64, &mut decisions);
        set.decided(&block, &decisions)?;
    }
    let params = Params { trees: TREES, max_depth: Some(6), ..Params::defaults(Algorithm::Gbdt) };
    train(detector, &set, &Recipe::plain(params), &mut |_| {})?.bind(detector)
}

/// What a server does with one event, without the network.
struct Decider {
    reader: EventReader,
    engine: Engine,
    batch: EventBatch,
    decisions: Decisions,
    answer: String,
    sequence: i64,
}

impl Decider {
    fn new(detector: &Arc<Detector>, model: Model) -> Decider {
        Decider {
            reader: EventReader::without_labels(&detector.schema),
            engine: Engine::new(Arc::clone(detector), Some(model), 1),
            batch: EventBatch::new(Arc::new(detector.schema.clone())),
            decisions: Decisions::default(),
            answer: String::new(),
            sequence: 0,
        }
    }

    fn decide(&mut self, json: &[u8]) -> Result<()> {
        self.batch.clear();
        self.reader.read(json, &mut self.batch)?;
        self.engine.process(&self.batch, self.sequence, &mut self.decisions);
        self.sequence += 1;
        self.answer.clear();
        self.answer.push_str("{\"event\":");
        write_event(&self.batch, 0, false, &mut self.answer);
        self.answer.push_str(",\"score\":");
        write_number(self.decisions.scores[0], &mut self.answer);
        self.answer.push_str(",\"outcome\":");
        write_json_text(self.decisions.outcomes[0].name(), &mut self.answer);
        self.answer.push('}');
        std::hint::black_box(&self.answer);
        Ok(())
    }
}

/// A file of transactions through features and model into a file of decisions: events a second, on all cores.
fn replayed(args: &Args) -> Result<Spread> {
    let folder = TemporaryFolder::create()?;
    let (transactions, decisions) =
        (folder.0.join("transactions.parquet"), folder.0.join("decisions.parquet"));
    let detector = load_detector("card-handbook")?;
    let settings =
        Settings { seed: 1, rows: Some(args.rows), customers: Some(args.cards), ..Settings::default() };
    simulate::make("card-handbook", &settings, &transactions)?;
    let columns = ColumnMap::default();
    let (set, _) = load(&detector, &transactions, &columns, None, &mut |_| {})?;
    let params = Params { trees: TREES, ..Params::defaults(Algorithm::Gbdt) };
    let model = train(&detector, &set, &Recipe::plain(params), &mut |_| {})?.bind(&detector)?;
    drop(set);
    let flow = Flow { batch: BATCH_ROWS as u32, shards: Some(cores() as u32), rejects: None };
    repeat(args, || {
        let engine = Engine::new(Arc::clone(&detector), Some(model.clone()), flow.shards());
        let table = TableWriter::create(&decisions, &replay::table_columns(&detector))?;
        let mut rules = String::new();
        let report = run_into_table(
            (&transactions, &columns),
            &flow,
            engine,
            Some(table),
            &mut |table, batch, decisions, row| {
                replay::write_decision(&detector, table, batch, decisions, row, &mut rules);
            },
        )?;
        Ok(report.events_per_second)
    })
}

/// A folder that is gone when the benchmark is over.
pub(super) struct TemporaryFolder(pub(super) PathBuf);

impl TemporaryFolder {
    pub(super) fn create() -> Result<TemporaryFolder> {
        let path = std::env::temp_dir().join(format!("redflag-bench-{}", std::process::id()));
        std::fs::create_dir_all(&path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(TemporaryFolder(path))
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        // What cannot be removed is left to the system that cleans its temporary folder.
        drop(std::fs::remove_dir_all(Path::new(&self.0)));
    }
}
