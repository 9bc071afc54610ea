//! The thread that sends spans: in batches, again and again until the receiver takes them. What a receiver that is slow, refusing or
//! gone costs is spans: they stay in the ring until it is full.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use reqwest::{StatusCode, Url};
use tokio::runtime::Runtime;

use super::otlp::{self, Resource};
use super::span::Span;
use crate::service::pipeline::{lock, now_us};

/// Spans in one message: some 100 KB.
const BATCH: usize = 512;

/// How long spans gather.
const GATHER: Duration = Duration::from_secs(1);

/// How often the thread looks whether it is to stop.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A receiver that does not answer for so long is tried again: OTLP's default.
const PATIENCE: Duration = Duration::from_secs(10);

/// The first and the longest wait before a batch is sent again.
const RETRY: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(30));

/// What is told of a refusal.
const SHOWN_CHARS: usize = 200;

/// How the sending goes, for whoever asks.
#[derive(Debug, Default)]
pub struct Board {
    kept: AtomicU64,
    sent: AtomicU64,
    dropped: AtomicU64,
    problem: Mutex<Option<(String, i64)>>,
    stop: Mutex<Stop>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Stop {
    asked: bool,
    done: bool,
}

/// How many spans went where.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    /// Those that the receiver took.
    pub sent: u64,
    /// Those that found no room or that it refused.
    pub dropped: u64,
    /// Those that wait.
    pub waiting: u64,
    /// What the receiver last answered, and since when (microseconds since 1970), until it takes spans again.
    pub problem: Option<(String, i64)>,
}

impl Board {
    /// A span is about to be put into the ring.
    pub fn count_kept(&self) {
        self.kept.fetch_add(1, Ordering::Relaxed);
    }

    /// It found no room.
    pub fn count_full(&self) {
        self.kept.fetch_sub(1, Ordering::Relaxed);
        self.count_dropped(1);
    }

    pub fn count_dropped(&self, spans: u64) {
        self.dropped.fetch_add(spans, Ordering::Relaxed);
    }

    /// Of a batch so many were taken, the rest is given up.
    fn count_batch(&self, spans: u64, sent: u64) {
        self.sent.fetch_add(sent, Ordering::Relaxed);
        self.dropped.fetch_add(spans - sent, Ordering::Relaxed);
        self.kept.fetch_sub(spans, Ordering::Relaxed);
    }

    pub fn progress(&self) -> Progress {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Progress {
            sent: count(&self.sent),
            dropped: count(&self.dropped),
            waiting: count(&self.kept),
            problem: lock(&self.problem).clone(),
        }
    }

    /// Asks the thread to stop, and waits so long at most until it has.
    pub fn stop(&self, patience: Duration) {
        let mut stop = lock(&self.stop);
        stop.asked = true;
        self.changed.notify_all();
        // What it has not sent by then is lost with the process.
        drop(self.changed.wait_timeout_while(stop, patience, |stop| !stop.done));
    }

    fn is_stopping(&self) -> bool {
        lock(&self.stop).asked
    }

    /// Waits so long, or until it is to stop.
    fn pause(&self, pause: Duration) {
        drop(self.changed.wait_timeout_while(lock(&self.stop), pause, |stop| !stop.asked));
    }

    fn note(&self, error: &str) {
        let mut problem = lock(&self.problem);
        if problem.is_none() {
            tracing::warn!(error, "traces are not taken; decisions go on");
        }
        let since_us = problem.as_ref().map_or_else(now_us, |(_, since_us)| *since_us);
        *problem = Some((error.to_string(), since_us));
    }

    fn note_recovery(&self) {
        if lock(&self.problem).take().is_some() {
            tracing::info!("traces are taken again");
        }
    }
}

/// What is sent, and how.
pub struct Sender {
    url: Url,
    resource: Resource,
    spans: Receiver<Span>,
    board: Arc<Board>,
    http: reqwest::Client,
    runtime: Runtime,
    clock: Clock,
}

/// Why a batch was not taken.
enum Refused {
    /// It may be taken later: after so long, if the receiver says so.
    Later(String, Option<Duration>),
    /// It never will.
    ForGood(String),
}

impl Sender {
    /// Connects to nothing yet.
    ///
    /// # Errors
    /// If TLS or a runtime cannot be set up.
    pub fn new(
        endpoint: &Url,
        resource: Resource,
        spans: Receiver<Span>,
        board: Arc<Board>,
    ) -> Result<Sender> {
        let mut url = endpoint.clone();
        url.path_segments_mut().expect("http has a path").pop_if_empty().extend(["v1", "traces"]);
        // Who is sent elsewhere would ask there with GET, and nothing would be taken.
        let elsewhere = reqwest::redirect::Policy::none();
        let http = reqwest::Client::builder().timeout(PATIENCE).no_proxy().redirect(elsewhere);
        let http = http.build().context("traces")?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Sender { url, resource, spans, board, http, runtime, clock: Clock::now() })
    }

    /// Sends until it is to stop.
    pub fn run(mut self) {
        let mut batch = Vec::with_capacity(BATCH);
        while !self.board.is_stopping() {
            self.gather(&mut batch);
            self.deliver(&mut batch);
        }
        // What came meanwhile: the receiver is asked once for each batch, by whoever has the patience.
        while self.fill(&mut batch) {
            self.deliver(&mut batch);
        }
        lock(&self.board.stop).done = true;
        self.board.changed.notify_all();
    }

    /// Takes what lies there; false if nothing does.
    fn fill(&self, batch: &mut Vec<Span>) -> bool {
        batch.extend(self.spans.try_iter().take(BATCH - batch.len()));
        !batch.is_empty()
    }

    /// Gathers a batch, for a while after its first span.
    fn gather(&self, batch: &mut Vec<Span>) {
        let mut until = None;
        while batch.len() < BATCH
            && until.is_none_or(|until| Instant::now() < until)
            && !self.board.is_stopping()
        {
            match self.spans.recv_timeout(LOOK_EVERY) {
                Ok(span) => {
                    until.get_or_insert_with(|| Instant::now() + GATHER);
                    batch.push(span);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Sends a batch until it is taken, refused for good, or it is time to stop.
    fn deliver(&mut self, batch: &mut Vec<Span>) {
        if batch.is_empty() {
            return;
        }
        self.clock.follow();
        let body = otlp::request(&self.resource, batch, |instant| self.clock.unix_ns(instant));
        let mut pause = RETRY.0;
        let spans = batch.len() as u64;
        let sent = loop {
            let asked_for = match self.runtime.block_on(self.post(&body)) {
                Ok(rejected) => {
                    self.board.note_recovery();
                    break spans.saturating_sub(rejected);
                }
                Err(Refused::ForGood(error)) => {
                    self.board.note(&error);
                    break 0;
                }
                Err(Refused::Later(error, asked_for)) => {
                    self.board.note(&error);
                    asked_for
                }
            };
            if self.board.is_stopping() {
                break 0;
            }
            self.board.pause(asked_for.map_or(pause, |asked_for| asked_for.max(pause)));
            pause = RETRY.1.min(2 * pause);
        };
        self.board.count_batch(spans, sent);
        batch.clear();
    }

    /// Sends a message; how many of its spans the receiver took note of and will not have.
    async fn post(&self, body: &[u8]) -> Result<u64, Refused> {
        let later = |error: reqwest::Error| {
            Refused::Later(format!("{:#}", anyhow::Error::new(error.without_url())), None)
        };
        let request = self.http.post(self.url.clone()).header("content-type", "application/x-protobuf");
        let answer = request.body(body.to_vec()).send().await.map_err(later)?;
        let (status, asked_for) = (answer.status(), retry_after(&answer));
        let said = answer.bytes().await.unwrap_or_default();
        if status.is_success() {
            return Ok(otlp::rejected_spans(&said));
        }
        let said = String::from_utf8_lossy(&said);
        let said: String = said.chars().filter(|letter| !letter.is_control()).take(SHOWN_CHARS).collect();
        let error = format!("{status} {said}");
        // Those that OTLP calls retryable.
        match status {
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => Err(Refused::Later(error, asked_for)),
            _ => Err(Refused::ForGood(error)),
        }
    }
}

/// How long a receiver wants to be left alone, in seconds; no longer than the longest wait of one's own, ten times over.
fn retry_after(answer: &reqwest::Response) -> Option<Duration> {
    let seconds = answer.headers().get("retry-after")?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds).min(10 * RETRY.1))
}

/// When an instant was. Kept from batch to batch, so that spans of one trace agree; a clock that was set is followed.
struct Clock {
    instant: Instant,
    unix_us: i64,
}

impl Clock {
    /// By how much the system's clock may be elsewhere before it is followed.
    const APART_US: i64 = 100_000;

    fn now() -> Clock {
        Clock { instant: Instant::now(), unix_us: now_us() }
    }

    fn follow(&mut self) {
        let now = Clock::now();
        let expected_us = (self.unix_ns(now.instant) / 1_000) as i64;
        if (now.unix_us - expected_us).abs() > Clock::APART_US {
            *self = now;
        }
    }

    /// Nanoseconds since 1970.
    fn unix_ns(&self, instant: Instant) -> u64 {
        let since = instant.saturating_duration_since(self.instant).as_nanos() as i128;
        let before = self.instant.saturating_duration_since(instant).as_nanos() as i128;
        (i128::from(self.unix_us) * 1_000 + since - before).max(0) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_before_and_after_keep_their_distance() {
        let clock = Clock { instant: Instant::now() + Duration::from_secs(5), unix_us: 1_000_000_000 };
        let (before, after) =
            (clock.instant - Duration::from_nanos(1), clock.instant + Duration::from_micros(3));
        assert_eq!(clock.unix_ns(before), 1_000_000_000_000 - 1);
        assert_eq!(clock.unix_ns(after), 1_000_000_003_000);
    }

    #[test]
    fn a_clock_that_was_set_is_followed_and_one_that_drifts_is_not() {
        let now = Clock::now();
        let mut clock = Clock { unix_us: now.unix_us - 50_000, ..now };
        clock.follow();
        assert_eq!(clock.unix_us, now.unix_us - 50_000);
        clock.unix_us -= 3_600_000_000;
        clock.follow();
        assert!(clock.unix_us >= now.unix_us);
    }
}
