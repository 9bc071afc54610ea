use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use clap::ValueEnum;
use engine::Detector;
use lab::facts::Facts;
use serde_json::json;

use super::super::WrongInput;
use super::super::output::{load_detector, load_model};
use crate::objects::is_url;
use crate::registry::{Promotion, Registered, Registry, RegistryError, Request, Step, facts_of_file};

/// Where models are kept.
#[derive(Debug, Clone, clap::Args)]
pub struct Kept {
    /// The registry: a folder, or a bucket as s3://bucket/prefix
    #[arg(
        long,
        value_name = "FOLDER|URL",
        env = "REDFLAG_REGISTRY",
        default_value = "redflag-data/models",
        global = true
    )]
    registry: String,
}

impl Kept {
    /// The registry, made if there is none.
    ///
    /// # Errors
    /// If it cannot be used.
    pub fn make(&self) -> Result<Registry> {
        Registry::open(&self.registry)
    }

    /// The folder that a registry in a folder lies in: the data folder, unless it was put elsewhere.
    pub fn beside(&self) -> Option<&Path> {
        if is_url(&self.registry) { None } else { Path::new(&self.registry).parent() }
    }

    /// The registry that is there.
    ///
    /// # Errors
    /// If there is none, or it cannot be used.
    pub fn open(&self) -> Result<Registry> {
        if !is_url(&self.registry) && !Path::new(&self.registry).is_dir() {
            let place = &self.registry;
            let message =
                format!("--registry is {place}: there is no such folder; `redflag model register` makes it");
            return Err(WrongInput(message).into());
        }
        self.make()
    }
}

/// What the user can mend is wrong input; the rest has failed.
pub fn told(error: RegistryError) -> anyhow::Error {
    match error {
        RegistryError::Unusable(_) => error.into(),
        RegistryError::Unknown(_) | RegistryError::Refused(_) | RegistryError::Flawed(_) => {
            WrongInput(error.to_string()).into()
        }
    }
}

/// Keep a model in the registry, with how it came to be
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: redflag model register --model card.model")]
pub struct Register {
    /// Model file of `redflag train` or `redflag model import`
    #[arg(long, value_name = "FILE")]
    model: PathBuf,
    #[command(flatten)]
    kept: Kept,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

impl Register {
    /// Keeps the model.
    pub fn run(&self) -> Result<()> {
        let model = load_model(&self.model)?;
        let is_new = self.kept.make()?.register(&model, &facts_of_file(&model), &[]).map_err(told)?;
        if self.json {
            println!("{}", json!({ "model": model.id, "detector": model.detector, "new": is_new }));
        } else if is_new {
            println!("{} of the detector `{}` is registered", model.id, model.detector);
        } else {
            println!("{} of the detector `{}` was registered already", model.id, model.detector);
        }
        Ok(())
    }
}

/// List the models of the registry and what they do
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: redflag model list --detector card")]
pub struct List {
    /// Only the models of the detector of this name
    #[arg(long, value_name = "NAME")]
    detector: Option<String>,
    #[command(flatten)]
    kept: Kept,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl List {
    /// Prints the list.
    pub fn run(&self) -> Result<()> {
        let models = self.kept.open()?.list(self.detector.as_deref()).map_err(told)?;
        if self.json {
            println!("{:#}", json!({ "models": models }));
            return Ok(());
        }
        let head = ["model", "detector", "role", "trained to", "engine", "average precision", "since", "by"];
        print_table(&head.map(str::to_string), &models.iter().map(line).collect::<Vec<_>>());
        Ok(())
    }
}

fn line(model: &Registered) -> [String; 8] {
    let facts = &model.facts;
    let or_dash = |text: &str| if text.is_empty() { "-".to_string() } else { text.to_string() };
    let average_precision = facts.metrics.get("average_precision");
    let promoted = model.promotion.as_ref();
    [
        facts.model_id.clone(),
        facts.detector.clone(),
        model.role.to_string(),
        or_dash(&facts.trained_to),
        or_dash(&facts.engine),
        average_precision.map_or("-".to_string(), |value| format!("{value:.4}")),
        promoted.map_or("-".to_string(), |promotion| promotion.at.clone()),
        promoted.map_or("-".to_string(), |promotion| promotion.by.clone()),
    ]
}

/// Prints columns as wide as their widest cell.
pub fn print_table<const COLUMNS: usize>(head: &[String; COLUMNS], lines: &[[String; COLUMNS]]) {
    let all = || std::iter::once(head).chain(lines);
    let width = |column: usize| all().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..COLUMNS).map(width).collect();
    for line in all() {
        let cells = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        println!("{}", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
}

/// Show how a model came to be, and who promoted it when and why
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: redflag model show gbdt-1a2b")]
pub struct Show {
    /// The id of a model in the registry or the beginning of one, or a model file
    model: String,
    #[command(flatten)]
    kept: Kept,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Show {
    /// Prints the model.
    pub fn run(&self) -> Result<()> {
        if Path::new(&self.model).is_file() {
            let facts = facts_of_file(&load_model(Path::new(&self.model))?);
            return self.tell(&facts, "file", &[]);
        }
        let registry = self.kept.open()?;
        let found = registry.resolve(&self.model, None).map_err(told)?;
        let mut history = registry.history(&found.facts.detector).map_err(told)?;
        history.retain(|promotion| concerns(promotion, &found.facts.model_id));
        self.tell(&found.facts, found.role, &history)
    }

    fn tell(&self, facts: &Facts, role: &str, history: &[Promotion]) -> Result<()> {
        if self.json {
            println!("{:#}", json!({ "role": role, "facts": facts, "history": history }));
            return Ok(());
        }
        println!("{:<20} {role}", "role");
        for (name, value) in lines_of(facts)? {
            println!("{name:<20} {value}");
        }
        history.iter().for_each(|promotion| println!("{:<20} {}", promotion.at, in_words(promotion)));
        Ok(())
    }
}

fn concerns(promotion: &Promotion, model: &str) -> bool {
    promotion.model == model || promotion.from.as_deref().is_some_and(|from| from == model)
}

fn in_words(promotion: &Promotion) -> String {
    let Promotion { number, by, reason, step, model, from, .. } = promotion;
    let step = step.name();
    let from = from.as_ref().filter(|_| matches!(promotion.step, Step::Champion | Step::Rollback));
    let from = from.map_or(String::new(), |from| format!(", from {from}"));
    format!("no. {number}: {model} {step}{from}, by {by}: {reason}")
}

/// Every fact that is known, by name; inner ones as `parameters.trees`.
///
/// # Errors
/// If they are no JSON.
pub fn lines_of(facts: &Facts) -> Result<Vec<(String, String)>> {
    let mut lines = Vec::new();
    flatten("", &serde_json::to_value(facts)?, &mut lines);
    Ok(lines)
}

fn flatten(name: &str, value: &serde_json::Value, lines: &mut Vec<(String, String)>) {
    use serde_json::Value;
    let inner = |key: &str| if name.is_empty() { key.to_string() } else { format!("{name}.{key}") };
    match value {
        Value::Object(members) => members.iter().for_each(|(key, value)| flatten(&inner(key), value, lines)),
        Value::Array(items) => {
            items
                .iter()
                .enumerate()
                .for_each(|(at, item)| flatten(&inner(&(at + 1).to_string()), item, lines));
        }
        Value::String(text) if text.is_empty() => {}
        Value::String(text) => lines.push((name.to_string(), text.clone())),
        other => lines.push((name.to_string(), other.to_string())),
    }
}

/// Who does something to a model's alias, and why.
#[derive(Debug, clap::Args)]
pub struct Signed {
    /// Why: it stands in the history
    #[arg(long, value_name = "TEXT", value_parser = words)]
    pub reason: String,
    /// Who [default: the user's login]
    #[arg(long, value_name = "NAME", value_parser = words)]
    by: Option<String>,
}

fn words(text: &str) -> Result<String, String> {
    if text.trim().is_empty() { Err("expected words".to_string()) } else { Ok(text.trim().to_string()) }
}

impl Signed {
    /// Who.
    ///
    /// # Errors
    /// If nobody is named, and the login is not known.
    pub fn by(&self) -> Result<String> {
        let login = || ["USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok());
        let named = self.by.clone().or_else(login).filter(|name| !name.is_empty());
        named.ok_or_else(|| WrongInput("your login is not known: name yourself with --by".to_string()).into())
    }
}

/// What a model is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum As {
    /// It decides
    Champion,
    /// It scores the same events in the shadow
    Challenger,
    /// It is a challenger no longer
    Retired,
}

impl From<As> for Step {
    fn from(wanted: As) -> Step {
        match wanted {
            As::Champion => Step::Champion,
            As::Challenger => Step::Challenger,
            As::Retired => Step::Retired,
        }
    }
}

/// Let a model of the registry decide, or score in the shadow
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Services that run with model = \"registry\" follow within seconds, without a restart. A model that was trained on other
features than the detector has is refused.

Examples:
  redflag model promote gbdt-1a2b --as challenger --reason \"trained on October\"
  redflag model promote gbdt-1a2b --reason \"finds a tenth more at the same precision\"")]
pub struct Promote {
    /// The id of a model in the registry or the beginning of one, or the file it was registered from
    model: String,
    /// What it is to do
    #[arg(long = "as", value_enum, value_name = "ROLE", default_value_t = As::Champion)]
    role: As,
    /// The detector's file, where it is not a shipped one
    #[arg(long, value_name = "DETECTOR")]
    detector: Option<String>,
    #[command(flatten)]
    signed: Signed,
    #[command(flatten)]
    kept: Kept,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

impl Promote {
    /// Changes the alias.
    pub fn run(&self) -> Result<()> {
        let registry = self.kept.open()?;
        let file =
            Path::new(&self.model).is_file().then(|| load_model(Path::new(&self.model))).transpose()?;
        let named = file.as_ref().map_or(&self.model, |file| &file.id);
        let found = registry.resolve(named, None).map_err(told)?.facts;
        let detector = detector_of(&found, self.detector.as_deref())?;
        let by = self.signed.by()?;
        let request = Request { by: &by, reason: &self.signed.reason };
        let made = registry.promote(&detector, &found.model_id, self.role.into(), request).map_err(told)?;
        tell(&made, self.json)
    }
}

/// The detector that a model is for, which must be known to see whether the model fits.
fn detector_of(facts: &Facts, named: Option<&str>) -> Result<Arc<Detector>> {
    let wanted = &facts.detector;
    let detector = load_detector(named.unwrap_or(wanted)).map_err(|error| match named {
        Some(_) => error,
        None => {
            WrongInput(format!("{} is for `{wanted}`: name its file with --detector", facts.model_id)).into()
        }
    })?;
    if detector.name != *wanted {
        let message = format!("--detector is `{}`: {} is for `{wanted}`", detector.name, facts.model_id);
        return Err(WrongInput(message).into());
    }
    Ok(detector)
}

fn tell(made: &Promotion, json: bool) -> Result<()> {
    if json {
        println!("{:#}", serde_json::to_value(made)?);
        return Ok(());
    }
    println!("{}", in_words(made));
    let aliases = &made.aliases;
    println!("champion             {}", aliases.champion.as_deref().unwrap_or("none"));
    aliases.challengers.iter().for_each(|model| println!("challenger           {model}"));
    Ok(())
}

/// Let the champion before decide again
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: redflag model rollback --detector card --reason \"declines twice as many\"")]
pub struct Rollback {
    /// A shipped detector by name, or a detector file
    #[arg(long, value_name = "DETECTOR")]
    detector: String,
    #[command(flatten)]
    signed: Signed,
    #[command(flatten)]
    kept: Kept,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

impl Rollback {
    /// Changes the alias.
    pub fn run(&self) -> Result<()> {
        let detector = load_detector(&self.detector)?;
        let by = self.signed.by()?;
        let request = Request { by: &by, reason: &self.signed.reason };
        let made = self.kept.open()?.rollback(&detector, request).map_err(told)?;
        tell(&made, self.json)
    }
}
