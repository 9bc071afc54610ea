//! The service on PostgreSQL, and `redflag store`.

use std::path::Path;

use postgres::{Client, NoTls};
use serde_json::Value;

use super::events::{label, numbered};
use super::process::{Setup, folder, redflag, run, succeed};

/// A database of the test's own on the server that `DATABASE_URL` names; gone with the value.
struct TestDatabase {
    server: String,
    name: String,
}

impl TestDatabase {
    /// `None`, and a line that says so, where there is no server.
    fn new(test: &str) -> Option<TestDatabase> {
        let Ok(server) = std::env::var("DATABASE_URL") else {
            println!("NOT RUN: the service on PostgreSQL: DATABASE_URL is not set (scripts/postgres start)");
            return None;
        };
        let database = TestDatabase { server, name: format!("redflag_service_{test}") };
        database.execute(&["DROP DATABASE IF EXISTS", "CREATE DATABASE"]);
        Some(database)
    }

    fn url(&self) -> String {
        let (server, query) = self.server.split_once('?').unwrap_or((&self.server, ""));
        format!("{}/{}?{query}", server.rsplit_once('/').unwrap().0, self.name)
    }

    fn execute(&self, statements: &[&str]) {
        let mut client = Client::connect(&self.server, NoTls).unwrap();
        for statement in statements {
            let force = if statement.starts_with("DROP") { "WITH (FORCE)" } else { "" };
            client.execute(&format!("{statement} {} {force}", self.name), &[]).unwrap();
        }
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.execute(&["DROP DATABASE IF EXISTS"]);
        }
    }
}

fn json(folder: &Path, arguments: &str) -> Value {
    serde_json::from_str(&succeed(folder, arguments)).unwrap()
}

/// Killed between its answers, it goes on where it was; everything is copied to a file that says the same.
#[test]
fn on_postgresql_it_survives_kills_and_moves_to_a_file() {
    let Some(database) = TestDatabase::new("kills") else { return };
    let folder = folder("on_postgresql");
    let setup = Setup::new(&folder.join("data")).with("REDFLAG_DATABASE", database.url());
    for round in 0..4 {
        let service = setup.start();
        let mut client = service.client();
        for number in round * 50..round * 50 + 60 {
            let answer = client.post("/v1/transactions", numbered(number)).ok();
            let again = number < round * 50 + 10 && round > 0;
            assert_eq!(answer.header("idempotent-replayed").is_some(), again, "{number} in round {round}");
        }
        client.post("/v1/labels", label(&format!("n{}", round * 50), true)).ok();
        client.post("/v1/transactions", "{}");
        if round == 3 {
            service.stop();
        } else {
            service.kill();
        }
    }
    assert!(!setup.database().exists(), "no file beside the server");
    let url = database.url();
    let moved = json(&folder, &format!("store migrate --from {url} --to moved.db --json"));
    assert_eq!((&moved["identical"], &moved["to"][1]["rows"]), (&true.into(), &210.into()), "{moved}");
    let shown =
        json(&folder, &format!("decision show n150 --replay --json --data-dir data --database {url}"));
    assert_eq!(shown["replay"]["identical"], true, "{shown}");
    let status = json(&folder, &format!("store status --json --database {url}"));
    assert_eq!((&status["shape"]["labels"], &status["totals"]["repeated"]), (&4.into(), &30.into()));
    assert!(
        !status.to_string().contains(url.split(['/', ':', '@']).nth(4).unwrap()),
        "no password: {status}"
    );
    let exported = json(&folder, "store export --database moved.db --out all.parquet --json");
    assert_eq!(exported["decisions"], 210);
    // The file goes on where the server ended.
    let moved =
        Setup::new(&folder.join("data")).with("REDFLAG_DATABASE", folder.join("moved.db").to_str().unwrap());
    let service = moved.start();
    let answer = service.client().post("/v1/transactions", numbered(500)).ok().json();
    assert_eq!(answer["sequence"], 214);
    service.stop();
}

#[test]
fn a_database_in_use_is_refused() {
    let Some(database) = TestDatabase::new("in_use") else { return };
    let folder = folder("in_use");
    let setup = |name: &str| Setup::new(&folder.join(name)).with("REDFLAG_DATABASE", database.url());
    let service = setup("first").start();
    for output in [
        run(&mut setup("second").command()),
        run(redflag().current_dir(&folder).args([
            "store",
            "migrate",
            "--from",
            "x.db",
            "--to",
            &database.url(),
        ])),
    ] {
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(!String::from_utf8_lossy(&output.stderr).contains("panic"));
    }
    let told = String::from_utf8(run(&mut setup("second").command()).stderr).unwrap();
    assert!(told.contains("in use by another redflag") && told.contains(":***@"), "{told}");
    service.stop();
}

#[test]
fn an_export_keeps_to_its_times() {
    let folder = folder("export");
    let setup = Setup::new(&folder.join("data"));
    let service = setup.start();
    let mut client = service.client();
    let times: Vec<String> = (0..20)
        .map(|number| client.post("/v1/transactions", numbered(number)).ok().json()["event_time"].to_string())
        .collect();
    client.post("/v1/labels", label("n7", true)).ok();
    service.stop();
    let (from, to) = (times[5].trim_matches('"'), times[12].trim_matches('"'));
    let lines = succeed(&folder, &format!("store export --data-dir data --out - --from {from} --to {to}"));
    let rows: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let ids: Vec<&str> = rows.iter().map(|row| row["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["n5", "n6", "n7", "n8", "n9", "n10", "n11"]);
    assert_eq!((&rows[2]["label"], &rows[1]["label"]), (&1.into(), &Value::Null));
    assert!(rows.iter().all(|row| row["customer_count_1d"].as_f64().unwrap() >= 1.0), "{}", rows[0]);
}

#[test]
fn wrong_databases_are_named() {
    let folder = folder("wrong_databases");
    for (arguments, code, told) in [
        ("store status --database absent.db", 1, "absent.db"),
        ("store status --database mysql://host/x", 2, "expected postgres://"),
        ("store status --database postgres://u:secret@127.0.0.1:1/x", 1, "postgres://u:***@127.0.0.1:1/x"),
        ("store migrate --from a.db --to a.db", 2, "another database"),
        ("store export --out x.parquet --from 2026-02-01 --to 2026-01-01", 2, "--from"),
    ] {
        let output = run(redflag().current_dir(&folder).args(arguments.split_whitespace()));
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments}: {errors}");
        assert!(errors.contains(told) && !errors.contains("secret"), "{arguments}: {errors}");
    }
    let setup = Setup::new(&folder.join("data"));
    let output = run(&mut setup.with("REDFLAG_DATABASE", "mysql://x").command());
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(errors.contains("REDFLAG_DATABASE"), "{errors}");
}
