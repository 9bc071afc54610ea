//! What is measured, for Prometheus: everything is known already, here it is written down. A scrape reads no database and holds no
//! lock for longer than it takes to copy figures.

pub mod durations;
pub mod text;

use std::sync::Mutex;
use std::time::Duration;

use engine::Outcome;

use self::durations::{BOUNDS_US, LABEL_BOUNDS_S, LabelDelays};
use self::text::{Exposition, Format, Series};
use super::api::{Api, Doors, judged, look_up_alerts};
use super::health::{self, is_ready};
use super::online;
use super::pipeline::{lock, now_us};
use super::rejections::REASONS;
use super::retraining::RunFigures;
use super::stats::{SCORE_BINS, Stats};
use super::traces::Traces;
use super::wire::{Health, HealthPart, HealthStatus, LiveFigures};
use crate::log;

/// How often figures that need the database are computed, at the most.
const FIGURES_EVERY: Duration = Duration::from_secs(60);

/// What needs the database or files, as it was last found.
#[derive(Default)]
pub struct Figures {
    models: Mutex<Vec<(String, LiveFigures)>>,
    retraining: Mutex<RunFigures>,
}

/// Computes figures that need the database, again and again as long as the service runs.
pub async fn watch(api: Api) {
    if api.database.is_none() {
        return;
    }
    let mut ticks = tokio::time::interval(FIGURES_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        look_up_alerts(&api).await;
        if let Some(judged) = judged(&api).await {
            *lock(&api.figures.models) = judged.live();
        }
        let held = Api::clone(&api);
        if let Ok(found) = tokio::task::spawn_blocking(move || held.retraining.figures()).await {
            *lock(&api.figures.retraining) = found;
        }
    }
}

/// All metrics.
pub fn expose(api: &Doors, format: Format) -> String {
    let mut text = Exposition::new(format);
    let health = health::health(api);
    let stats = lock(&api.shared.stats).clone_figures();
    of_versions(api, &mut text);
    of_decisions(&stats, &mut text);
    of_times(&stats, &mut text);
    of_parts(api, &health, &mut text);
    of_people(api, &mut text);
    of_telemetry(api, &mut text);
    of_models(api, &mut text);
    of_retraining(api, &mut text);
    of_process(api, &mut text);
    text.finish()
}

fn of_versions(api: &Doors, text: &mut Exposition) {
    let version = env!("CARGO_PKG_VERSION");
    text.gauge("redflag_build_info", "The program.", [(&[("version", version)][..], 1.0)]);
    let detector = &api.shared.detector;
    let labels = [
        ("detector", detector.name.as_str()),
        ("features", detector.feature_fingerprint.as_str()),
        ("rules", detector.rules_fingerprint.as_str()),
    ];
    text.gauge("redflag_detector_info", "The detector, with its fingerprints.", [(&labels[..], 1.0)]);
    let lineup = api.shared.models.current();
    let trees = lineup.all().map(|loaded| (&*loaded.model.id, loaded.facts.algorithm.as_str()));
    let online = lineup.online.iter().map(|_| (online::ID, online::ALGORITHM));
    let labels: Vec<_> = trees
        .chain(online)
        .map(|(id, algorithm)| {
            let role = if lineup.champion_id() == Some(id) { "champion" } else { "challenger" };
            [("model", id), ("role", role), ("algorithm", algorithm)]
        })
        .collect();
    text.gauge(
        "redflag_model_info",
        "The models that score.",
        labels.iter().map(|labels| (&labels[..], 1.0)),
    );
}

fn of_decisions(stats: &Stats, text: &mut Exposition) {
    let totals = &stats.totals;
    let by_outcome = |counts: [u64; 3]| {
        Outcome::ALL.map(|outcome| ([("outcome", outcome.name())], counts[outcome as usize] as f64))
    };
    let decisions = by_outcome(totals.outcomes);
    text.counter(
        "redflag_decisions",
        "Decisions by outcome, since the database began.",
        decisions.iter().map(|(labels, value)| (&labels[..], *value)),
    );
    let synthetic = by_outcome(totals.synthetic);
    text.counter(
        "redflag_synthetic_decisions",
        "Of them those on synthetic transactions.",
        synthetic.iter().map(|(labels, value)| (&labels[..], *value)),
    );
    let genuine = totals.labels - totals.labelled_fraud.min(totals.labels);
    let labels =
        [([("label", "fraud")], totals.labelled_fraud as f64), ([("label", "genuine")], genuine as f64)];
    text.counter(
        "redflag_labels",
        "Labels, since the database began.",
        labels.iter().map(|(labels, value)| (&labels[..], *value)),
    );
    for (name, help, value) in [
        ("redflag_late", "Decisions on events older than the newest of an entity.", totals.late),
        ("redflag_rejections", "What came in and was no transaction.", totals.rejected),
        ("redflag_repeated", "Answers to ids that were seen before.", totals.repeated),
        (
            "redflag_fallbacks",
            "Answers by rules alone because the deadline had passed, since the start.",
            stats.fallbacks,
        ),
    ] {
        text.counter(name, help, [(&[][..], value as f64)]);
    }
    let reasons: Vec<_> = REASONS
        .iter()
        .zip(stats.rejections)
        .map(|(reason, count)| ([("reason", *reason)], count as f64))
        .collect();
    text.counter(
        "redflag_rejections_by_reason",
        "Rejections by why they were, since the start.",
        reasons.iter().map(|(labels, count)| (&labels[..], *count)),
    );
    let bounds: Vec<f64> = (1..SCORE_BINS).map(|bin| bin as f64 / SCORE_BINS as f64).collect();
    let sum = stats.score_sum;
    let series = Series { labels: &[], bounds: &bounds, counts: &stats.score_histogram, sum };
    text.histogram("redflag_score", "Scores of decisions, since the start.", [series]);
}

fn of_times(stats: &Stats, text: &mut Exposition) {
    let bounds = BOUNDS_US.map(|us| us as f64 / 1e6);
    let stages = ["queue", "decide", "commit", "total"].map(|stage| [("stage", stage)]);
    let series = stages.iter().zip(stats.stages.iter()).map(|(labels, durations)| Series {
        labels,
        bounds: &bounds,
        counts: &durations.counts,
        sum: durations.sum_us as f64 / 1e6,
    });
    let help = "Time of a decision by stage: waiting in the queue, deciding, storing, and all of it from receipt to answer. \
                Requests of several transactions are waited for as one.";
    text.histogram("redflag_decision_duration_seconds", help, series);
    let bounds = LABEL_BOUNDS_S.map(|seconds| seconds as f64);
    let LabelDelays { counts, sum_s } = stats.label_delays;
    let series = Series { labels: &[], bounds: &bounds, counts: &counts, sum: sum_s };
    let help = "From the time of an event to its label's arrival, since the start.";
    text.histogram("redflag_label_delay_seconds", help, [series]);
}

/// Figures of parts that are under another name in `/v1/health`.
const OF_PARTS: [(&str, &str, &str, &str); 14] = [
    ("pipeline", "waiting", "redflag_queue_waiting", "Requests that wait for the pipeline."),
    ("pipeline", "bound", "redflag_queue_bound", "How many may wait."),
    ("engine", "entities", "redflag_state_entities", "Entities whose windows are held."),
    ("engine", "events", "redflag_state_events", "Events that are held in windows."),
    ("engine", "memory", "redflag_state_bytes", "Memory of the windows."),
    ("store", "size", "redflag_store_size_bytes", "The database's file and its log."),
    ("disk", "free", "redflag_disk_free_bytes", "Room on the file system of the data folder."),
    ("disk", "free share", "redflag_disk_free_ratio", "The same as a share."),
    ("kafka", "partitions", "redflag_kafka_partitions", "Partitions that this process owns."),
    ("kafka", "lag", "redflag_kafka_lag", "Transactions in the topic that the group has not yet committed."),
    (
        "redis",
        "behind",
        "redflag_redis_behind_seconds",
        "How long the longest waiting entity has waited to be written.",
    ),
    ("redis", "waiting", "redflag_redis_waiting", "Entities that wait to be written."),
    ("redis", "written", "redflag_redis_written", "Entities written since the start."),
    ("redis", "dropped", "redflag_redis_dropped", "Entities that were never written, since the start."),
];

fn of_parts(api: &Doors, health: &Health, text: &mut Exposition) {
    let ready = f64::from(u8::from(is_ready(api, health)));
    text.gauge("redflag_ready", "Whether transactions are decided, as /readyz says.", [(&[][..], ready)]);
    let is_on = |part: &&HealthPart| part.status != HealthStatus::Off;
    let up = |part: &HealthPart| f64::from(u8::from(part.status == HealthStatus::Ok));
    let labels: Vec<_> =
        health.parts.iter().filter(is_on).map(|part| ([("part", part.name.as_str())], up(part))).collect();
    let help = "Whether a part is as it should be; parts that are off are not told.";
    text.gauge("redflag_part_up", help, labels.iter().map(|(labels, up)| (&labels[..], *up)));
    for (part, figure, name, help) in OF_PARTS {
        let part = health.parts.iter().filter(is_on).find(|found| found.name == part);
        let figure = part.and_then(|part| part.figures.iter().find(|found| found.name == figure));
        if let Some(figure) = figure {
            text.gauge(name, help, [(&[][..], figure.value)]);
        }
    }
}

fn of_people(api: &Doors, text: &mut Exposition) {
    let counts = lock(&api.alerts).counts;
    text.gauge(
        "redflag_alerts_waiting",
        "Alerts that nobody has closed.",
        [(&[][..], (counts.open + counts.assigned) as f64)],
    );
    text.gauge(
        "redflag_alerts_overdue",
        "Of them those that are overdue.",
        [(&[][..], counts.overdue as f64)],
    );
    let writable = f64::from(u8::from(api.audit.is_writable()));
    let help = "Whether the audit log can be written; while it cannot, changes are refused.";
    text.gauge("redflag_audit_writable", help, [(&[][..], writable)]);
}

fn of_telemetry(api: &Doors, text: &mut Exposition) {
    let progress = api.shared.traces.as_ref().map(Traces::progress).unwrap_or_default();
    for (name, help, value) in [
        ("redflag_trace_spans_sent", "Spans that the receiver took, since the start.", progress.sent),
        (
            "redflag_trace_spans_dropped",
            "Spans that found no room or were refused, since the start.",
            progress.dropped,
        ),
        ("redflag_log_lines_lost", "Lines of the log that found no room, since the start.", log::lost()),
    ] {
        text.counter(name, help, [(&[][..], value as f64)]);
    }
}

fn of_models(api: &Doors, text: &mut Exposition) {
    let figures = lock(&api.figures.models).clone();
    type Figure = fn(&LiveFigures) -> Option<f64>;
    let told: [(&str, &str, Figure); 3] = [
        ("redflag_live_precision", "Share of alerts that were fraud, on labelled transactions.", |live| {
            live.precision
        }),
        ("redflag_live_recall", "Share of frauds that were alerts, on labelled transactions.", |live| {
            live.recall
        }),
        ("redflag_live_average_precision", "Average precision on labelled transactions.", |live| {
            live.average_precision
        }),
    ];
    for (name, help, figure) in told {
        let labels: Vec<_> = figures
            .iter()
            .filter_map(|(model, live)| Some(([("model", model.as_str())], figure(live)?)))
            .collect();
        text.gauge(name, help, labels.iter().map(|(labels, value)| (&labels[..], *value)));
    }
    let drift = api.monitors.figures_now();
    let of =
        |kind: &'static str| drift.iter().filter(move |figure| figure.kind == kind && figure.name != "score");
    let psi: Vec<_> = of("psi").map(|figure| ([("feature", figure.name.as_str())], figure.value)).collect();
    text.gauge(
        "redflag_psi",
        "Population stability index of each feature against training.",
        psi.iter().map(|(labels, value)| (&labels[..], *value)),
    );
    let missing: Vec<_> =
        of("missing").map(|figure| ([("feature", figure.name.as_str())], figure.value)).collect();
    text.gauge(
        "redflag_missing_growth_ratio",
        "By how much the share of missing values of each feature grew since training.",
        missing.iter().map(|(labels, value)| (&labels[..], *value)),
    );
    let score = drift.iter().find(|figure| figure.name == "score").map(|figure| (&[][..], figure.value));
    text.gauge("redflag_psi_score", "Population stability index of the score against training.", score);
    let monitors = api.monitors.tell();
    text.counter(
        "redflag_drift_crossings",
        "Thresholds of drift that were crossed, since the start.",
        [(&[][..], monitors.crossings as f64)],
    );
}

fn of_retraining(api: &Doors, text: &mut Exposition) {
    let found = lock(&api.figures.retraining).clone();
    let over: Vec<_> =
        found.over.iter().map(|(outcome, runs)| ([("outcome", *outcome)], *runs as f64)).collect();
    text.counter(
        "redflag_retraining_runs",
        "Runs of training again that are over, since the data folder began.",
        over.iter().map(|(labels, runs)| (&labels[..], *runs)),
    );
    let running = f64::from(u8::from(found.is_running));
    text.gauge("redflag_retraining_running", "Whether a run is not yet over.", [(&[][..], running)]);
    let instant = |us: Option<i64>| us.map(|us| (&[][..], us as f64 / 1e6));
    text.gauge(
        "redflag_retraining_last_success_timestamp_seconds",
        "When a run last came to a verdict: promoted or rejected.",
        instant(found.last_success_us),
    );
    text.gauge(
        "redflag_retraining_next_timestamp_seconds",
        "When the schedule starts the next run.",
        instant(api.retraining.next_us()),
    );
}

fn of_process(api: &Doors, text: &mut Exposition) {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let resident = rustix::param::page_size() as f64
        * read("/proc/self/statm")
            .split(' ')
            .nth(1)
            .and_then(|pages| pages.parse::<f64>().ok())
            .unwrap_or_default();
    text.gauge("process_resident_memory_bytes", "Memory that the process holds.", [(&[][..], resident)]);
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    text.counter(
        "process_cpu_seconds",
        "Processor time that the process has used.",
        [(&[][..], used.tv_sec as f64 + used.tv_nsec as f64 / 1e9)],
    );
    text.gauge(
        "process_start_time_seconds",
        "When the process started, since 1970.",
        [(&[][..], api.started_us as f64 / 1e6)],
    );
    text.gauge(
        "redflag_uptime_seconds",
        "How long it has run.",
        [(&[][..], (now_us() - api.started_us) as f64 / 1e6)],
    );
}
