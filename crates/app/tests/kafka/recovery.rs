//! Killed or stopped in the middle, it goes on where it was.

use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

use super::process::{Setup, wait_until};
use super::topics::Topics;
use super::transactions::{assert_same, decided, model, replayed, simulated};

const ROWS: usize = 20_000;

fn process(topics: &Topics) -> Setup {
    topics.process("a").with("REDFLAG_MODEL", model().display().to_string())
}

/// Killed twice between two commits, with all that is to be decided there from the beginning.
#[test]
fn killed_it_decides_everything_once() {
    let Some(topics) = Topics::new("killed") else { return };
    let (events, setup) = (simulated(ROWS), process(&topics));
    for part in 0..3 {
        topics.send(&events[part * ROWS / 4..(part + 1) * ROWS / 4]);
        let before = topics.committed();
        let process = setup.spawn();
        wait_until("something is committed", || topics.committed() > before);
        process.kill();
    }
    let service = setup.spawn().wait_to_listen();
    topics.send(&events[3 * ROWS / 4..]);
    topics.wait_until_decided();
    assert_same(&decided(&topics.decisions()), &replayed(&topics.folder, events));
    service.stop();
}

/// Stopped cleanly it leaves snapshots of what it has committed, and the next start needs nothing else.
#[test]
fn stopped_it_goes_on_from_its_snapshots() {
    let Some(topics) = Topics::new("stopped") else { return };
    goes_on_from_snapshots(&topics, &process(&topics));
    let snapshots = topics.folder.join("snapshots").join(&topics.group);
    assert_eq!(count_files(&snapshots.join(topics.name("transactions"))), 8, "two of each partition");
}

/// The same with nothing on its disk: on another machine the snapshots in S3 are as good.
#[test]
fn stopped_it_goes_on_from_snapshots_in_s3() {
    let Ok(bucket) = std::env::var("S3_BUCKET") else {
        return println!("NOT RUN: snapshots in S3: S3_BUCKET is not set (scripts/s3 start)");
    };
    let Some(topics) = Topics::new("stopped-s3") else { return };
    let setup = process(&topics).with("REDFLAG_KAFKA_SNAPSHOTS", format!("{bucket}/snapshots"));
    goes_on_from_snapshots(&topics, &setup);
    assert!(!topics.folder.join("snapshots").exists());
}

fn goes_on_from_snapshots(topics: &Topics, setup: &Setup) {
    let events = simulated(ROWS);
    let service = topics.start(setup);
    topics.send(&events[..ROWS / 2]);
    topics.wait_until_decided();
    service.stop();
    topics.forget_committed();
    let service = topics.start(setup);
    topics.send(&events[ROWS / 4..]);
    topics.wait_until_decided();
    service.stop();
    assert_same(&decided(&topics.decisions()), &replayed(&topics.folder, events));
}

fn count_files(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries
        .map(|entry| entry.unwrap().path())
        .map(|path| if path.is_dir() { count_files(&path) } else { 1 })
        .sum()
}

/// Where everything is started at once, Kafka is the last to be there.
#[test]
fn started_before_kafka_it_waits() {
    let Some(topics) = Topics::new("early") else { return };
    let door = Door::shut(&std::env::var("KAFKA_BROKERS").unwrap());
    let setup = process(&topics).with("REDFLAG_KAFKA_BROKERS", &door.address);
    let starting = setup.spawn();
    std::thread::sleep(Duration::from_secs(3));
    let events = simulated(100);
    topics.send(events);
    door.open();
    let service = starting.wait_to_listen();
    topics.wait_until_decided();
    assert_same(&decided(&topics.decisions()), &replayed(&topics.folder, events));
    service.stop();
}

/// An address at which nobody listens until it is opened, and Kafka from then on.
struct Door {
    address: String,
    kafka: String,
}

impl Door {
    fn shut(kafka: &str) -> Door {
        // The port is free again when this returns, and nobody else takes it so soon.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        Door { address, kafka: kafka.split(',').next().unwrap().to_string() }
    }

    fn open(self) {
        let listener = TcpListener::bind(&self.address).unwrap();
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (client, broker) = (client.unwrap(), TcpStream::connect(&self.kafka).unwrap());
                pass_on(&client, &broker);
                pass_on(&broker, &client);
            }
        });
    }
}

fn pass_on(from: &TcpStream, to: &TcpStream) {
    let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
    std::thread::spawn(move || {
        // Either side may hang up.
        drop(std::io::copy(&mut from, &mut to));
        drop(to.shutdown(Shutdown::Write));
    });
}
