//! Models of the registry at work: who decides, who watches, and what happens in between.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use engine::{Detector, Outcome};
use lab::artifact::ModelFile;
use lab::evaluate::metrics::{Confusion, Ranking};
use serde_json::{Value, json};

use super::client::Client;
use super::events::{Simulated, label, numbered, simulated};
use super::process::{Service, Setup, folder, run, succeed, wait_until};

const ROWS: usize = 3_000;

/// A folder with two models in its registry.
struct Bench {
    folder: PathBuf,
    /// Ids; their files are `0.model` and `1.model`.
    models: [String; 2],
}

impl Bench {
    fn new(test: &str) -> Bench {
        let folder = folder(test);
        succeed(
            &folder,
            "simulate --detector card-handbook --rows 20000 --customers 400 --seed 7 --out history.csv",
        );
        let train = |at: usize, trees: u32| {
            let arguments = format!("--trees {trees} --out {at}.model --register --registry models --json");
            let done =
                succeed(&folder, &format!("train --detector card-handbook --in history.csv {arguments}"));
            serde_json::from_str::<Value>(&done).unwrap()["model"].as_str().unwrap().to_string()
        };
        let models = [train(0, 5), train(1, 40)];
        Bench { folder, models }
    }

    fn setup(&self) -> Setup {
        Setup::new(&self.folder.join("data"))
            .with("REDFLAG_MODEL", "registry")
            .with("REDFLAG_REGISTRY", self.folder.join("models").display().to_string())
    }

    /// `redflag model ...` on the registry.
    fn model(&self, arguments: &str) -> String {
        let signed = "--registry models --by tester --reason because";
        succeed(&self.folder, &format!("model {arguments} {signed}"))
    }

    /// What each model would have decided of the same transactions from the beginning: its score and outcome by id.
    fn replayed(&self, stream: &[Simulated]) -> [HashMap<String, (f64, Outcome)>; 2] {
        let lines: String = stream.iter().map(|one| format!("{}\n", unlabelled(one))).collect();
        std::fs::write(self.folder.join("unlabelled.jsonl"), lines).unwrap();
        [0, 1].map(|at| {
            let arguments =
                format!("--detector card-handbook --model {at}.model --in unlabelled.jsonl --out -");
            let text = succeed(&self.folder, &format!("replay {arguments}"));
            let decisions = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
            let entry = |decision: Value| {
                let outcome = Outcome::from_name(decision["outcome"].as_str().unwrap()).unwrap();
                let id = decision["id"].to_string().trim_matches('"').to_string();
                (id, (decision["score"].as_f64().unwrap(), outcome))
            };
            decisions.map(entry).collect()
        })
    }
}

fn unlabelled(one: &Simulated) -> Value {
    let mut event: Value = serde_json::from_str(&one.body).unwrap();
    event.as_object_mut().unwrap().retain(|name, _| !name.starts_with("tx_fraud"));
    event
}

fn promotion(role: &str) -> String {
    json!({ "as": role, "reason": "because", "by": "tester" }).to_string()
}

/// Posts transactions in their order, as many as it is allowed to, and keeps the answers.
struct Poster {
    allowed: Arc<AtomicUsize>,
    answered: Arc<AtomicUsize>,
    thread: std::thread::JoinHandle<Vec<Value>>,
}

impl Poster {
    fn start(mut client: Client, stream: &[Simulated]) -> Poster {
        let bodies: Vec<String> = stream.iter().map(|one| one.body.clone()).collect();
        let (allowed, answered) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (may, have) = (Arc::clone(&allowed), Arc::clone(&answered));
        let thread = std::thread::spawn(move || {
            let mut answers = Vec::new();
            for (at, body) in bodies.iter().enumerate() {
                wait_until("it may go on", || may.load(Ordering::Acquire) > at);
                // Every one is answered with a decision, whatever happens to the models meanwhile.
                answers.push(client.post("/v1/transactions", body).ok().json());
                have.store(at + 1, Ordering::Release);
            }
            answers
        });
        Poster { allowed, answered, thread }
    }

    /// Lets it go on, without waiting.
    fn allow(&self, upto: usize) {
        self.allowed.store(upto, Ordering::Release);
    }

    fn wait_for(&self, answers: usize) {
        wait_until("transactions are answered", || self.answered.load(Ordering::Acquire) >= answers);
    }

    fn answered(&self) -> usize {
        self.answered.load(Ordering::Acquire)
    }
}

fn roles(models: &Value) -> BTreeMap<String, String> {
    let role = |model: &Value| {
        (model["id"].as_str().unwrap().to_string(), model["role"].as_str().unwrap().to_string())
    };
    models["models"].as_array().unwrap().iter().map(role).collect()
}

/// Which model decided each, as it is stored.
fn decided_by(service: &Service, stream: &[Simulated]) -> Vec<String> {
    let mut client = service.client();
    let mut model = |one: &Simulated| {
        let stored = client.get(&format!("/v1/decisions/{}", one.id)).ok().json();
        stored["versions"]["model"].as_str().unwrap().to_string()
    };
    stream.iter().map(&mut model).collect()
}

#[test]
fn models_are_swapped_while_transactions_come_in() {
    let bench = Bench::new("models_swapped");
    let [first, second] = bench.models.clone();
    bench.model(&format!("promote {first}"));
    bench.model(&format!("promote {second} --as challenger"));
    let stream = simulated(&bench.folder, ROWS, 100, 3);
    let service = bench.setup().start();
    let mut client = service.client();
    assert_eq!(
        roles(&client.get("/v1/models").ok().json()),
        [(first.clone(), "champion".into()), (second.clone(), "challenger".into())].into()
    );

    // The challenger takes over in the middle of the stream, and whatever is posted after the answer is its.
    let poster = Poster::start(service.client(), &stream);
    poster.allow(1_500);
    poster.wait_for(500);
    let made = client.post(&format!("/v1/models/{second}/promote"), promotion("champion")).ok().json();
    let swapped = poster.answered();
    assert_eq!((&made["from"], &made["champion"]), (&json!(first), &json!(second)), "{made}");
    poster.wait_for(1_500);
    // Back by the command line, which the service is not told about.
    poster.allow(2_000);
    bench.model("rollback --detector card-handbook");
    let champion = |client: &mut Client| client.get("/v1/stats").ok().json()["model"].clone();
    wait_until("the rollback is followed", || champion(&mut client) == json!(first));
    poster.wait_for(2_000);
    client.post(&format!("/v1/models/{second}/promote"), promotion("challenger")).ok();
    poster.allow(ROWS);
    poster.wait_for(ROWS);
    let answers = poster.thread.join().unwrap();

    let made_by = decided_by(&service, &stream);
    let (to_second, to_first) = (
        made_by.iter().position(|id| *id == second).unwrap(),
        made_by.iter().rposition(|id| *id == second).unwrap() + 1,
    );
    assert!((500..=swapped + 1).contains(&to_second), "{to_second}, answered {swapped}");
    assert!((1_500..=2_000).contains(&to_first), "{to_first}");
    assert!(made_by[to_second..to_first].iter().all(|id| *id == second), "each takes over once");

    // Every decision is the one that its model would have made.
    let replayed = bench.replayed(&stream);
    for ((one, answer), model) in stream.iter().zip(&answers).zip(&made_by) {
        let (score, outcome) = replayed[usize::from(*model == second)][&one.id];
        let found = (answer["score"].as_f64().unwrap(), answer["outcome"].as_str().unwrap());
        assert_eq!(found, (score, outcome.name()), "{} by {model}", one.id);
    }

    let labelled = label_half(&mut client, &stream);
    let both = |at: &usize| *at < to_second || *at >= 2_000;
    let compared: Vec<&Simulated> = labelled.iter().filter(|at| both(at)).map(|at| &stream[*at]).collect();
    let listed = client.get("/v1/models").ok().json();
    assert_figures(&bench, &listed, &replayed, &compared);
    let scored = [to_second + ROWS - to_first, to_first + ROWS - 2_000];
    for (model, scored) in bench.models.iter().zip(scored) {
        assert_eq!(live(&listed, model)["scored"], scored, "{model}");
    }
    service.stop();

    assert_replays(&bench, &stream, &[0, to_second, to_first - 1, to_first, ROWS - 1]);
    let service = bench.setup().start();
    assert_eq!(champion(&mut service.client()), json!(first), "after a restart as before");
    service.stop();
}

/// Labels every other transaction; their places.
fn label_half(client: &mut Client, stream: &[Simulated]) -> Vec<usize> {
    let places: Vec<usize> = (0..stream.len()).step_by(2).collect();
    for at in &places {
        client.post("/v1/labels", label(&stream[*at].id, stream[*at].fraud)).ok();
    }
    places
}

fn live<'a>(listed: &'a Value, model: &str) -> &'a Value {
    &listed["models"].as_array().unwrap().iter().find(|listed| listed["id"] == *model).unwrap()["live"]
}

/// The figures are those of the same transactions by the library, from scores of a replay.
fn assert_figures(
    bench: &Bench,
    found: &Value,
    replayed: &[HashMap<String, (f64, Outcome)>; 2],
    counted: &[&Simulated],
) {
    let detector = include_str!("../../../../detectors/card-handbook.toml");
    let detector = Detector::parse(detector).unwrap();
    let review_score_min = ModelFile::load(&bench.folder.join("0.model")).unwrap().review_score_min;
    let labels: Vec<bool> = counted.iter().map(|one| one.fraud).collect();
    let frauds = labels.iter().filter(|fraud| **fraud).count();
    assert!(frauds > 5, "the test has something to say");
    assert_eq!(found["compared"], json!({ "transactions": labels.len(), "frauds": frauds }));
    for (at, model) in bench.models.iter().enumerate() {
        let scores: Vec<f64> = counted.iter().map(|one| replayed[at][&one.id].0).collect();
        let alert = |(one, score): (&&Simulated, &f64)| {
            let amount = unlabelled(one)["tx_amount"].as_f64().unwrap();
            let outcome = detector.policy.outcome(*score, amount, review_score_min);
            f64::from(u8::from(outcome != Outcome::Approve))
        };
        let alerts: Vec<f64> = counted.iter().zip(&scores).map(alert).collect();
        let (ranking, confusion) =
            (Ranking::new(&scores, &labels).unwrap(), Confusion::at(0.5, &alerts, &labels).unwrap());
        let live = live(found, model);
        let figure = |name: &str| live[name].as_f64().unwrap_or_else(|| panic!("{name} of {live}"));
        assert_eq!(figure("auc_roc"), ranking.auc_roc());
        assert_eq!(figure("average_precision"), ranking.average_precision());
        assert_eq!((figure("precision"), figure("recall")), (confusion.precision(), confusion.recall()));
        assert_eq!(live["alerts"], confusion.true_positives + confusion.false_positives);
    }
}

/// Whichever model decided, the decision comes out again to the last bit.
fn assert_replays(bench: &Bench, stream: &[Simulated], places: &[usize]) {
    for at in places {
        let show =
            format!("decision show {} --data-dir data --registry models --replay --json", stream[*at].id);
        let shown: Value = serde_json::from_str(&succeed(&bench.folder, &show)).unwrap();
        assert_eq!(shown["replay"]["identical"], true, "{shown}");
    }
}

#[test]
fn what_cannot_be_promoted_is_refused_and_changes_nothing() {
    let bench = Bench::new("models_refused");
    let [first, _] = &bench.models;
    let service = bench.setup().start();
    let mut client = service.client();
    let own = format!("/v1/models/{first}/promote");
    let decided = client.post("/v1/transactions", numbered(0)).ok().json();
    assert_eq!(decided["score"], Value::Null, "without a champion rules alone decide");
    let nobody = client.post("/v1/models/nobody/promote", promotion("champion"));
    assert_eq!((nobody.status, nobody.problem_fields()), (404, vec!["id".to_string()]));
    let empty = client.post(&own, "{\"as\":\"king\"}");
    assert_eq!(
        (empty.status, empty.problem_fields()),
        (422, ["as", "reason", "by"].map(String::from).to_vec())
    );
    assert_eq!(client.post(&own, "as champion").status, 400);
    assert_eq!(client.post(&own, promotion("retired")).status, 409);
    client.post(&own, promotion("champion")).ok();
    let again = client.post(&own, promotion("champion"));
    assert_eq!((again.status, again.problem_fields()), (409, vec![]));
    assert!(client.post("/v1/transactions", numbered(1)).ok().json()["score"].is_f64());
    let history = bench.folder.join("models/card-handbook/promotions");
    assert_eq!(std::fs::read_dir(history).unwrap().count(), 1);
    service.stop();

    // A damaged registry is told, and what was loaded goes on.
    let service = bench.setup().start();
    let promotions = bench.folder.join("models/card-handbook/promotions");
    std::fs::write(promotions.join("00000002.json"), "{").unwrap();
    let mut client = service.client();
    wait_until("the health tells", || client.is_degraded());
    assert_eq!(client.get("/readyz").status, 200);
    assert!(client.post("/v1/transactions", numbered(2)).ok().json()["score"].is_f64());
    assert_eq!(client.get("/v1/models").status, 503);
    std::fs::remove_file(promotions.join("00000002.json")).unwrap();
    wait_until("it is well again", || !client.is_degraded());
    service.stop();
}

#[test]
fn a_model_file_is_no_registry() {
    let bench = Bench::new("models_file");
    let model = bench.folder.join("0.model").display().to_string();
    let service = Setup::new(&bench.folder.join("data")).with("REDFLAG_MODEL", model).start();
    let mut client = service.client();
    let listed = client.get("/v1/models").ok().json();
    assert_eq!(roles(&listed), [(bench.models[0].clone(), "champion".to_string())].into());
    assert_eq!(listed["models"][0]["promotion"], Value::Null);
    let refused = client.post(&format!("/v1/models/{}/promote", bench.models[0]), promotion("champion"));
    assert_eq!(refused.status, 409);
    assert!(refused.json()["detail"].as_str().unwrap().contains("model = \"registry\""));
    service.stop();
}

/// A champion that the detector has outgrown is no reason to start with another.
#[test]
fn a_champion_that_does_not_fit_any_more_stops_the_start() {
    let bench = Bench::new("models_outgrown");
    bench.model(&format!("promote {}", bench.models[0]));
    let text = include_str!("../../../../detectors/card-handbook.toml");
    let other = bench.folder.join("other.toml");
    std::fs::write(&other, text.replace("as_features = [\"amount\"]", "")).unwrap();
    let output = run(&mut bench.setup().with("REDFLAG_DETECTOR", other.display().to_string()).command());
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && errors.contains("was trained on the feature list"), "{errors}");
}
