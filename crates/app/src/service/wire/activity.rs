//! What happened over time: history and the live stream on one axis.

use serde::Serialize;
use utoipa::ToSchema;

use super::Instant;
use crate::service::activity::Counts;

/// What happened in a range of time, by when it was decided. Every number is that of SQL over `decisions` and `labels` with
/// `from <= decided_at < to` and `sequence <= as_of`.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Activity {
    /// The first instant counted: what was asked, down to a whole step.
    #[schema(value_type = String, format = DateTime)]
    pub from: Instant,
    /// The first instant no longer counted: what was asked, up to a whole step.
    #[schema(value_type = String, format = DateTime)]
    pub to: Instant,
    /// Time of the first decision of all; null without any.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub first: Option<Instant>,
    /// Length of a step.
    pub step: ActivityStep,
    /// The last position of the log that is counted; -1 for none.
    pub as_of: i64,
    /// The last position of the log. After a start it is read from its beginning; until `as_of` is here, figures grow.
    pub last: i64,
    /// What happened in all of the range.
    pub total: ActivityCounts,
    /// Steps in which something was decided, oldest first.
    pub points: Vec<ActivityPoint>,
    /// Decisions by score in 50 equal bins over 0 to 1.
    pub score_histogram: Vec<u64>,
    /// Decisions by the hour of the week in which they happened: 168, from Monday 00:00 UTC of the event time.
    pub week: Vec<WeekHour>,
    /// Decisions by value of a field, for each field that is a category or names an entity other than the key.
    pub breakdowns: Vec<Breakdown>,
}

/// Lengths of steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ActivityStep {
    /// Kept for the last two days.
    Minute,
    /// Kept for as long as the decisions.
    Hour,
    /// In UTC.
    Day,
}

/// What happened, counted. Amounts are in major units.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, ToSchema)]
pub struct ActivityCounts {
    /// Decisions.
    pub decisions: u64,
    /// Of them sent to review.
    pub in_review: u64,
    /// Of them declined.
    pub declined: u64,
    /// Sum of amounts.
    pub amount: f64,
    /// Transactions whose newest label is fraud.
    pub frauds: u64,
    /// Their amount.
    pub fraud_amount: f64,
    /// Transactions whose newest label is genuine.
    pub genuine: u64,
    /// Declined transactions whose newest label is fraud: what was saved for certain.
    pub saved: u64,
    /// Their amount.
    pub saved_amount: f64,
    /// Declined transactions without a label.
    pub unlabelled_declined: u64,
    /// Their amounts times their scores: what was saved in all likelihood.
    pub expected_saved_amount: f64,
    /// Approved transactions whose newest label is fraud: what was missed.
    pub missed: u64,
    /// Their amount.
    pub missed_amount: f64,
    /// Declined transactions whose newest label is genuine: good customers turned away.
    pub falsely_declined: u64,
    /// Their amount.
    pub falsely_declined_amount: f64,
}

/// What happened in a step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub struct ActivityPoint {
    /// The beginning of the step.
    #[schema(value_type = String, format = DateTime)]
    pub at: Instant,
    /// What happened.
    #[serde(flatten)]
    pub counts: ActivityCounts,
}

/// What happened in an hour of the week.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct WeekHour {
    /// Decisions.
    pub decisions: u64,
    /// Of them sent to review or declined.
    pub alerts: u64,
}

/// Decisions by value of a field.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Breakdown {
    /// The field.
    #[schema(example = "country")]
    pub field: String,
    /// What its values are.
    pub kind: BreakdownKind,
    /// If not null, values are counted from here on only: what is older has been let go.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub from: Option<Instant>,
    /// Values with the most decisions, at most 50, of a category; at most 20 with the most alerts of entities.
    pub values: Vec<BreakdownValue>,
    /// How many values there are beyond those listed.
    pub others: u64,
    /// What happened in them.
    pub others_counts: ActivityCounts,
}

/// What values of a field are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum BreakdownKind {
    /// Two-letter codes of countries.
    Country,
    /// One of few words.
    Category,
    /// Entities: terminals, merchants, accounts.
    Entity,
}

/// What happened with a value.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct BreakdownValue {
    /// The value.
    pub value: String,
    /// What happened.
    #[serde(flatten)]
    pub counts: ActivityCounts,
}

impl ActivityCounts {
    /// Amounts in units of `minor_per_unit`.
    pub fn of(counts: &Counts, minor_per_unit: f64) -> ActivityCounts {
        let amount = |minor: i64| minor as f64 / minor_per_unit;
        ActivityCounts {
            decisions: counts.decisions,
            in_review: counts.in_review,
            declined: counts.declined,
            amount: amount(counts.amount),
            frauds: counts.fraud.count,
            fraud_amount: amount(counts.fraud.amount),
            genuine: counts.genuine.count,
            saved: counts.saved.count,
            saved_amount: amount(counts.saved.amount),
            unlabelled_declined: counts.unlabelled_declined,
            expected_saved_amount: counts.expected() / minor_per_unit,
            missed: counts.missed.count,
            missed_amount: amount(counts.missed.amount),
            falsely_declined: counts.falsely_declined.count,
            falsely_declined_amount: amount(counts.falsely_declined.amount),
        }
    }
}
