//! The page, embedded in the binary.

use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};

use super::problem::problem;

mod files {
    include!(concat!(env!("OUT_DIR"), "/page.rs"));
}

/// Nothing is loaded from elsewhere, nothing is framed; styles of charts are set inline.
const SECURITY_POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
     connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'; object-src 'none'";

/// Answers a method that a door does not have.
pub async fn wrong_method(method: Method, uri: Uri) -> Response {
    let detail = format!("{method} is not answered at {}", uri.path());
    problem(StatusCode::METHOD_NOT_ALLOWED, "method not allowed", &detail, vec![])
}

/// Serves the page's files, and the page itself for every path that is no door of the API.
pub async fn serve(method: Method, uri: Uri) -> Response {
    let path = uri.path().trim_start_matches('/');
    if path == "v1" || path.starts_with("v1/") {
        return problem(
            StatusCode::NOT_FOUND,
            "no such door",
            &format!("there is no {}", uri.path()),
            vec![],
        );
    }
    if method != Method::GET && method != Method::HEAD {
        let mut response = wrong_method(method, uri).await;
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET,HEAD"));
        return response;
    }
    match find(path) {
        Some((name, contents)) => file(name, contents),
        None if path.starts_with("assets/") => {
            problem(StatusCode::NOT_FOUND, "no such file", &format!("there is no {}", uri.path()), vec![])
        }
        None => match find("index.html") {
            Some((name, contents)) => file(name, contents),
            None => (StatusCode::NOT_FOUND, "this binary was built without the page: run `make build`\n")
                .into_response(),
        },
    }
}

fn find(path: &str) -> Option<(&'static str, &'static [u8])> {
    files::FILES.iter().find(|(name, _)| *name == path).copied()
}

fn file(name: &str, contents: &'static [u8]) -> Response {
    // Names under assets/ carry a hash of their contents.
    let caching =
        if name.starts_with("assets/") { "public, max-age=31536000, immutable" } else { "no-cache" };
    let headers = [
        (header::CONTENT_TYPE, content_type(name)),
        (header::CACHE_CONTROL, caching),
        (header::CONTENT_SECURITY_POLICY, SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    (headers, contents).into_response()
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("ico") => "image/x-icon",
        Some("woff2") => "font/woff2",
        Some("json" | "webmanifest") => "application/json",
        _ => "application/octet-stream",
    }
}
