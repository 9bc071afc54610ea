//! The same backlog by a Python process: confluent-kafka and a LightGBM model.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::Backlog;
use crate::stream::settings::KafkaSettings;

/// The program, so that it is there wherever the binary is.
const PROGRAM: &str = include_str!("peer.py");

#[derive(serde::Deserialize)]
struct Answer {
    versions: String,
    events: u64,
    seconds: f64,
    cpu_seconds: f64,
}

/// Works the topic of transactions off.
///
/// # Errors
/// If its Python or its libraries are missing.
pub fn work_off(settings: &KafkaSettings, folder: &Path, events: u64) -> Result<Backlog> {
    let program = folder.join("peer.py");
    std::fs::write(&program, PROGRAM)?;
    let python = python();
    let output = Command::new(&python)
        .arg(&program)
        .args([&settings.brokers, &settings.transactions, &settings.decisions, &events.to_string()])
        .stderr(std::process::Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start {} (`scripts/peers install` makes it)", python.display()))?;
    if !output.status.success() {
        bail!("the Python consumer failed; it needs confluent-kafka, lightgbm and numpy");
    }
    let Answer { versions, events, seconds, cpu_seconds } =
        serde_json::from_slice(&output.stdout).context("the Python consumer says something else")?;
    Ok(Backlog::new(&versions, events, seconds, cpu_seconds))
}

/// `REDFLAG_PEERS_PYTHON`, or the one that `scripts/peers install` makes.
fn python() -> PathBuf {
    let named =
        |variable: &str| std::env::var_os(variable).filter(|name| !name.is_empty()).map(PathBuf::from);
    let home = || named("HOME").unwrap_or_default().join(".cache/redflag/peers");
    named("REDFLAG_PEERS_PYTHON")
        .unwrap_or_else(|| named("REDFLAG_PEERS").unwrap_or_else(home).join("venv/bin/python"))
}
