//! What a request asks for, and everything that is wrong with it.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use engine::Detector;
use engine::time::parse_instant;
use lab::simulate;
use serde_json::{Map, Value};

use super::Config;
use crate::service::pipeline::now_us;
use crate::service::wire::{GenerationSource, ProblemField};

/// Most rows of an answer: what a page can show.
pub const ANSWER_ROWS_MAX: u64 = 10_000;

/// Most transactions a second of a job.
const RATE_MAX: f64 = 1e6;

/// Seeds that every JSON reader can hold.
const SEED_MAX: u64 = 1 << 53;

/// The members of a request.
const MEMBERS: [&str; 8] = ["rows", "fraud_share", "source", "seed", "to", "format", "rate", "start"];

/// What makes the transactions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Maker {
    /// The simulator of this name.
    Simulator(String),
    /// The generator of this name.
    Generator(String),
}

/// Where they go.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Target {
    /// Into the answer.
    Rows,
    /// The answer is a file.
    File(FileFormat),
    /// Down the live stream, so many a second or as fast as it takes them.
    Stream {
        /// Transactions a second.
        rate: Option<f64>,
    },
}

/// Formats of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileFormat {
    /// Comma-separated values.
    Csv,
    /// One JSON object a line.
    Jsonl,
    /// Apache Parquet.
    Parquet,
}

impl FileFormat {
    /// The ending of a file of this format, which is also its name.
    pub fn ending(self) -> &'static str {
        match self {
            FileFormat::Csv => "csv",
            FileFormat::Jsonl => "jsonl",
            FileFormat::Parquet => "parquet",
        }
    }

    fn from_name(name: &str) -> Option<FileFormat> {
        [FileFormat::Csv, FileFormat::Jsonl, FileFormat::Parquet]
            .into_iter()
            .find(|format| format.ending() == name)
    }
}

/// What a request asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct Wanted {
    /// Transactions.
    pub rows: u64,
    /// Share of frauds among them; as many as there are if `None`.
    pub fraud_share: Option<f64>,
    /// What makes them.
    pub maker: Maker,
    /// Seed of everything random.
    pub seed: u64,
    /// When the first one may be; after the live stream's newest if `None`.
    pub start_us: Option<i64>,
    /// Where they go.
    pub to: Target,
}

impl Wanted {
    /// Reads a request: members of its body, and parameters of its query where the body has none.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn read(
        body: Map<String, Value>,
        query: &HashMap<String, String>,
        detector: &Detector,
        config: &Config,
    ) -> Result<Wanted, Vec<ProblemField>> {
        let mut reading = Reading { members: with_query(body, query), mistakes: Vec::new() };
        reading.unknown();
        let to = reading.target();
        let rows_max = if to == Target::Rows { ANSWER_ROWS_MAX } else { config.rows_max };
        let maker = reading.maker(detector, config);
        let seed = reading.number(
            "seed",
            "a whole number from 0 to 2^53",
            |seed| seed as u64,
            |number| number.fract() == 0.0 && (0.0..=SEED_MAX as f64).contains(&number),
        );
        let seed = seed.unwrap_or_else(|| RandomState::new().hash_one(now_us()) % SEED_MAX);
        let wanted = Wanted {
            rows: reading.rows(rows_max),
            fraud_share: reading.number(
                "fraud_share",
                "a number from 0 to 1",
                |share| share,
                |share| (0.0..=1.0).contains(&share),
            ),
            maker,
            seed,
            start_us: reading.start(to),
            to,
        };
        if reading.mistakes.is_empty() { Ok(wanted) } else { Err(reading.mistakes) }
    }
}

impl Maker {
    /// As it is told.
    pub fn told(&self) -> GenerationSource {
        match self {
            Maker::Simulator(name) => GenerationSource { simulator: Some(name.clone()), generator: None },
            Maker::Generator(name) => GenerationSource { simulator: None, generator: Some(name.clone()) },
        }
    }
}

/// The body's members, completed by those of the query. Of a query, `simulator` and `generator` are the source.
fn with_query(mut body: Map<String, Value>, query: &HashMap<String, String>) -> Map<String, Value> {
    for (name, value) in query {
        let number = || serde_json::from_str(value).ok().filter(Value::is_number);
        let (name, value) = match name.as_str() {
            "simulator" | "generator" => ("source", serde_json::json!({name: value})),
            name => (name, number().unwrap_or_else(|| Value::String(value.clone()))),
        };
        body.entry(name).or_insert(value);
    }
    body
}

/// A request that is being read.
struct Reading {
    members: Map<String, Value>,
    mistakes: Vec<ProblemField>,
}

impl Reading {
    fn wrong(&mut self, field: &str, value: Option<&Value>, expected: &str) {
        let value = value.map_or("missing".to_string(), Value::to_string);
        self.mistakes.push(engine::FieldError::new(field, value, expected).into());
    }

    fn unknown(&mut self) {
        let known = |name: &String| MEMBERS.contains(&name.as_str());
        let unknown: Vec<String> = self.members.keys().filter(|name| !known(name)).cloned().collect();
        for name in unknown {
            let value = self.members.remove(&name);
            self.wrong(&name, value.as_ref(), &format!("one of {}", MEMBERS.join(", ")));
        }
    }

    /// The member, unless it is null.
    fn take(&mut self, name: &str) -> Option<Value> {
        self.members.remove(name).filter(|value| !value.is_null())
    }

    fn number<T>(
        &mut self,
        name: &str,
        expected: &str,
        meaning: impl Fn(f64) -> T,
        is_right: impl Fn(f64) -> bool,
    ) -> Option<T> {
        let value = self.take(name)?;
        let number = value.as_f64().filter(|number| is_right(*number));
        if number.is_none() {
            self.wrong(name, Some(&value), expected);
        }
        number.map(meaning)
    }

    fn rows(&mut self, most: u64) -> u64 {
        let expected = format!("a whole number from 1 to {most}");
        if self.members.get("rows").is_none_or(Value::is_null) {
            self.wrong("rows", None, &expected);
            return 0;
        }
        let is_right = |rows: f64| rows.fract() == 0.0 && (1.0..=most as f64).contains(&rows);
        self.number("rows", &expected, |rows| rows as u64, is_right).unwrap_or(0)
    }

    fn target(&mut self) -> Target {
        let to = self.take("to").unwrap_or_else(|| Value::from("rows"));
        let format = self.take("format");
        let rate = self.take("rate");
        if let Some(rate) = rate.as_ref().filter(|_| to != "stream") {
            self.wrong("rate", Some(rate), "nothing, unless `to` is stream");
        }
        if let Some(format) = format.as_ref().filter(|_| to != "file") {
            self.wrong("format", Some(format), "nothing, unless `to` is file");
        }
        match to.as_str() {
            Some("rows") => Target::Rows,
            Some("file") => Target::File(self.format(format)),
            Some("stream") => Target::Stream { rate: rate.and_then(|rate| self.rate(&rate)) },
            _ => {
                self.wrong("to", Some(&to), "rows, file or stream");
                Target::Rows
            }
        }
    }

    fn format(&mut self, named: Option<Value>) -> FileFormat {
        let Some(named) = named else { return FileFormat::Csv };
        let format = named.as_str().and_then(FileFormat::from_name);
        if format.is_none() {
            self.wrong("format", Some(&named), "csv, jsonl or parquet");
        }
        format.unwrap_or(FileFormat::Csv)
    }

    fn rate(&mut self, value: &Value) -> Option<f64> {
        let rate = value.as_f64().filter(|rate| *rate > 0.0 && *rate <= RATE_MAX);
        if rate.is_none() {
            self.wrong("rate", Some(value), "transactions a second, above 0 and up to 1000000");
        }
        rate
    }

    fn start(&mut self, to: Target) -> Option<i64> {
        let value = self.take("start")?;
        if matches!(to, Target::Stream { .. }) {
            self.wrong("start", Some(&value), "nothing: a stream goes on where the live one is");
            return None;
        }
        let start_us = value.as_str().and_then(parse_instant);
        if start_us.is_none() {
            self.wrong("start", Some(&value), "an RFC 3339 time");
        }
        start_us
    }

    fn maker(&mut self, detector: &Detector, config: &Config) -> Maker {
        let usual = Maker::Simulator(detector.name.clone());
        let (maker, value) = match self.take("source") {
            None => (usual.clone(), Value::Null),
            Some(value) => match maker_of(&value) {
                Some(maker) => (maker, value),
                None => {
                    let expected = "{\"simulator\": NAME} or {\"generator\": NAME}";
                    self.wrong("source", Some(&value), expected);
                    return usual;
                }
            },
        };
        match &maker {
            Maker::Simulator(name) if *name != detector.name => {
                let expected = format!("{}, whose transactions are decided here", detector.name);
                self.wrong("source.simulator", Some(&value["simulator"]), &expected);
            }
            Maker::Simulator(name) if !simulate::NAMES.contains(&name.as_str()) => {
                let expected = format!("a generator: the detector `{name}` has no simulator");
                self.wrong("source", Some(&value).filter(|value| !value.is_null()), &expected);
            }
            Maker::Generator(name) => {
                let known = config.generators();
                if !known.contains(name) {
                    let expected = match known.as_slice() {
                        [] => "a generator in the folder that synthetic.generators names; there is none"
                            .to_string(),
                        known => format!("one of {}", known.join(", ")),
                    };
                    self.wrong("source.generator", Some(&value["generator"]), &expected);
                }
            }
            Maker::Simulator(_) => {}
        }
        maker
    }
}

fn maker_of(value: &Value) -> Option<Maker> {
    let members = value.as_object().filter(|members| members.len() == 1)?;
    let (name, called) = members.iter().next()?;
    let called = called.as_str()?.to_string();
    match name.as_str() {
        "simulator" => Some(Maker::Simulator(called)),
        "generator" => Some(Maker::Generator(called)),
        _ => None,
    }
}
