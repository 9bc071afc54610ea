//! What is answered when the deadline has passed and there is no decision yet: what rules say of the transaction alone.
//!
//! The transaction stays in the queue and is decided and stored as any other, so the log and all replays are what they would have
//! been; what the caller was told instead is stored with the decision.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use engine::{Decider, Decisions, Detector, EventBatch, Outcome};
use lab::dataset::EventReader;
use store::NewFallback;

use super::pipeline::{lock, now_us};
use super::wire::{Fallback, FallbackDecision, Instant};

/// What is answered where no rule fires.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Stance {
    /// It is approved.
    #[default]
    Open,
    /// It is declined.
    Closed,
}

impl Stance {
    /// `open` or `closed`.
    pub fn from_name(name: &str) -> Option<Stance> {
        match name {
            "open" => Some(Stance::Open),
            "closed" => Some(Stance::Closed),
            _ => None,
        }
    }

    fn outcome(self) -> Outcome {
        match self {
            Stance::Open => Outcome::Approve,
            Stance::Closed => Outcome::Decline,
        }
    }
}

/// How long a caller waits, and what it is told then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// From receipt.
    pub deadline: Duration,
    /// What is answered where no rule fires.
    pub stance: Stance,
}

/// Rules on the transaction alone: there are neither windows nor a model.
pub struct Fallbacks {
    /// How long a caller waits.
    pub deadline: Duration,
    stance: Stance,
    work: Mutex<Work>,
}

struct Work {
    reader: EventReader,
    batch: EventBatch,
    decider: Decider,
    decisions: Decisions,
}

impl Fallbacks {
    /// Fallbacks of a detector.
    pub fn new(config: Config, detector: &Arc<Detector>) -> Fallbacks {
        let schema = Arc::new(detector.schema.clone());
        let work = Work {
            reader: EventReader::without_labels(&schema),
            batch: EventBatch::new(schema),
            decider: Decider::new(Arc::clone(detector), None).on_one_thread(),
            decisions: Decisions::default(),
        };
        let Config { deadline, stance } = config;
        Fallbacks { deadline, stance, work: Mutex::new(work) }
    }

    /// What a transaction that came in `waited` ago is answered by the rules that `detector` has now, and what is to be
    /// stored of that; `None` if it is none.
    pub fn decide(
        &self,
        detector: &Arc<Detector>,
        body: &[u8],
        waited: Duration,
    ) -> Option<(FallbackDecision, NewFallback)> {
        let mut work = lock(&self.work);
        let Work { reader, batch, decider, decisions } = &mut *work;
        batch.clear();
        reader.read(body, batch).ok()?;
        decisions.begin(1, detector.features.len());
        decider.set_rulebook(Arc::clone(detector));
        decider.decide(batch, decisions);
        let rules: Vec<String> = decisions
            .rules_of(0)
            .iter()
            .map(|rule| &detector.rules[*rule as usize])
            .filter(|rule| !rule.shadow)
            .map(|rule| rule.name.clone())
            .collect();
        let outcome = if rules.is_empty() { self.stance.outcome() } else { decisions.outcomes[0] };
        let waited_us = waited.as_micros() as i64;
        let answered_at_us = now_us();
        let fallback =
            Fallback { outcome: outcome.into(), answered_at: Instant(answered_at_us), waited_us, rules };
        let new = NewFallback {
            id: batch.id(0).to_string(),
            received_at_us: answered_at_us - waited_us,
            said: serde_json::to_string(&fallback).expect("a fallback has no maps with odd keys"),
        };
        let decision = FallbackDecision {
            id: new.id.clone(),
            key: batch.key(0).map(str::to_string),
            event_time: Instant(batch.time_us(0)),
            amount: batch.amount(0),
            outcome: fallback.outcome,
            rules: fallback.rules.clone(),
            fallback,
        };
        Some((decision, new))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fallbacks(stance: Stance) -> (Fallbacks, Arc<Detector>) {
        let text = include_str!("../../../../detectors/card-handbook.toml").to_string()
            + "\n[[rule]]\nname = \"large\"\nwhen = \"amount > 1000.0\"\noutcome = \"review\"\n\
               [[rule]]\nname = \"often\"\nwhen = \"customer_count_1d > 0.0\"\noutcome = \"decline\"\n";
        let detector = Arc::new(Detector::parse(&text).unwrap());
        (Fallbacks::new(Config { deadline: Duration::from_millis(5), stance }, &detector), detector)
    }

    fn answered(stance: Stance, amount: &str) -> FallbackDecision {
        let body = format!(
            "{{\"transaction_id\":\"t\",\"tx_datetime\":1,\"customer_id\":\"c\",\"terminal_id\":\"m\",\"tx_amount\":{amount}}}"
        );
        let (fallbacks, detector) = fallbacks(stance);
        fallbacks.decide(&detector, body.as_bytes(), Duration::from_millis(7)).unwrap().0
    }

    #[test]
    fn rules_on_the_transaction_alone_decide_and_where_none_fires_the_stance() {
        let large = answered(Stance::Open, "2000");
        assert_eq!((large.outcome, &*large.rules), (Outcome::Review.into(), &["large".to_string()][..]));
        assert_eq!(answered(Stance::Closed, "2000").outcome, Outcome::Review.into());
        // Windows are not known here: a rule on them does not fire.
        assert_eq!(answered(Stance::Open, "2").outcome, Outcome::Approve.into());
        assert_eq!(answered(Stance::Closed, "2").outcome, Outcome::Decline.into());
    }

    #[test]
    fn what_is_no_transaction_has_no_fallback() {
        let (fallbacks, detector) = fallbacks(Stance::Open);
        assert!(fallbacks.decide(&detector, b"{\"transaction_id\":\"t\"}", Duration::ZERO).is_none());
    }
}
