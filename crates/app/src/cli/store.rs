//! The database that a command looks into.

use std::path::PathBuf;

use anyhow::{Context, Result};
use store::{Database, Store};

/// Where a service keeps what it remembers.
#[derive(Debug, clap::Args)]
pub struct Kept {
    /// The data folder of the service
    #[arg(long, default_value = "redflag-data")]
    pub data_dir: PathBuf,
    /// The database, where it is not the SQLite file in the data folder
    #[arg(long, value_name = "URL|FILE", env = "REDFLAG_DATABASE", hide_env_values = true, value_parser = Database::parse)]
    database: Option<Database>,
}

impl Kept {
    /// Opens the database for reading.
    ///
    /// # Errors
    /// If there is none.
    pub fn open_reader(&self) -> Result<Box<dyn Store>> {
        let database = self.database.clone().unwrap_or_else(|| Database::in_folder(&self.data_dir));
        database.open_reader().with_context(|| format!("no database at {database}"))
    }
}
