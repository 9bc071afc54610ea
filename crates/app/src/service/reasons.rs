//! Why a stored decision looks suspicious, asked for afterwards.

use engine::model::ReasonScratch;
use engine::{Detector, Model, Narrator};
use store::StoredDecision;

use super::wire::{Contribution, Contributions, Reason};

/// The reasons of a stored decision, from its features and the model that made it.
///
/// # Errors
/// If it was made with another model or detector, or the model cannot say; in words.
pub fn explain(
    stored: &StoredDecision,
    detector: &Detector,
    model: Option<&Model>,
) -> Result<Vec<Reason>, String> {
    let model = explainable(stored, detector, model)?;
    let mut reasons = Vec::new();
    model.explain(&stored.features, &mut ReasonScratch::default(), &mut reasons);
    let amount = stored.amount_minor as f64 / detector.schema.minor_per_unit();
    Ok(Reason::tell(&reasons, Narrator { detector, amount, features: &stored.features }))
}

/// What every feature added to the margin of a stored decision.
///
/// # Errors
/// As [`explain`].
pub fn contributions(
    stored: &StoredDecision,
    detector: &Detector,
    model: Option<&Model>,
) -> Result<Contributions, String> {
    let model = explainable(stored, detector, model)?;
    let amount = stored.amount_minor as f64 / detector.schema.minor_per_unit();
    let narrator = Narrator { detector, amount, features: &stored.features };
    contributions_of(model, narrator).ok_or_else(|| cannot_say(&model.id))
}

/// What every feature of a row adds to the margin, the largest by size first; `None` if the model cannot say.
pub fn contributions_of(model: &Model, narrator: Narrator) -> Option<Contributions> {
    let mut added = Vec::new();
    let base = model.contributions(narrator.features, &mut ReasonScratch::default(), &mut added)?;
    let tell = |(feature, contribution): (usize, &f64)| Contribution {
        feature: narrator.detector.features[feature].name.clone(),
        value: Some(narrator.features[feature]).filter(|value| value.is_finite()),
        contribution: *contribution,
        text: narrator.sentence(feature),
    };
    let mut contributions: Vec<Contribution> = added.iter().enumerate().map(tell).collect();
    contributions.sort_by(|a, b| b.contribution.abs().total_cmp(&a.contribution.abs()));
    Some(Contributions { base, margin: base + added.iter().sum::<f64>(), contributions })
}

/// The model that made a decision, if it can say why.
fn explainable<'a>(
    stored: &StoredDecision,
    detector: &Detector,
    model: Option<&'a Model>,
) -> Result<&'a Model, String> {
    let made = stored.versions.model.as_deref().ok_or("it was decided without a model")?;
    let model = model.filter(|model| *model.id == *made).ok_or_else(|| {
        let here = model.map_or("there is none here", |model| &*model.id);
        format!("it was decided by the model {made}, the one here is {here}")
    })?;
    if stored.versions.feature_fingerprint != detector.feature_fingerprint {
        return Err("it was decided with another feature list".to_string());
    }
    if model.gives_reasons() { Ok(model) } else { Err(cannot_say(made)) }
}

fn cannot_say(model: &str) -> String {
    format!("the model {model} does not know how much of its training data went which way")
}
