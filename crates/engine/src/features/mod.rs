//! Exact windows over the past of every entity.
//!
//! Each entity (one card, one terminal) keeps its events in time order in a ring. A window `(t - delay - w, t - delay]`
//! is a range of that ring between two cursors, and every cursor only moves forward as the entity's newest event time
//! grows. An event that crosses a cursor enters one window and leaves another: the running sums are integers (money in
//! minor units, numbers in millionths), so what leaves takes away exactly what it brought, for ever.
//!
//! A late event is answered by scanning the ring as of its own time, and then inserted into its true place.

mod plan;
mod key;
mod ring;
mod state;
mod table;

pub use state::{EntityView, KindState};

pub(crate) use plan::Plan;
pub(crate) use table::{EntityTable, Inspected, Observation, Timeliness, WARM_ROWS};

/// A value that an event does not carry.
pub(crate) const MISSING: i64 = i64::MIN;
