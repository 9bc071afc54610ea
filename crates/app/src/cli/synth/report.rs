//! `redflag synth report`: the honest report about synthetic transactions.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use engine::Detector;
use lab::dataset::ColumnMap;
use lab::synth::report::{Comparison, Report, STEPS, Sample, page, report};

use super::wrong;
use crate::cli::WrongInput;
use crate::cli::compare::file_name;
use crate::cli::output::{StepBar, column_map, load_detector};

/// Compare synthetic transactions with real ones, and write a page about what they are fit for and what not.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
With --detector, files are read as its events, go through the engine as streams, and behaviour is measured; without one they
are columns of a .csv or .parquet file. --holdout gives real rows that the generator did not see: only with them can it be told
whether it gives away what it learnt from.

Examples:
  redflag synth report --real transactions.parquet --synthetic made.parquet --detector card --out report.html
  redflag synth report --real creditcard.csv --synthetic made.csv --label Class --holdout later.csv --out report.html --json")]
pub struct Args {
    /// Real transactions: those that the generator learnt from
    #[arg(long, value_name = "FILE")]
    real: PathBuf,
    /// Synthetic transactions
    #[arg(long, value_name = "FILE")]
    synthetic: PathBuf,
    /// Real transactions that the generator did not see
    #[arg(long, value_name = "FILE")]
    holdout: Option<PathBuf>,
    /// Whose events they are: the name of a shipped detector, or a file
    #[arg(long, value_name = "NAME|FILE")]
    detector: Option<String>,
    /// Columns of events that have another name than the detector's field
    #[arg(long, value_name = "FIELD=COLUMN,...", requires = "detector", conflicts_with = "features")]
    columns: Option<String>,
    /// The column that says fraud (1) or not (0), where no detector names it
    #[arg(long, value_name = "COLUMN", conflicts_with = "detector")]
    label: Option<String>,
    /// The files hold the detector's features and the label instead of events
    #[arg(long, requires = "detector")]
    features: bool,
    /// Seed of everything random
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
    /// Where the page goes
    #[arg(long, value_name = "FILE", default_value = "report.html")]
    out: PathBuf,
    /// Print the figures as JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
/// If a file cannot be read, they cannot be compared, or the page cannot be written.
pub fn run(args: Args) -> Result<()> {
    let comparison = args.comparison()?;
    let bar = StepBar::new("report", STEPS as u64);
    let made = report(comparison, &mut |done, next| bar.show(done as u64, next));
    bar.finish();
    let made = made.map_err(wrong)?;
    std::fs::write(&args.out, page(&made)).with_context(|| format!("cannot write {}", args.out.display()))?;
    if args.json {
        println!("{}", serde_json::to_string(&made)?);
        return Ok(());
    }
    tell(&made);
    println!("\n{}: open it in a browser", args.out.display());
    Ok(())
}

impl Args {
    fn comparison(&self) -> Result<Comparison> {
        let detector = self.detector.as_deref().map(load_detector).transpose()?;
        let map =
            detector.as_ref().map(|detector| column_map(self.columns.as_deref(), detector)).transpose()?;
        let source = detector.as_ref().zip(map.as_ref());
        let named = [&Some(self.real.clone()), &Some(self.synthetic.clone()), &self.holdout];
        let read = |path: &Option<PathBuf>| path.as_deref().map(|path| self.read(path, source));
        // What is wrong with any of the files is said at once.
        let [real, synthetic, held_out] = named.map(read);
        let mistakes: Vec<String> = [&real, &synthetic, &held_out]
            .into_iter()
            .filter_map(|sample| Some(format!("{:#}", sample.as_ref()?.as_ref().err()?)))
            .collect();
        if !mistakes.is_empty() {
            return Err(WrongInput(mistakes.join("\n")).into());
        }
        let (Some(Ok(real)), Some(Ok(synthetic))) = (real, synthetic) else {
            unreachable!("both are always read")
        };
        Ok(Comparison {
            real,
            synthetic,
            held_out: held_out.transpose()?,
            detector,
            names: named.map(|path| path.as_deref().map(file_name).unwrap_or_default()),
            seed: self.seed,
        })
    }

    fn read(&self, path: &Path, source: Option<(&Arc<Detector>, &ColumnMap)>) -> Result<Sample> {
        match source {
            None => Sample::of_columns(path, self.label.as_deref()),
            Some((detector, _)) if self.features => Sample::of_features(detector, path),
            Some((detector, map)) => Sample::of_events(detector, path, map),
        }
    }
}

fn tell(made: &Report) {
    let verdict = &made.verdict;
    let parts = [
        ("not fit for", &verdict.not_fit_for),
        ("fit for", &verdict.fit_for),
        ("cannot be told", &verdict.cannot_be_told),
    ];
    made.warnings.iter().for_each(|warning| eprintln!("warning: {warning}"));
    for (title, lines) in parts.iter().filter(|(_, lines)| !lines.is_empty()) {
        println!("{title}:");
        lines.iter().for_each(|line| println!("  - {line}"));
    }
}
