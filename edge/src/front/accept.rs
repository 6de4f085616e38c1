//! Who may come in: so many connections in all, and so many of one client.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use pingora_core::apps::ServerApp;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;

use super::Shared;
use super::dated::Dated;
use super::handed::Handed;
use super::wire::Wire;
use super::{h1, tls};

/// Connections at once, on all listeners; more wait in the kernel's queue.
pub const CONNECTIONS_MAX: usize = 20_000;
/// After an accept failed for want of file descriptors or memory: long enough not to spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Accepts until the front is drained.
pub(super) async fn run(
    shared: Arc<Shared>,
    listener: TcpListener,
    tls: Option<Arc<rustls::ServerConfig>>,
) {
    let acceptor = tls.map(TlsAcceptor::from);
    let mut stop = shared.stop.subscribe();
    loop {
        // Never closed.
        let Ok(permit) = shared.permits.clone().acquire_owned().await else {
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
        let (shared, acceptor) = (shared.clone(), acceptor.clone());
        tokio::spawn(async move {
            serve(&shared, acceptor.as_ref(), stream, client).await;
            drop(permit);
        });
    }
}

async fn serve(
    shared: &Arc<Shared>,
    acceptor: Option<&TlsAcceptor>,
    tcp: TcpStream,
    client: SocketAddr,
) {
    // Answers are written in one piece where they can be: nothing is won by holding them back.
    let _ = tcp.set_nodelay(true);
    let wire = match acceptor {
        None => Wire::Clear(tcp),
        Some(acceptor) => match tls::shake_hands(acceptor, tcp).await {
            Ok(wire) => wire,
            Err(why) => return tracing::debug!(%client, why, "no TLS"),
        },
    };
    if wire.is_http2() {
        let stream = Box::new(Dated::new(Box::new(Handed::raw(wire, client))));
        let stop = shared.stop.subscribe();
        shared.proxy.process_new(stream, &stop).await;
    } else {
        h1::serve(shared, wire, client).await;
    }
}
