//! What commands share when they talk to people: exit codes, detectors and models by name, results, progress.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use engine::time::parse_instant;
use engine::{Detector, Model};
use indicatif::{ProgressBar, ProgressStyle};
use lab::artifact::ModelFile;
use lab::dataset::{ColumnMap, DatasetError};
use lab::engines::EngineError;
use lab::evaluate::metrics::MetricError;
use lab::replay::Progress;

use super::WrongInput;
use crate::service::privacy;

/// The detectors that are shipped inside the binary.
pub const SHIPPED: [(&str, &str); 5] = [
    ("card-handbook", include_str!("../../../../detectors/card-handbook.toml")),
    ("card", include_str!("../../../../detectors/card.toml")),
    ("ulb", include_str!("../../../../detectors/ulb.toml")),
    ("paysim", include_str!("../../../../detectors/paysim.toml")),
    ("banking", include_str!("../../../../detectors/banking.toml")),
];

/// Whether the user can mend the error by calling otherwise.
pub fn is_wrong_input(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.is::<WrongInput>()
            || cause.is::<DatasetError>()
            || cause.is::<MetricError>()
            || cause.is::<engine::ModelMismatch>()
            || cause.is::<forest::grow::GrowError>()
            || cause.is::<forest::ReadError>()
            || cause.is::<lab::simulate::SimulateError>()
            || matches!(cause.downcast_ref(), Some(EngineError::Refused(_) | EngineError::Table(_)))
    })
}

/// Whether the reader at the other end of a pipe has gone: it has seen enough, and nothing has failed.
pub fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let kind = |cause: &(dyn std::error::Error + 'static)| cause.downcast_ref().map(std::io::Error::kind);
    error.chain().any(|cause| kind(cause) == Some(std::io::ErrorKind::BrokenPipe))
}

/// A detector by the name of a shipped one, or by file.
///
/// # Errors
/// If there is no such detector, or its file has mistakes: all of them are listed.
pub fn load_detector(name: &str) -> Result<Arc<Detector>> {
    let text = detector_text(name)?;
    let mut detector = Detector::parse(&text).map_err(|mistakes| {
        let listed: Vec<String> = mistakes.iter().map(|mistake| format!("{name}: {mistake}")).collect();
        WrongInput(format!("the detector has {} mistake(s)\n{}", listed.len(), listed.join("\n")))
    })?;
    if let Some(cards) = privacy::cards_of_environment()? {
        detector.schema.cards = cards;
    }
    Ok(Arc::new(detector))
}

/// The text of a detector file.
///
/// # Errors
/// If there is no such detector.
pub fn detector_text(name: &str) -> Result<String> {
    if let Some((_, text)) = SHIPPED.iter().find(|(shipped, _)| *shipped == name) {
        return Ok(text.to_string());
    }
    let names = SHIPPED.map(|(name, _)| name).join(", ");
    std::fs::read_to_string(Path::new(name)).map_err(|error| {
        WrongInput(format!("no detector `{name}`: {error} (shipped detectors: {names})")).into()
    })
}

/// The column map given by `--columns`.
///
/// # Errors
/// If a pair is wrong: all of them are listed.
pub fn column_map(text: Option<&str>, detector: &Detector) -> Result<ColumnMap> {
    ColumnMap::parse(text.unwrap_or_default(), &detector.schema)
        .map_err(|mistakes| WrongInput(format!("--columns: {}", mistakes.join("; "))).into())
}

/// A model file.
///
/// # Errors
/// If it cannot be read, or is no model.
pub fn load_model(path: &Path) -> Result<ModelFile> {
    ModelFile::load(path).map_err(|error| WrongInput(format!("{error:#}")).into())
}

/// The model, bound to the detector.
///
/// # Errors
/// If it was trained on other features.
pub fn bind_model(file: &ModelFile, detector: &Detector) -> Result<Model> {
    file.bind(detector).map_err(|error| WrongInput(format!("{error:#}")).into())
}

/// An instant on the command line, in microseconds.
///
/// # Errors
/// If it is neither RFC 3339 nor a date.
pub fn instant(text: &str) -> Result<i64, String> {
    parse_instant(text)
        .ok_or_else(|| "expected RFC 3339 or a date, as 2018-07-25 or 2018-07-25T12:00:00Z".to_string())
}

/// Prints a result: as JSON where asked for, else in words on the standard error, where it disturbs no data. JSON goes
/// to the standard output unless `out` says that the data went there.
///
/// # Errors
/// If it cannot be printed.
pub fn tell<T: serde::Serialize + std::fmt::Display>(result: &T, json: bool, out: &Path) -> Result<()> {
    match (json, out == Path::new("-")) {
        (true, true) => eprintln!("{}", serde_json::to_string(result)?),
        (true, false) => println!("{}", serde_json::to_string(result)?),
        (false, true) => eprintln!("{result}"),
        (false, false) => eprintln!("{}: {result}", out.display()),
    }
    Ok(())
}

/// Says on the standard error how many rows of a file were left out.
pub fn warn_of_rejects(summary: &lab::replay::Summary, input: &Path) {
    if summary.rejected > 0 {
        let (path, rejected) = (input.display(), summary.rejected);
        eprintln!(
            "warning: {path}: {rejected} rows were rejected; `redflag features --rejects FILE` lists them"
        );
    }
}

/// The most memory that this process has held, where the system tells.
pub fn memory_peak_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1_024)
}

/// How long something takes before a bar is shown.
const PATIENCE: Duration = Duration::from_secs(2);

/// A bar that counts things; it stays hidden for the first two seconds, and off a terminal.
pub struct CountBar(ProgressBar, Instant, &'static str);

impl CountBar {
    /// A bar for `total` things, where that is known.
    pub fn new(what: &'static str, unit: &'static str, total: Option<u64>) -> CountBar {
        let style = match total {
            Some(_) => "{prefix} {bar:30} {percent:>3} %  {msg}  {eta} left",
            None => "{prefix} {msg}",
        };
        let bar = ProgressBar::hidden().with_prefix(what);
        bar.set_length(total.unwrap_or(0));
        bar.set_style(ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()));
        CountBar(bar, Instant::now(), unit)
    }

    /// Shows that so many are done.
    pub fn show(&self, done: u64) {
        let elapsed = self.1.elapsed();
        show_after_patience(&self.0, elapsed);
        let per_second = done as f64 / elapsed.as_secs_f64().max(0.001);
        self.0.set_message(format!("{done} {unit}, {per_second:.0} {unit}/s", unit = self.2));
        self.0.set_position(done);
    }

    /// Takes the bar away.
    pub fn finish(self) {
        self.0.finish_and_clear();
    }
}

/// A bar of a few steps, each with its name; it stays hidden for the first two seconds, and off a terminal.
pub struct StepBar(ProgressBar, Instant);

impl StepBar {
    /// A bar for `total` steps.
    pub fn new(what: &'static str, total: u64) -> StepBar {
        let bar = ProgressBar::hidden().with_prefix(what);
        bar.set_length(total);
        let style = ProgressStyle::with_template("{prefix} {bar:30} {pos} of {len}  {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        StepBar(bar, Instant::now())
    }

    /// Shows that so many are done, and what is being done now.
    pub fn show(&self, done: u64, next: &'static str) {
        show_after_patience(&self.0, self.1.elapsed());
        self.0.set_message(next);
        self.0.set_position(done);
    }

    /// Takes the bar away.
    pub fn finish(self) {
        self.0.finish_and_clear();
    }
}

fn show_after_patience(bar: &ProgressBar, elapsed: Duration) {
    if elapsed > PATIENCE && bar.is_hidden() {
        bar.set_draw_target(indicatif::ProgressDrawTarget::stderr_with_hz(5));
    }
}

/// A progress bar for reading a file; it stays hidden for the first two seconds, and off a terminal.
pub struct ReplayBar(ProgressBar, Instant);

impl ReplayBar {
    /// A bar with a word about what is being done.
    pub fn new(what: &'static str) -> ReplayBar {
        let style = "{prefix} {bar:30} {percent:>3} %  {msg}  {eta} left";
        let bar = ProgressBar::hidden().with_prefix(what);
        bar.set_length(1_000);
        bar.set_style(ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()));
        ReplayBar(bar, Instant::now())
    }

    /// Shows how far it is.
    pub fn show(&self, progress: Progress) {
        let elapsed = self.1.elapsed();
        show_after_patience(&self.0, elapsed);
        self.0.set_message(format!(
            "{:.0} events/s",
            progress.events as f64 / elapsed.as_secs_f64().max(0.001)
        ));
        self.0.set_position((progress.fraction.unwrap_or(0.0) * 1_000.0) as u64);
    }

    /// Takes the bar away.
    pub fn finish(self) {
        self.0.finish_and_clear();
    }
}
