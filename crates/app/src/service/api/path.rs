//! What stands in the path of a request.

use axum::extract::path::ErrorKind;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use axum::response::Response;

use super::problem::invalid;

/// The name or id in a path. What is no text is refused, by the name of the parameter.
pub struct Named(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Named, Response> {
        parameter(parts, state).await.map(|(_, text)| Named(text))
    }
}

/// The whole number in a path. Anything else is refused, by the name of the parameter.
pub struct Numbered<N>(pub N);

impl<S: Send + Sync, N: std::str::FromStr> FromRequestParts<S> for Numbered<N> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Numbered<N>, Response> {
        let (name, text) = parameter(parts, state).await?;
        text.parse().map(Numbered).map_err(|_| invalid(&name, &text, "a whole number"))
    }
}

/// Name and text of the only parameter of a path.
async fn parameter<S: Send + Sync>(parts: &mut Parts, state: &S) -> Result<(String, String), Response> {
    let Path((parameter,)) =
        Path::<((String, String),)>::from_request_parts(parts, state).await.map_err(unreadable)?;
    Ok(parameter)
}

/// Why the parameters of a path cannot be read: nothing but UTF-8 can be wrong with a route of this program.
pub fn unreadable(rejection: PathRejection) -> Response {
    let name = match &rejection {
        PathRejection::FailedToDeserializePathParams(failure) => match failure.kind() {
            ErrorKind::InvalidUtf8InPathParam { key } => key.as_str(),
            _ => "path",
        },
        _ => "path",
    };
    invalid(name, "not UTF-8", "text, percent-encoded")
}
