//! `redflag train`: grow a model on a stretch of a file.

use std::ops::Range;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::ValueEnum;
use engine::time::{DAY_US, TIME_RANGE_US, format_instant};
use forest::grow::{Algorithm, Direction, Growth, Params};
use lab::artifact::ModelFile;
use lab::balance::{Balance, FRAUD_SHARES, Method};
use lab::calibrate;
use lab::facts::Facts;
use lab::replay::Summary;
use lab::train::{Balancing, Recipe, Threshold, TrainingSet, load, train_from};

use super::WrongInput;
use super::input::Input;
use super::mlflow::{Destination, Tracking};
use super::output::{CountBar, ReplayBar, bind_model, detector_text, instant, load_model, warn_of_rejects};
use crate::mlflow::{Publication, Published};
use crate::service::pipeline::now_us;

/// Grow a model on a stretch of a file; what comes before it fills the windows.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Features are computed by the engine as it would have computed them at the time; labels count after the delay that the
detector gives them. Times are half-open: from is in, to is out.

Example: redflag train --detector card --in transactions.parquet --algorithm gbdt \\
           --train-from 2018-07-25 --train-to 2018-08-01 --out card.model
         redflag train --detector card --in transactions.parquet --trees 1000 --early-stopping 50 \\
           --monotone terminal_risk_7d=+1 --out card.model
         redflag train --detector card --in transactions.parquet --balance smote:0.1 --calibrate beta \\
           --review-recall 0.9 --out card.model
         redflag train --detector card --in transactions.parquet --out card.model \\
           --mlflow http://127.0.0.1:5000
         redflag train --detector card --in august.parquet --continue-from card.model --trees 50 --out newer.model")]
pub struct Args {
    #[command(flatten)]
    input: Input,
    /// What grows the trees
    #[arg(long, value_name = "ENGINE", default_value = "builtin", value_parser = engine)]
    engine: String,
    /// Which ensemble
    #[arg(long, value_enum, default_value_t = Kind::Gbdt)]
    algorithm: Kind,
    /// First instant of the training data [default: all of the file]
    #[arg(long, value_name = "TIME", value_parser = instant)]
    train_from: Option<i64>,
    /// First instant after the training data [default: all of the file]
    #[arg(long, value_name = "TIME", value_parser = instant)]
    train_to: Option<i64>,
    /// Keep the trees of this model and add to them what the data has to teach (boosting)
    #[arg(long, value_name = "MODEL")]
    continue_from: Option<PathBuf>,
    /// Where the model goes
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Bring the classes closer to each other in what is learnt from: none, weights, under, smote, smote-nc,
    /// borderline-smote, adasyn; all but the first two up to a share of frauds [default share: 0.5]
    #[arg(long, value_name = "METHOD[:SHARE]", default_value = "none", value_parser = balance)]
    balance: Wanted,
    /// Turn scores into probabilities, learnt on the last quarter of the time by a model that has not seen it
    #[arg(long, value_enum)]
    calibrate: Option<Curve>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    reviewing: Reviewing,
    #[command(flatten)]
    growing: Growing,
    #[command(flatten)]
    mlflow: Option<Destination>,
}

/// From which score on transactions are reviewed, found on the last quarter of the time.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Reviewing (one of them; else the detector's daily review budget)")]
#[group(multiple = false)]
struct Reviewing {
    /// As many a day
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    review_budget: Option<f64>,
    /// So that this share of frauds is found
    #[arg(long, value_name = "X", value_parser = share)]
    review_recall: Option<f64>,
    /// So that this share of them is fraud
    #[arg(long, value_name = "X", value_parser = share)]
    review_precision: Option<f64>,
}

impl Reviewing {
    fn threshold(&self) -> Option<Threshold> {
        let budget = self.review_budget.map(Threshold::DailyBudget);
        budget
            .or(self.review_recall.map(Threshold::Recall))
            .or(self.review_precision.map(Threshold::Precision))
    }
}

fn at_least_one(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number: &f64| number.is_finite() && *number >= 1.0);
    number.ok_or_else(|| "expected a number from 1 on".to_string())
}

fn share(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number: &f64| *number > 0.0 && *number <= 1.0);
    number.ok_or_else(|| "expected a number above 0 and at most 1, as 0.99".to_string())
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Curve {
    /// A logistic curve over the log odds
    Platt,
    /// A curve of three parameters
    Beta,
    /// Any rising curve
    Isotonic,
}

impl From<Curve> for calibrate::Method {
    fn from(curve: Curve) -> calibrate::Method {
        match curve {
            Curve::Platt => calibrate::Method::Platt,
            Curve::Beta => calibrate::Method::Beta,
            Curve::Isotonic => calibrate::Method::Isotonic,
        }
    }
}

/// A way to balance, before the seed is known. By a name of its own, because clap would take an `Option` for an argument that
/// may be left out.
type Wanted = Option<Balancing>;

fn balance(text: &str) -> Result<Wanted, String> {
    let (name, share) = text.split_once(':').map_or((text, None), |(name, share)| (name, Some(share)));
    let method = match (name, share) {
        ("none", None) => return Ok(None),
        ("weights", None) => return Ok(Some(Balancing::Weights)),
        _ => Method::named(name).ok_or_else(|| {
            let methods = Method::ALL.map(|(name, _)| name).join(", ");
            format!("expected none, weights, or one of {methods} with a share of frauds, as smote:0.1")
        })?,
    };
    let mut balance = Balance::new(method);
    if let Some(share) = share {
        let known = share.parse().ok().filter(|share| FRAUD_SHARES.contains(share));
        balance.fraud_share = known.ok_or_else(|| {
            format!("expected a share of frauds from {} to {}", FRAUD_SHARES.start(), FRAUD_SHARES.end())
        })?;
    }
    Ok(Some(Balancing::Rows(balance)))
}

/// What replaces the defaults of the algorithm.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Growing (defaults suit the algorithm)")]
struct Growing {
    /// Trees
    #[arg(long, value_name = "N")]
    trees: Option<usize>,
    /// Most splits on a path; 0 is unlimited
    #[arg(long, visible_alias = "depth", value_name = "N")]
    max_depth: Option<u32>,
    /// In which order a tree is split (boosting)
    #[arg(long, value_enum)]
    growth: Option<Order>,
    /// Most leaves of a tree (leaf-wise boosting)
    #[arg(long, value_name = "N")]
    max_leaves: Option<usize>,
    /// Share of each boosting step that is taken; without it, what suits the number of trees
    #[arg(long, value_name = "X")]
    learning_rate: Option<f64>,
    /// Trees over which the learning rate rises from a tenth to the whole (boosting)
    #[arg(long, value_name = "N")]
    warm_up: Option<usize>,
    /// Stop after so many trees that do not rank the last fifth of the time better, and keep the best number (boosting)
    #[arg(long, value_name = "ROUNDS")]
    early_stopping: Option<usize>,
    /// Least training rows on each side of a split
    #[arg(long, value_name = "N")]
    min_samples_leaf: Option<usize>,
    /// Least weight on each side of a split
    #[arg(long, value_name = "X")]
    min_child_weight: Option<f64>,
    /// Least gain of a split (boosting)
    #[arg(long, value_name = "X")]
    min_gain: Option<f64>,
    /// Pull of leaf values towards what is known without the tree (in boosting: L2)
    #[arg(long, visible_alias = "l2", value_name = "X")]
    lambda: Option<f64>,
    /// L1 regularization of leaf values (boosting)
    #[arg(long, value_name = "X")]
    l1: Option<f64>,
    /// A feature whose whole numbers name categories; may be repeated
    #[arg(long, value_name = "FEATURE")]
    categorical: Vec<String>,
    /// A feature with which the score may only rise (+1) or fall (-1); may be repeated (boosting)
    #[arg(long, value_name = "FEATURE=+1|-1", value_parser = monotone, allow_hyphen_values = true)]
    monotone: Vec<(String, Direction)>,
    /// Share of rows drawn for each tree
    #[arg(long, value_name = "X")]
    row_subsample: Option<f64>,
    /// Share of features tried for each tree or split
    #[arg(long, value_name = "X")]
    column_subsample: Option<f64>,
    /// Most bins per feature (boosting)
    #[arg(long, value_name = "N")]
    bins: Option<usize>,
    /// Weight of a fraud relative to a genuine transaction
    #[arg(long, value_name = "X")]
    positive_weight: Option<f64>,
    /// Seed of everything random
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Order {
    /// Level by level, each node its own split
    DepthWise,
    /// The node of most gain first
    LeafWise,
    /// Level by level, all nodes of a level the same split
    Symmetric,
}

impl From<Order> for Growth {
    fn from(order: Order) -> Growth {
        match order {
            Order::DepthWise => Growth::DepthWise,
            Order::LeafWise => Growth::LeafWise,
            Order::Symmetric => Growth::Symmetric,
        }
    }
}

fn monotone(text: &str) -> Result<(String, Direction), String> {
    let direction = |sign| match sign {
        "+1" | "1" => Some(Direction::Rising),
        "-1" => Some(Direction::Falling),
        _ => None,
    };
    text.rsplit_once('=')
        .and_then(|(name, sign)| Some((name.to_string(), direction(sign)?)))
        .ok_or_else(|| "expected a feature and +1 or -1, as terminal_risk_7d=+1".to_string())
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    /// Gradient-boosted trees
    Gbdt,
    /// Trees on bootstrap samples
    RandomForest,
    /// One tree
    DecisionTree,
}

impl From<Kind> for Algorithm {
    fn from(kind: Kind) -> Algorithm {
        match kind {
            Kind::Gbdt => Algorithm::Gbdt,
            Kind::RandomForest => Algorithm::RandomForest,
            Kind::DecisionTree => Algorithm::DecisionTree,
        }
    }
}

fn engine(name: &str) -> Result<String, String> {
    match name {
        "builtin" => Ok(name.to_string()),
        "xgboost" | "lightgbm" | "catboost" => Err("not in this version, expected builtin".to_string()),
        _ => Err("expected builtin".to_string()),
    }
}

/// Runs the command.
///
/// # Errors
/// If the input cannot be read, cannot be learnt from, or the model cannot be written.
pub fn run(args: Args) -> Result<()> {
    let tracking = args.mlflow.as_ref().map(Destination::open).transpose()?;
    let (detector, columns) = args.input.load()?;
    let params = args.growing.params(args.algorithm.into());
    let older = args.continue_from.as_deref().map(load_model).transpose()?;
    if let Some(older) = &older {
        bind_model(older, &detector)?;
    }
    let period = period(args.train_from, args.train_to)?;
    let started = Instant::now();
    let bar = ReplayBar::new("features");
    let loaded = load(&detector, &args.input.file, &columns, period, &mut |progress| bar.show(progress));
    bar.finish();
    let (set, summary) = loaded?;
    warn_of_rejects(&summary, &args.input.file);
    let features_s = started.elapsed().as_secs_f64();
    eprintln!("{}", Stretch(&set));
    let bar = CountBar::new("growing", "trees", Some(params.trees as u64));
    let recipe = args.recipe(params.clone());
    let began = Instant::now();
    let grown = train_from(&detector, &set, &recipe, older.as_ref(), &mut |progress| {
        bar.show(progress.trees_done as u64);
    });
    bar.finish();
    let model = grown?;
    let growing_s = began.elapsed().as_secs_f64();
    model.save(&args.out)?;
    let published = tracking.map(|tracking| args.publish(&tracking, &model, &set, growing_s)).transpose()?;
    let seconds = started.elapsed().as_secs_f64();
    let done = Done { model: &model, summary: &summary, features_s, seconds, published: published.as_ref() };
    done.tell(&args)
}

impl Args {
    fn recipe(&self, params: Params) -> Recipe {
        let balance = self.balance.clone().map(|balancing| match balancing {
            Balancing::Rows(balance) => Balancing::Rows(Balance { seed: params.seed, ..balance }),
            Balancing::Weights => Balancing::Weights,
        });
        let threshold = self.reviewing.threshold();
        Recipe { params, balance, calibrate: self.calibrate.map(calibrate::Method::from), threshold }
    }

    /// Tells MLflow. The model is written already: whatever goes wrong here, it is not lost.
    fn publish(
        &self,
        tracking: &Tracking,
        model: &ModelFile,
        set: &TrainingSet,
        growing_s: f64,
    ) -> Result<Published> {
        let facts = Facts {
            data: self.input.file.display().to_string(),
            engine_version: env!("CARGO_PKG_VERSION").to_string(),
            growing_s,
            made_at: format_instant(now_us()),
            ..Facts::of(model, set)
        };
        let detector = detector_text(&self.input.detector)?;
        let publication = Publication { model, facts: &facts, detector: &detector, attachments: &[] };
        tracking.publish(&publication).with_context(|| {
            let out = self.out.display();
            format!("the model is at {out}, but was not logged (`redflag model publish` tries again)")
        })
    }
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

impl Growing {
    fn params(&self, algorithm: Algorithm) -> Params {
        fn replace<T: Copy>(default: &mut T, given: Option<T>) {
            *default = given.unwrap_or(*default);
        }
        let mut params = Params::defaults(algorithm);
        replace(&mut params.trees, self.trees);

        replace(&mut params.min_samples_leaf, self.min_samples_leaf);
        replace(&mut params.min_child_weight, self.min_child_weight);
        replace(&mut params.lambda, self.lambda);

        replace(&mut params.bins, self.bins);
        replace(&mut params.positive_weight, self.positive_weight);
        replace(&mut params.seed, self.seed);
        replace(&mut params.min_gain, self.min_gain);
        replace(&mut params.l1, self.l1);
        replace(&mut params.growth, self.growth.map(Growth::from));
        params.max_leaves = self.max_leaves;
        params.warm_up = self.warm_up;
        params.early_stopping = self.early_stopping;
        params.categorical.clone_from(&self.categorical);
        params.monotone.clone_from(&self.monotone);
        params.learning_rate = self.learning_rate.or(params.learning_rate);
        params.row_subsample = self.row_subsample.or(params.row_subsample);
        params.column_subsample = self.column_subsample.or(params.column_subsample);
        if let Some(depth) = self.max_depth {
            params.max_depth = (depth > 0).then_some(depth);
        }
        params
    }
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
    fn tell(&self, args: &Args) -> Result<()> {
        let ModelFile { id, algorithm, rows, frauds, trained_from, trained_to, .. } = self.model;
        let (trees, nodes) = (self.model.forest.tree_count(), self.model.forest.node_count());
        if args.json {
            let found = serde_json::json!({
                "model": id,
                "out": args.out,
                "algorithm": algorithm,
                "trained_from": trained_from,
                "trained_to": trained_to,
                "rows": rows,
                "frauds": frauds,
                "trees": trees,
                "nodes": nodes,
                "calibration": self.model.calibration,
                "review_score_min": self.model.review_score_min,
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
        if let Some(published) = self.published {
            println!("{published}");
        }
        Ok(())
    }
}
