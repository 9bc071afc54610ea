//! Doors to rules, lists and policy: what holds, and changes of it, which the next transaction is decided by.

use std::collections::HashMap;

use anyhow::Context;
use axum::Json;
use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use engine::{FieldError, Rulebook};
use serde::de::DeserializeOwned;

use super::path::{Named, Numbered};
use super::problem::{invalid, problem, rejected};
use super::session::Caller;
use super::write::{BATCH_BYTES_MAX, read_body, whole_body};
use super::{Api, Doors};
use crate::registry::rulebooks::{Published, applied, change};
use crate::registry::{RegistryError, Request};
use crate::service::budget::budget_score;
use crate::service::pipeline::TRANSACTION_BYTES_MAX;
use crate::service::wire::{
    ChangeRequest, EntriesRequest, ListInShort, ListPage, ListRequest, PolicyRequest, Problem,
    RemovalRequest, RuleRequest, RulebookHistory, RulebookNote, RulebookRequest, RulesInForce, Signed,
    StageRequest, WholeRulebook,
};

/// Entries of a list that are shown at once, at the most.
const ENTRIES_SHOWN_MAX: usize = 1_000;

/// The rules, lists and policy that decide, drafts and what is retired as well.
#[utoipa::path(get, path = "/v1/rules", tag = "rules",
    responses(
        (status = 200, body = RulesInForce, description = "what holds"),
        (status = 503, body = Problem, description = "the registry cannot be read"),
    ))]
pub async fn rules(State(api): State<Api>) -> Response {
    let look = |api: &Doors| {
        let models = &api.shared.models;
        models.rulebooks().rulebook_in_force_in_short(models.file_detector())
    };
    shown(&api, look, RulesInForce::of).await
}

/// Put a rule in place: a new one, or one instead of the rule of this name. When this is answered, what is posted after it is
/// decided accordingly; so it is with every other change here.
#[utoipa::path(put, path = "/v1/rules/{name}", tag = "rules", request_body = RuleRequest,
    params(("name" = String, Path, description = "the rule's name", example = "large")),
    responses(
        (status = 200, body = RulebookNote, description = "it holds"),
        (status = 400, body = Problem, description = "not a request"),
        (status = 409, body = Problem, description = "another rulebook holds by now"),
        (status = 413, body = Problem, description = "too large"),
        (status = 422, body = Problem, description = "everything that is wrong with it"),
        (status = 503, body = Problem, description = "the registry cannot be written; nothing was changed"),
    ))]
pub async fn put_rule(State(api): State<Api>, Named(name): Named, caller: Caller, body: Body) -> Response {
    let put =
        |_: &Doors, book: &mut Rulebook, wanted: RuleRequest| Ok(change::put_rule(book, wanted.rule(name)));
    publish(api, caller, body, TRANSACTION_BYTES_MAX, put).await
}

/// Move a rule to another stage: `draft` is checked only, `shadow` is evaluated and listed as `~NAME`, `partial` decides for a
/// share of the keys, `live` decides, `retired` is kept to be read.
#[utoipa::path(post, path = "/v1/rules/{name}/stage", tag = "rules", request_body = StageRequest,
    params(("name" = String, Path, description = "the rule's name", example = "large")),
    responses(
        (status = 200, body = RulebookNote, description = "it holds"),
        (status = 400, body = Problem, description = "not a request"),
        (status = 404, body = Problem, description = "no such rule"),
        (status = 409, body = Problem, description = "another rulebook holds by now"),
        (status = 413, body = Problem, description = "too large"),
        (status = 422, body = Problem, description = "everything that is wrong with it"),
        (status = 503, body = Problem, description = "the registry cannot be written; nothing was changed"),
    ))]
pub async fn move_rule(State(api): State<Api>, Named(name): Named, caller: Caller, body: Body) -> Response {
    let put = move |_: &Doors, book: &mut Rulebook, wanted: StageRequest| {
        change::move_rule(book, &name, wanted.stage, wanted.share)
    };
    publish(api, caller, body, TRANSACTION_BYTES_MAX, put).await
}

/// What is on a list.
#[utoipa::path(get, path = "/v1/lists/{name}", tag = "rules",
    params(
        ("name" = String, Path, description = "the list's name", example = "blocked_terminals"),
        ("contains" = Option<String>, Query, description = "values with this text only; a card may be named by its number"),
        ("limit" = Option<u64>, Query, description = "so many at the most, 1 to 1000 (100)"),
    ),
    responses(
        (status = 200, body = ListPage, description = "the values that were put there first"),
        (status = 404, body = Problem, description = "no such list"),
        (status = 422, body = Problem, description = "a parameter is wrong"),
        (status = 503, body = Problem, description = "the registry cannot be read"),
    ))]
pub async fn list(
    State(api): State<Api>,
    Named(name): Named,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    let (contains, limit) = match page(&query) {
        Ok(page) => page,
        Err(response) => return response,
    };
    let look = move |api: &Doors| {
        let models = &api.shared.models;
        let mut made = models.rulebooks().rulebook_in_force(models.file_detector())?;
        let found = change::list(&mut made.rulebook, &name)?.clone();
        let field = found.field.as_deref().unwrap_or_default();
        let contains = models.file_detector().schema.known_as(field, &contains).into_owned();
        let list = ListInShort::of(&found, &made);
        let holds = |entry: &engine::rulebook::Entry| entry.value.contains(&contains);
        let all: Vec<_> = found.entries.into_iter().filter(holds).collect();
        let found = all.len() as u64;
        Ok(ListPage { list, entries: all.into_iter().take(limit).collect(), found })
    };
    shown(&api, look, |page| page).await
}

/// Make a list, or say of a list that there is what it asks for; what is on it stays.
#[utoipa::path(put, path = "/v1/lists/{name}", tag = "rules", request_body = ListRequest,
    params(("name" = String, Path, description = "the list's name: letters, digits and _", example = "blocked_terminals")),
    responses(
        (status = 200, body = RulebookNote, description = "it holds"),
        (status = 400, body = Problem, description = "not a request"),
        (status = 409, body = Problem, description = "another rulebook holds by now"),
        (status = 413, body = Problem, description = "too large"),
        (status = 422, body = Problem, description = "everything that is wrong with it"),
        (status = 503, body = Problem, description = "the registry cannot be written; nothing was changed"),
    ))]
pub async fn put_list(State(api): State<Api>, Named(name): Named, caller: Caller, body: Body) -> Response {
    let put = move |_: &Doors, book: &mut Rulebook, wanted: ListRequest| {
        let owner = if wanted.owner.is_empty() { wanted.by } else { wanted.owner };
        Ok(change::put_list(book, &name, wanted.kind, wanted.field, owner))
    };
    publish(api, caller, body, TRANSACTION_BYTES_MAX, put).await
}

/// Take a list away, with all that is on it.
#[utoipa::path(post, path = "/v1/lists/{name}/drop", tag = "rules", request_body = ChangeRequest,
    params(("name" = String, Path, description = "the list's name", example = "blocked_terminals")),
    responses(
        (status = 200, body = RulebookNote, description = "it is gone"),
        (status = 400, body = Problem, description = "not a request"),
        (status = 404, body = Problem, description = "no such list"),
        (status = 409, body = Problem, description = "another rulebook holds by now"),
        (status = 413, body = Problem, description = "too large"),
        (status = 422, body = Problem, description = "fields are missing, or a rule reads it"),
        (status = 503, body = Problem, description = "the registry cannot be written; nothing was changed"),
    ))]
pub async fn drop_list(State(api): State<Api>, Named(name): Named, caller: Caller, body: Body) -> Response {
    let put = move |_: &Doors, book: &mut Rulebook, _: ChangeRequest| change::drop_list(book, &name);
    publish(api, caller, body, TRANSACTION_BYTES_MAX, put).await
}

/// Put values on a list: one, or many at once. What is on it already gets the new reason, owner and expiry.
#[utoipa::path(post, path = "/v1/lists/{name}/entries", tag = "rules", request_body = EntriesRequest,
    params(("name" = String, Path, description = "the list's name", example = "blocked_terminals")),
    responses(
        (status = 200, body = RulebookNote, description = "they are on it"),
        (status = 400, body = Problem, description = "not a request"),
        (status = 404, body = Problem, description = "no such list"),
        (status = 409, body = Problem, description = "another rulebook holds by now"),
        (status = 413, body = Problem, description = "too large"),
        (status = 422, body = Problem, description = "everything that is wrong with them"),
        (status = 503, body = Problem, description = "the registry cannot be written; nothing was changed"),
    ))]
pub async fn enlist(State(api): State<Api>, Named(name): Named, caller: Caller, body: Body) -> Response {
    let put = move |api: &Doors, book: &mut Rulebook, wanted: EntriesRequest| {
        let EntriesRequest { entries, by, reason, .. } = wanted;
        let entries = entries.into_iter().map(|entry| entry.signed(&by, &reason)).collect();
        change::enlist(book, &api.shared.detector.schema, &name, entries)
    };
    publish(api, caller, body, BATCH_BYTES_MAX, put).await
}

/// Take values off a list.
#[utoipa::path(post, path = "/v1/lists/{name}/removals", tag = "rules", request_body = RemovalRequest,
    params(("name" = String, Path, description = "the list's name", example = "blocked_terminals")),
    responses(
        (status = 200, body = RulebookNote, description = "they are not on it any more"),
        (status = 400, body = Problem, description = "not a request"),
        (status = 404, body = Problem, description = "no such list, or none of them is on it"),
        (status = 409, body = Problem, description = "another rulebook holds by now"),
        (status = 413, body = Problem, description = "too large"),
        (status = 422, body = Problem, description = "fields are missing or wrong"),
        (status = 503, body = Problem, description = "the registry cannot be written; nothing was changed"),
    ))]
pub async fn delist(State(api): State<Api>, Named(name): Named, caller: Caller, body: Body) -> Response {
    let put = move |api: &Doors, book: &mut Rulebook, wanted: RemovalRequest| {
        change::delist(book, &api.shared.detector.schema, &name, &wanted.values)
    };
    publish(api, caller, body, BATCH_BYTES_MAX, put).await
}

/// Say how a score becomes an outcome: by thresholds, or by what reviews and false declines cost. A review budget holds at once for the
/// champion, by what it says of the last seven days' transactions, and for later models by their training.
#[utoipa::path(put, path = "/v1/policy", tag = "rules", request_body = PolicyRequest,
    responses(
        (status = 200, body = RulebookNote, description = "it holds"),
        (status = 400, body = Problem, description = "not a request"),
        (status = 409, body = Problem, description = "another rulebook holds by now"),
        (status = 413, body = Problem, description = "too large"),
        (status = 422, body = Problem, description = "everything that is wrong with it"),
        (status = 503, body = Problem, description = "the registry cannot be written; nothing was changed"),
    ))]
pub async fn put_policy(State(api): State<Api>, caller: Caller, body: Body) -> Response {
    let put = |api: &Doors, book: &mut Rulebook, wanted: PolicyRequest| {
        let found = budget_score(api, &wanted.policy)
            .context("what the review budget means cannot be read from the database")?;
        Ok(change::set_policy(book, wanted.policy, found))
    };
    publish(api, caller, body, TRANSACTION_BYTES_MAX, put).await
}

/// What was done to rules, lists and policy, by whom, when and why.
#[utoipa::path(get, path = "/v1/rulebooks", tag = "rules",
    responses(
        (status = 200, body = RulebookHistory, description = "the newest one first"),
        (status = 503, body = Problem, description = "the registry cannot be read"),
    ))]
pub async fn history(State(api): State<Api>) -> Response {
    let look = |api: &Doors| api.shared.models.rulebooks().rulebooks(&api.shared.detector.name);
    let told = |all: Vec<Published>| RulebookHistory {
        rulebooks: all.into_iter().rev().filter_map(RulebookNote::of).collect(),
    };
    shown(&api, look, told).await
}

/// A rulebook as a whole, with what is on its lists: as `POST /v1/rulebooks` takes it.
#[utoipa::path(get, path = "/v1/rulebooks/{number}", tag = "rules",
    params(("number" = u64, Path, description = "its number; 0 is the detector file's own", example = 0)),
    responses(
        (status = 200, body = WholeRulebook, description = "the rulebook"),
        (status = 404, body = Problem, description = "no such rulebook"),
        (status = 422, body = Problem, description = "not a number"),
        (status = 503, body = Problem, description = "the registry cannot be read"),
    ))]
pub async fn rulebook(State(api): State<Api>, Numbered(number): Numbered<u64>) -> Response {
    let told = |made: Published| WholeRulebook {
        rulebook: made.rulebook.clone(),
        published: RulebookNote::of(made),
    };
    shown(&api, move |api| of_number(api, number), told).await
}

/// Publish a rulebook as a whole.
#[utoipa::path(post, path = "/v1/rulebooks", tag = "rules", request_body = RulebookRequest,
    responses(
        (status = 200, body = RulebookNote, description = "it holds"),
        (status = 400, body = Problem, description = "not a request"),
        (status = 409, body = Problem, description = "another rulebook holds by now"),
        (status = 413, body = Problem, description = "too large"),
        (status = 422, body = Problem, description = "everything that is wrong with it"),
        (status = 503, body = Problem, description = "the registry cannot be written; nothing was changed"),
    ))]
pub async fn set_all(State(api): State<Api>, caller: Caller, body: Body) -> Response {
    let put =
        |_: &Doors, book: &mut Rulebook, wanted: RulebookRequest| Ok(change::set_all(book, wanted.rulebook));
    publish(api, caller, body, BATCH_BYTES_MAX, put).await
}

/// Publish an earlier rulebook again; number 0 is the detector file's own.
#[utoipa::path(post, path = "/v1/rulebooks/{number}/restore", tag = "rules", request_body = ChangeRequest,
    params(("number" = u64, Path, description = "its number", example = 0)),
    responses(
        (status = 200, body = RulebookNote, description = "it holds again, under a new number"),
        (status = 400, body = Problem, description = "not a request"),
        (status = 404, body = Problem, description = "no such rulebook"),
        (status = 409, body = Problem, description = "another rulebook holds by now"),
        (status = 413, body = Problem, description = "too large"),
        (status = 422, body = Problem, description = "fields are missing or wrong, or it does not fit the detector any more"),
        (status = 503, body = Problem, description = "the registry cannot be written; nothing was changed"),
    ))]
pub async fn restore(
    State(api): State<Api>,
    Numbered(number): Numbered<u64>,
    caller: Caller,
    body: Body,
) -> Response {
    let put = move |api: &Doors, book: &mut Rulebook, _: ChangeRequest| {
        *book = of_number(api, number)?.rulebook;
        Ok(format!("back to rulebook {number}"))
    };
    publish(api, caller, body, TRANSACTION_BYTES_MAX, put).await
}

/// Say everything that is wrong with a rulebook, and change nothing.
#[utoipa::path(post, path = "/v1/rulebooks/check", tag = "rules", request_body = RulebookRequest,
    responses(
        (status = 204, description = "it fits the detector"),
        (status = 400, body = Problem, description = "not a request"),
        (status = 413, body = Problem, description = "too large"),
        (status = 422, body = Problem, description = "everything that is wrong with it"),
    ))]
pub async fn check(State(api): State<Api>, body: Body) -> Response {
    let wanted: RulebookRequest = match parsed(&api, body, BATCH_BYTES_MAX).await {
        Ok(wanted) => wanted,
        Err(response) => return response,
    };
    let checked = move |api: &Doors| applied(api.shared.models.file_detector(), &wanted.rulebook).map(drop);
    match in_background(&api, checked).await {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(response) => response,
    }
}

fn of_number(api: &Doors, number: u64) -> Result<Published, RegistryError> {
    let models = &api.shared.models;
    match number {
        0 => Ok(Published::of_file(models.file_detector())),
        number => models.rulebooks().rulebook(&api.shared.detector.name, number),
    }
}

/// Publishes what a request makes of the rulebook that holds, and takes it over.
async fn publish<T: Signed + DeserializeOwned + Send + 'static>(
    api: Api,
    caller: Caller,
    body: Body,
    bytes_max: usize,
    change: impl FnOnce(&Doors, &mut Rulebook, T) -> Result<String, RegistryError> + Send + 'static,
) -> Response {
    let mut wanted: T = match parsed(&api, body, bytes_max).await {
        Ok(wanted) => wanted,
        Err(response) => return response,
    };
    *wanted.by() = caller.name_or(std::mem::take(wanted.by()));
    if let Some(response) = unsigned(&mut wanted) {
        return response;
    }
    let published = move |api: &Doors| {
        let models = &api.shared.models;
        let (by, reason, after) =
            (wanted.by().trim().to_string(), wanted.reason().trim().to_string(), wanted.after());
        let request = Request { by: &by, reason: &reason };
        let change = |book: &mut Rulebook| change(api, book, wanted);
        let made = models.rulebooks().publish_rulebook(models.file_detector(), after, request, change)?;
        models.follow();
        Ok(made)
    };
    match in_background(&api, published).await {
        Ok(made) => Json(RulebookNote::of(made)).into_response(),
        Err(response) => response,
    }
}

/// A request, read.
pub async fn parsed<T: DeserializeOwned>(api: &Api, body: Body, bytes_max: usize) -> Result<T, Response> {
    let body = read_body(api, body, bytes_max).await?;
    serde_json::from_slice(&body)
        .map_err(|error| rejected(&whole_body(&error.to_string(), "an object as the document says")))
}

/// What is to be said where nobody signed, or nobody says why.
fn unsigned(wanted: &mut impl Signed) -> Option<Response> {
    let texts = [("by", wanted.by().clone()), ("reason", wanted.reason().to_string())];
    let empty = texts.iter().filter(|(_, text)| text.trim().is_empty());
    let errors: Vec<FieldError> =
        empty.map(|(field, text)| FieldError::new(field, format_args!("{text:?}"), "words")).collect();
    if errors.is_empty() {
        return None;
    }
    let detail: Vec<String> = errors.iter().map(FieldError::to_string).collect();
    let errors = errors.into_iter().map(Into::into).collect();
    Some(problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid request", &detail.join("; "), errors))
}

/// Shows what the registry says.
async fn shown<T: Send + 'static, U: serde::Serialize>(
    api: &Api,
    look: impl FnOnce(&Doors) -> Result<T, RegistryError> + Send + 'static,
    told: impl FnOnce(T) -> U,
) -> Response {
    match in_background(api, look).await {
        Ok(found) => Json(told(found)).into_response(),
        Err(response) => response,
    }
}

/// Works away from the threads that answer requests.
async fn in_background<T: Send + 'static>(
    api: &Api,
    work: impl FnOnce(&Doors) -> Result<T, RegistryError> + Send + 'static,
) -> Result<T, Response> {
    let held = Api::clone(api);
    match tokio::task::spawn_blocking(move || work(&held)).await {
        Ok(done) => done.map_err(refused),
        Err(_) => Err(super::problem::unavailable()),
    }
}

/// Why the registry does not do what was asked.
pub fn refused(error: RegistryError) -> Response {
    let detail = error.to_string();
    match error {
        RegistryError::Unknown(_) => problem(StatusCode::NOT_FOUND, "no such thing", &detail, Vec::new()),
        RegistryError::Refused(_) => problem(StatusCode::CONFLICT, "cannot be changed", &detail, Vec::new()),
        RegistryError::Flawed(flaws) => {
            let errors = flaws.into_iter().map(Into::into).collect();
            problem(StatusCode::UNPROCESSABLE_ENTITY, "a rulebook with mistakes", &detail, errors)
        }
        RegistryError::Unusable(_) => {
            tracing::error!(error = %detail, "a rulebook could not be read or written");
            let detail = "the registry cannot be used at the moment; nothing was changed, try again";
            problem(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail, Vec::new())
        }
    }
}

/// The text that values are to contain, and how many are wanted.
#[expect(clippy::result_large_err, reason = "once a request, and only where it is wrong")]
fn page(query: &HashMap<String, String>) -> Result<(String, usize), Response> {
    let (mut contains, mut limit) = (String::new(), 100);
    for (name, value) in query {
        match name.as_str() {
            "contains" => contains.clone_from(value),
            "limit" => {
                let parsed = value.parse().ok().filter(|limit| (1..=ENTRIES_SHOWN_MAX).contains(limit));
                limit = parsed.ok_or_else(|| invalid(name, value, "a number from 1 to 1000"))?;
            }
            _ => return Err(invalid(name, value, "one of contains, limit")),
        }
    }
    Ok((contains, limit))
}
