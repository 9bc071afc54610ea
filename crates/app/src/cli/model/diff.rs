use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use lab::artifact::ModelFile;
use lab::facts::Facts;
use serde_json::json;

use super::super::output::load_model;
use super::registry::{Kept, lines_of, print_table, told};
use crate::registry::facts_of_file;

/// Show what two models do not have in common
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Parameters, figures, features and fingerprints, side by side; what is the same is left out.

Examples:
  redflag model diff gbdt-1a2b gbdt-77
  redflag model diff gbdt-1a2b newer.model --json")]
pub struct Args {
    /// The id of a model in the registry or the beginning of one, or a model file
    a: String,
    /// Another
    b: String,
    #[command(flatten)]
    kept: Kept,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// One thing that differs: its name, and what each model has; nothing where it has none.
type Difference = (String, [Option<String>; 2]);

impl Args {
    /// Prints what differs.
    pub fn run(&self) -> Result<()> {
        let found = differences(&self.lines(&self.a)?, &self.lines(&self.b)?);
        if self.json {
            let entry = |(name, [a, b]): &Difference| json!({ "name": name, "a": a, "b": b });
            println!("{:#}", json!({ "differences": found.iter().map(entry).collect::<Vec<_>>() }));
        } else if found.is_empty() {
            println!("nothing differs");
        } else {
            let cell = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_string());
            let lines: Vec<_> = found.iter().map(|(name, [a, b])| [name.clone(), cell(a), cell(b)]).collect();
            print_table(&[String::new(), self.a.clone(), self.b.clone()], &lines);
        }
        Ok(())
    }

    fn lines(&self, named: &str) -> Result<BTreeMap<String, String>> {
        let (facts, model) = self.find(named)?;
        let mut lines: BTreeMap<String, String> = lines_of(&facts)?.into_iter().collect();
        lines.insert("trees".to_string(), model.forest.tree_count().to_string());
        lines.insert("review_score_min".to_string(), model.review_score_min.to_string());
        let importance = model.forest.importance();
        for (name, share) in model.forest.feature_names().iter().zip(importance) {
            lines.insert(format!("features.{name}"), format!("{:.2} % of the gain", share * 100.0));
        }
        Ok(lines)
    }

    fn find(&self, named: &str) -> Result<(Facts, ModelFile)> {
        if Path::new(named).is_file() {
            let model = load_model(Path::new(named))?;
            return Ok((facts_of_file(&model), model));
        }
        let registry = self.kept.open()?;
        let facts = registry.resolve(named, None).map_err(told)?.facts;
        let model = registry.model(&facts.detector, &facts.model_id).map_err(told)?;
        Ok((facts, model))
    }
}

fn differences(a: &BTreeMap<String, String>, b: &BTreeMap<String, String>) -> Vec<Difference> {
    let mut names: Vec<&String> = a.keys().chain(b.keys()).collect();
    names.sort();
    names.dedup();
    let both = |name: &String| (name.clone(), [a.get(name).cloned(), b.get(name).cloned()]);
    names.into_iter().map(both).filter(|(_, [a, b])| a != b).collect()
}
