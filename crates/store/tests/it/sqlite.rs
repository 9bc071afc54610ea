//! What only SQLite has: a file, its lock, its versions.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use store::{Group, LogEntry, Sqlite, Store, StoreError, StoredDecision, StoredLabel, Sync};

use super::database::SqliteFile;
use super::rows::{assert_same, rejection, row, versions, with_group};

fn append(store: &mut Sqlite, at: i64) -> store::Result<()> {
    let version = store.version(&versions(Some("m")))?;
    with_group(&[row(at)], version, &[], |group| store.append(group))
}

#[test]
fn a_newer_file_is_refused_and_left_alone() {
    let file = SqliteFile::new("newer");
    drop(file.writer());
    Connection::open(&file.0).unwrap().pragma_update(None, "user_version", 8).unwrap();
    let before = std::fs::read(&file.0).unwrap();
    let refused = Sqlite::open(&file.0, Sync::Interval).err().unwrap();
    assert!(matches!(refused, StoreError::Newer { found: 8, known: 7 }), "{refused}");
    assert_eq!(refused.to_string(), "the database has schema version 8, this program knows up to 7");
    assert_eq!(std::fs::read(&file.0).unwrap(), before);
}

#[test]
fn what_cannot_be_opened_is_named() {
    let file = SqliteFile::new("cannot_open");
    let folder = file.0.parent().unwrap();
    let absent = folder.join("absent").join("redflag.db");
    for path in [folder, absent.as_path()] {
        let refused = Sqlite::open(path, Sync::Interval).err().unwrap();
        assert!(matches!(&refused, StoreError::Unusable { path: named, .. } if named == path), "{refused}");
    }
    assert!(Sqlite::open_reader(&file.0).is_err(), "a reader makes no database");
    assert!(!file.0.exists());
    std::fs::write(&file.0, "no database, but long enough to look like one. ".repeat(100)).unwrap();
    assert!(matches!(Sqlite::open(&file.0, Sync::Interval), Err(StoreError::Database(_))));
}

/// Another writer holds the lock: a group is refused soon and whole, a probe at once, and reading goes on.
#[test]
fn while_another_writes_it_refuses_and_then_goes_on() {
    let file = SqliteFile::new("locked");
    let mut store = file.writer();
    append(&mut store, 0).unwrap();
    let other = Connection::open(&file.0).unwrap();
    other.busy_timeout(Duration::from_secs(5)).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let asked = Instant::now();
    assert!(append(&mut store, 1).is_err());
    assert!(store.append(&Group { rejections: vec![rejection(1)], ..Group::default() }).is_err());
    assert!(store.probe().is_err());
    assert!(asked.elapsed() < Duration::from_secs(3), "{:?}", asked.elapsed());
    assert_eq!((store.last_position().unwrap(), store.find("t1").unwrap()), (0, None));
    other.execute_batch("ROLLBACK").unwrap();
    store.probe().unwrap();
    append(&mut store, 1).unwrap();
    assert_eq!(store.totals().unwrap().decisions(), 2);
    assert_eq!(store.totals().unwrap().rejected, 0);
}

/// A commit that waits for the disk writes the same.
#[test]
fn a_commit_to_the_disk_is_read_like_any_other() {
    let file = SqliteFile::new("sync_commit");
    let mut store = Sqlite::open(&file.0, Sync::Commit).unwrap();
    append(&mut store, 0).unwrap();
    drop(store);
    let found = Sqlite::open_reader(&file.0).unwrap().find("t0").unwrap().unwrap();
    assert_same(&found, &row(0).stored(&versions(Some("m")), None));
}

/// Written by the first version of the schema and kept as it was: decisions had neither reasons nor origins, and
/// only simulators made any.
fn version_1(test: &str) -> SqliteFile {
    let file = SqliteFile::new(test);
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/v1.db");
    std::fs::copy(fixture, &file.0).unwrap();
    file
}

fn check_version_1(store: &mut Sqlite) {
    let known = StoredLabel { sequence: 5, fraud: true, known_at_us: 9_005 };
    for at in 0..5 {
        let found = store.find(&format!("t{at}")).unwrap().unwrap();
        let label = Some(known).filter(|_| at == 3);
        let mark = row(at).mark().map(|_| "simulator".to_string());
        let then = row(at).stored(&versions(Some("m")), label);
        let unknown = StoredDecision { reasons: None, origin: None, mark, ..then };
        assert_same(&found, &unknown);
    }
    let log = store.log(-1, 100).unwrap();
    assert_eq!(log.len(), 6);
    assert!(matches!(log[5], LogEntry::Label { sequence: 5, transaction_sequence: 3, fraud: true, .. }));
    let totals = store.totals().unwrap();
    assert_eq!((totals.decisions(), totals.rejected, totals.repeated, totals.labelled_fraud), (5, 1, 2, 1));
}

#[test]
fn a_file_of_version_1_still_opens() {
    let file = version_1("version_1");
    let mut store = file.writer();
    check_version_1(&mut store);
    append(&mut store, 6).unwrap();
    assert_eq!(store.last_position().unwrap(), 6);
    let found = store.find("t6").unwrap().unwrap();
    assert_same(&found, &row(6).stored(&versions(Some("m")), None));
}

/// Whoever only looks changes nothing.
#[test]
fn a_file_of_version_1_is_read_as_it_is() {
    let file = version_1("version_1_read");
    let before = std::fs::read(&file.0).unwrap();
    check_version_1(&mut Sqlite::open_reader(&file.0).unwrap());
    assert_eq!(std::fs::read(&file.0).unwrap(), before);
}
