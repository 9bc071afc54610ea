//! Doors to what makes transactions, and to how like real ones they are.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use lab::simulate;
use store::Made;

use super::Api;
use super::problem::{invalid, problem, unavailable};
use super::read::{made, read};
use crate::service::generate::beside::{Question, ROWS_MAX, ROWS_MIN, ROWS_USUAL, check_counts, compare};
use crate::service::wire::{GeneratorList, Problem, SyntheticReport};

/// What can make transactions here: the detector's simulator, and the generators of the folder, with how they were trained. One
/// that is being trained is told by its checkpoint.
#[utoipa::path(get, path = "/v1/generators", tag = "synthetic",
    responses(
        (status = 200, body = GeneratorList, description = "all of it, by name"),
        (status = 503, body = Problem, description = "the folder cannot be read now"),
    ))]
pub async fn generators(State(api): State<Api>) -> Response {
    let work = move || {
        let (detector, generations) = (&api.shared.detector, &api.generations);
        let is_simulated =
            simulate::NAMES.contains(&&*detector.name) && detector.schema.mark_position().is_some();
        GeneratorList {
            simulator: is_simulated.then(|| detector.name.clone()),
            generators: generations.shelf.list(&generations.config, detector),
        }
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(list) => Json(list).into_response(),
        Err(_) => unavailable(),
    }
}

/// Compare synthetic transactions of the store with real ones, the newest of each: how like them they are, what they give away,
/// and what they are fit for. It takes some seconds, and one is made at a time. In the demo the simulator's own transactions count
/// as real. Transactions without a label count as genuine.
#[utoipa::path(post, path = "/v1/generate/report", tag = "synthetic",
    params(
        ("synthetic" = Option<String>, Query, description = "what made them, as simulator:card:7; all synthetic ones without it"),
        ("rows" = Option<u32>, Query, description = "at most so many of each kind, 100 to 5000, default 2000"),
    ),
    responses(
        (status = 200, body = SyntheticReport, description = "the report"),
        (status = 409, body = Problem, description = "too few of either kind are stored, or they cannot be compared"),
        (status = 422, body = Problem, description = "a parameter is wrong"),
        (status = 429, body = Problem, description = "another report is being made"),
        (status = 503, body = Problem, description = "the store cannot be read now"),
    ))]
pub async fn report(
    State(api): State<Api>,
    query: Result<Query<HashMap<String, String>>, QueryRejection>,
) -> Response {
    let Ok(Query(query)) = query else {
        return invalid("query", "unreadable", "name=value pairs joined by &");
    };
    match question(&query) {
        Ok(question) => answer(api, question).await,
        Err(response) => response,
    }
}

#[expect(clippy::result_large_err, reason = "once a request, and only where it is wrong")]
fn question(query: &HashMap<String, String>) -> Result<Question, Response> {
    let mut question = Question { mark: None, rows: ROWS_USUAL };
    for (name, value) in query {
        let wrong = |expected: &str| invalid(name, value, expected);
        match name.as_str() {
            "rows" => {
                let rows = value.parse().ok().filter(|rows| (ROWS_MIN..=ROWS_MAX).contains(rows));
                let expected = format!("a whole number from {ROWS_MIN} to {ROWS_MAX}");
                question.rows = rows.ok_or_else(|| wrong(&expected))?;
            }
            "synthetic" => match made(value) {
                Some(Made::By(mark)) => question.mark = Some(mark),
                Some(Made::Synthetic) => question.mark = None,
                _ => return Err(wrong("true, or the mark of synthetic transactions")),
            },
            _ => return Err(wrong("one of synthetic, rows")),
        }
    }
    Ok(question)
}

async fn answer(api: Api, question: Question) -> Response {
    if api.database.is_none() {
        return cannot("this service stores no transactions: `database` is \"none\"");
    }
    let Ok(permit) = Arc::clone(&api.generations.reporting).try_acquire_owned() else { return busy() };
    let [real, made] = question.filters(api.source.mark.as_deref());
    let read = read(&api, move |store| Ok((store.decisions(&real)?, store.decisions(&made)?)));
    let Some((real, made)) = read.await else { return unavailable() };
    if let Err(detail) = check_counts(real.len(), made.len()) {
        return cannot(&detail);
    }
    let work = move || {
        // It is given back when the work is done, whether or not anybody still waits.
        let _permit = permit;
        compare(&api.shared.detector, &real, &made)
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(report)) => Json(report).into_response(),
        Ok(Err(error)) => cannot(&format!("{error:#}")),
        Err(_) => unavailable(),
    }
}

fn cannot(detail: &str) -> Response {
    problem(StatusCode::CONFLICT, "cannot be compared", detail, Vec::new())
}

fn busy() -> Response {
    let detail = "another report is being made: ask again when it is done";
    let mut response = problem(StatusCode::TOO_MANY_REQUESTS, "too many reports", detail, Vec::new());
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
    response
}
