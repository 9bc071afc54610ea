//! Figures of each day: those of the seven days that end with it, because a day alone has few frauds.

use std::ops::Range;

use engine::detector::Detector;
use serde::Serialize;

use super::RUN_EVERY;
use crate::drift::Baseline;
use crate::evaluate::metrics::Ranking;
use crate::train::TrainingSet;

/// Days whose rows are pooled.
const POOLED: usize = RUN_EVERY as usize;

/// Seven days, and how each player did on them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Day {
    /// The last of them, counted from the first of the stream.
    pub day: u32,
    /// Transactions.
    pub rows: usize,
    /// Of them fraud.
    pub frauds: usize,
    /// How each player did.
    pub players: Vec<Figures>,
    /// How far the scores of the first champion are from those of its training (PSI).
    pub psi_score: f64,
    /// The feature that is farthest from where it was in the first champion's training.
    pub farthest: Option<Shifted>,
}

/// A feature and how far it is from where it was.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Shifted {
    /// Its name.
    pub feature: String,
    /// Its population stability index.
    pub psi: f64,
}

/// How a player did on seven days.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Figures {
    /// Average precision; none without frauds.
    pub average_precision: Option<f64>,
    /// The share of the frauds among each day's highest scores, as many as people can look at; none without frauds.
    pub recall_at_budget: Option<f64>,
}

/// Figures of every day that ends seven played ones. `scores` are of the rows of all days, one after the other.
pub(super) fn figures(
    detector: &Detector,
    set: &TrainingSet,
    scores: &[Vec<f64>],
    days: &[(u32, Range<usize>)],
    baseline: Option<&Baseline>,
    budget: usize,
) -> Vec<Day> {
    let begin = days.first().map_or(0, |(_, rows)| rows.start);
    let names = detector.feature_names();
    let of_window = |window: &[(u32, Range<usize>)]| {
        let rows = window[0].1.start..window[POOLED - 1].1.end;
        let spans: Vec<Range<usize>> = window.iter().map(|(_, rows)| rows.clone()).collect();
        let shift =
            |baseline: &Baseline| baseline.score.shift_to(&scores[0][rows.start - begin..rows.end - begin]);
        Day {
            day: window[POOLED - 1].0,
            rows: rows.len(),
            frauds: set.labels[rows.clone()].iter().filter(|label| **label).count(),
            players: scores.iter().map(|scores| of_player(set, scores, begin, &spans, budget)).collect(),
            psi_score: baseline.map_or(0.0, |baseline| shift(baseline).psi),
            farthest: baseline.and_then(|baseline| farthest(set, &names, baseline, &rows)),
        }
    };
    days.windows(POOLED).map(of_window).collect()
}

fn of_player(
    set: &TrainingSet,
    scores: &[f64],
    begin: usize,
    days: &[Range<usize>],
    budget: usize,
) -> Figures {
    let part =
        |rows: &Range<usize>| (&scores[rows.start - begin..rows.end - begin], &set.labels[rows.clone()]);
    let (scored, labels) = part(&(days[0].start..days[days.len() - 1].end));
    let frauds = labels.iter().filter(|label| **label).count();
    let found: usize = days.iter().map(part).map(|(scores, labels)| found(scores, labels, budget)).sum();
    Figures {
        average_precision: Ranking::new(scored, labels).ok().map(|ranking| ranking.average_precision()),
        recall_at_budget: (frauds > 0).then(|| found as f64 / frauds as f64),
    }
}

/// Frauds among so many highest scores; of equal scores the earlier count.
fn found(scores: &[f64], labels: &[bool], budget: usize) -> usize {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
    order.iter().take(budget).filter(|row| labels[**row]).count()
}

fn farthest(
    set: &TrainingSet,
    names: &[String],
    baseline: &Baseline,
    rows: &Range<usize>,
) -> Option<Shifted> {
    let columns = names.iter().zip(&baseline.features).zip(&set.columns);
    let shifts = columns.map(|((name, reference), column)| Shifted {
        feature: name.clone(),
        psi: reference.shift_to(&column[rows.clone()]).psi,
    });
    shifts.max_by(|a, b| a.psi.total_cmp(&b.psi))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_budget_is_spent_on_the_highest_scores_of_each_day() {
        let labels = [true, false, true, false, true];
        assert_eq!(found(&[0.9, 0.8, 0.7, 0.6, 0.1], &labels, 2), 1);
        assert_eq!(found(&[0.9, 0.8, 0.7, 0.6, 0.1], &labels, 3), 2);
        assert_eq!(found(&[0.5; 5], &labels, 1), 1);
        assert_eq!(found(&[], &[], 5), 0);
    }
}
