//! What Prometheus is told: every figure is what was posted, and the page of metrics lists what there is.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::{Command, Stdio};

use super::client::Client;
use super::events::{label, numbered};
use super::process::{Setup, folder};

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
    client.post("/v1/labels", label("n3", true)).ok();
    client.post("/v1/labels", label("n4", false)).ok();
    let text = scrape(&mut client);
    let found = samples(&text);
    for (name, value) in [
        ("redflag_decisions_total{outcome=\"approve\"}", 40.0),
        ("redflag_decisions_total{outcome=\"decline\"}", 0.0),
        ("redflag_repeated_total", 1.0),
        ("redflag_rejections_total", 1.0),
        ("redflag_labels_total{label=\"fraud\"}", 1.0),
        ("redflag_labels_total{label=\"genuine\"}", 1.0),
        ("redflag_decision_duration_seconds_count{stage=\"commit\"}", 40.0),
        ("redflag_decision_duration_seconds_count{stage=\"decide\"}", 40.0),
        ("redflag_decision_duration_seconds_count{stage=\"total\"}", 42.0),
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
