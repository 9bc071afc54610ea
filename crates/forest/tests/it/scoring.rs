//! Scoring: every layout on every kind of vector instructions gives the plain walk's result, bit for bit.

use std::fmt::Write;

use forest::grow::{Algorithm, Params, grow};
use forest::{Forest, Instructions, Scratch};
use proptest::prelude::*;

use crate::table::sample;

const FEATURES: usize = 4;

/// A split, or a leaf.
#[derive(Clone, Debug)]
struct Shape {
    feature: usize,
    test: Test,
    missing: Missing,
    missing_left: bool,
    value: f64,
}

#[derive(Clone, Debug)]
enum Test {
    Below(f64),
    AtMost(f64),
    Within(Vec<[f64; 2]>),
}

#[derive(Clone, Copy, Debug)]
enum Missing {
    Nan,
    NanOrZero,
    Never,
}

/// How splits hang together.
#[derive(Clone, Copy, Debug)]
enum Growth {
    /// Node i has its children at 2i + 1 and 2i + 2.
    Balanced,
    /// Only right children split: as deep as there are splits.
    Chain,
    /// The open leaf that the shape's value picks splits next.
    LeafWise,
    /// Every level asks the question of its first node.
    Symmetric,
}

#[derive(Clone, Debug)]
struct Tree {
    shapes: Vec<Shape>,
    /// By node: its children, if it splits.
    children: Vec<Option<[usize; 2]>>,
}

#[derive(Clone, Copy, Debug)]
struct Output {
    single_values: bool,
    summation: &'static str,
}

impl Tree {
    fn new(shapes: &[Shape], growth: Growth) -> Tree {
        let splits = shapes.len() / 2;
        let mut tree = Tree { shapes: vec![shapes[0].clone()], children: vec![None] };
        for at in 0..splits {
            let node = match growth {
                Growth::Balanced => at,
                Growth::Chain => 2 * at,
                Growth::LeafWise => tree.open_leaf(shapes[at].value),
                Growth::Symmetric => at,
            };
            tree.split(node, shapes);
        }
        if let Growth::Symmetric = growth {
            tree.make_symmetric(shapes);
        }
        tree
    }

    fn split(&mut self, node: usize, shapes: &[Shape]) {
        let left = self.shapes.len();
        self.children[node] = Some([left, left + 1]);
        for child in [left, left + 1] {
            self.shapes.push(shapes[child % shapes.len()].clone());
            self.children.push(None);
        }
    }

    fn open_leaf(&self, pick: f64) -> usize {
        let open: Vec<usize> = (0..self.children.len()).filter(|&at| self.children[at].is_none()).collect();
        open[(pick.abs() * 1e6) as usize % open.len()]
    }

    /// Keeps whole levels only and asks one question on each.
    fn make_symmetric(&mut self, shapes: &[Shape]) {
        let depth = (shapes.len() / 2 + 1).ilog2() as usize;
        let nodes: usize = (2 << depth) - 1;
        *self = Tree { shapes: vec![], children: vec![] };
        for at in 0..nodes {
            let level = (at + 1).ilog2() as usize;
            let question = if level < depth { level } else { at };
            self.shapes.push(Shape {
                value: shapes[at % shapes.len()].value + at as f64,
                ..shapes[question % shapes.len()].clone()
            });
            self.children.push((level < depth).then_some([2 * at + 1, 2 * at + 2]));
        }
    }

    /// What the documentation says, in the fewest words.
    fn walk(&self, row: &[f64], single: bool) -> f64 {
        let mut at = 0;
        while let Some([left, right]) = self.children[at] {
            let shape = &self.shapes[at];
            let x = row[shape.feature];
            at = if shape.goes_left(if single { f64::from(x as f32) } else { x }) { left } else { right };
        }
        self.shapes[at].value
    }

    fn document(&self) -> String {
        let nodes: Vec<String> = self
            .shapes
            .iter()
            .zip(&self.children)
            .map(|(shape, children)| shape.document(*children))
            .collect();
        format!("{{\"nodes\":[{}]}}", nodes.join(","))
    }
}

impl Shape {
    fn goes_left(&self, x: f64) -> bool {
        let zero = f64::from(1e-35f32);
        let x = match self.missing {
            Missing::Nan if x.is_nan() => return self.missing_left,
            Missing::NanOrZero if x.is_nan() || x.abs() <= zero => return self.missing_left,
            Missing::Never if x.is_nan() => 0.0,
            _ => x,
        };
        match &self.test {
            Test::Below(threshold) => x < *threshold,
            Test::AtMost(threshold) => x <= *threshold,
            Test::Within(ranges) => ranges.iter().any(|[from, to]| *from <= x && x < *to),
        }
    }

    fn document(&self, children: Option<[usize; 2]>) -> String {
        let Some([left, right]) = children else { return format!("{{\"leaf\":{:e}}}", self.value) };
        let test = match &self.test {
            Test::Below(threshold) => format!("\"below\":{threshold:e}"),
            Test::AtMost(threshold) => format!("\"at_most\":{threshold:e}"),
            Test::Within(ranges) => format!("\"within\":{ranges:?}"),
        };
        let missing_values = match self.missing {
            Missing::Nan => "",
            Missing::NanOrZero => ",\"missing_values\":\"nan-or-zero\"",
            Missing::Never => ",\"missing_values\":\"never\"",
        };
        let side = if self.missing_left { "left" } else { "right" };
        format!(
            "{{\"feature\":{},{test}{missing_values},\"missing\":\"{side}\",\"left\":{left},\"right\":{right},\
             \"gain\":1.0}}",
            self.feature
        )
    }
}

impl Output {
    fn sum(self, outputs: impl Iterator<Item = f64>) -> f64 {
        match self.summation {
            "double" => outputs.fold(0.25, |sum, output| sum + output),
            "single" => f64::from(outputs.fold(0.25f32, |sum, output| sum + output as f32)),
            _ => {
                let mut lanes = [0.0; 8];
                outputs.enumerate().for_each(|(tree, output)| lanes[tree % 8] += output);
                let [a, b, c, d, e, f, g, h] = lanes;
                0.25 + (((a + e) + (c + g)) + ((b + f) + (d + h)))
            }
        }
    }
}

/// Values that meet thresholds exactly, or are special.
fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => (-6i32..6).prop_map(|x| f64::from(x) / 2.0),
        1 => (-6i32..6).prop_map(|x| (f64::from(x) / 2.0).next_up()),
        2 => any::<f64>(),
        1 => prop::sample::select(vec![
            f64::NAN, -f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0, f64::MIN_POSITIVE, 5e-324, f64::MAX,
            f64::MIN, 1e-35, -1e-35, f64::from(1e-35f32), f64::from(1e-35f32).next_up(),
        ]),
    ]
}

fn threshold() -> impl Strategy<Value = f64> {
    value().prop_map(|x| if x.is_finite() { x } else { 1.0 })
}

fn ranges() -> impl Strategy<Value = Vec<[f64; 2]>> {
    prop::collection::vec(threshold(), 2..8).prop_map(|mut bounds| {
        bounds.sort_by(f64::total_cmp);
        bounds.dedup_by(|a, b| a == b);
        bounds.as_chunks().0.to_vec()
    })
}

/// Splits of forests with sets, or without.
fn shape(sets: bool) -> impl Strategy<Value = Shape> {
    let test = prop_oneof![
        6 => threshold().prop_map(Test::Below),
        3 => threshold().prop_map(Test::AtMost),
        u32::from(sets) * 3 + 1 => (ranges(), threshold()).prop_map(move |(ranges, threshold)| {
            if sets { Test::Within(ranges) } else { Test::Below(threshold) }
        }),
    ];
    let missing =
        prop_oneof![6 => Just(Missing::Nan), 1 => Just(Missing::NanOrZero), 1 => Just(Missing::Never)];
    (0..FEATURES, test, missing, any::<bool>(), -2.0..2.0f64).prop_map(
        |(feature, test, missing, missing_left, value)| Shape { feature, test, missing, missing_left, value },
    )
}

fn output() -> impl Strategy<Value = Output> {
    (any::<bool>(), prop::sample::select(vec!["double", "single", "eight-lanes"]))
        .prop_map(|(single_values, summation)| Output { single_values, summation })
}

fn document(trees: &[Tree], output: Output) -> String {
    let values = if output.single_values { "single" } else { "double" };
    let mut text = format!(
        "{{\"format\":\"redflag-forest\",\"version\":2,\"features\":[\"a\",\"b\",\"c\",\"d\"],\
         \"values\":\"{values}\",\"output\":{{\"summation\":\"{}\",\"start\":0.25,\"divisor\":1,\"scale\":1,\
         \"bias\":0,\"link\":\"logistic\"}},\"trees\":[",
        output.summation
    );
    for (at, tree) in trees.iter().enumerate() {
        write!(text, "{}{}", if at == 0 { "" } else { "," }, tree.document()).expect("writing to a string");
    }
    text + "]}"
}

fn check(trees: &[Tree], output: Output, rows: &[f64]) {
    let forest = Forest::from_json(&document(trees, output)).expect("the document is sound");
    let mut scratch = Scratch::default();
    let rows = &rows[..rows.len() / FEATURES * FEATURES];
    let expected: Vec<u64> = rows
        .chunks_exact(FEATURES)
        .map(|row| output.sum(trees.iter().map(|tree| tree.walk(row, output.single_values))).to_bits())
        .collect();
    for instructions in [Instructions::Avx512, Instructions::Avx2, Instructions::Portable] {
        let scorer = forest.scorer_on(instructions);
        let mut batch = Vec::new();
        scorer.margin_batch(rows, &mut scratch, &mut batch);
        let batch: Vec<u64> = batch.iter().map(|margin| margin.to_bits()).collect();
        assert_eq!(batch, expected, "{} in a batch", scorer.describe());
        for (row, expected) in rows.chunks_exact(FEATURES).zip(&expected) {
            let margin = scorer.margin(row, &mut scratch);
            assert_eq!(margin.to_bits(), *expected, "{}: {row:?}: {margin}", scorer.describe());
        }
    }
}

fn trees(
    count: std::ops::Range<usize>,
    shapes: std::ops::Range<usize>,
    growths: &'static [Growth],
    sets: bool,
) -> impl Strategy<Value = Vec<Tree>> {
    let tree = (prop::collection::vec(shape(sets), shapes), prop::sample::select(growths))
        .prop_map(|(shapes, growth)| Tree::new(&shapes, growth));
    prop::collection::vec(tree, count)
}

fn rows() -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec(value(), 0..150 * FEATURES)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn complete_trees_score_like_the_walk(
        trees in trees(1..80, 1..200, &[Growth::Balanced], false), output in output(), rows in rows(),
    ) {
        check(&trees, output, &rows);
    }

    #[test]
    fn symmetric_trees_score_like_the_walk(
        trees in trees(1..80, 1..400, &[Growth::Symmetric], false), output in output(), rows in rows(),
    ) {
        check(&trees, output, &rows);
    }

    #[test]
    fn leaf_wise_trees_score_like_the_walk(
        trees in trees(1..80, 1..70, &[Growth::LeafWise, Growth::Chain], false), output in output(), rows in rows(),
    ) {
        check(&trees, output, &rows);
    }

    #[test]
    fn trees_with_sets_score_like_the_walk(
        trees in trees(1..80, 1..70, &[Growth::Balanced, Growth::LeafWise, Growth::Chain], true),
        output in output(),
        rows in rows(),
    ) {
        check(&trees, output, &rows);
    }

    /// Too deep to be evaluated whole.
    #[test]
    fn deep_trees_score_like_the_walk(
        trees in trees(1..6, 400..700, &[Growth::Balanced, Growth::LeafWise, Growth::Chain], false),
        output in output(),
        rows in rows(),
    ) {
        check(&trees, output, &rows);
    }

    #[test]
    fn deep_trees_with_sets_score_like_the_walk(
        trees in trees(1..6, 400..700, &[Growth::LeafWise], true), output in output(), rows in rows(),
    ) {
        check(&trees, output, &rows);
    }
}

const PLAIN: Output = Output { single_values: false, summation: "double" };

fn below(feature: usize, threshold: f64, missing_left: bool, value: f64) -> Shape {
    Shape { feature, test: Test::Below(threshold), missing: Missing::Nan, missing_left, value }
}

/// One feature with more distinct thresholds than two bytes can rank.
#[test]
fn very_many_thresholds_score_like_the_walk() {
    let count = 70_000;
    let shapes: Vec<Shape> =
        (0..2 * count).map(|at| below(0, ((at * 7919) % count) as f64, at % 2 == 0, at as f64)).collect();
    let rows: Vec<f64> = (0..40).flat_map(|at| [at as f64 * 1800.5, 0.0, f64::NAN, 1.0]).collect();
    check(&[Tree::new(&shapes, Growth::Balanced)], PLAIN, &rows);
}

/// How many thresholds fit a slot, a search of one, two and three steps, and a table of slots: right at each of them.
#[test]
fn ranks_are_right_around_every_size() {
    for count in [1, 14, 15, 16, 17, 254, 255, 256, 257, 511, 512, 4095, 4096, 4097, 17_000] {
        let trees: Vec<Tree> = (0..count)
            .map(|at| {
                let shape = |value| below(2, at as f64, at % 3 == 0, value);
                Tree::new(&[shape(0.0), shape(1.0), shape(1e3)], Growth::Balanced)
            })
            .collect();
        let step = 1 + count / 600;
        let rows: Vec<f64> = (-1..=count)
            .step_by(step as usize)
            .flat_map(|at| [0.0, 0.0, at as f64, 0.0])
            .chain([0.0, 0.0, f64::NAN, 0.0])
            .collect();
        check(&trees, PLAIN, &rows);
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
