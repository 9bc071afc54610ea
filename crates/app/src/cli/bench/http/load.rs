//! Transactions, each posted when it is due.

use std::num::NonZeroU64;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use hdrhistogram::Histogram;
use lab::dataset::{Block, SimulatedReader, write_event};

use super::connection::Connection;
use crate::service::pipeline::lock;

/// The longest latency that is told apart, in nanoseconds: a minute.
const LATENCY_MAX_NS: u64 = 60_000_000_000;

/// A broken connection is made anew so many times for a transaction; it has an id, so it is decided once.
const TRIES: usize = 5;

/// Where transactions come from.
pub struct Source {
    reader: SimulatedReader,
    block: Block,
    taken: u64,
}

impl Source {
    /// The transactions of a reader.
    pub fn new(reader: SimulatedReader, block: Block) -> Source {
        Source { reader, block, taken: 0 }
    }

    /// Writes the next transaction, and gives its number from 0; `None` at the end.
    fn next(&mut self, body: &mut String) -> Option<u64> {
        self.block.clear();
        if !self.reader.read_one(&mut self.block) {
            return None;
        }
        body.clear();
        write_event(&self.block.batch, 0, false, body);
        self.taken += 1;
        Some(self.taken - 1)
    }
}

/// What is to be sent, and how.
#[derive(Debug, Clone)]
pub struct Plan {
    /// host:port.
    pub address: String,
    /// API key.
    pub key: Option<String>,
    /// Connections, a thread each.
    pub connections: usize,
    /// Transactions a second in all; without it each connection sends when the one before is answered.
    pub rate: Option<f64>,
    /// For how long.
    pub duration: Duration,
    /// At the beginning, not counted.
    pub warm_up: Duration,
}

/// What came of it.
pub struct Tally {
    /// Nanoseconds from the moment a transaction was due to its answer.
    pub latency: Histogram<u64>,
    /// Nanoseconds from that moment until it was sent.
    pub lateness: Histogram<u64>,
    /// Transactions that were answered with a decision, those of the warm-up included.
    pub decided: u64,
    /// The others.
    pub failed: u64,
    /// The first reason why one was not.
    pub first_failure: Option<String>,
}

impl Tally {
    fn new() -> Tally {
        let histogram =
            || Histogram::new_with_bounds(1_000, LATENCY_MAX_NS, 3).expect("the bounds are in order");
        Tally { latency: histogram(), lateness: histogram(), decided: 0, failed: 0, first_failure: None }
    }

    fn add(&mut self, other: &Tally) {
        self.latency.add(&other.latency).expect("all have the same bounds");
        self.lateness.add(&other.lateness).expect("all have the same bounds");
        self.decided += other.decided;
        self.failed += other.failed;
        self.first_failure = self.first_failure.take().or_else(|| other.first_failure.clone());
    }
}

/// Sends, and counts into `done` meanwhile.
///
/// # Errors
/// If a connection cannot be made.
pub fn send(plan: &Plan, source: Source, done: &AtomicU64) -> Result<Tally> {
    let source = Mutex::new(source);
    let started = Instant::now();
    let mut all = Tally::new();
    std::thread::scope(|scope| {
        let send = || Sender::new(plan, started)?.send(&source, done);
        let senders: Vec<_> = (0..plan.connections).map(|_| scope.spawn(send)).collect();
        for sender in senders {
            all.add(&sender.join().map_err(|_| anyhow!("a connection ended by a panic"))??);
        }
        Ok(all)
    })
}

/// One connection at work.
struct Sender<'a> {
    plan: &'a Plan,
    started: Instant,
    connection: Connection,
    tally: Tally,
}

impl Sender<'_> {
    fn new(plan: &Plan, started: Instant) -> Result<Sender<'_>> {
        Ok(Sender { plan, started, connection: connect(plan)?, tally: Tally::new() })
    }

    fn send(mut self, source: &Mutex<Source>, done: &AtomicU64) -> Result<Tally> {
        // By default the system may wake a thread 50 us after its time; where it cannot be asked for more, that is measured.
        rustix::thread::set_current_timer_slack(NonZeroU64::new(1)).ok();
        let mut body = String::new();
        loop {
            let Some(number) = lock(source).next(&mut body) else { return Ok(self.tally) };
            let due = self.plan.rate.map(|rate| self.started + Duration::from_secs_f64(number as f64 / rate));
            let due = due.unwrap_or_else(Instant::now);
            if due.duration_since(self.started) >= self.plan.duration {
                return Ok(self.tally);
            }
            sleep_until(due);
            self.send_one(&body, due);
            done.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Latency counts from when it was due: a server that stalls makes those that wait behind late as well, and a load that
    /// waited with it would not show that (Tene, "How NOT to measure latency").
    fn send_one(&mut self, body: &str, due: Instant) {
        let lateness = due.elapsed();
        let answer = self.post(body);
        let latency = due.elapsed();
        match answer {
            Ok(200) => self.tally.decided += 1,
            Ok(status) => return self.fail(format!("status {status} for {body}")),
            Err(error) => return self.fail(format!("{error:#}")),
        }
        if due.duration_since(self.started) >= self.plan.warm_up {
            self.tally.latency.saturating_record(latency.as_nanos() as u64);
            self.tally.lateness.saturating_record(lateness.as_nanos() as u64);
        }
    }

    fn post(&mut self, body: &str) -> Result<u16> {
        let mut answer = self.connection.post(body);
        for _ in 1..TRIES {
            if answer.is_ok() {
                break;
            }
            self.connection = connect(self.plan)?;
            answer = self.connection.post(body);
        }
        Ok(answer?)
    }

    fn fail(&mut self, why: String) {
        self.tally.failed += 1;
        self.tally.first_failure.get_or_insert(why);
    }
}

fn connect(plan: &Plan) -> Result<Connection> {
    Connection::open(&plan.address, "/v1/transactions", plan.key.as_deref())
        .with_context(|| format!("cannot connect to {}", plan.address))
}

fn sleep_until(due: Instant) {
    let left = due.saturating_duration_since(Instant::now());
    if !left.is_zero() {
        std::thread::sleep(left);
    }
}
