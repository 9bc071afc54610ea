use std::fmt;
use std::path::PathBuf;

use anyhow::Result;
use engine::Detector;
use engine::time::format_instant;
use forest::read::{NativeModel, Options};
use lab::artifact::ModelFile;

use super::super::WrongInput;
use super::super::output::{instant, load_detector, tell};
use super::{AnyModel, load, tell_of_early_stop};

/// Make a model for a detector from a file of XGBoost, LightGBM, CatBoost or scikit-learn (ONNX)
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The model's features must be the detector's: by name, in any order, or as many and in the detector's order where the
model has no names. Its score must be a probability.

Example: redflag model import xgboost.ubj --detector card --out card.model")]
pub struct Args {
    /// XGBoost's JSON or UBJSON, LightGBM's text, CatBoost's JSON, or ONNX
    file: PathBuf,
    /// A shipped detector by name, or a detector file
    #[arg(long, value_name = "DETECTOR")]
    detector: String,
    /// Model file to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Use the trees after the best iteration too, where training was stopped early
    #[arg(long)]
    all_trees: bool,
    /// First instant of the data that it was trained on, if known
    #[arg(long, value_name = "TIME", value_parser = instant, requires = "trained_to")]
    trained_from: Option<i64>,
    /// First instant after the data that it was trained on, if known: then `evaluate` warns of a leak
    #[arg(long, value_name = "TIME", value_parser = instant, requires = "trained_from")]
    trained_to: Option<i64>,
    /// The least score that is sent to review
    #[arg(long, value_name = "SCORE", default_value_t = 0.0)]
    review_score_min: f64,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// Makes the model file.
pub fn run(args: &Args) -> Result<()> {
    let detector = load_detector(&args.detector)?;
    let AnyModel::Native(mut native) = load(&args.file, &Options { all_trees: args.all_trees })?.0 else {
        let message = format!("{} is a redflag model already", args.file.display());
        return Err(WrongInput(message).into());
    };
    tell_of_early_stop(&native);
    if !native.forest.gives_probability() {
        return Err(WrongInput(no_probability(&native)).into());
    }
    if !(0.0..=1.0).contains(&args.review_score_min) {
        return Err(WrongInput("--review-score-min: expected 0 to 1".to_string()).into());
    }
    let matching = match_features(&native, &detector).map_err(WrongInput)?;
    let names = detector.feature_names();
    let arranged = native.forest.clone().arranged(names.clone(), &matching.from);
    native.forest =
        arranged.ok_or_else(|| WrongInput("the model's features cannot be told apart".to_string()))?;
    let written = |time: Option<i64>| time.map_or(String::new(), format_instant);
    let stretch = (written(args.trained_from), written(args.trained_to));
    let model = ModelFile::imported(*native, &detector, stretch, args.review_score_min);
    model.save(&args.out)?;
    tell(
        &Imported { model, by_position: matching.by_position, reordered: matching.reordered() },
        args.json,
        &args.out,
    )
}

fn no_probability(native: &NativeModel) -> String {
    let objective = native.objective.as_deref().unwrap_or("unknown");
    format!("the model gives no probability: its objective is {objective}. Train it on a binary objective")
}

/// For each feature of the detector its place among the model's.
struct Matching {
    from: Vec<usize>,
    by_position: bool,
}

impl Matching {
    fn reordered(&self) -> bool {
        !self.from.iter().copied().eq(0..self.from.len())
    }
}

fn match_features(native: &NativeModel, detector: &Detector) -> Result<Matching, String> {
    let (theirs, ours) = (native.forest.feature_names(), detector.feature_names());
    if !native.named {
        return if theirs.len() == ours.len() {
            Ok(Matching { from: (0..ours.len()).collect(), by_position: true })
        } else {
            let (theirs, name, ours) = (theirs.len(), &detector.name, ours.len());
            Err(format!("the model has {theirs} features without names, the detector {name} has {ours}"))
        };
    }
    let from: Vec<Option<usize>> = ours.iter().map(|name| place(theirs, name)).collect();
    let all: Option<Vec<usize>> = from.iter().copied().collect();
    match all {
        Some(from) if theirs.len() == ours.len() => Ok(Matching { from, by_position: false }),
        _ => Err(table(theirs, &ours, &from, &detector.name)),
    }
}

/// Where a name is in a list: as it is, else as libraries rewrite names (LightGBM makes blanks and signs into `_`).
fn place(list: &[String], name: &str) -> Option<usize> {
    let alike = |other: &&String| plain(other) == plain(name);
    let exact = list.iter().position(|other| other == name);
    let only = list.iter().filter(alike).count() == 1;
    exact.or_else(|| list.iter().position(|other| only && alike(&other)))
}

fn plain(name: &str) -> String {
    name.chars().map(|letter| if letter.is_alphanumeric() { letter } else { '_' }).collect()
}

/// Both lists side by side, and what is in one only.
fn table(theirs: &[String], ours: &[String], from: &[Option<usize>], detector: &str) -> String {
    let widest = ours.iter().chain(theirs).map(|name| name.chars().count()).max().unwrap_or(0).max(8);
    let mut lines = vec![
        format!("the model's features are not those of the detector {detector}"),
        format!("  {:<widest$}  {:<widest$}", "detector", "model"),
    ];
    for (name, from) in ours.iter().zip(from) {
        match from {
            Some(from) => lines.push(format!("  {name:<widest$}  {:<widest$}", theirs[*from])),
            None => lines.push(format!("  {name:<widest$}  {:<widest$}  missing", "-")),
        }
    }
    for (at, name) in theirs.iter().enumerate() {
        if !from.contains(&Some(at)) {
            lines.push(format!("  {:<widest$}  {name:<widest$}  unknown", "-"));
        }
    }
    lines.join("\n")
}

/// What was made.
struct Imported {
    model: ModelFile,
    by_position: bool,
    reordered: bool,
}

impl fmt::Display for Imported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Imported { model, .. } = self;
        let ModelFile { id, engine, detector, forest, .. } = model;
        let (trees, features) = (forest.tree_count(), forest.feature_names().len());
        write!(f, "{id}: {trees} trees of {engine} on the {features} features of {detector}")?;
        if self.by_position {
            write!(f, ", taken in the detector's order since the model has no names")?;
        }
        if self.reordered {
            write!(f, ", put into the detector's order")?;
        }
        Ok(())
    }
}

impl serde::Serialize for Imported {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let ModelFile { id, engine, detector, forest, review_score_min, .. } = &self.model;
        serde_json::json!({
            "model": id,
            "engine": engine,
            "detector": detector,
            "trees": forest.tree_count(),
            "nodes": forest.node_count(),
            "features": forest.feature_names().len(),
            "by_position": self.by_position,
            "reordered": self.reordered,
            "review_score_min": review_score_min,
        })
        .serialize(serializer)
    }
}
