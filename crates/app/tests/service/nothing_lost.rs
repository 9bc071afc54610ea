//! Killed at any point, the service neither loses nor repeats a decision, and decides as if it had never been.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;
use store::{Filter, LogEntry, Sqlite, Store, StoredDecision};

use super::client::{Answer, Client};
use super::dice::Dice;
use super::events::{Simulated, label, simulated};
use super::process::{Setup, folder, succeed, wait_until};

const EVENTS: usize = 20_000;
const CUSTOMERS: usize = 300;
const KILLS: usize = 50;
const CALLERS: usize = 4;

/// Transactions of one caller that wait, so that no caller's customers run weeks ahead of the others'.
const WAITING: usize = 32;

/// The service as the callers see it: an address that changes, and how much has been answered.
struct Door {
    address: Mutex<SocketAddr>,
    answered: AtomicUsize,
}

/// What a caller has been told with 200.
#[derive(Default)]
struct Told {
    decisions: HashMap<String, Vec<u8>>,
    labels: HashMap<String, Value>,
}

#[test]
fn killed_fifty_times_under_load_it_loses_nothing_and_repeats_nothing() {
    let mut dice = Dice::announced("nothing_lost");
    let folder = folder("nothing_lost");
    let stream = simulated(&folder, EVENTS, CUSTOMERS, dice.next() % 1_000);
    succeed(&folder, "train --detector card-handbook --in stream.jsonl --trees 25 --out card.model");
    let model = folder.join("card.model");
    let setup = |name: &str| {
        let setup = Setup::new(&folder.join(name)).with("REDFLAG_MODEL", model.to_str().unwrap());
        setup.with("REDFLAG_SNAPSHOT_EVERY", "300")
    };
    let disturbed = setup("disturbed");
    let told = stream_under_kills(&disturbed, &stream, &mut dice);

    let service = disturbed.start();
    let mut client = service.client();
    let stats = client.get("/v1/stats").json();
    assert_eq!(stats["totals"]["decisions"], EVENTS);
    assert_eq!(stats["totals"]["labels"], told.labels.len());
    assert_stored_as_told(&mut client, &told);
    service.stop();

    let stored = all_decisions(&disturbed);
    assert_order_of_customers(&stream, &stored);
    let undisturbed = setup("undisturbed");
    replay_log(&disturbed, &undisturbed);
    assert_same_decisions(&stored, &all_decisions(&undisturbed));
    for _ in 0..4 {
        let id = &dice.pick(&stored).id;
        let shown = format!("decision show {id} --replay --data-dir disturbed --model card.model --json");
        let shown: Value = serde_json::from_str(&succeed(&folder, &shown)).unwrap();
        assert_eq!(shown["replay"]["identical"], true, "{shown}");
    }
}

/// Streams from several callers while the service is killed again and again; ends with a last kill.
fn stream_under_kills(setup: &Setup, stream: &[Simulated], dice: &mut Dice) -> Told {
    let mut service = setup.start();
    let door = Door { address: Mutex::new(service.address), answered: AtomicUsize::new(0) };
    let mut points: Vec<usize> = (0..KILLS).map(|_| dice.below(EVENTS)).collect();
    points.sort_unstable();
    std::thread::scope(|scope| {
        let (queues, callers): (Vec<_>, Vec<_>) = (0..CALLERS)
            .map(|_| {
                let (queue, events) = sync_channel(WAITING);
                let (door, seed) = (&door, dice.next());
                (queue, scope.spawn(move || Caller::new(door, seed).work(events)))
            })
            .unzip();
        scope.spawn(move || deal(stream, &queues));
        for point in points {
            wait_until("the stream goes on", || door.answered.load(Ordering::Acquire) >= point);
            linger(dice);
            service.kill();
            while dice.one_in(4) {
                // It can die while it rises, too.
                let rising = setup.spawn();
                linger(dice);
                rising.kill();
            }
            service = setup.start();
            *door.address.lock().unwrap_or_else(PoisonError::into_inner) = service.address;
        }
        let mut told = Told::default();
        for caller in callers {
            let part = caller.join().unwrap();
            told.decisions.extend(part.decisions);
            told.labels.extend(part.labels);
        }
        service.kill();
        told
    })
}

/// Each customer's transactions go to one caller, in their order.
fn deal(stream: &[Simulated], queues: &[SyncSender<Simulated>]) {
    for event in stream {
        let customer: usize = event.customer.trim_matches('"').parse().unwrap();
        queues[customer % queues.len()].send(event.clone()).unwrap();
    }
}

/// Up to 15 milliseconds, so that kills hit any point of the service's work.
fn linger(dice: &mut Dice) {
    let until = Instant::now() + Duration::from_micros(dice.below(15_000) as u64);
    while Instant::now() < until {
        std::thread::yield_now();
    }
}

/// One caller: sends each transaction until it is answered, labels some of them, and asks for some again.
struct Caller<'a> {
    door: &'a Door,
    client: Client,
    dice: Dice,
    told: Told,
}

impl Caller<'_> {
    fn new(door: &Door, seed: u64) -> Caller<'_> {
        let address = *door.address.lock().unwrap_or_else(PoisonError::into_inner);
        Caller { door, client: Client::new(address), dice: Dice::new(seed), told: Told::default() }
    }

    fn work(mut self, events: Receiver<Simulated>) -> Told {
        let mut known = Vec::new();
        for event in events {
            let answer = self.insist("/v1/transactions", &event.body);
            self.told.decisions.insert(event.id.clone(), answer.body);
            self.door.answered.fetch_add(1, Ordering::AcqRel);
            if self.dice.one_in(40) {
                let again = self.insist("/v1/transactions", &event.body);
                assert_eq!(again.body, self.told.decisions[&event.id]);
                assert_eq!(again.header("idempotent-replayed"), Some("true"));
            }
            if event.fraud || self.dice.one_in(20) {
                known.push(event);
            }
            if known.len() > 5 {
                let event = known.swap_remove(self.dice.below(5));
                let accepted = self.insist("/v1/labels", &label(&event.id, event.fraud));
                self.told.labels.insert(event.id, accepted.json());
            }
        }
        self.told
    }

    /// Sends until it is answered, to wherever the service is by then.
    fn insist(&mut self, path: &str, body: &str) -> Answer {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            match self.client.send("POST", path, body.as_bytes()) {
                Ok(answer) => return answer.ok(),
                Err(error) => assert!(Instant::now() < deadline, "{error}"),
            }
            std::thread::sleep(Duration::from_millis(1));
            self.client = Client::new(*self.door.address.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }
}

/// Every decision is listed once, and reads as the caller was told.
fn assert_stored_as_told(client: &mut Client, told: &Told) {
    let mut listed = HashMap::new();
    let mut page = client.get("/v1/decisions?limit=1000").ok().json();
    loop {
        for item in page["items"].as_array().unwrap() {
            let id = item["id"].as_str().unwrap().to_string();
            assert_eq!(listed.insert(id, item.clone()), None, "twice: {item}");
        }
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        page = client.get(&format!("/v1/decisions?limit=1000&cursor={cursor}")).ok().json();
    }
    assert_eq!((listed.len(), told.decisions.len()), (EVENTS, EVENTS));
    for (id, body) in &told.decisions {
        assert_eq!(listed[id], serde_json::from_slice::<Value>(body).unwrap());
    }
    for (id, accepted) in &told.labels {
        let label = &client.get(&format!("/v1/decisions/{id}")).ok().json()["label"];
        assert_eq!((&label["fraud"], &label["known_at"]), (&accepted["fraud"], &accepted["known_at"]));
    }
}

fn open(setup: &Setup) -> Sqlite {
    Sqlite::open_reader(&setup.database()).unwrap()
}

/// All decisions in the order of the log.
fn all_decisions(setup: &Setup) -> Vec<StoredDecision> {
    let mut decisions = open(setup).decisions(&Filter { limit: EVENTS + 1, ..Filter::default() }).unwrap();
    decisions.reverse();
    decisions
}

fn assert_order_of_customers(stream: &[Simulated], stored: &[StoredDecision]) {
    let mut expected: HashMap<&str, Vec<&str>> = HashMap::new();
    for event in stream {
        expected.entry(event.customer.trim_matches('"')).or_default().push(&event.id);
    }
    let mut found: HashMap<&str, Vec<&str>> = HashMap::new();
    for decision in stored {
        found.entry(decision.key.as_deref().unwrap()).or_default().push(&decision.id);
    }
    assert_eq!(found, expected);
}

/// Posts what the log of one service holds, in its order, to a fresh one.
fn replay_log(from: &Setup, to: &Setup) {
    let service = to.start();
    let mut client = service.client();
    let mut store = open(from);
    let mut batch = String::new();
    let mut next = 0;
    loop {
        let page = store.log(next - 1, 5_000).unwrap();
        if page.is_empty() {
            break;
        }
        for entry in page {
            assert_eq!(entry.sequence(), next, "the log has a hole or a double");
            next += 1;
            match entry {
                LogEntry::Transaction { event, .. } => batch = batch + &event + "\n",
                LogEntry::Label { event, fraud, .. } => {
                    post_batch(&mut client, &mut batch);
                    let event: Value = serde_json::from_str(&event).unwrap();
                    let id = event["transaction_id"].as_str().unwrap();
                    client.post("/v1/labels", label(id, fraud)).ok();
                }
            }
        }
    }
    post_batch(&mut client, &mut batch);
    service.stop();
}

fn post_batch(client: &mut Client, batch: &mut String) {
    if !batch.is_empty() {
        client.post("/v1/transactions/batch", &*batch).ok();
        batch.clear();
    }
}

fn assert_same_decisions(one: &[StoredDecision], other: &[StoredDecision]) {
    let bits = |values: &[f64]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    assert_eq!(one.len(), other.len());
    for (one, other) in one.iter().zip(other) {
        assert_eq!(bits(&one.features), bits(&other.features), "features of {}", one.id);
        assert_eq!(one.score.map(f64::to_bits), other.score.map(f64::to_bits), "score of {}", one.id);
        assert!(one.score.is_some());
        let labelled = |decision: &StoredDecision| decision.label.map(|label| (label.sequence, label.fraud));
        assert_eq!(labelled(one), labelled(other), "label of {}", one.id);
        // What only the clock knows may differ.
        let timeless = |decision: &StoredDecision| StoredDecision {
            decided_at_us: 0,
            latency_us: 0,
            features: Vec::new(),
            label: None,
            ..decision.clone()
        };
        assert_eq!(timeless(one), timeless(other));
    }
}
