//! The JSON form: bit-exact there and back, and nothing unsound comes in.

use forest::grow::{Algorithm, Params, grow};
use forest::{Forest, Scratch};
use proptest::prelude::*;

use crate::table::sample;

fn small_forest(algorithm: Algorithm) -> Forest {
    let sample = sample(400, 5, 11);
    let trees = if algorithm == Algorithm::DecisionTree { 1 } else { 3 };
    let params = Params { trees, max_depth: Some(3), ..Params::defaults(algorithm) };
    grow(&sample.table(), &params, 1, &mut |_| {}).expect("a good table")
}

#[test]
fn reading_gives_back_what_was_written() {
    for algorithm in [Algorithm::Gbdt, Algorithm::RandomForest, Algorithm::DecisionTree] {
        let forest = small_forest(algorithm);
        let text = forest.to_json();
        let back = Forest::from_json(&text).unwrap();
        assert_eq!(back, forest);
        assert_eq!(back.to_json(), text);
        let embedded = serde_json::to_string(&forest).unwrap();
        assert_eq!(serde_json::from_str::<Forest>(&embedded).unwrap(), forest);
    }
}

const LEAF: &str = r#"{"leaf":0.5,"cover":1}"#;

fn with_nodes(nodes: &str) -> String {
    format!(
        r#"{{"format":"redflag-forest","version":2,"features":["a","b"],"values":"double",
"output":{{"summation":"double","start":0,"divisor":1,"scale":1,"bias":0,"link":"probability"}},
"trees":[{{"nodes":[{nodes}]}}]}}"#
    )
}

fn split(feature: &str, threshold: &str, left: &str, right: &str) -> String {
    format!(
        r#"{{"feature":{feature},"below":{threshold},"missing":"left","left":{left},"right":{right},"gain":1,"cover":2}}"#
    )
}

fn refused(text: &str) -> String {
    Forest::from_json(text).expect_err(text).to_string()
}

#[test]
fn errors_say_where() {
    let two = format!("{LEAF},{LEAF}");
    let cases = [
        (split("2", "1", "1", "2"), "tree 0, node 0: feature 2 is not one of the 2 features"),
        (split("0", "1", "0", "2"), "tree 0, node 0: left: expected a node in 1..3, got 0"),
        (split("0", "1", "1", "3"), "tree 0, node 0: right: expected a node in 1..3, got 3"),
        (split("0", "1", "1", "1"), "tree 0, node 0: right: node 1 already has a parent"),
    ];
    for (split, message) in cases {
        assert_eq!(refused(&with_nodes(&format!("{split},{two}"))), message);
    }
    assert_eq!(refused(&with_nodes(&two)), "tree 0, node 1: no split leads here");
    assert_eq!(
        refused(&with_nodes(r#"{"leaf":1.5}"#)),
        "tree 0, node 0: leaf: expected a probability in [0, 1], got 1.5"
    );
    assert_eq!(
        refused(&with_nodes(r#"{"leaf":0.5,"cover":-1}"#)),
        "tree 0, node 0: cover: expected a finite number of at least 0, got -1"
    );
    assert!(refused(&with_nodes("")).starts_with("tree 0, node 0: expected 1 to"));
    assert!(refused(&with_nodes(r#"{"leaf":0.5,"gain":1}"#)).starts_with("tree 0, node 0: a split has"));
    assert!(refused(&with_nodes(r#"{"leaf":0.5,"colour":1}"#)).contains("unknown field `colour`"));
}

#[test]
fn numbers_that_are_none_are_refused() {
    for threshold in ["1e999", "-1e999", "NaN", "null", "\"1\""] {
        let nodes = format!("{},{LEAF},{LEAF}", split("0", threshold, "1", "2"));
        refused(&with_nodes(&nodes));
    }
}

#[test]
fn headers_are_checked() {
    let good = with_nodes(LEAF);
    Forest::from_json(&good).unwrap();
    assert!(refused(&good.replace("\"version\":2", "\"version\":1")).contains("version 1"));
    assert!(refused(&good.replace("redflag-forest", "another")).contains("another"));
    assert!(
        refused(&good.replace("[\"a\",\"b\"]", "[\"a\",\"a\"]")).contains("the name \"a\" is there twice")
    );
    let no_trees = good.split("\"trees\"").next().unwrap().to_owned() + "\"trees\":[]}";
    assert_eq!(refused(&no_trees), "trees: expected at least one");
}

/// A long chain is legal; nothing may recurse along it.
#[test]
fn a_very_deep_tree_is_read_and_scored() {
    let depth = 100_000;
    let mut nodes: Vec<String> = Vec::new();
    for at in 0..depth {
        nodes.push(split("0", &at.to_string(), &(2 * at + 1).to_string(), &(2 * at + 2).to_string()));
        nodes.push(LEAF.to_owned());
    }
    nodes.push(r#"{"leaf":1.0}"#.to_owned());
    let forest = Forest::from_json(&with_nodes(&nodes.join(","))).unwrap();
    assert_eq!(forest.max_depth(), depth);
    let scorer = forest.scorer();
    assert_eq!(scorer.score(&[1e9, 0.0], &mut Scratch::default()), 1.0);
    assert_eq!(scorer.score(&[-1.0, 0.0], &mut Scratch::default()), 0.5);
}

/// One deep tree among many tiny ones must not make each of them as large as the deep one.
#[test]
fn padding_stays_in_proportion() {
    let deep = small_forest(Algorithm::Gbdt).to_json();
    let leaves = ",{\"nodes\":[{\"leaf\":0.25}]}".repeat(20_000);
    let text = deep.trim_end().strip_suffix("]}").unwrap().to_owned() + &leaves + "]}";
    let forest = Forest::from_json(&text).unwrap();
    let margin = forest.scorer().margin(&[0.5; 5], &mut Scratch::default());
    assert!((margin - 5000.0).abs() < 10.0);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever bytes are changed, removed or doubled: an error or a forest that scores, never a panic.
    #[test]
    fn mutated_documents_never_panic(
        gbdt in any::<bool>(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0u8..4, any::<u8>()), 1..6),
    ) {
        let text = small_forest(if gbdt { Algorithm::Gbdt } else { Algorithm::RandomForest }).to_json();
        let mut bytes = text.into_bytes();
        for (place, kind, byte) in edits {
            let at = place.index(bytes.len());
            match kind {
                0 => bytes[at] = b"0123456789-eE.,[]{}\"tnl"[usize::from(byte) % 23],
                1 => { bytes.remove(at); }
                2 => bytes.insert(at, b"0123456789"[usize::from(byte) % 10]),
                _ => bytes.truncate(bytes.len().max(2) - usize::from(byte) % 2),
            }
        }
        if let Ok(text) = String::from_utf8(bytes)
            && let Ok(forest) = Forest::from_json(&text)
        {
            let row = vec![0.5; forest.feature_names().len()];
            let score = forest.scorer().score(&row, &mut Scratch::default());
            prop_assert!((0.0..=1.0).contains(&score));
            prop_assert_eq!(Forest::from_json(&forest.to_json()).unwrap(), forest);
        }
    }
}
