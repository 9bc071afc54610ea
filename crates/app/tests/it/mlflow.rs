//! Models logged to a real MLflow server, and what its own client finds there. `scripts/mlflow` starts one.

use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::desk::Desk;

const CLIENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/mlflow_client.py");
const MODELS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/models");

/// A server, and a Python with its client.
struct Tracker {
    url: String,
    python: String,
    /// In names, so that no earlier run of the tests shows.
    run: String,
}

/// A variable of the environment that the tests need; `None`, and said so, if it is not set.
fn needed(name: &str) -> Option<String> {
    let value = std::env::var(name).ok().filter(|value| !value.is_empty());
    if value.is_none() {
        println!("NOT RUN: models in MLflow: {name} is not set (scripts/mlflow start)");
    }
    value
}

impl Tracker {
    fn new(test: &str) -> Option<Tracker> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let run = format!("test-{test}-{}", since.as_micros());
        Some(Tracker { url: needed("MLFLOW_URL")?, python: needed("MLFLOW_PYTHON")?, run })
    }

    /// Arguments that log to an experiment and a registered model of the test's own.
    fn arguments(&self) -> String {
        format!("--mlflow {} --mlflow-experiment redflag/{} --mlflow-model {}", self.url, self.run, self.run)
    }

    /// What MLflow's client finds.
    fn client(&self, desk: &Desk, arguments: &[&str]) -> Value {
        let mut command = Command::new(&self.python);
        command.current_dir(desk.path("")).arg(CLIENT).args(arguments).env("MLFLOW_TRACKING_URI", &self.url);
        let ran = command.output().unwrap();
        assert!(ran.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&ran.stderr));
        serde_json::from_slice(&ran.stdout).unwrap()
    }

    /// Versions of the registered model.
    fn versions(&self, desk: &Desk) -> Value {
        self.client(desk, &["look", &self.run])
    }

    /// Holds what `mlflow.pyfunc` makes of a model to what redflag makes of its file.
    fn check_scores(&self, desk: &Desk, alias_or_version: &str, model: &str) {
        let found =
            self.client(desk, &["score", &format!("models:/{}{alias_or_version}", self.run), "f.csv"]);
        let score = |raw: &str| desk.ok(&format!("model score --model {model} --in f.csv{raw}")).out;
        let [margins, scores] =
            [" --raw", ""].map(|raw| score(raw).lines().map(|line| line.parse().unwrap()).collect());
        assert_eq!(numbers(&found["margins"]), margins, "{model}");
        let pairs = numbers(&found["scores"]).into_iter().zip::<Vec<f64>>(scores);
        let farthest = pairs.map(|(theirs, ours)| (theirs - ours).abs()).fold(0.0, f64::max);
        assert!(farthest <= 1e-12, "{model}: {farthest}");
        let refused = found["refused"].as_str().unwrap();
        assert!(refused.contains("the data lacks the features amount"), "{refused}");
    }
}

fn numbers(list: &Value) -> Vec<f64> {
    list.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

/// Transactions and their features.
fn prepare(desk: &Desk) {
    desk.ok("simulate --detector card-handbook --rows 6000 --seed 5 --out a.csv");
    desk.ok("features --detector card-handbook --in a.csv --out whole.csv");
    let whole = desk.text("whole.csv");
    let mut lines: Vec<String> = whole.lines().take(400).map(str::to_string).collect();
    // A row without any value.
    lines.push(",".repeat(lines[0].matches(',').count()));
    desk.write("f.csv", lines.join("\n"));
}

#[test]
fn what_was_trained_is_found_in_mlflow_and_scores_there_as_here() {
    let Some(tracker) = Tracker::new("trained") else { return };
    let desk = Desk::new("mlflow-trained");
    prepare(&desk);
    let train = "train --detector card-handbook --in a.csv --trees 20 --seed 3 --json";
    let to = tracker.arguments();
    let first = desk.ok(&format!("{train} --calibrate beta --out gbdt.model {to}")).json()["mlflow"].clone();
    assert_eq!((&first["version"], &first["alias"]), (&json!("1"), &json!("champion")));
    let second = desk.ok(&format!("{train} --algorithm random-forest --out forest.model {to}")).json();
    assert_eq!(
        (&second["mlflow"]["version"], &second["mlflow"]["alias"]),
        (&json!("2"), &json!("challenger"))
    );

    let found = tracker.versions(&desk);
    let run = &found["1"]["run"];
    assert_eq!((&run["status"], &run["id"]), (&json!("FINISHED"), &first["run_id"]));
    let parameters = &run["parameters"];
    assert_eq!((&parameters["trees"], &parameters["algorithm"]), (&json!("20"), &json!("gbdt")));
    assert_eq!((&parameters["rows"], &parameters["seed"]), (&json!("6000"), &json!("3")));
    let model: Value = serde_json::from_slice(&desk.read("gbdt.model")).unwrap();
    assert_eq!(run["tags"]["feature_fingerprint"], model["feature_fingerprint"]);
    assert_eq!(run["data"], json!([run["tags"]["data_fingerprint"]]));
    assert_eq!(run["tags"]["data_fingerprint"].as_str().unwrap().len(), 16);
    assert_eq!(run["files"], json!(["detector.toml", "facts.json"]));
    assert_eq!(found["1"]["tags"]["redflag_model"], model["id"]);
    let files = found["1"]["model_files"].to_string();
    assert!(["\"MLmodel\"", "\"code\"", "\"model.json\""].iter().all(|name| files.contains(name)), "{files}");
    assert!(numbers(&run["metrics"]["growing_s"][0])[1] > 0.0);

    tracker.check_scores(&desk, "@champion", "gbdt.model");
    tracker.check_scores(&desk, "@challenger", "forest.model");
}

#[test]
fn figures_by_fold_and_by_iteration_have_their_steps() {
    let Some(tracker) = Tracker::new("figures") else { return };
    let desk = Desk::new("mlflow-figures");
    prepare(&desk);
    let to = tracker.arguments();
    desk.ok("train --detector card-handbook --in a.csv --trees 5 --out m.model");
    desk.ok(&format!("model publish --model m.model {to}"));
    let model: Value = serde_json::from_slice(&desk.read("m.model")).unwrap();
    desk.write("facts.json", facts(&model["id"]).to_string());
    desk.write("report.html", "<p>what was found</p>");
    let options = "--facts facts.json --attach report.html --alias champion --json";
    let published = desk.ok(&format!("model publish --model m.model {to} {options}")).json();
    assert_eq!((&published["version"], &published["alias"]), (&json!("2"), &json!("champion")));
    let found = tracker.versions(&desk);
    assert_eq!((&found["1"]["aliases"], &found["2"]["aliases"]), (&json!([]), &json!(["champion"])));
    let run = &found["2"]["run"];
    assert_eq!(run["metrics"]["average_precision"], json!([[0, 0.5]]));
    assert_eq!(run["metrics"]["fold_average_precision"], json!([[1, 0.25], [2, 0.75]]));
    let validation = run["metrics"]["validation_average_precision"].as_array().unwrap();
    assert_eq!(validation.len(), 2_500);
    assert_eq!((&validation[0], &validation[2_499]), (&json!([1, 1.0]), &json!([2_500, 1.0 / 2_500.0])));
    assert_eq!(run["parameters"]["long"].as_str().unwrap().len(), 6_000);
    assert_eq!(run["parameters"]["cost_per case_"], "5");
    assert_eq!(run["parameters"].as_object().unwrap().keys().filter(|key| key.starts_with("p")).count(), 150);
    assert_eq!(run["files"], json!(["detector.toml", "facts.json", "report.html"]));
    assert!(found["2"]["model_metrics"].to_string().contains("fold_average_precision"));
}

/// Facts with more than the server takes in one call, and with names and values that it does not take as they are.
fn facts(model_id: &Value) -> Value {
    let fold = |value: f64| json!({"from": "", "to": "", "metrics": {"average_precision": value}});
    let iteration =
        |trees: u32| json!({"trees": trees, "metrics": {"average_precision": 1.0 / f64::from(trees)}});
    let mut parameters: Value = (0..150).map(|at| (format!("p{at}"), json!("1"))).collect();
    parameters["long"] = "x".repeat(7_000).into();
    parameters["cost/per case?"] = "5".into();
    json!({
        "model_id": model_id, "detector": "card-handbook", "feature_fingerprint": "", "data": "", "data_fingerprint": "",
        "engine": "builtin", "engine_version": "", "algorithm": "gbdt", "parameters": parameters,
        "trained_from": "", "trained_to": "", "rows": 0, "frauds": 0, "seed": 0, "growing_s": 0.0,
        "metrics": {"average_precision": 0.5}, "folds": [fold(0.25), fold(0.75)],
        "iterations": (1..=2_500).map(iteration).collect::<Value>(), "redflag_version": "", "made_at": "",
    })
}

#[test]
fn imported_models_score_in_python_as_here() {
    let Some(tracker) = Tracker::new("imported") else { return };
    let desk = Desk::new("mlflow-imported");
    prepare(&desk);
    let natives = ["xgboost.ubj", "lightgbm.txt", "catboost.json"];
    for (native, version) in natives.iter().zip(1..) {
        let import = format!("model import {MODELS}/card-handbook-{native} --detector card-handbook");
        desk.ok(&format!("{import} --out {native}.model"));
        desk.ok(&format!("model publish --model {native}.model {}", tracker.arguments()));
        tracker.check_scores(&desk, &format!("/{version}"), &format!("{native}.model"));
    }
}

#[test]
fn runs_lie_in_postgresql_and_files_in_s3() {
    let Some(tracker) = Tracker::new("stored") else { return };
    let (Some(_), Some(_)) = (needed("MLFLOW_DATABASE"), needed("MLFLOW_BUCKET")) else { return };
    let desk = Desk::new("mlflow-stored");
    prepare(&desk);
    let train = "train --detector card-handbook --in a.csv --trees 3 --out m.model --json";
    let trained = desk.ok(&format!("{train} {}", tracker.arguments())).json();
    let found = tracker.client(&desk, &["stored", trained["mlflow"]["run_id"].as_str().unwrap()]);
    assert_eq!(found["status"], "FINISHED");
    assert_eq!(found["bytes"]["detector.toml"], desk.ok("detector show card-handbook").out.len());
    assert_eq!(found["bytes"]["model.json"], desk.read("m.model").len());
    assert!(found["bytes"]["MLmodel"].as_u64().unwrap() > 0);
}

#[test]
fn a_run_that_the_server_refuses_is_marked_as_failed_and_the_model_is_kept() {
    let Some(tracker) = Tracker::new("refused") else { return };
    let desk = Desk::new("mlflow-refused");
    prepare(&desk);
    let (experiment, name) = (format!("redflag/{}", tracker.run), "x".repeat(300));
    let ran = desk.run(&format!(
        "train --detector card-handbook --in a.csv --trees 3 --out m.model --mlflow {} \
         --mlflow-experiment {experiment} --mlflow-model {name}",
        tracker.url
    ));
    assert_eq!(ran.code, 1, "{ran:?}");
    let expected = ["the model is at m.model", &tracker.url, "to register the model (POST /api/2.0/mlflow/"];
    assert!(expected.iter().all(|part| ran.err.contains(part)), "{}", ran.err);
    desk.ok("model inspect m.model");
    let runs = tracker.client(&desk, &["runs", &experiment]);
    assert_eq!((runs.as_array().unwrap().len(), &runs[0]["status"]), (1, &json!("FAILED")));
    assert!(runs[0]["tags"]["error"].as_str().unwrap().contains("to register the model (POST"), "{runs}");
}

#[test]
fn a_model_is_not_lost_when_there_is_no_server() {
    let desk = Desk::new("mlflow-absent");
    desk.ok("simulate --detector card-handbook --rows 3000 --out a.csv");
    // Port 1 is one that nobody listens on.
    let train = "train --detector card-handbook --in a.csv --trees 3 --out m.model --mlflow";
    let ran = desk.run(&format!("{train} http://ann:hidden@127.0.0.1:1/at"));
    assert_eq!(ran.code, 1, "{ran:?}");
    let expected =
        ["the model is at m.model", "asking MLflow at http://127.0.0.1:1/at to find the experiment (GET"];
    assert!(expected.iter().all(|part| ran.err.contains(part)), "{}", ran.err);
    assert!(!ran.err.contains("hidden"), "{}", ran.err);
    desk.ok("model inspect m.model");
}

#[test]
fn wrong_addresses_names_and_files_are_found_before_anything_is_done() {
    let desk = Desk::new("mlflow-wrong");
    desk.ok("simulate --detector card-handbook --rows 3000 --out a.csv");
    desk.ok("train --detector card-handbook --in a.csv --trees 3 --out m.model");
    let model: Value = serde_json::from_slice(&desk.read("m.model")).unwrap();
    desk.write("facts.json", facts(&json!("another")).to_string());
    desk.write("empty.json", "{}");
    let on = "http://127.0.0.1:1";
    let other = format!("facts.json is about the model another, expected {}", model["id"].as_str().unwrap());
    for (arguments, expected) in [
        (
            "--mlflow ftp://127.0.0.1".to_string(),
            "--mlflow: the scheme is ftp: expected the address of an MLflow",
        ),
        ("--mlflow mlflow".to_string(), "--mlflow: relative URL without a base"),
        ("--facts facts.json".to_string(), "--mlflow <URL>"),
        (format!("--mlflow {on} --mlflow-model a/b"), "expected a name without / and :"),
        (format!("--mlflow {on} --facts empty.json"), "empty.json holds no facts of a model: missing field"),
        (format!("--mlflow {on} --facts facts.json"), &other),
        (format!("--mlflow {on} --attach absent.png"), "cannot read absent.png"),
        (format!("--mlflow {on} --detector ulb"), "the detector `ulb` has"),
    ] {
        let ran = desk.run(&format!("model publish --model m.model {arguments}"));
        assert!(ran.code == 2 && ran.err.contains(expected), "{arguments}: {ran:?}");
    }
    let ran = desk.run("train --detector card-handbook --in a.csv --out n.model --mlflow-model a");
    assert!(ran.code == 2 && ran.err.contains("--mlflow <URL>"), "{ran:?}");
    let ran = desk.run("train --detector card-handbook --in a.csv --out n.model --mlflow ftp://127.0.0.1");
    assert!(ran.code == 2 && !desk.files().contains(&"n.model".to_string()), "{ran:?}");
}
