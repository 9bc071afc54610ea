use crate::ensemble::{Leaf, Node, Test, Tree};

use super::super::ReadError;
use super::super::link::{self, Condition, Relation};
use super::graph::Operator;
use super::{Parts, expect_length, header, integers, missing_passes, numbers, output, split};

/// `TreeEnsemble`, as ai.onnx.ml 5 has it: splits and leaves are numbered apart, and a child says which it is.
pub(super) fn read(operator: &Operator, features: usize) -> Result<Parts, ReadError> {
    let targets = operator.attribute("n_targets").map_or(1, |attribute| attribute.integer);
    let ensemble = Ensemble::new(operator)?;
    if targets != 1 || ensemble.leaf_targets.iter().any(|target| *target != 0) {
        return Err(ReadError::Unsupported(format!(
            "a tree ensemble of {targets} targets: a score is one number"
        )));
    }
    let mut trees = Vec::new();
    let mut reached = vec![false; 3 * ensemble.modes.len()];
    for root in integers(operator, "tree_roots") {
        trees.push(ensemble.tree(trees.len(), *root, features, &mut reached)?);
    }
    let number = |name: &str, default: i64| operator.attribute(name).map_or(default, |found| found.integer);
    let averaged = match number("aggregate_function", 1) {
        0 => true,
        1 => false,
        other => {
            return Err(ReadError::Unsupported(format!(
                "the aggregate_function {other}: expected a sum or a mean"
            )));
        }
    };
    let meaning = match number("post_transform", 0) {
        0 => "NONE",
        2 => "LOGISTIC",
        other => {
            return Err(ReadError::Unsupported(format!(
                "the post_transform {other}: expected none or logistic"
            )));
        }
    };
    let output = output(trees.len(), averaged, 0.0, super::last_step(meaning, false)?);
    Ok(Parts { trees, output, meaning: meaning.to_owned() })
}

struct Ensemble<'o> {
    features: &'o [i64],
    modes: Vec<u8>,
    values: Vec<f64>,
    yes: &'o [i64],
    no: &'o [i64],
    yes_is_leaf: &'o [i64],
    no_is_leaf: &'o [i64],
    tracks: &'o [i64],
    /// For each split that asks for membership the values, which are what such splits have in their order.
    members: Vec<Option<Vec<[f64; 2]>>>,
    leaf_targets: &'o [i64],
    leaf_values: Vec<f64>,
}

/// The mode of a split that asks whether a value is one of several.
const MEMBER: u8 = 6;

fn relation(mode: u8) -> Option<Relation> {
    Some(match mode {
        0 => Relation::AtMost,
        1 => Relation::Below,
        2 => Relation::AtLeast,
        3 => Relation::Above,
        4 => Relation::Equal,
        5 => Relation::NotEqual,
        _ => return None,
    })
}

impl<'o> Ensemble<'o> {
    fn new(operator: &'o Operator) -> Result<Ensemble<'o>, ReadError> {
        let modes = operator.attribute("nodes_modes").and_then(|modes| modes.tensor.as_ref()?.bytes());
        let modes = modes.ok_or_else(|| header("nodes_modes: expected a tensor of bytes".to_owned()))?;
        let ensemble = Ensemble {
            features: integers(operator, "nodes_featureids"),
            members: members(&modes, &numbers(operator, "membership_values")?)?,
            modes,
            values: numbers(operator, "nodes_splits")?,
            yes: integers(operator, "nodes_truenodeids"),
            no: integers(operator, "nodes_falsenodeids"),
            yes_is_leaf: integers(operator, "nodes_trueleafs"),
            no_is_leaf: integers(operator, "nodes_falseleafs"),
            tracks: integers(operator, "nodes_missing_value_tracks_true"),
            leaf_targets: integers(operator, "leaf_targetids"),
            leaf_values: numbers(operator, "leaf_weights")?,
        };
        ensemble.check()?;
        Ok(ensemble)
    }

    fn check(&self) -> Result<(), ReadError> {
        let count = self.modes.len();
        // Three numbers a split: its own, and one for each child that is a leaf.
        if u32::try_from(count.saturating_mul(3)).is_err() {
            return Err(header(format!("nodes_modes: {count} are too many")));
        }
        for (name, length) in [
            ("nodes_featureids", self.features.len()),
            ("nodes_splits", self.values.len()),
            ("nodes_truenodeids", self.yes.len()),
            ("nodes_falsenodeids", self.no.len()),
            ("nodes_trueleafs", self.yes_is_leaf.len()),
            ("nodes_falseleafs", self.no_is_leaf.len()),
        ] {
            expect_length(name, length, count)?;
        }
        expect_length("leaf_targetids", self.leaf_targets.len(), self.leaf_values.len())
    }

    /// A leaf may have several parents in the file, so each gets a copy: after the splits, two places for each of them.
    fn tree(&self, at: usize, root: i64, features: usize, reached: &mut [bool]) -> Result<Tree, ReadError> {
        let count = self.modes.len();
        let Some(root) = usize::try_from(root).ok().filter(|root| *root < count) else {
            return Err(header(format!("tree_roots: tree {at} has the root {root} of {count} nodes")));
        };
        link::link(at, reached, root, features, |node| match node.checked_sub(count) {
            None => self.split(at, node).map(Node::Split),
            Some(side) => {
                let parent = side / 2;
                let leaf = if side % 2 == 0 { self.yes[parent] } else { self.no[parent] };
                match usize::try_from(leaf).ok().and_then(|leaf| self.leaf_values.get(leaf)) {
                    Some(value) => Ok(Node::Leaf(Leaf { value: *value, cover: 0.0 })),
                    None => self.fail(at, parent, format!("there is no leaf {leaf}")),
                }
            }
        })
    }

    fn split(&self, at: usize, node: usize) -> Result<crate::ensemble::Split, ReadError> {
        let count = self.modes.len();
        let mode = self.modes[node];
        let relation = relation(mode);
        let condition = match (&relation, &self.members[node]) {
            (Some(relation), _) => Condition::compare(*relation, self.values[node]),
            (None, Some(ranges)) => {
                Condition { test: Test::Within(ranges.as_slice().into()), negated: false }
            }
            (None, None) => return self.fail(at, node, format!("unknown mode {mode}")),
        };
        let child = |id: i64, is_leaf: i64, leaf: usize| {
            if is_leaf != 0 {
                Some(leaf as u32)
            } else {
                u32::try_from(id).ok().filter(|id| (*id as usize) < count)
            }
        };
        let yes = child(self.yes[node], self.yes_is_leaf[node], count + 2 * node);
        let no = child(self.no[node], self.no_is_leaf[node], count + 2 * node + 1);
        let (Some(yes), Some(no)) = (yes, no) else {
            return self.fail(at, node, "a child is not there".to_owned());
        };
        let missing_yes = missing_passes(relation, self.tracks, node);
        match split(self.features[node], condition, yes, no, missing_yes) {
            Some(split) => Ok(split),
            None => self.fail(at, node, "the number of its feature is none".to_owned()),
        }
    }

    fn fail<T>(&self, tree: usize, node: usize, problem: String) -> Result<T, ReadError> {
        Err(ReadError::Node { tree, node, problem })
    }
}

/// The sets stand one after the other, with NaN between.
fn members(modes: &[u8], values: &[f64]) -> Result<Vec<Option<Vec<[f64; 2]>>>, ReadError> {
    let mut sets = values.split(|value| value.is_nan());
    let mut members = vec![None; modes.len()];
    for (mode, members) in modes.iter().zip(&mut members) {
        if *mode == MEMBER {
            let set = sets.next().ok_or_else(|| header("membership_values: too few sets".to_owned()))?;
            *members = Some(ranges(set));
        }
    }
    Ok(members)
}

/// Each value is a range that ends with the next number.
fn ranges(set: &[f64]) -> Vec<[f64; 2]> {
    // Adding 0.0 makes -0.0 into 0.0, with which it compares equal.
    let mut values: Vec<f64> = set.iter().map(|value| value + 0.0).collect();
    values.sort_unstable_by(f64::total_cmp);
    values.dedup();
    let mut ranges: Vec<[f64; 2]> = Vec::with_capacity(values.len());
    for value in values {
        match ranges.last_mut() {
            Some([_, end]) if *end == value => *end = value.next_up(),
            _ => ranges.push([value, value.next_up()]),
        }
    }
    ranges
}
