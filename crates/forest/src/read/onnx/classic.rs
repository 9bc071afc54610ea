use std::collections::HashMap;

use crate::ensemble::{Leaf, Node, Tree};

use super::super::ReadError;
use super::super::link::{self, Condition, Relation};
use super::graph::Operator;
use super::{Parts, expect_length, header, integers, missing_passes, numbers, output, split};

/// `TreeEnsembleClassifier` and `TreeEnsembleRegressor`.
pub(super) fn read(operator: &Operator, features: usize) -> Result<Parts, ReadError> {
    let nodes = Nodes::new(operator)?;
    let is_classifier = operator.kind == "TreeEnsembleClassifier";
    let outputs = if is_classifier { classifier(operator)? } else { regressor(operator)? };
    let leaves = nodes.leaves(&outputs)?;
    let mut trees: Vec<Tree> = Vec::new();
    let mut reached = vec![false; nodes.ids.len()];
    for tree in &nodes.trees {
        trees.push(nodes.tree(trees.len(), tree, &leaves, features, &mut reached)?);
    }
    let transform = text(operator, "post_transform", "NONE");
    let aggregate = text(operator, "aggregate_function", "SUM");
    if !matches!(aggregate.as_str(), "SUM" | "AVERAGE") {
        return Err(ReadError::Unsupported(format!(
            "the aggregate_function {aggregate}: expected SUM or AVERAGE"
        )));
    }
    let link = super::last_step(&transform, is_classifier && shares(&trees))?;
    let output = output(trees.len(), aggregate == "AVERAGE", outputs.base, link);
    Ok(Parts { trees, output, meaning: transform })
}

fn text(operator: &Operator, name: &str, default: &str) -> String {
    let found =
        operator.attribute(name).map(|attribute| String::from_utf8_lossy(attribute.text).into_owned());
    found.filter(|text| !text.is_empty()).unwrap_or(default.to_owned())
}

/// Whether the trees' outputs add up to at most 1 and are not negative: shares of a class, as forests give.
fn shares(trees: &[Tree]) -> bool {
    /// For the rounding of single precision.
    const MARGIN: f64 = 1e-4;
    let values = |tree: &Tree| -> Vec<f64> {
        let leaf = |node: &Node| if let Node::Leaf(leaf) = node { Some(leaf.value) } else { None };
        tree.nodes.iter().filter_map(leaf).collect()
    };
    let largest = |tree: &Tree| values(tree).into_iter().fold(0.0, f64::max);
    trees.iter().all(|tree| values(tree).iter().all(|value| (0.0..=1.0).contains(value)))
        && trees.iter().map(largest).sum::<f64>() <= 1.0 + MARGIN
}

/// What leaves give, and to which of the outputs.
struct Outputs<'o> {
    /// `class` or `target`: how the attributes begin.
    prefix: &'static str,
    trees: &'o [i64],
    nodes: &'o [i64],
    ids: &'o [i64],
    weights: Vec<f64>,
    /// The one output that counts, if leaves have several.
    wanted: Option<i64>,
    base: f64,
}

impl<'o> Outputs<'o> {
    fn new(operator: &'o Operator, prefix: &'static str) -> Result<Outputs<'o>, ReadError> {
        let name = |rest: &str| format!("{prefix}_{rest}");
        let weights = numbers(operator, &name("weights"))?;
        let (trees, nodes) = (integers(operator, &name("treeids")), integers(operator, &name("nodeids")));
        let ids = integers(operator, &name("ids"));
        for (rest, list) in [("treeids", trees), ("nodeids", nodes), ("ids", ids)] {
            expect_length(&name(rest), list.len(), weights.len())?;
        }
        Ok(Outputs { prefix, trees, nodes, ids, weights, wanted: None, base: 0.0 })
    }
}

/// Of two classes either both have their own sums, or there is one sum, for the second class, whatever its id.
fn classifier<'o>(operator: &'o Operator) -> Result<Outputs<'o>, ReadError> {
    let labels = ["classlabels_int64s", "classlabels_strings"].map(|name| {
        operator.attribute(name).map_or(0, |attribute| attribute.integers.len().max(attribute.texts.len()))
    });
    let classes = labels[0].max(labels[1]);
    if classes != 2 {
        return Err(ReadError::Unsupported(format!("a classifier of {classes} classes: expected two")));
    }
    let mut outputs = Outputs::new(operator, "class")?;
    let first = outputs.ids.first().copied().unwrap_or(0);
    let both = outputs.ids.iter().any(|id| *id != first);
    outputs.wanted = both.then_some(1);
    let base = numbers(operator, "base_values")?;
    outputs.base = match base.as_slice() {
        [] => 0.0,
        [base] if !both => *base,
        [_, second] => *second,
        _ => return Err(header(format!("base_values: expected one for each class, got {}", base.len()))),
    };
    Ok(outputs)
}

fn regressor<'o>(operator: &'o Operator) -> Result<Outputs<'o>, ReadError> {
    let targets = operator.attribute("n_targets").map_or(1, |attribute| attribute.integer);
    let mut outputs = Outputs::new(operator, "target")?;
    if targets != 1 || outputs.ids.iter().any(|id| *id != 0) {
        return Err(ReadError::Unsupported(format!(
            "a regressor of {targets} targets: a score is one number"
        )));
    }
    let base = numbers(operator, "base_values")?;
    outputs.base = match base.as_slice() {
        [] => 0.0,
        [base] => *base,
        _ => return Err(header(format!("base_values: expected one, got {}", base.len()))),
    };
    Ok(outputs)
}

/// One entry of every array a node; a node is named by the numbers of its tree and of itself.
struct Nodes<'o> {
    ids: &'o [i64],
    features: &'o [i64],
    modes: Vec<Mode>,
    values: Vec<f64>,
    yes: &'o [i64],
    no: &'o [i64],
    tracks: &'o [i64],
    /// Trees in the order of their first nodes.
    trees: Vec<TreeNodes>,
    places: HashMap<(i64, i64), u32>,
}

/// Places in the arrays.
struct TreeNodes {
    number: i64,
    root: usize,
}

#[derive(Clone, Copy)]
enum Mode {
    Leaf,
    Branch(Relation),
}

fn mode(text: &[u8]) -> Option<Mode> {
    Some(match text {
        b"LEAF" => Mode::Leaf,
        b"BRANCH_LEQ" => Mode::Branch(Relation::AtMost),
        b"BRANCH_LT" => Mode::Branch(Relation::Below),
        b"BRANCH_GTE" => Mode::Branch(Relation::AtLeast),
        b"BRANCH_GT" => Mode::Branch(Relation::Above),
        b"BRANCH_EQ" => Mode::Branch(Relation::Equal),
        b"BRANCH_NEQ" => Mode::Branch(Relation::NotEqual),
        _ => return None,
    })
}

impl<'o> Nodes<'o> {
    fn new(operator: &'o Operator) -> Result<Nodes<'o>, ReadError> {
        let tree_ids = integers(operator, "nodes_treeids");
        let modes = modes(operator)?;
        let nodes = Nodes {
            ids: integers(operator, "nodes_nodeids"),
            features: integers(operator, "nodes_featureids"),
            modes,
            values: numbers(operator, "nodes_values")?,
            yes: integers(operator, "nodes_truenodeids"),
            no: integers(operator, "nodes_falsenodeids"),
            tracks: integers(operator, "nodes_missing_value_tracks_true"),
            trees: Vec::new(),
            places: HashMap::new(),
        };
        let count = tree_ids.len();
        if u32::try_from(count).is_err() {
            return Err(header(format!("nodes_treeids: {count} are too many")));
        }
        for (name, length) in [
            ("nodes_nodeids", nodes.ids.len()),
            ("nodes_featureids", nodes.features.len()),
            ("nodes_modes", nodes.modes.len()),
            ("nodes_values", nodes.values.len()),
            ("nodes_truenodeids", nodes.yes.len()),
            ("nodes_falsenodeids", nodes.no.len()),
        ] {
            expect_length(name, length, count)?;
        }
        nodes.placed(tree_ids)
    }

    /// Finds the trees and the places of their nodes. The first node of a tree is its root.
    fn placed(mut self, tree_ids: &[i64]) -> Result<Nodes<'o>, ReadError> {
        let mut seen = HashMap::new();
        for (at, (tree, node)) in tree_ids.iter().zip(self.ids).enumerate() {
            if seen.insert(*tree, ()).is_none() {
                self.trees.push(TreeNodes { number: *tree, root: at });
            }
            if self.places.insert((*tree, *node), at as u32).is_some() {
                return Err(header(format!("nodes_nodeids: tree {tree} has two nodes {node}")));
            }
        }
        Ok(self)
    }

    /// What each node gives, if anything, to the output that counts.
    fn leaves(&self, outputs: &Outputs) -> Result<Vec<Option<f64>>, ReadError> {
        let mut leaves = vec![None; self.ids.len()];
        let entries = outputs.trees.iter().zip(outputs.nodes).zip(outputs.ids).zip(&outputs.weights);
        for (((tree, node), id), weight) in entries {
            let Some(place) = self.places.get(&(*tree, *node)) else {
                let prefix = outputs.prefix;
                return Err(header(format!("{prefix}_nodeids: tree {tree} has no node {node}")));
            };
            let wanted = outputs.wanted.is_none_or(|wanted| wanted == *id);
            if wanted && leaves[*place as usize].replace(*weight).is_some() {
                return Err(header(format!("{}_weights: tree {tree}, node {node} has two", outputs.prefix)));
            }
        }
        Ok(leaves)
    }

    fn tree(
        &self,
        at: usize,
        tree: &TreeNodes,
        leaves: &[Option<f64>],
        features: usize,
        reached: &mut [bool],
    ) -> Result<Tree, ReadError> {
        link::link(at, reached, tree.root, features, |node| {
            let Mode::Branch(relation) = self.modes[node] else {
                return Ok(Node::Leaf(Leaf { value: leaves[node].unwrap_or(0.0), cover: 0.0 }));
            };
            let fail = |problem: &str| Err(ReadError::Node { tree: at, node, problem: problem.to_owned() });
            let child = |id: i64| self.places.get(&(tree.number, id)).copied();
            let (Some(yes), Some(no)) = (child(self.yes[node]), child(self.no[node])) else {
                return fail("a child is not there");
            };
            let condition = Condition::compare(relation, self.values[node]);
            let missing_yes = missing_passes(Some(relation), self.tracks, node);
            match split(self.features[node], condition, yes, no, missing_yes) {
                Some(split) => Ok(Node::Split(split)),
                None => fail("the number of its feature is none"),
            }
        })
    }
}

fn modes(operator: &Operator) -> Result<Vec<Mode>, ReadError> {
    let texts = operator.attribute("nodes_modes").map_or(&[][..], |attribute| &attribute.texts);
    let named = |text: &&[u8]| {
        mode(text)
            .ok_or_else(|| ReadError::Unsupported(format!("nodes_modes {:?}", String::from_utf8_lossy(text))))
    };
    texts.iter().map(named).collect()
}
