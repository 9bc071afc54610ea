//! Alerts: what joins what, what people do, and what is found again.

use engine::Outcome;
use store::{
    AlertAction, AlertChange, AlertCounts, AlertFilter, AlertOrder, AlertRevision, AlertState, BriefEntry,
    Group, LogEntry, Store, StoreError, StoredAlert,
};

use super::database::Database;
use super::rows::{Row, label, row, versions};

/// Seconds from an alert's first event in which others join it.
const WINDOW_S: i64 = 20;

const WINDOW_US: i64 = WINDOW_S * 1_000_000;

fn with_alerts<T>(rows: &[Row], version: i64, work: impl FnOnce(&Group) -> T) -> T {
    let keys: Vec<String> = rows.iter().map(Row::key).collect();
    let decisions = rows.iter().zip(&keys).map(|(row, key)| row.new_decision(key, version)).collect();
    work(&Group { decisions, alert_window_us: Some(WINDOW_US), ..Group::default() })
}

fn append(store: &mut dyn Store, rows: &[Row], by: usize) {
    let version = store.version(&versions(Some("m"))).unwrap();
    for part in rows.chunks(by) {
        with_alerts(part, version, |group| store.append(group)).unwrap();
    }
}

fn merge(store: &mut dyn Store, rows: &[Row], by: usize) {
    let version = store.version(&versions(Some("m"))).unwrap();
    for part in rows.chunks(by) {
        with_alerts(part, version, |group| store.merge(group)).unwrap();
    }
}

/// An alert as its definition has it: entity, numbers of its first and last row, transactions, declined, amount, greatest
/// score. Rows have numbers whatever position the database gives them.
type Summary = (String, i64, i64, i64, i64, i64, Option<f64>);

/// Row by row, from the definition: the newest alert of the entity, if it is near enough.
fn expected(rows: &[Row]) -> Vec<Summary> {
    let mut alerts: Vec<(Summary, i64)> = Vec::new();
    for row in rows.iter().filter(|row| row.outcome != Outcome::Approve) {
        let entity = if row.sequence % 11 == 10 { row.id.clone() } else { row.key() };
        let of_entity = alerts.iter_mut().rev().find(|(summary, _)| summary.0 == entity);
        let declined = i64::from(row.outcome == Outcome::Decline);
        match of_entity.filter(|(_, first_us)| row.event_time_us - *first_us < WINDOW_US) {
            Some((summary, _)) => {
                summary.2 = row.sequence;
                summary.3 += 1;
                summary.4 += declined;
                summary.5 += 100 * row.sequence;
                summary.6 = Some(row.score);
            }
            None => {
                let amount = 100 * row.sequence;
                let summary = (entity, row.sequence, row.sequence, 1, declined, amount, Some(row.score));
                alerts.push((summary, row.event_time_us));
            }
        }
    }
    alerts.into_iter().map(|(summary, _)| summary).collect()
}

fn in_order(order: AlertOrder) -> AlertFilter {
    AlertFilter { order, in_any_state: true, limit: 1_000, ..AlertFilter::default() }
}

fn oldest_first(store: &mut dyn Store) -> Vec<StoredAlert> {
    store.alerts(&in_order(AlertOrder::Age)).unwrap()
}

fn summaries(store: &mut dyn Store) -> Vec<Summary> {
    let alerts = oldest_first(store);
    let summary = |alert: StoredAlert| {
        let rows = store.alert_decisions(alert.id, 1_000).unwrap();
        assert_eq!(rows[rows.len() - 1].sequence, alert.id);
        let number = |at: usize| rows[at].id[1..].parse().unwrap();
        let (first, last) = (number(rows.len() - 1), number(0));
        let StoredAlert { entity, transactions, declined, amount_minor, score, .. } = alert;
        (entity, first, last, transactions, declined, amount_minor, score)
    };
    alerts.into_iter().map(summary).collect()
}

pub fn what_is_not_approved_joins_an_alert_or_opens_one(database: &dyn Database) {
    let rows: Vec<Row> = (0..200).map(row).collect();
    let mut store = database.open();
    append(&mut *store, &rows, 7);
    let expected = expected(&rows);
    assert!(expected.iter().any(|alert| alert.3 > 2) && expected.len() > 20, "{expected:?}");
    assert_eq!(summaries(&mut *store), expected);
    let first = &oldest_first(&mut *store)[0];
    assert_eq!((first.id, first.state, first.mark.as_deref()), (2, AlertState::Open, None));
    assert_eq!((first.opened_at_us, first.first_event_us), (row(2).event_time_us + 5, row(2).event_time_us));
    let of_it = store.alert_decisions(2, 100).unwrap();
    assert_eq!(of_it.len() as i64, first.transactions);
    assert_eq!((first.transaction_sequence, &first.transaction_id), (of_it[0].sequence, &of_it[0].id));
    assert_eq!((&first.reasons, &first.rules), (&of_it[0].reasons, &of_it[0].rules));
    let at_risk: f64 = of_it.iter().map(|one| one.amount_minor as f64 * one.score.unwrap()).sum();
    assert!((first.at_risk_minor - at_risk).abs() < 1e-9);
}

pub fn merged_groups_give_the_same_alerts_and_once(database: &dyn Database) {
    let rows: Vec<Row> = (0..120).map(row).collect();
    let mut store = database.open();
    merge(&mut *store, &rows[..70], 9);
    merge(&mut *store, &rows[40..], 16);
    merge(&mut *store, &rows, 50);
    assert_eq!(summaries(&mut *store), expected(&rows));
}

pub fn without_a_window_there_are_no_alerts(database: &dyn Database) {
    let mut store = database.open();
    let version = store.version(&versions(None)).unwrap();
    let rows: Vec<Row> = (0..20).map(row).collect();
    with_alerts(&rows, version, |group| {
        store.append(&Group { alert_window_us: None, ..group.clone() }).unwrap();
    });
    assert_eq!(oldest_first(&mut *store), []);
    assert_eq!(store.alert_counts(i64::MAX).unwrap(), AlertCounts::default());
}

/// What `by` makes of an alert.
fn revision(alert: &StoredAlert, by: &str, change: impl FnOnce(&mut StoredAlert)) -> AlertRevision {
    let mut revised = StoredAlert { version: alert.version + 1, ..alert.clone() };
    change(&mut revised);
    let action = if revised.state == AlertState::Closed { AlertAction::Close } else { AlertAction::Assign };
    let change = AlertChange {
        alert: alert.id,
        version: revised.version,
        at_us: 77,
        by: by.to_string(),
        action,
        target: revised.assignee.clone(),
        note: Some("said ü".to_string()),
    };
    AlertRevision { alert: revised, change }
}

fn assigned(alert: &StoredAlert, by: &str) -> AlertRevision {
    revision(alert, by, |alert| {
        (alert.state, alert.assignee) = (AlertState::Assigned, Some(by.to_string()));
    })
}

pub fn closed(alert: &StoredAlert, by: &str, fraud: bool) -> AlertRevision {
    revision(alert, by, |alert| {
        (alert.state, alert.disposition) = (AlertState::Closed, Some(fraud));
        (alert.closed_by, alert.closed_at_us) = (Some(by.to_string()), Some(78));
    })
}

fn revise(store: &mut dyn Store, revision: &AlertRevision) -> store::Result<()> {
    store.append(&Group { revisions: vec![revision.clone()], ..Group::default() })
}

pub fn of_two_who_change_an_alert_the_second_is_refused(database: &dyn Database) {
    let mut store = database.open();
    append(&mut *store, &(0..30).map(row).collect::<Vec<_>>(), 30);
    let seen = store.alert(2).unwrap().unwrap();
    revise(&mut *store, &assigned(&seen, "ada")).unwrap();
    let rejected = Group {
        labels: vec![label(30, 2, true)],
        revisions: vec![closed(&seen, "grace", true)],
        ..Group::default()
    };
    assert!(matches!(store.append(&rejected), Err(StoreError::AlertChanged(2))));
    let stored = store.alert(2).unwrap().unwrap();
    assert_eq!((stored.state, stored.assignee.as_deref()), (AlertState::Assigned, Some("ada")));
    assert_eq!(stored.version, seen.version + 1);
    assert_eq!(store.last_position().unwrap(), 29, "the label was written without its alert");
    let changes = store.alert_changes(2).unwrap();
    assert_eq!(changes, [assigned(&seen, "ada").change]);
    revise(&mut *store, &closed(&stored, "grace", true)).unwrap();
    let stored = store.alert(2).unwrap().unwrap();
    assert_eq!((stored.disposition, stored.closed_by.as_deref()), (Some(true), Some("grace")));
    assert_eq!(store.alert_changes(2).unwrap().len(), 2);
}

pub fn what_happens_after_an_alert_was_closed_opens_another(database: &dyn Database) {
    let rows: Vec<Row> = (0..40).map(row).collect();
    let mut store = database.open();
    append(&mut *store, &rows[..8], 8);
    let seen = store.alert(2).unwrap().unwrap();
    revise(&mut *store, &closed(&seen, "ada", false)).unwrap();
    append(&mut *store, &rows[8..], 5);
    let of_entity = AlertFilter {
        entity: Some("c2".to_string()),
        in_any_state: true,
        order: AlertOrder::Newest,
        limit: 10,
        ..AlertFilter::default()
    };
    let found = store.alerts(&of_entity).unwrap();
    assert_eq!(found.last().unwrap().transactions, 1);
    assert!(found.len() > 1 && found[0].state == AlertState::Open, "{found:?}");
}

pub fn alerts_are_found_by_what_they_are(database: &dyn Database) {
    let mut store = database.open();
    append(&mut *store, &(0..300).map(row).collect::<Vec<_>>(), 40);
    for (at, alert) in oldest_first(&mut *store).iter().enumerate() {
        match at % 3 {
            0 => revise(&mut *store, &assigned(alert, ["ada", "grace"][at % 2])).unwrap(),
            1 => revise(&mut *store, &closed(alert, "ada", at % 2 == 0)).unwrap(),
            _ => {}
        }
    }
    let all = oldest_first(&mut *store);
    let before_us = row(150).event_time_us;
    type Matches = fn(&StoredAlert) -> bool;
    let any = || AlertFilter::default();
    let cases: [(AlertFilter, Matches); 7] = [
        (any(), |alert| alert.state != AlertState::Closed),
        (AlertFilter { state: Some(AlertState::Open), ..any() }, |alert| alert.state == AlertState::Open),
        (AlertFilter { state: Some(AlertState::Closed), ..any() }, |alert| alert.state == AlertState::Closed),
        (AlertFilter { assignee: Some("ada".into()), ..any() }, |alert| {
            alert.state != AlertState::Closed && alert.assignee.as_deref() == Some("ada")
        }),
        (AlertFilter { entity: Some("c3".into()), in_any_state: true, ..any() }, |alert| {
            alert.entity == "c3"
        }),
        (AlertFilter { opened_before_us: Some(before_us), in_any_state: true, ..any() }, |alert| {
            alert.opened_at_us < row(150).event_time_us
        }),
        (AlertFilter { synthetic: Some(true), in_any_state: true, ..any() }, |alert| alert.mark.is_some()),
    ];
    for (filter, matches) in cases {
        for order in [AlertOrder::Priority, AlertOrder::Age, AlertOrder::Newest] {
            let mut expected: Vec<&StoredAlert> = all.iter().filter(|alert| matches(alert)).collect();
            assert!(!expected.is_empty() && expected.len() < all.len(), "{filter:?}");
            expected.sort_by(|a, b| match order {
                AlertOrder::Priority => b.at_risk_minor.total_cmp(&a.at_risk_minor).then(b.id.cmp(&a.id)),
                AlertOrder::Age => a.id.cmp(&b.id),
                AlertOrder::Newest => b.id.cmp(&a.id),
            });
            let filter = AlertFilter { order, limit: 4, ..filter.clone() };
            let expected: Vec<i64> = expected.iter().map(|alert| alert.id).collect();
            assert_eq!(pages(&mut *store, filter), expected);
        }
    }
    let counts = store.alert_counts(before_us).unwrap();
    let count = |state| all.iter().filter(|alert| alert.state == state).count() as i64;
    assert_eq!((counts.open, counts.assigned), (count(AlertState::Open), count(AlertState::Assigned)));
    assert_eq!(counts.closed, count(AlertState::Closed));
    let waiting = || all.iter().filter(|alert| alert.state != AlertState::Closed);
    let overdue = waiting().filter(|alert| alert.opened_at_us < before_us).count() as i64;
    assert_eq!(counts.overdue, overdue);
    let at_risk: f64 = waiting().map(|alert| alert.at_risk_minor).sum();
    assert!((counts.at_risk_minor - at_risk).abs() < 1e-6);
}

/// Ids on all pages.
fn pages(store: &mut dyn Store, mut filter: AlertFilter) -> Vec<i64> {
    let mut found = Vec::new();
    loop {
        let page = store.alerts(&filter).unwrap();
        let Some(last) = page.last() else { return found };
        filter.after = Some((filter.order.figure(last), last.id));
        found.extend(page.iter().map(|alert| alert.id));
    }
}

pub fn the_log_in_brief_is_the_log(database: &dyn Database) {
    let mut store = database.open();
    let rows: Vec<Row> = (0..60).map(row).collect();
    append(&mut *store, &rows, 20);
    let labels = vec![label(60, 3, true), label(61, 4, true), label(62, 3, false)];
    store.append(&Group { labels, ..Group::default() }).unwrap();
    let log = store.log(-1, 1_000).unwrap();
    for limit in [1, 7, 1_000] {
        let mut entries = Vec::new();
        let mut after = -1;
        while let Some(last) = {
            let page = store.brief(after, limit).unwrap();
            entries.extend(page.iter().cloned());
            page.last().cloned()
        } {
            after = last.sequence();
        }
        assert_eq!(entries.len(), log.len());
        for (brief, entry) in entries.iter().zip(&log) {
            check_brief(brief, entry, &rows);
        }
    }
}

fn check_brief(brief: &BriefEntry, entry: &LogEntry, rows: &[Row]) {
    assert_eq!(brief.sequence(), entry.sequence());
    match (brief, entry) {
        (BriefEntry::Decision { decision, .. }, LogEntry::Transaction { sequence, event }) => {
            let row = &rows[*sequence as usize];
            assert_eq!((&decision.event, decision.outcome), (event, row.outcome));
            assert_eq!(
                (decision.decided_at_us, decision.event_time_us),
                (row.event_time_us + 5, row.event_time_us)
            );
            assert_eq!((decision.amount_minor, decision.synthetic), (100 * sequence, row.mark().is_some()));
            assert_eq!(decision.score, Some(row.score));
        }
        (
            BriefEntry::Label { sequence, decision, fraud, before },
            LogEntry::Label { event, fraud: said, .. },
        ) => {
            assert_eq!((&decision.event, fraud), (event, said));
            assert_eq!(*before, (*sequence == 62).then_some(true));
        }
        (brief, entry) => panic!("{brief:?} is not {entry:?}"),
    }
}
