//! `redflag model explain`: what each feature adds to the margin of each row.

use std::io::{BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use forest::Forest;
use forest::explain::{Explainer, Scratch};
use forest::read::Options;
use lab::dataset::MatrixReader;
use serde_json::json;

use super::super::WrongInput;
use super::{AnyModel, load, tell_of_early_stop};

/// Print what each feature adds to the margin of each row.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Contributions are Shapley values in the unit of the margin (log-odds for boosting): a row of them and the expected margin
add up to the row's margin. Without a background a feature that is not known sends a row both ways, in the shares of the
training data that went there (path-dependent); with one its value is that of each background row (interventional).

Columns of the input are found by name where the header has the model's names, else taken by position. An empty cell is a
missing value (NaN). The output is CSV: the expected margin, then a contribution for each feature.

Example: redflag model explain --model card.model --in features.csv > contributions.csv")]
pub struct Args {
    /// Model file, ours or another library's
    #[arg(long, value_name = "FILE")]
    model: PathBuf,
    /// Feature matrix as CSV
    #[arg(long = "in", value_name = "FILE")]
    input: PathBuf,
    /// Rows to compare with, as CSV: a hundred are a good start
    #[arg(long, value_name = "FILE")]
    background: Option<PathBuf>,
    /// Print a JSON object for each row instead
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
/// If the model or a matrix cannot be read, or the model cannot be explained.
pub fn run(args: Args) -> Result<()> {
    let (model, _) = load(&args.model, &Options::default())?;
    if let AnyModel::Native(native) = &model {
        tell_of_early_stop(native);
    }
    let (forest, columns) = (model.forest(), model.column_names());
    let explainer = compile(forest, &columns, args.background.as_deref())?;
    let mut out = BufWriter::new(std::io::stdout().lock());
    let names = forest.feature_names();
    if !args.json {
        writeln!(out, "expected,{}", names.iter().map(|name| csv_cell(name)).collect::<Vec<_>>().join(","))?;
    }
    let mut summary = Summary::new(names.len());
    let mut contributions = vec![0.0; names.len()];
    let mut scratch = Scratch::default();
    each_row(&args.input, &columns, |row| {
        explainer.explain(row, &mut scratch, &mut contributions);
        summary.add(&contributions);
        let write = if args.json { write_json } else { write_csv };
        write(&mut out, names, explainer.expected(), &contributions)
    })?;
    out.flush()?;
    if std::io::stderr().is_terminal() {
        summary.print(names);
    }
    Ok(())
}

fn compile(forest: &Forest, columns: &[String], background: Option<&Path>) -> Result<Explainer> {
    let Some(path) = background else {
        return Explainer::path_dependent(forest).map_err(|refused| {
            WrongInput(format!("--model: {refused}; --background names a file of such rows")).into()
        });
    };
    let mut rows = Vec::new();
    each_row(path, columns, |row| {
        rows.extend_from_slice(row);
        Ok(())
    })?;
    Explainer::interventional(forest, &rows)
        .map_err(|refused| WrongInput(format!("--background: {refused}")).into())
}

fn each_row(path: &Path, columns: &[String], mut work: impl FnMut(&[f64]) -> Result<()>) -> Result<()> {
    let mut matrix = MatrixReader::open(path, columns)?;
    let mut row = Vec::new();
    while matrix.next_row(&mut row)? {
        work(&row).with_context(|| format!("explaining {}", path.display()))?;
    }
    Ok(())
}

fn write_csv(out: &mut dyn Write, _: &[String], expected: f64, contributions: &[f64]) -> Result<()> {
    write!(out, "{expected}")?;
    for contribution in contributions {
        write!(out, ",{contribution}")?;
    }
    Ok(writeln!(out)?)
}

/// Features in the order of the model.
fn write_json(out: &mut dyn Write, names: &[String], expected: f64, contributions: &[f64]) -> Result<()> {
    let named: Vec<String> =
        names.iter().zip(contributions).map(|(name, x)| format!("{}:{}", json!(name), json!(x))).collect();
    let (named, margin) = (named.join(","), expected + contributions.iter().sum::<f64>());
    writeln!(
        out,
        r#"{{"expected":{},"contributions":{{{named}}},"margin":{}}}"#,
        json!(expected),
        json!(margin)
    )?;
    Ok(())
}

/// A name with a comma, quote or line break stands in quotes (RFC 4180).
fn csv_cell(name: &str) -> String {
    if name.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", name.replace('"', "\"\""))
    } else {
        name.to_string()
    }
}

/// How much each feature adds to or takes from margins, on the whole.
struct Summary {
    rows: usize,
    sums: Vec<f64>,
}

impl Summary {
    fn new(features: usize) -> Summary {
        Summary { rows: 0, sums: vec![0.0; features] }
    }

    fn add(&mut self, contributions: &[f64]) {
        self.rows += 1;
        self.sums.iter_mut().zip(contributions).for_each(|(sum, x)| *sum += x.abs());
    }

    /// On the terminal, beside the output.
    fn print(&self, names: &[String]) {
        let mut means: Vec<(&String, f64)> =
            names.iter().zip(self.sums.iter().map(|sum| sum / self.rows.max(1) as f64)).collect();
        means.sort_by(|a, b| b.1.total_cmp(&a.1));
        let widest = names.iter().map(|name| name.len()).max().unwrap_or(0);
        eprintln!("\nmean size of the contributions of {} rows", self.rows);
        for (name, mean) in means {
            eprintln!("{name:<widest$}  {mean:.6}");
        }
    }
}
