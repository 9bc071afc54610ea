//! How far the newest decisions are from what the champion learnt from.

use std::ops::Range;

use engine::Detector;
use lab::drift::{Baseline, Distribution};
use store::{Filter, Store, StoredDecision};

use super::models::Loaded;
use super::wire::{Drift, DriftReference, FeatureDrift, Instant};

/// Decisions that are looked at for a person.
pub const NEWEST: usize = 10_000;

/// How far back in the log the reference begins where the model's file has none.
const EARLIER_ENTRIES: i64 = 200_000;

/// With fewer decisions than this, chance alone looks like drift.
const DECISIONS_MIN: usize = 200;

/// All event times.
const ALWAYS: Range<i64> = i64::MIN..i64::MAX;

/// Drift of the champion's features and scores over its newest `window` decisions. `is_real` is asked for what made a
/// transaction.
///
/// # Errors
/// If the database refuses.
pub fn drift(
    store: &mut dyn Store,
    champion: Option<&Loaded>,
    detector: &Detector,
    window: usize,
    is_real: impl Fn(Option<&str>) -> bool,
) -> store::Result<Drift> {
    let is_own = |decision: &StoredDecision| {
        let made_by = champion.map(|champion| &*champion.model.id);
        let versions = &decision.versions;
        versions.feature_fingerprint == detector.feature_fingerprint
            && versions.model.as_deref() == made_by
            && is_real(decision.mark.as_deref())
    };
    let mut newest = store.decisions(&Filter { limit: window, ..Filter::default() })?;
    newest.retain(is_own);
    if newest.len() < DECISIONS_MIN {
        return Ok(told(DriftReference::None, &newest, None, detector));
    }
    if let Some(baseline) = champion.and_then(|champion| champion.baseline.as_ref()) {
        return Ok(told(DriftReference::Training, &newest, Some(baseline), detector));
    }
    let first = newest.last().map_or(0, |decision| decision.sequence);
    let from = store.last_position()? - EARLIER_ENTRIES;
    let mut earlier = store.history(from, &ALWAYS, window)?;
    earlier.retain(|decision| decision.sequence < first && is_own(decision));
    if earlier.len() < DECISIONS_MIN {
        return Ok(told(DriftReference::None, &newest, None, detector));
    }
    Ok(told(DriftReference::Earlier, &newest, Some(&baseline_of(&earlier, detector)), detector))
}

/// Older decisions as a reference.
fn baseline_of(decisions: &[StoredDecision], detector: &Detector) -> Baseline {
    let columns = 0..detector.features.len();
    Baseline {
        features: columns.map(|column| Distribution::of(&values(decisions, column))).collect(),
        score: Distribution::of(&scores(decisions)),
    }
}

fn values(decisions: &[StoredDecision], column: usize) -> Vec<f64> {
    decisions.iter().map(|decision| decision.features[column]).collect()
}

fn scores(decisions: &[StoredDecision]) -> Vec<f64> {
    decisions.iter().map(|decision| decision.score.unwrap_or(f64::NAN)).collect()
}

fn told(
    reference: DriftReference,
    newest: &[StoredDecision],
    baseline: Option<&Baseline>,
    detector: &Detector,
) -> Drift {
    let times = || newest.iter().map(|decision| decision.event_time_us);
    let baseline = baseline.filter(|baseline| baseline.features.len() == detector.features.len());
    let of_features = baseline.map(|baseline| {
        let columns = detector.features.iter().zip(&baseline.features).enumerate();
        columns.map(|(at, (feature, before))| of(&feature.name, before, &values(newest, at))).collect()
    });
    let mut features: Vec<FeatureDrift> = of_features.unwrap_or_default();
    features.sort_by(|a, b| b.psi.total_cmp(&a.psi));
    Drift {
        reference,
        decisions: newest.len() as u64,
        from: times().min().map(Instant),
        to: times().max().map(Instant),
        score: baseline
            .filter(|baseline| baseline.score.rows > baseline.score.missing)
            .map(|baseline| of("score", &baseline.score, &scores(newest))),
        features,
    }
}

fn of(name: &str, before: &Distribution, values: &[f64]) -> FeatureDrift {
    let shift = before.shift_to(values);
    FeatureDrift {
        name: name.to_string(),
        psi: shift.psi,
        missing_before: before.missing_share(),
        missing_now: shift.now.missing_share(),
        unseen: shift.unseen,
        edges: before.edges.clone(),
        before: before.shares(),
        now: shift.now.shares(),
    }
}
