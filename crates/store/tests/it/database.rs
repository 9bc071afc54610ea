//! Databases that the suite is run on: each knows how to be made, opened, and looked into.

use std::path::{Path, PathBuf};

use ::postgres::{Client, NoTls};
use store::{Address, Postgres, Sqlite, Store, Sync};

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

/// A database of the test's own on the server that `DATABASE_URL` names; gone with the value.
pub struct PostgresDatabase {
    server: String,
    name: String,
}

impl PostgresDatabase {
    /// `None`, and a line that says so, where there is no server.
    pub fn new(test: &str) -> Option<PostgresDatabase> {
        let Ok(server) = std::env::var("DATABASE_URL") else {
            println!("NOT RUN: the store on PostgreSQL: DATABASE_URL is not set (scripts/postgres start)");
            return None;
        };
        let database = PostgresDatabase { server, name: format!("redflag_store_{test}") };
        database.drop_and(&format!("CREATE DATABASE {}", database.name));
        Some(database)
    }

    /// The address of the database.
    pub fn url(&self) -> String {
        let (server, query) = self.server.split_once('?').unwrap_or((&self.server, ""));
        let (server, _) = server.rsplit_once('/').unwrap();
        format!("{server}/{}?{query}", self.name)
    }

    pub fn address(&self) -> Address {
        Address::parse(&self.url()).unwrap().unwrap()
    }

    /// A connection beside the store's.
    pub fn client(&self) -> Client {
        Client::connect(&self.url(), NoTls).unwrap()
    }

    pub fn writer(&self) -> Postgres {
        Postgres::open(&self.address(), Sync::Interval, None).unwrap()
    }

    fn drop_and(&self, then: &str) {
        let mut client = Client::connect(&self.server, NoTls).unwrap();
        client.execute(&format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name), &[]).unwrap();
        if !then.is_empty() {
            client.execute(then, &[]).unwrap();
        }
    }
}

impl Drop for PostgresDatabase {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.drop_and("");
        }
    }
}

impl Database for PostgresDatabase {
    fn open(&self) -> Box<dyn Store> {
        Box::new(self.writer())
    }

    fn open_reader(&self) -> Box<dyn Store> {
        Box::new(Postgres::open_reader(&self.address()).unwrap())
    }

    fn rejections(&self) -> Vec<String> {
        let rows = self.client().query("SELECT reason FROM rejections ORDER BY id", &[]).unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }
}
