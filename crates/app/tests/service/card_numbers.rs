//! A canary: card numbers are sent in every way there is, and are found nowhere afterwards.

use std::path::Path;

use serde_json::{Value, json};

use super::client::Client;
use super::events::transaction;
use super::process::{Service, Setup, folder, succeed};
use super::receiver::Receiver;

/// A test number of Visa, and ways to write it.
const CARD: &str = "4539578763621486";
const WRITTEN: [&str; 3] = ["4539578763621486", "4539 5787 6362 1486", "4539-5787-6362-1486"];

/// In base64, at each of the three places that it can begin at in a longer text.
const IN_BASE64: [&str; 3] = ["NDUzOTU3ODc2MzYyMTQ4N", "Q1Mzk1Nzg3NjM2MjE0OD", "NTM5NTc4NzYzNjIxNDg2"];

/// Everything below a folder, and files beside it.
fn files(folder: &Path, found: &mut Vec<(String, Vec<u8>)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files(&path, found),
            false => found.push((path.display().to_string(), std::fs::read(&path).unwrap())),
        }
    }
}

/// Fails where the number stands in one of these.
pub fn assert_no_card(found: &[(String, Vec<u8>)]) {
    for (name, bytes) in found {
        for text in WRITTEN.iter().chain(&IN_BASE64) {
            let at = bytes.windows(text.len()).position(|window| window == text.as_bytes());
            let around = at.map(|at| String::from_utf8_lossy(&bytes[at.saturating_sub(80)..at + text.len()]));
            assert!(at.is_none(), "{text} stands in {name}: {around:?}");
        }
    }
}

/// `card-handbook` with cards instead of customers.
fn card_detector(folder: &Path) -> String {
    let shipped = succeed(folder, "detector show card-handbook");
    let changed = shipped.replacen("fields = {", "fields = { customer_id = \"card\",", 1);
    let path = folder.join("by-card.toml");
    std::fs::write(&path, changed).unwrap();
    path.display().to_string()
}

/// Sends the number as everything; what was answered.
fn send_everywhere(client: &mut Client) -> Vec<(String, Vec<u8>)> {
    let mut answers = Vec::new();
    let mut post = |what: &str, method: &str, path: &str, body: &[u8]| {
        let answer = client.send(method, path, body).unwrap();
        answers.push((format!("the answer to {what}"), answer.body));
    };
    let time = "2018-04-01T12:00:00Z";
    for written in WRITTEN {
        let bodies = [
            ("an id", transaction(written, time, "c1", "t1")),
            ("a key", transaction(&format!("by{}", written.len()), time, written, "t1")),
            ("an entity", transaction(&format!("at{}", written.len()), time, "c1", written)),
            (
                "an unknown field",
                transaction("unknown", time, "c1", "t1").replacen(
                    '{',
                    &format!("{{\"pan\":\"{written}\","),
                    1,
                ),
            ),
            (
                "a name",
                transaction("name", time, "c1", "t1").replacen('{', &format!("{{\"{written}\":1,"), 1),
            ),
            ("a time", transaction("time", written, "c1", "t1")),
            (
                "an amount",
                transaction("amount", time, "c1", "t1").replace("12.34", &format!("\"{written}\"")),
            ),
            (
                "a nested field",
                transaction("nested", time, "c1", "t1")
                    .replace("\"c1\"", &format!("{{\"pan\":\"{written}\"}}")),
            ),
            (
                "a mark",
                transaction("mark", time, "c1", "t1").replacen(
                    '{',
                    &format!("{{\"synthetic\":\"{written}\","),
                    1,
                ),
            ),
            ("broken JSON", format!("{{\"transaction_id\": \"{written}\", \"tx_amount\": {{")),
            ("no JSON", format!("pay with {written} please")),
            ("text", format!("\"{written}\"")),
        ];
        for (what, body) in &bodies {
            post(what, "POST", "/v1/transactions", body.as_bytes());
            post(what, "POST", "/predict", body.as_bytes());
        }
        let batch: Vec<&str> = bodies.iter().map(|(_, body)| body.as_str()).collect();
        post("a batch", "POST", "/v1/transactions/batch", batch.join("\n").as_bytes());
        let encoded = written.replace(' ', "%20");
        for path in
            ["/v1/entities/customer/", "/v1/entities/terminal/", "/v1/decisions/", "/v1/alerts/", "/", "/v1/"]
        {
            post(path, "GET", &format!("{path}{encoded}"), b"");
        }
        for query in [
            "decisions?key=",
            "decisions?outcome=",
            "decisions?x=",
            "alerts?entity=",
            "alerts?assignee=",
            "alerts?order=",
        ] {
            post(query, "GET", &format!("/v1/{query}{encoded}"), b"");
        }
        post("an odd query", "GET", &format!("/v1/decisions?{encoded}=1"), b"");
        let label = json!({"transaction_id": written, "fraud": true}).to_string();
        post("a label", "POST", "/v1/labels", label.as_bytes());
        post(
            "an odd label",
            "POST",
            "/v1/labels",
            json!({"transaction_id": "x", "fraud": written}).to_string().as_bytes(),
        );
        let what_if = json!({"changes": {"customer_id": written, "tx_amount": written}}).to_string();
        post("a what-if", "POST", &format!("/v1/decisions/at{}/what-if", written.len()), what_if.as_bytes());
        let note =
            json!({"version": 1, "by": written, "action": "note", "note": format!("called about {written}")});
        post("a note", "PATCH", "/v1/alerts/0", note.to_string().as_bytes());
        post(
            "a job",
            "POST",
            "/v1/generate",
            json!({"rows": 1, "generator": written, "x": written}).to_string().as_bytes(),
        );
        let signed = json!({"by": written, "reason": written});
        let mut change = |method: &str, path: &str, mut body: Value| {
            body.as_object_mut().unwrap().extend(signed.as_object().unwrap().clone());
            post(path, method, path, body.to_string().as_bytes());
        };
        let (when, field) = (format!("customer_id == \"{written}\""), json!("customer_id"));
        change("PUT", "/v1/rules/one", json!({"when": when, "outcome": "review"}));
        change("PUT", &format!("/v1/rules/{encoded}"), json!({"when": "true", "outcome": "review"}));
        change(
            "PUT",
            "/v1/rules/two",
            json!({"when": "tx_amount > 1.0", "outcome": "review", "owner": written}),
        );
        change("PUT", "/v1/rules/two", json!({"when": written, "outcome": written}));
        change("PUT", "/v1/lists/stolen", json!({"kind": "deny", "field": field, "owner": written}));
        change("PUT", &format!("/v1/lists/{encoded}"), json!({"kind": "plain"}));
        change(
            "POST",
            "/v1/lists/stolen/entries",
            json!({"entries": [{"value": written, "reason": written}]}),
        );
        change("POST", "/v1/lists/stolen/entries", json!({"entries": [{"value": "x", "expires": written}]}));
        change("POST", "/v1/lists/stolen/removals", json!({"values": [written]}));
        change("POST", "/v1/lists/stolen/entries", json!({"entries": [{"value": written}]}));
        post("what is on a list", "GET", &format!("/v1/lists/stolen?contains={encoded}"), b"");
        let promotion = json!({"as": "champion", "by": written, "reason": written}).to_string();
        post("a promotion", "POST", &format!("/v1/models/{encoded}/promote"), promotion.as_bytes());
    }
    for number in [CARD.to_string(), format!("{CARD}.0"), "4.539578763621486e15".to_string()] {
        let body = transaction("number", time, "c1", "t1").replace("\"t1\"", &number);
        post("a number", "POST", "/v1/transactions", body.as_bytes());
        post("a number as an object", "POST", "/v1/transactions", number.as_bytes());
    }
    let escaped = format!("\\u0034{}", &CARD[1..]);
    post(
        "escaped digits",
        "POST",
        "/v1/transactions",
        transaction(&escaped, time, &escaped, &escaped).as_bytes(),
    );
    post(
        "escaped and broken",
        "POST",
        "/v1/transactions",
        format!("{{\"customer_id\":\"{escaped}\"").as_bytes(),
    );
    answers
}

/// Everything that can be read over HTTP.
fn everything_told(client: &mut Client) -> Vec<(String, Vec<u8>)> {
    let paths = [
        "/v1/decisions?limit=1000",
        "/v1/alerts?state=all",
        "/v1/alerts/0",
        "/v1/rejections?limit=500",
        "/v1/stats",
        "/v1/health",
        "/v1/activity",
        "/v1/detector",
        "/v1/models",
        "/v1/generate",
        "/metrics",
    ];
    paths.iter().map(|path| (path.to_string(), client.get(path).body)).collect()
}

fn run_canary(name: &str, setup: impl Fn(&Path, Setup) -> Setup) -> (Service, Setup) {
    let folder = folder(name);
    let setup = setup(&folder, Setup::new(&folder.join("data")).with("RUST_LOG", "trace"));
    let service = setup.start();
    let mut client = service.client();
    let mut found = send_everywhere(&mut client);
    found.extend(everything_told(&mut client));
    assert_no_card(&found);
    // While it runs: the write-ahead log as well.
    let mut found = Vec::new();
    files(&folder, &mut found);
    assert_no_card(&found);
    (service, setup)
}

fn assert_gone(setup: &Setup) {
    let mut found = Vec::new();
    files(setup.data_dir().parent().unwrap(), &mut found);
    assert!(found.iter().any(|(name, _)| name.ends_with("state.snapshot")), "a snapshot was written");
    assert!(
        found.iter().any(|(name, bytes)| name.ends_with(".log") && !bytes.is_empty()),
        "a log was written"
    );
    assert_no_card(&found);
}

#[test]
fn a_card_number_is_found_nowhere() {
    let (service, setup) = run_canary("canary", |_, setup| setup);
    let mut client = service.client();
    let decisions = client.get(&format!("/v1/decisions?key={CARD}")).ok().json();
    let key =
        decisions["items"][0]["key"].as_str().expect("the number finds what it was made of").to_string();
    assert!(key.starts_with("453957******1486~"), "{key}");
    let by_token = client.get(&format!("/v1/decisions?key={key}")).ok().json();
    assert_eq!(by_token, decisions);
    let entity = client.get(&format!("/v1/entities/customer/{CARD}")).ok().json();
    assert_eq!(entity["id"], key.as_str());
    let again = client.post("/v1/transactions", transaction(CARD, "2018-04-01T12:00:00Z", "c1", "t1")).ok();
    assert_eq!(again.header("idempotent-replayed"), Some("true"), "an id is known by its token");
    service.stop();
    assert_gone(&setup);
}

#[test]
fn neither_structured_logs_nor_traces_hold_a_card_number() {
    let receiver = Receiver::start(&[200]);
    let (service, setup) = run_canary("canary_told", |_, setup| {
        setup
            .with("REDFLAG_LOG", "json")
            .with("REDFLAG_TRACES_ENDPOINT", receiver.endpoint())
            .with("REDFLAG_TRACES_SERVICE_NAME", "payments")
            .with("REDFLAG_TRACES_SHARE", "1")
    });
    service.stop();
    assert_gone(&setup);
    let spans = receiver.received();
    assert!(spans.windows(9).any(|window| window == b"/v1/label"), "traces were sent");
    assert_no_card(&[("the traces".to_string(), spans)]);
}

#[test]
fn a_declared_card_is_its_token_or_refused_without_being_repeated() {
    let (service, setup) = run_canary("canary_declared", |folder, setup| {
        setup.with("REDFLAG_DETECTOR", card_detector(folder)).with("REDFLAG_PRIVACY_DETECT", "on")
    });
    let mut client = service.client();
    let time = "2018-04-01T13:00:00Z";
    let plain = client.post("/v1/transactions", transaction("d1", time, CARD, "t1")).ok().json();
    let token = plain["key"].as_str().unwrap().to_string();
    let same = client.post("/v1/transactions", transaction("d2", time, &token, "t1")).ok().json();
    assert_eq!(same["key"], token.as_str(), "a token is taken as it is");
    let wrong = client.post("/v1/transactions", transaction("d3", time, "4539578763621487", "t1"));
    assert_eq!(wrong.status, 422);
    assert!(!wrong.text().contains("453957"), "{}", wrong.text());
    service.kill();
    // Tokens in the log are read as they were written, and the key is that of before.
    let service = setup.start();
    let after =
        service.client().post("/v1/transactions", transaction("d4", time, WRITTEN[1], "t1")).ok().json();
    assert_eq!(after["key"], token.as_str());
    service.stop();
    let folder = setup.data_dir().parent().unwrap();
    let shown: Value = serde_json::from_str(&succeed(
        folder,
        "decision show d4 --replay --json --data-dir data --detector by-card.toml",
    ))
    .unwrap();
    assert_eq!(shown["replay"]["identical"], true, "{shown}");
    assert_gone(&setup);
}

/// Two keys make two tokens, and say so.
#[test]
fn a_token_says_which_key_made_it() {
    let token = |name: &str, key: &str| {
        let folder = folder(name);
        std::fs::write(folder.join("key"), key).unwrap();
        let setup = Setup::new(&folder.join("data"))
            .with("REDFLAG_CARD_KEY_FILE", folder.join("key").to_str().unwrap());
        let service = setup.start();
        let answer = service
            .client()
            .post("/v1/transactions", transaction("a", "2018-04-01T12:00:00Z", CARD, "t"))
            .ok();
        service.stop();
        answer.json()["key"].as_str().unwrap().to_string()
    };
    let (one, other) = (token("key_one", &"01".repeat(32)), token("key_other", &"02".repeat(32)));
    assert_eq!(one, token("key_one_again", &"01".repeat(32)));
    assert_eq!(one[..17], other[..17]);
    assert_ne!(one[17..19], other[17..19], "the letters of the key");
}
