//! Jobs that send made transactions down the live stream.
//!
//! A job is one task. A thread makes transactions a chunk ahead; the task sends them by the door that everybody's transactions
//! take, chunk by chunk, each after the one before was answered: so a job waits when the pipeline is busy, and others get their
//! turn between two chunks. With a rate, row n is due at n / rate after the start, however long answers take.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Result, bail};
use engine::detector::Schema;
use engine::{EventBatch, Label};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::Instant;

use super::Config;
use super::destination::{Destination, Fraud};
use super::events::Events;
use super::shelf::Shelf;
use super::wanted::{Target, Wanted};
use crate::service::pipeline::{lock, now_us};
use crate::service::wire::{self, Generation, GenerationState};

/// Rows that are sent together, at most.
const CHUNK_ROWS: usize = 64;

/// With a rate, a chunk is what is due in this time.
const CHUNK_S: f64 = 0.05;

/// Chunks that are made ahead.
const CHUNKS_AHEAD: usize = 2;

/// Before a service that refuses for the moment is asked again.
const RETRY: Duration = Duration::from_millis(500);

/// Jobs that are remembered after their end.
const REMEMBERED: usize = 100;

/// Jobs that have ended are shown to viewers for so long.
const SHOWN_US: i64 = 30_000_000;

/// All jobs of this process, and how many generations there may be at once.
pub struct Generations {
    /// What may be asked for.
    pub config: Config,
    /// Where files are written before they are sent.
    pub folder: PathBuf,
    /// What is known of the generators.
    pub shelf: Shelf,
    /// The right to make a report, which one at a time has.
    pub reporting: Arc<Semaphore>,
    permits: Arc<Semaphore>,
    /// Oldest first.
    jobs: Mutex<VecDeque<Arc<Job>>>,
}

/// One job.
pub struct Job {
    id: String,
    wanted: Wanted,
    mark: String,
    start_us: i64,
    started_us: i64,
    progress: Mutex<Progress>,
    /// Rung when it is to stop.
    stop: Notify,
    /// Tells whatever makes the transactions that it is.
    is_unwanted: Arc<AtomicBool>,
}

struct Progress {
    state: GenerationState,
    sent: u64,
    frauds: u64,
    rejected: u64,
    labels: u64,
    ended_us: Option<i64>,
    detail: Option<String>,
}

impl Generations {
    /// None yet. Files of an earlier run that were not sent to their end are removed from the data folder.
    pub fn new(config: Config, data_dir: &Path) -> Generations {
        let folder = data_dir.join("generated");
        // There is none, as a rule; and one that stays costs room, no more.
        drop(std::fs::remove_dir_all(&folder));
        let permits = Arc::new(Semaphore::new(config.at_once));
        let (shelf, reporting) = (Shelf::default(), Arc::new(Semaphore::new(1)));
        Generations { config, folder, shelf, reporting, permits, jobs: Mutex::new(VecDeque::new()) }
    }

    /// The right to make something now; `None` if enough are at it already.
    pub fn permit(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.permits).try_acquire_owned().ok()
    }

    /// All jobs that are remembered, newest first.
    pub fn list(&self) -> Vec<Generation> {
        lock(&self.jobs).iter().rev().map(|job| job.tell()).collect()
    }

    /// Those that run or have ended a moment ago, newest first.
    pub fn shown(&self) -> Vec<Generation> {
        let since_us = now_us() - SHOWN_US;
        let mut jobs = self.list();
        jobs.retain(|job| job.ended_at.is_none_or(|ended| ended.0 >= since_us));
        jobs
    }

    /// The job of this id.
    pub fn find(&self, id: &str) -> Option<Arc<Job>> {
        lock(&self.jobs).iter().find(|job| job.id == id).cloned()
    }

    /// Starts a job that was made ready; `permit` is given back when it ends.
    pub fn start(
        &self,
        job: Job,
        events: Events,
        destination: Destination,
        permit: OwnedSemaphorePermit,
    ) -> Arc<Job> {
        let job = Arc::new(job);
        self.remember(Arc::clone(&job));
        let running = Arc::clone(&job);
        tokio::spawn(async move {
            let sent = running.send(events, &destination).await;
            running.end(sent);
            drop(permit);
        });
        job
    }

    fn remember(&self, job: Arc<Job>) {
        let mut jobs = lock(&self.jobs);
        jobs.push_back(job);
        let mut too_many = jobs.len().saturating_sub(REMEMBERED);
        jobs.retain(|job| {
            let goes = too_many > 0 && job.has_ended();
            too_many -= usize::from(goes);
            !goes
        });
    }
}

impl Job {
    /// A job that sends what is marked with `mark`, from `start_us` on.
    pub fn new(id: String, wanted: Wanted, start_us: i64, mark: String, is_unwanted: Arc<AtomicBool>) -> Job {
        let progress = Progress {
            state: GenerationState::Running,
            sent: 0,
            frauds: 0,
            rejected: 0,
            labels: 0,
            ended_us: None,
            detail: None,
        };
        let stop = Notify::new();
        let progress = Mutex::new(progress);
        Job { id, wanted, mark, start_us, started_us: now_us(), progress, stop, is_unwanted }
    }

    /// Stops it; whatever was sent stays, and its frauds are still labelled. A job that has ended is left as it is.
    pub fn cancel(&self) {
        let mut progress = lock(&self.progress);
        if progress.state == GenerationState::Running {
            progress.state = GenerationState::Cancelled;
            progress.ended_us = Some(now_us());
            self.is_unwanted.store(true, Ordering::Relaxed);
            self.stop.notify_one();
        }
    }

    /// How it stands.
    pub fn tell(&self) -> Generation {
        let progress = lock(&self.progress);
        Generation {
            id: self.id.clone(),
            state: progress.state,
            source: self.wanted.maker.told(),
            synthetic: self.mark.clone(),
            seed: self.wanted.seed,
            start: wire::Instant(self.start_us),
            fraud_share: self.wanted.fraud_share,
            rate: match self.wanted.to {
                Target::Stream { rate } => rate,
                _ => None,
            },
            rows: self.wanted.rows,
            done: progress.sent,
            frauds: progress.frauds,
            rejected: progress.rejected,
            labels: progress.labels,
            started_at: wire::Instant(self.started_us),
            ended_at: progress.ended_us.map(wire::Instant),
            detail: progress.detail.clone(),
            links: wire::GenerationLinks::of(&self.id, &self.mark),
        }
    }

    fn has_ended(&self) -> bool {
        lock(&self.progress).state != GenerationState::Running
    }

    fn end(&self, sent: Result<()>) {
        let mut progress = lock(&self.progress);
        if progress.state != GenerationState::Running {
            return;
        }
        progress.ended_us = Some(now_us());
        progress.state = match sent {
            Ok(()) => GenerationState::Done,
            Err(error) => {
                progress.detail = Some(format!("{error:#}"));
                GenerationState::Failed
            }
        };
    }

    /// Sends everything, unless it is told to stop. However it ends, frauds that were sent are labelled: whoever learns from
    /// the store would take them for genuine.
    async fn send(&self, events: Events, destination: &Destination) -> Result<()> {
        let mut due = VecDeque::new();
        let sent = self.send_transactions(events, destination, &mut due).await;
        self.send_labels(&mut due, i64::MAX, destination).await?;
        destination.finish().await?;
        sent
    }

    /// Sends transactions, and labels of frauds as they become known; what is not known at the end stays in `due`.
    async fn send_transactions(
        &self,
        events: Events,
        destination: &Destination,
        due: &mut VecDeque<Fraud>,
    ) -> Result<()> {
        let mut chunks = made_ahead(events, destination.schema(), self.chunk_rows());
        let limit_us = self.start_us.saturating_add(destination.schema().max_time_jump_us);
        let began = Instant::now();
        while let Some(batch) = chunks.recv().await {
            let batch = batch?;
            let newest_us = batch.time_us(batch.len() - 1);
            if newest_us > limit_us {
                bail!("the transactions would run further ahead than max_time_jump allows: ask for fewer");
            }
            if !self.wait_for_turn(began).await || !self.send_batch(&batch, destination).await? {
                return Ok(());
            }
            due.extend(destination.frauds(&batch));
            self.send_labels(due, newest_us, destination).await?;
        }
        Ok(())
    }

    fn chunk_rows(&self) -> usize {
        match self.wanted.to {
            Target::Stream { rate: Some(rate) } => ((rate * CHUNK_S) as usize).clamp(1, CHUNK_ROWS),
            _ => CHUNK_ROWS,
        }
    }

    /// Waits until the next chunk is due; false if the job is to stop.
    async fn wait_for_turn(&self, began: Instant) -> bool {
        let Target::Stream { rate: Some(rate) } = self.wanted.to else { return !self.has_ended() };
        let sent = lock(&self.progress).sent;
        self.pause_until(began + Duration::from_secs_f64(sent as f64 / rate)).await
    }

    /// False if the job is to stop.
    async fn pause_until(&self, instant: Instant) -> bool {
        tokio::select! {
            () = self.stop.notified() => {}
            () = tokio::time::sleep_until(instant) => {}
        }
        !self.has_ended()
    }

    /// Sends a batch until it is taken; false if the job is to stop first.
    async fn send_batch(&self, batch: &EventBatch, destination: &Destination) -> Result<bool> {
        let rejections = loop {
            match destination.transactions(batch).await? {
                Some(rejections) => break rejections,
                None if !self.pause_until(Instant::now() + RETRY).await => return Ok(false),
                None => {}
            }
        };
        let mut progress = lock(&self.progress);
        progress.sent += batch.len() as u64;
        progress.frauds += (0..batch.len()).filter(|row| batch.label(*row) == Label::Fraud).count() as u64;
        progress.rejected += rejections.len() as u64;
        if progress.detail.is_none() {
            progress.detail = rejections.into_iter().next();
        }
        Ok(true)
    }

    /// Says of the frauds that are due by `now_us` that they are frauds, also where the job is to stop.
    async fn send_labels(
        &self,
        due: &mut VecDeque<Fraud>,
        now_us: i64,
        destination: &Destination,
    ) -> Result<()> {
        while let Some(fraud) = due.pop_front_if(|fraud| fraud.known_us <= now_us) {
            while !destination.label(&fraud).await? {
                tokio::time::sleep(RETRY).await;
            }
            lock(&self.progress).labels += 1;
        }
        Ok(())
    }
}

/// Makes transactions on a thread of their own, a little ahead of whoever takes them, and ends when nobody does.
fn made_ahead(mut events: Events, schema: &Arc<Schema>, rows: usize) -> mpsc::Receiver<Result<EventBatch>> {
    let (give, take) = mpsc::channel(CHUNKS_AHEAD);
    let schema = Arc::clone(schema);
    tokio::task::spawn_blocking(move || {
        loop {
            let mut batch = EventBatch::new(Arc::clone(&schema));
            let mut made = Ok(true);
            while batch.len() < rows && made.as_ref().is_ok_and(|more| *more) {
                made = events.next(&mut batch);
            }
            let ends = !made.as_ref().is_ok_and(|more| *more);
            if !batch.is_empty() && give.blocking_send(Ok(batch)).is_err() {
                return;
            }
            if let Err(error) = made {
                // Whoever took them may have gone meanwhile.
                drop(give.blocking_send(Err(error)));
            }
            if ends {
                return;
            }
        }
    });
    take
}
