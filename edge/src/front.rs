//! The door: accepts connections, speaks TLS, reads HTTP/1, and answers what can be answered from here.
//!
//! - [`accept`]: who may come in. [`tls`]: the handshake. [`wire`]: bytes, clear or over TLS.
//! - [`head`], [`body`]: a request out of bytes, strict and pure. [`h1`]: one connection, request after request.
//! - [`hit`]: an answer into bytes. [`dates`]: when it was made.
//! - [`handed`]: a connection while Pingora has it: HTTP/2, and what only passes through. [`dated`]: its Date.
//!   [`floods`]: what one connection of HTTP/2 may make us do.
//!
//! Our own, and not Pingora's listeners and reader: it binds before anything starts, so that port 0 works and a taken
//! port is an error with a name; everything has a deadline and a bound; and it drains in the time it is given.

use std::sync::Arc;
use std::time::Duration;

use pingora_core::apps::HttpServerApp;
use pingora_proxy::HttpProxy;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

use crate::door::Door;
use crate::proxy::Proxy;

mod accept;
pub mod body;
pub mod dated;
mod dates;
mod floods;
mod h1;
pub mod handed;
pub mod head;
mod hit;
mod tls;
mod wire;

use accept::{CONNECTIONS_MAX, Clients};
use dates::Dates;

/// All connections of an edge.
pub struct Front {
    shared: Arc<Shared>,
}

/// What they share.
struct Shared {
    door: Arc<Door>,
    proxy: Arc<HttpProxy<Proxy>>,
    /// Off: everything is handed to Pingora, whose hooks give the same answers.
    answers: bool,
    permits: Arc<Semaphore>,
    clients: Arc<Clients>,
    stop: watch::Sender<bool>,
    dates: Dates,
}

impl Front {
    pub fn new(door: Arc<Door>, proxy: HttpProxy<Proxy>, answers: bool) -> Self {
        let shared = Shared {
            door,
            proxy: Arc::new(proxy),
            answers,
            permits: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
            clients: Arc::default(),
            stop: watch::channel(false).0,
            dates: Dates::new(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Accepts until the front is drained.
    pub fn open(&self, listener: TcpListener, tls: Option<Arc<rustls::ServerConfig>>) {
        tokio::spawn(accept::run(self.shared.clone(), listener, tls));
    }

    /// Accepts no more, ends idle connections, and waits for the busy ones; false if some were still busy
    /// when `grace` was over.
    pub async fn drain(&self, grace: Duration) -> bool {
        self.shared.stop.send_replace(true);
        self.shared.proxy.http_cleanup().await;
        let all = u32::try_from(CONNECTIONS_MAX).unwrap_or(u32::MAX);
        let all = self.shared.permits.acquire_many(all);
        timeout(grace, all).await.is_ok()
    }
}
