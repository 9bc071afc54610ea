//! Tree ensembles: grow them, store them, score with them.
//!
//! A [`Forest`] is a list of binary decision trees over named features and the way in which their outputs
//! become one number. It is a plain, inspectable value. To score, it is compiled once into a [`Scorer`],
//! whose idea is that a threshold model never looks at a value, only at where the value stands among the
//! thresholds: each feature becomes its exact rank once per row, and a tree is then a few comparisons of
//! small integers. Leaves are added in tree order in `f64`, so a row's score is the same to the last bit
//! alone, in a batch, and by the plain walk.
//!
//! At every split `x < threshold` goes left, anything else goes right, and a missing value (NaN) follows the
//! side that the split learnt for it.
//!
//! The crate knows nothing of transactions and does no I/O: bytes and numbers come in, numbers go out. The
//! only randomness is that of the seed given to [`grow::grow`].
//!
//! Modules, in reading order:

/// The ensemble itself: trees, nodes, and what may be asked of them.
mod ensemble;
/// Its own JSON form, and the checks that every forest from outside goes through.
mod document;
/// Readers for the models of other libraries.
pub mod read;
/// The compiled form: ranks, and three layouts of nodes.
mod scorer;
/// Growing ensembles from labelled tables.
pub mod grow;
/// Why a row gets its margin: contributions of features.
pub mod explain;

pub use ensemble::Forest;
pub use read::ReadError;
pub use scorer::{Instructions, InstructionsError, Scorer, Scratch};
