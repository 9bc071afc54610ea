//! The door of Prometheus.

use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};

use super::Api;
use crate::service::metrics::expose;
use crate::service::metrics::text::Format;

/// What is measured, in the text of OpenMetrics 1.0 or, for who does not accept that, of Prometheus 0.0.4 (docs/metrics.md).
#[utoipa::path(get, path = "/metrics", tag = "service",
    responses((status = 200, body = String, content_type = "text/plain", description = "all metrics")))]
pub async fn metrics(State(api): State<Api>, headers: HeaderMap) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let format = Format::accepted(accept);
    ([(header::CONTENT_TYPE, format.media_type())], expose(&api, format)).into_response()
}
