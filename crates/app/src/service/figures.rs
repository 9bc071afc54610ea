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

/// A transaction of which is known what it was, and that all models in use have scored.
#[derive(Debug, Clone)]
pub struct Known {
    /// Fraud or not.
    pub fraud: bool,
    /// Amount in major units.
    pub amount: f64,
    /// Event time.
    pub event_time_us: i64,
    /// The key field's value.
    pub key: Option<String>,
    /// A score of each model, in the order of the lineup.
    pub scores: Vec<f64>,
}

/// The transactions that all models in use have scored, in the order of the log. `is_real` is asked for what made them.
pub fn known(
    record: &Record,
    lineup: &Lineup,
    detector: &Detector,
    is_real: impl Fn(Option<&str>) -> bool,
) -> Vec<Known> {
    let model_of = model_by_version(record, lineup);
    let models = lineup.ids().count();
    let transactions = record.labelled.chunk_by(|a, b| a.sequence == b.sequence);
    let real = transactions.filter(|scores| is_real(scores[0].mark.as_deref()));
    let gather = |transaction: &[LabelledScore]| {
        // A model can have scored it twice, under two sets of rules; the score is the same.
        let scores: BTreeMap<usize, f64> = transaction
            .iter()
            .filter_map(|score| Some((*model_of.get(&score.version)?, score.score)))
            .collect();
        let first = &transaction[0];
        (models > 0 && scores.len() == models).then(|| Known {
            fraud: first.fraud,
            amount: first.amount_minor as f64 / detector.schema.minor_per_unit(),
            event_time_us: first.event_time_us,
            key: first.key.clone(),
            scores: scores.into_values().collect(),
        })
    };
    real.filter_map(gather).collect()
}

/// The place in the lineup of the model of each version.
fn model_by_version(record: &Record, lineup: &Lineup) -> HashMap<i64, usize> {
    let place = |id: &str| lineup.ids().position(|known| known == id);
    let versions = record.versions.iter();
    versions.filter_map(|(number, versions)| Some((*number, place(versions.model.as_deref()?)?))).collect()
}

/// Puts the models in use side by side, on the transactions that all of them have scored. A score is an alert where the policy,
/// with the review threshold of the champion, would not approve.
pub fn compare(record: &Record, known: &[Known], lineup: &Lineup, detector: &Detector) -> Comparison {
    let model_of = model_by_version(record, lineup);
    let scored = |at: usize| {
        let own = record.scored.iter().filter(|(version, _)| model_of.get(version) == Some(&at));
        own.map(|(_, count)| count).sum()
    };
    let review_score_min =
        detector.review_score_min(lineup.champion.as_ref().map(|champion| &champion.model));
    let alerts = |known: &Known, score: f64| {
        detector.policy.outcome(score, known.amount, review_score_min) != Outcome::Approve
    };
    let models = lineup.ids().enumerate();
    let figures = models.map(|(at, id)| (id.to_string(), live(known, at, scored(at), alerts)));
    let frauds = known.iter().filter(|known| known.fraud).count() as u64;
    Comparison { compared: Compared { transactions: known.len() as u64, frauds }, figures: figures.collect() }
}

fn live(known: &[Known], at: usize, scored: u64, alerts: impl Fn(&Known, f64) -> bool) -> LiveFigures {
    let (scores, labels): (Vec<f64>, Vec<bool>) =
        known.iter().map(|known| (known.scores[at], known.fraud)).unzip();
    // Of one class alone there is no ranking.
    let ranking = Ranking::new(&scores, &labels).ok();
    let mut confusion = Confusion::default();
    for known in known {
        confusion.add(alerts(known, known.scores[at]), known.fraud);
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
