//! `redflag synth fit`: a generator learns from real transactions.

use std::ops::{ControlFlow, Range};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use engine::time::format_instant;
use lab::synth::draw;
use lab::synth::fit::{History, Progress, Settings, Source, fit};
use lab::synth::generator::{Facts, Generator, Method, Subject};
use lab::synth::read::{read_columns, read_events};
use lab::synth::table::Table;
use lab::train::load;

use super::wrong;
use crate::cli::WrongInput;
use crate::cli::compare::file_name;
use crate::cli::output::{CountBar, column_map, instant, load_detector};

/// Train a generator on real transactions.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
With --detector, the file's rows are its events, or its features with --features; without one they are the columns of a .csv
or .parquet file. Who pays where is never learnt: entities are drawn anew when rows are made.

A training that is stopped goes on when the same command is given again: what it needs is in OUT.checkpoint.

Examples:
  redflag synth fit --detector ulb --in creditcard.csv --kind ctgan --out ulb.generator --draw training.html
  redflag synth fit --detector card --features --in transactions.parquet --from 2018-07-01 --to 2018-08-01 \\\\
    --test-from 2018-08-08 --kind wgan-gp --only fraud --out frauds.generator
  redflag synth fit --in table.csv --label is_fraud --kind tablegan --privacy 0.2 --out table.generator")]
pub struct Args {
    /// Real transactions: .csv or .parquet; with a detector .jsonl as well
    #[arg(long = "in", value_name = "FILE")]
    file: PathBuf,
    /// Whose events they are: the name of a shipped detector, or a file
    #[arg(long, value_name = "NAME|FILE")]
    detector: Option<String>,
    /// Columns that have another name than the detector's field
    #[arg(long, value_name = "FIELD=COLUMN,...", requires = "detector")]
    columns: Option<String>,
    /// The column that says fraud (1) or not (0), where no detector names it
    #[arg(long, value_name = "COLUMN", conflicts_with = "detector")]
    label: Option<String>,
    /// Learn the detector's features, as the engine computes them, instead of the events
    #[arg(long, requires = "detector")]
    features: bool,
    /// tablegan, wgan-gp, ctgan, or smote
    #[arg(long, value_name = "KIND", default_value = "ctgan", value_parser = method)]
    kind: Method,
    /// Learn from frauds alone, or from genuine transactions alone
    #[arg(long, value_name = "CLASS", value_parser = ["fraud", "genuine"])]
    only: Option<String>,
    /// First instant to learn from [default: all of the file]
    #[arg(long, value_name = "TIME", value_parser = instant)]
    from: Option<i64>,
    /// First instant not to learn from any more [default: all of the file]
    #[arg(long, value_name = "TIME", value_parser = instant)]
    to: Option<i64>,
    /// Refuse to learn from what is not before this: the time that models will be tested on
    #[arg(long, value_name = "TIME", value_parser = instant)]
    test_from: Option<i64>,
    /// Where the time that models will be tested on ends [default: never]
    #[arg(long, value_name = "TIME", value_parser = instant, requires = "test_from")]
    test_to: Option<i64>,
    /// Times that all rows are gone through
    #[arg(long, value_name = "N", default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    epochs: u32,
    /// Rows of a step
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u32).range(20..=100_000))]
    batch: u32,
    /// How fast is learnt [default: 0.0003 for wgan-gp, else 0.0002]
    #[arg(long, value_name = "RATE", value_parser = rate)]
    learning_rate: Option<f32>,
    /// TableGAN: how far the statistics of made rows may be off without loss; more is more private
    #[arg(long, value_name = "DELTA", default_value_t = 0.0, value_parser = delta)]
    privacy: f32,
    /// Stop when held-out rows have not come nearer in so many looks of 40; 0 never stops
    #[arg(long, value_name = "N", default_value_t = 15)]
    patience: usize,
    /// Seed of everything random: the same makes the same bytes
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
    /// Where the generator goes
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// A page with losses and made rows beside real ones, drawn again and again while it trains
    #[arg(long, value_name = "FILE")]
    draw: Option<PathBuf>,
    /// Print the generator's facts as JSON
    #[arg(long)]
    json: bool,
}

fn method(name: &str) -> Result<Method, String> {
    let found = Method::ALL.iter().find(|(known, _)| *known == name);
    let names = Method::ALL.map(|(name, _)| name).join(", ");
    found.map(|(_, method)| *method).ok_or_else(|| format!("expected one of {names}"))
}

fn rate(text: &str) -> Result<f32, String> {
    let rate = text.parse().ok().filter(|rate: &f32| *rate > 0.0 && *rate <= 1.0);
    rate.ok_or_else(|| "expected a number above 0 and at most 1".to_string())
}

fn delta(text: &str) -> Result<f32, String> {
    let delta = text.parse().ok().filter(|delta: &f32| *delta >= 0.0 && delta.is_finite());
    delta.ok_or_else(|| "expected a number that is not negative".to_string())
}

/// Runs the command.
///
/// # Errors
/// If the file cannot be read or learnt from, its time overlaps that of the test, or the generator cannot be written.
pub fn run(args: Args) -> Result<()> {
    let (table, subject) = args.read()?;
    let period = args.period();
    let source = Source { table: &table, subject, period: period.clone() };
    refuse_overlap(&args, &table)?;
    let checkpoint = with_ending(&args.out, "checkpoint");
    let title = format!("{} on {}", args.kind, file_name(&args.file));
    let seen = Default::default();
    let mut painter =
        Painter { path: args.draw.as_deref(), title, columns: String::new(), seen, drawn: None };
    let bar = CountBar::new("training", "steps", None);
    let (settings, mut told) = (args.settings(), 0);
    let trained = fit(&source, &settings, Some(&checkpoint), &mut |progress| {
        bar.show(progress.steps.0);
        painter.look(progress);
        if progress.history.distances.len() > told {
            told = progress.history.distances.len();
            tell_epoch(progress, args.json);
        }
        ControlFlow::Continue(())
    });
    bar.finish();
    painter.draw(true);
    let generator = trained.map_err(wrong)?;
    generator.save(&args.out)?;
    // It is of no use any more, and if it cannot be removed the next training says so.
    drop(std::fs::remove_file(&checkpoint));
    tell(&generator, &args)
}

impl Args {
    fn settings(&self) -> Settings {
        Settings {
            epochs: self.epochs as usize,
            batch: self.batch as usize,
            learning_rate: self.learning_rate,
            privacy: (self.privacy, self.privacy),
            patience: self.patience,
            seed: self.seed,
            ..Settings::of(self.kind)
        }
    }

    /// The time that was asked for, where one was.
    fn period(&self) -> Option<Range<i64>> {
        let is_asked = self.from.is_some() || self.to.is_some();
        is_asked.then(|| self.from.unwrap_or(i64::MIN)..self.to.unwrap_or(i64::MAX))
    }

    fn read(&self) -> Result<(Table, Subject)> {
        let (table, subject) = match &self.detector {
            None => (read_columns(&self.file, self.label.as_deref()).map_err(wrong)?, Subject::Columns),
            Some(name) => self.read_for(name)?,
        };
        let table = match self.period() {
            Some(_) if table.times_us.is_empty() => {
                return Err(
                    WrongInput("--from and --to need a column of times: there is none".to_string()).into()
                );
            }
            Some(period) => table.within(&period),
            None => table,
        };
        let table = self.of_class(table)?;
        if table.is_empty() {
            return Err(WrongInput(format!("{}: no row is left to learn from", self.file.display())).into());
        }
        Ok((table, subject))
    }

    fn read_for(&self, name: &str) -> Result<(Table, Subject)> {
        let detector = load_detector(name)?;
        let map = column_map(self.columns.as_deref(), &detector)?;
        if self.features {
            let (set, _) = load(&detector, &self.file, &map, self.period(), &mut |_| {})?;
            let subject = Subject::Features(detector.name.clone(), detector.feature_fingerprint.clone());
            return Ok((Table::of_features(&detector, &set), subject));
        }
        let (table, rejected) = read_events(&detector, &self.file, &map)?;
        if rejected > 0 {
            eprintln!("warning: {}: {rejected} rows were rejected", self.file.display());
        }
        Ok((table, Subject::Events(detector.name.clone())))
    }

    fn of_class(&self, table: Table) -> Result<Table> {
        let Some(only) = &self.only else { return Ok(table) };
        if table.label().is_none() {
            return Err(WrongInput(
                "--only needs labels: name their column with --label or a detector".to_string(),
            )
            .into());
        }
        let frauds = table.frauds();
        let rows: Vec<usize> =
            (0..table.len()).filter(|row| frauds.binary_search(row).is_ok() == (only == "fraud")).collect();
        Ok(table.select(&rows))
    }
}

fn refuse_overlap(args: &Args, table: &Table) -> Result<()> {
    let Some(test_from) = args.test_from else { return Ok(()) };
    let test = test_from..args.test_to.unwrap_or(i64::MAX);
    if table.times_us.is_empty() {
        return Err(WrongInput("--test-from needs a column of times: there is none".to_string()).into());
    }
    let seen = table.times_us.iter().find(|time| test.contains(*time));
    match seen {
        None => Ok(()),
        Some(time) => Err(WrongInput(format!(
            "the rows to learn from reach into the time of the test: one is of {}, and the test begins at {}; end before it with --to",
            format_instant(*time),
            format_instant(test.start)
        ))
        .into()),
    }
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    PathBuf::from(name)
}

/// Draws the page again and again, but no more often than is looked at it.
struct Painter<'a> {
    path: Option<&'a Path>,
    title: String,
    columns: String,
    /// Epochs, steps and figures as they were last.
    seen: ((usize, usize), (u64, u64), History),
    drawn: Option<Instant>,
}

const DRAWN_EVERY: Duration = Duration::from_secs(2);

impl Painter<'_> {
    fn look(&mut self, progress: &Progress) {
        if self.path.is_none() {
            return;
        }
        if let Some((made, real)) = progress.samples {
            self.columns = draw::columns(made, real);
        }
        self.seen = (progress.epochs, progress.steps, progress.history.clone());
        if self.drawn.is_none_or(|drawn| drawn.elapsed() >= DRAWN_EVERY) {
            self.draw(false);
        }
    }

    /// Draws what there is; a page that cannot be written is no reason to stop a training.
    fn draw(&mut self, is_done: bool) {
        let Some(path) = self.path else { return };
        let (epochs, steps, history) = &self.seen;
        let progress = Progress { epochs: *epochs, steps: *steps, history, samples: None };
        if let Err(error) = std::fs::write(path, draw::page(&self.title, &progress, &self.columns, is_done)) {
            eprintln!("warning: cannot write {}: {error}", path.display());
            self.path = None;
        }
        self.drawn = Some(Instant::now());
    }
}

/// One line for each look at made rows, with a bar as long as they can be told from real ones.
fn tell_epoch(progress: &Progress, json: bool) {
    let Some((epoch, distance)) = progress.history.distances.last().copied().filter(|_| !json) else {
        return;
    };
    let losses = progress.history.losses.last().copied().unwrap_or_default();
    let is_best = progress.history.best().is_some_and(|(best, _)| best == epoch);
    eprintln!(
        "epoch {epoch:>5}  critic {:>8.3}  generator {:>8.3}  told apart {distance:.3} {:<20} {}",
        losses.critic,
        losses.generator,
        "▪".repeat((distance * 20.0).round() as usize),
        if is_best { "nearest so far" } else { "" }
    );
}

fn tell(generator: &Generator, args: &Args) -> Result<()> {
    let Facts { id, rows, frauds, epochs, distance, fingerprint, .. } = &generator.facts;
    if args.json {
        println!("{}", serde_json::to_string(&generator.facts).context("facts are plain data")?);
        return Ok(());
    }
    println!("{}: {id}, {rows} rows, {frauds} frauds, fingerprint {fingerprint}", args.out.display());
    if let Some(distance) = distance {
        println!(
            "weights of epoch {} of {}: made rows are told apart with {distance:.3}",
            epochs.1, epochs.0
        );
    }
    if let Some(seen) = generator.facts.period() {
        println!(
            "has seen {} to {}: nothing in there may be a test",
            format_instant(seen.start),
            format_instant(seen.end)
        );
    }
    if args.kind == Method::Smote {
        println!("the file holds the real rows: keep it as you keep them");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings_are_added_not_replaced() {
        assert_eq!(
            with_ending(Path::new("a.generator"), "checkpoint"),
            PathBuf::from("a.generator.checkpoint")
        );
    }

    #[test]
    fn kinds_are_named() {
        assert!(Method::ALL.iter().all(|(name, kind)| method(name) == Ok(*kind)));
        assert!(method("gan").unwrap_err().contains("wgan-gp"));
    }
}
