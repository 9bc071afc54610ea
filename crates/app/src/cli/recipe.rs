//! How a model is to be made, as commands that make models take it.

use std::sync::Arc;

use anyhow::Result;
use clap::{Parser, ValueEnum};
use forest::grow::{Algorithm, Direction, Growth, Params};
use lab::balance::{Balance, FRAUD_SHARES, Method};
use lab::calibrate;
use lab::engines::{Engine, Foreign, Grower, Request};
use lab::synth::generator::Generator;
use lab::synth::made::MadeFrauds;
use lab::train::{Balancing, Recipe, Threshold};

use super::WrongInput;
use super::engines::place;

/// What grows a model, and how.
#[derive(Debug, clap::Args)]
pub struct Making {
    /// What grows the trees
    #[arg(long, value_enum, default_value_t = Who::Builtin)]
    engine: Who,
    /// Which ensemble
    #[arg(long, value_enum, default_value_t = Kind::Gbdt)]
    algorithm: Kind,
    /// Bring the classes closer to each other in what is learnt from: none, weights, under, smote, smote-nc,
    /// borderline-smote, adasyn, or made:GENERATOR, frauds of a generator of features (`synth fit --features`); all but the
    /// first two up to a share of frauds [default share: 0.5]
    #[arg(long, value_name = "METHOD[:SHARE]", default_value = "none", value_parser = balance)]
    balance: Wanted,
    /// Turn scores into probabilities, learnt on the last quarter of the time by a model that has not seen it
    #[arg(long, value_enum)]
    calibrate: Option<Curve>,
    #[command(flatten)]
    reviewing: Reviewing,
    #[command(flatten)]
    growing: Growing,
}

/// Options about how a model is made, and no others.
#[derive(Debug, clap::Parser)]
#[command(name = "recipe", disable_help_flag = true)]
struct Options {
    #[command(flatten)]
    making: Making,
}

impl Making {
    /// From the options of a command line without its program, as `["--trees", "200"]`.
    ///
    /// # Errors
    /// What clap says of them.
    pub fn of<'a>(options: impl IntoIterator<Item = &'a str>) -> Result<Making> {
        let words = std::iter::once("recipe").chain(options);
        let parsed = Options::try_parse_from(words).map_err(|error| {
            let told = error.to_string();
            WrongInput(told.lines().next().unwrap_or_default().trim_start_matches("error: ").to_string())
        })?;
        Ok(parsed.making)
    }

    /// The recipe, with all that is wrong with it said before anything is read.
    ///
    /// # Errors
    /// If the engine cannot do what is asked, or is not installed.
    pub fn recipe(&self) -> Result<Recipe> {
        self.check_weights()?;
        let grower = self.grower()?;
        let balance = self.balance.clone().map(|balancing| seeded(balancing, grower.seed()));
        Ok(Recipe {
            grower,
            balance,
            calibrate: self.calibrate.map(calibrate::Method::from),
            threshold: self.reviewing.threshold(),
            follows_policy: true,
        })
    }

    /// A weight that a library is given by its own name and `--balance weights` would be two answers to one question.
    fn check_weights(&self) -> Result<()> {
        let is_weight = |name: &str| WEIGHTS.contains(&name);
        match self.growing.own.iter().find(|(name, _)| is_weight(name)) {
            Some((name, value)) if matches!(self.balance, Some(Balancing::Weights)) => {
                let message = format!(
                    "--set {name}={value}: --balance weights sets the weight of frauds, expected one of them"
                );
                Err(WrongInput(message).into())
            }
            _ => Ok(()),
        }
    }

    fn grower(&self) -> Result<Grower> {
        let algorithm = self.algorithm.into();
        if self.engine != Who::Builtin {
            let request = self.growing.request(algorithm);
            return Ok(Grower::Foreign(Foreign::new(self.engine.into(), request, &place()?)?));
        }
        match self.growing.own.first() {
            None => Ok(Grower::Builtin(self.growing.params(algorithm))),
            Some((name, value)) => {
                let message = format!(
                    "--set {name}={value}: the engine builtin has no parameters but those of `redflag train --help`"
                );
                Err(WrongInput(message).into())
            }
        }
    }
}

/// What libraries call the weight of a class.
const WEIGHTS: [&str; 6] =
    ["scale_pos_weight", "is_unbalance", "unbalance", "class_weight", "class_weights", "auto_class_weights"];

/// A way to balance with its seed.
pub fn seeded(balancing: Balancing, seed: u64) -> Balancing {
    match balancing {
        Balancing::Rows(balance) => Balancing::Rows(Balance { seed, ..balance }),
        Balancing::Made(made) => Balancing::Made(MadeFrauds { seed, ..made }),
        Balancing::Weights => Balancing::Weights,
    }
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
    /// So that reviews, which cost so much each, and frauds that pass, which cost their amount, cost least together
    #[arg(long, value_name = "COST", value_parser = cost)]
    review_cost: Option<f64>,
}

impl Reviewing {
    fn threshold(&self) -> Option<Threshold> {
        let budget = self.review_budget.map(Threshold::DailyBudget);
        budget
            .or(self.review_recall.map(Threshold::Recall))
            .or(self.review_precision.map(Threshold::Precision))
            .or(self.review_cost.map(Threshold::ReviewCost))
    }
}

fn at_least_one(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number: &f64| number.is_finite() && *number >= 1.0);
    number.ok_or_else(|| "expected a number from 1 on".to_string())
}

fn cost(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number: &f64| number.is_finite() && *number > 0.0);
    number.ok_or_else(|| "expected an amount above 0, as 5 or 2.50".to_string())
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
pub type Wanted = Option<Balancing>;

/// A way to balance by its name, as `smote:0.1`.
///
/// # Errors
/// If there is no such way.
pub fn balance(text: &str) -> Result<Wanted, String> {
    if let Some(rest) = text.strip_prefix("made:") {
        return made(rest).map(Some);
    }
    let (name, share) = text.split_once(':').map_or((text, None), |(name, share)| (name, Some(share)));
    let method = match (name, share) {
        ("none", None) => return Ok(None),
        ("weights", None) => return Ok(Some(Balancing::Weights)),
        _ => Method::named(name).ok_or_else(|| {
            let methods = Method::ALL.map(|(name, _)| name).join(", ");
            format!(
                "expected none, weights, or one of {methods} with a share of frauds, as smote:0.1; or made:FILE"
            )
        })?,
    };
    let mut balance = Balance::new(method);
    if let Some(text) = share {
        balance.fraud_share = fraud_share(text)?;
    }
    Ok(Some(Balancing::Rows(balance)))
}

fn fraud_share(text: &str) -> Result<f64, String> {
    let known = text.parse().ok().filter(|share| FRAUD_SHARES.contains(share));
    known.ok_or_else(|| {
        format!("expected a share of frauds from {} to {}", FRAUD_SHARES.start(), FRAUD_SHARES.end())
    })
}

/// Frauds of a generator, as `frauds.generator:0.1`.
fn made(text: &str) -> Result<Balancing, String> {
    let (file, share) = match text.rsplit_once(':') {
        Some((file, share)) if share.parse::<f64>().is_ok() => (file, fraud_share(share)?),
        _ => (text, DEFAULT_SHARE),
    };
    let generator = Generator::load(std::path::Path::new(file)).map_err(|error| format!("{error:#}"))?;
    Ok(Balancing::Made(MadeFrauds { generator: Arc::new(generator), fraud_share: share, seed: 0 }))
}

/// The share of frauds that made ones are added up to, where none is given.
const DEFAULT_SHARE: f64 = 0.5;

/// What replaces the defaults of the algorithm.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Growing (defaults suit the algorithm; of another library, they are its own)")]
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
    /// A parameter by the name that the engine's library has for it, passed on as it is; may be repeated
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = setting)]
    own: Vec<(String, String)>,
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

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Who {
    /// redflag itself
    Builtin,
    /// XGBoost, in this process
    Xgboost,
    /// LightGBM, in this process
    Lightgbm,
    /// CatBoost, in Python
    Catboost,
    /// scikit-learn's forests and trees, in Python
    ScikitLearn,
}

impl From<Who> for Engine {
    fn from(who: Who) -> Engine {
        match who {
            Who::Builtin => Engine::Builtin,
            Who::Xgboost => Engine::XgBoost,
            Who::Lightgbm => Engine::LightGbm,
            Who::Catboost => Engine::CatBoost,
            Who::ScikitLearn => Engine::ScikitLearn,
        }
    }
}

fn setting(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').filter(|(name, value)| !name.is_empty() && !value.is_empty());
    pair.map(|(name, value)| (name.to_string(), value.to_string()))
        .ok_or_else(|| "expected NAME=VALUE, as max_bin=512".to_string())
}

impl Growing {
    /// What is asked of the library of another: what was given, and nothing else.
    fn request(&self, algorithm: Algorithm) -> Request {
        fn said<T: ToString>(value: &Option<T>) -> Option<String> {
            value.as_ref().map(T::to_string)
        }
        let given = [
            ("max_depth", said(&self.max_depth)),
            ("growth", said(&self.growth.map(Growth::from))),
            ("max_leaves", said(&self.max_leaves)),
            ("learning_rate", said(&self.learning_rate)),
            ("warm_up", said(&self.warm_up)),
            ("min_samples_leaf", said(&self.min_samples_leaf)),
            ("min_child_weight", said(&self.min_child_weight)),
            ("min_gain", said(&self.min_gain)),
            ("lambda", said(&self.lambda)),
            ("l1", said(&self.l1)),
            ("row_subsample", said(&self.row_subsample)),
            ("column_subsample", said(&self.column_subsample)),
            ("bins", said(&self.bins)),
            ("positive_weight", said(&self.positive_weight)),
            ("seed", said(&self.seed)),
        ];
        Request {
            algorithm,
            trees: self.trees,
            early_stopping: self.early_stopping,
            given: given.into_iter().filter_map(|(name, value)| Some((name, value?))).collect(),
            categorical: self.categorical.clone(),
            monotone: self.monotone.clone(),
            own: self.own.clone(),
        }
    }

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
