//! Rulebooks that change while a service decides.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{Value, json};

use super::client::{Answer, Client};
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

/// Who changes something.
fn signed(mut change: Value) -> String {
    change["by"] = json!("ada");
    change["reason"] = json!("case 17");
    change.to_string()
}

fn put(client: &mut Client, path: &str, change: Value) -> Answer {
    client.send("PUT", path, signed(change).as_bytes()).unwrap()
}

fn outcome(client: &mut Client, id: usize, amount: u32) -> Value {
    client.post("/v1/transactions", event(id, amount)).ok().json()["outcome"].clone()
}

#[test]
fn what_is_posted_after_a_change_is_decided_by_it() {
    let folder = folder("rules-doors");
    let service = Setup::new(&folder.join("data")).start();
    let mut client = service.client();
    assert_eq!(client.get("/v1/rules").ok().json()["number"], 0);
    assert_eq!(outcome(&mut client, 0, 900), "approve");
    let rule = |stage: &str| json!({"when": "tx_amount > 500.0", "outcome": "decline", "stage": stage});
    put(&mut client, "/v1/rules/large", rule("draft")).ok();
    assert_eq!(outcome(&mut client, 1, 900), "approve");
    let stage = |client: &mut Client, to: &str| {
        client.post("/v1/rules/large/stage", signed(json!({ "stage": to }))).ok();
    };
    stage(&mut client, "shadow");
    assert_eq!(outcome(&mut client, 2, 900), "approve");
    assert_eq!(client.get("/v1/decisions/t2").ok().json()["rules"], json!(["~large"]));
    stage(&mut client, "live");
    assert_eq!(outcome(&mut client, 3, 900), "decline");
    assert_eq!(outcome(&mut client, 4, 400), "approve");
    stage(&mut client, "retired");
    assert_eq!(outcome(&mut client, 5, 900), "approve");
    let costs =
        json!({"basis": {"thresholds": {"review": 0.2, "decline": 0.3}}, "daily_review_budget": null});
    put(&mut client, "/v1/policy", json!({ "policy": costs })).ok();
    let held = client.get("/v1/rules").ok().json();
    assert_eq!((&held["policy"], &held["rules"][0]["stage"]), (&costs, &json!("retired")));
    client.post("/v1/rulebooks/3/restore", signed(json!({}))).ok();
    assert_eq!(outcome(&mut client, 6, 900), "decline");
    let history = client.get("/v1/rulebooks").ok().json();
    let done: Vec<&str> = history["rulebooks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|made| made["change"].as_str().unwrap())
        .collect();
    let expected = [
        "back to rulebook 3",
        "the policy was changed",
        "rule large is retired",
        "rule large is live",
        "rule large is shadow",
        "rule large is new",
    ];
    assert_eq!(done, expected);
    service.stop();
    // The rulebook is there after a restart.
    let service = Setup::new(&folder.join("data")).start();
    assert_eq!(outcome(&mut service.client(), 7, 900), "decline");
    service.stop();
}

#[test]
fn lists_approve_decline_and_watch_until_their_values_expire() {
    let folder = folder("lists-doors");
    let service = Setup::new(&folder.join("data")).start();
    let mut client = service.client();
    for (name, kind) in [("blocked", "deny"), ("trusted", "allow"), ("watched", "watch")] {
        put(&mut client, &format!("/v1/lists/{name}"), json!({"kind": kind, "field": "terminal_id"})).ok();
    }
    put(
        &mut client,
        "/v1/rules/all",
        json!({"when": "tx_amount > 10.0", "outcome": "review", "stage": "live"}),
    )
    .ok();
    let enlist = |client: &mut Client, list: &str, entries: Value| {
        client.post(&format!("/v1/lists/{list}/entries"), signed(json!({ "entries": entries }))).ok().json()
    };
    // Ids are counted in seconds since 1.6e9 and modulo three terminals.
    let made = enlist(&mut client, "blocked", json!([{"value": "m0", "expires": "2020-09-13T12:26:50Z"}]));
    assert_eq!(made["change"], "put on list blocked: 1 new, 0 that were there");
    enlist(&mut client, "trusted", json!([{"value": "m1"}]));
    assert_eq!(outcome(&mut client, 0, 20), "decline");
    assert_eq!(client.get("/v1/decisions/t0").ok().json()["rules"], json!(["list:blocked", "all"]));
    assert_eq!(outcome(&mut client, 1, 20), "approve", "who is trusted is not reviewed");
    assert_eq!(outcome(&mut client, 2, 20), "review");
    assert_eq!(outcome(&mut client, 12, 20), "review", "it has expired by the time of the event");
    enlist(&mut client, "watched", json!([{"value": "m2", "reason": "new owner", "owner": "eve"}]));
    assert_eq!(outcome(&mut client, 14, 5), "review");
    let page = client.get("/v1/lists/watched?contains=m").ok().json();
    let entry = json!({"value": "m2", "reason": "new owner", "owner": "eve"});
    assert_eq!((&page["entries"], &page["found"]), (&json!([entry]), &json!(1)));
    client.post("/v1/lists/watched/removals", signed(json!({"values": ["m2"]}))).ok();
    assert_eq!(outcome(&mut client, 17, 5), "approve");
    assert_eq!(client.post("/v1/lists/watched/removals", signed(json!({"values": ["m2"]}))).status, 404);
    service.stop();
}

#[test]
fn a_change_with_mistakes_changes_nothing() {
    let folder = folder("rules-mistakes");
    let service = Setup::new(&folder.join("data")).start();
    let mut client = service.client();
    let wrong = json!({"when": "tx_amuont > 1.0", "outcome": "review", "stage": "partial", "from": "noon"});
    let refused = put(&mut client, "/v1/rules/large", wrong);
    assert_eq!(refused.status, 422);
    assert_eq!(
        refused.problem_fields(),
        ["rule `large`", "rule `large`", "rule `large`, column 1"].map(String::from).to_vec()
    );
    let unsigned = client.send("PUT", "/v1/rules/large", br#"{"when":"true","outcome":"review"}"#).unwrap();
    assert_eq!((unsigned.status, unsigned.problem_fields()), (422, vec!["by".to_string(), "reason".into()]));
    let odd =
        put(&mut client, "/v1/rules/large", json!({"when": "true", "outcome": "review", "expire": "x"}));
    assert_eq!(odd.status, 400, "what is not known is not passed over");
    put(&mut client, "/v1/lists/known", json!({"kind": "plain"})).ok();
    let rule = json!({"when": "terminal_id in lists.known", "outcome": "review", "stage": "live"});
    put(&mut client, "/v1/rules/known", rule).ok();
    assert_eq!(client.post("/v1/lists/known/drop", signed(json!({}))).status, 422, "a rule reads it");
    let late = client.post("/v1/lists/known/entries", signed(json!({"entries": [], "after": 1})));
    assert_eq!(late.status, 409);
    for path in ["/v1/rules/nobody/stage", "/v1/rulebooks/99/restore", "/v1/lists/nobody/removals"] {
        let body = signed(if path.ends_with("stage") {
            json!({"stage": "live"})
        } else if path.ends_with("removals") {
            json!({"values": ["x"]})
        } else {
            json!({})
        });
        assert_eq!(client.post(path, body).status, 404, "{path}");
    }
    assert_eq!(client.get("/v1/lists/nobody").status, 404);
    assert_eq!(client.get("/v1/rules").ok().json()["number"], 2);
    service.stop();
}

#[test]
fn rules_change_under_load_and_no_transaction_is_lost_or_decided_by_two() {
    const POSTED: usize = 4_000;
    const POSTERS: usize = 4;
    let folder = folder("rules-load");
    let service = Setup::new(&folder.join("data")).start();
    let mut client = service.client();
    let posters: Vec<_> = (0..POSTERS)
        .map(|poster| {
            let mut client = service.client();
            std::thread::spawn(move || {
                for number in 0..POSTED {
                    client.post("/v1/transactions", event(number * POSTERS + poster, 50)).ok();
                }
            })
        })
        .collect();
    // The n-th change names its rule after itself: a decision's rules say which one made it, and so does its fingerprint.
    let mut by_fingerprint = BTreeMap::new();
    let mut change = 0;
    while posters.iter().any(|poster| !poster.is_finished()) {
        let name = format!("change{change}");
        let rules = json!([{"name": name, "when": "true", "outcome": "review"}]);
        let book = json!({"rulebook": {"rules": rules}});
        let made = client.post("/v1/rulebooks", signed(book)).ok().json();
        by_fingerprint.insert(made["fingerprint"].as_str().unwrap().to_string(), name);
        change += 1;
    }
    posters.into_iter().for_each(|poster| poster.join().unwrap());
    assert!(change >= 5, "it was changed {change} times while transactions came in");
    let mut seen = BTreeSet::new();
    for id in (0..POSTED * POSTERS).step_by(7) {
        let decision = client.get(&format!("/v1/decisions/t{id}")).ok().json();
        let fingerprint = decision["versions"]["rules"].as_str().unwrap();
        let expected: Vec<&String> = by_fingerprint.get(fingerprint).into_iter().collect();
        assert_eq!(decision["rules"], json!(expected), "{decision}");
        seen.insert(fingerprint.to_string());
    }
    assert!(seen.len() >= 5, "{} rulebooks decided", seen.len());
    assert_eq!(client.get("/v1/stats").ok().json()["totals"]["decisions"], POSTED * POSTERS);
    service.stop();
}

#[test]
fn a_file_of_values_is_put_on_a_list() {
    let folder = folder("lists-import");
    let cli = |arguments: &str| {
        let signed = "--detector card-handbook --registry models --by ada --reason import";
        run(redflag().current_dir(&folder).args(format!("{arguments} {signed}").split_whitespace()))
    };
    assert!(cli("lists make blocked --kind deny --field terminal_id").status.success());
    let rows: String = (0..10_000).map(|row| format!("T{row},,,\n")).collect();
    std::fs::write(
        folder.join("values.csv"),
        format!("value,reason,owner,expires\n{rows}T1,again,eve,2027-01-01T00:00:00Z\n"),
    )
    .unwrap();
    let told = String::from_utf8(cli("lists import blocked values.csv").stdout).unwrap();
    assert!(told.contains("put on list blocked: 10000 new, 1 that were there"), "{told}");
    let at = "--detector card-handbook --registry models --json";
    let shown: Value = serde_json::from_str(&succeed(&folder, &format!("lists show blocked {at}"))).unwrap();
    let expected =
        json!({"value": "T1", "reason": "again", "owner": "eve", "expires": "2027-01-01T00:00:00Z"});
    assert_eq!(shown["entries"][1], expected);
    assert_eq!(shown["entries"][2], json!({"value": "T2", "reason": "import", "owner": "ada"}));
    // A rule's change does not write the list again.
    succeed(
        &folder,
        &format!("rules put large --when tx_amount>500.0 --outcome review --by ada --reason test {at}"),
    );
    let kept =
        |path: &str| std::fs::read_dir(folder.join("models/card-handbook/rulebook").join(path)).unwrap();
    assert_eq!(kept("entries").count(), 1);
    assert!(kept("").all(|entry| entry.unwrap().metadata().unwrap().len() < 10_000));
    std::fs::write(folder.join("values.csv"), "value,expires\nT1,soon\nT2,later\n").unwrap();
    let refused = cli("lists import blocked values.csv");
    let told = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert!(told.contains("\"soon\"") && told.contains("\"later\""), "{told}");
}
