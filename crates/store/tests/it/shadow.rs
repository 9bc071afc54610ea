//! What challengers say, on every database.

use store::{Group, LabelledScore, NewShadowScore, ShadowScore, Store};

use super::database::Database;
use super::rows::{Row, label, row, versions, with_group};

/// The numbers of a champion and two challengers.
fn numbers(store: &mut dyn Store) -> [i64; 3] {
    ["champion", "one", "two"].map(|model| store.version(&versions(Some(model))).unwrap())
}

/// A row that challengers have scored.
fn shadowed(at: i64, shadow: &[(i64, f64)]) -> Row {
    let shadow = shadow.iter().map(|(version, score)| NewShadowScore { version: *version, score: *score });
    Row { shadow: shadow.collect(), ..row(at) }
}

fn found(store: &mut dyn Store) -> Vec<(i64, i64, f64)> {
    let flat = |score: &ShadowScore| (score.sequence, score.version, score.score);
    store.shadow_scores(-1, i64::MAX).unwrap().iter().map(flat).collect()
}

pub fn shadow_scores_are_written_with_their_decisions(database: &dyn Database) {
    let mut store = database.open();
    let [champion, one, two] = numbers(&mut *store);
    let rows =
        [shadowed(0, &[(one, 0.1 + 0.2), (two, 1.0)]), row(1), shadowed(2, &[(one, f64::NAN), (two, 0.0)])];
    with_group(&rows, champion, &[], |group| store.append(group)).unwrap();
    let expected = [(0, one, 0.1 + 0.2), (0, two, 1.0), (2, two, 0.0)];
    assert_eq!(found(&mut *store), expected, "to the bit, and only numbers");
    assert_eq!(store.shadow_scores(0, 1).unwrap(), []);
    // What fails leaves nothing of it either.
    let twice = [shadowed(3, &[(one, 0.5)]), row(2)];
    assert!(with_group(&twice, champion, &[], |group| store.append(group)).is_err());
    let unknown = [shadowed(3, &[(12_345, 0.5)])];
    assert!(with_group(&unknown, champion, &[], |group| store.append(group)).is_err());
    assert_eq!(found(&mut *store), expected);
}

pub fn a_decision_that_comes_again_keeps_its_shadow_scores(database: &dyn Database) {
    let mut store = database.open();
    let [champion, one, two] = numbers(&mut *store);
    let first = [shadowed(10, &[(one, 0.25)]), shadowed(20, &[(one, 0.5)])];
    with_group(&first, champion, &[], |group| store.merge(group)).unwrap();
    let again = [shadowed(20, &[(one, 0.75), (two, 0.75)]), shadowed(30, &[(two, 0.125)])];
    assert_eq!(with_group(&again, champion, &[], |group| store.merge(group)).unwrap(), 1);
    let positions = store.positions(&["t10", "t20", "t30"]).unwrap();
    let expected = [(one, 0.25), (one, 0.5), (two, 0.125)];
    let expected: Vec<_> = positions
        .into_iter()
        .zip(expected)
        .map(|(at, (version, score))| (at.unwrap(), version, score))
        .collect();
    assert_eq!(found(&mut *store), expected);
}

pub fn the_record_has_the_newest_of_each(database: &dyn Database) {
    let mut store = database.open();
    let [champion, one, _] = numbers(&mut *store);
    let mut rows: Vec<Row> = (0..6).map(|at| shadowed(at, &[(one, at as f64 / 8.0)])).collect();
    rows[4].score = f64::NAN;
    with_group(&rows, champion, &[], |group| store.append(group)).unwrap();
    let labels = vec![label(6, 1, true), label(7, 4, false), label(8, 2, true), label(9, 1, false)];
    store.append(&Group { labels, ..Group::default() }).unwrap();
    let of = |at: i64, fraud, version, score| LabelledScore {
        sequence: at,
        fraud,
        amount_minor: 100 * at,
        event_time_us: row(at).event_time_us,
        key: Some(row(at).key()),
        mark: row(at).mark().map(str::to_string),
        version,
        score,
    };
    let record = database.open_reader().record(3, None).unwrap();
    assert_eq!(record.scored, [(champion, 3), (one, 3)]);
    // Transaction 1 was labelled last, and is not fraud after all; 4 has no score of its own.
    let expected = [
        of(1, false, champion, row(1).score),
        of(1, false, one, 0.125),
        of(2, true, champion, row(2).score),
        of(2, true, one, 0.25),
        of(4, false, one, 0.5),
    ];
    assert_eq!(record.labelled, expected);
    assert_eq!(record.versions[1], (one, versions(Some("one"))));
    let newest = store.record(1, None).unwrap();
    assert_eq!((newest.scored, newest.labelled), (vec![(champion, 1), (one, 1)], expected[..2].to_vec()));
    // Of what is older than transaction 4 the newest two, known or not: 3 is genuine, as far as anybody knows.
    let matured = store.record(2, Some(row(4).event_time_us)).unwrap();
    let expected = [
        of(2, true, champion, row(2).score),
        of(2, true, one, 0.25),
        of(3, false, champion, row(3).score),
        of(3, false, one, 0.375),
    ];
    assert_eq!(matured.labelled, expected);
}
