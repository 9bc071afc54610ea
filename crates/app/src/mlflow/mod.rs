//! MLflow: models, and how they came to be, told to a tracking server over its REST API.
//!
//! A run of an experiment takes parameters, metrics, tags and files; a logged model takes the model file with a small
//! loader, so that `mlflow.pyfunc` scores with it; the model registry takes a version of it with an alias. Files go
//! through the server (`mlflow-artifacts:`): redflag needs no keys of the store behind it.

/// Which server, and calls to it.
pub mod server;
/// Experiments and runs.
mod tracking;
/// Logged models, versions of registered ones, aliases.
mod models;
/// The files from which Python loads a model.
mod flavour;

use anyhow::{Context, Result};
use clap::ValueEnum;
use lab::artifact::ModelFile;
use lab::facts::Facts;

use self::server::Client;
use self::tracking::{Metric, Run};

/// A name that a version of a registered model goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Alias {
    /// The one that decides
    Champion,
    /// One that is compared with it
    Challenger,
}

impl Alias {
    fn name(self) -> &'static str {
        match self {
            Alias::Champion => "champion",
            Alias::Challenger => "challenger",
        }
    }
}

/// Where on the server.
#[derive(Debug, Clone)]
pub struct Place {
    /// Name of the experiment; made if there is none.
    pub experiment: String,
    /// Name of the registered model; made if there is none.
    pub model: String,
    /// Without one: champion if there is none yet, else challenger.
    pub alias: Option<Alias>,
}

/// What is logged.
pub struct Publication<'a> {
    /// The model.
    pub model: &'a ModelFile,
    /// How it came to be.
    pub facts: &'a Facts,
    /// The detector's file.
    pub detector: &'a str,
    /// Further files by name: a report, pictures.
    pub attachments: &'a [(String, Vec<u8>)],
}

/// What came of it.
#[derive(Debug, serde::Serialize)]
pub struct Published {
    /// Address of the run's page.
    pub run_url: String,
    /// Identifies the run.
    pub run_id: String,
    /// Name of the registered model.
    pub model: String,
    /// Its version.
    pub version: String,
    /// Alias of the version.
    pub alias: Alias,
}

impl std::fmt::Display for Published {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Published { run_url, model, version, alias, .. } = self;
        write!(f, "{run_url}: {model} version {version} is the {}", alias.name())
    }
}

/// Logs a model in a run of its own and registers it. A run that something goes wrong with is marked as failed.
///
/// # Errors
/// If the server cannot be reached, or refuses: the call and its words.
pub fn publish(client: &Client, place: &Place, publication: &Publication) -> Result<Published> {
    let experiment = tracking::experiment(client, &place.experiment)?;
    let run = Run::start(client, &experiment, &publication.model.id, &tags(publication.facts))?;
    let logged = log(&run, place, publication);
    match &logged {
        Ok(_) => run.finish()?,
        Err(error) => run.fail(&format!("{error:#}")),
    }
    logged
}

/// Gives a version of a registered model an alias, which the one that had it loses.
///
/// # Errors
/// If the server cannot be reached, or refuses.
pub fn give_alias(client: &Client, model: &str, version: &str, alias: Alias) -> Result<Alias> {
    models::give_alias(client, model, version, Some(alias))
}

fn log(run: &Run, place: &Place, publication: &Publication) -> Result<Published> {
    let Publication { model, facts, .. } = publication;
    run.log_data(facts)?;
    run.log_parameters(&parameters(model, facts))?;
    let logged = models::Logged::start(run)?;
    run.log_metrics(&metrics(facts), logged.id())?;
    for (name, bytes) in files(publication)? {
        run.upload(&name, bytes)?;
    }
    for (name, bytes) in flavour::files(model, logged.id(), run.id())? {
        logged.upload(&name, bytes)?;
    }
    logged.finish()?;
    let version = logged.register(&place.model, &tags(facts))?;
    let alias = models::give_alias(run.client(), &place.model, &version, place.alias)?;
    let (run_url, run_id) = (run.page(), run.id().to_string());
    Ok(Published { run_url, run_id, model: place.model.clone(), version, alias })
}

/// Files that belong to the run, beside the model.
fn files(publication: &Publication) -> Result<Vec<(String, Vec<u8>)>> {
    let facts = serde_json::to_vec_pretty(publication.facts).context("cannot write the facts as JSON")?;
    let mut files = vec![
        ("facts.json".to_string(), facts),
        ("detector.toml".to_string(), publication.detector.as_bytes().to_vec()),
    ];
    files.extend(publication.attachments.iter().cloned());
    Ok(files)
}

/// What a run or a version is searched by.
fn tags(facts: &Facts) -> Vec<(&'static str, String)> {
    let tags = [
        ("detector", &facts.detector),
        ("feature_fingerprint", &facts.feature_fingerprint),
        ("data_fingerprint", &facts.data_fingerprint),
        ("redflag_model", &facts.model_id),
        ("redflag_version", &facts.redflag_version),
    ];
    tags.into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| (name, value.clone()))
        .collect()
}

fn parameters(model: &ModelFile, facts: &Facts) -> Vec<(String, String)> {
    let mut parameters = facts.parameters.clone();
    let known = [
        ("detector", facts.detector.clone()),
        ("data", facts.data.clone()),
        ("engine", facts.engine.clone()),
        ("engine_version", facts.engine_version.clone()),
        ("algorithm", facts.algorithm.clone()),
        ("trained_from", facts.trained_from.clone()),
        ("trained_to", facts.trained_to.clone()),
        ("rows", facts.rows.to_string()),
        ("frauds", facts.frauds.to_string()),
        ("review_score_min", model.review_score_min.to_string()),
    ];
    parameters.extend(known.map(|(name, value)| (name.to_string(), value)));
    parameters.into_iter().filter(|(_, value)| !value.is_empty()).collect()
}

/// Figures on later data; by fold, with the fold's number as the step; by iteration, with the trees so far.
fn metrics(facts: &Facts) -> Vec<Metric> {
    let whole = facts.metrics.iter().map(|(name, value)| Metric::new("", name, *value, 0));
    let of_folds = facts.folds.iter().zip(1..).flat_map(|(fold, number)| {
        fold.metrics.iter().map(move |(name, value)| Metric::new("fold_", name, *value, number))
    });
    let of_iterations = facts.iterations.iter().flat_map(|iteration| {
        let figures = iteration.metrics.iter();
        figures.map(|(name, value)| Metric::new("validation_", name, *value, iteration.trees))
    });
    let growing = (facts.growing_s > 0.0).then(|| Metric::new("", "growing_s", facts.growing_s, 0));
    whole.chain(of_folds).chain(of_iterations).chain(growing).collect()
}
