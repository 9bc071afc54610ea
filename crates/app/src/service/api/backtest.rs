//! A door to history for rules: what one would have done.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use engine::rulebook::WrittenRule;
use store::{ALWAYS, Store};

use super::problem::{invalid, problem, unavailable};
use super::read::read;
use super::rules::{parsed, refused};
use super::{Api, Doors};
use crate::backtest::{Period, Trial};
use crate::registry::RegistryError;
use crate::service::pipeline::TRANSACTION_BYTES_MAX;
use crate::service::wire::{BacktestReport, BacktestRequest, Problem};

/// Entries of the log that are looked back, at the most.
const LOOKED_BACK_MAX: i64 = 1_000_000;

/// Try a rule on history, as if it had been live: alerts a day, precision, money, and how it goes together with what there is. The
/// newest million entries of the log are looked at; `redflag backtest` looks at all of them.
#[utoipa::path(post, path = "/v1/rules/backtest", tag = "rules", request_body = BacktestRequest,
    responses(
        (status = 200, body = BacktestReport, description = "what it would have done"),
        (status = 400, body = Problem, description = "not a request"),
        (status = 409, body = Problem, description = "this service stores nothing"),
        (status = 413, body = Problem, description = "too large"),
        (status = 422, body = Problem, description = "everything that is wrong with the rule"),
        (status = 503, body = Problem, description = "the store or the registry cannot be read"),
    ))]
pub async fn backtest(State(api): State<Api>, body: Body) -> Response {
    let wanted: BacktestRequest = match parsed(&api, body, TRANSACTION_BYTES_MAX).await {
        Ok(wanted) => wanted,
        Err(response) => return response,
    };
    if api.database.is_none() {
        let detail = "this service stores no decisions, so there is no history to try a rule on";
        return problem(StatusCode::CONFLICT, "nothing is stored", detail, Vec::new());
    }
    let range_us = wanted.from.map_or(ALWAYS.start, |from| from.0)..wanted.to.map_or(ALWAYS.end, |to| to.0);
    if range_us.is_empty() {
        return invalid("to", "not after `from`", "a time after `from`");
    }
    let gone = Gone(Arc::new(AtomicBool::new(false)));
    let (held, is_gone) = (Arc::clone(&api), Arc::clone(&gone.0));
    let tried = read(&api, move |store| {
        let mut trial = match trial(&held, wanted) {
            Ok(trial) => trial,
            Err(error) => return Ok(Err(error)),
        };
        let after = store.last_position()? - LOOKED_BACK_MAX;
        let period = Period {
            range_us,
            after,
            matured_before_us: held.matured_before_us(),
            is_real: &|mark| held.is_real(mark),
        };
        Ok(Ok(looked_at(&mut trial, store, &period, &is_gone).then(|| trial.tell())))
    });
    match tried.await {
        Some(Ok(Some(told))) => Json(BacktestReport::of(told)).into_response(),
        Some(Err(error)) => refused(error),
        Some(Ok(None)) | None => unavailable(),
    }
}

/// Whether all of it was looked at: the store may refuse, and whoever asked may be gone.
fn looked_at(trial: &mut Trial, store: &mut dyn Store, period: &Period, gone: &AtomicBool) -> bool {
    let done = trial.look_at_store(store, period, &mut |_| !gone.load(Ordering::Relaxed));
    done.inspect_err(|error| tracing::error!(%error, "history cannot be read")).is_ok()
}

fn trial(api: &Doors, wanted: BacktestRequest) -> Result<Trial, RegistryError> {
    let models = &api.shared.models;
    let detector = models.file_detector();
    let book = models.rulebooks().rulebook_in_force(detector)?.rulebook;
    let name = wanted.name.unwrap_or_else(|| "rule".to_string());
    let rule = WrittenRule::live(&name, &wanted.when, wanted.outcome);
    Trial::new(detector, &book, vec![rule]).map_err(RegistryError::Flawed)
}

/// Says so when whoever asked does not wait any more.
struct Gone(Arc<AtomicBool>);

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
