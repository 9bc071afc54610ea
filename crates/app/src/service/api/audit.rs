//! The audit log, for those who watch over it.

use std::collections::HashMap;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use store::AuditFilter;

use super::Api;
use super::problem::{invalid, problem};
use crate::service::wire::{AuditPage, Problem};

/// The most entries on a page.
const PAGE_MAX: usize = 1_000;

/// Who did and saw what, the newest first.
#[utoipa::path(get, path = "/v1/audit", tag = "access",
    params(
        ("limit" = Option<u32>, Query, description = "1 to 1000, default 100"),
        ("cursor" = Option<String>, Query, description = "next_cursor of the page before"),
        ("by" = Option<String>, Query, description = "who did it"),
        ("action" = Option<String>, Query, description = "an action, as decision.read, or all of a kind, as rules.*"),
        ("from" = Option<String>, Query, description = "first time, RFC 3339"),
        ("to" = Option<String>, Query, description = "first time no longer wanted, RFC 3339"),
    ),
    responses(
        (status = 200, body = AuditPage, description = "a page of them"),
        (status = 422, body = Problem, description = "a parameter is wrong"),
        (status = 503, body = Problem, description = "the audit log cannot be read"),
    ))]
pub async fn audit(
    State(api): State<Api>,
    query: Result<Query<HashMap<String, String>>, QueryRejection>,
) -> Response {
    let Ok(Query(query)) = query else {
        return invalid("query", "unreadable", "name=value pairs joined by &");
    };
    let filter = match filter(&query) {
        Ok(filter) => filter,
        Err(response) => return response,
    };
    let limit = filter.limit;
    let found = tokio::task::spawn_blocking(move || api.audit.reader()?.entries(&filter)).await;
    match found {
        Ok(Ok(found)) => {
            let next_cursor =
                found.last().filter(|_| found.len() == limit).map(|last| last.number.to_string());
            Json(AuditPage { items: found.into_iter().map(Into::into).collect(), next_cursor })
                .into_response()
        }
        Ok(Err(error)) => unreadable(&error.to_string()),
        Err(error) => unreadable(&error.to_string()),
    }
}

fn unreadable(error: &str) -> Response {
    tracing::error!(error, "the audit log cannot be read");
    problem(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "the audit log cannot be read", Vec::new())
}

#[expect(clippy::result_large_err, reason = "once a request, and only where it is wrong")]
fn filter(query: &HashMap<String, String>) -> Result<AuditFilter, Response> {
    let mut filter = AuditFilter { limit: 100, ..AuditFilter::default() };
    for (name, value) in query {
        let wrong = |expected: &str| invalid(name, value, expected);
        let instant = || engine::time::parse_instant(value).ok_or_else(|| wrong("an RFC 3339 time"));
        match name.as_str() {
            "limit" => {
                let limit = value.parse().ok().filter(|limit| (1..=PAGE_MAX).contains(limit));
                filter.limit = limit.ok_or_else(|| wrong("a number from 1 to 1000"))?;
            }
            "cursor" => {
                filter.before = Some(value.parse().map_err(|_| wrong("next_cursor of the page before"))?);
            }
            "by" => filter.by = Some(value.clone()),
            "action" => filter.action = Some(value.clone()),
            "from" => filter.from_us = Some(instant()?),
            "to" => filter.to_us = Some(instant()?),
            _ => return Err(wrong("one of limit, cursor, by, action, from, to")),
        }
    }
    Ok(filter)
}
