//! What every reader of model files owes: any bytes are a model or an error, soon, and in memory in proportion; and a
//! model scores any row and can be written as one of our own.

use forest::read::{Options, read_with};
use forest::{Forest, Scratch};
use libfuzzer_sys::Corpus;

/// Checks bytes that have `mark` near their start; others are left to the target of their format.
pub fn check(bytes: &[u8], mark: &[u8]) -> Corpus {
    if !bytes.iter().take(64).copied().collect::<Vec<u8>>().windows(mark.len()).any(|part| part == mark) {
        return Corpus::Reject;
    }
    for all_trees in [false, true] {
        match read_with(bytes, &Options { all_trees }) {
            Err(error) => assert!(!error.to_string().is_empty()),
            Ok(model) => check_forest(&model.forest, model.trees_in_file),
        }
    }
    Corpus::Keep
}

fn check_forest(forest: &Forest, trees_in_file: usize) {
    assert!(forest.tree_count() <= trees_in_file);
    let scorer = forest.scorer();
    let mut scratch = Scratch::default();
    for value in [f64::NAN, 0.0, -0.0, 1.0, f64::INFINITY, f64::NEG_INFINITY, 5e-324] {
        scorer.score(&vec![value; forest.feature_names().len()], &mut scratch);
    }
    let again = Forest::from_json(&forest.to_json());
    assert_eq!(again.as_ref(), Ok(forest));
}
