//! Nearest neighbours by Euclidean distance, exactly.
//!
//! A k-d tree (Bentley, "Multidimensional binary search trees used for associative searching", 1975) whose leaves hold a few
//! points; a branch is left out when the box around it is further away than what was found. Points at the same distance come
//! in the order of their rows, so that the answer does not depend on how the tree was built.

use std::cmp::Ordering;

/// Points in a leaf.
const LEAF_POINTS: usize = 24;

/// Points, row by row, all of the same number of coordinates. None is NaN.
#[derive(Debug, Clone, PartialEq)]
pub struct Points {
    /// Coordinates, point after point.
    pub values: Vec<f64>,
    /// Coordinates of a point.
    pub dimensions: usize,
}

impl Points {
    /// How many.
    pub fn len(&self) -> usize {
        self.values.len() / self.dimensions.max(1)
    }

    /// One of them.
    pub fn point(&self, row: usize) -> &[f64] {
        &self.values[row * self.dimensions..][..self.dimensions]
    }

    /// Those of some rows.
    pub fn select(&self, rows: impl IntoIterator<Item = usize>) -> Points {
        let values = rows.into_iter().flat_map(|row| self.point(row)).copied().collect();
        Points { values, dimensions: self.dimensions }
    }
}

/// A search tree over points.
pub struct Neighbours<'a> {
    points: &'a Points,
    /// The points' rows, leaf by leaf.
    rows: Vec<u32>,
    nodes: Vec<Node>,
}

enum Node {
    /// A range of `rows`.
    Leaf(u32, u32),
    /// The coordinate and value that part the points; the node before is followed by the one that is named.
    Split { dimension: u32, value: f64, right: u32 },
}

/// A point that was found: its squared distance and its row.
type Found = (f64, u32);

fn by_distance(a: &Found, b: &Found) -> Ordering {
    a.0.total_cmp(&b.0).then(a.1.cmp(&b.1))
}

impl Neighbours<'_> {
    /// A tree over all points.
    pub fn of(points: &Points) -> Neighbours<'_> {
        let mut tree = Neighbours { points, rows: (0..points.len() as u32).collect(), nodes: Vec::new() };
        let mut rows = std::mem::take(&mut tree.rows);
        tree.build(&mut rows, 0);
        tree.rows = rows;
        tree
    }

    fn build(&mut self, rows: &mut [u32], start: u32) {
        let widest = (rows.len() > LEAF_POINTS).then(|| self.widest(rows)).flatten();
        let Some(dimension) = widest else {
            self.nodes.push(Node::Leaf(start, start + rows.len() as u32));
            return;
        };
        let points = self.points;
        let at = |row: &u32| points.point(*row as usize)[dimension];
        let half = rows.len() / 2;
        rows.select_nth_unstable_by(half, |a, b| at(a).total_cmp(&at(b)));
        let node = self.nodes.len();
        self.nodes.push(Node::Split { dimension: dimension as u32, value: at(&rows[half]), right: 0 });
        let (left, right) = rows.split_at_mut(half);
        self.build(left, start);
        let next = self.nodes.len() as u32;
        if let Node::Split { right, .. } = &mut self.nodes[node] {
            *right = next;
        }
        self.build(right, start + half as u32);
    }

    /// The coordinate in which rows lie furthest apart; `None` if they are all one point.
    fn widest(&self, rows: &[u32]) -> Option<usize> {
        let spread = |dimension: usize| {
            let values = rows.iter().map(|row| self.points.point(*row as usize)[dimension]);
            let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
                (low.min(value), high.max(value))
            });
            high - low
        };
        let widest = (0..self.points.dimensions).map(|d| (d, spread(d))).max_by(|a, b| a.1.total_cmp(&b.1));
        widest.filter(|(_, spread)| *spread > 0.0).map(|(dimension, _)| dimension)
    }

    /// The `count` points nearest to `to`, nearest first; all of them if there are fewer.
    pub fn nearest(&self, to: &[f64], count: usize) -> Vec<usize> {
        let mut search = Search { tree: self, to, count, found: Vec::with_capacity(count + 1) };
        let mut away = vec![0.0; to.len()];
        search.visit(0, 0.0, &mut away);
        search.found.into_iter().map(|(_, row)| row as usize).collect()
    }
}

struct Search<'a> {
    tree: &'a Neighbours<'a>,
    to: &'a [f64],
    count: usize,
    /// Nearest first.
    found: Vec<Found>,
}

impl Search<'_> {
    /// Looks into a node whose box is `distance` away, the sum of the squares of `away`.
    fn visit(&mut self, node: usize, distance: f64, away: &mut [f64]) {
        // Rounding must not leave out a point that is as near as the last one.
        if self.found.len() == self.count
            && self.found.last().is_some_and(|worst| distance * (1.0 - 1e-9) > worst.0)
        {
            return;
        }
        match self.tree.nodes[node] {
            Node::Leaf(start, end) => {
                for row in &self.tree.rows[start as usize..end as usize] {
                    self.consider(*row);
                }
            }
            Node::Split { dimension, value, right } => {
                let dimension = dimension as usize;
                let beyond = self.to[dimension] - value;
                let (near, far) =
                    if beyond < 0.0 { (node + 1, right as usize) } else { (right as usize, node + 1) };
                self.visit(near, distance, away);
                let before = away[dimension];
                away[dimension] = beyond * beyond;
                self.visit(far, distance - before + beyond * beyond, away);
                away[dimension] = before;
            }
        }
    }

    fn consider(&mut self, row: u32) {
        let pairs = self.to.iter().zip(self.tree.points.point(row as usize));
        let found = (pairs.map(|(a, b)| (a - b) * (a - b)).sum::<f64>(), row);
        let place = self.found.partition_point(|other| by_distance(other, &found).is_lt());
        if place < self.count {
            self.found.insert(place, found);
            self.found.truncate(self.count);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Every point compared with every other.
    fn plainly(points: &Points, to: &[f64], count: usize) -> Vec<usize> {
        let distance = |row: u32| -> f64 {
            to.iter().zip(points.point(row as usize)).map(|(a, b)| (a - b) * (a - b)).sum()
        };
        let mut all: Vec<Found> = (0..points.len() as u32).map(|row| (distance(row), row)).collect();
        all.sort_by(by_distance);
        all.truncate(count);
        all.into_iter().map(|(_, row)| row as usize).collect()
    }

    proptest! {
        /// Few different values, so that many points lie on one another and on the tree's planes.
        #[test]
        fn the_tree_finds_what_comparing_all_finds(
            dimensions in 1_usize..5,
            values in prop::collection::vec(-3_i8..4, 0..600),
            to in prop::collection::vec(-4_i8..5, 4),
            count in 1_usize..12,
        ) {
            let whole = values.len() / dimensions * dimensions;
            let values = values[..whole].iter().map(|value| f64::from(*value)).collect();
            let points = Points { values, dimensions };
            let to: Vec<f64> = to[..dimensions].iter().map(|value| f64::from(*value) / 2.0).collect();
            prop_assert_eq!(Neighbours::of(&points).nearest(&to, count), plainly(&points, &to, count));
        }
    }
}
