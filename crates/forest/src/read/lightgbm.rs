//! LightGBM's text models, versions 2 to 4 (`src/boosting/gbdt_model_text.cpp` and `src/io/tree.cpp` of the library).
//!
//! A value goes left if it is at most the threshold, all in double precision; leaves are added in the order of the
//! trees. Before a row is looked at, the library reads every value from -1e-35 to 1e-35 as 0
//! (`kZeroThreshold`), and so do the tests made here. A categorical split sends the categories of its bit set to
//! the left, after cutting a value to an integer; negative ones, too large ones and NaN go right.

use std::collections::HashMap;
use std::str::{FromStr, Lines};
use std::sync::Arc;

use crate::ensemble::{
    Forest, Leaf, Link, Missing, Node, Output, Precision, Split, Summation, Test, Tree, ZERO_MAX,
};

use super::link::{Condition, Relation, Ways, known, known_cover, link, made_up_names, truncated};
use super::{Library, NativeModel, ReadError};

pub(super) const TEXT: &str = "LightGBM text";

type Fields<'a> = HashMap<&'a str, &'a str>;

pub(super) fn read(text: &str) -> Result<NativeModel, ReadError> {
    let mut lines = text.trim_start_matches('\u{feff}').lines();
    let (header, mut more) = fields(&mut lines);
    refuse_several_outputs(&header)?;
    let (features, named) = features(&header)?;
    let sizes = check_sizes(text, &header)?;
    let mut trees = Vec::new();
    while more {
        let fields;
        (fields, more) = self::fields(&mut lines);
        trees.push(TreeReader { at: trees.len(), fields, features: features.len() }.read()?);
    }
    let tree_count = trees.len();
    if sizes.is_some_and(|sizes| sizes != tree_count) {
        return Err(syntax(format!("tree_sizes: expected one for each of {tree_count} trees")));
    }
    let objective = header.get("objective").copied();
    let output = output(objective, header.contains_key("average_output").then_some(tree_count))?;
    let forest = Forest { features, values: Precision::Double, output, trees }.check()?;
    Ok(NativeModel {
        forest,
        library: Library::LightGbm,
        format: TEXT,
        version: header.get("version").map(|version| (*version).to_owned()),
        objective: objective.map(str::to_owned),
        trees_in_file: tree_count,
        named,
    })
}

fn syntax(problem: impl Into<String>) -> ReadError {
    ReadError::Syntax { format: TEXT, problem: problem.into() }
}

/// The `name=value` lines up to the next tree, and whether there is one.
fn fields<'a>(lines: &mut Lines<'a>) -> (Fields<'a>, bool) {
    let mut fields = Fields::new();
    for line in lines {
        match line.split_once('=') {
            Some(("Tree", _)) => return (fields, true),
            Some((name, value)) => {
                fields.insert(name, value);
            }
            None if line == "end of trees" => return (fields, false),
            None => {
                fields.insert(line, "");
            }
        }
    }
    (fields, false)
}

/// The header says how many bytes each tree has: else one could not tell whether a file ends inside its last number. How
/// many trees it says there are, if it does.
fn check_sizes(text: &str, header: &Fields) -> Result<Option<usize>, ReadError> {
    let Some(sizes) = header.get("tree_sizes") else { return Ok(None) };
    let (mut count, mut expected) = (0, 0usize);
    for size in sizes.split_ascii_whitespace() {
        count += 1;
        expected = expected.saturating_add(parsed(Some(size), "tree_sizes")?);
    }
    // Counted as they were written, whatever line ends have become.
    let rest = text.find("\nTree=").map_or("", |start| &text[start + 1..]);
    let bytes = rest.bytes().filter(|byte| *byte != b'\r').count();
    if bytes < expected {
        return Err(syntax(format!("the file is cut off: expected {expected} bytes of trees, got {bytes}")));
    }
    Ok(Some(count))
}

fn refuse_several_outputs(header: &Fields) -> Result<(), ReadError> {
    for name in ["num_class", "num_tree_per_iteration"] {
        match header.get(name).map(|count| count.trim()) {
            None | Some("1") => {}
            Some(count) => {
                let problem = format!("a model of several classes ({name} {count}): a score is one number");
                return Err(ReadError::Unsupported(problem));
            }
        }
    }
    Ok(())
}

/// Names of the features, and whether they are the model's own: without any the library writes `Column_0` and so on.
fn features(header: &Fields) -> Result<(Vec<String>, bool), ReadError> {
    let Some(names) = header.get("feature_names") else {
        return Err(syntax("expected a line feature_names"));
    };
    let names: Vec<&str> = names.split(' ').filter(|name| !name.is_empty()).collect();
    let count: usize = parsed(header.get("max_feature_idx").copied(), "max_feature_idx")?;
    if names.len() != count.saturating_add(1) {
        let problem =
            format!("feature_names: expected {count} + 1 as max_feature_idx says, got {}", names.len());
        return Err(ReadError::Header(problem));
    }
    let made_up = |(at, name): (usize, &&str)| name.strip_prefix("Column_") == Some(at.to_string().as_str());
    if names.iter().enumerate().all(made_up) {
        return Ok((made_up_names(names.len())?, false));
    }
    Ok((names.into_iter().map(str::to_owned).collect(), true))
}

fn parsed<T: FromStr>(text: Option<&str>, name: &str) -> Result<T, ReadError> {
    let text = text.ok_or_else(|| syntax(format!("expected a line {name}")))?;
    text.trim().parse().map_err(|_| syntax(format!("{name}: expected a number, got {text:?}")))
}

/// `averaged` is the number of trees, if their outputs are averaged, as `boosting=rf` does. The library's raw score is
/// the sum even then, and only the prediction made from it is of the mean.
fn output(objective: Option<&str>, averaged: Option<usize>) -> Result<Output, ReadError> {
    let words: Vec<&str> = objective.unwrap_or("custom").split_whitespace().collect();
    let unsupported = || {
        let averaged = if averaged.is_some() { " with averaged trees" } else { "" };
        ReadError::Unsupported(format!("the objective {:?}{averaged}", words.join(" ")))
    };
    let divisor = averaged.unwrap_or(1).max(1) as f64;
    let link = match words.first().copied().unwrap_or("custom") {
        "binary" => Link::Logistic { slope: slope(&words)? / divisor },
        "cross_entropy" | "xentropy" => Link::Logistic { slope: 1.0 / divisor },
        "regression" | "regression_l2" if words.contains(&"sqrt") => return Err(unsupported()),
        "regression" | "regression_l2" | "regression_l1" | "huber" | "fair" | "quantile" | "mape"
        | "lambdarank" | "rank_xendcg" | "custom" | "none" | "null" | "na" => match averaged {
            Some(_) => Link::Mean { divisor },
            None => Link::Identity,
        },
        "poisson" | "gamma" | "tweedie" if averaged.is_none() => Link::Exponential,
        _ => return Err(unsupported()),
    };
    let summation = Summation::InTurn(Precision::Double);
    Ok(Output { summation, start: 0.0, divisor: 1.0, scale: 1.0, bias: 0.0, link })
}

fn slope(words: &[&str]) -> Result<f64, ReadError> {
    let sigmoid = words.iter().find_map(|word| word.strip_prefix("sigmoid:"));
    sigmoid.map_or(Ok(1.0), |sigmoid| parsed(Some(sigmoid), "objective, sigmoid"))
}

/// Reads one tree. Splits and leaves are numbered apart; a child that is a leaf is written as `-1 - number`.
struct TreeReader<'a> {
    at: usize,
    fields: Fields<'a>,
    features: usize,
}

/// One entry of every array a split, or a leaf.
struct Arrays {
    features: Vec<u32>,
    thresholds: Vec<f64>,
    decisions: Vec<u8>,
    left: Vec<i64>,
    right: Vec<i64>,
    gains: Vec<f64>,
    counts: Vec<f64>,
    leaves: Vec<f64>,
    leaf_counts: Vec<f64>,
    /// The categories that the thresholds of categorical splits number.
    categories: Vec<Arc<[[f64; 2]]>>,
}

/// Bits of a split's decision type.
const CATEGORICAL: u8 = 1;
const DEFAULT_LEFT: u8 = 2;

impl TreeReader<'_> {
    fn read(&self) -> Result<Tree, ReadError> {
        if self.fields.get("is_linear").is_some_and(|is| is.trim() == "1") {
            let at = self.at;
            return Err(ReadError::Unsupported(format!("linear models in leaves (tree {at}, is_linear=1)")));
        }
        let arrays = self.arrays()?;
        let splits = arrays.features.len();
        link(self.at, &mut vec![false; splits + arrays.leaves.len()], 0, self.features, |node| {
            match node.checked_sub(splits) {
                None => self.split(node, &arrays).map(Node::Split),
                Some(leaf) => {
                    let cover = arrays.leaf_counts.get(leaf).map_or(0.0, |count| known_cover(*count));
                    Ok(Node::Leaf(Leaf { value: arrays.leaves[leaf], cover }))
                }
            }
        })
    }

    fn arrays(&self) -> Result<Arrays, ReadError> {
        let leaves: usize = parsed(self.fields.get("num_leaves").copied(), "num_leaves")?;
        let Some(splits) = leaves.checked_sub(1) else {
            return Err(self.fail("num_leaves: expected at least 1, got 0".to_owned()));
        };
        Ok(Arrays {
            features: self.array("split_feature", splits, true)?,
            thresholds: self.array("threshold", splits, true)?,
            decisions: self.array("decision_type", splits, false)?,
            left: self.array("left_child", splits, true)?,
            right: self.array("right_child", splits, true)?,
            gains: self.array("split_gain", splits, false)?,
            counts: self.array("internal_count", splits, false)?,
            leaves: self.array("leaf_value", leaves, true)?,
            leaf_counts: self.array("leaf_count", leaves, false)?,
            categories: self.categories()?,
        })
    }

    /// The numbers of a line. An empty or absent one is of no numbers where there may be none.
    fn array<T: FromStr>(&self, name: &str, count: usize, must: bool) -> Result<Vec<T>, ReadError> {
        let numbers = self.numbers(name)?;
        if numbers.len() == count || (numbers.is_empty() && !must) {
            return Ok(numbers);
        }
        Err(self.fail(format!("{name}: expected {count} numbers, got {}", numbers.len())))
    }

    fn numbers<T: FromStr>(&self, name: &str) -> Result<Vec<T>, ReadError> {
        let words = self.fields.get(name).copied().unwrap_or_default().split_ascii_whitespace();
        let number = |word: &str| {
            word.parse().map_err(|_| self.fail(format!("{name}: expected numbers, got {word:?}")))
        };
        words.map(number).collect()
    }

    /// Every bit set of the tree: 32 categories a word, the lowest bit first.
    fn categories(&self) -> Result<Vec<Arc<[[f64; 2]]>>, ReadError> {
        let words: Vec<u32> = self.numbers("cat_threshold")?;
        let bounds: Vec<usize> = self.numbers("cat_boundaries")?;
        let mut sets = Vec::with_capacity(bounds.len());
        for pair in bounds.windows(2) {
            match words.get(pair[0]..pair[1]) {
                Some(words) => sets.push(ranges(words).into()),
                None => {
                    let problem =
                        format!("cat_boundaries: {} to {} of {} words", pair[0], pair[1], words.len());
                    return Err(self.fail(problem));
                }
            }
        }
        Ok(sets)
    }

    fn split(&self, node: usize, arrays: &Arrays) -> Result<Split, ReadError> {
        let fail = |problem: String| Err(ReadError::Node { tree: self.at, node, problem });
        let splits = arrays.features.len();
        let child = |child: i64| if child < 0 { splits as i64 - 1 - child } else { child };
        let children = [arrays.left[node], arrays.right[node]].map(|at| u32::try_from(child(at)));
        let [Ok(yes), Ok(no)] = children else { return fail("children: numbers out of range".to_owned()) };
        let decision = arrays.decisions.get(node).copied().unwrap_or(0);
        let (condition, missing) = if decision & CATEGORICAL != 0 {
            let number = arrays.thresholds[node];
            let Some(set) = arrays.categories.get(number as usize).filter(|_| number >= 0.0) else {
                return fail(format!("threshold: there is no set {number} of categories"));
            };
            (Condition { test: Test::Within(Arc::clone(set)), negated: false }, Missing::Nan)
        } else {
            let Some(missing) = missing(decision) else {
                return fail(format!("decision_type: {decision} has an unknown missing type"));
            };
            (at_most(arrays.thresholds[node]), missing)
        };
        let missing_yes = decision & DEFAULT_LEFT != 0 && decision & CATEGORICAL == 0;
        let (left, right, missing_left) = Ways { yes, no, missing_yes }.of(&condition);
        Ok(Split {
            feature: arrays.features[node],
            test: condition.test,
            missing,
            missing_left,
            left,
            right,
            gain: arrays.gains.get(node).map_or(0.0, |gain| known(*gain)),
            cover: arrays.counts.get(node).map_or(0.0, |count| known_cover(*count)),
        })
    }

    fn fail(&self, problem: String) -> ReadError {
        ReadError::Header(format!("tree {}, {problem}", self.at))
    }
}

fn missing(decision: u8) -> Option<Missing> {
    match (decision >> 2) & 3 {
        0 => Some(Missing::Never),
        1 => Some(Missing::NanOrZero),
        2 => Some(Missing::Nan),
        _ => None,
    }
}

/// `x <= threshold`, where any `x` from -[`ZERO_MAX`] to [`ZERO_MAX`] counts as 0.
fn at_most(threshold: f64) -> Condition {
    if (0.0..=ZERO_MAX).contains(&threshold) {
        Condition::compare(Relation::AtMost, ZERO_MAX)
    } else if (-ZERO_MAX..0.0).contains(&threshold) {
        Condition::compare(Relation::Below, -ZERO_MAX)
    } else {
        Condition::compare(Relation::AtMost, threshold)
    }
}

/// The values that the library cuts to the categories of a bit set. All between -1 and 1 are cut to 0.
fn ranges(words: &[u32]) -> Vec<[f64; 2]> {
    let bits = words.iter().enumerate().flat_map(|(at, word)| {
        (0..32).filter(move |bit| word >> bit & 1 == 1).map(move |bit| at as u64 * 32 + bit)
    });
    // A larger one is out of the range of the library's int.
    let categories = bits.take_while(|category| *category <= i32::MAX as u64).map(|category| category as u32);
    let mut ranges = truncated(categories);
    if let Some([from, _]) = ranges.first_mut().filter(|[from, _]| *from == 0.0) {
        *from = (-1f64).next_up();
    }
    ranges
}
