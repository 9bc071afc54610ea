//! What grows forests: redflag's own growers, and the libraries of others with their own defaults.
//!
//! XGBoost and LightGBM work in this process, through their shared libraries; CatBoost and scikit-learn in a Python of their
//! own, which is handed a table as files and gives its model back as one. Whatever grew it, the result is a [`Forest`] that
//! scores as its library does.

/// What a parameter of ours is called elsewhere, and what is refused.
mod parameters;
/// Where the libraries are.
mod place;
/// redflag's own growers.
mod builtin;
/// XGBoost and LightGBM, in this process.
mod shared;
/// CatBoost and scikit-learn, in a process of Python.
mod python;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use forest::Forest;
use forest::grow::{Algorithm, GrowError, Params, Table};
use forest::read::{ReadError, read};
use thiserror::Error;

use crate::artifact::ModelFile;
use crate::foreign::ForeignError;

pub use parameters::Request;
pub use place::{Installed, Place};

/// Who grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// redflag itself.
    Builtin,
    /// XGBoost.
    XgBoost,
    /// LightGBM.
    LightGbm,
    /// CatBoost.
    CatBoost,
    /// scikit-learn: its forests and trees, as a reference.
    ScikitLearn,
}

impl Engine {
    /// All of them.
    pub const ALL: [Engine; 5] =
        [Engine::Builtin, Engine::XgBoost, Engine::LightGbm, Engine::CatBoost, Engine::ScikitLearn];

    /// Its name, as it is called.
    pub fn name(self) -> &'static str {
        match self {
            Engine::Builtin => "builtin",
            Engine::XgBoost => "xgboost",
            Engine::LightGbm => "lightgbm",
            Engine::CatBoost => "catboost",
            Engine::ScikitLearn => "scikit-learn",
        }
    }

    /// The engine of a name.
    pub fn named(name: &str) -> Option<Engine> {
        Engine::ALL.into_iter().find(|engine| engine.name() == name)
    }

    /// What it can grow.
    pub fn algorithms(self) -> &'static [Algorithm] {
        match self {
            Engine::Builtin | Engine::XgBoost | Engine::LightGbm => {
                &[Algorithm::Gbdt, Algorithm::RandomForest, Algorithm::DecisionTree]
            }
            Engine::CatBoost => &[Algorithm::Gbdt, Algorithm::DecisionTree],
            Engine::ScikitLearn => &[Algorithm::RandomForest, Algorithm::DecisionTree],
        }
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why an engine does not grow.
#[derive(Debug, Error)]
pub enum EngineError {
    /// Its library is not there.
    #[error("{engine} is not in {}: `redflag engines install {engine}` installs it", folder.display())]
    NotInstalled {
        /// Which.
        engine: Engine,
        /// Where it was looked for.
        folder: PathBuf,
    },
    /// Its library is there and does not open.
    #[error("{0}{advice}", advice = advice(.0))]
    Library(ForeignError),
    /// It cannot do what is asked, or does not take a value: what it says of it.
    #[error("{0}")]
    Refused(String),
    /// Rows that nothing can learn from.
    #[error(transparent)]
    Table(#[from] GrowError),
    /// Its process, or the way there, has failed.
    #[error("{engine} failed: {message}")]
    Failed {
        /// Which.
        engine: Engine,
        /// What it said.
        message: String,
    },
}

/// LightGBM's wheel brings all but the library of OpenMP.
fn advice(error: &ForeignError) -> &'static str {
    match error {
        ForeignError::Open { source, .. } if source.to_string().contains("libgomp") => {
            " (on Debian: apt-get install libgomp1)"
        }
        _ => "",
    }
}

/// How far growing has come.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// Trees grown so far.
    pub trees_done: usize,
    /// Trees asked for.
    pub trees_total: usize,
    /// Average precision on the rows held out for early stopping, as the library finds it, where it says.
    pub average_precision: Option<f64>,
}

/// What grows the trees of a model, and how.
#[derive(Debug, Clone, PartialEq)]
pub enum Grower {
    /// redflag's own.
    Builtin(Params),
    /// The library of another.
    Foreign(Foreign),
}

/// The library of another, and what is asked of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Foreign {
    engine: Engine,
    installed: Installed,
    request: Request,
}

impl Foreign {
    /// An engine of this place, asked for something that it can do.
    ///
    /// # Errors
    /// All that it cannot do at once; if it is not there.
    pub fn new(engine: Engine, request: Request, place: &Place) -> Result<Foreign, EngineError> {
        request.check(engine)?;
        Ok(Foreign { engine, installed: place.find(engine)?, request })
    }

    /// Names and values of a model file: what was asked for, and which version of the library did it.
    fn parameters(&self) -> BTreeMap<String, String> {
        let mut entries = self.request.in_words();
        entries.insert("trees".to_string(), self.trees().to_string());
        entries.insert("engine_version".to_string(), self.installed.version.clone());
        entries
    }

    fn trees(&self) -> usize {
        self.request.trees(self.engine)
    }

    fn grow(
        &self,
        table: &Table,
        validation: Option<&Table>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Grown, EngineError> {
        table.check()?;
        let job = Job {
            engine: self.engine,
            algorithm: self.request.algorithm,
            table,
            validation,
            patience: self.request.early_stopping,
            trees: self.trees(),
            parameters: self.request.translated(self.engine, table)?,
            categorical: table.names.iter().map(|name| self.request.categorical.contains(name)).collect(),
        };
        let grown = match self.engine {
            Engine::XgBoost => shared::grow_with_xgboost(&self.installed.path, &job, progress),
            Engine::LightGbm => shared::grow_with_lightgbm(&self.installed.path, &job, progress),
            _ => python::grow(&self.installed.path, &job, progress),
        }?;
        grown.named(self.engine, table.names)
    }

    fn best(
        &self,
        table: &Table,
        validation: &Table,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Best, EngineError> {
        let grown = self.grow(table, Some(validation), progress)?;
        let trees = best_round(&grown.figures).unwrap_or(self.trees());
        Ok(Best { trees, learning_rate: grown.learning_rate })
    }

    fn settled(&self, best: &Best) -> Foreign {
        let mut request = Request { early_stopping: None, trees: Some(best.trees), ..self.request.clone() };
        if let Some(rate) = best.learning_rate {
            request.give_default("learning_rate", rate.to_string());
        }
        Foreign { request, ..self.clone() }
    }
}

/// What early stopping found.
pub(crate) struct Best {
    trees: usize,
    /// The learning rate, where the library chose it by the number of trees asked for.
    learning_rate: Option<f64>,
}

/// One growing, in the words of the library.
struct Job<'a> {
    engine: Engine,
    algorithm: Algorithm,
    table: &'a Table<'a>,
    validation: Option<&'a Table<'a>>,
    /// Rounds without a better figure on the validation table after which it is given up.
    patience: Option<usize>,
    trees: usize,
    parameters: Vec<(String, String)>,
    /// By column, whether its numbers name categories.
    categorical: Vec<bool>,
}

impl Job<'_> {
    fn is_forest(&self) -> bool {
        self.algorithm == Algorithm::RandomForest
    }

    /// The model that the library made. One that a forest cannot be was asked for: a linear booster, say.
    fn read(&self, model: &[u8]) -> Result<Forest, EngineError> {
        let engine = self.engine;
        match read(model) {
            Ok(native) => Ok(native.forest),
            Err(ReadError::Unsupported(what)) => Err(EngineError::Refused(format!(
                "{engine}: its model has what cannot be scored here: {what}"
            ))),
            Err(error) => Err(self.failed(error.to_string())),
        }
    }

    fn failed(&self, message: String) -> EngineError {
        EngineError::Failed { engine: self.engine, message }
    }
}

/// What came of it.
struct Grown {
    forest: Forest,
    /// Average precision on the validation table after each round.
    figures: Vec<f64>,
    /// The learning rate, where the library chose it.
    learning_rate: Option<f64>,
}

impl Grown {
    /// The forest with the names of the columns, which the libraries are not told: some do not take every name.
    fn named(self, engine: Engine, names: &[String]) -> Result<Grown, EngineError> {
        let order: Vec<usize> = (0..names.len()).collect();
        let forest = self.forest.arranged(names.to_vec(), &order);
        let message = "its model has another number of features than the table".to_string();
        Ok(Grown { forest: forest.ok_or(EngineError::Failed { engine, message })?, ..self })
    }
}

/// The first of the rounds with the best figure, counted from 1.
fn best_round(figures: &[f64]) -> Option<usize> {
    let best = figures.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    figures.iter().position(|figure| *figure == best).map(|at| at + 1)
}

impl Grower {
    /// Who grows.
    pub fn engine(&self) -> Engine {
        match self {
            Grower::Builtin(_) => Engine::Builtin,
            Grower::Foreign(foreign) => foreign.engine,
        }
    }

    /// Which ensemble.
    pub fn algorithm(&self) -> Algorithm {
        match self {
            Grower::Builtin(params) => params.algorithm,
            Grower::Foreign(foreign) => foreign.request.algorithm,
        }
    }

    /// Number of trees that is asked for.
    pub fn trees(&self) -> usize {
        match self {
            Grower::Builtin(params) => params.trees,
            Grower::Foreign(foreign) => foreign.trees(),
        }
    }

    /// Seed of everything random.
    pub fn seed(&self) -> u64 {
        match self {
            Grower::Builtin(params) => params.seed,
            Grower::Foreign(foreign) => foreign.request.seed(),
        }
    }

    /// Names of columns whose numbers name categories.
    pub(crate) fn categorical(&self) -> &[String] {
        match self {
            Grower::Builtin(params) => &params.categorical,
            Grower::Foreign(foreign) => &foreign.request.categorical,
        }
    }

    /// The same with other parameters, by the names that redflag has for them.
    pub fn tuned(&self, parameters: &BTreeMap<String, f64>) -> Grower {
        match self {
            Grower::Builtin(params) => Grower::Builtin(builtin::tuned(params, parameters)),
            Grower::Foreign(foreign) => {
                let mut foreign = foreign.clone();
                for (name, value) in parameters {
                    foreign.request.tune(name, *value);
                }
                Grower::Foreign(foreign)
            }
        }
    }

    /// After how many rounds without a better one growing stops.
    pub(crate) fn early_stopping(&self) -> Option<usize> {
        match self {
            Grower::Builtin(params) => params.early_stopping,
            Grower::Foreign(foreign) => foreign.request.early_stopping,
        }
    }

    /// The same, with frauds of this weight.
    pub(crate) fn weighed(&self, positive_weight: f64) -> Grower {
        match self {
            Grower::Builtin(params) => Grower::Builtin(Params { positive_weight, ..params.clone() }),
            Grower::Foreign(foreign) => {
                let mut foreign = foreign.clone();
                foreign.request.give("positive_weight", positive_weight.to_string());
                Grower::Foreign(foreign)
            }
        }
    }

    /// Grows a forest on the table, after the trees of an older one if there is one.
    ///
    /// # Errors
    /// If the table cannot be learnt from, or the engine refuses what it is asked for or is not there.
    pub fn grow(
        &self,
        table: &Table,
        older: Option<&Forest>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Forest, EngineError> {
        match self {
            Grower::Builtin(params) => builtin::grow(params, table, None, older, progress),
            Grower::Foreign(foreign) => {
                refuse_older(foreign.engine, older)?;
                Ok(foreign.grow(table, None, progress)?.forest)
            }
        }
    }

    /// The number of trees that does best on the validation table.
    ///
    /// # Errors
    /// As [`Grower::grow`].
    pub(crate) fn best(
        &self,
        table: &Table,
        validation: &Table,
        older: Option<&Forest>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Best, EngineError> {
        match self {
            Grower::Builtin(params) => {
                let forest = builtin::grow(params, table, Some(validation), older, progress)?;
                let trees = forest.tree_count() - older.map_or(0, Forest::tree_count);
                Ok(Best { trees, learning_rate: None })
            }
            Grower::Foreign(foreign) => {
                refuse_older(foreign.engine, older)?;
                foreign.best(table, validation, progress)
            }
        }
    }

    /// The same without early stopping, with the best number of trees for a table of `rows` rows, and with all that depends
    /// on the number asked for as it was.
    pub(crate) fn settled(&self, best: &Best, rows: usize) -> Grower {
        match self {
            Grower::Builtin(params) => Grower::Builtin(Params {
                trees: best.trees,
                learning_rate: Some(params.learning_rate(rows)),
                warm_up: Some(params.warm_up()),
                early_stopping: None,
                ..params.clone()
            }),
            Grower::Foreign(foreign) => Grower::Foreign(foreign.settled(best)),
        }
    }

    /// The parameters of growing as a model file says them.
    pub(crate) fn parameters(&self, rows: usize, older: Option<&ModelFile>) -> BTreeMap<String, String> {
        match self {
            Grower::Builtin(params) => builtin::parameters(params, rows, older),
            Grower::Foreign(foreign) => foreign.parameters(),
        }
    }
}

fn refuse_older(engine: Engine, older: Option<&Forest>) -> Result<(), EngineError> {
    match older {
        None => Ok(()),
        Some(_) => Err(EngineError::Refused(format!(
            "{engine} does not continue a model here: expected the engine builtin"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_equal_rounds_is_the_best() {
        assert_eq!(best_round(&[0.25, 0.75, 0.5, 0.75]), Some(2));
        assert_eq!(best_round(&[]), None);
    }
}
