//! `redflag decision`: what is stored of a decision, and whether it can be had again.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Result, bail};
use clap::Subcommand;
use engine::{Detector, Model};
use lab::artifact::ModelFile;
use serde_json::json;
use store::StoredDecision;

use super::WrongInput;
use super::output::load_detector;
use super::store::Kept;
use crate::objects::is_url;
use crate::registry::{Registry, RegistryError};
use crate::service::past::Past;
use crate::service::reasons;
use crate::service::recovery::Recovery;
use crate::service::wire::{Decision, Reason};

/// Look at stored decisions.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Show all that is stored of one decision
    #[command(after_help = "Example: redflag decision show 1756002 --data-dir redflag-data --replay")]
    Show {
        /// The transaction's id
        id: String,
        #[command(flatten)]
        kept: Kept,
        /// Recompute it from the log and compare bit for bit
        #[arg(long)]
        replay: bool,
        /// Say what speaks for fraud, whatever the score
        #[arg(long)]
        explain: bool,
        /// The detector it was made with; found in the data folder where the demo made it
        #[arg(long)]
        detector: Option<String>,
        /// The model it was made with; found in the registry, or in the data folder where the demo made it
        #[arg(long)]
        model: Option<PathBuf>,
        /// The registry, where it is not the folder `models` in the data folder
        #[arg(long, value_name = "FOLDER|URL", env = "REDFLAG_REGISTRY")]
        registry: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// Runs the command.
///
/// # Errors
/// If there is no such decision, or it comes out otherwise when recomputed.
pub fn run(args: Args) -> Result<()> {
    let What::Show { id, kept, replay, explain, detector, model, registry, json } = args.what;
    let data_dir = &kept.data_dir;
    let recovery = Recovery::new(data_dir);
    let mut store = kept.open_reader()?;
    let Some(stored) = store.find(&id)? else {
        return Err(WrongInput(format!("id is {id:?}: expected the id of a stored transaction")).into());
    };
    let detector = load_detector(detector.as_deref().unwrap_or(&stored.versions.detector))?;
    let mut decision = Decision::of(&stored, detector.schema.minor_per_unit());
    let mut verdict = None;
    if replay || explain {
        let registry = registry.unwrap_or_else(|| data_dir.join("models").display().to_string());
        let detector = kept_rules(&stored, &detector, &registry)?;
        let model = find_model(&stored, model.as_deref(), data_dir, &registry)?;
        let model = model_of(&stored, &detector, model)?;
        if explain {
            decision.summary.reasons =
                reasons::explain(&stored, &detector, model.as_ref()).map_err(WrongInput)?;
        }
        if replay {
            verdict = Some(Past::of(&stored, &recovery, &mut *store, &detector, model)?.differences);
        }
    }
    show(&stored, &decision, &detector, verdict.as_ref(), json)?;
    match verdict {
        Some(differences) if !differences.is_empty() => {
            bail!("the decision comes out otherwise when recomputed")
        }
        _ => Ok(()),
    }
}

/// The detector with the rules that a decision was made by, if the registry has them; else as its file is.
fn kept_rules(stored: &StoredDecision, detector: &Arc<Detector>, registry: &str) -> Result<Arc<Detector>> {
    if !is_url(registry) && !Path::new(registry).is_dir() {
        return Ok(Arc::clone(detector));
    }
    let found = Registry::open(registry)?.detector_behind(detector, &stored.versions.rules_fingerprint)?;
    Ok(found.map_or_else(|| Arc::clone(detector), Arc::new))
}

/// The file of the model that a decision was made with: the one that is named, else the registry's, else the demo's.
fn find_model(
    stored: &StoredDecision,
    named: Option<&Path>,
    data_dir: &Path,
    registry: &str,
) -> Result<Option<ModelFile>> {
    if let Some(path) = named {
        return ModelFile::load(path).map(Some);
    }
    if let Some(kept) = kept_model(stored, registry)? {
        return Ok(Some(kept));
    }
    let made_by_demo = data_dir.join("model.json");
    made_by_demo.exists().then(|| ModelFile::load(&made_by_demo)).transpose()
}

/// The model that a decision was made with, if the registry has it.
fn kept_model(stored: &StoredDecision, registry: &str) -> Result<Option<ModelFile>> {
    let Some(id) = &stored.versions.model else { return Ok(None) };
    if !is_url(registry) && !Path::new(registry).is_dir() {
        return Ok(None);
    }
    match Registry::open(registry)?.model(&stored.versions.detector, id) {
        Ok(file) => Ok(Some(file)),
        Err(RegistryError::Unknown(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The model that a decision was made with, bound to the detector.
fn model_of(
    stored: &StoredDecision,
    detector: &Arc<Detector>,
    model: Option<ModelFile>,
) -> Result<Option<Model>> {
    if detector.feature_fingerprint != stored.versions.feature_fingerprint {
        let made = &stored.versions.feature_fingerprint;
        bail!("it was made with the feature list {made}; name that detector with --detector");
    }
    match (&stored.versions.model, model) {
        (None, _) => Ok(None),
        (Some(id), None) => {
            bail!("it was made with the model {id}, which is not in the registry; name its file with --model")
        }
        (Some(id), Some(file)) if file.id != *id => {
            bail!("it was made with the model {id}, the one found is {}", file.id)
        }
        (Some(_), Some(file)) => Ok(Some(file.bind(detector)?)),
    }
}

/// A reason in a line.
fn told(reason: &Reason) -> String {
    format!("{} ({:+.3} by {})", reason.text, reason.contribution, reason.feature)
}

fn show(
    stored: &StoredDecision,
    decision: &Decision,
    detector: &Detector,
    verdict: Option<&Vec<String>>,
    json: bool,
) -> Result<()> {
    if json {
        let mut document = serde_json::to_value(decision)?;
        if let Some(differences) = verdict {
            document["replay"] = json!({ "identical": differences.is_empty(), "differences": differences });
        }
        println!("{document:#}");
        return Ok(());
    }
    let summary = &decision.summary;
    let score = summary.score.map_or("no model".to_string(), |score| format!("{score:?}"));
    println!("transaction  {} (position {})", summary.id, summary.sequence);
    println!("outcome      {}, score {score}", stored.outcome.name());
    println!(
        "rules        {}",
        if stored.rules.is_empty() { "none fired".into() } else { stored.rules.join(", ") }
    );
    summary.reasons.iter().for_each(|reason| println!("reason       {}", told(reason)));
    println!("event time   {}", engine::time::format_instant(stored.event_time_us));
    println!(
        "decided at   {} in {} us",
        engine::time::format_instant(stored.decided_at_us),
        stored.latency_us
    );
    let model = stored.versions.model.as_deref().unwrap_or("none");
    println!(
        "versions     detector {} {}, model {model}",
        detector.name, stored.versions.feature_fingerprint
    );
    println!("event        {}", stored.event);
    let width = decision.features.iter().map(|feature| feature.name.len()).max().unwrap_or(0);
    for feature in &decision.features {
        let value = feature.value.map_or("missing".to_string(), |value| value.to_string());
        println!("  {:<width$}  {value}", feature.name);
    }
    match verdict {
        Some(differences) if differences.is_empty() => println!("replay       identical, bit for bit"),
        Some(differences) => differences.iter().for_each(|difference| println!("replay       {difference}")),
        None => {}
    }
    Ok(())
}
