use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use lab::facts::Facts;
use serde_json::{Value, json};

use super::server::{ABSENT, CallError, Client, PRESENT};

/// Most metrics in a call.
const METRICS_PER_CALL: usize = 1_000;

/// Parameters in a call. The server takes a hundred, and no more than a million bytes: so many fit at their longest.
const PARAMETERS_PER_CALL: usize = 25;

/// Most characters of a parameter's value.
const VALUE_CHARS: usize = 6_000;

/// Most characters of a tag's value.
const TAG_CHARS: usize = 5_000;

/// Most characters of the name of data.
const DATA_NAME_CHARS: usize = 500;

/// Most characters of any other name.
const NAME_CHARS: usize = 250;

/// Id of the experiment by this name, which is made if there is none.
pub fn experiment(client: &Client, name: &str) -> Result<String> {
    if let Some(id) = known_experiment(client, name)? {
        return Ok(id);
    }
    match client.post("create the experiment", "experiments/create", &json!({"name": name})) {
        Ok(made) => text(&made, "/experiment_id"),
        // Another process was quicker.
        Err(error) if error.code == PRESENT => {
            known_experiment(client, name)?.context("the experiment was made and deleted meanwhile")
        }
        Err(error) => Err(error.into()),
    }
}

fn known_experiment(client: &Client, name: &str) -> Result<Option<String>> {
    match client.get("find the experiment", "experiments/get-by-name", &[("experiment_name", name)]) {
        Ok(found) => text(&found, "/experiment/experiment_id").map(Some),
        Err(error) if error.code == ABSENT => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// A number of a run.
pub struct Metric {
    name: String,
    value: f64,
    step: u64,
}

impl Metric {
    pub fn new(prefix: &str, name: &str, value: f64, step: u64) -> Metric {
        Metric { name: allowed(&format!("{prefix}{name}")), value, step }
    }
}

/// A run that has begun.
pub struct Run<'a> {
    client: &'a Client,
    experiment: String,
    id: String,
    /// Address of its files.
    files: String,
}

impl<'a> Run<'a> {
    /// Begins a run.
    pub fn start(
        client: &'a Client,
        experiment: &str,
        name: &str,
        tags: &[(&'static str, String)],
    ) -> Result<Run<'a>> {
        let mut tags = tag_list(tags);
        tags.extend([
            json!({"key": "mlflow.source.name", "value": "redflag"}),
            json!({"key": "mlflow.source.type", "value": "LOCAL"}),
        ]);
        let user = std::env::var("USER").ok().filter(|user| !user.is_empty());
        tags.extend(user.map(|user| json!({"key": "mlflow.user", "value": user})));
        let body =
            json!({"experiment_id": experiment, "run_name": name, "start_time": now_ms(), "tags": tags});
        let made = client.post("create a run", "runs/create", &body)?;
        let (id, files) = (text(&made, "/run/info/run_id")?, text(&made, "/run/info/artifact_uri")?);
        Ok(Run { client, experiment: experiment.to_string(), id, files })
    }

    pub fn client(&self) -> &'a Client {
        self.client
    }

    pub fn id(&self) -> &str {
        &self.id
    }

    pub fn experiment(&self) -> &str {
        &self.experiment
    }

    /// Address of the run's page.
    pub fn page(&self) -> String {
        format!("{}/#/experiments/{}/runs/{}", self.client.server(), self.experiment, self.id)
    }

    /// Names the data that was learnt from, by its fingerprint.
    pub fn log_data(&self, facts: &Facts) -> Result<()> {
        if facts.data_fingerprint.is_empty() {
            return Ok(());
        }
        let dataset = json!({
            "name": cut(if facts.data.is_empty() { "data" } else { &facts.data }, DATA_NAME_CHARS),
            "digest": facts.data_fingerprint,
            "source_type": "local",
            "source": json!({"uri": facts.data}).to_string(),
            "profile": json!({"num_rows": facts.rows, "num_frauds": facts.frauds}).to_string(),
        });
        let tags = json!([{"key": "mlflow.data.context", "value": "training"}]);
        let body = json!({"run_id": self.id, "datasets": [{"tags": tags, "dataset": dataset}]});
        self.client.post("log the data", "runs/log-inputs", &body)?;
        Ok(())
    }

    pub fn log_parameters(&self, parameters: &[(String, String)]) -> Result<()> {
        // Names that become one would be two values of it, which the server refuses.
        let named: BTreeMap<String, &String> =
            parameters.iter().map(|(name, value)| (allowed(name), value)).collect();
        let entry =
            |(name, value): (&String, &&String)| json!({"key": name, "value": cut(value, VALUE_CHARS)});
        let entries: Vec<Value> = named.iter().map(entry).collect();
        for some in entries.chunks(PARAMETERS_PER_CALL) {
            self.client.post(
                "log parameters",
                "runs/log-batch",
                &json!({"run_id": self.id, "params": some}),
            )?;
        }
        Ok(())
    }

    /// Logs numbers, as those of a logged model too. A number that is not finite has no JSON and is left out.
    pub fn log_metrics(&self, metrics: &[Metric], model_id: &str) -> Result<()> {
        let now = now_ms();
        let entry = |metric: &Metric| {
            let Metric { name, value, step } = metric;
            json!({"key": name, "value": value, "step": step, "timestamp": now, "model_id": model_id})
        };
        let finite = metrics.iter().filter(|metric| metric.value.is_finite());
        let entries: Vec<Value> = finite.map(entry).collect();
        for some in entries.chunks(METRICS_PER_CALL) {
            self.client.post(
                "log metrics",
                "runs/log-batch",
                &json!({"run_id": self.id, "metrics": some}),
            )?;
        }
        Ok(())
    }

    pub fn upload(&self, name: &str, bytes: Vec<u8>) -> Result<()> {
        Ok(self.client.upload(&format!("{}/{name}", below_root(&self.files)?), bytes)?)
    }

    pub fn finish(&self) -> Result<()> {
        self.end("FINISHED").map_err(Into::into)
    }

    /// Marks the run as failed, and says why in a tag. If that cannot be done either, the first error is the one to tell.
    pub fn fail(&self, why: &str) {
        let tag = json!({"run_id": self.id, "key": "error", "value": cut(why, TAG_CHARS)});
        drop(self.client.post("say why the run failed", "runs/set-tag", &tag));
        drop(self.end("FAILED"));
    }

    fn end(&self, status: &str) -> Result<(), CallError> {
        let body = json!({"run_id": self.id, "status": status, "end_time": now_ms()});
        self.client.post("end the run", "runs/update", &body).map(drop)
    }
}

/// Tags as the server takes them.
pub fn tag_list(tags: &[(&'static str, String)]) -> Vec<Value> {
    tags.iter().map(|(name, value)| json!({"key": name, "value": cut(value, TAG_CHARS)})).collect()
}

/// A text of an answer, by JSON pointer.
pub fn text(answer: &Value, place: &str) -> Result<String> {
    let found = answer.pointer(place).and_then(Value::as_str);
    found.map(str::to_string).with_context(|| format!("the answer of MLflow has no {place}: {answer}"))
}

/// The path of an address below the root of the server's store.
pub fn below_root(address: &str) -> Result<String> {
    // With two slashes a host follows: another server's store.
    let path = address.strip_prefix("mlflow-artifacts:/").filter(|path| !path.starts_with('/'));
    match path {
        Some(path) => Ok(path.trim_end_matches('/').to_string()),
        None => bail!(
            "files of this experiment go to {address}, expected mlflow-artifacts: a server that passes them on, \
             started with --serve-artifacts, and an experiment made by it"
        ),
    }
}

/// A name as the server takes it: letters, digits and `_-.: `.
fn allowed(name: &str) -> String {
    let is_allowed = |letter: &char| letter.is_alphanumeric() || "_-.: ".contains(*letter);
    name.chars().take(NAME_CHARS).map(|letter| if is_allowed(&letter) { letter } else { '_' }).collect()
}

fn cut(text: &str, chars: usize) -> String {
    text.chars().take(chars).collect()
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
