//! `redflag compare`: all families of models on the same split, side by side, and a page about it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use forest::grow::{Algorithm, Params};
use lab::artifact::ModelFile;
use lab::compare::{Comparison, Contestant, Entry, contest, page};
use lab::engines::{Engine, EngineError, Foreign, Grower, Place, Request};
use lab::split::Split;
use lab::train::{Balancing, Recipe, TrainingSet};

use super::bench::Machine;
use super::engines::place;
use super::input::Input;
use super::output::CountBar;
use super::recipe::{Wanted, balance, seeded};
use super::splitting::Splitting;

/// Train every family of models on the same days, measure them on the same later days, and write a page about it.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Each family is grown on the classes as they are and balanced, on nothing but the training days, and measured on the test
days. The page is one file without scripts; it opens in any browser.

Examples:
  redflag compare --detector ulb --in creditcard.csv --out report.html
  redflag compare --detector card --in transactions.parquet --train-days 60 --delay-days 7 --test-days 14 \\
    --balance none,smote:0.1,weights --save-best card.model")]
pub struct Args {
    #[command(flatten)]
    input: Input,
    #[command(flatten)]
    splitting: Splitting,
    /// How the classes are brought closer to each other, one after the other; as --balance of train
    #[arg(long, value_name = "METHOD[:SHARE],...", value_delimiter = ',', default_value = "none,smote:0.1",
          value_parser = balance)]
    balance: Vec<Wanted>,
    /// Where the page goes
    #[arg(long, value_name = "FILE", default_value = "report.html")]
    out: PathBuf,
    /// Keep the model of highest average precision
    #[arg(long, value_name = "FILE")]
    save_best: Option<PathBuf>,
    /// Seed of everything random
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
    /// Print the figures as JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
/// If the input cannot be read or split, nothing can be learnt from it, or the page cannot be written.
pub fn run(args: Args) -> Result<()> {
    let (detector, columns) = args.input.load()?;
    let (set, _) = args.input.load_set(&detector, &columns, args.splitting.period()?)?;
    let split = args.splitting.splits(&detector, &set, 1)?.remove(0);
    let data = file_name(&args.input.file);
    let mut comparison = Comparison::begin(&detector, &set, &split, data, Machine::this().to_string())?;
    comparison.leaks.iter().for_each(|leak| eprintln!("warning: {leak}"));
    let mut best: Option<ModelFile> = None;
    let (contestants, absent) = args.contestants()?;
    absent.iter().for_each(|absent| eprintln!("left out: {absent}"));
    comparison.absent = absent;
    if !args.json {
        print_head();
    }
    for contestant in contestants {
        match one(&detector, &set, &split, &contestant) {
            Ok((model, entry)) => {
                if !args.json {
                    print_row(&entry);
                }
                let highest = comparison.entries.iter().map(|entry| entry.evaluation.average_precision);
                if highest.fold(f64::NEG_INFINITY, f64::max) < entry.evaluation.average_precision {
                    best = Some(model);
                }
                comparison.entries.push(entry);
            }
            Err(error) => {
                let absent = format!("{}, {}: {error:#}", contestant.family, contestant.balance);
                eprintln!("warning: {absent}");
                comparison.absent.push(absent);
            }
        }
    }
    let best = best.context("no model could be grown")?;
    finish(&args, &comparison, &best)
}

/// How a file is named on a page.
pub fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

fn one(
    detector: &engine::Detector,
    set: &TrainingSet,
    split: &Split,
    contestant: &Contestant,
) -> Result<(ModelFile, Entry)> {
    let bar = CountBar::new("growing", "trees", None);
    let result = contest(detector, set, split, contestant, &mut |done, _| bar.show(done as u64));
    bar.finish();
    result
}

fn finish(args: &Args, comparison: &Comparison, best: &ModelFile) -> Result<()> {
    std::fs::write(&args.out, page(comparison))
        .with_context(|| format!("cannot write {}", args.out.display()))?;
    if let Some(path) = &args.save_best {
        best.save(path)?;
    }
    if args.json {
        println!("{}", serde_json::to_string(comparison)?);
        return Ok(());
    }
    println!("\n{}: open it in a browser", args.out.display());
    if let Some(path) = &args.save_best {
        println!("{}: {}", path.display(), best.id);
    }
    Ok(())
}

/// Every family that people ask for, by the engine that grows it.
const FAMILIES: [(Engine, Algorithm); 6] = [
    (Engine::Builtin, Algorithm::Gbdt),
    (Engine::XgBoost, Algorithm::Gbdt),
    (Engine::LightGbm, Algorithm::Gbdt),
    (Engine::CatBoost, Algorithm::Gbdt),
    (Engine::Builtin, Algorithm::RandomForest),
    (Engine::Builtin, Algorithm::DecisionTree),
];

impl Args {
    /// Every family with every balance, and why some are missing.
    fn contestants(&self) -> Result<(Vec<Contestant>, Vec<String>)> {
        let (place, mut absent, mut contestants) = (place()?, Vec::new(), Vec::new());
        for (engine, algorithm) in FAMILIES {
            match self.grower(engine, algorithm, &place) {
                Ok(grower) => {
                    contestants.extend(self.balance.iter().map(|wanted| self.contestant(&grower, wanted)))
                }
                Err(error) => absent.push(format!("{engine}: {error}")),
            }
        }
        Ok((contestants, absent))
    }

    fn grower(&self, engine: Engine, algorithm: Algorithm, place: &Place) -> Result<Grower, EngineError> {
        if engine == Engine::Builtin {
            return Ok(Grower::Builtin(Params { seed: self.seed, ..Params::defaults(algorithm) }));
        }
        let given = vec![("seed", self.seed.to_string())];
        Ok(Grower::Foreign(Foreign::new(engine, Request { given, ..Request::plain(algorithm) }, place)?))
    }

    fn contestant(&self, grower: &Grower, wanted: &Wanted) -> Contestant {
        let balance = wanted.clone().map(|balancing| seeded(balancing, self.seed));
        let family = match grower.engine() {
            Engine::Builtin => grower.algorithm().to_string(),
            engine => engine.to_string(),
        };
        Contestant {
            family,
            balance: balance.as_ref().map_or("as they are".to_string(), in_words),
            recipe: Recipe {
                grower: grower.clone(),
                balance,
                calibrate: None,
                threshold: None,
                follows_policy: false,
            },
        }
    }
}

fn in_words(balancing: &Balancing) -> String {
    match balancing {
        Balancing::Weights => "weighed alike".to_string(),
        Balancing::Made(made) => format!("{} to {} %", made.generator.facts.id, 100.0 * made.fraud_share),
        Balancing::Rows(balance) => format!("{} to {} %", balance.method, 100.0 * balance.fraud_share),
    }
}

fn print_head() {
    println!(
        "{:<15} {:<22} {:>7} {:>7} {:>8} {:>9} {:>11} {:>7} {:>8} {:>9}",
        "family",
        "classes",
        "avg pr",
        "AUC",
        "card@100",
        "recall 1%",
        "prec at 99%",
        "F1",
        "Brier",
        "training"
    );
}

fn print_row(entry: &Entry) {
    let figures = &entry.evaluation;
    let cards = figures.card_precision_at_100.map_or(String::new(), |precision| format!("{precision:.4}"));
    println!(
        "{:<15} {:<22} {:>7.4} {:>7.4} {cards:>8} {:>9.4} {:>11.4} {:>7.4} {:>8.5} {:>7.1} s",
        entry.family,
        entry.balance,
        figures.average_precision,
        figures.auc_roc,
        figures.recall_at_fpr_0_01,
        figures.precision_at_recall_0_99,
        figures.best_f1,
        figures.brier,
        entry.growing_s
    );
}
