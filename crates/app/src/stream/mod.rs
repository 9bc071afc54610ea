//! Kafka in and out: transactions become decisions, exactly once.
//!
//! The input topic is partitioned by the detector's key. Each partition is a task with its own state, snapshot and offset; a
//! consumer group spreads them. A detector with a second kind of entity is a chain of stages: what the first has found out
//! travels in a topic partitioned by the second entity, and that topic's order is the record. Where one process owns every
//! partition the chain is fused: rows go from stage to stage in memory, and what is written to the topic between them is
//! only the record.
//!
//! One Kafka transaction holds the decisions, alerts, dead letters, stage records and consumed offsets of a short while.
//! What goes to the database is written before it commits, and writing it again changes nothing. Whatever fails, the
//! transaction is given up and the tasks are restored as of the last one that was committed.
//!
//! The modules in the order of the data:

/// Names, security and pace: the `[kafka]` table of the settings.
pub mod settings;
/// Clients of librdkafka, configured.
pub mod client;
/// The topics: their names, creating and checking them.
pub mod topics;
/// Which kinds of entities a detector's chain passes, and who owns a row.
pub mod chain;
/// Messages on their way in: parsed rows with where each came from.
mod intake;
/// What travels between two stages.
mod record;
/// Ids that were seen before.
mod seen;
/// The state of one partition of one stage.
mod task;
/// Snapshots of tasks, in a folder that processes may share.
mod snapshots;
/// From a snapshot and a topic to the state at the committed offset.
mod restore;
/// How far partitions may drift apart in event time.
mod order;
/// How far partitions that other processes own have come.
mod progress;
/// Labels on their way to the stages that read them.
mod labels;
/// Decisions, alerts and dead letters as messages.
mod publish;
/// What goes to the database.
pub mod recorder;
/// The transaction: begin, add, commit, give up.
mod transaction;
/// One stage's consumer and its partitions.
mod stage;
/// Transactions and labels into their topics, as anybody would send them.
pub mod feed;
/// What is shown of it.
pub mod condition;
/// How much waits in the topic.
pub mod lag;
/// Begins the process anew when the loop stands still.
pub mod watchdog;
/// The loop.
pub mod worker;
