//! Generators, and made transactions beside real ones.

use serde::Serialize;
use utoipa::ToSchema;

use super::Instant;

/// What can make transactions here.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct GeneratorList {
    /// The simulator of the detector; null where it has none.
    pub simulator: Option<String>,
    /// Generators in the folder that `synthetic.generators` names, by name.
    pub generators: Vec<GeneratorInfo>,
}

/// A generator.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct GeneratorInfo {
    /// Its file, which requests name.
    pub name: String,
    /// Its own name, with which its rows are marked.
    pub id: String,
    /// `tablegan`, `wgan-gp`, `ctgan` or `smote`.
    pub method: String,
    /// Rows that it has seen.
    pub rows: u64,
    /// Of them fraud.
    pub frauds: u64,
    /// The first time it has seen; null where rows have no time.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub seen_from: Option<Instant>,
    /// The first time it has no longer seen; null likewise.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub seen_to: Option<Instant>,
    /// Fingerprint of what it has seen.
    pub fingerprint: String,
    /// Seed of everything random.
    pub seed: u64,
    /// Epochs it was trained for; null while it is trained.
    pub epochs: Option<u64>,
    /// The one whose weights it has; null while it is trained.
    pub best_epoch: Option<u64>,
    /// Whether it is being trained now: its checkpoint is here and grows.
    pub training: bool,
    /// Whether its rows can be posted here: they are events of this detector.
    pub fits: bool,
    /// Losses while it was trained, oldest first, at most 400.
    pub losses: Vec<LossPoint>,
    /// How well boosted trees told its rows from real ones while it was trained, oldest first.
    pub told_apart: Vec<ToldApartPoint>,
}

/// Losses at an epoch, means over its steps.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub struct LossPoint {
    /// The epoch, from 1.
    pub epoch: u64,
    /// Of the generator.
    pub generator: f64,
    /// Of the critic or discriminator.
    pub critic: f64,
}

/// How well rows could be told apart at an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub struct ToldApartPoint {
    /// The epoch.
    pub epoch: u64,
    /// 0 not at all, 1 always.
    pub distance: f64,
}

/// Made transactions of the store beside real ones of the store: the report of `redflag synth report`.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct SyntheticReport {
    /// What made the transactions.
    #[schema(example = "simulator:card:7")]
    pub synthetic: String,
    /// Real transactions that were compared, the newest.
    pub real_rows: u64,
    /// Made ones, the newest.
    pub synthetic_rows: u64,
    /// What they are fit for and what not, sentence by sentence.
    pub verdict: Vec<String>,
    /// All figures of the report.
    #[schema(value_type = Object)]
    pub figures: serde_json::Value,
    /// Histograms of columns beside each other, as SVG that takes its colours from the page.
    pub columns: Vec<String>,
    /// Principal components, as SVG.
    pub principal: String,
    /// t-SNE, as SVG.
    pub t_sne: String,
}
