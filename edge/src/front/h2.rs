//! HTTP/2 on one connection: what came together is answered together, so that it goes out in one write. What has to be
//! waited for gets a task of its own; what only passes through is Pingora's.
//!
//! Pingora's own loop has a task for each request: the first one that answers wakes the connection, which writes that
//! answer before the next is made.

use std::future::{Future, poll_fn, ready};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use http::Method;
use pingora_core::apps::{HttpServerApp, ServerApp};
use pingora_core::protocols::http::ServerSession;
use pingora_core::protocols::http::v2::server::{H2Accept, HttpSession, handshake};
use pingora_core::protocols::{Digest, GetSocketDigest, Ssl};
use tokio::task::JoinSet;
use tokio::time::{Sleep, sleep};

use super::Shared;
use super::closing::Closing;
use super::handed::Handed;
use super::wire::Wire;
use crate::clock;
use crate::proxy::Proxy;

/// So many malformed requests end a connection, as they do at Pingora.
const MALFORMED_MAX: usize = 32;
/// So many requests are answered before more are looked at: as many as may be open at once.
const TOGETHER_MAX: usize = 100;

/// Until when a connection may have nothing to do.
struct Quiet {
    since: Instant,
    max: Duration,
    /// One for all requests: to put it off costs less than to make another.
    timer: Pin<Box<Sleep>>,
}

/// Answers until the client leaves or has been quiet for too long, or the front is drained.
pub(super) async fn serve(shared: &Arc<Shared>, wire: Wire, client: SocketAddr) {
    let stream = Box::new(Handed::frames(wire, client));
    if !shared.answers {
        let stop = shared.stop.subscribe();
        shared.proxy.process_new(stream, &stop).await;
        return;
    }
    let digest = Arc::new(Digest {
        ssl_digest: stream.get_ssl_digest(),
        socket_digest: stream.get_socket_digest(),
        ..Digest::default()
    });
    let Ok(mut connection) = handshake(stream, shared.proxy.h2_options()).await else {
        return;
    };
    let mut closing = Closing::of(&shared.stop);
    let mut quiet = Quiet::begin(shared.limits.idle_timeout);
    let mut drains = false;
    let mut malformed = 0;
    let mut come = Vec::new();
    // Requests that have to wait for something.
    let mut waiting = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = poll_fn(|cx| closing.poll(cx)), if !drains => {
                connection.graceful_shutdown();
                drains = true;
                continue;
            }
            // Cancel-safe.
            accepted = HttpSession::from_h2_conn(&mut connection, digest.clone()),
                if come.len() < TOGETHER_MAX => accepted,
            // No more have come.
            () = ready(()), if !come.is_empty() => {
                // A connection that has nothing to do holds no buffer.
                for stream in std::mem::take(&mut come) {
                    answer(shared, stream, &mut waiting).await;
                }
                quiet.begin_again();
                continue;
            }
            Some(_) = waiting.join_next() => {
                while waiting.try_join_next().is_some() {}
                quiet.begin_again();
                continue;
            }
            () = quiet.is_over(), if waiting.is_empty() => break,
        };
        match accepted {
            Ok(Some(H2Accept::Session(stream))) => come.push(stream),
            Ok(Some(H2Accept::Rejected)) if malformed + 1 < MALFORMED_MAX => malformed += 1,
            Ok(Some(H2Accept::Rejected)) | Ok(None) | Err(_) => break,
        }
    }
    // Each learns of the end by itself, and tells of it.
    for stream in come {
        waiting.spawn(one(shared.clone(), stream));
    }
    waiting.detach_all();
}

/// Answers at once what can be.
async fn answer(shared: &Arc<Shared>, stream: HttpSession, waiting: &mut JoinSet<()>) {
    let mut answering = Box::pin(one(shared.clone(), stream));
    let is_done = poll_fn(|cx| Poll::Ready(answering.as_mut().poll(cx).is_ready())).await;
    if !is_done {
        waiting.spawn(answering);
    }
}

async fn one(shared: Arc<Shared>, stream: HttpSession) {
    let head = stream.req_header();
    let ours = matches!(head.method, Method::GET | Method::HEAD) && stream.is_body_empty();
    let passes = match ours {
        true => Proxy(shared.door.clone()).serve(stream).await,
        false => Some(ServerSession::new_http2(stream)),
    };
    if let Some(session) = passes {
        let stop = shared.stop.subscribe();
        shared.proxy.process_new_http(session, &stop).await;
    }
}

impl Quiet {
    fn begin(max: Duration) -> Self {
        Self {
            since: clock::instant(),
            max,
            timer: Box::pin(sleep(max)),
        }
    }

    fn begin_again(&mut self) {
        self.since = clock::instant();
    }

    /// Cancel-safe.
    async fn is_over(&mut self) {
        loop {
            self.timer.as_mut().await;
            let until = self.since + self.max;
            if until <= clock::instant() {
                return;
            }
            self.timer.as_mut().reset(until.into());
        }
    }
}
