//! `redflag backtest`: a rule tried on history before it decides anything.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use engine::rulebook::{Flaw, Stage, WrittenRule};
use engine::time::parse_duration;
use engine::{Detector, Engine, Outcome, Rulebook};
use lab::backtest::{Money, RuleReport};
use lab::dataset::{ColumnMap, open};
use lab::replay::replay;
use lab::train::{BATCH_ROWS, cores};
use store::{ALWAYS, Database};

use super::WrongInput;
use super::model::registry::{print_table, told};
use super::output::{CountBar, ReplayBar, bind_model, instant, load_detector, load_model};
use crate::backtest::{OfFile, Period, Told, Trial};
use crate::objects::is_url;
use crate::registry::Registry;
use crate::registry::rulebooks::applied;
use crate::retraining::rows::newest_us;
use crate::service::privacy::kept_cards;
use crate::service::settings::Settings;

/// Try rules on history: alerts a day, precision, money, and how they go together with what there is.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A rule is tried as if it had been live, added to what was decided: declines are strongest, then approvals, then reviews.
Precision and money are of transactions of which it is known whether they were fraud: labelled, or older than
labels.mature_after and not declined. Decisions are looked at as they are stored, beside a running service.

Examples:
  redflag backtest --rule 'amount > 500.0 && is_night' --outcome review --detector card
  redflag backtest --draft large --from 2026-10-01 --json --config redflag.toml
  redflag backtest --rule 'amount > 900.0' --outcome decline --in history.parquet --model card.model --detector card")]
pub struct Args {
    /// A condition in CEL; may be given several times
    #[arg(long = "rule", value_name = "CEL", required_unless_present = "drafts")]
    rules: Vec<String>,
    /// Names of the conditions, in their order [default: rule1, rule2, ...]
    #[arg(long = "name", value_name = "NAME")]
    names: Vec<String>,
    /// What the conditions ask for: one for all, or one for each
    #[arg(long = "outcome", value_parser = outcome, default_value = "review")]
    outcomes: Vec<Outcome>,
    /// A rule of the rulebook, whatever its stage; may be given several times
    #[arg(long = "draft", value_name = "NAME")]
    drafts: Vec<String>,
    /// Settings file of the service: its detector, database, registry and time until labels mature
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The data folder of the service
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// The database, where it is not the SQLite file in the data folder
    #[arg(long, value_name = "URL|FILE", hide_env_values = true, value_parser = Database::parse)]
    database: Option<Database>,
    /// Transactions of a file instead, with its labels, decided as they would be today
    #[arg(long = "in", value_name = "FILE")]
    file: Option<PathBuf>,
    /// The model that decides on the file; without one, rules alone do
    #[arg(long, value_name = "FILE", requires = "file")]
    model: Option<PathBuf>,
    /// A shipped detector by name, or a detector file
    #[arg(long, value_name = "NAME|FILE")]
    detector: Option<String>,
    /// First event time
    #[arg(long, value_name = "TIME", value_parser = instant, conflicts_with = "file")]
    from: Option<i64>,
    /// First event time no longer looked at
    #[arg(long, value_name = "TIME", value_parser = instant, conflicts_with = "file")]
    to: Option<i64>,
    /// How long after it happened a transaction without a label counts as genuine, as 30d
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    mature_after: Option<i64>,
    /// Count synthetic transactions as well, as those of the demo
    #[arg(long)]
    synthetic: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn outcome(text: &str) -> Result<Outcome, String> {
    Outcome::from_name(text).ok_or_else(|| "expected approve, review or decline".to_string())
}

fn duration(text: &str) -> Result<i64, String> {
    parse_duration(text).ok_or_else(|| "expected a duration, as 30d".to_string())
}

/// Runs the command.
///
/// # Errors
/// If the settings, the rules or the file have mistakes, or the database cannot be read.
pub fn run(args: &Args) -> Result<()> {
    let settings = args.settings()?;
    let detector = detector(&settings)?;
    let book = rulebook(&settings, &detector)?;
    let candidates = args.candidates(&book)?;
    let mut trial = Trial::new(&detector, &book, candidates).map_err(|flaws| wrong(&flaws))?;
    match &args.file {
        Some(file) => args.look_at_file(file, &detector, &book, &mut trial)?,
        None => args.look_at_store(&settings, &mut trial)?,
    }
    let told = trial.tell();
    if args.json {
        println!("{}", serde_json::to_string_pretty(&told)?);
    } else {
        print(&told);
    }
    Ok(())
}

impl Args {
    /// Those of the file and the environment, and what the command says instead.
    fn settings(&self) -> Result<Settings> {
        let settings = Settings::load(self.config.as_deref(), |name| std::env::var(name).ok())?;
        Ok(Settings {
            data_dir: self.data_dir.clone().unwrap_or(settings.data_dir),
            database: self.database.clone().or(settings.database),
            detector: self.detector.clone().unwrap_or(settings.detector),
            mature_after_us: self.mature_after.or(settings.mature_after_us),
            ..settings
        })
    }

    fn candidates(&self, book: &Rulebook) -> Result<Vec<WrittenRule>> {
        let (rules, outcomes) = (self.rules.len(), self.outcomes.len());
        if outcomes != 1 && outcomes != rules {
            return Err(WrongInput(format!("--outcome is given {outcomes} times for {rules} rules")).into());
        }
        if self.names.len() > rules {
            return Err(
                WrongInput(format!("--name is given {} times for {rules} rules", self.names.len())).into()
            );
        }
        let written = self.rules.iter().enumerate().map(|(at, when)| {
            let name = self.names.get(at).cloned().unwrap_or_else(|| format!("rule{}", at + 1));
            let outcome = self.outcomes[at.min(outcomes - 1)];
            Ok(WrittenRule::live(&name, when, outcome))
        });
        written.chain(self.drafts.iter().map(|name| draft(book, name))).collect()
    }

    fn look_at_store(&self, settings: &Settings, trial: &mut Trial) -> Result<()> {
        let range_us = self.from.unwrap_or(ALWAYS.start)..self.to.unwrap_or(ALWAYS.end);
        if range_us.is_empty() {
            return Err(WrongInput("--from is not before --to".to_string()).into());
        }
        let database = settings.database();
        let mut store = database.open_reader().with_context(|| format!("no database at {database}"))?;
        let total = store.totals()?.decisions();
        let bar = CountBar::new(
            "looking at",
            "decisions",
            Some(total).filter(|_| self.from.is_none() && self.to.is_none()),
        );
        let matured = settings.mature_after_us.zip(newest_us(&mut *store)?);
        let period = Period {
            range_us,
            after: -1,
            matured_before_us: matured.map(|(after, newest)| newest - after),
            is_real: &|mark| mark.is_none() || self.synthetic,
        };
        trial.look_at_store(&mut *store, &period, &mut |read| {
            bar.show(read);
            true
        })?;
        bar.finish();
        Ok(())
    }

    fn look_at_file(
        &self,
        file: &Path,
        detector: &Detector,
        book: &Rulebook,
        trial: &mut Trial,
    ) -> Result<()> {
        let decides = Arc::new(applied(detector, book).map_err(told)?);
        let load = |path: &PathBuf| load_model(path).and_then(|file| bind_model(&file, &decides));
        let model = self.model.as_ref().map(load).transpose()?;
        let reader = open(file, &Arc::new(decides.schema.clone()), &ColumnMap::default())?;
        let mut engine = Engine::new(Arc::clone(&decides), model, cores());
        let bar = ReplayBar::new("transactions");
        let mut sink = OfFile { trial, decides: &decides };
        replay(reader, &mut engine, BATCH_ROWS, &mut sink, &mut |progress| bar.show(progress))?;
        bar.finish();
        Ok(())
    }
}

/// A rule of the rulebook; its stage does not matter here.
fn draft(book: &Rulebook, name: &str) -> Result<WrittenRule> {
    let found = book.rules.iter().find(|rule| rule.name == name).cloned();
    let known = || book.rules.iter().map(|rule| rule.name.as_str()).collect::<Vec<_>>().join(", ");
    let found =
        found.ok_or_else(|| WrongInput(format!("there is no rule `{name}`; there are: {}", known())))?;
    // What decides already is told apart from what is tried.
    let decides = matches!(found.stage, Stage::Shadow | Stage::Partial | Stage::Live);
    let name = if decides { format!("{} again", found.name) } else { found.name.clone() };
    Ok(WrittenRule { name, ..found })
}

fn detector(settings: &Settings) -> Result<Arc<Detector>> {
    let mut detector = load_detector(&settings.detector)?;
    if let Some(cards) = kept_cards(&settings.data_dir)? {
        Arc::make_mut(&mut detector).schema.cards = cards;
    }
    Ok(detector)
}

/// The rulebook that holds; the detector file's own where there is no registry.
fn rulebook(settings: &Settings, detector: &Detector) -> Result<Rulebook> {
    let place = settings.registry();
    if !is_url(&place) && !Path::new(&place).is_dir() {
        return Ok(Rulebook::of(detector));
    }
    Ok(Registry::open(&place)?.rulebook_in_force(detector).map_err(told)?.rulebook)
}

fn wrong(flaws: &[Flaw]) -> WrongInput {
    let listed: Vec<String> = flaws.iter().map(ToString::to_string).collect();
    WrongInput(format!("the rules have {} mistake(s)\n{}", listed.len(), listed.join("\n")))
}

fn print(told: &Told) {
    let report = &told.report;
    println!(
        "{} transactions of {} days, {:.1} alerts a day; {} known, {} of them fraud",
        report.transactions, report.days, report.alerts_per_day, report.known, report.frauds
    );
    told.left_out.iter().for_each(|(why, count)| println!("left out: {count} {why}"));
    report.rules.iter().for_each(|rule| print_rule(rule, report.cost));
}

fn print_rule(rule: &RuleReport, cost_before: Option<f64>) {
    println!("\n{}: {} if {}", rule.name, rule.outcome, rule.when);
    println!(
        "  fires {} times, {:.2} a day; {:+.2} alerts a day",
        rule.fired, rule.fired_per_day, rule.added_alerts_per_day
    );
    for change in &rule.changes {
        println!("  {} → {}: {}", change.from, change.to, change.transactions);
    }
    println!(
        "  precision {} ({} frauds of {} known), of new alerts {}; recall {}",
        share(rule.precision),
        rule.frauds,
        rule.known,
        share(rule.added_precision),
        share(rule.recall)
    );
    let money = |what: &str, money: &Money| {
        if money.transactions > 0 {
            println!("  {what}: {} transactions, {:.2}", money.transactions, money.amount);
        }
    };
    money("fraud that passed and would be stopped or reviewed", &rule.caught);
    money("genuine ones that would be declined", &rule.stopped);
    money("genuine ones that would be reviewed", &rule.reviewed);
    money("fraud that was stopped and would pass", &rule.let_through);
    if let (Some(before), Some(after)) = (cost_before, rule.cost) {
        println!("  cost of the known transactions: {before:.2} as it was, {after:.2} with the rule");
    }
    print_overlap(rule);
}

fn print_overlap(rule: &RuleReport) {
    let head = ["together with", "both", "only this", "only that", "Jaccard"].map(str::to_string);
    let rows = rule.overlap.iter().map(|with| {
        let counts = [with.both, with.only_this, with.only_that].map(|count| count.to_string());
        let [both, only_this, only_that] = counts;
        [with.with.clone(), both, only_this, only_that, share(with.jaccard)]
    });
    print_table(&head, &rows.collect::<Vec<_>>());
}

fn share(share: Option<f64>) -> String {
    share.map_or_else(|| "unknown".to_string(), |share| format!("{share:.4}"))
}
