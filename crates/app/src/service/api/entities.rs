//! What is known of an entity, asked of this process or, where it does not hold it, of Redis.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use engine::FieldError;
use engine::features::EntityView;
use tokio::sync::oneshot;

use super::Api;
use super::path::unreadable;
use super::problem::{invalid, problem, unavailable};
use crate::service::entities::{Kind, Layout};
use crate::service::pipeline;
use crate::service::redis::Found;
use crate::service::wire::{EntitySource, EntityWindows, FeatureValue, Instant, Problem};

/// The windows of an entity as of its newest event: of a customer, a terminal, an account.
///
/// Every transaction that was answered before is in them.
#[utoipa::path(get, path = "/v1/entities/{kind}/{id}", tag = "entities",
    params(
        ("kind" = String, Path, example = "customer",
         description = "the field that names the entity, with or without its _id: customer_id, customer"),
        ("id" = String, Path, example = "596", description = "the entity's id, percent-encoded"),
    ),
    responses(
        (status = 200, body = EntityWindows, description = "its windows"),
        (status = 404, body = Problem, description = "nothing is held of it"),
        (status = 422, body = Problem, description = "the detector has no windows by such a field"),
        (status = 503, body = Problem, description = "neither the pipeline nor Redis can say now"),
    ))]
pub async fn entity(State(api): State<Api>, path: Result<Path<(String, String)>, PathRejection>) -> Response {
    let (kind, id) = match path {
        Ok(Path(path)) => path,
        Err(rejection) => return unreadable(rejection),
    };
    let layout = Layout::new(&api.shared.detector);
    let Some(kind) = layout.kind(&kind) else {
        let known: Vec<&str> = layout.kinds.iter().map(|kind| kind.name.as_str()).collect();
        return invalid("kind", &kind, &format!("one of {}", known.join(", ")));
    };
    let id = api.shared.detector.schema.known_as(&kind.name, &id).into_owned();
    match held_here(&api, kind, &id).await {
        Some(Some(view)) => Json(of_view(kind, id, view)).into_response(),
        Some(None) => held_by_redis(&api, kind, id).await,
        None => unavailable(),
    }
}

/// What the engine holds; `None` if the pipeline cannot answer. Where a topic is decided, partitions hold their own
/// entities, any process of the group may be asked, and Redis has them all.
async fn held_here(api: &Api, kind: &Kind, id: &str) -> Option<Option<EntityView>> {
    if api.stream.is_some() {
        return Some(None);
    }
    let (reply, answer) = oneshot::channel();
    let request = pipeline::Request::Inspect { kind: kind.name.clone(), id: id.to_string(), reply };
    api.requests.send(request).await.ok()?;
    answer.await.ok()?.ok()
}

async fn held_by_redis(api: &Api, kind: &Kind, id: String) -> Response {
    let (asked, wanted, name) = (api.clone(), kind.clone(), id.clone());
    let find = move || asked.shared.redis.as_ref().map(|redis| redis.find(&wanted, &name));
    match tokio::task::spawn_blocking(find).await {
        Ok(None | Some(Ok(None))) => unknown(kind, &id),
        Ok(Some(Ok(Some(found)))) => Json(of_found(kind, id, &found)).into_response(),
        Ok(Some(Err(error))) => {
            tracing::warn!(%error, "Redis could not be asked");
            let detail = "it is not held here, and Redis does not answer; try again";
            problem(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail, Vec::new())
        }
        Err(error) => {
            tracing::error!(%error, "a question to Redis did not end");
            unavailable()
        }
    }
}

fn unknown(kind: &Kind, id: &str) -> Response {
    let detail = format!("nothing is held of {} {id:?}", kind.name);
    let error = FieldError::new("id", format_args!("{id:?}"), "the id of an entity that had an event lately");
    problem(StatusCode::NOT_FOUND, "no such entity", &detail, vec![error.into()])
}

fn of_view(kind: &Kind, id: String, view: EntityView) -> EntityWindows {
    let value =
        |(name, value): (String, f64)| FeatureValue { name, value: Some(value).filter(|v| v.is_finite()) };
    EntityWindows {
        kind: kind.name.clone(),
        id,
        event_time: Instant(view.newest_us),
        features: view.features.into_iter().map(value).collect(),
        source: EntitySource::Engine,
    }
}

fn of_found(kind: &Kind, id: String, found: &Found) -> EntityWindows {
    let values = kind.features.iter().zip(&found.values);
    EntityWindows {
        kind: kind.name.clone(),
        id,
        event_time: Instant(found.event_time_us),
        features: values.map(|(name, value)| FeatureValue { name: name.clone(), value: *value }).collect(),
        source: EntitySource::Redis,
    }
}
