//! Synthetic transactions on demand: into the answer, into files, down the live stream; bounded, cancelled, watched.

use std::path::Path;
use std::time::Duration;

use lab::synth::fit;
use lab::synth::generator::{Method, Subject};
use lab::synth::table::EventTable;
use serde_json::{Value, json};

use super::client::{Answer, Client};
use super::events::numbered;
use super::live::Viewer;
use super::process::{Service, Setup, folder, succeed, wait_until};

fn start(test: &str, detector: &str) -> Service {
    Setup::new(&folder(test).join("data")).with("REDFLAG_DETECTOR", detector).start()
}

fn generate(client: &mut Client, wanted: &Value) -> Answer {
    client.post("/v1/generate", wanted.to_string())
}

/// Asks until a job has ended; how it stands then.
fn ended(client: &mut Client, job: &Value) -> Value {
    let path = job["links"]["self"].as_str().unwrap();
    let mut told = Value::Null;
    wait_until("the job ends", || {
        told = client.get(path).ok().json();
        std::thread::sleep(Duration::from_millis(5));
        told["state"] != "running"
    });
    told
}

#[test]
fn rows_are_transactions_that_can_be_posted() {
    for detector in ["card", "card-handbook", "ulb", "paysim", "banking"] {
        let service = start(&format!("generate_rows_{detector}"), detector);
        let mut client = service.client();
        let wanted = json!({"rows": 300, "fraud_share": 0.1, "seed": 7});
        let made = generate(&mut client, &wanted).ok().json();
        let mark = format!("simulator:{detector}:7");
        assert_eq!((&made["synthetic"], &made["source"]["simulator"]), (&json!(mark), &json!(detector)));
        assert_eq!((&made["frauds"], &made["fraud_share"]), (&json!(30), &json!(0.1)), "{detector}");
        let rows = made["rows"].as_array().unwrap();
        assert_eq!(rows.len(), 300);
        let lines: String = rows.iter().map(|row| format!("{row}\n")).collect();
        let decided = client.post("/v1/transactions/batch", lines).ok().lines();
        for decision in &decided {
            assert_eq!(
                (&decision["synthetic"], &decision["late"]),
                (&json!(mark), &json!(false)),
                "{decision}"
            );
        }
        let again = json!({"rows": 300, "fraud_share": 0.1, "seed": 7, "start": made["start"]});
        assert_eq!(generate(&mut client, &again).ok().json(), made, "the same seed and start make the same");
        let other = json!({"rows": 300, "fraud_share": 0.1, "seed": 8, "start": made["start"]});
        assert_ne!(generate(&mut client, &other).ok().json()["rows"], made["rows"]);
        service.stop();
    }
}

#[test]
fn a_request_may_be_a_query_and_a_file_comes_whole_in_every_format() {
    let folder = folder("generate_file");
    let service = Setup::new(&folder.join("data")).start();
    let mut client = service.client();
    let mut summaries = Vec::new();
    for format in ["csv", "jsonl", "parquet"] {
        let path = format!("/generate?rows=5000&to=file&format={format}&seed=3&start=2026-01-05T00:00:00Z");
        let answer = client.post(&path, "").ok();
        let name = answer.header("content-disposition").unwrap();
        assert!(
            name.starts_with("attachment; filename=\"syn-") && name.ends_with(&format!(".{format}\"")),
            "{name}"
        );
        assert_eq!(answer.header("redflag-synthetic"), Some("simulator:card-handbook:3"));
        assert_eq!(answer.header("redflag-rows"), Some("5000"));
        std::fs::write(folder.join(format!("made.{format}")), &answer.body).unwrap();
        let read = succeed(
            &folder,
            &format!("features --detector card-handbook --in made.{format} --out {format}.csv --json"),
        );
        let read: Value = serde_json::from_str(&read).unwrap();
        assert_eq!((&read["events"], &read["rejected"]), (&json!(5_000), &json!(0)), "{format}");
        summaries.push(std::fs::read(folder.join(format!("{format}.csv"))).unwrap());
    }
    assert!(summaries.iter().all(|summary| *summary == summaries[0]), "the same rows in every format");
    let text = std::fs::read_to_string(folder.join("made.csv")).unwrap();
    assert!(text.lines().next().unwrap().ends_with(",synthetic"));
    assert!(text.lines().skip(1).all(|line| line.ends_with(",simulator:card-handbook:3")));
    let left: Vec<_> = std::fs::read_dir(folder.join("data/generated")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
    service.stop();
}

#[test]
fn a_job_sends_down_the_live_stream_marked_and_labelled() {
    let setup = Setup::new(&folder("generate_stream").join("data"));
    let service = setup.start();
    let mut client = service.client();
    // Real traffic that the synthetic must leave alone.
    client.post("/v1/transactions", numbered(0)).ok();
    let answer =
        generate(&mut client, &json!({"rows": 3_000, "fraud_share": 0.02, "to": "stream", "seed": 5}));
    assert_eq!(answer.status, 202, "{answer:?}");
    let job = answer.json();
    assert_eq!(answer.header("location"), job["links"]["self"].as_str());
    let done = ended(&mut client, &job);
    assert_eq!(
        (&done["state"], &done["done"], &done["rejected"]),
        (&json!("done"), &json!(3_000), &json!(0)),
        "{done}"
    );
    assert_eq!((&done["frauds"], &done["labels"]), (&json!(60), &json!(60)));
    let totals = client.get("/v1/stats").ok().json()["totals"].clone();
    assert_eq!((&totals["decisions"], &totals["synthetic"]["decisions"]), (&json!(3_001), &json!(3_000)));
    assert_eq!((&totals["labelled_fraud"], &totals["late"]), (&json!(60), &json!(0)));
    let page =
        client.get(&format!("{}&limit=1000", done["links"]["decisions"].as_str().unwrap())).ok().json();
    let items = page["items"].as_array().unwrap();
    let own = format!("syn-{}-", done["id"].as_str().unwrap());
    assert_eq!(items.len(), 1_000);
    for item in items {
        assert!(
            item["id"].as_str().unwrap().starts_with(&own) && item["key"].as_str().unwrap().starts_with(&own)
        );
        assert!(item["event_time"].as_str().unwrap() > "2018-04-01T00:00:00Z");
    }
    // The newest real event is of 2018, and the job goes on there.
    assert!(items[0]["event_time"].as_str().unwrap() < "2018-05-01T00:00:00Z", "{}", items[0]);
    let listed = client.get("/v1/generate").ok().json();
    assert_eq!(listed["items"], json!([done]));
    let id = items[0]["id"].as_str().unwrap().to_string();
    service.stop();
    let shown = succeed(
        setup.data_dir().parent().unwrap(),
        &format!("decision show {id} --data-dir data --detector card-handbook --replay --json"),
    );
    assert_eq!(serde_json::from_str::<Value>(&shown).unwrap()["replay"]["identical"], true, "{shown}");
}

#[test]
fn jobs_are_bounded_cancelled_and_watched() {
    let setup = Setup::new(&folder("generate_bounds").join("data")).with("REDFLAG_SYNTHETIC_JOBS", "1");
    let service = setup.start();
    let mut client = service.client();
    let mut viewer = Viewer::connect(service.address);
    assert_eq!(viewer.next()["generations"], json!([]));
    let endless = json!({"rows": 100_000, "to": "stream", "rate": 200.0});
    let job = generate(&mut client, &endless).json();
    let second = generate(&mut client, &json!({"rows": 5}));
    assert_eq!((second.status, second.header("retry-after")), (429, Some("5")), "{second:?}");
    assert!(second.problem_fields().is_empty());
    let mut seen = Vec::new();
    while seen.len() < 3 {
        let message = viewer.next();
        let Some(shown) = message["generations"].get(0) else { continue };
        assert_eq!(shown["id"], job["id"]);
        let done = shown["done"].as_u64().unwrap();
        if done > seen.last().copied().unwrap_or(0) {
            seen.push(done);
        }
    }
    let path = job["links"]["self"].as_str().unwrap().to_string();
    let cancelled = client.send("DELETE", &path, b"").unwrap().ok().json();
    assert_eq!(cancelled["state"], "cancelled");
    assert!(cancelled["done"].as_u64().unwrap() < 100_000);
    wait_until("the place is free again", || generate(&mut client, &json!({"rows": 5})).status == 200);
    let still = client.get(&path).ok().json();
    let again = client.send("DELETE", &path, b"").unwrap().ok().json();
    assert_eq!((&again, &again["ended_at"]), (&still, &cancelled["ended_at"]), "it stays as it ended");
    let decided = client.get("/v1/stats").ok().json()["totals"]["synthetic"]["decisions"].clone();
    assert_eq!(decided, still["done"], "what was sent was decided, and nothing after it");
    loop {
        let message = viewer.next();
        if message["generations"][0]["state"] == "cancelled" {
            break;
        }
    }
    let unknown = client.get("/v1/generate/none");
    assert_eq!((unknown.status, unknown.problem_fields()), (404, vec!["id".to_string()]));
    // A job does not hold the service up when it is to end.
    let job = generate(&mut client, &endless);
    assert_eq!(job.status, 202);
    service.stop();
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let service =
        Setup::new(&folder("generate_wrong").join("data")).with("REDFLAG_SYNTHETIC_ROWS", "500").start();
    let mut client = service.client();
    let mut fields = |wanted: Value| -> Vec<String> {
        let answer = generate(&mut client, &wanted);
        assert_eq!(answer.status, 422, "{answer:?}");
        let mut fields = answer.problem_fields();
        fields.sort();
        fields
    };
    assert_eq!(fields(json!({})), ["rows"]);
    assert_eq!(
        fields(json!({"rows": 0, "fraud_share": 1.5, "seed": -1, "to": "nowhere", "rate": 5, "color": 1})),
        ["color", "fraud_share", "rate", "rows", "seed", "to"]
    );
    assert_eq!(fields(json!({"rows": 10_001})), ["rows"]);
    assert_eq!(fields(json!({"rows": 501, "to": "file"})), ["rows"]);
    assert_eq!(
        fields(json!({"rows": 501, "to": "stream", "rate": 0, "start": "2026-01-01T00:00:00Z"})),
        ["rate", "rows", "start"]
    );
    assert_eq!(fields(json!({"rows": 5, "to": "file", "format": "xls"})), ["format"]);
    assert_eq!(fields(json!({"rows": 5, "format": "csv"})), ["format"]);
    assert_eq!(fields(json!({"rows": 5, "source": {"simulator": "paysim"}})), ["source.simulator"]);
    assert_eq!(fields(json!({"rows": 5, "source": {"generator": "../secret"}})), ["source.generator"]);
    assert_eq!(fields(json!({"rows": 5, "source": "card"})), ["source"]);
    assert_eq!(client.post("/v1/generate", "[]").status, 400);
    assert_eq!(client.post("/v1/generate", "x".repeat(20_000)).status, 413);
    assert_eq!(client.get("/v1/stats").json()["totals"]["decisions"], 0);
    service.stop();
}

/// What could not be marked is not made.
#[test]
fn a_detector_with_a_field_of_the_marks_name_gets_no_synthetic_transactions() {
    let folder = folder("generate_unmarkable");
    let handbook = include_str!("../../../../detectors/card-handbook.toml");
    let own = handbook.replace("terminal_id = \"id\" }", "terminal_id = \"id\", synthetic = \"bool\" }");
    assert_ne!(own, handbook);
    std::fs::write(folder.join("own.toml"), own).unwrap();
    let setup = Setup::new(&folder.join("data"));
    let service = setup.with("REDFLAG_DETECTOR", folder.join("own.toml").display().to_string()).start();
    let answer = generate(&mut service.client(), &json!({"rows": 5}));
    assert_eq!(answer.status, 422);
    assert!(answer.text().contains("declares a field `synthetic`"), "{}", answer.text());
    service.stop();
}

/// A generator that was fitted on simulated events: its rows between two of them.
fn fit_generator(path: &Path, detector: &str) -> String {
    let text = format!("../../detectors/{detector}.toml");
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(text)).unwrap();
    let detector = engine::Detector::parse(&text).unwrap();
    let schema = std::sync::Arc::new(detector.schema.clone());
    let settings = lab::simulate::Settings { rows: Some(3_000), customers: Some(50), ..Default::default() };
    let made = lab::simulate::simulator(&detector.name, &settings).unwrap();
    let mut block = lab::dataset::Block::new(&schema);
    let mut reader = lab::dataset::SimulatedReader::new(made, &schema);
    while reader.read_one(&mut block) {}
    let mut table = EventTable::new(&schema);
    table.push(&block.batch);
    let table = table.finish();
    let source = fit::Source { table: &table, subject: Subject::Events(detector.name.clone()), period: None };
    let go_on = |_: &fit::Progress| std::ops::ControlFlow::Continue(());
    let generator = fit::fit(&source, &fit::Settings::of(Method::Smote), None, &mut { go_on }).unwrap();
    generator.save(path).unwrap();
    generator.facts.id.clone()
}

#[test]
fn generators_of_the_folder_make_events_that_follow_the_live_stream() {
    let folder = folder("generate_generator");
    let generators = folder.join("generators");
    std::fs::create_dir_all(&generators).unwrap();
    let id = fit_generator(&generators.join("mine.gen"), "card-handbook");
    fit_generator(&generators.join("other.gen"), "banking");
    std::fs::write(generators.join("broken.gen"), "no generator").unwrap();
    let setup = Setup::new(&folder.join("data"))
        .with("REDFLAG_SYNTHETIC_GENERATORS", generators.display().to_string());
    let service = setup.start();
    let mut client = service.client();
    client.post("/v1/transactions", numbered(0)).ok();
    let wanted = json!({"rows": 400, "fraud_share": 0.25, "seed": 1, "source": {"generator": "mine"}});
    let made = generate(&mut client, &wanted).ok().json();
    assert_eq!((&made["synthetic"], &made["frauds"]), (&json!(id), &json!(100)), "{id}");
    assert_eq!(generate(&mut client, &wanted).ok().json(), made, "the same seed makes the same");
    let query = client.post("/v1/generate?rows=400&fraud_share=0.25&seed=1&generator=mine", "").ok().json();
    assert_eq!(query, made);
    let mut stream = wanted.clone();
    stream["to"] = json!("stream");
    let job = generate(&mut client, &stream).json();
    let done = ended(&mut client, &job);
    assert_eq!(
        (&done["state"], &done["done"], &done["rejected"]),
        (&json!("done"), &json!(400), &json!(0)),
        "{done}"
    );
    let page = client.get(&format!("/v1/decisions?synthetic={id}&limit=1000")).ok().json();
    let items = page["items"].as_array().unwrap();
    assert_eq!(items.len(), 400);
    let first = items[399]["event_time"].as_str().unwrap();
    assert!(("2018-04-01T00:00:00Z".."2018-04-02T00:00:01Z").contains(&first), "{first}");
    for (name, said) in [("other", "makes no events of card-handbook"), ("broken", "is no generator")] {
        let answer = generate(&mut client, &json!({"rows": 4, "source": {"generator": name}}));
        assert_eq!(answer.status, 422);
        assert!(answer.text().contains(said), "{}", answer.text());
    }
    let unknown = generate(&mut client, &json!({"rows": 4, "source": {"generator": "absent"}}));
    assert_eq!(unknown.problem_fields(), ["source.generator"]);
    assert!(unknown.text().contains("one of broken, mine, other"), "{}", unknown.text());
    service.stop();
}
