//! Groups whose order a topic holds, on every database: whatever comes again changes nothing.

use store::{Filter, Group, NewLabel, NewRejection, Store, Totals};

use super::database::Database;
use super::rows::{Row, assert_same, rejection, row, versions, with_group};

/// Merges rows; how many were new.
fn merge(store: &mut dyn Store, rows: &[Row]) -> u64 {
    let version = store.version(&versions(Some("m"))).unwrap();
    with_group(rows, version, &[], |group| store.merge(group)).unwrap()
}

fn rows(range: std::ops::Range<i64>) -> Vec<Row> {
    range.map(row).collect()
}

fn decisions(store: &mut dyn Store) -> u64 {
    store.totals().unwrap().decisions()
}

/// A crash between the group and the commit of the topic's offsets makes the same group come again, cut otherwise.
pub fn what_comes_again_is_counted_once(database: &dyn Database) {
    let mut store = database.open();
    assert_eq!(merge(&mut *store, &rows(0..10)), 10);
    let totals = store.totals().unwrap();
    assert_eq!(merge(&mut *store, &rows(0..10)), 0);
    assert_eq!(store.totals().unwrap(), totals);
    assert_eq!(merge(&mut *store, &rows(5..15)), 5);
    assert_eq!(merge(&mut *store, &[row(15), row(15), row(3)]), 1);
    assert_eq!((merge(&mut *store, &[]), decisions(&mut *store)), (0, 16));
    drop(store);
    let mut store = database.open();
    assert_eq!(merge(&mut *store, &rows(0..20)), 4);
    let mut alone = Totals::default();
    with_group(&rows(0..20), 1, &[], |group| alone.add(group));
    assert_eq!(store.totals().unwrap(), alone);
    assert_eq!(store.decisions(&Filter { limit: 100, ..Filter::default() }).unwrap().len(), 20);
}

/// The first decision stands, whatever a later one of the same event says.
pub fn what_is_known_is_left_as_it_is(database: &dyn Database) {
    let mut store = database.open();
    merge(&mut *store, &rows(0..3));
    let before = store.find("t1").unwrap().unwrap();
    let other = Row { id: "t1".into(), event_time_us: row(1).event_time_us, score: 0.9, ..row(8) };
    assert_eq!(merge(&mut *store, &[other, row(3)]), 1);
    assert_same(&store.find("t1").unwrap().unwrap(), &before);
}

/// The database gives the positions, behind all that it holds; everything else is as it was written.
pub fn the_database_gives_the_positions(database: &dyn Database) {
    let mut store = database.open();
    let version = store.version(&versions(Some("m"))).unwrap();
    with_group(&rows(0..3), version, &[], |group| store.append(group)).unwrap();
    drop(store);
    let mut store = database.open();
    let wild: Vec<Row> = [40, 7, 1_000, 2].map(row).to_vec();
    assert_eq!(merge(&mut *store, &wild), 3);
    let ids: Vec<&str> = wild.iter().map(|row| row.id.as_str()).chain(["t0", "absent", "t7"]).collect();
    let found = store.positions(&ids).unwrap();
    let given: Vec<i64> = found.iter().flatten().copied().collect();
    assert_eq!(
        found.iter().map(Option::is_some).collect::<Vec<_>>(),
        [true, true, true, true, true, false, true]
    );
    assert!(given[0] > 2 && given[1] > given[0] && given[2] > given[1], "{given:?}");
    assert_eq!((given[3], given[4], given[5]), (2, 0, given[1]));
    for row in &wild[..3] {
        let stored = store.find(&row.id).unwrap().unwrap();
        assert_eq!(store.position(&row.id).unwrap(), Some(stored.sequence));
        let expected = row.stored(&versions(Some("m")), None);
        assert_same(&stored, &store::StoredDecision { sequence: stored.sequence, ..expected });
    }
    assert_eq!(store.positions(&[]).unwrap(), []);
    assert_eq!(store.last_position().unwrap(), given[2]);
}

fn labels_of(store: &mut dyn Store, labels: &[(&str, bool, i64)]) {
    let ids: Vec<&str> = labels.iter().map(|label| label.0).collect();
    let positions = store.positions(&ids).unwrap();
    let new = |(position, (_, fraud, known_at_us)): (&Option<i64>, &(&str, bool, i64))| NewLabel {
        sequence: -1,
        transaction_sequence: position.unwrap(),
        fraud: *fraud,
        known_at_us: *known_at_us,
    };
    let labels = positions.iter().zip(labels).map(new).collect();
    assert_eq!(store.merge(&Group { labels, ..Group::default() }).unwrap(), 0);
}

fn label_totals(store: &mut dyn Store) -> (u64, u64) {
    let totals = store.totals().unwrap();
    (totals.labels, totals.labelled_fraud)
}

pub fn labels_that_say_nothing_new_are_left_out(database: &dyn Database) {
    let mut store = database.open();
    merge(&mut *store, &rows(0..3));
    let changing =
        [("t0", true, 10), ("t1", false, 11), ("t0", true, 12), ("t0", false, 13), ("t0", true, 14)];
    labels_of(&mut *store, &changing);
    assert_eq!(label_totals(&mut *store), (4, 2));
    // Come again, it neither counts nor turns the newest label into an older one.
    labels_of(&mut *store, &changing);
    assert_eq!(label_totals(&mut *store), (4, 2));
    let label = |store: &mut dyn Store, id: &str| store.find(id).unwrap().unwrap().label.unwrap();
    assert_eq!((label(&mut *store, "t0").fraud, label(&mut *store, "t0").known_at_us), (true, 14));
    labels_of(&mut *store, &[("t1", true, 20), ("t2", true, 20)]);
    assert_eq!(label_totals(&mut *store), (6, 4));
    assert!(label(&mut *store, "t1").fraud);
    let log = store.log(-1, 100).unwrap();
    assert_eq!((log.len(), log[8].sequence()), (9, store.last_position().unwrap()));
}

pub fn a_place_is_rejected_once(database: &dyn Database) {
    let mut store = database.open();
    let at = |number: usize, source: &str| NewRejection { source: source.to_string(), ..rejection(number) };
    let reject = |store: &mut dyn Store, rejections: &[NewRejection]| {
        store.merge(&Group { rejections: rejections.to_vec(), repeated: 1, ..Group::default() }).unwrap();
    };
    let twice = at(1, "transactions/0/7");
    reject(&mut *store, &[twice.clone(), at(2, "transactions/1/7"), twice.clone()]);
    reject(&mut *store, &[at(3, "transactions/0/7"), at(4, "http"), at(5, "http")]);
    drop(store);
    let mut store = database.open();
    reject(&mut *store, &[at(6, "transactions/1/7"), at(7, "transactions/1/8")]);
    assert_eq!(database.rejections(), ["reason 1", "reason 2", "reason 4", "reason 5", "reason 7"]);
    let totals = store.totals().unwrap();
    assert_eq!((totals.rejected, totals.repeated), (5, 3));
}

/// Whatever is wrong in a group, the rest of it is not written either, and the next group is.
pub fn a_merge_that_fails_leaves_nothing(database: &dyn Database) {
    let mut store = database.open();
    merge(&mut *store, &rows(0..2));
    let before = store.totals().unwrap();
    let failed = with_group(&rows(1..4), 12_345, &[], |group| {
        let rejections = vec![rejection(1)];
        store.merge(&Group { rejections, repeated: 1, ..group.clone() })
    });
    assert!(failed.is_err(), "there is no such version");
    assert_eq!(
        (store.totals().unwrap(), store.find("t2").unwrap(), database.rejections()),
        (before, None, vec![])
    );
    assert_eq!(merge(&mut *store, &rows(1..4)), 2);
}
