//! Where models are logged: what commands that talk to MLflow have in common.

use anyhow::Result;

use super::WrongInput;
use crate::mlflow::server::{Client, Credentials, Server};
use crate::mlflow::{Alias, Place, Publication, Published, publish};

/// An MLflow server, and where on it. Credentials are those of the environment that MLflow's own client reads.
#[derive(Debug, clap::Args)]
#[command(
    next_help_heading = "MLflow (user and password, or a token: MLFLOW_TRACKING_USERNAME, _PASSWORD, _TOKEN)"
)]
pub struct Destination {
    /// Log parameters, metrics, fingerprints and the model to this server, and register the model there
    // Required by the others here, and by commands that do nothing without it.
    #[arg(long, value_name = "URL", required = false)]
    mlflow: String,
    /// Experiment that the run belongs to [default: redflag/DETECTOR]
    #[arg(long, value_name = "NAME", requires = "mlflow")]
    mlflow_experiment: Option<String>,
    /// Registered model that this becomes a version of [default: redflag-DETECTOR]
    #[arg(long, value_name = "NAME", value_parser = model_name, requires = "mlflow")]
    mlflow_model: Option<String>,
    /// What the version goes by from now on [default: champion if there is none yet, else challenger]
    #[arg(long, value_enum, value_name = "ALIAS", visible_alias = "alias", requires = "mlflow")]
    mlflow_alias: Option<Alias>,
}

impl Destination {
    /// Checks the address, so that it is not found wrong when the work is done. Connects to nothing yet.
    ///
    /// # Errors
    /// If it is not one of an MLflow server.
    pub fn open(&self) -> Result<Tracking<'_>> {
        let server = Server::parse(&self.mlflow, Credentials::from_environment());
        let server = server.map_err(|error| WrongInput(format!("--mlflow: {error}")))?;
        Ok(Tracking { destination: self, client: Client::new(server)? })
    }
}

/// A server that models can be logged to.
pub struct Tracking<'a> {
    destination: &'a Destination,
    client: Client,
}

impl Tracking<'_> {
    /// Logs a model and registers it.
    ///
    /// # Errors
    /// If the server cannot be reached, or refuses.
    pub fn publish(&self, publication: &Publication) -> Result<Published> {
        let Destination { mlflow_experiment, mlflow_model, mlflow_alias, .. } = self.destination;
        let detector = &publication.model.detector;
        let place = Place {
            experiment: mlflow_experiment.clone().unwrap_or_else(|| format!("redflag/{detector}")),
            model: mlflow_model.clone().unwrap_or_else(|| format!("redflag-{detector}")),
            alias: *mlflow_alias,
        };
        publish(&self.client, &place, publication)
    }
}

fn model_name(text: &str) -> Result<String, String> {
    let is_well = !text.trim().is_empty() && !text.contains(['/', ':']);
    is_well.then(|| text.to_string()).ok_or_else(|| "expected a name without / and :".to_string())
}
