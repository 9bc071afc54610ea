//! What commands share when they talk to people: exit codes, detectors by name, progress.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use engine::Detector;
use indicatif::{ProgressBar, ProgressStyle};
use lab::dataset::{ColumnMap, DatasetError};
use lab::replay::Progress;

use super::WrongInput;

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
    error.chain().any(|cause| cause.is::<WrongInput>() || cause.is::<DatasetError>() || cause.is::<engine::ModelMismatch>())
}

/// A detector by the name of a shipped one, or by file.
///
/// # Errors
/// If there is no such detector, or its file has mistakes: all of them are listed.
pub fn load_detector(name: &str) -> Result<Arc<Detector>> {
    let text = detector_text(name)?;
    Detector::parse(&text).map(Arc::new).map_err(|mistakes| {
        let listed: Vec<String> = mistakes.iter().map(|mistake| format!("{name}: {mistake}")).collect();
        WrongInput(format!("the detector has {} mistake(s)\n{}", listed.len(), listed.join("\n"))).into()
    })
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
    std::fs::read_to_string(Path::new(name))
        .map_err(|error| WrongInput(format!("no detector `{name}`: {error} (shipped detectors: {names})")).into())
}

/// The column map given by `--columns`.
///
/// # Errors
/// If a pair is wrong: all of them are listed.
pub fn column_map(text: Option<&str>, detector: &Detector) -> Result<ColumnMap> {
    ColumnMap::parse(text.unwrap_or_default(), &detector.schema)
        .map_err(|mistakes| WrongInput(format!("--columns: {}", mistakes.join("; "))).into())
}

/// A progress bar for reading a file; it stays hidden for the first two seconds, and off a terminal.
pub struct ReplayBar(ProgressBar, std::time::Instant);

impl ReplayBar {
    /// A bar with a word about what is being done.
    pub fn new(what: &'static str) -> ReplayBar {
        let style = "{prefix} {bar:30} {percent:>3} %  {msg}  {eta} left";
        let bar = ProgressBar::hidden().with_prefix(what);
        bar.set_length(1_000);
        bar.set_style(ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()));
        ReplayBar(bar, std::time::Instant::now())
    }

    /// Shows how far it is.
    pub fn show(&self, progress: Progress) {
        let elapsed = self.1.elapsed();
        if elapsed > Duration::from_secs(2) && self.0.is_hidden() {
            self.0.set_draw_target(indicatif::ProgressDrawTarget::stderr_with_hz(5));
        }
        self.0.set_message(format!("{:.0} events/s", progress.events as f64 / elapsed.as_secs_f64().max(0.001)));
        self.0.set_position((progress.fraction.unwrap_or(0.0) * 1_000.0) as u64);
    }

    /// Takes the bar away.
    pub fn finish(self) {
        self.0.finish_and_clear();
    }
}
