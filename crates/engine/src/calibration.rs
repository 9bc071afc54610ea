//! From a forest's score to the probability of fraud.

use serde::{Deserialize, Serialize};

/// A rising map of scores to probabilities. Order stays, so what ranks does not change; what is compared with costs does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "method", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Calibration {
    /// `1 / (1 + exp(-(of_score ln p - of_rest ln(1 - p) + intercept)))`. With both factors the same it is Platt's scaling of
    /// the log odds ("Probabilistic outputs for support vector machines", 1999); with both 1 it moves the prior alone;
    /// otherwise it is beta calibration (Kull, Silva Filho and Flach, "Beta calibration", 2017).
    LogOdds {
        /// Factor of `ln p`, not negative.
        of_score: f64,
        /// Factor of `-ln(1 - p)`, not negative.
        of_rest: f64,
        /// What is added.
        intercept: f64,
    },
    /// Straight lines between points, flat before the first and after the last: isotonic regression (Zadrozny and Elkan,
    /// "Transforming classifier scores into accurate multiclass probability estimates", 2002).
    Isotonic {
        /// Rising.
        scores: Vec<f64>,
        /// Of each score; not falling.
        probabilities: Vec<f64>,
    },
}

/// A score this near to 0 or 1 is taken for this, so that its logarithm is finite.
const NEAREST: f64 = 1e-15;

impl Calibration {
    /// Takes a model's prior away from one that it was grown on: `shift` is by how much its log odds are too high.
    pub fn prior(shift: f64) -> Calibration {
        Calibration::LogOdds { of_score: 1.0, of_rest: 1.0, intercept: -shift }
    }

    /// The probability that belongs to a score of 0 to 1; NaN to NaN.
    pub fn probability(&self, score: f64) -> f64 {
        match self {
            _ if score.is_nan() => score,
            Calibration::LogOdds { of_score, of_rest, intercept } => {
                let (score, rest) = (score.max(NEAREST), (1.0 - score).max(NEAREST));
                1.0 / (1.0 + (-(of_score * score.ln() - of_rest * rest.ln() + intercept)).exp())
            }
            Calibration::Isotonic { scores, probabilities } => interpolated(scores, probabilities, score),
        }
    }

    /// What is wrong with one that was read from a file.
    ///
    /// # Errors
    /// If it is not a rising map to probabilities.
    pub fn check(&self) -> Result<(), String> {
        let is_well = match self {
            Calibration::LogOdds { of_score, of_rest, intercept } => {
                let is_factor = |factor: &f64| (0.0..=1e6).contains(factor);
                is_factor(of_score) && is_factor(of_rest) && intercept.is_finite()
            }
            Calibration::Isotonic { scores, probabilities } => {
                !scores.is_empty()
                    && scores.len() == probabilities.len()
                    && scores.iter().all(|score| score.is_finite())
                    && scores.is_sorted_by(|a, b| a < b)
                    && probabilities.is_sorted()
                    && probabilities.iter().all(|probability| (0.0..=1.0).contains(probability))
            }
        };
        if is_well { Ok(()) } else { Err("the calibration is not a rising map to probabilities".to_string()) }
    }
}

fn interpolated(scores: &[f64], probabilities: &[f64], score: f64) -> f64 {
    let after = scores.partition_point(|known| *known < score);
    match (after.checked_sub(1), scores.get(after)) {
        (_, Some(known)) if *known == score => probabilities[after],
        (None, _) => probabilities[0],
        (Some(before), None) => probabilities[before],
        (Some(before), Some(known)) => {
            let part = (score - scores[before]) / (known - scores[before]);
            probabilities[before] + part * (probabilities[after] - probabilities[before])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prior_moves_odds_and_keeps_certainty() {
        let calibration = Calibration::prior(9_f64.ln());
        assert!((calibration.probability(0.5) - 0.1).abs() < 1e-15);
        assert!((calibration.probability(0.9) - 0.5).abs() < 1e-15);
        assert!(calibration.probability(0.0) < 1e-14 && calibration.probability(1.0) > 1.0 - 1e-13);
    }

    #[test]
    fn lines_are_followed_between_points_and_flat_beyond() {
        let isotonic =
            Calibration::Isotonic { scores: vec![0.2, 0.4, 0.8], probabilities: vec![0.0, 0.1, 0.5] };
        let found = [0.0, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0].map(|score| isotonic.probability(score));
        let expected = [0.0, 0.0, 0.05, 0.1, 0.3, 0.5, 0.5];
        assert!(
            found.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-15),
            "{found:?}"
        );
        assert!(isotonic.check().is_ok());
    }

    #[test]
    fn a_falling_map_is_refused() {
        let falling = Calibration::Isotonic { scores: vec![0.2, 0.4], probabilities: vec![0.3, 0.1] };
        assert!(falling.check().is_err());
        assert!(Calibration::LogOdds { of_score: -1.0, of_rest: 1.0, intercept: 0.0 }.check().is_err());
    }
}
