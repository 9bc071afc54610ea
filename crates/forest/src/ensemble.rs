use std::sync::Arc;

use crate::scorer::{Instructions, Scorer};

/// A tree ensemble: trees, how their outputs become one number, names of features.
///
/// Every forest in memory is sound: child indices point forward inside their tree, every node but the root has
/// exactly one parent, features exist, thresholds and leaf values are finite. The growers build nothing else,
/// and the readers refuse anything else.
#[derive(Clone, Debug, PartialEq)]
pub struct Forest {
    pub(crate) features: Vec<String>,
    /// The precision to which a value is rounded before it is compared.
    pub(crate) values: Precision,
    pub(crate) output: Output,
    pub(crate) trees: Vec<Tree>,
}

/// Of binary floating-point numbers (IEEE 754).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Precision {
    Single,
    Double,
}

/// How the outputs of the trees become one number: `margin = bias + scale * (sum / divisor)`, and the margin a score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Output {
    pub(crate) summation: Summation,
    /// What the sum starts from.
    pub(crate) start: f64,
    pub(crate) divisor: f64,
    pub(crate) scale: f64,
    pub(crate) bias: f64,
    pub(crate) link: Link,
}

/// The order and precision in which leaves are added: part of what a forest means, since it decides the last bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Summation {
    /// Tree by tree, each partial sum rounded to this precision.
    InTurn(Precision),
    /// Eight partial sums in double precision, tree i added to sum i mod 8, then `((0+4)+(2+6))+((1+5)+(3+7))`:
    /// an eighth of the waiting for additions, where no library prescribes an order.
    EightLanes,
}

/// What turns a margin into a score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Link {
    /// `1 / (1 + exp(-slope * margin))`: the margin is a log-odds, up to the slope.
    Logistic { slope: f64 },
    /// The margin is a probability.
    Probability,
    /// The margin is any number, and so is the score.
    Identity,
    /// The margin is a sum of so many, and the score their mean.
    Mean { divisor: f64 },
    /// `exp(margin)`: the margin is the logarithm of a count, cost or rate.
    Exponential,
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

/// A missing value goes left if `missing_left`; any other goes left if the test holds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Split {
    pub(crate) feature: u32,
    pub(crate) test: Test,
    pub(crate) missing: Missing,
    pub(crate) missing_left: bool,
    pub(crate) left: u32,
    pub(crate) right: u32,
    /// Improvement of the objective that the split brought in training; 0 where the library does not say.
    pub(crate) gain: f64,
    /// Training weight that reached the node (hessian in boosting, row weight or count elsewhere); 0 where the
    /// library does not say.
    pub(crate) cover: f64,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Test {
    /// `x < threshold`
    Below(f64),
    /// `x <= threshold`
    AtMost(f64),
    /// `from <= x < to` for one of the ranges: ascending, not empty, not touching. A set of categories {3, 4, 7} that are read
    /// by truncation is `[[3, 5], [7, 8]]`.
    Within(Arc<[[f64; 2]]>),
}

/// Which values count as missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Missing {
    /// NaN.
    Nan,
    /// NaN, and anything from -[`ZERO_MAX`] to [`ZERO_MAX`] (LightGBM's `zero_as_missing`).
    NanOrZero,
    /// Nothing: NaN is read as 0.
    Never,
}

/// What LightGBM takes for zero: its `kZeroThreshold`, a single-precision 1e-35.
pub(crate) const ZERO_MAX: f64 = 1e-35f32 as f64;

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

    /// Tells the scores of every row after one tree, after two, up to all: how a forest learnt. `columns` are as many as the
    /// forest has features, all of one length. Sums are in double precision, so the last scores are those of
    /// [`Forest::scorer`] up to rounding.
    pub fn scores_by_tree(&self, columns: &[Vec<f64>], told: &mut dyn FnMut(usize, &[f64])) {
        let rows = columns.first().map_or(0, Vec::len);
        let (mut sums, mut scores) = (vec![self.output.start; rows], vec![0.0; rows]);
        for (tree, number) in self.trees.iter().zip(1..) {
            let output = self.output_after(number);
            for (row, (sum, score)) in sums.iter_mut().zip(&mut scores).enumerate() {
                *sum += tree.output_of(|feature| self.values.round(columns[feature][row]));
                *score = output.score(output.exact_margin(*sum));
            }
            told(number, &scores);
        }
    }

    /// A mean over all trees is one over those that there are so far.
    fn output_after(&self, trees: usize) -> Output {
        let is_mean = self.output.divisor == self.trees.len() as f64;
        let divisor = if is_mean { trees as f64 } else { self.output.divisor };
        Output { divisor, ..self.output }
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

    /// For each feature the distinct numbers at which a split changes sides, ascending.
    pub fn thresholds(&self) -> Vec<Vec<f64>> {
        let mut thresholds = vec![Vec::new(); self.features.len()];
        for split in self.trees.iter().flat_map(Tree::splits) {
            let of_feature = &mut thresholds[split.feature as usize];
            match &split.test {
                Test::Below(threshold) | Test::AtMost(threshold) => of_feature.push(*threshold),
                Test::Within(ranges) => of_feature.extend(ranges.iter().flatten()),
            }
        }
        for of_feature in &mut thresholds {
            of_feature.sort_by(f64::total_cmp);
            of_feature.dedup();
        }
        thresholds
    }

    /// How many splits look at each feature, in the order of [`Forest::feature_names`]: importance where the library does
    /// not say what its splits gained.
    pub fn split_counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.features.len()];
        for split in self.trees.iter().flat_map(Tree::splits) {
            counts[split.feature as usize] += 1;
        }
        counts
    }

    /// The same forest for rows in another order: value i of a row is now that of feature `from[i]`, under the name
    /// `names[i]`. None if `from` is not an order of all features, or the names do not match it in number or are not distinct.
    pub fn arranged(mut self, names: Vec<String>, from: &[usize]) -> Option<Forest> {
        let mut places = vec![None; self.features.len()];
        for (place, from) in from.iter().enumerate() {
            *places.get_mut(*from)? = Some(place as u32);
        }
        let places: Vec<u32> = places.into_iter().collect::<Option<_>>()?;
        if from.len() != places.len() || names.len() != places.len() {
            return None;
        }
        for node in self.trees.iter_mut().flat_map(|tree| &mut tree.nodes) {
            if let Node::Split(split) = node {
                split.feature = places[split.feature as usize];
            }
        }
        self.features = names;
        self.check().ok()
    }

    /// Whether a score is a probability: so for logistic objectives and for forests of class shares.
    pub fn gives_probability(&self) -> bool {
        matches!(self.output.link, Link::Logistic { .. } | Link::Probability)
    }

    /// Compiles the forest for speed, with the instructions that [`Instructions::VARIABLE`] names, or the best there
    /// are. Costs about as much as copying it.
    pub fn scorer(&self) -> Scorer {
        self.scorer_on(Instructions::chosen().unwrap_or_else(|_| Instructions::best()))
    }

    /// Compiles the forest for given instructions; for the best instead, if the processor lacks them.
    pub fn scorer_on(&self, instructions: Instructions) -> Scorer {
        Scorer::compile(self, instructions)
    }
}

impl Precision {
    /// `x` rounded to this precision.
    pub(crate) fn round(self, x: f64) -> f64 {
        match self {
            Precision::Single => f64::from(x as f32),
            Precision::Double => x,
        }
    }
}

impl Output {
    /// A sum in turn in double precision, plus `bias`, is a log-odds.
    pub(crate) fn log_odds(bias: f64) -> Output {
        let summation = Summation::InTurn(Precision::Double);
        Output { summation, start: 0.0, divisor: 1.0, scale: 1.0, bias, link: Link::Logistic { slope: 1.0 } }
    }

    /// The mean of so many trees is a probability.
    pub(crate) fn mean_probability(tree_count: usize) -> Output {
        Output { divisor: tree_count as f64, link: Link::Probability, ..Output::log_odds(0.0) }
    }

    /// The raw number that callers see, from the sum of the trees' outputs; in the precision of the sum.
    pub(crate) fn margin(&self, sum: f64) -> f64 {
        let margin = self.exact_margin(sum);
        match self.summation {
            // A sum of two numbers in single precision is the same rounded at once or through double precision.
            Summation::InTurn(precision) => precision.round(margin),
            Summation::EightLanes => margin,
        }
    }

    /// [`Output::margin`] in double precision, whatever the precision of the sum.
    pub(crate) fn exact_margin(&self, sum: f64) -> f64 {
        self.bias + self.scale * (sum / self.divisor)
    }

    /// The score that belongs to a margin.
    pub(crate) fn score(&self, margin: f64) -> f64 {
        match self.link {
            Link::Logistic { slope } => 1.0 / (1.0 + (-slope * margin).exp()),
            Link::Probability => margin.clamp(0.0, 1.0),
            Link::Identity => margin,
            Link::Mean { divisor } => margin / divisor,
            Link::Exponential => margin.exp(),
        }
    }

    /// Adds trees' outputs as the summation says. What every quicker way must agree with.
    pub(crate) fn sum(&self, outputs: impl Iterator<Item = f64>) -> f64 {
        match self.summation {
            Summation::InTurn(Precision::Double) => outputs.fold(self.start, |sum, output| sum + output),
            Summation::InTurn(Precision::Single) => {
                f64::from(outputs.fold(self.start as f32, |sum, output| sum + output as f32))
            }
            Summation::EightLanes => {
                let mut lanes = [0.0; LANES];
                outputs.enumerate().for_each(|(tree, output)| lanes[tree % LANES] += output);
                self.start + add_lanes(lanes)
            }
        }
    }
}

/// Partial sums of [`Summation::EightLanes`].
pub(crate) const LANES: usize = 8;

/// Closes [`Summation::EightLanes`].
pub(crate) fn add_lanes(lanes: [f64; LANES]) -> f64 {
    let [a, b, c, d, e, f, g, h] = lanes;
    ((a + e) + (c + g)) + ((b + f) + (d + h))
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
    pub(crate) fn output(&self, row: &[f64], values: Precision) -> f64 {
        self.output_of(|feature| values.round(row[feature]))
    }

    /// [`Tree::output`] with values, already rounded, from wherever they are.
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
    /// The child that a value, already rounded, goes to.
    pub(crate) fn child(&self, x: f64) -> usize {
        (if self.goes_left(x) { self.left } else { self.right }) as usize
    }

    /// Whether a value, already rounded, goes left.
    pub(crate) fn goes_left(&self, x: f64) -> bool {
        match self.missing {
            Missing::Nan if x.is_nan() => self.missing_left,
            Missing::NanOrZero if x.is_nan() || x.abs() <= ZERO_MAX => self.missing_left,
            Missing::Never if x.is_nan() => self.test.holds(0.0),
            _ => self.test.holds(x),
        }
    }
}

impl Test {
    /// Whether a number, not NaN, passes.
    pub(crate) fn holds(&self, x: f64) -> bool {
        match self {
            Test::Below(threshold) => x < *threshold,
            Test::AtMost(threshold) => x <= *threshold,
            Test::Within(ranges) => {
                let after = ranges.partition_point(|[from, _]| *from <= x);
                after > 0 && x < ranges[after - 1][1]
            }
        }
    }
}
