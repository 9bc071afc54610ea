//! Doors to the models: who decides, who would have decided better, and who is to decide.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use engine::FieldError;
use engine::card::mask;
use store::Store;

use super::path::Named;
use super::problem::{problem, rejected, unavailable};
use super::read::read;
use super::session::Caller;
use super::write::{read_body, whole_body};
use super::{Api, Doors};
use crate::registry::{self, Registered, RegistryError, Step};
use crate::service::drift::drift as drift_of;
use crate::service::figures::{Comparison, LOOKED_AT_MAX, compare, known};
use crate::service::models::{Lineup, Loaded, Models};
use crate::service::online;
use crate::service::performance::performance as performance_of;
use crate::service::pipeline::{TRANSACTION_BYTES_MAX, lock};
use crate::service::wire::{
    Drift, LiveFigures, ModelInfo, ModelList, ModelPromotion, ModelRole, Performance, Problem, PromoteRequest,
};

/// What was found is shown again for so many times as long as it took: whoever asks all the time costs a tenth of a connection.
const SHOWN_AGAIN: u32 = 9;

/// What was found about the models in use, and is shown again for a while.
pub struct Remembered<T>(Mutex<Option<Found<T>>>);

struct Found<T> {
    until: Instant,
    /// The turn of the lineup that it was found of.
    turn: u64,
    what: Arc<T>,
}

impl<T> Default for Remembered<T> {
    fn default() -> Self {
        Remembered(Mutex::new(None))
    }
}

impl<T> Remembered<T> {
    fn get(&self, turn: u64) -> Option<Arc<T>> {
        let fresh = |found: &&Found<T>| found.turn == turn && Instant::now() < found.until;
        lock(&self.0).as_ref().filter(fresh).map(|found| Arc::clone(&found.what))
    }

    fn put(&self, turn: u64, took: Duration, what: T) -> Arc<T> {
        let what = Arc::new(what);
        let until = Instant::now() + SHOWN_AGAIN * took;
        *lock(&self.0) = Some(Found { until, turn, what: Arc::clone(&what) });
        what
    }
}

/// How the models in use fare on the same transactions.
pub struct Judged {
    comparison: Comparison,
    performance: Performance,
}

impl Judged {
    /// Figures of the models in use, by id.
    pub fn live(&self) -> Vec<(String, LiveFigures)> {
        self.comparison.figures.iter().map(|(id, live)| (id.clone(), *live)).collect()
    }
}

/// The models that are known here: the champion, which decides, the challengers, which score the same events in the shadow,
/// and those that the registry keeps for this detector.
///
/// `live` puts champion and challengers side by side, on the same transactions: of the newest 100,000 that have a label,
/// those that all of them have scored, without synthetic ones. A transaction without a label is not counted as genuine, unless
/// `labels.mature_after` says after how long it is.
#[utoipa::path(get, path = "/v1/models", tag = "models",
    responses(
        (status = 200, body = ModelList, description = "all of them"),
        (status = 503, body = Problem, description = "the store or the registry cannot be read"),
    ))]
pub async fn models(State(api): State<Api>) -> Response {
    let lineup = api.shared.models.current();
    let judged = match api.database {
        None => None,
        Some(_) => match judged(&api).await {
            Some(judged) => Some(judged),
            None => return unavailable(),
        },
    };
    let Some(kept) = in_background(&api, kept).await else { return unavailable() };
    let comparison = judged.map(|judged| judged.comparison.clone());
    Json(list(&lineup, &kept, comparison)).into_response()
}

/// Champion and challengers on what became known, in curves: ROC, precision and recall, calibration, card precision, and what
/// other thresholds of review would have meant in alerts, frauds and money.
#[utoipa::path(get, path = "/v1/models/performance", tag = "models",
    responses(
        (status = 200, body = Performance, description = "all of them on the same transactions"),
        (status = 409, body = Problem, description = "this service stores nothing"),
        (status = 503, body = Problem, description = "the store cannot be read"),
    ))]
pub async fn performance(State(api): State<Api>) -> Response {
    if api.database.is_none() {
        return nothing_stored();
    }
    match judged(&api).await {
        Some(judged) => Json(&judged.performance).into_response(),
        None => unavailable(),
    }
}

fn nothing_stored() -> Response {
    let detail = "this service stores no decisions, so it does not know how its models fare";
    problem(StatusCode::CONFLICT, "nothing is stored", detail, Vec::new())
}

/// How far the champion's newest decisions are from what it learnt from, feature by feature and of the score: the population
/// stability index, with the share of missing values and of values that it has never seen.
#[utoipa::path(get, path = "/v1/models/drift", tag = "models",
    responses(
        (status = 200, body = Drift, description = "the most drifted feature first"),
        (status = 409, body = Problem, description = "this service stores nothing"),
        (status = 503, body = Problem, description = "the store cannot be read"),
    ))]
pub async fn drift(State(api): State<Api>) -> Response {
    if api.database.is_none() {
        return nothing_stored();
    }
    let look = |api: &Doors, store: &mut dyn Store, lineup: &Lineup| {
        drift_of(store, lineup.champion.as_deref(), &api.shared.detector, |mark| api.is_real(mark))
    };
    match remembered(&api, |api| &api.drift, look).await {
        Some(drift) => Json(&*drift).into_response(),
        None => unavailable(),
    }
}

/// How the models in use fare, as it was found a moment ago or anew; `None` if the store cannot be read.
pub async fn judged(api: &Api) -> Option<Arc<Judged>> {
    remembered(api, |api| &api.judged, judge).await
}

/// What was found a moment ago, or anew; `None` if the store cannot be read.
async fn remembered<T: Send + Sync + 'static>(
    api: &Api,
    kept: impl Fn(&Doors) -> &Remembered<T>,
    look: impl FnOnce(&Doors, &mut dyn Store, &Lineup) -> store::Result<T> + Send + 'static,
) -> Option<Arc<T>> {
    let lineup = api.shared.models.current();
    let turn = lineup.turn();
    if let Some(found) = kept(api).get(turn) {
        return Some(found);
    }
    let started = Instant::now();
    let held = Arc::clone(api);
    let found = read(api, move |store| look(&held, store, &lineup)).await?;
    Some(kept(api).put(turn, started.elapsed(), found))
}

fn judge(api: &Doors, store: &mut dyn Store, lineup: &Lineup) -> store::Result<Judged> {
    let detector = &lineup.detector;
    let record = store.record(LOOKED_AT_MAX, api.matured_before_us())?;
    let known = known(&record, lineup, detector, |mark| api.is_real(mark));
    Ok(Judged {
        comparison: compare(&record, &known, lineup, detector),
        performance: performance_of(&known, lineup, detector),
    })
}

/// What the registry keeps for the detector; nothing where the model is a file.
fn kept(api: &Doors) -> Option<Vec<Registered>> {
    let Some(registry) = api.shared.models.registry() else { return Some(Vec::new()) };
    let listed = registry.list(Some(&api.shared.detector.name));
    listed.inspect_err(|error| tracing::error!(%error, "the registry cannot be read")).ok()
}

fn list(lineup: &Lineup, kept: &[Registered], comparison: Option<Comparison>) -> ModelList {
    let (compared, mut figures) = match comparison {
        Some(Comparison { compared, figures }) => (Some(compared), figures),
        None => (None, HashMap::new()),
    };
    let promotion = |id: &str| {
        let kept = kept.iter().find(|kept| kept.facts.model_id == id);
        kept.and_then(|kept| kept.promotion.clone()).map(ModelPromotion::from)
    };
    let mut in_use = |loaded: &Loaded, role| ModelInfo {
        trees: Some(loaded.trees),
        promotion: promotion(&loaded.model.id),
        live: figures.remove(&*loaded.model.id),
        ..ModelInfo::of(&loaded.facts, role)
    };
    let mut models: Vec<ModelInfo> =
        lineup.champion.iter().map(|loaded| in_use(loaded, ModelRole::Champion)).collect();
    models.extend(lineup.challengers.iter().map(|loaded| in_use(loaded, ModelRole::Challenger)));
    models.extend(lineup.online.iter().map(|online| ModelInfo {
        live: figures.remove(online::ID),
        ..ModelInfo::of(&online.facts(), ModelRole::Challenger)
    }));
    let idle = |kept: &&Registered| lineup.all().all(|loaded| *loaded.model.id != *kept.facts.model_id);
    models.extend(kept.iter().filter(idle).map(|kept| ModelInfo {
        promotion: promotion(&kept.facts.model_id),
        ..ModelInfo::of(&kept.facts, ModelRole::Registered)
    }));
    ModelList { models, compared }
}

/// Say what a model of the registry is to do: decide, score in the shadow, or do so no longer. When this is answered, what is
/// posted after it is decided accordingly.
#[utoipa::path(post, path = "/v1/models/{id}/promote", tag = "models", request_body = PromoteRequest,
    params(("id" = String, Path, description = "the model's id, in full")),
    responses(
        (status = 200, body = ModelPromotion, description = "done, and in the history"),
        (status = 400, body = Problem, description = "not a request"),
        (status = 404, body = Problem, description = "no such model"),
        (status = 409, body = Problem, description = "it does not fit the detector, does so already, or there is no registry"),
        (status = 413, body = Problem, description = "too large"),
        (status = 422, body = Problem, description = "fields are missing or wrong"),
        (status = 503, body = Problem, description = "the registry cannot be written; nothing was changed"),
    ))]
pub async fn promote(State(api): State<Api>, caller: Caller, Named(id): Named, body: Body) -> Response {
    let body = match read_body(&api, body, TRANSACTION_BYTES_MAX).await {
        Ok(body) => body,
        Err(response) => return response,
    };
    let wanted = match serde_json::from_slice(&body) {
        Ok(PromoteRequest { role, by, reason }) => PromoteRequest { role, by: caller.name_or(by), reason },
        Err(error) => {
            return rejected(&whole_body(&error.to_string(), "an object with the texts as, reason and by"));
        }
    };
    let step = match check(&wanted) {
        Ok(step) => step,
        Err(response) => return response,
    };
    let done = in_background(&api, move |api| Some(carry_out(&api.shared.models, api, &id, step, &wanted)));
    done.await.unwrap_or_else(unavailable)
}

/// The step that is wanted; else everything that is wrong.
#[expect(clippy::result_large_err, reason = "once a promotion, and only where it is wrong")]
fn check(wanted: &PromoteRequest) -> Result<Step, Response> {
    let steps = [Step::Champion, Step::Challenger, Step::Retired];
    let step = steps.into_iter().find(|step| step.name() == wanted.role);
    let mut errors = Vec::new();
    if step.is_none() {
        let found = format_args!("{:?}", wanted.role);
        errors.push(FieldError::new("as", found, "champion, challenger or retired"));
    }
    for (field, text) in [("reason", &wanted.reason), ("by", &wanted.by)] {
        if text.trim().is_empty() {
            errors.push(FieldError::new(field, format_args!("{text:?}"), "words"));
        }
    }
    match step.filter(|_| errors.is_empty()) {
        Some(step) => Ok(step),
        None => {
            let detail: Vec<String> = errors.iter().map(FieldError::to_string).collect();
            let errors = errors.into_iter().map(Into::into).collect();
            Err(problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid request", &detail.join("; "), errors))
        }
    }
}

fn carry_out(models: &Models, api: &Doors, id: &str, step: Step, wanted: &PromoteRequest) -> Response {
    let Some(registry) = models.registry() else {
        let detail = "the model of this service is a file: set model = \"registry\" to promote models";
        return problem(StatusCode::CONFLICT, "no registry", detail, Vec::new());
    };
    let (by, reason) = (mask(wanted.by.trim()), mask(wanted.reason.trim()));
    let request = registry::Request { by: &by, reason: &reason };
    match registry.promote(&api.shared.detector, id, step, request) {
        Ok(made) => {
            models.follow();
            Json(ModelPromotion::from(made)).into_response()
        }
        Err(error @ RegistryError::Unknown(_)) => {
            let field = FieldError::new("id", format_args!("{id:?}"), "the id of a model in the registry");
            problem(StatusCode::NOT_FOUND, "no such model", &error.to_string(), vec![field.into()])
        }
        Err(error @ (RegistryError::Refused(_) | RegistryError::Flawed(_))) => {
            problem(StatusCode::CONFLICT, "cannot be promoted", &error.to_string(), Vec::new())
        }
        Err(error @ RegistryError::Unusable(_)) => {
            tracing::error!(%error, "a model could not be promoted");
            let detail = "the registry cannot be written at the moment; nothing was changed, try again";
            problem(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail, Vec::new())
        }
    }
}

/// Works away from the threads that answer requests.
async fn in_background<T: Send + 'static>(
    api: &Api,
    work: impl FnOnce(&Doors) -> Option<T> + Send + 'static,
) -> Option<T> {
    let api = Api::clone(api);
    tokio::task::spawn_blocking(move || work(&api)).await.ok().flatten()
}
