//! The topics: their names, creating and checking them.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rdkafka::admin::{AdminOptions, NewTopic, TopicReplication};
use rdkafka::types::RDKafkaErrorCode;

use super::chain::Chain;
use super::client::{self, ASK_TIMEOUT};
use super::settings::KafkaSettings;
use super::watchdog;

/// Creating topics waits for their leaders.
const CREATE_TIMEOUT: Duration = Duration::from_secs(30);

/// All topics of a detector.
#[derive(Debug, Clone)]
pub struct Topics {
    /// What each stage reads: the input topic, then one for each further kind of entity.
    pub stages: Vec<String>,
    /// Decisions.
    pub decisions: String,
    /// Decisions that somebody should look at.
    pub alerts: String,
    /// What was no transaction.
    pub dead_letter: String,
    /// Labels.
    pub labels: String,
}

impl Topics {
    /// The names that the settings give.
    pub fn of(settings: &KafkaSettings, group: &str, chain: &Chain) -> Topics {
        let by_kind = |name: &String| format!("{group}-by-{name}");
        let stages = chain.links.iter().skip(1).map(|link| by_kind(&link.name));
        Topics {
            stages: std::iter::once(settings.transactions.clone()).chain(stages).collect(),
            decisions: settings.decisions.clone(),
            alerts: settings.alerts.clone(),
            dead_letter: settings.dead_letter.clone(),
            labels: settings.labels.clone(),
        }
    }

    /// Every name.
    pub fn all(&self) -> Vec<&str> {
        let outer = [&self.decisions, &self.alerts, &self.dead_letter, &self.labels];
        self.stages.iter().chain(outer).map(String::as_str).collect()
    }
}

/// What became of a topic that was to be created.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Creation {
    /// It is new.
    Created,
    /// It was there.
    Existed,
}

/// Creates the topics that do not exist, with so many partitions and replicas each, and with these of Kafka's settings.
///
/// # Errors
/// If the cluster refuses or cannot be reached.
pub fn create(
    settings: &KafkaSettings,
    names: &[&str],
    partitions: i32,
    replicas: i32,
    config: &[(&str, &str)],
) -> Result<Vec<(String, Creation)>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let admin = client::admin(settings)?;
    let new = |name| {
        let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(replicas));
        config.iter().fold(topic, |topic, (key, value)| topic.set(key, value))
    };
    let topics: Vec<NewTopic> = names.iter().copied().map(new).collect();
    let options =
        AdminOptions::new().operation_timeout(Some(CREATE_TIMEOUT)).request_timeout(Some(CREATE_TIMEOUT));
    let results = runtime.block_on(admin.create_topics(&topics, &options));
    let results = results.with_context(|| format!("cannot reach Kafka at {}", settings.brokers))?;
    results
        .into_iter()
        .map(|result| match result {
            Ok(name) => Ok((name, Creation::Created)),
            Err((name, RDKafkaErrorCode::TopicAlreadyExists)) => Ok((name, Creation::Existed)),
            Err((name, code)) => bail!("the topic {name} cannot be created: {code}"),
        })
        .collect()
}

/// Waits until the brokers know topics that were just created.
///
/// # Errors
/// If they do not within half a minute.
pub fn await_all(settings: &KafkaSettings, names: &[&str]) -> Result<()> {
    let started = Instant::now();
    loop {
        match partitions(settings, names) {
            Ok(_) => return Ok(()),
            Err(error) if started.elapsed() > CREATE_TIMEOUT => return Err(error),
            Err(_) => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}

/// Deletes topics and consumer groups, those that do not exist as well, and waits until they are gone.
///
/// # Errors
/// If the cluster refuses or cannot be reached.
pub fn delete(settings: &KafkaSettings, names: &[&str], groups: &[String]) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let admin = client::admin(settings)?;
    let options =
        AdminOptions::new().operation_timeout(Some(CREATE_TIMEOUT)).request_timeout(Some(CREATE_TIMEOUT));
    let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
    // A group that never was is not there to be deleted.
    drop(runtime.block_on(admin.delete_groups(&groups, &options))?);
    for result in runtime.block_on(admin.delete_topics(names, &options))? {
        match result {
            Ok(_) | Err((_, RDKafkaErrorCode::UnknownTopicOrPartition)) => {}
            Err((name, code)) => bail!("the topic {name} cannot be deleted: {code}"),
        }
    }
    let started = Instant::now();
    while names.iter().any(|name| partitions(settings, &[name]).is_ok()) && started.elapsed() < CREATE_TIMEOUT
    {
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// Partitions of each topic, in the order of `names`.
///
/// # Errors
/// If Kafka cannot be reached; if topics are missing, all of them are named with the command that creates them.
pub fn partitions(settings: &KafkaSettings, names: &[&str]) -> Result<Vec<usize>> {
    all_there(names, look_up(settings, names)?)
}

/// As [`partitions`], with patience for brokers that are on their way, and none for topics that are missing.
///
/// # Errors
/// As [`partitions`].
pub fn await_partitions(settings: &KafkaSettings, names: &[&str]) -> Result<Vec<usize>> {
    all_there(names, watchdog::await_server("Kafka", || look_up(settings, names))?)
}

/// How many partitions each topic has; `None` if it does not exist.
fn look_up(settings: &KafkaSettings, names: &[&str]) -> Result<Vec<Option<usize>>> {
    use rdkafka::consumer::Consumer;
    let consumer = client::reader(settings, "redflag-look")?;
    let look_up = |name: &&str| {
        let metadata = consumer.fetch_metadata(Some(name), ASK_TIMEOUT);
        let metadata = metadata.with_context(|| format!("cannot reach Kafka at {}", settings.brokers))?;
        let topic = metadata.topics().iter().find(|topic| topic.name() == *name);
        Ok(topic.map(|topic| topic.partitions().len()).filter(|partitions| *partitions > 0))
    };
    names.iter().map(look_up).collect()
}

fn all_there(names: &[&str], found: Vec<Option<usize>>) -> Result<Vec<usize>> {
    let is_missing =
        |(name, partitions): (&&str, &Option<usize>)| partitions.is_none().then(|| name.to_string());
    let missing: Vec<String> = names.iter().zip(&found).filter_map(is_missing).collect();
    ensure!(
        missing.is_empty(),
        "topics are missing: {}; `redflag topics create` makes them",
        missing.join(", ")
    );
    Ok(found.into_iter().flatten().collect())
}
