//! What a review budget means for the champion: the score from which on it sends so many transactions to review, and no more.
//!
//! It is found when the budget is set, from what the champion says of the last days' transactions, and becomes a part of the rulebook:
//! so it holds at once, and a decision is replayed by it.

use engine::decide::{BudgetScore, Policy};
use engine::time::DAY_US;
use engine::{Model, Outcome};

use super::api::{Doors, read_now};
use super::drift::spread;

/// The span of event time that is looked at: a week has all its days.
const SPAN_US: i64 = 7 * DAY_US;

/// Transactions that are looked at, spread over that span.
const LOOKED_AT: usize = 50_000;

/// With fewer transactions, or a shorter time, chance alone says how many reviews there are.
const DECISIONS_MIN: usize = 200;
const SPAN_MIN_US: i64 = DAY_US / 24;

/// What the budget of a policy means for the champion; nothing without a budget, a champion, or enough history. The
/// champion scores the feature values that are stored, so it does not matter who decided.
///
/// # Errors
/// If the database refuses.
pub fn budget_score(api: &Doors, policy: &Policy) -> store::Result<Option<BudgetScore>> {
    let lineup = api.shared.models.current();
    let (Some(budget), Some(champion), Some(database)) =
        (policy.daily_review_budget, &lineup.champion, &api.database)
    else {
        return Ok(None);
    };
    let mut found = read_now(api, database, |store| spread(store, SPAN_US, LOOKED_AT))?;
    let fingerprint = &lineup.detector.feature_fingerprint;
    found.decisions.retain(|decision| {
        decision.versions.feature_fingerprint == *fingerprint && api.is_real(decision.mark.as_deref())
    });
    let times = || found.decisions.iter().map(|decision| decision.event_time_us);
    let span_us = times().max().unwrap_or(0) - times().min().unwrap_or(0);
    if found.decisions.len() < DECISIONS_MIN || span_us < SPAN_MIN_US {
        return Ok(None);
    }
    let rows = found.decisions.iter().map(|decision| (&*decision.features, decision.amount_minor));
    let mut asked = reviews_asked(rows, &champion.model, policy, lineup.detector.schema.minor_per_unit());
    let most = budget * span_us as f64 / DAY_US as f64 * found.share;
    let score_min = score_within(&mut asked, most as usize);
    Ok(Some(BudgetScore { model: champion.model.id.to_string(), score_min }))
}

/// Scores of the transactions, features with amounts, that would be reviewed if there were no bound.
fn reviews_asked<'a>(
    rows: impl Iterator<Item = (&'a [f64], i64)>,
    model: &Model,
    policy: &Policy,
    minor_per_unit: f64,
) -> Vec<f64> {
    let (features, amounts): (Vec<&[f64]>, Vec<i64>) = rows.unzip();
    let mut scores = Vec::new();
    model.score_batch(&features.concat(), &mut forest::Scratch::default(), &mut scores);
    let asked = scores.iter().zip(amounts).filter(|(score, amount)| {
        policy.outcome(**score, *amount as f64 / minor_per_unit, 0.0) == Outcome::Review
    });
    asked.map(|(score, _)| *score).collect()
}

/// The least score that so many, at most, reach; 0 if they all may.
fn score_within(scores: &mut [f64], most: usize) -> f64 {
    scores.sort_unstable_by(|a, b| b.total_cmp(a));
    let Some(first_beyond) = scores.get(most).copied() else { return 0.0 };
    // Equal scores are reviewed together, or not at all.
    let within = scores.partition_point(|score| *score > first_beyond);
    within.checked_sub(1).map_or_else(|| first_beyond.next_up(), |last| scores[last])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_kept_and_used_as_far_as_equal_scores_allow() {
        let scores = [0.2, 0.9, 0.5, 0.7, 0.5];
        let score = |most| score_within(&mut scores.clone(), most);
        assert_eq!(score(9), 0.0, "there is room for all");
        assert_eq!(score(5), 0.0);
        assert_eq!(score(4), 0.5);
        assert_eq!(score(3), 0.7, "of two equal ones neither");
        assert_eq!(score(1), 0.9);
        assert!(score(0) > 0.9, "nobody is there to review");
        assert_eq!(score_within(&mut [], 0), 0.0);
    }
}
