//! `redflag bench drift`: a world that changes, and what becomes of models that are left alone, retrained, or learn all the time.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use engine::Engine;
use engine::detector::Detector;
use lab::dataset::SimulatedReader;
use lab::recovery::{Day, PLAYERS, Plan, RUN_EVERY, Recovery, csv, first_day, page, play};
use lab::replay::{Progress, replay};
use lab::retrain::Stretch;
use lab::simulate::drift::{Drift, Scenario};
use lab::simulate::{Settings as Simulation, simulator};
use lab::train::{BATCH_ROWS, TrainingSet, cores};

use super::Machine;
use crate::cli::WrongInput;
use crate::cli::output::{CountBar, load_detector};
use crate::cli::recipe::Making;
use crate::retraining::config::Config;

/// A stream that drifts, and who recovers from it.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Four play the same days: the first champion left alone; the service's loop, once with fresh challengers and once with challengers
that go on from the champion; and the model that learns from each label. Labels are known as late as the detector says.
Figures are of seven days, so that there are frauds enough.

Examples:
  redflag bench drift --detector card --days 120 --seed 1 --out drift.html
  redflag bench drift --detector card --scenario all --test-weeks 1 --shadow-days 0 --out drift.csv")]
pub struct Args {
    /// Detector whose world drifts
    #[arg(long, value_name = "NAME", default_value = "card")]
    detector: String,
    /// Days of simulated time
    #[arg(long, value_name = "N", default_value_t = 120, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    days: u32,
    /// Seed of the world
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
    /// What changes: new-attack, inflation, missing-field or all
    #[arg(long, value_name = "NAME", default_value = "new-attack", value_parser = str::parse::<Scenario>)]
    scenario: Scenario,
    /// The day from which the world is another, counted from 0 [default: the middle]
    #[arg(long, value_name = "N")]
    drift_day: Option<u32>,
    /// Customers
    #[arg(long, value_name = "N", default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    customers: u32,
    /// Weeks that the first champion learns from
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    first_weeks: u32,
    /// Weeks that a challenger learns from at most, as retraining.train_weeks
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=100))]
    train_weeks: u32,
    /// Weeks that it is tested on, as retraining.test_weeks
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=100))]
    test_weeks: u32,
    /// Days that it scores in the shadow, as retraining.shadow
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u32).range(0..=100))]
    shadow_days: u32,
    /// Alerts a day [default: the detector's daily_review_budget]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    budget: Option<u32>,
    /// Options of `redflag train` by which models are grown, as retraining.recipe
    #[arg(long, value_name = "TEXT", default_value = "", allow_hyphen_values = true)]
    recipe: String,
    /// Where the days go: .html is a page with charts, .json and .csv are figures
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(serde::Serialize)]
struct Report {
    machine: Machine,
    scenario: Scenario,
    seed: u64,
    customers: u32,
    rows: usize,
    seconds: f64,
    #[serde(flatten)]
    recovery: Recovery,
}

/// Alerts a day where neither the command nor the detector says.
const BUDGET: f64 = 100.0;

pub fn run(args: &Args) -> Result<()> {
    let started = std::time::Instant::now();
    let detector = load_detector(&args.detector)?;
    args.check(&detector)?;
    let plan = args.plan(&detector)?;
    let set = args.stream(&detector)?;
    let players = PLAYERS.len() as u64;
    let played = u64::from(args.days - first_day(&detector, args.first_weeks));
    let bar = CountBar::new("playing", "days", Some(players * played));
    let recovery = play(&detector, &set, &plan, &mut |done| bar.show(done));
    bar.finish();
    let report = Report {
        machine: Machine::this(),
        scenario: args.scenario,
        seed: args.seed,
        customers: args.customers,
        rows: set.len(),
        seconds: started.elapsed().as_secs_f64(),
        recovery: recovery?,
    };
    if let Some(path) = &args.out {
        let text = args.written(&report, path)?;
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    if args.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        print(&report);
        args.out.iter().for_each(|path| println!("\n{} is written", path.display()));
    }
    Ok(())
}

impl Args {
    fn drift_day(&self) -> u32 {
        self.drift_day.unwrap_or(self.days / 2)
    }

    /// All that is wrong at once, before anything is simulated.
    fn check(&self, detector: &Detector) -> Result<()> {
        let mut wrong = Vec::new();
        let (from, day) = (first_day(detector, self.first_weeks) + RUN_EVERY, self.drift_day());
        if !(from..self.days).contains(&day) {
            wrong.push(format!(
                "--drift-day is {day}, expected a day from {from} (the first champion's weeks, the delay of labels, and a week \
                 before the drift) that is before --days, which is {}",
                self.days
            ));
        }
        if let Some(path) = self.out.as_deref().filter(|path| !ENDINGS.contains(&ending(path))) {
            wrong.push(format!(
                "--out is {}, expected a name that ends in .html, .json or .csv",
                path.display()
            ));
        }
        if wrong.is_empty() { Ok(()) } else { Err(WrongInput(wrong.join("\n")).into()) }
    }

    fn plan(&self, detector: &Detector) -> Result<Plan> {
        let recipe = Making::of(self.recipe.split_whitespace()).and_then(|making| making.recipe());
        let budget = self.budget.map(f64::from).or(detector.policy.daily_review_budget).unwrap_or(BUDGET);
        Ok(Plan {
            first_weeks: self.first_weeks,
            stretch: Stretch { train_weeks: self.train_weeks, test_weeks: self.test_weeks },
            shadow_days: self.shadow_days,
            criteria: Config::default().criteria(),
            recipe: recipe.context("--recipe")?,
            online: lab::online::Settings::default(),
            budget: budget as usize,
            drift_day: self.drift_day(),
        })
    }

    /// The stream with its features, as the engine computes them.
    fn stream(&self, detector: &std::sync::Arc<Detector>) -> Result<TrainingSet> {
        let simulation = Simulation {
            seed: self.seed,
            days: Some(self.days),
            customers: Some(self.customers),
            drift: Some(Drift { scenario: self.scenario, day: self.drift_day() }),
            ..Simulation::default()
        };
        let events = simulator(&self.detector, &simulation)?;
        let expected = events.rows_per_day() * f64::from(self.days);
        let reader = SimulatedReader::new(events, &std::sync::Arc::new(detector.schema.clone()));
        let mut set = TrainingSet::new(detector.features.len(), None);
        let mut engine = Engine::new(std::sync::Arc::clone(detector), None, cores());
        let bar = CountBar::new("simulating", "transactions", Some(expected as u64));
        let mut show = |progress: Progress| bar.show(progress.events);
        replay(Box::new(reader), &mut engine, BATCH_ROWS, &mut set, &mut show)?;
        bar.finish();
        Ok(set)
    }

    fn written(&self, report: &Report, path: &Path) -> Result<String> {
        Ok(match ending(path) {
            "json" => serde_json::to_string_pretty(report)? + "\n",
            "csv" => csv(&report.recovery),
            _ => page(&report.recovery, &report.about()),
        })
    }
}

const ENDINGS: [&str; 3] = ["html", "json", "csv"];

fn ending(path: &Path) -> &str {
    path.extension().and_then(|ending| ending.to_str()).unwrap_or_default()
}

impl Report {
    fn about(&self) -> String {
        let Report { machine, scenario, seed, customers, rows, seconds, .. } = self;
        format!(
            "scenario {scenario}, seed {seed}, {customers} customers, {rows} transactions; {seconds:.0} s on {machine}"
        )
    }
}

fn print(report: &Report) {
    let recovery = &report.recovery;
    println!("{}", report.about());
    println!(
        "drift from day {} on; average precision (recall at {} alerts a day) of seven days; * after a promotion\n",
        recovery.drift_day, recovery.budget
    );
    print!("{:<12} {:>6}", "days", "frauds");
    PLAYERS.iter().for_each(|player| print!(" {player:>15}"));
    println!(" {:>9}  farthest feature", "PSI score");
    for day in recovery.weeks() {
        if day.day + 1 == recovery.drift_day + RUN_EVERY {
            println!("{:-<12}", "drift ");
        }
        print_week(recovery, day);
    }
    println!();
    for run in recovery.runs.iter().filter(|run| run.promoted) {
        println!("day {:>3}  {:<14} {}", run.day, run.player, run.words);
    }
}

fn print_week(recovery: &Recovery, day: &Day) {
    print!("{:<12} {:>6}", format!("{} to {}", day.day - 6, day.day), day.frauds);
    for (player, of) in PLAYERS.iter().zip(&day.players) {
        let shown = |figure: Option<f64>| figure.map_or("-".to_string(), |figure| format!("{figure:.3}"));
        let week = day.day - 6..=day.day;
        let promoted =
            recovery.runs.iter().any(|run| run.promoted && run.player == *player && week.contains(&run.day));
        let mark = if promoted { "*" } else { "" };
        let text = format!("{mark}{} ({})", shown(of.average_precision), shown(of.recall_at_budget));
        print!(" {text:>15}");
    }
    let farthest = day.farthest.as_ref();
    let feature = farthest.map_or(String::new(), |shifted| format!("{} {:.2}", shifted.feature, shifted.psi));
    println!(" {:>9.3}  {feature}", day.psi_score);
}
