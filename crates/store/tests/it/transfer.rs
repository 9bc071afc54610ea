//! From one database to another, and what both then say.

use store::{ALWAYS, Filter, Group, NewShadowScore, Store, StoreError, checksums, transfer};

use super::alerts::closed;
use super::database::{Database, PostgresDatabase, SqliteFile};
use super::rows::{Row, assert_same, label, rejection, row, versions, with_group};

const ROWS: i64 = 12_000;

/// Decisions of two versions over several months, labels between and behind them, rejections, repeated ids.
fn fill(store: &mut dyn Store) {
    let (with, without) =
        (store.version(&versions(Some("m"))).unwrap(), store.version(&versions(None)).unwrap());
    let mut odd = row(3);
    odd.score = f64::NAN;
    odd.shadow = vec![NewShadowScore { version: without, score: 0.1 + 0.2 }];
    with_group(&[row(0), row(1), odd], with, &[label(2, 0, true), label(4, 0, false)], |group| {
        store.append(group)
    })
    .unwrap();
    let rows: Vec<Row> = (5..ROWS)
        .map(|at| Row { event_time_us: row(0).event_time_us + at * 700_000_000, ..row(at) })
        .collect();
    with_group(&rows, without, &[label(ROWS, 5, true), label(ROWS + 1, 1, true)], |group| {
        store.append(&Group { alert_window_us: Some(86_400_000_000), ..group.clone() })
    })
    .unwrap();
    let alert = store.alert(5).unwrap().unwrap();
    store.append(&Group { revisions: vec![closed(&alert, "ada", true)], ..Group::default() }).unwrap();
    let rejections = (0..20).map(rejection).collect();
    store.append(&Group { rejections, repeated: 3, ..Group::default() }).unwrap();
}

fn nothing(_: u64) {}

fn assert_equal(from: &mut dyn Store, to: &mut dyn Store) {
    let (theirs, ours) = (checksums(from, &mut nothing).unwrap(), checksums(to, &mut nothing).unwrap());
    assert_eq!(theirs, ours);
    assert_eq!((ours[1].rows as i64, ours[2].rows), (ROWS - 2, 1));
    let alerts = ours.iter().find(|sum| sum.table == "alerts").unwrap();
    assert!(alerts.rows > 100, "{alerts:?}");
    assert_eq!(from.totals().unwrap(), to.totals().unwrap());
    assert_eq!(from.log(-1, 1 << 20).unwrap(), to.log(-1, 1 << 20).unwrap());
    for id in ["t0", "t1", "t3", "t5", "t11999"] {
        assert_same(&to.find(id).unwrap().unwrap(), &from.find(id).unwrap().unwrap());
    }
}

/// There and back again, it is the same.
#[test]
fn from_sqlite_to_postgresql_and_back_nothing_is_lost() {
    let Some(server) = PostgresDatabase::new("transfer") else { return };
    let mut first = SqliteFile::new("transfer_from").open();
    fill(&mut *first);
    let mut middle = server.open();
    let mut told = Vec::new();
    transfer(&mut *first, &mut *middle, &mut |done| told.push(done)).unwrap();
    assert_eq!(told, [5_000, 10_000, 11_998]);
    assert_equal(&mut *first, &mut *middle);
    assert!(middle.shape().unwrap().partitions.len() > 3);
    let mut back = SqliteFile::new("transfer_back").open();
    transfer(&mut *middle, &mut *back, &mut nothing).unwrap();
    assert_equal(&mut *first, &mut *back);
    // It goes on where it ended, in either mode.
    with_group(&[row(ROWS + 2)], 1, &[], |group| middle.append(group)).unwrap();
    drop(middle);
    let mut merging = server.open();
    assert_eq!(with_group(&[row(ROWS + 9)], 1, &[], |group| merging.merge(group)).unwrap(), 1);
    assert_eq!(merging.position(&row(ROWS + 9).id).unwrap(), Some(ROWS + 3));
}

/// Interrupted at any page, it goes on; come again, it changes nothing.
fn resumes(from: &dyn Database, to: &dyn Database) {
    let mut source = from.open();
    fill(&mut *source);
    let interrupted = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        transfer(&mut *from.open_reader(), &mut *to.open(), &mut |done| assert!(done < 6_000, "interrupted"))
    }));
    assert!(interrupted.is_err());
    let mut target = to.open();
    assert_eq!(target.shape().unwrap().decisions, 10_000);
    for _ in 0..2 {
        transfer(&mut *source, &mut *target, &mut nothing).unwrap();
        assert_equal(&mut *source, &mut *target);
    }
}

#[test]
fn interrupted_it_goes_on_to_sqlite() {
    resumes(&SqliteFile::new("resume_from"), &SqliteFile::new("resume_to"));
}

#[test]
fn interrupted_it_goes_on_to_postgresql() {
    let Some(server) = PostgresDatabase::new("resume") else { return };
    resumes(&SqliteFile::new("resume_from_sqlite"), &server);
}

#[test]
fn a_target_with_other_decisions_is_refused_and_a_difference_is_seen() {
    let mut source = SqliteFile::new("other_from").open();
    fill(&mut *source);
    let mut target = SqliteFile::new("other_to").open();
    let version = target.version(&versions(None)).unwrap();
    with_group(&[Row { id: "other".into(), ..row(0) }], version, &[], |group| target.append(group)).unwrap();
    let refused = transfer(&mut *source, &mut *target, &mut nothing).unwrap_err();
    assert!(matches!(&refused, StoreError::Unrelated(id) if id == "other"), "{refused}");
    let sums = |features: f64| {
        let mut store = SqliteFile::new("other_difference").open();
        let version = store.version(&versions(None)).unwrap();
        let row = Row { features: vec![features], ..row(0) };
        with_group(&[row], version, &[], |group| store.append(group)).unwrap();
        checksums(&mut *store, &mut nothing).unwrap()
    };
    let (zero, other_zero) = (sums(0.0), sums(-0.0));
    assert_ne!(zero[1].checksum, other_zero[1].checksum);
    assert_eq!((&zero[0], zero[1].rows), (&other_zero[0], 1));
}

pub fn history_goes_forward_within_its_times(database: &dyn Database) {
    let mut store = database.open();
    let version = store.version(&versions(Some("m"))).unwrap();
    let rows: Vec<Row> = (0..50).map(row).collect();
    with_group(&rows, version, &[label(50, 7, true)], |group| store.append(group)).unwrap();
    let range = rows[5].event_time_us..rows[40].event_time_us;
    let mut found = Vec::new();
    loop {
        let page = store.history(found.last().copied().unwrap_or(-1), &range, 8).unwrap();
        found.extend(page.iter().map(|decision| decision.sequence));
        if page.len() < 8 {
            break;
        }
    }
    assert_eq!(found, (5..40).collect::<Vec<_>>());
    assert_eq!(store.history(-1, &ALWAYS, 100).unwrap()[7].label.unwrap().sequence, 50);
    let newest = store.decisions(&Filter { limit: 1, ..Filter::default() }).unwrap();
    assert_same(&store.history(48, &ALWAYS, 100).unwrap()[0], &newest[0]);
    let shape = store.shape().unwrap();
    assert_eq!((shape.decisions, shape.labels, shape.rejections, shape.versions), (50, 1, 0, 1));
    assert!(shape.bytes > 10_000 && shape.schema == 7, "{shape:?}");
}
