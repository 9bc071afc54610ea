//! `redflag demo` with other worlds than the usual one.

use std::path::Path;

use super::process::{Service, Starting, folder, redflag, run, succeed, wait_until};

/// A demo of the ULB's set in `desk/data`, decided by `desk/ulb.model`.
fn start(desk: &Path) -> Service {
    let mut command = redflag();
    let arguments = "demo --detector ulb --model ulb.model --data-dir data --port 0 --rate 500";
    command.current_dir(desk).args(arguments.split_whitespace());
    Starting::of(&mut command, desk.join("demo.log")).wait()
}

fn decided(service: &Service) -> u64 {
    service.client().get("/v1/stats").json()["totals"]["decisions"].as_u64().unwrap()
}

/// Lets it come to so many decisions, then ends it as Ctrl-C does.
fn watch(service: Service, decisions: u64) {
    wait_until("it decides", || decided(&service) >= decisions);
    service.signal("INT");
    assert_eq!(service.ended().0.code(), Some(0));
}

fn desk_with_model(test: &str) -> std::path::PathBuf {
    let desk = folder(test);
    succeed(&desk, "simulate --detector ulb --rows 40000 --seed 2 --out ulb.csv");
    succeed(
        &desk,
        "train --detector ulb --in ulb.csv --train-from 2013-09-01 --train-to 2013-09-03 --trees 20 --out ulb.model",
    );
    desk
}

#[test]
fn a_demo_of_another_detector_uses_the_model_and_goes_on_where_it_ended() {
    let desk = desk_with_model("demo_ulb");
    watch(start(&desk), 300);
    watch(start(&desk), 900);
    let database = rusqlite::Connection::open(desk.join("data/redflag.db")).unwrap();
    let count = |sql: &str| database.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    let ids = "CAST(id AS INTEGER)";
    let decisions = count("SELECT count(*) FROM decisions");
    assert!(decisions >= 900);
    assert_eq!(count(&format!("SELECT max({ids}) - min({ids}) + 1 FROM decisions")), decisions);
    let newest = count(&format!("SELECT max({ids}) FROM decisions"));
    let model: serde_json::Value =
        serde_json::from_slice(&std::fs::read(desk.join("ulb.model")).unwrap()).unwrap();
    let shown =
        succeed(&desk, &format!("decision show {newest} --data-dir data --detector ulb --replay --json"));
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["versions"]["model"], model["id"], "{shown}");
}

#[test]
fn a_folder_keeps_its_world_and_a_model_its_detector() {
    let desk = desk_with_model("demo_refused");
    std::fs::create_dir(desk.join("data")).unwrap();
    std::fs::write(desk.join("data/world.json"), "{}").unwrap();
    for (arguments, told) in [
        ("demo --port 0 --data-dir data --detector ulb", "world.json is not a demo's"),
        ("demo --port 0 --data-dir other --model ulb.model", "input 1 is `V1` in the model"),
        ("demo --port 0 --data-dir other --detector mine", "mine"),
    ] {
        let output = run(redflag().current_dir(&desk).args(arguments.split_whitespace()));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments}: {said}");
        assert!(said.contains(told), "{arguments}: {said}");
    }
}
