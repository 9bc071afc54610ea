//! The door through which a person's id goes for good.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use engine::FieldError;
use store::Sync;
use tokio::sync::oneshot;

use super::problem::{problem, rejected, unavailable};
use super::write::{read_body, whole_body};
use super::{Api, Cube, Doors, read};
use crate::service::erasure::{PendingErasure, carry_out};
use crate::service::pipeline::{Request, TRANSACTION_BYTES_MAX, lock};
use crate::service::wire::{ErasureDone, ErasureRequest, Problem};

/// Erases an id from decisions, events, alerts, notes, rejections, snapshots, the state and Redis: a random tombstone stands for
/// it from then on. Scores stay, and are still recomputed to the bit.
#[utoipa::path(post, path = "/v1/erasures", tag = "privacy", request_body = ErasureRequest,
    responses(
        (status = 200, body = ErasureDone, description = "it is gone from all that this service keeps"),
        (status = 400, body = Problem, description = "not a request"),
        (status = 409, body = Problem, description = "nothing is stored here"),
        (status = 413, body = Problem, description = "too large"),
        (status = 422, body = Problem, description = "the field holds no ids, or a text is missing"),
        (status = 503, body = Problem, description = "it is not finished; it goes on at the next start"),
    ))]
pub async fn erase(State(api): State<Api>, body: Body) -> Response {
    let body = match read_body(&api, body, TRANSACTION_BYTES_MAX).await {
        Ok(body) => body,
        Err(response) => return response,
    };
    let wanted: ErasureRequest = match serde_json::from_slice(&body) {
        Ok(wanted) => wanted,
        Err(error) => {
            return rejected(&whole_body(
                &error.to_string(),
                "an object with the texts field, value and reason",
            ));
        }
    };
    if wanted.reason.trim().is_empty() {
        return rejected(&FieldError::new("reason", "\"\"", "words").into());
    }
    let pending = match PendingErasure::of(&api.shared.detector.schema, &wanted.field, &wanted.value) {
        Ok(Ok(pending)) => pending,
        Ok(Err(error)) => return rejected(&error.into()),
        Err(error) => return not_finished(&format!("{error:#}")),
    };
    if api.database.is_none() {
        let detail = "this service stores nothing: topics are kept for as long as their owner says";
        return problem(StatusCode::CONFLICT, "nothing is stored", detail, Vec::new());
    }
    let tombstone = pending.tombstone.clone();
    let erased = match api.stream {
        Some(_) => beside_the_stream(&api, pending).await,
        None => through_the_pipeline(&api, pending).await,
    };
    match erased {
        Ok(erased) => Json(ErasureDone::of(tombstone, erased, api.stream.is_some())).into_response(),
        Err(Some(why)) => not_finished(&why),
        Err(None) => unavailable(),
    }
}

fn not_finished(why: &str) -> Response {
    tracing::error!(why, "an erasure is not finished");
    let detail = "another erasure is under way, or this one was interrupted: the next start of the service finishes it";
    problem(StatusCode::SERVICE_UNAVAILABLE, "not finished", detail, Vec::new())
}

/// What holds the id is found beside the pipeline, which then only looks at what has come in meanwhile.
async fn through_the_pipeline(api: &Api, pending: PendingErasure) -> Result<store::Erased, Option<String>> {
    let (erasure, forgettable) = (pending.erasure(), pending.clone());
    let looked = read(api, move |store| {
        let last = store.last_position()?;
        Ok((store.mentions(&erasure, -1)?, last))
    });
    let (found, looked_to) = looked.await.ok_or(None)?;
    let found: Vec<i64> = found.into_iter().filter(|sequence| *sequence <= looked_to).collect();
    api.recovery.begin_erasure(&pending).map_err(|error| Some(format!("{error:#}")))?;
    let (reply, answer) = oneshot::channel();
    // Readers that hold an old picture of the file would hold the write-ahead log as well. Connections to a server end by
    // talking to it, which no thread of the runtime may wait for.
    let doors = Api::clone(api);
    let cleared = tokio::task::spawn_blocking(move || lock(&doors.readers).clear());
    cleared.await.map_err(|error| Some(error.to_string()))?;
    api.requests
        .send(Request::Erase { erasure: pending, found, looked_to, reply })
        .await
        .map_err(|_| None)?;
    let erased = answer.await.map_err(|_| None)?.map_err(Some)?;
    let doors = Api::clone(api);
    let forgotten = tokio::task::spawn_blocking(move || forget(&doors, &forgettable));
    forgotten.await.map_err(|error| Some(error.to_string()))?;
    Ok(erased)
}

/// Where a topic is the log: what the database and Redis hold.
async fn beside_the_stream(api: &Api, pending: PendingErasure) -> Result<store::Erased, Option<String>> {
    let doors = Api::clone(api);
    let work = move || -> anyhow::Result<store::Erased> {
        let Some(database) = &doors.database else { anyhow::bail!("nothing is stored") };
        let mut store = database.open(Sync::Commit)?;
        doors.recovery.begin_erasure(&pending)?;
        let erased = carry_out(&pending, &doors.recovery, &doors.shared.detector, &mut *store)?;
        forget(&doors, &pending);
        Ok(erased)
    };
    let done = tokio::task::spawn_blocking(work).await.map_err(|error| Some(error.to_string()))?;
    done.map_err(|error| Some(format!("{error:#}")))
}

/// Forgets what Redis was told, and what was made of the log in memory, which is made again.
fn forget(api: &Doors, pending: &PendingErasure) {
    if let Some(redis) = &api.shared.redis {
        redis.forget(&pending.field, &pending.value);
    }
    lock(&api.shared.stats).recent.clear();
    *lock(&api.past) = None;
    *lock(&api.activity) = Cube::new(&api.shared.detector.schema);
}
