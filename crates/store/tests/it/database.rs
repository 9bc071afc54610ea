//! Databases that the suite is run on: each knows how to be made, opened, and looked into.

use std::path::{Path, PathBuf};

use store::{Sqlite, Store, Sync};

/// A database that is empty at first.
pub trait Database {
    /// Opens it for writing.
    fn open(&self) -> Box<dyn Store>;

    /// Opens it for reading, beside a writer.
    fn open_reader(&self) -> Box<dyn Store>;

    /// Reasons of the rejections that are kept, oldest first.
    fn rejections(&self) -> Vec<String>;
}

/// SQLite in a folder of the test's own.
pub struct SqliteFile(pub PathBuf);

impl SqliteFile {
    pub fn new(test: &str) -> SqliteFile {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("store").join(test);
        if folder.exists() {
            std::fs::remove_dir_all(&folder).unwrap();
        }
        std::fs::create_dir_all(&folder).unwrap();
        SqliteFile(folder.join("redflag.db"))
    }

    pub fn writer(&self) -> Sqlite {
        Sqlite::open(&self.0, Sync::Interval).unwrap()
    }
}

impl Database for SqliteFile {
    fn open(&self) -> Box<dyn Store> {
        Box::new(self.writer())
    }

    fn open_reader(&self) -> Box<dyn Store> {
        Box::new(Sqlite::open_reader(&self.0).unwrap())
    }

    fn rejections(&self) -> Vec<String> {
        let connection = rusqlite::Connection::open(&self.0).unwrap();
        let mut statement = connection.prepare("SELECT reason FROM rejections ORDER BY id").unwrap();
        let reasons = statement.query_map([], |row| row.get(0)).unwrap();
        reasons.collect::<Result<_, _>>().unwrap()
    }
}
