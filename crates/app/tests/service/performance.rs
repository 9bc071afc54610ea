//! Models on what became known: curves and thresholds are what the database says, and drift is what training says.

use std::path::{Path, PathBuf};

use lab::evaluate::metrics::Ranking;
use rusqlite::Connection;
use serde_json::Value;

use super::client::Client;
use super::events::{Simulated, label, simulated};
use super::process::{Setup, folder, succeed, wait_until};

const REVIEW_COST: f64 = 5.0;
const FALSE_DECLINE_COST: f64 = 20.0;

struct Bench {
    folder: PathBuf,
    stream: Vec<Simulated>,
}

impl Bench {
    /// A model and a stream of which every other transaction is labelled.
    fn new(test: &str) -> Bench {
        let folder = folder(test);
        succeed(
            &folder,
            "simulate --detector card-handbook --rows 20000 --customers 400 --seed 7 --out history.csv",
        );
        succeed(&folder, "train --detector card-handbook --in history.csv --trees 30 --out model.json");
        let stream = simulated(&folder, 4_000, 400, 8);
        Bench { folder, stream }
    }

    fn setup(&self) -> Setup {
        let model = self.folder.join("model.json").display().to_string();
        Setup::new(&self.folder.join("data")).with("REDFLAG_MODEL", model)
    }

    fn post(&self, client: &mut Client) {
        for (at, one) in self.stream.iter().enumerate() {
            client.post("/v1/transactions", &one.body).ok();
            if one.fraud || at % 2 == 0 {
                client.post("/v1/labels", label(&one.id, one.fraud)).ok();
            }
        }
    }
}

/// What SQL knows of a transaction.
struct Row {
    score: f64,
    amount: f64,
    fraud: Option<bool>,
    event_time_us: i64,
}

fn rows(data: &Path) -> Vec<Row> {
    let database = Connection::open(data.join("redflag.db")).unwrap();
    let sql = "SELECT d.score, d.amount_minor / 100.0, l.fraud, d.event_time_us FROM decisions d \
               LEFT JOIN labels l ON l.transaction_sequence = d.sequence ORDER BY d.sequence";
    let mut statement = database.prepare(sql).unwrap();
    let read = |row: &rusqlite::Row| {
        Ok(Row { score: row.get(0)?, amount: row.get(1)?, fraud: row.get(2)?, event_time_us: row.get(3)? })
    };
    statement.query_map([], read).unwrap().map(Result::unwrap).collect()
}

/// Whether a policy of costs reviews (`Some(false)`) or declines (`Some(true)`), written down a second time.
fn alert(row: &Row, least: f64) -> Option<bool> {
    let (pass, decline) = (row.score * row.amount, (1.0 - row.score) * FALSE_DECLINE_COST);
    let cheapest = [(pass, None), (REVIEW_COST, Some(false)), (decline, Some(true))]
        .into_iter()
        .reduce(|best, other| if other.0 < best.0 { other } else { best });
    cheapest.unwrap().1.filter(|declined| *declined || row.score >= least)
}

fn assert_near(found: &Value, expected: f64, what: &str) {
    let found = found.as_f64().unwrap();
    assert!(
        (found - expected).abs() < 1e-9 * expected.abs().max(1.0),
        "{what} is {found}, SQL says {expected}"
    );
}

/// Every threshold counted again.
fn assert_thresholds(model: &Value, rows: &[Row], days: f64) {
    let thresholds = model["thresholds"].as_array().unwrap();
    assert!((20..=200).contains(&thresholds.len()));
    for point in thresholds {
        let least = point["score"].as_f64().unwrap();
        let (mut counts, mut cost, mut caught) = ([0.0; 4], 0.0, 0.0);
        for row in rows {
            let (fraud, alerted) = (row.fraud == Some(true), alert(row, least));
            counts[usize::from(fraud) * 2 + usize::from(alerted.is_some())] += 1.0;
            cost += match (fraud, alerted) {
                (_, Some(false)) => REVIEW_COST,
                (false, Some(true)) => FALSE_DECLINE_COST,
                (true, None) => row.amount,
                _ => 0.0,
            };
            caught += if fraud && alerted.is_some() { row.amount } else { 0.0 };
        }
        let [genuine_passed, genuine_alerted, fraud_passed, fraud_alerted] = counts;
        assert_near(&point["true_negatives"], genuine_passed, "true_negatives");
        assert_near(&point["false_positives"], genuine_alerted, "false_positives");
        assert_near(&point["false_negatives"], fraud_passed, "false_negatives");
        assert_near(&point["true_positives"], fraud_alerted, "true_positives");
        assert_near(&point["alerts_per_day"], (genuine_alerted + fraud_alerted) / days, "alerts_per_day");
        assert_near(&point["cost_per_day"], cost / days, "cost_per_day");
        assert_near(&point["caught_amount_per_day"], caught / days, "caught_amount_per_day");
        if genuine_alerted + fraud_alerted > 0.0 {
            assert_near(&point["precision"], fraud_alerted / (genuine_alerted + fraud_alerted), "precision");
        }
        assert_near(&point["recall"], fraud_alerted / (fraud_passed + fraud_alerted), "recall");
    }
    let alerts: Vec<f64> = thresholds.iter().map(|point| point["alerts_per_day"].as_f64().unwrap()).collect();
    assert!(alerts.is_sorted_by(|a, b| a >= b), "{alerts:?}");
}

fn assert_performance(found: &Value, rows: &[Row]) {
    let (scores, labels): (Vec<f64>, Vec<bool>) =
        rows.iter().map(|row| (row.score, row.fraud == Some(true))).unzip();
    assert_eq!(found["transactions"], rows.len());
    assert_eq!(found["frauds"], labels.iter().filter(|fraud| **fraud).count());
    let times = || rows.iter().map(|row| row.event_time_us);
    let days = ((times().max().unwrap() - times().min().unwrap()) as f64 / 86_400e6).max(1.0);
    assert_near(&found["days"], days, "days");
    let model = &found["models"][0];
    let ranking = Ranking::new(&scores, &labels).unwrap();
    assert_near(&model["average_precision"], ranking.average_precision(), "average precision");
    assert_near(&model["auc_roc"], ranking.auc_roc(), "AUC");
    let squares =
        scores.iter().zip(&labels).map(|(score, fraud)| (score - f64::from(u8::from(*fraud))).powi(2));
    assert_near(&model["brier"], squares.sum::<f64>() / scores.len() as f64, "brier");
    let bins = model["calibration"].as_array().unwrap();
    assert_eq!(bins.len(), 10);
    let of_bins: u64 = bins.iter().map(|bin| bin["transactions"].as_u64().unwrap()).sum();
    assert_eq!(of_bins, rows.len() as u64);
    let present = &found["review_score_min"];
    assert!(model["thresholds"].as_array().unwrap().iter().any(|point| point["score"] == *present));
    for (curve, x, y) in
        [("roc", "false_positive_rate", "true_positive_rate"), ("precision_recall", "recall", "precision")]
    {
        let points = model[curve].as_array().unwrap();
        assert!((5..=200).contains(&points.len()), "{curve} has {} points", points.len());
        let last = points.last().unwrap();
        assert_eq!(last[x], 1.0, "{curve} ends with everything");
        assert!(points.is_sorted_by(|a, b| a[x].as_f64() <= b[x].as_f64()), "{curve}");
        assert!(points.iter().all(|point| (0.0..=1.0).contains(&point[y].as_f64().unwrap())), "{curve}");
    }
    let cards = model["card_precision"].as_array().unwrap();
    assert!(cards.iter().all(|at| at["precision"].as_f64() <= at["ceiling"].as_f64()), "{cards:?}");
    assert_thresholds(model, rows, days);
}

#[test]
fn curves_and_thresholds_are_what_the_database_says() {
    let bench = Bench::new("performance");
    let service = bench.setup().start();
    let mut client = service.client();
    let nothing = client.get("/v1/models/performance").ok().json();
    assert_eq!((&nothing["transactions"], &nothing["from"]), (&Value::from(0), &Value::Null));
    bench.post(&mut client);
    wait_until("what was remembered is gone", || {
        client.get("/v1/models/performance").ok().json()["transactions"] != 0
    });
    service.stop();
    // Only what has a label is known.
    let setup = bench.setup();
    let service = setup.start();
    let known: Vec<Row> = rows(setup.data_dir()).into_iter().filter(|row| row.fraud.is_some()).collect();
    assert_performance(&service.client().get("/v1/models/performance").ok().json(), &known);
    service.stop();
    // With a time of maturity, what is older is known, and all of it.
    let setup = bench.setup().with("REDFLAG_LABELS_MATURE_AFTER", "2d");
    let service = setup.start();
    let all = rows(setup.data_dir());
    let newest = all.iter().map(|row| row.event_time_us).max().unwrap();
    let mature: Vec<Row> =
        all.into_iter().filter(|row| row.event_time_us < newest - 2 * 86_400_000_000).collect();
    assert_performance(&service.client().get("/v1/models/performance").ok().json(), &mature);
    service.stop();
}

#[test]
fn drift_is_seen_against_the_training_data() {
    let bench = Bench::new("drift");
    let setup = bench.setup();
    let service = setup.start();
    let mut client = service.client();
    assert_eq!(client.get("/v1/models/drift").ok().json()["reference"], "none");
    // The same world, but everything costs five times as much.
    let mut dearer = String::new();
    for one in bench.stream.iter().take(1_000) {
        let mut event: Value = serde_json::from_str(&one.body).unwrap();
        event["tx_amount"] = (event["tx_amount"].as_f64().unwrap() * 5.0).into();
        event.as_object_mut().unwrap().retain(|name, _| !name.starts_with("tx_fraud"));
        dearer.push_str(&format!("{event}\n"));
    }
    client.post("/v1/transactions/batch", dearer).ok();
    let mut drift = Value::Null;
    wait_until("what was remembered is gone", || {
        drift = client.get("/v1/models/drift").ok().json();
        drift["decisions"] == 1_000
    });
    assert_eq!(drift["reference"], "training");
    let features = drift["features"].as_array().unwrap();
    let psi: Vec<f64> = features.iter().map(|feature| feature["psi"].as_f64().unwrap()).collect();
    assert!(psi.is_sorted_by(|a, b| a >= b), "{psi:?}");
    let of = |name: &str| features.iter().find(|feature| feature["name"] == name).unwrap();
    assert!(of("amount")["psi"].as_f64().unwrap() > 0.25, "{}", of("amount"));
    assert!(of("amount")["unseen"].as_f64().unwrap() > 0.0);
    assert!(of("is_weekend")["psi"].as_f64().unwrap() < of("amount")["psi"].as_f64().unwrap());
    for feature in features {
        let sum = |shares: &Value| {
            shares.as_array().unwrap().iter().map(|share| share.as_f64().unwrap()).sum::<f64>()
        };
        let now = sum(&feature["now"]) + feature["missing_now"].as_f64().unwrap();
        assert!((now - 1.0).abs() < 1e-9 && feature["edges"].as_array().unwrap().len() < 10, "{feature}");
    }
    assert!(drift["score"]["psi"].as_f64().unwrap() > 0.0);
    service.stop();
}
