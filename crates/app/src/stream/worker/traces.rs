//! Traces of records: a record's `traceparent` says whether it is sampled, or else chance does. A decision tells its own, so that
//! whoever reads it goes on with the trace.

use rdkafka::message::{Header, Headers, OwnedHeaders};

use super::*;
use crate::service::traces::context::{TRACEPARENT, Trace};
use crate::service::traces::span::Part;

/// The sampled rows of a unit, in its order.
pub(super) type Traced = Vec<(u32, Trace)>;

impl Core {
    /// Finds the sampled rows.
    pub(super) fn traced(&self, unit: &Unit) -> Traced {
        let Some(traces) = &self.shared.traces else { return Vec::new() };
        let sampled = unit.order.iter().map(|row| {
            let headers = unit.intake.headers(*row as usize);
            (*row, traces.begin_record(headers.and_then(traceparent)))
        });
        sampled.filter(|(_, trace)| trace.is_sampled).collect()
    }

    /// Keeps how it went: when the unit was taken, when it was decided, and that its decisions are on their way.
    pub(super) fn trace(&mut self, traced: &Traced, unit: &Unit, decided: Instant) {
        let (Some(traces), false) = (&self.shared.traces, traced.is_empty()) else { return };
        let (received, taken, sent) = (unit.intake.received, unit.taken, Instant::now());
        let group = unit.order.len() as u32;
        for (_, trace) in traced {
            traces.whole(*trace, Part::Process, received, sent);
            traces.part(*trace, Part::Queue, received, taken);
            traces.part(*trace, Part::Decide { group }, taken, decided);
            traces.part(*trace, Part::Produce, decided, sent);
            self.sampled.push(*trace);
        }
    }

    /// Keeps how long the database took to hold what is committed next.
    pub(super) fn trace_stored(&self, began: Instant) {
        let Some(traces) = self.shared.traces.as_ref().filter(|_| self.recorder.is_on()) else { return };
        let part = Part::Commit { group: self.in_transaction as u32 };
        self.sampled.iter().for_each(|trace| traces.part(*trace, part, began, Instant::now()));
    }

    /// Keeps how long the topics took to hold what was committed last.
    pub(super) fn trace_committed(&mut self, took: Duration) {
        let Some(traces) = &self.shared.traces else { return };
        let (sampled, began) = &mut self.sampled_in_commit;
        sampled.drain(..).for_each(|trace| traces.part(trace, Part::CommitTopics, *began, *began + took));
    }
}

fn traceparent(headers: &OwnedHeaders) -> Option<&[u8]> {
    headers.iter().find(|header| header.key == TRACEPARENT).and_then(|header| header.value)
}

/// The headers of a sampled record's decision.
pub(super) fn continued(headers: Option<OwnedHeaders>, trace: Trace) -> OwnedHeaders {
    let others = headers.unwrap_or_default();
    let others = others.iter().filter(|header| header.key != TRACEPARENT);
    let kept = others.fold(OwnedHeaders::new(), |kept, header| kept.insert(header));
    kept.insert(Header { key: TRACEPARENT, value: Some(&trace.traceparent()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::traces::context::Parent;

    #[test]
    fn a_decision_tells_its_own_place_in_the_trace_and_keeps_other_headers() {
        let given = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let headers = OwnedHeaders::new()
            .insert(Header { key: TRACEPARENT, value: Some(given) })
            .insert(Header { key: "other", value: Some("x") });
        let parent = traceparent(&headers).and_then(Parent::parse).unwrap();
        let trace = crate::service::traces::context::Sampler::new(0.0).trace(Some(parent));
        let told = continued(Some(headers), trace);
        let texts: Vec<_> = told.iter().map(|header| (header.key, header.value.unwrap().to_vec())).collect();
        let expected = trace.traceparent();
        assert_eq!(texts, [("other", b"x".to_vec()), (TRACEPARENT, expected.clone().into_bytes())]);
        assert!(expected.starts_with(&given[..36]) && expected != given);
    }
}
