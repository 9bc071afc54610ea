//! What is kept of a message, and what becomes of those that are no transactions.

use rdkafka::message::Message;
use serde_json::{Value, json};

use super::topics::{Topics, header};

fn event(id: &str, customer: u32, second: u32) -> Value {
    json!({"transaction_id": id, "tx_datetime": format!("2018-04-01T10:00:{second:02}Z"), "customer_id": customer,
           "terminal_id": 3, "tx_amount": 12.5})
}

#[test]
fn a_decision_keeps_key_headers_and_time_and_says_where_it_comes_from() {
    let Some(topics) = Topics::new("kept") else { return };
    topics.send_raw(
        2,
        Some("a key of its own"),
        &event("t0", 1, 0).to_string(),
        1_522_576_800_123,
        &[("trace", "abc")],
    );
    topics.send_raw(2, None, &event("t1", 77, 1).to_string(), 1_522_576_801_000, &[]);
    let service = topics.start(&topics.process("a"));
    topics.wait_until_decided();
    let mut messages = topics.read("decisions");
    messages.sort_by_key(|message| message.timestamp().to_millis());
    assert_eq!(messages.len(), 2);
    let decisions: Vec<Value> =
        messages.iter().map(|message| serde_json::from_slice(message.payload().unwrap()).unwrap()).collect();
    assert_eq!(messages[0].key(), Some(&b"a key of its own"[..]));
    assert_eq!(messages[0].timestamp().to_millis(), Some(1_522_576_800_123));
    assert_eq!(header(&messages[0], "trace"), Some("abc"));
    let source =
        |offset: i64| json!({"topic": topics.name("transactions"), "partition": 2, "offset": offset});
    assert_eq!((&decisions[0]["id"], &decisions[0]["source"]), (&json!("t0"), &source(0)));
    assert_eq!(messages[1].key(), Some(&b"77"[..]), "the detector's key where the message has none");
    assert_eq!((&decisions[1]["id"], &decisions[1]["source"]), (&json!("t1"), &source(1)));
    assert!(decisions[0]["versions"]["detector"].is_string(), "{}", decisions[0]);
    service.stop();
}

#[test]
fn what_is_no_transaction_is_in_the_dead_letters_once_with_its_reason() {
    let Some(topics) = Topics::new("dead") else { return };
    let with = |id: &str, field: &str, value: Value| {
        let mut event = event(id, 5, 2);
        event[field] = value;
        event.to_string()
    };
    let mut without_amount = event("no-amount", 5, 2);
    without_amount.as_object_mut().unwrap().remove("tx_amount");
    let bad = [
        ("this is no JSON".to_string(), ""),
        (without_amount.to_string(), "tx_amount"),
        (with("negative", "tx_amount", json!(-1.0)), "tx_amount"),
        (with("when", "tx_datetime", json!("yesterday")), "tx_datetime"),
        (with("far", "tx_datetime", json!("2118-01-01T00:00:00Z")), "tx_datetime"),
    ];
    topics.send_raw(1, Some("5"), &event("first", 5, 0).to_string(), 1_522_576_800_000, &[]);
    for (payload, _) in &bad {
        topics.send_raw(1, Some("5"), payload, 1_522_576_802_000, &[("trace", "kept")]);
    }
    topics.send_raw(1, Some("5"), &event("last", 5, 3).to_string(), 1_522_576_803_000, &[]);
    let service = topics.start(&topics.process("a"));
    topics.wait_until_decided();
    let ids: Vec<Value> = topics.decisions().into_iter().map(|decision| decision["id"].clone()).collect();
    assert_eq!(ids, ["first", "last"], "the stream goes on");
    let letters = topics.read("dead_letter");
    assert_eq!(letters.len(), bad.len());
    for (at, (payload, field)) in bad.iter().enumerate() {
        let letter = letters.iter().find(|letter| letter.payload() == Some(payload.as_bytes()));
        let letter = letter.unwrap_or_else(|| panic!("no dead letter of {payload}"));
        let reason = header(letter, "redflag.reason").unwrap();
        assert!(reason.contains(field) && !reason.is_empty(), "{payload}: {reason}");
        assert_eq!(
            header(letter, "redflag.source"),
            Some(&*format!("{}/1/{}", topics.name("transactions"), at + 1))
        );
        assert_eq!((header(letter, "trace"), letter.key()), (Some("kept"), Some(&b"5"[..])));
    }
    service.stop();
}

#[test]
fn an_id_is_decided_once() {
    let Some(topics) = Topics::new("repeated") else { return };
    let service = topics.start(&topics.process("a"));
    let once: Vec<Value> = (0..40).map(|number| event(&format!("t{number}"), number, number)).collect();
    topics.send(&once);
    topics.send(&once[10..]);
    topics.wait_until_decided();
    topics.send(&once);
    topics.wait_until_decided();
    let mut ids: Vec<String> =
        topics.decisions().iter().map(|decision| decision["id"].as_str().unwrap().to_string()).collect();
    ids.sort();
    let mut expected: Vec<String> = (0..40).map(|number| format!("t{number}")).collect();
    expected.sort();
    assert_eq!(ids, expected);
    service.stop();
}

/// What made a transaction comes through the stages to its decision, and to the database behind them.
#[test]
fn a_mark_comes_through_the_stages() {
    let Some(topics) = Topics::new("marked") else { return };
    let mut made = event("made", 1, 0);
    made["synthetic"] = json!("simulator:card-handbook:7");
    topics.send(&[made, event("real", 2, 1)]);
    let database = topics.folder.join("marked.db").display().to_string();
    let stages = ["customer", "terminal"].map(|stage| {
        let setup = topics.process(stage).with("REDFLAG_KAFKA_STAGES", stage);
        let setup = if stage == "terminal" { setup.with("REDFLAG_DATABASE", &database) } else { setup };
        setup.spawn()
    });
    let services = stages.map(super::process::Starting::wait_to_listen);
    topics.wait_until_decided();
    let mark = |id: &str| {
        let decisions = topics.decisions();
        let decision = decisions.iter().find(|decision| decision["id"] == id).unwrap();
        decision["synthetic"].clone()
    };
    assert_eq!((mark("made"), mark("real")), (json!("simulator:card-handbook:7"), Value::Null));
    let mut client = services[1].client();
    let stored = client.get("/v1/decisions?synthetic=true").ok().json();
    assert_eq!((stored["items"].as_array().unwrap().len(), &stored["items"][0]["id"]), (1, &json!("made")));
    assert_eq!(client.get("/v1/stats").json()["totals"]["synthetic"]["decisions"], 1);
    services.into_iter().for_each(|service| service.stop());
}

/// A job's transactions and labels go to the topics, as anybody's.
#[test]
fn synthetic_transactions_are_sent_to_the_topics() {
    let Some(topics) = Topics::new("generated") else { return };
    let service = topics.start(&topics.process("a"));
    let mut client = service.client();
    let wanted = json!({"rows": 500, "fraud_share": 0.1, "seed": 3, "to": "stream"});
    let answer = client.post("/v1/generate", wanted.to_string());
    assert_eq!(answer.status, 202, "{answer:?}");
    let path = answer.json()["links"]["self"].as_str().unwrap().to_string();
    super::process::wait_until("the job ends", || client.get(&path).ok().json()["state"] == "done");
    topics.wait_until_decided();
    let decisions = topics.decisions();
    assert_eq!(decisions.len(), 500);
    for decision in &decisions {
        assert_eq!(
            (&decision["synthetic"], &decision["late"]),
            (&json!("simulator:card-handbook:3"), &json!(false))
        );
    }
    assert_eq!(topics.read("labels").len(), 50);
    assert!(topics.read("dead_letter").is_empty());
    service.stop();
}
