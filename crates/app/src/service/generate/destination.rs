//! Where a job's transactions go: to the pipeline, as those that are posted, or to Kafka's topics.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Result, ensure};
use axum::body::Bytes;
use engine::detector::Schema;
use engine::time::DAY_US;
use engine::{Detector, EventBatch, Label};
use lab::dataset::{write_event, write_mark, write_whole_event};
use lab::split::label_delay_us;
use tokio::sync::{mpsc, oneshot};

use crate::service::pipeline::{Answer, Request, Unavailable};
use crate::stream::feed::Feed;

/// Where transactions and labels go.
pub struct Destination {
    schema: Arc<Schema>,
    /// Time of the stream until a fraud is known.
    label_delay_us: i64,
    way: Way,
}

/// How they go there.
pub enum Way {
    /// To the pipeline of this process.
    Pipeline(mpsc::Sender<Request>),
    /// To the topics of transactions and labels.
    Topics(Arc<Feed>),
}

/// A fraud that becomes known.
pub struct Fraud {
    /// In the time of the stream.
    pub known_us: i64,
    id: String,
    /// The whole event, label included.
    event: String,
}

impl Destination {
    /// For transactions of this detector.
    pub fn new(detector: &Detector, way: Way) -> Destination {
        let label_delay_us = label_delay_us(detector).max(DAY_US);
        Destination { schema: Arc::new(detector.schema.clone()), label_delay_us, way }
    }

    /// What its transactions look like.
    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// The frauds of a batch, and when they become known.
    pub fn frauds(&self, batch: &EventBatch) -> Vec<Fraud> {
        let fraud = |row: usize| {
            let mut event = String::new();
            write_whole_event(batch, row, &mut event);
            Fraud { known_us: batch.time_us(row) + self.label_delay_us, id: batch.id(row).to_string(), event }
        };
        (0..batch.len()).filter(|row| batch.label(*row) == Label::Fraud).map(fraud).collect()
    }

    /// Sends transactions, and says why some were rejected; `None` if they are to be sent again later.
    ///
    /// # Errors
    /// If there is no use in sending again.
    pub async fn transactions(&self, batch: &EventBatch) -> Result<Option<Vec<String>>> {
        let events = (0..batch.len()).map(|row| {
            let mut event = String::new();
            write_event(batch, row, false, &mut event);
            write_mark(batch.mark(row), &mut event);
            event
        });
        match &self.way {
            Way::Pipeline(requests) => decide(requests, events.map(Bytes::from).collect()).await,
            Way::Topics(feed) => {
                let keyed =
                    (0..batch.len()).map(|row| batch.key(row).map(str::to_string)).zip(events).collect();
                let feed = Arc::clone(feed);
                tokio::task::spawn_blocking(move || feed.transactions(keyed)).await??;
                Ok(Some(Vec::new()))
            }
        }
    }

    /// Says that a transaction was fraud; false if it is to be said again later.
    ///
    /// # Errors
    /// If there is no use in saying it again.
    pub async fn label(&self, fraud: &Fraud) -> Result<bool> {
        match &self.way {
            Way::Pipeline(requests) => {
                let (reply, answer) = oneshot::channel();
                let request = Request::Label { transaction_id: fraud.id.clone(), fraud: true, reply };
                // Of a transaction that was rejected nothing can be learnt.
                Ok(asked(requests, request, answer).await?.is_some())
            }
            Way::Topics(feed) => {
                let (feed, event) = (Arc::clone(feed), fraud.event.clone());
                tokio::task::spawn_blocking(move || feed.label(&event)).await??;
                Ok(true)
            }
        }
    }

    /// Waits until everything has arrived.
    ///
    /// # Errors
    /// If it has not.
    pub async fn finish(&self) -> Result<()> {
        if let Way::Topics(feed) = &self.way {
            let feed = Arc::clone(feed);
            tokio::task::spawn_blocking(move || feed.finish()).await??;
        }
        Ok(())
    }
}

async fn decide(requests: &mpsc::Sender<Request>, bodies: Vec<Bytes>) -> Result<Option<Vec<String>>> {
    let (reply, answer) = oneshot::channel();
    let request = Request::Decide { bodies, received: Instant::now(), trace: None, reply };
    let answers = asked(requests, request, answer).await?;
    let rejected = |answer: Answer| match answer {
        Answer::Rejected(rejection) => Some(rejection.to_string()),
        Answer::Decided { .. } => None,
    };
    Ok(answers.map(|answers| answers.into_iter().filter_map(rejected).collect()))
}

/// The pipeline's answer; `None` if its store refuses at the moment.
async fn asked<T>(
    requests: &mpsc::Sender<Request>,
    request: Request,
    answer: oneshot::Receiver<Result<T, Unavailable>>,
) -> Result<Option<T>> {
    let sent = requests.send(request).await.is_ok();
    let answered = answer.await.ok().filter(|_| sent);
    ensure!(answered.is_some(), "the service stops");
    Ok(answered.and_then(Result::ok))
}
