//! How champion and challengers fare on what became known of the transactions that they scored.

use std::collections::{BTreeMap, HashMap};

use engine::{Detector, Outcome};
use lab::evaluate::metrics::{Confusion, Ranking};
use store::{LabelledScore, Record};

use super::models::Lineup;
use super::wire::{Compared, LiveFigures};

/// Decisions and labelled transactions that are looked at, the newest ones.
pub const LOOKED_AT_MAX: usize = 100_000;

/// Figures by id of the model, and what they were taken on.
#[derive(Debug, Clone)]
pub struct Comparison {
    /// What was compared.
    pub compared: Compared,
    /// Figures of each model in use.
    pub figures: HashMap<String, LiveFigures>,
}

/// Scores of one model, row by row the same transactions as the others'.
#[derive(Default)]
struct Scores {
    scores: Vec<f64>,
    /// Whether the champion's threshold asks for more than approval.
    alerts: Vec<bool>,
}

/// Puts the models in use side by side, on the labelled transactions that all of them have scored. A score is an alert where
/// the policy, with the review threshold of the champion, would not approve.
pub fn compare(record: &Record, lineup: &Lineup, detector: &Detector) -> Comparison {
    let ids: Vec<&str> = lineup.all().map(|loaded| &*loaded.model.id).collect();
    let version_ids = record.versions.iter().filter_map(|(number, versions)| {
        let at = ids.iter().position(|id| versions.model.as_deref() == Some(id))?;
        Some((*number, at))
    });
    let model_of: HashMap<i64, usize> = version_ids.collect();
    let review_score_min = lineup.champion.as_ref().map_or(0.0, |champion| champion.model.review_score_min);
    let mut labels = Vec::new();
    let mut models: Vec<Scores> = ids.iter().map(|_| Scores::default()).collect();
    for transaction in record.labelled.chunk_by(|a, b| a.sequence == b.sequence) {
        // A model can have scored it twice, under two sets of rules; the score is the same.
        let scored: BTreeMap<usize, &LabelledScore> =
            transaction.iter().filter_map(|score| Some((*model_of.get(&score.version)?, score))).collect();
        if ids.is_empty() || scored.len() < ids.len() {
            continue;
        }
        labels.push(transaction[0].fraud);
        for (model, score) in models.iter_mut().zip(scored.values()) {
            let amount = score.amount_minor as f64 / detector.schema.minor_per_unit();
            let outcome = detector.policy.outcome(score.score, amount, review_score_min);
            model.scores.push(score.score);
            model.alerts.push(outcome != Outcome::Approve);
        }
    }
    let frauds = labels.iter().filter(|fraud| **fraud).count() as u64;
    let compared = Compared { transactions: labels.len() as u64, frauds };
    let scored = |at: usize| {
        let own = record.scored.iter().filter(|(version, _)| model_of.get(version) == Some(&at));
        own.map(|(_, count)| count).sum()
    };
    let figures = ids.iter().zip(&models).enumerate();
    let figures = figures.map(|(at, (id, scores))| (id.to_string(), scores.figures(&labels, scored(at))));
    Comparison { compared, figures: figures.collect() }
}

impl Scores {
    fn figures(&self, labels: &[bool], scored: u64) -> LiveFigures {
        // Of one class alone there is no ranking.
        let ranking = Ranking::new(&self.scores, labels).ok();
        let mut confusion = Confusion::default();
        for (alert, fraud) in self.alerts.iter().zip(labels) {
            match (alert, fraud) {
                (true, true) => confusion.true_positives += 1,
                (true, false) => confusion.false_positives += 1,
                (false, true) => confusion.false_negatives += 1,
                (false, false) => confusion.true_negatives += 1,
            }
        }
        let alerts = confusion.true_positives + confusion.false_positives;
        let frauds = confusion.true_positives + confusion.false_negatives;
        LiveFigures {
            scored,
            alerts,
            auc_roc: ranking.as_ref().map(Ranking::auc_roc),
            average_precision: ranking.as_ref().map(Ranking::average_precision),
            precision: (alerts > 0).then(|| confusion.precision()),
            recall: (frauds > 0).then(|| confusion.recall()),
        }
    }
}
