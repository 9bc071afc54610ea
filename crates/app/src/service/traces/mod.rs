//! Traces by OpenTelemetry: what became of some requests, part by part, sent to a receiver of OTLP over HTTP.
//!
//! A request that is not sampled costs a look at one header. Of one that is, records of a fixed size are laid into a bounded ring,
//! which never waits: when it is full they are dropped and counted. A thread of its own sends what lies there (`sender`).

/// The table of settings.
pub mod settings;
/// `traceparent`, and what is sampled.
pub mod context;
/// What is kept of a part of a request.
pub mod span;
mod otlp;
mod sender;

use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use axum::http::HeaderMap;
use store::Database;

use self::context::{Parent, Sampler, TRACEPARENT, Trace};
use self::otlp::Resource;
use self::sender::{Board, Sender};
use self::settings::Config;
use self::span::{Part, Span};
use super::access::random::random;

pub use sender::Progress;

/// Records that may wait to be sent: about a megabyte, and what 1600 sampled requests leave.
const RING: usize = 8_192;

/// The way of spans out of the process.
#[derive(Debug)]
pub struct Traces {
    sampler: Sampler,
    ring: SyncSender<Span>,
    board: Arc<Board>,
}

/// When a group of transactions was worked on.
#[derive(Debug, Clone, Copy)]
pub struct Stages {
    /// It was taken from the queue and read.
    pub started: Instant,
    /// It was decided.
    pub decided: Instant,
    /// It was stored.
    pub stored: Instant,
    /// It was answered.
    pub answered: Instant,
    /// Transactions in it.
    pub group: u32,
}

impl Traces {
    /// Starts the thread that sends, if there is somewhere to send to.
    ///
    /// # Errors
    /// If TLS or the thread cannot be had.
    pub fn start(config: &Config, database: Option<&Database>) -> Result<Option<Traces>> {
        let Some(endpoint) = &config.endpoint else { return Ok(None) };
        let resource = Resource {
            service: config.service_name.clone(),
            version: env!("CARGO_PKG_VERSION"),
            instance: format!("{:016x}", u64::from_le_bytes(random())),
            database: match database {
                Some(Database::Sqlite(_)) => "sqlite",
                Some(Database::Postgres { .. }) => "postgresql",
                None => "",
            },
        };
        let (ring, spans) = sync_channel(RING);
        let board = Arc::new(Board::default());
        let sender = Sender::new(endpoint, resource, spans, Arc::clone(&board))?;
        let thread = std::thread::Builder::new().name("traces".into());
        thread.spawn(move || sender.run()).context("cannot start the thread that sends traces")?;
        Ok(Some(Traces { sampler: Sampler::new(config.share), ring, board }))
    }

    /// The trace that a request belongs to.
    pub fn begin(&self, headers: &HeaderMap) -> Trace {
        self.sampler.trace(headers.get(TRACEPARENT).and_then(|value| Parent::parse(value.as_bytes())))
    }

    /// The trace that a record of a topic belongs to.
    pub fn begin_record(&self, traceparent: Option<&[u8]>) -> Trace {
        self.sampler.trace(traceparent.and_then(Parent::parse))
    }

    /// Keeps what was around all else of a sampled request.
    pub fn whole(&self, trace: Trace, part: Part, from: Instant, to: Instant) {
        if trace.is_sampled {
            self.keep(Span::whole(trace, part, from, to));
        }
    }

    /// Keeps a part of a sampled request.
    pub fn part(&self, trace: Trace, part: Part, from: Instant, to: Instant) {
        if trace.is_sampled {
            let id = self.sampler.span();
            self.keep(Span { trace: trace.id, id, parent: trace.span, part, from, to });
        }
    }

    /// Keeps what became of a request that came in then, in the group that it was decided in.
    pub fn decided(&self, trace: Trace, received: Instant, stages: &Stages) {
        let Stages { started, decided, stored, answered, group } = *stages;
        self.part(trace, Part::Queue, received, started);
        self.part(trace, Part::Decide { group }, started, decided);
        self.part(trace, Part::Commit { group }, decided, stored);
        self.part(trace, Part::Answer, stored, answered);
    }

    fn keep(&self, span: Span) {
        // Before it is there to be taken out, so that there are never fewer than none.
        self.board.count_kept();
        if self.ring.try_send(span).is_err() {
            self.board.count_full();
        }
    }

    /// How sending goes.
    pub fn progress(&self) -> Progress {
        self.board.progress()
    }

    /// Sends what still waits, for so long at most.
    pub fn finish(&self, patience: Duration) {
        self.board.stop(patience);
    }
}
