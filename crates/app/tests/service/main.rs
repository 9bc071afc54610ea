//! The service as its callers meet it: the real binary on a free loopback port, killed, refused, fed with nonsense.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod dice;
mod client;
mod process;
mod receiver;
mod events;
mod nothing_lost;
mod snapshots;
mod malformed;
mod idempotency;
mod labels;
mod access;
mod alerts;
mod activity;
mod event_time;
mod refusing_store;
mod deadline;
mod rulebooks;
mod shutdown;
mod live;
mod load;
mod health;
mod metrics;
mod traces;
mod logs;
mod openapi;
mod reasons;
mod inspection;
mod models;
mod online;
mod performance;
mod redis;
mod databases;
mod demo;
mod marks;
mod generate;
mod backtest;
mod budget;
mod card_numbers;
mod forgetting;
mod retraining;
mod recovery;
