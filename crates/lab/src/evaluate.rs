//! How good a detector's scores are: the field's metrics, and the Fraud Detection Handbook's protocol.

pub mod metrics;
pub mod handbook;
pub mod report;
