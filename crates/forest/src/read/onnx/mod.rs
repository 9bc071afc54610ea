//! ONNX models that are one tree ensemble: `TreeEnsembleClassifier` and `TreeEnsembleRegressor` of `ai.onnx.ml` 1 to 3, and
//! `TreeEnsemble` of 5 (<https://onnx.ai/onnx/operators/index_ai.onnx.ml.html>). So scikit-learn's models arrive, through
//! skl2onnx.
//!
//! Values are compared in the precision of the graph's input. Leaves are added in double precision: the file's
//! single-precision leaves then give scikit-learn's own result within 1e-7, which sums in single precision, as ONNX
//! Runtime makes in an order that depends on its threads, miss by more.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use crate::ensemble::{Forest, Link, Missing, Output, Precision, Split, Summation, Tree};

use super::link::{Condition, Relation, Ways, made_up_names};
use super::{Library, NativeModel, ReadError};

mod wire;
mod graph;
/// The operators of versions 1 to 3.
mod classic;
/// The operator of version 5.
mod version5;

use graph::{Attribute, DOUBLE, FLOAT, Graph, INT32, INT64, Input, Model, Operator};
use wire::WireError;

pub(super) const ONNX: &str = "ONNX";

pub(super) fn read(bytes: &[u8]) -> Result<NativeModel, ReadError> {
    let model = Model::read(bytes)?;
    let (operator, row) = find_ensemble(&model.graph)?;
    let (features, named) = row.features(integers(operator, "nodes_featureids"))?;
    let parts = match operator.kind {
        "TreeEnsemble" => version5::read(operator, features.len())?,
        _ => classic::read(operator, features.len())?,
    };
    let trees_in_file = parts.trees.len();
    let objective = format!("{}, {}", operator.kind, parts.meaning);
    let forest = Forest { features, values: row.values, output: parts.output, trees: parts.trees }.check()?;
    let version = [model.producer, model.producer_version].join(" ").trim().to_owned();
    Ok(NativeModel {
        forest,
        library: Library::Onnx,
        format: ONNX,
        version: Some(version).filter(|version| !version.is_empty()),
        objective: Some(objective),
        trees_in_file,
        named,
    })
}

impl From<WireError> for ReadError {
    fn from(WireError(problem): WireError) -> ReadError {
        ReadError::Syntax { format: ONNX, problem }
    }
}

/// What an operator says.
struct Parts {
    trees: Vec<Tree>,
    output: Output,
    /// The last step from sum to score, in its words.
    meaning: String,
}

/// What arrives at an operator: inputs of the graph, one after the other, perhaps rounded. Shared, since a graph may have
/// many operators.
#[derive(Clone)]
struct Row<'g> {
    inputs: Rc<[&'g Input<'g>]>,
    values: Precision,
}

impl Row<'_> {
    /// How many values it has, where the graph says.
    fn width(&self) -> Option<usize> {
        self.inputs.iter().map(|input| input.width()).try_fold(0usize, |sum, width| sum.checked_add(width?))
    }

    /// Names of the features, and whether they are the model's own: each column is an input of its own then.
    /// Where it does not say how many there are, there are as many as the splits look at.
    fn features(&self, used: &[i64]) -> Result<(Vec<String>, bool), ReadError> {
        let used = used.iter().max().map_or(0, |highest| highest.saturating_add(1));
        let width = self.width().unwrap_or(usize::try_from(used).unwrap_or(usize::MAX));
        if self.inputs.len() > 1 && self.inputs.len() == width {
            return Ok((self.inputs.iter().map(|input| input.name.to_owned()).collect(), true));
        }
        Ok((made_up_names(width)?, false))
    }
}

impl Input<'_> {
    fn width(&self) -> Option<usize> {
        if let [_, width] = self.shape.as_slice() { *width } else { None }
    }

    /// The precision of its values. Whole numbers are compared with single-precision thresholds.
    fn values(&self) -> Result<Precision, ReadError> {
        match self.element {
            FLOAT | INT32 | INT64 => Ok(Precision::Single),
            DOUBLE => Ok(Precision::Double),
            element => {
                let problem = format!("the input {:?} of ONNX's type {element}: expected numbers", self.name);
                Err(ReadError::Unsupported(problem))
            }
        }
    }
}

/// The one ensemble of the graph, and what arrives there. Around it only what changes no number may stand.
fn find_ensemble<'g>(graph: &'g Graph<'g>) -> Result<(&'g Operator<'g>, Row<'g>), ReadError> {
    let mut rows = inputs(graph)?;
    let mut found = None;
    let mut scores: HashSet<&str> = HashSet::new();
    let ones = ones(graph);
    for operator in &graph.nodes {
        let takes = |names: &dyn Fn(&str) -> bool| operator.inputs.iter().any(|name| names(name));
        if is_ensemble(operator) {
            let row = operator.inputs.first().and_then(|name| rows.get(name)).cloned();
            let row = row.ok_or_else(|| unsupported(operator, "its input is not the graph's"))?;
            if found.replace((operator, row)).is_some() {
                return Err(unsupported(operator, "there are several tree ensembles"));
            }
            scores.extend(operator.outputs.last());
        } else if takes(&|name| rows.contains_key(name)) {
            let row = before(operator, &rows)?;
            rows.extend(operator.outputs.first().map(|name| (*name, row)));
        } else if takes(&|name| scores.contains(name)) {
            after(operator, &ones)?;
            scores.extend(&operator.outputs);
        }
    }
    found.ok_or_else(|| ReadError::Unsupported("an ONNX graph without a tree ensemble".to_owned()))
}

/// Older files list constants among the inputs too.
fn inputs<'g>(graph: &'g Graph<'g>) -> Result<HashMap<&'g str, Row<'g>>, ReadError> {
    let constants: HashSet<&str> = graph.initializers.iter().map(|tensor| tensor.name).collect();
    let inputs = graph.inputs.iter().filter(|input| !constants.contains(input.name));
    inputs.map(|input| Ok((input.name, Row { inputs: [input].into(), values: input.values()? }))).collect()
}

fn is_ensemble(operator: &Operator) -> bool {
    matches!(operator.kind, "TreeEnsembleClassifier" | "TreeEnsembleRegressor" | "TreeEnsemble")
}

fn unsupported(operator: &Operator, why: &str) -> ReadError {
    ReadError::Unsupported(format!("the ONNX operator {}: {why}", operator.kind))
}

/// A step between the graph's input and the ensemble.
fn before<'g>(operator: &Operator, rows: &HashMap<&str, Row<'g>>) -> Result<Row<'g>, ReadError> {
    let taken: Option<Vec<&Row>> = operator.inputs.iter().map(|name| rows.get(name)).collect();
    match (operator.kind, taken.as_deref()) {
        ("Identity", Some([row])) => Ok((*row).clone()),
        ("Cast", Some([row])) => match operator.attribute("to").map(|to| to.integer) {
            Some(FLOAT) => Ok(Row { values: Precision::Single, ..(*row).clone() }),
            Some(DOUBLE) => Ok((*row).clone()),
            _ => Err(unsupported(operator, "it does not cast to floating-point numbers")),
        },
        // Of inputs themselves only: else a short file could double them again and again.
        ("Concat", Some([first, rest @ ..]))
            if rest.iter().chain([first]).all(|row| row.values == first.values && row.inputs.len() == 1) =>
        {
            let inputs = taken.iter().flatten().flat_map(|row| row.inputs.iter().copied()).collect();
            Ok(Row { inputs, values: first.values })
        }
        _ => {
            Err(unsupported(operator, "it changes what the trees look at; compute that before, as a feature"))
        }
    }
}

/// Names of the constants that are nothing but 1.
fn ones<'g>(graph: &Graph<'g>) -> HashSet<&'g str> {
    let all_one = |numbers: Vec<f64>| !numbers.is_empty() && numbers.iter().all(|number| *number == 1.0);
    let constants = graph.initializers.iter();
    let ones = constants.filter(|tensor| tensor.numbers().is_ok_and(|numbers| numbers.is_some_and(all_one)));
    ones.map(|tensor| tensor.name).collect()
}

/// A step between the ensemble and the graph's output. What picks, names or shapes is let through.
fn after(operator: &Operator, ones: &HashSet<&str>) -> Result<(), ReadError> {
    match operator.kind {
        "Cast" | "Identity" | "ZipMap" | "Normalizer" | "Slice" | "Reshape" | "Squeeze" | "Flatten" => Ok(()),
        "Mul" if operator.inputs.iter().any(|name| ones.contains(name)) => Ok(()),
        _ => Err(unsupported(operator, "it changes the scores of the trees")),
    }
}

/// The numbers of an attribute that is floats, or a tensor under the same name with `_as_tensor`.
fn numbers(operator: &Operator, name: &str) -> Result<Vec<f64>, ReadError> {
    let tensor = operator.attribute(&format!("{name}_as_tensor")).or(operator.attribute(name));
    if let Some(Attribute { tensor: Some(tensor), .. }) = tensor {
        if tensor.is_elsewhere {
            return Err(ReadError::Unsupported(format!("{name} in a file beside the model")));
        }
        let numbers = tensor.numbers()?;
        return numbers.ok_or_else(|| header(format!("{name}: expected floating-point numbers")));
    }
    Ok(operator
        .attribute(name)
        .map_or(Vec::new(), |found| found.floats.iter().copied().map(f64::from).collect()))
}

fn integers<'o>(operator: &'o Operator, name: &str) -> &'o [i64] {
    operator.attribute(name).map_or(&[], |attribute| &attribute.integers)
}

fn header(problem: String) -> ReadError {
    ReadError::Header(problem)
}

fn expect_length(name: &str, length: usize, expected: usize) -> Result<(), ReadError> {
    if length == expected {
        return Ok(());
    }
    Err(header(format!("{name}: expected {expected} values, got {length}")))
}

/// The last step from sum to score.
fn last_step(transform: &str, gives_probability: bool) -> Result<Link, ReadError> {
    match transform {
        "LOGISTIC" => Ok(Link::Logistic { slope: 1.0 }),
        "NONE" if gives_probability => Ok(Link::Probability),
        "NONE" => Ok(Link::Identity),
        _ => {
            Err(ReadError::Unsupported(format!("the post_transform {transform}: expected NONE or LOGISTIC")))
        }
    }
}

/// The sum, or with `averaged` the mean.
fn output(trees: usize, averaged: bool, bias: f64, link: Link) -> Output {
    let divisor = if averaged { trees.max(1) as f64 } else { 1.0 };
    Output { summation: Summation::EightLanes, start: 0.0, divisor, scale: 1.0, bias, link }
}

/// A split of a file: `x relation threshold`, or whether `x` is one of some values.
fn split(feature: i64, condition: Condition, yes: u32, no: u32, missing_yes: bool) -> Option<Split> {
    let (left, right, missing_left) = Ways { yes, no, missing_yes }.of(&condition);
    let feature = u32::try_from(feature).ok()?;
    let (test, missing) = (condition.test, Missing::Nan);
    Some(Split { feature, test, missing, missing_left, left, right, gain: 0.0, cover: 0.0 })
}

/// Whether NaN takes the way of values that pass: where the file says so, and where it is unequal to a number.
fn missing_passes(relation: Option<Relation>, tracks: &[i64], node: usize) -> bool {
    relation == Some(Relation::NotEqual) || tracks.get(node).is_some_and(|tracks| *tracks != 0)
}
