//! `redflag synth sample`: transactions from a generator, alone or among real ones.

use std::path::PathBuf;

use anyhow::Result;
use engine::Detector;
use lab::synth::generator::{Generator, Subject, Wanted};
use lab::synth::mix::{Mixture, mix};
use lab::synth::read::{read_columns, read_events, write};
use lab::synth::table::Table;

use super::wrong;
use crate::cli::WrongInput;
use crate::cli::output::{CountBar, column_map, load_detector, tell};

/// Make transactions with a trained generator.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Each made row carries the generator's name in the column `synthetic`. With --mix, frauds are brought among the genuine
transactions of a real file: --fraud-share 0.002 --synthetic-share 0.6 gives a fifth of a per cent of frauds, of which six in
ten are made. Ids are numbered anew.

Examples:
  redflag synth sample --generator ulb.generator --rows 10000 --out made.csv
  redflag synth sample --generator ulb.generator --rows 1000 --fraud-share 1 --out frauds.parquet
  redflag synth sample --generator frauds.generator --mix transactions.parquet --fraud-share 0.002 \\\\
    --synthetic-share 0.6 --out mixed.parquet")]
pub struct Args {
    /// The generator's file
    #[arg(long, value_name = "FILE")]
    generator: PathBuf,
    /// Rows to make
    #[arg(long, value_name = "N", required_unless_present = "mix", value_parser = clap::value_parser!(u32).range(1..=100_000_000))]
    rows: Option<u32>,
    /// Frauds among all rows, as a share [default: that of the rows it has seen]
    #[arg(long, value_name = "SHARE", value_parser = share)]
    fraud_share: Option<f64>,
    /// A real file whose genuine transactions are kept, and as many of its frauds as are wanted
    #[arg(long, value_name = "FILE", conflicts_with = "rows", requires = "fraud_share")]
    mix: Option<PathBuf>,
    /// Made ones among the frauds of a mixture, as a share
    #[arg(long, value_name = "SHARE", default_value_t = 0.6, value_parser = share, requires = "mix")]
    synthetic_share: f64,
    /// The detector of the generator's events, where it is not a shipped one
    #[arg(long, value_name = "NAME|FILE")]
    detector: Option<String>,
    /// Columns of the real file that have another name than the detector's field
    #[arg(long, value_name = "FIELD=COLUMN,...", requires = "mix")]
    columns: Option<String>,
    /// Seed of everything random
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
    /// Where the transactions go: .csv, .jsonl or .parquet
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Print the counts as JSON
    #[arg(long)]
    json: bool,
}

fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "expected a share from 0 to 1".to_string())
}

#[derive(serde::Serialize)]
struct Made {
    generator: String,
    rows: usize,
    frauds: usize,
    synthetic: usize,
}

/// Runs the command.
///
/// # Errors
/// If the generator or the real file cannot be read, what is asked for cannot be made, or the rows cannot be written.
pub fn run(args: Args) -> Result<()> {
    let generator = Generator::load(&args.generator).map_err(wrong)?;
    let detector = args.detector(&generator)?;
    let (table, marks) = match &args.mix {
        None => args.made(&generator)?,
        Some(file) => args.mixed(&generator, detector.as_deref(), file)?,
    };
    let schema = detector.as_ref().map(|detector| &detector.schema);
    write(&table, &marks, schema, 0, &args.out)?;
    let made = Made {
        generator: generator.facts.id.clone(),
        rows: table.len(),
        frauds: table.frauds().len(),
        synthetic: marks.iter().filter(|mark| !mark.is_empty()).count(),
    };
    tell(&made, args.json, &args.out)
}

impl Args {
    /// The detector of events; rows of features and of other tables have none.
    fn detector(&self, generator: &Generator) -> Result<Option<std::sync::Arc<Detector>>> {
        let Subject::Events(name) = &generator.facts.subject else { return Ok(None) };
        let detector = load_detector(self.detector.as_deref().unwrap_or(name))?;
        if detector.name != *name {
            let found = &detector.name;
            return Err(
                WrongInput(format!("the generator makes events of `{name}`, not of `{found}`")).into()
            );
        }
        Ok(Some(detector))
    }

    fn made(&self, generator: &Generator) -> Result<(Table, Vec<String>)> {
        let rows = self.rows.unwrap_or_default() as usize;
        let bar = CountBar::new("making", "rows", Some(rows as u64));
        let wanted = Wanted { rows, fraud_share: self.fraud_share, seed: self.seed };
        let made = generator.sample(wanted, &mut |done| {
            bar.show(done as u64);
            true
        });
        bar.finish();
        let table = made.map_err(wrong)?;
        let marks = vec![generator.facts.mark(); table.len()];
        Ok((table, marks))
    }

    fn mixed(
        &self,
        generator: &Generator,
        detector: Option<&Detector>,
        file: &std::path::Path,
    ) -> Result<(Table, Vec<String>)> {
        let real = match detector {
            Some(detector) => read_events(detector, file, &column_map(self.columns.as_deref(), detector)?)?.0,
            None => read_columns(file, generator.label()).map_err(wrong)?,
        };
        let wanted = Mixture {
            fraud_share: self.fraud_share.unwrap_or_default(),
            synthetic_share: self.synthetic_share,
            seed: self.seed,
        };
        mix(&real, generator, &wanted).map_err(wrong)
    }
}

impl std::fmt::Display for Made {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Made { generator, rows, frauds, synthetic } = self;
        write!(f, "{rows} rows, {frauds} frauds, {synthetic} made by {generator}")
    }
}
