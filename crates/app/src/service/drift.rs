//! How far the newest decisions are from what the champion learnt from.

use engine::Detector;
use lab::drift::{Baseline, Distribution};
use store::{ALWAYS, Filter, Store, StoredDecision};

use super::models::Loaded;
use super::wire::{Drift, DriftReference, FeatureDrift, Instant};

/// Decisions that are looked at.
const NEWEST: usize = 10_000;

/// How far back in the log the reference begins where the model's file has none.
const EARLIER_ENTRIES: i64 = 200_000;

/// With fewer decisions than this, chance alone looks like drift.
const DECISIONS_MIN: usize = 200;

/// Drift of the champion's features and scores. `is_real` is asked for what made a transaction.
///
/// # Errors
/// If the database refuses.
pub fn drift(
    store: &mut dyn Store,
    champion: Option<&Loaded>,
    detector: &Detector,
    is_real: impl Fn(Option<&str>) -> bool,
) -> store::Result<Drift> {
    let is_own = own(champion, detector, is_real);
    let mut newest = store.decisions(&Filter { limit: NEWEST, ..Filter::default() })?;
    newest.retain(&is_own);
    if newest.len() < DECISIONS_MIN {
        return Ok(told(DriftReference::None, &newest, None, detector));
    }
    if let Some(baseline) = champion.and_then(|champion| champion.baseline.as_ref()) {
        return Ok(told(DriftReference::Training, &newest, Some(baseline), detector));
    }
    let first = newest.last().map_or(0, |decision| decision.sequence);
    let from = store.last_position()? - EARLIER_ENTRIES;
    let mut earlier = store.history(from, &ALWAYS, NEWEST)?;
    earlier.retain(|decision| decision.sequence < first && is_own(decision));
    if earlier.len() < DECISIONS_MIN {
        return Ok(told(DriftReference::None, &newest, None, detector));
    }
    Ok(told(DriftReference::Earlier, &newest, Some(&baseline_of(&earlier, detector)), detector))
}

/// Which decisions are the champion's on real transactions.
fn own<'a>(
    champion: Option<&'a Loaded>,
    detector: &'a Detector,
    is_real: impl Fn(Option<&str>) -> bool + 'a,
) -> impl Fn(&StoredDecision) -> bool + 'a {
    move |decision| {
        let made_by = champion.map(|champion| &*champion.model.id);
        let versions = &decision.versions;
        versions.feature_fingerprint == detector.feature_fingerprint
            && versions.model.as_deref() == made_by
            && is_real(decision.mark.as_deref())
    }
}

/// Drift of the champion from what it learnt from, over a span of event time that ends with the newest decision: of some
/// decisions spread over it. Without a reference in the champion's file nothing is known.
///
/// # Errors
/// If the database refuses.
pub fn drift_over(
    store: &mut dyn Store,
    champion: Option<&Loaded>,
    detector: &Detector,
    span_us: i64,
    is_real: impl Fn(Option<&str>) -> bool,
) -> store::Result<Drift> {
    let mut some = spread(store, span_us, NEWEST)?.decisions;
    some.retain(own(champion, detector, is_real));
    let baseline = champion.and_then(|champion| champion.baseline.as_ref());
    let baseline = baseline.filter(|_| some.len() >= DECISIONS_MIN);
    let reference = if baseline.is_some() { DriftReference::Training } else { DriftReference::None };
    Ok(told(reference, &some, baseline, detector))
}

/// Stretches of the log that are read of a span.
const STRETCHES: i64 = 20;

/// Some of the decisions of a span of event time that ends with the newest one.
#[derive(Default)]
pub struct Spread {
    /// In the order of the log.
    pub decisions: Vec<StoredDecision>,
    /// Which share of the span's they are, about.
    pub share: f64,
}

/// About so many decisions spread over the log, in stretches of neighbours, from a span of event time before the newest one on.
///
/// # Errors
/// If the database refuses.
pub fn spread(store: &mut dyn Store, span_us: i64, wanted: usize) -> store::Result<Spread> {
    let newest = store.decisions(&Filter { limit: 1, ..Filter::default() })?;
    let Some(newest) = newest.first() else { return Ok(Spread::default()) };
    let first = position_at(store, newest.event_time_us - span_us, newest.sequence)?;
    let positions = newest.sequence - first + 1;
    let (mut decisions, mut read_until, mut read): (Vec<StoredDecision>, _, _) = (Vec::new(), first - 1, 0);
    for stretch in 0..STRETCHES {
        let after = read_until.max(first - 1 + positions * stretch / STRETCHES);
        let some = store.history(after, &ALWAYS, wanted / STRETCHES as usize)?;
        read_until = some.last().map_or(after, |last| last.sequence);
        read += read_until - after;
        decisions.extend(some);
    }
    Ok(Spread { decisions, share: (read as f64 / positions as f64).min(1.0) })
}

/// The position up to `last` from which on event times are from `time_us` on, about: the log is in the order of arrival.
fn position_at(store: &mut dyn Store, time_us: i64, last: i64) -> store::Result<i64> {
    let (mut before, mut from) = (-1, last);
    while from - before > 1 {
        let middle = before + (from - before) / 2;
        let next = store.history(middle - 1, &ALWAYS, 1)?;
        match next.first().is_some_and(|next| next.event_time_us < time_us) {
            true => before = middle,
            false => from = middle,
        }
    }
    Ok(from)
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
