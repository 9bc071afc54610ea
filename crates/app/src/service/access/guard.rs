//! What happens at the threshold: a request goes on to its door, or is answered here; what it did is noted.

use engine::card::{Cards, mask};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, header};
use axum::response::Response;
use store::NewAuditEntry;

use super::doors::{DOORS, Door, Least, door, is_page};
use super::limits::{Rate, neighbourhood};
use super::role::Roles;
use super::{Access, STRANGERS, Unknown, Who};
use crate::service::api::problem::problem;
use crate::service::audit::{Audit, entry};
use crate::service::pipeline::lock;

/// The same reading by the same one is noted once in this time: a page that is open asks again and again.
const NOTED_AGAIN: Duration = Duration::from_secs(60);

/// Readings that are remembered for it.
const NOTED_MAX: usize = 10_000;

/// What the paths of entities begin with.
const ENTITIES: &str = "/v1/entities/";

/// Parameters whose values are ids of entities.
const NAMES_OF_IDS: [&str; 2] = ["key", "entity"];

/// The longest subject that is noted.
const SUBJECT_CHARS_MAX: usize = 500;

/// By whom something is done where nobody is asked who they are.
const ANYBODY: &str = "anybody";

/// A door's answer can say more for the audit log than can be seen from outside: put this into its extensions.
#[derive(Debug, Clone, Default)]
pub struct Told {
    /// Who did it, where that is known only now: who has just signed in.
    pub who: Option<(Arc<str>, Roles)>,
    /// A few words more.
    pub detail: String,
}

/// A request that may go on.
#[derive(Debug)]
pub struct Admitted {
    door: Option<&'static Door>,
    who: Option<Who>,
    subject: Option<String>,
}

impl Admitted {
    /// Whether it brings one transaction.
    pub fn is_transaction(&self) -> bool {
        self.door.is_some_and(|door| std::ptr::eq(door, &DOORS[0]))
    }

    /// The path of its door, with `{}` for what varies.
    pub fn route(&self) -> Option<&'static str> {
        self.door.map(|door| door.path)
    }

    /// Who asks, where a door may want to know: what brings transactions does not.
    pub fn caller(&self) -> Option<Who> {
        let is_told = self.door.is_some_and(|door| door.is_reading() || door.action.is_some());
        self.who.clone().filter(|_| is_told)
    }
}

/// Readings that were noted lately, and when.
#[derive(Debug, Default)]
pub struct Noted(Mutex<HashMap<(String, &'static str, String), Instant>>);

impl Access {
    /// Whether a request may go on.
    ///
    /// # Errors
    /// The answer, if it may not.
    pub async fn admit<B>(
        &self,
        request: &Request<B>,
        peer: IpAddr,
        audit: &Audit,
    ) -> Result<Admitted, Response> {
        let door = door(request.method(), request.uri().path());
        let who = match self.admit_to(door, request, peer).await {
            Ok(who) => who,
            Err((who, response)) => {
                self.note_refusal(door, who.as_ref(), request.uri(), &response, audit);
                return Err(response);
            }
        };
        let noted = door.filter(|door| door.action.is_some());
        let subject = noted.map(|_| subject(request.uri(), &self.pseudonyms));
        if noted.is_some_and(|door| !door.is_reading()) && !audit.is_writable() {
            return Err(not_noted());
        }
        Ok(Admitted { door, who, subject })
    }

    async fn admit_to<B>(
        &self,
        door: Option<&'static Door>,
        request: &Request<B>,
        peer: IpAddr,
    ) -> Result<Option<Who>, (Option<Who>, Response)> {
        let (headers, uri) = (request.headers(), request.uri());
        let shows = headers.contains_key(header::AUTHORIZATION) || headers.contains_key("x-api-key");
        let changes =
            !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE);
        // A cookie, or this machine's trust in itself, is there whoever has made the browser send the request.
        if !shows && (changes || headers.contains_key(header::UPGRADE)) && !is_from_here(headers) {
            let detail = "a page of another site has made the browser send this";
            return Err((None, problem(StatusCode::FORBIDDEN, "not from here", detail, Vec::new())));
        }
        let least = door.map_or_else(
            || if is_page(uri.path()) { Least::Nothing } else { Least::One(Roles::ANY) },
            |door| door.least,
        );
        if !self.is_on() {
            return self.limit(None, peer, self.rate).map(|()| None).map_err(|response| (None, response));
        }
        let is_session = door.is_some_and(|door| door.path == "/v1/session");
        match (self.who(headers).await, least) {
            (Ok(Some(who)), Least::One(roles)) => match self.limit(Some(&who), peer, self.rate) {
                Err(response) => Err((Some(who), response)),
                Ok(()) if who.roles.meet(roles) => Ok(Some(who)),
                Ok(()) => {
                    let response = forbidden(&who, roles);
                    Err((Some(who), response))
                }
            },
            (who, Least::Nothing) => {
                let limited = if is_session { self.limit(None, peer, Some(STRANGERS)) } else { Ok(()) };
                limited.map(|()| who.ok().flatten()).map_err(|response| (None, response))
            }
            (Ok(None), _) => Err((None, self.turn_away(peer, None))),
            (Err(unknown), _) => Err((None, self.turn_away(peer, Some(&unknown)))),
        }
    }

    /// Takes a request from somebody's allowance.
    #[expect(clippy::result_large_err, reason = "once a request, and only where it is refused")]
    fn limit(&self, who: Option<&Who>, peer: IpAddr, rate: Option<Rate>) -> Result<(), Response> {
        let Some(rate) = rate else { return Ok(()) };
        let now = Instant::now();
        let taken = match who {
            Some(who) => who.bucket.take(rate, now),
            None => self.addresses.of(neighbourhood(peer)).take(rate, now),
        };
        taken.map_err(|wait| too_fast(wait, rate))
    }

    /// Who has not said who they are is told how to, unless they try too often.
    fn turn_away(&self, peer: IpAddr, unknown: Option<&Unknown>) -> Response {
        match self.limit(None, peer, Some(STRANGERS)) {
            Ok(()) => unauthorized(unknown),
            Err(response) => response,
        }
    }

    /// Notes what a door did, where that is noted: a change before its answer is given, a reading when there is time.
    pub async fn note(&self, admitted: Admitted, status: StatusCode, told: Told, audit: &Audit) {
        let (Some(door), Some(subject)) = (admitted.door, admitted.subject) else { return };
        let Some(action) = door.action else { return };
        let who = told.who.or_else(|| admitted.who.map(|who| (who.name, who.roles)));
        let (by, roles) =
            who.map_or((ANYBODY.into(), String::new()), |(name, roles)| (name, roles.to_string()));
        if door.is_reading() && !self.noted.is_new(&by, action, &subject) {
            return;
        }
        let outcome = status.as_u16().to_string();
        let entry = NewAuditEntry { roles, detail: told.detail, outcome, ..entry(&by, action, &subject) };
        if door.is_reading() {
            audit.note(entry);
        } else if let Err(error) = audit.record(entry).await {
            // It is done, and what waits in the queue is written as soon as that can be.
            tracing::error!(%error, action, "a change is not noted yet");
        }
    }

    /// That somebody tried what they may not is noted; that nobody knows who tries is not, or anybody could fill the disk.
    fn note_refusal(
        &self,
        door: Option<&Door>,
        who: Option<&Who>,
        uri: &Uri,
        response: &Response,
        audit: &Audit,
    ) {
        let (Some(door), Some(who)) = (door, who) else { return };
        let (action, subject) = (door.action.unwrap_or("refused"), subject(uri, &self.pseudonyms));
        if response.status() == StatusCode::FORBIDDEN && self.noted.is_new(&who.name, action, &subject) {
            let (roles, outcome) = (who.roles.to_string(), response.status().as_u16().to_string());
            audit.note(NewAuditEntry { roles, outcome, ..entry(&who.name, action, &subject) });
        }
    }
}

impl Noted {
    /// Whether this reading was not noted lately; it counts as noted from now on.
    fn is_new(&self, by: &str, action: &'static str, subject: &str) -> bool {
        let now = Instant::now();
        let mut noted = lock(&self.0);
        if noted.len() >= NOTED_MAX {
            noted.retain(|_, at| now.duration_since(*at) < NOTED_AGAIN);
        }
        if noted.len() >= NOTED_MAX {
            noted.clear();
        }
        let before = noted.get(&(by.to_string(), action, subject.to_string())).copied();
        if before.is_some_and(|at| now.duration_since(at) < NOTED_AGAIN) {
            return false;
        }
        noted.insert((by.to_string(), action, subject.to_string()), now);
        true
    }
}

/// Whether the service's own page sends a request, or no browser at all (Fetch Metadata; before it, `Origin`).
fn is_from_here(headers: &HeaderMap) -> bool {
    let text = |name: header::HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let site = headers.get("sec-fetch-site").map(|value| value.to_str().unwrap_or_default());
    match (site, text(header::ORIGIN)) {
        (Some(site), _) => matches!(site, "same-origin" | "none"),
        (None, Some(origin)) => {
            origin.split_once("://").map(|(_, host)| host)
                == text(header::HOST).filter(|host| !host.is_empty())
        }
        (None, None) => true,
    }
}

/// Path and query as text, without card numbers, and with pseudonyms for ids of entities: the log is not changed when somebody is
/// to be forgotten.
fn subject(uri: &Uri, pseudonyms: &Cards) -> String {
    let named = |id: &str| pseudonyms.pseudonym(&decoded(id));
    let path = match uri.path().strip_prefix(ENTITIES).and_then(|rest| rest.split_once('/')) {
        Some((kind, id)) => format!("{ENTITIES}{}/{}", decoded(kind), named(id)),
        None => decoded(uri.path()),
    };
    let pair = |pair: &str| match pair.split_once('=') {
        Some((name, id)) if NAMES_OF_IDS.contains(&name) => format!("{name}={}", named(id)),
        _ => decoded(pair),
    };
    let query = uri.query().map(|query| query.split('&').map(pair).collect::<Vec<_>>().join("&"));
    let text = query.map_or(path.clone(), |query| format!("{path}?{query}"));
    mask(&text).chars().take(SUBJECT_CHARS_MAX).collect()
}

/// A text without percent-encoding; what is no UTF-8 stays as it is.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let code = after.get(..2).and_then(|code| std::str::from_utf8(code).ok());
        let code = code.filter(|_| *first == b'%').and_then(|code| u8::from_str_radix(code, 16).ok());
        bytes.push(code.unwrap_or(*first));
        rest = if code.is_some() { &after[2..] } else { after };
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_string())
}

fn unauthorized(unknown: Option<&Unknown>) -> Response {
    let detail = match unknown {
        Some(Unknown(why)) => why.as_str(),
        None => "say who you are: `Authorization: Bearer` with an API key or a token, or sign in on the page",
    };
    let mut response = problem(StatusCode::UNAUTHORIZED, "who are you?", detail, Vec::new());
    let challenge = match unknown {
        Some(_) => "Bearer realm=\"redflag\", error=\"invalid_token\"",
        None => "Bearer realm=\"redflag\"",
    };
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    response
}

fn forbidden(who: &Who, wanted: Roles) -> Response {
    let has = if who.roles.is_empty() { "no role".to_string() } else { format!("the role {}", who.roles) };
    let wanted: Vec<&str> = wanted.names().collect();
    let detail = format!("{} has {has}; this needs {}", who.name, wanted.join(" or "));
    let mut response = problem(StatusCode::FORBIDDEN, "not allowed", &detail, Vec::new());
    let challenge = HeaderValue::from_static("Bearer realm=\"redflag\", error=\"insufficient_scope\"");
    response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    response
}

fn too_fast(wait: Duration, rate: Rate) -> Response {
    let detail = format!("{} requests a second are allowed, {} at once", rate.per_second, rate.burst);
    let mut response = problem(StatusCode::TOO_MANY_REQUESTS, "too many requests", &detail, Vec::new());
    let seconds = HeaderValue::from(wait.as_secs_f64().ceil().max(1.0) as u64);
    response.headers_mut().insert(header::RETRY_AFTER, seconds);
    response
}

fn not_noted() -> Response {
    let detail = "the audit log cannot be written at the moment, so nothing may be changed; try again";
    let mut response = problem(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail, Vec::new());
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(headers: &[(&'static str, &'static str)]) -> bool {
        let headers = headers
            .iter()
            .map(|(name, value)| (header::HeaderName::from_static(name), HeaderValue::from_static(value)));
        is_from_here(&headers.collect())
    }

    #[test]
    fn pages_of_other_sites_are_told_from_ours() {
        assert!(from(&[("host", "a:80")]), "no browser");
        assert!(
            from(&[("sec-fetch-site", "same-origin")])
                && from(&[("origin", "https://a:80"), ("host", "a:80")])
        );
        for site in ["cross-site", "same-site", ""] {
            assert!(!from(&[("sec-fetch-site", site), ("origin", "https://a"), ("host", "a")]), "{site}");
        }
        for origin in ["https://b", "null", "", "https://a.b", "https://"] {
            assert!(!from(&[("origin", origin), ("host", "a")]), "{origin}");
        }
        assert!(!from(&[("origin", "https://"), ("host", "")]));
    }

    #[test]
    fn a_subject_has_no_card_number() {
        let pseudonyms = Cards::new(b"a key of some thirty bytes or more", true);
        let of = |text: &'static str| subject(&Uri::from_static(text), &pseudonyms);
        assert_eq!(of("/v1/alerts/7?a=b%20c"), "/v1/alerts/7?a=b c");
        for number in ["/v1/entities/card/4111111111111111", "/x?key=41111111%31111111%31"] {
            assert!(!of(number).contains("4111111"), "{}", of(number));
        }
        assert_eq!(of("/%zz%f"), "/%zz%f");
        let somebody = format!("/v1/entities/customer_id/{}", pseudonyms.pseudonym("anna b"));
        assert_eq!(of("/v1/entities/customer_id/anna%20b"), somebody);
        let listed = format!("/v1/decisions?limit=5&key={}", pseudonyms.pseudonym("anna b"));
        assert_eq!(of("/v1/decisions?limit=5&key=anna%20b"), listed);
    }

    #[test]
    fn a_reading_is_noted_once_a_minute() {
        let noted = Noted::default();
        assert!(noted.is_new("anna", "decision.read", "/a") && !noted.is_new("anna", "decision.read", "/a"));
        assert!(noted.is_new("bert", "decision.read", "/a") && noted.is_new("anna", "decision.read", "/b"));
    }
}
