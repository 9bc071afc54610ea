//! From which score on transactions are reviewed.

use anyhow::{Context, Result, ensure};
use engine::Calibration;

/// What is wanted of reviews.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Threshold {
    /// So many a day.
    DailyBudget(f64),
    /// At least this share of frauds.
    Recall(f64),
    /// At least this share of frauds among them, and as many as that allows.
    Precision(f64),
}

impl std::fmt::Display for Threshold {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Threshold::DailyBudget(budget) => write!(f, "budget {budget}"),
            Threshold::Recall(recall) => write!(f, "recall {recall}"),
            Threshold::Precision(precision) => write!(f, "precision {precision}"),
        }
    }
}

/// The last part of the training time, scored by a model that has not seen it.
pub(super) struct Later {
    pub(super) scores: Vec<f64>,
    pub(super) labels: Vec<bool>,
    pub(super) days: f64,
}

impl Later {
    /// Whether there are frauds and genuine rows.
    pub(super) fn has_both(&self) -> bool {
        self.labels.contains(&true) && self.labels.contains(&false)
    }

    pub(super) fn calibrated(mut self, calibration: Option<&Calibration>) -> Later {
        if let Some(calibration) = calibration {
            self.scores.iter_mut().for_each(|score| *score = calibration.probability(*score));
        }
        self
    }

    /// The least score to review so that what is wanted is had; 0 if that is all of them.
    ///
    /// # Errors
    /// If no score does that.
    pub(super) fn least(&self, wanted: Threshold) -> Result<f64> {
        let mut ranked: Vec<(f64, bool)> =
            self.scores.iter().copied().zip(self.labels.iter().copied()).collect();
        ranked.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
        if let Threshold::DailyBudget(budget) = wanted {
            return Ok(ranked.get((budget * self.days) as usize).map_or(0.0, |(score, _)| *score));
        }
        let frauds = self.labels.iter().filter(|fraud| **fraud).count();
        ensure!(frauds > 0, "the last quarter of the training time has no frauds to find a threshold by");
        let (mut reviewed, mut found, mut least) = (0, 0, None);
        // Equal scores are reviewed together.
        for same in ranked.chunk_by(|a, b| a.0 == b.0) {
            reviewed += same.len();
            found += same.iter().filter(|(_, fraud)| *fraud).count();
            match wanted {
                Threshold::Recall(recall) if found as f64 >= recall * frauds as f64 => return Ok(same[0].0),
                Threshold::Precision(precision) if found as f64 >= precision * reviewed as f64 => {
                    least = Some(same[0].0);
                }
                _ => {}
            }
        }
        least.with_context(|| format!("on the last quarter of the training time no score has {wanted}"))
    }
}
