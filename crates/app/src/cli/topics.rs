//! `redflag topics`: create the topics, and look into them.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Subcommand;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::{Offset, TopicPartitionList};

use super::WrongInput;
use super::output::load_detector;
use crate::service::settings::Settings;
use crate::stream::chain::Chain;
use crate::stream::client::{self, ASK_TIMEOUT};
use crate::stream::settings::KafkaSettings;
use crate::stream::topics::{self, Creation, Topics};

/// Create redflag's Kafka topics, and look into them
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  redflag topics create --detector card --kafka localhost:9092 --partitions 4\n  \
                        redflag topics create --config redflag.toml --partitions 12 --replicas 3\n  \
                        redflag topics tail decisions --kafka localhost:9092\n  \
                        redflag topics tail dead-letter --kafka localhost:9092 --from-beginning --count 10 --json"
)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Create the topics that do not exist; those that do are left as they are
    Create(Create),
    /// Print messages as they come
    Tail(Tail),
}

/// Which Kafka.
#[derive(Debug, clap::Args)]
pub struct Reach {
    /// Settings file; without one the defaults hold, and REDFLAG_* variables override either
    #[arg(long)]
    pub config: Option<PathBuf>,
    /// Brokers, as host:port, comma-separated; overrides the settings
    #[arg(long, value_name = "BROKERS")]
    pub kafka: Option<String>,
}

impl Reach {
    /// The settings with these brokers.
    ///
    /// # Errors
    /// If the settings are wrong, or name no brokers.
    pub fn settings(&self) -> Result<Settings> {
        let brokers = self.kafka.clone();
        let settings = Settings::load(self.config.as_deref(), |name| match (name, &brokers) {
            ("REDFLAG_KAFKA_BROKERS", Some(brokers)) => Some(brokers.clone()),
            _ => std::env::var(name).ok(),
        })?;
        if !settings.kafka.is_on() {
            let mistake = "no brokers: give --kafka host:port, or kafka.brokers in the settings";
            return Err(WrongInput(mistake.to_string()).into());
        }
        Ok(settings)
    }
}

#[derive(Debug, clap::Args)]
struct Create {
    #[command(flatten)]
    reach: Reach,
    /// Name of a shipped detector, or a file; overrides the settings
    #[arg(long)]
    detector: Option<String>,
    /// Partitions of each topic: the most processes that can share the work
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(i32).range(1..=10_000))]
    partitions: i32,
    /// Copies of each partition; -1 is the cluster's default
    #[arg(long, default_value_t = -1, allow_hyphen_values = true)]
    replicas: i32,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct Tail {
    /// The topic
    topic: String,
    #[command(flatten)]
    reach: Reach,
    /// From the first message on, instead of those that come from now on
    #[arg(long)]
    from_beginning: bool,
    /// End after so many messages
    #[arg(long)]
    count: Option<u64>,
    /// Messages of transactions that are still open as well
    #[arg(long)]
    uncommitted: bool,
    /// One JSON object a message, with place, time, key and headers, instead of its text alone
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
/// If Kafka cannot be reached or refuses.
pub fn run(args: Args) -> Result<()> {
    match args.action {
        Action::Create(args) => create(&args),
        Action::Tail(args) => tail(&args),
    }
}

fn create(args: &Create) -> Result<()> {
    let settings = args.reach.settings()?;
    let detector = load_detector(args.detector.as_deref().unwrap_or(&settings.detector))?;
    let group = settings.kafka.group(&detector.name);
    let topics = Topics::of(&settings.kafka, &group, &Chain::of(&detector)?);
    let created = topics::create(&settings.kafka, &topics.all(), args.partitions, args.replicas, &[])?;
    // Whoever starts next finds them.
    topics::await_all(&settings.kafka, &topics.all())?;
    if args.json {
        let by_name: BTreeMap<_, _> = created.into_iter().collect();
        println!("{}", serde_json::to_string_pretty(&by_name)?);
        return Ok(());
    }
    for (name, creation) in created {
        match creation {
            Creation::Created => println!("{name}: created with {} partitions", args.partitions),
            Creation::Existed => println!("{name}: was there already"),
        }
    }
    Ok(())
}

fn tail(args: &Tail) -> Result<()> {
    let settings = args.reach.settings()?.kafka;
    let consumer = follow(&settings, &args.topic, args.from_beginning, args.uncommitted)?;
    let mut out = std::io::stdout().lock();
    let mut left = args.count.unwrap_or(u64::MAX);
    while left > 0 {
        match consumer.poll(Duration::from_millis(200)) {
            Some(Ok(message)) => {
                if args.json {
                    serde_json::to_writer(&mut out, &described(&message))?;
                } else {
                    out.write_all(message.payload().unwrap_or_default())?;
                }
                writeln!(out)?;
                left -= 1;
            }
            Some(Err(KafkaError::PartitionEOF(_))) | None => out.flush()?,
            Some(Err(error)) => return Err(error.into()),
        }
    }
    Ok(())
}

/// A consumer of all partitions of a topic, outside of any group.
///
/// # Errors
/// If there is no such topic, or Kafka cannot be reached.
pub fn follow(
    settings: &KafkaSettings,
    topic: &str,
    from_beginning: bool,
    uncommitted: bool,
) -> Result<BaseConsumer<client::Logged>> {
    let partitions = topics::partitions(settings, &[topic])?[0] as i32;
    let group = "redflag-tail";
    let consumer =
        if uncommitted { client::ends(settings, group)? } else { client::reader(settings, group)? };
    let mut list = TopicPartitionList::new();
    for partition in 0..partitions {
        let (first, end) = consumer
            .fetch_watermarks(topic, partition, ASK_TIMEOUT)
            .with_context(|| format!("cannot reach Kafka at {}", settings.brokers))?;
        list.add_partition_offset(
            topic,
            partition,
            Offset::Offset(if from_beginning { first } else { end }),
        )?;
    }
    consumer.assign(&list)?;
    Ok(consumer)
}

#[derive(serde::Serialize)]
struct Described<'a> {
    topic: &'a str,
    partition: i32,
    offset: i64,
    timestamp_ms: Option<i64>,
    key: Option<std::borrow::Cow<'a, str>>,
    headers: BTreeMap<&'a str, String>,
    /// JSON as it is, anything else as text.
    value: serde_json::Value,
}

fn described<'a>(message: &'a BorrowedMessage) -> Described<'a> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let payload = message.payload().unwrap_or_default();
    let headers = message.headers().into_iter().flat_map(Headers::iter);
    Described {
        topic: message.topic(),
        partition: message.partition(),
        offset: message.offset(),
        timestamp_ms: message.timestamp().to_millis(),
        key: message.key().map(String::from_utf8_lossy),
        headers: headers.map(|header| (header.key, header.value.map(text).unwrap_or_default())).collect(),
        value: serde_json::from_slice(payload).unwrap_or_else(|_| text(payload).into()),
    }
}
