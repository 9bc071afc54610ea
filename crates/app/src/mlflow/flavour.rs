use anyhow::{Context, Result};
use engine::time::format_instant;
use lab::artifact::ModelFile;
use serde_json::{Value, json};

use crate::service::pipeline::now_us;

/// Reads a model file in Python and scores with it.
const LOADER: &str = include_str!("redflag_model.py");

/// What the loader needs, and MLflow itself, which serves the model.
const REQUIREMENTS: [&str; 3] = ["mlflow>=3,<4", "numpy>=1.24", "pandas>=2"];

/// The Python that a server of the model makes an environment with; any from 3.10 on will do.
const PYTHON: &str = "3.11";

/// The files of a logged model, by name: the model file as it is, a loader, and what MLflow wants to know about them.
pub fn files(model: &ModelFile, model_id: &str, run_id: &str) -> Result<Vec<(String, Vec<u8>)>> {
    let native = serde_json::to_vec(model).context("cannot write the model as JSON")?;
    let text = |name: &str, text: String| (name.to_string(), text.into_bytes());
    Ok(vec![
        text("MLmodel", description(model, model_id, run_id)),
        text("requirements.txt", REQUIREMENTS.map(|line| format!("{line}\n")).concat()),
        text("python_env.yaml", python_environment()),
        text("conda.yaml", conda_environment()),
        text("code/redflag_model.py", LOADER.to_string()),
        ("model.json".to_string(), native),
    ])
}

/// YAML, of which JSON is a part: so texts are quoted as in JSON.
fn description(model: &ModelFile, model_id: &str, run_id: &str) -> String {
    let quoted = |value: Value| Value::String(value.to_string());
    let (inputs, outputs, params) =
        (quoted(inputs(model.forest.feature_names())), quoted(outputs()), quoted(params()));
    let (id, made_at) = (json!(model.id), format_instant(now_us()));
    format!(
        "\
flavors:
  python_function:
    code: code
    data: model.json
    env:
      conda: conda.yaml
      virtualenv: python_env.yaml
    loader_module: redflag_model
    python_version: \"{PYTHON}\"
  redflag:
    code: code
    model: model.json
    id: {id}
model_id: {model_id}
run_id: {run_id}
signature:
  inputs: {inputs}
  outputs: {outputs}
  params: {params}
utc_time_created: \"{made_at}\"
"
    )
}

/// Any may be missing in a row. That none is missing in all of them, the loader sees to.
fn inputs(features: &[String]) -> Value {
    let input = |name: &String| json!({"name": name, "type": "double", "required": false});
    features.iter().map(input).collect()
}

fn outputs() -> Value {
    json!([{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1]}}])
}

fn params() -> Value {
    json!([{"name": "raw", "type": "boolean", "default": false, "shape": null}])
}

fn python_environment() -> String {
    format!("python: \"{PYTHON}\"\nbuild_dependencies:\n- pip\ndependencies:\n- -r requirements.txt\n")
}

fn conda_environment() -> String {
    let pip = REQUIREMENTS.map(|line| format!("  - {line}\n")).concat();
    format!("name: redflag\nchannels:\n- conda-forge\ndependencies:\n- python={PYTHON}\n- pip\n- pip:\n{pip}")
}
