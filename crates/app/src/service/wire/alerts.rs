//! Alerts: what a person has to look at, and what became of it.

use serde::{Deserialize, Serialize};
use store::StoredAlert;
use utoipa::ToSchema;

use super::{DecisionSummary, Instant, Outcome, ProblemField, Reason};

/// Transactions of one entity that were not approved within one window. The first of them opens it; it has the first one's
/// position in the log as its id.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Alert {
    /// Its id.
    pub id: i64,
    /// The entity: the value of the key field, or the transaction's id where there is none.
    pub entity: String,
    /// How it stands.
    pub state: AlertState,
    /// Counts up with every change; a change must name the one it was made for.
    pub version: i64,
    /// When it was opened.
    #[schema(value_type = String, format = DateTime)]
    pub opened_at: Instant,
    /// When it is due: when it was opened, and `alerts.due` later.
    #[schema(value_type = String, format = DateTime)]
    pub due_at: Instant,
    /// Whether it is past that, and not closed.
    pub overdue: bool,
    /// When its first transaction happened.
    #[schema(value_type = String, format = DateTime)]
    pub first_event_time: Instant,
    /// When its last transaction happened.
    #[schema(value_type = String, format = DateTime)]
    pub last_event_time: Instant,
    /// Its transactions.
    pub transactions: u64,
    /// Of them declined.
    pub declined: u64,
    /// Sum of amounts, in major units.
    pub amount: f64,
    /// Expected loss: amounts times scores, in major units. The queue's order.
    pub priority: f64,
    /// Greatest score; null without a model.
    pub score: Option<f64>,
    /// Severest outcome.
    pub outcome: Outcome,
    /// The transaction with the greatest score.
    pub transaction_id: String,
    /// Why it looks suspicious.
    pub reasons: Vec<Reason>,
    /// Rules that fired on it.
    pub rules: Vec<String>,
    /// What made its transactions, if they are synthetic.
    pub synthetic: Option<String>,
    /// Who works on it.
    pub assignee: Option<String>,
    /// What it turned out to be, once it is closed.
    pub disposition: Option<Disposition>,
    /// Who closed it.
    pub closed_by: Option<String>,
    /// When.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub closed_at: Option<Instant>,
    /// Who asks to open it again; somebody else has to agree.
    pub reopen_asked_by: Option<String>,
}

/// How an alert stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum AlertState {
    /// Nobody works on it.
    Open,
    /// Somebody does.
    Assigned,
    /// It is known what it was.
    Closed,
}

/// What an alert turned out to be. It becomes the label of its transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Disposition {
    /// Fraud.
    Fraud,
    /// Not fraud.
    Genuine,
}

/// Alerts in the order that was asked for.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct AlertPage {
    /// The alerts.
    pub items: Vec<Alert>,
    /// Ask with this for the next page; null at the end.
    pub next_cursor: Option<String>,
    /// How many there are of each kind.
    pub counts: AlertCounts,
}

/// How many alerts there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, ToSchema)]
pub struct AlertCounts {
    /// Nobody works on them.
    pub open: u64,
    /// Somebody does.
    pub assigned: u64,
    /// Of both, those past their time.
    pub overdue: u64,
    /// Closed.
    pub closed: u64,
    /// Expected loss of those that are not closed, in major units.
    pub waiting_amount: f64,
}

/// All of an alert.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct AlertDetail {
    /// The alert.
    pub alert: Alert,
    /// Its transactions, newest first, at most 200.
    pub transactions: Vec<DecisionSummary>,
    /// What was done with it, oldest first.
    pub history: Vec<AlertChange>,
    /// Other alerts of the entity, newest first, at most 20.
    pub of_entity: Vec<Alert>,
}

/// Something that was done with an alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct AlertChange {
    /// The version that it made.
    pub version: i64,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Instant,
    /// By whom.
    pub by: String,
    /// What.
    pub action: AlertAction,
    /// To whom it was assigned, or what it was closed as.
    pub to: Option<String>,
    /// What was said.
    pub note: Option<String>,
}

/// What can be done with an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum AlertAction {
    /// Give it to somebody, or to nobody.
    Assign,
    /// Say something.
    Note,
    /// Say what it was: labels all its transactions.
    Close,
    /// Ask to open a closed one again or, as somebody else, agree. Labels stay until it is closed again.
    Reopen,
}

/// What is to be done with an alert.
#[derive(Debug, Clone, PartialEq, Eq, ToSchema)]
#[schema(example = json!({"version": 3, "by": "ada", "action": "close", "disposition": "fraud", "note": "called the customer"}))]
pub struct AlertRequest {
    /// The version that is looked at; another one is refused with 409, and the answer shows the alert as it is.
    pub version: i64,
    /// Who does it.
    pub by: String,
    /// What.
    pub action: AlertAction,
    /// To assign: to whom; null is nobody.
    pub assignee: Option<String>,
    /// To close: as what.
    pub disposition: Option<Disposition>,
    /// What there is to say.
    pub note: Option<String>,
}

/// The next alert for somebody.
#[derive(Debug, Clone, PartialEq, Eq, ToSchema)]
#[schema(example = json!({"by": "ada"}))]
pub struct NextAlertRequest {
    /// Who works on it.
    pub by: String,
}

/// An alert was changed by somebody else (a problem document with the alert).
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct AlertConflict {
    /// Names the kind of problem.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in words.
    pub title: String,
    /// 409.
    pub status: u16,
    /// What is wrong this time.
    pub detail: String,
    /// The fields at fault.
    pub errors: Vec<ProblemField>,
    /// The alert as it is.
    pub alert: Alert,
    /// The last thing that was done with it.
    pub last_change: Option<AlertChange>,
}

impl Alert {
    /// As it is stored, amounts in units of `minor_per_unit`, due `due_us` after it was opened.
    pub fn of(stored: &StoredAlert, minor_per_unit: f64, due_us: i64, now_us: i64) -> Alert {
        let due_at_us = stored.opened_at_us.saturating_add(due_us);
        Alert {
            id: stored.id,
            entity: stored.entity.clone(),
            state: stored.state.into(),
            version: stored.version,
            opened_at: Instant(stored.opened_at_us),
            due_at: Instant(due_at_us),
            overdue: due_at_us < now_us && stored.state != store::AlertState::Closed,
            first_event_time: Instant(stored.first_event_us),
            last_event_time: Instant(stored.last_event_us),
            transactions: stored.transactions as u64,
            declined: stored.declined as u64,
            amount: stored.amount_minor as f64 / minor_per_unit,
            priority: stored.at_risk_minor / minor_per_unit,
            score: stored.score,
            outcome: if stored.declined > 0 { Outcome::Decline } else { Outcome::Review },
            transaction_id: stored.transaction_id.clone(),
            reasons: stored
                .reasons
                .as_deref()
                .and_then(|json| serde_json::from_str(json).ok())
                .unwrap_or_default(),
            rules: stored.rules.clone(),
            synthetic: stored.mark.clone(),
            assignee: stored.assignee.clone(),
            disposition: stored
                .disposition
                .map(|fraud| if fraud { Disposition::Fraud } else { Disposition::Genuine }),
            closed_by: stored.closed_by.clone(),
            closed_at: stored.closed_at_us.map(Instant),
            reopen_asked_by: stored.reopen_asked_by.clone(),
        }
    }
}

impl From<store::AlertState> for AlertState {
    fn from(state: store::AlertState) -> AlertState {
        match state {
            store::AlertState::Open => AlertState::Open,
            store::AlertState::Assigned => AlertState::Assigned,
            store::AlertState::Closed => AlertState::Closed,
        }
    }
}

impl AlertChange {
    /// As it is stored.
    pub fn of(stored: &store::AlertChange) -> AlertChange {
        AlertChange {
            version: stored.version,
            at: Instant(stored.at_us),
            by: stored.by.clone(),
            action: match stored.action {
                store::AlertAction::Assign => AlertAction::Assign,
                store::AlertAction::Note => AlertAction::Note,
                store::AlertAction::Close => AlertAction::Close,
                store::AlertAction::Reopen => AlertAction::Reopen,
            },
            to: stored.target.clone(),
            note: stored.note.clone(),
        }
    }
}
