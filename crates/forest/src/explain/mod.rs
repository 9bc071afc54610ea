//! Why a row gets its margin: contributions of the features that add up to it (Shapley values).
//!
//! A contribution is the mean of what it changes to learn the value of a feature, over all orders in which the
//! features may become known. The contributions of a row and [`Explainer::expected`], the margin where nothing is
//! known, sum to the row's margin. What a tree gives while a feature is unknown can be understood in two ways, both
//! those of the `shap` package:
//!
//! - **path-dependent**: the row goes down both sides of a split, in the shares of the training data that did. Needs
//!   nothing but the forest, and is what XGBoost's `pred_contribs` and LightGBM's `pred_contrib` compute;
//! - **interventional**: the value is that of another row, and the mean is over a background of them.
//!
//! Sums are exact up to the rounding of doubles. A forest that adds in single precision differs from its
//! contributions by that rounding.

use std::sync::Arc;

use thiserror::Error;

use crate::ensemble::{Forest, Output};

/// Shares of cover.
mod cover;
/// A row as trees look at it.
mod values;
/// Paths and what they have asked for.
mod walk;
/// The rule that makes an integral a sum, and numbers at its points.
mod quadrature;
mod vector;
/// Path-dependent contributions: the idea, the compiled form, the passes.
mod path_dependent;
mod compiled;
mod simd;
/// Interventional contributions.
mod interventional;

use interventional::{Interventional, InterventionalScratch};
use path_dependent::{PathDependent, PathScratch};
use values::{Questions, Values};

/// A forest compiled to be explained: immutable, cheap to clone, shared freely between threads.
#[derive(Clone, Debug)]
pub struct Explainer {
    compiled: Arc<Compiled>,
}

/// Working memory of an explaining thread. Grows on first use, is never freed in between, carries no results over.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    values: Values,
    path_dependent: PathScratch,
    interventional: InterventionalScratch,
}

/// Why a forest cannot be explained.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum NotExplained {
    /// Path-dependent contributions need to know how much of the training data went which way.
    #[error(
        "tree {tree} does not say how much of the training data its nodes saw: explain with background rows, or take \
         the covers from rows"
    )]
    NoCover {
        /// Index of the tree, from 0.
        tree: usize,
    },
    /// A path asks for more features than can be explained.
    #[error(
        "tree {tree} has a path that asks for {features} different features, at most {most} can be explained"
    )]
    TooManyFeatures {
        /// Index of the tree, from 0.
        tree: usize,
        /// The most features that one of its paths asks for.
        features: usize,
        /// The limit.
        most: usize,
    },
    /// Interventional contributions need at least one whole row to compare with.
    #[error("expected background rows of {features} values each, got {values} values")]
    NoBackground {
        /// Values in a row.
        features: usize,
        /// Values in all rows.
        values: usize,
    },
}

#[derive(Debug)]
struct Compiled {
    features: usize,
    output: Output,
    questions: Questions,
    expected: f64,
    method: Method,
}

#[derive(Debug)]
enum Method {
    PathDependent(PathDependent),
    Interventional(Interventional),
}

impl Explainer {
    /// Compiles a forest for path-dependent contributions.
    ///
    /// # Errors
    /// If the forest does not know its covers, or a path asks for thousands of features.
    pub fn path_dependent(forest: &Forest) -> Result<Explainer, NotExplained> {
        let mut questions = Questions::new(forest.features.len(), forest.values);
        let trees = PathDependent::compile(&forest.trees, &mut questions)?;
        let expected = forest.output.exact_margin(forest.output.start + trees.expected);
        Ok(Explainer::new(forest, questions, expected, Method::PathDependent(trees)))
    }

    /// Compiles a forest for interventional contributions. `background` is row-major, one value per feature, NaN is
    /// missing: a hundred rows are a good start, a thousand plenty.
    ///
    /// # Errors
    /// If there is no background, or a path asks for too many features.
    pub fn interventional(forest: &Forest, background: &[f64]) -> Result<Explainer, NotExplained> {
        let features = forest.features.len();
        if background.is_empty() || !background.len().is_multiple_of(features) {
            return Err(NotExplained::NoBackground { features, values: background.len() });
        }
        let mut questions = Questions::new(features, forest.values);
        let trees = Interventional::compile(&forest.trees, background, &mut questions)?;
        let expected = forest.output.exact_margin(forest.output.start + trees.expected);
        Ok(Explainer::new(forest, questions, expected, Method::Interventional(trees)))
    }

    fn new(forest: &Forest, questions: Questions, expected: f64, method: Method) -> Explainer {
        let (features, output) = (forest.features.len(), forest.output);
        Explainer { compiled: Arc::new(Compiled { features, output, questions, expected, method }) }
    }

    /// How many values a row has, and how many contributions.
    pub fn feature_count(&self) -> usize {
        self.compiled.features
    }

    /// The margin where nothing is known.
    pub fn expected(&self) -> f64 {
        self.compiled.expected
    }

    /// Writes the contribution of each feature to the row's margin, in the units of the margin (log-odds for boosting).
    ///
    /// # Panics
    /// If `row` or `out` do not have [`Explainer::feature_count`] values.
    pub fn explain(&self, row: &[f64], scratch: &mut Scratch, out: &mut [f64]) {
        let Compiled { features, output, questions, method, .. } = &*self.compiled;
        assert_eq!(row.len(), *features, "a row has one value per feature");
        assert_eq!(out.len(), *features, "there is one contribution per feature");
        let Scratch { values, path_dependent, interventional } = scratch;
        questions.read(row, values);
        out.fill(0.0);
        match method {
            Method::PathDependent(trees) => trees.add_to(out, questions, values, path_dependent),
            Method::Interventional(trees) => trees.add_to(out, values, interventional),
        }
        out.iter_mut().for_each(|x| *x *= output.scale / output.divisor);
    }
}
