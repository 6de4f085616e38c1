//! The door: accepts connections, speaks TLS, reads HTTP/1 and HTTP/2, and answers what can be answered from here.
//!
//! - [`accept`]: who may come in. [`announced`]: whose connection a load balancer passes on. [`tls`]: the handshake.
//!   [`wire`]: bytes, clear or over TLS. [`trusted`]: whose word is taken for where a client is.
//! - [`head`], [`body`]: a request out of bytes, strict and pure. [`h1`]: one connection, request after request.
//!   [`closing`]: until the front is drained.
//! - [`hit`]: an answer into bytes. [`dates`]: when it was made.
//! - [`h2`]: a connection of HTTP/2. [`preface`], [`floods`]: how it begins, and what it may make us do. [`gathered`]: what
//!   goes out together.
//! - [`handed`]: a connection while Pingora reads it: frames, and what only passes through. [`dated`]: its Date.
//!
//! Our own, and not Pingora's listeners and reader: it binds before anything starts, so that port 0 works and a taken
//! port is an error with a name; everything has a deadline and a bound; and it drains in the time it is given.

use std::sync::Arc;
use std::time::Duration;

use pingora_core::apps::HttpServerApp;
use pingora_proxy::HttpProxy;
use seawall_config::roles::DoorConfig;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

use crate::door::Door;
use crate::proxy::Proxy;

mod accept;
mod announced;
pub mod body;
mod closing;
pub mod dated;
mod dates;
mod floods;
mod gathered;
mod h1;
mod h2;
pub mod handed;
pub mod head;
mod hit;
mod preface;
pub mod tls;
pub mod trusted;
mod wire;

use accept::Clients;
use dates::Dates;
use tls::Tls;

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
    limits: DoorConfig,
    permits: Arc<Semaphore>,
    clients: Arc<Clients>,
    stop: watch::Sender<bool>,
    dates: Dates,
}

impl Front {
    pub fn new(
        door: Arc<Door>,
        proxy: HttpProxy<Proxy>,
        answers: bool,
        limits: DoorConfig,
    ) -> Self {
        let shared = Shared {
            door,
            proxy: Arc::new(proxy),
            answers,
            permits: Arc::new(Semaphore::new(limits.connections_max)),
            clients: Arc::new(Clients::new(limits.connections_per_client_max)),
            limits,
            stop: watch::channel(false).0,
            dates: Dates::new(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Accepts until the front is drained.
    pub fn open(&self, listener: TcpListener, tls: Option<Tls>) {
        tokio::spawn(accept::run(self.shared.clone(), listener, tls));
    }

    /// Accepts no more, ends idle connections, and waits for the busy ones; false if some were still busy
    /// when `grace` was over.
    pub async fn drain(&self, grace: Duration) -> bool {
        self.shared.stop.send_replace(true);
        self.shared.proxy.http_cleanup().await;
        let all = u32::try_from(self.shared.limits.connections_max).unwrap_or(u32::MAX);
        let all = self.shared.permits.acquire_many(all);
        timeout(grace, all).await.is_ok()
    }
}
