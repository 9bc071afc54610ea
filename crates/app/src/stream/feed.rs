//! Transactions and labels into their topics, as anybody would send them.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use super::client::{self, Logged};
use super::settings::KafkaSettings;

/// How long the last messages may take.
const FLUSH: Duration = Duration::from_secs(30);

/// A producer for the topics that a service reads. Its calls block.
pub struct Feed {
    producer: BaseProducer<Logged>,
    transactions: String,
    labels: String,
}

impl Feed {
    /// To the topics that the settings name.
    ///
    /// # Errors
    /// If there can be no producer with these settings.
    pub fn new(settings: &KafkaSettings) -> Result<Feed> {
        let (transactions, labels) = (settings.transactions.clone(), settings.labels.clone());
        Ok(Feed { producer: client::plain_producer(settings)?, transactions, labels })
    }

    /// Sends transactions in JSON, each with its key.
    ///
    /// # Errors
    /// If Kafka refuses one.
    pub fn transactions(&self, events: Vec<(Option<String>, String)>) -> Result<()> {
        for (key, event) in &events {
            self.deliver(&self.transactions, key.as_deref(), event)?;
        }
        self.producer.poll(Duration::ZERO);
        Ok(())
    }

    /// Sends a transaction again, with its label.
    ///
    /// # Errors
    /// If Kafka refuses it.
    pub fn label(&self, event: &str) -> Result<()> {
        self.deliver(&self.labels, None, event)
    }

    /// Sends one transaction in JSON.
    ///
    /// # Errors
    /// If Kafka refuses it.
    pub fn transaction(&self, key: Option<&str>, event: &str) -> Result<()> {
        self.deliver(&self.transactions, key, event)
    }

    /// Hands out what waits.
    pub fn poll(&self) {
        self.producer.poll(Duration::ZERO);
    }

    /// Waits until everything has arrived.
    ///
    /// # Errors
    /// If it has not in half a minute.
    pub fn finish(&self) -> Result<()> {
        self.producer.flush(FLUSH).context("Kafka has not taken everything")
    }

    fn deliver(&self, topic: &str, key: Option<&str>, json: &str) -> Result<()> {
        let mut record = BaseRecord::<str, str>::to(topic).payload(json);
        record.key = key;
        loop {
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), waiting)) => {
                    self.producer.poll(Duration::from_millis(1));
                    record = waiting;
                }
                Err((error, _)) => bail!("the topic {topic} does not take it: {error}"),
            }
        }
    }
}
