//! Which database, and how it is opened.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::{Address, Postgres, Result, Sqlite, Store, Sync};

/// Where decisions are remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Database {
    /// A file.
    Sqlite(PathBuf),
    /// A server.
    Postgres {
        /// Where it is.
        address: Box<Address>,
        /// How long decisions are kept, in microseconds of event time; `None` keeps all.
        retention_us: Option<i64>,
    },
}

impl Database {
    /// A database by its address: `postgres://user:password@host/database`, or the path of a SQLite file.
    ///
    /// # Errors
    /// What is wrong with the address; its password is not repeated.
    pub fn parse(text: &str) -> std::result::Result<Database, String> {
        if let Some(address) = Address::parse(text) {
            return Ok(Database::Postgres { address: Box::new(address?), retention_us: None });
        }
        if text.is_empty() || text.contains("://") {
            return Err(
                "expected postgres://user:password@host/database, or the path of a SQLite file".to_string()
            );
        }
        Ok(Database::Sqlite(PathBuf::from(text)))
    }

    /// The SQLite file that a data folder holds.
    pub fn in_folder(folder: &Path) -> Database {
        Database::Sqlite(folder.join("redflag.db"))
    }

    /// Whether a call costs less than waking another thread. If not, nobody who answers others may wait for it.
    pub fn is_in_process(&self) -> bool {
        matches!(self, Database::Sqlite(_))
    }

    /// Opens or creates it for writing.
    ///
    /// # Errors
    /// If it cannot be used, or a newer program wrote it.
    pub fn open(&self, sync: Sync) -> Result<Box<dyn Store>> {
        match self {
            Database::Sqlite(path) => Ok(Box::new(Sqlite::open(path, sync)?)),
            Database::Postgres { address, retention_us } => {
                Ok(Box::new(Postgres::open(address, sync, *retention_us)?))
            }
        }
    }

    /// Opens it for reading, beside writers.
    ///
    /// # Errors
    /// If there is no such database.
    pub fn open_reader(&self) -> Result<Box<dyn Store>> {
        match self {
            Database::Sqlite(path) => Ok(Box::new(Sqlite::open_reader(path)?)),
            Database::Postgres { address, .. } => Ok(Box::new(Postgres::open_reader(address)?)),
        }
    }
}

/// The address without its password.
impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Database::Sqlite(path) => write!(f, "{}", path.display()),
            Database::Postgres { address, .. } => write!(f, "{address}"),
        }
    }
}
