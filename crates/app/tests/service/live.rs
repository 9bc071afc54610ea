//! The live feed, seen by viewers of all manners.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::client::Client;
use super::events::{label, numbered};
use super::process::{Setup, folder};

/// A WebSocket that listens.
pub struct Viewer {
    stream: TcpStream,
}

impl Viewer {
    /// Connects, and reads nothing but the words of welcome.
    pub fn connect(address: SocketAddr) -> Viewer {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let hello = format!(
            "GET /v1/live HTTP/1.1\r\nhost: {address}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(hello.as_bytes()).unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
        assert!(head.starts_with("http/1.1 101"), "{head}");
        assert!(
            head.contains(&"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=".to_ascii_lowercase()),
            "RFC 6455's example: {head}"
        );
        Viewer { stream }
    }

    /// The next text message.
    pub fn next(&mut self) -> Value {
        let [first, second] = self.read::<2>();
        assert_eq!(first, 0x81, "one whole text message");
        let length = match second {
            126 => u64::from(u16::from_be_bytes(self.read())),
            127 => u64::from_be_bytes(self.read()),
            short => u64::from(short),
        };
        let mut text = vec![0; length as usize];
        self.stream.read_exact(&mut text).unwrap();
        serde_json::from_slice(&text).unwrap()
    }

    fn read<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.stream.read_exact(&mut bytes).unwrap();
        bytes
    }
}

fn ids(message: &Value) -> Vec<String> {
    let decisions = message["decisions"].as_array().unwrap();
    decisions.iter().map(|decision| decision["id"].as_str().unwrap().to_string()).collect()
}

#[test]
fn a_viewer_sees_first_what_is_and_then_what_happens() {
    let service = Setup::new(&folder("viewer").join("data")).start();
    let mut client = service.client();
    let before: Vec<Value> =
        (0..3).map(|number| client.post("/v1/transactions", numbered(number)).ok().json()).collect();
    let mut viewer = Viewer::connect(service.address);
    let snapshot = viewer.next();
    assert_eq!((&snapshot["kind"], &snapshot["skipped"]), (&"snapshot".into(), &0.into()));
    assert_eq!(ids(&snapshot), ["n2", "n1", "n0"]);
    assert_eq!(snapshot["decisions"][0], before[2]);
    assert_eq!(snapshot["stats"]["totals"]["decisions"], 3);
    client.post("/v1/labels", label("n0", true)).ok();
    let posted: Vec<String> = (3..200).map(|number| format!("n{number}")).collect();
    for number in 3..200 {
        client.post("/v1/transactions", numbered(number)).ok();
    }
    let (mut seen, mut skipped) = (Vec::new(), 0);
    while seen.len() + skipped < posted.len() {
        let update = viewer.next();
        assert_eq!(update["kind"], "update");
        assert!(ids(&update).len() <= 50);
        seen.extend(ids(&update));
        skipped += update["skipped"].as_u64().unwrap() as usize;
        assert!(
            update["stats"]["totals"]["decisions"].as_u64().unwrap() >= 3 + (seen.len() + skipped) as u64
        );
    }
    assert_eq!(seen.len() + skipped, posted.len(), "each decision is shown once or counted as skipped");
    let mut distinct = seen.clone();
    distinct.sort();
    distinct.dedup();
    assert_eq!(distinct.len(), seen.len());
    assert!(seen.contains(&"n199".to_string()) && seen.iter().all(|id| posted.contains(id)));
    service.stop();
}

/// Decisions that are posted, and in how long.
fn post_in_batches(client: &mut Client, from: usize, count: usize) -> Duration {
    let started = Instant::now();
    for first in (from..from + count).step_by(200) {
        let batch: Vec<String> = (first..first + 200).map(numbered).collect();
        let lines = client.post("/v1/transactions/batch", batch.join("\n")).ok().lines();
        assert!(lines.iter().all(|line| line["id"].is_string()));
    }
    started.elapsed()
}

/// What a process may grow by while it stores 20,000 more decisions: the windows, and pages of the database it keeps.
const GROWTH_MAX: u64 = 40 << 20;

/// Decisions after which the database's cache of pages (64 MiB) is full: it grows by itself until then.
const CACHE_FULL: usize = 160_000;

#[test]
fn viewers_that_never_read_neither_slow_nor_swell_it() {
    const POSTED: usize = 20_000;
    let service = Setup::new(&folder("deaf_viewers").join("data")).start();
    let mut client = service.client();
    post_in_batches(&mut client, 0, CACHE_FULL);
    let alone = post_in_batches(&mut client, CACHE_FULL, POSTED);
    let deaf: Vec<Viewer> = (0..20).map(|_| Viewer::connect(service.address)).collect();
    let watched = post_in_batches(&mut client, CACHE_FULL + POSTED, POSTED);
    println!("20,000 decisions in {alone:?} alone, in {watched:?} with 20 viewers that do not read");
    assert!(watched < alone * 3 + Duration::from_secs(1), "{watched:?} with viewers, {alone:?} without");
    // Each viewer has buffers of its own, which are full by now; nothing may pile up behind them.
    let before = service.memory_bytes();
    post_in_batches(&mut client, CACHE_FULL + 2 * POSTED, POSTED);
    if let (Some(before), Some(after)) = (before, service.memory_bytes()) {
        println!("memory before {} KiB, after {} KiB", before >> 10, after >> 10);
        assert!(after < before + GROWTH_MAX, "memory grew from {before} to {after} bytes");
    }
    assert_eq!(client.get("/v1/stats").json()["totals"]["decisions"], CACHE_FULL + 3 * POSTED);
    drop(deaf);
    service.stop();
}
