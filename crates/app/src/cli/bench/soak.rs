//! `redflag bench soak`: a service under load for long. Its memory is watched and its decisions are counted.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use lab::simulate::Settings as Simulation;
use serde_json::Value;
use store::Database;

use super::Machine;
use super::http::{LoadArgs, OwnService, Percentiles, send};
use super::service::{ServiceProcess, resident_bytes};

/// How often memory is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Memory may grow by so many bytes beyond what the windows hold: caches of a bounded size fill for a while.
const GROWTH_MAX_BYTES: u64 = 64 << 20;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
A service of its own is started in an empty folder and gets transactions at a fixed rate. Of its memory, what the windows hold is
its state, which grows until the longest window has passed; the rest must stay flat: the median of the last quarter may be larger
than that of the second by no more than --growth-mib. Afterwards every answered transaction must be in the database.

Examples:
  redflag bench soak --rate 1000 --seconds 3600
  redflag bench soak --rate 2000 --seconds 60 --json")]
pub struct Args {
    #[command(flatten)]
    load: LoadArgs,
    /// Growth of memory, beside the state's, from which on it fails, in MiB
    #[arg(long, default_value_t = GROWTH_MAX_BYTES >> 20)]
    growth_mib: u64,
}

/// Memory at one moment, in bytes.
#[derive(Debug, Clone, Copy, serde::Serialize)]
struct Memory {
    at_s: f64,
    resident_bytes: u64,
    state_bytes: u64,
}

impl Memory {
    fn beside_state(&self) -> u64 {
        self.resident_bytes.saturating_sub(self.state_bytes)
    }
}

#[derive(Debug, serde::Serialize)]
struct Report {
    machine: Machine,
    rate_per_second: f64,
    seconds: u64,
    answered: u64,
    stored: u64,
    failed: u64,
    latency_ms: Percentiles,
    /// Medians of the second and the last quarter of the time, beside the state.
    memory_before_bytes: u64,
    memory_after_bytes: u64,
    state_bytes: u64,
    memory: Vec<Memory>,
}

/// Runs the soak.
///
/// # Errors
/// If the service fails, memory grows, or a decision is missing.
pub fn run(args: &Args) -> Result<()> {
    let machine = Machine::this();
    eprintln!("{machine}");
    let own = OwnService::start(&args.load)?;
    let plan = args.load.plan(own.process.address());
    let source = args.load.source(Simulation::default().start_us, 0)?;
    let mut memory = Vec::new();
    let (started, mut due) = (Instant::now(), Duration::ZERO);
    let tally = send(&plan, source, &mut || {
        if started.elapsed() >= due {
            due += LOOK_EVERY;
            memory.extend(look(&own.process, started));
        }
    })?;
    let report = Report {
        machine,
        rate_per_second: args.load.rate,
        seconds: args.load.seconds,
        answered: tally.decided,
        stored: stored(&args.load, &own)?,
        failed: tally.failed,
        latency_ms: Percentiles::of(&tally.latency),
        memory_before_bytes: median(&memory[memory.len() / 4..memory.len() / 2]),
        memory_after_bytes: median(&memory[memory.len() * 3 / 4..]),
        state_bytes: memory.last().map_or(0, |memory| memory.state_bytes),
        memory,
    };
    if args.load.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        print!("{report}");
    }
    judge(&report, args.growth_mib << 20, tally.first_failure.as_deref())
}

/// Nothing, if the service does not answer just now: the load says so.
fn look(service: &ServiceProcess, started: Instant) -> Option<Memory> {
    let state_bytes = state_bytes(&service.get("/v1/health").ok()?)?;
    let resident_bytes = resident_bytes(service.id()).ok()?;
    Some(Memory { at_s: started.elapsed().as_secs_f64(), resident_bytes, state_bytes })
}

fn state_bytes(answer: &str) -> Option<u64> {
    let health: Value = serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()?;
    let engine = health["parts"].as_array()?.iter().find(|part| part["name"] == "engine")?;
    let memory = engine["figures"].as_array()?.iter().find(|figure| figure["name"] == "memory")?;
    memory["value"].as_f64().map(|bytes| bytes as u64)
}

fn stored(args: &LoadArgs, own: &OwnService) -> Result<u64> {
    let database = match &args.database {
        Some(text) => Database::parse(text).map_err(anyhow::Error::msg)?,
        None => Database::in_folder(&own.data_dir()),
    };
    let mut reader = database.open_reader().with_context(|| format!("database {database}"))?;
    Ok(reader.totals()?.decisions())
}

fn median(memory: &[Memory]) -> u64 {
    let mut bytes: Vec<u64> = memory.iter().map(Memory::beside_state).collect();
    bytes.sort_unstable();
    bytes.get(bytes.len() / 2).copied().unwrap_or_default()
}

fn judge(report: &Report, growth_max: u64, first_failure: Option<&str>) -> Result<()> {
    let mut wrong = Vec::new();
    let growth = report.memory_after_bytes.saturating_sub(report.memory_before_bytes);
    if growth > growth_max {
        wrong.push(format!("memory beside the state grew by {} MiB", growth >> 20));
    }
    if report.stored != report.answered {
        wrong.push(format!("{} transactions were answered, {} are stored", report.answered, report.stored));
    }
    wrong.extend(first_failure.map(|why| format!("{} got no decision; the first: {why}", report.failed)));
    if !wrong.is_empty() {
        bail!("{}", wrong.join("; "));
    }
    Ok(())
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        writeln!(
            f,
            "{} s at {}/s: {} answered, {} stored, {} failed",
            self.seconds, self.rate_per_second, self.answered, self.stored, self.failed
        )?;
        writeln!(f, "latency    {}", self.latency_ms)?;
        writeln!(
            f,
            "memory     {:.1} MiB in the second quarter, {:.1} MiB in the last, beside a state of {:.1} MiB",
            mib(self.memory_before_bytes),
            mib(self.memory_after_bytes),
            mib(self.state_bytes)
        )
    }
}
