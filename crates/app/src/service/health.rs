//! How the service is, part by part: what it is doing, what is wrong, and what to do about it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use store::Database;

use super::api::{Api, Doors};
use super::pipeline::{Condition, lock, now_us};
use super::redis::Freshness;
use super::rejections::bare;
use super::traces::Progress;
use super::wire::{Health, HealthFigure, HealthPart, HealthStatus, Instant, PartError, SourceKind};

/// How often the parts are looked at, so that what went wrong is remembered though nobody looked.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A file system with less than this share free is nearly full.
const FREE_MIN: f64 = 0.05;

/// Parts without which decisions go on: where others read, what traces are sent to, the registry that models come from, and room that is running out. A queue
/// that is full is worth a word and no reason to send nobody here: whoever waits in it is answered.
const DISPENSABLE: [&str; 6] = [REDIS, MODEL, DISK, PIPELINE, DRIFT, TRACES];

/// What to do when the pipeline has stopped.
const RESTART: &str = "restart the process; it goes on where the log ends";

const PIPELINE: &str = "pipeline";
const REDIS: &str = "redis";
const MODEL: &str = "model";
const DISK: &str = "disk";
const DRIFT: &str = "drift";
const TRACES: &str = "traces";

/// Alarms of drift that are named; of more, how many there are.
const ALARMS_NAMED: usize = 4;

/// What last went wrong with each part, since the start.
#[derive(Debug, Default)]
pub struct Troubles(Mutex<BTreeMap<String, Trouble>>);

/// What last went wrong with a part.
#[derive(Debug)]
struct Trouble {
    error: PartError,
    /// Whether it is still wrong.
    lasts: bool,
}

impl Troubles {
    /// The last one of a part.
    fn last(&self, part: &str) -> Option<PartError> {
        lock(&self.0).get(part).map(|trouble| trouble.error.clone())
    }

    /// Remembers what is wrong now. What has been wrong all along keeps its time, though its figures change; what is wrong once more
    /// has a new one.
    fn note(&self, parts: &[HealthPart], now: Instant) {
        let mut known = lock(&self.0);
        for part in parts {
            let before = known.get_mut(&part.name);
            if part.status != HealthStatus::Degraded {
                before.into_iter().for_each(|trouble| trouble.lasts = false);
                continue;
            }
            let text = part.detail.clone();
            match before {
                Some(trouble) if trouble.lasts && bare(&trouble.error.text) == bare(&text) => {
                    trouble.error.text = text;
                }
                _ => {
                    let trouble = Trouble { error: PartError { at: now, text }, lasts: true };
                    known.insert(part.name.clone(), trouble);
                }
            }
        }
    }
}

/// Looks at the parts as long as the service runs.
pub async fn watch(api: Api) {
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        api.troubles.note(&parts(&api), Instant(now_us()));
    }
}

/// How the service is now.
pub fn health(api: &Doors) -> Health {
    let mut parts = parts(api);
    api.troubles.note(&parts, Instant(now_us()));
    for part in &mut parts {
        part.last_error = api.troubles.last(&part.name);
    }
    let degraded = parts.iter().any(|part| part.status == HealthStatus::Degraded);
    Health { status: if degraded { HealthStatus::Degraded } else { HealthStatus::Ok }, parts }
}

/// Whether transactions are decided.
pub fn is_ready(api: &Doors, health: &Health) -> bool {
    let stands_in_the_way =
        |part: &HealthPart| part.status == HealthStatus::Degraded && !DISPENSABLE.contains(&&*part.name);
    !api.requests.is_closed() && !health.parts.iter().any(stands_in_the_way)
}

fn parts(api: &Doors) -> Vec<HealthPart> {
    let condition = lock(&api.shared.condition).clone();
    vec![
        source(api),
        pipeline(api),
        engine(&condition),
        model(api),
        drift(api),
        store(api, &condition),
        disk(&api.data_dir),
        kafka(api),
        redis(api),
        traces(api),
        off("mlflow", "runs and models are logged by the command line; the service does not need it"),
    ]
}

/// A part that is as it should be, unless there is a problem.
fn part(name: &str, problem: Option<String>, detail: String) -> HealthPart {
    HealthPart {
        name: name.to_string(),
        status: if problem.is_none() { HealthStatus::Ok } else { HealthStatus::Degraded },
        detail: problem.unwrap_or(detail),
        advice: None,
        figures: Vec::new(),
        last_error: None,
    }
}

fn off(name: &str, detail: &str) -> HealthPart {
    HealthPart { status: HealthStatus::Off, ..part(name, None, detail.to_string()) }
}

impl HealthPart {
    fn figure(mut self, name: &str, value: f64, unit: &str) -> HealthPart {
        self.figures.push(HealthFigure { name: name.to_string(), value, unit: unit.to_string() });
        self
    }

    /// What to do, where something is wrong.
    fn advise(mut self, advice: &str) -> HealthPart {
        self.advice = (self.status == HealthStatus::Degraded).then(|| advice.to_string());
        self
    }
}

fn source(api: &Doors) -> HealthPart {
    let now_s = now_us() / 1_000_000;
    let (totals, rate) = {
        let mut stats = lock(&api.shared.stats);
        stats.second(now_s);
        (stats.totals, stats.rate_per_second(now_s))
    };
    let detail = match (api.source.kind, &api.stream) {
        (SourceKind::Simulator, _) => "the simulator posts transactions as everybody does".to_string(),
        (_, Some(stream)) => format!("transactions come in from the topic {}", stream.transactions),
        _ => "transactions come in over HTTP".to_string(),
    };
    part("source", None, detail)
        .figure("decisions", rate, "per_second")
        .figure("decided", totals.decisions() as f64, "count")
        .figure("rejected", totals.rejected as f64, "count")
        .figure("repeated", totals.repeated as f64, "count")
        .figure("late", totals.late as f64, "count")
}

fn pipeline(api: &Doors) -> HealthPart {
    let latency = lock(&api.shared.stats).latency();
    let [p50, p90, p99, p999, max] = latency.percentiles.map(|us| us as f64);
    let timed = |part: HealthPart| {
        part.figure("p50", p50, "us")
            .figure("p90", p90, "us")
            .figure("p99", p99, "us")
            .figure("p99.9", p999, "us")
            .figure("max", max, "us")
    };
    let stopped = api.requests.is_closed().then(|| "the pipeline has stopped".to_string());
    if api.stream.is_some() {
        let decides = part(PIPELINE, stopped, "the stream's loop decides".to_string());
        return timed(decides.advise(RESTART));
    }
    let (waiting, bound) =
        (api.requests.max_capacity() - api.requests.capacity(), api.requests.max_capacity());
    let advice = if stopped.is_some() {
        RESTART
    } else {
        "more comes in than is decided: look at the store's times, send batches, or share the stream over Kafka"
    };
    let full = || (waiting == bound).then(|| format!("the queue is full: {bound} requests wait"));
    let problem = stopped.or_else(full);
    timed(part(PIPELINE, problem, format!("{waiting} of {bound} requests waiting")).advise(advice))
        .figure("fallbacks", lock(&api.shared.stats).fallbacks as f64, "count")
        .figure("waiting", waiting as f64, "count")
        .figure("bound", bound as f64, "count")
}

fn engine(condition: &Condition) -> HealthPart {
    let size = condition.state;
    let held = format!("{} events of {} entities", size.events, size.entities);
    part("engine", None, held)
        .figure("entities", size.entities as f64, "count")
        .figure("events", size.events as f64, "count")
        .figure("memory", size.bytes as f64, "bytes")
}

fn model(api: &Doors) -> HealthPart {
    let lineup = api.shared.models.current();
    let detail = lineup.champion_id().unwrap_or("no model: rules alone decide").to_string();
    part(MODEL, api.shared.models.trouble(), detail)
        .advise(
            "decisions go on with the models of before; look whether the registry can be reached and read",
        )
        .figure("trees", lineup.champion.as_ref().map_or(0, |champion| champion.trees) as f64, "count")
        .figure("challengers", lineup.in_the_shadow().count() as f64, "count")
}

fn drift(api: &Doors) -> HealthPart {
    if api.database.is_none() {
        return off(DRIFT, "nothing is stored here that could be looked at");
    }
    let found = api.monitors.tell();
    let named = found.raised.iter().take(ALARMS_NAMED);
    let named = named.map(|alarm| format!("{} of {} is {:.2}", alarm.kind, alarm.name, alarm.value));
    let named: Vec<String> = named.collect();
    let more = found.raised.len() - named.len();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let problem = (!named.is_empty())
        .then(|| format!("decisions are not what was learnt from: {}{more}", named.join(", ")));
    let told = part(DRIFT, problem, format!("{} decisions looked at", found.decisions))
        .advise("see /v1/models/drift; train again (POST /v1/retraining/runs), or mend what sends the field")
        .figure("raised", found.raised.len() as f64, "count");
    let figures = [
        ("psi of the score", found.psi_score),
        ("psi at most", found.psi_max),
        ("missing more", found.missing_max),
    ];
    figures.into_iter().fold(told, |told, (name, value)| match value {
        Some(value) => told.figure(name, value, "share"),
        None => told,
    })
}

fn store(api: &Doors, condition: &Condition) -> HealthPart {
    let Some(database) = &api.database else { return off("store", "nothing is stored here") };
    let accepts = match database {
        Database::Sqlite(_) => "SQLite accepts",
        Database::Postgres { .. } => "PostgreSQL accepts",
    };
    let [p50, _, p99, _, max] = lock(&api.shared.stats).commits().percentiles.map(|us| us as f64);
    let stored = part("store", condition.store_error.clone(), accepts.to_string())
        .advise("callers are turned away until it accepts again, and nothing is lost; look at its disk, its connections and its log")
        .figure("commit p50", p50, "us")
        .figure("commit p99", p99, "us")
        .figure("commit max", max, "us");
    match database {
        Database::Sqlite(file) => stored.figure("size", size_of(file) as f64, "bytes"),
        Database::Postgres { .. } => stored,
    }
}

/// The database's file and what was not yet entered into it.
fn size_of(file: &Path) -> u64 {
    let log = file.with_extension("db-wal");
    [file, log.as_path()].iter().filter_map(|path| path.metadata().ok()).map(|found| found.len()).sum()
}

fn disk(folder: &Path) -> HealthPart {
    let Ok(found) = rustix::fs::statvfs(folder) else {
        return part(DISK, Some(format!("{} cannot be looked at", folder.display())), String::new());
    };
    let free = found.f_bavail as f64 * found.f_frsize as f64;
    let share = found.f_bavail as f64 / (found.f_blocks as f64).max(1.0);
    let full = format!("{:.1} % of the file system of {} is free", 100.0 * share, folder.display());
    part(DISK, (share < FREE_MIN).then(|| full.clone()), full)
        .advise("make room, or move data_dir: when the disk is full, nothing can be stored and nothing is decided")
        .figure("free", free, "bytes")
        .figure("free share", share, "share")
}

fn kafka(api: &Doors) -> HealthPart {
    let Some(stream) = &api.stream else { return off("kafka", "transactions do not come from Kafka") };
    let (problem, detail) = stream.condition.tell();
    let told = part("kafka", problem, detail)
        .advise("the stream waits and goes on by itself; if it does not, look whether brokers answer and who else is in the group")
        .figure("partitions", stream.condition.partitions() as f64, "count");
    match stream.lag.known() {
        Some(lag) => told.figure("lag", lag as f64, "count"),
        None => told,
    }
}

fn redis(api: &Doors) -> HealthPart {
    let Some(redis) = &api.shared.redis else { return off(REDIS, "nothing is written for others to read") };
    let freshness: Freshness = redis.freshness();
    part(REDIS, freshness.trouble(), freshness.to_string())
        .advise("decisions go on, others read what is old; look whether Redis answers and has memory left")
        .figure("behind", freshness.behind.as_secs_f64(), "s")
        .figure("waiting", freshness.waiting as f64, "count")
        .figure("written", freshness.written as f64, "count")
        .figure("dropped", freshness.dropped as f64, "count")
}

fn traces(api: &Doors) -> HealthPart {
    let Some(traces) = &api.shared.traces else { return off(TRACES, "traces are sent nowhere") };
    let Progress { sent, dropped, waiting, problem } = traces.progress();
    let problem = problem.map(|(problem, since_us)| {
        format!("not taken since {}: {problem}; decisions go on", engine::time::format_instant(since_us))
    });
    part(TRACES, problem, format!("{sent} spans sent, {waiting} wait"))
        .advise("traces are lost, nothing else; look whether the receiver answers at traces.endpoint")
        .figure("sent", sent as f64, "count")
        .figure("waiting", waiting as f64, "count")
        .figure("dropped", dropped as f64, "count")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error_after(troubles: &Troubles, problem: Option<&str>, at: i64) -> Option<(i64, String)> {
        let problem = problem.map(str::to_string);
        troubles.note(&[part("store", problem, "accepts".to_string())], Instant(at));
        troubles.last("store").map(|error| (error.at.0, error.text))
    }

    #[test]
    fn an_error_is_kept_after_recovery_and_has_the_time_at_which_it_began() {
        let troubles = Troubles::default();
        let told = |at: i64, text: &str| Some((at, text.to_string()));
        assert_eq!(error_after(&troubles, None, 1), None);
        assert_eq!(error_after(&troubles, Some("5 s behind"), 2), told(2, "5 s behind"));
        assert_eq!(error_after(&troubles, Some("6 s behind"), 3), told(2, "6 s behind"));
        assert_eq!(error_after(&troubles, None, 4), told(2, "6 s behind"));
        assert_eq!(error_after(&troubles, Some("6 s behind"), 5), told(5, "6 s behind"));
        assert_eq!(error_after(&troubles, Some("refused"), 6), told(6, "refused"));
    }
}
