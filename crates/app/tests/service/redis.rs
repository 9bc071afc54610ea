//! What others read in Redis, and a Redis that is slow or gone: decisions go on.

use std::collections::HashMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use redis::{Client as RedisClient, Connection};
use serde_json::Value;

use super::client::Client;
use super::events::{label, numbered, simulated, transaction};
use super::process::{Service, Setup, folder, redflag, run, wait_until};

/// The Redis of the test run; `None`, and said so, if there is none.
fn shared_redis() -> Option<String> {
    let url = std::env::var("REDIS_URL").ok().filter(|url| !url.is_empty());
    if url.is_none() {
        not_run("REDIS_URL is not set (scripts/redis start)");
    }
    url
}

/// `make test` gathers these lines.
fn not_run(why: &str) {
    eprintln!("NOT RUN: tests with Redis: {why}");
}

/// A Redis of the test's own, which can be stopped, held and brought back at the same place.
struct OwnRedis {
    program: PathBuf,
    folder: PathBuf,
    port: u16,
    child: Child,
}

impl OwnRedis {
    fn start(folder: &Path) -> Option<OwnRedis> {
        OwnRedis::start_with(folder, &[])
    }

    fn start_with(folder: &Path, options: &[&str]) -> Option<OwnRedis> {
        let paths = std::env::var_os("PATH").unwrap_or_default();
        let programs = std::env::split_paths(&paths)
            .flat_map(|folder| ["redis-server", "valkey-server"].map(|name| folder.join(name)));
        let Some(program) = programs.into_iter().find(|program| program.is_file()) else {
            not_run("neither redis-server nor valkey-server is installed");
            return None;
        };
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = launch(&program, folder, port, options);
        let redis = OwnRedis { program, folder: folder.to_path_buf(), port, child };
        redis.await_ready();
        Some(redis)
    }

    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    fn await_ready(&self) {
        wait_until("Redis answers", || {
            let connection = RedisClient::open(self.url()).unwrap().get_connection();
            connection.is_ok_and(|mut connection| redis::cmd("PING").exec(&mut connection).is_ok())
        });
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn start_again(&mut self) {
        self.child = launch(&self.program, &self.folder, self.port, &[]);
        self.await_ready();
    }

    /// `STOP` or `CONT`.
    fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status();
        assert!(sent.unwrap().success());
    }
}

impl Drop for OwnRedis {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn launch(program: &Path, folder: &Path, port: u16, options: &[&str]) -> Child {
    let mut command = Command::new(program);
    command.args(["--bind", "127.0.0.1", "--save", "", "--port", &port.to_string(), "--dir"]).arg(folder);
    command.args(options);
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

fn connect(url: &str) -> Connection {
    RedisClient::open(url).unwrap().get_connection().unwrap()
}

fn hash(connection: &mut Connection, kind: &str, id: &str) -> HashMap<String, String> {
    redis::cmd("HGETALL").arg(format!("redflag:card-handbook:{kind}:{id}")).query(connection).unwrap()
}

/// The part of the health page.
fn part(client: &mut Client) -> Value {
    let health = client.get("/v1/health").ok().json();
    let parts = health["parts"].as_array().unwrap();
    parts.iter().find(|part| part["name"] == "redis").unwrap().clone()
}

fn detail(client: &mut Client) -> String {
    part(client)["detail"].as_str().unwrap().to_string()
}

fn await_written(client: &mut Client) {
    wait_until("everything is written", || {
        let part = part(client);
        part["status"] == "ok" && part["detail"].as_str().unwrap().contains(" 0 entities wait")
    });
}

/// Compares what Redis holds of an entity with what the engine holds.
fn assert_same(client: &mut Client, connection: &mut Connection, kind: &str, id: &str) {
    let held = client.get(&format!("/v1/entities/{kind}/{id}")).ok().json();
    assert_eq!(held["source"], "engine");
    let written = hash(connection, kind, id);
    assert_eq!(held["event_time"], Value::from(written["event_time"].clone()), "{kind} {id}");
    let features = held["features"].as_array().unwrap();
    assert_eq!(features.len() + 1, written.len(), "{written:?}");
    for feature in features {
        let text = &written[feature["name"].as_str().unwrap()];
        let value = text.parse::<f64>().map_or(Value::Null, Value::from);
        assert_eq!(feature["value"].as_f64(), value.as_f64(), "{kind} {id}: {}", feature["name"]);
    }
}

fn start(name: &str, url: &str) -> (Setup, Service) {
    let setup = Setup::new(&folder(name).join("data")).with("REDFLAG_REDIS", url);
    let service = setup.start();
    (setup, service)
}

#[test]
fn others_read_what_the_engine_holds() {
    let Some(url) = shared_redis() else { return };
    let (_, service) = start("redis_written", &url);
    let mut client = service.client();
    let events = simulated(&folder("redis_events"), 600, 12, 5);
    // Out of order by a day at the most: some are late, some too late.
    for event in events.chunks(3).flat_map(|three| three.iter().rev()) {
        client.post("/v1/transactions", &event.body).ok();
    }
    for event in events.iter().take(200) {
        client.post("/v1/labels", label(&event.id, event.fraud)).ok();
    }
    let last = transaction("redis-last", "2018-05-10T12:00:00Z", "redis-customer", "redis-terminal");
    let summary = client.post("/v1/transactions", last).ok().json();
    await_written(&mut client);
    let mut connection = connect(&url);
    let customers: std::collections::HashSet<&str> =
        events.iter().map(|event| event.customer.trim_matches('"')).collect();
    for customer in customers {
        assert_same(&mut client, &mut connection, "customer_id", customer);
    }
    for terminal in [Value::from("redis-terminal")].into_iter().chain(terminals(&events)) {
        let id = terminal.as_str().map_or(terminal.to_string(), str::to_string);
        assert_same(&mut client, &mut connection, "terminal_id", &id);
    }
    let key = "redflag:card-handbook:decision:redis-customer";
    let written: String = redis::cmd("GET").arg(key).query(&mut connection).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&written).unwrap(), summary);
    for key in [key, "redflag:card-handbook:customer_id:redis-customer"] {
        let ttl_s: i64 = redis::cmd("TTL").arg(key).query(&mut connection).unwrap();
        assert!((7 * 86_400 - 600..=7 * 86_400).contains(&ttl_s), "{key}: {ttl_s} s");
    }
    service.stop();
}

fn terminals(events: &[super::events::Simulated]) -> impl Iterator<Item = Value> {
    let all: HashMap<String, Value> = events
        .iter()
        .map(|event| serde_json::from_str::<Value>(&event.body).unwrap()["terminal_id"].clone())
        .map(|terminal| (terminal.to_string(), terminal))
        .collect();
    all.into_values().take(20)
}

#[test]
fn an_entity_that_is_not_held_here_is_read_from_redis() {
    let Some(url) = shared_redis() else { return };
    let (_, first) = start("redis_first", &url);
    let mut client = first.client();
    client.post("/v1/transactions", transaction("e1", "2018-04-01T12:00:00Z", "else/where", "t")).ok();
    let held = client.get("/v1/entities/customer/else%2Fwhere").ok().json();
    assert_eq!((&held["kind"], &held["id"]), (&"customer_id".into(), &"else/where".into()));
    // What waits is written before the end.
    first.stop();
    let (_, second) = start("redis_second", &url);
    let mut client = second.client();
    let read = client.get("/v1/entities/customer_id/else%2Fwhere").ok().json();
    assert_eq!(read["source"], "redis");
    let features = |document: &Value| -> HashMap<String, Option<f64>> {
        let features = document["features"].as_array().unwrap().iter();
        features.map(|one| (one["name"].to_string(), one["value"].as_f64())).collect()
    };
    assert_eq!(features(&read), features(&held));
    assert_eq!(read["event_time"], held["event_time"]);
    second.stop();
}

#[test]
fn entities_need_no_redis() {
    let service = Setup::new(&folder("entities").join("data")).start();
    let mut client = service.client();
    for second in [1, 2] {
        let time = format!("2018-04-01T12:00:0{second}Z");
        client.post("/v1/transactions", transaction(&format!("e{second}"), &time, "c", "t")).ok();
    }
    let held = client.get("/v1/entities/terminal/t").ok().json();
    assert_eq!(held["event_time"], "2018-04-01T12:00:02Z");
    let features = held["features"].as_array().unwrap();
    assert!(features.iter().all(|one| one["name"].as_str().unwrap().starts_with("terminal_")), "{held}");
    let answer = client.get("/v1/entities/customer/nobody");
    assert_eq!((answer.status, answer.problem_fields()), (404, vec!["id".to_string()]));
    let answer = client.get("/v1/entities/shop/t");
    assert_eq!((answer.status, answer.problem_fields()), (422, vec!["kind".to_string()]));
    assert!(answer.text().contains("one of customer_id, terminal_id"), "{}", answer.text());
    let health = client.get("/v1/health").ok().json();
    let redis = health["parts"].as_array().unwrap().iter().find(|part| part["name"] == "redis").unwrap();
    assert_eq!(redis["status"], "off", "{health}");
    service.stop();
}

#[test]
fn a_redis_that_is_gone_costs_freshness_and_no_decision() {
    let folder = folder("redis_gone");
    let Some(mut server) = OwnRedis::start(&folder) else { return };
    let (_, service) = start("redis_gone_service", &server.url());
    let mut client = service.client();
    client.post("/v1/transactions", numbered(0)).ok();
    await_written(&mut client);
    server.kill();
    for number in 1..200 {
        client.post("/v1/transactions", numbered(number)).ok();
    }
    wait_until("the health page says so", || detail(&mut client).starts_with("gone since "));
    assert_eq!(client.get("/v1/health").json()["status"], "degraded");
    assert_eq!(client.get("/readyz").status, 200, "decisions go on");
    let answer = client.get("/v1/entities/customer/stranger");
    assert_eq!(answer.status, 503, "nobody knows: {answer:?}");
    server.start_again();
    await_written(&mut client);
    assert!(!client.is_degraded());
    let mut connection = connect(&server.url());
    for number in 1..97 {
        assert_same(&mut client, &mut connection, "customer_id", &format!("c{number}"));
    }
    service.stop();
}

#[test]
fn a_redis_that_hangs_delays_no_decision() {
    let folder = folder("redis_hangs");
    let Some(server) = OwnRedis::start(&folder) else { return };
    let (_, service) = start("redis_hangs_service", &server.url());
    let mut client = service.client();
    client.post("/v1/transactions", numbered(0)).ok();
    await_written(&mut client);
    server.signal("STOP");
    // It is held all the while: whatever is answered did not wait for it.
    let mut number = 1;
    for said in ["slow: ", "gone since "] {
        wait_until(said, || {
            client.post("/v1/transactions", numbered(number)).ok();
            number += 1;
            detail(&mut client).starts_with(said)
        });
    }
    assert_eq!(client.get("/v1/health").json()["status"], "degraded");
    for _ in 0..100 {
        client.post("/v1/transactions", numbered(number)).ok();
        number += 1;
    }
    assert_eq!(client.get("/readyz").status, 200, "decisions go on");
    server.signal("CONT");
    await_written(&mut client);
    let mut connection = connect(&server.url());
    for customer in 0..number.min(97) {
        assert_same(&mut client, &mut connection, "customer_id", &format!("c{customer}"));
    }
    service.stop();
}

#[test]
fn a_service_ends_while_redis_hangs() {
    let folder = folder("redis_hangs_at_the_end");
    let Some(server) = OwnRedis::start(&folder) else { return };
    let (_, service) = start("redis_hangs_at_the_end_service", &server.url());
    server.signal("STOP");
    let mut client = service.client();
    client.post("/v1/transactions", numbered(0)).ok();
    service.stop();
}

/// A key that somebody else uses for something else is left alone, counted, and in nobody's way.
#[test]
fn a_key_that_holds_something_else_is_passed_over() {
    let folder = folder("redis_wrong_type");
    let Some(server) = OwnRedis::start(&folder) else { return };
    let mut connection = connect(&server.url());
    redis::cmd("SET").arg("redflag:card-handbook:customer_id:c0").arg("mine").exec(&mut connection).unwrap();
    let (_, service) = start("redis_wrong_type_service", &server.url());
    let mut client = service.client();
    for number in 0..3 {
        client.post("/v1/transactions", numbered(number)).ok();
    }
    wait_until("it is counted", || {
        detail(&mut client).contains(" 0 entities wait") && detail(&mut client).contains("1 dropped")
    });
    assert_same(&mut client, &mut connection, "customer_id", "c1");
    service.stop();
}

#[test]
fn redis_over_tls_is_written_where_its_certificate_is_trusted() {
    let folder = folder("redis_tls");
    let Some((certificate, key)) = make_certificate(&folder) else { return };
    let tls_port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let options = [
        "--tls-port",
        &tls_port.to_string(),
        "--tls-cert-file",
        &certificate,
        "--tls-key-file",
        &key,
        "--tls-auth-clients",
        "no",
        "--tls-ca-cert-file",
        &certificate,
    ];
    let Some(server) = OwnRedis::start_with(&folder, &options) else { return };
    let url = format!("rediss://127.0.0.1:{tls_port}");
    let setup = |name: &str| Setup::new(&folder.join(name)).with("REDFLAG_REDIS", &url);
    let service = setup("trusts").with("SSL_CERT_FILE", &certificate).start();
    let mut client = service.client();
    client.post("/v1/transactions", numbered(0)).ok();
    await_written(&mut client);
    assert_same(&mut client, &mut connect(&server.url()), "customer_id", "c0");
    service.stop();
    let service = setup("does_not_trust").start();
    let mut client = service.client();
    wait_until("it is refused", || detail(&mut client).contains("certificate"));
    service.stop();
}

/// A certificate for this machine that signs itself, and its key.
fn make_certificate(folder: &Path) -> Option<(String, String)> {
    let path = |name: &str| folder.join(name).to_str().unwrap().to_string();
    let (certificate, key) = (path("redis.crt"), path("redis.key"));
    let mut command = Command::new("openssl");
    command.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]);
    command.args(["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", &key, "-out", &certificate]);
    let Ok(output) = command.output() else {
        not_run("over TLS: openssl is not installed");
        return None;
    };
    assert!(output.status.success(), "{output:?}");
    Some((certificate, key))
}

#[test]
fn a_wrong_url_is_told_without_its_password() {
    let setup = Setup::new(&folder("redis_url").join("data"))
        .with("REDFLAG_REDIS", "http://:secret@host:1")
        .with("REDFLAG_REDIS_TTL", "soon");
    let output = run(&mut setup.command());
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("http://***@host:1") && !text.contains("secret"), "{text}");
    assert!(text.contains("REDFLAG_REDIS_TTL") && text.contains("as 12h or 7d"), "{text}");
    let help = run(redflag().args(["serve", "--print-config"]));
    assert!(String::from_utf8(help.stdout).unwrap().contains("redis_ttl = \"7d\""));
}
