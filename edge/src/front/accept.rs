//! Who may come in: so many connections in all, and so many of one client, wherever a trusted proxy says it is.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

use super::announced::{self, Announced};
use super::tls::Tls;
use super::wire::Wire;
use super::{Shared, h1, h2, preface};

/// For the header of the PROXY protocol.
const ANNOUNCEMENT_TIMEOUT: Duration = Duration::from_secs(10);
/// An IPv6 network as providers give them out counts as one client.
const NETWORK_V6: u128 = !0 << 64;
/// After an accept failed for want of file descriptors or memory: long enough not to spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Accepts until the front is drained; and then who has come so far, for else the kernel would turn them away when they
/// already speak.
pub(super) async fn run(shared: Arc<Shared>, listener: TcpListener, tls: Option<Tls>) {
    let tls = tls.map(Arc::new);
    let mut stop = shared.stop.subscribe();
    loop {
        // Never closed. While there is none, more connections wait in the kernel's queue.
        let Ok(permit) = shared.permits.clone().acquire_owned().await else {
            return;
        };
        let accepted = tokio::select! {
            biased;
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection; trying again");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // What a proxy passes on is counted when it is known for whom.
        let place = match shared.door.trusted.trusts(peer.ip()) {
            true => None,
            false => match shared.clients.enter(peer.ip()) {
                Some(place) => Some(place),
                None => {
                    shared.door.state.metrics.connection_refused();
                    continue;
                }
            },
        };
        let (shared, tls) = (shared.clone(), tls.clone());
        tokio::spawn(async move {
            let open = shared.door.state.metrics.connection();
            if let Err(why) = let_in(&shared, tls.as_deref(), stream, peer).await {
                tracing::debug!(%peer, why, "no connection");
            }
            drop((permit, place, open));
        });
    }
}

/// Err: why it comes to no request.
async fn let_in(
    shared: &Arc<Shared>,
    tls: Option<&Tls>,
    mut tcp: TcpStream,
    peer: SocketAddr,
) -> Result<(), String> {
    if !shared.door.trusted.announces(peer.ip()) {
        return serve(shared, tls, tcp, peer).await;
    }
    let announced = timeout(ANNOUNCEMENT_TIMEOUT, announced::read(&mut tcp)).await;
    let announced = announced.map_err(|_| "the PROXY protocol's header did not come in time")?;
    let client = match announced.map_err(|error| error.to_string())? {
        Announced::Itself => return serve(shared, tls, tcp, peer).await,
        Announced::Client(client) => client,
    };
    let Some(place) = shared.clients.enter(client.ip()) else {
        shared.door.state.metrics.connection_refused();
        return Err("its client has all the connections it may have".into());
    };
    let served = serve(shared, tls, tcp, client).await;
    drop(place);
    served
}

/// How many connections each client has.
#[derive(Debug)]
pub struct Clients {
    counts: Mutex<HashMap<IpAddr, u32>>,
    each_max: u32,
}

/// One connection of a client, until it is dropped.
#[derive(Debug)]
pub struct Place {
    clients: Arc<Clients>,
    client: IpAddr,
}

impl Clients {
    pub fn new(each_max: u32) -> Self {
        Self {
            counts: Mutex::default(),
            each_max,
        }
    }

    /// None: it has all it may have.
    fn enter(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let client = client(address);
        let mut counts = self.counts();
        let count = counts.entry(client).or_default();
        if *count == self.each_max {
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
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
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
    tls: Option<&Tls>,
    tcp: TcpStream,
    client: SocketAddr,
) -> Result<(), String> {
    // Answers are written in one piece where they can be: nothing is won by holding them back.
    let _ = tcp.set_nodelay(true);
    let mut wire = match tls {
        None => Wire::Clear(tcp),
        Some(tls) => {
            let snapshot = shared.door.state.snapshot.load_full();
            tls.shake_hands(&snapshot, tcp).await?
        }
    };
    if wire.is_http2() {
        let begun = preface::read(&mut wire).await;
        begun.map_err(|error| error.to_string())?;
        h2::serve(shared, wire, client).await;
    } else {
        h1::serve(shared, wire, client).await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_has_so_many_connections_and_no_more() {
        const EACH_MAX: u32 = 4_000;
        let clients = Arc::new(Clients::new(EACH_MAX));
        let enter = |address: &str| clients.enter(address.parse().unwrap());
        let mut held: Vec<_> = (0..EACH_MAX)
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
