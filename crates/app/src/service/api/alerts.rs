//! Doors to alerts: the queue, one of them, and what people do with them.

use std::collections::HashMap;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use engine::FieldError;
use engine::detector::Schema;
use serde_json::{Map, Value};
use store::{AlertFilter, AlertOrder, AlertState, StoredAlert};
use tokio::sync::oneshot;

use super::path::Numbered;
use super::problem::{invalid, problem, rejected, unavailable};
use super::read::read;
use super::session::Caller;
use super::write::{read_body, whole_body};
use super::{Api, Doors};
use crate::service::alerts::{Plan, Refused, read_next, read_request};
use crate::service::pipeline::{Request, TRANSACTION_BYTES_MAX, lock, now_us};
use crate::service::wire::{
    Alert, AlertAction, AlertChange, AlertConflict, AlertCounts, AlertDetail, AlertPage, AlertRequest,
    DecisionSummary, NextAlertRequest, Problem, ProblemField,
};
use crate::stream::recorder::Work;

/// The most alerts on a page.
const PAGE_MAX: usize = 500;

/// Transactions of an alert that are listed.
const TRANSACTIONS_MAX: usize = 200;

/// Other alerts of the entity that are listed.
const OF_ENTITY_MAX: usize = 20;

/// How often the alerts for viewers are looked up, as long as there are viewers.
const WATCH_INTERVAL: Duration = Duration::from_millis(500);

/// How often somebody is tried to be given the next alert, if others are always first.
const NEXT_TRIES: usize = 5;

/// What viewers see of alerts.
#[derive(Debug, Clone, Default)]
pub struct Brief {
    /// How many there are.
    pub counts: AlertCounts,
    /// The newest one since the start.
    pub newest: Option<Alert>,
}

/// Looks alerts up for viewers.
pub async fn watch_alerts(api: Api) {
    let mut ticks = tokio::time::interval(WATCH_INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if api.frames.receiver_count() > 0 {
            look_up(&api).await;
        }
    }
}

/// Looks them up once: what cannot be read stays as it was.
pub async fn look_up(api: &Api) {
    let newest =
        AlertFilter { order: AlertOrder::Newest, in_any_state: true, limit: 1, ..AlertFilter::default() };
    let overdue_us = overdue_before_us(api);
    let found = read(api, move |store| Ok((store.alert_counts(overdue_us)?, store.alerts(&newest)?.pop())));
    let Some((counts, newest)) = found.await else { return };
    let newest = newest.filter(|alert| alert.opened_at_us >= api.started_us);
    let brief = Brief { counts: counts_of(api, counts), newest: newest.map(|alert| shown(api, &alert)) };
    *lock(&api.alerts) = brief;
}

fn overdue_before_us(api: &Doors) -> i64 {
    now_us() - api.shared.alerts.due_us
}

fn counts_of(api: &Doors, counts: store::AlertCounts) -> AlertCounts {
    AlertCounts {
        open: counts.open as u64,
        assigned: counts.assigned as u64,
        overdue: counts.overdue as u64,
        closed: counts.closed as u64,
        waiting_amount: counts.at_risk_minor / api.shared.detector.schema.minor_per_unit(),
    }
}

fn shown(api: &Doors, alert: &StoredAlert) -> Alert {
    Alert::of(alert, api.shared.detector.schema.minor_per_unit(), api.shared.alerts.due_us, now_us())
}

/// Alerts: what people have to look at. Without `state` those that are not closed, the greatest expected loss first.
#[utoipa::path(get, path = "/v1/alerts", tag = "alerts",
    params(
        ("state" = Option<String>, Query, description = "waiting (open or assigned, the default), open, assigned, closed or all"),
        ("assignee" = Option<String>, Query, description = "who works on it"),
        ("entity" = Option<String>, Query, description = "value of the key field"),
        ("overdue" = Option<bool>, Query, description = "true: only those past their time and not closed"),
        ("synthetic" = Option<bool>, Query, description = "true: only synthetic ones; false: none of them"),
        ("order" = Option<String>, Query, description = "priority (the default), age or newest"),
        ("limit" = Option<u32>, Query, description = "1 to 500, default 100"),
        ("cursor" = Option<String>, Query, description = "next_cursor of the page before, in the same order"),
    ),
    responses(
        (status = 200, body = AlertPage, description = "a page of them"),
        (status = 422, body = Problem, description = "a parameter is wrong"),
        (status = 503, body = Problem, description = "the store cannot be read"),
    ))]
pub async fn alerts(
    State(api): State<Api>,
    query: Result<Query<HashMap<String, String>>, QueryRejection>,
) -> Response {
    let Ok(Query(query)) = query else {
        return invalid("query", "unreadable", "name=value pairs joined by &");
    };
    let overdue_us = overdue_before_us(&api);
    let filter = match filter(&query, overdue_us, &api.shared.detector.schema) {
        Ok(filter) => filter,
        Err(response) => return response,
    };
    let (order, limit) = (filter.order, filter.limit);
    let found = read(&api, move |store| Ok((store.alerts(&filter)?, store.alert_counts(overdue_us)?))).await;
    let Some((found, counts)) = found else { return unavailable() };
    let next_cursor = found.last().filter(|_| found.len() == limit).map(|last| cursor_of(order, last));
    let items = found.iter().map(|alert| shown(&api, alert)).collect();
    Json(AlertPage { items, next_cursor, counts: counts_of(&api, counts) }).into_response()
}

/// Names the last alert of a page by what it is ordered by: shortest decimals come back to the same bits.
fn cursor_of(order: AlertOrder, last: &StoredAlert) -> String {
    format!("{:?}_{}", order.figure(last), last.id)
}

#[expect(clippy::result_large_err, reason = "once a request, and only where it is wrong")]
fn filter(
    query: &HashMap<String, String>,
    overdue_us: i64,
    schema: &Schema,
) -> Result<AlertFilter, Response> {
    let mut filter = AlertFilter { limit: 100, ..AlertFilter::default() };
    for (name, value) in query {
        let wrong = |expected: &str| invalid(name, value, expected);
        let truth = || value.parse::<bool>().map_err(|_| wrong("true or false"));
        match name.as_str() {
            "state" if value == "waiting" => {}
            "state" if value == "all" => filter.in_any_state = true,
            "state" => {
                let state = AlertState::from_name(value);
                filter.state = Some(state.ok_or_else(|| wrong("waiting, open, assigned, closed or all"))?);
            }
            "assignee" => filter.assignee = Some(value.clone()),
            "entity" => filter.entity = Some(schema.key_known_as(value).into_owned()),
            "overdue" => filter.opened_before_us = truth()?.then_some(overdue_us),
            "synthetic" => filter.synthetic = Some(truth()?),
            "order" => {
                let orders = [AlertOrder::Priority, AlertOrder::Age, AlertOrder::Newest];
                let at = ["priority", "age", "newest"].iter().position(|order| order == value);
                filter.order = orders[at.ok_or_else(|| wrong("priority, age or newest"))?];
            }
            "limit" => {
                let limit = value.parse().ok().filter(|limit| (1..=PAGE_MAX).contains(limit));
                filter.limit = limit.ok_or_else(|| wrong("a number from 1 to 500"))?;
            }
            "cursor" => {
                let after = value.rsplit_once('_').and_then(|(figure, id)| {
                    Some((figure.parse::<f64>().ok().filter(|figure| !figure.is_nan())?, id.parse().ok()?))
                });
                filter.after = Some(after.ok_or_else(|| wrong("next_cursor of the page before"))?);
            }
            _ => {
                let known = "one of state, assignee, entity, overdue, synthetic, order, limit, cursor";
                return Err(wrong(known));
            }
        }
    }
    Ok(filter)
}

/// One alert with its transactions, what was done with it, and the other alerts of its entity.
#[utoipa::path(get, path = "/v1/alerts/{id}", tag = "alerts",
    params(("id" = i64, Path, description = "the alert's id")),
    responses(
        (status = 200, body = AlertDetail, description = "all of it"),
        (status = 404, body = Problem, description = "no such alert"),
        (status = 422, body = Problem, description = "no number"),
        (status = 503, body = Problem, description = "the store cannot be read"),
    ))]
pub async fn alert(State(api): State<Api>, Numbered(id): Numbered<i64>) -> Response {
    let minor_per_unit = api.shared.detector.schema.minor_per_unit();
    let found = read(&api, move |store| {
        let Some(alert) = store.alert(id)? else { return Ok(None) };
        let decisions = store.alert_decisions(id, TRANSACTIONS_MAX)?;
        let of_entity = AlertFilter {
            entity: Some(alert.entity.clone()),
            in_any_state: true,
            order: AlertOrder::Newest,
            limit: OF_ENTITY_MAX + 1,
            ..AlertFilter::default()
        };
        let others = store.alerts(&of_entity)?;
        Ok(Some((alert, decisions, store.alert_changes(id)?, others)))
    });
    match found.await {
        Some(Some((alert, decisions, changes, others))) => {
            let others = others.iter().filter(|other| other.id != id).take(OF_ENTITY_MAX);
            let detail = AlertDetail {
                alert: shown(&api, &alert),
                transactions: decisions.iter().map(|one| DecisionSummary::of(one, minor_per_unit)).collect(),
                history: changes.iter().map(AlertChange::of).collect(),
                of_entity: others.map(|other| shown(&api, other)).collect(),
            };
            Json(detail).into_response()
        }
        Some(None) => unknown(id),
        None => unavailable(),
    }
}

/// Do something with an alert: assign it, say something, close it, or have it reopened, which takes two people. Closing it
/// labels all its transactions. If somebody was first, or a transaction has joined meanwhile, nothing is done, and the answer
/// shows the alert as it is.
#[utoipa::path(patch, path = "/v1/alerts/{id}", tag = "alerts", request_body = AlertRequest,
    params(("id" = i64, Path, description = "the alert's id")),
    responses(
        (status = 200, body = Alert, description = "done, and in the history"),
        (status = 400, body = Problem, description = "not a request"),
        (status = 404, body = Problem, description = "no such alert"),
        (status = 409, body = AlertConflict, description = "somebody was first, or it does not allow that"),
        (status = 413, body = Problem, description = "too large"),
        (status = 422, body = Problem, description = "fields are missing or wrong"),
        (status = 503, body = Problem, description = "the store refuses and nothing was done, or Kafka did not take the labels"),
    ))]
pub async fn revise(
    State(api): State<Api>,
    caller: Caller,
    Numbered(id): Numbered<i64>,
    body: Body,
) -> Response {
    let wanted = match read_members(&api, &caller, body).await {
        Ok(members) => read_request(&members).map_err(wrong_fields),
        Err(response) => Err(response),
    };
    match wanted {
        Ok(wanted) => answer(&api, id, carry_out(&api, id, wanted).await).await,
        Err(response) => response,
    }
}

/// Give somebody the alert with the greatest expected loss on which nobody works.
#[utoipa::path(post, path = "/v1/alerts/next", tag = "alerts", request_body = NextAlertRequest,
    responses(
        (status = 200, body = Alert, description = "it is theirs"),
        (status = 204, description = "no alert is open"),
        (status = 400, body = Problem, description = "not a request"),
        (status = 413, body = Problem, description = "too large"),
        (status = 422, body = Problem, description = "fields are missing or wrong"),
        (status = 503, body = Problem, description = "the store refuses; nothing was done"),
    ))]
pub async fn next(State(api): State<Api>, caller: Caller, body: Body) -> Response {
    let by = match read_members(&api, &caller, body).await {
        Ok(members) => read_next(&members).map_err(wrong_fields),
        Err(response) => Err(response),
    };
    let by = match by {
        Ok(by) => by,
        Err(response) => return response,
    };
    let first = AlertFilter { state: Some(AlertState::Open), limit: 1, ..AlertFilter::default() };
    for _ in 0..NEXT_TRIES {
        let filter = first.clone();
        let Some(found) = read(&api, move |store| store.alerts(&filter)).await else { return unavailable() };
        let Some(alert) = found.first() else { return StatusCode::NO_CONTENT.into_response() };
        let wanted = AlertRequest {
            version: alert.version,
            by: by.clone(),
            action: AlertAction::Assign,
            assignee: Some(by.clone()),
            disposition: None,
            note: None,
        };
        match carry_out(&api, alert.id, wanted).await {
            // Somebody else was first: there is another.
            Some(Err(_)) => {}
            done => return answer(&api, alert.id, done).await,
        }
    }
    unavailable()
}

/// Has it done by whoever writes the store; `None` if the store refuses.
async fn carry_out(api: &Api, id: i64, wanted: AlertRequest) -> Option<Result<Plan, Refused>> {
    let Some(stream) = &api.stream else {
        let (reply, answer) = oneshot::channel();
        api.requests.send(Request::Revise { id, wanted, reply }).await.ok()?;
        return answer.await.ok()?.ok();
    };
    let (reply, answer) = oneshot::channel();
    stream.recorder.send(Work::Revise { id, wanted, reply }).ok()?;
    let done =
        answer.await.ok()?.inspect_err(|error| tracing::error!(%error, "an alert was not changed")).ok()?;
    if let Ok(plan) = &done {
        // They are stored; the windows that read labels learn them from the topic.
        if tell_topic(api, plan.clone()).await.is_none() {
            return Some(Err(Refused::NotTold));
        }
    }
    Some(done)
}

/// Sends the labels of a plan to the topic of labels; `None` if Kafka does not take them.
async fn tell_topic(api: &Api, plan: Plan) -> Option<()> {
    if plan.labelled.is_empty() {
        return Some(());
    }
    let api = Api::clone(api);
    let tell = move || -> anyhow::Result<()> {
        let Some(stream) = &api.stream else { return Ok(()) };
        let feed = stream.feed()?;
        for decision in &plan.labelled {
            let mut event: Map<String, Value> = serde_json::from_str(&decision.event)?;
            let field = api.shared.detector.schema.label_field().unwrap_or("fraud");
            event.insert(field.to_string(), Value::Bool(plan.fraud));
            feed.label(&Value::Object(event).to_string())?;
        }
        feed.finish()
    };
    let told = tokio::task::spawn_blocking(tell).await.ok()?;
    told.inspect_err(|error| tracing::error!(%error, "labels of an alert did not reach their topic")).ok()
}

async fn answer(api: &Api, id: i64, done: Option<Result<Plan, Refused>>) -> Response {
    match done {
        None => unavailable(),
        Some(Ok(plan)) => Json(shown(api, &plan.revision.alert)).into_response(),
        Some(Err(Refused::Unknown)) => unknown(id),
        Some(Err(Refused::Changed)) => {
            let detail = "somebody was first, or a transaction has joined it: this is how it is now";
            conflict(api, id, "the alert was changed", detail).await
        }
        Some(Err(Refused::NotAllowed(why))) => conflict(api, id, "not allowed", why).await,
        Some(Err(Refused::NotTold)) => not_told(),
    }
}

fn not_told() -> Response {
    let detail = "the alert is closed and its labels are stored, but Kafka did not take them: reopen it and close it again";
    problem(StatusCode::SERVICE_UNAVAILABLE, "labels not sent", detail, Vec::new())
}

async fn conflict(api: &Api, id: i64, title: &str, detail: &str) -> Response {
    let found = read(api, move |store| Ok((store.alert(id)?, store.alert_changes(id)?.pop()))).await;
    let Some((Some(alert), last)) = found else { return unavailable() };
    let status = StatusCode::CONFLICT;
    let document = AlertConflict {
        kind: "about:blank".to_string(),
        title: title.to_string(),
        status: status.as_u16(),
        detail: detail.to_string(),
        errors: Vec::new(),
        alert: shown(api, &alert),
        last_change: last.as_ref().map(AlertChange::of),
    };
    (status, [(header::CONTENT_TYPE, "application/problem+json")], Json(document)).into_response()
}

fn unknown(id: i64) -> Response {
    let error = FieldError::new("id", id, "the id of an alert");
    let detail = format!("there is no alert {id}");
    problem(StatusCode::NOT_FOUND, "no such alert", &detail, vec![error.into()])
}

fn wrong_fields(errors: Vec<ProblemField>) -> Response {
    let told =
        |error: &ProblemField| format!("{} is {}: expected {}", error.field, error.value, error.expected);
    let detail: Vec<String> = errors.iter().map(told).collect();
    problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid request", &detail.join("; "), errors)
}

/// The members of a request; it is made by who is signed in, whatever it says.
async fn read_members(api: &Api, caller: &Caller, body: Body) -> Result<Map<String, Value>, Response> {
    let body = read_body(api, body, TRANSACTION_BYTES_MAX).await?;
    let read: Result<Map<String, Value>, _> = serde_json::from_slice(&body);
    let mut members = read.map_err(|error| rejected(&whole_body(&error.to_string(), "a JSON object")))?;
    if let Some(name) = caller.name() {
        members.insert("by".to_string(), name.into());
    }
    Ok(members)
}
