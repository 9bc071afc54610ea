use std::collections::BTreeMap;

use forest::grow::{Algorithm, Direction, GrowError, Table};

use super::{Engine, EngineError};
use crate::train::cores;

/// What is asked of the library of another; what is not asked is as the library has it by default.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// Which ensemble.
    pub algorithm: Algorithm,
    /// Number of trees.
    pub trees: Option<usize>,
    /// Rounds without a better average precision on a validation table after which growing stops.
    pub early_stopping: Option<usize>,
    /// Parameters by the names that redflag has for them, as `max_depth`.
    pub given: Vec<(&'static str, String)>,
    /// Names of columns whose whole numbers name categories.
    pub categorical: Vec<String>,
    /// Names of columns with a direction that scores must keep to.
    pub monotone: Vec<(String, Direction)>,
    /// Parameters by the library's names, passed on as they are.
    pub own: Vec<(String, String)>,
}

/// Trees and rounds of the libraries' own classes (`XGBClassifier`, `LGBMClassifier`, `RandomForestClassifier`).
const TREES: usize = 100;
/// Of `CatBoostClassifier`.
const TREES_OF_CATBOOST: usize = 1_000;

/// What a library calls the parameters that redflag has, too.
struct Names {
    known: &'static [(&'static str, &'static str)],
    /// What it has instead of the others.
    instead: &'static [(&'static str, &'static str)],
    /// What redflag decides: the loss, by which a model gives a probability, and what has a parameter of its own here.
    decided: &'static [&'static str],
}

const XGBOOST: Names = Names {
    known: &[
        ("max_depth", "max_depth"),
        ("growth", "grow_policy"),
        ("max_leaves", "max_leaves"),
        ("learning_rate", "learning_rate"),
        ("min_child_weight", "min_child_weight"),
        ("min_gain", "gamma"),
        ("lambda", "reg_lambda"),
        ("l1", "reg_alpha"),
        ("row_subsample", "subsample"),
        ("column_subsample", "colsample_bytree"),
        ("bins", "max_bin"),
        ("positive_weight", "scale_pos_weight"),
        ("seed", "seed"),
        ("monotone", "monotone_constraints"),
        ("categorical", "feature_types"),
    ],
    instead: &[("min_samples_leaf", "min_child_weight, a sum of hessians")],
    decided: &[
        "objective",
        "num_class",
        "eval_metric",
        "num_round",
        "num_boost_round",
        "n_estimators",
        "num_parallel_tree",
    ],
};

const LIGHTGBM: Names = Names {
    known: &[
        ("max_depth", "max_depth"),
        ("growth", "growth"),
        ("max_leaves", "num_leaves"),
        ("learning_rate", "learning_rate"),
        ("min_samples_leaf", "min_data_in_leaf"),
        ("min_child_weight", "min_sum_hessian_in_leaf"),
        ("min_gain", "min_gain_to_split"),
        ("lambda", "lambda_l2"),
        ("l1", "lambda_l1"),
        ("row_subsample", "bagging_fraction"),
        ("column_subsample", "feature_fraction"),
        ("bins", "max_bin"),
        ("positive_weight", "scale_pos_weight"),
        ("seed", "seed"),
        ("monotone", "monotone_constraints"),
        ("categorical", "categorical_feature"),
    ],
    instead: &[],
    decided: &[
        "objective",
        "objective_type",
        "app",
        "application",
        "loss",
        "num_class",
        "metric",
        "metrics",
        "metric_types",
        "boosting",
        "boosting_type",
        "boost",
        "num_iterations",
        "num_iteration",
        "n_iter",
        "num_tree",
        "num_trees",
        "num_round",
        "num_rounds",
        "nrounds",
        "num_boost_round",
        "n_estimators",
        "max_iter",
        "verbosity",
        "verbose",
        "early_stopping_round",
        "early_stopping_rounds",
        "early_stopping",
        "n_iter_no_change",
    ],
};

const CATBOOST: Names = Names {
    known: &[
        ("max_depth", "depth"),
        ("growth", "grow_policy"),
        ("max_leaves", "max_leaves"),
        ("learning_rate", "learning_rate"),
        ("min_samples_leaf", "min_data_in_leaf"),
        ("lambda", "l2_leaf_reg"),
        ("row_subsample", "subsample"),
        ("column_subsample", "rsm"),
        ("bins", "border_count"),
        ("positive_weight", "scale_pos_weight"),
        ("seed", "random_seed"),
        ("monotone", "monotone_constraints"),
    ],
    instead: &[
        ("min_child_weight", "min_samples_leaf"),
        ("l1", "lambda"),
        ("categorical", "numbers made of categories, which its models do not tell"),
    ],
    decided: &[
        "loss_function",
        "objective",
        "eval_metric",
        "custom_metric",
        "custom_loss",
        "iterations",
        "n_estimators",
        "num_boost_round",
        "num_trees",
        "early_stopping_rounds",
        "od_type",
        "od_wait",
        "od_pval",
        "use_best_model",
        "allow_writing_files",
        "train_dir",
        "verbose",
        "silent",
        "logging_level",
        "cat_features",
    ],
};

const SCIKIT_LEARN: Names = Names {
    known: &[
        ("max_depth", "max_depth"),
        ("max_leaves", "max_leaf_nodes"),
        ("min_samples_leaf", "min_samples_leaf"),
        ("row_subsample", "max_samples"),
        ("column_subsample", "max_features"),
        ("positive_weight", "class_weight"),
        ("seed", "random_state"),
        ("monotone", "monotonic_cst"),
    ],
    instead: &[
        ("growth", "max_leaves, with which it grows leaf-wise"),
        ("min_child_weight", "min_weight_fraction_leaf (--set)"),
        ("min_gain", "min_impurity_decrease (--set), in other units"),
    ],
    decided: &["n_estimators", "warm_start", "verbose", "oob_score"],
};

/// What is of boosting alone.
const BOOSTING: [&str; 2] = ["learning_rate", "warm_up"];

impl Engine {
    fn names(self) -> &'static Names {
        // The builtin one is asked in its own words, not through a request.
        match self {
            Engine::Builtin | Engine::XgBoost => &XGBOOST,
            Engine::LightGbm => &LIGHTGBM,
            Engine::CatBoost => &CATBOOST,
            Engine::ScikitLearn => &SCIKIT_LEARN,
        }
    }

    fn name_of(self, name: &str, algorithm: Algorithm) -> Option<&'static str> {
        let of_forest = algorithm == Algorithm::RandomForest;
        match (self, name) {
            // A forest draws features for each split.
            (Engine::XgBoost, "column_subsample") if of_forest => Some("colsample_bynode"),
            (Engine::LightGbm, "column_subsample") if of_forest => Some("feature_fraction_bynode"),
            // A tree of scikit-learn sees all rows.
            (Engine::ScikitLearn, "row_subsample") if !of_forest => None,
            _ => self.names().known.iter().find(|(ours, _)| *ours == name).map(|(_, theirs)| *theirs),
        }
    }
}

impl Request {
    /// The library's own defaults.
    pub fn plain(algorithm: Algorithm) -> Request {
        Request {
            algorithm,
            trees: None,
            early_stopping: None,
            given: Vec::new(),
            categorical: Vec::new(),
            monotone: Vec::new(),
            own: Vec::new(),
        }
    }

    /// Number of trees, asked for or of the library's own class.
    pub(super) fn trees(&self, engine: Engine) -> usize {
        let usual = match (self.algorithm, engine) {
            (Algorithm::DecisionTree, _) => 1,
            (_, Engine::CatBoost) => TREES_OF_CATBOOST,
            _ => TREES,
        };
        self.trees.unwrap_or(usual)
    }

    /// Seed of everything random; 0 unless given.
    pub(super) fn seed(&self) -> u64 {
        let given = self.given.iter().find(|(name, _)| *name == "seed");
        given.and_then(|(_, seed)| seed.parse().ok()).unwrap_or_default()
    }

    /// Asks for a parameter, in place of what was asked of it before.
    pub(super) fn give(&mut self, name: &'static str, value: String) {
        self.given.retain(|(given, _)| *given != name);
        self.given.push((name, value));
    }

    /// Asks for a parameter that a search has chosen.
    pub(super) fn tune(&mut self, name: &str, value: f64) {
        const TUNED: [&str; 6] =
            ["max_depth", "learning_rate", "lambda", "row_subsample", "column_subsample", "min_samples_leaf"];
        match TUNED.iter().find(|known| **known == name) {
            Some(known) => self.give(known, value.to_string()),
            None => self.trees = Some(value as usize),
        }
    }

    /// Asks for a parameter unless it is asked for already, by either name.
    pub(super) fn give_default(&mut self, name: &'static str, value: String) {
        if !self.names_given().any(|given| given == name) && !self.own.iter().any(|(own, _)| own == name) {
            self.give(name, value);
        }
    }

    /// What was asked for, by name.
    pub(super) fn in_words(&self) -> BTreeMap<String, String> {
        let given = self.given.iter().map(|(name, value)| (name.to_string(), value.clone()));
        let mut entries: BTreeMap<String, String> = given.chain(self.own.iter().cloned()).collect();
        if !self.categorical.is_empty() {
            entries.insert("categorical".to_string(), self.categorical.join(","));
        }
        if !self.monotone.is_empty() {
            let signed =
                self.monotone.iter().map(|(name, direction)| format!("{name}={:+}", sign(*direction)));
            entries.insert("monotone".to_string(), signed.collect::<Vec<_>>().join(","));
        }
        entries
    }

    /// Checks all that can be checked without a table.
    ///
    /// # Errors
    /// Everything that the engine does not have, one a line.
    pub(super) fn check(&self, engine: Engine) -> Result<(), EngineError> {
        if !engine.algorithms().contains(&self.algorithm) {
            let known: Vec<String> = engine.algorithms().iter().map(Algorithm::to_string).collect();
            let message =
                format!("{engine} has no {}, expected --algorithm {}", self.algorithm, known.join(" or "));
            return Err(EngineError::Refused(message));
        }
        let mut mistakes = self.check_trees();
        mistakes.extend(self.names_given().filter_map(|name| self.check_known(engine, name).err()));
        mistakes.extend(self.given.iter().filter_map(|(name, value)| self.value(engine, name, value).err()));
        mistakes
            .extend(self.own.iter().filter_map(|(name, value)| self.check_own(engine, name, value).err()));
        if mistakes.is_empty() { Ok(()) } else { Err(EngineError::Refused(mistakes.join("\n"))) }
    }

    fn check_trees(&self) -> Vec<String> {
        let mut mistakes = Vec::new();
        match self.trees {
            Some(0) => mistakes.push("--trees 0: expected at least 1".to_string()),
            Some(trees) if trees > 1 && self.algorithm == Algorithm::DecisionTree => {
                mistakes.push(format!("--trees {trees}: a decision tree is one"));
            }
            _ => {}
        }
        match self.early_stopping {
            Some(0) => mistakes.push("--early-stopping 0: expected at least 1".to_string()),
            Some(_) if self.algorithm != Algorithm::Gbdt => {
                mistakes.push("--early-stopping is of boosting: expected --algorithm gbdt".to_string());
            }
            _ => {}
        }
        mistakes
    }

    /// Names of redflag's parameters that are asked for.
    fn names_given(&self) -> impl Iterator<Item = &'static str> {
        let monotone = (!self.monotone.is_empty()).then_some("monotone");
        let categorical = (!self.categorical.is_empty()).then_some("categorical");
        self.given.iter().map(|(name, _)| *name).chain(monotone).chain(categorical)
    }

    fn check_known(&self, engine: Engine, name: &str) -> Result<(), String> {
        let option = option(name);
        if BOOSTING.contains(&name) && self.algorithm != Algorithm::Gbdt {
            return Err(format!("{option} is of boosting: expected --algorithm gbdt"));
        }
        if engine.name_of(name, self.algorithm).is_some() {
            return Ok(());
        }
        let instead = engine.names().instead.iter().find(|(lacked, _)| *lacked == name);
        let instead = instead.map_or(String::new(), |(_, instead)| format!("; it has {instead}"));
        Err(format!("{option}: {engine} has no such parameter{instead}"))
    }

    fn check_own(&self, engine: Engine, name: &str, value: &str) -> Result<(), String> {
        let setting = format!("--set {name}={value}");
        if name.is_empty()
            || [name, value].iter().any(|text| text.contains(|c: char| c.is_whitespace() || c == '\0'))
        {
            return Err(format!("{setting:?}: expected NAME=VALUE without blanks"));
        }
        if engine.names().decided.contains(&name) {
            return Err(format!("{setting}: redflag decides this (the number of trees is --trees)"));
        }
        let same = |ours: &&str| engine.name_of(ours, self.algorithm) == Some(name);
        match self.names_given().find(same) {
            Some(ours) => Err(format!("{setting}: is given as {} already", option(ours))),
            None => Ok(()),
        }
    }

    /// Names and values for the library. Values for Python are JSON where they can be.
    ///
    /// # Errors
    /// If a column that is named is not there.
    pub(super) fn translated(
        &self,
        engine: Engine,
        table: &Table,
    ) -> Result<Vec<(String, String)>, EngineError> {
        self.check_columns(table)?;
        let mut parameters: BTreeMap<String, String> =
            self.usual(engine).into_iter().map(|(name, value)| (name.to_string(), value)).collect();
        for (name, value) in &self.given {
            let theirs = engine.name_of(name, self.algorithm);
            let value = self.value(engine, name, value).map_err(EngineError::Refused)?;
            parameters.extend(theirs.zip(value).map(|(theirs, value)| (theirs.to_string(), value)));
        }
        parameters.extend(self.of_columns(engine, table));
        parameters.extend(self.own.iter().cloned());
        Ok(parameters.into_iter().collect())
    }

    /// What no one asks for: the loss, threads, and what makes the algorithm.
    fn usual(&self, engine: Engine) -> Vec<(&'static str, String)> {
        let threads = cores().to_string();
        let mut usual = match engine {
            Engine::Builtin | Engine::XgBoost => {
                vec![("objective", "binary:logistic".to_string()), ("nthread", threads)]
            }
            Engine::LightGbm => {
                // It says what is unknown to it from 0 on.
                let verbosity = ("verbosity", "0".to_string());
                vec![("objective", "binary".to_string()), ("num_threads", threads), verbosity]
            }
            Engine::CatBoost => vec![("loss_function", "Logloss".to_string()), ("thread_count", threads)],
            Engine::ScikitLearn if self.algorithm == Algorithm::RandomForest => {
                vec![("random_state", "0".to_string()), ("n_jobs", threads)]
            }
            Engine::ScikitLearn => vec![("random_state", "0".to_string())],
        };
        let of_algorithm = usual_of(engine, self.algorithm).iter();
        usual.extend(of_algorithm.map(|(name, value)| (*name, value.to_string())));
        // LightGBM draws no rows unless it is told how often.
        if engine == Engine::LightGbm && self.given.iter().any(|(name, _)| *name == "row_subsample") {
            usual.push(("bagging_freq", "1".to_string()));
        }
        usual
    }

    /// The value as the library wants it; `None` where it need not be told.
    fn value(&self, engine: Engine, name: &str, value: &str) -> Result<Option<String>, String> {
        let expected = |words: &str| Err(format!("{} {value}: {engine} expects {words}", option(name)));
        Ok(Some(match (name, engine, value) {
            // Without a limit.
            ("max_depth", Engine::LightGbm, "0") => "-1".to_string(),
            ("max_depth", Engine::ScikitLearn, "0") => "null".to_string(),
            ("max_depth", Engine::CatBoost, "0") => return expected("1 to 16"),
            ("growth", Engine::XgBoost, "depth-wise") => "depthwise".to_string(),
            ("growth", Engine::XgBoost, "leaf-wise") => "lossguide".to_string(),
            ("growth", Engine::XgBoost, _) => return expected("depth-wise or leaf-wise"),
            ("growth", Engine::LightGbm, "leaf-wise") => return Ok(None),
            ("growth", Engine::LightGbm, _) => return expected("leaf-wise"),
            ("growth", Engine::CatBoost, "depth-wise") => "Depthwise".to_string(),
            ("growth", Engine::CatBoost, "leaf-wise") => "Lossguide".to_string(),
            ("growth", Engine::CatBoost, _) => "SymmetricTree".to_string(),
            ("positive_weight", Engine::ScikitLearn, _) => format!("[1,{value}]"),
            // A share as a whole number would be a number of features or rows there.
            ("row_subsample" | "column_subsample", Engine::ScikitLearn, "1") => "1.0".to_string(),
            _ => value.to_string(),
        }))
    }

    fn of_columns(&self, engine: Engine, table: &Table) -> Vec<(String, String)> {
        let mut parameters = Vec::new();
        if !self.monotone.is_empty() {
            let of = |name: &String| self.monotone.iter().find(|(own, _)| own == name);
            let signs = table.names.iter().map(|name| of(name).map_or(0, |(_, direction)| sign(*direction)));
            let signs = signs.map(|sign| sign.to_string()).collect::<Vec<_>>().join(",");
            let value = match engine {
                Engine::XgBoost => format!("({signs})"),
                Engine::CatBoost | Engine::ScikitLearn => format!("[{signs}]"),
                _ => signs,
            };
            let name = engine.name_of("monotone", self.algorithm);
            parameters.extend(name.map(|name| (name.to_string(), value)));
        }
        if engine == Engine::LightGbm && !self.categorical.is_empty() {
            let names = table.names.iter().enumerate();
            let chosen =
                names.filter(|(_, name)| self.categorical.contains(name)).map(|(at, _)| at.to_string());
            parameters.push(("categorical_feature".to_string(), chosen.collect::<Vec<_>>().join(",")));
        }
        parameters
    }

    fn check_columns(&self, table: &Table) -> Result<(), GrowError> {
        let monotone = self.monotone.iter().map(|(name, _)| ("monotone", name));
        let categorical = self.categorical.iter().map(|name| ("categorical", name));
        match monotone.chain(categorical).find(|(_, name)| !table.names.contains(name)) {
            Some((parameter, name)) => Err(GrowError::UnknownColumn { parameter, column: name.clone() }),
            None => Ok(()),
        }
    }
}

/// Of a random forest, XGBoost gets what its `XGBRFClassifier` has; LightGBM, which has no defaults for one, trees on 0.632
/// of the rows, the share that is in a bootstrap sample. A single tree takes the whole step.
fn usual_of(engine: Engine, algorithm: Algorithm) -> &'static [(&'static str, &'static str)] {
    match (engine, algorithm) {
        (Engine::XgBoost, Algorithm::RandomForest) => &[
            ("learning_rate", "1"),
            ("subsample", "0.8"),
            ("colsample_bynode", "0.8"),
            ("reg_lambda", "0.00001"),
        ],
        (Engine::LightGbm, Algorithm::RandomForest) => {
            &[("boosting", "rf"), ("bagging_freq", "1"), ("bagging_fraction", "0.632")]
        }
        (Engine::XgBoost | Engine::LightGbm | Engine::CatBoost, Algorithm::DecisionTree) => {
            &[("learning_rate", "1")]
        }
        _ => &[],
    }
}

fn sign(direction: Direction) -> i8 {
    match direction {
        Direction::Rising => 1,
        Direction::Falling => -1,
    }
}

/// A parameter as it is given on the command line.
fn option(name: &str) -> String {
    format!("--{}", name.replace('_', "-"))
}
