//! `redflag train`: grow a model on a stretch of a file.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result};
use engine::Detector;
use engine::time::{DAY_US, TIME_RANGE_US, format_instant};
use lab::artifact::ModelFile;
use lab::compare::{Comparison, Contestant, contest, drawings, page};
use lab::engines::{Engine, Progress};
use lab::facts::{self, Facts};
use lab::replay::Summary;
use lab::split::{Lengths, Split, label_delay_us, prequential};
use lab::train::{Recipe, TrainingSet, train_from};
use lab::tune::{Sampler, Search, Trial, best, tune};
use lab::validate::{Fold, Protocol, Spread, fold};

use super::WrongInput;
use super::bench::Machine;
use super::compare::file_name;
use super::input::Input;
use super::mlflow::{Destination, Tracking};
use super::model::registry::{Kept, told};
use super::output::{CountBar, bind_model, detector_text, instant, load_model};
use super::recipe::Making;
use super::validate::FIGURES;
use crate::mlflow::{Publication, Published};
use crate::registry;

/// Grow a model on a stretch of a file; what comes before it fills the windows.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Features are computed by the engine as it would have computed them at the time; labels count after the delay that the
detector gives them. Times are half-open: from is in, to is out.

Example: redflag train --detector card --in transactions.parquet --algorithm gbdt \\
           --train-from 2018-07-25 --train-to 2018-08-01 --out card.model
         redflag train --detector card --in transactions.parquet --trees 1000 --early-stopping 50 \\
           --monotone terminal_risk_7d=+1 --out card.model
         redflag train --detector card --in transactions.parquet --tune 50 --study card.study --out card.model
         redflag train --detector card --in transactions.parquet --balance smote:0.1 --calibrate beta \\
           --review-recall 0.9 --out card.model
         redflag train --detector card --in transactions.parquet --engine xgboost --max-depth 4 --set max_bin=512 \\
           --out card.model
         redflag train --detector card --in august.parquet --continue-from card.model --trees 50 --out newer.model \\
           --register
         redflag train --detector card --in transactions.parquet --out card.model --mlflow http://127.0.0.1:5000")]
pub struct Args {
    #[command(flatten)]
    input: Input,
    #[command(flatten)]
    making: Making,
    /// First instant of the training data [default: all of the file]
    #[arg(long, value_name = "TIME", value_parser = instant)]
    train_from: Option<i64>,
    /// First instant after the training data [default: all of the file]
    #[arg(long, value_name = "TIME", value_parser = instant)]
    train_to: Option<i64>,
    /// Keep the trees of this model and add to them what the data has to teach (boosting)
    #[arg(long, visible_alias = "continue", value_name = "MODEL")]
    continue_from: Option<PathBuf>,
    /// Where the model goes
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Search for parameters first, in so many trials on splits of the training time; the best replace what was given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    tune: Option<u32>,
    /// How the next trial is chosen: tpe by what earlier ones found, random, or grid:K with K values of each parameter
    #[arg(long, value_name = "HOW", default_value = "tpe", value_parser = sampler)]
    tune_by: Sampler,
    /// Write trials down, and go on with those that are there
    #[arg(long, value_name = "FILE", requires = "tune")]
    study: Option<PathBuf>,
    /// Measure the recipe on so many splits of the training time as well, each later than the one before: figures for the
    /// registry and MLflow
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1_000))]
    folds: Option<u16>,
    /// A page with figures and pictures of the last of these splits
    #[arg(long, value_name = "FILE", requires = "folds")]
    report: Option<PathBuf>,
    /// Keep the model in the registry as well, with how it came to be
    #[arg(long)]
    register: bool,
    #[command(flatten)]
    kept: Kept,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    mlflow: Option<Destination>,
}

/// Runs the command.
///
/// # Errors
/// If the input cannot be read, cannot be learnt from, or the model cannot be written.
pub fn run(args: Args) -> Result<()> {
    let tracking = args.mlflow.as_ref().map(Destination::open).transpose()?;
    let (detector, columns) = args.input.load()?;
    let recipe = args.making.recipe()?;
    args.check_continuing(&recipe)?;
    let older = args.continue_from.as_deref().map(load_model).transpose()?;
    if let Some(older) = &older {
        bind_model(older, &detector)?;
    }
    let period = period(args.train_from, args.train_to)?;
    let started = Instant::now();
    let (set, summary) = args.input.load_set(&detector, &columns, period)?;
    let features_s = started.elapsed().as_secs_f64();
    eprintln!("{}", Stretch(&set));
    let suspicious = lab::leaks::in_features(&detector, &set)?;
    suspicious.iter().for_each(|leak| eprintln!("warning: {leak}"));
    let recipe = args.tuned(&detector, &set, recipe)?;
    let bar = CountBar::new("growing", "trees", Some(recipe.grower.trees() as u64));
    let (growing, mut iterations) = (Instant::now(), Vec::new());
    let grown = train_from(&detector, &set, &recipe, older.as_ref(), &mut |progress| {
        bar.show(progress.trees_done as u64);
        iterations.extend(iteration(&progress));
    });
    bar.finish();
    let model = grown?;
    let growing_s = growing.elapsed().as_secs_f64();
    model.save(&args.out)?;
    let validated = args.folds.map(|folds| args.validate(&detector, &set, &recipe, folds)).transpose()?;
    let mut facts = args.facts(&model, &set, growing_s);
    facts.iterations = iterations;
    validated.iter().for_each(|validated| validated.add_to(&mut facts));
    let attachments = validated.as_ref().map(Validated::files).unwrap_or_default();
    if args.register {
        args.kept.make()?.register(&model, &facts, &attachments).map_err(told)?;
    }
    let published =
        tracking.map(|tracking| args.publish(&tracking, &model, &facts, &attachments)).transpose()?;
    let seconds = started.elapsed().as_secs_f64();
    let done = Done { model: &model, summary: &summary, features_s, seconds, published: published.as_ref() };
    done.tell(&args)
}

impl Args {
    /// How the model came to be.
    fn facts(&self, model: &ModelFile, set: &TrainingSet, growing_s: f64) -> Facts {
        Facts {
            data: self.input.file.display().to_string(),
            growing_s,
            made_at: registry::now(),
            ..Facts::of(model, set)
        }
    }

    /// The recipe with the parameters that do best on splits of the training time, if a search is asked for.
    fn tuned(&self, detector: &Detector, set: &TrainingSet, recipe: Recipe) -> Result<Recipe> {
        let Some(trials) = self.tune else { return Ok(recipe) };
        let splits = splits(detector, set, self.folds.map_or(TUNE_FOLDS, usize::from))?;
        let search = Search { trials: trials as usize, sampler: self.tune_by, seed: recipe.grower.seed() };
        let with = |parameters: &BTreeMap<String, f64>| Recipe {
            grower: recipe.grower.tuned(parameters),
            ..recipe.clone()
        };
        let mut measure = |parameters: &BTreeMap<String, f64>, at: usize| {
            let without_threshold = Recipe { follows_policy: false, threshold: None, ..with(parameters) };
            let measured = fold(detector, set, &splits[at], &without_threshold, Protocol::All)?;
            Ok(measured.evaluation.average_precision)
        };
        let mut best_so_far = f64::NEG_INFINITY;
        let mut told = |trial: &Trial| {
            if !trial.pruned {
                best_so_far = best_so_far.max(trial.mean());
            }
            eprintln!("{}", TrialLine { trial, of: search.trials, best_so_far });
        };
        let algorithm = recipe.grower.algorithm();
        let done = tune(algorithm, search, splits.len(), self.study.as_deref(), &mut measure, &mut told)?;
        let best = best(&done).context("every trial was given up")?;
        Ok(with(&best.parameters))
    }

    /// The recipe on splits of the training time. The last one is drawn.
    fn validate(
        &self,
        detector: &Detector,
        set: &TrainingSet,
        recipe: &Recipe,
        folds: u16,
    ) -> Result<Validated> {
        let folds = usize::from(folds);
        let splits = splits(detector, set, folds)?;
        let bar = CountBar::new("validating", "folds", Some(folds as u64));
        let mut measured = Vec::with_capacity(folds);
        for split in &splits {
            measured.push(fold(detector, set, split, recipe, Protocol::All)?);
            bar.show(measured.len() as u64);
        }
        bar.finish();
        let last = &splits[folds - 1];
        let (data, machine) = (file_name(&self.input.file), Machine::this().to_string());
        let mut comparison = Comparison::begin(detector, set, last, data, machine)?;
        let family = recipe.grower.engine().to_string();
        let contestant = Contestant { family, balance: String::new(), recipe: recipe.clone() };
        let (model, entry) = contest(detector, set, last, &contestant, &mut |_, _| {})?;
        comparison.entries.push(entry);
        let iterations = facts::iterations(&model.forest, &set.within(&last.test));
        if let Some(path) = &self.report {
            std::fs::write(path, page(&comparison))
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(Validated { folds: measured, iterations, comparison })
    }

    /// Only redflag's own grower continues a model.
    fn check_continuing(&self, recipe: &Recipe) -> Result<()> {
        let engine = recipe.grower.engine();
        if self.continue_from.is_none() || engine == Engine::Builtin {
            return Ok(());
        }
        let message =
            format!("--continue-from: {engine} does not continue a model here, expected --engine builtin");
        Err(WrongInput(message).into())
    }

    /// Tells MLflow. The model is written already: whatever goes wrong here, it is not lost.
    fn publish(
        &self,
        tracking: &Tracking,
        model: &ModelFile,
        facts: &Facts,
        attachments: &[(String, Vec<u8>)],
    ) -> Result<Published> {
        let detector = detector_text(&self.input.detector)?;
        let publication = Publication { model, facts, detector: &detector, attachments };
        tracking.publish(&publication).with_context(|| {
            let out = self.out.display();
            format!("the model is at {out}, but was not logged (`redflag model publish` tries again)")
        })
    }
}

/// Splits of the training time on which trials are judged where no number is given.
const TUNE_FOLDS: usize = 3;

/// Splits of the training time.
fn splits(detector: &Detector, set: &TrainingSet, folds: usize) -> Result<Vec<Split>> {
    let period = set.days();
    let lengths = Lengths::suited_folds(&period, label_delay_us(detector), folds);
    prequential(&period, lengths, folds).map_err(|error| WrongInput(format!("{error:#}")).into())
}

fn sampler(text: &str) -> Result<Sampler, String> {
    let points = |points: &str| points.parse().ok().filter(|points| (2..=100).contains(points));
    match (text, text.strip_prefix("grid:").and_then(points)) {
        ("tpe", _) => Ok(Sampler::Tpe),
        ("random", _) => Ok(Sampler::Random),
        (_, Some(points)) => Ok(Sampler::Grid(points)),
        _ => Err("expected tpe, random, or grid and values of each parameter, as grid:3".to_string()),
    }
}

/// A trial as people follow it.
struct TrialLine<'a> {
    trial: &'a Trial,
    of: usize,
    best_so_far: f64,
}

impl std::fmt::Display for TrialLine<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let TrialLine { trial, of, best_so_far } = self;
        write!(f, "trial {:>4} of {of}: average precision {:.4}", trial.number, trial.mean())?;
        match trial.pruned {
            true => write!(f, " on {} folds, given up", trial.folds.len())?,
            false => write!(f, ", best {best_so_far:.4}")?,
        }
        trial
            .parameters
            .iter()
            .try_for_each(|(name, value)| write!(f, ", {name} {}", (value * 1e4).round() / 1e4))
    }
}

/// What validation found.
struct Validated {
    folds: Vec<Fold>,
    /// By number of trees, on the last fold.
    iterations: Vec<facts::Iteration>,
    /// The last fold, drawn.
    comparison: Comparison,
}

impl Validated {
    /// Adds the figures of each fold, their means, and those by number of trees.
    fn add_to(&self, facts: &mut Facts) {
        facts.iterations.clone_from(&self.iterations);
        let figures = |fold: &Fold| {
            FIGURES.iter().filter_map(|(name, of)| Some((name.to_string(), of(fold)?))).collect()
        };
        facts.folds = self
            .folds
            .iter()
            .map(|fold| facts::Fold {
                from: fold.test_from.clone(),
                to: fold.test_to.clone(),
                metrics: figures(fold),
            })
            .collect();
        for (name, of) in FIGURES {
            let values: Vec<f64> = self.folds.iter().filter_map(of).collect();
            facts.metrics.extend(Spread::of(&values).map(|spread| (name.to_string(), spread.mean)));
        }
    }

    /// The page and its pictures, by name.
    fn files(&self) -> Vec<(String, Vec<u8>)> {
        let drawn =
            drawings(&self.comparison).into_iter().map(|(name, svg)| (format!("pictures/{name}"), svg));
        let report = ("report.html".to_string(), page(&self.comparison));
        std::iter::once(report).chain(drawn).map(|(name, text)| (name, text.into_bytes())).collect()
    }
}

/// What an engine says after a tree about the rows held out for early stopping.
fn iteration(progress: &Progress) -> Option<facts::Iteration> {
    let metrics = [("average_precision".to_string(), progress.average_precision?)].into();
    Some(facts::Iteration { trees: progress.trees_done as u64, metrics })
}

/// The training period; an open end is the end of the file.
fn period(from: Option<i64>, to: Option<i64>) -> Result<Option<Range<i64>>> {
    if from.is_none() && to.is_none() {
        return Ok(None);
    }
    let period = from.unwrap_or(*TIME_RANGE_US.start())..to.unwrap_or(*TIME_RANGE_US.end());
    if period.is_empty() {
        let (from, to) = (format_instant(period.start), format_instant(period.end));
        let message = format!("--train-to is {to}: expected a time after --train-from, {from}");
        return Err(WrongInput(message).into());
    }
    Ok(Some(period))
}

/// Says what is learnt from: the first question about any model.
struct Stretch<'a>(&'a TrainingSet);

impl std::fmt::Display for Stretch<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let set = self.0;
        let days = set.days();
        let (rows, frauds) = (set.len(), set.frauds());
        let share = 100.0 * frauds as f64 / rows as f64;
        let day_count = (days.end - days.start) as f64 / DAY_US as f64;
        let (from, to) = (format_instant(days.start), format_instant(days.end));
        write!(
            f,
            "training from {from} to {to} ({day_count} days): {rows} rows, {frauds} frauds ({share:.3} %)"
        )
    }
}

/// What was grown.
struct Done<'a> {
    model: &'a ModelFile,
    summary: &'a Summary,
    features_s: f64,
    seconds: f64,
    published: Option<&'a Published>,
}

impl Done<'_> {
    /// What the threshold does and costs, and what calibration has done, on the last quarter of the training time.
    fn tell_reviews(&self) {
        let ModelFile { metrics, review_score_min, .. } = self.model;
        let figure = |name: &str| metrics.get(name).copied().unwrap_or(f64::NAN);
        if metrics.contains_key("reviews_per_day") {
            println!(
                "reviews from score {review_score_min:.4} on: {:.1} a day, {:.1} % of them fraud, {:.1} % of the frauds; \
                 of {:.2} of fraud a day {:.2} pass",
                figure("reviews_per_day"),
                100.0 * figure("review_precision"),
                100.0 * figure("review_recall"),
                figure("fraud_per_day"),
                figure("fraud_passed_per_day"),
            );
        }
        if metrics.contains_key("brier_calibrated") {
            let (before, after) = (figure("brier_uncalibrated"), figure("brier_calibrated"));
            println!("calibration takes the Brier score from {before:.6} to {after:.6}");
        }
    }

    fn tell(&self, args: &Args) -> Result<()> {
        let ModelFile { id, engine, algorithm, rows, frauds, trained_from, trained_to, .. } = self.model;
        let (trees, nodes) = (self.model.forest.tree_count(), self.model.forest.node_count());
        if args.json {
            let found = serde_json::json!({
                "model": id,
                "out": args.out,
                "engine": engine,
                "algorithm": algorithm,
                "trained_from": trained_from,
                "trained_to": trained_to,
                "rows": rows,
                "frauds": frauds,
                "trees": trees,
                "nodes": nodes,
                "calibration": self.model.calibration,
                "review_score_min": self.model.review_score_min,
                "metrics": self.model.metrics,
                "rejected": self.summary.rejected,
                "features_seconds": self.features_s,
                "seconds": self.seconds,
                "mlflow": self.published,
            });
            println!("{found}");
            return Ok(());
        }
        let (out, seconds, features_s) = (args.out.display(), self.seconds, self.features_s);
        println!("{out}: {id}, {trees} trees, {nodes} nodes, in {seconds:.2} s (features {features_s:.2} s)");
        self.tell_reviews();
        if let Some(published) = self.published {
            println!("{published}");
        }
        Ok(())
    }
}
