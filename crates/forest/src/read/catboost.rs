//! CatBoost's models as `save_model(path, format="json")` writes them, oblivious and not
//! (<https://catboost.ai/docs/en/concepts/json-tree-structure>, and `catboost/libs/model/model_export/json_model_helpers.cpp`).
//!
//! A value is rounded to single precision and goes right if it is above the border. The answers to the splits of an
//! oblivious tree are the bits of the leaf's number, the first the lowest. The margin is `scale * sum + bias` in double precision.

use serde::Deserialize;
use serde_json::Value;

use crate::ensemble::{Forest, Leaf, Link, Missing, Node, Output, Precision, Split, Summation, Tree};

use super::link::{Condition, Relation, Ways, known_cover, link, made_up_names};
use super::{Library, NativeModel, ReadError};

pub(super) const JSON: &str = "CatBoost JSON";

pub(super) fn read(bytes: &[u8]) -> Result<NativeModel, ReadError> {
    let document: Document = serde_json::from_slice(bytes)
        .map_err(|error| ReadError::Syntax { format: JSON, problem: error.to_string() })?;
    let info = document.model_info.unwrap_or_default();
    let objective = info.objective();
    let output = output(objective.as_deref(), &document.scale_and_bias)?;
    let features = Features::new(document.features_info)?;
    let mut trees = Vec::new();
    for tree in document.oblivious_trees.iter().flatten() {
        trees.push(oblivious(trees.len(), tree, &features)?);
    }
    for tree in document.trees.into_iter().flatten() {
        trees.push(nested(trees.len(), tree, &features)?);
    }
    let (version, trees_in_file, named) = (info.version(), trees.len(), features.named);
    let forest = Forest { features: features.names, values: Precision::Single, output, trees }.check()?;
    Ok(NativeModel {
        forest,
        library: Library::CatBoost,
        format: JSON,
        version,
        objective,
        trees_in_file,
        named,
    })
}

#[derive(Deserialize)]
struct Document {
    features_info: FeaturesInfo,
    model_info: Option<ModelInfo>,
    oblivious_trees: Option<Vec<Oblivious>>,
    trees: Option<Vec<Nested>>,
    scale_and_bias: (f64, Bias),
}

/// A number, since 1.0 a list of them.
#[derive(Deserialize)]
#[serde(untagged)]
enum Bias {
    One(f64),
    List(Vec<f64>),
}

#[derive(Default, Deserialize)]
struct FeaturesInfo {
    #[serde(default)]
    float_features: Vec<FloatFeature>,
    #[serde(default)]
    categorical_features: Vec<OtherFeature>,
    #[serde(default)]
    text_features: Vec<OtherFeature>,
    #[serde(default)]
    embedding_features: Vec<OtherFeature>,
}

#[derive(Deserialize)]
struct FloatFeature {
    #[serde(default)]
    feature_id: Option<String>,
    feature_index: usize,
    flat_feature_index: usize,
    #[serde(default)]
    nan_value_treatment: Option<NanTreatment>,
}

/// Where a split sends NaN. As it is, it is not above any border.
#[derive(Clone, Copy, PartialEq, Deserialize)]
enum NanTreatment {
    #[serde(rename = "AsIs")]
    Unchanged,
    #[serde(rename = "AsFalse")]
    Lowest,
    #[serde(rename = "AsTrue")]
    Highest,
}

#[derive(Deserialize)]
struct OtherFeature {
    #[serde(default)]
    feature_id: Option<String>,
    #[serde(default)]
    feature_index: usize,
    flat_feature_index: usize,
}

#[derive(Default, Deserialize)]
struct ModelInfo {
    #[serde(default)]
    catboost_version_info: String,
    /// An object, or one written as a string.
    params: Option<Value>,
}

impl ModelInfo {
    /// The loss that was minimised.
    fn objective(&self) -> Option<String> {
        let find = |params: &Value| params["loss_function"]["type"].as_str().map(str::to_owned);
        match self.params.as_ref()? {
            Value::String(text) => find(&serde_json::from_str(text).ok()?),
            params => find(params),
        }
    }

    /// From what `git log` said of the release.
    fn version(&self) -> Option<String> {
        let (_, after) = self.catboost_version_info.split_once("Branch: tags/v")?;
        after.split_whitespace().next().map(str::to_owned)
    }
}

fn output(objective: Option<&str>, (scale, bias): &(f64, Bias)) -> Result<Output, ReadError> {
    let bias = match bias {
        Bias::One(bias) => *bias,
        Bias::List(list) => match list.as_slice() {
            [] => 0.0,
            [bias] => *bias,
            more => {
                let problem = format!("a model of {} outputs: a score is one number", more.len());
                return Err(ReadError::Unsupported(problem));
            }
        },
    };
    let link = match objective {
        Some("Logloss" | "CrossEntropy" | "Focal") => Link::Logistic { slope: 1.0 },
        Some("Poisson" | "Tweedie" | "LogLinQuantile") => Link::Exponential,
        Some(several) if several.starts_with("Multi") || several == "RMSEWithUncertainty" => {
            return Err(ReadError::Unsupported(format!("the loss {several}: a score is one number")));
        }
        _ => Link::Identity,
    };
    Ok(Output { summation: Summation::EightLanes, start: 0.0, divisor: 1.0, scale: *scale, bias, link })
}

/// Columns of a row, which count features of every kind.
struct Features {
    names: Vec<String>,
    named: bool,
    /// For each float feature by its own number: its column, and where NaN goes.
    floats: Vec<Option<(u32, NanTreatment)>>,
    /// Names of categorical features by their own number.
    categorical: Vec<(usize, String)>,
}

impl Features {
    fn new(info: FeaturesInfo) -> Result<Features, ReadError> {
        let others =
            || info.categorical_features.iter().chain(&info.text_features).chain(&info.embedding_features);
        let listed: Vec<(usize, Option<&String>)> = (info.float_features.iter())
            .map(|feature| (feature.flat_feature_index, feature.feature_id.as_ref()))
            .chain(others().map(|feature| (feature.flat_feature_index, feature.feature_id.as_ref())))
            .collect();
        let mut names = made_up_names(listed.len())?;
        let named = listed.iter().any(|(_, id)| id.is_some_and(|id| !id.is_empty()));
        let count = names.len();
        for (at, id) in &listed {
            let Some(name) = names.get_mut(*at) else {
                let problem = format!("flat_feature_index: expected a number below {count}, got {at}");
                return Err(ReadError::Header(problem));
            };
            *name = id.filter(|id| !id.is_empty()).unwrap_or(name).clone();
        }
        let mut floats = vec![None; count];
        for feature in &info.float_features {
            let Some(place) = floats.get_mut(feature.feature_index) else {
                let problem =
                    format!("feature_index: expected a number below {count}, got {}", feature.feature_index);
                return Err(ReadError::Header(problem));
            };
            let treatment = feature.nan_value_treatment.unwrap_or(NanTreatment::Unchanged);
            *place = Some((feature.flat_feature_index as u32, treatment));
        }
        let name = |feature: &OtherFeature| names[feature.flat_feature_index].clone();
        let categorical =
            info.categorical_features.iter().map(|feature| (feature.feature_index, name(feature)));
        Ok(Features { categorical: categorical.collect(), names, named, floats })
    }

    /// The categorical feature of a split; all of them where the split mixes several.
    fn categorical_of(&self, split: &SplitInfo) -> String {
        let is_it = |own: usize| split.cat_feature_index.is_none_or(|at| at == own);
        let names = self.categorical.iter().filter(|(own, _)| is_it(*own));
        let names: Vec<String> = names.take(8).map(|(_, name)| format!("{name:?}")).collect();
        if names.is_empty() { String::new() } else { format!(" on {}", names.join(" or ")) }
    }

    /// A split that leads to these two, or what is wrong with it.
    fn split(&self, split: &SplitInfo, below: u32, above: u32, cover: f64) -> Result<Split, SplitProblem> {
        if split.split_type != "FloatFeature" {
            return Err(SplitProblem::Unsupported(format!(
                "the categorical split {}{}: train on numbers, or encode categories before",
                split.split_type,
                self.categorical_of(split)
            )));
        }
        let (Some(border), Some(feature)) = (split.border, split.float_feature_index) else {
            return Err(SplitProblem::Wrong("expected a border and a float_feature_index".to_owned()));
        };
        let Some(Some((column, treatment))) = self.floats.get(feature) else {
            return Err(SplitProblem::Wrong(format!("there is no float feature {feature}")));
        };
        let condition = Condition::compare(Relation::AtMost, f64::from(border as f32));
        let missing_yes = *treatment != NanTreatment::Highest;
        let (left, right, missing_left) = Ways { yes: below, no: above, missing_yes }.of(&condition);
        let test = condition.test;
        Ok(Split {
            feature: *column,
            test,
            missing: Missing::Nan,
            missing_left,
            left,
            right,
            gain: 0.0,
            cover,
        })
    }
}

/// What stops a split from being read.
enum SplitProblem {
    Unsupported(String),
    Wrong(String),
}

impl SplitProblem {
    fn at(self, tree: usize, node: usize) -> ReadError {
        match self {
            SplitProblem::Unsupported(problem) => ReadError::Unsupported(problem),
            SplitProblem::Wrong(problem) => ReadError::Node { tree, node, problem },
        }
    }
}

#[derive(Deserialize)]
struct SplitInfo {
    split_type: String,
    border: Option<f64>,
    float_feature_index: Option<usize>,
    cat_feature_index: Option<usize>,
}

/// The same split at all nodes of a level.
#[derive(Deserialize)]
struct Oblivious {
    leaf_values: Vec<f64>,
    #[serde(default)]
    leaf_weights: Option<Vec<f64>>,
    #[serde(default)]
    splits: Option<Vec<SplitInfo>>,
}

/// A binary heap: node 0 is the root and decided by the last split, so that leaves stand in their order.
fn oblivious(at: usize, tree: &Oblivious, features: &Features) -> Result<Tree, ReadError> {
    let splits = tree.splits.as_deref().unwrap_or_default();
    let leaves = tree.leaf_values.len();
    if u32::try_from(splits.len()).ok().and_then(|depth| 1usize.checked_shl(depth)) != Some(leaves) {
        let problem = format!("tree {at}: {} splits and {leaves} leaf_values do not match", splits.len());
        return Err(ReadError::Header(problem));
    }
    let inner = leaves - 1;
    let covers = covers(at, leaves, tree.leaf_weights.as_deref())?;
    link(at, &mut vec![false; inner + leaves], 0, features.names.len(), |node| {
        match node.checked_sub(inner) {
            Some(leaf) => Ok(Node::Leaf(Leaf { value: tree.leaf_values[leaf], cover: covers[node] })),
            None => {
                let level = (node + 1).ilog2() as usize;
                let split = &splits[splits.len() - 1 - level];
                let (below, above) = (2 * node as u32 + 1, 2 * node as u32 + 2);
                let split = features.split(split, below, above, covers[node]);
                split.map(Node::Split).map_err(|problem| problem.at(at, node))
            }
        }
    })
}

/// Weights of all nodes of the heap, from those of its leaves.
fn covers(at: usize, leaves: usize, weights: Option<&[f64]>) -> Result<Vec<f64>, ReadError> {
    let mut covers = vec![0.0; 2 * leaves - 1];
    let weights = weights.unwrap_or_default();
    if !weights.is_empty() {
        if weights.len() != leaves {
            let problem = format!("tree {at}: {} leaf_weights for {leaves} leaf_values", weights.len());
            return Err(ReadError::Header(problem));
        }
        for (cover, weight) in covers[leaves - 1..].iter_mut().zip(weights) {
            *cover = known_cover(*weight);
        }
        for node in (0..leaves - 1).rev() {
            covers[node] = known_cover(covers[2 * node + 1] + covers[2 * node + 2]);
        }
    }
    Ok(covers)
}

/// A node of a tree that is not oblivious. [`serde_json`] bounds how deep they nest.
#[derive(Deserialize)]
struct Nested {
    split: Option<SplitInfo>,
    left: Option<Box<Nested>>,
    right: Option<Box<Nested>>,
    value: Option<LeafValue>,
    #[serde(default)]
    weight: f64,
}

/// A number, or a list of one for each output.
#[derive(Deserialize)]
#[serde(untagged)]
enum LeafValue {
    One(f64),
    List(Vec<f64>),
}

fn nested(at: usize, root: Nested, features: &Features) -> Result<Tree, ReadError> {
    let mut nodes = Vec::new();
    push_nested(at, root, features, &mut nodes)?;
    Ok(Tree { nodes })
}

/// Appends a node and all below it; gives the weight that reached it.
fn push_nested(
    at: usize,
    node: Nested,
    features: &Features,
    nodes: &mut Vec<Node>,
) -> Result<f64, ReadError> {
    let place = nodes.len();
    match node {
        Nested { split: Some(split), left: Some(left), right: Some(right), .. } => {
            // The place is held until the places of the children are known.
            nodes.push(Node::Leaf(Leaf { value: 0.0, cover: 0.0 }));
            let mut cover = push_nested(at, *left, features, nodes)?;
            let above = nodes.len() as u32;
            cover = known_cover(cover + push_nested(at, *right, features, nodes)?);
            let split = features.split(&split, place as u32 + 1, above, cover);
            nodes[place] = Node::Split(split.map_err(|problem| problem.at(at, place))?);
            Ok(cover)
        }
        Nested { split: None, value: Some(LeafValue::One(value)), weight, .. } => {
            let cover = known_cover(weight);
            nodes.push(Node::Leaf(Leaf { value, cover }));
            Ok(cover)
        }
        Nested { split: None, value: Some(LeafValue::List(values)), .. } => {
            Err(ReadError::Unsupported(format!("leaves of {} values: a score is one number", values.len())))
        }
        _ => {
            let problem = "a split has split, left and right, a leaf has value".to_owned();
            Err(ReadError::Node { tree: at, node: place, problem })
        }
    }
}
