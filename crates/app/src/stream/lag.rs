//! How many transactions wait in the topic, for the whole group.

use std::sync::Mutex;
use std::time::Duration;

use anyhow::Result;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Offset, TopicPartitionList};

use super::client::{self, Logged};
use super::settings::KafkaSettings;
use crate::service::pipeline::lock;

/// How often the brokers are asked.
const ASK_EVERY: Duration = Duration::from_secs(5);

/// How long they may take to answer.
const ASK_TIMEOUT: Duration = Duration::from_secs(5);

/// The lag that was last found.
#[derive(Debug, Default)]
pub struct Lag(Mutex<Option<u64>>);

impl Lag {
    /// Transactions that the group has not yet committed; `None` until that is known, and while the brokers do not say.
    pub fn known(&self) -> Option<u64> {
        *lock(&self.0)
    }

    /// Asks the brokers as long as somebody holds the value.
    ///
    /// # Errors
    /// If there can be no thread.
    pub fn watch(self: &std::sync::Arc<Lag>, settings: &KafkaSettings, group: &str) -> Result<()> {
        let (lag, settings, group) = (std::sync::Arc::downgrade(self), settings.clone(), group.to_string());
        let watch = move || {
            let mut consumer = None;
            while let Some(lag) = lag.upgrade() {
                let found = ask(&mut consumer, &settings, &group);
                *lock(&lag.0) =
                    found.inspect_err(|error| tracing::debug!(%error, "the lag is not known")).ok();
                drop(lag);
                std::thread::sleep(ASK_EVERY);
            }
        };
        std::thread::Builder::new().name("lag".into()).spawn(watch)?;
        Ok(())
    }
}

fn ask(consumer: &mut Option<BaseConsumer<Logged>>, settings: &KafkaSettings, group: &str) -> Result<u64> {
    let consumer = match consumer {
        Some(consumer) => consumer,
        None => consumer.insert(client::reader(settings, group)?),
    };
    let metadata = consumer.fetch_metadata(Some(&settings.transactions), ASK_TIMEOUT)?;
    let mut wanted = TopicPartitionList::new();
    for partition in metadata.topics().iter().flat_map(|topic| topic.partitions()) {
        wanted.add_partition(&settings.transactions, partition.id());
    }
    let committed = consumer.committed_offsets(wanted, ASK_TIMEOUT)?;
    let mut waiting = 0;
    for place in committed.elements_for_topic(&settings.transactions) {
        let (first, end) =
            consumer.fetch_watermarks(&settings.transactions, place.partition(), ASK_TIMEOUT)?;
        let at = match place.offset() {
            Offset::Offset(offset) => offset,
            _ => first,
        };
        waiting += (end - at).max(0) as u64;
    }
    Ok(waiting)
}
