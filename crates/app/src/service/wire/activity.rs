//! What happened over time: history and the live stream on one axis.

use serde::Serialize;
use utoipa::ToSchema;

use super::Instant;

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
    /// Values with the most decisions, at most 50 of a category and 20 of entities, the most frequent first.
    pub values: Vec<BreakdownValue>,
    /// How many values there are beyond those listed; of entities those of the last 10,000 at least.
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
