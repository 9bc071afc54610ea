//! How the service says that it is, and what it has turned away.

use serde_json::{Value, json};

use super::client::Client;
use super::events::{numbered, transaction};
use super::process::{Setup, folder, redflag, run, wait_until};

fn part(client: &mut Client, name: &str) -> Value {
    let health = client.get("/v1/health").ok().json();
    health["parts"].as_array().unwrap().iter().find(|part| part["name"] == name).unwrap().clone()
}

fn figure(part: &Value, name: &str) -> f64 {
    let figures = part["figures"].as_array().unwrap();
    let found = figures.iter().find(|figure| figure["name"] == name);
    found.unwrap_or_else(|| panic!("{part} has no {name}"))["value"].as_f64().unwrap()
}

#[test]
fn every_part_is_told_with_its_figures() {
    let setup = Setup::new(&folder("health").join("data"));
    let service = setup.start();
    let mut client = service.client();
    for number in 0..50 {
        client.post("/v1/transactions", numbered(number)).ok();
    }
    wait_until("the state was measured", || {
        client.post("/v1/transactions", numbered(0)).ok();
        figure(&part(&mut client, "engine"), "events") == 100.0
    });
    let source = part(&mut client, "source");
    assert_eq!(figure(&source, "decided"), 50.0);
    assert!(figure(&source, "repeated") >= 1.0, "{source}");
    assert_eq!(figure(&part(&mut client, "engine"), "entities"), 100.0, "50 customers and 50 terminals");
    let pipeline = part(&mut client, "pipeline");
    assert!(figure(&pipeline, "p50") > 0.0 && figure(&pipeline, "p50") <= figure(&pipeline, "p99"));
    let store = part(&mut client, "store");
    assert!(figure(&store, "commit p99") > 0.0, "{store}");
    let on_disk = setup.database().metadata().unwrap().len() as f64;
    assert!(figure(&store, "size") >= on_disk, "{store}");
    let disk = part(&mut client, "disk");
    let share = figure(&disk, "free share");
    assert!((0.0..=1.0).contains(&share) && figure(&disk, "free") > 0.0, "{disk}");
    assert_eq!(disk["status"] == "degraded", share < 0.05);
    for name in ["kafka", "redis", "mlflow"] {
        assert_eq!(part(&mut client, name)["status"], "off");
    }
    let model = part(&mut client, "model");
    assert_eq!((&model["status"], figure(&model, "trees")), (&json!("ok"), 0.0));
    for name in ["source", "pipeline", "engine", "model", "store"] {
        let part = part(&mut client, name);
        assert_eq!((&part["advice"], &part["last_error"]), (&Value::Null, &Value::Null), "{part}");
    }
    service.stop();
}

#[test]
fn what_was_no_transaction_is_shown_newest_first_and_counted_by_what_is_wrong() {
    let service = Setup::new(&folder("rejections").join("data")).start();
    let mut client = service.client();
    assert_eq!(client.get("/v1/rejections").ok().json(), json!({"stored": 0, "kinds": [], "items": []}));
    for amount in ["\"much; \"", "\"more\"", "\"2018-04-01 4111 1111 1111 1111\""] {
        let event = transaction("x", "2018-04-01T12:00:00Z", "c", "t").replace("12.34", amount);
        assert_eq!(client.post("/v1/transactions", event).status, 422);
    }
    assert_eq!(client.post("/v1/transactions", "{").status, 400);
    let mut page = Value::Null;
    wait_until("they are stored", || {
        page = client.get("/v1/rejections?limit=2").ok().json();
        page["stored"] == 4
    });
    let items = page["items"].as_array().unwrap();
    assert_eq!((items.len(), &items[0]["raw"], &items[0]["source"]), (2, &json!("{"), &json!("http")));
    assert!(items[1]["raw"].as_str().unwrap().contains("**** **** **** 1111"), "{page}");
    assert!(!page.to_string().contains("4111"), "no card number is shown: {page}");
    let kinds = page["kinds"].as_array().unwrap();
    assert_eq!(kinds.len(), 2, "{page}");
    assert_eq!(kinds[0]["count"], 3);
    assert!(kinds[0]["reason"].as_str().unwrap().starts_with("tx_amount: expected "), "{page}");
    for wrong in ["limit=0", "limit=501", "limit=x", "page=2"] {
        assert_eq!(client.get(&format!("/v1/rejections?{wrong}")).status, 422, "{wrong}");
    }
    service.stop();
}

#[test]
fn a_service_is_asked_from_outside_whether_it_decides() {
    let service = Setup::new(&folder("asked").join("data")).start();
    let url = format!("http://{}", service.address);
    let asked = |words: &[&str]| run(redflag().arg("health").args(words));
    for (words, answer) in [(vec!["--url", &url], "ready\n"), (vec!["--url", &url, "--alive"], "alive\n")] {
        let output = asked(&words);
        assert!(output.status.success() && output.stdout == answer.as_bytes(), "{output:?}");
    }
    service.stop();
    assert_eq!(asked(&["--url", &url]).status.code(), Some(1), "nobody answers");
    assert_eq!(asked(&["--url", "redflag"]).status.code(), Some(2), "that is no address");
}
