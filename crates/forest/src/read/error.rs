use thiserror::Error;

/// Why bytes are not a forest.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ReadError {
    /// No format that is read here; says what it looks like and what to save instead, where that is known.
    #[error("not a model file: {0}")]
    Unknown(String),
    /// Not of the shape that the format has.
    #[error("{format}: {problem}")]
    Syntax {
        /// What it was read as.
        format: &'static str,
        /// What is wrong, with line and column, offset or field.
        problem: String,
    },
    /// A sound file of a model that a [`crate::Forest`] cannot be; names what it cannot.
    #[error("not supported: {0}")]
    Unsupported(String),
    /// Another format or version.
    #[error("expected {expected}, got {format:?} version {version}")]
    Format {
        /// Format and version that are read.
        expected: String,
        /// The format that the document names.
        format: String,
        /// The version that the document names.
        version: u32,
    },
    /// Wrong in the part that belongs to no tree.
    #[error("{0}")]
    Header(String),
    /// Wrong in one node.
    #[error("tree {tree}, node {node}: {problem}")]
    Node {
        /// Index of the tree, from 0.
        tree: usize,
        /// Index of the node in its tree, from 0, as the file counts.
        node: usize,
        /// What is wrong with it.
        problem: String,
    },
}
