//! The offline mirror of the service: files in, files out, the engine's own code in between.
//!
//! `dataset → replay (= the engine's features) → train → evaluate`; `simulate` feeds either end. There is no second
//! implementation of a feature here, or anywhere.

/// Transactions in files: CSV, JSON lines, Parquet; in and out.
pub mod dataset;
/// A file through the engine at full speed.
pub mod replay;
/// Chance that is the same on every machine.
mod random;
/// Parts of the time to learn from and to test on.
pub mod split;
/// Features that know the answer, and tests that were seen.
pub mod leaks;
/// Training sets with a larger share of frauds.
pub mod balance;
/// Rules tried on history.
pub mod backtest;
/// What grows forests: redflag itself, and the libraries of others.
pub mod engines;
/// Growing a model on a detector's features.
pub mod train;
/// From scores to probabilities.
pub mod calibrate;
/// Model files.
pub mod artifact;
/// How a model came to be.
pub mod facts;
/// How good a model's scores are.
pub mod evaluate;
/// Training again, and what decides a promotion.
pub mod retrain;
/// What becomes of models when the world changes, day by day.
pub mod recovery;
/// How far values are from where they were.
pub mod drift;
/// A model that learns from each label.
pub mod online;
/// A recipe on several splits of the time.
pub mod validate;
/// Searching for the parameters of growing.
pub mod tune;
/// Models side by side, as a page.
pub mod compare;
/// Labelled transactions for people who have none.
pub mod simulate;
/// Generators learnt from one's own transactions.
pub mod synth;
/// The libraries of others, if they are on this machine: to compare with, and to train with.
#[allow(unsafe_code)]
pub mod foreign;
