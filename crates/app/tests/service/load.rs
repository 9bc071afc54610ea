//! The loads that measure a service: they say what came of each transaction, and fail where they should.

use std::path::Path;
use std::process::Output;

use serde_json::Value;

use super::process::{Setup, folder, redflag, run};

/// Runs a benchmark in a folder.
fn bench(folder: &Path, arguments: &str) -> (Output, Value) {
    let output = run(redflag().current_dir(folder).args(["bench"]).args(arguments.split_whitespace()));
    let report = serde_json::from_slice(&output.stdout).unwrap_or_default();
    (output, report)
}

fn error(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_load_is_answered_and_a_threshold_that_is_passed_fails_it() {
    let folder = folder("load");
    let service = Setup::new(&folder.join("data")).start();
    let url = format!("--url http://{}", service.address);
    let (output, report) = bench(&folder, &format!("http {url} --rate 200 --seconds 2 --warm-up 0 --json"));
    assert_eq!(output.status.code(), Some(0), "{}", error(&output));
    assert_eq!(report["decided"], 400);
    assert_eq!(service.client().get("/v1/stats").ok().json()["totals"]["approved"], 400);
    let latency = report["latency_ms"].as_object().unwrap();
    assert_eq!(latency.len(), 6);
    assert!(latency["p50"].as_f64() <= latency["p99.99"].as_f64());

    let (output, _) = bench(&folder, &format!("http {url} --rate 50 --seconds 1 --p99-ms 0.0001"));
    assert_eq!(output.status.code(), Some(1));
    assert!(error(&output).contains("p99 is"), "{}", error(&output));

    // Another detector's transactions are no decisions here.
    let (output, _) = bench(&folder, &format!("http {url} --rate 50 --seconds 1 --detector paysim"));
    assert_eq!(output.status.code(), Some(1));
    assert!(error(&output).contains("got no decision; the first: status 422"), "{}", error(&output));

    let (output, _) = bench(&folder, "http --url ftp://here");
    assert_eq!(output.status.code(), Some(2), "{}", error(&output));
}

#[test]
fn a_soak_loses_nothing_and_its_memory_stays_flat() {
    let folder = folder("soak");
    let (output, report) = bench(&folder, "soak --rate 500 --seconds 12 --json");
    assert_eq!(output.status.code(), Some(0), "{}", error(&output));
    assert_eq!(report["answered"], 6_000);
    assert_eq!(report["stored"], report["answered"]);
    assert!(report["memory"].as_array().unwrap().len() >= 8, "{report}");
    assert!(report["memory_before_bytes"].as_u64() > Some(1 << 20));
    assert!(report["state_bytes"].as_u64() > Some(100_000));
}
