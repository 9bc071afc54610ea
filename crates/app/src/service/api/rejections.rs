//! What came in and was no transaction.

use std::collections::HashMap;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use store::Store;

use super::Api;
use super::problem::{invalid, unavailable};
use super::read::read;
use crate::service::rejections::{Found, LOOKED_AT_MAX, page};
use crate::service::wire::{Problem, RejectionPage};

/// The most rejections on a page.
const PAGE_MAX: usize = 500;

/// As many without a word.
const PAGE: usize = 50;

/// What came in lately and was no transaction, newest first, and how often what is wrong with it is wrong. What looks like a card
/// number is masked.
#[utoipa::path(get, path = "/v1/rejections", tag = "service",
    params(("limit" = Option<u32>, Query, description = "1 to 500, default 50")),
    responses(
        (status = 200, body = RejectionPage, description = "the newest of them"),
        (status = 422, body = Problem, description = "a parameter is wrong"),
        (status = 503, body = Problem, description = "the store cannot be read"),
    ))]
pub async fn rejections(
    State(api): State<Api>,
    query: Result<Query<HashMap<String, String>>, QueryRejection>,
) -> Response {
    let Ok(Query(query)) = query else {
        return invalid("query", "unreadable", "name=value pairs joined by &");
    };
    let limit = match limit(&query) {
        Ok(limit) => limit,
        Err(response) => return response,
    };
    if api.database.is_none() {
        return Json(page(&Found::default())).into_response();
    }
    match read(&api, move |store| find(store, limit)).await {
        Some(found) => Json(page(&found)).into_response(),
        None => unavailable(),
    }
}

fn find(store: &mut dyn Store, limit: usize) -> store::Result<Found> {
    let (newest, stored) = store.newest_rejections(limit)?;
    Ok(Found { stored, reasons: store.newest_reasons(LOOKED_AT_MAX)?, newest })
}

#[expect(clippy::result_large_err, reason = "once a request, and only where it is wrong")]
fn limit(query: &HashMap<String, String>) -> Result<usize, Response> {
    if let Some((name, value)) = query.iter().find(|(name, _)| *name != "limit") {
        return Err(invalid(name, value, "limit, and nothing else"));
    }
    let Some(text) = query.get("limit") else { return Ok(PAGE) };
    let limit = text.parse().ok().filter(|limit| (1..=PAGE_MAX).contains(limit));
    limit.ok_or_else(|| invalid("limit", text, "a number from 1 to 500"))
}
