//! The audit log: what is noted stays, and a change of it shows.

use std::path::Path;

use store::{AuditFilter, AuditLog, Database as Place, Flaw, NewAuditEntry};

use super::database::{PostgresDatabase, SqliteFile};

fn entry(number: i64, by: &str, action: &str) -> NewAuditEntry {
    NewAuditEntry {
        at_us: number * 1_000_000,
        by: by.to_string(),
        roles: "analyst".to_string(),
        action: action.to_string(),
        subject: format!("tx-{number}"),
        detail: "a \"word\", and another\n".to_string(),
        outcome: "200".to_string(),
    }
}

/// What is asked of either kind.
fn suite(open: &dyn Fn() -> AuditLog) {
    let mut log = open();
    assert_eq!(log.verify(&mut |_| {}).unwrap().number, 0, "it is empty");
    log.append(&[entry(1, "anna", "decision.read"), entry(2, "bert", "rules.publish")]).unwrap();
    // Another process adds to it.
    let mut other = open();
    other.append(&[entry(3, "anna", "rules.expire")]).unwrap();
    log.append(&[entry(4, "anna", "rules_read")]).unwrap();
    let chain = log.verify(&mut |_| {}).unwrap();
    assert_eq!((chain.number, chain.flaw), (4, None));
    let numbers = |filter: AuditFilter| -> Vec<i64> {
        let found = open().entries(&AuditFilter { limit: 10, ..filter }).unwrap();
        assert!(found.iter().all(|found| found.entry.subject == format!("tx-{}", found.number)));
        found.iter().map(|found| found.number).collect()
    };
    let all = AuditFilter::default;
    assert_eq!(numbers(all()), [4, 3, 2, 1]);
    assert_eq!(numbers(AuditFilter { by: Some("anna".into()), before: Some(4), ..all() }), [3, 1]);
    assert_eq!(numbers(AuditFilter { action: Some("rules.*".into()), ..all() }), [3, 2]);
    assert_eq!(numbers(AuditFilter { action: Some("rules.".into()), ..all() }), [0_i64; 0]);
    log.append(&[NewAuditEntry { subject: "a\0b".into(), ..entry(9, "c", "odd") }]).unwrap();
    let odd = open().entries(&AuditFilter { by: Some("c".into()), limit: 1, ..all() }).unwrap();
    assert_eq!(odd[0].entry.subject, "a\u{FFFD}b", "what a database cannot hold is in nobody's way");
    assert_eq!(numbers(AuditFilter { from_us: Some(2_000_000), to_us: Some(4_000_000), ..all() }), [3, 2]);
}

fn sqlite(test: &str) -> (SqliteFile, Box<dyn Fn() -> AuditLog>) {
    let file = SqliteFile::new(test);
    let folder = file.0.parent().unwrap().to_path_buf();
    let open = move || AuditLog::open(Some(&Place::in_folder(&folder)), &folder).unwrap();
    (file, Box::new(open))
}

#[test]
fn a_file_keeps_what_is_noted() {
    let (_file, open) = sqlite("audit");
    suite(&*open);
}

#[test]
fn a_table_keeps_what_is_noted() {
    let Some(database) = PostgresDatabase::new("audit") else { return };
    let place = Place::Postgres { address: Box::new(database.address()), retention_us: None };
    suite(&|| AuditLog::open(Some(&place), Path::new(".")).unwrap());
    let mut client = database.client();
    assert!(client.execute("UPDATE audit SET by = 'nobody'", &[]).is_err(), "the table is only added to");
    assert!(client.execute("DELETE FROM audit", &[]).is_err());
    client
        .batch_execute("ALTER TABLE audit DISABLE TRIGGER ALL; DELETE FROM audit WHERE number = 2")
        .unwrap();
    let mut log = AuditLog::open_reader(Some(&place), Path::new(".")).unwrap();
    assert_eq!(log.verify(&mut |_| {}).unwrap().flaw, Some(Flaw::Missing(2)));
}

#[test]
fn a_change_of_any_column_shows() {
    let columns = [
        "at_us = 5",
        "by = 'x'",
        "roles = ''",
        "action = 'x'",
        "subject = ''",
        "detail = ''",
        "outcome = '403'",
    ];
    for change in columns {
        let (file, open) = sqlite("audit_changed");
        open().append(&[entry(1, "anna", "a"), entry(2, "anna", "b"), entry(3, "anna", "c")]).unwrap();
        let connection = rusqlite::Connection::open(file.0.with_file_name("audit.db")).unwrap();
        let update = format!("UPDATE audit SET {change} WHERE number = 2");
        assert!(connection.execute(&update, []).is_err(), "the file is only added to");
        connection.execute_batch(&format!("DROP TRIGGER audit_not_changed; {update}")).unwrap();
        let chain = open().verify(&mut |_| {}).unwrap();
        assert_eq!((chain.number, chain.flaw), (1, Some(Flaw::Changed(2))), "{change}");
    }
}

#[test]
fn text_that_moves_from_one_column_to_the_next_shows() {
    let (file, open) = sqlite("audit_moved");
    open().append(&[entry(1, "anna", "decision.read")]).unwrap();
    let connection = rusqlite::Connection::open(file.0.with_file_name("audit.db")).unwrap();
    let moved = "UPDATE audit SET by = by || roles, roles = ''";
    connection.execute_batch(&format!("DROP TRIGGER audit_not_changed; {moved}")).unwrap();
    assert_eq!(open().verify(&mut |_| {}).unwrap().flaw, Some(Flaw::Changed(1)));
}
