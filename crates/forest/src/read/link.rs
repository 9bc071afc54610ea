//! Nodes in whatever order a file has them, to a sound tree.

use crate::ensemble::{Leaf, Node, Split, Test, Tree};

use super::ReadError;

/// The tree that hangs from `root`, its nodes numbered anew from there, children after parents.
///
/// `node` gives what the file has at an index of `reached`; children are indices of the file. Nodes that the root
/// does not reach are left out: pruning leaves such in XGBoost's files. `reached` says which nodes are in a tree already.
///
/// # Errors
/// If a child does not exist or has two parents (so also if there is a cycle), a number is not finite, or a feature
/// does not exist. Names the index of the file.
pub(super) fn link(
    tree: usize,
    reached: &mut [bool],
    root: usize,
    features: usize,
    node: impl Fn(usize) -> Result<Node, ReadError>,
) -> Result<Tree, ReadError> {
    let count = reached.len();
    let mut nodes = Vec::new();
    // (index in the file, parent's index in `nodes`, whether it is the left child)
    let mut todo = vec![(root, None)];
    while let Some((at, parent)) = todo.pop() {
        let fail = |problem: String| Err(ReadError::Node { tree, node: at, problem });
        match reached.get_mut(at) {
            None => return fail(format!("expected a node below {count}")),
            Some(true) => return fail("two splits lead here".to_owned()),
            Some(reached) => *reached = true,
        }
        let place = nodes.len();
        attach(&mut nodes, parent, place as u32);
        let node = node(at)?;
        if let Some(problem) = problem(&node, features) {
            return fail(problem);
        }
        if let Node::Split(split) = &node {
            todo.push((split.right as usize, Some((place, false))));
            todo.push((split.left as usize, Some((place, true))));
        }
        nodes.push(node);
    }
    Ok(Tree { nodes })
}

fn attach(nodes: &mut [Node], parent: Option<(usize, bool)>, child: u32) {
    let Some((parent, is_left)) = parent else { return };
    if let Node::Split(split) = &mut nodes[parent] {
        *(if is_left { &mut split.left } else { &mut split.right }) = child;
    }
}

/// What is wrong with a node by itself. Soundness as a whole is judged again where every forest is.
fn problem(node: &Node, features: usize) -> Option<String> {
    match node {
        Node::Leaf(Leaf { value, .. }) if !value.is_finite() => {
            Some(format!("leaf: expected a finite number, got {value}"))
        }
        Node::Split(Split { feature, .. }) if *feature as usize >= features => {
            Some(format!("feature {feature} is not one of the {features} features"))
        }
        Node::Split(Split { test: Test::Below(threshold) | Test::AtMost(threshold), .. })
            if !threshold.is_finite() =>
        {
            Some(format!("threshold: expected a number, got {threshold}"))
        }
        _ => None,
    }
}

/// A test, and whether it is the opposite that sends a value left.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Condition {
    pub(super) test: Test,
    pub(super) negated: bool,
}

/// What a comparison asks of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Relation {
    Below,
    AtMost,
    Above,
    AtLeast,
    Equal,
    NotEqual,
}

impl Condition {
    /// `x relation threshold`, with finite bounds even where the threshold is infinite. A threshold that is NaN stays, and
    /// is refused later.
    pub(super) fn compare(relation: Relation, threshold: f64) -> Condition {
        let (test, negated) = match relation {
            Relation::Below => (below(threshold), false),
            Relation::AtLeast => (below(threshold), true),
            Relation::AtMost => return Condition::at_most(threshold),
            Relation::Above => return Condition::at_most(threshold).not(),
            Relation::Equal => return Condition::equal(threshold),
            Relation::NotEqual => return Condition::equal(threshold).not(),
        };
        Condition { test, negated }
    }

    fn at_most(threshold: f64) -> Condition {
        match threshold {
            // Everything is: the opposite of nothing.
            f64::INFINITY => Condition { test: Test::Within([].into()), negated: true },
            f64::NEG_INFINITY => Condition { test: Test::Below(f64::MIN), negated: false },
            _ => Condition { test: Test::AtMost(threshold), negated: false },
        }
    }

    fn equal(value: f64) -> Condition {
        match value {
            f64::INFINITY => Condition { test: Test::AtMost(f64::MAX), negated: true },
            f64::NEG_INFINITY => Condition { test: Test::Below(f64::MIN), negated: false },
            _ if value.is_nan() => Condition { test: Test::Below(value), negated: false },
            _ => Condition { test: Test::Within([[value, value.next_up()]].into()), negated: false },
        }
    }

    /// The opposite, for every value that is not missing.
    pub(super) fn not(self) -> Condition {
        Condition { negated: !self.negated, ..self }
    }
}

fn below(threshold: f64) -> Test {
    match threshold {
        f64::INFINITY => Test::AtMost(f64::MAX),
        f64::NEG_INFINITY => Test::Within([].into()),
        _ => Test::Below(threshold),
    }
}

/// Where a split of a file leads: if its condition holds, if not, and whether a missing value goes where it holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ways {
    pub(super) yes: u32,
    pub(super) no: u32,
    pub(super) missing_yes: bool,
}

impl Ways {
    /// (left, right, whether missing goes left) of a split whose test is the condition's.
    pub(super) fn of(self, condition: &Condition) -> (u32, u32, bool) {
        if condition.negated {
            (self.no, self.yes, !self.missing_yes)
        } else {
            (self.yes, self.no, self.missing_yes)
        }
    }
}

/// Ranges of the categories that are read by truncation, from ascending categories without repetition.
pub(super) fn truncated(categories: impl Iterator<Item = u32>) -> Vec<[f64; 2]> {
    let mut ranges: Vec<[f64; 2]> = Vec::new();
    for category in categories {
        let (from, to) = (f64::from(category), f64::from(category) + 1.0);
        match ranges.last_mut() {
            Some([_, end]) if *end == from => *end = to,
            _ => ranges.push([from, to]),
        }
    }
    ranges
}

/// A figure of training that decides no score: unknown rather than wrong where it is no number.
pub(super) fn known(figure: f64) -> f64 {
    if figure.is_finite() { figure } else { 0.0 }
}

/// [`known`], for weights, which are not negative.
pub(super) fn known_cover(cover: f64) -> f64 {
    known(cover).max(0.0)
}

/// Most features that a file may declare without naming them: so a short file cannot ask for much memory.
pub(super) const UNNAMED_FEATURES_MAX: usize = 65_536;

/// Names for features that have none: f0, f1 and so on.
pub(super) fn made_up_names(count: usize) -> Result<Vec<String>, ReadError> {
    if count > UNNAMED_FEATURES_MAX {
        let problem = format!("features: expected at most {UNNAMED_FEATURES_MAX} without names, got {count}");
        return Err(ReadError::Header(problem));
    }
    Ok((0..count).map(|at| format!("f{at}")).collect())
}
