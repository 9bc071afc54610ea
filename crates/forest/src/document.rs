//! The JSON form of a forest.
//!
//! One line per node, so that a model can be read, diffed and searched with a pager. Numbers are written in the
//! shortest form that reads back to the same bits. What is read is trusted in nothing: a forest exists only
//! once every index, number and shape has been checked, and an error names the tree and node.

use std::collections::HashSet;

use crate::ensemble::{Forest, Leaf, Link, Missing, Node, Output, Precision, Split, Summation, Test, Tree};
use crate::read::ReadError;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

const FORMAT: &str = "redflag-forest";
const VERSION: u32 = 2;

impl Forest {
    /// Writes the forest as JSON, one line per node. [`Forest::from_json`] reads back an equal forest, bit for bit.
    pub fn to_json(&self) -> String {
        let document = Document::from(self);
        let mut text = String::new();
        text.push_str(&format!(
            "{{\"format\":{},\"version\":{VERSION},\n\"features\":{},\n\"values\":{},\"output\":{},\n\"trees\":[",
            line(&document.format),
            line(&document.features),
            line(&document.values),
            line(&document.output)
        ));
        for (at, tree) in document.trees.iter().enumerate() {
            text.push_str(if at == 0 { "\n" } else { ",\n" });
            push_tree(&mut text, tree);
        }
        text.push_str("\n]}\n");
        text
    }

    /// Reads what [`Forest::to_json`] wrote.
    ///
    /// # Errors
    /// Anything that is not a sound forest, with the place. Memory stays in proportion to the text.
    pub fn from_json(text: &str) -> Result<Forest, ReadError> {
        let document: Document = serde_json::from_str(text)
            .map_err(|error| ReadError::Syntax { format: FORMAT, problem: error.to_string() })?;
        Forest::try_from(document)
    }

    /// The one gate for forests from outside: checks every promise in the documentation of [`Forest`].
    pub(crate) fn check(self) -> Result<Forest, ReadError> {
        check_header(&self)?;
        for (at, tree) in self.trees.iter().enumerate() {
            TreeCheck { tree, at, features: self.features.len(), link: self.output.link }.check()?;
        }
        Ok(self)
    }
}

impl Serialize for Forest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Document::from(self).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Forest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Forest, D::Error> {
        Forest::try_from(Document::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    format: String,
    version: u32,
    features: Vec<String>,
    values: PrecisionDocument,
    output: OutputDocument,
    trees: Vec<TreeDocument>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum PrecisionDocument {
    Single,
    Double,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct OutputDocument {
    summation: SummationDocument,
    start: f64,
    divisor: f64,
    scale: f64,
    bias: f64,
    link: LinkDocument,
    /// Of a logistic link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    slope: Option<f64>,
    /// Of a mean.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    score_divisor: Option<f64>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum SummationDocument {
    Single,
    Double,
    EightLanes,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum LinkDocument {
    Logistic,
    Probability,
    Identity,
    Mean,
    Exponential,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TreeDocument {
    nodes: Vec<NodeDocument>,
}

/// A split or a leaf. One flat shape rather than an untagged enum: reading is quicker, and an error can say
/// which field is missing.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct NodeDocument {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    feature: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    below: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    at_most: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    within: Option<Vec<[f64; 2]>>,
    /// Which values are missing; NaN alone if it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    missing_values: Option<MissingDocument>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    missing: Option<Side>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    left: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    right: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    gain: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    leaf: Option<f64>,
    #[serde(default)]
    cover: f64,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum MissingDocument {
    NanOrZero,
    Never,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Side {
    Left,
    Right,
}

fn line<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("plain values always serialize")
}

fn push_tree(text: &mut String, tree: &TreeDocument) {
    text.push_str("{\"nodes\":[");
    for (at, node) in tree.nodes.iter().enumerate() {
        text.push_str(if at == 0 { "\n" } else { ",\n" });
        text.push_str(&line(node));
    }
    text.push_str("]}");
}

impl From<&Forest> for Document {
    fn from(forest: &Forest) -> Document {
        Document {
            format: FORMAT.to_owned(),
            version: VERSION,
            features: forest.features.clone(),
            values: forest.values.into(),
            output: forest.output.into(),
            trees: forest.trees.iter().map(TreeDocument::from).collect(),
        }
    }
}

impl TryFrom<Document> for Forest {
    type Error = ReadError;

    fn try_from(document: Document) -> Result<Forest, ReadError> {
        if document.format != FORMAT || document.version != VERSION {
            let expected = format!("{FORMAT} version {VERSION}");
            return Err(ReadError::Format { expected, format: document.format, version: document.version });
        }
        let mut trees = Vec::with_capacity(document.trees.len());
        for (at, tree) in document.trees.into_iter().enumerate() {
            trees.push(read_tree(at, tree)?);
        }
        let (features, values, output) = (document.features, document.values.into(), document.output.into());
        Forest { features, values, output, trees }.check()
    }
}

impl From<&Tree> for TreeDocument {
    fn from(tree: &Tree) -> TreeDocument {
        TreeDocument { nodes: tree.nodes.iter().map(NodeDocument::from).collect() }
    }
}

impl From<&Node> for NodeDocument {
    fn from(node: &Node) -> NodeDocument {
        match node {
            Node::Leaf(leaf) => {
                NodeDocument { leaf: Some(leaf.value), cover: leaf.cover, ..Default::default() }
            }
            Node::Split(split) => split_document(split),
        }
    }
}

fn split_document(split: &Split) -> NodeDocument {
    let (mut below, mut at_most, mut within) = (None, None, None);
    match &split.test {
        Test::Below(threshold) => below = Some(*threshold),
        Test::AtMost(threshold) => at_most = Some(*threshold),
        Test::Within(ranges) => within = Some(ranges.to_vec()),
    }
    NodeDocument {
        feature: Some(split.feature),
        below,
        at_most,
        within,
        missing_values: match split.missing {
            Missing::Nan => None,
            Missing::NanOrZero => Some(MissingDocument::NanOrZero),
            Missing::Never => Some(MissingDocument::Never),
        },
        missing: Some(if split.missing_left { Side::Left } else { Side::Right }),
        left: Some(split.left),
        right: Some(split.right),
        gain: Some(split.gain),
        leaf: None,
        cover: split.cover,
    }
}

impl From<Precision> for PrecisionDocument {
    fn from(precision: Precision) -> PrecisionDocument {
        match precision {
            Precision::Single => PrecisionDocument::Single,
            Precision::Double => PrecisionDocument::Double,
        }
    }
}

impl From<PrecisionDocument> for Precision {
    fn from(precision: PrecisionDocument) -> Precision {
        match precision {
            PrecisionDocument::Single => Precision::Single,
            PrecisionDocument::Double => Precision::Double,
        }
    }
}

impl From<Output> for OutputDocument {
    fn from(output: Output) -> OutputDocument {
        let Output { summation, start, divisor, scale, bias, link } = output;
        let summation = match summation {
            Summation::InTurn(Precision::Single) => SummationDocument::Single,
            Summation::InTurn(Precision::Double) => SummationDocument::Double,
            Summation::EightLanes => SummationDocument::EightLanes,
        };
        let (link, slope, score_divisor) = match link {
            Link::Logistic { slope } => (LinkDocument::Logistic, Some(slope), None),
            Link::Probability => (LinkDocument::Probability, None, None),
            Link::Identity => (LinkDocument::Identity, None, None),
            Link::Mean { divisor } => (LinkDocument::Mean, None, Some(divisor)),
            Link::Exponential => (LinkDocument::Exponential, None, None),
        };
        OutputDocument { summation, start, divisor, scale, bias, link, slope, score_divisor }
    }
}

impl From<OutputDocument> for Output {
    fn from(document: OutputDocument) -> Output {
        let OutputDocument { summation, start, divisor, scale, bias, link, slope, score_divisor } = document;
        let summation = match summation {
            SummationDocument::Single => Summation::InTurn(Precision::Single),
            SummationDocument::Double => Summation::InTurn(Precision::Double),
            SummationDocument::EightLanes => Summation::EightLanes,
        };
        let link = match link {
            LinkDocument::Logistic => Link::Logistic { slope: slope.unwrap_or(1.0) },
            LinkDocument::Probability => Link::Probability,
            LinkDocument::Identity => Link::Identity,
            LinkDocument::Mean => Link::Mean { divisor: score_divisor.unwrap_or(1.0) },
            LinkDocument::Exponential => Link::Exponential,
        };
        Output { summation, start, divisor, scale, bias, link }
    }
}

fn read_tree(tree: usize, document: TreeDocument) -> Result<Tree, ReadError> {
    let mut nodes = Vec::with_capacity(document.nodes.len());
    for (node, document) in document.nodes.into_iter().enumerate() {
        nodes.push(read_node(document).ok_or_else(|| {
            ReadError::Node {
                tree,
                node,
                problem: "a split has feature, one of below, at_most and within, missing, left, right, gain and no \
                          leaf; a leaf has leaf and none of these"
                    .to_owned(),
            }
        })?);
    }
    Ok(Tree { nodes })
}

fn read_node(document: NodeDocument) -> Option<Node> {
    let test = read_test(&document);
    let NodeDocument { feature, missing_values, missing, left, right, gain, leaf, cover, .. } = document;
    match (feature, test, missing, left, right, gain, leaf) {
        (Some(feature), Some(Some(test)), Some(side), Some(left), Some(right), Some(gain), None) => {
            let missing = match missing_values {
                None => Missing::Nan,
                Some(MissingDocument::NanOrZero) => Missing::NanOrZero,
                Some(MissingDocument::Never) => Missing::Never,
            };
            let missing_left = matches!(side, Side::Left);
            Some(Node::Split(Split { feature, test, missing, missing_left, left, right, gain, cover }))
        }
        (None, Some(None), None, None, None, None, Some(value)) if missing_values.is_none() => {
            Some(Node::Leaf(Leaf { value, cover }))
        }
        _ => None,
    }
}

/// The one test that a node names, `Some(None)` if it names none, `None` if it names several.
fn read_test(document: &NodeDocument) -> Option<Option<Test>> {
    match (document.below, document.at_most, &document.within) {
        (None, None, None) => Some(None),
        (Some(threshold), None, None) => Some(Some(Test::Below(threshold))),
        (None, Some(threshold), None) => Some(Some(Test::AtMost(threshold))),
        (None, None, Some(ranges)) => Some(Some(Test::Within(ranges.as_slice().into()))),
        _ => None,
    }
}

fn check_header(forest: &Forest) -> Result<(), ReadError> {
    let mut seen = HashSet::new();
    if let Some(twice) = forest.features.iter().find(|name| !seen.insert(name.as_str())) {
        return Err(ReadError::Header(format!("features: the name {twice:?} is there twice")));
    }
    check_output(&forest.output)?;
    if forest.trees.is_empty() {
        return Err(ReadError::Header("trees: expected at least one".to_owned()));
    }
    Ok(())
}

fn check_output(output: &Output) -> Result<(), ReadError> {
    let Output { start, divisor, scale, bias, link, .. } = *output;
    let (slope, score_divisor) = match link {
        Link::Logistic { slope } => (slope, 1.0),
        Link::Mean { divisor } => (1.0, divisor),
        Link::Probability | Link::Identity | Link::Exponential => (1.0, 1.0),
    };
    for (name, value) in [("start", start), ("scale", scale), ("bias", bias)] {
        if !value.is_finite() {
            return Err(ReadError::Header(format!("output {name}: expected a finite number, got {value}")));
        }
    }
    for (name, value) in [("divisor", divisor), ("slope", slope), ("score_divisor", score_divisor)] {
        if !(value > 0.0 && value.is_finite()) {
            return Err(ReadError::Header(format!("output {name}: expected a number above 0, got {value}")));
        }
    }
    Ok(())
}

/// Checks one tree of a forest with so many features.
struct TreeCheck<'a> {
    tree: &'a Tree,
    at: usize,
    features: usize,
    link: Link,
}

impl TreeCheck<'_> {
    fn check(&self) -> Result<(), ReadError> {
        let count = self.tree.nodes.len();
        if count == 0 || u32::try_from(count).is_err() {
            return self.fail(0, format!("expected 1 to {} nodes, got {count}", u32::MAX));
        }
        let mut has_parent = vec![false; count];
        has_parent[0] = true;
        for (at, node) in self.tree.nodes.iter().enumerate() {
            match node {
                Node::Leaf(leaf) => self.check_leaf(at, leaf)?,
                Node::Split(split) => self.check_split(at, split, &mut has_parent)?,
            }
        }
        match has_parent.iter().position(|has| !has) {
            Some(orphan) => self.fail(orphan, "no split leads here".to_owned()),
            None => Ok(()),
        }
    }

    fn check_leaf(&self, at: usize, leaf: &Leaf) -> Result<(), ReadError> {
        if !leaf.value.is_finite() {
            return self.fail(at, format!("leaf: expected a finite number, got {}", leaf.value));
        }
        if self.link == Link::Probability && !(0.0..=1.0).contains(&leaf.value) {
            return self.fail(at, format!("leaf: expected a probability in [0, 1], got {}", leaf.value));
        }
        self.check_cover(at, leaf.cover)
    }

    fn check_split(&self, at: usize, split: &Split, has_parent: &mut [bool]) -> Result<(), ReadError> {
        if split.feature as usize >= self.features {
            let (feature, features) = (split.feature, self.features);
            return self.fail(at, format!("feature {feature} is not one of the {features} features"));
        }
        self.check_test(at, &split.test)?;
        if !split.gain.is_finite() {
            return self.fail(at, format!("gain: expected a finite number, got {}", split.gain));
        }
        self.check_child(at, "left", split.left, has_parent)?;
        self.check_child(at, "right", split.right, has_parent)?;
        self.check_cover(at, split.cover)
    }

    fn check_test(&self, at: usize, test: &Test) -> Result<(), ReadError> {
        match test {
            Test::Below(threshold) | Test::AtMost(threshold) if !threshold.is_finite() => {
                self.fail(at, format!("threshold: expected a finite number, got {threshold}"))
            }
            Test::Within(ranges) if !ascending(ranges) => {
                self.fail(at, "within: expected ascending ranges that do not touch".to_owned())
            }
            _ => Ok(()),
        }
    }

    /// Children come after their parent and have one only: so there are no cycles and no shared subtrees.
    fn check_child(
        &self,
        at: usize,
        side: &str,
        child: u32,
        has_parent: &mut [bool],
    ) -> Result<(), ReadError> {
        let count = has_parent.len();
        let child = child as usize;
        if child <= at || child >= count {
            return self.fail(at, format!("{side}: expected a node in {}..{count}, got {child}", at + 1));
        }
        if has_parent[child] {
            return self.fail(at, format!("{side}: node {child} already has a parent"));
        }
        has_parent[child] = true;
        Ok(())
    }

    fn check_cover(&self, at: usize, cover: f64) -> Result<(), ReadError> {
        if cover.is_finite() && cover >= 0.0 {
            return Ok(());
        }
        self.fail(at, format!("cover: expected a finite number of at least 0, got {cover}"))
    }

    fn fail(&self, node: usize, problem: String) -> Result<(), ReadError> {
        Err(ReadError::Node { tree: self.at, node, problem })
    }
}

/// Whether the bounds are finite and strictly ascending, so that ranges are not empty and do not touch.
fn ascending(ranges: &[[f64; 2]]) -> bool {
    let bounds = ranges.as_flattened();
    bounds.iter().all(|bound| bound.is_finite()) && bounds.windows(2).all(|pair| pair[0] < pair[1])
}
