//! What made a synthetic transaction is kept, shown, counted and asked for, and changes nothing else.

use serde_json::{Value, json};

use super::client::Client;
use super::events::{numbered, transaction};
use super::process::{Setup, folder, succeed};

/// The numbered transaction, marked.
fn marked(number: usize, mark: &str) -> String {
    numbered(number).replace('}', &format!(",\"synthetic\":\"{mark}\"}}"))
}

/// Ids on the page of decisions that these parameters select.
fn listed(client: &mut Client, query: &str) -> Vec<Value> {
    let page = client.get(&format!("/v1/decisions?{query}")).ok().json();
    page["items"].as_array().unwrap().iter().map(|item| item["id"].clone()).collect()
}

#[test]
fn a_mark_is_kept_shown_counted_and_asked_for() {
    let setup = Setup::new(&folder("marks").join("data"));
    let service = setup.start();
    let mut client = service.client();
    let answer = client.post("/v1/transactions", marked(0, "ctgan-3f2a9c01")).ok().json();
    assert_eq!(answer["synthetic"], "ctgan-3f2a9c01");
    assert_eq!(client.post("/v1/transactions", numbered(1)).ok().json()["synthetic"], Value::Null);
    let batch =
        format!("{}\n{}\n{}\n", marked(2, "simulator:card:7"), numbered(3), marked(4, "ctgan-3f2a9c01"));
    let lines = client.post("/v1/transactions/batch", batch).ok().lines();
    let marks: Vec<&Value> = lines.iter().map(|line| &line["synthetic"]).collect();
    assert_eq!(marks, [&json!("simulator:card:7"), &Value::Null, &json!("ctgan-3f2a9c01")]);
    // The id is known: what is stored stands.
    assert_eq!(client.post("/v1/transactions", numbered(0)).ok().json(), answer);
    let check = |client: &mut Client| {
        assert_eq!(listed(client, "synthetic=true"), ["n4", "n2", "n0"]);
        assert_eq!(listed(client, "synthetic=false"), ["n3", "n1"]);
        assert_eq!(listed(client, "synthetic=simulator:card:7"), ["n2"]);
        assert_eq!(listed(client, "synthetic=ctgan-3f2a9c01&limit=1"), ["n4"]);
        let whole = client.get("/v1/decisions/n0").ok().json();
        assert_eq!(whole["synthetic"], "ctgan-3f2a9c01");
        assert_eq!(whole["event"]["synthetic"], Value::Null, "it is no field of the event");
        let totals = client.get("/v1/stats").ok().json()["totals"].clone();
        assert_eq!((&totals["decisions"], &totals["synthetic"]["decisions"]), (&json!(5), &json!(3)));
    };
    check(&mut client);
    assert_eq!(client.get("/v1/decisions?synthetic=%20").problem_fields(), ["synthetic"]);
    service.stop();
    let service = setup.start();
    check(&mut service.client());
    service.stop();
}

#[test]
fn what_is_no_mark_is_refused_by_its_field() {
    let service = Setup::new(&folder("no_marks").join("data")).start();
    let mut client = service.client();
    for value in ["true", "7", "{}", "\"\"", &format!("\"{}\"", "x".repeat(129))] {
        let body = numbered(0).replace('}', &format!(",\"synthetic\":{value}}}"));
        let answer = client.post("/v1/transactions", body);
        assert_eq!((answer.status, answer.problem_fields()), (422, vec!["synthetic".to_string()]), "{value}");
    }
    assert_eq!(client.get("/v1/stats").json()["totals"]["decisions"], 0);
    service.stop();
}

/// Two services, one fed with marked events, the other with the same unmarked: they differ in the mark alone.
#[test]
fn decisions_on_synthetic_and_real_are_the_same_and_replay_to_the_bit() {
    let folder = folder("mark_replay");
    let decided = |name: &str, mark: bool| -> Vec<Value> {
        let service = Setup::new(&folder.join(name)).start();
        let mut client = service.client();
        for number in 0..300 {
            let event = if mark { marked(number, "simulator:card-handbook:1") } else { numbered(number) };
            client.post("/v1/transactions", event).ok();
        }
        let all =
            (0..300).map(|number| client.get(&format!("/v1/decisions/n{number}")).ok().json()).collect();
        service.stop();
        all
    };
    let (made, real) = (decided("made", true), decided("real", false));
    for (made, real) in made.iter().zip(&real) {
        for member in ["features", "score", "outcome", "rules", "event", "versions"] {
            assert_eq!(made[member], real[member], "{member}");
        }
        assert_eq!(
            (&made["synthetic"], &real["synthetic"]),
            (&json!("simulator:card-handbook:1"), &Value::Null)
        );
    }
    let shown =
        succeed(&folder, "decision show n299 --data-dir made --detector card-handbook --replay --json");
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["replay"]["identical"], true, "{shown}");
    succeed(&folder, "store export --data-dir made --out made.csv");
    let table = std::fs::read_to_string(folder.join("made.csv")).unwrap();
    let column = table.lines().next().unwrap().split(',').position(|name| name == "synthetic").unwrap();
    assert!(table.lines().skip(1).all(|line| line.contains("simulator:card-handbook:1")), "column {column}");
}

/// A time too far ahead is refused with its mark as without.
#[test]
fn a_marked_event_is_checked_as_any_other() {
    let service = Setup::new(&folder("mark_checked").join("data")).start();
    let mut client = service.client();
    client.post("/v1/transactions", numbered(0)).ok();
    let far = transaction("far", "2118-04-01T12:00:00Z", "c1", "t1").replace('}', ",\"synthetic\":\"a\"}");
    let answer = client.post("/v1/transactions", far);
    assert_eq!((answer.status, answer.problem_fields()), (422, vec!["tx_datetime".to_string()]));
    service.stop();
}
