//! What was written in `redflag.toml` and the environment, and what it means.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use engine::time::parse_duration;
use store::{Database, Sync};

use super::access::settings as access;
use super::fallback::{self, Stance};
use super::traces::settings as traces;
use super::{alerts, generate, privacy, redis};
use crate::cli::WrongInput;
use crate::log;
use crate::retraining::config as retraining;
use crate::stream::settings::{self as kafka, KafkaSettings};

/// The commented default file: the reference of all settings.
pub const DEFAULT_FILE: &str = include_str!("../../redflag.toml");

/// Where the model that decides comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelSource {
    /// There is none: rules alone decide.
    Rules,
    /// This file.
    File(PathBuf),
    /// The registry, whose promotions are followed.
    Registry,
}

/// What the service is told.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Where HTTP is served.
    pub listen: SocketAddr,
    /// Where database, snapshots and models are kept.
    pub data_dir: PathBuf,
    /// The database, where it is not the SQLite file in the data folder.
    pub database: Option<Database>,
    /// Whether decisions are stored at all; with Kafka they need not be.
    pub remember: bool,
    /// How long decisions are kept, in microseconds of event time; `None` keeps all.
    pub retention_us: Option<i64>,
    /// Name of a shipped detector, or a file.
    pub detector: String,
    /// Where the model that decides comes from.
    pub model: ModelSource,
    /// The registry, where it is not `models` in the data folder.
    pub registry: Option<String>,
    /// Whether a challenger learns from each label.
    pub online: bool,
    /// History that fills the windows when the service starts for the first time.
    pub warm_up: Option<PathBuf>,
    /// What a commit waits for.
    pub sync: Sync,
    /// Decisions between two snapshots of the state.
    pub snapshot_every: u64,
    /// Requests that may wait for the pipeline.
    pub queue: usize,
    /// How long a caller waits for a decision, in milliseconds; for as long as it takes, if this is not said.
    pub decision_deadline_ms: Option<u64>,
    /// What is answered then, where no rule fires.
    pub fallback: Stance,
    /// Kafka in and out.
    pub kafka: KafkaSettings,
    /// Where entities and the newest decisions are written for others to read.
    pub redis: Option<redis::Url>,
    /// How long Redis keeps what is not written again, in seconds.
    pub redis_ttl_s: u64,
    /// Synthetic transactions on demand.
    pub synthetic: generate::Config,
    /// How alerts are kept.
    pub alerts: alerts::Config,
    /// How long after it happened a transaction without a label counts as genuine, in microseconds of event time; never, if
    /// this is not said.
    pub mature_after_us: Option<i64>,
    /// What is done about card numbers.
    pub privacy: privacy::Config,
    /// Who is asked who they are, how connections are encrypted, how much anybody may ask.
    pub access: access::Config,
    /// How models are trained again.
    pub retraining: retraining::Config,
    /// What watches for drift.
    pub monitors: retraining::Monitors,
    /// Where traces go.
    pub traces: traces::Config,
    /// How what is logged looks.
    pub log: log::Format,
    /// A request that takes longer is logged.
    pub slow_request: Duration,
    /// The file that they were read from.
    pub file: Option<PathBuf>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            data_dir: PathBuf::from("redflag-data"),
            database: None,
            remember: true,
            retention_us: None,
            detector: "card".to_string(),
            model: ModelSource::Rules,
            registry: None,
            online: false,
            warm_up: None,
            sync: Sync::Interval,
            snapshot_every: 1_000_000,
            queue: 8_192,
            decision_deadline_ms: None,
            fallback: Stance::default(),
            kafka: KafkaSettings::default(),
            redis: None,
            redis_ttl_s: 7 * 86_400,
            synthetic: generate::Config::default(),
            alerts: alerts::Config::default(),
            mature_after_us: None,
            privacy: privacy::Config::default(),
            access: access::Config::default(),
            retraining: retraining::Config::default(),
            monitors: retraining::Monitors::default(),
            traces: traces::Config::default(),
            log: log::Format::default(),
            slow_request: Duration::from_secs(1),
            file: None,
        }
    }
}

/// The tables.
const TABLES: &[&str] = &[
    "access",
    "alerts",
    "kafka",
    "kafka.properties",
    "labels",
    "limits",
    "models",
    "monitors",
    "privacy",
    "retraining",
    "synthetic",
    "tls",
    "traces",
];

/// The keys, each with the environment variable that overrides it.
const KEYS: &[(&str, &str)] = &[
    ("listen", "REDFLAG_LISTEN"),
    ("data_dir", "REDFLAG_DATA_DIR"),
    ("database", "REDFLAG_DATABASE"),
    ("retention", "REDFLAG_RETENTION"),
    ("detector", "REDFLAG_DETECTOR"),
    ("model", "REDFLAG_MODEL"),
    ("models.registry", "REDFLAG_REGISTRY"),
    ("models.online", "REDFLAG_MODELS_ONLINE"),
    ("warm_up", "REDFLAG_WARM_UP"),
    ("sync", "REDFLAG_SYNC"),
    ("snapshot_every", "REDFLAG_SNAPSHOT_EVERY"),
    ("queue", "REDFLAG_QUEUE"),
    ("decision_deadline_ms", "REDFLAG_DECISION_DEADLINE_MS"),
    ("fallback", "REDFLAG_FALLBACK"),
    ("log", "REDFLAG_LOG"),
    ("slow_request_ms", "REDFLAG_SLOW_REQUEST_MS"),
    ("redis", "REDFLAG_REDIS"),
    ("redis_ttl", "REDFLAG_REDIS_TTL"),
    ("alerts.window", "REDFLAG_ALERTS_WINDOW"),
    ("alerts.due", "REDFLAG_ALERTS_DUE"),
    ("labels.mature_after", "REDFLAG_LABELS_MATURE_AFTER"),
    ("privacy.card_key", "REDFLAG_CARD_KEY"),
    ("privacy.detect", "REDFLAG_PRIVACY_DETECT"),
    ("synthetic.generators", "REDFLAG_SYNTHETIC_GENERATORS"),
    ("synthetic.rows", "REDFLAG_SYNTHETIC_ROWS"),
    ("synthetic.jobs", "REDFLAG_SYNTHETIC_JOBS"),
];

/// The keys that hold secrets, each with its environment variable. `KEY_file` and `VARIABLE_FILE` name a file that holds it.
const SECRETS: &[(&str, &str)] = &[
    ("database", "REDFLAG_DATABASE"),
    ("redis", "REDFLAG_REDIS"),
    ("privacy.card_key", "REDFLAG_CARD_KEY"),
    ("kafka.password", "REDFLAG_KAFKA_PASSWORD"),
];

impl Settings {
    /// The registry that is used.
    pub fn registry(&self) -> String {
        let beside = || self.data_dir.join("models").display().to_string();
        self.registry.clone().unwrap_or_else(beside)
    }

    /// How long a caller waits for a decision, and what it is told then.
    pub fn fallback(&self) -> Option<fallback::Config> {
        let deadline = self.decision_deadline_ms.map(Duration::from_millis)?;
        Some(fallback::Config { deadline, stance: self.fallback })
    }

    /// The database that is used.
    pub fn database(&self) -> Database {
        match &self.database {
            Some(Database::Postgres { address, .. }) => {
                Database::Postgres { address: address.clone(), retention_us: self.retention_us }
            }
            Some(sqlite) => sqlite.clone(),
            None => Database::in_folder(&self.data_dir),
        }
    }

    /// Reads a settings file (defaults without one), then the environment.
    ///
    /// # Errors
    /// If the file cannot be read; else every mistake in file and environment at once.
    pub fn load(file: Option<&Path>, environment: impl Fn(&str) -> Option<String>) -> Result<Settings> {
        let text = match file {
            Some(path) => std::fs::read_to_string(path)
                .map_err(|error| WrongInput(format!("cannot read {}: {error}", path.display())))?,
            None => String::new(),
        };
        let parsed = Settings::parse(&text, environment);
        let parsed = parsed.map(|settings| Settings { file: file.map(Path::to_path_buf), ..settings });
        parsed.map_err(|mistakes| {
            let name = file.map_or("the environment".to_string(), |path| path.display().to_string());
            WrongInput(format!("{name}: {}", mistakes.join("\n  "))).into()
        })
    }

    fn parse(text: &str, environment: impl Fn(&str) -> Option<String>) -> Result<Settings, Vec<String>> {
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| vec![error.to_string()])?;
        let mut settings = Settings::default();
        let mut mistakes = Vec::new();
        settings.take_table("", &table, &mut mistakes);
        for (key, variable) in KEYS.iter().chain(access::KEYS) {
            settings.take_variable(key, variable, &environment, &mut mistakes);
        }
        let of_tables: [(&str, &[&str]); 4] = [
            ("kafka", &kafka::KEYS),
            ("retraining", &retraining::KEYS),
            ("monitors", &retraining::MONITOR_KEYS),
            ("traces", &traces::KEYS),
        ];
        for (table, key) in
            of_tables.iter().flat_map(|(table, keys)| keys.iter().map(move |key| (table, key)))
        {
            let variable = format!("REDFLAG_{table}_{key}").to_ascii_uppercase();
            settings.take_variable(&format!("{table}.{key}"), &variable, &environment, &mut mistakes);
        }
        for (key, variable) in SECRETS {
            let (key, variable) = (format!("{key}_file"), format!("{variable}_FILE"));
            settings.take_variable(&key, &variable, &environment, &mut mistakes);
        }
        settings.check_together(&mut mistakes);
        if mistakes.is_empty() { Ok(settings) } else { Err(mistakes) }
    }

    /// What each setting alone cannot tell.
    fn check_together(&self, mistakes: &mut Vec<String>) {
        self.access.check_together(self.listen, mistakes);
        if self.retention_us.is_some() && self.database().is_in_process() && self.kafka.is_on() {
            mistakes.push("`retention` with kafka.brokers needs a PostgreSQL database".to_string());
        }
        if !self.remember && !self.kafka.is_on() {
            mistakes.push("`database` is \"none\": only with kafka.brokers can that be".to_string());
        }
        if self.online && !self.remember {
            mistakes.push("`models.online` learns from the database: it cannot be \"none\"".to_string());
        }
        if self.decision_deadline_ms.is_some() && self.kafka.is_on() {
            let mistake = "`decision_deadline_ms` is set together with kafka.brokers: nobody waits for what a topic holds";
            mistakes.push(mistake.to_string());
        }
        if self.warm_up.is_some() && self.kafka.is_on() {
            let mistake =
                "`warm_up` is set together with kafka.brokers: there, history is what the topic holds";
            mistakes.push(mistake.to_string());
        }
        if self.model != ModelSource::Registry
            && (self.retraining.schedule.is_some() || self.retraining.on_drift)
        {
            let mistake = "`retraining` needs model = \"registry\": a model that is a file stays as it is";
            mistakes.push(mistake.to_string());
        }
    }

    /// Takes the keys of a table and those inside it, `kafka.brokers` for `brokers` in `[kafka]`.
    fn take_table(&mut self, prefix: &str, table: &toml::Table, mistakes: &mut Vec<String>) {
        for (key, value) in table {
            let key = format!("{prefix}{key}");
            let text = match value {
                toml::Value::String(text) => text.clone(),
                toml::Value::Integer(number) => number.to_string(),
                toml::Value::Boolean(truth) => truth.to_string(),
                toml::Value::Table(table) if TABLES.contains(&key.as_str()) => {
                    self.take_table(&format!("{key}."), table, mistakes);
                    continue;
                }
                other => {
                    let found = other.type_str();
                    mistakes.push(format!(
                        "`{key}` must be a string, a whole number, true or false, not {found}"
                    ));
                    continue;
                }
            };
            mistakes.extend(self.set(&key, &text).err());
        }
    }

    fn take_variable(
        &mut self,
        key: &str,
        variable: &str,
        environment: &impl Fn(&str) -> Option<String>,
        mistakes: &mut Vec<String>,
    ) {
        if let Some(text) = environment(variable) {
            mistakes.extend(self.set(key, &text).err().map(|mistake| format!("{variable}: {mistake}")));
        }
    }

    fn set(&mut self, key: &str, text: &str) -> Result<(), String> {
        let named = key.strip_suffix("_file").filter(|key| SECRETS.iter().any(|(secret, _)| secret == key));
        if let Some(secret) = named {
            let found = std::fs::read_to_string(text);
            let found = found.map_err(|error| format!("`{key}`: cannot read \"{text}\": {error}"))?;
            return self.set(secret, found.trim());
        }
        if let Some(key) = key.strip_prefix("kafka.") {
            return self.kafka.set(key, text);
        }
        if access::Config::has(key) {
            return self.access.set(key, text);
        }
        if let Some(key) = key.strip_prefix("retraining.") {
            return self.retraining.set(key, text);
        }
        if let Some(key) = key.strip_prefix("monitors.") {
            return self.monitors.set(key, text);
        }
        if let Some(key) = key.strip_prefix("traces.") {
            return self.traces.set(key, text);
        }
        let expected = |what: &str| format!("`{key}` is \"{text}\", expected {what}");
        match key {
            "listen" => {
                self.listen = text.parse().map_err(|_| expected("an address and port, as 127.0.0.1:8080"))?
            }
            "data_dir" => self.data_dir = PathBuf::from(text),
            "database" if text == "none" => self.remember = false,
            "database" => {
                let database = Database::parse(text).map_err(|expected| format!("`{key}`: {expected}"))?;
                (self.database, self.remember) = (Some(database), true);
            }
            "retention" => {
                self.retention_us = Some(duration(text).ok_or_else(|| expected("a duration, as 400d"))?)
            }
            "alerts.window" => {
                self.alerts.window_us = duration(text).ok_or_else(|| expected("a duration, as 24h"))?;
            }
            "alerts.due" => {
                self.alerts.due_us = duration(text).ok_or_else(|| expected("a duration, as 4h"))?;
            }
            "labels.mature_after" => {
                self.mature_after_us = Some(duration(text).ok_or_else(|| expected("a duration, as 7d"))?);
            }
            "log" => {
                self.log = log::Format::from_name(text).ok_or_else(|| expected("text or json"))?;
            }
            "slow_request_ms" => {
                let ms = at_least_one(text).ok_or_else(|| expected("a number from 1"))?;
                self.slow_request = Duration::from_millis(ms);
            }
            "detector" => self.detector = text.to_string(),
            "model" if text == "registry" => self.model = ModelSource::Registry,
            "model" => self.model = ModelSource::File(PathBuf::from(text)),
            "models.registry" if text.is_empty() => {
                return Err(expected("a folder, or a bucket as s3://bucket/prefix"));
            }
            "models.registry" => self.registry = Some(text.to_string()),
            "models.online" => self.online = text.parse().map_err(|_| expected("true or false"))?,
            "warm_up" => self.warm_up = Some(PathBuf::from(text)),
            "sync" => {
                self.sync = match text {
                    "interval" => Sync::Interval,
                    "commit" => Sync::Commit,
                    _ => return Err(expected("interval or commit")),
                }
            }
            "snapshot_every" => {
                self.snapshot_every = at_least_one(text).ok_or_else(|| expected("a number from 1"))?
            }
            "queue" => {
                let queue = at_least_one(text).filter(|queue| *queue <= 1 << 20);
                self.queue = queue.ok_or_else(|| expected("a number from 1 to 1048576"))? as usize;
            }
            "decision_deadline_ms" => {
                let ms = at_least_one(text).filter(|ms| *ms <= 3_600_000);
                self.decision_deadline_ms =
                    Some(ms.ok_or_else(|| expected("milliseconds from 1 to 3600000"))?);
            }
            "fallback" => {
                self.fallback = Stance::from_name(text).ok_or_else(|| expected("open or closed"))?;
            }
            "redis" => {
                self.redis = Some(redis::Url::parse(text).map_err(|wrong| format!("`redis` is {wrong}"))?);
            }
            "redis_ttl" => {
                let seconds = engine::time::parse_duration(text).map(|us| us / engine::time::SECOND_US);
                let seconds = seconds.filter(|seconds| *seconds > 0);
                self.redis_ttl_s =
                    seconds.ok_or_else(|| expected("a duration from 1s, as 12h or 7d"))? as u64;
            }
            "privacy.card_key" => {
                self.privacy.card_key =
                    Some(privacy::read_key(text).map_err(|wrong| format!("`{key}` is {wrong}"))?);
            }
            "privacy.detect" => {
                self.privacy.detect = match text {
                    "on" => true,
                    "off" => false,
                    _ => return Err(expected("on or off")),
                }
            }
            "synthetic.generators" => self.synthetic.generators = Some(PathBuf::from(text)),
            "synthetic.rows" => {
                self.synthetic.rows_max = at_least_one(text).ok_or_else(|| expected("a number from 1"))?;
            }
            "synthetic.jobs" => {
                let jobs = text.parse().ok().filter(|jobs| (1..=1_000).contains(jobs));
                self.synthetic.at_once = jobs.ok_or_else(|| expected("a number from 1 to 1000"))?;
            }
            unknown => {
                let known: Vec<&str> = KEYS.iter().chain(access::KEYS).map(|(key, _)| *key).collect();
                let known = known.join(", ");
                return Err(format!("unknown key `{unknown}` (known: {known})"));
            }
        }
        Ok(())
    }
}

fn duration(text: &str) -> Option<i64> {
    parse_duration(text).filter(|us| *us > 0)
}

fn at_least_one(text: &str) -> Option<u64> {
    text.parse().ok().filter(|number| *number >= 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_file_says_the_defaults() {
        assert_eq!(Settings::parse(DEFAULT_FILE, |_| None), Ok(Settings::default()));
    }

    #[test]
    fn every_mistake_is_reported_at_once() {
        let text = "listen = \"here\"\nlisen = \"x\"\nsync = \"sometimes\"\nqueue = 0\n";
        let mistakes = Settings::parse(text, |_| None).unwrap_err();
        assert_eq!(mistakes.len(), 4, "{mistakes:?}");
    }

    #[test]
    fn the_environment_overrides_the_file() {
        let environment = |name: &str| (name == "REDFLAG_DETECTOR").then(|| "paysim".to_string());
        let settings = Settings::parse("detector = \"card\"", environment).unwrap();
        assert_eq!(settings.detector, "paysim");
    }
}
