//! `redflag model`: take in other libraries' models, look at models, score with them, and say which decides.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Subcommand;
use engine::Calibration;
use forest::Forest;
use forest::read::{Library, NativeModel, Options, read_with};
use lab::artifact::ModelFile;
use lab::dataset::MatrixReader;

use super::WrongInput;

/// What each feature adds to a row's margin.
mod explain;
/// A model for a detector, from another library's file.
mod import;
/// What a model is, printed.
mod inspect;
/// What two models do not have in common.
mod diff;
/// What is kept, and which of it decides.
pub mod registry;
/// A model told to MLflow.
mod publish;

/// Take in other libraries' models, look at models, score with them, and say which decides.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Make a model for a detector from a file of XGBoost, LightGBM, CatBoost or scikit-learn (ONNX)
    Import(import::Args),
    /// Print what a model is, what it was trained on, and what it looks at
    #[command(after_help = "Examples:
  redflag model inspect card.model
  redflag model inspect xgboost.ubj --json")]
    Inspect {
        /// Model file, ours or another library's
        model: PathBuf,
        /// Count the trees after the best iteration too, where training was stopped early
        #[arg(long)]
        all_trees: bool,
        /// Print it as JSON
        #[arg(long)]
        json: bool,
    },
    /// Print the score of each row of a feature matrix, one a line, in full precision
    #[command(after_help = "\
Reads our model files and those of XGBoost (JSON, UBJSON), LightGBM (text), CatBoost (JSON) and scikit-learn (ONNX). Columns
are found by name where the header has the model's names, else taken by position. An empty cell is a missing
value (NaN).

Examples:
  redflag model score --model card.model --in features.csv
  redflag model score --model lightgbm.txt --in features.csv --raw")]
    Score {
        /// Model file, ours or another library's
        #[arg(long, value_name = "FILE")]
        model: PathBuf,
        /// Feature matrix as CSV
        #[arg(long = "in", value_name = "FILE")]
        input: PathBuf,
        /// Print the raw margin instead, as the library itself gives it: log-odds for boosting
        #[arg(long)]
        raw: bool,
        /// Use the trees after the best iteration too, where training was stopped early
        #[arg(long)]
        all_trees: bool,
    },
    /// Print what each feature adds to the margin of each row
    Explain(explain::Args),
    /// Keep a model in the registry, with how it came to be
    Register(registry::Register),
    /// List the models of the registry and what they do
    List(registry::List),
    /// Show how a model came to be, and who promoted it when and why
    Show(registry::Show),
    /// Let a model of the registry decide, or score in the shadow
    Promote(registry::Promote),
    /// Let the champion before decide again
    Rollback(registry::Rollback),
    /// Show what two models do not have in common
    Diff(diff::Args),
    /// Log a model to MLflow and register it there
    Publish(Box<publish::Args>),
}

/// Runs the command.
///
/// # Errors
/// If a model, matrix or detector cannot be read, or they do not match.
pub fn run(args: Args) -> Result<()> {
    match args.what {
        What::Import(args) => import::run(&args),
        What::Inspect { model, all_trees, json } => inspect::run(&model, &Options { all_trees }, json),
        What::Score { model, input, raw, all_trees } => score(&model, &Options { all_trees }, &input, raw),
        What::Explain(args) => explain::run(args),
        What::Register(args) => args.run(),
        What::List(args) => args.run(),
        What::Show(args) => args.run(),
        What::Promote(args) => args.run(),
        What::Rollback(args) => args.run(),
        What::Diff(args) => args.run(),
        What::Publish(args) => publish::run(&args),
    }
}

/// A model from whichever kind of file.
enum AnyModel {
    Ours(Box<ModelFile>),
    Native(Box<NativeModel>),
}

impl AnyModel {
    fn forest(&self) -> &Forest {
        match self {
            AnyModel::Ours(file) => &file.forest,
            AnyModel::Native(native) => &native.forest,
        }
    }

    /// From the forest's scores to probabilities, if the file has it.
    fn calibration(&self) -> Option<&Calibration> {
        match self {
            AnyModel::Ours(file) => file.calibration.as_ref(),
            AnyModel::Native(_) => None,
        }
    }

    /// What a header may call the columns. Names that were made up match none, so columns count by position.
    fn column_names(&self) -> Vec<String> {
        match self {
            AnyModel::Native(native) if !native.named => {
                (1..=native.forest.feature_names().len()).map(|at| format!("column {at}")).collect()
            }
            _ => self.forest().feature_names().to_vec(),
        }
    }
}

/// Reads a model file, and says how long it is.
fn load(path: &Path, options: &Options) -> Result<(AnyModel, usize)> {
    let wrong =
        |error: &dyn std::fmt::Display| WrongInput(format!("cannot read model {}: {error}", path.display()));
    let bytes = std::fs::read(path).map_err(|error| wrong(&error))?;
    if ModelFile::is_like(&bytes) {
        return Ok((AnyModel::Ours(Box::new(super::output::load_model(path)?)), bytes.len()));
    }
    let native = read_with(&bytes, options).map_err(|error| wrong(&error))?;
    Ok((AnyModel::Native(Box::new(native)), bytes.len()))
}

/// Says on the standard error that not all trees count.
fn tell_of_early_stop(native: &NativeModel) {
    let (used, all) = (native.forest.tree_count(), native.trees_in_file);
    if used < all {
        eprintln!("note: training was stopped early: {used} of {all} trees are used (--all-trees for all)");
    }
}

/// How a library is spelt.
fn title(library: Library) -> &'static str {
    match library {
        Library::Redflag => "redflag",
        Library::XgBoost => "XGBoost",
        Library::LightGbm => "LightGBM",
        Library::CatBoost => "CatBoost",
        Library::Onnx => "ONNX",
    }
}

fn score(model: &Path, options: &Options, input: &Path, raw: bool) -> Result<()> {
    let (model, _) = load(model, options)?;
    if let AnyModel::Native(native) = &model {
        tell_of_early_stop(native);
    }
    let mut matrix = MatrixReader::open(input, &model.column_names())?;
    let scorer = model.forest().scorer();
    let calibration = model.calibration();
    let mut scratch = forest::Scratch::default();
    let mut values = Vec::new();
    let mut out = BufWriter::new(std::io::stdout().lock());
    while matrix.next_row(&mut values)? {
        let output = if raw {
            scorer.margin(&values, &mut scratch)
        } else {
            let score = scorer.score(&values, &mut scratch);
            calibration.map_or(score, |calibration| calibration.probability(score))
        };
        writeln!(out, "{output}")?;
    }
    Ok(out.flush()?)
}
