//! The present of a simulated world, sent through HTTP as anybody's transactions would be.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use axum::body::Bytes;
use axum::http::{Method, Request};
use engine::{Detector, Label};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use lab::dataset::{Block, SimulatedReader, write_event, write_mark};
use lab::simulate::Simulator;

/// The present, streamed at a fixed rate.
pub struct Stream {
    pub address: SocketAddr,
    pub detector: Arc<Detector>,
    /// The world's transactions, history first.
    pub simulator: Box<dyn Simulator>,
    /// What is said to have made them.
    pub mark: String,
    /// Where history ends.
    pub from_us: i64,
    /// The newest transaction that was decided before a restart.
    pub after_us: Option<i64>,
    /// Simulated time until a fraud is known.
    pub label_delay_us: i64,
    /// Transactions a second.
    pub rate: f64,
}

/// A fraud that becomes known at `due_us` of simulated time.
struct Due {
    due_us: i64,
    id: String,
}

impl Stream {
    /// Sends until the world ends.
    ///
    /// # Errors
    /// If the service cannot be reached any more.
    pub async fn run(self) -> Result<()> {
        let schema = Arc::new(self.detector.schema.clone());
        let mut reader = SimulatedReader::new(self.simulator, &schema).marked(self.mark);
        let mut block = Block::new(&schema);
        let mut client = Client::connect(self.address).await?;
        let mut due: VecDeque<Due> = VecDeque::new();
        let mut pace = Pace::new(self.rate);
        let mut body = String::new();
        loop {
            block.clear();
            if !reader.read_one(&mut block) {
                return Ok(());
            }
            if block.batch.is_empty() {
                continue;
            }
            let time_us = block.batch.time_us(0);
            if time_us < self.from_us {
                continue;
            }
            let seen = self.after_us.is_some_and(|after_us| time_us < after_us);
            if block.batch.label(0) == Label::Fraud {
                due.push_back(Due {
                    due_us: time_us + self.label_delay_us,
                    id: block.batch.id(0).to_string(),
                });
            }
            if seen {
                // Decided and labelled before the restart; what is due by now is dropped with it.
                due.retain(|label| label.due_us > time_us);
                continue;
            }
            pace.wait().await;
            body.clear();
            write_event(&block.batch, 0, false, &mut body);
            write_mark(block.batch.mark(0), &mut body);
            client.post("/v1/transactions", &body).await?;
            while due.front().is_some_and(|label| label.due_us <= time_us) {
                let Some(label) = due.pop_front() else { break };
                let body = format!("{{\"transaction_id\":\"{}\",\"fraud\":true}}", label.id);
                client.post("/v1/labels", &body).await?;
            }
        }
    }
}

/// Open-loop pacing: transaction n is due at n / rate, however long the answers take.
struct Pace {
    started: Instant,
    sent: u64,
    rate: f64,
}

impl Pace {
    fn new(rate: f64) -> Pace {
        Pace { started: Instant::now(), sent: 0, rate }
    }

    async fn wait(&mut self) {
        let due = self.started + Duration::from_secs_f64(self.sent as f64 / self.rate);
        self.sent += 1;
        if due > Instant::now() {
            tokio::time::sleep_until(due.into()).await;
        }
    }
}

/// One connection to our own door, as any client would have.
struct Client {
    address: SocketAddr,
    sender: SendRequest<Full<Bytes>>,
}

impl Client {
    async fn connect(address: SocketAddr) -> Result<Client> {
        let stream = tokio::net::TcpStream::connect(address).await.context("cannot reach the service")?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(async move { drop(connection.await) });
        Ok(Client { address, sender })
    }

    /// Posts until it is answered; a service that refuses for the moment is asked again.
    async fn post(&mut self, path: &str, body: &str) -> Result<()> {
        loop {
            let request = Request::builder()
                .method(Method::POST)
                .uri(path)
                .header("host", self.address.to_string())
                .header("content-type", "application/json")
                .body(Full::new(Bytes::copy_from_slice(body.as_bytes())))?;
            let answer = match self.sender.send_request(request).await {
                Ok(answer) => answer,
                Err(_) => {
                    tokio::time::sleep(Duration::from_secs_f64(RETRY_S)).await;
                    *self = Client::connect(self.address).await?;
                    continue;
                }
            };
            let status = answer.status();
            answer.into_body().collect().await?;
            if status != axum::http::StatusCode::SERVICE_UNAVAILABLE {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_secs_f64(RETRY_S)).await;
        }
    }
}

/// Seconds before asking again.
const RETRY_S: f64 = 0.5;
