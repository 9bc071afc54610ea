//! Exact windows over the past of every entity.
//!
//! Each entity (one card, one terminal) keeps its events in time order in a ring. A window `(t - delay - w, t - delay]`
//! is a range of that ring between two cursors, and every cursor only moves forward as the entity's newest event time
//! grows. An event that crosses a cursor enters one window and leaves another: the running sums are integers (money in
//! minor units, numbers in millionths), so what leaves takes away exactly what it brought, for ever.
//!
//! A window with a condition, or over what was computed of events, is the same in a table of its own, which is only entered
//! by the events that meet the condition.
//!
//! For a late event the cursors go back to its time, it is entered there, and they come forward again.

mod extreme;
mod key;
mod measure;
mod plan;
mod ring;
mod state;
mod table;
mod tallies;

pub use state::{EntityView, KindState};

pub(crate) use plan::{Plan, TablePlan, stored_number, text_value};
pub(crate) use table::{EntityTable, Observation, RUN_ROWS, Timeliness};

/// A value that an event does not carry.
pub(crate) const MISSING: i64 = i64::MIN;
