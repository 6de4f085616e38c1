//! The door: accepts connections, speaks TLS, and hands streams to Pingora's HTTP reader.
//!
//! Our own accept loop rather than Pingora's listeners: it binds before anything starts (so port 0 works and a
//! taken port is an error with a name), bounds the TLS handshake, counts connections, and drains in the time
//! it is given. The HTTP/1 reader ahead of Pingora's comes here, too.

use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;

use pingora_core::apps::{HttpServerApp, ServerApp};
use pingora_core::listeners::tls::Acceptor;
use pingora_core::protocols::l4::socket::SocketAddr as PingoraAddr;
use pingora_core::protocols::l4::stream::Stream;
use pingora_core::protocols::{self, GetSocketDigest, SocketDigest};
use pingora_proxy::HttpProxy;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};

use crate::proxy::Proxy;

pub mod dated;

use dated::Dated;

/// Connections at once, on all listeners; more wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 20_000;
const TLS_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// After an accept failed for want of file descriptors or memory: long enough not to spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// All connections of an edge.
pub struct Front {
    proxy: Arc<HttpProxy<Proxy>>,
    permits: Arc<Semaphore>,
    stop: watch::Sender<bool>,
}

impl Front {
    pub fn new(proxy: HttpProxy<Proxy>) -> Self {
        let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        Self {
            proxy: Arc::new(proxy),
            permits,
            stop: watch::channel(false).0,
        }
    }

    /// Accepts until the front is drained.
    pub fn open(&self, listener: TcpListener, tls: Option<Arc<rustls::ServerConfig>>) {
        let (proxy, permits) = (self.proxy.clone(), self.permits.clone());
        let acceptor = tls.map(|config| Arc::new(Acceptor::from_server_config(config)));
        let mut stop = self.stop.subscribe();
        let watch = self.stop.subscribe();
        tokio::spawn(async move {
            loop {
                // Never closed.
                let Ok(permit) = permits.clone().acquire_owned().await else {
                    return;
                };
                let accepted = tokio::select! {
                    accepted = listener.accept() => accepted,
                    _ = stop.wait_for(|stop| *stop) => return,
                };
                let (stream, client) = match accepted {
                    Ok(accepted) => accepted,
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept a connection; trying again");
                        sleep(ACCEPT_PAUSE).await;
                        continue;
                    }
                };
                let (proxy, acceptor, watch) = (proxy.clone(), acceptor.clone(), watch.clone());
                tokio::spawn(async move {
                    serve(proxy, acceptor, stream, client, watch).await;
                    drop(permit);
                });
            }
        });
    }

    /// Accepts no more, ends idle connections, and waits for the busy ones; false if some were still busy
    /// when `grace` was over.
    pub async fn drain(&self, grace: Duration) -> bool {
        self.stop.send_replace(true);
        self.proxy.http_cleanup().await;
        let all = u32::try_from(CONNECTIONS_MAX).unwrap_or(u32::MAX);
        timeout(grace, self.permits.acquire_many(all)).await.is_ok()
    }
}

async fn serve(
    proxy: Arc<HttpProxy<Proxy>>,
    acceptor: Option<Arc<Acceptor>>,
    tcp: TcpStream,
    client: SocketAddr,
    stop: watch::Receiver<bool>,
) {
    // Answers are written in one piece where they can be: nothing is won by holding them back.
    let _ = tcp.set_nodelay(true);
    let digest = SocketDigest::from_raw_fd(tcp.as_raw_fd());
    let _ = digest.peer_addr.set(Some(PingoraAddr::Inet(client)));
    let mut stream = Stream::from(tcp);
    stream.set_socket_digest(digest);
    let stream: protocols::Stream = match acceptor {
        None => Box::new(stream),
        Some(acceptor) => {
            match timeout(TLS_HANDSHAKE_TIMEOUT, acceptor.tls_handshake(stream)).await {
                Ok(Ok(stream)) => Box::new(stream),
                Ok(Err(error)) => {
                    return tracing::debug!(%client, %error, "TLS handshake failed");
                }
                Err(_) => return tracing::debug!(%client, "TLS handshake not finished in time"),
            }
        }
    };
    proxy.process_new(Box::new(Dated::new(stream)), &stop).await;
}
