//! A schema that is empty at first and gone in the end, for benchmarks: nothing of what the database holds is touched.

use super::address::Address;
use crate::Result;

/// The schema's name.
const SCHEMA: &str = "redflag_bench";

/// The same database, seen from a schema of its own.
pub struct Scratch {
    database: Address,
    /// What to open.
    pub address: Address,
}

impl Scratch {
    /// Makes the schema, or empties what a benchmark that was killed has left.
    ///
    /// # Errors
    /// If the server cannot be reached or refuses.
    pub fn create(database: &Address) -> Result<Scratch> {
        let remove = format!("DROP SCHEMA IF EXISTS {SCHEMA} CASCADE; CREATE SCHEMA {SCHEMA}");
        database.connect()?.batch_execute(&remove)?;
        Ok(Scratch { database: database.clone(), address: database.in_schema(SCHEMA) })
    }

    /// The server's version.
    ///
    /// # Errors
    /// If the server cannot be reached.
    pub fn server_version(&self) -> Result<String> {
        Ok(self.database.connect()?.query_one("SHOW server_version", &[])?.get(0))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Ok(mut client) = self.database.connect() {
            // What stays is emptied by the next benchmark.
            drop(client.batch_execute(&format!("DROP SCHEMA IF EXISTS {SCHEMA} CASCADE")));
        }
    }
}
