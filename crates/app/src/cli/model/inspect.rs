use std::path::Path;

use anyhow::Result;
use engine::Calibration;
use forest::Forest;
use forest::read::{NativeModel, Options};
use lab::artifact::ModelFile;
use serde_json::{Value, json};

use super::{AnyModel, load, title};

/// Prints what a model is.
pub fn run(path: &Path, options: &Options, json: bool) -> Result<()> {
    let (model, bytes) = load(path, options)?;
    let forest = model.forest();
    let importance = Importance::of(forest);
    if json {
        let mut found = match &model {
            AnyModel::Ours(file) => ours_json(file)?,
            AnyModel::Native(native) => native_json(native),
        };
        add_forest_json(&mut found, forest, &importance, bytes);
        println!("{found}");
        return Ok(());
    }
    let about = match &model {
        AnyModel::Ours(file) => ours(file),
        AnyModel::Native(native) => native_words(native),
    };
    let size = [
        ("nodes", forest.node_count().to_string()),
        ("depth", forest.max_depth().to_string()),
        ("features", forest.feature_names().len().to_string()),
        ("file", format!("{bytes} bytes")),
        ("scored by", forest.scorer().describe()),
    ];
    for (name, value) in about.into_iter().chain(size) {
        println!("{name:<12} {value}");
    }
    if let AnyModel::Ours(file) = &model {
        file.metrics.iter().for_each(|(name, value)| println!("{name:<12} {value}"));
    }
    importance.print();
    Ok(())
}

fn ours(model: &ModelFile) -> Vec<(&'static str, String)> {
    let parameters: Vec<String> =
        model.parameters.iter().map(|(name, value)| format!("{name} {value}")).collect();
    let trained = if model.trained_to.is_empty() {
        "unknown".to_string()
    } else {
        let ModelFile { trained_from, trained_to, rows, frauds, .. } = model;
        format!("{trained_from} to {trained_to}: {rows} rows, {frauds} frauds")
    };
    vec![
        ("model", model.id.clone()),
        ("detector", format!("{}, features {}", model.detector, model.feature_fingerprint)),
        ("algorithm", format!("{} by {}", model.algorithm, model.engine)),
        ("parameters", parameters.join(", ")),
        ("trained on", trained),
        ("trees", model.forest.tree_count().to_string()),
        ("calibration", model.calibration.as_ref().map_or("none".to_string(), in_words)),
        ("review from", format!("score {:.6}", model.review_score_min)),
    ]
}

fn in_words(calibration: &Calibration) -> String {
    match calibration {
        Calibration::LogOdds { of_score, of_rest, intercept } => {
            format!("log odds: {of_score:.6} ln p - {of_rest:.6} ln(1 - p) {intercept:+.6}")
        }
        Calibration::Isotonic { scores, .. } => format!("isotonic, {} points", scores.len()),
    }
}

fn native_words(native: &NativeModel) -> Vec<(&'static str, String)> {
    let unknown = || "unknown".to_string();
    let (used, all) = (native.forest.tree_count(), native.trees_in_file);
    let trees = if used < all {
        format!("{used} of {all}: training was stopped early (--all-trees for all)")
    } else {
        used.to_string()
    };
    let kind = if native.forest.gives_probability() { "a probability" } else { "a number, no probability" };
    let names = if native.named { "the model's" } else { "none: columns count by position" };
    vec![
        (
            "library",
            format!("{}, version {}", title(native.library), native.version.clone().unwrap_or_else(unknown)),
        ),
        ("format", native.format.to_string()),
        ("objective", native.objective.clone().unwrap_or_else(unknown)),
        ("score", kind.to_string()),
        ("names", names.to_string()),
        ("trees", trees),
    ]
}

fn ours_json(model: &ModelFile) -> Result<Value> {
    let mut found = serde_json::to_value(model)?;
    if let Some(entries) = found.as_object_mut() {
        entries.remove("forest");
    }
    Ok(found)
}

fn native_json(native: &NativeModel) -> Value {
    json!({
        "library": native.library.to_string(),
        "format": native.format,
        "version": native.version,
        "objective": native.objective,
        "named": native.named,
        "trees_in_file": native.trees_in_file,
    })
}

fn add_forest_json(found: &mut Value, forest: &Forest, importance: &Importance, bytes: usize) {
    found["trees"] = forest.tree_count().into();
    found["nodes"] = forest.node_count().into();
    found["depth"] = forest.max_depth().into();
    found["features"] = forest.feature_names().len().into();
    found["gives_probability"] = forest.gives_probability().into();
    found["file_bytes"] = bytes.into();
    found["scored_by"] = forest.scorer().describe().into();
    let entry = |(name, share): &(&String, f64)| json!({ "feature": name, "share": share });
    found["importance"] = importance.shares.iter().map(entry).collect();
    found["importance_of"] = importance.of.into();
}

/// Features by what they bring, most first.
struct Importance<'a> {
    of: &'static str,
    shares: Vec<(&'a String, f64)>,
}

/// Cells of the longest bar.
const BAR_CELLS: f64 = 40.0;

impl Importance<'_> {
    /// Of the gain, or of the number of splits where the file does not say what they gained.
    fn of(forest: &Forest) -> Importance<'_> {
        let mut shares = forest.importance();
        let mut of = "gain";
        if shares.iter().all(|share| *share == 0.0) {
            let counts = forest.split_counts();
            let total = counts.iter().sum::<usize>().max(1) as f64;
            shares = counts.into_iter().map(|count| count as f64 / total).collect();
            of = "splits";
        }
        let mut shares: Vec<(&String, f64)> = forest.feature_names().iter().zip(shares).collect();
        shares.sort_by(|a, b| b.1.total_cmp(&a.1));
        Importance { of, shares }
    }

    fn print(&self) {
        let of = if self.of == "gain" { "the gain of all splits" } else { "all splits" };
        println!("\nshare of {of}");
        let widest = self.shares.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        let largest = self.shares.first().map_or(0.0, |(_, share)| *share).max(f64::MIN_POSITIVE);
        for (name, share) in &self.shares {
            let bar = "█".repeat((share / largest * BAR_CELLS).round() as usize);
            println!("{}", format!("{name:<widest$} {:>6.2} % {bar}", share * 100.0).trim_end());
        }
    }
}
