//! Redis, where others read the windows of entities and the newest decisions.
//!
//! A thread of its own writes what waits, every [`PACE`], many entities in one round trip. A Redis that is slow or gone
//! holds up nobody: what it misses waits, the newest of each entity, and the health page says for how long.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use engine::{Decisions, Detector, Engine, EventBatch};
use lab::dataset::write_number;
use redis::{Client, Connection, Pipeline, RedisError, RedisResult, ServerError, Value};

use super::entities::{Entry, Kind, Layout, Waiting};
use super::pipeline::{lock, now_us};

/// How often what waits is written: longer than a round trip, short for whoever reads.
const PACE: Duration = Duration::from_millis(50);

/// Entities in one transaction of Redis, which serves nobody else meanwhile: about a millisecond.
const CHUNK: usize = 256;

/// A Redis that does not answer for so long is taken for gone.
const PATIENCE: Duration = Duration::from_secs(2);

/// A reader is answered within this, or told that Redis does not answer.
const READER_PATIENCE: Duration = Duration::from_millis(500);

/// The first and the longest wait between two attempts to connect.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// A Redis that is so far behind is called slow.
const BEHIND_MAX: Duration = Duration::from_secs(1);

/// How long without writing until it is asked whether it is still there.
const QUIET_MAX: Duration = Duration::from_secs(1);

/// Where Redis is, as `redis://:password@host:port/database`. Shown without its password.
#[derive(Clone, PartialEq, Eq)]
pub struct Url(String);

impl Url {
    /// Reads a URL.
    ///
    /// # Errors
    /// What is wrong with it, without its password.
    pub fn parse(text: &str) -> Result<Url, String> {
        let url = Url(text.to_string());
        match Client::open(text) {
            Ok(_) => Ok(url),
            Err(error) => Err(format!("\"{url}\": expected redis://:password@host:port/database ({error})")),
        }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&masked(&self.0))
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Everything between the scheme and the last `@` is a secret, whatever else is wrong with the text.
fn masked(url: &str) -> Cow<'_, str> {
    let Some(at) = url.rfind('@') else { return Cow::Borrowed(url) };
    let scheme = url[..at].find("://").map_or("", |end| &url[..end + 3]);
    Cow::Owned(format!("{scheme}***{}", &url[at..]))
}

/// Where Redis is and how long it keeps what it is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Where it is.
    pub url: Url,
    /// What is not written again for so long is forgotten, in seconds.
    pub ttl_s: u64,
}

/// How what others read compares with what is known here.
#[derive(Debug, Clone, Default)]
pub struct Freshness {
    /// What Redis last answered, and since when (microseconds since 1970), until it takes writes again.
    pub problem: Option<(String, i64)>,
    /// How long the longest waiting has waited.
    pub behind: Duration,
    /// Entities that wait.
    pub waiting: usize,
    /// Entities written since the start.
    pub written: u64,
    /// Entities that had to make room for others, and those that Redis refused.
    pub dropped: u64,
}

impl Freshness {
    /// What is wrong, if anything is.
    pub fn trouble(&self) -> Option<String> {
        let lost = format!("{} entities wait, {} were dropped; decisions go on", self.waiting, self.dropped);
        match &self.problem {
            Some((problem, since_us)) => {
                Some(format!("gone since {}: {problem}; {lost}", engine::time::format_instant(*since_us)))
            }
            None if self.behind > BEHIND_MAX => {
                Some(format!("slow: {:.1} s behind; {lost}", self.behind.as_secs_f64()))
            }
            None => None,
        }
    }
}

impl fmt::Display for Freshness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Freshness { behind, waiting, written, dropped, .. } = self;
        let behind = behind.as_secs_f64();
        write!(f, "{behind:.2} s behind, {waiting} entities wait, {written} written, {dropped} dropped")
    }
}

/// Redis as the service sees it: offered what is decided, asked for what is not held here.
pub struct Redis {
    board: Arc<Board>,
    client: Client,
    reader: Mutex<Option<Connection>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What deciding threads and the writing thread share.
struct Board {
    layout: Layout,
    waiting: Mutex<Waiting>,
    progress: Mutex<Progress>,
    stop: Mutex<Stop>,
    changed: Condvar,
}

/// Told by the writing thread.
#[derive(Default)]
struct Progress {
    problem: Option<(String, i64)>,
    /// Of what it has taken from the board and not written yet.
    since: Option<Instant>,
    waiting: usize,
    written: u64,
    refused: u64,
}

#[derive(Default)]
struct Stop {
    asked: bool,
    done: bool,
}

impl Redis {
    /// Starts to write what will be offered. Redis need not be there.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub fn start(config: &Config, detector: &Detector) -> anyhow::Result<Redis> {
        let layout = Layout::new(detector);
        let board = Arc::new(Board {
            waiting: Mutex::new(Waiting::new(&layout)),
            layout,
            progress: Mutex::default(),
            stop: Mutex::default(),
            changed: Condvar::new(),
        });
        let client = Client::open(config.url.0.as_str())?;
        let link = Link::new(client.clone());
        let writer = Writer {
            taken: Waiting::new(&board.layout),
            board: Arc::clone(&board),
            link,
            ttl_s: config.ttl_s,
            pipeline: redis::pipe(),
        };
        let thread = std::thread::Builder::new().name("redis".into()).spawn(move || writer.run())?;
        Ok(Redis { board, client, reader: Mutex::default(), thread: Mutex::new(Some(thread)) })
    }

    /// Offers a decided batch, which `engine` has just processed, with the summaries (row, JSON) of its decisions. Waits
    /// for nobody.
    pub fn offer<'a>(
        &self,
        engine: &Engine,
        batch: &EventBatch,
        decisions: &Decisions,
        summaries: impl IntoIterator<Item = (usize, &'a str)>,
    ) {
        let layout = &self.board.layout;
        let mut waiting = lock(&self.board.waiting);
        waiting.take(layout, engine, batch, decisions);
        for (row, summary) in summaries {
            if let Some(key) = batch.key(row) {
                waiting.take_decision(layout, key, summary);
            }
        }
    }

    /// Offers the windows of the entities of some rows, as far as `engine`, a stage, keeps them.
    pub fn offer_rows(&self, engine: &Engine, batch: &EventBatch, rows: &[u32]) {
        let mut waiting = lock(&self.board.waiting);
        rows.iter().for_each(|row| waiting.take_row(&self.board.layout, engine, batch, *row as usize));
    }

    /// Offers the newest decision on a key.
    pub fn offer_decision(&self, key: &str, summary: &str) {
        lock(&self.board.waiting).take_decision(&self.board.layout, key, summary);
    }

    /// Offers the windows of the entities of a row whose label was just learnt.
    pub fn offer_learnt(&self, engine: &Engine, batch: &EventBatch, row: usize) {
        lock(&self.board.waiting).take_row(&self.board.layout, engine, batch, row);
    }

    /// How fresh is what others read.
    pub fn freshness(&self) -> Freshness {
        let (waiting, dropped, since) = {
            let waiting = lock(&self.board.waiting);
            (waiting.len(), waiting.dropped, waiting.since)
        };
        let progress = lock(&self.board.progress);
        let oldest = progress.since.or(since);
        Freshness {
            problem: progress.problem.clone(),
            behind: oldest.map_or(Duration::ZERO, |since| since.elapsed()),
            waiting: waiting + progress.waiting,
            written: progress.written,
            dropped: dropped + progress.refused,
        }
    }

    /// The windows of an entity as Redis holds them, which may be another's or an earlier run's. Blocks for
    /// [`READER_PATIENCE`] or so at the most.
    ///
    /// # Errors
    /// If Redis does not answer.
    pub fn find(&self, kind: &Kind, id: &str) -> RedisResult<Option<Found>> {
        let mut reader = lock(&self.reader);
        let mut connection = match reader.take().filter(redis::ConnectionLike::is_open) {
            Some(connection) => connection,
            None => connect(&self.client, READER_PATIENCE)?,
        };
        let fields: std::collections::HashMap<String, String> =
            redis::cmd("HGETALL").arg(entity_key(&self.board.layout, kind, id)).query(&mut connection)?;
        *reader = Some(connection);
        // What this program did not write is as good as nothing.
        let event_time_us = fields.get(EVENT_TIME).and_then(|text| engine::time::parse_instant(text));
        let Some(event_time_us) = event_time_us else { return Ok(None) };
        let value = |name: &String| fields.get(name).and_then(|text| text.parse().ok());
        let values = kind.features.iter().map(value).collect();
        Ok(Some(Found { event_time_us, values }))
    }

    /// Deletes what is written of an entity, now and after what waits was written. A Redis that is gone keeps it for as long as
    /// `redis_ttl` says.
    pub fn forget(&self, field: &str, id: &str) {
        let layout = &self.board.layout;
        let kind = layout.kinds.iter().find(|kind| kind.name == field);
        let keys: Vec<String> = kind
            .map(|kind| entity_key(layout, kind, id))
            .into_iter()
            .chain([decision_key(layout, id)])
            .collect();
        let deadline = Instant::now() + Duration::from_secs(2);
        while self.freshness().waiting > 0 && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        let deleted = connect(&self.client, READER_PATIENCE)
            .and_then(|mut connection| redis::cmd("DEL").arg(&keys).exec(&mut connection));
        if let Err(error) = deleted {
            tracing::warn!(%error, "Redis keeps what was erased until its time is over (redis_ttl)");
        }
    }

    /// Writes what still waits, for at most so long, and ends.
    pub fn finish(&self, within: Duration) {
        let mut stop = lock(&self.board.stop);
        stop.asked = true;
        self.board.changed.notify_all();
        let waited = self.board.changed.wait_timeout_while(stop, within, |stop| !stop.done);
        let done = waited.is_ok_and(|(stop, _)| stop.done);
        // A Redis that hangs must not hold up the end; its thread ends with the process.
        if let Some(thread) = lock(&self.thread).take().filter(|_| done) {
            drop(thread.join());
        }
    }
}

/// What Redis holds of an entity.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// Time of its newest event.
    pub event_time_us: i64,
    /// Its windows in the order of [`Kind::features`]; `None` is missing.
    pub values: Vec<Option<f64>>,
}

/// What Redis answers where a key holds something else than it should. To try that again would not help.
const WRONG_TYPE: &str = "WRONGTYPE";

/// The field of an entity's hash that holds the time of its newest event.
const EVENT_TIME: &str = "event_time";

/// The key of an entity's hash.
fn entity_key(layout: &Layout, kind: &Kind, id: &str) -> String {
    format!("redflag:{}:{}:{id}", layout.detector, kind.name)
}

/// The key of the newest decision on a key.
fn decision_key(layout: &Layout, key: &str) -> String {
    format!("redflag:{}:decision:{key}", layout.detector)
}

/// The thread that writes.
struct Writer {
    board: Arc<Board>,
    /// What was taken from the board, and is kept until Redis has it.
    taken: Waiting,
    link: Link,
    ttl_s: u64,
    pipeline: Pipeline,
}

impl Writer {
    fn run(mut self) {
        let mut pause = PACE;
        loop {
            let running = self.board.pause(pause);
            pause = match self.turn() {
                Ok(()) => {
                    self.note_recovery();
                    PACE
                }
                Err(error) => {
                    self.note(&error);
                    if pause < RETRY.0 { RETRY.0 } else { RETRY.1.min(2 * pause) }
                }
            };
            if !running {
                break;
            }
        }
        lock(&self.board.stop).done = true;
        self.board.changed.notify_all();
    }

    /// Writes what was taken before, then what waits.
    fn turn(&mut self) -> RedisResult<()> {
        self.link.ensure()?;
        self.write_taken()?;
        {
            let mut waiting = lock(&self.board.waiting);
            // The count stays with the board.
            self.taken.dropped = waiting.dropped;
            std::mem::swap(&mut *waiting, &mut self.taken);
        }
        self.write_taken()
    }

    fn write_taken(&mut self) -> RedisResult<()> {
        while !self.taken.is_empty() {
            self.tell_progress();
            let count = self.taken.len().min(CHUNK);
            self.pipeline.clear();
            self.pipeline.atomic();
            for entry in self.taken.entries().take(count) {
                add(&mut self.pipeline, &self.board.layout, entry, self.ttl_s);
            }
            let refused = self.link.write(&self.pipeline)?;
            self.taken.forget(count);
            let mut progress = lock(&self.board.progress);
            progress.written += (count - refused) as u64;
            progress.refused += refused as u64;
        }
        self.tell_progress();
        Ok(())
    }

    fn tell_progress(&self) {
        let mut progress = lock(&self.board.progress);
        progress.since = self.taken.since;
        progress.waiting = self.taken.len();
    }

    fn note_recovery(&self) {
        if lock(&self.board.progress).problem.take().is_some() {
            tracing::info!("Redis takes writes again");
        }
    }

    /// Remembers what is wrong, for whoever looks at the health.
    fn note(&self, error: &RedisError) {
        let mut progress = lock(&self.board.progress);
        let since_us = progress.problem.as_ref().map_or_else(now_us, |(_, since_us)| *since_us);
        if progress.problem.is_none() {
            tracing::warn!(%error, "Redis does not take writes; decisions go on");
        }
        progress.problem = Some((error.to_string(), since_us));
    }
}

impl Board {
    /// Waits so long, or until it is time to stop; false then.
    fn pause(&self, pause: Duration) -> bool {
        let stop = lock(&self.stop);
        let waited = self.changed.wait_timeout_while(stop, pause, |stop| !stop.asked);
        waited.is_ok_and(|(stop, _)| !stop.asked)
    }
}

/// Adds what makes Redis hold an entry.
fn add(pipeline: &mut Pipeline, layout: &Layout, entry: &Entry, ttl_s: u64) {
    let Some(kind) = layout.kinds.get(entry.target) else {
        let key = decision_key(layout, &entry.id);
        pipeline.cmd("SET").arg(key).arg(&entry.summary).arg("EX").arg(ttl_s).ignore();
        return;
    };
    if entry.values.is_empty() {
        return;
    }
    let key = entity_key(layout, kind, &entry.id);
    let mut text = String::with_capacity(32);
    engine::time::write_instant(entry.event_time_us, &mut text);
    let hash = pipeline.cmd("HSET").arg(&key).arg(EVENT_TIME).arg(&text);
    for (name, value) in kind.features.iter().zip(&entry.values) {
        text.clear();
        // A value that is missing now must not look like the one before.
        if value.is_finite() {
            write_number(*value, &mut text);
        }
        hash.arg(name).arg(&text);
    }
    hash.ignore();
    pipeline.cmd("EXPIRE").arg(key).arg(ttl_s).ignore();
}

/// The connection that writes.
struct Link {
    client: Client,
    connection: Option<Connection>,
    /// How Redis names the newest connection.
    name: Option<Name>,
    used: Instant,
}

/// Identifies a connection among all that a Redis has had, and those of another that took its place.
struct Name {
    id: String,
    address: String,
}

impl Link {
    fn new(client: Client) -> Link {
        Link { client, connection: None, name: None, used: Instant::now() }
    }

    /// Makes sure that Redis is there.
    fn ensure(&mut self) -> RedisResult<()> {
        match &mut self.connection {
            None => self.connection = Some(self.connect()?),
            Some(connection) if self.used.elapsed() > QUIET_MAX => {
                let answered = redis::cmd("PING").exec(connection);
                self.used(answered)?;
            }
            Some(_) => {}
        }
        self.used = Instant::now();
        Ok(())
    }

    /// Connects, and ends the connection before. What a Redis that hung has still to read there is older than what
    /// comes now, and must not come after it. One that may not be asked for this is not.
    fn connect(&mut self) -> RedisResult<Connection> {
        let mut connection = connect(&self.client, PATIENCE)?;
        if let Some(Name { id, address }) = self.name.take() {
            let ended =
                redis::cmd("CLIENT").arg(&["KILL", "ID", &id, "ADDR", &address]).exec(&mut connection);
            ended.or_else(only_refused)?;
        }
        let info = redis::cmd("CLIENT").arg("INFO").query(&mut connection);
        let info: String = info.or_else(|error| only_refused(error).map(|()| String::new()))?;
        let field = |name: &str| info.split(' ').find_map(|field| field.strip_prefix(name));
        self.name = field("id=")
            .zip(field("addr="))
            .map(|(id, address)| Name { id: id.into(), address: address.into() });
        Ok(connection)
    }

    /// Has Redis carry out all of it; how many commands it refused because their keys hold something else.
    fn write(&mut self, pipeline: &Pipeline) -> RedisResult<usize> {
        let connection = self.connection.as_mut().ok_or_else(gone)?;
        let answers = carry_out(connection, pipeline);
        match self.used(answers)? {
            refused if refused.iter().all(|error| error.code() == WRONG_TYPE) => Ok(refused.len()),
            // No memory, read only, still loading: that concerns everything, and may pass.
            refused => Err(refused
                .into_iter()
                .find(|error| error.code() != WRONG_TYPE)
                .map_or_else(gone, Into::into)),
        }
    }

    /// A connection that failed is of no use: answers could belong to earlier questions.
    fn used<T>(&mut self, outcome: RedisResult<T>) -> RedisResult<T> {
        self.used = Instant::now();
        if outcome.as_ref().is_err_and(|error| error.clone().into_server_errors().is_none()) {
            self.connection = None;
        }
        outcome
    }
}

fn connect(client: &Client, patience: Duration) -> RedisResult<Connection> {
    let connection = client.get_connection_with_timeout(patience)?;
    connection.set_read_timeout(Some(patience))?;
    connection.set_write_timeout(Some(patience))?;
    Ok(connection)
}

/// Passes over what Redis answered with a refusal.
fn only_refused(error: RedisError) -> RedisResult<()> {
    if error.clone().into_server_errors().is_some() { Ok(()) } else { Err(error) }
}

/// Sends a transaction and reads its answers; what was refused. The client's own way would wait for each of the answers
/// anew when the first does not come.
fn carry_out(connection: &mut Connection, pipeline: &Pipeline) -> RedisResult<Vec<ServerError>> {
    connection.send_packed_command(&pipeline.get_packed_pipeline())?;
    let mut refused = Vec::new();
    // One for MULTI, one for each command that waits for EXEC, and that of EXEC, which holds theirs.
    for _ in 0..pipeline.len() + 2 {
        match connection.recv_response()? {
            Value::ServerError(error) => refused.push(error),
            Value::Array(answers) => refused.extend(answers.into_iter().filter_map(|answer| match answer {
                Value::ServerError(error) => Some(error),
                _ => None,
            })),
            _ => {}
        }
    }
    Ok(refused)
}

fn gone() -> RedisError {
    std::io::Error::from(std::io::ErrorKind::NotConnected).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_never_shown() {
        for (url, shown) in [
            ("redis://127.0.0.1:6379", "redis://127.0.0.1:6379"),
            ("redis://:secret@host:1/2", "redis://***@host:1/2"),
            ("redis://me:se@cret@host", "redis://***@host"),
            ("me:secret@host", "***@host"),
        ] {
            assert_eq!(masked(url), shown);
            assert_eq!(format!("{:?}", Url(url.to_string())), shown);
        }
        let mistake = Url::parse("http://:secret@host").unwrap_err();
        assert!(mistake.contains("http://***@host") && !mistake.contains("secret"), "{mistake}");
    }
}
