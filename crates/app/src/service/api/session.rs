//! Who somebody is, and how the page remembers it.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use engine::time::SECOND_US;

use super::Api;
use super::problem::{invalid, problem};
use super::write::read_body;
use crate::service::access::guard::Told;
use crate::service::access::role::Roles;
use crate::service::access::{Unknown, Who, cookie};
use crate::service::pipeline::{TRANSACTION_BYTES_MAX, now_us};
use crate::service::wire::{Me, Problem, SessionRequest};

/// Who asks; nobody where nobody is asked who they are.
pub struct Caller(Option<Who>);

impl Caller {
    /// Their name, if it is known.
    pub fn name(&self) -> Option<&str> {
        self.0.as_ref().map(|who| &*who.name)
    }

    /// Their name: what a request says of it counts only where nobody is asked who they are.
    pub fn name_or(&self, said: String) -> String {
        self.name().map_or(said, str::to_string)
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Caller, Infallible> {
        Ok(Caller(parts.extensions.get().cloned()))
    }
}

/// Who asks, and what they may do.
#[utoipa::path(get, path = "/v1/me", tag = "access",
    responses((status = 200, body = Me, description = "who it is")))]
pub async fn me(State(api): State<Api>, caller: Caller) -> Json<Me> {
    Json(caller.0.map_or_else(|| anybody(&api), |who| described(&who)))
}

/// Where nobody is asked who they are, everybody may do everything.
fn anybody(api: &Api) -> Me {
    let roles = if api.access.is_on() { Roles::NONE } else { Roles::ANY };
    Me { name: None, roles: names(roles), authentication: "off".to_string() }
}

fn described(who: &Who) -> Me {
    let authentication = who.means.name().to_string();
    Me { name: Some(who.name.to_string()), roles: names(who.roles), authentication }
}

fn names(roles: Roles) -> Vec<String> {
    roles.names().map(str::to_string).collect()
}

/// Sign in on the page: shows a key or token once, and gets a cookie that scripts cannot read. It ends with its time, with its
/// key, or by `DELETE /v1/session`.
#[utoipa::path(post, path = "/v1/session", tag = "access", request_body = SessionRequest,
    responses(
        (status = 200, body = Me, description = "signed in, the cookie is in Set-Cookie; or nobody is asked who they are"),
        (status = 401, body = Problem, description = "the key or token is not good"),
        (status = 413, body = Problem, description = "too large"),
        (status = 422, body = Problem, description = "there is no key in the request"),
        (status = 503, body = Problem, description = "too many are signed in"),
    ))]
pub async fn open(State(api): State<Api>, body: Body) -> Response {
    let body = match read_body(&api, body, TRANSACTION_BYTES_MAX).await {
        Ok(body) => body,
        Err(response) => return response,
    };
    // What is wrong with it is not told: the error would repeat what may be a key.
    let Ok(SessionRequest { key }) = serde_json::from_slice(&body) else {
        return invalid("key", "not there", "an object with the text key: an API key or a token");
    };
    if !api.access.is_on() {
        return Json(anybody(&api)).into_response();
    }
    let (who, proof) = match api.access.by_shown(key.trim()).await {
        Ok(found) => found,
        Err(Unknown(why)) => return problem(StatusCode::UNAUTHORIZED, "who are you?", &why, Vec::new()),
    };
    let (now_us, lasts_us) = (now_us(), api.access.config.session_us);
    let Some(cookie) = api.access.sessions.open(proof, now_us, now_us + lasts_us) else {
        let detail = "too many are signed in at the moment";
        return problem(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail, Vec::new());
    };
    let mut response = Json(described(&who)).into_response();
    response.headers_mut().insert(header::SET_COOKIE, set_cookie(&api, &cookie, lasts_us / SECOND_US));
    response
        .extensions_mut()
        .insert(Told { who: Some((Arc::clone(&who.name), who.roles)), ..Told::default() });
    response
}

/// Sign out.
#[utoipa::path(delete, path = "/v1/session", tag = "access",
    responses((status = 204, description = "signed out")))]
pub async fn close(State(api): State<Api>, headers: HeaderMap) -> Response {
    if let Some(cookie) = cookie(&headers, api.access.cookie_name()) {
        api.access.sessions.close(cookie);
    }
    let mut response = StatusCode::NO_CONTENT.into_response();
    response.headers_mut().insert(header::SET_COOKIE, set_cookie(&api, "", 0));
    response
}

fn set_cookie(api: &Api, value: &str, lasts_s: i64) -> HeaderValue {
    let secure = if api.access.is_encrypted() { "; Secure" } else { "" };
    let name = api.access.cookie_name();
    let text = format!("{name}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={lasts_s}{secure}");
    HeaderValue::try_from(text).expect("base64url is fit for a header")
}
