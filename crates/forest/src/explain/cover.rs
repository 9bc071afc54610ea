//! How much of the training data went which way.

use crate::ensemble::{Forest, Node, Split, Tree};

impl Forest {
    /// The same forest, with the number of these rows that reach a node in the place of the training weight that did:
    /// for forests from libraries that do not write it down. `rows` is row-major, one value per feature, NaN is
    /// missing.
    ///
    /// # Panics
    /// If `rows` is not a whole number of rows.
    pub fn with_covers_from(&self, rows: &[f64]) -> Forest {
        let mut forest = self.clone();
        let features = self.features.len();
        assert!(rows.len().is_multiple_of(features), "rows have one value per feature");
        for tree in &mut forest.trees {
            tree.nodes.iter_mut().for_each(|node| *node.cover_mut() = 0.0);
            for row in rows.chunks_exact(features.max(1)) {
                tree.count(|feature| self.values.round(row[feature]));
            }
        }
        forest
    }
}

impl Tree {
    /// The shares of the cover that a split passes on, left and right. A split without cover is reached by nothing,
    /// and shares that in halves.
    pub(super) fn shares(&self, split: &Split) -> [f64; 2] {
        let covers = [split.left, split.right].map(|child| self.nodes[child as usize].cover());
        if split.cover > 0.0 { covers.map(|cover| cover / split.cover) } else { [0.5; 2] }
    }

    /// Whether the covers are written down: libraries that do not know them leave 0.
    pub(super) fn has_covers(&self) -> bool {
        match &self.nodes[0] {
            Node::Leaf(_) => true,
            Node::Split(split) => self.shares(split) != [0.0; 2] && split.cover > 0.0,
        }
    }

    /// Adds 1 to the cover of each node on a row's path.
    fn count(&mut self, value: impl Fn(usize) -> f64) {
        let mut at = 0;
        loop {
            *self.nodes[at].cover_mut() += 1.0;
            match &self.nodes[at] {
                Node::Leaf(_) => return,
                Node::Split(split) => at = split.child(value(split.feature as usize)),
            }
        }
    }
}

impl Node {
    fn cover(&self) -> f64 {
        match self {
            Node::Leaf(leaf) => leaf.cover,
            Node::Split(split) => split.cover,
        }
    }

    fn cover_mut(&mut self) -> &mut f64 {
        match self {
            Node::Leaf(leaf) => &mut leaf.cover,
            Node::Split(split) => &mut split.cover,
        }
    }
}
