//! `redflag bench http`: transactions posted at a fixed rate, whatever becomes of those before.

mod connection;
pub mod load;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use hdrhistogram::Histogram;
use lab::dataset::{Block, SimulatedReader};
use lab::simulate::{Settings as Simulation, simulator};

use self::load::{Plan, Source, Tally};
use super::service::{ServiceProcess, cpu_seconds};
use super::{Machine, grow_model};
use crate::cli::WrongInput;
use crate::cli::output::{CountBar, load_detector};
use crate::service::pipeline::now_us;

/// How often the bar is drawn.
const DRAW_EVERY: Duration = Duration::from_millis(200);

/// The percentiles that are told.
const TOLD: [(&str, f64); 6] =
    [("p50", 50.0), ("p90", 90.0), ("p99", 99.0), ("p99.9", 99.9), ("p99.99", 99.99), ("max", 100.0)];

#[derive(Debug, clap::Args)]
#[command(after_help = "\
The load is open: transaction n is due at n / rate, however long the answers before it take, and its latency counts from then
(no coordinated omission). Without --url a service of its own is started in an empty folder. Exit code 1 if a threshold that is
given is passed, or a transaction gets no decision.

Examples:
  redflag bench http --rate 5000
  redflag bench http --rate 2000 --seconds 300 --p99-ms 5 --p999-ms 20
  REDFLAG_API_KEY=… redflag bench http --url http://127.0.0.1:8080 --rate 500 --json
  redflag bench http --closed --connections 16")]
pub struct Args {
    #[command(flatten)]
    pub load: LoadArgs,
    /// Service that is measured, as http://host:port; by default one is started
    #[arg(long)]
    url: Option<String>,
    /// Send on each connection as soon as the answer before is there, instead of at a rate
    #[arg(long, conflicts_with = "rate")]
    closed: bool,
    /// Fail if more than 1 % take longer, in milliseconds
    #[arg(long, value_name = "MS")]
    p99_ms: Option<f64>,
    /// Fail if more than 0.1 % take longer, in milliseconds
    #[arg(long, value_name = "MS")]
    p999_ms: Option<f64>,
}

/// What every load is told.
#[derive(Debug, clap::Args)]
pub struct LoadArgs {
    /// Transactions a second
    #[arg(long, default_value_t = 1_000.0, value_parser = rate)]
    pub rate: f64,
    /// For how long, in seconds
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub seconds: u64,
    /// Seconds at the beginning that are not counted
    #[arg(long, default_value_t = 2)]
    pub warm_up: u64,
    /// Connections, a thread each
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=1_024))]
    pub connections: u32,
    /// Detector whose transactions are simulated
    #[arg(long, default_value = "card-handbook")]
    pub detector: String,
    /// Model of the service that is started; by default 200 trees are grown on simulated transactions
    #[arg(long, value_name = "FILE")]
    pub model: Option<PathBuf>,
    /// Database of the service that is started; by default SQLite in a folder of its own
    #[arg(long)]
    pub database: Option<String>,
    /// Seed of the simulation
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// API key; better given by the environment
    #[arg(long, env = "REDFLAG_API_KEY", hide_env_values = true)]
    pub key: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate| (0.1..=1e7).contains(rate));
    rate.ok_or_else(|| "expected transactions a second, from 0.1 to 10000000".to_string())
}

impl LoadArgs {
    /// What is sent to this address, and how.
    pub fn plan(&self, address: &str) -> Plan {
        Plan {
            address: address.to_string(),
            key: self.key.clone(),
            connections: self.connections as usize,
            rate: Some(self.rate),
            duration: Duration::from_secs(self.seconds),
            warm_up: Duration::from_secs(self.warm_up.min(self.seconds / 2)),
        }
    }

    /// Simulated transactions from `start_us` on, with ids from `first_id` on.
    ///
    /// # Errors
    /// If there is no such detector or simulator.
    pub fn source(&self, start_us: i64, first_id: i64) -> Result<Source> {
        let detector = load_detector(&self.detector)?;
        let schema = Arc::new(detector.schema.clone());
        let simulation = Simulation { seed: self.seed, start_us, first_id, ..Simulation::default() };
        let simulator = simulator(&self.detector, &simulation)?;
        Ok(Source::new(SimulatedReader::new(simulator, &schema), Block::new(&schema)))
    }
}

/// A service of its own, in a folder that is removed with it.
pub struct OwnService {
    /// The process.
    pub process: ServiceProcess,
    folder: PathBuf,
}

impl OwnService {
    /// Starts it.
    ///
    /// # Errors
    /// If it does not come up.
    pub fn start(args: &LoadArgs) -> Result<OwnService> {
        let folder = std::env::temp_dir().join(format!("redflag-bench-http-{}", std::process::id()));
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let model = match &args.model {
            Some(model) => model.clone(),
            None => grow_model(&args.detector, &folder)?,
        };
        let (data_dir, model) = (folder.join("data").display().to_string(), model.display().to_string());
        let mut settings = vec![
            ("REDFLAG_DATA_DIR", &*data_dir),
            ("REDFLAG_DETECTOR", &args.detector),
            ("REDFLAG_MODEL", &model),
        ];
        settings.extend(args.database.as_deref().map(|database| ("REDFLAG_DATABASE", database)));
        Ok(OwnService { process: ServiceProcess::start(&settings)?, folder })
    }

    /// Its data folder.
    pub fn data_dir(&self) -> PathBuf {
        self.folder.join("data")
    }
}

impl Drop for OwnService {
    fn drop(&mut self) {
        // A folder of the system's temporary ones; what cannot be removed is not worth failing for.
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

/// Sends, with a bar on a terminal.
///
/// # Errors
/// If a connection cannot be made.
pub fn send(plan: &Plan, source: Source, beside: &mut dyn FnMut()) -> Result<Tally> {
    let done = AtomicU64::new(0);
    let total = plan.rate.map(|rate| (rate * plan.duration.as_secs_f64()) as u64);
    let bar = CountBar::new("posting", "transactions", total);
    let tally = std::thread::scope(|scope| {
        let sender = scope.spawn(|| load::send(plan, source, &done));
        while !sender.is_finished() {
            std::thread::sleep(DRAW_EVERY);
            bar.show(done.load(Ordering::Relaxed));
            beside();
        }
        sender.join().map_err(|_| anyhow::anyhow!("the load ended by a panic"))?
    });
    bar.finish();
    tally
}

/// What was measured.
#[derive(Debug, serde::Serialize)]
struct Report {
    machine: Machine,
    detector: String,
    connections: u32,
    /// Asked for; `null` for a closed load.
    rate_per_second: Option<f64>,
    decisions_per_second: f64,
    decided: u64,
    failed: u64,
    /// Milliseconds by percentile, from the moment at which each was due.
    latency_ms: Percentiles,
    /// Milliseconds by percentile from that moment until it was sent: how late the load itself was.
    sent_late_ms: Percentiles,
    /// Processor time of the service for a decision, in microseconds; `null` where it is somebody else's.
    processor_us: Option<f64>,
    passed: Vec<String>,
}

/// By name, in milliseconds.
#[derive(Debug, serde::Serialize)]
pub struct Percentiles(std::collections::BTreeMap<&'static str, f64>);

impl Percentiles {
    /// Those of a histogram of nanoseconds.
    pub fn of(histogram: &Histogram<u64>) -> Percentiles {
        let at = |percentile| histogram.value_at_percentile(percentile) as f64 / 1e6;
        Percentiles(TOLD.into_iter().map(|(name, percentile)| (name, at(percentile))).collect())
    }
}

impl std::fmt::Display for Percentiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let told = TOLD.map(|(name, _)| format!("{name} {:.3}", self.0[name]));
        write!(f, "{} ms", told.join(", "))
    }
}

/// Runs the benchmark.
///
/// # Errors
/// If the service cannot be reached, a transaction got no decision, or a threshold was passed.
pub fn run(args: &Args) -> Result<()> {
    let machine = Machine::this();
    eprintln!("{machine}");
    let own = args.url.is_none().then(|| OwnService::start(&args.load)).transpose()?;
    let address = match (&own, &args.url) {
        (Some(own), _) => own.process.address(),
        (None, url) => address_of(url.as_deref().unwrap_or_default())?,
    };
    let plan = Plan { rate: (!args.closed).then_some(args.load.rate), ..args.load.plan(address) };
    // Somebody else's service has seen the past: its next transactions are those of now.
    let source = if own.is_some() {
        args.load.source(Simulation::default().start_us, 0)?
    } else {
        args.load.source(now_us(), now_us())?
    };
    let used = || own.as_ref().map(|own| cpu_seconds(own.process.id())).transpose();
    let (before, started) = (used()?, Instant::now());
    let tally = send(&plan, source, &mut || {})?;
    let seconds = started.elapsed().as_secs_f64();
    let processor_s = used()?.zip(before).map(|(after, before)| after - before);
    let report = Report {
        machine,
        detector: args.load.detector.clone(),
        connections: args.load.connections,
        rate_per_second: plan.rate,
        decisions_per_second: tally.decided as f64 / seconds,
        decided: tally.decided,
        failed: tally.failed,
        latency_ms: Percentiles::of(&tally.latency),
        sent_late_ms: Percentiles::of(&tally.lateness),
        processor_us: processor_s.map(|seconds| seconds * 1e6 / (tally.decided as f64).max(1.0)),
        passed: passed(args, &tally),
    };
    if args.load.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        print!("{report}");
    }
    conclude(&report, &tally)
}

fn address_of(url: &str) -> Result<&str> {
    let address = url.strip_prefix("http://").map(|rest| rest.trim_end_matches('/'));
    let address = address.filter(|address| address.contains(':') && !address.contains('/'));
    address.ok_or_else(|| WrongInput(format!("--url is {url:?}, expected http://host:port")).into())
}

/// The thresholds that were passed, in words.
fn passed(args: &Args, tally: &Tally) -> Vec<String> {
    let found = |name: &str, percentile: f64, most_ms: Option<f64>| {
        let ms = tally.latency.value_at_percentile(percentile) as f64 / 1e6;
        most_ms
            .filter(|most_ms| ms > *most_ms)
            .map(|most_ms| format!("{name} is {ms:.3} ms, not {most_ms} ms"))
    };
    [found("p99", 99.0, args.p99_ms), found("p99.9", 99.9, args.p999_ms)].into_iter().flatten().collect()
}

fn conclude(report: &Report, tally: &Tally) -> Result<()> {
    if let Some(why) = &tally.first_failure {
        bail!("{} transactions got no decision; the first: {why}", tally.failed);
    }
    if !report.passed.is_empty() {
        bail!("{}", report.passed.join("; "));
    }
    Ok(())
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let asked = self.rate_per_second.map(|rate| format!("{rate}/s asked for, "));
        writeln!(
            f,
            "{}, {} connections: {}{:.0} decisions/s, {} in all, {} failed",
            self.detector,
            self.connections,
            asked.unwrap_or_default(),
            self.decisions_per_second,
            self.decided,
            self.failed
        )?;
        writeln!(f, "latency    {}", self.latency_ms)?;
        writeln!(f, "sent late  {}", self.sent_late_ms)?;
        if let Some(processor_us) = self.processor_us {
            writeln!(f, "service    {processor_us:.1} us of processor time a decision")?;
        }
        Ok(())
    }
}
