//! Doors that change something: transactions and labels.

use std::time::Instant;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use engine::{FieldError, Rejection};
use tokio::sync::oneshot;

use super::Api;
use super::problem::{invalid, problem, rejected, unavailable};
use crate::service::fallback::Fallbacks;
use crate::service::pipeline::{self, Answer, TRANSACTION_BYTES_MAX, lock, new_rejection};
use crate::service::traces::context::Trace;
use crate::service::wire::{BatchLine, Decided, LabelAccepted, LabelRequest, LineProblem, Problem};

/// The largest batch.
pub const BATCH_BYTES_MAX: usize = 16 << 20;

/// The most lines of a batch: the answer to a line can be far longer than the line.
const BATCH_LINES_MAX: usize = 100_000;

/// Lines of a batch that go to the pipeline at a time, so that others get their turn.
const BATCH_LINES: usize = 256;

const JSON: [(header::HeaderName, &str); 1] = [(header::CONTENT_TYPE, "application/json")];

/// Decide one transaction.
///
/// The same id gets the same stored decision, with the header `idempotent-replayed: true`.
#[utoipa::path(post, path = "/v1/transactions", tag = "transactions",
    request_body(content = Object, description = "One event with the fields of the detector"),
    responses(
        (status = 200, body = Decided, description = "the decision; after the deadline what rules say, with a member `fallback`"),
        (status = 400, body = Problem, description = "not a JSON object"),
        (status = 413, body = Problem, description = "too large"),
        (status = 422, body = Problem, description = "fields are missing or wrong"),
        (status = 503, body = Problem, description = "the store refuses; nothing was decided"),
    ))]
pub async fn decide(State(api): State<Api>, request: Request) -> Response {
    decide_one(&api, request, Instant::now()).await
}

/// Decide one transaction: another name for `POST /v1/transactions`.
#[utoipa::path(post, path = "/predict", tag = "transactions",
    request_body(content = Object, description = "One event with the fields of the detector"),
    responses(
        (status = 200, body = Decided, description = "the decision; after the deadline what rules say, with a member `fallback`"),
        (status = 400, body = Problem, description = "not a JSON object"),
        (status = 413, body = Problem, description = "too large"),
        (status = 422, body = Problem, description = "fields are missing or wrong"),
        (status = 503, body = Problem, description = "the store refuses; nothing was decided"),
    ))]
pub async fn predict(State(api): State<Api>, request: Request) -> Response {
    decide_one(&api, request, Instant::now()).await
}

/// Where Kafka brings the transactions, they are not taken over HTTP as well: their order would stand nowhere.
pub async fn only_where_decided(State(api): State<Api>, request: Request, next: Next) -> Response {
    match &api.stream {
        Some(stream) if request.method() == Method::POST && !is_for_every_source(request.uri()) => {
            let detail = format!(
                "this service decides what the Kafka topic `{}` holds: send it there",
                stream.transactions
            );
            problem(StatusCode::CONFLICT, "transactions come in through Kafka", &detail, Vec::new())
        }
        _ => next.run(request).await,
    }
}

/// Models, alerts and synthetic transactions have their own ways to the topics; decisions that were made send nothing there.
fn is_for_every_source(uri: &Uri) -> bool {
    let path = uri.path();
    ["/v1/models/", "/v1/alerts/", "/v1/decisions/", "/v1/generate/", "/v1/session"]
        .iter()
        .any(|doors| path.starts_with(doors))
        || ["/v1/generate", "/generate", "/v1/erasures"].contains(&uri.path())
}

/// When a request came in, and the trace that it belongs to, if it is sampled.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    received: Instant,
    trace: Option<Trace>,
}

impl Asked {
    fn of(request: &Request, received: Instant) -> Asked {
        Asked { received, trace: request.extensions().get().copied() }
    }
}

/// The answer to one transaction, received then.
pub async fn decide_one(api: &Api, request: Request, received: Instant) -> Response {
    let asked = Asked::of(&request, received);
    let body = request.into_body();
    let body = match read_body(api, body, TRANSACTION_BYTES_MAX).await {
        Ok(body) => body,
        Err(response) => return response,
    };
    match &api.fallbacks {
        None => answer(ask(api, vec![body], asked).await),
        Some(fallbacks) => answer_in_time(api, fallbacks, body, asked).await,
    }
}

fn answer(answers: Option<Vec<Answer>>) -> Response {
    match answers.map(|mut answers| answers.pop()) {
        Some(Some(Answer::Decided { json, repeated: false })) => (JSON, json).into_response(),
        Some(Some(Answer::Decided { json, repeated: true })) => {
            (JSON, [("idempotent-replayed", "true")], json).into_response()
        }
        Some(Some(Answer::Rejected(rejection))) => rejected(&rejection),
        Some(None) | None => unavailable(),
    }
}

/// The decision, or what rules say of the transaction when the deadline has passed. What finds the queue full until then is turned
/// away: it would not be decided, and nothing of it would be stored.
async fn answer_in_time(api: &Api, fallbacks: &Fallbacks, body: Bytes, asked: Asked) -> Response {
    let Asked { received, trace } = asked;
    let deadline = fallbacks.deadline.saturating_sub(received.elapsed());
    let (reply, mut decided) = oneshot::channel();
    let request = pipeline::Request::Decide { bodies: vec![body.clone()], received, trace, reply };
    match tokio::time::timeout(deadline, api.requests.send(request)).await {
        Ok(Ok(())) => {}
        Ok(Err(_)) | Err(_) => return unavailable(),
    }
    let deadline = fallbacks.deadline.saturating_sub(received.elapsed());
    if let Ok(in_time) = tokio::time::timeout(deadline, &mut decided).await {
        return answer(in_time.ok().and_then(Result::ok));
    }
    let detector = &api.shared.models.current().detector;
    let Some((decision, said)) = fallbacks.decide(detector, &body, received.elapsed()) else {
        return answer(decided.await.ok().and_then(Result::ok));
    };
    // Behind the transaction in the queue, so that its decision is there when this is to be noted. The caller does not wait for room.
    let requests = api.requests.clone();
    tokio::spawn(async move { drop(requests.send(pipeline::Request::Fallback(said)).await) });
    lock(&api.shared.stats).fallbacks += 1;
    axum::Json(decision).into_response()
}

/// Decide many transactions, one JSON object a line.
///
/// The answer has a line for each: a decision, or what is wrong with it.
#[utoipa::path(post, path = "/v1/transactions/batch", tag = "transactions",
    request_body(content = String, content_type = "application/x-ndjson"),
    responses(
        (status = 200, body = BatchLine, content_type = "application/x-ndjson", description = "a line for each"),
        (status = 400, body = Problem, description = "no lines"),
        (status = 413, body = Problem, description = "too large"),
        (status = 503, body = Problem, description = "the store refuses; lines that were decided are stored, send all again"),
    ))]
pub async fn decide_batch(State(api): State<Api>, request: Request) -> Response {
    let asked = Asked::of(&request, Instant::now());
    let body = match read_body(&api, request.into_body(), BATCH_BYTES_MAX).await {
        Ok(body) => body,
        Err(response) => return response,
    };
    let lines = lines_of(&body);
    if lines.is_empty() {
        return rejected(&whole_body("an empty body", "one JSON object a line"));
    }
    if lines.len() > BATCH_LINES_MAX {
        return too_large(&api, format_args!("a body of more than {BATCH_LINES_MAX} lines"));
    }
    let mut out = String::new();
    for part in lines.chunks(BATCH_LINES) {
        let bodies = part.iter().map(|(_, line)| line.clone()).collect();
        let Some(answers) = ask(&api, bodies, asked).await else {
            return unavailable();
        };
        for ((number, _), answer) in part.iter().zip(answers) {
            out.push_str(&line_of(*number, answer));
            out.push('\n');
        }
    }
    ([(header::CONTENT_TYPE, "application/x-ndjson")], out).into_response()
}

/// The lines that are not empty, with their numbers from 1; not many more than are taken.
fn lines_of(body: &Bytes) -> Vec<(u64, Bytes)> {
    let lines = (1..).zip(body.split(|byte| *byte == b'\n'));
    let filled = lines.filter(|(_, line)| !line.iter().all(u8::is_ascii_whitespace));
    filled.take(BATCH_LINES_MAX + 1).map(|(number, line)| (number, body.slice_ref(line))).collect()
}

fn line_of(number: u64, answer: Answer) -> String {
    match answer {
        Answer::Decided { json, .. } => json,
        Answer::Rejected(rejection) => {
            let errors = rejection.errors.into_iter().map(Into::into).collect();
            let line = LineProblem { line: number, errors };
            serde_json::to_string(&line).expect("a line has no maps with odd keys")
        }
    }
}

/// Say what became known of a transaction: fraud or not.
#[utoipa::path(post, path = "/v1/labels", tag = "labels", request_body = LabelRequest,
    responses(
        (status = 200, body = LabelAccepted, description = "stored; the same label again gets the same answer"),
        (status = 400, body = Problem, description = "not a label"),
        (status = 404, body = Problem, description = "no such transaction"),
        (status = 413, body = Problem, description = "too large"),
        (status = 503, body = Problem, description = "the store refuses; nothing was stored"),
    ))]
pub async fn label(State(api): State<Api>, body: Body) -> Response {
    let body = match read_body(&api, body, TRANSACTION_BYTES_MAX).await {
        Ok(body) => body,
        Err(response) => return response,
    };
    let wanted: LabelRequest = match serde_json::from_slice(&body) {
        Ok(wanted) => wanted,
        Err(error) => {
            let expected = "an object with transaction_id (text) and fraud (true or false)";
            return rejected(&whole_body(&error.to_string(), expected));
        }
    };
    let (reply, answer) = oneshot::channel();
    let request = pipeline::Request::Label {
        transaction_id: wanted.transaction_id.clone(),
        fraud: wanted.fraud,
        reply,
    };
    if api.requests.send(request).await.is_err() {
        return unavailable();
    }
    match answer.await {
        Ok(Ok(Some(accepted))) => axum::Json(accepted).into_response(),
        Ok(Ok(None)) => {
            let detail = format!("there is no transaction {:?}", wanted.transaction_id);
            let error =
                FieldError::new("transaction_id", &wanted.transaction_id, "the id of a stored transaction");
            problem(StatusCode::NOT_FOUND, "no such transaction", &detail, vec![error.into()])
        }
        Ok(Err(_)) | Err(_) => unavailable(),
    }
}

/// `None` if the pipeline cannot answer.
async fn ask(api: &Api, bodies: Vec<Bytes>, asked: Asked) -> Option<Vec<Answer>> {
    let Asked { received, trace } = asked;
    let (reply, answer) = oneshot::channel();
    api.requests.send(pipeline::Request::Decide { bodies, received, trace, reply }).await.ok()?;
    answer.await.ok()?.ok()
}

pub fn whole_body(value: &str, expected: &str) -> Rejection {
    FieldError::new("", value, expected).into()
}

pub async fn read_body(api: &Api, body: Body, bytes_max: usize) -> Result<Bytes, Response> {
    match to_bytes(body, bytes_max).await {
        Ok(body) => Ok(body),
        Err(error) if is_too_large(&error) => {
            let mut response = too_large(api, format_args!("a body of more than {bytes_max} bytes"));
            // What is left of the body is not read, so nothing can follow it.
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            Err(response)
        }
        Err(error) => Err(invalid("body", &error.to_string(), "a whole request body")),
    }
}

fn too_large(api: &Api, found: std::fmt::Arguments) -> Response {
    let rejection = whole_body(&found.to_string(), "a smaller one");
    // A full queue has better things to keep.
    drop(api.requests.try_send(pipeline::Request::Reject(new_rejection("http", &rejection, b""))));
    let errors = rejection.errors.iter().cloned().map(Into::into).collect();
    problem(StatusCode::PAYLOAD_TOO_LARGE, "too large", &rejection.to_string(), errors)
}

fn is_too_large(error: &axum::Error) -> bool {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        if error.to_string().contains("length limit exceeded") {
            return true;
        }
        cause = error.source();
    }
    false
}
