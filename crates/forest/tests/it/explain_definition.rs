//! Contributions of random forests against their definition: a sum over all sets of features.

use forest::Forest;
use forest::explain::{Explainer, Scratch};
use proptest::prelude::*;

const FEATURES: usize = 5;

/// A random tree, children after parents.
#[derive(Clone, Debug)]
enum Node {
    Leaf { value: f64, cover: f64 },
    Split { feature: usize, test: Test, missing_left: bool, children: [Box<Node>; 2] },
}

#[derive(Clone, Copy, Debug)]
enum Test {
    Below(f64),
    AtMost(f64),
    Within([f64; 2]),
}

impl Node {
    fn cover(&self) -> f64 {
        match self {
            Node::Leaf { cover, .. } => *cover,
            Node::Split { children, .. } => children.iter().map(|child| child.cover()).sum(),
        }
    }

    fn side(&self, row: &[f64]) -> usize {
        let Node::Split { feature, test, missing_left, .. } = self else { unreachable!("a split") };
        let x = row[*feature];
        let left = match test {
            _ if x.is_nan() => *missing_left,
            Test::Below(threshold) => x < *threshold,
            Test::AtMost(threshold) => x <= *threshold,
            Test::Within([from, to]) => (*from..*to).contains(&x),
        };
        usize::from(!left)
    }

    /// The mean by cover where only the features of a set (as bits) are known.
    fn by_cover(&self, row: &[f64], known: usize) -> f64 {
        match self {
            Node::Leaf { value, .. } => *value,
            Node::Split { feature, children, .. } if known >> feature & 1 == 1 => {
                children[self.side(row)].by_cover(row, known)
            }
            Node::Split { children, .. } => {
                let sum: f64 = children.iter().map(|child| child.cover() * child.by_cover(row, known)).sum();
                sum / self.cover()
            }
        }
    }

    fn output(&self, row: &[f64]) -> f64 {
        self.by_cover(row, usize::MAX)
    }

    fn write(&self, nodes: &mut Vec<String>) -> usize {
        let at = nodes.len();
        nodes.push(String::new());
        let cover = self.cover();
        nodes[at] = match self {
            Node::Leaf { value, .. } => format!(r#"{{"leaf":{value},"cover":{cover}}}"#),
            Node::Split { feature, test, missing_left, children } => {
                let test = match test {
                    Test::Below(threshold) => format!(r#""below":{threshold}"#),
                    Test::AtMost(threshold) => format!(r#""at_most":{threshold}"#),
                    Test::Within([from, to]) => format!(r#""within":[[{from},{to}]]"#),
                };
                let missing = if *missing_left { "left" } else { "right" };
                let [left, right] = [&children[0], &children[1]].map(|child| child.write(nodes));
                format!(
                    r#"{{"feature":{feature},{test},"missing":"{missing}","left":{left},"right":{right},"gain":0,"cover":{cover}}}"#
                )
            }
        };
        at
    }
}

fn node() -> impl Strategy<Value = Node> {
    let leaf = (-2.0..2.0, 1..20u32)
        .prop_map(|(value, cover): (f64, u32)| Node::Leaf { value, cover: f64::from(cover) });
    // Thresholds and values from a coarse grid, so that they meet.
    let test = prop_oneof![
        (0..5i32).prop_map(|at| Test::Below(f64::from(at))),
        (0..5i32).prop_map(|at| Test::AtMost(f64::from(at))),
        (0..4i32, 1..3i32).prop_map(|(at, width)| Test::Within([f64::from(at), f64::from(at + width)])),
    ];
    leaf.prop_recursive(6, 60, 2, move |child| {
        (0..FEATURES, test.clone(), any::<bool>(), child.clone(), child).prop_map(
            |(feature, test, missing_left, left, right)| {
                let children = [Box::new(left), Box::new(right)];
                Node::Split { feature, test, missing_left, children }
            },
        )
    })
}

fn row() -> impl Strategy<Value = Vec<f64>> {
    proptest::collection::vec(prop_oneof![4 => (0..6i32).prop_map(f64::from), 1 => Just(f64::NAN)], FEATURES)
}

fn forest(trees: &[Node]) -> Forest {
    let tree = |tree: &Node| {
        let mut nodes = Vec::new();
        tree.write(&mut nodes);
        format!(r#"{{"nodes":[{}]}}"#, nodes.join(","))
    };
    let trees: Vec<String> = trees.iter().map(tree).collect();
    let text = format!(
        r#"{{"format":"redflag-forest","version":2,"features":["a","b","c","d","e"],"values":"double",
"output":{{"summation":"double","start":0.25,"divisor":2,"scale":3,"bias":-1,"link":"identity"}},
"trees":[{}]}}"#,
        trees.join(",")
    );
    Forest::from_json(&text).expect("a sound forest")
}

/// Shapley values of a game, from its value for every set of players.
fn shapley(game: impl Fn(usize) -> f64) -> Vec<f64> {
    let values: Vec<f64> = (0..1 << FEATURES).map(game).collect();
    let factorial = |n: usize| (1..=n).map(|k| k as f64).product::<f64>();
    (0..FEATURES)
        .map(|player| {
            let without = (0..1usize << FEATURES).filter(|set| set >> player & 1 == 0);
            without
                .map(|set| {
                    let size = set.count_ones() as usize;
                    let weight = factorial(size) * factorial(FEATURES - size - 1) / factorial(FEATURES);
                    weight * (values[set | 1 << player] - values[set])
                })
                .sum()
        })
        .collect()
}

fn check(explainer: &Explainer, row: &[f64], game: impl Fn(usize) -> f64) {
    // Scale and divisor of the forest's output.
    let margin = |sum: f64| -1.0 + 3.0 * ((0.25 + sum) / 2.0);
    assert!((explainer.expected() - margin(game(0))).abs() < 1e-12);
    let mut ours = vec![0.0; FEATURES];
    explainer.explain(row, &mut Scratch::default(), &mut ours);
    for (ours, theirs) in ours.iter().zip(shapley(game)) {
        assert!((ours - 1.5 * theirs).abs() < 1e-12, "{ours} against {}", 1.5 * theirs);
    }
}

proptest! {
    #[test]
    fn path_dependent_is_the_definition(trees in proptest::collection::vec(node(), 1..4), row in row()) {
        let explainer = Explainer::path_dependent(&forest(&trees)).expect("covers are known");
        check(&explainer, &row, |known| trees.iter().map(|tree| tree.by_cover(&row, known)).sum());
    }

    #[test]
    fn interventional_is_the_definition(
        trees in proptest::collection::vec(node(), 1..4),
        row in row(),
        background in proptest::collection::vec(row(), 1..8),
    ) {
        let explainer = Explainer::interventional(&forest(&trees), &background.concat()).expect("a background");
        check(&explainer, &row, |known| {
            let mixed = |other: &Vec<f64>| -> Vec<f64> {
                (0..FEATURES).map(|at| if known >> at & 1 == 1 { row[at] } else { other[at] }).collect()
            };
            let output = |row: &[f64]| -> f64 { trees.iter().map(|tree| tree.output(row)).sum() };
            background.iter().map(|other| output(&mixed(other))).sum::<f64>() / background.len() as f64
        });
    }
}
