//! Decisions as text: what is stored of them, answered and published.

use engine::{Decisions, Detector, EventBatch, Narrator, Status};
use lab::dataset::{write_event, write_json_text, write_number};
use store::{NewDecision, Timeliness};

use super::wire::Reason;

/// What is stored of a batch's rows as text. The memory is kept from batch to batch.
#[derive(Debug, Default)]
pub struct Rendered {
    /// Events as JSON, one after the other, and where each ends.
    events: String,
    event_ends: Vec<usize>,
    /// Fired rules of each row, comma-separated.
    rules: String,
    rule_ends: Vec<usize>,
    /// Reasons of each row as JSON, empty where there are none.
    reasons: Vec<String>,
}

impl Rendered {
    /// Writes each row's event, fired rules and reasons.
    pub fn fill(&mut self, detector: &Detector, batch: &EventBatch, decisions: &Decisions) {
        self.clear();
        for row in 0..batch.len() {
            write_event(batch, row, false, &mut self.events);
            self.event_ends.push(self.events.len());
        }
        self.explain(detector, batch, decisions);
    }

    /// Writes each row's fired rules and reasons, and leaves the events out: for who does not store them.
    pub fn explain(&mut self, detector: &Detector, batch: &EventBatch, decisions: &Decisions) {
        for row in 0..batch.len() {
            for (index, rule) in decisions.rules_of(row).iter().enumerate() {
                if index > 0 {
                    self.rules.push(',');
                }
                self.rules.push_str(&detector.rules[*rule as usize].name);
            }
            self.rule_ends.push(self.rules.len());
            self.reasons.push(reasons_json(detector, batch, decisions, row));
        }
    }

    /// Forgets all rows.
    pub fn clear(&mut self) {
        self.events.clear();
        self.event_ends.clear();
        self.rules.clear();
        self.rule_ends.clear();
        self.reasons.clear();
    }

    /// The row's event in canonical JSON; empty if events were left out.
    pub fn event(&self, row: usize) -> &str {
        match self.event_ends.get(row) {
            Some(end) => &self.events[start(&self.event_ends, row)..*end],
            None => "",
        }
    }

    /// The row's decision. Position, times and version are for the caller to fill in.
    pub fn decision<'a>(
        &'a self,
        batch: &'a EventBatch,
        decisions: &'a Decisions,
        row: usize,
    ) -> NewDecision<'a> {
        NewDecision {
            sequence: 0,
            id: batch.id(row),
            key: batch.key(row),
            event_time_us: batch.time_us(row),
            decided_at_us: 0,
            latency_us: 0,
            amount_minor: batch.amount_minor(row),
            score: decisions.scores[row],
            outcome: decisions.outcomes[row],
            rules: &self.rules[start(&self.rule_ends, row)..self.rule_ends[row]],
            timeliness: timeliness(decisions.statuses[row]),
            version: 0,
            mark: batch.mark(row),
            event: self.event(row),
            features: decisions.features_of(row),
            reasons: Some(&*self.reasons[row]).filter(|reasons| !reasons.is_empty()),
            origin: None,
            shadow: &[],
            fallback: None,
        }
    }
}

fn reasons_json(detector: &Detector, batch: &EventBatch, decisions: &Decisions, row: usize) -> String {
    let reasons = decisions.reasons_of(row);
    if reasons.is_empty() {
        return String::new();
    }
    let narrator = Narrator { detector, amount: batch.amount(row), features: decisions.features_of(row) };
    serde_json::to_string(&Reason::tell(reasons, narrator)).expect("a reason has no maps with odd keys")
}

fn start(ends: &[usize], row: usize) -> usize {
    if row == 0 { 0 } else { ends[row - 1] }
}

fn timeliness(status: Status) -> Timeliness {
    match status {
        Status::Late => Timeliness::Late,
        Status::TooLate => Timeliness::TooLate,
        Status::OnTime | Status::TimeJump => Timeliness::OnTime,
    }
}

/// The same text as `serde_json` makes of a `DecisionSummary`, without making one: this is in every answer's way.
pub fn summary(decision: &NewDecision, minor_per_unit: f64) -> String {
    let mut out = String::with_capacity(320);
    out.push_str("{\"id\":");
    write_json_text(decision.id, &mut out);
    out.push_str(",\"sequence\":");
    write_number(decision.sequence as f64, &mut out);
    write_members(decision, minor_per_unit, &mut out);
    out.push('}');
    out
}

/// The members of a decision's JSON that follow its id and position, each with a comma before it.
pub fn write_members(decision: &NewDecision, minor_per_unit: f64, out: &mut String) {
    out.push_str(",\"key\":");
    match decision.key {
        Some(key) => write_json_text(key, out),
        None => out.push_str("null"),
    }
    for (name, us) in [("event_time", decision.event_time_us), ("decided_at", decision.decided_at_us)] {
        out.push_str(",\"");
        out.push_str(name);
        out.push_str("\":\"");
        engine::time::write_instant(us, out);
        out.push('"');
    }
    out.push_str(",\"amount\":");
    write_double(decision.amount_minor as f64 / minor_per_unit, out);
    out.push_str(",\"score\":");
    write_double(decision.score, out);
    out.push_str(",\"outcome\":\"");
    out.push_str(decision.outcome.name());
    out.push_str("\",\"rules\":[");
    for (index, rule) in decision.rules.split(',').filter(|rule| !rule.is_empty()).enumerate() {
        if index > 0 {
            out.push(',');
        }
        write_json_text(rule, out);
    }
    out.push_str("],\"reasons\":");
    out.push_str(decision.reasons.unwrap_or("[]"));
    out.push_str(if decision.timeliness == Timeliness::OnTime {
        ",\"late\":false"
    } else {
        ",\"late\":true"
    });
    out.push_str(",\"latency_us\":");
    write_number(decision.latency_us as f64, out);
    out.push_str(",\"synthetic\":");
    match decision.mark {
        Some(mark) => write_json_text(mark, out),
        None => out.push_str("null"),
    }
}

/// As `serde_json` writes a double: whole numbers with a point.
fn write_double(number: f64, out: &mut String) {
    let whole_from = out.len();
    write_number(number, out);
    if number.is_finite() && !out[whole_from..].contains(['.', 'e']) {
        out.push_str(".0");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::wire::{DecisionSummary, Instant as WireInstant};
    use engine::Outcome;

    #[test]
    fn the_quick_answer_is_what_serde_would_write() {
        let text = "amount is \"odd\"".to_string();
        let reasons = vec![Reason { feature: "a".into(), value: None, contribution: 1e-7, text }];
        let reasons_json = serde_json::to_string(&reasons).unwrap();
        for (score, amount_minor, key, mark) in [
            (0.25, 5_716, Some("c\"1"), None),
            (1.0, 100, None, Some("simulator:card:7")),
            (1e-7, 0, Some("x"), None),
        ] {
            let decision = NewDecision {
                sequence: 7,
                id: "t1",
                key,
                event_time_us: 1_522_540_831_000_000,
                decided_at_us: 1_522_540_831_000_250,
                latency_us: 42,
                amount_minor,
                score,
                outcome: Outcome::Review,
                rules: "a,b",
                timeliness: Timeliness::Late,
                version: 1,
                mark,
                event: "{}",
                features: &[],
                reasons: Some(&reasons_json),
                origin: None,
                shadow: &[],
                fallback: None,
            };
            let summary = DecisionSummary {
                id: "t1".into(),
                sequence: 7,
                key: key.map(str::to_string),
                event_time: WireInstant(decision.event_time_us),
                decided_at: WireInstant(decision.decided_at_us),
                amount: amount_minor as f64 / 100.0,
                score: Some(score),
                outcome: Outcome::Review.into(),
                rules: vec!["a".into(), "b".into()],
                reasons: reasons.clone(),
                late: true,
                latency_us: 42,
                synthetic: mark.map(str::to_string),
                fallback: None,
            };
            assert_eq!(super::summary(&decision, 100.0), serde_json::to_string(&summary).unwrap());
        }
    }
}
