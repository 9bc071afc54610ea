//! Why a stored decision looks suspicious, asked for afterwards.

use engine::model::ReasonScratch;
use engine::{Detector, Model, Narrator};
use store::StoredDecision;

use super::wire::Reason;

/// The reasons of a stored decision, from its features and the model that made it.
///
/// # Errors
/// If it was made with another model or detector, or the model cannot say; in words.
pub fn explain(
    stored: &StoredDecision,
    detector: &Detector,
    model: Option<&Model>,
) -> Result<Vec<Reason>, String> {
    let made = stored.versions.model.as_deref().ok_or("it was decided without a model")?;
    let model = model.filter(|model| *model.id == *made).ok_or_else(|| {
        let here = model.map_or("there is none here", |model| &*model.id);
        format!("it was decided by the model {made}, the one here is {here}")
    })?;
    if stored.versions.feature_fingerprint != detector.feature_fingerprint {
        return Err("it was decided with another feature list".to_string());
    }
    if !model.gives_reasons() {
        return Err(format!("the model {made} does not know how much of its training data went which way"));
    }
    let mut reasons = Vec::new();
    model.explain(&stored.features, &mut ReasonScratch::default(), &mut reasons);
    let amount = stored.amount_minor as f64 / detector.schema.minor_per_unit();
    Ok(Reason::tell(&reasons, Narrator { detector, amount, features: &stored.features }))
}
