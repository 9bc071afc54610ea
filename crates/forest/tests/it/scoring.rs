//! Scoring: every layout gives the plain walk's result, bit for bit.

use forest::grow::{Algorithm, Params, grow};
use forest::{Forest, Scratch};
use proptest::prelude::*;

use crate::table::sample;

/// A tree as a list of choices; rendered as a document so that only the public API is used.
#[derive(Clone, Debug)]
struct Shape {
    feature: u32,
    threshold: f64,
    missing_left: bool,
    value: f64,
}

const FEATURES: usize = 4;

/// Values that meet thresholds exactly, or are special.
fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => (-6i32..6).prop_map(|x| f64::from(x) / 2.0),
        2 => any::<f64>(),
        1 => prop::sample::select(vec![
            f64::NAN, -f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0, f64::MIN_POSITIVE, 5e-324, f64::MAX,
        ]),
    ]
}

fn shape() -> impl Strategy<Value = Shape> {
    let threshold = value().prop_map(|x| if x.is_finite() { x } else { 1.0 });
    (0..FEATURES as u32, threshold, any::<bool>(), -2.0..2.0f64).prop_map(
        |(feature, threshold, missing_left, value)| Shape { feature, threshold, missing_left, value },
    )
}

/// A tree whose node `i` has its first child at `2i + 1`: the first half of the shapes splits. With `chain`, only
/// right children split, and the tree is as deep as it has splits.
fn tree(shapes: &[Shape], chain: bool) -> String {
    let splits = shapes.len() / 2;
    let nodes: Vec<String> = (0..2 * splits + 1)
        .map(|at| {
            let is_split = if chain { at < 2 * splits && at % 2 == 0 } else { at < splits };
            let left = if chain { at + 1 } else { 2 * at + 1 };
            node(&shapes[at % shapes.len()], is_split.then_some(left))
        })
        .collect();
    format!("{{\"nodes\":[{}]}}", nodes.join(","))
}

fn node(shape: &Shape, left: Option<usize>) -> String {
    let Some(left) = left else { return format!("{{\"leaf\":{:e}}}", shape.value) };
    let missing = if shape.missing_left { "left" } else { "right" };
    format!(
        "{{\"feature\":{},\"below\":{:e},\"missing\":\"{missing}\",\"left\":{left},\"right\":{},\"gain\":1.0}}",
        shape.feature,
        shape.threshold,
        left + 1
    )
}

fn document(trees: &[(Vec<Shape>, bool)]) -> String {
    let trees: Vec<String> = trees.iter().map(|(shapes, chain)| tree(shapes, *chain)).collect();
    format!(
        "{{\"format\":\"redflag-forest\",\"version\":2,\"features\":[\"a\",\"b\",\"c\",\"d\"],\"values\":\"double\",\
         \"output\":{{\"summation\":\"double\",\"start\":0,\"divisor\":1,\"scale\":1,\"bias\":0.25,\"link\":\"logistic\"}},\
         \"trees\":[{}]}}",
        trees.join(",")
    )
}

/// The plain walk over a tree's shapes: what the documentation says, in the fewest words.
fn walk(shapes: &[Shape], chain: bool, row: &[f64]) -> f64 {
    let splits = shapes.len() / 2;
    let mut at = 0;
    loop {
        let shape = &shapes[at % shapes.len()];
        if if chain { at >= 2 * splits || at % 2 == 1 } else { at >= splits } {
            return shape.value;
        }
        let x = row[shape.feature as usize];
        let left = if x.is_nan() { shape.missing_left } else { x < shape.threshold };
        let first = if chain { at + 1 } else { 2 * at + 1 };
        at = if left { first } else { first + 1 };
    }
}

fn check(trees: &[(Vec<Shape>, bool)], rows: &[f64]) {
    let forest = Forest::from_json(&document(trees)).expect("the document is sound");
    let scorer = forest.scorer();
    let mut scratch = Scratch::default();
    let mut batch = Vec::new();
    scorer.score_batch(rows, &mut scratch, &mut batch);
    assert_eq!(batch.len(), rows.len() / FEATURES);
    for (row, in_batch) in rows.chunks_exact(FEATURES).zip(batch) {
        let sum = trees.iter().fold(0.0, |sum, (shapes, chain)| sum + walk(shapes, *chain, row));
        assert_eq!(scorer.margin(row, &mut scratch).to_bits(), (0.25 + sum).to_bits(), "{row:?}");
        assert_eq!(scorer.score(row, &mut scratch).to_bits(), in_batch.to_bits(), "{row:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Up to depth 8: complete trees, in blocks and one by one.
    #[test]
    fn shallow_trees_score_like_the_walk(
        trees in prop::collection::vec((prop::collection::vec(shape(), 1..400), Just(false)), 1..20),
        rows in prop::collection::vec(value(), 0..40 * FEATURES),
    ) {
        check(&trees, &rows[..rows.len() / FEATURES * FEATURES]);
    }

    /// Chains up to depth 40 among complete ones: linked nodes.
    #[test]
    fn deep_trees_score_like_the_walk(
        trees in prop::collection::vec((prop::collection::vec(shape(), 20..80), any::<bool>()), 1..20),
        rows in prop::collection::vec(value(), 0..20 * FEATURES),
    ) {
        check(&trees, &rows[..rows.len() / FEATURES * FEATURES]);
    }
}

/// One feature with more distinct thresholds than two bytes can rank: the plain walk.
#[test]
fn very_many_thresholds_score_like_the_walk() {
    let count = 70_000;
    let shapes: Vec<Shape> = (0..2 * count)
        .map(|at| Shape {
            feature: 0,
            threshold: ((at * 7919) % count) as f64,
            missing_left: at % 2 == 0,
            value: at as f64,
        })
        .collect();
    let rows: Vec<f64> = (0..40).flat_map(|at| [at as f64 * 1800.5, 0.0, f64::NAN, 1.0]).collect();
    check(&[(shapes, false)], &rows);
}

/// Exactly 255 thresholds still fit a byte, 256 do not; both must be right at every one of them.
#[test]
fn ranks_are_right_around_the_size_of_a_byte() {
    for count in [254, 255, 256, 257] {
        let trees: Vec<(Vec<Shape>, bool)> = (0..count)
            .map(|at| {
                let shape =
                    |value| Shape { feature: 2, threshold: at as f64, missing_left: at % 3 == 0, value };
                (vec![shape(0.0), shape(1.0), shape(1e3)], false)
            })
            .collect();
        let rows: Vec<f64> =
            (-1..=count).flat_map(|at| [0.0, 0.0, at as f64, 0.0]).chain([0.0, 0.0, f64::NAN, 0.0]).collect();
        check(&trees, &rows);
    }
}

#[test]
fn an_empty_batch_has_no_scores() {
    let sample = sample(500, 4, 3);
    let forest = grow(&sample.table(), &Params::defaults(Algorithm::Gbdt), 1, &mut |_| {}).unwrap();
    let mut out = vec![1.0];
    forest.scorer().score_batch(&[], &mut Scratch::default(), &mut out);
    assert!(out.is_empty());
}

#[test]
fn one_scratch_serves_many_scorers() {
    let (small, large) = (sample(600, 4, 4), sample(600, 9, 5));
    let mut scratch = Scratch::default();
    for _ in 0..2 {
        for (sample, algorithm) in [(&small, Algorithm::Gbdt), (&large, Algorithm::RandomForest)] {
            let params = Params { trees: 30, ..Params::defaults(algorithm) };
            let scorer = grow(&sample.table(), &params, 1, &mut |_| {}).unwrap().scorer();
            let fresh = scorer.score(&sample.row(7), &mut Scratch::default());
            assert_eq!(scorer.score(&sample.row(7), &mut scratch).to_bits(), fresh.to_bits());
        }
    }
}
