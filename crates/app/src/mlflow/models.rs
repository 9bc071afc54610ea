use anyhow::Result;
use serde_json::json;

use super::Alias;
use super::server::{ABSENT, Client, PRESENT};
use super::tracking::{Run, below_root, tag_list, text};

/// Name under which a run shows its model.
const NAME: &str = "model";

/// A model of a run, whose files are being stored.
pub struct Logged<'a> {
    run: &'a Run<'a>,
    id: String,
    /// Address of its files.
    files: String,
}

impl<'a> Logged<'a> {
    /// Announces a model as what the run brings forth.
    pub fn start(run: &'a Run) -> Result<Logged<'a>> {
        let body = json!({
            "experiment_id": run.experiment(),
            "name": NAME,
            "model_type": "redflag",
            "source_run_id": run.id(),
        });
        let made = run.client().post("create a logged model, as MLflow 3 does", "logged-models", &body)?;
        let id = text(&made, "/model/info/model_id")?;
        let outputs = json!({"run_id": run.id(), "models": [{"model_id": id, "step": 0}]});
        run.client().post("tie the model to its run", "runs/outputs", &outputs)?;
        Ok(Logged { run, id, files: text(&made, "/model/info/artifact_uri")? })
    }

    pub fn id(&self) -> &str {
        &self.id
    }

    pub fn upload(&self, name: &str, bytes: Vec<u8>) -> Result<()> {
        Ok(self.run.client().upload(&format!("{}/{name}", below_root(&self.files)?), bytes)?)
    }

    /// Says that all files are there.
    pub fn finish(&self) -> Result<()> {
        let body = json!({"model_id": self.id, "status": "LOGGED_MODEL_READY"});
        self.run.client().patch("finish the logged model", &format!("logged-models/{}", self.id), &body)?;
        Ok(())
    }

    /// Makes the model a version of the registered one by this name, which is made if there is none.
    pub fn register(&self, name: &str, tags: &[(&'static str, String)]) -> Result<String> {
        let client = self.run.client();
        match client.post("register the model", "registered-models/create", &json!({"name": name})) {
            Err(error) if error.code != PRESENT => return Err(error.into()),
            _ => {}
        }
        let body = json!({
            "name": name,
            "source": format!("models:/{}", self.id),
            "model_id": self.id,
            "run_id": self.run.id(),
            "tags": tag_list(tags),
        });
        let made = client.post("create a version of the model", "model-versions/create", &body)?;
        text(&made, "/model_version/version")
    }
}

/// Gives a version the alias that is wanted; without one it becomes the champion if there is none, else a challenger.
pub fn give_alias(client: &Client, name: &str, version: &str, wanted: Option<Alias>) -> Result<Alias> {
    let alias = match wanted {
        Some(alias) => alias,
        None if has_champion(client, name)? => Alias::Challenger,
        None => Alias::Champion,
    };
    let body = json!({"name": name, "alias": alias.name(), "version": version});
    client.post("give the version an alias", "registered-models/alias", &body)?;
    Ok(alias)
}

/// Whether a version decides.
fn has_champion(client: &Client, name: &str) -> Result<bool> {
    let query = [("name", name), ("alias", Alias::Champion.name())];
    match client.get("find the champion", "registered-models/alias", &query) {
        Ok(_) => Ok(true),
        // A name that no version goes by is an invalid parameter to MLflow.
        Err(error) if [ABSENT, "INVALID_PARAMETER_VALUE"].contains(&error.code.as_str()) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
