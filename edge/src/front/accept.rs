//! Who may come in: so many connections in all, and so many of one client.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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
/// And of one client: an IPv4 address, or an IPv6 network as providers give them out.
const CONNECTIONS_PER_CLIENT_MAX: u32 = 4_000;
const NETWORK_V6: u128 = !0 << 64;
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
        let Some(place) = shared.clients.enter(client.ip()) else {
            shared.door.state.metrics.connection_refused();
            continue;
        };
        let (shared, acceptor) = (shared.clone(), acceptor.clone());
        tokio::spawn(async move {
            serve(&shared, acceptor.as_ref(), stream, client).await;
            drop((permit, place));
        });
    }
}

/// How many connections each client has.
#[derive(Debug, Default)]
pub struct Clients(Mutex<HashMap<IpAddr, u32>>);

/// One connection of a client, until it is dropped.
#[derive(Debug)]
pub struct Place {
    clients: Arc<Clients>,
    client: IpAddr,
}

impl Clients {
    /// None: it has all it may have.
    fn enter(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let client = client(address);
        let mut counts = self.counts();
        let count = counts.entry(client).or_default();
        if *count == CONNECTIONS_PER_CLIENT_MAX {
            return None;
        }
        *count += 1;
        Some(Place {
            clients: self.clone(),
            client,
        })
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<IpAddr, u32>> {
        // std Mutex: nothing awaits while it is held, and only connections come and go by it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.clients.counts();
        match counts.get_mut(&self.client) {
            Some(count @ 2..) => *count -= 1,
            _ => {
                counts.remove(&self.client);
            }
        }
    }
}

/// Whom an address counts for.
fn client(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & NETWORK_V6).into(),
        address => address,
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
        let stream = Box::new(Dated::new(Box::new(Handed::frames(wire, client))));
        let stop = shared.stop.subscribe();
        shared.proxy.process_new(stream, &stop).await;
    } else {
        h1::serve(shared, wire, client).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_has_so_many_connections_and_no_more() {
        let clients = Arc::new(Clients::default());
        let enter = |address: &str| clients.enter(address.parse().unwrap());
        let mut held: Vec<_> = (0..CONNECTIONS_PER_CLIENT_MAX)
            .map(|n| enter(&format!("2001:db8::{n:x}")).unwrap())
            .collect();
        assert!(enter("2001:db8::ffff:1").is_none());
        assert!(enter("2001:db8:0:1::1").is_some());
        assert!(enter("192.0.2.1").is_some());
        held.pop();
        assert!(enter("2001:db8::1").is_some());
        drop(held);
        assert!(clients.counts().is_empty());
    }
}
