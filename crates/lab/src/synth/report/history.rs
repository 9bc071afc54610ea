//! Events as a detector sees them: through the engine as a stream, so that a generator which destroys history shows it.

use std::sync::Arc;

use engine::detector::Detector;
use engine::{Decisions, Engine, EventBatch, Status};

use crate::train::{BATCH_ROWS, cores};

/// What the engine makes of events, in the order in which they were given.
#[derive(Debug, Clone)]
pub struct History {
    /// One column a feature; NaN is missing.
    pub features: Vec<Vec<f64>>,
    /// For each of the detector's rules, how many events it fired on.
    pub fired: Vec<usize>,
    /// Whether the engine took the event in: one whose time jumps too far ahead it does not.
    pub taken: Vec<bool>,
}

/// Runs all events of `parts` through an engine without a past, sorted by time (files of row generators are not), equal
/// times in the order given.
pub fn observe(detector: &Arc<Detector>, parts: &[&EventBatch]) -> History {
    let mut order: Vec<(i64, usize, &EventBatch, usize)> = Vec::new();
    for part in parts {
        order.extend((0..part.len()).map(|row| (part.time_us(row), 0, *part, row)));
    }
    order.iter_mut().enumerate().for_each(|(place, event)| event.1 = place);
    order.sort_by_key(|(time_us, place, ..)| (*time_us, *place));
    let mut history = History {
        features: vec![vec![f64::NAN; order.len()]; detector.features.len()],
        fired: vec![0; detector.rules.len()],
        taken: vec![false; order.len()],
    };
    let mut engine = Engine::new(Arc::clone(detector), None, cores());
    let mut batch = EventBatch::new(Arc::new(detector.schema.clone()));
    let mut decisions = Decisions::default();
    for (number, events) in order.chunks(BATCH_ROWS).enumerate() {
        batch.clear();
        events.iter().for_each(|(_, _, part, row)| batch.push_row_of(part, *row));
        engine.process(&batch, (number * BATCH_ROWS) as i64, &mut decisions);
        for (row, (_, place, ..)) in events.iter().enumerate() {
            history.enter(&decisions, row, *place);
        }
    }
    history
}

impl History {
    fn enter(&mut self, decisions: &Decisions, row: usize, place: usize) {
        self.taken[place] = decisions.statuses[row] != Status::TimeJump;
        for (column, value) in self.features.iter_mut().zip(decisions.features_of(row)) {
            column[place] = *value;
        }
        if self.taken[place] {
            decisions.rules_of(row).iter().for_each(|rule| self.fired[usize::from(*rule)] += 1);
        }
    }
}
