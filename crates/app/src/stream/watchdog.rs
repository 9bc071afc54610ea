//! Begins the process anew when the stream stands still although Kafka answers.
//!
//! Some calls into librdkafka have no end of their own: after a broker's restart it may wait for a coordinator that it has
//! itself dismissed (<https://github.com/confluentinc/librdkafka/issues/5456>,
//! <https://github.com/confluentinc/librdkafka/issues/5511>). Nothing inside of the process can end such a call, and a consumer that is merely left behind would keep its partitions. So the process does what
//! a crash does, and what is tested by many of them: it starts over, in place, from what was committed.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::client;
use super::condition::Condition;
use super::settings::KafkaSettings;

/// How often it is looked.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// The loop is expected to go round at least so often.
const STILL: Duration = Duration::from_secs(10);

/// So many looks in a row must find it still and Kafka answering: what waits for a broker that was away has had time to
/// notice that it is back.
const LOOKS: u32 = 4;

/// How long a server may take to be there at the start, and how often it is tried.
const START_PATIENCE: Duration = Duration::from_secs(120);
const START_LOOK_EVERY: Duration = Duration::from_secs(2);

/// Tells the process that it was begun anew.
const BEGUN_ANEW: &str = "REDFLAG_BEGUN_ANEW";

/// Watches a stream until `stop` is set.
///
/// # Errors
/// If no thread can be had.
pub fn start(settings: Arc<KafkaSettings>, condition: Arc<Condition>, stop: Arc<AtomicBool>) -> Result<()> {
    let body = move || {
        let mut looks = Looks::default();
        while !stop.load(Ordering::Relaxed) {
            std::thread::sleep(LOOK_EVERY);
            let is_over = looks.count(condition.still_for() >= STILL, || client::reach(&settings).is_ok());
            if is_over && !stop.load(Ordering::Relaxed) {
                tracing::error!(
                    still_s = condition.still_for().as_secs(),
                    "a call into Kafka's client does not return; the process begins anew"
                );
                begin_anew();
            }
        }
    };
    std::thread::Builder::new().name("watch".into()).spawn(body).context("cannot watch the stream")?;
    Ok(())
}

/// Looks in a row that have found the stream still for no reason.
#[derive(Default)]
struct Looks(u32);

impl Looks {
    /// Counts one more look; whether it is enough.
    fn count(&mut self, is_still: bool, answers: impl FnOnce() -> bool) -> bool {
        self.0 = if is_still && answers() { self.0 + 1 } else { 0 };
        self.0 >= LOOKS
    }
}

/// Puts a fresh process in the place of this one: same number, arguments, environment and output.
fn begin_anew() {
    let mut arguments = std::env::args_os();
    let own_name = arguments.next().unwrap_or_default();
    // The file may have been replaced meanwhile, as an update does: then the one that runs goes on.
    let program = std::env::current_exe().ok().filter(|path| path.exists());
    let program = program.as_deref().unwrap_or(Path::new("/proc/self/exe"));
    let error = Command::new(program).arg0(own_name).args(arguments).env(BEGUN_ANEW, "1").exec();
    tracing::error!(%error, "it cannot; whoever started it must do so again");
    std::process::exit(1);
}

/// Tries at the start until a server answers: it may be starting as well. For two minutes; without an end if the process was
/// put in the place of one that stood still, because nobody else would start it again.
///
/// # Errors
/// The last one.
pub fn await_server<T>(what: &str, attempt: impl Fn() -> Result<T>) -> Result<T> {
    let started = Instant::now();
    loop {
        match attempt() {
            Err(error) if started.elapsed() < START_PATIENCE || std::env::var_os(BEGUN_ANEW).is_some() => {
                tracing::warn!(error = %format!("{error:#}"), "waiting for {what}");
                std::thread::sleep(START_LOOK_EVERY);
            }
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_stream_that_stays_still_while_kafka_answers_is_given_up() {
        let mut looks = Looks::default();
        let mut found = |is_still, answers| looks.count(is_still, || answers);
        assert!((1..LOOKS).all(|_| !found(true, true)));
        assert!(!found(true, false), "Kafka was away: it may be noticed only now that it is back");
        assert!((1..LOOKS).all(|_| !found(true, true)));
        assert!(!found(false, true), "it went round");
        assert!((1..LOOKS).all(|_| !found(true, true)));
        assert!(found(true, true));
    }
}
