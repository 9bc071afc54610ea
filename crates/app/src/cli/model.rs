//! `redflag model`: look at model files, and score with them.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Subcommand;
use lab::artifact::ModelFile;
use lab::dataset::MatrixReader;

use super::output::load_model;

/// Look at model files, and score with them.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Print what a model is, what it was trained on, and what it looks at
    #[command(after_help = "Example: redflag model inspect card.model")]
    Inspect {
        /// Model file
        model: PathBuf,
        /// Print it as JSON
        #[arg(long)]
        json: bool,
    },
    /// Print the probability of each row of a feature matrix, one a line, in full precision
    #[command(after_help = "\
Columns are found by name where the header has the model's names, else taken by position. An empty cell is a missing
value (NaN).

Example: redflag model score --model card.model --in features.csv")]
    Score {
        /// Model file
        #[arg(long, value_name = "FILE")]
        model: PathBuf,
        /// Feature matrix as CSV
        #[arg(long = "in", value_name = "FILE")]
        input: PathBuf,
        /// Print the raw margin instead: log-odds for boosting
        #[arg(long)]
        raw: bool,
    },
    /// Print what each feature adds to the margin of each row
    Explain(super::explain::Args),
}

/// Runs the command.
///
/// # Errors
/// If the model or the matrix cannot be read.
pub fn run(args: Args) -> Result<()> {
    match args.what {
        What::Inspect { model, json } => inspect(&load_model(&model)?, json),
        What::Score { model, input, raw } => score(&load_model(&model)?, &input, raw),
        What::Explain(args) => super::explain::run(args),
    }
}

fn inspect(model: &ModelFile, json: bool) -> Result<()> {
    let forest = &model.forest;
    let mut importance: Vec<(&String, f64)> =
        forest.feature_names().iter().zip(forest.importance()).collect();
    importance.sort_by(|a, b| b.1.total_cmp(&a.1));
    if json {
        return inspect_json(model, &importance);
    }
    let stretch = format!("{} to {}", model.trained_from, model.trained_to);
    let parameters: Vec<String> =
        model.parameters.iter().map(|(name, value)| format!("{name} {value}")).collect();
    for (name, value) in [
        ("model", model.id.clone()),
        ("detector", format!("{}, features {}", model.detector, model.feature_fingerprint)),
        ("algorithm", format!("{} by {}", model.algorithm, model.engine)),
        ("parameters", parameters.join(", ")),
        ("trained on", format!("{stretch}: {} rows, {} frauds", model.rows, model.frauds)),
        ("trees", forest.tree_count().to_string()),
        ("nodes", forest.node_count().to_string()),
        ("depth", forest.max_depth().to_string()),
        ("review from", format!("score {:.6}", model.review_score_min)),
    ] {
        println!("{name:<12} {value}");
    }
    model.metrics.iter().for_each(|(name, value)| println!("{name:<12} {value}"));
    print_importance(&importance);
    Ok(())
}

fn inspect_json(model: &ModelFile, importance: &[(&String, f64)]) -> Result<()> {
    let mut found = serde_json::to_value(ModelFile { forest: model.forest.clone(), ..model.clone() })?;
    if let Some(entries) = found.as_object_mut() {
        entries.remove("forest");
    }
    found["trees"] = model.forest.tree_count().into();
    found["nodes"] = model.forest.node_count().into();
    found["depth"] = model.forest.max_depth().into();
    let entry = |(name, share): &(&String, f64)| serde_json::json!({ "feature": name, "share": share });
    found["importance"] = importance.iter().map(entry).collect();
    println!("{found}");
    Ok(())
}

/// Cells of the longest bar.
const BAR_CELLS: f64 = 40.0;

fn print_importance(importance: &[(&String, f64)]) {
    println!("\nshare of the gain of all splits");
    let widest = importance.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let largest = importance.first().map_or(0.0, |(_, share)| *share).max(f64::MIN_POSITIVE);
    for (name, share) in importance {
        let bar = "█".repeat((share / largest * BAR_CELLS).round() as usize);
        println!("{}", format!("{name:<widest$} {:>6.2} % {bar}", share * 100.0).trim_end());
    }
}

fn score(model: &ModelFile, input: &Path, raw: bool) -> Result<()> {
    let mut matrix = MatrixReader::open(input, model.forest.feature_names())?;
    let scorer = model.forest.scorer();
    let mut scratch = forest::Scratch::default();
    let mut values = Vec::new();
    let mut out = BufWriter::new(std::io::stdout().lock());
    while matrix.next_row(&mut values)? {
        let output =
            if raw { scorer.margin(&values, &mut scratch) } else { scorer.score(&values, &mut scratch) };
        writeln!(out, "{output}")?;
    }
    Ok(out.flush()?)
}
