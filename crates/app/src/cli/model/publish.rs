use std::path::{Path, PathBuf};

use anyhow::Result;
use engine::time::format_instant;
use lab::artifact::ModelFile;
use lab::facts::Facts;

use super::super::WrongInput;
use super::super::mlflow::Destination;
use super::super::output::{bind_model, detector_text, load_detector, load_model};
use crate::mlflow::{Publication, Published};
use crate::service::pipeline::now_us;

/// Log a model to MLflow and register it there
#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("server").arg("mlflow").required(true)))]
#[command(after_help = "\
Examples:
  redflag model publish --model card.model --mlflow http://127.0.0.1:5000
  redflag model publish --model card.model --mlflow http://127.0.0.1:5000 --alias champion \\
    --attach report.html")]
pub struct Args {
    /// Model file of ours (`model import` makes one of another library's)
    #[arg(long, value_name = "FILE")]
    model: PathBuf,
    /// Detector that it is for: a shipped one by name, or a file [default: the shipped one that the model names]
    #[arg(long, value_name = "DETECTOR")]
    detector: Option<String>,
    /// How the model came to be, as JSON [default: what the model file says]
    #[arg(long, value_name = "FILE")]
    facts: Option<PathBuf>,
    /// A further file for the run, as a report or a picture; may be repeated
    #[arg(long, value_name = "FILE")]
    attach: Vec<PathBuf>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    destination: Destination,
}

/// Logs the model.
pub fn run(args: &Args) -> Result<()> {
    let tracking = args.destination.open()?;
    let model = load_model(&args.model)?;
    let name = args.detector.as_deref().unwrap_or(&model.detector);
    let detector = load_detector(name)?;
    bind_model(&model, &detector)?;
    let facts = match &args.facts {
        Some(path) => load_facts(path, &model)?,
        None => Facts { made_at: format_instant(now_us()), ..Facts::of_file(&model) },
    };
    let attachments: Vec<(String, Vec<u8>)> =
        args.attach.iter().map(|path| attachment(path)).collect::<Result<_>>()?;
    let file = detector_text(name)?;
    let publication =
        Publication { model: &model, facts: &facts, detector: &file, attachments: &attachments };
    tell(&tracking.publish(&publication)?, args.json)
}

fn load_facts(path: &Path, model: &ModelFile) -> Result<Facts> {
    let facts: Facts = serde_json::from_slice(&read(path)?)
        .map_err(|error| WrongInput(format!("{} holds no facts of a model: {error}", path.display())))?;
    if facts.model_id != model.id {
        let (path, other, own) = (path.display(), &facts.model_id, &model.id);
        return Err(WrongInput(format!("{path} is about the model {other}, expected {own}")).into());
    }
    Ok(facts)
}

fn attachment(path: &Path) -> Result<(String, Vec<u8>)> {
    let name = path.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| WrongInput(format!("--attach: {} has no name", path.display())))?;
    Ok((name.to_string(), read(path)?))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| WrongInput(format!("cannot read {}: {error}", path.display())).into())
}

fn tell(published: &Published, json: bool) -> Result<()> {
    if json {
        println!("{}", serde_json::to_string(published)?);
    } else {
        println!("{published}");
    }
    Ok(())
}
