//! What watches for drift while decisions go on.
//!
//! From time to time decisions of the last days are held against what the champion learnt from. What crosses a threshold is told once,
//! and once more when it is back below four fifths of it: a figure that wavers about its threshold is not news every minute.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant as Clock};

use store::Store;

use super::api::{Api, Doors, read};
use super::drift::drift_over;
use super::pipeline::{lock, now_us};
use super::wire::{self, Drift, DriftAlarm, Instant};
use crate::retraining::config::Monitors as Config;

/// What is raised is cleared below this share of its threshold.
const CLEARED_BELOW: f64 = 0.8;

/// A look takes at most this share of a core: after one, that many times as long is waited.
const AT_MOST: u32 = 100;

/// What the score is called among features.
const SCORE: &str = "score";

/// Thresholds, and what was found when they were last looked at.
pub struct Monitors {
    config: Config,
    found: Mutex<wire::Monitors>,
    /// All figures of the last look.
    figures: Mutex<Vec<DriftFigure>>,
    /// Something crossed its threshold, and nobody has asked since.
    has_crossed: AtomicBool,
}

/// A figure that crossed its threshold, or is back.
#[derive(Debug, Clone, PartialEq)]
struct Crossing {
    alarm: DriftAlarm,
    is_raised: bool,
}

/// A figure as it was last found.
#[derive(Debug, Clone, PartialEq)]
pub struct DriftFigure {
    /// The feature, or `score`.
    pub name: String,
    /// `psi`, or `missing`: by how much its share of missing values grew.
    pub kind: &'static str,
    /// The figure.
    pub value: f64,
}

/// A figure and what it may be.
struct Figure<'a> {
    name: &'a str,
    kind: &'static str,
    value: f64,
    threshold: f64,
}

impl Monitors {
    /// Thresholds that nothing was held against yet.
    pub fn new(config: &Config) -> Monitors {
        let (psi_threshold, missing_threshold) = (config.psi, config.missing);
        let found = wire::Monitors { psi_threshold, missing_threshold, ..wire::Monitors::default() };
        Monitors {
            config: config.clone(),
            found: Mutex::new(found),
            figures: Mutex::default(),
            has_crossed: AtomicBool::new(false),
        }
    }

    /// What was last found.
    pub fn tell(&self) -> wire::Monitors {
        lock(&self.found).clone()
    }

    /// All figures of the last look; none while the champion has not decided for a whole window.
    pub fn figures_now(&self) -> Vec<DriftFigure> {
        lock(&self.figures).clone()
    }

    /// Whether a threshold was crossed since this was last asked.
    pub fn take_crossing(&self) -> bool {
        self.has_crossed.swap(false, Ordering::AcqRel)
    }

    /// Takes what was found now; what crossed a threshold, or is back.
    fn take(&self, drift: &Drift, now: Instant) -> Vec<Crossing> {
        let figures = if self.is_filled(drift) { self.figures(drift) } else { Vec::new() };
        let named = |figure: &Figure| DriftFigure {
            name: figure.name.to_string(),
            kind: figure.kind,
            value: figure.value,
        };
        *lock(&self.figures) = figures.iter().map(named).collect();
        let mut found = lock(&self.found);
        let mut crossings = Vec::new();
        for figure in &figures {
            crossings.extend(figure.hold(&mut found.raised, now));
        }
        // A feature that there is no figure of any more is none to worry about.
        let is_known = |alarm: &DriftAlarm| figures.iter().any(|figure| figure.is_of(alarm));
        found.raised.retain(is_known);
        let is_score = |figure: &&Figure| figure.name == SCORE;
        let greatest = |kind: &str| {
            let of_features = figures.iter().filter(|figure| figure.kind == kind && !is_score(figure));
            of_features.map(|figure| figure.value).reduce(f64::max)
        };
        found.checked_at = Some(now);
        found.decisions = drift.decisions;
        found.psi_score = figures.iter().find(is_score).map(|figure| figure.value);
        (found.psi_max, found.missing_max) = (greatest("psi"), greatest("missing"));
        let raised = crossings.iter().filter(|crossing| crossing.is_raised).count();
        found.crossings += raised as u64;
        if raised > 0 {
            self.has_crossed.store(true, Ordering::Release);
        }
        crossings
    }

    /// Whether the champion's decisions fill the window, but for a tenth.
    fn is_filled(&self, drift: &Drift) -> bool {
        let span = drift.from.zip(drift.to).map(|(from, to)| to.0 - from.0);
        span.is_some_and(|span_us| span_us >= self.config.window_us / 10 * 9)
    }

    fn figures<'a>(&self, drift: &'a Drift) -> Vec<Figure<'a>> {
        let Config { psi, missing, .. } = self.config;
        let score = drift.score.iter().map(|score| Figure {
            name: "score",
            kind: "psi",
            value: score.psi,
            threshold: psi,
        });
        let features = drift.features.iter().flat_map(|feature| {
            let grown = feature.missing_now - feature.missing_before;
            [
                Figure { name: &feature.name, kind: "psi", value: feature.psi, threshold: psi },
                Figure { name: &feature.name, kind: "missing", value: grown, threshold: missing },
            ]
        });
        score.chain(features).collect()
    }
}

impl Figure<'_> {
    fn is_of(&self, alarm: &DriftAlarm) -> bool {
        alarm.name == self.name && alarm.kind == self.kind
    }

    /// Holds the figure against its threshold.
    fn hold(&self, raised: &mut Vec<DriftAlarm>, now: Instant) -> Option<Crossing> {
        let Figure { name, kind, value, threshold } = *self;
        let Some(at) = raised.iter().position(|alarm| self.is_of(alarm)) else {
            if value <= threshold {
                return None;
            }
            let alarm =
                DriftAlarm { name: name.to_string(), kind: kind.to_string(), value, threshold, since: now };
            raised.push(alarm.clone());
            return Some(Crossing { alarm, is_raised: true });
        };
        raised[at].value = value;
        (value < CLEARED_BELOW * threshold).then(|| Crossing { alarm: raised.remove(at), is_raised: false })
    }
}

/// Looks from time to time, as long as the service runs.
pub async fn watch(api: Api) {
    let every = Duration::from_micros(api.monitors.config.every_us.unsigned_abs());
    if api.database.is_none() {
        return;
    }
    let mut pause = every;
    loop {
        tokio::time::sleep(pause).await;
        let started = Clock::now();
        look(&api).await;
        pause = every.max(started.elapsed() * AT_MOST);
    }
}

async fn look(api: &Api) {
    let held = Api::clone(api);
    let Some(drift) = read(api, move |store| drift_of(&held, store)).await else { return };
    for crossing in api.monitors.take(&drift, Instant(now_us())) {
        let DriftAlarm { name, kind, value, threshold, .. } = &crossing.alarm;
        match crossing.is_raised {
            true => tracing::warn!(name, kind, value, threshold, "drift: a threshold is crossed"),
            false => tracing::info!(name, kind, value, threshold, "drift: back below the threshold"),
        }
    }
}

fn drift_of(api: &Doors, store: &mut dyn Store) -> store::Result<Drift> {
    let lineup = api.shared.models.current();
    let span_us = api.monitors.config.window_us;
    drift_over(store, lineup.champion.as_deref(), &api.shared.detector, span_us, |mark| api.is_real(mark))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::wire::{DriftReference, FeatureDrift};

    fn drift(psi: f64, missing_now: f64) -> Drift {
        let feature = FeatureDrift {
            name: "amount".to_string(),
            psi,
            missing_before: 0.2,
            missing_now,
            unseen: 0.0,
            edges: Vec::new(),
            before: vec![1.0],
            now: vec![1.0],
        };
        Drift {
            reference: DriftReference::Training,
            decisions: 1_000,
            from: Some(Instant(0)),
            to: Some(Instant(7 * engine::time::DAY_US)),
            score: None,
            features: vec![feature],
        }
    }

    #[test]
    fn a_threshold_is_told_when_it_is_crossed_and_when_that_is_over() {
        let monitors = Monitors::new(&Config::default());
        let told = |psi: f64, missing: f64, at: i64| {
            let crossings = monitors.take(&drift(psi, missing), Instant(at));
            crossings.iter().map(|one| (one.alarm.kind.clone(), one.is_raised)).collect::<Vec<_>>()
        };
        let kind = |kind: &str, is_raised: bool| vec![(kind.to_string(), is_raised)];
        assert_eq!(told(0.2, 0.25, 1), []);
        assert!(!monitors.take_crossing());
        assert_eq!(told(0.26, 0.25, 2), kind("psi", true));
        assert_eq!(told(0.24, 0.25, 3), [], "it wavers");
        assert_eq!(told(0.19, 0.31, 4), [kind("psi", false), kind("missing", true)].concat());
        let found = monitors.tell();
        assert_eq!((found.crossings, found.raised.len(), found.raised[0].since), (2, 1, Instant(4)));
        assert!(monitors.take_crossing() && !monitors.take_crossing());
        let short = Drift { from: Some(Instant(6 * engine::time::DAY_US)), ..drift(9.0, 0.9) };
        assert_eq!(monitors.take(&short, Instant(5)), [], "a day says nothing of a week");
        assert_eq!((monitors.tell().raised, monitors.tell().psi_max), (vec![], None));
    }
}
