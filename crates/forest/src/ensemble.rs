use crate::scorer::Scorer;

/// A tree ensemble: trees, how their outputs are joined, names of features.
///
/// Every forest in memory is sound: child indices point forward inside their tree, every node but the root has
/// exactly one parent, features exist, thresholds and leaf values are finite. The growers build nothing else,
/// and [`Forest::from_json`] refuses anything else.
#[derive(Clone, Debug, PartialEq)]
pub struct Forest {
    pub(crate) features: Vec<String>,
    pub(crate) join: Join,
    pub(crate) base: f64,
    pub(crate) trees: Vec<Tree>,
}

/// How the outputs of the trees become one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Join {
    /// The sum plus the base is a log-odds (boosting).
    LogOdds,
    /// The mean is a probability (random forest, single tree); every leaf lies in [0, 1].
    MeanProbability,
}

/// Nodes of one tree; the root is the first, children come after their parents.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Tree {
    pub(crate) nodes: Vec<Node>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Node {
    Split(Split),
    Leaf(Leaf),
}

/// `x < threshold` goes left, NaN goes left if `missing_left`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Split {
    pub(crate) feature: u32,
    pub(crate) threshold: f64,
    pub(crate) missing_left: bool,
    pub(crate) left: u32,
    pub(crate) right: u32,
    /// Improvement of the objective that the split brought in training.
    pub(crate) gain: f64,
    /// Training weight that reached the node (hessian in boosting, row weight elsewhere).
    pub(crate) cover: f64,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Leaf {
    pub(crate) value: f64,
    /// As in [`Split::cover`].
    pub(crate) cover: f64,
}

impl Forest {
    /// Names of the features, in the order in which a row gives their values.
    pub fn feature_names(&self) -> &[String] {
        &self.features
    }

    /// Number of trees.
    pub fn tree_count(&self) -> usize {
        self.trees.len()
    }

    /// Number of nodes in all trees, splits and leaves.
    pub fn node_count(&self) -> usize {
        self.trees.iter().map(|tree| tree.nodes.len()).sum()
    }

    /// Splits on the longest path from a root to a leaf; 0 if every tree is one leaf.
    pub fn max_depth(&self) -> usize {
        self.trees.iter().map(Tree::depth).max().unwrap_or(0)
    }

    /// Share of the total gain of all splits that each feature brought, in the order of
    /// [`Forest::feature_names`]. Sums to 1, or is all 0 if no split gained anything.
    pub fn importance(&self) -> Vec<f64> {
        let mut gain = vec![0.0; self.features.len()];
        for split in self.trees.iter().flat_map(Tree::splits) {
            gain[split.feature as usize] += split.gain.max(0.0);
        }
        // Scaled by the largest first: hostile gains near f64::MAX must not overflow the sum.
        let largest = gain.iter().copied().fold(0.0, f64::max).min(f64::MAX);
        if largest > 0.0 {
            gain.iter_mut().for_each(|g| *g = g.min(f64::MAX) / largest);
            let total: f64 = gain.iter().sum();
            gain.iter_mut().for_each(|g| *g /= total);
        }
        gain
    }

    /// Compiles the forest for speed. Costs about as much as copying it.
    pub fn scorer(&self) -> Scorer {
        Scorer::compile(self)
    }
}

impl Join {
    /// The raw number that callers see, from the sum over trees of `tree_count` outputs.
    pub(crate) fn margin(self, base: f64, sum: f64, tree_count: usize) -> f64 {
        match self {
            Join::LogOdds => base + sum,
            Join::MeanProbability => sum / tree_count as f64,
        }
    }

    /// The probability that belongs to a margin.
    pub(crate) fn probability(self, margin: f64) -> f64 {
        match self {
            Join::LogOdds => 1.0 / (1.0 + (-margin).exp()),
            Join::MeanProbability => margin,
        }
    }
}

impl Tree {
    /// Splits on the longest path. Children come after parents, so one pass forward does it.
    pub(crate) fn depth(&self) -> usize {
        let mut depth = vec![0usize; self.nodes.len()];
        let mut deepest = 0;
        for (at, node) in self.nodes.iter().enumerate() {
            if let Node::Split(split) = node {
                depth[split.left as usize] = depth[at] + 1;
                depth[split.right as usize] = depth[at] + 1;
                deepest = deepest.max(depth[at] + 1);
            }
        }
        deepest
    }

    pub(crate) fn splits(&self) -> impl Iterator<Item = &Split> {
        self.nodes.iter().filter_map(|node| match node {
            Node::Split(split) => Some(split),
            Node::Leaf(_) => None,
        })
    }

    /// The plain walk: what every faster layout must agree with, and the layout of last resort.
    pub(crate) fn output(&self, row: &[f64]) -> f64 {
        self.output_of(|feature| row[feature])
    }

    /// [`Tree::output`] with values from wherever they are.
    pub(crate) fn output_of(&self, value: impl Fn(usize) -> f64) -> f64 {
        let mut at = 0;
        loop {
            match &self.nodes[at] {
                Node::Leaf(leaf) => return leaf.value,
                Node::Split(split) => at = split.child(value(split.feature as usize)),
            }
        }
    }
}

impl Split {
    fn child(&self, x: f64) -> usize {
        let left = if x.is_nan() { self.missing_left } else { x < self.threshold };
        (if left { self.left } else { self.right }) as usize
    }
}
