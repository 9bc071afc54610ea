//! HTTP and WebSocket: the doors to the pipeline, and what can be read from the store.

mod activity;
mod alerts;
mod audit;
mod backtest;
mod download;
mod entities;
mod erasures;
mod generate;
mod inspection;
mod live;
mod metrics;
mod models;
mod page;
mod path;
pub mod problem;
mod read;
mod rejections;
mod retraining;
mod rules;
mod security;
mod session;
mod synthetic;
pub mod write;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use store::{Database, Store};
use tokio::sync::{mpsc, watch};
use utoipa::OpenApi;
use utoipa::openapi::{Content, OpenApi as OpenApiDocument, RefOr};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::access::Access;
use super::activity::Cube;
use super::audit::Audit;
use super::fallback::Fallbacks;
use super::generate::jobs::Generations;
use super::health::Troubles;
use super::metrics::Figures;
use super::monitors::Monitors;
use super::past::Past;
use super::pipeline::{Request, Shared, lock, now_us};
use super::recovery::Recovery;
use super::retraining::Retraining;
use super::settings::Settings;
use super::wire;
use crate::cli::WrongInput;
use crate::stream::feed::Feed;
use crate::stream::lag::Lag;
use crate::stream::recorder::Work;
use crate::stream::settings::KafkaSettings;

pub use alerts::{Brief as AlertsBrief, look_up as look_up_alerts, watch_alerts};
pub use live::{Frame, publish};
pub use models::{Judged, Remembered, judged};
pub use read::{read, read_now};

/// What every handler can reach.
pub type Api = Arc<Doors>;

/// The queue to the pipeline, what it shares, and the store for reading.
pub struct Doors {
    /// The queue to the pipeline.
    pub requests: mpsc::Sender<Request>,
    /// What the pipeline shares.
    pub shared: Arc<Shared>,
    /// Idle connections for reading, taken in turn by blocking tasks.
    pub readers: Mutex<Vec<Box<dyn Store>>>,
    /// The database, for more connections; `None` if nothing is stored.
    pub database: Option<Database>,
    /// How the models in use were last found to fare.
    pub judged: Remembered<Judged>,
    /// How far decisions were last found to be from what the champion learnt from.
    pub drift: Remembered<wire::Drift>,
    /// Figures for Prometheus that need the database.
    pub figures: Figures,
    /// What watches for drift; its figures are for whoever exports them.
    pub monitors: Monitors,
    /// Runs of training again.
    pub retraining: Retraining,
    /// What viewers see of alerts.
    pub alerts: Mutex<AlertsBrief>,
    /// How long decisions are kept, in microseconds of event time, where the service itself sees to it.
    pub retention_us: Option<i64>,
    /// A request that takes longer is logged.
    pub slow_request: Duration,
    /// The data folder.
    pub data_dir: PathBuf,
    /// What last went wrong with each part.
    pub troubles: Troubles,
    /// Where snapshots are kept.
    pub recovery: Recovery,
    /// The past of the decision that was last looked back from.
    pub past: Mutex<Option<Past>>,
    /// Who may do what.
    pub access: Access,
    /// Who did and saw what.
    pub audit: Audit,
    /// What is answered when the deadline has passed; `None` where callers wait for as long as it takes.
    pub fallbacks: Option<Fallbacks>,
    /// What happened so far, counted.
    pub activity: Mutex<Cube>,
    /// The newest picture for viewers.
    pub frames: watch::Sender<Arc<Frame>>,
    /// Where transactions come from.
    pub source: wire::Source,
    /// When the service started.
    pub started_us: i64,
    /// Jobs that send synthetic transactions.
    pub generations: Generations,
    /// How the stream from Kafka is; `None` where transactions come in over HTTP.
    pub stream: Option<StreamDoor>,
}

impl Doors {
    /// Doors to what decides: the queue, what is shared, the database that is read, and the stream if there is one.
    ///
    /// # Errors
    /// If the audit log or the file of keys cannot be used.
    pub fn new(
        settings: &Settings,
        source: wire::Source,
        requests: mpsc::Sender<Request>,
        shared: Arc<Shared>,
        database: Option<Database>,
        recovery: Recovery,
        stream: Option<StreamDoor>,
    ) -> anyhow::Result<Doors> {
        let wrong = |error: anyhow::Error| WrongInput(format!("{error:#}"));
        let access = Access::open(&settings.access, shared.detector.schema.cards.clone()).map_err(wrong)?;
        let audit = Audit::start(database.clone(), &settings.data_dir)?;
        Ok(Doors {
            requests,
            readers: Mutex::new(Vec::new()),
            database,
            judged: Remembered::default(),
            drift: Remembered::default(),
            figures: Figures::default(),
            monitors: Monitors::new(&settings.monitors),
            retraining: Retraining::new(settings),
            alerts: Mutex::default(),
            retention_us: settings.retention_us,
            slow_request: settings.slow_request,
            data_dir: settings.data_dir.clone(),
            troubles: Troubles::default(),
            recovery,
            past: Mutex::default(),
            access,
            audit,
            fallbacks: settings.fallback().map(|config| Fallbacks::new(config, &shared.detector)),
            activity: Mutex::new(Cube::new(&shared.detector.schema)),
            frames: watch::Sender::new(Arc::new(Frame::default())),
            source,
            started_us: now_us(),
            generations: Generations::new(settings.synthetic.clone(), &settings.data_dir),
            stream,
            shared,
        })
    }

    /// Whether transactions with this mark count as real ones: those without one do, and in the demo the simulator's own.
    pub fn is_real(&self, mark: Option<&str>) -> bool {
        mark.is_none() || mark == self.source.mark.as_deref()
    }

    /// The event time before which transactions without a label are genuine, if there is one.
    pub fn matured_before_us(&self) -> Option<i64> {
        let newest_us = lock(&self.shared.stats).stream_us.unwrap_or_else(now_us);
        self.shared.mature_after_us.map(|after_us| newest_us - after_us)
    }
}

/// What the doors know of Kafka.
pub struct StreamDoor {
    /// How the stream is.
    pub condition: Arc<crate::stream::condition::Condition>,
    /// How much waits in the topic.
    pub lag: Arc<Lag>,
    /// Where transactions come in.
    pub transactions: String,
    /// How Kafka is reached.
    pub settings: KafkaSettings,
    /// The way into the topics, made when it is first needed.
    pub feed: Mutex<Option<Arc<Feed>>>,
    /// The way to the thread that writes the database.
    pub recorder: std::sync::mpsc::Sender<Work>,
}

impl StreamDoor {
    /// The way into the topics.
    ///
    /// # Errors
    /// If there can be no producer.
    pub fn feed(&self) -> anyhow::Result<Arc<Feed>> {
        let mut feed = lock(&self.feed);
        if let Some(feed) = &*feed {
            return Ok(Arc::clone(feed));
        }
        let new = Arc::new(Feed::new(&self.settings)?);
        *feed = Some(Arc::clone(&new));
        Ok(new)
    }
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "redflag",
        description = "Real-time fraud detection: post a transaction, get a decision.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    components(schemas(
        wire::LiveMessage,
        wire::Decision,
        wire::FallbackDecision,
        wire::Problem,
        wire::BatchLine,
        wire::Activity,
        wire::AlertPage,
        wire::AlertDetail,
        wire::AlertRequest,
        wire::AlertConflict,
        wire::NextAlertRequest,
        wire::Health
    ))
)]
struct Document;

fn is_problem(content: &RefOr<Content>) -> bool {
    let RefOr::T(content) = content else { return false };
    matches!(&content.schema, Some(RefOr::Ref(schema)) if schema.ref_location.ends_with("/Problem"))
}

/// Problem documents have a media type of their own, which need not be said at each of them.
fn name_problems(document: &mut OpenApiDocument) {
    for item in document.paths.paths.values_mut() {
        let operations = [&mut item.get, &mut item.post, &mut item.put, &mut item.patch, &mut item.delete];
        let responses =
            operations.into_iter().flatten().flat_map(|operation| operation.responses.responses.values_mut());
        for response in responses {
            let RefOr::T(response) = response else { continue };
            if response.content.get("application/json").is_some_and(is_problem)
                && let Some(content) = response.content.swap_remove("application/json")
            {
                response.content.insert("application/problem+json".to_string(), content);
            }
        }
    }
}

fn documented() -> (Router<Api>, OpenApiDocument) {
    let (router, mut document) = OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(write::decide))
        .routes(routes!(write::decide_batch))
        .routes(routes!(write::label))
        .routes(routes!(write::predict))
        .routes(routes!(read::decisions))
        .routes(routes!(read::decision))
        .routes(routes!(read::reasons))
        .routes(routes!(inspection::contributions))
        .routes(routes!(inspection::replay))
        .routes(routes!(inspection::what_if))
        .routes(routes!(inspection::detector))
        .routes(routes!(activity::activity))
        .routes(routes!(alerts::alerts))
        .routes(routes!(alerts::next))
        .routes(routes!(alerts::alert, alerts::revise))
        .routes(routes!(entities::entity))
        .routes(routes!(erasures::erase))
        .routes(routes!(generate::generate, generate::jobs))
        .routes(routes!(generate::job, generate::cancel))
        .routes(routes!(generate::generate_alias))
        .routes(routes!(synthetic::generators))
        .routes(routes!(synthetic::report))
        .routes(routes!(models::models))
        .routes(routes!(models::performance))
        .routes(routes!(models::drift))
        .routes(routes!(models::promote))
        .routes(routes!(retraining::retraining))
        .routes(routes!(retraining::start_retraining))
        .routes(routes!(retraining::cancel_retraining))
        .routes(routes!(retraining::approve_retraining))
        .routes(routes!(rules::rules))
        .routes(routes!(backtest::backtest))
        .routes(routes!(rules::put_rule))
        .routes(routes!(rules::move_rule))
        .routes(routes!(rules::list, rules::put_list))
        .routes(routes!(rules::drop_list))
        .routes(routes!(rules::enlist))
        .routes(routes!(rules::delist))
        .routes(routes!(rules::put_policy))
        .routes(routes!(rules::history, rules::set_all))
        .routes(routes!(rules::check))
        .routes(routes!(rules::rulebook))
        .routes(routes!(rules::restore))
        .routes(routes!(read::stats))
        .routes(routes!(read::health))
        .routes(routes!(rejections::rejections))
        .routes(routes!(audit::audit))
        .routes(routes!(session::me))
        .routes(routes!(session::open, session::close))
        .routes(routes!(metrics::metrics))
        .routes(routes!(read::alive))
        .routes(routes!(read::ready))
        .routes(routes!(live::connect))
        .split_for_parts();
    name_problems(&mut document);
    security::describe(&mut document);
    (router, document)
}

/// The OpenAPI document, as text.
pub fn openapi_json() -> String {
    documented().1.to_pretty_json().expect("the document has no maps with odd keys")
}

/// All routes.
pub fn router(api: Api) -> Router {
    let (router, document) = documented();
    let text = document.to_pretty_json().expect("the document has no maps with odd keys");
    let json = [(axum::http::header::CONTENT_TYPE, "application/json")];
    router
        .route("/openapi.json", axum::routing::get(move || async move { (json, text) }))
        .layer(axum::middleware::from_fn_with_state(Arc::clone(&api), write::only_where_decided))
        .fallback(page::serve)
        .method_not_allowed_fallback(page::wrong_method)
        .with_state(api)
}
