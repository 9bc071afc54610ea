//! Doors to one decision looked at closely, and to what the detector makes of a transaction.

use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use engine::Model;
use store::{Store, StoredDecision};

use super::path::Named;
use super::problem::{problem, rejected, unavailable};
use super::read::{find, read};
use super::write::{read_body, whole_body};
use super::{Api, Doors};
use crate::service::past::Past;
use crate::service::pipeline::{TRANSACTION_BYTES_MAX, lock};
use crate::service::reasons;
use crate::service::wire::{Contributions, DetectorInfo, Problem, ReplayVerdict, WhatIf, WhatIfRequest};

/// The detector, for people: fields, features with their windows in words, rules, how scores become outcomes.
#[utoipa::path(get, path = "/v1/detector", tag = "service",
    responses((status = 200, body = DetectorInfo, description = "all of it")))]
pub async fn detector(State(api): State<Api>) -> Json<DetectorInfo> {
    let lineup = api.shared.models.current();
    let champion = lineup.champion.as_ref().map(|champion| &champion.model);
    Json(DetectorInfo::of(&lineup.detector, champion))
}

/// What every feature added to the score of one decision, for fraud and against it: Shapley values of the margin, which add up
/// to it. Computed from the stored features by the model that decided then, which must be in use or in the registry.
#[utoipa::path(get, path = "/v1/decisions/{id}/contributions", tag = "decisions",
    params(("id" = String, Path, description = "the transaction's id")),
    responses(
        (status = 200, body = Contributions, description = "all features, the largest contribution by size first"),
        (status = 404, body = Problem, description = "no such transaction"),
        (status = 409, body = Problem, description = "it was decided by a model that is gone, or by one that cannot say why"),
    ))]
pub async fn contributions(State(api): State<Api>, Named(id): Named) -> Response {
    let stored = match find(&api, &id).await {
        Ok(stored) => stored,
        Err(response) => return response,
    };
    // The model may have to be read from the registry.
    let told = tokio::task::spawn_blocking(move || {
        let model = api.shared.models.behind(&stored);
        reasons::contributions(&stored, &api.shared.detector, model.as_ref())
    });
    match told.await {
        Ok(Ok(contributions)) => Json(contributions).into_response(),
        Ok(Err(detail)) => conflict("cannot be explained", &detail),
        Err(_) => unavailable(),
    }
}

/// Recompute one decision from base, log and model, and compare it with what is stored, to the last bit. Takes as long as it
/// takes to replay the log up to it: about a second for a million entries.
#[utoipa::path(post, path = "/v1/decisions/{id}/replay", tag = "decisions",
    params(("id" = String, Path, description = "the transaction's id")),
    responses(
        (status = 200, body = ReplayVerdict, description = "whether it comes out again"),
        (status = 404, body = Problem, description = "no such transaction"),
        (status = 409, body = Problem, description = "its model or feature list is gone, or its log is a Kafka topic"),
    ))]
pub async fn replay(State(api): State<Api>, Named(id): Named) -> Response {
    let stored = match find(&api, &id).await {
        Ok(stored) => stored,
        Err(response) => return response,
    };
    let replayed = with_past(&api, stored, Kept::Ignored, |_, past, seconds| ReplayVerdict {
        identical: past.differences.is_empty(),
        differences: past.differences.clone(),
        entries: past.entries,
        seconds,
    });
    match replayed.await {
        Ok(verdict) => Json(verdict).into_response(),
        Err(response) => response,
    }
}

/// What would have been decided if fields of the event had been others, with the past as it was then. Nothing is stored. The
/// first question about a decision replays the log up to it; those that follow are quick.
#[utoipa::path(post, path = "/v1/decisions/{id}/what-if", tag = "decisions", request_body = WhatIfRequest,
    params(("id" = String, Path, description = "the transaction's id")),
    responses(
        (status = 200, body = WhatIf, description = "before and after"),
        (status = 400, body = Problem, description = "not a request"),
        (status = 404, body = Problem, description = "no such transaction"),
        (status = 409, body = Problem, description = "it does not come out again when recomputed, so its past is not known"),
        (status = 413, body = Problem, description = "too large"),
        (status = 422, body = Problem, description = "fields cannot be so"),
    ))]
pub async fn what_if(State(api): State<Api>, Named(id): Named, body: Body) -> Response {
    let body = match read_body(&api, body, TRANSACTION_BYTES_MAX).await {
        Ok(body) => body,
        Err(response) => return response,
    };
    let wanted: WhatIfRequest = match serde_json::from_slice(&body) {
        Ok(wanted) => wanted,
        Err(error) => return rejected(&whole_body(&error.to_string(), "an object with the object changes")),
    };
    let stored = match find(&api, &id).await {
        Ok(stored) => stored,
        Err(response) => return response,
    };
    let asked = with_past(&api, stored, Kept::Used, move |stored, past, _| answer(past, stored, &wanted));
    asked.await.unwrap_or_else(|response| response)
}

fn answer(past: &Past, stored: &StoredDecision, wanted: &WhatIfRequest) -> Response {
    if !past.differences.is_empty() {
        let detail = format!("recomputed it comes out otherwise: {}", past.differences.join("; "));
        return conflict("its past is not known", &detail);
    }
    match past.what_if(stored, &wanted.changes) {
        Ok(Ok(what_if)) => Json(what_if).into_response(),
        Ok(Err(rejection)) => rejected(&rejection),
        Err(error) => {
            tracing::error!(error = %format!("{error:#}"), "a state cannot be read back");
            unavailable()
        }
    }
}

/// What was found out about a decision's past by an earlier question.
#[derive(Clone, Copy, PartialEq)]
enum Kept {
    /// Will do.
    Used,
    /// Will not: it is to be found out again.
    Ignored,
}

/// Looks at a decision with what was known just before it, and tells how long it took to find that out.
async fn with_past<T: Send + 'static>(
    api: &Api,
    stored: StoredDecision,
    kept: Kept,
    look: impl FnOnce(&StoredDecision, &Past, f64) -> T + Send + 'static,
) -> Result<T, Response> {
    if api.stream.is_some() {
        let detail =
            "the log of this service is a Kafka topic, and its entries before this one are not kept here";
        return Err(conflict("cannot be recomputed", detail));
    }
    let held = Arc::clone(api);
    let found = read(api, move |store| {
        let started = Instant::now();
        Ok(look_back(&held, store, &stored, kept, |past| {
            look(&stored, past, started.elapsed().as_secs_f64())
        }))
    });
    let found = found.await.ok_or_else(unavailable)?;
    found.map_err(|detail| conflict("cannot be recomputed", &detail))
}

/// One at a time: each holds a state as large as the pipeline's.
fn look_back<T>(
    api: &Doors,
    store: &mut dyn Store,
    stored: &StoredDecision,
    kept: Kept,
    look: impl FnOnce(&Past) -> T,
) -> Result<T, String> {
    let model = model_of(api, stored)?;
    let mut last = lock(&api.past);
    let usable = |past: &Past| kept == Kept::Used && past.sequence == stored.sequence;
    let past = match last.take().filter(usable) {
        Some(past) => past,
        None => Past::of(stored, &api.recovery, store, &api.shared.models.detector_behind(stored), model)
            .map_err(|error| format!("{error:#}"))?,
    };
    let seen = look(&past);
    *last = Some(past).filter(Past::is_small);
    Ok(seen)
}

/// The model that a decision was made with; else why it cannot be recomputed.
fn model_of(api: &Doors, stored: &StoredDecision) -> Result<Option<Model>, String> {
    if stored.versions.feature_fingerprint != api.shared.detector.feature_fingerprint {
        return Err("it was decided with another feature list".to_string());
    }
    let Some(made) = &stored.versions.model else { return Ok(None) };
    let found = api.shared.models.find(made);
    let gone = || format!("it was decided by the model {made}, which is neither in use nor in the registry");
    found.map(Some).ok_or_else(gone)
}

fn conflict(title: &str, detail: &str) -> Response {
    problem(StatusCode::CONFLICT, title, detail, Vec::new())
}
