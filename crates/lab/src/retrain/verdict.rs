//! What must hold before a challenger takes the champion's place, and what was found.

use engine::Outcome;
use engine::decide::{Basis, Policy};
use engine::time::{DAY_US, format_instant};
use serde::{Deserialize, Serialize};

use super::paired::paired_gain;
use crate::evaluate::metrics::{Ranking, brier, calibration_error, reliability};
use crate::train::TrainingSet;

/// What is asked of a challenger.
#[derive(Debug, Clone, PartialEq)]
pub struct Criteria {
    /// Least frauds in the comparison.
    pub frauds_min: u64,
    /// Least days with frauds in the comparison.
    pub days_min: u64,
    /// Least gain in average precision.
    pub min_gain: f64,
    /// Share of resampled differences that the interval of the gain holds; its lower end must be above 0.
    pub confidence: f64,
    /// Share by which the challenger's cost may be above the champion's.
    pub cost_slack: f64,
    /// Greatest expected calibration error, where the champion's is not above it.
    pub calibration_error_max: f64,
    /// Share by which the challenger's Brier score may be above the champion's.
    pub brier_slack: f64,
    /// How many times the champion's effort of scoring a row the challenger may need.
    pub slower_max: f64,
    /// Seed of the resampling.
    pub seed: u64,
}

impl Default for Criteria {
    fn default() -> Self {
        Criteria {
            frauds_min: 30,
            days_min: 5,
            min_gain: 0.005,
            confidence: 0.9,
            cost_slack: 0.0,
            calibration_error_max: 0.01,
            brier_slack: 0.05,
            slower_max: 3.0,
            seed: 1,
        }
    }
}

/// A model in the comparison.
#[derive(Debug, Clone, PartialEq)]
pub struct Contender {
    /// Its id.
    pub id: String,
    /// Probabilities, one for each row.
    pub scores: Vec<f64>,
    /// The least score that it sends to review.
    pub review_score_min: f64,
    /// Nanoseconds for a row if measured, else nodes of its trees.
    pub effort: f64,
    /// Whether the effort is measured.
    pub is_measured: bool,
}

/// Something that must hold, and what was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Criterion {
    /// `enough`, `better`, `cheaper`, `calibrated` or `fast`.
    pub name: String,
    /// Whether it holds.
    pub met: bool,
    /// The champion's figure; none without a champion, or where the figure is of both.
    pub champion: Option<f64>,
    /// The challenger's.
    pub challenger: f64,
    /// What the challenger's figure is held against.
    pub bound: f64,
    /// All of it for people.
    pub words: String,
}

/// Whether a challenger may take the champion's place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// Whether every criterion is met.
    pub promote: bool,
    /// The model in use; none if there is none.
    pub champion: Option<String>,
    /// The model that would replace it.
    pub challenger: String,
    /// First day of the comparison.
    pub from: String,
    /// First instant after it.
    pub to: String,
    /// Transactions compared on.
    pub rows: u64,
    /// Of them fraud.
    pub frauds: u64,
    /// One by one.
    pub criteria: Vec<Criterion>,
    /// All of it in a sentence: the reason of a promotion, or of its absence.
    pub words: String,
}

/// Compares a challenger with the champion on rows that neither has learnt from; scores are in the order of the rows. Without a
/// champion it is compared with giving every transaction the same score, which stops nothing.
pub fn compare(
    test: &TrainingSet,
    champion: Option<&Contender>,
    challenger: &Contender,
    policy: &Policy,
    criteria: &Criteria,
) -> Verdict {
    let nothing = Contender {
        id: String::new(),
        scores: vec![0.0; test.len()],
        review_score_min: 0.0,
        effort: 0.0,
        is_measured: challenger.is_measured,
    };
    let pair = Pair { test, champion: champion.unwrap_or(&nothing), challenger, policy, criteria };
    let mut found = vec![pair.enough(), pair.better(), pair.cheaper(), pair.calibrated()];
    found.extend(champion.map(|_| pair.fast()));
    let promote = found.iter().all(|criterion| criterion.met);
    let period = test.days();
    Verdict {
        promote,
        champion: champion.map(|champion| champion.id.clone()),
        challenger: challenger.id.clone(),
        from: format_instant(period.start),
        to: format_instant(period.end),
        rows: test.len() as u64,
        frauds: test.frauds() as u64,
        words: sentence(promote, &found),
        criteria: found,
    }
}

fn sentence(promote: bool, criteria: &[Criterion]) -> String {
    let told = criteria.iter().filter(|criterion| criterion.met == promote);
    let told: Vec<&str> = told.map(|criterion| criterion.words.as_str()).collect();
    match promote {
        true => told.join("; "),
        false => format!("not promoted: {}", told.join("; ")),
    }
}

/// Two models and the rows that they are compared on.
struct Pair<'a> {
    test: &'a TrainingSet,
    champion: &'a Contender,
    challenger: &'a Contender,
    policy: &'a Policy,
    criteria: &'a Criteria,
}

impl Pair<'_> {
    fn has_champion(&self) -> bool {
        !self.champion.id.is_empty()
    }

    /// A criterion about a figure of each model.
    fn criterion(&self, name: &str, met: bool, figures: [f64; 2], bound: f64, words: String) -> Criterion {
        let champion = self.has_champion().then_some(figures[0]);
        Criterion { name: name.to_string(), met, champion, challenger: figures[1], bound, words }
    }

    fn enough(&self) -> Criterion {
        let fraud_rows = self.test.times_us.iter().zip(&self.test.labels).filter(|(_, fraud)| **fraud);
        let mut days: Vec<i64> = fraud_rows.map(|(time, _)| time.div_euclid(DAY_US)).collect();
        let frauds = days.len() as u64;
        days.sort_unstable();
        days.dedup();
        let days = days.len() as u64;
        let (frauds_min, days_min) = (self.criteria.frauds_min, self.criteria.days_min);
        let met = frauds >= frauds_min && days >= days_min && (frauds as usize) < self.test.len();
        let mut words = format!("{frauds} frauds on {days} days to compare on");
        if !met {
            words += &format!(", {frauds_min} on {days_min} are needed");
        }
        Criterion {
            name: "enough".to_string(),
            met,
            champion: None,
            challenger: frauds as f64,
            bound: frauds_min as f64,
            words,
        }
    }

    fn better(&self) -> Criterion {
        let Criteria { min_gain, confidence, seed, .. } = *self.criteria;
        let scores = [self.champion.scores.as_slice(), self.challenger.scores.as_slice()];
        let gain = paired_gain(self.test, scores, confidence, seed);
        let figures = scores.map(|scores| {
            Ranking::new(scores, &self.test.labels).map_or(f64::NAN, |ranking| ranking.average_precision())
        });
        let met = gain.difference >= min_gain && gain.low > 0.0;
        let words = format!(
            "average precision {:.4} against {:.4}, a gain of {:+.4} ({:.0} % of resampled days {:+.4} to {:+.4}; \
             at least {min_gain} is wanted)",
            figures[1],
            figures[0],
            gain.difference,
            confidence * 100.0,
            gain.low,
            gain.high
        );
        self.criterion("better", met, figures, figures[0] + min_gain, words)
    }

    fn cheaper(&self) -> Criterion {
        let (figures, of) = match self.policy.basis {
            Basis::Costs { review, false_decline } => {
                let each = [self.champion, self.challenger];
                (each.map(|model| self.cost(model, review, false_decline)), "cost by the policy")
            }
            Basis::Thresholds { .. } => {
                let alerts = self.alerts(self.champion).max(self.test.frauds());
                let each = [self.champion, self.challenger];
                (each.map(|model| self.missed(model, alerts)), "fraud missed at as many alerts")
            }
        };
        let bound = figures[0] * (1.0 + self.criteria.cost_slack);
        let words = format!("{of} {:.2} against {:.2}", figures[1], figures[0]);
        self.criterion("cheaper", figures[1] <= bound, figures, bound, words)
    }

    /// What the policy's outcomes cost: a passed fraud its amount, a review and a false decline what the policy says.
    fn cost(&self, model: &Contender, review: f64, false_decline: f64) -> f64 {
        let rows = model.scores.iter().zip(&self.test.amounts).zip(&self.test.labels);
        let each = rows.map(|((score, amount), fraud)| {
            match (self.policy.outcome(*score, *amount, model.review_score_min), fraud) {
                (Outcome::Approve, true) => *amount,
                (Outcome::Review, _) => review,
                (Outcome::Decline, false) => false_decline,
                _ => 0.0,
            }
        });
        each.sum()
    }

    /// Transactions that a model does not let through.
    fn alerts(&self, model: &Contender) -> usize {
        let policy = self.policy.reviewing_from(model.review_score_min);
        let rows = model.scores.iter().zip(&self.test.amounts);
        let outcomes = rows.map(|(score, amount)| policy.outcome(*score, *amount, model.review_score_min));
        outcomes.filter(|outcome| *outcome != Outcome::Approve).count()
    }

    /// Money of the frauds that are not among so many of the highest scores.
    fn missed(&self, model: &Contender, alerts: usize) -> f64 {
        let mut ranked: Vec<usize> = (0..model.scores.len()).collect();
        ranked.sort_by(|a, b| model.scores[*b].total_cmp(&model.scores[*a]));
        let passed = ranked.into_iter().skip(alerts).filter(|row| self.test.labels[*row]);
        passed.map(|row| self.test.amounts[row]).sum()
    }

    fn calibrated(&self) -> Criterion {
        let labels = &self.test.labels;
        let each = [self.champion, self.challenger];
        let errors = each.map(|model| {
            reliability(&model.scores, labels, BINS).map_or(f64::NAN, |diagram| calibration_error(&diagram))
        });
        let squares = each.map(|model| brier(&model.scores, labels).unwrap_or(f64::NAN));
        let bound = self.criteria.calibration_error_max.max(errors[0]);
        let met = errors[1] <= bound && squares[1] <= squares[0] * (1.0 + self.criteria.brier_slack);
        let words = format!(
            "calibration error {:.4} against {:.4}, Brier score {:.5} against {:.5}",
            errors[1], errors[0], squares[1], squares[0]
        );
        self.criterion("calibrated", met, errors, bound, words)
    }

    fn fast(&self) -> Criterion {
        let figures = [self.champion.effort, self.challenger.effort];
        let unit = if self.challenger.is_measured { "ns for a row" } else { "nodes" };
        let least = if self.challenger.is_measured { FAST_ENOUGH_NS } else { 0.0 };
        let bound = (figures[0] * self.criteria.slower_max).max(least);
        let words = format!("{:.0} {unit} against {:.0}", figures[1], figures[0]);
        self.criterion("fast", figures[1] <= bound, figures, bound, words)
    }
}

/// Bins of the reliability diagram.
const BINS: usize = 10;

/// A model that needs less than this for a row is fast enough, whatever the champion needs: a decision takes longer.
const FAST_ENOUGH_NS: f64 = 2_000.0;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::Row;

    /// Ten days of a hundred rows, of which ten are fraud.
    fn test() -> TrainingSet {
        let mut set = TrainingSet::new(0, None);
        for row in 0..1_000_i64 {
            let time_us = row / 100 * DAY_US;
            set.push(Row { time_us, amount: 100.0, card: 0, fraud: row % 10 == 0 }, &[]);
        }
        set
    }

    /// A model that gives frauds 0.9 except every n-th, and genuine rows 0.01 except every n-th.
    fn contender(id: &str, wrong_every: usize) -> Contender {
        let score = |(row, fraud): (usize, &bool)| match (*fraud, (row / 10) % wrong_every == 0) {
            (true, false) => 0.9,
            (false, false) => 0.01,
            _ => 0.3,
        };
        let scores = test().labels.iter().enumerate().map(score).collect();
        Contender { id: id.to_string(), scores, review_score_min: 0.0, effort: 100.0, is_measured: false }
    }

    fn costs() -> Policy {
        Policy { basis: Basis::Costs { review: 5.0, false_decline: 20.0 }, daily_review_budget: None }
    }

    fn unmet(verdict: &Verdict) -> Vec<&str> {
        verdict
            .criteria
            .iter()
            .filter(|criterion| !criterion.met)
            .map(|criterion| criterion.name.as_str())
            .collect()
    }

    fn loose() -> Criteria {
        Criteria { calibration_error_max: 0.2, ..Criteria::default() }
    }

    #[test]
    fn a_better_model_is_promoted_and_the_reverse_is_not() {
        let (poor, good) = (contender("a", 2), contender("b", 10));
        for policy in [costs(), Policy::default()] {
            let verdict = compare(&test(), Some(&poor), &good, &policy, &loose());
            assert!(verdict.promote, "{verdict:?}");
            assert_eq!((verdict.champion.as_deref(), &verdict.challenger[..]), (Some("a"), "b"));
            let verdict = compare(&test(), Some(&good), &poor, &policy, &loose());
            assert!(unmet(&verdict).contains(&"better"), "{verdict:?}");
            assert!(verdict.words.starts_with("not promoted: average precision"), "{}", verdict.words);
        }
    }

    #[test]
    fn each_criterion_stops_a_promotion_alone() {
        let (poor, good) = (contender("a", 2), contender("b", 10));
        let with = |criteria: Criteria, good: &Contender| {
            let verdict = compare(&test(), Some(&poor), good, &costs(), &criteria);
            unmet(&verdict).into_iter().map(str::to_string).collect::<Vec<String>>()
        };
        assert_eq!(with(Criteria { frauds_min: 101, ..loose() }, &good), ["enough"]);
        assert_eq!(with(Criteria { days_min: 11, ..loose() }, &good), ["enough"]);
        assert_eq!(with(Criteria { min_gain: 0.9, ..loose() }, &good), ["better"]);
        assert_eq!(with(loose(), &Contender { effort: 301.0, ..good.clone() }), ["fast"]);
        let timid = good.scores.iter().map(|score| score * 0.04).collect();
        let timid = Contender { scores: timid, ..good.clone() };
        assert_eq!(with(Criteria { brier_slack: 9.0, ..loose() }, &timid), ["cheaper"]);
        let high = good.scores.iter().map(|score| score * 0.1 + 0.9).collect();
        let high = Contender { scores: high, ..good.clone() };
        assert!(with(Criteria { cost_slack: 99.0, ..loose() }, &high) == ["calibrated"]);
    }

    #[test]
    fn a_first_model_is_compared_with_stopping_nothing() {
        let verdict = compare(&test(), None, &contender("b", 10), &costs(), &loose());
        assert!(verdict.promote, "{verdict:?}");
        assert_eq!((verdict.champion, verdict.criteria.len()), (None, 4));
    }
}
