//! Training again without a person, on what a real service has stored.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::client::Client;
use super::events::{Simulated, label, simulated};
use super::process::{self, Service, Setup, folder, redflag, run, succeed, wait_until};

/// About five weeks.
const ROWS: usize = 26_000;

/// A service whose champion knows little, and whose database holds weeks with labels.
struct Bench {
    folder: PathBuf,
    champion: String,
    stream: Vec<Simulated>,
}

impl Bench {
    fn new(test: &str) -> Bench {
        let folder = folder(test);
        let stream = simulated(&folder, ROWS, 400, 3);
        let train =
            "train --detector card-handbook --in stream.jsonl --train-to 2018-04-05 --trees 2 --max-depth 1";
        let done =
            succeed(&folder, &format!("{train} --out first.model --register --registry models --json"));
        let champion = serde_json::from_str::<Value>(&done).unwrap()["model"].as_str().unwrap().to_string();
        succeed(&folder, &format!("model promote {champion} --registry models --by tester --reason first"));
        Bench { folder, champion, stream }
    }

    fn setup(&self) -> Setup {
        let file = self.folder.join("redflag.toml");
        let text = "[retraining]\ntrain_weeks = 3\ntest_weeks = 1\nmin_frauds = 10\nshadow = \"none\"\n\
                    recipe = \"--trees 60\"\n[labels]\nmature_after = \"7d\"\n";
        std::fs::write(&file, text).unwrap();
        self.variables()
            .fold(Setup::new(&self.folder.join("data")), |setup, (name, value)| setup.with(name, value))
            .with_file(&file)
    }

    fn variables(&self) -> impl Iterator<Item = (&'static str, String)> {
        let registry = self.folder.join("models").display().to_string();
        [("REDFLAG_MODEL", "registry".to_string()), ("REDFLAG_REGISTRY", registry)].into_iter()
    }

    /// Posts the stream and labels its frauds.
    fn fill(&self, client: &mut Client) {
        for part in self.stream.chunks(2_000) {
            let lines: String = part.iter().map(|one| format!("{}\n", one.body)).collect();
            client.post("/v1/transactions/batch", lines).ok();
        }
        for one in self.stream.iter().filter(|one| one.fraud) {
            client.post("/v1/labels", label(&one.id, true)).ok();
        }
    }

    /// `redflag retrain ...` beside the service.
    fn retrain(&self, arguments: &str) -> Command {
        let mut command = redflag();
        command.current_dir(&self.folder).arg("retrain").args(arguments.split_whitespace());
        command.args(["--config", "redflag.toml"]).env("REDFLAG_DETECTOR", "card-handbook");
        command.env("REDFLAG_DATA_DIR", self.folder.join("data")).envs(self.variables());
        command
    }

    /// The same, with exit code and what it says of the run.
    fn step(&self, arguments: &str) -> (i32, Value) {
        let output = run(&mut self.retrain(&format!("{arguments} --json")));
        let shown = serde_json::from_slice(&output.stdout);
        (output.status.code().unwrap(), shown.unwrap_or_else(|_| panic!("{arguments}: {output:?}")))
    }
}

fn asked(by: &str) -> String {
    json!({ "by": by, "reason": "because" }).to_string()
}

fn newest(client: &mut Client) -> Value {
    client.get("/v1/retraining").ok().json()["runs"][0].clone()
}

fn wait_for(client: &mut Client, state: &str) -> Value {
    let mut run = Value::Null;
    wait_until(state, || {
        run = newest(client);
        assert_ne!((run["state"].as_str(), state == "failed"), (Some("failed"), false), "{run}");
        run["state"] == state
    });
    run
}

fn champion(service: &Service) -> Value {
    service.client().get("/v1/stats").ok().json()["model"].clone()
}

#[test]
fn a_better_challenger_takes_over_without_a_person() {
    let bench = Bench::new("retraining_promoted");
    let service = bench.setup().start();
    let mut client = service.client();
    bench.fill(&mut client);
    let policy =
        json!({ "basis": { "thresholds": { "review": 0.5, "decline": 0.9 } }, "daily_review_budget": 3 });
    let policy = json!({ "policy": policy, "by": "maria", "reason": "few people" }).to_string();
    client.send("PUT", "/v1/policy", policy.as_bytes()).unwrap().ok();
    let told = client.get("/v1/retraining").ok().json();
    assert_eq!(
        (&told["can_run"], &told["schedule"], &told["runs"]),
        (&json!(true), &Value::Null, &json!([]))
    );
    let started = client.post("/v1/retraining/runs", asked("maria"));
    assert_eq!((started.status, started.json()["trigger"].as_str()), (202, Some("maria: because")));
    let second = client.post("/v1/retraining/runs", asked("tom"));
    assert_eq!(second.status, 409, "one at a time: {}", second.text());
    let run = wait_for(&mut client, "promoted");
    let criteria = run["verdict"]["criteria"].as_array().unwrap();
    assert_eq!((criteria.len(), criteria.iter().all(|one| one["met"] == true)), (5, true), "{run}");
    assert_eq!(
        (run["verdict"]["champion"].as_str(), &run["progress"]),
        (Some(&*bench.champion), &json!(1.0))
    );
    wait_until("the service follows", || champion(&service) == run["model"]);
    // Rows are what matured: none of the last seven days, and of the rest all that went through or is labelled.
    assert!(run["figures"]["rows"].as_f64().unwrap() < ROWS as f64 * 0.85, "{run}");

    let shown = succeed(
        &bench.folder,
        &format!("model show {} --registry models --json", run["model"].as_str().unwrap()),
    );
    let shown: Value = serde_json::from_str(&shown).unwrap();
    let per_day = shown["facts"]["metrics"]["reviews_per_day"].as_f64();
    assert!(per_day.is_some_and(|per_day| per_day <= 3.0), "by the policy in force: {shown}");
    let last = shown["history"].as_array().unwrap().last().unwrap();
    assert_eq!(
        (&last["by"], &last["step"], &last["reason"]),
        (&json!("retraining"), &json!("champion"), &run["verdict"]["words"])
    );
    // The same again is no better: the same rows give the same model.
    wait_until("the next run starts", || client.post("/v1/retraining/runs", asked("maria")).status == 202);
    let again = wait_for(&mut client, "rejected");
    assert_eq!(again["detail"], "the challenger is the champion over again");
    service.stop();
}

#[test]
fn a_person_is_asked_and_may_refuse() {
    let bench = Bench::new("retraining_asked");
    let service = bench.setup().with("REDFLAG_RETRAINING_PROMOTE", "person").start();
    let mut client = service.client();
    bench.fill(&mut client);
    for (body, status) in [("{}", 422), ("by me", 400), ("{\"by\":\"a\",\"reason\":\"b\",\"c\":1}", 400)] {
        assert_eq!(client.post("/v1/retraining/runs", body).status, status, "{body}");
    }
    assert_eq!(client.post("/v1/retraining/runs/nobody/cancel", asked("maria")).status, 404);
    client.post("/v1/retraining/runs", asked("maria"));
    let run = wait_for(&mut client, "approval");
    let of = |run: &Value, what: &str| format!("/v1/retraining/runs/{}/{what}", run["id"].as_str().unwrap());
    let roles = |client: &mut Client| client.get("/v1/models").ok().json()["models"].to_string();
    assert!(roles(&mut client).contains("\"challenger\""), "it scores in the shadow");
    let cancelled = client.post(&of(&run, "cancel"), asked("maria")).ok().json();
    assert_eq!(
        (&cancelled["state"], &cancelled["detail"]),
        (&json!("cancelled"), &json!("cancelled by maria: because"))
    );
    assert!(!roles(&mut client).contains("\"challenger\""), "it does no longer");
    assert_eq!(client.post(&of(&run, "approve"), asked("maria")).status, 409);
    assert_eq!(champion(&service), json!(bench.champion));

    client.post("/v1/retraining/runs", asked("tom"));
    let run = wait_for(&mut client, "approval");
    let approved = client.post(&of(&run, "approve"), asked("maria")).ok().json();
    assert_eq!((&approved["state"], &approved["model"]), (&json!("promoted"), &champion(&service)));
    service.stop();
}

/// Killed in the middle, a run goes on after the restart, and what was done is not done again.
#[test]
fn a_run_survives_the_end_of_the_service() {
    let bench = Bench::new("retraining_killed");
    // It never matures that far: the run stays in the shadow.
    let setup = bench.setup().with("REDFLAG_RETRAINING_SHADOW", "1d");
    let service = setup.start();
    let mut client = service.client();
    bench.fill(&mut client);
    client.post("/v1/retraining/runs", asked("maria"));
    wait_until("it has begun", || newest(&mut client)["step"] != "collect");
    service.kill();
    let service = setup.start();
    let mut client = service.client();
    let run = wait_for(&mut client, "shadow");
    assert!(run["detail"].as_str().unwrap().contains("in the shadow until the event time"), "{run}");
    let folder = bench.folder.join("data/retraining").join(run["id"].as_str().unwrap());
    let rows = || std::fs::metadata(folder.join("rows.parquet")).unwrap().modified().unwrap();
    let collected = rows();
    service.stop();

    // By hand it has to wait as well, and nothing is done again.
    let arguments = format!("run --run {}", folder.display());
    let waits = process::run(bench.retrain(&arguments).env("REDFLAG_RETRAINING_SHADOW", "1d"));
    assert_eq!((waits.status.code(), rows()), (Some(75), collected));
    assert_eq!(bench.step(&format!("cancel --by tester --run {}", folder.display())).1["state"], "cancelled");
}

/// Each step as a command, as Airflow and cron call it.
#[test]
fn steps_are_commands_that_are_done_once() {
    let bench = Bench::new("retraining_steps");
    let service = bench.setup().start();
    bench.fill(&mut service.client());
    let mut done = Vec::new();
    for step in ["collect", "train", "evaluate", "register", "judge", "promote"] {
        let (code, run) = bench.step(&format!("{step} --run runs/1"));
        done.push(json!(step));
        assert_eq!((code, &run["done"], &run["id"]), (0, &json!(done), &json!("1")), "{step}: {run}");
    }
    let (code, again) = bench.step("run --run runs/1");
    assert_eq!((code, again["state"].as_str()), (0, Some("promoted")));
    assert!(again["figures"]["average_precision"].as_f64().unwrap() > 0.1, "{again}");
    let rows = bench.step("collect --out rows.parquet").1;
    assert_eq!(rows["counts"]["rows"], again["figures"]["rows"]);
    let verdict: Value =
        serde_json::from_slice(&std::fs::read(bench.folder.join("runs/1/verdict.json")).unwrap()).unwrap();
    assert_eq!(verdict["promote"], true);
    service.stop();

    // Nothing to learn from, and nobody to tell: the run says so and can be tried again.
    let (code, failed) = bench.step_with("run --run runs/2", "REDFLAG_RETRAINING_TEST_WEEKS", "500");
    assert_eq!(
        (code, failed["state"].as_str(), failed["step"].as_str()),
        (1, Some("failed"), Some("collect"))
    );
    assert!(
        failed["detail"].as_str().unwrap().contains("do not reach back before the last 500 weeks"),
        "{failed}"
    );
    let (code, _) = bench.step("collect --run runs/2");
    assert_eq!(code, 0);
    let wrong = run(bench.retrain("run --run runs/3").env("REDFLAG_RETRAINING_RECIPE", "--tress 3"));
    assert_eq!(wrong.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("unexpected argument '--tress'"), "{wrong:?}");
}

/// A database that begins in the middle is filled up from a file.
#[test]
fn history_from_before_the_database_is_learnt_from_as_well() {
    let bench = Bench::new("retraining_also");
    let service = bench.setup().start();
    let mut client = service.client();
    let late = &bench.stream[ROWS / 2..];
    for part in late.chunks(2_000) {
        let lines: String = part.iter().map(|one| format!("{}\n", one.body)).collect();
        client.post("/v1/transactions/batch", lines).ok();
    }
    let (code, without) = bench.step("collect --run runs/1");
    assert_eq!((code, &without["figures"]["rows_also"]), (0, &Value::Null));
    let (code, with) = bench.step("train --run runs/2 --also stream.jsonl");
    assert_eq!(
        (code, with["stretch"][1].as_str()),
        (0, without["stretch"][1].as_str()),
        "the same test: {with}"
    );
    let [also, rows, learnt] =
        ["rows_also", "rows", "train_rows"].map(|name| with["figures"][name].as_f64().unwrap());
    assert!(also > 5_000.0 && learnt > also && learnt < also + rows, "{with}");
    assert!(with["stretch"][0].as_str() < without["stretch"][0].as_str(), "{with}");
    service.stop();
}

impl Bench {
    fn step_with(&self, arguments: &str, variable: &str, value: &str) -> (i32, Value) {
        let output = run(self.retrain(&format!("{arguments} --json")).env(variable, value));
        (output.status.code().unwrap(), serde_json::from_slice(&output.stdout).unwrap())
    }
}

/// The DAG in a real Airflow, from its first task to its last.
#[test]
#[ignore = "it takes Airflow: scripts/test runs it as a suite of its own"]
fn airflow_trains_judges_and_promotes() {
    let bench = Bench::new("retraining_airflow");
    let service = bench.setup().start();
    bench.fill(&mut service.client());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/airflow");
    let mut command = bench.retrain("");
    let environment: Vec<_> =
        command.get_envs().map(|(name, value)| (name.to_owned(), value.map(ToOwned::to_owned))).collect();
    command = Command::new(script);
    command.args(["dag-test", "{\"approval\": \"rule\"}"]);
    for (name, value) in environment {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
        .env("REDFLAG_BIN", env!("CARGO_BIN_EXE_redflag"))
        .env("REDFLAG_CONFIG", bench.folder.join("redflag.toml"));
    command.env("REDFLAG_RUNS", bench.folder.join("runs"));
    let output = run(&mut command);
    let said =
        format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    let folder = std::fs::read_dir(bench.folder.join("runs")).unwrap().next().unwrap().unwrap().path();
    let run: Value = serde_json::from_slice(&std::fs::read(folder.join("run.json")).unwrap()).unwrap();
    assert_eq!(
        (run["state"].as_str(), run["trigger"].as_str()),
        (Some("promoted"), Some("airflow")),
        "{said}"
    );
    wait_until("the service follows", || champion(&service) == run["model"]);
    service.stop();
}
