//! What happened, counted by when it was decided: history and the live stream on one axis.
//!
//! The counts are a fold over the log, read back from the store in brief: they hold whoever wrote it, and after a start they
//! are made again. Up to the position they have come to, every one of them is what SQL over the tables says.

mod cell;
mod cube;
mod fields;

use std::time::{Duration, Instant};

use store::BriefEntry;

use super::api::{Api, Doors, read};
use super::pipeline::lock;

pub use cell::Counts;
pub use cube::{Cube, Slice, Step};

/// Entries of the log that are read at a time.
const PAGE: usize = 5_000;

/// Time between two looks at a log that has nothing new.
const IDLE: Duration = Duration::from_millis(250);

/// Below this rate the log is followed even if nobody looks: it costs nothing that anybody would miss.
const QUIET_RATE: f64 = 1_000.0;

/// For so long after it was asked for, the log is followed at any rate.
const ASKED_FOR: Duration = Duration::from_secs(60);

/// Where several processes write, a position that is missing may be on its way: a transaction that is given up is so after
/// ten seconds.
const GAP_PATIENCE: Duration = Duration::from_secs(15);

/// Follows the log as long as the service runs.
pub async fn follow(api: Api) {
    let mut gap: Gap = None;
    loop {
        if !is_wanted(&api) || step(&api, &mut gap).await == 0 {
            tokio::time::sleep(IDLE).await;
        }
    }
}

fn is_wanted(api: &Doors) -> bool {
    if api.database.is_none() {
        return false;
    }
    let asked = lock(&api.activity).asked.is_some_and(|asked| asked.elapsed() < ASKED_FOR);
    let now_s = super::pipeline::now_us() / 1_000_000;
    asked || api.frames.receiver_count() > 0 || lock(&api.shared.stats).rate_per_second(now_s) < QUIET_RATE
}

/// Counts what is new; how many entries that were.
async fn step(api: &Api, gap: &mut Gap) -> usize {
    let after = lock(&api.activity).as_of();
    let page = read(api, move |store| Ok((store.last_position()?, store.brief(after, PAGE)?))).await;
    let Some((last, mut entries)) = page else { return 0 };
    if api.stream.is_some() {
        entries.truncate(settled(entries.iter().map(BriefEntry::sequence), after, gap));
    }
    let mut cube = lock(&api.activity);
    cube.see(last);
    entries.iter().for_each(|entry| cube.enter(entry));
    entries.len()
}

/// A position that is missing, and since when it is waited for.
pub type Gap = Option<(i64, Instant)>;

/// How many of these positions stand without a gap that may still be filled.
pub fn settled(positions: impl ExactSizeIterator<Item = i64>, after: i64, gap: &mut Gap) -> usize {
    let (count, mut expected) = (positions.len(), after + 1);
    for (at, position) in positions.enumerate() {
        if position != expected {
            let since =
                gap.filter(|(known, _)| *known == expected).map_or_else(Instant::now, |(_, since)| since);
            if since.elapsed() < GAP_PATIENCE {
                *gap = Some((expected, since));
                return at;
            }
        }
        expected = position + 1;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_is_waited_for_and_then_passed() {
        let page = [5, 6, 8, 9];
        let mut gap = None;
        assert_eq!(settled(page.into_iter(), 4, &mut gap), 2);
        assert_eq!(gap.map(|(position, _)| position), Some(7));
        assert_eq!(settled([8, 9].into_iter(), 6, &mut gap), 0);
        gap = gap.map(|(position, since)| (position, since - GAP_PATIENCE));
        assert_eq!(settled([8, 9].into_iter(), 6, &mut gap), 2);
        assert_eq!(settled(page.into_iter(), 2, &mut gap), 0, "another gap is waited for anew");
    }
}
