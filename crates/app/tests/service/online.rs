//! The challenger that learns from each label: what it has learnt follows from the log alone.

use std::collections::{BTreeMap, HashSet, VecDeque};

use engine::time::DAY_US;
use lab::online::{OnlineModel, Settings};
use serde_json::{Value, json};
use store::{ALWAYS, Sqlite, Store, StoredDecision};

use super::client::Client;
use super::events::{Simulated, label, simulated};
use super::process::{Setup, folder, wait_until};

/// About four weeks.
const ROWS: usize = 8_000;

/// What whoever reads the whole log from its beginning learns: each label where it stands, and what has none after seven days.
fn expected(setup: &Setup) -> OnlineModel {
    let mut store = Sqlite::open_reader(&setup.database()).unwrap();
    let last = store.last_position().unwrap();
    let all = store.history(-1, &ALWAYS, usize::MAX >> 1).unwrap();
    let labels = store.labels(-1, last).unwrap();
    let labels: BTreeMap<i64, (i64, bool)> =
        labels.iter().map(|label| (label.sequence, (label.transaction_sequence, label.fraud))).collect();
    let decisions: BTreeMap<i64, &StoredDecision> =
        all.iter().map(|decision| (decision.sequence, decision)).collect();
    let mut model = OnlineModel::new(all[0].features.len(), Settings::default()).unwrap();
    let (mut stream_us, mut young, mut labelled) = (i64::MIN, VecDeque::new(), HashSet::new());
    for position in 0..=last {
        if let Some((of, fraud)) = labels.get(&position) {
            model.learn(&decisions[of].features, *fraud);
            labelled.insert(*of);
        } else {
            young.push_back(decisions[&position]);
            stream_us = stream_us.max(decisions[&position].event_time_us);
        }
        while young.front().is_some_and(|next| next.event_time_us + 7 * DAY_US <= stream_us) {
            let due = young.pop_front().unwrap();
            if !labelled.contains(&due.sequence) {
                model.learn(&due.features, false);
            }
        }
    }
    model
}

/// Posts transactions, and after each hundred what the frauds of the hundred before were.
fn post(client: &mut Client, stream: &[Simulated]) {
    let mut before: &[Simulated] = &[];
    for part in stream.chunks(100) {
        let lines: String = part.iter().map(|one| format!("{}\n", one.body)).collect();
        client.post("/v1/transactions/batch", lines).ok();
        for fraud in before.iter().filter(|one| one.fraud) {
            client.post("/v1/labels", label(&fraud.id, true)).ok();
        }
        before = part;
    }
}

fn told(client: &mut Client) -> Value {
    let models = client.get("/v1/models").ok().json()["models"].clone();
    let all = models.as_array().unwrap();
    all.iter().find(|model| model["id"] == "online-logistic-regression").unwrap().clone()
}

/// Waits until the challenger has learnt all that the log has to teach.
fn taught(client: &mut Client, setup: &Setup) -> OnlineModel {
    let expected = expected(setup);
    wait_until("all is learnt", || told(client)["rows"] == expected.labels());
    assert_eq!(told(client)["frauds"], expected.frauds());
    expected
}

/// What it says of a transaction, stored beside the decision.
fn score(setup: &Setup, id: &str) -> (StoredDecision, f64) {
    let mut store = Sqlite::open_reader(&setup.database()).unwrap();
    let decision = store.find(id).unwrap().unwrap();
    let scores = store.shadow_scores(decision.sequence - 1, decision.sequence).unwrap();
    assert_eq!(scores.len(), 1);
    (decision, scores[0].score)
}

/// The same transaction under another id: at its time nothing more matures.
fn again(one: &Simulated, id: &str) -> String {
    let mut event: Value = serde_json::from_str(&one.body).unwrap();
    event["transaction_id"] = json!(id);
    event.to_string()
}

#[test]
fn it_learns_from_each_label_and_goes_on_after_a_kill() {
    let folder = folder("online");
    let setup = Setup::new(&folder.join("data"))
        .with("REDFLAG_MODELS_ONLINE", "true")
        .with("REDFLAG_LABELS_MATURE_AFTER", "7d");
    let stream = simulated(&folder, ROWS, 120, 5);
    let (first, second) = stream.split_at(ROWS / 2);

    let service = setup.start();
    let mut client = service.client();
    let before = told(&mut client);
    assert_eq!(
        (&before["role"], &before["algorithm"]),
        (&json!("challenger"), &json!("logistic-regression"))
    );
    post(&mut client, first);
    let half = taught(&mut client, &setup);
    let kept = setup.data_dir().join("online.json");
    wait_until("it is written", || kept.exists());
    service.kill();

    let service = setup.start();
    let mut client = service.client();
    assert!(told(&mut client)["rows"].as_u64().unwrap() > 0, "it goes on from what it wrote");
    post(&mut client, second);
    let model = taught(&mut client, &setup);
    assert!(half.labels() < model.labels() && model.frauds() > 20, "{} {}", half.labels(), model.frauds());

    client.post("/v1/transactions", again(&stream[ROWS - 1], "last")).ok();
    let (decision, score) = score(&setup, "last");
    assert_eq!(score.to_bits(), model.probability(&decision.features).to_bits());

    // Figures are remembered for a moment.
    wait_until("all are counted", || told(&mut client)["live"]["scored"] == ROWS + 1);
    let live = told(&mut client)["live"].clone();
    assert!(live["auc_roc"].as_f64().unwrap() > 0.55, "it ranks by what it learnt: {live}");
    let figures = client.get("/v1/models/performance").ok().json();
    assert_eq!(
        (&figures["models"][0]["id"], &figures["models"][0]["role"]),
        (&told(&mut client)["id"], &json!("challenger"))
    );
    service.stop();
}

#[test]
fn what_it_wrote_for_other_features_is_not_gone_on_from() {
    let folder = folder("online_other");
    let setup = Setup::new(&folder.join("data")).with("REDFLAG_MODELS_ONLINE", "true");
    std::fs::create_dir_all(setup.data_dir()).unwrap();
    std::fs::write(setup.data_dir().join("online.json"), r#"{"feature_fingerprint": "another"}"#).unwrap();
    let service = setup.start();
    let mut client = service.client();
    for one in simulated(&folder, 50, 5, 5) {
        client.post("/v1/transactions", &one.body).ok();
        client.post("/v1/labels", label(&one.id, one.fraud)).ok();
    }
    wait_until("it begins with the log", || told(&mut client)["rows"] == 50);
    service.stop();
}
