//! A small origin to put a cache in front of: pages, images, large files, and things not to be cached.
//!
//! Every answer takes a settable time, so that a miss can be felt. `POST /edition` changes what the
//! pages say, as an editor would: a cache goes on showing the old ones until they expire or are purged.

use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, header};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::clock;

mod body;
mod content;
mod respond;

use body::OriginBody;
pub use body::byte_at;
pub use content::LARGE_MB_MAX;

/// How long an answer takes unless told otherwise.
pub const LATENCY_DEFAULT: Duration = Duration::from_millis(30);
/// Connections served at a time; further ones wait to be accepted.
pub const ORIGIN_CONNECTIONS_MAX: usize = 10_000;
/// How long a client may take to send a request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a stopping origin waits for answers under way.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);
/// What a failing `accept` (no file descriptor left) waits before it tries again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// The origin, before it serves.
pub struct DemoOrigin {
    latency: Duration,
    requests: AtomicU64,
    edition: Mutex<Edition>,
}

/// What the pages say now, and since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Edition {
    number: u64,
    since: SystemTime,
}

impl DemoOrigin {
    /// Each answer takes `latency`.
    pub fn new(latency: Duration) -> Self {
        let edition = Edition {
            number: 1,
            since: clock::wall(),
        };
        Self {
            latency,
            requests: AtomicU64::new(0),
            edition: Mutex::new(edition),
        }
    }

    /// Serves HTTP/1.1 and HTTP/2 until `stop`, then lets answers under way finish, for a second at most.
    pub async fn serve(self, listener: TcpListener, stop: impl Future<Output = ()>) {
        let origin = Arc::new(self);
        let free = Arc::new(Semaphore::new(ORIGIN_CONNECTIONS_MAX));
        let (stopping, _) = watch::channel(false);
        let mut connections = JoinSet::new();
        let mut stop = pin!(stop);
        loop {
            let accepting = async {
                let permit = free.clone().acquire_owned().await;
                (listener.accept().await, permit)
            };
            tokio::select! {
                () = &mut stop => break,
                // Reaps what has ended, so that the set holds open connections only.
                Some(_) = connections.join_next() => {}
                (accepted, permit) = accepting => match accepted {
                    Ok((stream, _)) => {
                        let connection = connection(origin.clone(), stream, stopping.subscribe());
                        connections.spawn(async move {
                            connection.await;
                            drop(permit);
                        });
                    }
                    Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
                },
            }
        }
        drop(listener);
        stopping.send_replace(true);
        let drained = async { while connections.join_next().await.is_some() {} };
        // Whoever is not done by then is cut off when the set is dropped.
        let _ = tokio::time::timeout(DRAIN_TIMEOUT, drained).await;
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<OriginBody> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        // As an origin that reads what it has and then takes its time: the answer is what was true when it was asked.
        let edition = self.edition();
        // Even a sleep of nothing ends at a tick of the timer, a millisecond later.
        let query = content::Query::parse(request.uri().query());
        let latency = query.latency.unwrap_or(self.latency);
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
        let path = request.uri().path();
        match *request.method() {
            Method::GET | Method::HEAD => {
                let time = content::Now {
                    edition,
                    wall: clock::wall(),
                    requests: self.requests.load(Ordering::Relaxed),
                };
                let head = request.method() == Method::HEAD;
                match content::find(path, &query, &time) {
                    Some(content) => respond::respond(head, request.headers(), content),
                    None => respond::plain(StatusCode::NOT_FOUND, "no such page\n"),
                }
            }
            Method::POST if path == "/edition" => {
                let edition = self.new_edition();
                respond::plain(StatusCode::OK, format!("edition {}\n", edition.number))
            }
            _ => {
                let mut response = respond::plain(
                    StatusCode::METHOD_NOT_ALLOWED,
                    "GET and HEAD are served here, and POST /edition\n",
                );
                let allow = header::HeaderValue::from_static("GET, HEAD");
                response.headers_mut().insert(header::ALLOW, allow);
                response
            }
        }
    }

    fn edition(&self) -> Edition {
        // Two plain values: a panic elsewhere cannot have left them half written.
        *self.edition.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn new_edition(&self) -> Edition {
        let mut edition = self.edition.lock().unwrap_or_else(PoisonError::into_inner);
        *edition = Edition {
            number: edition.number + 1,
            since: clock::wall(),
        };
        *edition
    }
}

/// One client, until it leaves or the origin stops.
async fn connection(
    origin: Arc<DemoOrigin>,
    stream: TcpStream,
    mut stopping: watch::Receiver<bool>,
) {
    let service = service_fn(move |request| {
        let origin = origin.clone();
        async move { Ok::<_, Infallible>(origin.answer(request).await) }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT);
    // A client that breaks off, or does not speak HTTP, has itself to blame: nothing to report.
    let mut serving = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let told = async { stopping.wait_for(|stopping| *stopping).await.is_ok() };
    tokio::select! {
        _ = &mut serving => return,
        _ = told => {}
    }
    serving.as_mut().graceful_shutdown();
    let _ = serving.await;
}
