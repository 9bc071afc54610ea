//! What only PostgreSQL has: partitions, several writers, a server that can go away.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use ::postgres::{Client, NoTls};
use store::{Address, Group, NewShadowScore, Postgres, Store, StoreError, Sync};

use super::database::{Database, PostgresDatabase};
use super::rows::{Row, label, rejection, row, versions, with_group};

const DAY_US: i64 = 86_400_000_000;

/// A row whose event was so many days after the first.
fn on_day(sequence: i64, day: i64) -> Row {
    Row { event_time_us: row(0).event_time_us + day * DAY_US, ..row(sequence) }
}

fn append(store: &mut dyn Store, rows: &[Row]) -> store::Result<()> {
    let version = store.version(&versions(Some("m")))?;
    with_group(rows, version, &[], |group| store.append(group))
}

fn partitions(database: &PostgresDatabase) -> Vec<String> {
    let sql =
        "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'decisions'::regclass ORDER BY 1";
    database.client().query(sql, &[]).unwrap().iter().map(|row| row.get(0)).collect()
}

#[test]
fn a_month_has_a_partition_and_an_old_one_goes_as_a_whole() {
    let Some(database) = PostgresDatabase::new("months") else { return };
    let open = || Postgres::open(&database.address(), Sync::Interval, Some(40 * DAY_US)).unwrap();
    let mut store = open();
    // The first day is 1 April 2018.
    let shadow = vec![NewShadowScore { version: 1, score: 0.5 }];
    let [old, young] = [on_day(0, 0), on_day(2, 30)].map(|row| Row { shadow: shadow.clone(), ..row });
    append(&mut store, &[old, on_day(1, 29), young, on_day(3, 0)]).unwrap();
    with_group(&[], 1, &[label(4, 0, true), label(5, 2, true)], |group| store.append(group)).unwrap();
    assert_eq!(partitions(&database), ["decisions_2018_04", "decisions_2018_05", "decisions_default"]);
    append(&mut store, &[on_day(6, 61)]).unwrap();
    // On 1 June, 40 days reach back into April.
    assert_eq!(partitions(&database).len(), 4);
    drop(store);
    let mut store = open();
    append(&mut store, &[on_day(7, 91)]).unwrap();
    assert_eq!(
        partitions(&database),
        ["decisions_2018_05", "decisions_2018_06", "decisions_2018_07", "decisions_default"]
    );
    let log: Vec<i64> = store.log(-1, 100).unwrap().iter().map(store::LogEntry::sequence).collect();
    assert_eq!(log, [2, 5, 6, 7], "an old label goes with its transaction");
    let shadow: Vec<i64> =
        store.shadow_scores(-1, i64::MAX).unwrap().iter().map(|score| score.sequence).collect();
    assert_eq!(shadow, [2], "and what challengers said of it");
    assert_eq!(store.totals().unwrap().decisions(), 6, "totals count what was, not what is kept");
}

/// No server plans a query over a thousand partitions quickly.
#[test]
fn times_without_end_go_where_everything_goes() {
    let Some(database) = PostgresDatabase::new("times_without_end") else { return };
    let mut store = database.writer();
    let rows: Vec<Row> = (0..300).map(|at| on_day(at, (at - 150) * 31)).collect();
    append(&mut store, &rows).unwrap();
    assert_eq!(partitions(&database).len(), 240 + 1);
    let again = with_group(&rows, 1, &[], |group| store.merge(group)).unwrap();
    assert_eq!((again, store.totals().unwrap().decisions()), (0, 300));
    let found = store.positions(&["t0", "t150", "t299"]).unwrap();
    assert_eq!(found, [Some(0), Some(150), Some(299)]);
}

#[test]
fn those_that_start_together_make_the_tables_once() {
    let Some(database) = PostgresDatabase::new("start_together") else { return };
    std::thread::scope(|scope| {
        let open = || {
            let mut store = database.writer();
            store.version(&versions(Some("m"))).unwrap()
        };
        let opened: Vec<_> = (0..6).map(|_| scope.spawn(open)).collect();
        let numbers: Vec<i64> = opened.into_iter().map(|thread| thread.join().unwrap()).collect();
        assert!(numbers.iter().all(|number| *number == numbers[0]), "{numbers:?}");
    });
    let steps = database.client().query("SELECT version FROM schema_version ORDER BY version", &[]).unwrap();
    assert_eq!(steps.iter().map(|row| row.get::<_, i64>(0)).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6, 7]);
}

/// Tables as the version before marks left them: what was synthetic then came from a simulator.
#[test]
fn a_schema_of_version_4_is_brought_up() {
    let Some(database) = PostgresDatabase::new("version_4") else { return };
    let mut client = database.client();
    for step in [
        include_str!("../../migrations/postgres/0001_decisions.sql"),
        include_str!("../../migrations/postgres/0002_reasons.sql"),
        include_str!("../../migrations/postgres/0003_origins.sql"),
        include_str!("../../migrations/postgres/0004_shadow_scores.sql"),
        "CREATE TABLE schema_version (version bigint NOT NULL); INSERT INTO schema_version VALUES (4);
         INSERT INTO versions (detector, feature_fingerprint, rules_fingerprint, feature_names) VALUES ('card', 'f', 'r', '');
         INSERT INTO decisions (event_time_us, decided_at_us, latency_us, amount_minor, version, synthetic, id, outcome,
             rules, timeliness, event, features)
         SELECT n, n, 1, 1, 1, n < 3, 't' || n, CASE WHEN n = 1 THEN 'decline' ELSE 'approve' END, '', 'on_time', '{}', '{}'
         FROM generate_series(1, 5) n;",
    ] {
        client.batch_execute(step).unwrap();
    }
    let mut store = database.writer();
    let mark = |store: &mut Postgres, id: &str| store.find(id).unwrap().unwrap().mark;
    assert_eq!(mark(&mut store, "t1").as_deref(), Some("simulator"));
    assert_eq!(mark(&mut store, "t3"), None);
    assert_eq!(store.totals().unwrap().synthetic, [1, 0, 1]);
}

#[test]
fn a_schema_that_is_not_this_programs_is_refused() {
    let Some(database) = PostgresDatabase::new("schema") else { return };
    let refused = Postgres::open_reader(&database.address()).err().unwrap();
    assert!(matches!(refused, StoreError::Older { found: 0, known: 7 }), "{refused}");
    drop(database.writer());
    database.client().execute("INSERT INTO schema_version VALUES (8)", &[]).unwrap();
    let writer = Postgres::open(&database.address(), Sync::Interval, None).err().unwrap();
    let reader = Postgres::open_reader(&database.address()).err().unwrap();
    for refused in [writer, reader] {
        assert_eq!(refused.to_string(), "the database has schema version 8, this program knows up to 7");
    }
}

#[test]
fn the_log_has_one_writer_or_many_that_merge() {
    let Some(database) = PostgresDatabase::new("one_writer") else { return };
    let (mut first, mut second) = (database.writer(), database.writer());
    first.hold_log().unwrap();
    append(&mut first, &[row(0)]).unwrap();
    let refused = second.hold_log().unwrap_err();
    assert_eq!(refused.to_string(), "the database is in use by another redflag");
    drop(first);
    second.hold_log().unwrap();
    append(&mut second, &[row(1)]).unwrap();
    drop(second);
    let (mut first, mut second) = (database.writer(), database.writer());
    assert_eq!(with_group(&[row(2)], 1, &[], |group| first.merge(group)).unwrap(), 1);
    assert_eq!(with_group(&[row(3), row(2)], 1, &[], |group| second.merge(group)).unwrap(), 1);
    assert!(matches!(database.writer().hold_log(), Err(StoreError::InUse)));
}

/// Two owners of one partition, as after a rebalance that the old one has not heard of.
#[test]
fn merged_by_several_at_once_it_is_counted_once() {
    const ROWS: i64 = 3_000;
    let Some(database) = PostgresDatabase::new("several_at_once") else { return };
    drop(database.writer());
    let merge_all = |start: i64| {
        let mut store = database.writer();
        let version = store.version(&versions(Some("m"))).unwrap();
        let mut new = 0;
        for at in (0..ROWS).step_by(100) {
            let from = (start + at) % ROWS;
            let rows: Vec<Row> = (from..from + 150).map(|at| row(at % ROWS)).collect();
            new += with_group(&rows, version, &[], |group| {
                // Two that wait for each other: one is told so, and comes again.
                (0..20).find_map(|_| store.merge(group).ok()).unwrap()
            });
        }
        new
    };
    let new: u64 = std::thread::scope(|scope| {
        let merge_all = &merge_all;
        let merging: Vec<_> = [0, 0, 1_500, 2_900].map(|start| scope.spawn(move || merge_all(start))).into();
        merging.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!((new, database.writer().totals().unwrap().decisions()), (ROWS as u64, ROWS as u64));
    let rows = database
        .client()
        .query_one("SELECT count(*), count(DISTINCT id), count(DISTINCT sequence) FROM decisions", &[]);
    let rows = rows.unwrap();
    assert_eq!([0, 1, 2].map(|column| rows.get::<_, i64>(column)), [ROWS; 3]);
}

#[test]
fn a_connection_that_is_cut_costs_one_group_and_no_reader() {
    let Some(database) = PostgresDatabase::new("cut") else { return };
    let mut store = database.writer();
    store.hold_log().unwrap();
    append(&mut store, &[row(0)]).unwrap();
    let mut reader = database.open_reader();
    let cut = || {
        let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                   WHERE datname = current_database() AND pid <> pg_backend_pid()";
        database.client().query(sql, &[]).unwrap();
    };
    for at in 1..4 {
        cut();
        assert_eq!(reader.last_position().unwrap(), at - 1);
        let group = Group { rejections: vec![rejection(1)], ..Group::default() };
        assert!(store.append(&group).is_err(), "it cannot know what became of the group");
        store.probe().unwrap();
        append(&mut store, &[row(at)]).unwrap();
    }
    assert_eq!((store.totals().unwrap().decisions(), store.totals().unwrap().rejected), (4, 0));
    assert!(matches!(database.writer().hold_log(), Err(StoreError::InUse)), "the log is taken again");
}

/// A server of the test's own.
struct Server {
    folder: String,
}

impl Server {
    fn script(&self, arguments: &[&str]) -> String {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/postgres");
        let output = Command::new(script).args(arguments).env("POSTGRES_DIR", &self.folder).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_string()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.script(&["stop"]);
    }
}

/// Whether a server can be started beside the one that `DATABASE_URL` names.
fn has_own_server() -> bool {
    std::env::var("DATABASE_URL").is_ok() && Path::new("/usr/lib/postgresql").exists()
}

/// Killed in the middle of groups and started again, the server holds each decision once: whoever was told that a group
/// failed merges it again.
#[test]
fn a_server_that_is_killed_under_load_loses_and_repeats_nothing() {
    const GROUP: i64 = 500;
    if !has_own_server() {
        println!("NOT RUN: PostgreSQL killed under load: no server of its own (scripts/install postgres)");
        return;
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("postgres_killed");
    let server = Server { folder: folder.to_str().unwrap().to_string() };
    server.script(&["start"]);
    let address = Address::parse(&server.script(&["url"])).unwrap().unwrap();
    let mut client = Client::connect(&server.script(&["url"]), NoTls).unwrap();
    client.batch_execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public").unwrap();
    let mut store = Postgres::open(&address, Sync::Commit, None).unwrap();
    let version = store.version(&versions(Some("m"))).unwrap();
    let (merged, failed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let merging = scope.spawn(|| {
            let mut next = 0;
            while !stop.load(Ordering::Acquire) {
                let rows: Vec<Row> = (next..next + GROUP).map(row).collect();
                match with_group(&rows, version, &[], |group| store.merge(group)) {
                    Ok(_) => {
                        next += GROUP;
                        merged.fetch_add(1, Ordering::AcqRel);
                    }
                    Err(_) => drop(failed.fetch_add(1, Ordering::AcqRel)),
                }
            }
            next
        });
        for _ in 0..4 {
            wait_for_more(&merged, 20);
            server.script(&["stop", "--now"]);
            wait_for_more(&failed, 1);
            server.script(&["start"]);
        }
        wait_for_more(&merged, 5);
        stop.store(true, Ordering::Release);
        let rows = merging.join().unwrap() as u64;
        let mut reader = Postgres::open_reader(&address).unwrap();
        assert_eq!(reader.totals().unwrap().decisions(), rows);
    });
    let mut client = Client::connect(&server.script(&["url"]), NoTls).unwrap();
    let counted = client.query_one("SELECT count(*), count(DISTINCT id) FROM decisions", &[]).unwrap();
    let expected = (merged.load(Ordering::Acquire) as i64) * GROUP;
    assert_eq!((counted.get::<_, i64>(0), counted.get::<_, i64>(1)), (expected, expected));
}

fn wait_for_more(counter: &AtomicUsize, more: usize) {
    let from = counter.load(Ordering::Acquire);
    wait_for("the counter grows", || counter.load(Ordering::Acquire) >= from + more);
}

/// A certificate of its own for this name; the files of certificate and key.
fn certificate(folder: &Path, name: &str) -> Option<(String, String)> {
    let file = |ending: &str| {
        folder.join(format!("{}.{ending}", name.replace(':', "_"))).to_str().unwrap().to_string()
    };
    let (certificate, key) = (file("pem"), file("key"));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=redflag test"])
        .args(["-addext", &format!("subjectAltName={name}"), "-out", &certificate, "-keyout", &key])
        .output();
    made.is_ok_and(|output| output.status.success()).then_some((certificate, key))
}

/// Gives the server a certificate: its superuser can write to its folder.
fn encrypt(client: &mut Client, (certificate, key): &(String, String)) {
    for (from, to) in [(certificate, "server.crt"), (key, "server.key")] {
        let text = std::fs::read_to_string(from).unwrap();
        let write = format!(
            "COPY (SELECT unnest(string_to_array('{text}', E'\\n'))) TO PROGRAM 'cat > {to} && chmod 600 {to}'"
        );
        client.batch_execute(&write).unwrap();
    }
    client.batch_execute("ALTER SYSTEM SET ssl = on").unwrap();
    client.query("SELECT pg_reload_conf()", &[]).unwrap();
}

#[test]
fn an_encrypted_connection_checks_as_much_as_it_is_told() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("postgres_tls");
    std::fs::create_dir_all(&folder).unwrap();
    let made = certificate(&folder, "IP:127.0.0.1").zip(certificate(&folder, "DNS:elsewhere"));
    let (true, Some((right, elsewhere))) = (has_own_server(), made) else {
        println!(
            "NOT RUN: PostgreSQL over TLS: no server of its own, or no openssl (scripts/install postgres)"
        );
        return;
    };
    let server = Server { folder: folder.to_str().unwrap().to_string() };
    server.script(&["start"]);
    let url = server.script(&["url"]);
    let opens = |query: &str| {
        let address = Address::parse(&format!("{url}?{query}")).unwrap().unwrap();
        Postgres::open(&address, Sync::Interval, None).and_then(|mut store| store.last_position())
    };
    let root =
        |(certificate, _): &(String, String), mode: &str| format!("sslmode={mode}&sslrootcert={certificate}");
    encrypt(&mut Client::connect(&url, NoTls).unwrap(), &right);
    wait_for("the server speaks TLS", || opens("sslmode=require").is_ok());
    assert!(opens(&root(&right, "verify-full")).is_ok());
    assert!(opens(&root(&elsewhere, "verify-ca")).is_err(), "signed by somebody else");
    assert!(opens("sslmode=verify-full").is_err(), "signed by nobody that the system knows");
    encrypt(&mut Client::connect(&url, NoTls).unwrap(), &elsewhere);
    wait_for("the server has the other certificate", || opens(&root(&elsewhere, "verify-ca")).is_ok());
    let refused = opens(&root(&elsewhere, "verify-full")).unwrap_err().to_string();
    assert!(refused.contains("certificate"), "{refused}");
}

fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let asked = std::time::Instant::now();
    while !is_so() {
        assert!(asked.elapsed() < std::time::Duration::from_secs(60), "waited in vain: {what}");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}
