//! An event and the state go in, a decision comes out.
//!
//! The engine is a deterministic state machine: the same events in the same order give the same decisions to the last
//! bit, however they are cut into batches or shards. It does no I/O, reads no clock and draws no random numbers; "now"
//! is the event. Recovery, backtest, training data and audit are therefore one operation: replay.
//!
//! The modules in the order of the data:

/// Durations and instants: microseconds, RFC 3339, calendar.
pub mod time;
/// The detector file: what an event looks like, which features, rules and policy it gets.
pub mod detector;
/// Events on their way in: checked once, at the edge, then trusted.
pub mod event;
/// Exact windows: what is known about every entity at the moment of an event.
pub mod features;
/// Entering a batch into the windows.
mod observe;
/// CEL expressions, type-checked at load and evaluated without allocation.
pub mod expression;
/// From score and rules to an outcome.
pub mod decide;
/// Rules, lists and policy that change while a detector's fields and features stay.
pub mod rulebook;
/// The model that a detector scores with.
pub mod model;
/// From a score to a probability.
pub mod calibration;
/// Why a transaction looks suspicious, in numbers and words.
pub mod reason;
/// The whole: a batch of events in, decisions out.
pub mod process;
/// The state as bytes, and back.
pub mod snapshot;
/// Card numbers and the tokens that stand for them.
pub mod card;
/// Ids that were seen before, for streams that no database remembers.
pub mod repeats;

pub use calibration::Calibration;
pub use decide::Outcome;
pub use detector::{Detector, Mistake};
pub use event::{EventBatch, FieldError, Label, Rejection, Value};
pub use model::{Model, ModelMismatch};
pub use process::{Decider, Decisions, Engine, Positions, Status, TimeJumps};
pub use reason::{Narrator, Reason};
pub use rulebook::Rulebook;
