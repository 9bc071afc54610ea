//! Random forests and single trees: every threshold is tried.
//!
//! With weight w and label y, the decrease of Gini impurity of a split is, up to a factor of 2,
//! `P_l^2/W_l + P_r^2/W_r - P^2/W` with W the weight and P the positive weight on a side, which is how it is
//! computed here (Breiman and others 1984, chapter 4). Categories are put in the order of their share of positives, in
//! which the best set is a prefix (theorem 4.5 there). Each column is replaced by ranks of its distinct values
//! once; a node then puts its rows in order by counting ranks, or by sorting them if it has few.

use rayon::prelude::*;

use crate::ensemble::{Leaf, Missing, Node, Split, Test, Tree};

use super::bins::{between, ranges};
use super::random::Random;
use super::{Algorithm, Params, Progress, Table};

/// The rank of a missing value.
const MISSING: u32 = u32::MAX;
/// A node counts its rows by rank rather than sorting them if there are at most so many ranks per row: passing
/// over 64 ranks that do not occur costs about a nanosecond, sorting a row about ten.
const RANKS_PER_ROW: usize = 512;

/// Grows `params.trees` trees, a handful at a time.
pub(super) fn grow(
    table: &Table,
    params: &Params,
    pool: &rayon::ThreadPool,
    progress: &mut dyn FnMut(Progress),
) -> Vec<Tree> {
    let categorical = params.categorical(table.names);
    let columns = table.columns.par_iter().zip(categorical);
    let columns = pool.install(|| columns.map(|(column, is)| Column::new(column, is)).collect());
    let rows = 0..table.labels.len();
    let weights = rows.map(|row| table.class_weight(row, params.positive_weight)).collect();
    let mut data = Data { columns, labels: table.labels, weights, base_rate: 0.0, params };
    data.base_rate = data.base_rate();
    let handful = (2 * pool.current_num_threads()).max(8);
    let mut trees = Vec::with_capacity(params.trees);
    while trees.len() < params.trees {
        let end = (trees.len() + handful).min(params.trees);
        let grown: Vec<Tree> =
            pool.install(|| (trees.len()..end).into_par_iter().map(|at| data.grow_tree(at)).collect());
        trees.extend(grown);
        progress(Progress { trees_done: trees.len(), trees_total: params.trees });
    }
    trees
}

struct Data<'a> {
    columns: Vec<Column>,
    labels: &'a [bool],
    /// By row, class weight included.
    weights: Vec<f64>,
    /// Share of positive weight.
    base_rate: f64,
    params: &'a Params,
}

/// A column as ranks of its distinct values.
struct Column {
    ranks: Vec<u32>,
    values: Vec<f64>,
    categorical: bool,
}

/// Weight, positive weight and number of distinct rows.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    weight: f64,
    positive: f64,
    rows: usize,
}

/// The best split found so far.
#[derive(Clone, Debug)]
struct Found {
    quality: f64,
    feature: usize,
    left: Left,
    missing_left: bool,
}

/// Which ranks go left.
#[derive(Clone, Debug)]
enum Left {
    /// Up to `below`; `above` is the next that occurs, none if only missing values go right.
    UpTo { below: u32, above: Option<u32> },
    /// Those of a set of categories: by rank, one bit each.
    Set(Vec<u64>),
}

impl Left {
    fn contains(&self, rank: u32) -> bool {
        match self {
            Left::UpTo { below, .. } => rank <= *below,
            Left::Set(bits) => bits[rank as usize / 64] >> (rank % 64) & 1 == 1,
        }
    }

    fn test(&self, values: &[f64]) -> Test {
        match self {
            Left::UpTo { below, above } => Test::Below(
                above.map_or(f64::MAX, |above| between(values[*below as usize], values[above as usize])),
            ),
            Left::Set(_) => {
                let of_set = |(rank, _): &(usize, &f64)| self.contains(*rank as u32);
                Test::Within(ranges(values.iter().enumerate().filter(of_set).map(|(_, value)| *value)))
            }
        }
    }
}

impl Column {
    fn new(column: &[f64], categorical: bool) -> Column {
        let mut values: Vec<f64> = column.iter().copied().filter(|x| !x.is_nan()).collect();
        values.sort_unstable_by(f64::total_cmp);
        values.dedup_by(|a, b| a == b);
        let rank = |x: &f64| {
            if x.is_nan() { MISSING } else { values.partition_point(|value| value < x) as u32 }
        };
        Column { ranks: column.iter().map(rank).collect(), values, categorical }
    }
}

impl Sums {
    fn add(&mut self, other: Sums) {
        self.weight += other.weight;
        self.positive += other.positive;
        self.rows += other.rows;
    }

    fn less(self, other: Sums) -> Sums {
        Sums {
            weight: self.weight - other.weight,
            positive: self.positive - other.positive,
            rows: self.rows - other.rows,
        }
    }

    /// Larger is purer; see the head of the module.
    fn quality(self) -> f64 {
        if self.weight > 0.0 { self.positive * self.positive / self.weight } else { 0.0 }
    }

    /// The share of positives, after `lambda` rows of the base rate (the m-estimate of Cestnik 1990): so a leaf of two
    /// genuine rows is not as sure as one of two thousand, which ranks the many scores near zero.
    fn probability(self, base_rate: f64, lambda: f64) -> f64 {
        ((self.positive + lambda * base_rate) / (self.weight + lambda)).clamp(0.0, 1.0)
    }
}

impl Data<'_> {
    fn grow_tree(&self, at: usize) -> Tree {
        let mut random = Random::new(self.params.seed, at as u64);
        let (rows, weights) = self.sample(&mut random);
        let counts = self.columns.iter().map(|column| column.values.len()).max().unwrap_or(0);
        let mut growing = Growing {
            data: self,
            random,
            weights,
            order: (0..self.columns.len()).collect(),
            sorted: Vec::new(),
            counts: vec![Sums::default(); counts],
            occurs: vec![0; counts.div_ceil(64)],
            aside: Vec::new(),
            nodes: Vec::new(),
        };
        growing.grow(rows);
        Tree { nodes: growing.nodes }
    }

    /// The rows of a tree, each once, and their weights by row: a bootstrap sample for a forest, all for a tree.
    fn sample(&self, random: &mut Random) -> (Vec<u32>, Vec<f64>) {
        let count = self.labels.len();
        if self.params.algorithm == Algorithm::DecisionTree {
            return ((0..count as u32).collect(), self.weights.clone());
        }
        let draws = ((count as f64 * self.params.row_subsample(count)) as usize).max(1);
        let mut weights = vec![0.0; count];
        for _ in 0..draws {
            let row = random.below(count);
            weights[row] += self.weights[row];
        }
        let rows = (0..count as u32).filter(|row| weights[*row as usize] > 0.0).collect();
        (rows, weights)
    }

    fn base_rate(&self) -> f64 {
        let positive =
            self.weights.iter().zip(self.labels).filter(|(_, label)| **label).map(|(weight, _)| weight);
        positive.sum::<f64>() / self.weights.iter().sum::<f64>()
    }

    fn probability(&self, leaf: Sums) -> f64 {
        leaf.probability(self.base_rate, self.params.lambda)
    }

    fn features_tried(&self) -> usize {
        let all = self.columns.len() as f64;
        let tried = match (self.params.column_subsample, self.params.algorithm) {
            (Some(share), _) => all * share,
            (None, Algorithm::RandomForest) => all.sqrt(),
            (None, _) => all,
        };
        (tried as usize).max(1)
    }
}

/// One tree in the making.
struct Growing<'a> {
    data: &'a Data<'a>,
    random: Random,
    weights: Vec<f64>,
    /// The features, shuffled a little further at every node.
    order: Vec<usize>,
    sorted: Vec<u64>,
    /// By rank; all zero between uses.
    counts: Vec<Sums>,
    /// One bit by rank; all zero between uses.
    occurs: Vec<u64>,
    aside: Vec<u32>,
    nodes: Vec<Node>,
}

/// Rows that still have to become a node.
struct Pending {
    rows: std::ops::Range<usize>,
    depth: u32,
    /// The split that waits for this node's index, and on which side; none for the root.
    parent: Option<(usize, bool)>,
}

impl Growing<'_> {
    fn grow(&mut self, mut rows: Vec<u32>) {
        let mut pending = vec![Pending { rows: 0..rows.len(), depth: 0, parent: None }];
        while let Some(next) = pending.pop() {
            let index = self.nodes.len();
            self.link(next.parent, index as u32);
            let own = &mut rows[next.rows.clone()];
            let total = self.total(own);
            let Some(found) = self.find(own, total, next.depth) else {
                self.nodes
                    .push(Node::Leaf(Leaf { value: self.data.probability(total), cover: total.weight }));
                continue;
            };
            let middle = next.rows.start + self.partition(own, &found);
            self.nodes.push(self.split(&found, total));
            let depth = next.depth + 1;
            // The left side is popped first: nodes are numbered in preorder.
            let right = Pending { rows: middle..next.rows.end, depth, parent: Some((index, false)) };
            let left = Pending { rows: next.rows.start..middle, depth, parent: Some((index, true)) };
            pending.extend([right, left]);
        }
    }

    fn link(&mut self, parent: Option<(usize, bool)>, child: u32) {
        let Some((parent, is_left)) = parent else { return };
        let Node::Split(split) = &mut self.nodes[parent] else { unreachable!("only splits have children") };
        *(if is_left { &mut split.left } else { &mut split.right }) = child;
    }

    fn split(&self, found: &Found, total: Sums) -> Node {
        Node::Split(Split {
            feature: found.feature as u32,
            test: found.left.test(&self.data.columns[found.feature].values),
            missing: Missing::Nan,
            missing_left: found.missing_left,
            left: 0,
            right: 0,
            gain: found.quality - total.quality(),
            cover: total.weight,
        })
    }

    fn row(&self, row: u32) -> Sums {
        let weight = self.weights[row as usize];
        let positive = if self.data.labels[row as usize] { weight } else { 0.0 };
        Sums { weight, positive, rows: 1 }
    }

    fn total(&self, rows: &[u32]) -> Sums {
        let mut total = Sums::default();
        rows.iter().for_each(|row| total.add(self.row(*row)));
        total
    }

    /// The best split of these rows, if any is worth it.
    fn find(&mut self, rows: &[u32], total: Sums, depth: u32) -> Option<Found> {
        let params = self.data.params;
        let pure = total.positive <= 0.0 || total.positive >= total.weight;
        let deep = params.max_depth.is_some_and(|max| depth >= max);
        if pure || deep || total.rows < 2 * params.min_samples_leaf {
            return None;
        }
        let mut best = None;
        let tried = self.data.features_tried();
        for drawn in 0..self.order.len() {
            if drawn >= tried && best.is_some() {
                break;
            }
            let pick = drawn + self.random.below(self.order.len() - drawn);
            self.order.swap(drawn, pick);
            self.find_in(self.order[drawn], rows, total, &mut best);
        }
        best
    }

    fn find_in(&mut self, feature: usize, rows: &[u32], total: Sums, best: &mut Option<Found>) {
        let data = self.data;
        let column = &data.columns[feature];
        let mut scan = Scan { feature, total, missing: Sums::default(), params: data.params, best };
        if column.categorical {
            self.group(column, rows, &mut scan);
        } else if column.values.len() <= RANKS_PER_ROW * rows.len() {
            self.count(column, rows, &mut scan);
        } else {
            self.sort(column, rows, &mut scan);
        }
    }

    /// Sums by rank, and a bit for every rank that occurs: reading the bits in order sorts the rows in linear time.
    fn count(&mut self, column: &Column, rows: &[u32], scan: &mut Scan) {
        let mut counts = std::mem::take(&mut self.counts);
        let mut occurs = std::mem::take(&mut self.occurs);
        for &row in rows {
            let sums = self.row(row);
            match column.ranks[row as usize] {
                MISSING => scan.missing.add(sums),
                rank => {
                    counts[rank as usize].add(sums);
                    occurs[rank as usize / 64] |= 1 << (rank % 64);
                }
            }
        }
        scan.run(Occurring {
            words: &mut occurs[..column.values.len().div_ceil(64)],
            counts: &mut counts,
            at: 0,
        });
        self.counts = counts;
        self.occurs = occurs;
    }

    /// Sums by category, in the order of their share of positives.
    fn group(&mut self, column: &Column, rows: &[u32], scan: &mut Scan) {
        let mut sums = vec![Sums::default(); column.values.len()];
        for &row in rows {
            match column.ranks[row as usize] {
                MISSING => scan.missing.add(self.row(row)),
                rank => sums[rank as usize].add(self.row(row)),
            }
        }
        let occurring = (0u32..).zip(sums).filter(|(_, sums)| sums.rows > 0);
        let mut ordered: Vec<(u32, Sums)> = occurring.collect();
        ordered.sort_by(|(_, a), (_, b)| (a.positive / a.weight).total_cmp(&(b.positive / b.weight)));
        scan.run_categories(&ordered, column.values.len());
    }

    fn sort(&mut self, column: &Column, rows: &[u32], scan: &mut Scan) {
        let mut sorted = std::mem::take(&mut self.sorted);
        sorted.clear();
        for &row in rows {
            match column.ranks[row as usize] {
                MISSING => scan.missing.add(self.row(row)),
                rank => sorted.push(u64::from(rank) << 32 | u64::from(row)),
            }
        }
        sorted.sort_unstable();
        scan.run(sorted.iter().map(|key| ((key >> 32) as u32, self.row(*key as u32))));
        self.sorted = sorted;
    }

    /// Brings the rows of the left side to the front, in order, and says how many they are.
    fn partition(&mut self, rows: &mut [u32], found: &Found) -> usize {
        let ranks = &self.data.columns[found.feature].ranks;
        self.aside.clear();
        let mut left = 0;
        for at in 0..rows.len() {
            let row = rows[at];
            let rank = ranks[row as usize];
            if if rank == MISSING { found.missing_left } else { found.left.contains(rank) } {
                rows[left] = row;
                left += 1;
            } else {
                self.aside.push(row);
            }
        }
        rows[left..].copy_from_slice(&self.aside);
        left
    }
}

/// Takes the sums of the ranks that occur out of the counts, in ascending order, and leaves zeros.
struct Occurring<'a> {
    words: &'a mut [u64],
    counts: &'a mut [Sums],
    at: usize,
}

impl Iterator for Occurring<'_> {
    type Item = (u32, Sums);

    fn next(&mut self) -> Option<(u32, Sums)> {
        while *self.words.get(self.at)? == 0 {
            self.at += 1;
        }
        let word = &mut self.words[self.at];
        let rank = 64 * self.at + word.trailing_zeros() as usize;
        *word &= *word - 1;
        Some((rank as u32, std::mem::take(&mut self.counts[rank])))
    }
}

/// One feature's possible splits of one node.
struct Scan<'a> {
    feature: usize,
    total: Sums,
    missing: Sums,
    params: &'a Params,
    best: &'a mut Option<Found>,
}

impl Scan<'_> {
    /// Goes over the rows, or groups of rows, in ascending order of rank.
    fn run(&mut self, ascending: impl Iterator<Item = (u32, Sums)>) {
        let mut left = Sums::default();
        let mut below = None;
        for (rank, sums) in ascending {
            if let Some(below) = below.filter(|below| *below != rank) {
                self.consider(left, || Left::UpTo { below, above: Some(rank) });
            }
            left.add(sums);
            below = Some(rank);
        }
        // All present values against the missing ones; without any of those, one side is empty and it is refused.
        if let Some(below) = below {
            self.consider(left, || Left::UpTo { below, above: None });
        }
    }

    /// Goes over the prefixes of categories. The smaller side becomes the set: a category never seen is not in it.
    fn run_categories(&mut self, ordered: &[(u32, Sums)], ranks: usize) {
        let known = ordered.iter().fold(Sums::default(), |mut sum, (_, sums)| {
            sum.add(*sums);
            sum
        });
        let mut left = Sums::default();
        for end in 1..=ordered.len() {
            left.add(ordered[end - 1].1);
            let (set, own) = if 2.0 * left.weight <= known.weight || end == ordered.len() {
                (&ordered[..end], left)
            } else {
                (&ordered[end..], known.less(left))
            };
            self.consider(own, || {
                let mut bits = vec![0; ranks.div_ceil(64)];
                set.iter().for_each(|(rank, _)| bits[*rank as usize / 64] |= 1 << (rank % 64));
                Left::Set(bits)
            });
        }
    }

    fn consider(&mut self, left: Sums, ranks: impl Fn() -> Left) {
        if self.missing.rows == 0 {
            // Nothing learnt about missing values: they follow the majority.
            let right = self.total.less(left);
            return self.consider_sides(left, right, &ranks, left.weight >= right.weight);
        }
        let mut with_missing = left;
        with_missing.add(self.missing);
        self.consider_sides(left, self.total.less(left), &ranks, false);
        self.consider_sides(with_missing, self.total.less(with_missing), &ranks, true);
    }

    fn consider_sides(&mut self, left: Sums, right: Sums, ranks: &impl Fn() -> Left, missing_left: bool) {
        let (least_rows, least_weight) = (self.params.min_samples_leaf, self.params.min_child_weight);
        if left.rows.min(right.rows) < least_rows || left.weight.min(right.weight) < least_weight {
            return;
        }
        let quality = left.quality() + right.quality();
        if self.best.as_ref().is_none_or(|best| quality > best.quality) {
            *self.best = Some(Found { quality, feature: self.feature, left: ranks(), missing_left });
        }
    }
}
