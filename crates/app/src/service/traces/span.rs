//! What is kept of a part of a request until it is sent: of a fixed size, with nothing of what came in.

use std::time::Instant;

use super::context::Trace;

/// What happened in it, and what is told of that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// A request over HTTP, from its head to its answer.
    Request {
        /// `GET` and so on.
        method: &'static str,
        /// The path with `{}` for what varies; `None` where there is no door.
        route: Option<&'static str>,
        /// The answer's.
        status: u16,
    },
    /// Waiting for the pipeline.
    Queue,
    /// Windows, features, score, rules and policy of the group that it was decided in.
    Decide {
        /// Transactions in the group.
        group: u32,
    },
    /// The database's transaction.
    Commit {
        /// Transactions in the group.
        group: u32,
    },
    /// Writing down what is answered, and handing it over.
    Answer,
    /// A record of a Kafka topic, from its receipt to its decision's way out.
    Process,
    /// The decision's way into librdkafka's queue.
    Produce,
    /// Kafka's transaction: decisions, alerts and offsets.
    CommitTopics,
}

/// A part of a request, and when it was.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    /// The trace.
    pub trace: u128,
    /// Its own id.
    pub id: u64,
    /// Of the span around it; 0 if there is none.
    pub parent: u64,
    /// What happened.
    pub part: Part,
    /// When it began.
    pub from: Instant,
    /// When it ended.
    pub to: Instant,
}

impl Span {
    /// What is around all others here.
    pub fn whole(trace: Trace, part: Part, from: Instant, to: Instant) -> Span {
        Span { trace: trace.id, id: trace.span, parent: trace.caller, part, from, to }
    }
}
