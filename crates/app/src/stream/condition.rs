//! What is shown of the stream: on the health page, and by `/readyz`.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::service::pipeline::lock;

/// The loop is worth a word when it has not gone round for so long.
const STILL: Duration = Duration::from_secs(15);

/// How the stream is, shared with the doors.
#[derive(Debug)]
pub struct Condition {
    state: Mutex<State>,
    /// When the loop last went round.
    went_round: Mutex<Instant>,
}

impl Default for Condition {
    fn default() -> Self {
        Condition { state: Mutex::default(), went_round: Mutex::new(Instant::now()) }
    }
}

#[derive(Debug, Default, Clone)]
struct State {
    /// Whether the group has given this process its partitions.
    joined: bool,
    /// What nothing goes on without, while it cannot be had.
    waiting: Option<String>,
    /// By topic and partition.
    partitions: BTreeMap<(String, i32), Partition>,
    fused: bool,
}

/// How one partition is.
#[derive(Debug, Clone)]
pub enum Partition {
    /// Its state is being restored.
    Restoring(Arc<Restoring>),
    /// It is decided on as it comes.
    Live,
    /// It is ahead of other partitions and waits for them.
    Held,
}

/// How far a restore is, in offsets.
#[derive(Debug, Default)]
pub struct Restoring {
    /// Where it began.
    pub from: AtomicI64,
    /// Where it is.
    pub at: AtomicI64,
    /// Where it ends; 0 until that is known.
    pub to: AtomicI64,
}

impl Restoring {
    /// Messages entered, and messages there are.
    pub fn done_of(&self) -> (i64, i64) {
        let from = self.from.load(Ordering::Relaxed);
        let at = self.at.load(Ordering::Relaxed);
        let to = self.to.load(Ordering::Relaxed);
        ((at - from).max(0), (to - from).max(0))
    }
}

impl Condition {
    /// The loop has gone round once more.
    pub fn go_round(&self) {
        *lock(&self.went_round) = Instant::now();
    }

    /// For how long the loop has not gone round.
    pub fn still_for(&self) -> Duration {
        lock(&self.went_round).elapsed()
    }

    /// The group has given this process its partitions, which may be none.
    pub fn join(&self) {
        lock(&self.state).joined = true;
    }

    /// Sets or clears what nothing goes on without.
    pub fn wait_for(&self, what: Option<String>) {
        let mut state = lock(&self.state);
        if state.waiting != what {
            match &what {
                Some(what) => tracing::warn!("paused: {what}"),
                None => tracing::info!("going on"),
            }
            state.waiting = what;
        }
    }

    /// Whether the stages are fused.
    pub fn set_fused(&self, fused: bool) {
        lock(&self.state).fused = fused;
    }

    /// Sets how a partition is; `None` when it was given away.
    pub fn set(&self, topic: &str, partition: i32, how: Option<Partition>) {
        let mut state = lock(&self.state);
        let key = (topic.to_string(), partition);
        match how {
            Some(how) => drop(state.partitions.insert(key, how)),
            None => drop(state.partitions.remove(&key)),
        }
    }

    /// Partitions that this process has.
    pub fn partitions(&self) -> usize {
        lock(&self.state).partitions.len()
    }

    /// What is wrong, if anything is, and a sentence about the rest.
    pub fn tell(&self) -> (Option<String>, String) {
        let state = lock(&self.state).clone();
        let restoring: Vec<String> =
            state.partitions.iter().filter_map(|(place, how)| tell_restoring(place, how)).collect();
        let held = state.partitions.values().filter(|how| matches!(how, Partition::Held)).count();
        let still_for = self.still_for();
        let problem = if still_for >= STILL {
            Some(format!("the stream has stood still for {} s", still_for.as_secs()))
        } else if !state.joined {
            Some("waiting for the consumer group to give this process its partitions".to_string())
        } else if state.waiting.is_some() {
            state.waiting
        } else if !restoring.is_empty() {
            Some(format!("restoring {}", restoring.join(", ")))
        } else if held > 0 {
            Some(format!("{held} partitions wait for slower ones"))
        } else {
            None
        };
        let chain = if state.fused { ", stages fused" } else { "" };
        (problem, format!("{} partitions live{chain}", state.partitions.len()))
    }
}

fn tell_restoring((topic, partition): &(String, i32), how: &Partition) -> Option<String> {
    let Partition::Restoring(restoring) = how else { return None };
    let (done, all) = restoring.done_of();
    Some(format!("{topic}/{partition} ({done} of {all} messages)"))
}
