//! XGBoost, LightGBM and CatBoost, each training when told to, in one Python process.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result};

use super::Run;
use super::table::{Parts, Rows};
use crate::cli::WrongInput;
use crate::cli::bench::engine::TemporaryFolder;

const SCRIPT: &str = include_str!("../../../../../../scripts/peers_train.py");

pub struct Peers {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
    versions: BTreeMap<String, String>,
    /// Holds what they learn from until they are gone.
    _folder: TemporaryFolder,
}

impl Peers {
    /// Starts them on these rows.
    ///
    /// # Errors
    /// If there is no such Python, or it lacks a library.
    pub fn start(parts: &Parts, trees: usize, depth: u32, threads: usize) -> Result<Peers> {
        let folder = TemporaryFolder::create()?;
        write(&folder.0, "train", &parts.train)?;
        write(&folder.0, "test", &parts.test)?;
        let python = python();
        let mut child = Command::new(&python)
            .args(["-W", "ignore", "-c", SCRIPT])
            .arg(&folder.0)
            .args([trees.to_string(), depth.to_string(), threads.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| {
                let python = python.display();
                WrongInput(format!("cannot start {python}: {error} (`scripts/peers install` makes it; REDFLAG_PEERS_PYTHON names another)"))
            })?;
        let orders = child.stdin.take().expect("the standard input is piped");
        let mut answers = BufReader::new(child.stdout.take().expect("the standard output is piped"));
        let versions = answer(&mut answers)?;
        Ok(Peers { child, orders, answers, versions, _folder: folder })
    }

    /// Names and versions.
    pub fn versions(&self) -> BTreeMap<String, String> {
        self.versions.clone()
    }

    /// Trains one of them.
    ///
    /// # Errors
    /// If Python fails.
    pub fn train(&mut self, name: &str, seed: u64) -> Result<Run> {
        writeln!(self.orders, "{name} {seed}").context("the peers' Python has stopped")?;
        self.orders.flush()?;
        answer(&mut self.answers)
    }
}

impl Drop for Peers {
    fn drop(&mut self) {
        // It may be training still, for instance when ours has failed; what it answers is of no use any more.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn answer<T: serde::de::DeserializeOwned>(answers: &mut impl BufRead) -> Result<T> {
    let mut line = String::new();
    answers.read_line(&mut line)?;
    serde_json::from_str(&line).context("the peers' Python has failed; what it said stands above")
}

/// `REDFLAG_PEERS_PYTHON`, or the one that `scripts/peers install` makes.
fn python() -> PathBuf {
    let named = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = || named("HOME").unwrap_or_default().join(".cache/redflag/peers");
    named("REDFLAG_PEERS_PYTHON")
        .unwrap_or_else(|| named("REDFLAG_PEERS").unwrap_or_else(home).join("venv/bin/python"))
}

/// Columns one after the other as doubles, labels as bytes.
fn write(folder: &Path, part: &str, rows: &Rows) -> Result<()> {
    let values: Vec<u8> = rows.columns.iter().flatten().flat_map(|x| x.to_le_bytes()).collect();
    std::fs::write(folder.join(format!("{part}.f64")), values)?;
    let labels: Vec<u8> = rows.labels.iter().map(|label| u8::from(*label)).collect();
    Ok(std::fs::write(folder.join(format!("{part}.u8")), labels)?)
}
