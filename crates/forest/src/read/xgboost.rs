//! XGBoost's models as `save_model` writes them, JSON and UBJSON, 1.0 to 3.x
//! (<https://xgboost.readthedocs.io/en/stable/tutorials/saving_model.html>, and `doc/model.schema` there).
//!
//! A value is rounded to single precision and goes left if it is below the threshold; leaves are added in single
//! precision, tree by tree, beginning with the base margin. A categorical split sends the categories that it lists to the
//! right, and everything that is no such category to the left (`src/common/categorical.h`).

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};

use crate::ensemble::{Forest, Leaf, Link, Missing, Node, Output, Precision, Split, Summation, Test, Tree};

use super::link::{Condition, Relation, Ways, known, known_cover, link, made_up_names, truncated};
use super::{Library, NativeModel, Options, ReadError, ubjson};

pub(super) const JSON: &str = "XGBoost JSON";
pub(super) const UBJSON: &str = "XGBoost UBJSON";

pub(super) fn read_json(bytes: &[u8], options: &Options) -> Result<NativeModel, ReadError> {
    let standard = without_nan(bytes);
    let document = serde_json::from_slice(&standard);
    model(document.map_err(|error| syntax(JSON, &error))?, JSON, options)
}

pub(super) fn read_ubjson(bytes: &[u8], options: &Options) -> Result<NativeModel, ReadError> {
    let document = ubjson::from_slice(bytes);
    model(document.map_err(|error| syntax(UBJSON, &error))?, UBJSON, options)
}

/// XGBoost writes numbers that JSON has not: NaN where a split by category has no threshold. They become null.
fn without_nan(bytes: &[u8]) -> Cow<'_, [u8]> {
    const WORDS: [&[u8]; 3] = [b"NaN", b"-Infinity", b"Infinity"];
    let mut standard = Vec::new();
    let (mut copied, mut at) = (0, 0);
    let mut in_text = false;
    while at < bytes.len() {
        let word = WORDS.iter().find(|word| !in_text && bytes[at..].starts_with(word));
        match bytes[at] {
            b'"' => in_text = !in_text,
            b'\\' if in_text => at += 1,
            _ => {}
        }
        at += word.map_or(1, |word| word.len());
        if let Some(word) = word {
            standard.extend_from_slice(&bytes[copied..at - word.len()]);
            standard.extend_from_slice(b"null");
            copied = at;
        }
    }
    if copied == 0 {
        return Cow::Borrowed(bytes);
    }
    standard.extend_from_slice(&bytes[copied..]);
    Cow::Owned(standard)
}

fn syntax(format: &'static str, error: &dyn fmt::Display) -> ReadError {
    ReadError::Syntax { format, problem: error.to_string() }
}

#[derive(Deserialize)]
struct Document {
    learner: Learner,
    #[serde(default)]
    version: Vec<u32>,
}

#[derive(Deserialize)]
struct Learner {
    #[serde(default)]
    attributes: Attributes,
    #[serde(default)]
    feature_names: Vec<String>,
    gradient_booster: Booster,
    learner_model_param: LearnerParam,
    objective: Objective,
}

#[derive(Default, Deserialize)]
struct Attributes {
    best_iteration: Option<String>,
    /// The same in trees; written before 2.0.
    best_ntree_limit: Option<String>,
}

#[derive(Deserialize)]
struct LearnerParam {
    base_score: String,
    #[serde(default)]
    num_class: String,
    num_feature: String,
    #[serde(default)]
    num_target: String,
}

#[derive(Deserialize)]
struct Objective {
    name: String,
}

#[derive(Deserialize)]
struct Booster {
    name: String,
    model: Option<BoosterModel>,
    /// Of dart.
    gbtree: Option<Gbtree>,
    /// Of dart: what each tree is multiplied by.
    weight_drop: Option<Vec<f32>>,
}

#[derive(Deserialize)]
struct Gbtree {
    model: Option<BoosterModel>,
}

#[derive(Deserialize)]
struct BoosterModel {
    gbtree_model_param: Option<BoosterParam>,
    trees: Option<Vec<TreeArrays>>,
}

#[derive(Deserialize)]
struct BoosterParam {
    #[serde(default)]
    num_parallel_tree: String,
}

/// One entry of every array a node, leaves too.
#[derive(Deserialize)]
struct TreeArrays {
    id: Option<usize>,
    left_children: Vec<i32>,
    right_children: Vec<i32>,
    #[serde(default)]
    split_indices: Vec<u32>,
    /// The threshold of a split, the value of a leaf.
    #[serde(default)]
    split_conditions: Vec<Option<f32>>,
    #[serde(default)]
    default_left: Vec<Flag>,
    #[serde(default)]
    loss_changes: Vec<Option<f32>>,
    #[serde(default)]
    sum_hessian: Vec<Option<f32>>,
    /// 1 where the split is by category; files before 1.3 have none.
    #[serde(default)]
    split_type: Vec<u8>,
    #[serde(default)]
    categories: Vec<i32>,
    /// The nodes that split by category, and where their categories stand.
    #[serde(default)]
    categories_nodes: Vec<u32>,
    #[serde(default)]
    categories_segments: Vec<u64>,
    #[serde(default)]
    categories_sizes: Vec<u64>,
    tree_param: Option<TreeParam>,
}

#[derive(Deserialize)]
struct TreeParam {
    #[serde(default)]
    size_leaf_vector: String,
}

/// `true` before 1.5, `1` since.
struct Flag(bool);

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Flag, D::Error> {
        deserializer.deserialize_any(FlagVisitor)
    }
}

struct FlagVisitor;

impl Visitor<'_> for FlagVisitor {
    type Value = Flag;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("true, false, 0 or 1")
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<Flag, E> {
        Ok(Flag(flag))
    }

    fn visit_i64<E: Error>(self, flag: i64) -> Result<Flag, E> {
        Ok(Flag(flag != 0))
    }

    fn visit_u64<E: Error>(self, flag: u64) -> Result<Flag, E> {
        Ok(Flag(flag != 0))
    }
}

fn model(document: Document, format: &'static str, options: &Options) -> Result<NativeModel, ReadError> {
    let Document { learner, version } = document;
    refuse_several_outputs(&learner.learner_model_param)?;
    let base_score = base_score(&learner.learner_model_param.base_score)?;
    let output =
        output(&learner.objective.name, base_score, since(&version, &learner.gradient_booster.name))?;
    let (names, named) = features(&learner)?;
    let (arrays, parallel, drop) = trees(learner.gradient_booster)?;
    let trees_in_file = arrays.len();
    let best = if options.all_trees { None } else { best_trees(&learner.attributes, parallel)? };
    let used = best.unwrap_or(trees_in_file).min(trees_in_file);
    let mut trees = Vec::with_capacity(used);
    for (at, arrays) in arrays.into_iter().enumerate().take(used) {
        trees.push(tree(at, &arrays, names.len(), drop.as_ref().map(|drop| drop[at]))?);
    }
    let forest = Forest { features: names, values: Precision::Single, output, trees }.check()?;
    let version: Vec<String> = version.iter().map(u32::to_string).collect();
    Ok(NativeModel {
        forest,
        library: Library::XgBoost,
        format,
        version: (!version.is_empty()).then(|| version.join(".")),
        objective: Some(learner.objective.name),
        trees_in_file,
        named,
    })
}

fn refuse_several_outputs(param: &LearnerParam) -> Result<(), ReadError> {
    for (name, count) in [("classes", &param.num_class), ("targets", &param.num_target)] {
        if !matches!(count.as_str(), "" | "0" | "1") {
            return Err(ReadError::Unsupported(format!("a model of {count} {name}: a score is one number")));
        }
    }
    Ok(())
}

/// `5E-1`, or since 3.1 `[5E-1]`.
fn base_score(text: &str) -> Result<f32, ReadError> {
    let inner = text.trim().trim_start_matches('[').trim_end_matches(']').trim();
    match inner.parse::<f32>() {
        Ok(score) if score.is_finite() => Ok(score),
        _ if inner.contains(',') => {
            Err(ReadError::Unsupported(format!("a model of several outputs: base_score is {text:?}")))
        }
        _ => Err(ReadError::Header(format!("base_score: expected a number, got {text:?}"))),
    }
}

/// What has changed in how the library predicts.
#[derive(Clone, Copy)]
struct Since {
    /// Before, trees were summed by themselves and the base margin added to the sum.
    base_first: bool,
    /// Before, the base score of `binary:logitraw` was a probability.
    logitraw_base_is_margin: bool,
    /// Before, the base score of a logistic objective was taken as it is.
    logistic_base_is_bounded: bool,
}

/// Found in the tags of the library's repository: `src/predictor/cpu_predictor.cc`, `src/gbm/gbtree.cc` and
/// `src/objective/regression_loss.h`. A file without a version counts as new.
fn since(version: &[u32], booster: &str) -> Since {
    let first = if booster == "dart" { [1, 4] } else { [1, 3] };
    let at_least = |first: &[u32]| version.is_empty() || version >= first;
    Since {
        base_first: at_least(&first),
        logitraw_base_is_margin: at_least(&[1, 3]),
        logistic_base_is_bounded: at_least(&[3, 2]),
    }
}

fn output(objective: &str, base_score: f32, since: Since) -> Result<Output, ReadError> {
    let logit_base = || logit(if since.logistic_base_is_bounded { bounded(base_score) } else { base_score });
    let (base, link) = match objective {
        "binary:logistic" | "reg:logistic" => (logit_base(), Link::Logistic { slope: 1.0 }),
        "binary:logitraw" if since.logitraw_base_is_margin => (base_score, Link::Logistic { slope: 1.0 }),
        "binary:logitraw" => (logit_base(), Link::Logistic { slope: 1.0 }),
        "count:poisson" | "reg:gamma" | "reg:tweedie" | "survival:cox" | "survival:aft" => {
            (base_score.ln(), Link::Exponential)
        }
        "reg:squarederror"
        | "reg:linear"
        | "reg:squaredlogerror"
        | "reg:pseudohubererror"
        | "reg:absoluteerror"
        | "reg:quantileerror"
        | "reg:expectileerror"
        | "rank:pairwise"
        | "rank:ndcg"
        | "rank:map" => (base_score, Link::Identity),
        _ => return Err(ReadError::Unsupported(format!("the objective {objective:?}"))),
    };
    if !base.is_finite() {
        return Err(ReadError::Header(format!("base_score: {base_score} has no margin under {objective}")));
    }
    let (start, bias) = if since.base_first { (f64::from(base), 0.0) } else { (0.0, f64::from(base)) };
    let summation = Summation::InTurn(Precision::Single);
    Ok(Output { summation, start, divisor: 1.0, scale: 1.0, bias, link })
}

/// As the library computes it, step by step.
fn logit(probability: f32) -> f32 {
    -(1.0 / probability - 1.0).ln()
}

fn bounded(probability: f32) -> f32 {
    const MARGIN: f32 = 1e-6;
    if (0.0..=1.0).contains(&probability) { probability.clamp(MARGIN, 1.0 - MARGIN) } else { probability }
}

/// Names of the features, and whether they are the model's own.
fn features(learner: &Learner) -> Result<(Vec<String>, bool), ReadError> {
    let count = number(&learner.learner_model_param.num_feature, "num_feature")?;
    let names = &learner.feature_names;
    if names.is_empty() {
        return Ok((made_up_names(count)?, false));
    }
    if names.len() != count {
        let problem = format!("feature_names: expected {count} as num_feature says, got {}", names.len());
        return Err(ReadError::Header(problem));
    }
    Ok((names.clone(), true))
}

fn number(text: &str, name: &str) -> Result<usize, ReadError> {
    text.trim()
        .parse()
        .map_err(|_| ReadError::Header(format!("{name}: expected a whole number, got {text:?}")))
}

/// How many trees predictions use, where training was stopped early. Files before 1.6 do not say how many trees an
/// iteration has; nearly all have one.
fn best_trees(attributes: &Attributes, parallel: Option<usize>) -> Result<Option<usize>, ReadError> {
    if let (None, Some(limit)) = (parallel, &attributes.best_ntree_limit) {
        return number(limit, "best_ntree_limit").map(Some);
    }
    let Some(best) = &attributes.best_iteration else { return Ok(None) };
    let best = number(best, "best_iteration")?;
    Ok(Some(best.saturating_add(1).saturating_mul(parallel.unwrap_or(1))))
}

type Trees = (Vec<TreeArrays>, Option<usize>, Option<Vec<f32>>);

/// The trees in their order, how many an iteration has if that is said, and the weights of dart.
fn trees(booster: Booster) -> Result<Trees, ReadError> {
    let Booster { name, model, gbtree, weight_drop } = booster;
    if name != "gbtree" && name != "dart" {
        return Err(ReadError::Unsupported(format!("the booster {name:?}: expected gbtree or dart")));
    }
    let model = model.or(gbtree.and_then(|gbtree| gbtree.model));
    let Some(BoosterModel { gbtree_model_param: param, trees: Some(trees) }) = model else {
        let problem = "gradient_booster: no trees (Booster.save_config writes none; save with save_model)";
        return Err(ReadError::Header(problem.to_owned()));
    };
    let parallel = param.map(|param| param.num_parallel_tree).filter(|count| !count.is_empty());
    let parallel = parallel.map(|count| number(&count, "num_parallel_tree")).transpose()?;
    let weight_drop = weight_drop.filter(|_| name == "dart");
    if weight_drop.as_ref().is_some_and(|drop| drop.len() != trees.len())
        || (name == "dart") != weight_drop.is_some()
    {
        return Err(ReadError::Header(format!(
            "weight_drop: expected one for each of {} trees",
            trees.len()
        )));
    }
    Ok((in_order(trees)?, parallel, weight_drop))
}

/// Trees say which they are; they stand in that order in all files seen.
fn in_order(trees: Vec<TreeArrays>) -> Result<Vec<TreeArrays>, ReadError> {
    for (at, tree) in trees.iter().enumerate() {
        if let Some(id) = tree.id.filter(|id| *id != at) {
            return Err(ReadError::Header(format!("trees: the one at place {at} has the id {id}")));
        }
    }
    Ok(trees)
}

fn tree(at: usize, arrays: &TreeArrays, features: usize, drop: Option<f32>) -> Result<Tree, ReadError> {
    let count = arrays.left_children.len();
    check_lengths(at, arrays, count)?;
    let categories = category_sets(at, arrays, count)?;
    link(at, &mut vec![false; count], 0, features, |node| {
        Ok(if arrays.left_children[node] == NO_CHILD {
            let value = threshold(arrays, node);
            let value = drop.map_or(value, |weight| value * weight);
            Node::Leaf(Leaf { value: f64::from(value), cover: cover(arrays, node) })
        } else {
            Node::Split(split(at, node, arrays, &categories)?)
        })
    })
}

const NO_CHILD: i32 = -1;

fn check_lengths(at: usize, arrays: &TreeArrays, count: usize) -> Result<(), ReadError> {
    let size = arrays.tree_param.as_ref().map_or("", |param| &param.size_leaf_vector);
    if !matches!(size, "" | "0" | "1") {
        return Err(ReadError::Unsupported(format!("leaves of {size} values: a score is one number")));
    }
    for (name, length, may_lack) in [
        ("right_children", arrays.right_children.len(), false),
        ("split_indices", arrays.split_indices.len(), false),
        ("split_conditions", arrays.split_conditions.len(), false),
        ("default_left", arrays.default_left.len(), false),
        ("split_type", arrays.split_type.len(), true),
        ("loss_changes", arrays.loss_changes.len(), true),
        ("sum_hessian", arrays.sum_hessian.len(), true),
    ] {
        if length != count && !(may_lack && length == 0) {
            return Err(ReadError::Header(format!(
                "tree {at}, {name}: expected {count} values, got {length}"
            )));
        }
    }
    Ok(())
}

/// The threshold of a split or the value of a leaf; NaN where there is none.
fn threshold(arrays: &TreeArrays, node: usize) -> f32 {
    arrays.split_conditions[node].unwrap_or(f32::NAN)
}

fn cover(arrays: &TreeArrays, node: usize) -> f64 {
    arrays.sum_hessian.get(node).copied().flatten().map_or(0.0, |cover| known_cover(f64::from(cover)))
}

fn split(at: usize, node: usize, arrays: &TreeArrays, categories: &CategorySets) -> Result<Split, ReadError> {
    let fail = |problem: String| Err(ReadError::Node { tree: at, node, problem });
    let children = [arrays.left_children[node], arrays.right_children[node]].map(u32::try_from);
    let [Ok(yes), Ok(no)] = children else {
        return fail(format!(
            "children: expected two, got {:?}",
            [arrays.left_children[node], arrays.right_children[node]]
        ));
    };
    let condition = if arrays.split_type.get(node).is_some_and(|kind| *kind == 1) {
        let Some(ranges) = &categories[node] else { return fail("no categories are given".to_owned()) };
        // The categories of the set go right.
        Condition { test: Test::Within(ranges.as_slice().into()), negated: true }
    } else {
        Condition::compare(Relation::Below, f64::from(threshold(arrays, node)))
    };
    let (left, right, missing_left) =
        Ways { yes, no, missing_yes: arrays.default_left[node].0 }.of(&condition);
    let feature = arrays.split_indices[node];
    let gain = arrays.loss_changes.get(node).copied().flatten().map_or(0.0, |gain| known(f64::from(gain)));
    let (test, missing, cover) = (condition.test, Missing::Nan, cover(arrays, node));
    Ok(Split { feature, test, missing, missing_left, left, right, gain, cover })
}

/// For each node that splits by category the ranges of its categories.
type CategorySets = Vec<Option<Vec<[f64; 2]>>>;

/// From this on, no value is a category: single precision cannot tell them apart.
const CATEGORY_MAX: i32 = 1 << 24;

fn category_sets(at: usize, arrays: &TreeArrays, count: usize) -> Result<CategorySets, ReadError> {
    let fail = |problem: &str| Err(ReadError::Header(format!("tree {at}, categories: {problem}")));
    let TreeArrays { categories, categories_nodes: nodes, .. } = arrays;
    if nodes.len() != arrays.categories_segments.len() || nodes.len() != arrays.categories_sizes.len() {
        return fail("expected as many segments and sizes as nodes");
    }
    let mut sets = vec![None; if nodes.is_empty() { 0 } else { count }];
    // All sizes together: else overlapping segments of a short file could ask for much memory.
    let mut rest = categories.len();
    for ((node, from), size) in nodes.iter().zip(&arrays.categories_segments).zip(&arrays.categories_sizes) {
        let (from, size) = (usize::try_from(*from), usize::try_from(*size).unwrap_or(usize::MAX));
        let listed = from.ok().and_then(|from| categories.get(from..from.checked_add(size)?));
        let (Some(listed), Some(left)) = (listed, rest.checked_sub(size)) else {
            return fail("a segment is outside the list, or in another");
        };
        rest = left;
        if listed.iter().any(|category| !(0..CATEGORY_MAX).contains(category)) {
            return fail("expected numbers from 0 to 16777215");
        }
        let Some(set) = sets.get_mut(*node as usize) else { return fail("of a node that is not there") };
        *set = Some(ranges(listed));
    }
    sets.resize(count, None);
    Ok(sets)
}

fn ranges(categories: &[i32]) -> Vec<[f64; 2]> {
    let mut sorted: Vec<u32> = categories.iter().map(|category| *category as u32).collect();
    sorted.sort_unstable();
    sorted.dedup();
    truncated(sorted.into_iter())
}
