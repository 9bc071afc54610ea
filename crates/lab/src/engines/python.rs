use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use forest::grow::Table;
use serde::Deserialize;
use serde_json::json;

use super::{EngineError, Grown, Job, Progress};

const SCRIPT: &str = include_str!("train.py");

/// What the script says, one a line.
#[derive(Deserialize)]
#[serde(untagged)]
enum Said {
    Round { trees: usize, average_precision: Option<f64> },
    Done { learning_rate: Option<f64> },
}

pub(super) fn grow(
    python: &Path,
    job: &Job,
    progress: &mut dyn FnMut(Progress),
) -> Result<Grown, EngineError> {
    let failed = |error: std::io::Error| job.failed(error.to_string());
    let folder = TemporaryFolder::create().map_err(failed)?;
    hand_over(&folder.0, job).map_err(failed)?;
    let errors = folder.0.join("errors.txt");
    // -I: neither the environment nor the folder that it is started in has a say.
    let child = Command::new(python)
        .args(["-I", "-W", "ignore", "-c", SCRIPT])
        .arg(&folder.0)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(File::create(&errors).map_err(failed)?)
        .spawn();
    let mut process = Process(child.map_err(failed)?);
    let (figures, learning_rate) = listen(&mut process, job, progress).map_err(failed)?;
    let status = process.0.wait().map_err(failed)?;
    if !status.success() {
        return Err(refused(job, &errors, status));
    }
    let model = std::fs::read(folder.0.join("model")).map_err(failed)?;
    Ok(Grown { forest: job.read(&model)?, figures, learning_rate })
}

/// What Python says on its way out: the last line names the mistake.
fn refused(job: &Job, errors: &Path, status: std::process::ExitStatus) -> EngineError {
    let said = std::fs::read_to_string(errors).unwrap_or_default();
    let last = said.lines().rfind(|line| !line.trim().is_empty());
    match last {
        // What the script catches is the library's own refusal; all else is a fault of the way there.
        Some(line) if status.code() == Some(2) => EngineError::Refused(format!("{}: {line}", job.engine)),
        _ => job.failed(format!("{status}\n{}", said.trim_end())),
    }
}

/// The rounds as they come: their figures, and the learning rate.
fn listen(
    process: &mut Process,
    job: &Job,
    progress: &mut dyn FnMut(Progress),
) -> std::io::Result<(Vec<f64>, Option<f64>)> {
    let (mut figures, mut rate) = (Vec::new(), None);
    let Some(output) = process.0.stdout.take() else { return Ok((figures, rate)) };
    for line in BufReader::new(output).lines() {
        match serde_json::from_str(&line?) {
            Ok(Said::Round { trees, average_precision }) => {
                figures.extend(average_precision);
                progress(Progress { trees_done: trees, trees_total: job.trees, average_precision });
            }
            Ok(Said::Done { learning_rate }) => rate = learning_rate,
            // A library that talks beside the script.
            Err(_) => {}
        }
    }
    Ok((figures, rate))
}

/// Tables and parameters as files.
fn hand_over(folder: &Path, job: &Job) -> std::io::Result<()> {
    write_table(folder, "train", job.table)?;
    if let Some(validation) = job.validation {
        write_table(folder, "validation", validation)?;
    }
    let request = json!({
        "engine": job.engine.name(),
        "forest": job.is_forest(),
        "names": job.table.names,
        "trees": job.trees,
        "patience": job.patience.filter(|_| job.validation.is_some()),
        "parameters": job.parameters,
    });
    std::fs::write(folder.join("request.json"), request.to_string())
}

/// Columns one after the other as doubles, labels as bytes, weights as doubles.
fn write_table(folder: &Path, name: &str, table: &Table) -> std::io::Result<()> {
    write_numbers(&folder.join(format!("{name}.values")), table.columns.iter().flatten())?;
    let labels: Vec<u8> = table.labels.iter().map(|label| u8::from(*label)).collect();
    std::fs::write(folder.join(format!("{name}.labels")), labels)?;
    match table.weights {
        Some(weights) => write_numbers(&folder.join(format!("{name}.weights")), weights.iter()),
        None => Ok(()),
    }
}

fn write_numbers<'a>(path: &Path, numbers: impl Iterator<Item = &'a f64>) -> std::io::Result<()> {
    let mut file = std::io::BufWriter::new(File::create(path)?);
    for number in numbers {
        file.write_all(&number.to_le_bytes())?;
    }
    file.flush()
}

/// Ended with us, if we end early.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // It is gone already, unless something has failed.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// A folder that is readable to us alone, and gone with this.
struct TemporaryFolder(PathBuf);

impl TemporaryFolder {
    fn create() -> std::io::Result<TemporaryFolder> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("redflag-engine-{}-{number}", std::process::id()));
        let mut builder = std::fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&path)?;
        Ok(TemporaryFolder(path))
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        // What cannot be removed is left to the system that cleans its temporary folder.
        drop(std::fs::remove_dir_all(&self.0));
    }
}
