//! Clients of librdkafka, configured from the settings.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rdkafka::admin::AdminClient;
use rdkafka::client::{ClientContext, DefaultClientContext};
use rdkafka::config::{ClientConfig, FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, ProducerContext};

use super::settings::KafkaSettings;

/// How long a question to a broker may take.
pub const ASK_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a broker may take to answer whether it is there.
const REACH_TIMEOUT: Duration = Duration::from_secs(3);

/// A dead process's open transaction hides what follows it from read-committed readers for this long.
const TRANSACTION_TIMEOUT_MS: &str = "15000";

/// A member that is silent for so long has left the group.
const SESSION_TIMEOUT_MS: &str = "10000";

/// Fetched from one partition at a time, and messages that wait in a queue before more are fetched: so few that partitions
/// take turns and messages are still in the processor's cache when they are read, so many that the next fetch is answered
/// before the queue is empty.
const FETCH_BYTES: &str = "524288";
const FETCH_BELOW_MESSAGES: &str = "4000";

/// librdkafka's log, forwarded to ours.
#[derive(Debug, Clone, Copy, Default)]
pub struct Logged;

impl ClientContext for Logged {
    fn log(&self, level: RDKafkaLogLevel, _: &str, message: &str) {
        match level {
            RDKafkaLogLevel::Emerg
            | RDKafkaLogLevel::Alert
            | RDKafkaLogLevel::Critical
            | RDKafkaLogLevel::Error => {
                tracing::warn!(target: "librdkafka", "{message}");
            }
            _ => tracing::debug!(target: "librdkafka", "{message}"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        // Everything was read: said to whoever polls.
        if matches!(error, KafkaError::Global(RDKafkaErrorCode::PartitionEOF)) {
            return;
        }
        tracing::warn!(target: "librdkafka", %error, "{reason}");
    }
}

impl ConsumerContext for Logged {}

impl ProducerContext for Logged {
    type DeliveryOpaque = ();

    fn delivery(&self, _: &rdkafka::producer::DeliveryResult<'_>, (): ()) {}
}

fn common(settings: &KafkaSettings) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &settings.brokers);
    config.set("client.id", "redflag");
    config.set("security.protocol", &settings.security);
    config.set("reconnect.backoff.max.ms", "2000");
    let optional = [
        ("sasl.mechanism", &settings.sasl_mechanism),
        ("sasl.username", &settings.username),
        ("ssl.ca.location", &settings.ca_file),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            config.set(name, value);
        }
    }
    if let Some(password) = &settings.password {
        config.set("sasl.password", password.reveal());
    }
    config
}

/// What was passed through wins over everything.
fn with_properties(mut config: ClientConfig, settings: &KafkaSettings, of_consumer: bool) -> ClientConfig {
    if settings.properties.contains_key("debug") {
        config.set_log_level(RDKafkaLogLevel::Debug);
    }
    for (name, value) in &settings.properties {
        let other_side = if of_consumer { is_producers(name) } else { is_consumers(name) };
        if !other_side {
            config.set(name, value);
        }
    }
    config
}

/// Settings that only producers know: a consumer would warn about them.
fn is_producers(name: &str) -> bool {
    const NAMES: [&str; 9] = [
        "linger.ms",
        "batch.size",
        "batch.num.messages",
        "acks",
        "compression.type",
        "compression.level",
        "partitioner",
        "transaction.timeout.ms",
        "message.timeout.ms",
    ];
    NAMES.contains(&name) || name.starts_with("queue.buffering.")
}

/// Settings that only consumers know.
fn is_consumers(name: &str) -> bool {
    let prefixes =
        ["fetch.", "session.", "group.", "partition.assignment.", "auto.offset.", "queued.", "max.poll."];
    prefixes.iter().any(|prefix| name.starts_with(prefix))
        || name == "heartbeat.interval.ms"
        || name == "isolation.level"
}

/// A member of the consumer group `group`.
///
/// # Errors
/// If librdkafka does not take the settings.
pub fn group_consumer<C: ConsumerContext>(
    settings: &KafkaSettings,
    group: &str,
    context: C,
) -> Result<BaseConsumer<C>> {
    let mut config = reading(settings, group);
    config.set("partition.assignment.strategy", "cooperative-sticky");
    config.set("session.timeout.ms", SESSION_TIMEOUT_MS);
    config.set("heartbeat.interval.ms", "2000");
    let config = with_properties(config, settings, true);
    BaseConsumer::from_config_and_context(&config, context).context("cannot make a consumer")
}

/// A consumer that is told what to read, outside of the group's rebalancing. `group` is whose offsets it can ask for.
///
/// # Errors
/// As [`group_consumer`].
pub fn reader(settings: &KafkaSettings, group: &str) -> Result<BaseConsumer<Logged>> {
    let config = with_properties(reading(settings, group), settings, true);
    BaseConsumer::from_config_and_context(&config, Logged).context("cannot make a consumer")
}

/// Looks whether a broker answers, with a client that has seen nothing yet.
///
/// # Errors
/// If none does, or they know of none among them.
pub fn reach(settings: &KafkaSettings) -> Result<()> {
    let found = reader(settings, "redflag-look")?.fetch_metadata(Some(&settings.transactions), REACH_TIMEOUT);
    let metadata = found.with_context(|| format!("cannot reach Kafka at {}", settings.brokers))?;
    ensure!(!metadata.brokers().is_empty(), "Kafka at {} has no broker that works", settings.brokers);
    Ok(())
}

/// Tells where topics end, committed or not.
///
/// # Errors
/// As [`group_consumer`].
pub fn ends(settings: &KafkaSettings, group: &str) -> Result<BaseConsumer<Logged>> {
    let mut config = with_properties(reading(settings, group), settings, true);
    config.set("isolation.level", "read_uncommitted");
    BaseConsumer::from_config_and_context(&config, Logged).context("cannot make a consumer")
}

fn reading(settings: &KafkaSettings, group: &str) -> ClientConfig {
    let mut config = common(settings);
    config.set("group.id", group);
    config.set("isolation.level", "read_committed");
    config.set("enable.auto.commit", "false");
    config.set("enable.auto.offset.store", "false");
    config.set("auto.offset.reset", "earliest");
    config.set("enable.partition.eof", "true");
    config.set("fetch.message.max.bytes", FETCH_BYTES);
    config.set("fetch.wait.max.ms", "50");
    config.set("queued.min.messages", FETCH_BELOW_MESSAGES);
    // A queue that was full is looked at again soon: the default of a second would be a second without messages.
    config.set("fetch.queue.backoff.ms", "5");
    config
}

/// The transactional producer of one process.
///
/// # Errors
/// If librdkafka does not take the settings.
pub fn producer(settings: &KafkaSettings, transactional_id: &str) -> Result<BaseProducer<Logged>> {
    let mut config = producing(settings);
    config.set("transactional.id", transactional_id);
    config.set("transaction.timeout.ms", TRANSACTION_TIMEOUT_MS);
    // What a commit asks is asked again soon: the default of 100 ms would be that long without decisions.
    config.set("retry.backoff.ms", "10");
    let config = with_properties(config, settings, false);
    BaseProducer::from_config_and_context(&config, Logged).context("cannot make a producer")
}

/// A producer outside of transactions, for what is not decided: simulated transactions, labels.
///
/// # Errors
/// If librdkafka does not take the settings.
pub fn plain_producer(settings: &KafkaSettings) -> Result<BaseProducer<Logged>> {
    let mut config = producing(settings);
    config.set("enable.idempotence", "true");
    let config = with_properties(config, settings, false);
    BaseProducer::from_config_and_context(&config, Logged).context("cannot make a producer")
}

fn producing(settings: &KafkaSettings) -> ClientConfig {
    let mut config = common(settings);
    config.set("linger.ms", settings.linger.as_millis().to_string());
    config.set("batch.size", settings.batch_bytes.to_string());
    config.set("compression.type", &settings.compression);
    // As Kafka's Java clients: a key has one partition, whoever writes it.
    config.set("partitioner", "murmur2_random");
    // A message that was delivered is nothing to report; what was not shows when the transaction commits.
    config.set("delivery.report.only.error", "true");
    config.set("queue.buffering.max.messages", "200000");
    config.set("queue.buffering.max.kbytes", "262144");
    config
}

/// For creating topics.
///
/// # Errors
/// If librdkafka does not take the settings.
pub fn admin(settings: &KafkaSettings) -> Result<AdminClient<DefaultClientContext>> {
    let config = with_properties(with_properties(common(settings), settings, true), settings, false);
    let admin = AdminClient::from_config_and_context(&config, DefaultClientContext);
    admin.context("cannot make an admin client")
}
