use std::fmt::{self, Display};
use std::str::FromStr;

use thiserror::Error;

use super::GrowError;

/// The number of a bin is a byte, and one byte is for missing values.
const BINS_MAX: usize = 255;
/// Histograms of a whole level are alive at once; 2^11 of them are the most that fit an ordinary machine.
const GBDT_DEPTH_MAX: u32 = 12;
const TREES_MAX: usize = 100_000;

/// Which ensemble to grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// Gradient-boosted trees with logistic loss (Friedman 2001; Newton steps as in Chen and Guestrin 2016).
    Gbdt,
    /// A forest of trees on bootstrap samples with features drawn per split (Breiman 2001).
    RandomForest,
    /// One classification tree by Gini impurity (Breiman and others 1984).
    DecisionTree,
}

/// A name that is none of the algorithms.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("unknown algorithm {0:?}, expected gbdt, random-forest or decision-tree")]
pub struct UnknownAlgorithm(pub String);

impl Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Algorithm::Gbdt => "gbdt",
            Algorithm::RandomForest => "random-forest",
            Algorithm::DecisionTree => "decision-tree",
        })
    }
}

impl FromStr for Algorithm {
    type Err = UnknownAlgorithm;

    fn from_str(name: &str) -> Result<Algorithm, UnknownAlgorithm> {
        match name {
            "gbdt" => Ok(Algorithm::Gbdt),
            "random-forest" => Ok(Algorithm::RandomForest),
            "decision-tree" => Ok(Algorithm::DecisionTree),
            _ => Err(UnknownAlgorithm(name.to_owned())),
        }
    }
}

/// How to grow. Start from [`Params::defaults`] and change what you know better.
#[derive(Clone, Debug, PartialEq)]
pub struct Params {
    /// Which ensemble.
    pub algorithm: Algorithm,
    /// Number of trees, 1 to 100,000; 1 for a decision tree.
    pub trees: usize,
    /// Most splits on a path; `None` is unlimited. Boosting needs a limit of 1 to 12.
    pub max_depth: Option<u32>,
    /// Boosting: share of each Newton step that is taken, in (0, 1].
    pub learning_rate: f64,
    /// Least weight on each side of a split: hessian (boosting) or row weight.
    pub min_child_weight: f64,
    /// Least number of distinct training rows on each side of a split, at least 1.
    pub min_samples_leaf: usize,
    /// Least gain of a split, in units of the objective (boosting).
    pub min_gain: f64,
    /// Pull of leaf values towards what is known without the tree. Boosting: L2 regularization, in units of hessian.
    /// Forest, tree: so many rows of the base rate are added to every leaf.
    pub lambda: f64,
    /// Share of rows for each tree, in (0, 1]: drawn without replacement (boosting) or with (forest).
    pub row_subsample: f64,
    /// Share of features tried, in (0, 1]: for each tree (boosting) or split (forest, tree). `None` is what suits
    /// the algorithm: the square root of their number for a forest, all otherwise.
    pub column_subsample: Option<f64>,
    /// Boosting: most bins per feature, 2 to 255. A feature with no more values than that is searched exactly.
    pub bins: usize,
    /// Seed of everything random.
    pub seed: u64,
    /// Weight of a positive row relative to a negative one.
    pub positive_weight: f64,
}

impl Params {
    /// What does well on imbalanced transaction data without tuning.
    pub fn defaults(algorithm: Algorithm) -> Params {
        let gbdt = Params {
            algorithm,
            trees: 200,
            max_depth: Some(4),
            learning_rate: 0.05,
            min_child_weight: 0.1,
            min_samples_leaf: 20,
            min_gain: 0.0,
            lambda: 5.0,
            row_subsample: 0.8,
            column_subsample: None,
            bins: BINS_MAX,
            seed: 0,
            positive_weight: 1.0,
        };
        let bagged = Params {
            max_depth: None,
            min_child_weight: 0.0,
            min_samples_leaf: 1,
            lambda: 0.0,
            row_subsample: 1.0,
            ..gbdt.clone()
        };
        match algorithm {
            Algorithm::Gbdt => gbdt,
            Algorithm::RandomForest => Params {
                // Deeper trees rank the doubtful rows worse and are ten times as large.
                max_depth: Some(14),
                min_samples_leaf: 5,
                lambda: 1.0,
                column_subsample: Some(0.4),
                ..bagged
            },
            Algorithm::DecisionTree => Params { trees: 1, ..bagged },
        }
    }

    pub(super) fn check(&self) -> Result<(), GrowError> {
        let trees_max = if self.algorithm == Algorithm::DecisionTree { 1 } else { TREES_MAX };
        expect((1..=trees_max).contains(&self.trees), "trees", self.trees, "1 to 100000 (1 for a tree)")?;
        self.check_depth()?;
        expect((2..=BINS_MAX).contains(&self.bins), "bins", self.bins, "2 to 255")?;
        expect(self.min_samples_leaf >= 1, "min_samples_leaf", self.min_samples_leaf, "at least 1")?;
        expect_share("learning_rate", self.learning_rate)?;
        expect_share("row_subsample", self.row_subsample)?;
        expect_share("column_subsample", self.column_subsample.unwrap_or(1.0))?;
        expect_amount("min_child_weight", self.min_child_weight)?;
        expect_amount("min_gain", self.min_gain)?;
        expect_amount("lambda", self.lambda)?;
        let weight = self.positive_weight;
        expect((1e-6..=1e6).contains(&weight), "positive_weight", weight, "0.000001 to 1000000")
    }

    fn check_depth(&self) -> Result<(), GrowError> {
        let depth = self.max_depth.map_or("none".to_owned(), |depth| depth.to_string());
        if self.algorithm == Algorithm::Gbdt {
            let fits = self.max_depth.is_some_and(|depth| (1..=GBDT_DEPTH_MAX).contains(&depth));
            return expect(fits, "max_depth", depth, "1 to 12 for boosting");
        }
        expect(self.max_depth != Some(0), "max_depth", depth, "at least 1, or none")
    }
}

fn expect_share(name: &'static str, value: f64) -> Result<(), GrowError> {
    expect(value > 0.0 && value <= 1.0, name, value, "a number above 0, at most 1")
}

fn expect_amount(name: &'static str, value: f64) -> Result<(), GrowError> {
    expect((0.0..=1e12).contains(&value), name, value, "0 to 1e12")
}

fn expect(
    holds: bool,
    name: &'static str,
    value: impl Display,
    expected: &'static str,
) -> Result<(), GrowError> {
    if holds { Ok(()) } else { Err(GrowError::Parameter { name, value: value.to_string(), expected }) }
}
