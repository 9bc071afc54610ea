//! Connections: taken in, encrypted where that is set, each with its bounds, and led to the doors.
//!
//! Nobody can hold the service up by being slow: head and body of a request must arrive within a time, an idle connection is
//! closed after it, and so many connections are open at most.

use std::convert::Infallible;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Poll, ready};
use std::time::{Duration, Instant};

use anyhow::Result;
use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::http::{Method, Request};
use axum::response::Response;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Sleep;
use tokio_rustls::TlsAcceptor;
use tower_service::Service as _;

use super::access::doors::door;
use super::access::guard::Told;
use super::access::tls::Identity;
use super::api::{self, Api, write};
use super::pipeline::{lock, now_us};
use super::traces::context::Trace;
use super::traces::span::Part;

/// How long the keys of an encrypted connection may take to be agreed on.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// After an error of the socket, as too many open files, the next connection is taken in this much later.
const PAUSE: Duration = Duration::from_millis(100);

/// The largest head of a request, with all that is read ahead.
const HEAD_BYTES_MAX: usize = 64 << 10;

/// Requests that failed or were slow of which is said in a second.
const SAID_A_SECOND: u64 = 10;

/// What every connection needs.
#[derive(Clone)]
pub struct Server {
    api: Api,
    router: Router,
    acceptor: Option<TlsAcceptor>,
    troubles: Arc<Troubles>,
    /// Changes when no more requests are to be answered.
    stop: watch::Receiver<bool>,
}

impl Server {
    /// What leads connections to these doors.
    ///
    /// # Errors
    /// If encryption cannot be set up.
    pub fn new(api: &Api, stop: watch::Receiver<bool>) -> Result<Server> {
        let acceptor = api.access.identity.as_ref().map(Identity::acceptor).transpose()?;
        let (api, router) = (Api::clone(api), api::router(Api::clone(api)));
        Ok(Server { api, router, acceptor, troubles: Arc::default(), stop })
    }

    /// Takes connections in until it is to stop, then waits until those that are open are answered.
    pub async fn run(self, listener: TcpListener) {
        let connections_max = self.api.access.config.connections;
        let room = Arc::new(Semaphore::new(connections_max));
        let mut stop = self.stop.clone();
        loop {
            tokio::select! {
                // Whoever would say so has gone: that means the same.
                _ = stop.changed() => break,
                (stream, peer, permit) = next(&listener, &room) => self.clone().start(stream, peer, permit),
            }
        }
        drop(listener);
        // All permits are back when all connections are closed.
        drop(room.acquire_many(u32::try_from(connections_max).unwrap_or(u32::MAX)).await);
    }

    fn start(self, stream: TcpStream, peer: SocketAddr, permit: OwnedSemaphorePermit) {
        tokio::spawn(async move {
            // Answers are one small packet each: waiting to fill one only adds latency.
            drop(stream.set_nodelay(true));
            match &self.acceptor {
                None => self.serve(stream, peer.ip()).await,
                Some(acceptor) => match tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
                    Ok(Ok(stream)) => self.serve(stream, peer.ip()).await,
                    Ok(Err(error)) => tracing::debug!(%error, "no encrypted connection"),
                    Err(_) => tracing::debug!("an encrypted connection took too long"),
                },
            }
            drop(permit);
        });
    }

    async fn serve(&self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, peer: IpAddr) {
        let answer = |request| async move { Ok::<_, Infallible>(self.answer(request, peer).await) };
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(self.api.access.config.request_within)
            .max_buf_size(HEAD_BYTES_MAX);
        let mut stop = self.stop.clone();
        let connection = http.serve_connection(TokioIo::new(stream), service_fn(answer)).with_upgrades();
        let mut connection = pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            _ = stop.changed() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        // Who hangs up, or is too slow, is not our mistake.
        ended.unwrap_or_else(|error| tracing::debug!(%error, "a connection ended"));
    }

    /// Answers, traces that where it is sampled, and says what failed or was slow.
    async fn answer(&self, mut request: Request<Incoming>, peer: IpAddr) -> Response {
        let (received, method) = (Instant::now(), name_of(request.method()));
        let traces = self.api.shared.traces.as_ref();
        let trace = traces.map(|traces| traces.begin(request.headers()));
        if let Some(trace) = trace.filter(|trace| trace.is_sampled) {
            request.extensions_mut().insert(trace);
        }
        let (route, response) = self.lead(request, peer, received).await;
        let (status, answered) = (response.status().as_u16(), Instant::now());
        if let (Some(traces), Some(trace)) = (traces, trace) {
            traces.whole(trace, Part::Request { method, route, status }, received, answered);
        }
        let took = answered - received;
        if status >= 500 || took >= self.api.slow_request {
            self.troubles.tell(&Trouble { method, route, status, took, trace });
        }
        response
    }

    /// Leads a request to its door; the answer, and the door's path.
    async fn lead(
        &self,
        request: Request<Incoming>,
        peer: IpAddr,
        received: Instant,
    ) -> (Option<&'static str>, Response) {
        let (access, audit) = (&self.api.access, &self.api.audit);
        let admitted = match access.admit(&request, peer, audit).await {
            Ok(admitted) => admitted,
            Err(response) => {
                let door = door(request.method(), request.uri().path());
                return (door.map(|door| door.path), response);
            }
        };
        let route = admitted.route();
        let within = access.config.request_within;
        let mut request = request.map(|body| Body::new(Timely { body, within, until: None }));
        if let Some(who) = admitted.caller() {
            request.extensions_mut().insert(who);
        }
        let mut response = match admitted.is_transaction() && self.api.stream.is_none() {
            // What comes most often need not be looked for among all routes.
            true => write::decide_one(&self.api, request, received).await,
            false => self.router.clone().call(request).await.unwrap_or_else(|never| match never {}),
        };
        let told = response.extensions_mut().remove::<Told>().unwrap_or_default();
        access.note(admitted, response.status(), told, audit).await;
        (route, response)
    }
}

/// A request that failed by our own fault, or was slow.
struct Trouble {
    method: &'static str,
    route: Option<&'static str>,
    status: u16,
    took: Duration,
    trace: Option<Trace>,
}

/// Says which requests failed or were slow, a few each second: when all do, more lines tell nothing more.
#[derive(Default)]
struct Troubles {
    /// The second, and how many there were in it.
    lately: Mutex<(i64, u64)>,
}

impl Troubles {
    fn tell(&self, trouble: &Trouble) {
        let second = now_us() / 1_000_000;
        let (number, unsaid) = {
            let mut lately = lock(&self.lately);
            let before = if lately.0 == second { lately.1 } else { 0 };
            let unsaid = if before == 0 { lately.1.saturating_sub(SAID_A_SECOND) } else { 0 };
            *lately = (second, before + 1);
            (before, unsaid)
        };
        if unsaid > 0 {
            tracing::warn!(unsaid, "more requests failed or were slow");
        }
        if number < SAID_A_SECOND {
            trouble.say();
        }
    }
}

impl Trouble {
    fn say(&self) {
        let Trouble { method, route, status, took, trace } = *self;
        let took_ms = took.as_millis() as u64;
        let trace = trace.map(|trace| format!("{:032x}", trace.id));
        match status {
            500.. => tracing::warn!(method, route, status, took_ms, trace, "a request failed"),
            _ => tracing::warn!(method, route, status, took_ms, trace, "a request was slow"),
        }
    }
}

/// A method's name as traces tell it: who sends an odd one does not write into them.
fn name_of(method: &Method) -> &'static str {
    const KNOWN: [(Method, &str); 7] = [
        (Method::POST, "POST"),
        (Method::GET, "GET"),
        (Method::PATCH, "PATCH"),
        (Method::DELETE, "DELETE"),
        (Method::HEAD, "HEAD"),
        (Method::PUT, "PUT"),
        (Method::OPTIONS, "OPTIONS"),
    ];
    KNOWN.iter().find(|(known, _)| known == method).map_or("_OTHER", |(_, name)| name)
}

/// The next connection, when there is room for it.
async fn next(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> (TcpStream, SocketAddr, OwnedSemaphorePermit) {
    loop {
        let permit = Arc::clone(room).acquire_owned().await.expect("it is never closed");
        match listener.accept().await {
            Ok((stream, peer)) => return (stream, peer, permit),
            Err(error) => {
                tracing::error!(%error, "no connection can be taken in");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// A body that must arrive within a time; most are there with the head, and need no timer.
struct Timely {
    body: Incoming,
    within: Duration,
    until: Option<Pin<Box<Sleep>>>,
}

impl HttpBody for Timely {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            return Poll::Ready(frame.map(|frame| frame.map_err(axum::Error::new)));
        }
        let within = self.within;
        let until = self.until.get_or_insert_with(|| Box::pin(tokio::time::sleep(within)));
        ready!(until.as_mut().poll(context));
        let late = std::io::Error::new(std::io::ErrorKind::TimedOut, "the body took too long to arrive");
        Poll::Ready(Some(Err(axum::Error::new(late))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
