//! What is erased is gone from every file, what is old goes, and what stays is still recomputed to the bit.

use std::path::Path;

use serde_json::{Value, json};

use super::client::Client;
use super::events::{label, transaction};
use super::process::{Service, Setup, folder, redflag, run, succeed, wait_until};

const SUBJECT: &str = "subject-of-erasure-596";

/// Every fifth transaction is the subject's, at one of three terminals.
fn event(number: usize) -> String {
    let (day, hour, minute) = (1 + number / 200, number / 10 % 20, number % 10 * 6);
    let customer =
        if number.is_multiple_of(5) { SUBJECT.to_string() } else { format!("customer-{}", number % 7) };
    let time = format!("2018-04-{day:02}T{hour:02}:{minute:02}:00Z");
    transaction(&format!("n{number}"), &time, &customer, &format!("t{}", number % 3))
}

fn post(client: &mut Client, numbers: std::ops::Range<usize>) {
    for number in numbers {
        client.post("/v1/transactions", event(number)).ok();
    }
}

/// The names of the files below a folder in which these bytes stand.
fn files_with(folder: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_with(&path, text));
        } else if std::fs::read(&path).unwrap().windows(text.len()).any(|window| window == text.as_bytes()) {
            found.push(path.display().to_string());
        }
    }
    found
}

fn replays(folder: &Path, id: &str) -> Value {
    let detector = "--detector card-handbook";
    let shown = succeed(folder, &format!("decision show {id} --replay --json --data-dir data {detector}"));
    serde_json::from_str::<Value>(&shown).unwrap()["replay"]["identical"].clone()
}

fn count_of(client: &mut Client, entity: &str) -> Value {
    let told = client.get(&format!("/v1/entities/customer/{entity}"));
    if told.status == 404 { Value::Null } else { told.ok().json()["features"].clone() }
}

fn filled(name: &str) -> (std::path::PathBuf, Setup, Service) {
    let folder = folder(name);
    let setup = Setup::new(&folder.join("data")).with("REDFLAG_SNAPSHOT_EVERY", "150");
    let service = setup.start();
    let mut client = service.client();
    post(&mut client, 0..400);
    client.post("/v1/labels", label("n5", true)).ok();
    client.post("/v1/labels", label("n7", false)).ok();
    client.post("/v1/transactions", format!("{{\"customer_id\":\"{SUBJECT}\", \"tx_amount\":"));
    (folder, setup, service)
}

#[test]
fn an_erased_id_is_gone_from_every_file_and_all_else_stays() {
    let (folder, setup, service) = filled("erased");
    let mut client = service.client();
    let windows = count_of(&mut client, SUBJECT);
    let others = count_of(&mut client, "customer-1");
    let before = client.get("/v1/decisions/n395").ok().json();
    let wanted = json!({"field": "customer_id", "value": SUBJECT, "reason": "asked for"}).to_string();
    let done = client.post("/v1/erasures", &wanted).ok().json();
    let tombstone = done["tombstone"].as_str().unwrap().to_string();
    assert!(tombstone.starts_with("erased:"), "{done}");
    assert_eq!(
        (&done["decisions"], &done["rejections"], &done["elsewhere"]),
        (&json!(80), &json!(1), &Value::Null)
    );
    assert_eq!(count_of(&mut client, SUBJECT), Value::Null);
    assert_eq!(count_of(&mut client, &tombstone), windows, "the windows of what stands for it");
    assert_eq!(count_of(&mut client, "customer-1"), others);
    let after = client.get("/v1/decisions/n395").ok().json();
    assert_eq!(after["key"], tombstone.as_str());
    assert_eq!((&after["score"], &after["features"]), (&before["score"], &before["features"]));
    assert_eq!(files_with(&folder.join("data"), SUBJECT), Vec::<String>::new());
    post(&mut client, 400..420);
    assert_eq!(count_of(&mut client, SUBJECT)[0]["value"], 4.0, "who comes again is somebody new");
    service.kill();
    for id in ["n0", "n7", "n395", "n399", "n419"] {
        assert_eq!(replays(&folder, id), true, "{id}");
    }
    let service = setup.start();
    assert_eq!(count_of(&mut service.client(), &tombstone), windows, "from snapshot and log");
    service.stop();
}

/// Killed with the note written and nothing else done, and with all done but the note destroyed, it goes on.
#[test]
fn an_erasure_that_was_interrupted_is_finished_at_the_next_start() {
    let (folder, setup, service) = filled("erasure_interrupted");
    service.kill();
    let tombstone = format!("erased:{}", "a".repeat(26));
    let note = json!({"field": "customer_id", "value": SUBJECT, "tombstone": tombstone, "is_key": true, "is_id": false});
    for round in 0..2 {
        std::fs::write(folder.join("data/erasure.pending"), note.to_string()).unwrap();
        let service = setup.start();
        assert_eq!(service.client().get("/v1/decisions/n395").ok().json()["key"], tombstone.as_str());
        assert_eq!(files_with(&folder.join("data"), SUBJECT), Vec::<String>::new(), "round {round}");
        service.kill();
    }
    assert_eq!(replays(&folder, "n399"), true);
}

#[test]
fn a_stopped_service_is_erased_from_by_a_command() {
    let (folder, setup, service) = filled("erased_by_command");
    let arguments = [
        "store",
        "erase",
        "--data-dir",
        "data",
        "--detector",
        "card-handbook",
        "--json",
        "--reason",
        "asked",
    ];
    let erase = |field: &str, value: &str| {
        run(redflag().current_dir(&folder).args(arguments).args(["--field", field, "--value", value]))
    };
    let refused = erase("customer_id", SUBJECT);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("/v1/erasures"), "{refused:?}");
    service.stop();
    assert_eq!(erase("tx_amount", "5").status.code(), Some(2), "no field of ids");
    let done: Value = serde_json::from_slice(&erase("customer_id", SUBJECT).stdout).unwrap();
    assert_eq!((&done["decisions"], &done["rejections"]), (&json!(80), &json!(1)));
    // A terminal is counted by customers' windows as well, and a transaction's id stands in no window.
    for (field, value) in [("terminal_id", "t1"), ("transaction_id", "n10")] {
        let done: Value = serde_json::from_slice(&erase(field, value).stdout).unwrap();
        assert!(done["decisions"].as_u64().unwrap() > 0, "{done}");
    }
    assert_eq!(files_with(&folder.join("data"), SUBJECT), Vec::<String>::new());
    let service = setup.start();
    assert_eq!(service.client().get("/v1/decisions/n10").status, 404);
    service.stop();
    for id in ["n11", "n395", "n399"] {
        assert_eq!(replays(&folder, id), true, "{id}");
    }
}

/// Two days of ten are kept; killed while it deletes, it goes on and nothing is lost.
#[test]
fn what_is_old_goes_and_what_is_kept_is_still_recomputed() {
    let folder = folder("retention");
    let setup = Setup::new(&folder.join("data")).with("REDFLAG_SNAPSHOT_EVERY", "300");
    let service = setup.start();
    let mut client = service.client();
    post(&mut client, 0..2_000);
    // A label that comes late needs its transaction.
    client.post("/v1/labels", label("n9", true)).ok();
    client.post("/v1/labels", label("n1990", false)).ok();
    let windows = count_of(&mut client, "customer-1");
    service.kill();
    let setup = setup.with("REDFLAG_RETENTION", "2d");
    for _ in 0..3 {
        // At once, or in the middle of it.
        setup.start().kill();
    }
    let service = setup.start();
    let mut client = service.client();
    wait_until("what is old is gone", || client.get("/v1/decisions/n100").status == 404);
    wait_until("all of it", || client.get("/v1/decisions/n1590").status == 404);
    assert_eq!(client.get("/v1/decisions/n9").status, 200, "a label names it");
    assert_eq!(client.get("/v1/decisions/n1999").status, 200);
    assert_eq!(count_of(&mut client, "customer-1"), windows);
    post(&mut client, 2_000..2_010);
    let kept = client.get("/v1/decisions?limit=1000").ok().json()["items"].as_array().unwrap().len();
    assert!((390..450).contains(&kept), "{kept} of 2010 are kept");
    service.stop();
    for id in ["n1700", "n1999", "n2009"] {
        assert_eq!(replays(&folder, id), true, "{id}");
    }
    let told =
        run(redflag().current_dir(&folder).args("decision show n9 --replay --data-dir data".split(' ')));
    assert!(String::from_utf8_lossy(&told.stderr).contains("no longer kept"), "{told:?}");
    // Without the newest snapshot: from the base that has moved.
    std::fs::remove_file(folder.join("data/state.snapshot")).unwrap();
    let setup = Setup::new(&folder.join("data"));
    let service = setup.start();
    assert_eq!(
        service.client().post("/v1/transactions", event(2_009)).ok().header("idempotent-replayed"),
        Some("true")
    );
    service.stop();
    assert_eq!(replays(&folder, "n2009"), true);
}
