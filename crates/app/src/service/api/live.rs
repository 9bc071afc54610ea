//! The live feed: one picture of what happens, made a few times a second, shown to whoever looks.
//!
//! A picture is made once for all viewers. A viewer that is slow misses pictures, not figures: the next one it takes has
//! the totals, the newest decisions, and how many it has not seen.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::response::Response;

use super::problem::problem;
use super::read::current_stats;
use super::{AlertsBrief, Api, Doors};
use crate::service::pipeline::lock;
use crate::service::wire::LiveMessage;

/// Time between two pictures.
const INTERVAL: Duration = Duration::from_millis(250);

/// Decisions listed in an update.
const LISTED_MAX: usize = 50;

/// A viewer that takes longer than this for one message is gone.
const SEND_TIMEOUT: Duration = Duration::from_secs(20);

/// Where somebody is asked who they are, they are asked again after this: a key may have been revoked since.
const ASKED_AGAIN: Duration = Duration::from_secs(10 * 60);

/// Viewers have nothing to say.
const RECEIVED_BYTES_MAX: usize = 4_096;

/// One picture.
#[derive(Debug, Default)]
pub struct Frame {
    /// Figures as JSON.
    stats: String,
    /// Decisions since the start.
    decided: u64,
    /// The newest decisions with their number, newest first.
    recent: Vec<(u64, String)>,
    /// Jobs as JSON.
    generations: String,
    /// Alerts as members of a JSON object.
    alerts: String,
}

/// Makes pictures as long as somebody looks.
pub async fn publish(api: Api) {
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if api.frames.receiver_count() > 0 {
            api.frames.send_replace(Arc::new(picture(&api)));
        }
    }
}

fn picture(api: &Doors) -> Frame {
    let stats = serde_json::to_string(&current_stats(api)).expect("figures have no maps with odd keys");
    let generations =
        serde_json::to_string(&api.generations.shown()).expect("jobs have no maps with odd keys");
    let alerts = alerts_json(&lock(&api.alerts));
    let shared = lock(&api.shared.stats);
    Frame {
        stats,
        decided: shared.decided,
        recent: shared.recent.iter().rev().cloned().collect(),
        generations,
        alerts,
    }
}

fn alerts_json(alerts: &AlertsBrief) -> String {
    let counts = serde_json::to_string(&alerts.counts).expect("counts have no maps with odd keys");
    let newest = serde_json::to_string(&alerts.newest).expect("an alert has no maps with odd keys");
    format!("\"alerts\":{counts},\"newest_alert\":{newest}")
}

/// The live feed: text messages, each a `LiveMessage`.
#[utoipa::path(get, path = "/v1/live", tag = "service",
    responses((status = 101, description = "a WebSocket of LiveMessage", body = LiveMessage)))]
pub async fn connect(
    State(api): State<Api>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade.max_message_size(RECEIVED_BYTES_MAX),
        Err(rejection) => return problem(rejection.status(), "no WebSocket", &rejection.body_text(), vec![]),
    };
    let at_most = if api.access.is_on() { ASKED_AGAIN } else { Duration::MAX };
    upgrade.on_upgrade(move |socket| async move {
        // A page connects again by itself.
        drop(tokio::time::timeout(at_most, show(api, socket)).await);
    })
}

async fn show(api: Api, mut socket: WebSocket) {
    let mut frames = api.frames.subscribe();
    let mut seen = None;
    let first = Arc::new(picture(&api));
    if !send(&mut socket, &first, &mut seen).await {
        return;
    }
    loop {
        tokio::select! {
            changed = frames.changed() => {
                let frame = Arc::clone(&frames.borrow_and_update());
                if changed.is_err() || !send(&mut socket, &frame, &mut seen).await {
                    return;
                }
            }
            received = socket.recv() => match received {
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => {}
            }
        }
    }
}

/// Sends what the viewer has not seen; false if it is gone.
async fn send(socket: &mut WebSocket, frame: &Frame, seen: &mut Option<u64>) -> bool {
    let text = message(frame, *seen);
    *seen = Some(frame.decided);
    let sent = tokio::time::timeout(SEND_TIMEOUT, socket.send(Message::Text(Utf8Bytes::from(text)))).await;
    matches!(sent, Ok(Ok(())))
}

/// A `LiveMessage` as JSON, from parts that are JSON already.
fn message(frame: &Frame, seen: Option<u64>) -> String {
    let (kind, after, most) = match seen {
        None => ("snapshot", 0, frame.recent.len()),
        Some(seen) => ("update", seen, LISTED_MAX),
    };
    let listed: Vec<&str> = frame
        .recent
        .iter()
        .take_while(|(number, _)| *number > after)
        .take(most)
        .map(|(_, json)| json.as_str())
        .collect();
    let skipped = seen.map_or(0, |seen| (frame.decided - seen).saturating_sub(listed.len() as u64));
    format!(
        "{{\"kind\":\"{kind}\",\"stats\":{},\"decisions\":[{}],\"skipped\":{skipped},\"generations\":{},{}}}",
        frame.stats,
        listed.join(","),
        frame.generations,
        frame.alerts
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_viewer_gets_what_it_has_not_seen() {
        let recent = (1..=80).rev().map(|number| (number, number.to_string())).collect();
        let frame = Frame {
            stats: "{}".into(),
            decided: 80,
            recent,
            generations: "[]".into(),
            alerts: "\"alerts\":{}".into(),
        };
        let update = message(&frame, Some(10));
        assert!(update.starts_with("{\"kind\":\"update\",\"stats\":{},\"decisions\":[80,79,"), "{update}");
        assert!(update.ends_with(",31],\"skipped\":20,\"generations\":[],\"alerts\":{}}"), "{update}");
        assert!(message(&frame, None).contains("\"snapshot\""));
        assert!(
            message(&frame, Some(80))
                .ends_with("\"decisions\":[],\"skipped\":0,\"generations\":[],\"alerts\":{}}")
        );
    }
}
