//! A world that changes on purpose, and a real service that finds its way back without a person.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use lab::evaluate::metrics::Ranking;
use serde_json::{Value, json};

use super::client::Client;
use super::events::{Simulated, label, read_simulated};
use super::process::{Setup, folder, succeed, wait_until, wait_until_within};

/// Attacks that nobody has seen take over from the fifth week on.
const STREAM: &str =
    "simulate --detector card --days 84 --customers 1000 --seed 11 --drift new-attack --drift-day 28";
/// The champion learns from three weeks; the fourth is the last of the old world.
const LEARNT_TO: &str = "2018-04-22";
const DRIFT_FROM: &str = "2018-04-29";
/// Six weeks later all that the loop learns from is of the new world: before that, attacks of the old one are still in progress
/// and too few of the new ones are known for a challenger to be better for sure.
const RETRAINED_AT: &str = "2018-06-10";
/// Average precision that the loop must give back, beyond what the frozen champion still has.
const GAIN: f64 = 0.1;
/// A run has the lowest priority, and other tests may want every core.
const PATIENCE: Duration = Duration::from_secs(400);

/// A champion of the old world.
struct World {
    folder: PathBuf,
    stream: Vec<Simulated>,
}

impl World {
    fn new(test: &str) -> World {
        let folder = folder(test);
        succeed(&folder, &format!("{STREAM} --out stream.jsonl"));
        let train = format!("train --detector card --in stream.jsonl --train-to {LEARNT_TO} --trees 60");
        let done =
            succeed(&folder, &format!("{train} --out first.model --register --registry models --json"));
        let trained: Value = serde_json::from_str(&done).unwrap();
        let id = trained["model"].as_str().unwrap();
        succeed(&folder, &format!("model promote {id} --registry models --by tester --reason first"));
        let stream = read_simulated(&folder.join("stream.jsonl"));
        World { folder, stream }
    }

    /// Runs are started by the test, as a schedule would; whether they promote is left to the rule.
    fn setup(&self) -> Setup {
        let file = self.folder.join("redflag.toml");
        let text = "[retraining]\ntrain_weeks = 3\ntest_weeks = 1\nshadow = \"none\"\nrecipe = \"--trees 60\"\n\
                    [labels]\nmature_after = \"7d\"\n";
        fs::write(&file, text).unwrap();
        Setup::new(&self.folder.join("data"))
            .with("REDFLAG_DETECTOR", "card")
            .with("REDFLAG_MODEL", "registry")
            .with("REDFLAG_REGISTRY", self.folder.join("models").display().to_string())
            .with_file(&file)
    }

    /// The transactions of some days, from a date to the one before another.
    fn between(&self, from: &str, to: &str) -> Vec<&Simulated> {
        let is_between = |one: &&Simulated| (from..to).contains(&one.time.as_str());
        self.stream.iter().filter(is_between).collect()
    }

    /// Average precision of the first champion from a day on, as if nobody had replaced it.
    fn frozen(&self, from: &str) -> f64 {
        let measured = succeed(
            &self.folder,
            &format!("evaluate --detector card --model first.model --in stream.jsonl --from {from} --json"),
        );
        let figures: Value = serde_json::from_str(&measured).unwrap();
        figures["average_precision"].as_f64().unwrap_or_else(|| panic!("{figures}"))
    }
}

/// Posts transactions and then the labels of their frauds; average precision of the scores that were answered.
fn play(client: &mut Client, stream: &[&Simulated]) -> f64 {
    let mut scores = Vec::with_capacity(stream.len());
    for part in stream.chunks(2_000) {
        let lines: String = part.iter().map(|one| format!("{}\n", one.body)).collect();
        let answers = client.post("/v1/transactions/batch", lines).ok().lines();
        scores.extend(answers.iter().map(|answer| answer["score"].as_f64().unwrap()));
    }
    for one in stream.iter().filter(|one| one.fraud) {
        client.post("/v1/labels", label(&one.id, true)).ok();
    }
    let frauds: Vec<bool> = stream.iter().map(|one| one.fraud).collect();
    Ranking::new(&scores, &frauds).unwrap().average_precision()
}

/// Starts a run, and the model that it promoted.
fn retrain(client: &mut Client) -> Value {
    let asked = json!({ "by": "schedule", "reason": "a week has passed" }).to_string();
    assert_eq!(client.post("/v1/retraining/runs", asked).status, 202);
    let mut run = Value::Null;
    wait_until_within(PATIENCE, "the run has ended", || {
        run = client.get("/v1/retraining").ok().json()["runs"][0].clone();
        ["promoted", "rejected", "failed"].iter().any(|end| run["state"] == **end)
    });
    assert_eq!(run["state"], "promoted", "{run}");
    run["model"].clone()
}

#[test]
fn new_attacks_are_learnt_without_a_person() {
    let world = World::new("recovery");
    let service = world.setup().start();
    let mut client = service.client();

    play(&mut client, &world.between("2018", LEARNT_TO));
    let before = play(&mut client, &world.between(LEARNT_TO, DRIFT_FROM));
    let drifted = play(&mut client, &world.between(DRIFT_FROM, RETRAINED_AT));
    assert!(drifted < before - GAIN, "the world has changed: {before} before, {drifted} after");

    let promoted = retrain(&mut client);
    wait_until("the service follows", || client.get("/v1/stats").ok().json()["model"] == promoted);
    let recovered = play(&mut client, &world.between(RETRAINED_AT, "2019"));
    let frozen = world.frozen(RETRAINED_AT);
    let figures = format!("before {before}, drifted {drifted}, frozen {frozen}, recovered {recovered}");
    assert!(recovered > frozen + GAIN, "{figures}");
    service.stop();
}
