//! What is older than is kept goes: the base moves forward, then what it contains is deleted.
//!
//! Base and log give every later state. So the base is moved first, beside the pipeline; only then are the decisions before it
//! deleted, a portion at a time between two groups. Whoever dies in between finds a base that contains more than is needed, and
//! goes on. A transaction that a later label names is kept until that label is old: without it the label could not be learnt
//! again.

use std::time::Duration;

use anyhow::{Context, Result};
use tokio::sync::oneshot;

use super::api::{Api, Doors, read};
use super::pipeline::{Request, lock, now_us};

/// Time between two looks at what is old.
const INTERVAL: Duration = Duration::from_secs(60);

/// Time between two portions: others write meanwhile.
const PAUSE: Duration = Duration::from_millis(5);

/// Moves the base and deletes what is before it, as long as the service runs.
pub async fn watch(api: Api) {
    let Some(retention_us) = api.retention_us else { return };
    let in_process = api.database.as_ref().is_some_and(store::Database::is_in_process);
    if !in_process || api.stream.is_some() {
        return;
    }
    loop {
        match retire(&api, retention_us).await {
            Ok(0) => {}
            Ok(decisions) => tracing::info!(decisions, "deleted what is older than is kept"),
            Err(error) => {
                tracing::warn!(error = %format!("{error:#}"), "what is old could not be deleted yet")
            }
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

/// How many decisions went.
async fn retire(api: &Api, retention_us: i64) -> Result<u64> {
    let Some(newest_us) = lock(&api.shared.stats).stream_us else { return Ok(0) };
    let horizon_us = newest_us.saturating_sub(retention_us);
    let first = read(api, move |store| store.first_since(horizon_us)).await.context("the store refuses")?;
    let Some(first) = first else { return Ok(0) };
    let base = move_base(api, first - 1).await?;
    let mut gone = 0;
    loop {
        let (reply, answer) = oneshot::channel();
        let received_before_us = now_us().saturating_sub(retention_us);
        let request = Request::Retire { before: base + 1, received_before_us, reply };
        api.requests.send(request).await.ok().context("the pipeline has ended")?;
        match answer.await.context("the pipeline has ended")? {
            Ok(0) => return Ok(gone),
            Ok(decisions) => gone += decisions,
            Err(_) => anyhow::bail!("the store refuses"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Moves the base up to this position, if it is not there yet; where it is then.
async fn move_base(api: &Api, position: i64) -> Result<i64> {
    let api = Api::clone(api);
    tokio::task::spawn_blocking(move || move_base_now(&api, position)).await?
}

fn move_base_now(api: &Doors, position: i64) -> Result<i64> {
    let detector = &api.shared.detector;
    let base = api.recovery.base_position()?;
    if position <= base {
        return Ok(base);
    }
    let database = api.database.as_ref().context("nothing is stored")?;
    api.recovery.move_base(position, detector, &mut *database.open_reader()?)?;
    Ok(position)
}
