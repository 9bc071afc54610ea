//! Models on what became known, in curves and thresholds.

use std::collections::HashMap;

use engine::Outcome;
use engine::decide::{Basis, Policy};
use engine::detector::Detector;
use engine::time::DAY_US;
use lab::evaluate::handbook::{Rows, card_precision, card_precision_ceiling};
use lab::evaluate::metrics::{Confusion, CurvePoint, Ranking, brier, thin};

use super::figures::Known;
use super::models::Lineup;
use super::wire::{
    CalibrationBin, CardPrecisionAt, Instant, ModelPerformance, ModelRole, Performance, PrecisionRecallPoint,
    RocPoint, ThresholdPoint,
};

/// The most points of a curve.
const POINTS_MAX: usize = 200;

/// Bins of the calibration diagram.
const CALIBRATION_BINS: usize = 10;

/// Entities a day that people could look at.
const LOOKED_AT: [usize; 6] = [10, 20, 50, 100, 200, 500];

/// Curves, thresholds and calibration of the models in use on the same transactions.
pub fn performance(known: &[Known], lineup: &Lineup, detector: &Detector) -> Performance {
    let times = || known.iter().map(|known| known.event_time_us);
    let (from_us, to_us) = (times().min(), times().max());
    let span_us = from_us.zip(to_us).map_or(0, |(from, to)| to - from);
    let days = (span_us as f64 / DAY_US as f64).max(1.0);
    let present = detector.review_score_min(lineup.champion.as_ref().map(|champion| &champion.model));
    let (present, costs) = match detector.policy.basis {
        Basis::Thresholds { review, .. } => (present.max(review), None),
        Basis::Costs { review, false_decline } => (present, Some((review, false_decline))),
    };
    let entities = Entities::of(known);
    let roles = std::iter::once(ModelRole::Champion).chain(std::iter::repeat(ModelRole::Challenger));
    let skipped = usize::from(lineup.champion.is_none());
    let models = lineup.ids().zip(roles.skip(skipped)).enumerate();
    let models = models.map(|(at, (id, role))| {
        let scores: Vec<f64> = known.iter().map(|known| known.scores[at]).collect();
        let scored = Scored { known, scores: &scores, policy: detector.policy, days };
        scored.performance(id, role, present, &entities)
    });
    Performance {
        transactions: known.len() as u64,
        frauds: known.iter().filter(|known| known.fraud).count() as u64,
        from: from_us.map(Instant),
        to: to_us.map(Instant),
        days,
        review_score_min: present,
        review_cost: costs.map(|(review, _)| review),
        false_decline_cost: costs.map(|(_, false_decline)| false_decline),
        models: models.collect(),
    }
}

/// Days and entities of the transactions, as the Handbook's protocol wants them; empty where a transaction has no key.
#[derive(Default)]
struct Entities {
    days: Vec<i32>,
    entities: Vec<u32>,
}

impl Entities {
    fn of(known: &[Known]) -> Entities {
        let mut numbers: HashMap<&str, u32> = HashMap::new();
        let mut found = Entities::default();
        for known in known {
            let Some(key) = known.key.as_deref() else { return Entities::default() };
            let next = numbers.len() as u32;
            found.entities.push(*numbers.entry(key).or_insert(next));
            found.days.push(known.event_time_us.div_euclid(DAY_US) as i32);
        }
        found
    }
}

/// The transactions as one model scores them.
struct Scored<'a> {
    known: &'a [Known],
    scores: &'a [f64],
    policy: Policy,
    days: f64,
}

impl Scored<'_> {
    fn performance(&self, id: &str, role: ModelRole, present: f64, entities: &Entities) -> ModelPerformance {
        let labels: Vec<bool> = self.known.iter().map(|known| known.fraud).collect();
        // Of one class alone there is no ranking.
        let ranking = Ranking::new(self.scores, &labels).ok();
        let calibration = calibration(self.scores, &labels);
        ModelPerformance {
            id: id.to_string(),
            role,
            auc_roc: ranking.as_ref().map(Ranking::auc_roc),
            average_precision: ranking.as_ref().map(Ranking::average_precision),
            brier: brier(self.scores, &labels).ok(),
            calibration_error: calibration_error(&calibration),
            roc: ranking.as_ref().map(roc).unwrap_or_default(),
            precision_recall: ranking.as_ref().map(precision_recall).unwrap_or_default(),
            calibration,
            thresholds: self.thresholds(present),
            card_precision: self.card_precision(&labels, entities),
        }
    }

    /// What each of some thresholds would have done: those at which alerts grow by about equal steps, on a scale that is finer
    /// where there are few.
    fn thresholds(&self, present: f64) -> Vec<ThresholdPoint> {
        let mut scores = self.scores.to_vec();
        scores.sort_unstable_by(|a, b| b.total_cmp(a));
        let last = scores.len().saturating_sub(1) as f64;
        let place = |step: usize| (step as f64 / (POINTS_MAX - 2) as f64).powi(3) * last;
        let mut chosen: Vec<f64> =
            (0..POINTS_MAX - 1).filter_map(|step| scores.get(place(step) as usize).copied()).collect();
        chosen.push(present);
        chosen.sort_unstable_by(f64::total_cmp);
        chosen.dedup();
        chosen.into_iter().map(|score| self.threshold(score)).collect()
    }

    fn threshold(&self, score: f64) -> ThresholdPoint {
        let policy = self.policy.reviewing_from(score);
        let mut confusion = Confusion::default();
        let (mut cost, mut caught) = (0.0, 0.0);
        for (known, of) in self.known.iter().zip(self.scores) {
            let outcome = policy.outcome(*of, known.amount, score);
            confusion.add(outcome != Outcome::Approve, known.fraud);
            cost += self.cost(outcome, known);
            caught += if known.fraud && outcome != Outcome::Approve { known.amount } else { 0.0 };
        }
        self.point(score, confusion, cost, caught)
    }

    /// What an outcome costs: a review, a genuine transaction declined, or the amount of a fraud that goes through.
    fn cost(&self, outcome: Outcome, known: &Known) -> f64 {
        let Basis::Costs { review, false_decline } = self.policy.basis else { return 0.0 };
        match outcome {
            Outcome::Review => review,
            Outcome::Decline if !known.fraud => false_decline,
            Outcome::Approve if known.fraud => known.amount,
            Outcome::Approve | Outcome::Decline => 0.0,
        }
    }

    fn point(&self, score: f64, confusion: Confusion, cost: f64, caught: f64) -> ThresholdPoint {
        let alerts = confusion.true_positives + confusion.false_positives;
        let frauds = confusion.true_positives + confusion.false_negatives;
        ThresholdPoint {
            score,
            alerts_per_day: alerts as f64 / self.days,
            true_positives: confusion.true_positives,
            false_positives: confusion.false_positives,
            false_negatives: confusion.false_negatives,
            true_negatives: confusion.true_negatives,
            precision: (alerts > 0).then(|| confusion.precision()),
            recall: (frauds > 0).then(|| confusion.recall()),
            f1: (alerts + frauds > 0).then(|| confusion.f1()),
            accuracy: (!self.known.is_empty()).then(|| confusion.accuracy()),
            cost_per_day: matches!(self.policy.basis, Basis::Costs { .. }).then_some(cost / self.days),
            caught_amount_per_day: caught / self.days,
        }
    }

    fn card_precision(&self, labels: &[bool], entities: &Entities) -> Vec<CardPrecisionAt> {
        let Entities { days, entities } = entities;
        let rows = Rows { day: days, card: entities, label: labels, score: self.scores };
        let at = |k: &usize| {
            let (found, best) = (card_precision(rows, *k).ok()?, card_precision_ceiling(rows, *k).ok()?);
            Some(CardPrecisionAt { k: *k as u64, precision: found.mean, ceiling: best.mean })
        };
        LOOKED_AT.iter().filter_map(at).collect()
    }
}

fn roc(ranking: &Ranking) -> Vec<RocPoint> {
    let point = |point: CurvePoint| RocPoint {
        false_positive_rate: point.x,
        true_positive_rate: point.y,
        score: point.threshold.min(1.0),
    };
    drawn(&ranking.roc_curve()).into_iter().map(point).collect()
}

fn precision_recall(ranking: &Ranking) -> Vec<PrecisionRecallPoint> {
    let point = |point: CurvePoint| PrecisionRecallPoint {
        recall: point.x,
        precision: point.y,
        score: point.threshold.min(1.0),
    };
    drawn(&ranking.precision_recall_curve()).into_iter().map(point).collect()
}

/// A curve in as few points as are sent.
fn drawn(curve: &[CurvePoint]) -> Vec<CurvePoint> {
    let resolutions = (1..).map(|step| f64::from(step) * 0.005);
    let mut thinned = resolutions.map(|resolution| thin(curve, resolution));
    thinned.find(|points| points.len() <= POINTS_MAX).unwrap_or_default()
}

/// Scores against what happened, in bins of equally many transactions by rising score.
fn calibration(scores: &[f64], labels: &[bool]) -> Vec<CalibrationBin> {
    let mut rows: Vec<(f64, bool)> = scores.iter().copied().zip(labels.iter().copied()).collect();
    rows.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let size = rows.len().div_ceil(CALIBRATION_BINS).max(1);
    let bin = |rows: &[(f64, bool)]| CalibrationBin {
        transactions: rows.len() as u64,
        mean_score: rows.iter().map(|(score, _)| score).sum::<f64>() / rows.len() as f64,
        fraud_share: rows.iter().filter(|(_, fraud)| *fraud).count() as f64 / rows.len() as f64,
    };
    rows.chunks(size).map(bin).collect()
}

/// The mean distance of scores and shares over the bins, weighted by transactions.
fn calibration_error(bins: &[CalibrationBin]) -> Option<f64> {
    let transactions: u64 = bins.iter().map(|bin| bin.transactions).sum();
    let distance = |bin: &CalibrationBin| bin.transactions as f64 * (bin.mean_score - bin.fraud_share).abs();
    (transactions > 0).then(|| bins.iter().map(distance).sum::<f64>() / transactions as f64)
}
