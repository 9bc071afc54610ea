//! The model that a detector scores with: a forest, and what it was trained on.

use std::sync::Arc;

use forest::explain::Explainer;
use forest::{Forest, Scorer, Scratch};

use crate::calibration::Calibration;
use crate::detector::Detector;
use crate::reason::{Reason, pick};

/// A forest ready to score, bound to the feature list it was trained on. Cheap to clone.
#[derive(Clone)]
pub struct Model {
    /// Identifies the model in decisions.
    pub id: Arc<str>,
    scorer: Arc<Scorer>,
    /// `None` for a forest that does not know its covers.
    explainer: Option<Explainer>,
    calibration: Option<Arc<Calibration>>,
    /// The least score that is sent to review, from the review budget; 0 where there is none.
    pub review_score_min: f64,
}

/// Working memory of [`Model::explain`].
#[derive(Debug, Clone, Default)]
pub struct ReasonScratch {
    forest: forest::explain::Scratch,
    contributions: Vec<f64>,
}

/// A model that was trained on other features than the detector has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the model was trained on the feature list {trained_on}, the detector `{detector}` has {wanted}{}",
    difference.as_deref().map(|d| format!(": {d}")).unwrap_or_default()
)]
pub struct ModelMismatch {
    /// Name of the detector.
    pub detector: String,
    /// Fingerprint of the detector's feature list.
    pub wanted: String,
    /// Fingerprint that the model carries.
    pub trained_on: String,
    /// The first column in which the lists differ, where names tell.
    pub difference: Option<String>,
}

impl Model {
    /// Binds a forest to a detector.
    ///
    /// # Errors
    /// If `trained_on`, the fingerprint of the feature list that the forest was trained on, is not the detector's.
    pub fn new(
        id: &str,
        forest: &Forest,
        trained_on: &str,
        review_score_min: f64,
        detector: &Detector,
    ) -> Result<Model, ModelMismatch> {
        let names = forest.feature_names();
        let same_names = names.iter().eq(detector.features.iter().map(|feature| &feature.name));
        if trained_on != detector.feature_fingerprint || !same_names {
            return Err(ModelMismatch {
                detector: detector.name.clone(),
                wanted: detector.feature_fingerprint.clone(),
                trained_on: trained_on.to_string(),
                difference: first_difference(names, detector),
            });
        }
        let (scorer, explainer) = (Arc::new(forest.scorer()), Explainer::path_dependent(forest).ok());
        Ok(Model { id: id.into(), scorer, explainer, calibration: None, review_score_min })
    }

    /// The same with the forest's scores turned into probabilities. `review_score_min` is such a probability then.
    #[must_use]
    pub fn calibrated(self, calibration: Option<Calibration>) -> Model {
        Model { calibration: calibration.map(Arc::new), ..self }
    }

    /// The score of each row of a feature matrix, in place of what `scores` held.
    ///
    /// # Panics
    /// If `features` is not a whole number of the model's rows.
    pub fn score_batch(&self, features: &[f64], scratch: &mut Scratch, scores: &mut Vec<f64>) {
        self.scorer.score_batch(features, scratch, scores);
        if let Some(calibration) = &self.calibration {
            scores.iter_mut().for_each(|score| *score = calibration.probability(*score));
        }
    }

    /// Whether it can say why: a forest from elsewhere may not know what that takes.
    pub fn gives_reasons(&self) -> bool {
        self.explainer.is_some()
    }

    /// What each feature of a row adds to the margin, in place of what `contributions` held, and the margin that they are
    /// added to: where nothing is known. The units are the margin's: log-odds for boosting. `None` if it cannot say why.
    ///
    /// # Panics
    /// If the row is not one of the model's.
    pub fn contributions(
        &self,
        features: &[f64],
        scratch: &mut ReasonScratch,
        contributions: &mut Vec<f64>,
    ) -> Option<f64> {
        let explainer = self.explainer.as_ref()?;
        contributions.clear();
        contributions.resize(features.len(), 0.0);
        explainer.explain(features, &mut scratch.forest, contributions);
        Some(explainer.expected())
    }

    /// The margin of a row: what the score is made of, before it is a probability.
    ///
    /// # Panics
    /// If the row is not one of the model's.
    pub fn margin(&self, features: &[f64], scratch: &mut Scratch) -> f64 {
        self.scorer.margin(features, scratch)
    }

    /// Appends the reasons for suspicion in a row of the feature matrix, largest contribution first.
    ///
    /// # Panics
    /// If the row is not one of the model's.
    pub fn explain(&self, features: &[f64], scratch: &mut ReasonScratch, reasons: &mut Vec<Reason>) {
        let Some(explainer) = &self.explainer else { return };
        scratch.contributions.resize(features.len(), 0.0);
        explainer.explain(features, &mut scratch.forest, &mut scratch.contributions);
        pick(features, &scratch.contributions, reasons);
    }
}

fn first_difference(names: &[String], detector: &Detector) -> Option<String> {
    let ours = detector.features.iter().map(|feature| feature.name.as_str());
    let longest = names.len().max(detector.features.len());
    let at = |index: usize| (names.get(index).map(String::as_str), ours.clone().nth(index));
    (0..longest).map(|index| (index, at(index))).find(|(_, (a, b))| a != b).map(|(index, (theirs, ours))| {
        let name = |name: Option<&str>| name.map_or("nothing".to_string(), |name| format!("`{name}`"));
        format!("input {} is {} in the model and {} in the detector", index + 1, name(theirs), name(ours))
    })
}
