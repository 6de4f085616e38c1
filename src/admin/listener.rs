//! The admin address: HTTP/1.1 and HTTP/2 on one port, in clear or over TLS, so that an edge follows the feed by HTTP/2
//! and `curl` needs no options. Everything a stranger may hold on to is bounded.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use seawall_certs::{Peers, peers};
use seawall_control_plane::api::Caller;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task::JoinHandle;

use crate::exit::{Exit, Failure};

/// Each edge holds one or two; the rest wait in the system's queue.
const CONNECTIONS_MAX: usize = 4_096;
const HEADERS_MAX: usize = 100;
const HEADER_BYTES_MAX: usize = 32 * 1024;
const STREAMS_MAX: u32 = 64;
/// From the connection to its first request, and an idle HTTP/1.1 connection between two.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// For a TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
const PING_INTERVAL: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(10);
/// What open answers get when the process stops. A feed never ends by itself.
const CLOSE_GRACE: Duration = Duration::from_secs(2);

/// A bound address; nothing is answered before [`Listener::serve`].
#[derive(Debug)]
pub(crate) struct Listener {
    listener: TcpListener,
    address: SocketAddr,
}

/// An address that is being answered.
#[derive(Debug)]
pub(crate) struct Serving {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

/// Takes `address`, or says which `flag` to change.
pub(crate) async fn bind(address: SocketAddr, flag: &str) -> Result<Listener, Failure> {
    let bound = async {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok(Listener { listener, address })
    };
    bound
        .await
        .map_err(|error| cannot_listen(address, flag, &error))
}

/// The same words for every port a person may have to change.
pub(crate) fn cannot_listen(address: SocketAddr, flag: &str, error: &io::Error) -> Failure {
    let why = match error.kind() {
        io::ErrorKind::AddrInUse => "another program listens there".to_owned(),
        io::ErrorKind::PermissionDenied if address.port() < 1024 => {
            "ports below 1024 are not for everyone; choose one above, or grant CAP_NET_BIND_SERVICE"
                .to_owned()
        }
        _ => error.to_string(),
    };
    Exit::Failed.because(format!(
        "cannot listen on {address}: {why} (choose another address with {flag})"
    ))
}

impl Listener {
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn into_inner(self) -> TcpListener {
        self.listener
    }

    /// Answers with `router` from now on.
    pub(crate) fn serve(self, router: Router) -> Serving {
        self.serve_to(router, None)
    }

    /// Over TLS, where there are `peers`.
    pub(crate) fn serve_to(self, router: Router, peers: Option<Arc<Peers>>) -> Serving {
        let address = self.address;
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(accept_until(self.listener, router, peers, stopped));
        Serving {
            address,
            stop,
            task,
        }
    }
}

impl Serving {
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more connections and lets what is under way finish, for [`CLOSE_GRACE`] at most.
    pub(crate) async fn stop(self) {
        let _ = self.stop.send(());
        let _ = self.task.await;
    }
}

async fn accept_until(
    listener: TcpListener,
    router: Router,
    peers: Option<Arc<Peers>>,
    mut stopped: oneshot::Receiver<()>,
) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let open = GracefulShutdown::new();
    let builder = builder();
    loop {
        let (stream, from, slot) = tokio::select! {
            accepted = accept(&listener, &slots) => accepted,
            _ = &mut stopped => break,
        };
        let caller = Caller {
            address: from.ip().to_canonical(),
            edge: None,
        };
        let (router, builder, watcher) = (router.clone(), builder.clone(), open.watcher());
        let tls = peers.as_ref().map(|peers| peers.server());
        tokio::spawn(async move {
            match tls {
                None => serve(stream, caller, router, &builder, watcher).await,
                Some(tls) => {
                    if let Some((stream, edge)) = shake_hands(stream, tls).await {
                        let caller = Caller { edge, ..caller };
                        serve(stream, caller, router, &builder, watcher).await;
                    }
                }
            }
            drop(slot);
        });
    }
    drop(listener);
    let _ = tokio::time::timeout(CLOSE_GRACE, open.shutdown()).await;
}

/// The stream, and the edge that the certificate shown names.
async fn shake_hands(
    stream: TcpStream,
    tls: Arc<rustls::ServerConfig>,
) -> Option<(tokio_rustls::server::TlsStream<TcpStream>, Option<String>)> {
    let acceptor = tokio_rustls::TlsAcceptor::from(tls);
    match tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => {
            let shown = stream.get_ref().1.peer_certificates();
            let edge = shown.and_then(|chain| peers::edge_id(chain.first()?));
            Some((stream, edge))
        }
        Ok(Err(error)) => {
            tracing::debug!(%error, "a TLS handshake failed on the admin address");
            None
        }
        Err(_) => None,
    }
}

/// One connection, to its end.
async fn serve<S>(
    stream: S,
    caller: Caller,
    router: Router,
    builder: &Builder<TokioExecutor>,
    watcher: Watcher,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let used = Arc::new(AtomicBool::new(false));
    let seen = used.clone();
    let routed = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        seen.store(true, Ordering::Relaxed);
        request.extensions_mut().insert(caller.clone());
        routed.call(request)
    });
    let connection = builder
        .serve_connection(TokioIo::new(stream), service)
        .into_owned();
    until_closed_or_silent(watcher.watch(connection), &used).await;
}

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEADER_BYTES_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(HEADER_BYTES_MAX as u32)
        .max_concurrent_streams(STREAMS_MAX)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT);
    builder
}

/// The next connection, once there is a slot for it. Cancel-safe.
async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> (TcpStream, SocketAddr, OwnedSemaphorePermit) {
    loop {
        let Ok(slot) = slots.clone().acquire_owned().await else {
            std::future::pending().await
        };
        match listener.accept().await {
            Ok((stream, from)) => {
                // Frames of the feed are small, and each is awaited.
                let _ = stream.set_nodelay(true);
                return (stream, from, slot);
            }
            Err(error) => {
                // Out of file descriptors, most likely: wait until something closes.
                tracing::warn!(%error, "the admin address cannot accept");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// The timeout of HTTP/1.1 begins when the protocol is known; this one covers a client that never says.
async fn until_closed_or_silent<E: std::fmt::Display>(
    connection: impl Future<Output = Result<(), E>>,
    used: &AtomicBool,
) {
    let mut connection = pin!(connection);
    let closed = tokio::select! {
        closed = &mut connection => closed,
        () = tokio::time::sleep(HEADER_TIMEOUT) => match used.load(Ordering::Relaxed) {
            true => connection.await,
            false => return,
        },
    };
    if let Err(error) = closed {
        tracing::debug!(%error, "an admin connection ended");
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
    use axum::routing::get;
    use bytes::Bytes;
    use http_body_util::{BodyExt, Empty};
    use hyper::{Request, Version};
    use hyper_util::client::legacy::Client;
    use hyper_util::client::legacy::connect::HttpConnector;

    use super::*;

    async fn bound() -> Listener {
        bind(([127, 0, 0, 1], 0).into(), "--admin")
            .await
            .expect("a port")
    }

    #[tokio::test]
    async fn one_port_speaks_both_versions_and_a_stopped_one_neither() {
        let listener = bound().await;
        let url = format!("http://{}/", listener.address());
        let serving = listener.serve(Router::new().route("/", get(|| async { "here" })));
        for version in [Version::HTTP_11, Version::HTTP_2] {
            let mut client = Client::builder(TokioExecutor::new());
            let client: Client<HttpConnector, Empty<Bytes>> =
                client.http2_only(version == Version::HTTP_2).build_http();
            let request = Request::get(&url).body(Empty::new()).expect("a request");
            let response = client.request(request).await.expect("an answer");
            assert_eq!(response.version(), version);
            let body = response
                .into_body()
                .collect()
                .await
                .expect("a body")
                .to_bytes();
            assert_eq!(body, "here");
        }
        let address = serving.address();
        serving.stop().await;
        TcpStream::connect(address)
            .await
            .expect_err("nobody listens");
    }

    #[tokio::test]
    async fn a_taken_port_names_the_flag_to_change() {
        let first = bound().await;
        let failure = bind(first.address(), "--admin").await.expect_err("taken");
        assert_eq!(failure.exit, Exit::Failed);
        let expect = format!(
            "cannot listen on {}: another program listens there (choose another address with --admin)",
            first.address()
        );
        assert_eq!(failure.to_string(), expect);
    }
}
