//! Models of other libraries: looked at, scored with, and taken in for a detector. `fixtures/models/make_models.py` made the
//! three on a detector's features; the others are those of the readers' own tests.

use std::path::Path;

use super::desk::Desk;

const FOREIGN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../forest/tests/fixtures/models");
const XGBOOST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/models/card-handbook-xgboost.ubj");
const LIGHTGBM: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/models/card-handbook-lightgbm.txt");

/// The margins and the rows of a reader's fixture.
fn margins_and_rows(name: &str) -> (Vec<String>, String) {
    let text = std::fs::read_to_string(Path::new(FOREIGN).join(name)).unwrap();
    let cut = |line: &str| -> (String, String) {
        let mut cells = line.splitn(3, ',');
        let margin = cells.next().unwrap().to_string();
        (margin, cells.nth(1).unwrap().to_string() + "\n")
    };
    text.lines().map(cut).unzip()
}

#[test]
fn margins_are_printed_in_full_for_models_of_every_library() {
    let desk = Desk::new("native-score");
    for (model, tolerance) in [
        ("xgboost-3.2-categories.json", 0.0),
        ("xgboost-1.7-binary-ubj.ubj", 0.0),
        ("lightgbm-4.7-categories.txt", 0.0),
        ("lightgbm-2.3-crlf.txt", 0.0),
        ("catboost-1.2-oblivious.json", 1e-12),
        ("scikit-learn-forest.onnx", 1e-7),
    ] {
        let rows = Path::new(model).with_extension("csv");
        let (margins, rows) = margins_and_rows(rows.to_str().unwrap());
        desk.write("rows.csv", &rows);
        let columns = rows.lines().next().unwrap().split(',').count();
        let header: Vec<String> = (0..columns).map(|at| at.to_string()).collect();
        desk.write("headed.csv", header.join(",") + "\n" + &rows);
        let run =
            |rows: &str| desk.ok(&format!("model score --model {FOREIGN}/{model} --in {rows} --raw")).out;
        let printed = run("rows.csv");
        assert_eq!(printed, run("headed.csv"), "{model}");
        assert_eq!(printed.lines().count(), margins.len(), "{model}");
        for (ours, theirs) in printed.lines().zip(&margins) {
            let (ours, theirs): (f64, f64) = (ours.parse().unwrap(), theirs.parse().unwrap());
            assert!((ours - theirs).abs() <= tolerance, "{model}: {ours} {theirs}");
        }
    }
}

#[test]
fn an_early_stop_is_honoured_and_told() {
    let desk = Desk::new("native-stopped");
    let model = format!("{FOREIGN}/xgboost-3.2-stopped.ubj");
    let (margins, rows) = margins_and_rows("xgboost-3.2-stopped.csv");
    desk.write("rows.csv", rows);
    let best = desk.ok(&format!("model score --model {model} --in rows.csv --raw"));
    assert!(best.err.contains("training was stopped early"), "{best:?}");
    assert_eq!(best.out.lines().next().unwrap().parse::<f64>(), margins[0].parse());
    let all = desk.ok(&format!("model score --model {model} --in rows.csv --raw --all-trees"));
    assert_ne!(all.out, best.out);
    assert_eq!(all.err, "");
    let [some, all] = ["", " --all-trees"].map(|option| {
        let found = desk.ok(&format!("model inspect {model} --json{option}")).json();
        (found["trees"].as_u64().unwrap(), found["trees_in_file"].as_u64().unwrap())
    });
    assert!(some.0 < some.1 && all.0 == all.1 && some.1 == all.1, "{some:?} {all:?}");
}

#[test]
fn any_model_can_be_looked_at() {
    let desk = Desk::new("native-inspect");
    for (file, words) in [
        ("xgboost-3.2-binary.json", "XGBoost, version 3.2.0"),
        ("lightgbm-3.3-binary.txt", "LightGBM, version v3"),
        ("catboost-1.2-oblivious.json", "CatBoost, version 1.2.10"),
        ("scikit-learn-boosting.onnx", "ONNX, version skl2onnx 1.20"),
    ] {
        let ran = desk.ok(&format!("model inspect {FOREIGN}/{file}"));
        assert!(ran.out.contains(words) && ran.out.contains("a probability"), "{ran:?}");
        let found = desk.ok(&format!("model inspect {FOREIGN}/{file} --json")).json();
        let shares: f64 = found["importance"]
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| entry["share"].as_f64().unwrap())
            .sum();
        assert!((shares - 1.0).abs() < 1e-9, "{found}");
    }
}

/// Scores of a replay with an imported model, beside the probabilities that its own margins give on the feature matrix.
fn check_replay(desk: &Desk, native: &str) {
    desk.ok(&format!("model import {native} --detector card-handbook --out m.model"));
    desk.ok("replay --detector card-handbook --model m.model --in a.csv --out d.csv");
    let scores = desk.ok(&format!("model score --model {native} --in f.csv")).out;
    let decided = desk.text("d.csv");
    let mut lines = decided.lines();
    let header: Vec<&str> = lines.next().unwrap().split(',').collect();
    let column = header.iter().position(|name| *name == "score").unwrap();
    let replayed: Vec<f64> =
        lines.map(|line| line.split(',').nth(column).unwrap().parse().unwrap()).collect();
    let scored: Vec<f64> = scores.lines().map(|line| line.parse().unwrap()).collect();
    assert_eq!(replayed, scored);
    assert!(scored.iter().any(|score| *score > 0.5) && scored.iter().any(|score| *score < 0.1));
}

#[test]
fn an_imported_model_decides_as_its_library_would() {
    let desk = Desk::new("native-import");
    desk.ok("simulate --detector card-handbook --rows 4000 --seed 5 --out a.csv");
    desk.ok("features --detector card-handbook --in a.csv --out f.csv");
    // Both have the detector's features, in another order.
    check_replay(&desk, LIGHTGBM);
    check_replay(&desk, XGBOOST);
    let found = desk.ok("model inspect m.model --json").json();
    assert_eq!(found["engine"], "xgboost");
    assert_eq!(found["parameters"]["objective"], "binary:logistic");
    let ran = desk.ok(&format!("model import {XGBOOST} --detector card-handbook --out n.model --json"));
    assert_eq!(ran.json()["reordered"], true);
    assert_eq!(desk.read("m.model"), desk.read("n.model"));
    let ran = desk.run("evaluate --detector card-handbook --model m.model --in a.csv");
    assert!(
        ran.code == 2 && ran.err.contains("the model does not say when it was trained: give --from"),
        "{ran:?}"
    );
    desk.ok("evaluate --detector card-handbook --model m.model --in a.csv --from 2018-04-01");
}

#[test]
fn a_model_that_does_not_fit_the_detector_is_not_taken_in() {
    let desk = Desk::new("native-misfit");
    desk.ok("simulate --detector card-handbook --rows 3000 --out a.csv");
    desk.ok("train --detector card-handbook --in a.csv --trees 3 --out ours.model");
    let text = std::fs::read_to_string(LIGHTGBM).unwrap();
    desk.write("renamed.txt", text.replace("terminal_risk_7d", "shop_risk_7d"));
    desk.write("cut.txt", &text[..text.len() / 3]);
    for (arguments, expected) in [
        (
            "renamed.txt --detector card-handbook",
            vec![
                "terminal_risk_7d    -                   missing",
                "-                   shop_risk_7d        unknown",
            ],
        ),
        (
            &format!("{LIGHTGBM} --detector ulb"),
            vec!["are not those of the detector ulb", "customer_mean_1d"],
        ),
        (
            &format!("{FOREIGN}/xgboost-3.2-binary-ubj.ubj --detector ulb"),
            vec!["has 4 features without names, the detector ulb has"],
        ),
        (
            &format!("{FOREIGN}/xgboost-3.2-squared.ubj --detector ulb"),
            vec!["gives no probability: its objective is reg:squarederror"],
        ),
        ("ours.model --detector card-handbook", vec!["is a redflag model already"]),
        (
            "cut.txt --detector card-handbook",
            vec!["cannot read model cut.txt: LightGBM text: the file is cut off: expected"],
        ),
        ("absent.txt --detector card-handbook", vec!["cannot read model absent.txt"]),
    ] {
        let ran = desk.run(&format!("model import {arguments} --out x.model"));
        assert_eq!(ran.code, 2, "{arguments}: {ran:?}");
        for part in expected {
            assert!(ran.err.contains(part), "{arguments}: {}", ran.err);
        }
    }
    assert!(!desk.files().iter().any(|name| name.starts_with('x')), "{:?}", desk.files());
}
