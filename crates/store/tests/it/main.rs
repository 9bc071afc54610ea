//! One suite for every database, and what only one of them has.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod rows;
mod alerts;
mod audit;
mod database;
mod suite;
mod merge;
mod shadow;
mod transfer;
mod sqlite;
mod postgres;
