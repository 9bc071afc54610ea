//! `redflag simulate`: labelled transactions for people who have none.

mod pace;
pub mod stream;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result};
use engine::time::format_instant;
use lab::dataset::{ColumnType, SimulatedReader, TableWriter};
use lab::simulate::drift::{Drift, Scenario};
use lab::simulate::{self, Cell, Column, ColumnKind, Row, Settings, Simulator, script, simulator};

pub use pace::Kept;

use super::WrongInput;
use super::output::{CountBar, instant, load_detector, memory_peak_bytes, tell};

/// Make transactions with labelled fraud.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The same seed and settings give the same bytes, on any machine. Columns are named as in the detector, so the file is
read back with --detector of the same name.

Examples:
  redflag simulate --detector card --rows 1000000 --seed 1 --out transactions.parquet
  redflag simulate --detector banking --days 30 --out - | head
  redflag simulate --write-attacks attacks    # change, add, delete files there
  redflag simulate --detector card --rows 1000000 --attacks attacks --out transactions.parquet
  redflag simulate --detector card --days 120 --drift new-attack --drift-day 60 --out transactions.parquet
  redflag simulate --detector card --kafka localhost:9092 --rate 200")]
pub struct Args {
    /// Detector whose events are made: card, card-handbook, ulb, paysim or banking
    #[arg(long, value_name = "NAME", required_unless_present = "write_attacks")]
    detector: Option<String>,
    /// Stop after this many transactions
    #[arg(long, value_name = "N")]
    rows: Option<u64>,
    /// Stop after this many days of simulated time
    #[arg(long, value_name = "N")]
    days: Option<u32>,
    /// Seed of everything random
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
    /// When the stream begins, as RFC 3339 or a date [default: 2018-04-01]
    #[arg(long, value_name = "TIME", value_parser = instant)]
    start: Option<i64>,
    /// Customers, users or accounts [default: as suits the rows]
    #[arg(long, value_name = "N")]
    customers: Option<u32>,
    /// Terminals or merchants [default: as suits the customers]
    #[arg(long, value_name = "N")]
    terminals: Option<u32>,
    /// What fraudsters do in card, banking and paysim: the attack scripts (.toml) of this folder, none if it has none
    /// [default: the shipped ones]
    #[arg(long, value_name = "FOLDER")]
    attacks: Option<PathBuf>,
    /// Write the shipped attack scripts into a folder, to be changed and used with --attacks, and do nothing else
    #[arg(long, value_name = "FOLDER", exclusive = true)]
    write_attacks: Option<PathBuf>,
    /// Change the world on the way: new-attack, inflation, missing-field or all (card only)
    #[arg(long, value_name = "NAME", value_parser = str::parse::<Scenario>, conflicts_with = "write_attacks")]
    drift: Option<Scenario>,
    /// The day from which it is another, counted from 0 [default: the middle]
    #[arg(long, value_name = "N", requires = "drift")]
    drift_day: Option<u32>,
    /// Where the transactions go: .csv, .jsonl or .parquet; `-` is JSON lines on the standard output
    #[arg(long, value_name = "FILE", required_unless_present_any = ["kafka", "config", "write_attacks"])]
    out: Option<PathBuf>,
    /// Send them to Kafka, to the topic of transactions, without labels and marked as synthetic: brokers as host:port
    #[arg(long, value_name = "BROKERS", conflicts_with = "out")]
    kafka: Option<String>,
    /// Settings file that says how Kafka is reached and what the topic is called
    #[arg(long, value_name = "FILE", conflicts_with = "out")]
    config: Option<PathBuf>,
    /// Transactions a second to Kafka [default: as fast as it takes them]
    #[arg(long, value_name = "N", value_parser = rate, conflicts_with = "out")]
    rate: Option<f64>,
    /// Print the counts as JSON
    #[arg(long)]
    json: bool,
}

#[derive(serde::Serialize)]
struct Made {
    detector: String,
    #[serde(flatten)]
    tally: Tally,
    seconds: f64,
    rows_per_second: f64,
    memory_peak_bytes: Option<u64>,
}

/// What was made.
#[derive(Default, serde::Serialize)]
pub struct Tally {
    rows: u64,
    frauds: u64,
    first_time: Option<String>,
    last_time: Option<String>,
    /// How well a rate was kept, where one was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pacing: Option<Kept>,
}

/// Runs the command.
///
/// # Errors
/// If there is no such simulator, nothing says where it ends, or the transactions cannot be written.
pub fn run(args: Args) -> Result<()> {
    if let Some(folder) = &args.write_attacks {
        return write_attacks(folder);
    }
    let started = Instant::now();
    let tally = match &args.out {
        Some(out) if args.rows.is_none() && args.days.is_none() && out != Path::new("-") => {
            return Err(WrongInput("a file needs an end: give --rows or --days".to_string()).into());
        }
        Some(out) => make(args.detector(), &settings(&args)?, out)?,
        None => send(&args)?,
    };
    let seconds = started.elapsed().as_secs_f64();
    let rows_per_second = tally.rows as f64 / seconds.max(1e-9);
    let memory_peak_bytes = memory_peak_bytes();
    let made =
        Made { detector: args.detector().to_string(), tally, seconds, rows_per_second, memory_peak_bytes };
    tell(&made, args.json, args.out.as_deref().unwrap_or(Path::new("kafka")))
}

impl Args {
    /// Its name; clap asks for it wherever it is used.
    fn detector(&self) -> &str {
        self.detector.as_deref().unwrap_or_default()
    }
}

fn rate(text: &str) -> std::result::Result<f64, String> {
    let rate = text.parse().ok().filter(|rate: &f64| *rate > 0.0 && rate.is_finite());
    rate.ok_or_else(|| "expected a number of transactions a second, above 0".to_string())
}

fn send(args: &Args) -> Result<Tally> {
    let reach = super::topics::Reach { config: args.config.clone(), kafka: args.kafka.clone() };
    let kafka = reach.settings()?.kafka;
    let detector = load_detector(args.detector())?;
    crate::stream::topics::partitions(&kafka, &[&kafka.transactions])?;
    let made = simulator(args.detector(), &settings(args)?)?;
    let schema = Arc::new(detector.schema.clone());
    let events = SimulatedReader::new(made, &schema).marked(simulate::mark(args.detector(), args.seed));
    stream::send(&schema, events, &kafka, args.rows, args.rate)
}

/// Writes a file of simulated transactions.
///
/// # Errors
/// If there is no such simulator, or the transactions cannot be written.
pub fn make(detector: &str, settings: &Settings, out: &Path) -> Result<Tally> {
    let stream = simulator(detector, settings)?;
    let detector = load_detector(detector)?;
    let layout = Layout::new(stream.columns(), detector.schema.id_field(), detector.schema.label_field());
    let mut table = TableWriter::create(out, &layout.table_columns(stream.columns()))?;
    let tally = write_all(stream, &layout, &mut table, settings.rows)?;
    table.finish()?;
    Ok(tally)
}

/// Files that are there already are somebody's work.
fn write_attacks(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder)
        .with_context(|| format!("cannot make the folder {}", folder.display()))?;
    for (name, text) in script::SHIPPED {
        let path = folder.join(name);
        let created = std::fs::File::create_new(&path).and_then(|mut file| file.write_all(text.as_bytes()));
        created.with_context(|| format!("cannot write {}", path.display()))?;
        println!("{}", path.display());
    }
    Ok(())
}

fn settings(args: &Args) -> Result<Settings> {
    let defaults = Settings::default();
    let attacks = match &args.attacks {
        None => defaults.attacks,
        Some(folder) => script::read(folder).map_err(|mistakes| WrongInput(mistakes.join("\n")))?,
    };
    Ok(Settings {
        seed: args.seed,
        start_us: args.start.unwrap_or(defaults.start_us),
        rows: args.rows,
        days: args.days,
        customers: args.customers,
        terminals: args.terminals,
        attacks,
        drift: args
            .drift
            .map(|scenario| Ok::<_, anyhow::Error>(Drift { scenario, day: drift_day(args)? }))
            .transpose()?,
        ..defaults
    })
}

/// The day from which the world is another: the one asked for, or the middle of the stream.
fn drift_day(args: &Args) -> Result<u32> {
    let span = match (args.days, args.rows) {
        (Some(days), _) => Some(days),
        (None, Some(rows)) => {
            let (customers, terminals) = (args.customers, args.terminals);
            let sized = Settings { rows: Some(rows), customers, terminals, ..Settings::default() };
            Some((rows as f64 / simulator(args.detector(), &sized)?.rows_per_day()) as u32)
        }
        (None, None) => None,
    };
    let no_middle = || WrongInput("a stream without an end has no middle: give --drift-day".to_string());
    Ok(args.drift_day.or(span.map(|days| days / 2)).ok_or_else(no_middle)?)
}

/// What is added to a simulator's columns, and what is counted in them.
struct Layout<'a> {
    /// The detector's id field, where the original of the data has none: without it JSON lines could not be told apart.
    id: Option<&'a str>,
    label: Option<usize>,
    time: Option<usize>,
}

impl Layout<'_> {
    fn new<'a>(columns: &[Column], id: &'a str, label: Option<&str>) -> Layout<'a> {
        let find = |name: &str| columns.iter().position(|column| column.name == name);
        Layout {
            id: find(id).is_none().then_some(id),
            label: label.and_then(find),
            time: columns.iter().position(|column| column.kind == ColumnKind::Time),
        }
    }

    fn table_columns(&self, columns: &[Column]) -> Vec<(String, ColumnType)> {
        let id = self.id.map(|id| (id.to_string(), ColumnType::Integer));
        id.into_iter()
            .chain(columns.iter().map(|column| (column.name.to_string(), type_of(column.kind))))
            .collect()
    }
}

fn type_of(kind: ColumnKind) -> ColumnType {
    match kind {
        ColumnKind::Text => ColumnType::Text,
        ColumnKind::Integer => ColumnType::Integer,
        ColumnKind::Number | ColumnKind::Money => ColumnType::Number,
        ColumnKind::Time => ColumnType::Instant,
    }
}

fn write_all(
    mut stream: Box<dyn Simulator>,
    layout: &Layout,
    table: &mut TableWriter,
    wanted: Option<u64>,
) -> Result<Tally> {
    let bar = CountBar::new("simulating", "rows", wanted);
    let mut tally = Tally::default();
    let (mut first_us, mut last_us) = (None, None);
    let mut row = Row::new();
    while stream.next(&mut row) {
        tally.rows += 1;
        tally.frauds += u64::from(layout.label.is_some_and(|column| row.cell(column) == Cell::Integer(1)));
        last_us = layout.time.and_then(|column| time_of(row.cell(column)));
        first_us = first_us.or(last_us);
        if layout.id.is_some() {
            table.integer(tally.rows as i64);
        }
        row.cells().for_each(|cell| write_cell(table, cell));
        table.end_row()?;
        if tally.rows % 10_000 == 0 {
            bar.show(tally.rows);
        }
    }
    bar.finish();
    (tally.first_time, tally.last_time) = (first_us.map(format_instant), last_us.map(format_instant));
    Ok(tally)
}

fn time_of(cell: Cell) -> Option<i64> {
    if let Cell::TimeUs(us) = cell { Some(us) } else { None }
}

fn write_cell(table: &mut TableWriter, cell: Cell) {
    match cell {
        Cell::Text(text) => table.text(text),
        Cell::Integer(value) => table.integer(value),
        Cell::Number(value) => table.number(value),
        Cell::Money { minor } => table.money(minor, 2),
        Cell::TimeUs(us) => table.instant(us),
        Cell::Missing => table.missing(),
    }
}

impl std::fmt::Display for Made {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Made {
            tally: Tally { rows, frauds, first_time, last_time, pacing },
            seconds,
            rows_per_second,
            ..
        } = self;
        let share = 100.0 * *frauds as f64 / (*rows).max(1) as f64;
        write!(f, "{rows} transactions, {frauds} frauds ({share:.3} %)")?;
        if let (Some(first), Some(last)) = (first_time, last_time) {
            write!(f, ", {first} to {last}")?;
        }
        write!(f, ", in {seconds:.2} s, {rows_per_second:.0} rows/s")?;
        match pacing {
            Some(Kept { late, lateness_p99_ms, lateness_max_ms, .. }) => write!(
                f,
                "; {late} sent more than 10 ms late, 99 in 100 within {lateness_p99_ms:.1} ms, the latest {lateness_max_ms:.1} ms"
            ),
            None => Ok(()),
        }
    }
}
