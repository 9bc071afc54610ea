//! The stream as others meet it: the real binary between topics of a real Kafka, shared, killed, fed with nonsense.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

#[allow(dead_code, reason = "written for the service's tests, of which this needs a part")]
#[path = "../service/client.rs"]
mod client;
#[allow(dead_code, reason = "written for the service's tests, of which this needs a part")]
#[path = "../service/process.rs"]
mod process;
#[allow(dead_code, reason = "written for the service's tests, of which this needs a part")]
#[path = "../service/receiver.rs"]
mod receiver;
mod topics;
mod transactions;
mod same_decisions;
mod messages;
mod traces;
mod recovery;
mod alerts;
mod doors;
mod models;
mod card_numbers;
