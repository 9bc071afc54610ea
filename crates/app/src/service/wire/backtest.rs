//! Rules tried on history, over HTTP.

use std::collections::BTreeMap;

use lab::backtest;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Instant;
use crate::backtest::Told;

/// A rule to be tried.
#[derive(Debug, Clone, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"when": "tx_amount > 200.0", "outcome": "review"}))]
pub struct BacktestRequest {
    /// The condition, in CEL.
    pub when: String,
    /// What it asks for.
    #[schema(value_type = super::Outcome)]
    pub outcome: engine::Outcome,
    /// Its name in the answer.
    #[serde(default)]
    pub name: Option<String>,
    /// First event time; as far back as is looked at if none is given.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub from: Option<Instant>,
    /// First event time no longer looked at.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub to: Option<Instant>,
}

/// What history says of a rule.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct BacktestReport {
    /// Transactions that were looked at.
    pub transactions: u64,
    /// Days with transactions.
    pub days: u64,
    /// Transactions of which it is known whether they were fraud.
    pub known: u64,
    /// Of them frauds.
    pub frauds: u64,
    /// Alerts a day as it was: transactions that were not approved.
    pub alerts_per_day: f64,
    /// What the known transactions cost as they were decided, by the policy's costs; null where it has thresholds.
    pub cost: Option<f64>,
    /// Decisions that were left out, by why.
    pub left_out: BTreeMap<String, u64>,
    /// The rule.
    pub rule: RuleBacktest,
}

/// What history says of one rule, as if it had been live.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct RuleBacktest {
    /// Its name.
    pub name: String,
    /// Its condition.
    pub when: String,
    /// What it asks for.
    pub outcome: String,
    /// Transactions that it fires on.
    pub fired: u64,
    /// The same a day.
    pub fired_per_day: f64,
    /// Alerts a day more than there were; negative where it approves.
    pub added_alerts_per_day: f64,
    /// Outcomes that would have been others.
    pub changes: Vec<OutcomeChange>,
    /// Transactions that it fires on and of which it is known whether they were fraud.
    pub known: u64,
    /// Of them frauds.
    pub frauds: u64,
    /// Share of frauds among the known that it fires on; null if none is known.
    pub precision: Option<f64>,
    /// Share of all known frauds that it fires on; null if none is known.
    pub recall: Option<f64>,
    /// The same as `precision`, of alerts that there were none of.
    pub added_precision: Option<f64>,
    /// Known frauds that were approved and would have been alerts.
    pub caught: TransactionsWorth,
    /// Known genuine ones that would have been declined and were not.
    pub stopped: TransactionsWorth,
    /// Known genuine ones that would have been reviewed and were approved.
    pub reviewed: TransactionsWorth,
    /// Known frauds that would have been approved and were not.
    pub let_through: TransactionsWorth,
    /// What the known transactions would have cost; null where the policy has thresholds.
    pub cost: Option<f64>,
    /// How it goes together with what there is already.
    pub overlap: Vec<RuleOverlap>,
    /// By day.
    pub by_day: Vec<BacktestDay>,
}

/// Transactions and what they come to.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub struct TransactionsWorth {
    /// How many.
    pub transactions: u64,
    /// Their amounts, in major units.
    pub amount: f64,
}

/// Outcomes that would have been others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct OutcomeChange {
    /// What was decided.
    pub from: String,
    /// What would have been.
    pub to: String,
    /// How often.
    pub transactions: u64,
}

/// How two conditions go together.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct RuleOverlap {
    /// A rule or list, or `policy`: alerts that no rule asked for.
    pub with: String,
    /// Both hold.
    pub both: u64,
    /// The rule alone.
    pub only_this: u64,
    /// The other alone.
    pub only_that: u64,
    /// Both of either; null if neither ever holds.
    pub jaccard: Option<f64>,
}

/// A rule's day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct BacktestDay {
    /// The date, in UTC.
    pub date: String,
    /// All transactions.
    pub transactions: u64,
    /// Alerts that there were.
    pub alerts: u64,
    /// Alerts that would have been added.
    pub added: u64,
    /// Transactions that it fires on.
    pub fired: u64,
    /// Of them known frauds.
    pub frauds: u64,
}

impl BacktestReport {
    /// Of a trial of one rule.
    pub fn of(told: Told) -> Option<BacktestReport> {
        let backtest::Report { transactions, days, known, frauds, alerts_per_day, cost, rules } = told.report;
        let rule = RuleBacktest::from(rules.into_iter().next()?);
        let left_out = told.left_out.into_iter().map(|(why, count)| (why.to_string(), count)).collect();
        Some(BacktestReport { transactions, days, known, frauds, alerts_per_day, cost, left_out, rule })
    }
}

impl From<backtest::RuleReport> for RuleBacktest {
    fn from(rule: backtest::RuleReport) -> RuleBacktest {
        RuleBacktest {
            name: rule.name,
            when: rule.when,
            outcome: rule.outcome.to_string(),
            fired: rule.fired,
            fired_per_day: rule.fired_per_day,
            added_alerts_per_day: rule.added_alerts_per_day,
            changes: rule.changes.into_iter().map(Into::into).collect(),
            known: rule.known,
            frauds: rule.frauds,
            precision: rule.precision,
            recall: rule.recall,
            added_precision: rule.added_precision,
            caught: rule.caught.into(),
            stopped: rule.stopped.into(),
            reviewed: rule.reviewed.into(),
            let_through: rule.let_through.into(),
            cost: rule.cost,
            overlap: rule.overlap.into_iter().map(Into::into).collect(),
            by_day: rule.by_day.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<backtest::Money> for TransactionsWorth {
    fn from(money: backtest::Money) -> TransactionsWorth {
        TransactionsWorth { transactions: money.transactions, amount: money.amount }
    }
}

impl From<backtest::Change> for OutcomeChange {
    fn from(change: backtest::Change) -> OutcomeChange {
        let backtest::Change { from, to, transactions } = change;
        OutcomeChange { from: from.to_string(), to: to.to_string(), transactions }
    }
}

impl From<backtest::Overlap> for RuleOverlap {
    fn from(overlap: backtest::Overlap) -> RuleOverlap {
        let backtest::Overlap { with, both, only_this, only_that, jaccard } = overlap;
        RuleOverlap { with, both, only_this, only_that, jaccard }
    }
}

impl From<backtest::DayReport> for BacktestDay {
    fn from(day: backtest::DayReport) -> BacktestDay {
        let backtest::DayReport { date, transactions, alerts, added, fired, frauds } = day;
        BacktestDay { date, transactions, alerts, added, fired, frauds }
    }
}
