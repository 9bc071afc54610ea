//! Errors as problem documents (RFC 9457).

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use engine::card::mask;
use engine::{FieldError, Rejection};

use crate::service::wire::{Problem, ProblemField};

/// A problem document. What is quoted in it may have been anything: card numbers are masked.
pub fn problem(status: StatusCode, title: &str, detail: &str, errors: Vec<ProblemField>) -> Response {
    let masked = |text: String| mask(&text).into_owned();
    let errors = errors.into_iter().map(|error| ProblemField {
        field: masked(error.field),
        value: masked(error.value),
        expected: error.expected,
    });
    let document = Problem {
        kind: "about:blank".to_string(),
        title: title.to_string(),
        status: status.as_u16(),
        detail: mask(detail).into_owned(),
        errors: errors.collect(),
    };
    let body = serde_json::to_string(&document).expect("a problem has no maps with odd keys");
    (status, [(header::CONTENT_TYPE, "application/problem+json")], body).into_response()
}

/// What is wrong with a transaction.
pub fn rejected(rejection: &Rejection) -> Response {
    let errors: Vec<ProblemField> = rejection.errors.iter().cloned().map(ProblemField::from).collect();
    let unreadable = rejection.errors.iter().all(|error| error.field.is_empty());
    let (status, title) = if unreadable {
        (StatusCode::BAD_REQUEST, "unreadable body")
    } else {
        (StatusCode::UNPROCESSABLE_ENTITY, "invalid transaction")
    };
    problem(status, title, &rejection.to_string(), errors)
}

/// What is wrong with one parameter or field of a request.
pub fn invalid(field: &str, value: &str, expected: &str) -> Response {
    let error = FieldError::new(field, format_args!("{value:?}"), expected);
    let detail = error.to_string();
    problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid request", &detail, vec![error.into()])
}

/// The store or the pipeline cannot answer now.
pub fn unavailable() -> Response {
    let detail = "the store refuses at the moment; nothing was decided, try again";
    let mut response = problem(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail, vec![]);
    response.headers_mut().insert(header::RETRY_AFTER, axum::http::HeaderValue::from_static("1"));
    response
}
