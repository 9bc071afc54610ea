//! What happened over time is what SQL says.

use rusqlite::Connection;
use serde_json::Value;

use super::client::Client;
use super::dice::Dice;
use super::events::label;
use super::process::{Setup, folder, wait_until};

/// Payments of several countries and channels, some of them marked, some labelled, some twice.
fn fill(client: &mut Client, dice: &mut Dice, from: usize, to: usize) {
    for number in from..to {
        let country = ["FR", "DE", "IR", "KP", "ES"][dice.below(5)];
        let channel = ["chip", "online"][dice.below(2)];
        let time = format!("2018-04-{:02}T{:02}:{:02}:00Z", 1 + number / 200, number / 9 % 24, number % 60);
        let event = serde_json::json!({"transaction_id": format!("n{number}"), "tx_datetime": time,
            "customer_id": format!("c{}", dice.below(40)), "terminal_id": format!("t{}", dice.below(60)),
            "tx_amount": dice.below(50_000) as f64 / 100.0, "country": country, "channel": channel});
        client.post("/v1/transactions", event.to_string()).ok();
        if dice.below(4) == 0 {
            let about = format!("n{}", from + dice.below(number - from + 1));
            client.post("/v1/labels", label(&about, dice.below(2) == 0)).ok();
        }
    }
}

/// The activity once it has come to the end of the log.
fn activity(client: &mut Client, database: &Connection, query: &str) -> Value {
    let last =
        "SELECT max((SELECT max(sequence) FROM decisions), (SELECT coalesce(max(sequence), -1) FROM labels))";
    let last: i64 = database.query_row(last, [], |row| row.get(0)).unwrap();
    let mut found = Value::Null;
    wait_until("the log is counted", || {
        found = client.get(&format!("/v1/activity?{query}")).ok().json();
        found["as_of"] == last
    });
    found
}

fn sql(database: &Connection, what: &str, condition: &str) -> f64 {
    let sql = format!(
        "SELECT coalesce({what}, 0) FROM decisions d LEFT JOIN labels l ON l.sequence = \
         (SELECT max(sequence) FROM labels WHERE transaction_sequence = d.sequence) WHERE {condition}"
    );
    database.query_row(&sql, [], |row| row.get(0)).unwrap_or_else(|error| panic!("{sql}: {error}"))
}

/// Every figure of the counts, and what it is in SQL.
const FIGURES: [(&str, &str, &str); 15] = [
    ("decisions", "count(*)", "true"),
    ("in_review", "count(*)", "outcome = 'review'"),
    ("declined", "count(*)", "outcome = 'decline'"),
    ("amount", "sum(amount_minor) / 100.0", "true"),
    ("frauds", "count(*)", "fraud"),
    ("fraud_amount", "sum(amount_minor) / 100.0", "fraud"),
    ("genuine", "count(*)", "NOT fraud"),
    ("saved", "count(*)", "fraud AND outcome = 'decline'"),
    ("saved_amount", "sum(amount_minor) / 100.0", "fraud AND outcome = 'decline'"),
    ("unlabelled_declined", "count(*)", "fraud IS NULL AND outcome = 'decline'"),
    (
        "expected_saved_amount",
        "sum(amount_minor * coalesce(score, 1)) / 100.0",
        "fraud IS NULL AND outcome = 'decline'",
    ),
    ("missed", "count(*)", "fraud AND outcome = 'approve'"),
    ("missed_amount", "sum(amount_minor) / 100.0", "fraud AND outcome = 'approve'"),
    ("falsely_declined", "count(*)", "NOT fraud AND outcome = 'decline'"),
    ("falsely_declined_amount", "sum(amount_minor) / 100.0", "NOT fraud AND outcome = 'decline'"),
];

fn assert_counts(found: &Value, database: &Connection, condition: &str) {
    for (figure, what, of) in FIGURES {
        let expected = sql(database, &format!("CAST({what} AS REAL)"), &format!("({condition}) AND ({of})"));
        let found = found[figure].as_f64().unwrap();
        assert!((found - expected).abs() < 1e-6, "{figure} where {condition}: {found} is not {expected}");
    }
}

#[test]
fn every_figure_is_what_sql_says() {
    let setup = Setup::new(&folder("activity").join("data")).with("REDFLAG_DETECTOR", "card");
    let service = setup.start();
    let mut client = service.client();
    let mut dice = Dice::new(7);
    fill(&mut client, &mut dice, 0, 300);
    let database = Connection::open(setup.database()).unwrap();
    let found = activity(&mut client, &database, "step=minute");
    assert_counts(&found["total"], &database, "true");
    // Killed, it counts the log again, and goes on.
    service.kill();
    let service = setup.start();
    let mut client = service.client();
    fill(&mut client, &mut dice, 300, 500);
    for step in ["minute", "hour", "day"] {
        let found = activity(&mut client, &database, &format!("step={step}"));
        assert_counts(&found["total"], &database, "true");
        let points = found["points"].as_array().unwrap();
        let sum: u64 = points.iter().map(|point| point["decisions"].as_u64().unwrap()).sum();
        assert_eq!(sum, 500);
        for point in points {
            let from_us = engine::time::parse_instant(point["at"].as_str().unwrap()).unwrap();
            let width_us = match step {
                "minute" => 60_000_000_i64,
                "hour" => 3_600_000_000,
                _ => 86_400_000_000,
            };
            let within = format!("decided_at_us >= {from_us} AND decided_at_us < {}", from_us + width_us);
            assert_counts(point, &database, &within);
        }
    }
    let found = activity(&mut client, &database, "step=hour");
    for breakdown in found["breakdowns"].as_array().unwrap() {
        let field = breakdown["field"].as_str().unwrap();
        let values = breakdown["values"].as_array().unwrap();
        let distinct = sql(&database, &format!("CAST(count(DISTINCT event ->> '{field}') AS REAL)"), "true");
        assert_eq!(values.len() as f64 + breakdown["others"].as_f64().unwrap(), distinct, "{field}");
        for value in values {
            let is = format!("event ->> '{field}' = '{}'", value["value"].as_str().unwrap());
            assert_counts(value, &database, &is);
        }
    }
    let kinds: Vec<&str> =
        found["breakdowns"].as_array().unwrap().iter().map(|one| one["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["entity", "category", "country"]);
    let hour_of_week = "(strftime('%w', event_time_us / 1000000, 'unixepoch') + 6) % 7 * 24 \
                        + strftime('%H', event_time_us / 1000000, 'unixepoch')";
    for (hour, found) in found["week"].as_array().unwrap().iter().enumerate() {
        let within = format!("{hour_of_week} = {hour}");
        assert_eq!(
            found["decisions"].as_f64().unwrap(),
            sql(&database, "CAST(count(*) AS REAL)", &within),
            "hour {hour}"
        );
        let alerts = format!("{within} AND outcome <> 'approve'");
        assert_eq!(
            found["alerts"].as_f64().unwrap(),
            sql(&database, "CAST(count(*) AS REAL)", &alerts),
            "hour {hour}"
        );
    }
    service.stop();
}

#[test]
fn what_cannot_be_asked_for_is_said() {
    let service = Setup::new(&folder("activity_wrong").join("data")).start();
    let mut client = service.client();
    for (query, field) in [
        ("from=yesterday", "from"),
        ("step=second", "step"),
        ("synthetic=perhaps", "synthetic"),
        ("colour=red", "colour"),
        ("from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", "from"),
        ("from=1970-01-01T00:00:00Z&step=minute", "step"),
    ] {
        let refused = client.get(&format!("/v1/activity?{query}"));
        assert_eq!((refused.status, refused.problem_fields()), (422, vec![field.to_string()]), "{query}");
    }
    let nothing =
        client.get("/v1/activity?from=2020-01-01T00:00:00Z&to=2026-01-01T00:00:00Z&step=day").ok().json();
    assert_eq!((&nothing["points"], &nothing["first"]), (&Value::Array(vec![]), &Value::Null));
    service.stop();
}
