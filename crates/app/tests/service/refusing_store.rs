//! A store that refuses while the service runs: callers are told, nothing is decided, and it mends itself.

use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::client::Client;
use super::events::{label, transaction};
use super::process::{Service, Setup, folder, wait_until};

/// Long enough for some attempts to go on.
const HELD: Duration = Duration::from_secs(2);

/// Nobody else can write while this is held.
fn lock_database(setup: &Setup) -> Connection {
    let connection = Connection::open(setup.database()).unwrap();
    connection.busy_timeout(Duration::from_secs(5)).unwrap();
    connection.execute_batch("BEGIN EXCLUSIVE").unwrap();
    connection
}

fn at(second: usize) -> String {
    transaction(&format!("s{second}"), &format!("2018-04-01T12:00:{second:02}Z"), "c", "t")
}

fn count(client: &mut Client, id: &str) -> f64 {
    let decision = client.get(&format!("/v1/decisions/{id}")).ok().json();
    let features = decision["features"].as_array().unwrap();
    let feature = features.iter().find(|feature| feature["name"] == "customer_count_1d");
    feature.unwrap()["value"].as_f64().unwrap()
}

#[test]
fn while_the_store_refuses_callers_are_turned_away_and_then_it_mends_itself() {
    let setup = Setup::new(&folder("refusing").join("data"));
    let service = setup.start();
    let mut client = service.client();
    client.post("/v1/transactions", at(1)).ok();
    let held = lock_database(&setup);
    let since = Instant::now();
    let mut refused = 0;
    while since.elapsed() < HELD || refused < 20 {
        for (path, body) in [
            ("/v1/transactions", at(2)),
            ("/v1/labels", label("s1", true)),
            ("/v1/transactions/batch", at(3)),
        ] {
            let asked = Instant::now();
            let answer = client.post(path, body);
            assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")), "{path}");
            answer.problem_fields();
            assert!(asked.elapsed() < Duration::from_secs(2), "nobody waits long for a refusal");
            refused += 1;
        }
        assert_degraded(&mut client);
    }
    drop(held);
    // Nobody asks it to decide anything meanwhile.
    wait_until("it is ready again", || client.get("/readyz").status == 200);
    let health = client.get("/v1/health").json();
    assert!(!client.is_degraded());
    let store = health["parts"].as_array().unwrap().iter().find(|part| part["name"] == "store").unwrap();
    assert!(
        store["last_error"]["text"].as_str().unwrap().contains("locked"),
        "what went wrong is remembered: {store}"
    );
    assert_eq!(store["advice"], serde_json::Value::Null);
    assert_state_is_the_log(client);
    service.kill();
    let service = setup.start();
    let mut client = service.client();
    client.post("/v1/transactions", at(5)).ok();
    assert_eq!(count(&mut client, "s5"), 5.0);
    service.stop();
}

fn assert_degraded(client: &mut Client) {
    assert_eq!(client.get("/healthz").text(), "ok\n");
    let answer = client.get("/readyz");
    assert_eq!(answer.status, 503);
    let health = answer.json();
    let parts = health["parts"].as_array().unwrap();
    let store = parts.iter().find(|part| part["name"] == "store").unwrap();
    assert_eq!((&health["status"], &store["status"]), (&"degraded".into(), &"degraded".into()));
    assert!(store["detail"].as_str().unwrap().contains("locked"), "{store}");
    // Reading goes on.
    client.get("/v1/decisions/s1").ok();
}

/// What was refused was neither decided nor counted.
fn assert_state_is_the_log(mut client: Client) {
    assert_eq!(client.get("/v1/decisions/s2").status, 404);
    for second in [2, 3, 4] {
        let answer = client.post("/v1/transactions", at(second)).ok();
        assert_eq!(answer.header("idempotent-replayed"), None);
        assert_eq!(count(&mut client, &format!("s{second}")), second as f64);
    }
    client.post("/v1/labels", label("s1", true)).ok();
    let totals = client.get("/v1/stats").json()["totals"].clone();
    assert_eq!((&totals["decisions"], &totals["labels"]), (&4.into(), &1.into()));
}

/// The engine has seen what the log does not have: a snapshot of that would be a lie.
#[test]
fn stopped_while_the_store_refuses_it_ends_well_and_keeps_no_false_state() {
    let setup = Setup::new(&folder("refusing_at_the_end").join("data"));
    let service = setup.start();
    let mut client = service.client();
    client.post("/v1/transactions", at(1)).ok();
    let held = lock_database(&setup);
    assert_eq!(client.post("/v1/transactions", at(2)).status, 503);
    end_within(service, Duration::from_secs(5));
    drop(held);
    let service = setup.start();
    let mut client = service.client();
    client.post("/v1/transactions", at(3)).ok();
    assert_eq!(count(&mut client, "s3"), 2.0);
    service.stop();
}

fn end_within(service: Service, limit: Duration) {
    service.signal("TERM");
    let (status, took) = service.ended();
    assert_eq!(status.code(), Some(0));
    assert!(took < limit, "{took:?}");
}
