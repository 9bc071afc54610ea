//! Doors that only look.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use engine::detector::Schema;
use engine::event::is_mark;
use store::{Database, Filter, Made, Store, StoredDecision};

use super::path::Named;
use super::problem::{invalid, problem, unavailable};
use super::{Api, Doors};
use crate::service::health::{health as health_of, is_ready};
use crate::service::pipeline::{lock, now_us};
use crate::service::reasons::explain;
use crate::service::wire::{
    Decision, DecisionPage, DecisionSummary, Health, Instant, Latency, Problem, ReasonList, Stats,
    TimelinePoint,
};

/// The most decisions on a page.
const PAGE_MAX: usize = 1_000;

/// Decisions, newest first.
#[utoipa::path(get, path = "/v1/decisions", tag = "decisions",
    params(
        ("limit" = Option<u32>, Query, description = "1 to 1000, default 100"),
        ("cursor" = Option<String>, Query, description = "next_cursor of the page before"),
        ("outcome" = Option<String>, Query, description = "approve, review or decline"),
        ("key" = Option<String>, Query, description = "value of the key field"),
        ("min_score" = Option<f64>, Query, description = "least score"),
        ("from" = Option<String>, Query, description = "first event time, RFC 3339"),
        ("to" = Option<String>, Query, description = "first event time no longer wanted, RFC 3339"),
        ("synthetic" = Option<String>, Query, description = "true, false, or what made them, as simulator:card:7"),
    ),
    responses(
        (status = 200, body = DecisionPage, description = "a page of them"),
        (status = 422, body = Problem, description = "a parameter is wrong"),
    ))]
pub async fn decisions(
    State(api): State<Api>,
    query: Result<Query<HashMap<String, String>>, QueryRejection>,
) -> Response {
    let Ok(Query(query)) = query else {
        return invalid("query", "unreadable", "name=value pairs joined by &");
    };
    let filter = match filter(&query, &api.shared.detector.schema) {
        Ok(filter) => filter,
        Err(response) => return response,
    };
    let minor_per_unit = api.shared.detector.schema.minor_per_unit();
    let limit = filter.limit;
    match read(&api, move |store| store.decisions(&filter)).await {
        Some(found) => {
            let next_cursor =
                found.last().filter(|_| found.len() == limit).map(|last| last.sequence.to_string());
            let items = found.iter().map(|stored| DecisionSummary::of(stored, minor_per_unit)).collect();
            Json(DecisionPage { items, next_cursor }).into_response()
        }
        None => unavailable(),
    }
}

#[expect(clippy::result_large_err, reason = "once a request, and only where it is wrong")]
fn filter(query: &HashMap<String, String>, schema: &Schema) -> Result<Filter, Response> {
    let mut filter = Filter { limit: 100, ..Filter::default() };
    for (name, value) in query {
        let wrong = |expected: &str| invalid(name, value, expected);
        let instant = || engine::time::parse_instant(value).ok_or_else(|| wrong("an RFC 3339 time"));
        match name.as_str() {
            "limit" => {
                let limit = value.parse().ok().filter(|limit| (1..=PAGE_MAX).contains(limit));
                filter.limit = limit.ok_or_else(|| wrong("a number from 1 to 1000"))?;
            }
            "cursor" => {
                filter.before = Some(value.parse().map_err(|_| wrong("next_cursor of the page before"))?)
            }
            "outcome" => {
                let outcome = engine::Outcome::from_name(value);
                filter.outcome = Some(outcome.ok_or_else(|| wrong("approve, review or decline"))?);
            }
            "key" => filter.key = Some(schema.key_known_as(value).into_owned()),
            "min_score" => {
                let score = value.parse().ok().filter(|score: &f64| score.is_finite());
                filter.min_score = Some(score.ok_or_else(|| wrong("a number"))?);
            }
            "from" => filter.from_us = Some(instant()?),
            "to" => filter.to_us = Some(instant()?),
            "synthetic" => {
                let made =
                    made(value).ok_or_else(|| wrong("true, false, or the mark of synthetic transactions"));
                filter.made = Some(made?);
            }
            _ => return Err(wrong("one of limit, cursor, outcome, key, min_score, from, to, synthetic")),
        }
    }
    Ok(filter)
}

/// How transactions came to be that a parameter asks for.
pub fn made(value: &str) -> Option<Made> {
    match value {
        "true" => Some(Made::Synthetic),
        "false" => Some(Made::Real),
        mark => is_mark(mark).then(|| Made::By(mark.to_string())),
    }
}

/// All that is stored of one decision.
#[utoipa::path(get, path = "/v1/decisions/{id}", tag = "decisions",
    params(("id" = String, Path, description = "the transaction's id")),
    responses(
        (status = 200, body = Decision, description = "all of it"),
        (status = 404, body = Problem, description = "no such transaction"),
    ))]
pub async fn decision(State(api): State<Api>, Named(id): Named) -> Response {
    let minor_per_unit = api.shared.detector.schema.minor_per_unit();
    match find(&api, &id).await {
        Ok(stored) => Json(Decision::of(&stored, minor_per_unit)).into_response(),
        Err(response) => response,
    }
}

/// What speaks for fraud in one decision, whatever its score. Computed from the stored features by the model that decided
/// then, which must be in use or in the registry.
#[utoipa::path(get, path = "/v1/decisions/{id}/reasons", tag = "decisions",
    params(("id" = String, Path, description = "the transaction's id")),
    responses(
        (status = 200, body = ReasonList, description = "features that speak for fraud, the strongest first"),
        (status = 404, body = Problem, description = "no such transaction"),
        (status = 409, body = Problem, description = "it was decided by a model that is gone, or by one that cannot say why"),
    ))]
pub async fn reasons(State(api): State<Api>, Named(id): Named) -> Response {
    let stored = match find(&api, &id).await {
        Ok(stored) => stored,
        Err(response) => return response,
    };
    // The model may have to be read from the registry.
    let explained = tokio::task::spawn_blocking(move || {
        let model = api.shared.models.behind(&stored);
        explain(&stored, &api.shared.detector, model.as_ref())
    });
    match explained.await {
        Ok(Ok(reasons)) => Json(ReasonList { reasons }).into_response(),
        Ok(Err(detail)) => problem(StatusCode::CONFLICT, "cannot be explained", &detail, Vec::new()),
        Err(_) => unavailable(),
    }
}

/// The stored decision that a path names.
pub async fn find(api: &Api, id: &str) -> Result<StoredDecision, Response> {
    let schema = &api.shared.detector.schema;
    let wanted = schema.known_as(schema.id_field(), id).into_owned();
    match read(api, move |store| store.find(&wanted)).await {
        Some(Some(stored)) => Ok(stored),
        Some(None) => {
            let error = engine::FieldError::new("id", id, "the id of a stored transaction");
            let detail = format!("there is no transaction {id:?}");
            Err(problem(StatusCode::NOT_FOUND, "no such transaction", &detail, vec![error.into()]))
        }
        None => Err(unavailable()),
    }
}

/// Totals, rates, latency, scores, the last five minutes.
#[utoipa::path(get, path = "/v1/stats", tag = "service",
    responses((status = 200, body = Stats, description = "the figures of this moment")))]
pub async fn stats(State(api): State<Api>) -> Json<Stats> {
    Json(current_stats(&api))
}

/// The figures of this moment.
pub fn current_stats(api: &Doors) -> Stats {
    let condition = lock(&api.shared.condition).clone();
    let now = now_us();
    let mut stats = lock(&api.shared.stats);
    stats.second(now / 1_000_000);
    let latency = stats.latency();
    let [p50, p90, p99, p999, max] = latency.percentiles;
    let point = |second: &crate::service::stats::Second| TimelinePoint {
        at: Instant(second.at_s * 1_000_000),
        decisions: second.decisions,
        in_review: second.in_review,
        declined: second.declined,
        labelled_fraud: second.labelled_fraud,
    };
    Stats {
        detector: api.shared.detector.name.clone(),
        model: api.shared.models.current().champion_id().map(str::to_string),
        started_at: Instant(api.started_us),
        now: Instant(now),
        stream_time: stats.stream_us.map(Instant),
        source: api.source.clone(),
        currency: api.shared.detector.schema.currency.clone(),
        totals: stats.totals.into(),
        rate_per_second: stats.rate_per_second(now / 1_000_000),
        latency_us: Latency { count: latency.count, p50, p90, p99, p999, max },
        score_histogram: stats.score_histogram.clone(),
        timeline: stats.timeline.iter().map(point).collect(),
        state: condition.state,
    }
}

/// Every part with its condition, its figures, what last went wrong with it, and what to do.
#[utoipa::path(get, path = "/v1/health", tag = "service",
    responses((status = 200, body = Health, description = "good or not, part by part")))]
pub async fn health(State(api): State<Api>) -> Json<Health> {
    Json(health_of(&api))
}

/// The process is alive.
#[utoipa::path(get, path = "/healthz", tag = "service",
    responses((status = 200, body = String, description = "it is")))]
pub async fn alive() -> &'static str {
    "ok\n"
}

/// Transactions are accepted.
#[utoipa::path(get, path = "/readyz", tag = "service",
    responses(
        (status = 200, body = String, description = "they are"),
        (status = 503, body = Health, description = "they are not, and why"),
    ))]
pub async fn ready(State(api): State<Api>) -> Response {
    let health = health_of(&api);
    if is_ready(&api, &health) {
        return "ready\n".into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, Json(health)).into_response()
}

/// Runs a query on a connection of its own, on this thread.
///
/// # Errors
/// If the database refuses.
pub fn read_now<T>(
    api: &Doors,
    database: &Database,
    query: impl FnOnce(&mut dyn Store) -> store::Result<T>,
) -> store::Result<T> {
    let idle = lock(&api.readers).pop();
    let mut reader = match idle {
        Some(reader) => reader,
        None => database.open_reader()?,
    };
    let found = query(&mut *reader);
    lock(&api.readers).push(reader);
    found
}

/// Runs a query on a connection of its own, away from the threads that answer requests.
pub async fn read<T: Send + 'static>(
    api: &Api,
    query: impl FnOnce(&mut dyn Store) -> store::Result<T> + Send + 'static,
) -> Option<T> {
    let api = Arc::clone(api);
    let database = api.database.clone()?;
    let work = move || read_now(&api, &database, query);
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(found)) => Some(found),
        Ok(Err(error)) => {
            tracing::error!(%error, "a query failed");
            None
        }
        Err(error) => {
            tracing::error!(%error, "a query did not end");
            None
        }
    }
}
