//! What Prometheus is told: every figure is what was posted, and the page of metrics lists what there is.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::json;

use super::client::Client;
use super::events::{label, numbered};
use super::process::{Setup, folder, wait_until};

const PAGE: &str = include_str!("../../../../docs/metrics.md");

fn scrape(client: &mut Client) -> String {
    let answer = client.get("/metrics").ok();
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    answer.text().to_string()
}

/// Samples by name and labels.
fn samples(text: &str) -> BTreeMap<String, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| line.rsplit_once(' ').unwrap())
        .map(|(name, value)| (name.to_string(), value.parse().unwrap()))
        .collect()
}

/// Families, each with its kind.
fn families(text: &str) -> BTreeSet<(String, String)> {
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    types
        .filter_map(|line| line.split_once(' '))
        .map(|(name, kind)| (name.to_string(), kind.to_string()))
        .collect()
}

#[test]
fn figures_are_what_was_posted() {
    let service = Setup::new(&folder("metrics").join("data")).start();
    let mut client = service.client();
    for number in 0..40 {
        client.post("/v1/transactions", numbered(number)).ok();
    }
    client.post("/v1/transactions", numbered(7)).ok();
    client.post("/v1/transactions", "no transaction");
    client.post("/v1/transactions", numbered(41).replace("12.34", "-1"));
    client.post("/v1/transactions", numbered(41).replace("\"tx_amount\":12.34,", ""));
    client.post("/v1/transactions", numbered(41).replace("2018", "2118"));
    client.post("/v1/transactions", format!("{{\"x\":\"{}\"}}", "(max_time_jump)".repeat(6_000)));
    client.post("/v1/labels", label("n3", true)).ok();
    client.post("/v1/labels", label("n4", false)).ok();
    let text = scrape(&mut client);
    let found = samples(&text);
    for (name, value) in [
        ("redflag_decisions_total{outcome=\"approve\"}", 40.0),
        ("redflag_decisions_total{outcome=\"decline\"}", 0.0),
        ("redflag_repeated_total", 1.0),
        ("redflag_rejections_total", 5.0),
        ("redflag_rejections_by_reason_total{reason=\"malformed\"}", 1.0),
        ("redflag_rejections_by_reason_total{reason=\"wrong_value\"}", 1.0),
        ("redflag_rejections_by_reason_total{reason=\"missing\"}", 1.0),
        ("redflag_rejections_by_reason_total{reason=\"time_jump\"}", 1.0),
        ("redflag_rejections_by_reason_total{reason=\"too_large\"}", 1.0),
        ("redflag_label_delay_seconds_count", 2.0),
        ("redflag_label_delay_seconds_bucket{le=\"7776000\"}", 0.0),
        ("redflag_labels_total{label=\"fraud\"}", 1.0),
        ("redflag_labels_total{label=\"genuine\"}", 1.0),
        ("redflag_decision_duration_seconds_count{stage=\"commit\"}", 40.0),
        ("redflag_decision_duration_seconds_count{stage=\"decide\"}", 40.0),
        ("redflag_decision_duration_seconds_count{stage=\"total\"}", 45.0),
        ("redflag_ready", 1.0),
        ("redflag_part_up{part=\"store\"}", 1.0),
    ] {
        assert_eq!(found.get(name), Some(&value), "{name} in {text}");
    }
    assert!(found["process_resident_memory_bytes"] > 1e6 && found["process_cpu_seconds_total"] > 0.0);
    let buckets: Vec<f64> = text
        .lines()
        .filter(|line| {
            line.starts_with("redflag_decision_duration_seconds_bucket") && line.contains("\"total\"")
        })
        .map(|line| line.rsplit_once(' ').unwrap().1.parse().unwrap())
        .collect();
    assert_eq!((buckets.len(), buckets.is_sorted()), (18, true), "{buckets:?}");
    assert!(!text.contains("n3") && !text.contains("customer"), "no id is a label");
}

#[test]
fn the_page_of_metrics_lists_what_there_is() {
    let service = Setup::new(&folder("metrics_page").join("data")).start();
    let text = scrape(&mut service.client());
    let listed: BTreeSet<(String, String)> = PAGE
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .filter_map(|line| line.split_once("` | "))
        .map(|(name, rest)| (name.to_string(), rest.split(':').next().unwrap().to_string()))
        .collect();
    let only = |kind: &str| listed.iter().any(|(name, _)| name.starts_with(kind));
    assert!(only("redflag_kafka_") && only("redflag_redis_"), "parts that are off are listed as well");
    let missing: Vec<_> = families(&text).difference(&listed).cloned().collect();
    assert_eq!(missing, [], "shown and not listed");
    let is_off = |name: &str| ["redflag_kafka_", "redflag_redis_"].iter().any(|part| name.starts_with(part));
    let gone: Vec<_> =
        listed.difference(&families(&text)).filter(|(name, _)| !is_off(name)).cloned().collect();
    assert_eq!(gone, [], "listed and not shown");
}

#[test]
fn runs_of_training_again_are_counted_by_outcome() {
    let folder = folder("metrics_retraining");
    let setup = Setup::new(&folder.join("data"));
    for (id, state, ended_at) in [
        ("a", "promoted", Some("2026-11-23T03:00:00Z")),
        ("b", "failed", Some("2026-11-24T03:00:00Z")),
        ("c", "failed", Some("2026-11-25T03:00:00Z")),
        ("d", "shadow", None),
    ] {
        let run = json!({"id": id, "number": null, "trigger": "a person", "state": state, "step": "judge", "done": [],
            "started_at": "2026-11-23T02:00:00Z", "ended_at": ended_at, "stretch": null, "shadow_until": null,
            "figures": {}, "verdict": null, "model": null, "mlflow": null, "detail": ""});
        let of_run = setup.data_dir().join("retraining").join(id);
        std::fs::create_dir_all(&of_run).unwrap();
        std::fs::write(of_run.join("run.json"), run.to_string()).unwrap();
    }
    let service = setup.start();
    let mut client = service.client();
    let mut found = BTreeMap::new();
    wait_until("the runs are read", || {
        found = samples(&scrape(&mut client));
        found["redflag_retraining_running"] == 1.0
    });
    let runs = |outcome: &str| found[&format!("redflag_retraining_runs_total{{outcome=\"{outcome}\"}}")];
    assert_eq!([runs("promoted"), runs("rejected"), runs("failed"), runs("cancelled")], [1.0, 0.0, 2.0, 0.0]);
    assert_eq!(found["redflag_retraining_last_success_timestamp_seconds"], 1_795_402_800.0);
    assert!(!found.contains_key("redflag_retraining_next_timestamp_seconds"), "nothing is scheduled");
}

#[test]
fn promtool_finds_nothing_wrong() {
    let service = Setup::new(&folder("metrics_promtool").join("data")).start();
    let mut client = service.client();
    client.post("/v1/transactions", numbered(0)).ok();
    let text = scrape(&mut client);
    let promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut promtool) = promtool else {
        println!("NOT RUN: promtool check metrics: there is no promtool; scripts/install prometheus");
        return;
    };
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
