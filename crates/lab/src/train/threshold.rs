//! From which score on transactions are reviewed, and what that costs.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use engine::Calibration;

use super::set::TrainingSet;
use crate::calibrate;
use crate::evaluate::metrics::brier;

/// What is wanted of reviews.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Threshold {
    /// So many a day.
    DailyBudget(f64),
    /// At least this share of frauds.
    Recall(f64),
    /// At least this share of frauds among them, and as many as that allows.
    Precision(f64),
    /// The least cost, where a review costs this and a fraud that is passed costs its amount.
    ReviewCost(f64),
}

impl std::fmt::Display for Threshold {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Threshold::DailyBudget(budget) => write!(f, "budget {budget}"),
            Threshold::Recall(recall) => write!(f, "recall {recall}"),
            Threshold::Precision(precision) => write!(f, "precision {precision}"),
            Threshold::ReviewCost(cost) => write!(f, "cost {cost}"),
        }
    }
}

/// What reviewing from a score on does on the last part of the training time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reviews {
    /// The least score that is reviewed.
    pub score_min: f64,
    /// Reviews a day.
    pub per_day: f64,
    /// Share of the frauds that is reviewed.
    pub recall: f64,
    /// Share of the reviews that is fraud.
    pub precision: f64,
    /// Money of the frauds that pass, a day.
    pub passed_per_day: f64,
    /// Money of all frauds, a day.
    pub fraud_per_day: f64,
}

impl Reviews {
    /// The figures by the names that a model file gives them.
    pub fn figures(&self) -> BTreeMap<String, f64> {
        let figures = [
            ("reviews_per_day", self.per_day),
            ("review_recall", self.recall),
            ("review_precision", self.precision),
            ("fraud_passed_per_day", self.passed_per_day),
            ("fraud_per_day", self.fraud_per_day),
        ];
        figures.into_iter().map(|(name, value)| (name.to_string(), value)).collect()
    }
}

/// The last part of the training time, scored by a model that has not seen it.
pub(super) struct Later {
    pub(super) scores: Vec<f64>,
    pub(super) labels: Vec<bool>,
    amounts: Vec<f64>,
    days: f64,
}

impl Later {
    /// The rows of so many days with their scores.
    pub(super) fn new(set: TrainingSet, scores: Vec<f64>, days: f64) -> Later {
        Later { scores, labels: set.labels, amounts: set.amounts, days }
    }

    /// Whether there are frauds and genuine rows.
    pub(super) fn has_both(&self) -> bool {
        has_both(&self.labels)
    }

    pub(super) fn calibrated(mut self, calibration: Option<&Calibration>) -> Later {
        if let Some(calibration) = calibration {
            self.scores.iter_mut().for_each(|score| *score = calibration.probability(*score));
        }
        self
    }

    /// The Brier score of the second half without calibration, and with one that was fitted on the first half. `None` where
    /// a half has one class only.
    pub(super) fn brier_with(&self, method: calibrate::Method) -> Result<Option<(f64, f64)>> {
        let half = self.scores.len() / 2;
        let ((fitted, held_out), (known, truth)) = (self.scores.split_at(half), self.labels.split_at(half));
        if !has_both(known) || !has_both(truth) {
            return Ok(None);
        }
        let calibration = calibrate::fit(method, fitted, known)?;
        let probabilities: Vec<f64> = held_out.iter().map(|score| calibration.probability(*score)).collect();
        Ok(Some((brier(held_out, truth)?, brier(&probabilities, truth)?)))
    }

    /// The least score to review so that what is wanted is had, and what that does.
    ///
    /// # Errors
    /// If no score does that.
    pub(super) fn choose(&self, wanted: Threshold) -> Result<Reviews> {
        let every = self.every_threshold();
        let frauds = self.labels.iter().filter(|fraud| **fraud).count();
        let needs_frauds = !matches!(wanted, Threshold::DailyBudget(_));
        ensure!(
            frauds > 0 || !needs_frauds,
            "the last quarter of the training time has no frauds to find a threshold by"
        );
        let chosen = match wanted {
            Threshold::DailyBudget(budget) => return Ok(within_budget(&every, budget)),
            Threshold::Recall(recall) => every.iter().find(|reviews| reviews.recall >= recall),
            Threshold::Precision(precision) => every.iter().rfind(|reviews| reviews.precision >= precision),
            Threshold::ReviewCost(review) => {
                let cost = |reviews: &Reviews| reviews.per_day * review + reviews.passed_per_day;
                let cheapest = every.iter().min_by(|a, b| cost(a).total_cmp(&cost(b)));
                let nothing = cheapest.filter(|reviews| cost(reviews) >= reviews.fraud_per_day);
                ensure!(
                    nothing.is_none(),
                    "on the last quarter of the training time reviews at {review} each cost more than the \
                     frauds that they find"
                );
                cheapest
            }
        };
        chosen
            .copied()
            .with_context(|| format!("on the last quarter of the training time no score has {wanted}"))
    }

    /// What reviewing from each score on does, highest score first. Equal scores are reviewed together.
    fn every_threshold(&self) -> Vec<Reviews> {
        let mut ranked: Vec<usize> = (0..self.scores.len()).collect();
        ranked.sort_unstable_by(|a, b| self.scores[*b].total_cmp(&self.scores[*a]));
        let is_fraud = |row: &&usize| self.labels[**row];
        let amount = |rows: &[usize]| rows.iter().filter(is_fraud).map(|row| self.amounts[*row]).sum::<f64>();
        let (all, money) = (ranked.iter().filter(is_fraud).count(), amount(&ranked));
        let (mut reviewed, mut found, mut saved) = (0, 0, 0.0);
        let reviews = |same: &[usize]| {
            reviewed += same.len();
            found += same.iter().filter(is_fraud).count();
            saved += amount(same);
            Reviews {
                score_min: self.scores[same[0]],
                per_day: reviewed as f64 / self.days,
                recall: found as f64 / all.max(1) as f64,
                precision: found as f64 / reviewed as f64,
                passed_per_day: (money - saved) / self.days,
                fraud_per_day: money / self.days,
            }
        };
        ranked.chunk_by(|a, b| self.scores[*a] == self.scores[*b]).map(reviews).collect()
    }
}

/// As many as fit, and at least those of highest score; from 0 on if all do.
fn within_budget(every: &[Reviews], budget: f64) -> Reviews {
    match every.iter().position(|reviews| reviews.per_day > budget) {
        Some(beyond) => every[beyond.saturating_sub(1)],
        None => Reviews { score_min: 0.0, ..every[every.len() - 1] },
    }
}

fn has_both(labels: &[bool]) -> bool {
    labels.contains(&true) && labels.contains(&false)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten rows over two days: scores 0.9, 0.8, ..., 0.0; frauds of 100 at 0.9, 0.7 and 0.2.
    fn later() -> Later {
        let scores: Vec<f64> = (0..10).rev().map(|tenths| f64::from(tenths) / 10.0).collect();
        let labels = scores.iter().map(|score| [0.9, 0.7, 0.2].contains(score)).collect();
        Later { scores, labels, amounts: vec![100.0; 10], days: 2.0 }
    }

    #[test]
    fn each_wish_has_its_score_and_its_price() {
        let chosen = |wanted| later().choose(wanted).unwrap();
        let recall = chosen(Threshold::Recall(0.6));
        assert_eq!((recall.score_min, recall.per_day), (0.7, 1.5));
        assert_eq!((recall.recall, recall.precision), (2.0 / 3.0, 2.0 / 3.0));
        assert_eq!((recall.passed_per_day, recall.fraud_per_day), (50.0, 150.0));
        assert_eq!(chosen(Threshold::Recall(1.0)).score_min, 0.2);
        assert_eq!(chosen(Threshold::Precision(0.5)).score_min, 0.6);
        assert_eq!(chosen(Threshold::DailyBudget(2.0)).score_min, 0.6);
        assert_eq!(chosen(Threshold::DailyBudget(0.1)).score_min, 0.9);
        assert_eq!(chosen(Threshold::DailyBudget(50.0)).score_min, 0.0);
        // One more fraud of 100 takes five more reviews.
        assert_eq!(chosen(Threshold::ReviewCost(19.0)).score_min, 0.2);
        assert_eq!(chosen(Threshold::ReviewCost(21.0)).score_min, 0.7);
        assert!(later().choose(Threshold::ReviewCost(101.0)).is_err());
        assert!(Later { labels: vec![false; 10], ..later() }.choose(Threshold::Recall(0.5)).is_err());
    }
}
