//! The door behind which synthetic transactions are made.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::path::Path as FilePath;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Result, ensure};
use axum::Json;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use engine::detector::Schema;
use engine::{EventBatch, FieldError};
use lab::dataset::write_whole_event;
use serde_json::{Map, Value};
use tokio::sync::OwnedSemaphorePermit;

use super::Api;
use super::download::Download;
use super::path::Named;
use super::problem::{invalid, problem, rejected};
use super::write::{read_body, whole_body};
use crate::service::generate::destination::{Destination, Way};
use crate::service::generate::events::Events;
use crate::service::generate::jobs::Job;
use crate::service::generate::wanted::{FileFormat, Target, Wanted};
use crate::service::generate::{Order, file, prepare};
use crate::service::pipeline::{lock, now_us};
use crate::service::wire::{
    GeneratedRows, Generation, GenerationList, GenerationRequest, Instant, Problem, ProblemField,
};

/// The largest request.
const REQUEST_BYTES_MAX: usize = 16 << 10;

/// Make synthetic transactions: into the answer, into a file, or down the live stream as a job.
///
/// Members may be parameters of the query as well, `simulator` or `generator` for `source`. Every transaction carries a mark
/// that says what made it. The same seed and start make the same transactions.
#[utoipa::path(post, path = "/v1/generate", tag = "synthetic",
    params(
        ("rows" = Option<u64>, Query, description = "as in the body"),
        ("fraud_share" = Option<f64>, Query, description = "as in the body"),
        ("simulator" = Option<String>, Query, description = "a simulator as the source"),
        ("generator" = Option<String>, Query, description = "a generator as the source"),
        ("seed" = Option<u64>, Query, description = "as in the body"),
        ("to" = Option<String>, Query, description = "rows, file or stream"),
        ("format" = Option<String>, Query, description = "csv, jsonl or parquet"),
        ("rate" = Option<f64>, Query, description = "as in the body"),
        ("start" = Option<String>, Query, description = "as in the body"),
    ),
    request_body(content = GenerationRequest, example = json!({"rows": 10, "fraud_share": 0.2, "seed": 7})),
    responses(
        (status = 200, body = GeneratedRows, description = "to rows: the transactions; to file: the file itself"),
        (status = 202, body = Generation, description = "to stream: the job that sends them"),
        (status = 400, body = Problem, description = "not a JSON object"),
        (status = 413, body = Problem, description = "too large"),
        (status = 422, body = Problem, description = "members are missing or wrong, or it cannot be made"),
        (status = 429, body = Problem, description = "as many generations as may be are under way"),
    ))]
pub async fn generate(
    State(api): State<Api>,
    query: Result<Query<HashMap<String, String>>, QueryRejection>,
    body: Body,
) -> Response {
    answer(api, query, body).await
}

/// Make synthetic transactions: another name for `POST /v1/generate`.
#[utoipa::path(post, path = "/generate", tag = "synthetic",
    request_body(content = GenerationRequest, example = json!({"rows": 10, "fraud_share": 0.2, "seed": 7})),
    responses(
        (status = 200, body = GeneratedRows, description = "to rows: the transactions; to file: the file itself"),
        (status = 202, body = Generation, description = "to stream: the job that sends them"),
        (status = 400, body = Problem, description = "not a JSON object"),
        (status = 413, body = Problem, description = "too large"),
        (status = 422, body = Problem, description = "members are missing or wrong, or it cannot be made"),
        (status = 429, body = Problem, description = "as many generations as may be are under way"),
    ))]
pub async fn generate_alias(
    State(api): State<Api>,
    query: Result<Query<HashMap<String, String>>, QueryRejection>,
    body: Body,
) -> Response {
    answer(api, query, body).await
}

/// Jobs that send synthetic transactions down the live stream, newest first.
#[utoipa::path(get, path = "/v1/generate", tag = "synthetic",
    responses((status = 200, body = GenerationList, description = "those of this process, the last hundred at least")))]
pub async fn jobs(State(api): State<Api>) -> Json<GenerationList> {
    Json(GenerationList { items: api.generations.list() })
}

/// How a job stands.
#[utoipa::path(get, path = "/v1/generate/{id}", tag = "synthetic",
    params(("id" = String, Path, description = "the job's id")),
    responses(
        (status = 200, body = Generation, description = "how it stands"),
        (status = 404, body = Problem, description = "no such job"),
    ))]
pub async fn job(State(api): State<Api>, Named(id): Named) -> Response {
    match find(&api, &id) {
        Ok(job) => Json(job.tell()).into_response(),
        Err(response) => response,
    }
}

/// Stop a job. What it has sent stays, and frauds among it are still labelled.
#[utoipa::path(delete, path = "/v1/generate/{id}", tag = "synthetic",
    params(("id" = String, Path, description = "the job's id")),
    responses(
        (status = 200, body = Generation, description = "how it stands; one that has ended is left as it is"),
        (status = 404, body = Problem, description = "no such job"),
    ))]
pub async fn cancel(State(api): State<Api>, Named(id): Named) -> Response {
    match find(&api, &id) {
        Ok(job) => {
            job.cancel();
            Json(job.tell()).into_response()
        }
        Err(response) => response,
    }
}

#[expect(clippy::result_large_err, reason = "once a request, and only where it is wrong")]
fn find(api: &Api, id: &str) -> Result<Arc<Job>, Response> {
    api.generations.find(id).ok_or_else(|| {
        let error = FieldError::new("id", id, "the id of a job of this process");
        problem(StatusCode::NOT_FOUND, "no such job", &format!("there is no job {id:?}"), vec![error.into()])
    })
}

async fn answer(
    api: Api,
    query: Result<Query<HashMap<String, String>>, QueryRejection>,
    body: Body,
) -> Response {
    let Ok(Query(query)) = query else {
        return invalid("query", "unreadable", "name=value pairs joined by &");
    };
    let members = match members(&api, body).await {
        Ok(members) => members,
        Err(response) => return response,
    };
    let wanted = match Wanted::read(members, &query, &api.shared.detector, &api.generations.config) {
        Ok(wanted) => wanted,
        Err(mistakes) => return refused(mistakes),
    };
    let Some(permit) = api.generations.permit() else { return too_many(&api) };
    let made = match wanted.to {
        Target::Rows => rows(api, wanted, permit).await,
        Target::File(format) => download(api, wanted, format, permit).await,
        Target::Stream { .. } => stream(api, wanted, permit).await,
    };
    made.unwrap_or_else(|error| {
        let detail = format!("{error:#}");
        problem(StatusCode::UNPROCESSABLE_ENTITY, "cannot be made", &detail, Vec::new())
    })
}

async fn members(api: &Api, body: Body) -> Result<Map<String, Value>, Response> {
    let body = read_body(api, body, REQUEST_BYTES_MAX).await?;
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(Map::new());
    }
    serde_json::from_slice(&body).map_err(|error| {
        rejected(&whole_body(&error.to_string(), "one JSON object with rows, and what else is wanted"))
    })
}

fn refused(mistakes: Vec<ProblemField>) -> Response {
    let tell = |mistake: &ProblemField| {
        format!("{} is {}: expected {}", mistake.field, mistake.value, mistake.expected)
    };
    let detail = mistakes.iter().map(tell).collect::<Vec<_>>().join("; ");
    problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid request", &detail, mistakes)
}

fn too_many(api: &Api) -> Response {
    let detail = format!(
        "{} generations are under way, as many as synthetic.jobs allows: cancel one or wait",
        api.generations.config.at_once
    );
    let mut response = problem(StatusCode::TOO_MANY_REQUESTS, "too many generations", &detail, Vec::new());
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
    response
}

/// Where made transactions begin: after the newest of the live stream, or now where there is none. A stream that is ahead of the
/// time of day by no more than `max_time_jump` is one that a job has run ahead: the next begins now, not where that one ended,
/// so that jobs do not carry the stream away from real transactions.
fn live_time(api: &Api) -> i64 {
    let now_us = now_us();
    let ahead_us = api.shared.detector.schema.max_time_jump_us;
    match lock(&api.shared.stats).stream_us {
        Some(stream_us) if (now_us..=now_us.saturating_add(ahead_us)).contains(&stream_us) => now_us,
        Some(stream_us) => stream_us,
        None => now_us,
    }
}

/// Makes ready what was asked for, away from the threads that answer requests.
async fn prepared(
    api: &Api,
    wanted: &Wanted,
    start_us: i64,
    own: &Own,
    is_unwanted: &Arc<AtomicBool>,
) -> Result<Events> {
    let (api, wanted, own) = (Arc::clone(api), wanted.clone(), own.clone());
    let is_unwanted = Arc::clone(is_unwanted);
    let work = move || {
        let order =
            Order { wanted: &wanted, start_us, own: &own.name, own_entities: own.entities, is_unwanted };
        prepare(&api.shared.detector, &api.generations.config, order)
    };
    tokio::task::spawn_blocking(work).await?
}

/// What ids begin with, and whether entities do too.
#[derive(Clone)]
struct Own {
    name: String,
    entities: bool,
}

impl Own {
    /// The same request makes the same rows: a hash (FNV-1a) of what makes them and of their start.
    fn of(wanted: &Wanted, start_us: i64) -> Own {
        let bytes = format!("{:?} {} {start_us}", wanted.maker, wanted.seed);
        let hash = bytes.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Own { name: format!("syn-{:08x}", hash >> 32), entities: false }
    }
}

async fn stream(api: Api, wanted: Wanted, permit: OwnedSemaphorePermit) -> Result<Response> {
    let id = format!("{:010x}", RandomState::new().hash_one(now_us()) >> 24);
    let (start_us, own) = (live_time(&api), Own { name: format!("syn-{id}"), entities: true });
    let is_unwanted = Arc::default();
    let events = prepared(&api, &wanted, start_us, &own, &is_unwanted).await?;
    let way = match &api.stream {
        Some(stream) => Way::Topics(stream.feed()?),
        None => Way::Pipeline(api.requests.clone()),
    };
    let destination = Destination::new(&api.shared.detector, way);
    let job = Job::new(id, wanted, start_us, events.mark.clone(), is_unwanted);
    let told = api.generations.start(job, events, destination, permit).tell();
    let location = [(header::LOCATION, told.links.job.clone())];
    Ok((StatusCode::ACCEPTED, location, Json(told)).into_response())
}

async fn rows(api: Api, wanted: Wanted, permit: OwnedSemaphorePermit) -> Result<Response> {
    let start_us = wanted.start_us.unwrap_or_else(|| live_time(&api));
    let watch = Watch::default();
    let events = prepared(&api, &wanted, start_us, &Own::of(&wanted, start_us), &watch.is_unwanted).await?;
    let (detector, is_unwanted) = (Arc::clone(&api.shared.detector), Arc::clone(&watch.is_unwanted));
    let work = move || {
        let batch = EventBatch::new(Arc::new(detector.schema.clone()));
        let text = write_rows(events, &wanted, start_us, batch, &is_unwanted);
        drop(permit);
        text
    };
    let text = tokio::task::spawn_blocking(work).await??;
    Ok(([(header::CONTENT_TYPE, "application/json")], text).into_response())
}

/// A `GeneratedRows` as JSON, from events that are JSON already.
fn write_rows(
    mut events: Events,
    wanted: &Wanted,
    start_us: i64,
    mut batch: EventBatch,
    is_unwanted: &AtomicBool,
) -> Result<String> {
    let mut rows = String::new();
    while events.next(&mut batch)? {
        if !rows.is_empty() {
            rows.push(',');
        }
        write_whole_event(&batch, 0, &mut rows);
        batch.clear();
        ensure!(!is_unwanted.load(Ordering::Relaxed), "nobody waits for it any more");
    }
    let head = GeneratedRows {
        source: wanted.maker.told(),
        synthetic: events.mark,
        seed: wanted.seed,
        start: Instant(start_us),
        frauds: events.frauds,
        fraud_share: events.frauds as f64 / events.made.max(1) as f64,
        rows: Vec::new(),
    };
    let mut text = serde_json::to_string(&head)?;
    // The list of rows is the last member.
    text.truncate(text.len() - 2);
    Ok(text + &rows + "]}")
}

async fn download(
    api: Api,
    wanted: Wanted,
    format: FileFormat,
    permit: OwnedSemaphorePermit,
) -> Result<Response> {
    let start_us = wanted.start_us.unwrap_or_else(|| live_time(&api));
    let (own, watch) = (Own::of(&wanted, start_us), Watch::default());
    let mut events = prepared(&api, &wanted, start_us, &own, &watch.is_unwanted).await?;
    let is_unwanted = Arc::clone(&watch.is_unwanted);
    let work = move || {
        let schema = Arc::new(api.shared.detector.schema.clone());
        let file = write_file(&mut events, &schema, &api.generations.folder, format, &is_unwanted)?;
        anyhow::Ok((file, events))
    };
    let (file, events) = tokio::task::spawn_blocking(work).await??;
    let headers = [
        ("content-type", content_type(format).to_string()),
        ("content-disposition", format!("attachment; filename=\"{}.{}\"", own.name, format.ending())),
        ("redflag-synthetic", events.mark),
        ("redflag-seed", wanted.seed.to_string()),
        ("redflag-start", engine::time::format_instant(start_us)),
        ("redflag-rows", events.made.to_string()),
        ("redflag-frauds", events.frauds.to_string()),
    ];
    let mut response = Response::new(Body::new(Download::start(file, permit)?));
    for (name, value) in headers {
        response.headers_mut().insert(name, HeaderValue::from_str(&value)?);
    }
    Ok(response)
}

/// Writes a file that has no name any more when it is given: it goes with whoever holds it.
fn write_file(
    events: &mut Events,
    schema: &Arc<Schema>,
    folder: &FilePath,
    format: FileFormat,
    is_unwanted: &AtomicBool,
) -> Result<std::fs::File> {
    std::fs::create_dir_all(folder)?;
    let path = folder.join(format!("{:016x}.{}", RandomState::new().hash_one(now_us()), format.ending()));
    file::write(events, schema, &path, is_unwanted)?;
    let file = std::fs::File::open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}

fn content_type(format: FileFormat) -> &'static str {
    match format {
        FileFormat::Csv => "text/csv",
        FileFormat::Jsonl => "application/x-ndjson",
        FileFormat::Parquet => "application/vnd.apache.parquet",
    }
}

/// Goes with the request: when whoever asked has gone, what is made for them is not wanted any more.
#[derive(Default)]
struct Watch {
    is_unwanted: Arc<AtomicBool>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.is_unwanted.store(true, Ordering::Relaxed);
    }
}
