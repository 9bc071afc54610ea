//! Files that are cut off, damaged, inconsistent, or of models that a forest cannot be: each gets an error that says where.

use forest::Scratch;
use forest::read::{Options, read, read_with};
use serde_json::{Value, json};

use crate::readers::{all, load, models};

fn bytes(name: &str) -> Vec<u8> {
    std::fs::read(models().join(name)).expect(name)
}

/// What is said about bytes that must not be read.
fn refusal(bytes: &[u8]) -> String {
    match read(bytes) {
        Ok(model) => panic!("read as {:?}, {} trees", model.format, model.forest.tree_count()),
        Err(error) => error.to_string(),
    }
}

#[test]
fn what_a_forest_cannot_be_is_refused_by_name() {
    let cases = [
        ("xgboost-classes.json", "not supported: a model of 3 classes: a score is one number"),
        ("xgboost-targets.json", "not supported: a model of 2 targets: a score is one number"),
        ("xgboost-hinge.json", "not supported: the objective \"binary:hinge\""),
        ("xgboost-linear.json", "not supported: the booster \"gblinear\": expected gbtree or dart"),
        ("xgboost-dump.json", "not a model file: a list; is it a dump? save the model with save_model"),
        ("lightgbm-linear-leaves.txt", "not supported: linear models in leaves (tree 0, is_linear=1)"),
        ("lightgbm-sqrt.txt", "not supported: the objective \"regression sqrt\""),
        ("catboost-categories.json", "on \"channel\": train on numbers, or encode categories before"),
        (
            "catboost.cbm",
            "not a model file: CatBoost's binary format; save it with save_model(path, format=\"json\")",
        ),
        ("onnx-classes.onnx", "not supported: a classifier of 3 classes: expected two"),
        ("onnx-scaler.onnx", "not supported: the ONNX operator Scaler: it changes what the trees look at"),
    ];
    for (file, expected) in cases {
        let found = refusal(&bytes(&format!("refused-{file}")));
        assert!(found.contains(expected), "{file}: {found}");
    }
    for (file, expected) in [
        ("xgboost-config.json", "save_config writes none"),
        ("lightgbm-classes.txt", "num_class 3"),
        ("lightgbm-dump.json", "a JSON dump of LightGBM; save the model with save_model, as text"),
        ("catboost-classes.json", "a score is one number"),
    ] {
        let found = refusal(&bytes(&format!("refused-{file}")));
        assert!(found.contains(expected), "{file}: {found}");
    }
}

#[test]
fn what_is_no_model_is_told_apart() {
    let cases: [(&[u8], &str); 8] = [
        (b"", "the file is empty"),
        (b"id,amount\n1,2\n", "of no format that is read"),
        (b"\x80\x04\x95", "a Python pickle, which is a program"),
        (b"binf\0\0", "XGBoost's old binary format"),
        (b"<PMML/>", "XML"),
        (b"{\"a\":1}", "JSON, but without the members of a model"),
        (b"{\"a\":", "JSON: EOF while parsing"),
        (b"{\"learner\":1}", "XGBoost JSON: invalid type: integer `1`"),
    ];
    for (bytes, expected) in cases {
        let found = refusal(bytes);
        assert!(found.contains(expected), "{bytes:?}: {found}");
    }
}

/// A member of a document, what it becomes, and what that must be answered with.
type Edit<'a> = (&'a str, Value, &'a str);

fn check_edits(file: &str, start: &str, edits: &[Edit]) {
    let whole: Value = serde_json::from_slice(&bytes(file)).expect(file);
    for (place, value, expected) in edits {
        let mut document = whole.clone();
        let place = format!("{start}{place}");
        *document.pointer_mut(&place).unwrap_or_else(|| panic!("{file} has no {place}")) = value.clone();
        let found = refusal(document.to_string().as_bytes());
        assert!(found.contains(expected), "{file} {place} {value}: {found}");
    }
}

#[test]
fn inconsistent_xgboost_models_are_refused() {
    check_edits(
        "xgboost-3.2-binary.json",
        "/learner/gradient_booster/model/trees/1/",
        &[
            ("left_children/0", json!(0), "tree 1, node 0: two splits lead here"),
            ("left_children/1", json!(2), "tree 1, node 2: two splits lead here"),
            ("left_children/0", json!(999), "tree 1, node 999: expected a node below"),
            ("right_children/0", json!(-7), "tree 1, node 0: children: expected two"),
            ("split_indices/0", json!(4), "tree 1, node 0: feature 4 is not one of the 4"),
            ("split_conditions/0", json!(null), "tree 1, node 0: threshold: expected a number"),
            ("split_conditions", json!([0.5]), "tree 1, split_conditions: expected"),
            ("left_children", json!([]), "tree 1, right_children: expected 0 values"),
            ("split_type/0", json!(1), "tree 1, node 0: no categories are given"),
            ("id", json!(0), "trees: the one at place 1 has the id 0"),
        ],
    );
    check_edits(
        "xgboost-3.2-binary.json",
        "/learner/",
        &[
            ("gradient_booster/model/trees", json!([]), "trees: expected at least one"),
            ("gradient_booster/name", json!("dart"), "weight_drop: expected one for each of 6 trees"),
            ("learner_model_param/base_score", json!("[0.5,0.5]"), "a model of several outputs"),
            ("learner_model_param/base_score", json!("half"), "expected a number, got \"half\""),
            ("learner_model_param/base_score", json!("2"), "2 has no margin under binary:logistic"),
            ("learner_model_param/num_feature", json!("9"), "expected 9 as num_feature says, got 4"),
            ("feature_names", json!(["a", "b", "b", "c"]), "the name \"b\" is there twice"),
            ("attributes", json!({ "best_iteration": "x" }), "expected a whole number, got \"x\""),
        ],
    );
    check_edits(
        "xgboost-3.2-categories.json",
        "/learner/",
        &[(
            "learner_model_param/num_feature",
            json!("99999"),
            "expected at most 65536 without names, got 99999",
        )],
    );
}

#[test]
fn inconsistent_xgboost_categories_are_refused() {
    let file = "xgboost-3.2-categories.json";
    let document: Value = serde_json::from_slice(&bytes(file)).expect(file);
    let trees = document["learner"]["gradient_booster"]["model"]["trees"].as_array().expect("trees");
    let several = |tree: &Value| tree["categories_nodes"].as_array().is_some_and(|nodes| nodes.len() > 1);
    let at = trees.iter().position(several).expect("a tree with two splits by category");
    check_edits(
        file,
        &format!("/learner/gradient_booster/model/trees/{at}/"),
        &[
            ("categories_sizes/0", json!(1_000_000), "a segment is outside the list, or in another"),
            ("categories_sizes/0", json!(u64::MAX), "a segment is outside the list, or in another"),
            ("categories_segments/1", json!(u64::MAX), "a segment is outside the list, or in another"),
            ("categories/0", json!(-1), "expected numbers from 0 to 16777215"),
            ("categories_nodes/0", json!(9_999), "of a node that is not there"),
            ("categories_sizes", json!([]), "expected as many segments and sizes as nodes"),
        ],
    );
}

#[test]
fn inconsistent_catboost_models_are_refused() {
    check_edits(
        "catboost-1.2-oblivious.json",
        "/",
        &[
            (
                "oblivious_trees/2/leaf_values",
                json!([1.0]),
                "tree 2: 4 splits and 1 leaf_values do not match",
            ),
            ("oblivious_trees/2/leaf_weights", json!([1.0]), "tree 2: 1 leaf_weights for 16 leaf_values"),
            ("oblivious_trees/2/leaf_values/0", json!(null), "invalid type: null"),
            (
                "oblivious_trees/2/splits/3/float_feature_index",
                json!(7),
                "tree 2, node 0: there is no float feature 7",
            ),
            ("oblivious_trees/2/splits/3/border", json!(null), "tree 2, node 0: expected a border"),
            (
                "features_info/float_features/0/flat_feature_index",
                json!(8),
                "expected a number below 4, got 8",
            ),
            ("scale_and_bias/1", json!([1.0, 2.0]), "a model of 2 outputs"),
        ],
    );
    check_edits(
        "catboost-1.2-depthwise.json",
        "/trees/1/",
        &[
            ("left", json!(null), "tree 1, node 0: a split has split, left and right, a leaf has value"),
            ("split/split_type", json!("OneHotFeature"), "the categorical split OneHotFeature"),
        ],
    );
}

/// Replaces what a line of the second tree (or of the header) says.
fn with_line(text: &str, name: &str, value: &str) -> String {
    let from = text.find("Tree=1\n").filter(|at| text[*at..].contains(&format!("\n{name}="))).unwrap_or(0);
    let start = from + text[from..].find(&format!("\n{name}=")).expect(name) + 1;
    let end = start + text[start..].find('\n').expect("a line");
    format!("{}{name}={value}{}", &text[..start], &text[end..])
}

#[test]
fn inconsistent_lightgbm_models_are_refused() {
    let text = String::from_utf8(bytes("lightgbm-4.7-categories.txt")).expect("text");
    let text = with_line(&text, "tree_sizes", "1 1 1 1 1 1");
    let line = |name: &str| -> Vec<String> {
        let start = text.find("Tree=1\n").expect("a tree");
        let line = text[start..].lines().find_map(|line| line.strip_prefix(&format!("{name}="))).expect(name);
        line.split(' ').map(str::to_owned).collect()
    };
    let first = |name: &str, value: &str| {
        let mut words = line(name);
        words[0] = value.to_owned();
        with_line(&text, name, &words.join(" "))
    };
    for (edited, expected) in [
        (first("left_child", "0"), "tree 1, node 0: two splits lead here"),
        (first("left_child", "-99"), "tree 1, node 109: expected a node below"),
        (
            first("left_child", "9223372036854775808"),
            "tree 1, left_child: expected numbers, got \"9223372036854775808\"",
        ),
        (first("split_feature", "6"), "tree 1, node 0: feature 6 is not one of the 6"),
        (first("threshold", "nan"), "tree 1, node 0: thresh"),
        (first("decision_type", "12"), "tree 1, node 0: decision_type: 12 has an unknown missing type"),
        (first("cat_boundaries", "9"), "tree 1, cat_boundaries: 9 to"),
        (first("leaf_value", "inf"), "leaf: expected a finite number, got inf"),
        (with_line(&text, "num_leaves", "0"), "tree 1, num_leaves: expected at least 1, got 0"),
        (
            with_line(&text, "num_leaves", "1000000000000"),
            "tree 1, split_feature: expected 999999999999 numbers",
        ),
        (with_line(&text, "leaf_value", "0.5"), "tree 1, leaf_value: expected"),
        (with_line(&text, "tree_sizes", "1 1"), "tree_sizes: expected one for each of 6 trees"),
        (
            with_line(&text, "max_feature_idx", "3"),
            "feature_names: expected 3 + 1 as max_feature_idx says, got 6",
        ),
        (with_line(&text, "num_tree_per_iteration", "3"), "num_tree_per_iteration 3"),
        (with_line(&text, "objective", "lambda"), "not supported: the objective \"lambda\""),
    ] {
        let found = refusal(edited.as_bytes());
        assert!(found.contains(expected), "{expected}: {found}");
    }
}

/// Whatever is cut off shows, even the last digit of the last number: then a number is there, but a smaller one.
#[test]
fn a_file_that_was_cut_off_is_refused() {
    for path in all() {
        let whole = std::fs::read(&path).expect("a fixture");
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        // What follows LightGBM's trees decides nothing, and white space may end a JSON file.
        let needed = match whole.windows(12).position(|part| part == b"end of trees") {
            Some(end) => end - 2,
            None => whole.trim_ascii_end().len(),
        };
        // A message of protocol buffers may end after any field, and what is left of the graph may still be one.
        let must_fail = !name.ends_with("onnx");
        for length in (0..needed).step_by(needed / 150 + 1).chain(needed.saturating_sub(20)..needed) {
            match read(&whole[..length]) {
                Ok(_) => assert!(!must_fail, "{name} cut to {length} bytes of {needed} was read"),
                Err(error) => assert!(!error.to_string().is_empty()),
            }
        }
    }
}

/// A generator of numbers that need not be good ones.
fn next(state: &mut u64) -> usize {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    (*state >> 16) as usize
}

/// Words that files are made of, and numbers at the edges of what types hold.
const WORDS: [&[u8]; 14] = [
    b"-1",
    b"0",
    b"9",
    b"99999999",
    b"4294967295",
    b"9223372036854775807",
    b"1e999",
    b"NaN",
    b"null",
    b"[",
    b"}",
    b"\"",
    b"\xff\xff\xff\xff\xff\xff\xff\x7f",
    b"$#L",
];

#[test]
fn damaged_files_never_panic() {
    let mut state = 0x9e37_79b9_7f4a_7c15;
    for path in all() {
        let whole = std::fs::read(&path).expect("a fixture");
        for _ in 0..120 {
            let mut damaged = whole.clone();
            for _ in 0..1 + next(&mut state) % 3 {
                let at = next(&mut state) % damaged.len();
                match next(&mut state) % 4 {
                    0 => damaged[at] ^= 1 << (next(&mut state) % 8),
                    1 => damaged[at] = b"0123456789-.,=: "[next(&mut state) % 16],
                    2 => drop(damaged.splice(
                        at..(at + next(&mut state) % 9).min(whole.len()).max(at).min(damaged.len()),
                        [],
                    )),
                    _ => drop(damaged.splice(at..at, WORDS[next(&mut state) % WORDS.len()].iter().copied())),
                }
            }
            let options = Options { all_trees: next(&mut state).is_multiple_of(2) };
            if let Ok(model) = read_with(&damaged, &options) {
                let row = vec![1.5; model.forest.feature_names().len()];
                model.forest.scorer().score(&row, &mut Scratch::default());
            }
        }
    }
}

#[test]
fn a_stopped_training_uses_its_best_trees_only() {
    for file in [
        "xgboost-1.0-stopped.json",
        "xgboost-1.7-stopped.ubj",
        "xgboost-2.1-stopped.ubj",
        "xgboost-3.2-stopped.ubj",
    ] {
        let (best, whole) = (load(file), read_with(&bytes(file), &Options { all_trees: true }).expect(file));
        assert!(best.forest.tree_count() < best.trees_in_file, "{file}");
        assert_eq!(whole.forest.tree_count(), best.trees_in_file, "{file}");
    }
}

#[test]
fn names_are_the_models_own_or_made_up() {
    let of = |file: &str| {
        let model = load(file);
        (model.named, model.forest.feature_names().join("|"))
    };
    assert_eq!(
        of("xgboost-3.2-binary.json"),
        (true, "rate|nb d'achats|amount (usd) €|score\"1\"".to_owned())
    );
    assert_eq!(of("xgboost-3.2-binary-ubj.ubj"), (false, "f0|f1|f2|f3".to_owned()));
    assert_eq!(of("lightgbm-4.7-zero.txt"), (false, "f0|f1|f2|f3".to_owned()));
    assert!(of("lightgbm-4.7-binary.txt").0);
    assert_eq!(of("catboost-1.2-oblivious.json"), (true, "rate|count|amount, usd|šcore".to_owned()));
    assert_eq!(of("scikit-learn-forest.onnx"), (false, "f0|f1|f2|f3".to_owned()));
}
