//! `redflag bench store`: how many decisions a second a database takes.
//!
//! One connection merges group after group into a database that is empty at first and grows with every repetition. A
//! decision has fifteen features, its event and its place in a topic. Ids that rise cost an index less than ids that are
//! scattered, so both are measured.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};
use clap::ValueEnum;
use engine::Outcome;
use store::{Database, Group, NewDecision, Origin, Scratch, Store, Sync, Timeliness, Versions};

use super::{Machine, Spread};
use crate::cli::output::CountBar;

const FEATURES: usize = 15;

/// The first event time, 1 April 2018, and the time between two.
const FIRST_US: i64 = 1_522_540_800_000_000;
const STEP_US: i64 = 1_000_000;

/// One decision in so many is reviewed, says why, and opens an alert or joins one of its entity.
const REVIEWED_EVERY: i64 = 100;

/// As a service has it by default.
const ALERT_WINDOW_US: i64 = engine::time::DAY_US;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
SQLite is measured in a file of its own, PostgreSQL in a schema of its own; both are gone in the end.

Examples:
  redflag bench store
  redflag bench store --database postgres://redflag@127.0.0.1/redflag --groups 1000,4000")]
pub struct Args {
    /// A PostgreSQL database to measure as well
    #[arg(long, value_name = "URL", env = "DATABASE_URL", hide_env_values = true, value_parser = Database::parse)]
    database: Option<Database>,
    /// Folder for SQLite's file
    #[arg(long, value_name = "FOLDER", default_value_os_t = std::env::temp_dir())]
    folder: PathBuf,
    /// Decisions in one repetition
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u32).range(1_000..=100_000_000))]
    rows: u32,
    /// Decisions in a group
    #[arg(long, value_name = "N,N", value_delimiter = ',', default_values_t = [256, 1_024, 4_096],
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    groups: Vec<u32>,
    /// Repetitions: the median counts
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    repetitions: u32,
    /// What a commit waits for: interval (the system or the server has it) or commit (the disk has it)
    #[arg(long, value_enum, default_value_t = Wait::Interval)]
    sync: Wait,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
enum Wait {
    Interval,
    Commit,
}

impl From<Wait> for Sync {
    fn from(wait: Wait) -> Sync {
        match wait {
            Wait::Interval => Sync::Interval,
            Wait::Commit => Sync::Commit,
        }
    }
}

/// What ids look like to an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
enum Ids {
    Rising,
    Scattered,
}

#[derive(Debug, serde::Serialize)]
struct Report {
    machine: Machine,
    sync: Wait,
    features: usize,
    rows: u32,
    measured: Vec<Measured>,
}

#[derive(Debug, serde::Serialize)]
struct Measured {
    database: String,
    ids: Ids,
    group: u32,
    decisions_per_second: Spread,
}

/// Runs the benchmark.
///
/// # Errors
/// If a database cannot be used.
pub fn run(args: &Args) -> Result<()> {
    let mut measured = Vec::new();
    let bar = CountBar::new("writing", "decisions", None);
    for ids in [Ids::Rising, Ids::Scattered] {
        for group in &args.groups {
            let file = SqliteFile::in_folder(&args.folder);
            let mut store = file.0.open(args.sync.into())?;
            let rates = rates(&mut *store, args, *group, ids, &bar)?;
            let database = format!("SQLite {}", store::Sqlite::library_version());
            measured.push(Measured { database, ids, group: *group, decisions_per_second: rates });
        }
        if let Some(Database::Postgres { address, .. }) = &args.database {
            for group in &args.groups {
                let scratch = Scratch::create(address).context("cannot use --database")?;
                let mut store = store::Postgres::open(&scratch.address, args.sync.into(), None)?;
                let rates = rates(&mut store, args, *group, ids, &bar)?;
                drop(store);
                let database = format!("PostgreSQL {}", scratch.server_version()?);
                measured.push(Measured { database, ids, group: *group, decisions_per_second: rates });
            }
        }
    }
    bar.finish();
    let machine = Machine::this();
    let report = Report { machine, sync: args.sync, features: FEATURES, rows: args.rows, measured };
    print(&report, args.json)
}

/// SQLite's file, gone with the value.
struct SqliteFile(Database, PathBuf);

impl SqliteFile {
    fn in_folder(folder: &Path) -> SqliteFile {
        let path = folder.join(format!("redflag-bench-{}.db", std::process::id()));
        SqliteFile(Database::Sqlite(path.clone()), path)
    }
}

impl Drop for SqliteFile {
    fn drop(&mut self) {
        for ending in ["db", "db-wal", "db-shm"] {
            // What is not there need not go.
            drop(std::fs::remove_file(self.1.with_extension(ending)));
        }
    }
}

fn rates(store: &mut dyn Store, args: &Args, group: u32, ids: Ids, bar: &CountBar) -> Result<Spread> {
    let version = store.version(&versions())?;
    let mut rates = Vec::new();
    let mut next = 0;
    for _ in 0..args.repetitions {
        let rows: Vec<Row> = (next..next + i64::from(args.rows)).map(|at| Row::new(at, ids)).collect();
        next += i64::from(args.rows);
        let started = Instant::now();
        for part in rows.chunks(group as usize) {
            let decisions = part.iter().map(|row| row.decision(version)).collect();
            store.merge(&Group { decisions, alert_window_us: Some(ALERT_WINDOW_US), ..Group::default() })?;
        }
        rates.push(f64::from(args.rows) / started.elapsed().as_secs_f64());
        bar.show(next as u64);
    }
    Ok(Spread::of(rates))
}

/// A decision as a detector with fifteen features makes it.
struct Row {
    number: i64,
    id: String,
    key: String,
    event: String,
    features: [f64; FEATURES],
}

impl Row {
    fn new(number: i64, ids: Ids) -> Row {
        // Steps through all numbers in an order that no index likes (Weyl's sequence).
        let scattered = (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let id = match ids {
            Ids::Rising => format!("{number:016}"),
            Ids::Scattered => format!("{scattered:016x}"),
        };
        let key = (scattered % 5_000).to_string();
        let time = engine::time::format_instant(FIRST_US + number * STEP_US);
        let event = format!(
            "{{\"transaction_id\":\"{id}\",\"tx_datetime\":\"{time}\",\"customer_id\":\"{key}\",\
             \"terminal_id\":\"{}\",\"tx_amount\":57.16}}",
            scattered % 10_000
        );
        let features = std::array::from_fn(|feature| (number % 1_000) as f64 / (feature + 3) as f64);
        Row { number, id, key, event, features }
    }

    fn decision(&self, version: i64) -> NewDecision<'_> {
        let reviewed = self.number % REVIEWED_EVERY == 0;
        NewDecision {
            sequence: 0,
            id: &self.id,
            key: Some(&self.key),
            event_time_us: FIRST_US + self.number * STEP_US,
            decided_at_us: FIRST_US + self.number * STEP_US + 1_000,
            latency_us: 900,
            amount_minor: 5_716,
            score: (self.number % 997) as f64 / 997.0,
            outcome: if reviewed { Outcome::Review } else { Outcome::Approve },
            rules: "",
            timeliness: Timeliness::OnTime,
            version,
            mark: None,
            event: &self.event,
            features: &self.features,
            reasons: reviewed.then_some(
                r#"[{"feature":"customer_count_1d","value":9.0,"contribution":1.25,"text":"9 payments in 1 day"}]"#,
            ),
            origin: Some(Origin { partition: 0, offset: self.number }),
            shadow: &[],
            fallback: None,
        }
    }
}

fn versions() -> Versions {
    Versions {
        detector: "bench".to_string(),
        feature_fingerprint: "bench".to_string(),
        rules_fingerprint: "bench".to_string(),
        model: None,
        feature_names: (1..=FEATURES).map(|feature| format!("feature_{feature}")).collect(),
    }
}

fn print(report: &Report, json: bool) -> Result<()> {
    if json {
        println!("{}", serde_json::to_string_pretty(report)?);
        return Ok(());
    }
    println!("{}", report.machine);
    println!(
        "{} decisions a repetition, {} features, one connection, a commit waits for: {:?}",
        report.rows, report.features, report.sync
    );
    println!("{:<40} {:<10} {:>6}  {:>12}  spread", "database", "ids", "group", "decisions/s");
    for Measured { database, ids, group, decisions_per_second: Spread { median, min, max } } in
        &report.measured
    {
        let ids = format!("{ids:?}").to_lowercase();
        println!("{database:<40} {ids:<10} {group:>6}  {median:>12.0}  {min:.0} to {max:.0}");
    }
    Ok(())
}
