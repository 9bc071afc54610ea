//! How it ends, and how it does not even begin.

use std::io::Write;
use std::path::Path;
use std::process::Output;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::client::Client;
use super::events::numbered;
use super::live::Viewer;
use super::process::{Service, Setup, folder, run, succeed, wait_until};

const CALLERS: usize = 4;
const DRAINED_WITHIN: Duration = Duration::from_secs(5);

/// Posts until the service no longer answers; the ids that it did answer.
fn post_until_it_ends(service: &Service, caller: usize, answered: &AtomicUsize) -> Vec<String> {
    let mut client = service.client();
    let mut told = Vec::new();
    for number in (caller..).step_by(CALLERS) {
        match client.send("POST", "/v1/transactions", numbered(number).as_bytes()) {
            Ok(answer) if answer.status == 200 => told.push(format!("n{number}")),
            Ok(answer) => assert_eq!(answer.status, 503, "{answer:?}"),
            Err(_) => break,
        }
        answered.fetch_add(1, Ordering::AcqRel);
    }
    told
}

#[test]
fn asked_to_end_under_load_it_drains_and_has_stored_what_it_answered() {
    for signal in ["TERM", "INT"] {
        let setup = Setup::new(&folder(&format!("drain_{signal}")).join("data"));
        let service = setup.start();
        let mut idle = service.client();
        idle.get("/healthz").ok();
        let viewer = Viewer::connect(service.address);
        let answered = AtomicUsize::new(0);
        let (told, status, took) = std::thread::scope(|scope| {
            let (running, answered) = (&service, &answered);
            let callers: Vec<_> = (0..CALLERS)
                .map(|caller| scope.spawn(move || post_until_it_ends(running, caller, answered)))
                .collect();
            wait_until("it is under load", || answered.load(Ordering::Acquire) > 400);
            service.signal(signal);
            let (status, took) = service.ended();
            let told: Vec<String> = callers.into_iter().flat_map(|caller| caller.join().unwrap()).collect();
            (told, status, took)
        });
        assert_eq!(status.code(), Some(0), "SIG{signal}");
        assert!(took < DRAINED_WITHIN, "SIG{signal}: {took:?}");
        drop((idle, viewer));
        let service = setup.start();
        let mut client = service.client();
        assert!(told.len() > 300);
        for id in &told {
            client.get(&format!("/v1/decisions/{id}")).ok();
        }
        service.stop();
    }
}

/// A caller that has sent half a request may send the rest, but not hold the end up for ever.
#[test]
fn half_a_request_does_not_hold_it_up() {
    let service = Setup::new(&folder("half_request").join("data")).start();
    let mut client = service.client();
    let stream = client.connect().unwrap();
    stream.write_all(b"POST /v1/transactions HTTP/1.1\r\nhost: x\r\ncontent-length: 500\r\n\r\n{").unwrap();
    service.client().get("/healthz").ok();
    service.signal("TERM");
    let (status, took) = service.ended();
    assert_eq!(status.code(), Some(0));
    assert!(took < DRAINED_WITHIN, "{took:?}");
}

/// Expects an end with this code and one line on the standard error that contains these words.
fn assert_one_line(output: &Output, code: i32, words: &[&str]) {
    let line = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!((output.status.code(), line.lines().count()), (Some(code), 1), "{line}");
    assert!(line.starts_with("redflag: "), "{line}");
    for word in words {
        assert!(line.contains(word), "{word} in {line}");
    }
}

#[test]
fn a_second_instance_says_what_the_first_has_taken() {
    let folder = folder("second_instance");
    let setup = Setup::new(&folder.join("data"));
    let service = setup.start();
    let same_folder = run(&mut setup.command());
    assert_one_line(&same_folder, 1, &["data", "in use by another redflag"]);
    let other = Setup::new(&folder.join("other"));
    let same_port = run(other.command().env("REDFLAG_LISTEN", service.address.to_string()));
    assert_one_line(&same_port, 1, &["cannot listen on", &service.address.to_string()]);
    assert!(!other.data_dir().exists(), "a port that is taken is known before anything is made");
    service.client().post("/v1/transactions", numbered(1)).ok();
    service.stop();
}

#[test]
fn a_data_folder_that_cannot_be_used_is_named() {
    let folder = folder("unusable");
    std::fs::write(folder.join("file"), "").unwrap();
    for name in ["file", "file/below"] {
        let output = run(&mut Setup::new(&folder.join(name)).command());
        assert_one_line(&output, 1, &["cannot create the data folder", name]);
    }
    let setup = Setup::new(&folder.join("database_is_folder"));
    std::fs::create_dir_all(setup.database()).unwrap();
    assert_one_line(&run(&mut setup.command()), 1, &["cannot use", "redflag.db"]);
    let setup = Setup::new(&folder.join("database_is_text"));
    std::fs::create_dir_all(setup.data_dir()).unwrap();
    std::fs::write(setup.database(), "not a database at all, but long enough to be read as one ".repeat(100))
        .unwrap();
    assert_one_line(&run(&mut setup.command()), 1, &["not a database"]);
    let setup = Setup::new(&folder.join("newer"));
    setup.start().stop();
    rusqlite::Connection::open(setup.database()).unwrap().pragma_update(None, "user_version", 99).unwrap();
    assert_one_line(&run(&mut setup.command()), 1, &["schema version 99"]);
}

#[test]
fn wrong_settings_are_all_told_at_once() {
    let folder = folder("wrong_settings");
    let file = folder.join("redflag.toml");
    std::fs::write(&file, "lisen = \"127.0.0.1:1\"\nsync = \"sometimes\"\nqueue = 2.5\ndata_dir = [\"x\"]\n")
        .unwrap();
    let setup = Setup::new(&folder.join("data")).with("REDFLAG_SNAPSHOT_EVERY", "0");
    let output = run(setup.command().arg("--config").arg(&file).env("REDFLAG_LISTEN", "here"));
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{told}");
    for mistake in ["lisen", "sometimes", "queue", "data_dir", "REDFLAG_SNAPSHOT_EVERY", "REDFLAG_LISTEN"] {
        assert!(told.contains(mistake), "{mistake} in {told}");
    }
    let absent = run(setup.command().arg("--config").arg("absent.toml"));
    assert_one_line(&absent, 2, &["absent.toml"]);
    assert!(!setup.data_dir().exists());
}

#[test]
fn a_detector_or_model_that_does_not_fit_is_named() {
    let folder = folder("does_not_fit");
    let data = |name: &str| Setup::new(&folder.join(name));
    let unknown = data("unknown").with("REDFLAG_DETECTOR", "cards");
    assert_one_line(&run(&mut unknown.command()), 2, &["cards", "card-handbook"]);
    let absent = data("absent").with("REDFLAG_MODEL", "absent.model");
    let output = run(&mut absent.command());
    assert!(String::from_utf8(output.stderr).unwrap().contains("absent.model"));
    assert_ne!(output.status.code(), Some(0));
    let model = train_on_card(&folder);
    let other = data("other").with("REDFLAG_MODEL", model);
    assert_one_line(&run(&mut other.command()), 2, &["card"]);
}

/// A model of the detector `card`.
fn train_on_card(folder: &Path) -> String {
    succeed(folder, "simulate --detector card --rows 3000 --seed 1 --out card.jsonl");
    succeed(folder, "train --detector card --in card.jsonl --trees 2 --out card.model");
    folder.join("card.model").to_str().unwrap().to_string()
}

/// Everything that a client has sent before the end is answered; nothing is taken up after it.
#[test]
fn after_the_end_nothing_listens() {
    let setup = Setup::new(&folder("after_end").join("data"));
    let service = setup.start();
    let address = service.address;
    service.stop();
    assert!(Client::new(address).send("GET", "/healthz", b"").is_err());
}
