//! Doors to training again: what is scheduled and watched, what runs, and who stops or approves it.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use engine::FieldError;

use super::path::Named;
use super::problem::{problem, rejected};
use super::session::Caller;
use super::write::{read_body, whole_body};
use super::{Api, Doors};
use crate::retraining::run::Run;
use crate::service::pipeline::TRANSACTION_BYTES_MAX;
use crate::service::retraining::NotDone;
use crate::service::wire::{Problem, Retraining, RetrainingRequest, RetrainingRun};

/// When models are trained again, what watches for drift, and what came of the runs of this process's data folder.
#[utoipa::path(get, path = "/v1/retraining", tag = "models",
    responses((status = 200, body = Retraining, description = "the newest run first")))]
pub async fn retraining(State(api): State<Api>) -> Response {
    let told = tokio::task::spawn_blocking(move || api.retraining.tell(api.monitors.tell()));
    match told.await {
        Ok(told) => Json(told).into_response(),
        Err(_) => super::problem::unavailable(),
    }
}

/// Train again now.
#[utoipa::path(post, path = "/v1/retraining/runs", tag = "models", request_body = RetrainingRequest,
    responses(
        (status = 202, body = RetrainingRun, description = "it has started"),
        (status = 400, body = Problem, description = "not a request"),
        (status = 409, body = Problem, description = "another run is under way, or there can be none here"),
        (status = 413, body = Problem, description = "too large"),
        (status = 422, body = Problem, description = "fields are missing or wrong"),
        (status = 503, body = Problem, description = "it cannot be started at the moment"),
    ))]
pub async fn start_retraining(State(api): State<Api>, caller: Caller, body: Body) -> Response {
    let wanted = match wanted(&api, caller, body).await {
        Ok(wanted) => wanted,
        Err(response) => return response,
    };
    let trigger = format!("{}: {}", wanted.by, wanted.reason);
    let started = in_background(api, move |api| api.retraining.start(api, &trigger, None)).await;
    match started {
        Ok(run) => (StatusCode::ACCEPTED, Json(RetrainingRun::from(&run))).into_response(),
        Err(response) => response,
    }
}

/// Stop a run. Its challenger, if it has one, scores no longer.
#[utoipa::path(post, path = "/v1/retraining/runs/{id}/cancel", tag = "models", request_body = RetrainingRequest,
    params(("id" = String, Path, description = "the run's id")),
    responses(
        (status = 200, body = RetrainingRun, description = "it is over"),
        (status = 400, body = Problem, description = "not a request"),
        (status = 404, body = Problem, description = "no such run"),
        (status = 409, body = Problem, description = "it was over already"),
        (status = 413, body = Problem, description = "too large"),
        (status = 422, body = Problem, description = "fields are missing or wrong"),
        (status = 503, body = Problem, description = "it cannot be done at the moment"),
    ))]
pub async fn cancel_retraining(
    State(api): State<Api>,
    Named(id): Named,
    caller: Caller,
    body: Body,
) -> Response {
    change(api, "cancel", id, caller, body).await
}

/// Promote the challenger of a run that waits for a person. When this is answered, what is posted after it is decided by it.
#[utoipa::path(post, path = "/v1/retraining/runs/{id}/approve", tag = "models", request_body = RetrainingRequest,
    params(("id" = String, Path, description = "the run's id")),
    responses(
        (status = 200, body = RetrainingRun, description = "its challenger decides"),
        (status = 400, body = Problem, description = "not a request"),
        (status = 404, body = Problem, description = "no such run"),
        (status = 409, body = Problem, description = "it does not wait for a person"),
        (status = 413, body = Problem, description = "too large"),
        (status = 422, body = Problem, description = "fields are missing or wrong"),
        (status = 503, body = Problem, description = "it cannot be done at the moment"),
    ))]
pub async fn approve_retraining(
    State(api): State<Api>,
    Named(id): Named,
    caller: Caller,
    body: Body,
) -> Response {
    change(api, "approve", id, caller, body).await
}

async fn change(api: Api, what: &'static str, id: String, caller: Caller, body: Body) -> Response {
    let RetrainingRequest { by, reason } = match wanted(&api, caller, body).await {
        Ok(wanted) => wanted,
        Err(response) => return response,
    };
    let changed = in_background(api, move |api| api.retraining.change(api, what, &id, &by, &reason)).await;
    match changed {
        Ok(run) => Json(RetrainingRun::from(&run)).into_response(),
        Err(response) => response,
    }
}

/// Who asks, and why.
async fn wanted(api: &Api, caller: Caller, body: Body) -> Result<RetrainingRequest, Response> {
    let body = read_body(api, body, TRANSACTION_BYTES_MAX).await?;
    let wanted: RetrainingRequest = serde_json::from_slice(&body).map_err(|error| {
        rejected(&whole_body(&error.to_string(), "an object with the texts by and reason"))
    })?;
    let wanted = RetrainingRequest { by: caller.name_or(wanted.by), ..wanted };
    let texts = [("by", &wanted.by), ("reason", &wanted.reason)];
    let empty = texts.iter().filter(|(_, text)| text.trim().is_empty());
    let errors: Vec<FieldError> =
        empty.map(|(field, text)| FieldError::new(field, format_args!("{text:?}"), "words")).collect();
    if errors.is_empty() {
        return Ok(wanted);
    }
    let detail: Vec<String> = errors.iter().map(FieldError::to_string).collect();
    let errors = errors.into_iter().map(Into::into).collect();
    Err(problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid request", &detail.join("; "), errors))
}

/// Works away from the threads that answer requests.
async fn in_background(
    api: Api,
    work: impl FnOnce(&Doors) -> Result<Run, NotDone> + Send + 'static,
) -> Result<Run, Response> {
    let done = tokio::task::spawn_blocking(move || work(&api)).await;
    match done {
        Ok(Ok(run)) => Ok(run),
        Ok(Err(NotDone::Unknown)) => {
            Err(problem(StatusCode::NOT_FOUND, "no such run", "there is no run of this id here", Vec::new()))
        }
        Ok(Err(NotDone::Refused(why))) => {
            Err(problem(StatusCode::CONFLICT, "not as things are", &why, Vec::new()))
        }
        Ok(Err(NotDone::Failed(error))) => {
            tracing::error!(error = %format!("{error:#}"), "retraining: a run could not be started or changed");
            let detail = "the registry or the data folder cannot be used at the moment; try again";
            Err(problem(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail, Vec::new()))
        }
        Err(_) => Err(super::problem::unavailable()),
    }
}
