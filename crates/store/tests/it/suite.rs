//! What every store owes its callers, on every database.

use engine::Outcome;
use store::{Filter, Group, LogEntry, Made, NewFallback, Store, StoredDecision, StoredLabel, Totals};

use super::alerts::*;
use super::database::{Database, PostgresDatabase, SqliteFile};
use super::merge::*;
use super::rows::{Row, assert_same, label, rejection, row, versions, with_group};
use super::shadow::*;
use super::transfer::history_goes_forward_within_its_times;

/// Runs each test on each database.
macro_rules! on_every_database {
    ($($test:ident),* $(,)?) => {
        mod sqlite {
            $(
                #[test]
                fn $test() {
                    super::$test(&super::SqliteFile::new(stringify!($test)));
                }
            )*
        }
        mod postgres {
            $(
                #[test]
                fn $test() {
                    if let Some(database) = super::PostgresDatabase::new(stringify!($test)) {
                        super::$test(&database);
                    }
                }
            )*
        }
    };
}

on_every_database!(
    what_is_written_is_read_to_the_bit,
    an_empty_store_has_nothing,
    filters_select_and_the_cursor_goes_on,
    the_log_has_one_order,
    the_newest_label_is_shown,
    totals_count_what_was_written,
    a_group_that_fails_leaves_nothing,
    what_was_said_before_a_decision_is_kept_with_it,
    rejections_are_kept_up_to_a_bound,
    the_newest_rejections_come_first,
    versions_are_numbered_once,
    a_reader_sees_what_is_committed,
    a_probe_leaves_no_trace,
    what_was_written_is_there_after_opening_again,
    what_comes_again_is_counted_once,
    what_is_known_is_left_as_it_is,
    the_database_gives_the_positions,
    labels_that_say_nothing_new_are_left_out,
    a_place_is_rejected_once,
    a_merge_that_fails_leaves_nothing,
    history_goes_forward_within_its_times,
    shadow_scores_are_written_with_their_decisions,
    a_decision_that_comes_again_keeps_its_shadow_scores,
    the_record_has_the_newest_of_each,
    what_is_not_approved_joins_an_alert_or_opens_one,
    merged_groups_give_the_same_alerts_and_once,
    without_a_window_there_are_no_alerts,
    of_two_who_change_an_alert_the_second_is_refused,
    what_happens_after_an_alert_was_closed_opens_another,
    alerts_are_found_by_what_they_are,
    the_log_in_brief_is_the_log,
);

/// Appends rows in groups of ten.
fn append_rows(store: &mut dyn Store, rows: &[Row]) {
    let version = store.version(&versions(Some("m"))).unwrap();
    for part in rows.chunks(10) {
        with_group(part, version, &[], |group| store.append(group)).unwrap();
    }
}

fn sequences(decisions: &[StoredDecision]) -> Vec<i64> {
    decisions.iter().map(|decision| decision.sequence).collect()
}

fn what_is_written_is_read_to_the_bit(database: &dyn Database) {
    let mut store = database.open();
    let mut rows: Vec<Row> = (0..50).map(row).collect();
    rows[3].score = f64::NAN;
    rows[4].score = 1.0;
    rows[5].id = "ünï/\"'; DROP TABLE decisions; --".to_string();
    append_rows(&mut *store, &rows);
    for row in &rows {
        let found = store.find(&row.id).unwrap().unwrap();
        assert_same(&found, &row.stored(&versions(Some("m")), None));
        assert_eq!(store.position(&row.id).unwrap(), Some(row.sequence));
    }
    assert_eq!((store.find("T1").unwrap(), store.position("").unwrap()), (None, None));
    let listed = store.decisions(&Filter { limit: 100, ..Filter::default() }).unwrap();
    assert_eq!(listed.len(), 50);
    for (found, row) in listed.iter().zip(rows.iter().rev()) {
        assert_same(found, &row.stored(&versions(Some("m")), None));
    }
}

fn an_empty_store_has_nothing(database: &dyn Database) {
    let mut store = database.open();
    assert_eq!(store.last_position().unwrap(), -1);
    assert_eq!(store.totals().unwrap(), Totals::default());
    assert_eq!(store.decisions(&Filter { limit: 10, ..Filter::default() }).unwrap(), []);
    assert_eq!(store.log(-1, 10).unwrap(), []);
    store.append(&Group::default()).unwrap();
    assert_eq!(store.last_position().unwrap(), -1);
}

/// Every filter against the same rows held in memory, page by page.
fn filters_select_and_the_cursor_goes_on(database: &dyn Database) {
    let mut store = database.open();
    let rows: Vec<Row> = (0..100).map(row).collect();
    append_rows(&mut *store, &rows);
    let time = |at: i64| row(at).event_time_us;
    let all = Filter::default;
    type Matches = fn(&Row) -> bool;
    let cases: [(Filter, Matches); 16] = [
        (all(), |_| true),
        (Filter { made: Some(Made::Real), ..all() }, |row| row.mark().is_none()),
        (Filter { made: Some(Made::Synthetic), ..all() }, |row| row.mark().is_some()),
        (Filter { made: Some(Made::By("ctgan-3f2a9c01".into())), ..all() }, |row| {
            row.mark() == Some("ctgan-3f2a9c01")
        }),
        (Filter { made: Some(Made::By("simulator".into())), ..all() }, |_| false),
        (Filter { made: Some(Made::RealOrBy("ctgan-3f2a9c01".into())), ..all() }, |row| {
            row.mark().is_none_or(|mark| mark == "ctgan-3f2a9c01")
        }),
        (Filter { made: Some(Made::NotBy("ctgan-3f2a9c01".into())), ..all() }, |row| {
            row.mark().is_some_and(|mark| mark != "ctgan-3f2a9c01")
        }),
        (
            Filter { made: Some(Made::By("simulator:card:7".into())), key: Some("c1".into()), ..all() },
            |row| row.sequence % 4 == 1 && row.sequence % 5 == 1 && row.sequence % 11 != 10,
        ),
        (Filter { outcome: Some(Outcome::Approve), ..all() }, |row| row.outcome == Outcome::Approve),
        (Filter { outcome: Some(Outcome::Review), ..all() }, |row| row.outcome == Outcome::Review),
        (Filter { outcome: Some(Outcome::Decline), ..all() }, |row| row.outcome == Outcome::Decline),
        (Filter { key: Some("c3".into()), ..all() }, |row| row.sequence % 5 == 3 && row.sequence % 11 != 10),
        (Filter { key: Some("c9".into()), ..all() }, |_| false),
        (Filter { min_score: Some(0.05), ..all() }, |row| row.score >= 0.05),
        (Filter { from_us: Some(time(20)), to_us: Some(time(40)), ..all() }, |row| {
            (20..40).contains(&row.sequence)
        }),
        (
            Filter { outcome: Some(Outcome::Review), min_score: Some(0.03), to_us: Some(time(90)), ..all() },
            |row| row.outcome == Outcome::Review && row.score >= 0.03 && row.sequence < 90,
        ),
    ];
    for (filter, matches) in cases {
        let expected: Vec<i64> =
            rows.iter().rev().filter(|row| matches(row)).map(|row| row.sequence).collect();
        for limit in [1, 7, 100, 1_000] {
            assert_eq!(pages(&mut *store, &filter, limit), expected, "{filter:?} by {limit}");
        }
    }
    let none = Filter { limit: 0, ..all() };
    assert_eq!(store.decisions(&none).unwrap(), []);
}

/// Positions on all pages of so many.
fn pages(store: &mut dyn Store, filter: &Filter, limit: usize) -> Vec<i64> {
    let mut found = Vec::new();
    let mut filter = Filter { limit, ..filter.clone() };
    loop {
        let page = sequences(&store.decisions(&filter).unwrap());
        found.extend(&page);
        match page.last() {
            Some(last) if page.len() == limit => filter.before = Some(*last),
            _ => return found,
        }
    }
}

fn the_log_has_one_order(database: &dyn Database) {
    let mut store = database.open();
    let version = store.version(&versions(None)).unwrap();
    // Positions 2 and 5 are labels, 3 is left free as by a refused time jump; 6 and 7 come in one group.
    with_group(&[row(0), row(1)], version, &[], |group| store.append(group)).unwrap();
    with_group(&[], version, &[label(2, 1, true)], |group| store.append(group)).unwrap();
    with_group(&[row(4)], version, &[], |group| store.append(group)).unwrap();
    with_group(&[], version, &[label(5, 0, false)], |group| store.append(group)).unwrap();
    with_group(&[row(6)], version, &[label(7, 6, true)], |group| store.append(group)).unwrap();
    let log = store.log(-1, 100).unwrap();
    let transaction = |at: i64| LogEntry::Transaction { sequence: at, event: event_of(at) };
    let labelled = |sequence, transaction_sequence, fraud| LogEntry::Label {
        sequence,
        transaction_sequence,
        event: event_of(transaction_sequence),
        fraud,
    };
    let expected = [
        transaction(0),
        transaction(1),
        labelled(2, 1, true),
        transaction(4),
        labelled(5, 0, false),
        transaction(6),
        labelled(7, 6, true),
    ];
    assert_eq!(log, expected);
    assert_eq!(store.last_position().unwrap(), 7);
    for limit in 1..=8 {
        let mut paged = Vec::new();
        let mut after = -1;
        loop {
            let page = store.log(after, limit).unwrap();
            let Some(last) = page.last() else { break };
            after = last.sequence();
            paged.extend(page);
        }
        assert_eq!(paged, expected, "by {limit}");
    }
}

fn event_of(sequence: i64) -> String {
    row(sequence).stored(&versions(None), None).event
}

fn the_newest_label_is_shown(database: &dyn Database) {
    let mut store = database.open();
    append_rows(&mut *store, &[row(0), row(1)]);
    let labels = [label(2, 0, true), label(3, 1, true), label(4, 0, false)];
    with_group(&[], 1, &labels, |group| store.append(group)).unwrap();
    let shown = |store: &mut dyn Store, id: &str| store.find(id).unwrap().unwrap().label;
    let expected = Some(StoredLabel { sequence: 4, fraud: false, known_at_us: 9_004 });
    assert_eq!(shown(&mut *store, "t0"), expected);
    assert_eq!(shown(&mut *store, "t1"), Some(StoredLabel { sequence: 3, fraud: true, known_at_us: 9_003 }));
    let listed = store.decisions(&Filter { limit: 2, ..Filter::default() }).unwrap();
    assert_eq!(listed[1].label, expected);
}

fn totals_count_what_was_written(database: &dyn Database) {
    let mut store = database.open();
    let rows: Vec<Row> = (0..21).map(row).collect();
    append_rows(&mut *store, &rows);
    let labels = vec![label(21, 0, true), label(22, 1, false)];
    let rejections = (0..3).map(rejection).collect();
    store.append(&Group { labels, rejections, repeated: 5, ..Group::default() }).unwrap();
    let count = |outcome| rows.iter().filter(|row| row.outcome == outcome).count() as u64;
    let expected = Totals {
        outcomes: [Outcome::Approve, Outcome::Review, Outcome::Decline].map(count),
        synthetic: [Outcome::Approve, Outcome::Review, Outcome::Decline].map(|outcome| {
            rows.iter().filter(|row| row.outcome == outcome && row.mark().is_some()).count() as u64
        }),
        late: rows.iter().filter(|row| row.sequence % 4 % 3 != 0).count() as u64,
        rejected: 3,
        repeated: 5,
        labels: 2,
        labelled_fraud: 1,
    };
    assert_eq!(store.totals().unwrap(), expected);
    assert_eq!(expected.decisions(), 21);
    assert_eq!(database.open_reader().totals().unwrap(), expected);
}

/// Whatever is wrong in a group, the rest of it is not written either, and the next group is.
fn what_was_said_before_a_decision_is_kept_with_it(database: &dyn Database) {
    let mut store = database.open();
    let rows: Vec<Row> = (0..3).map(row).collect();
    append_rows(&mut *store, &rows);
    let decided_at_us = store.find(&rows[0].id).unwrap().unwrap().decided_at_us;
    let said = |row: &Row, received_at_us: i64, said: &str| NewFallback {
        id: row.id.clone(),
        received_at_us,
        said: said.to_string(),
    };
    let fallbacks = vec![
        said(&rows[0], decided_at_us - 1, "told in vain"),
        // Whoever asked for this one was given the decision of before, and somebody else waited in vain.
        said(&rows[1], i64::MAX, "nobody was told this"),
    ];
    store.append(&Group { fallbacks, ..Group::default() }).unwrap();
    let mut told = |id: &str| store.find(id).unwrap().unwrap().fallback;
    assert_eq!(told(&rows[0].id).as_deref(), Some("told in vain"));
    assert_eq!([told(&rows[1].id), told(&rows[2].id)], [None, None]);
}

fn a_group_that_fails_leaves_nothing(database: &dyn Database) {
    let mut store = database.open();
    append_rows(&mut *store, &[row(0), row(1)]);
    let before = store.totals().unwrap();
    let version = store.version(&versions(Some("m"))).unwrap();
    let twice = Row { sequence: 4, ..row(2) };
    let stored_id = Row { id: "t1".to_string(), ..row(3) };
    let stored_position = Row { sequence: 1, ..row(2) };
    for rows in [vec![row(2), twice], vec![row(2), stored_id], vec![row(3), stored_position]] {
        let failed = with_group(&rows, version, &[], |group| {
            let rejections = vec![rejection(1)];
            store.append(&Group { rejections, repeated: 1, ..group.clone() })
        });
        assert!(failed.is_err());
    }
    let label_twice =
        with_group(&[row(2)], version, &[label(5, 0, true), label(5, 1, true)], |group| store.append(group));
    assert!(label_twice.is_err());
    assert_eq!((store.totals().unwrap(), store.last_position().unwrap()), (before, 1));
    assert_eq!((store.find("t2").unwrap(), database.rejections()), (None, vec![]));
    append_rows(&mut *store, &[row(2)]);
    assert_eq!((store.last_position().unwrap(), store.totals().unwrap().decisions()), (2, 3));
}

fn rejections_are_kept_up_to_a_bound(database: &dyn Database) {
    const KEPT: usize = 100_000;
    let mut store = database.open();
    let append = |store: &mut dyn Store, numbers: std::ops::Range<usize>| {
        store.append(&Group { rejections: numbers.map(rejection).collect(), ..Group::default() }).unwrap();
    };
    append(&mut *store, 0..KEPT);
    append(&mut *store, KEPT..KEPT + 7);
    drop(store);
    let mut store = database.open();
    append(&mut *store, KEPT + 7..KEPT + 10);
    let kept = database.rejections();
    assert_eq!(kept.len(), KEPT);
    assert_eq!((kept[0].as_str(), kept[KEPT - 1].as_str()), ("reason 10", "reason 100009"));
    assert_eq!(store.totals().unwrap().rejected, KEPT as u64 + 10);
}

fn the_newest_rejections_come_first(database: &dyn Database) {
    let mut store = database.open();
    assert_eq!(store.newest_rejections(5).unwrap(), (vec![], 0));
    assert_eq!(store.newest_reasons(5).unwrap(), []);
    let rejections = (0..7).map(rejection).collect();
    store.append(&Group { rejections, ..Group::default() }).unwrap();
    let newest_first = |numbers: std::ops::Range<usize>| numbers.rev().map(rejection).collect::<Vec<_>>();
    assert_eq!(store.newest_rejections(3).unwrap(), (newest_first(4..7), 7));
    assert_eq!(store.newest_rejections(500).unwrap(), (newest_first(0..7), 7));
    let reasons = [(6, "reason 6".to_string()), (5, "reason 5".to_string())];
    assert_eq!(store.newest_reasons(2).unwrap(), reasons);
}

fn versions_are_numbered_once(database: &dyn Database) {
    let mut store = database.open();
    let (without, with) = (versions(None), versions(Some("m")));
    let first = store.version(&without).unwrap();
    let second = store.version(&with).unwrap();
    assert_ne!(first, second);
    drop(store);
    let mut store = database.open();
    assert_eq!((store.version(&without).unwrap(), store.version(&with).unwrap()), (first, second));
    with_group(&[row(0)], first, &[], |group| store.append(group)).unwrap();
    with_group(&[row(1)], second, &[], |group| store.append(group)).unwrap();
    let mut reader = database.open_reader();
    assert_eq!(*reader.find("t0").unwrap().unwrap().versions, without);
    assert_eq!(*reader.find("t1").unwrap().unwrap().versions, with);
}

fn a_reader_sees_what_is_committed(database: &dyn Database) {
    let mut store = database.open();
    append_rows(&mut *store, &[row(0)]);
    let mut reader = database.open_reader();
    for at in 1..200 {
        append_rows(&mut *store, &[row(at)]);
        assert_eq!(reader.last_position().unwrap(), at);
        assert!(reader.find(&format!("t{at}")).unwrap().is_some());
        assert_eq!(reader.totals().unwrap().decisions(), at as u64 + 1);
    }
    let refused = with_group(&[row(200)], 1, &[], |group| reader.append(group));
    assert!(refused.is_err(), "a reader does not write");
}

fn a_probe_leaves_no_trace(database: &dyn Database) {
    let mut store = database.open();
    store.probe().unwrap();
    append_rows(&mut *store, &[row(0)]);
    let before = store.totals().unwrap();
    store.probe().unwrap();
    assert_eq!((store.totals().unwrap(), store.last_position().unwrap()), (before, 0));
    assert!(database.open_reader().probe().is_err());
}

fn what_was_written_is_there_after_opening_again(database: &dyn Database) {
    for start in 0..5 {
        let mut store = database.open();
        assert_eq!(store.last_position().unwrap(), start * 10 - 1);
        assert_eq!(store.totals().unwrap().decisions(), start as u64 * 10);
        append_rows(&mut *store, &(start * 10..start * 10 + 10).map(row).collect::<Vec<_>>());
    }
    let mut reader = database.open_reader();
    for at in 0..50 {
        let found = reader.find(&format!("t{at}")).unwrap().unwrap();
        assert_same(&found, &row(at).stored(&versions(Some("m")), None));
    }
}
