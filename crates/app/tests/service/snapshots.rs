//! A snapshot saves time; one that knows other events than the log must never be believed.

use super::client::Client;
use super::events::{numbered, transaction};
use super::process::{Setup, folder, redflag, run};

/// How many transactions of customer `c` the features of a decision count in a day.
fn counted(client: &mut Client, id: &str) -> f64 {
    let decision = client.get(&format!("/v1/decisions/{id}")).ok().json();
    let features = decision["features"].as_array().unwrap();
    let feature = features.iter().find(|feature| feature["name"] == "customer_count_1d");
    feature.unwrap()["value"].as_f64().unwrap()
}

fn at(second: usize) -> String {
    transaction(&format!("s{second}"), &format!("2018-04-01T12:00:{second:02}Z"), "c", "t")
}

/// A refused time jump used to take a position in the log with it. The snapshot at the end then stood on that position,
/// ahead of the log; the next decision got it, and after a kill the snapshot was taken for one that knew that decision.
#[test]
fn a_time_jump_before_the_end_does_not_hide_the_next_transaction() {
    let setup = Setup::new(&folder("jump_before_end").join("data"));
    let service = setup.start();
    let mut client = service.client();
    client.post("/v1/transactions", at(1)).ok();
    let jump = client.post("/v1/transactions", transaction("jump", "2019-04-01T12:00:00Z", "c", "t"));
    assert_eq!((jump.status, jump.problem_fields()), (422, vec!["tx_datetime".to_string()]));
    service.stop();

    let service = setup.start();
    service.client().post("/v1/transactions", at(2)).ok();
    service.kill();
    let service = setup.start();
    let mut client = service.client();
    client.post("/v1/transactions", at(3)).ok();
    assert_eq!(counted(&mut client, "s3"), 3.0);
    service.stop();
}

/// A loss of power can take the end of the log and leave a snapshot that has seen it. That snapshot used to be passed
/// over at the first start, but stayed; a start after the log had grown past its position believed it.
#[test]
fn a_snapshot_ahead_of_the_log_is_not_believed_later_either() {
    let folder = folder("ahead_of_log");
    let setup = Setup::new(&folder.join("data"));
    let service = setup.start();
    service.client().post("/v1/transactions", at(1)).ok();
    service.stop();
    let earlier = folder.join("earlier.db");
    std::fs::copy(setup.database(), &earlier).unwrap();
    let service = setup.start();
    let mut client = service.client();
    for number in 0..5 {
        client.post("/v1/transactions", numbered(number)).ok();
    }
    service.stop();
    std::fs::copy(&earlier, setup.database()).unwrap();

    let service = setup.start();
    let mut client = service.client();
    for second in 2..12 {
        client.post("/v1/transactions", at(second)).ok();
    }
    service.kill();
    let service = setup.start();
    let mut client = service.client();
    client.post("/v1/transactions", at(12)).ok();
    assert_eq!(counted(&mut client, "s12"), 12.0);
    service.stop();
}

#[test]
fn a_damaged_snapshot_costs_time_only() {
    let setup = Setup::new(&folder("damaged_snapshot").join("data"));
    for start in 0..4 {
        let service = setup.start();
        let mut client = service.client();
        client.post("/v1/transactions", at(start)).ok();
        assert_eq!(counted(&mut client, &format!("s{start}")), 1.0 + start as f64);
        service.stop();
        let path = setup.data_dir().join("state.snapshot");
        let whole = std::fs::read(&path).unwrap();
        let damaged = match start {
            0 => whole[..whole.len() / 2].to_vec(),
            1 => Vec::new(),
            _ => whole.iter().map(|byte| byte ^ 1).collect(),
        };
        std::fs::write(&path, damaged).unwrap();
    }
}

/// `redflag state` rebuilds what the engine held, also of a service that was killed.
#[test]
fn the_state_can_be_looked_at_by_kind_and_by_entity() {
    let setup = Setup::new(&folder("state").join("data"));
    let service = setup.start();
    let mut client = service.client();
    (1..=3).for_each(|second| {
        client.post("/v1/transactions", at(second)).ok();
    });
    service.kill();

    let state = |arguments: &[&str]| {
        let output =
            run(redflag().arg("state").arg("--data-dir").arg(setup.data_dir()).arg("--json").args(arguments));
        (
            output.status.code(),
            serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap_or_default(),
        )
    };
    let (code, all) = state(&[]);
    let kinds = all["kinds"].as_array().unwrap();
    assert_eq!(code, Some(0));
    for kind in kinds {
        assert_eq!((&kind["entities"], &kind["events"]), (&1.into(), &3.into()), "{kind}");
        assert!(kind["bytes"].as_u64().unwrap() > 0, "{kind}");
    }
    let (_, one) = state(&["--entity", "customer_id=c"]);
    assert_eq!((&one["events"], &one["features"]["customer_count_1d"]), (&3.into(), &3.0.into()), "{one}");
    assert_eq!(state(&["--entity", "customer_id=nobody"]).0, Some(2));
    assert_eq!(state(&["--entity", "shoe=c"]).0, Some(2));
}
