//! The `[kafka]` table of the settings.

use std::collections::BTreeMap;
use std::time::Duration;

/// A setting that prints as stars.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Its value, for the one who needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// Names, security and pace.
#[derive(Debug, Clone, PartialEq)]
pub struct KafkaSettings {
    /// Bootstrap servers, comma-separated. Empty: no Kafka.
    pub brokers: String,
    /// The consumer group; `redflag-` and the detector's name if empty. Also the prefix of stage topics and transactional ids.
    pub group: String,
    /// Topic of transactions, partitioned by the detector's key.
    pub transactions: String,
    /// Topic of decisions.
    pub decisions: String,
    /// Topic of decisions that somebody should look at.
    pub alerts: String,
    /// Topic of what was no transaction.
    pub dead_letter: String,
    /// Topic of labels.
    pub labels: String,
    /// `all`, or the stages that this process runs, by kind of entity.
    pub stages: Vec<String>,
    /// Time between two commits.
    pub commit_interval: Duration,
    /// How long the producer gathers messages into a batch.
    pub linger: Duration,
    /// `none`, `gzip`, `snappy`, `lz4` or `zstd`.
    pub compression: String,
    /// The largest batch of messages in bytes.
    pub batch_bytes: u64,
    /// `plaintext`, `ssl`, `sasl_plaintext` or `sasl_ssl`.
    pub security: String,
    /// `PLAIN`, `SCRAM-SHA-256` or `SCRAM-SHA-512`.
    pub sasl_mechanism: Option<String>,
    /// SASL user.
    pub username: Option<String>,
    /// SASL password.
    pub password: Option<Secret>,
    /// Certificate authority that brokers are checked against; the system's if absent.
    pub ca_file: Option<String>,
    /// Folder of snapshots, or `s3://BUCKET/PREFIX`; `snapshots` in the data folder if empty.
    pub snapshots: String,
    /// Events of a partition between two snapshots of it.
    pub snapshot_every: u64,
    /// Ids of each partition that are remembered at least.
    pub ids_remembered: u64,
    /// Anything else of librdkafka, as it names it.
    pub properties: BTreeMap<String, String>,
}

impl Default for KafkaSettings {
    fn default() -> Self {
        KafkaSettings {
            brokers: String::new(),
            group: String::new(),
            transactions: "transactions".into(),
            decisions: "decisions".into(),
            alerts: "alerts".into(),
            dead_letter: "dead-letter".into(),
            labels: "labels".into(),
            stages: vec!["all".into()],
            commit_interval: Duration::from_millis(100),
            linger: Duration::from_millis(1),
            compression: "lz4".into(),
            batch_bytes: 1_000_000,
            security: "plaintext".into(),
            sasl_mechanism: None,
            username: None,
            password: None,
            ca_file: None,
            snapshots: String::new(),
            snapshot_every: 1_000_000,
            ids_remembered: 1_000_000,
            properties: BTreeMap::new(),
        }
    }
}

/// The keys of the table, in the order of the default file.
pub const KEYS: [&str; 21] = [
    "brokers",
    "group",
    "transactions",
    "decisions",
    "alerts",
    "dead_letter",
    "labels",
    "stages",
    "commit_interval_ms",
    "linger_ms",
    "compression",
    "batch_bytes",
    "security",
    "sasl_mechanism",
    "username",
    "password",
    "ca_file",
    "snapshots",
    "snapshot_every",
    "ids_remembered",
    "properties",
];

impl KafkaSettings {
    /// Whether Kafka is used at all.
    pub fn is_on(&self) -> bool {
        !self.brokers.is_empty()
    }

    /// The consumer group of this detector.
    pub fn group(&self, detector: &str) -> String {
        if self.group.is_empty() { format!("redflag-{detector}") } else { self.group.clone() }
    }

    /// Sets one key of the table from text.
    ///
    /// # Errors
    /// What was expected instead.
    pub fn set(&mut self, key: &str, text: &str) -> Result<(), String> {
        let expected = |what: &str| Err(format!("`kafka.{key}` is \"{text}\", expected {what}"));
        if let Some(property) = key.strip_prefix("properties.") {
            self.properties.insert(property.to_string(), text.to_string());
            return Ok(());
        }
        match key {
            "brokers" => self.brokers = text.to_string(),
            "group" => self.group = text.to_string(),
            "transactions" | "decisions" | "alerts" | "dead_letter" | "labels" => {
                if !is_topic_name(text) {
                    return expected("a topic name: letters, digits, `.`, `_`, `-`, at most 200");
                }
                *self.topic_mut(key) = text.to_string();
            }
            "stages" => self.stages = text.split(',').map(|stage| stage.trim().to_string()).collect(),
            "commit_interval_ms" | "linger_ms" => match text.parse() {
                Ok(ms @ 0..=10_000) if key == "linger_ms" => self.linger = Duration::from_millis(ms),
                Ok(ms @ 1..=10_000) if key != "linger_ms" => self.commit_interval = Duration::from_millis(ms),
                _ => return expected("milliseconds, at most 10000"),
            },
            "compression" => match text {
                "none" | "gzip" | "snappy" | "lz4" | "zstd" => self.compression = text.to_string(),
                _ => return expected("none, gzip, snappy, lz4 or zstd"),
            },
            "batch_bytes" => match text.parse() {
                Ok(bytes @ 1_024..=100_000_000) => self.batch_bytes = bytes,
                _ => return expected("bytes from 1024 to 100000000"),
            },
            "security" => match text {
                "plaintext" | "ssl" | "sasl_plaintext" | "sasl_ssl" => self.security = text.to_string(),
                _ => return expected("plaintext, ssl, sasl_plaintext or sasl_ssl"),
            },
            "sasl_mechanism" => match text {
                "PLAIN" | "SCRAM-SHA-256" | "SCRAM-SHA-512" => self.sasl_mechanism = Some(text.to_string()),
                _ => return expected("PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512"),
            },
            "username" => self.username = Some(text.to_string()),
            "password" => self.password = Some(Secret(text.to_string())),
            "ca_file" => self.ca_file = Some(text.to_string()),
            "snapshots" => match text.split_once("://") {
                Some((scheme, bucket)) if scheme != "s3" || bucket.is_empty() || bucket.starts_with('/') => {
                    return expected("a folder, or s3://BUCKET/PREFIX");
                }
                _ => self.snapshots = text.to_string(),
            },
            "snapshot_every" | "ids_remembered" => match text.parse() {
                Ok(count @ 1..) if key == "snapshot_every" => self.snapshot_every = count,
                Ok(count @ 1_000..) => self.ids_remembered = count,
                _ => return expected("a number from 1 (ids_remembered: from 1000)"),
            },
            _ => return Err(format!("unknown key `kafka.{key}` (known: {})", KEYS.join(", "))),
        }
        Ok(())
    }

    fn topic_mut(&mut self, key: &str) -> &mut String {
        match key {
            "transactions" => &mut self.transactions,
            "decisions" => &mut self.decisions,
            "alerts" => &mut self.alerts,
            "dead_letter" => &mut self.dead_letter,
            _ => &mut self.labels,
        }
    }
}

fn is_topic_name(text: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    !text.is_empty() && text.len() <= 200 && text.chars().all(legal) && text != "." && text != ".."
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_prints_as_stars() {
        let mut settings = KafkaSettings::default();
        settings.set("password", "hunter2").expect("a password is any text");
        assert!(!format!("{settings:?}").contains("hunter2"));
    }

    #[test]
    fn what_is_wrong_is_said() {
        let mut settings = KafkaSettings::default();
        for (key, text) in [
            ("transactions", "no spaces please"),
            ("compression", "brotli"),
            ("commit_interval_ms", "0"),
            ("security", "none"),
            ("snapshots", "ftp://host/snapshots"),
            ("snapshots", "s3:///prefix"),
            ("colour", "red"),
        ] {
            let mistake = settings.set(key, text).expect_err(key);
            assert!(mistake.contains(key), "{mistake}");
        }
    }
}
