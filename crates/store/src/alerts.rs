//! Alerts: transactions of one entity that were not approved within one window, and what people do with them.
//!
//! They are written with the decisions, in one transaction. What both databases need to know is here: how a decision joins an
//! alert or opens one, and the SQL that is the same in both.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};

use engine::Outcome;

use crate::NewDecision;

/// An alert as it is read.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredAlert {
    /// Position of the transaction that opened it.
    pub id: i64,
    /// The key, or the transaction's id where there is none.
    pub entity: String,
    /// How it stands.
    pub state: AlertState,
    /// Counts up with every change, and with every transaction that joins.
    pub version: i64,
    /// When its first transaction was decided.
    pub opened_at_us: i64,
    /// When the earliest of its transactions happened.
    pub first_event_us: i64,
    /// When the latest of its transactions happened.
    pub last_event_us: i64,
    /// Its transactions.
    pub transactions: i64,
    /// Of them declined.
    pub declined: i64,
    /// Sum of amounts in minor units.
    pub amount_minor: i64,
    /// Sum of amounts times scores, in minor units; an amount without a score counts whole.
    pub at_risk_minor: f64,
    /// The greatest score.
    pub score: Option<f64>,
    /// The transaction with that score.
    pub transaction_id: String,
    /// Its position.
    pub transaction_sequence: i64,
    /// What made its first transaction, if it is synthetic.
    pub mark: Option<String>,
    /// Who works on it.
    pub assignee: Option<String>,
    /// Whether it turned out to be fraud, once it is closed.
    pub disposition: Option<bool>,
    /// Who closed it.
    pub closed_by: Option<String>,
    /// When.
    pub closed_at_us: Option<i64>,
    /// Who asks to open it again.
    pub reopen_asked_by: Option<String>,
    /// Why the transaction with the greatest score looks suspicious, as JSON. Not written: it is the decision's.
    pub reasons: Option<String>,
    /// Rules that fired on it. Not written: they are the decision's.
    pub rules: Vec<String>,
}

/// How an alert stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AlertState {
    /// Nobody works on it.
    Open,
    /// Somebody does.
    Assigned,
    /// It is known what it was.
    Closed,
}

impl AlertState {
    const ALL: [AlertState; 3] = [AlertState::Open, AlertState::Assigned, AlertState::Closed];

    /// The name in the database.
    pub fn name(self) -> &'static str {
        match self {
            AlertState::Open => "open",
            AlertState::Assigned => "assigned",
            AlertState::Closed => "closed",
        }
    }

    /// The state of this name.
    pub fn from_name(name: &str) -> Option<AlertState> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

/// What is done with an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AlertAction {
    /// It is given to somebody, or to nobody.
    Assign,
    /// Something is said.
    Note,
    /// It is known what it was.
    Close,
    /// Somebody asks to open it again, or agrees.
    Reopen,
}

impl AlertAction {
    const ALL: [AlertAction; 4] =
        [AlertAction::Assign, AlertAction::Note, AlertAction::Close, AlertAction::Reopen];

    /// The name in the database.
    pub fn name(self) -> &'static str {
        match self {
            AlertAction::Assign => "assign",
            AlertAction::Note => "note",
            AlertAction::Close => "close",
            AlertAction::Reopen => "reopen",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<AlertAction> {
        Self::ALL.into_iter().find(|action| action.name() == name)
    }
}

/// Something that was done with an alert.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AlertChange {
    /// The alert.
    pub alert: i64,
    /// The version that it made.
    pub version: i64,
    /// When.
    pub at_us: i64,
    /// By whom.
    pub by: String,
    /// What.
    pub action: AlertAction,
    /// To whom it was assigned, or what it was closed as.
    pub target: Option<String>,
    /// What was said.
    pub note: Option<String>,
}

/// A change as it is written: the alert as it is afterwards, and what led there.
#[derive(Debug, Clone, PartialEq)]
pub struct AlertRevision {
    /// The alert; its version is that of the change, one more than what is stored.
    pub alert: StoredAlert,
    /// What was done.
    pub change: AlertChange,
}

/// All of an alert, as it is copied from store to store.
#[derive(Debug, Clone, PartialEq)]
pub struct AlertRecord {
    /// The alert.
    pub alert: StoredAlert,
    /// Positions of its transactions, rising.
    pub transactions: Vec<i64>,
    /// What was done with it, oldest first.
    pub changes: Vec<AlertChange>,
}

impl AlertRecord {
    /// Alerts with their transactions and changes, which are in the order of the alerts.
    pub(crate) fn gather(
        alerts: Vec<StoredAlert>,
        links: &[(i64, i64)],
        changes: &[AlertChange],
    ) -> Vec<AlertRecord> {
        let of = |alert: StoredAlert| {
            let links = links.iter().filter(|(owner, _)| *owner == alert.id);
            AlertRecord {
                transactions: links.map(|(_, sequence)| *sequence).collect(),
                changes: changes.iter().filter(|change| change.alert == alert.id).cloned().collect(),
                alert,
            }
        };
        alerts.into_iter().map(of).collect()
    }
}

impl Hash for AlertRecord {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let alert = &self.alert;
        (alert.id, &alert.entity, alert.state, alert.version, alert.opened_at_us).hash(state);
        (alert.first_event_us, alert.last_event_us, alert.transactions, alert.declined).hash(state);
        (alert.amount_minor, alert.at_risk_minor.to_bits(), alert.score.map(f64::to_bits)).hash(state);
        (&alert.transaction_id, alert.transaction_sequence, &alert.mark, &alert.assignee).hash(state);
        (alert.disposition, &alert.closed_by, alert.closed_at_us, &alert.reopen_asked_by).hash(state);
        (&self.transactions, &self.changes).hash(state);
    }
}

/// Which alerts are wanted.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AlertFilter {
    /// In this state; those that are not closed if `None`.
    pub state: Option<AlertState>,
    /// Of this person.
    pub assignee: Option<String>,
    /// Of this entity.
    pub entity: Option<String>,
    /// In any state.
    pub in_any_state: bool,
    /// Opened before this.
    pub opened_before_us: Option<i64>,
    /// Synthetic or not.
    pub synthetic: Option<bool>,
    /// Which come first.
    pub order: AlertOrder,
    /// Those after this one in the order: its figure and its id.
    pub after: Option<(f64, i64)>,
    /// At most so many.
    pub limit: usize,
}

/// Which alerts come first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum AlertOrder {
    /// Those with the greatest expected loss.
    #[default]
    Priority,
    /// The oldest.
    Age,
    /// The newest.
    Newest,
}

impl AlertOrder {
    /// The figure that an alert is ordered by; ids tell apart what is equal.
    pub fn figure(self, alert: &StoredAlert) -> f64 {
        match self {
            AlertOrder::Priority => alert.at_risk_minor,
            AlertOrder::Age | AlertOrder::Newest => alert.id as f64,
        }
    }
}

/// How many alerts there are.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct AlertCounts {
    /// Nobody works on them.
    pub open: i64,
    /// Somebody does.
    pub assigned: i64,
    /// Of both, those that were opened before the time asked for.
    pub overdue: i64,
    /// Closed.
    pub closed: i64,
    /// Sum over those that are not closed, in minor units.
    pub at_risk_minor: f64,
}

/// A value of a condition.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Text(String),
    Integer(i64),
    Real(f64),
}

/// Columns of an alert, in the order in which they are read; `d` is the decision with the greatest score.
pub(crate) const COLUMNS: &str = "a.id, a.entity, a.state, a.version, a.opened_at_us, a.first_event_us, a.last_event_us, a.transactions, \
     a.declined, a.amount_minor, a.at_risk_minor, a.score, a.transaction_id, a.transaction_sequence, a.mark, a.assignee, \
     a.disposition, a.closed_by, a.closed_at_us, a.reopen_asked_by, d.reasons, d.rules";

/// Where they come from.
pub(crate) const FROM: &str = "FROM alerts a LEFT JOIN decisions d ON d.sequence = a.transaction_sequence";

/// How many there are of each kind; `$1` is the time before which an open one is overdue.
pub(crate) const COUNTS: &str = "SELECT count(CASE WHEN state = 'open' THEN 1 END), count(CASE WHEN state = 'assigned' THEN 1 END), \
     count(CASE WHEN state <> 'closed' AND opened_at_us < $1 THEN 1 END), count(CASE WHEN state = 'closed' THEN 1 END), \
     coalesce(sum(CASE WHEN state <> 'closed' THEN at_risk_minor END), 0.0) FROM alerts";

/// What was done with the alerts from `$1` up to `$2`.
pub(crate) const CHANGES: &str = "SELECT alert, version, at_us, changed_by, action, target, note FROM alert_changes \
     WHERE alert >= $1 AND alert <= $2 ORDER BY alert, version";

/// Transactions of the alerts from `$1` up to `$2`.
pub(crate) const LINKS: &str = "SELECT alert, sequence FROM alert_transactions WHERE alert >= $1 AND alert <= $2 ORDER BY alert, sequence";

pub(crate) const INSERT_CHANGE: &str = "INSERT INTO alert_changes (alert, version, at_us, changed_by, action, target, note) \
     VALUES ($1, $2, $3, $4, $5, $6, $7)";

/// What people change; `$8` is the version that must be stored. SQLite counts parameters as they come.
pub(crate) const REVISE: &str = "UPDATE alerts SET version = version + 1, state = $1, assignee = $2, disposition = $3, closed_by = $4, \
     closed_at_us = $5, reopen_asked_by = $6 WHERE id = $7 AND version = $8";

/// Reads an alert from a row of [`COLUMNS`]; `?` after the row for databases whose reading can fail.
macro_rules! read_alert {
    ($row:ident $($may_fail:tt)?) => {{
        let state: String = $row.get(2)$($may_fail)?;
        let disposition: Option<String> = $row.get(16)$($may_fail)?;
        let rules: Option<String> = $row.get(21)$($may_fail)?;
        $crate::alerts::StoredAlert {
            id: $row.get(0)$($may_fail)?,
            entity: $row.get(1)$($may_fail)?,
            state: $crate::alerts::AlertState::from_name(&state).unwrap_or($crate::alerts::AlertState::Open),
            version: $row.get(3)$($may_fail)?,
            opened_at_us: $row.get(4)$($may_fail)?,
            first_event_us: $row.get(5)$($may_fail)?,
            last_event_us: $row.get(6)$($may_fail)?,
            transactions: $row.get(7)$($may_fail)?,
            declined: $row.get(8)$($may_fail)?,
            amount_minor: $row.get(9)$($may_fail)?,
            at_risk_minor: $row.get(10)$($may_fail)?,
            score: $row.get(11)$($may_fail)?,
            transaction_id: $row.get(12)$($may_fail)?,
            transaction_sequence: $row.get(13)$($may_fail)?,
            mark: $row.get(14)$($may_fail)?,
            assignee: $row.get(15)$($may_fail)?,
            disposition: disposition.map(|said| said == "fraud"),
            closed_by: $row.get(17)$($may_fail)?,
            closed_at_us: $row.get(18)$($may_fail)?,
            reopen_asked_by: $row.get(19)$($may_fail)?,
            reasons: $row.get(20)$($may_fail)?,
            rules: $crate::alerts::rules_of(rules.as_deref()),
        }
    }};
}
pub(crate) use read_alert;

/// Reads a change from a row of [`CHANGES`].
macro_rules! read_alert_change {
    ($row:ident $($may_fail:tt)?) => {{
        let action: String = $row.get(4)$($may_fail)?;
        $crate::alerts::AlertChange {
            alert: $row.get(0)$($may_fail)?,
            version: $row.get(1)$($may_fail)?,
            at_us: $row.get(2)$($may_fail)?,
            by: $row.get(3)$($may_fail)?,
            action: $crate::alerts::AlertAction::from_name(&action).unwrap_or($crate::alerts::AlertAction::Note),
            target: $row.get(5)$($may_fail)?,
            note: $row.get(6)$($may_fail)?,
        }
    }};
}
pub(crate) use read_alert_change;

/// Names of rules as a decision has them.
pub(crate) fn rules_of(joined: Option<&str>) -> Vec<String> {
    let names = joined.unwrap_or_default().split(',');
    names.filter(|rule| !rule.is_empty()).map(str::to_string).collect()
}

/// The word for what an alert turned out to be.
pub(crate) fn disposition_name(fraud: bool) -> &'static str {
    if fraud { "fraud" } else { "genuine" }
}

/// Conditions, order and limit of a filter, and its values in the order of their numbers.
pub(crate) fn conditions(filter: &AlertFilter) -> (String, Vec<Value>) {
    let mut conditions: Vec<String> = Vec::new();
    let mut values = Vec::new();
    let mut with = |sql: &str, value: Value| {
        values.push(value);
        conditions.push(format!("{sql} ${}", values.len()));
    };
    if let Some(assignee) = &filter.assignee {
        with("a.assignee =", Value::Text(assignee.clone()));
    }
    if let Some(entity) = &filter.entity {
        with("a.entity =", Value::Text(entity.clone()));
    }
    if let Some(before_us) = filter.opened_before_us {
        with("a.opened_at_us <", Value::Integer(before_us));
    }
    match filter.state {
        Some(state) => conditions.push(format!("a.state = '{}'", state.name())),
        None if filter.in_any_state => {}
        None => conditions.push("a.state <> 'closed'".to_string()),
    }
    if let Some(synthetic) = filter.synthetic {
        conditions.push(format!("a.mark IS {}NULL", if synthetic { "NOT " } else { "" }));
    }
    if let Some((figure, id)) = filter.after {
        let next = values.len() + 1;
        conditions.push(match filter.order {
            AlertOrder::Priority => {
                values.push(Value::Real(figure));
                values.push(Value::Integer(id));
                format!("(a.at_risk_minor, a.id) < (${next}, ${})", next + 1)
            }
            AlertOrder::Age => {
                values.push(Value::Integer(id));
                format!("a.id > ${next}")
            }
            AlertOrder::Newest => {
                values.push(Value::Integer(id));
                format!("a.id < ${next}")
            }
        });
    }
    let order = match filter.order {
        AlertOrder::Priority => "a.at_risk_minor DESC, a.id DESC",
        AlertOrder::Age => "a.id",
        AlertOrder::Newest => "a.id DESC",
    };
    let conditions = if conditions.is_empty() { "true".to_string() } else { conditions.join(" AND ") };
    (format!("WHERE {conditions} ORDER BY {order} LIMIT {}", filter.limit), values)
}

/// A decision that was not approved, at its position.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Suspect<'a> {
    sequence: i64,
    decision: &'a NewDecision<'a>,
}

impl<'a> Suspect<'a> {
    /// `None` if the decision gives no cause for an alert.
    pub fn of(sequence: i64, decision: &'a NewDecision<'a>) -> Option<Suspect<'a>> {
        (decision.outcome != Outcome::Approve).then_some(Suspect { sequence, decision })
    }

    /// Whose alert it belongs to.
    pub fn entity(&self) -> &'a str {
        self.decision.key.unwrap_or(self.decision.id)
    }

    fn score(&self) -> Option<f64> {
        Some(self.decision.score).filter(|score| score.is_finite())
    }
}

/// Alerts that suspects join or open.
pub(crate) struct Fold {
    window_us: i64,
    alerts: Vec<StoredAlert>,
    /// The newest one of each entity that is not closed.
    newest: HashMap<String, usize>,
    /// Alert and position of each suspect.
    pub links: Vec<(i64, i64)>,
}

impl Fold {
    /// From the newest alert of each entity that is not closed.
    pub fn new(window_us: i64, waiting: Vec<StoredAlert>) -> Fold {
        let newest = waiting.iter().enumerate().map(|(at, alert)| (alert.entity.clone(), at)).collect();
        Fold { window_us, alerts: waiting, newest, links: Vec::new() }
    }

    /// Enters a suspect into the alert of its entity, if it happened within the window from the alert's first event, else
    /// into a new one.
    pub fn enter(&mut self, suspect: Suspect) {
        let entity = suspect.entity();
        let found = self.newest.get(entity).copied();
        let at = match found.filter(|at| self.is_within(&self.alerts[*at], suspect)) {
            Some(at) => at,
            None => {
                self.alerts.push(opened_by(suspect));
                self.newest.insert(entity.to_string(), self.alerts.len() - 1);
                self.alerts.len() - 1
            }
        };
        join(&mut self.alerts[at], suspect);
        self.links.push((self.alerts[at].id, suspect.sequence));
    }

    /// The alerts that have changed.
    pub fn changed(&self) -> impl Iterator<Item = &StoredAlert> {
        let joined: std::collections::HashSet<i64> = self.links.iter().map(|(alert, _)| *alert).collect();
        self.alerts.iter().filter(move |alert| joined.contains(&alert.id))
    }

    fn is_within(&self, alert: &StoredAlert, suspect: Suspect) -> bool {
        let distance_us = suspect.decision.event_time_us.abs_diff(alert.first_event_us);
        distance_us < self.window_us.unsigned_abs()
    }
}

fn opened_by(suspect: Suspect) -> StoredAlert {
    let decision = suspect.decision;
    StoredAlert {
        id: suspect.sequence,
        entity: suspect.entity().to_string(),
        state: AlertState::Open,
        version: 0,
        opened_at_us: decision.decided_at_us,
        first_event_us: decision.event_time_us,
        last_event_us: decision.event_time_us,
        transactions: 0,
        declined: 0,
        amount_minor: 0,
        at_risk_minor: 0.0,
        score: None,
        transaction_id: decision.id.to_string(),
        transaction_sequence: suspect.sequence,
        mark: decision.mark.map(str::to_string),
        assignee: None,
        disposition: None,
        closed_by: None,
        closed_at_us: None,
        reopen_asked_by: None,
        reasons: None,
        rules: Vec::new(),
    }
}

fn join(alert: &mut StoredAlert, suspect: Suspect) {
    let (decision, score) = (suspect.decision, suspect.score());
    alert.version += 1;
    alert.first_event_us = alert.first_event_us.min(decision.event_time_us);
    alert.last_event_us = alert.last_event_us.max(decision.event_time_us);
    alert.transactions += 1;
    alert.declined += i64::from(decision.outcome == Outcome::Decline);
    alert.amount_minor = alert.amount_minor.saturating_add(decision.amount_minor);
    alert.at_risk_minor += decision.amount_minor as f64 * score.unwrap_or(1.0);
    if score.is_some_and(|score| alert.score.is_none_or(|greatest| score > greatest)) {
        alert.score = score;
        alert.transaction_id = decision.id.to_string();
        alert.transaction_sequence = suspect.sequence;
    }
}
