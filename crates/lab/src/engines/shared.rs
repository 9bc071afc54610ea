use std::path::Path;

use forest::grow::Table;

use super::{EngineError, Grown, Job, Progress};
use crate::foreign::{ForeignError, LightGbm, LightGbmTrainer, XgBoost, XgBoostMatrix, XgBoostTrainer};

pub(super) fn grow_with_xgboost(
    library: &Path,
    job: &Job,
    progress: &mut dyn FnMut(Progress),
) -> Result<Grown, EngineError> {
    let xgboost = XgBoost::open(library).map_err(EngineError::Library)?;
    let refused = |error| refused(job, error);
    let matrix = |table| matrix(&xgboost, table, &job.categorical).map_err(refused);
    let mut parameters = job.parameters.clone();
    // A forest is one round of many trees.
    let rounds = if job.is_forest() { 1 } else { job.trees };
    if job.is_forest() {
        parameters.push(("num_parallel_tree".to_string(), job.trees.to_string()));
    }
    if job.validation.is_some() {
        parameters.push(("eval_metric".to_string(), "aucpr".to_string()));
    }
    let validation = job.validation.map(matrix).transpose()?;
    let mut trainer = xgboost.trainer(matrix(job.table)?, validation, &parameters).map_err(refused)?;
    let figures = grow_rounds(&mut trainer, rounds, job, progress).map_err(refused)?;
    grown(job, &trainer.save().map_err(refused)?, figures)
}

pub(super) fn grow_with_lightgbm(
    library: &Path,
    job: &Job,
    progress: &mut dyn FnMut(Progress),
) -> Result<Grown, EngineError> {
    let lightgbm = LightGbm::open(library).map_err(EngineError::Library)?;
    let refused = |error| refused(job, error);
    let mut parameters: Vec<String> =
        job.parameters.iter().map(|(name, value)| format!("{name}={value}")).collect();
    if job.validation.is_some() {
        parameters.push("metric=average_precision".to_string());
    }
    let parameters = parameters.join(" ");
    let dataset = |table: &Table, like| {
        let values = table.columns.concat();
        let weights = table.weights.map(singles);
        lightgbm
            .dataset(&values, &numbers(table.labels), weights.as_deref(), &parameters, like)
            .map_err(refused)
    };
    let learnt = dataset(job.table, None)?;
    let validation = job.validation.map(|table| dataset(table, Some(&learnt))).transpose()?;
    let mut trainer = lightgbm.trainer(learnt, validation, &parameters).map_err(refused)?;
    let figures = grow_rounds(&mut trainer, job.trees, job, progress).map_err(refused)?;
    grown(job, trainer.save().map_err(refused)?.as_bytes(), figures)
}

/// What a library says no to is what was asked of it.
fn refused(job: &Job, error: ForeignError) -> EngineError {
    match error {
        ForeignError::Call { message, .. } | ForeignError::Unknown { message } => {
            EngineError::Refused(format!("{}: {message}", job.engine))
        }
        error => EngineError::Library(error),
    }
}

fn grown(job: &Job, model: &[u8], figures: Vec<f64>) -> Result<Grown, EngineError> {
    let forest = job.read(model)?;
    Ok(Grown { forest, figures, learning_rate: None })
}

fn matrix(xgboost: &XgBoost, table: &Table, categorical: &[bool]) -> Result<XgBoostMatrix, ForeignError> {
    let rows: Vec<f32> = (0..table.labels.len())
        .flat_map(|row| table.columns.iter().map(move |column| column[row] as f32))
        .collect();
    let weights = table.weights.map(singles);
    xgboost.matrix(&rows, categorical, &numbers(table.labels), weights.as_deref())
}

fn numbers(labels: &[bool]) -> Vec<f32> {
    labels.iter().map(|label| f32::from(u8::from(*label))).collect()
}

fn singles(numbers: &[f64]) -> Vec<f32> {
    numbers.iter().map(|number| *number as f32).collect()
}

/// A library that grows round by round.
trait Rounds {
    fn update(&mut self) -> Result<(), ForeignError>;
    /// The figure of the last round on the validation rows, if there are any.
    fn evaluate(&mut self) -> Result<Option<f64>, ForeignError>;
}

impl Rounds for XgBoostTrainer {
    fn update(&mut self) -> Result<(), ForeignError> {
        XgBoostTrainer::update(self)
    }

    fn evaluate(&mut self) -> Result<Option<f64>, ForeignError> {
        XgBoostTrainer::evaluate(self)
    }
}

impl Rounds for LightGbmTrainer {
    fn update(&mut self) -> Result<(), ForeignError> {
        LightGbmTrainer::update(self)
    }

    fn evaluate(&mut self) -> Result<Option<f64>, ForeignError> {
        LightGbmTrainer::evaluate(self)
    }
}

/// Grows until the rounds are done or there is no hope of a better one; the figures of all.
fn grow_rounds(
    trainer: &mut impl Rounds,
    rounds: usize,
    job: &Job,
    progress: &mut dyn FnMut(Progress),
) -> Result<Vec<f64>, ForeignError> {
    let mut figures = Vec::new();
    for round in 1..=rounds {
        trainer.update()?;
        let figure = trainer.evaluate()?;
        figures.extend(figure);
        let trees_done = round * job.trees / rounds;
        progress(Progress { trees_done, trees_total: job.trees, average_precision: figure });
        let best = super::best_round(&figures).unwrap_or(round);
        if job.patience.is_some_and(|patience| round - best >= patience) {
            break;
        }
    }
    Ok(figures)
}
