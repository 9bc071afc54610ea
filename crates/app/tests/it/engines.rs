//! Models grown by other libraries: listed, asked for, trained and measured like our own.

use std::io::Write as _;

use super::desk::Desk;

const FOREIGN: [&str; 4] = ["xgboost", "lightgbm", "catboost", "scikit-learn"];

#[test]
fn engines_are_listed_with_what_they_grow() {
    let desk = Desk::new("engines-list");
    let nowhere = ("REDFLAG_ENGINES", "nowhere");
    let listed = desk.run_with(nowhere, "engines list --json").json();
    let names: Vec<&str> =
        listed.as_array().unwrap().iter().map(|line| line["engine"].as_str().unwrap()).collect();
    assert_eq!(names, ["builtin", "xgboost", "lightgbm", "catboost", "scikit-learn"]);
    assert_eq!(listed[0]["installed"], true);
    assert_eq!(listed[3]["installed"], false);
    assert_eq!(listed[3]["algorithms"], serde_json::json!(["gbdt", "decision-tree"]));
    let ran = desk.run_with(nowhere, "engines list");
    assert!(ran.out.contains("not installed: redflag engines install catboost"), "{ran:?}");
    let ran = desk.run("engines install torch");
    assert!(ran.code == 2 && ran.err.contains("expected one of xgboost, lightgbm"), "{ran:?}");
}

#[test]
fn a_missing_engine_names_the_command_that_installs_it() {
    let desk = Desk::new("engines-missing");
    desk.ok("simulate --detector card-handbook --rows 500 --out a.csv");
    for engine in FOREIGN {
        let algorithm = if engine == "scikit-learn" { "random-forest" } else { "gbdt" };
        let arguments = format!(
            "train --detector card-handbook --in a.csv --engine {engine} --algorithm {algorithm} --out x.model"
        );
        let ran = desk.run_with(("REDFLAG_ENGINES", "nowhere"), &arguments);
        let expected = format!("{engine} is not in nowhere: `redflag engines install {engine}` installs it");
        assert!(ran.code == 1 && ran.err.contains(&expected), "{ran:?}");
    }
}

#[test]
fn what_an_engine_cannot_do_is_said_before_anything_is_read() {
    let desk = Desk::new("engines-refused");
    desk.write("a.csv", "not a transaction\n");
    desk.write("old.model", "");
    for (arguments, expected) in [
        (
            "--engine catboost --algorithm random-forest",
            "catboost has no random-forest, expected --algorithm gbdt",
        ),
        (
            "--engine xgboost --warm-up 3 --min-samples-leaf 2",
            "--warm-up: xgboost has no such parameter\n--min-samples-leaf",
        ),
        ("--engine lightgbm --growth symmetric", "--growth symmetric: lightgbm expects leaf-wise"),
        (
            "--engine xgboost --continue-from old.model",
            "--continue-from: xgboost does not continue a model here",
        ),
        ("--engine xgboost --set objective=reg:squarederror", "redflag decides this"),
        (
            "--engine xgboost --balance weights --set scale_pos_weight=3",
            "--balance weights sets the weight of frauds",
        ),
        ("--engine xgboost --set max_bin", "expected NAME=VALUE, as max_bin=512"),
        ("--set max_bin=512", "--set max_bin=512: the engine builtin has no parameters but those"),
        ("--engine torch", "possible values: builtin, xgboost, lightgbm, catboost, scikit-learn"),
    ] {
        let ran = desk.run(&format!("train --detector card-handbook --in a.csv --out x.model {arguments}"));
        assert!(ran.code == 2 && ran.err.contains(expected), "{arguments}: {ran:?}");
    }
}

/// Every engine, with balancing, calibration and a threshold around it, on data that it can learn.
#[test]
fn a_model_of_any_engine_is_trained_measured_and_served_as_our_own() {
    let desk = Desk::new("engines-train");
    desk.ok("simulate --detector card-handbook --rows 40000 --customers 200 --seed 5 --out a.parquet");
    for (engine, options) in [
        ("xgboost", "--trees 30 --set max_bin=64"),
        ("xgboost", "--algorithm random-forest --trees 20"),
        ("lightgbm", "--trees 30 --balance weights"),
        ("lightgbm", "--algorithm decision-tree"),
        ("catboost", "--trees 30 --balance smote:0.1 --calibrate beta"),
        ("scikit-learn", "--algorithm random-forest --trees 20 --review-recall 0.5"),
    ] {
        let installed = desk.ok("engines list --json").json();
        let line =
            installed.as_array().unwrap().iter().find(|line| line["engine"] == engine).unwrap().clone();
        if line["installed"] == false {
            let line = format!(
                "NOT RUN: a model of {engine}: it is absent; `redflag engines install {engine}` installs it\n"
            );
            std::io::stderr().write_all(line.as_bytes()).unwrap();
            continue;
        }
        let input = "--detector card-handbook --in a.parquet";
        let trained = desk.ok(&format!(
            "train {input} --engine {engine} --train-to 2018-06-10 --out m.model --json {options}"
        ));
        assert_eq!(trained.json()["engine"], engine);
        let found = desk.ok("model inspect m.model --json").json();
        assert_eq!(
            (&found["engine"], &found["parameters"]["engine_version"]),
            (&line["engine"], &line["version"])
        );
        let measured = desk.ok(&format!("evaluate {input} --model m.model --from 2018-06-17 --json")).json();
        let area = measured["auc_roc"].as_f64().unwrap();
        assert!(area > 0.65, "{engine} {options}: {measured}");
        desk.ok(&format!("replay {input} --model m.model --out d.csv"));
    }
}
