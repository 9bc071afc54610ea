//! Who starts the next run, where several processes share a registry.
//!
//! `PLACE/DETECTOR/retraining/NUMBER.json` is a run that somebody has started, and `NUMBER.end.json` says that it is over. A number
//! is an object that is created where there was none, as promotions are: of two processes whose schedule says the same instant
//! one finds it taken, sees that this instant has its run, and leaves it at that.

use anyhow::Result;
use engine::time::{DAY_US, parse_instant};
use serde::{Deserialize, Serialize};

use crate::registry::{Registry, now};

/// A run without an end is taken for abandoned after so long, and stands in nobody's way any more.
const ABANDONED_US: i64 = 60 * DAY_US;

/// Somebody has started a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// Counts up from 1 for each detector.
    pub number: u64,
    /// The instant of the schedule that it is for; none if something else started it.
    pub scheduled_for: Option<String>,
    /// What started it.
    pub trigger: String,
    /// By which process: machine, process id, data folder.
    pub owner: String,
    /// When.
    pub at: String,
}

/// Why no run is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// The instant of the schedule has its run.
    Taken,
    /// Another run is under way.
    UnderWay(Box<Claim>),
}

/// Takes the next number, if no run is under way and none was started for this instant of the schedule.
///
/// # Errors
/// If the registry cannot be used.
pub fn claim(
    registry: &Registry,
    detector: &str,
    scheduled_for: Option<i64>,
    trigger: &str,
    owner: &str,
) -> Result<Result<Claim, Refused>> {
    loop {
        let newest = registry.newest_run(detector)?;
        if let Some(newest) = &newest {
            let done_until = newest.scheduled_for.as_deref().and_then(parse_instant);
            if scheduled_for.is_some() && done_until >= scheduled_for {
                return Ok(Err(Refused::Taken));
            }
            if !registry.has_run_ended(detector, newest.number)? && !is_abandoned(newest) {
                return Ok(Err(Refused::UnderWay(Box::new(newest.clone()))));
            }
        }
        let claim = Claim {
            number: newest.as_ref().map_or(1, |newest| newest.number + 1),
            // A run in between does not make the schedule forget what it has started.
            scheduled_for: scheduled_for
                .map(engine::time::format_instant)
                .or(newest.and_then(|newest| newest.scheduled_for)),
            trigger: trigger.to_string(),
            owner: owner.to_string(),
            at: now(),
        };
        if registry.claim_run(detector, &claim)? {
            return Ok(Ok(claim));
        }
    }
}

fn is_abandoned(claim: &Claim) -> bool {
    let age = parse_instant(&claim.at).zip(parse_instant(&now())).map(|(at, now)| now - at);
    age.is_none_or(|age| age > ABANDONED_US)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registry(test: &str) -> (Registry, std::path::PathBuf) {
        let folder = std::env::temp_dir().join(format!("redflag-claim-{test}-{}", std::process::id()));
        (Registry::open(folder.to_str().unwrap()).unwrap(), folder)
    }

    #[test]
    fn of_several_processes_one_starts_the_run_of_an_instant() {
        let (_, folder) = registry("several");
        let place = folder.to_str().unwrap();
        let ask = |at: i64| {
            // Each with a registry of its own, as processes have.
            let registry = Registry::open(place).unwrap();
            claim(&registry, "card", Some(at), "schedule", "a test").unwrap()
        };
        let started = |at: i64| {
            let found = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| ask(at))).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
            });
            found.into_iter().filter_map(Result::ok).map(|claim| claim.number).collect::<Vec<u64>>()
        };
        let (monday, next) = (DAY_US, 8 * DAY_US);
        assert_eq!(started(monday), [1]);
        assert_eq!(ask(monday), Err(Refused::Taken));
        assert!(matches!(ask(next), Err(Refused::UnderWay(claim)) if claim.number == 1));
        Registry::open(place).unwrap().end_run("card", 1, "promoted").unwrap();
        assert_eq!(started(next), [2]);
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_run_in_between_does_not_make_the_schedule_start_twice() {
        let (registry, folder) = registry("between");
        let end = |number| registry.end_run("card", number, "rejected").unwrap();
        assert_eq!(claim(&registry, "card", Some(DAY_US), "schedule", "a").unwrap().unwrap().number, 1);
        end(1);
        assert_eq!(claim(&registry, "card", None, "maria", "a").unwrap().unwrap().number, 2);
        end(2);
        assert_eq!(claim(&registry, "card", Some(DAY_US), "schedule", "b").unwrap(), Err(Refused::Taken));
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
