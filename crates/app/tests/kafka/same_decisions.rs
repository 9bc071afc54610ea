//! However the work is shared, the decisions are those of a replay.

use std::time::Duration;

use super::process::Setup;
use super::topics::Topics;
use super::transactions::{assert_same, decided, model, replayed, simulated};

const ROWS: usize = 20_000;

fn scored(setup: Setup) -> Setup {
    setup.with("REDFLAG_MODEL", model().display().to_string())
}

/// Half before the processes begin, half while they run: caught up with, and as it comes.
fn check(test: &str, setups: impl Fn(&Topics) -> Vec<Setup>) {
    let Some(topics) = Topics::new(test) else { return };
    let events = simulated(ROWS);
    topics.send(&events[..ROWS / 2]);
    let processes: Vec<_> = setups(&topics).into_iter().map(|setup| scored(setup).spawn()).collect();
    let services: Vec<_> = processes.into_iter().map(|process| process.wait_to_listen()).collect();
    topics.send(&events[ROWS / 2..]);
    topics.wait_until_decided();
    assert_same(&decided(&topics.decisions()), &replayed(&topics.folder, events));
    assert!(topics.read("dead_letter").is_empty());
    services.into_iter().for_each(|service| service.stop());
}

#[test]
fn of_one_process() {
    check("one", |topics| vec![topics.process("a")]);
}

#[test]
fn of_two_processes() {
    check("two", |topics| vec![topics.process("a"), topics.process("b")]);
}

#[test]
fn of_a_process_for_each_stage() {
    check("stages", |topics| {
        ["customer", "terminal"].map(|stage| topics.process(stage).with("REDFLAG_KAFKA_STAGES", stage)).into()
    });
}

/// The first half comes partition by partition to a process that has had nothing to read for a while; the delayed windows of
/// the second half show whether what came last was entered as what came first.
#[test]
fn though_partitions_come_one_after_another() {
    let Some(topics) = Topics::new("apart") else { return };
    let events = simulated(ROWS);
    let service = topics.start(&scored(topics.process("a")));
    std::thread::sleep(Duration::from_secs(3));
    topics.send_apart(&events[..ROWS / 2], Duration::from_millis(100));
    topics.wait_until_decided();
    topics.send_apart(&events[ROWS / 2..], Duration::ZERO);
    topics.wait_until_decided();
    assert_same(&decided(&topics.decisions()), &replayed(&topics.folder, events));
    service.stop();
}
