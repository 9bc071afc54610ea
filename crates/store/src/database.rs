//! Which database, and how it is opened.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::{Result, Sqlite, Store, Sync};

/// Where decisions are remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Database {
    /// A file.
    Sqlite(PathBuf),
}

impl Database {
    /// A database by its address: the path of a SQLite file.
    ///
    /// # Errors
    /// What is wrong with the address.
    pub fn parse(text: &str) -> std::result::Result<Database, String> {
        match text.split_once("://") {
            None if !text.is_empty() => Ok(Database::Sqlite(PathBuf::from(text))),
            _ => Err("expected the path of a SQLite file".to_string()),
        }
    }

    /// The SQLite file that a data folder holds.
    pub fn in_folder(folder: &Path) -> Database {
        Database::Sqlite(folder.join("redflag.db"))
    }

    /// Opens or creates it for writing.
    ///
    /// # Errors
    /// If it cannot be used, or a newer program wrote it.
    pub fn open(&self, sync: Sync) -> Result<Box<dyn Store>> {
        match self {
            Database::Sqlite(path) => Ok(Box::new(Sqlite::open(path, sync)?)),
        }
    }

    /// Opens it for reading, beside writers.
    ///
    /// # Errors
    /// If there is no such database.
    pub fn open_reader(&self) -> Result<Box<dyn Store>> {
        match self {
            Database::Sqlite(path) => Ok(Box::new(Sqlite::open_reader(path)?)),
        }
    }
}

/// The address without its password.
impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Database::Sqlite(path) => write!(f, "{}", path.display()),
        }
    }
}
