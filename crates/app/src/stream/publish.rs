//! Decisions, alerts and dead letters as messages.

use engine::Rejection;
use lab::dataset::{write_json_text, write_number};
use rdkafka::message::Header;
use store::{NewDecision, Versions};

use super::intake::{Incoming, Origin, masked_bytes, masked_headers};
use super::topics::Topics;
use super::transaction::{Outgoing, Transaction, TransactionError};
use crate::service::render::write_members;

/// Writes messages of one detector.
pub struct Publisher {
    topics: Topics,
    minor_per_unit: f64,
    /// The members that are the same for all decisions.
    versions: String,
    json: String,
}

impl Publisher {
    /// Writes to these topics.
    pub fn new(topics: Topics, minor_per_unit: f64) -> Publisher {
        Publisher { topics, minor_per_unit, versions: String::new(), json: String::new() }
    }

    /// Says what decisions are made with from now on.
    pub fn set_versions(&mut self, versions: &Versions) {
        let mut members = String::from(",\"versions\":{\"detector\":");
        write_json_text(&versions.detector, &mut members);
        members.push_str(",\"detector_fingerprint\":");
        write_json_text(&versions.feature_fingerprint, &mut members);
        members.push_str(",\"model\":");
        match &versions.model {
            Some(model) => write_json_text(model, &mut members),
            None => members.push_str("null"),
        }
        members.push_str(",\"rules\":");
        write_json_text(&versions.rules_fingerprint, &mut members);
        members.push('}');
        self.versions = members;
    }

    /// A decision, and an alert if somebody should look at it. Key, timestamp and headers are those of the transaction; a
    /// transaction without a key gives its decision the detector's, so that decisions of one entity keep their order.
    ///
    /// # Errors
    /// If the producer refuses.
    pub fn decision(
        &mut self,
        decision: &NewDecision,
        incoming: Incoming,
        transaction: &mut Transaction,
    ) -> Result<(), TransactionError> {
        self.json.clear();
        self.json.push_str("{\"id\":");
        write_json_text(decision.id, &mut self.json);
        write_members(decision, self.minor_per_unit, &mut self.json);
        self.write_source(incoming.origin);
        self.json.push_str(&self.versions);
        self.json.push('}');
        self.send(&self.topics.decisions, decision, &incoming, transaction)?;
        if decision.outcome == engine::Outcome::Approve {
            return Ok(());
        }
        self.json.pop();
        self.json.push_str(",\"event\":");
        // What came in was read as one JSON object.
        self.json.push_str(std::str::from_utf8(incoming.payload).unwrap_or("null").trim());
        self.json.push('}');
        self.send(&self.topics.alerts, decision, &incoming, transaction)
    }

    fn send(
        &self,
        topic: &str,
        decision: &NewDecision,
        incoming: &Incoming,
        transaction: &mut Transaction,
    ) -> Result<(), TransactionError> {
        transaction.send(Outgoing {
            topic,
            partition: None,
            key: incoming.key.or(decision.key.map(str::as_bytes)),
            payload: self.json.as_bytes(),
            timestamp_ms: incoming.origin.timestamp_ms,
            headers: incoming.headers.clone(),
        })
    }

    fn write_source(&mut self, origin: Origin) {
        self.json.push_str(",\"source\":{\"topic\":");
        write_json_text(&self.topics.stages[0], &mut self.json);
        self.json.push_str(",\"partition\":");
        write_number(f64::from(origin.partition), &mut self.json);
        self.json.push_str(",\"offset\":");
        write_number(origin.offset as f64, &mut self.json);
        self.json.push('}');
    }

    /// What was no transaction, as it came but for card numbers, with what is wrong with it in its headers.
    ///
    /// # Errors
    /// If the producer refuses.
    pub fn dead_letter(
        &self,
        topic: &str,
        incoming: Incoming,
        rejection: &Rejection,
        transaction: &mut Transaction,
    ) -> Result<(), TransactionError> {
        let source = place(topic, incoming.origin);
        let reason = rejection.to_string();
        let errors = serde_json::to_string(&rejection.errors).unwrap_or_default();
        let mut headers = incoming.headers.as_ref().map(masked_headers).unwrap_or_default();
        let (key, payload) = (incoming.key.map(masked_bytes), masked_bytes(incoming.payload));
        for (key, value) in
            [("redflag.source", &source), ("redflag.reason", &reason), ("redflag.errors", &errors)]
        {
            headers = headers.insert(Header { key, value: Some(value) });
        }
        transaction.send(Outgoing {
            topic: &self.topics.dead_letter,
            partition: None,
            key: key.as_deref(),
            payload: &payload,
            timestamp_ms: incoming.origin.timestamp_ms,
            headers: Some(headers),
        })
    }
}

/// A place in a topic, as rejections name it.
pub fn place(topic: &str, origin: Origin) -> String {
    format!("{topic}/{}/{}", origin.partition, origin.offset)
}
