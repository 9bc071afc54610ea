//! The same id gets the same stored decision, however it is asked for again.

use std::sync::Barrier;

use super::client::{Answer, Client};
use super::events::transaction;
use super::process::{Setup, folder};

const TIME: &str = "2018-04-01T12:00:00Z";

fn repeated(client: &mut Client) -> u64 {
    client.get("/v1/stats").json()["totals"]["repeated"].as_u64().unwrap()
}

fn decisions(client: &mut Client) -> u64 {
    client.get("/v1/stats").json()["totals"]["decisions"].as_u64().unwrap()
}

fn assert_replayed(again: &Answer, first: &str) {
    assert_eq!(again.text(), first);
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
}

#[test]
fn asked_again_later_it_gives_the_stored_answer() {
    let setup = Setup::new(&folder("again").join("data"));
    let service = setup.start();
    let mut client = service.client();
    let body = transaction("a", TIME, "c", "t");
    let first = client.post("/v1/transactions", &body).ok();
    assert_eq!(first.header("idempotent-replayed"), None);
    assert_replayed(&client.post("/v1/transactions", &body).ok(), first.text());
    assert_replayed(&client.post("/predict", &body).ok(), first.text());
    let other = transaction("a", "2018-04-02T08:00:00Z", "other", "other");
    assert_replayed(&client.post("/v1/transactions", &other).ok(), first.text());
    assert_eq!((repeated(&mut client), decisions(&mut client)), (3, 1));
    service.kill();

    let service = setup.start();
    let mut client = service.client();
    assert_replayed(&client.post("/v1/transactions", &body).ok(), first.text());
    assert_eq!((repeated(&mut client), decisions(&mut client)), (4, 1));
    // The other body left no trace: its customer is new.
    client.post("/v1/transactions", transaction("b", "2018-04-02T09:00:00Z", "other", "t")).ok();
    let features = client.get("/v1/decisions/b").ok().json()["features"].clone();
    let count = features.as_array().unwrap().iter().find(|feature| feature["name"] == "customer_count_30d");
    assert_eq!(count.unwrap()["value"], 1.0);
    service.stop();
}

#[test]
fn asked_at_once_by_many_it_is_decided_once() {
    const CALLERS: usize = 8;
    const ROUNDS: usize = 100;
    let service = Setup::new(&folder("at_once").join("data")).start();
    let together = Barrier::new(CALLERS);
    let ask = || {
        let mut client = service.client();
        let round = |number| {
            together.wait();
            client.post("/v1/transactions", transaction(&format!("r{number}"), TIME, "c", "t")).ok()
        };
        (0..ROUNDS).map(round).collect::<Vec<Answer>>()
    };
    let told: Vec<Vec<Answer>> = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..CALLERS).map(|_| scope.spawn(ask)).collect();
        callers.into_iter().map(|caller| caller.join().unwrap()).collect()
    });
    for round in 0..ROUNDS {
        let answers = told.iter().map(|answers| &answers[round]);
        assert!(answers.clone().all(|answer| answer.body == told[0][round].body));
        assert_eq!(answers.filter(|answer| answer.header("idempotent-replayed").is_none()).count(), 1);
    }
    let mut client = service.client();
    assert_eq!(decisions(&mut client), ROUNDS as u64);
    assert_eq!(repeated(&mut client), (ROUNDS * (CALLERS - 1)) as u64);
    service.stop();
}

#[test]
fn within_one_batch_it_is_decided_once() {
    let service = Setup::new(&folder("in_batch").join("data")).start();
    let mut client = service.client();
    let (a, b) = (transaction("a", TIME, "c", "t"), transaction("b", TIME, "c", "t"));
    let otherwise = transaction("a", TIME, "other", "other");
    // Far apart as well: the lines of a batch are worked through in parts.
    let apart: String =
        (0..600).map(|number| transaction(&format!("f{number}"), TIME, "f", "f") + "\n").collect();
    let answer =
        client.post("/v1/transactions/batch", format!("{a}\n{a}\n{b}\n{otherwise}\n{apart}{a}\n")).ok();
    let lines: Vec<&str> = answer.text().lines().collect();
    assert_eq!(lines.len(), 605);
    for repeat in [1, 3, 604] {
        assert_eq!(lines[repeat], lines[0]);
    }
    assert_replayed(&client.post("/v1/transactions", &b).ok(), lines[2]);
    assert_eq!((repeated(&mut client), decisions(&mut client)), (4, 602));
    service.stop();
}

/// A time jump is refused each time that it is asked, and takes no id.
#[test]
fn what_was_refused_may_be_sent_again_mended() {
    let service = Setup::new(&folder("mended").join("data")).start();
    let mut client = service.client();
    client.post("/v1/transactions", transaction("a", TIME, "c", "t")).ok();
    let jump = transaction("b", "2019-04-01T12:00:00Z", "c", "t");
    assert_eq!(client.post("/v1/transactions", &jump).status, 422);
    assert_eq!(client.post("/v1/transactions", &jump).status, 422);
    let mended = client.post("/v1/transactions", transaction("b", TIME, "c", "t")).ok();
    assert_eq!(mended.header("idempotent-replayed"), None);
    service.stop();
}
