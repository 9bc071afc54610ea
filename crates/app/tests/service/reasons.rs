//! Why a decision looks suspicious: in the answer, in the store, and asked for afterwards.

use std::path::Path;

use serde_json::{Value, json};

use super::process::{Setup, folder, succeed};

/// The review threshold that most payments are below and the test's bad ones above is that of the model's budget.
const TRAINING: &str = "train --detector card-handbook --in history.csv --trees 30 --out model.json";

/// A service with a model that was trained on simulated payments.
fn setup(folder: &Path) -> Setup {
    succeed(folder, "simulate --detector card-handbook --rows 40000 --seed 7 --out history.csv");
    succeed(folder, TRAINING);
    let model = folder.join("model.json").display().to_string();
    Setup::new(&folder.join("data")).with("REDFLAG_MODEL", model)
}

fn payment(number: usize, amount: f64) -> String {
    let time = format!("2030-01-01T10:{number:02}:00Z");
    json!({
        "transaction_id": format!("t{number}"), "tx_datetime": time, "tx_amount": amount,
        "customer_id": "c1", "terminal_id": "s1",
    })
    .to_string()
}

fn reasons(decision: &Value) -> &Vec<Value> {
    decision["reasons"].as_array().unwrap()
}

#[test]
fn what_is_not_approved_says_why_and_the_rest_when_asked() {
    let folder = folder("reasons");
    let setup = setup(&folder);
    let service = setup.start();
    let mut client = service.client();
    for number in 0..20 {
        client.post("/v1/transactions", payment(number, 12.0 + number as f64)).ok();
    }
    let plain = client.post("/v1/transactions", payment(20, 15.0)).ok().json();
    assert_eq!((plain["outcome"].as_str(), reasons(&plain).len()), (Some("approve"), 0), "{plain}");

    let suspicious = client.post("/v1/transactions", payment(21, 4_000.0)).ok().json();
    assert_ne!(suspicious["outcome"], "approve", "{suspicious}");
    let told = reasons(&suspicious);
    assert!((1..=4).contains(&told.len()), "{suspicious}");
    let contributions: Vec<f64> =
        told.iter().map(|reason| reason["contribution"].as_f64().unwrap()).collect();
    assert!(contributions.iter().all(|contribution| *contribution > 0.0));
    assert!(contributions.is_sorted_by(|a, b| a >= b), "{contributions:?}");
    assert!(told.iter().any(|reason| reason["text"].as_str().unwrap().contains("amount is ")), "{told:?}");

    // The stored decision says the same, and so does whoever asks again.
    let again = client.post("/v1/transactions", payment(21, 4_000.0)).ok().json();
    let stored = client.get("/v1/decisions/t21").ok().json();
    let asked = client.get("/v1/decisions/t21/reasons").ok().json();
    for found in [&again, &stored, &asked] {
        assert_eq!(found["reasons"], suspicious["reasons"]);
    }
    // Below the threshold nothing is stored, and everything can be asked for.
    let asked = client.get("/v1/decisions/t20/reasons").ok().json();
    assert!(reasons(&asked).len() <= 4, "{asked}");
    assert_eq!(client.get("/v1/decisions/nobody/reasons").status, 404);
    service.stop();

    let show = "decision show t21 --data-dir data --detector card-handbook --model model.json";
    let replayed: Value =
        serde_json::from_str(&succeed(&folder, &format!("{show} --replay --explain --json"))).unwrap();
    assert_eq!(replayed["replay"]["identical"], true, "{replayed}");
    assert_eq!(replayed["reasons"], suspicious["reasons"]);
    let text = succeed(&folder, show);
    assert!(text.contains(told[0]["text"].as_str().unwrap()), "{text}");
}

#[test]
fn what_was_decided_without_a_model_cannot_be_explained() {
    let service = Setup::new(&folder("reasons_without_model")).start();
    let mut client = service.client();
    let decided = client.post("/v1/transactions", payment(0, 10.0)).ok().json();
    assert_eq!(decided["reasons"], json!([]));
    let refused = client.get("/v1/decisions/t0/reasons");
    assert_eq!(refused.status, 409);
    assert_eq!(refused.problem_fields(), Vec::<String>::new());
    assert_eq!(refused.json()["detail"], "it was decided without a model");
    service.stop();
}
