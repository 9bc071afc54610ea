//! From score and rules to an outcome.

use crate::expression::{BoolExpr, Context};

/// What happens to a transaction, mildest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Outcome {
    /// It goes through.
    Approve = 0,
    /// It goes through or waits, and a person looks at it.
    Review = 1,
    /// It is refused.
    Decline = 2,
}

impl Outcome {
    /// All outcomes, mildest first.
    pub const ALL: [Outcome; 3] = [Outcome::Approve, Outcome::Review, Outcome::Decline];

    /// The name used in detector files, JSON and the database.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Approve => "approve",
            Outcome::Review => "review",
            Outcome::Decline => "decline",
        }
    }

    /// The outcome of this name.
    pub fn from_name(name: &str) -> Option<Outcome> {
        Self::ALL.into_iter().find(|outcome| outcome.name() == name)
    }
}

/// A condition written by a person, and what follows from it.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Its name: what decisions list as fired.
    pub name: String,
    /// The condition.
    pub when: BoolExpr,
    /// The condition as the file writes it, in CEL.
    pub text: String,
    /// What it asks for.
    pub outcome: Outcome,
    /// It is listed as fired, and changes nothing.
    pub shadow: bool,
}

/// How a score becomes an outcome.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Thresholds as given, or the costs that they follow from.
    pub basis: Basis,
    /// Reviews a day that people can do. Training turns it into the model's least score for a review; for a model that is in use,
    /// [`BudgetScore`] says it instead.
    pub daily_review_budget: Option<f64>,
}

/// The least score of a review that a budget means for a model; another model's scores are on another scale.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BudgetScore {
    /// Id of the model.
    pub model: String,
    /// Below it nothing is sent to review.
    pub score_min: f64,
}

/// What a policy decides by.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Basis {
    /// Scores from which a transaction is reviewed and declined.
    Thresholds {
        /// The score from which a transaction is reviewed.
        review: f64,
        /// The score from which it is declined.
        decline: f64,
    },
    /// The least expected cost, in major units: letting fraud through costs the amount.
    Costs {
        /// What a review costs.
        review: f64,
        /// What declining a genuine transaction costs.
        false_decline: f64,
    },
}

impl Default for Policy {
    fn default() -> Self {
        Policy { basis: Basis::Thresholds { review: 0.5, decline: 0.9 }, daily_review_budget: None }
    }
}

impl Policy {
    /// The same with another least score for a review. Where costs decide, that is the model's to say, and nothing changes.
    #[must_use]
    pub fn reviewing_from(self, score_min: f64) -> Policy {
        let basis = match self.basis {
            Basis::Thresholds { decline, .. } => Basis::Thresholds { review: score_min, decline },
            costs @ Basis::Costs { .. } => costs,
        };
        Policy { basis, ..self }
    }

    /// The outcome that score and amount alone ask for. A NaN score (no model) approves. Below `review_score_min`,
    /// which follows from the review budget, nothing is sent to review.
    pub fn outcome(&self, score: f64, amount: f64, review_score_min: f64) -> Outcome {
        let asked = match self.basis {
            Basis::Thresholds { decline, .. } if score >= decline => Outcome::Decline,
            Basis::Thresholds { review, .. } if score >= review => Outcome::Review,
            Basis::Thresholds { .. } => Outcome::Approve,
            Basis::Costs { review, false_decline } => cheapest(score, amount, review, false_decline),
        };
        if asked == Outcome::Review && score < review_score_min { Outcome::Approve } else { asked }
    }
}

/// The outcome of least expected cost, taking the score for the probability of fraud (Elkan 2001, "The foundations of
/// cost-sensitive learning"). Of equal costs the mildest outcome wins.
fn cheapest(score: f64, amount: f64, review_cost: f64, false_decline_cost: f64) -> Outcome {
    let approve = score * amount;
    let decline = (1.0 - score) * false_decline_cost;
    if score.is_nan() || (approve <= review_cost && approve <= decline) {
        Outcome::Approve
    } else if review_cost <= decline {
        Outcome::Review
    } else {
        Outcome::Decline
    }
}

/// Evaluates the rules, appends the indices of those that fired to `fired`, and joins them with what the policy asks
/// for: a fired decline rule declines, else a fired approve rule approves, else the severer of review rules and policy.
pub(crate) fn decide(rules: &[Rule], by_policy: Outcome, cx: &Context, fired: &mut Vec<u16>) -> Outcome {
    let mut asked = [false; 3];
    for (index, rule) in rules.iter().enumerate() {
        if rule.when.evaluate(cx) {
            fired.push(index as u16);
            asked[rule.outcome as usize] |= !rule.shadow;
        }
    }
    match asked {
        [_, _, true] => Outcome::Decline,
        [true, _, false] => Outcome::Approve,
        [false, true, false] => by_policy.max(Outcome::Review),
        [false, false, false] => by_policy,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_decide_by_amount_as_well_as_score() {
        let policy =
            Policy { basis: Basis::Costs { review: 5.0, false_decline: 20.0 }, daily_review_budget: None };
        assert_eq!(policy.outcome(0.5, 4.0, 0.0), Outcome::Approve);
        assert_eq!(policy.outcome(0.5, 400.0, 0.0), Outcome::Review);
        assert_eq!(policy.outcome(0.9, 400.0, 0.0), Outcome::Decline);
        assert_eq!(policy.outcome(f64::NAN, 400.0, 0.0), Outcome::Approve);
    }

    #[test]
    fn the_review_budget_raises_the_bar_for_reviews_only() {
        let policy = Policy::default();
        assert_eq!(policy.outcome(0.6, 1.0, 0.7), Outcome::Approve);
        assert_eq!(policy.outcome(0.7, 1.0, 0.7), Outcome::Review);
        assert_eq!(policy.outcome(0.95, 1.0, 0.99), Outcome::Decline);
    }
}
