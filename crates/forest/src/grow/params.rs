use std::collections::HashSet;
use std::fmt::{self, Display};
use std::str::FromStr;

use thiserror::Error;

use super::bins::CATEGORY_MAX;
use super::{GrowError, Table};

/// The number of a bin is a byte, and one byte is for missing values.
const BINS_MAX: usize = 255;
/// Histograms of a whole level are alive at once; 2^11 of them are the most that fit an ordinary machine.
const LEVEL_DEPTH_MAX: u32 = 12;
/// So are those of all leaves of a tree that grows leaf by leaf.
const LEAVES_MAX: usize = 4096;
const TREES_MAX: usize = 100_000;

/// A tree is grown on no fewer rows unless so many are asked for: small tables are quick anyway.
const DRAWN_MIN: f64 = 20_000.0;

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

/// In which order a boosted tree is split.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Growth {
    /// Level by level, each node its own best split (as XGBoost by default).
    DepthWise,
    /// Always the node of most gain, up to [`Params::max_leaves`] (as LightGBM).
    LeafWise,
    /// Level by level, all nodes of a level the same split: an oblivious tree (as CatBoost).
    Symmetric,
}

/// Which way a score may go as a feature grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Never down.
    Rising,
    /// Never up.
    Falling,
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

impl Display for Growth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Growth::DepthWise => "depth-wise",
            Growth::LeafWise => "leaf-wise",
            Growth::Symmetric => "symmetric",
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
    /// Most splits on a path; `None` is unlimited. Boosting needs a limit of 1 to 12 unless it is leaf-wise.
    pub max_depth: Option<u32>,
    /// Boosting: in which order a tree is split.
    pub growth: Growth,
    /// Boosting, leaf-wise: most leaves of a tree, 2 to 4,096; `None` is 31.
    pub max_leaves: Option<usize>,
    /// Boosting: share of each Newton step that is taken, in (0, 1]; `None` suits the numbers of trees
    /// and rows, see [`Params::learning_rate`].
    pub learning_rate: Option<f64>,
    /// Boosting: over so many trees the learning rate rises from a tenth to the whole; `None` is the first 30 %, at
    /// most 60. A continued forest is warm already.
    pub warm_up: Option<usize>,
    /// Least weight on each side of a split: hessian (boosting) or row weight.
    pub min_child_weight: f64,
    /// Least number of distinct training rows on each side of a split, at least 1.
    pub min_samples_leaf: usize,
    /// Least gain of a split, in units of the objective (boosting).
    pub min_gain: f64,
    /// Pull of leaf values towards what is known without the tree. Boosting: L2 regularization, in units of hessian.
    /// Forest, tree: so many rows of the base rate are added to every leaf.
    pub lambda: f64,
    /// Boosting: L1 regularization; a leaf whose gradient is not larger than this has value 0.
    pub l1: f64,
    /// Share of rows for each tree, in (0, 1]: drawn by the size of their gradients (boosting), or uniformly with
    /// replacement (forest). `None` is a fifth for boosting, but no less than 20,000 rows, and all otherwise.
    pub row_subsample: Option<f64>,
    /// Share of features tried, in (0, 1]: for each tree (boosting) or split (forest, tree). `None` is what suits
    /// the algorithm: the square root of their number for a forest, all otherwise.
    pub column_subsample: Option<f64>,
    /// Boosting: most bins per feature, 2 to 255. A feature with no more values than that is searched exactly.
    pub bins: usize,
    /// Seed of everything random.
    pub seed: u64,
    /// Weight of a positive row relative to a negative one.
    pub positive_weight: f64,
    /// Names of columns whose values are whole numbers that name categories: split by sets.
    pub categorical: Vec<String>,
    /// Boosting: names of columns with a direction that scores must keep to as the value grows.
    pub monotone: Vec<(String, Direction)>,
    /// Boosting: stop after so many trees without a better average precision on the validation table, and keep
    /// the trees up to the best.
    pub early_stopping: Option<usize>,
}

impl Params {
    /// What does well on imbalanced transaction data without tuning.
    pub fn defaults(algorithm: Algorithm) -> Params {
        let gbdt = Params {
            algorithm,
            trees: 200,
            max_depth: Some(4),
            growth: Growth::Symmetric,
            max_leaves: None,
            learning_rate: None,
            warm_up: None,
            min_child_weight: 1.0,
            min_samples_leaf: 1,
            min_gain: 0.0,
            lambda: 5.0,
            l1: 0.0,
            row_subsample: None,
            column_subsample: None,
            bins: 127,
            seed: 0,
            positive_weight: 1.0,
            categorical: Vec::new(),
            monotone: Vec::new(),
            early_stopping: None,
        };
        let bagged = Params {
            max_depth: None,
            min_child_weight: 0.0,
            min_samples_leaf: 1,
            lambda: 0.0,
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

    /// The learning rate that is used on so many rows: 0.15 for 200 trees on 100,000 rows, less for more trees or fewer
    /// rows, as what CatBoost chooses. How fast it changes was found on tables of 1,500 to 100,000 rows.
    pub fn learning_rate(&self, rows: usize) -> f64 {
        let suited = 0.15 * (200.0 / self.trees as f64).powf(0.6) * (rows as f64 / 1e5).powf(0.25).min(1.33);
        self.learning_rate.unwrap_or(suited.clamp(0.01, 0.3))
    }

    /// The trees over which the learning rate rises.
    pub fn warm_up(&self) -> usize {
        self.warm_up.unwrap_or_else(|| (self.trees * 3 / 10).min(60))
    }

    /// The share of so many rows that a tree is grown on.
    pub(super) fn row_subsample(&self, rows: usize) -> f64 {
        let boosting = self.algorithm == Algorithm::Gbdt;
        let usual = if boosting { (DRAWN_MIN / rows as f64).clamp(0.2, 1.0) } else { 1.0 };
        self.row_subsample.unwrap_or(usual)
    }

    /// Most leaves of a tree that grows leaf by leaf.
    pub(super) fn leaves_max(&self) -> usize {
        self.max_leaves.unwrap_or(31)
    }

    /// By column, whether it is categorical.
    pub(super) fn categorical(&self, names: &[String]) -> Vec<bool> {
        names.iter().map(|name| self.categorical.contains(name)).collect()
    }

    /// By column, the direction it must keep to.
    pub(super) fn directions(&self, names: &[String]) -> Vec<Option<Direction>> {
        let of = |name: &String| self.monotone.iter().find(|(own, _)| own == name);
        names.iter().map(|name| of(name).map(|(_, direction)| *direction)).collect()
    }

    /// Checks everything that can be checked without a table.
    pub(super) fn check(&self) -> Result<(), GrowError> {
        let trees_max = if self.algorithm == Algorithm::DecisionTree { 1 } else { TREES_MAX };
        expect((1..=trees_max).contains(&self.trees), "trees", self.trees, "1 to 100000 (1 for a tree)")?;
        self.check_size()?;
        expect((2..=BINS_MAX).contains(&self.bins), "bins", self.bins, "2 to 255")?;
        expect(self.min_samples_leaf >= 1, "min_samples_leaf", self.min_samples_leaf, "at least 1")?;
        expect_share("learning_rate", self.learning_rate.unwrap_or(1.0))?;
        expect_share("row_subsample", self.row_subsample.unwrap_or(1.0))?;
        expect_share("column_subsample", self.column_subsample.unwrap_or(1.0))?;
        expect_amount("min_child_weight", self.min_child_weight)?;
        expect_amount("min_gain", self.min_gain)?;
        expect_amount("lambda", self.lambda)?;
        expect_amount("l1", self.l1)?;
        let weight = self.positive_weight;
        expect((1e-6..=1e6).contains(&weight), "positive_weight", weight, "0.000001 to 1000000")?;
        self.check_boosting_only()
    }

    fn check_size(&self) -> Result<(), GrowError> {
        let depth = in_words(self.max_depth);
        let boosting = self.algorithm == Algorithm::Gbdt;
        if boosting && self.growth != Growth::LeafWise {
            let fits = self.max_depth.is_some_and(|depth| (1..=LEVEL_DEPTH_MAX).contains(&depth));
            expect(fits, "max_depth", depth, "1 to 12 for boosting")?;
        } else {
            expect(self.max_depth != Some(0), "max_depth", depth, "at least 1, or none")?;
        }
        let leaf_wise = boosting && self.growth == Growth::LeafWise;
        let leaves = self.max_leaves.is_none_or(|leaves| leaf_wise && (2..=LEAVES_MAX).contains(&leaves));
        expect(leaves, "max_leaves", in_words(self.max_leaves), "none, or 2 to 4096 if growth is leaf-wise")
    }

    fn check_boosting_only(&self) -> Result<(), GrowError> {
        expect(self.early_stopping != Some(0), "early_stopping", "0", "at least 1, or none")?;
        if self.algorithm == Algorithm::Gbdt {
            return Ok(());
        }
        expect(self.l1 == 0.0, "l1", self.l1, "0 unless boosting")?;
        expect(self.monotone.is_empty(), "monotone", names(&self.monotone), "none unless boosting")?;
        let stopping = in_words(self.early_stopping);
        expect(self.early_stopping.is_none(), "early_stopping", stopping, "none unless boosting")
    }

    /// Checks that columns that are named exist, once each, and hold what is said of them.
    pub(super) fn check_columns(&self, table: &Table) -> Result<(), GrowError> {
        let directed = self.monotone.iter().map(|(name, _)| ("monotone", name));
        let mut seen = HashSet::new();
        for (parameter, name) in self.categorical.iter().map(|name| ("categorical", name)).chain(directed) {
            if !table.names.contains(name) {
                return Err(GrowError::UnknownColumn { parameter, column: name.clone() });
            }
            let once = seen.insert(name);
            expect(
                once,
                parameter,
                name,
                "a column that is named once in categorical and monotone together",
            )?;
        }
        for (name, column) in table.names.iter().zip(table.columns) {
            if self.categorical.contains(name) {
                check_categories(name, column)?;
            }
        }
        Ok(())
    }
}

fn check_categories(name: &str, column: &[f64]) -> Result<(), GrowError> {
    let whole = |x: &f64| x.is_nan() || (x.fract() == 0.0 && x.abs() <= CATEGORY_MAX);
    match column.iter().position(|x| !whole(x)) {
        Some(row) => Err(GrowError::Category { column: name.to_owned(), row, value: column[row] }),
        None => Ok(()),
    }
}

fn in_words(value: Option<impl Display>) -> String {
    value.map_or("none".to_owned(), |value| value.to_string())
}

fn names(monotone: &[(String, Direction)]) -> String {
    monotone.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ")
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
