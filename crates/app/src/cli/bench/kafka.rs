//! `redflag bench kafka`: a real broker, and `redflag serve` as a process of its own between two topics.
//!
//! Two things are measured: how many transactions a second of processor time are consumed, decided and produced when the
//! topic holds a backlog; and how long it takes from a transaction being in its topic to its decision being read, at a fixed
//! rate.

mod latency;
mod peer;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use lab::dataset::SimulatedReader;
use lab::simulate::{Settings as Simulation, simulator};
use rdkafka::consumer::Consumer;
use rdkafka::{Offset, TopicPartitionList};

use super::{Machine, grow_model};
use crate::cli::output::load_detector;
use crate::cli::simulate::stream;
use crate::stream::chain::Chain;
use crate::stream::client::{self, ASK_TIMEOUT};
use crate::stream::settings::KafkaSettings;
use crate::stream::topics::{self, Topics};

use super::service::{ServiceProcess, cpu_seconds};
use latency::Latency;

/// How often the group's offsets are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Topics and groups of its own are made and removed again. With --peer the same topic is worked off by a Python process as well:
confluent-kafka and a LightGBM model, features in dictionaries (`scripts/peers install` makes its environment).

Examples:
  redflag bench kafka --kafka localhost:9092
  redflag bench kafka --kafka $(scripts/kafka brokers) --events 1000000 --peer --commit-interval-ms 10")]
pub struct Args {
    /// Brokers, as host:port
    #[arg(long, value_name = "BROKERS", env = "KAFKA_BROKERS")]
    kafka: String,
    /// Detector whose events are simulated
    #[arg(long, default_value = "card-handbook")]
    detector: String,
    /// Model; by default 200 trees are grown on simulated transactions
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// Transactions of the backlog
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1_000..))]
    events: u64,
    /// Partitions of each topic
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(i32).range(1..=1_000))]
    partitions: i32,
    /// Transactions a second while latency is measured
    #[arg(long, default_value_t = 2_000.0)]
    rate: f64,
    /// Seconds for which latency is measured; the first five are not counted
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(6..=3_600))]
    seconds: u64,
    /// Time between two commits, in milliseconds, while latency is measured
    #[arg(long, default_value_t = 10)]
    commit_interval_ms: u64,
    /// Time for which messages are gathered, in milliseconds, while latency is measured
    #[arg(long, default_value_t = 1)]
    linger_ms: u64,
    /// Where decisions are stored: an address, or none
    #[arg(long, default_value = "none")]
    database: String,
    /// Measure a Python consumer with a LightGBM model as well
    #[arg(long)]
    peer: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, serde::Serialize)]
struct Report {
    machine: Machine,
    librdkafka: String,
    detector: String,
    partitions: i32,
    database: String,
    backlog: Vec<Backlog>,
    rate_per_second: f64,
    commit_interval_ms: u64,
    linger_ms: u64,
    latency: Latency,
}

/// A backlog that was worked off.
#[derive(Debug, serde::Serialize)]
struct Backlog {
    by: String,
    events: u64,
    seconds: f64,
    cpu_seconds: f64,
    events_per_second: f64,
    events_per_cpu_second: f64,
}

impl Backlog {
    fn new(by: &str, events: u64, seconds: f64, cpu_seconds: f64) -> Backlog {
        let (events_per_second, events_per_cpu_second) =
            (events as f64 / seconds, events as f64 / cpu_seconds);
        Backlog { by: by.to_string(), events, seconds, cpu_seconds, events_per_second, events_per_cpu_second }
    }
}

/// Topics and a folder of one run.
struct Bench<'a> {
    args: &'a Args,
    settings: KafkaSettings,
    detector: std::sync::Arc<engine::Detector>,
    folder: PathBuf,
    model: PathBuf,
}

/// Runs the benchmark.
///
/// # Errors
/// If Kafka cannot be reached or the service does not start.
pub fn run(args: &Args) -> Result<()> {
    let machine = Machine::this();
    eprintln!("{machine}");
    let bench = Bench::prepare(args)?;
    let measured = bench.measure(machine);
    bench.clean_up();
    let report = measured?;
    if args.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        print!("{report}");
    }
    Ok(())
}

impl Bench<'_> {
    fn prepare(args: &Args) -> Result<Bench<'_>> {
        let detector = load_detector(&args.detector)?;
        let folder = std::env::temp_dir().join(format!("redflag-bench-kafka-{}", std::process::id()));
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let prefix = format!("redflag-bench-{}", std::process::id());
        let topic = |name: &str| format!("{prefix}-{name}");
        let settings = KafkaSettings {
            brokers: args.kafka.clone(),
            group: prefix.clone(),
            transactions: topic("transactions"),
            decisions: topic("decisions"),
            alerts: topic("alerts"),
            dead_letter: topic("dead-letter"),
            labels: topic("labels"),
            ..KafkaSettings::default()
        };
        let model = match &args.model {
            Some(model) => model.clone(),
            None => grow_model(&args.detector, &folder)?,
        };
        Ok(Bench { args, settings, detector, folder, model })
    }

    fn measure(&self, machine: Machine) -> Result<Report> {
        let args = self.args;
        self.create_topics()?;
        eprintln!("sending {} transactions", args.events);
        let simulation = Simulation { seed: 1, rows: Some(args.events), ..Simulation::default() };
        let schema = Arc::new(self.detector.schema.clone());
        let events = SimulatedReader::new(simulator(&args.detector, &simulation)?, &schema);
        stream::send(&schema, events, &self.settings, Some(args.events), None)?;
        let mut backlog = vec![self.work_off()?];
        if args.peer {
            eprintln!("the same by Python");
            backlog.push(peer::work_off(&self.settings, &self.folder, args.events)?);
        }
        self.delete_topics()?;
        self.create_topics()?;
        eprintln!("measuring latency at {} a second for {} s", args.rate, args.seconds);
        let latency = self.latency()?;
        Ok(Report {
            machine,
            librdkafka: rdkafka::util::get_rdkafka_version().1,
            detector: args.detector.clone(),
            partitions: args.partitions,
            database: if args.database.contains("://") { "PostgreSQL".into() } else { args.database.clone() },
            backlog,
            rate_per_second: args.rate,
            commit_interval_ms: args.commit_interval_ms,
            linger_ms: args.linger_ms,
            latency,
        })
    }

    fn work_off(&self) -> Result<Backlog> {
        let mut service = self.serve(&[])?;
        let started = Instant::now();
        while self.committed()? < self.args.events as i64 {
            service.check()?;
            std::thread::sleep(LOOK_EVERY);
        }
        let seconds = started.elapsed().as_secs_f64();
        let used = cpu_seconds(service.id())?;
        service.stop()?;
        Ok(Backlog::new("redflag", self.args.events, seconds, used))
    }

    /// The service on the benchmark's topics.
    fn serve(&self, more: &[(&str, &str)]) -> Result<ServiceProcess> {
        let Bench { args, settings, .. } = self;
        let data_dir = self.folder.join(format!("data-{}", more.len())).display().to_string();
        let model = self.model.display().to_string();
        let mut all = vec![
            ("REDFLAG_DATA_DIR", data_dir.as_str()),
            ("REDFLAG_DETECTOR", &args.detector),
            ("REDFLAG_MODEL", &model),
            ("REDFLAG_DATABASE", &args.database),
            ("REDFLAG_KAFKA_BROKERS", &settings.brokers),
            ("REDFLAG_KAFKA_GROUP", &settings.group),
            ("REDFLAG_KAFKA_TRANSACTIONS", &settings.transactions),
            ("REDFLAG_KAFKA_DECISIONS", &settings.decisions),
            ("REDFLAG_KAFKA_ALERTS", &settings.alerts),
            ("REDFLAG_KAFKA_DEAD_LETTER", &settings.dead_letter),
            ("REDFLAG_KAFKA_LABELS", &settings.labels),
        ];
        all.extend_from_slice(more);
        ServiceProcess::start(&all)
    }

    /// Transactions that the group has committed.
    fn committed(&self) -> Result<i64> {
        let consumer = client::reader(&self.settings, &self.settings.group)?;
        let mut wanted = TopicPartitionList::new();
        wanted.add_partition_range(&self.settings.transactions, 0, self.args.partitions - 1);
        let found = consumer.committed_offsets(wanted, ASK_TIMEOUT)?;
        let offset = |offset: Offset| if let Offset::Offset(offset) = offset { offset } else { 0 };
        Ok(found.elements().iter().map(|place| offset(place.offset())).sum())
    }

    fn latency(&self) -> Result<Latency> {
        let commit = self.args.commit_interval_ms.to_string();
        let linger = self.args.linger_ms.to_string();
        let paces =
            [("REDFLAG_KAFKA_COMMIT_INTERVAL_MS", commit.as_str()), ("REDFLAG_KAFKA_LINGER_MS", &linger)];
        let service = self.serve(&paces)?;
        let events = (self.args.rate * self.args.seconds as f64) as u64;
        let simulation = Simulation { seed: 2, rows: Some(events), ..Simulation::default() };
        let simulator = simulator(&self.args.detector, &simulation)?;
        let measured = latency::measure(&self.detector, simulator, &self.settings, self.args.rate, events);
        service.stop()?;
        measured
    }

    fn topics(&self) -> Result<Topics> {
        Ok(Topics::of(&self.settings, &self.settings.group, &Chain::of(&self.detector)?))
    }

    fn create_topics(&self) -> Result<()> {
        // A transaction has the time at which it came to its topic, and its decision keeps it.
        let stamped = [("message.timestamp.type", "LogAppendTime")];
        topics::create(&self.settings, &[&self.settings.transactions], self.args.partitions, -1, &stamped)?;
        topics::create(&self.settings, &self.topics()?.all(), self.args.partitions, -1, &[])?;
        topics::await_all(&self.settings, &self.topics()?.all())
    }

    fn delete_topics(&self) -> Result<()> {
        let chain = Chain::of(&self.detector)?;
        let groups: Vec<String> =
            (0..chain.links.len()).map(|at| chain.group(&self.settings.group, at)).collect();
        topics::delete(&self.settings, &self.topics()?.all(), &groups)
    }

    fn clean_up(&self) {
        if let Err(error) = self.delete_topics() {
            eprintln!("topics are left: {error:#}");
        }
        // A folder of the system's temporary ones; what cannot be removed is not worth failing for.
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Report { librdkafka, detector, partitions, database, rate_per_second, .. } = self;
        writeln!(f, "librdkafka {librdkafka}, {detector}, {partitions} partitions, database: {database}")?;
        for Backlog { by, events, seconds, cpu_seconds, events_per_second, events_per_cpu_second } in
            &self.backlog
        {
            writeln!(
                f,
                "{by:<8} {events} transactions in {seconds:.2} s, {events_per_second:.0}/s; {cpu_seconds:.2} s of \
                 processor time, {events_per_cpu_second:.0}/s a core"
            )?;
        }
        writeln!(
            f,
            "latency at {rate_per_second}/s, linger {} ms, commits every {} ms",
            self.linger_ms, self.commit_interval_ms
        )?;
        write!(f, "{}", self.latency)
    }
}
