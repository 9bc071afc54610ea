//! What is no transaction is answered with what is wrong, kept, counted, and costs nothing but that.

use std::io::Write;
use std::net::{Shutdown, SocketAddr};

use serde_json::Value;

use super::client::Client;
use super::dice::Dice;
use super::events::{FIELDS, numbered, transaction};
use super::process::{Setup, folder, wait_until};

const BODIES: usize = 10_000;
const CALLERS: usize = 4;
const MEMORY_GROWTH_MAX: u64 = 30 << 20;

/// A body that is no transaction, and the field at fault if there is just one.
struct Malformed {
    body: Vec<u8>,
    field: Option<&'static str>,
}

impl Malformed {
    fn whole(body: impl Into<Vec<u8>>) -> Malformed {
        Malformed { body: body.into(), field: Some("body") }
    }
}

/// Values that each field must refuse.
const WRONG: [(&str, &[&str]); 5] = [
    (
        "transaction_id",
        &["true", "[]", "{}", "null", "\"\"", "\" a\"", "1.5", "1e300", "\"a\\nb\"", "\"\\u0000\""],
    ),
    (
        "tx_datetime",
        &[
            "\"yesterday\"",
            "\"2018-13-01T00:00:00Z\"",
            "\"2018-04-01T25:00:00Z\"",
            "true",
            "[[]]",
            "1e300",
            "\"2018\"",
            "null",
        ],
    ),
    (
        "tx_amount",
        &["\"12\"", "-1", "-0.01", "1e300", "99999999999999999999999", "true", "[1]", "{\"a\":1}", "null"],
    ),
    ("customer_id", &["false", "[\"c\"]", "{}", "null", "\"\"", "0.5", "\"\\u001b[31m\"", "-1e20"]),
    ("terminal_id", &["false", "[[[[]]]]", "{\"t\":{}}", "null", "\"\\t\"", "2.25"]),
];

/// Literals that are no JSON.
const LITERALS: [&str; 8] = ["NaN", "Infinity", "-Infinity", "1e999", "nan", "0x10", "01", "'x'"];

/// Bodies that are no object at all, or none alone.
const NO_OBJECTS: [&str; 14] = [
    "",
    " ",
    "\n",
    "null",
    "true",
    "12",
    "\"text\"",
    "[]",
    "[{}]",
    "}",
    "{",
    "{\"a\"",
    "{} {}",
    "\u{feff}{}",
];

fn malformed(dice: &mut Dice, number: usize) -> Malformed {
    let valid = numbered(number);
    let (name, values) = *dice.pick(&WRONG);
    match dice.below(12) {
        0 => Malformed::whole(&valid.as_bytes()[..dice.below(valid.len())]),
        1 => {
            let mut body = valid.into_bytes();
            let at = dice.below(body.len());
            body[at] = 0xff;
            Malformed::whole(body)
        }
        2 | 3 => Malformed { body: with(&valid, name, dice.pick::<&str>(values)).into(), field: Some(name) },
        4 => Malformed::whole(with(&valid, name, dice.pick::<&str>(&LITERALS))),
        5 => Malformed { body: without(&valid, name).into(), field: Some(name) },
        6 => Malformed { body: twice(&valid, name).into(), field: Some(name) },
        7 => Malformed::whole(*dice.pick::<&str>(&NO_OBJECTS)),
        8 => {
            let depth = 1 + dice.below(20_000);
            Malformed::whole(with(&valid, name, &"[".repeat(depth)))
        }
        9 => {
            let depth = 1 + dice.below(20_000);
            let nested = "[".repeat(depth) + &"]".repeat(depth);
            Malformed { body: with(&valid, name, &nested).into(), field: None }
        }
        10 => {
            let long = format!("\"{}\"", "x".repeat(300 + dice.below(30_000)));
            Malformed { body: with(&valid, name, &long).into(), field: Some(name) }
        }
        _ => {
            let length = 1 + dice.below(200);
            Malformed::whole((0..length).map(|_| dice.next() as u8).collect::<Vec<u8>>())
        }
    }
}

/// The text of a field's value in a valid transaction.
fn value_of<'a>(valid: &'a str, name: &str) -> &'a str {
    let from = valid.find(&format!("\"{name}\":")).unwrap() + name.len() + 3;
    let end = valid[from..].find([',', '}']).unwrap();
    // A time has no comma or bracket in it either.
    &valid[from..from + end]
}

fn with(valid: &str, name: &str, value: &str) -> String {
    let old = format!("\"{name}\":{}", value_of(valid, name));
    valid.replacen(&old, &format!("\"{name}\":{value}"), 1)
}

fn without(valid: &str, name: &str) -> String {
    let old = format!("\"{name}\":{}", value_of(valid, name));
    valid.replacen(&old, "\"other\":1", 1)
}

fn twice(valid: &str, name: &str) -> String {
    let again = format!("{{\"{name}\":{},", value_of(valid, name));
    valid.replacen('{', &again, 1)
}

#[test]
fn ten_thousand_malformed_bodies_are_answered_kept_and_forgotten() {
    let mut dice = Dice::announced("malformed");
    let setup = Setup::new(&folder("malformed").join("data"));
    let service = setup.start();
    // The same again and again first, so that buffers have grown to their size.
    send_malformed(service.address, Dice::new(1), BODIES / 5);
    let before = service.memory_bytes();
    std::thread::scope(|scope| {
        for _ in 0..CALLERS {
            let dice = Dice::new(dice.next());
            scope.spawn(|| send_malformed(service.address, dice, BODIES / CALLERS));
        }
    });
    if let (Some(before), Some(after)) = (before, service.memory_bytes()) {
        println!("memory before {} KiB, after {} KiB", before >> 10, after >> 10);
        assert!(after < before + MEMORY_GROWTH_MAX, "memory grew from {before} to {after} bytes");
    }
    assert!(service.is_alive());
    let sent = BODIES / 5 + BODIES;
    let mut client = service.client();
    assert_eq!(client.get("/v1/stats").json()["totals"]["rejected"], sent);
    assert_eq!(client.get("/v1/stats").json()["totals"]["decisions"], 0);
    client.post("/v1/transactions", numbered(1)).ok();
    service.stop();
    let stored = rejections(&setup);
    assert_eq!(stored.len(), sent);
    assert!(
        stored
            .iter()
            .all(|(reason, raw)| !reason.is_empty() && reason.len() <= 2_048 && raw.len() <= 3 * 2_048)
    );
}

fn send_malformed(address: SocketAddr, mut dice: Dice, count: usize) {
    let mut client = Client::new(address);
    for number in 0..count {
        let malformed = malformed(&mut dice, number);
        let shown = String::from_utf8_lossy(&malformed.body[..malformed.body.len().min(300)]).into_owned();
        let answer = client.post("/v1/transactions", &malformed.body);
        assert!(matches!(answer.status, 400 | 422), "{shown}: {answer:?}");
        let fields = answer.problem_fields();
        assert!(!fields.is_empty(), "{shown}: {answer:?}");
        if let Some(field) = malformed.field {
            assert!(fields.iter().any(|found| found == field), "{shown}: {answer:?}");
        }
        assert_eq!(answer.status == 400, fields == ["body"], "{shown}: {answer:?}");
    }
}

/// Reasons and raw texts as they are kept.
fn rejections(setup: &Setup) -> Vec<(String, String)> {
    let database = rusqlite::Connection::open(setup.database()).unwrap();
    let mut statement = database.prepare("SELECT reason, raw FROM rejections ORDER BY id").unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

#[test]
fn bodies_that_are_too_large_are_refused_before_they_are_read() {
    let setup = Setup::new(&folder("too_large").join("data"));
    let service = setup.start();
    let mut client = service.client();
    let deep = "[".repeat(100_000);
    let ten_megabytes = format!("{{\"transaction_id\":\"{}\"}}", "x".repeat(10 << 20));
    for path in ["/v1/transactions", "/predict", "/v1/labels"] {
        for body in [&deep, &ten_megabytes] {
            let answer = client.post(path, body);
            assert_eq!((answer.status, answer.problem_fields()), (413, vec!["body".to_string()]), "{path}");
        }
    }
    let many_lines = "{}\n".repeat(100_001);
    let batches = [many_lines.as_bytes(), &[b' '; (16 << 20) + 1]];
    for body in batches {
        let answer = client.post("/v1/transactions/batch", body);
        assert_eq!((answer.status, answer.problem_fields()), (413, vec!["body".to_string()]));
    }
    wait_until("rejections are counted", || client.get("/v1/stats").json()["totals"]["rejected"] == 8);
    assert_eq!(rejections(&setup).len(), 8);
    service.stop();
}

/// A field given again and again is a mistake each time; all of them are told, and only the first are kept.
#[test]
fn a_body_of_mistakes_is_kept_in_part() {
    let setup = Setup::new(&folder("mistakes").join("data"));
    let service = setup.start();
    let body = format!("{{{}\"tx_amount\":1}}", "\"tx_amount\":1,".repeat(4_000));
    let answer = service.client().post("/v1/transactions", body);
    assert!(answer.problem_fields().len() >= 4_000);
    service.stop();
    let stored = rejections(&setup);
    assert_eq!((stored[0].0.len(), stored[0].1.len()), (2_048, 2_048));
}

#[test]
fn requests_that_end_early_or_lie_about_their_length_hurt_nobody() {
    let service = Setup::new(&folder("lengths").join("data")).start();
    let head = |length: &str| {
        format!("POST /v1/transactions HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n")
    };
    let body = numbered(1);
    let mut client = service.client();
    // Too short: the rest is taken for another request.
    let answer = client.send_raw(head("20").as_bytes(), body.as_bytes()).unwrap();
    assert_eq!((answer.status, answer.problem_fields()), (400, vec!["body".to_string()]));
    client.close();
    // No length at all, and lengths that are none: HTTP itself is broken, hyper answers.
    for length in ["abc", "-1", "99999999999999999999999999", "1, 2"] {
        let answer = client.send_raw(head(length).as_bytes(), b"").unwrap();
        assert_eq!(answer.status, 400, "{length}");
        client.close();
    }
    // Too long, and then gone.
    let stream = client.connect().unwrap();
    stream.write_all(head("1000").as_bytes()).unwrap();
    stream.write_all(body.as_bytes()).unwrap();
    stream.shutdown(Shutdown::Both).unwrap();
    client.close();
    assert_eq!(client.get("/v1/stats").json()["totals"]["decisions"], 0);
    client.post("/v1/transactions", &body).ok();
    service.stop();
}

#[test]
fn a_bad_line_of_a_batch_costs_that_line() {
    let setup = Setup::new(&folder("batch_lines").join("data"));
    let service = setup.start();
    let mut client = service.client();
    let (good, again) = (numbered(1), numbered(1));
    let no_amount = without(&numbered(2), "tx_amount");
    let long = with(&numbered(3), "terminal_id", &format!("\"{}\"", "t".repeat(70_000)));
    let last = numbered(4);
    let batch = format!("{good}\n\nnot json\r\n{no_amount}\n \n{again}\r\n{long}\n{last}");
    let lines = client.post("/v1/transactions/batch", batch).ok().lines();
    let wrong = |line: &Value| {
        let fields: Vec<&str> =
            line["errors"].as_array().unwrap().iter().map(|error| error["field"].as_str().unwrap()).collect();
        (line["line"].as_u64().unwrap(), fields.join(","))
    };
    assert_eq!(lines.len(), 6);
    assert_eq!((&lines[0]["id"], &lines[5]["id"]), (&"n1".into(), &"n4".into()));
    assert_eq!(wrong(&lines[1]), (3, "body".into()));
    assert_eq!(wrong(&lines[2]), (4, "tx_amount".into()));
    assert_eq!(lines[3], lines[0]);
    assert_eq!(wrong(&lines[4]), (7, "body".into()));
    let totals = &client.get("/v1/stats").json()["totals"];
    let counted = (&totals["decisions"], &totals["rejected"], &totals["repeated"]);
    assert_eq!(counted, (&2.into(), &3.into(), &1.into()));
    for empty in ["", "\n", " \r\n\n"] {
        let answer = client.post("/v1/transactions/batch", empty);
        assert_eq!((answer.status, answer.problem_fields()), (400, vec!["body".to_string()]));
    }
    service.stop();
}

#[test]
fn wrong_parameters_are_named() {
    let service = Setup::new(&folder("parameters").join("data")).start();
    let mut client = service.client();
    for (query, field) in [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=-1", "limit"),
        ("limit=many", "limit"),
        ("limit=", "limit"),
        ("cursor=x", "cursor"),
        ("cursor=9999999999999999999999", "cursor"),
        ("outcome=maybe", "outcome"),
        ("min_score=NaN", "min_score"),
        ("min_score=inf", "min_score"),
        ("min_score=high", "min_score"),
        ("from=yesterday", "from"),
        ("to=2018-02-30T00:00:00Z", "to"),
        ("limt=5", "limt"),
        ("%ff=1", "\u{fffd}"),
    ] {
        let answer = client.get(&format!("/v1/decisions?{query}"));
        assert_eq!((answer.status, answer.problem_fields()), (422, vec![field.to_string()]), "{query}");
    }
    for id in ["nobody", "a%2Fb", "%00", "%E2%82%AC", &"x".repeat(5_000)] {
        let answer = client.get(&format!("/v1/decisions/{id}"));
        assert_eq!((answer.status, answer.problem_fields()), (404, vec!["id".to_string()]), "{id}");
    }
    for (path, parameter) in [
        ("decisions/%ff", "id"),
        ("lists/%ff", "name"),
        ("entities/%ff/C1", "kind"),
        ("entities/customer_id/%ff", "id"),
        ("alerts/%ff", "id"),
        ("alerts/first", "id"),
        ("alerts/9223372036854775808", "id"),
        ("rulebooks/-1", "number"),
    ] {
        let answer = client.get(&format!("/v1/{path}"));
        assert_eq!((answer.status, answer.problem_fields()), (422, vec![parameter.to_string()]), "{path}");
    }
    service.stop();
}

#[test]
fn unknown_doors_and_wrong_methods_are_problems_too() {
    let service = Setup::new(&folder("doors").join("data")).start();
    let mut client = service.client();
    for (method, path) in [
        ("GET", "/v1"),
        ("GET", "/v1/"),
        ("GET", "/v1/nothing"),
        ("POST", "/v1/transaction"),
        ("PUT", "/v1/x/y"),
    ] {
        let answer = client.send(method, path, b"").unwrap();
        assert_eq!(answer.status, 404, "{method} {path}");
        answer.problem_fields();
    }
    for (method, path, allowed) in [
        ("GET", "/v1/transactions", "POST"),
        ("DELETE", "/v1/transactions", "POST"),
        ("PUT", "/v1/transactions/batch", "POST"),
        ("POST", "/v1/decisions", "GET,HEAD"),
        ("PATCH", "/v1/decisions/x", "GET,HEAD"),
        ("GET", "/v1/labels", "POST"),
        ("GET", "/predict", "POST"),
        ("POST", "/healthz", "GET,HEAD"),
        ("POST", "/", "GET,HEAD"),
        ("DELETE", "/anything", "GET,HEAD"),
    ] {
        let answer = client.send(method, path, b"").unwrap();
        assert_eq!((answer.status, answer.header("allow")), (405, Some(allowed)), "{method} {path}");
        answer.problem_fields();
    }
    let answer = client.get("/v1/live");
    assert!((400..500).contains(&answer.status), "{answer:?}");
    answer.problem_fields();
    service.stop();
}

/// Text that is unusual but a transaction: it comes back as it was sent.
#[test]
fn unusual_text_is_no_mistake() {
    let service = Setup::new(&folder("unusual").join("data")).start();
    let mut client = service.client();
    for id in ["a/b?c#d", "quote\\\"d", "back\\\\slash", "ünï€", "emoji 🙂", "%41", "\\u00e9"] {
        let body = transaction(id, "2018-04-01T12:00:00Z", "c\\\"", "t");
        let first = client.post("/v1/transactions", &body).ok();
        let meant: Value = serde_json::from_str(&format!("\"{id}\"")).unwrap();
        assert_eq!((&first.json()["id"], &first.json()["key"]), (&meant, &"c\"".into()));
        assert_eq!(client.post("/v1/transactions", &body).ok().body, first.body);
        let encoded: String = meant.as_str().unwrap().bytes().map(|byte| format!("%{byte:02X}")).collect();
        assert_eq!(
            client.get(&format!("/v1/decisions/{encoded}")).ok().json()["event"]["transaction_id"],
            meant
        );
    }
    assert_eq!(FIELDS.len(), WRONG.len());
    service.stop();
}
