//! Models of other libraries give the margins that their libraries give; `fixtures/models/make_models.py` made them.

use std::path::{Path, PathBuf};

use forest::Scratch;
use forest::read::{NativeModel, read};

pub fn models() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/models")
}

pub fn load(name: &str) -> NativeModel {
    read(&std::fs::read(models().join(name)).expect(name)).expect(name)
}

/// Every model file of the fixtures that is read.
pub fn all() -> Vec<PathBuf> {
    let files = std::fs::read_dir(models()).expect("fixtures").map(|entry| entry.expect("an entry").path());
    let is_model = |path: &PathBuf| {
        !path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("refused"))
            && path
                .extension()
                .is_some_and(|ending| ["json", "ubj", "txt", "onnx"].iter().any(|known| ending == *known))
    };
    let mut models: Vec<PathBuf> = files.filter(is_model).collect();
    models.sort();
    models
}

/// A line of a fixture: what the library gives, and the features.
struct Case {
    margin: f64,
    prediction: f64,
    row: Vec<f64>,
}

fn cases(model: &Path) -> Vec<Case> {
    let text = std::fs::read_to_string(model.with_extension("csv")).expect("rows beside the model");
    let number = |cell: &str| if cell.is_empty() { f64::NAN } else { cell.parse().expect("a number") };
    let case = |line: &str| {
        let numbers: Vec<f64> = line.split(',').map(number).collect();
        Case { margin: numbers[0], prediction: numbers[1], row: numbers[2..].to_vec() }
    };
    text.lines().map(case).collect()
}

/// Allows 0 for a margin that must be the same to the last bit.
fn check(start: &str, margin_tolerance: f64, prediction_tolerance: f64) {
    let models: Vec<PathBuf> = all()
        .into_iter()
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(start)))
        .collect();
    assert!(!models.is_empty(), "no fixtures of {start}");
    let mut wrong = Vec::new();
    for path in models {
        let model = load(&path.file_name().expect("a file").to_string_lossy());
        let scorer = model.forest.scorer();
        let mut scratch = Scratch::default();
        for (at, case) in cases(&path).iter().enumerate() {
            let margin = scorer.margin(&case.row, &mut scratch);
            let score = scorer.score(&case.row, &mut scratch);
            let same = (margin - case.margin).abs() <= margin_tolerance;
            // Predictions in single precision: relative, for counts that are large.
            let near =
                (score - case.prediction).abs() <= prediction_tolerance * case.prediction.abs().max(1.0);
            if !same || !near {
                let (name, Case { margin: theirs, prediction, row }) = (path.display(), case);
                wrong.push(format!("{name} line {at}: {margin} {theirs}, {score} {prediction}: {row:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong, as\n{}", wrong.len(), wrong[..wrong.len().min(20)].join("\n"));
}

#[test]
fn xgboost_margins_are_the_same_to_the_last_bit() {
    check("xgboost", 0.0, 1e-6);
}

#[test]
fn lightgbm_margins_are_the_same_to_the_last_bit() {
    check("lightgbm", 0.0, 1e-12);
}

#[test]
fn catboost_margins_are_the_same_to_a_trillionth() {
    check("catboost", 1e-12, 1e-9);
}

#[test]
fn scikit_learns_margins_are_the_same_to_a_ten_millionth() {
    check("scikit-learn", 1e-7, 1e-7);
}

#[test]
fn every_mode_of_onnx_is_read() {
    check("onnx-every-mode", 1e-7, 1e-7);
    check("onnx-version5", 0.0, 0.0);
}

/// XGBoost adds in single precision, and LightGBM's leaves are rounded to it in the file.
#[test]
fn models_converted_to_onnx_are_near_their_origin() {
    check("onnx-from", 1e-6, 1e-6);
}
