//! What is logged, as text or as one JSON object a line, on the standard error.
//!
//! Whoever logs waits for nobody: lines go into a bounded queue, and a thread of its own writes them. When the reader of the standard
//! error stands still, lines that find no room are lost and counted.

use std::fmt::{self, Debug, Write as _};
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use engine::time::format_instant;
use serde::Serialize;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::registry::LookupSpan;

use crate::service::pipeline::now_us;

/// Lines that may wait to be written.
const QUEUE: usize = 8_192;

/// What still waits at the end gets this long.
const LAST_LINES: Duration = Duration::from_millis(500);

/// Lines that found no room, of this process.
static LOST: AtomicU64 = AtomicU64::new(0);

/// How lines look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

impl Format {
    /// `text` or `json`.
    pub fn from_name(name: &str) -> Option<Format> {
        match name {
            "text" => Some(Format::Text),
            "json" => Some(Format::Json),
            _ => None,
        }
    }
}

/// Lines that found no room since the start.
pub fn lost() -> u64 {
    LOST.load(Ordering::Relaxed)
}

/// Writes until it is dropped; then what still waits is written.
#[must_use = "lines are written as long as this lives"]
pub struct Logs {
    queue: SyncSender<Line>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread that writes is told.
enum Line {
    Write(Vec<u8>),
    End,
}

/// Logs to the standard error from now on, by level with RUST_LOG. A second call in one process keeps the first's logs.
///
/// # Errors
/// If no thread can be had.
pub fn start(format: Format) -> io::Result<Logs> {
    let (queue, lines) = sync_channel(QUEUE);
    let thread = std::thread::Builder::new().name("log".into()).spawn(move || write_all(&lines))?;
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(Queue(queue.clone()));
    // Whoever has logged before in this process goes on to.
    match format {
        Format::Text => drop(subscriber.try_init()),
        Format::Json => drop(subscriber.event_format(Json).try_init()),
    }
    Ok(Logs { queue, thread: Some(thread) })
}

fn write_all(lines: &Receiver<Line>) {
    let mut told = 0;
    while let Ok(Line::Write(line)) = lines.recv() {
        // Nobody is left to tell that it cannot be written.
        drop(io::stderr().write_all(&line));
        let lost = lost();
        if lost > told {
            told = lost;
            tracing::warn!(lost, "lines of this log found no room, since the start");
        }
    }
}

impl Drop for Logs {
    fn drop(&mut self) {
        let until = Instant::now() + LAST_LINES;
        while self.queue.try_send(Line::End).is_err() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(1));
        }
        let is_writing = |thread: &JoinHandle<()>| !thread.is_finished();
        while self.thread.as_ref().is_some_and(is_writing) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// The way into the queue.
#[derive(Clone)]
struct Queue(SyncSender<Line>);

impl MakeWriter<'_> for Queue {
    type Writer = Queue;

    fn make_writer(&self) -> Queue {
        self.clone()
    }
}

impl Write for Queue {
    /// A whole line: that is how the subscriber writes.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.0.try_send(Line::Write(line.to_vec())).is_err() {
            LOST.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// One JSON object a line: `time` (RFC 3339), `level`, `part` (the module), `message`, and `fields`, if there are any.
struct Json;

impl<S, N> FormatEvent<S, N> for Json
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let said = Said {
            time: format_instant(now_us()),
            level: event.metadata().level().as_str(),
            part: event.metadata().target(),
            message: fields.message,
            fields: fields.others,
        };
        writeln!(out, "{}", serde_json::to_string(&said).map_err(|_| fmt::Error)?)
    }
}

/// A line, its members in the order in which people look for them.
#[derive(Serialize)]
struct Said<'a> {
    time: String,
    level: &'a str,
    part: &'a str,
    message: String,
    #[serde(skip_serializing_if = "Map::is_empty")]
    fields: Map<String, Value>,
}

/// What an event says.
#[derive(Default)]
struct Fields {
    message: String,
    others: Map<String, Value>,
}

impl Fields {
    fn add(&mut self, field: &Field, value: Value) {
        self.others.insert(field.name().to_string(), value);
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            write!(self.message, "{value:?}").expect("text takes all");
        } else {
            self.add(field, format!("{value:?}").into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logged(log: impl FnOnce()) -> Vec<Value> {
        let (queue, lines) = sync_channel(100);
        let subscriber = tracing_subscriber::fmt().with_writer(Queue(queue)).event_format(Json).finish();
        tracing::subscriber::with_default(subscriber, log);
        let text = lines.try_iter().map(|line| match line {
            Line::Write(line) => serde_json::from_slice(&line).unwrap(),
            Line::End => Value::Null,
        });
        text.collect()
    }

    #[test]
    fn a_line_is_one_object_whatever_is_said() {
        let lines = logged(|| {
            tracing::warn!(time = "x\"\n", share = 0.5, count = 3_u64, is = true, "it's \"{}\"\n", "odd");
            tracing::info!("plain");
        });
        assert_eq!(lines[0]["level"], "WARN");
        assert_eq!(lines[0]["message"], "it's \"odd\"\n");
        assert_eq!(
            lines[0]["fields"],
            serde_json::json!({"time": "x\"\n", "share": 0.5, "count": 3, "is": true})
        );
        assert!(lines[0]["part"].as_str().unwrap().ends_with("log::tests"));
        assert!(engine::time::parse_instant(lines[1]["time"].as_str().unwrap()).is_some());
        assert_eq!(lines[1].get("fields"), None);
    }

    #[test]
    fn what_finds_no_room_is_counted_and_nobody_waits() {
        let (queue, lines) = sync_channel(1);
        let mut writer = Queue(queue);
        let before = lost();
        for _ in 0..3 {
            writer.write_all(b"a line\n").unwrap();
        }
        // Others may log meanwhile, in the same process.
        assert!(lost() >= before + 2);
        assert_eq!(lines.try_iter().count(), 1);
    }
}
