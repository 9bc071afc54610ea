//! Rulebooks that change while a service decides.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

use super::client::Client;
use super::process::{Setup, folder, redflag, run, succeed, wait_until};

const CHANGES: usize = 5;

fn event(id: usize, amount: u32) -> String {
    let (customer, terminal) = (id % 7, id % 3);
    json!({
        "transaction_id": format!("t{id}"), "tx_datetime": 1_600_000_000 + id, "customer_id": format!("c{customer}"),
        "terminal_id": format!("m{terminal}"), "tx_amount": amount,
    })
    .to_string()
}

/// Declines from an amount on; what is on the list is approved below it.
fn rulebook(from: usize) -> Value {
    json!({
        "rules": [
            { "name": "large", "when": format!("tx_amount > {from}.0"), "outcome": "decline" },
            { "name": "watching", "when": "tx_amount > 0.0", "outcome": "decline", "stage": "shadow" },
        ],
        "lists": [{ "name": "trusted", "kind": "allow", "field": "terminal_id", "entries": [{ "value": "m1" }] }],
        "policy": { "basis": { "thresholds": { "review": 0.5, "decline": 0.9 } }, "daily_review_budget": null },
    })
}

fn publish(folder: &Path, from: usize) -> Value {
    std::fs::write(folder.join("book.json"), rulebook(from).to_string()).unwrap();
    let signed = "--detector card-handbook --registry models --by tester --reason because --json";
    serde_json::from_str(&succeed(folder, &format!("rules set book.json {signed}"))).unwrap()
}

/// Posts until a transaction is decided by the rules with this fingerprint; returns the next id.
fn post_until(client: &mut Client, mut id: usize, fingerprint: &str) -> usize {
    wait_until("the rulebook decides", || {
        client.post("/v1/transactions", event(id, 50)).ok();
        let decision = client.get(&format!("/v1/decisions/t{id}")).ok().json();
        id += 1;
        decision["versions"]["rules"] == fingerprint
    });
    id
}

#[test]
fn every_decision_is_made_by_one_rulebook_and_comes_out_again() {
    let folder = folder("rulebooks");
    std::fs::create_dir_all(folder.join("models")).unwrap();
    let service = Setup::new(&folder.join("data"))
        .with("REDFLAG_MODEL", "registry")
        .with("REDFLAG_REGISTRY", folder.join("models").display().to_string())
        .start();
    let mut client = service.client();
    client.post("/v1/transactions", event(0, 50)).ok();
    let (mut id, mut last_of) = (1, vec![0]);
    for change in 0..CHANGES {
        let made = publish(&folder, 45 + 2 * change);
        assert_eq!(made["number"], change + 1);
        id = post_until(&mut client, id, made["fingerprint"].as_str().unwrap());
        last_of.push(id - 1);
    }
    let mut rules = BTreeSet::new();
    for at in 0..id {
        let decision = client.get(&format!("/v1/decisions/t{at}")).ok().json();
        rules.insert(decision["versions"]["rules"].to_string());
    }
    assert_eq!(rules.len(), CHANGES + 1);
    for at in last_of {
        let shown = succeed(
            &folder,
            &format!("decision show t{at} --data-dir data --registry models --replay --json"),
        );
        let shown: Value = serde_json::from_str(&shown).unwrap();
        assert_eq!(shown["replay"]["identical"], true, "{shown}");
    }
    service.stop();
}

#[test]
fn a_rulebook_with_mistakes_or_made_for_another_is_refused() {
    let folder = folder("rulebooks-refused");
    publish(&folder, 10);
    let refused = |arguments: &str| {
        let signed = "--detector card-handbook --registry models --by tester --reason because";
        let arguments = format!("rules set book.json {arguments} {signed}");
        let output =
            run(redflag().current_dir(&folder).args(arguments.split(' ').filter(|word| !word.is_empty())));
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(refused("--after 0").contains("made for rulebook 0, and 1 holds"));
    let mut book = rulebook(10);
    book["rules"][0]["when"] = json!("tx_amuont > 1.0");
    book["lists"][0]["field"] = json!("terminal");
    std::fs::write(folder.join("book.json"), book.to_string()).unwrap();
    let told = refused("");
    assert!(told.contains("rule `large`, column 1") && told.contains("list `trusted`: `field`"), "{told}");
}
