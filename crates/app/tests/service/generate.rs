//! Synthetic transactions on demand: into the answer, into files, down the live stream; bounded, cancelled, watched.

use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use lab::synth::fit;
use lab::synth::generator::{Generator, Method, Subject};
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

/// A fraud without a label would be learnt as genuine.
#[test]
fn a_job_that_is_cancelled_labels_the_frauds_that_it_sent() {
    let service = Setup::new(&folder("generate_cancelled").join("data")).start();
    let mut client = service.client();
    let wanted = json!({"rows": 5_000, "fraud_share": 0.5, "to": "stream", "rate": 500.0, "seed": 3});
    let job = generate(&mut client, &wanted).json();
    let path = job["links"]["self"].as_str().unwrap().to_string();
    wait_until("frauds were sent", || client.get(&path).ok().json()["frauds"].as_u64() > Some(20));
    let cancelled = client.send("DELETE", &path, b"").unwrap().ok().json();
    assert_eq!(cancelled["state"], "cancelled");
    let mut told = Value::Null;
    wait_until("all frauds are labelled", || {
        told = client.get(&path).ok().json();
        told["labels"] == told["frauds"]
    });
    assert!(told["done"].as_u64().unwrap() < 5_000, "{told}");
    assert_eq!((&told["state"], &told["ended_at"]), (&cancelled["state"], &cancelled["ended_at"]));
    let totals = client.get("/v1/stats").ok().json()["totals"].clone();
    assert_eq!((&totals["decisions"], &totals["labelled_fraud"]), (&told["done"], &told["frauds"]));
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
    let settings = fit::Settings::of(Method::Smote);
    let generator = train(detector, &settings, None, usize::MAX).unwrap();
    generator.save(path).unwrap();
    generator.facts.id.clone()
}

/// A training on simulated events, stopped after so many epochs.
fn train(
    detector: &str,
    settings: &fit::Settings,
    checkpoint: Option<&Path>,
    epochs: usize,
) -> anyhow::Result<Generator> {
    let text = format!("../../detectors/{detector}.toml");
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(text)).unwrap();
    let detector = engine::Detector::parse(&text).unwrap();
    let schema = std::sync::Arc::new(detector.schema.clone());
    let world = lab::simulate::Settings { rows: Some(3_000), customers: Some(50), ..Default::default() };
    let made = lab::simulate::simulator(&detector.name, &world).unwrap();
    let mut block = lab::dataset::Block::new(&schema);
    let mut reader = lab::dataset::SimulatedReader::new(made, &schema);
    while reader.read_one(&mut block) {}
    let mut table = EventTable::new(&schema);
    table.push(&block.batch);
    let table = table.finish();
    let source = fit::Source { table: &table, subject: Subject::Events(detector.name.clone()), period: None };
    let mut watch = |progress: &fit::Progress| match progress.epochs.0 < epochs {
        true => ControlFlow::Continue(()),
        false => ControlFlow::Break(()),
    };
    fit::fit(&source, settings, checkpoint, &mut watch)
}

/// Before, while and after it is trained.
#[test]
fn generators_are_listed_with_how_they_were_trained() {
    let folder = folder("generators_list");
    let generators = folder.join("generators");
    std::fs::create_dir_all(&generators).unwrap();
    let id = fit_generator(&generators.join("between.gen"), "card-handbook");
    fit_generator(&generators.join("other.gen"), "banking");
    std::fs::write(generators.join("broken.gen"), "no generator").unwrap();
    let setup = Setup::new(&folder.join("data"))
        .with("REDFLAG_SYNTHETIC_GENERATORS", generators.display().to_string());
    let service = setup.start();
    let mut client = service.client();
    let mut list = || client.get("/v1/generators").ok().json();
    let first = list();
    assert_eq!(first["simulator"], "card-handbook");
    let names = |list: &Value| -> Vec<String> {
        let listed = list["generators"].as_array().unwrap();
        listed.iter().map(|generator| generator["name"].as_str().unwrap().to_string()).collect()
    };
    assert_eq!(names(&first), ["between", "other"], "what is no generator is left out");
    let between = &first["generators"][0];
    assert_eq!((&between["id"], &between["method"]), (&json!(id), &json!("smote")));
    assert_eq!(
        (&between["rows"], &between["fits"], &between["training"]),
        (&json!(3_000), &json!(true), &json!(false))
    );
    assert!(between["seen_from"].as_str() < between["seen_to"].as_str(), "{between}");
    assert_eq!(first["generators"][1]["fits"], false, "another detector's events");
    let settings = fit::Settings { epochs: 4, batch: 100, ..fit::Settings::of(Method::WganGp) };
    let file = generators.join("new.gen");
    let checkpoint = generators.join("new.gen.checkpoint");
    assert!(train("card-handbook", &settings, Some(&checkpoint), 2).is_err(), "stopped");
    let training = list();
    assert_eq!(names(&training), ["between", "new", "other"]);
    let new = &training["generators"][1];
    assert_eq!((&new["training"], &new["epochs"], &new["fits"]), (&json!(true), &Value::Null, &json!(false)));
    assert_eq!((new["losses"].as_array().unwrap().len(), &new["losses"][1]["epoch"]), (2, &json!(2)));
    let trained = train("card-handbook", &settings, Some(&checkpoint), usize::MAX).unwrap();
    trained.save(&file).unwrap();
    std::fs::remove_file(&checkpoint).unwrap();
    let done = list();
    let new = &done["generators"][1];
    assert_eq!((&new["training"], &new["epochs"], &new["fits"]), (&json!(false), &json!(4), &json!(true)));
    assert_eq!(new["losses"].as_array().unwrap().len(), 4);
    let (epoch, distance) = trained.history.best().unwrap();
    assert_eq!(new["best_epoch"], epoch);
    let told_apart = new["told_apart"].as_array().unwrap();
    assert!(told_apart.contains(&json!({"epoch": epoch, "distance": distance})), "{told_apart:?}");
    // A checkpoint cannot be asked for rows.
    let wrong = client.post("/v1/generate?rows=3&generator=new.gen", "");
    assert_eq!(wrong.problem_fields(), ["source.generator"]);
    service.stop();
}

#[test]
fn made_transactions_of_the_store_are_put_beside_real_ones() {
    let folder = folder("generate_report");
    let service = Setup::new(&folder.join("data")).start();
    let mut client = service.client();
    let few = client.post("/v1/generate/report", "");
    assert_eq!(few.status, 409);
    assert!(few.text().contains("0 real transactions are stored: at least 100 are needed"), "{}", few.text());
    for (query, field) in
        [("rows=99", "rows"), ("rows=5001", "rows"), ("synthetic=false", "synthetic"), ("seed=1", "seed")]
    {
        let wrong = client.post(&format!("/v1/generate/report?{query}"), "");
        assert_eq!((wrong.status, wrong.problem_fields()), (422, vec![field.to_string()]), "{query}");
    }
    post_real(&mut client, 400);
    let few = client.post("/v1/generate/report", "");
    assert!(few.text().contains("0 synthetic transactions are stored"), "{}", few.text());
    let jobs = [7, 8].map(|seed| {
        let wanted = json!({"rows": 300, "fraud_share": 0.1, "seed": seed, "to": "stream"});
        let job = generate(&mut client, &wanted).json();
        ended(&mut client, &job)
    });
    assert!(jobs.iter().all(|job| job["labels"] == 30), "{jobs:?}");
    let report =
        client.post("/v1/generate/report?synthetic=simulator:card-handbook:7&rows=350", "").ok().json();
    assert_eq!(report["synthetic"], "simulator:card-handbook:7");
    assert_eq!((&report["real_rows"], &report["synthetic_rows"]), (&json!(350), &json!(300)));
    assert_eq!(report["figures"]["synthetic"], json!({"rows": 300, "frauds": 30}));
    assert_eq!(report["figures"]["real"], json!({"rows": 350, "frauds": 0}));
    assert!(report["figures"]["quality"].is_f64());
    let warnings = report["figures"]["warnings"].to_string();
    assert!(warnings.contains("350 real and 270 synthetic transactions have no label yet"), "{warnings}");
    let verdict = report["verdict"].as_array().unwrap();
    assert!(verdict.iter().all(|said| said.as_str().unwrap().contains("it for: ")
        || said.as_str().unwrap().starts_with("Cannot be told: ")));
    let pictures =
        report["columns"].as_array().unwrap().iter().chain([&report["principal"], &report["t_sne"]]);
    assert!(
        pictures.clone().count() > 3
            && pictures.into_iter().all(|svg| svg.as_str().unwrap().contains("var(--real,"))
    );
    let both = client.post("/v1/generate/report", "").ok().json();
    assert_eq!(both["synthetic"], "simulator:card-handbook:7, simulator:card-handbook:8");
    assert_eq!(both["synthetic_rows"], 600);
    // One at a time: whoever asks meanwhile is told to come back.
    let ask = || service.client().post("/v1/generate/report", "");
    let answers = std::thread::scope(|scope| {
        let asked = [(); 4].map(|()| scope.spawn(ask));
        asked.map(|asked| asked.join().unwrap())
    });
    let of = |status| answers.iter().filter(move |answer| answer.status == status);
    assert!(of(200).count() > 0 && of(429).count() > 0, "{answers:?}");
    assert_eq!(of(200).count() + of(429).count(), 4, "{answers:?}");
    assert!(of(429).all(|answer| answer.header("retry-after") == Some("5")));
    service.stop();
}

/// Transactions of a simulated world without its mark, as if they had happened.
fn post_real(client: &mut Client, rows: u32) {
    let made =
        generate(client, &json!({"rows": rows, "seed": 1, "start": "2018-04-01T00:00:00Z"})).ok().json();
    let mut lines = String::new();
    for row in made["rows"].as_array().unwrap() {
        let mut event = row.as_object().unwrap().clone();
        event.remove("synthetic").unwrap();
        lines += &format!("{}\n", Value::Object(event));
    }
    client.post("/v1/transactions/batch", lines).ok();
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
