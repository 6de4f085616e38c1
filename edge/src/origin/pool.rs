//! The pool of one version of a site: its decisions are [`servers`](super::servers)', its state outlives it where a
//! server stays the same, and a [`Lease`] is one request under way.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pingora_core::upstreams::peer::HttpPeer;
use seawall_config::Problems;
use seawall_config::site::{Origin, Server};
use tokio::sync::Notify;

use super::balance::print;
use super::health::Turned;
use super::names::Names;
use super::servers::{Ask, Chosen, Common, Ejected, Refused, Seen, Servers, Standing, TurnedAway};
use super::trust::Trust;
use super::{Failure, RETRIES_MAX, permitted};
use crate::answer::Journey;
use crate::clock;

mod lease;

pub use lease::Lease;

#[derive(Debug)]
pub struct Pool {
    site: Box<str>,
    origin: Origin,
    members: Box<[Arc<Member>]>,
    prints: Box<[u64]>,
    shared: Arc<Shared>,
    trust: Arc<Trust>,
}

/// One server, in every version of its site's pool that names it.
#[derive(Debug)]
struct Member {
    url: String,
    names: Arc<Names>,
    /// Locked only while [`Shared::common`] is.
    standing: Mutex<Standing>,
}

/// What all versions of a pool share.
#[derive(Debug, Default)]
struct Shared {
    common: Mutex<Common>,
    /// A request has ended.
    freed: Notify,
}

/// A request that is to go to a pool.
#[derive(Clone, Copy, Debug)]
pub struct Asking<'a> {
    /// What it asks for: the same goes to the same server, where the site wants that.
    pub key: &'a [u8],
    /// The URLs of the servers that get nothing.
    pub drained: &'a [String],
    /// This edge's own listeners: no origin is there.
    pub own: &'a [SocketAddr],
}

/// A server as an edge sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sight<'a> {
    pub url: &'a str,
    pub seen: Seen,
    /// What the last check found wrong.
    pub wrong: Option<&'static str>,
}

impl<'a> Asking<'a> {
    pub fn of(journey: &'a Journey, own: &'a [SocketAddr]) -> Self {
        Self {
            key: journey.key.target().as_bytes(),
            drained: journey.snapshot.drained(&journey.served.name),
            own,
        }
    }
}

impl Pool {
    /// `before`: the pool of the same site until now, whose servers keep their standing.
    pub fn new(site: &str, origin: &Origin, before: Option<&Self>) -> Result<Self, Problems> {
        let trust = match before.filter(|before| before.trust.is_of(origin)) {
            Some(before) => before.trust.clone(),
            None => Arc::new(Trust::new(origin)?),
        };
        let member = |server: &Server| {
            let url = server.url();
            let before = before.and_then(|it| it.members.iter().find(|it| it.url == url));
            before.cloned().unwrap_or_else(|| {
                Arc::new(Member {
                    url,
                    names: Arc::new(Names::new(&server.host, server.port)),
                    standing: Mutex::default(),
                })
            })
        };
        let members: Box<[_]> = origin.servers.iter().map(member).collect();
        Ok(Self {
            site: site.into(),
            prints: members.iter().map(|it| print(it.url.as_bytes())).collect(),
            shared: before.map(|it| it.shared.clone()).unwrap_or_default(),
            origin: origin.clone(),
            members,
            trust,
        })
    }

    /// The Host sent instead of the client's.
    pub fn host(&self) -> Option<&str> {
        self.origin.host.as_deref()
    }

    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// A server for a request, at one of its addresses. `tried`: where it has been, and now also goes.
    pub async fn reach(
        self: &Arc<Self>,
        asking: Asking<'_>,
        tried: &mut Vec<usize>,
    ) -> Result<(HttpPeer, Lease), Failure> {
        let mut lease = self.lease(asking, tried).await?;
        tried.push(lease.at());
        match self.peer(lease.at(), asking.own, tried.len() - 1).await {
            Ok(peer) => Ok((peer, lease)),
            Err(failure) => {
                lease.failed();
                Err(failure)
            }
        }
    }

    /// Whether a request that got no byte of an answer may be tried again; if so, that is taken from the budget. Where
    /// nobody listens is known at once, and a name may have another address; what takes its time is tried elsewhere or
    /// not at all. A connection that was kept and had ended says nothing of the origin.
    pub fn may_retry(&self, failure: Failure, was_kept: bool, tried: &[usize]) -> bool {
        let elsewhere = RETRIES_MAX.min(self.members.len().saturating_sub(1));
        let most = match failure {
            Failure::NoAnswer if was_kept => return tried.len() <= RETRIES_MAX,
            Failure::ConnectFailed => RETRIES_MAX,
            Failure::ConnectTimeout
            | Failure::TlsFailed
            | Failure::NotResolved
            | Failure::AddressRefused
            | Failure::NoAnswer => elsewhere,
            Failure::HeaderTimeout => elsewhere.min(1),
            _ => 0,
        };
        let percent = self.origin.retry_budget;
        tried.len() <= most && self.common().budget.take(percent, clock::boottime_ms())
    }

    /// A check of a server has ended.
    pub fn checked(&self, at: usize, found: Result<(), &'static str>) {
        let Some(rules) = &self.origin.health else {
            return;
        };
        let turned = self.with(|servers| {
            let standing = servers.all.get_mut(at)?;
            standing.checked.took(rules, found)
        });
        let (site, server) = (&*self.site, self.url(at));
        match turned {
            Some(Turned::Down) => {
                let why = found.err().unwrap_or_default();
                tracing::warn!(
                    site,
                    server,
                    why,
                    "checks say that an origin server is down"
                );
            }
            Some(Turned::Up) => {
                tracing::info!(site, server, "checks say that an origin server is up again");
            }
            None => {}
        }
        self.shared.freed.notify_one();
    }

    /// Where a server is, for a check of it: on a connection of its own.
    pub async fn peer(
        &self,
        at: usize,
        own: &[SocketAddr],
        tries: usize,
    ) -> Result<HttpPeer, Failure> {
        let member = self.members.get(at).ok_or(Failure::NotResolved)?;
        let server = self.origin.servers.get(at).ok_or(Failure::NotResolved)?;
        let found = member.names.addresses(self.origin.dns_refresh).await?;
        // Checked after resolution: a name may lead anywhere.
        let may_be = |address: &&SocketAddr| {
            let ip = address.ip().to_canonical();
            permitted(**address, own) && !self.origin.deny.iter().any(|block| block.contains(&ip))
        };
        let permitted: Vec<_> = found.iter().filter(may_be).collect();
        let address = permitted.get(tries % permitted.len().max(1));
        let address = **address.ok_or(Failure::AddressRefused)?;
        Ok(self.trust.peer(server, address))
    }

    /// How each server stands.
    pub fn sights(&self) -> Vec<Sight<'_>> {
        let now_ms = clock::boottime_ms();
        let sight = |servers: &Servers<'_>, at: usize| Sight {
            url: self.url(at),
            seen: servers.seen(at, now_ms),
            wrong: servers.all.get(at).and_then(|it| it.checked.wrong()),
        };
        self.with(|servers| {
            (0..self.members.len())
                .map(|at| sight(servers, at))
                .collect()
        })
    }

    /// In all versions of it.
    pub fn turned_away(&self) -> TurnedAway {
        self.common().turned_away
    }

    pub fn url(&self, at: usize) -> &str {
        self.members.get(at).map_or("", |member| &member.url)
    }

    async fn lease(
        self: &Arc<Self>,
        asking: Asking<'_>,
        tried: &[usize],
    ) -> Result<Lease, Failure> {
        match self.choose(asking, tried, false) {
            Err(Refused::Busy) => {}
            chosen => return self.leased(chosen),
        }
        let Some(_waiting) = self.wait() else {
            return Err(Failure::Busy);
        };
        let chosen = tokio::time::timeout(self.origin.pending_timeout, async {
            loop {
                // Made before looking: what ends in between is not missed.
                let freed = self.shared.freed.notified();
                match self.choose(asking, tried, true) {
                    Err(Refused::Busy) => freed.await,
                    chosen => return chosen,
                }
            }
        });
        self.leased(chosen.await.unwrap_or(Err(Refused::Busy)))
    }

    fn leased(self: &Arc<Self>, chosen: Result<Chosen, Refused>) -> Result<Lease, Failure> {
        let chosen = chosen.map_err(|refused| match refused {
            Refused::Busy => Failure::Busy,
            Refused::Open => Failure::Open,
            Refused::Down => Failure::Down,
            Refused::Drained => Failure::Drained,
        })?;
        Ok(Lease::new(self.clone(), chosen, clock::boottime_ms()))
    }

    fn choose(
        &self,
        asking: Asking<'_>,
        tried: &[usize],
        is_waiting: bool,
    ) -> Result<Chosen, Refused> {
        let is_drained = |it: &(usize, &Arc<Member>)| asking.drained.contains(&it.1.url);
        let drained: Vec<usize> = match asking.drained.is_empty() {
            true => Vec::new(),
            false => {
                let members = self.members.iter().enumerate();
                members.filter(is_drained).map(|it| it.0).collect()
            }
        };
        let ask = Ask {
            key: print(asking.key),
            random: fastrand::u64(..),
            tried,
            drained: &drained,
            is_waiting,
            now_ms: clock::boottime_ms(),
        };
        self.with(|servers| servers.choose(ask))
    }

    /// A place among those that wait, if there is one.
    fn wait(&self) -> Option<Waiting<'_>> {
        let mut common = self.common();
        if common.waiting >= self.origin.max_pending {
            return None;
        }
        common.waiting += 1;
        Some(Waiting(self))
    }

    fn with<T>(&self, decide: impl FnOnce(&mut Servers<'_>) -> T) -> T {
        let mut common = self.common();
        let mut standings: Vec<_> = self.members.iter().map(|it| it.standing()).collect();
        decide(&mut Servers {
            origin: &self.origin,
            prints: &self.prints,
            common: &mut common,
            all: standings.iter_mut().map(|it| &mut **it).collect(),
        })
    }

    fn common(&self) -> MutexGuard<'_, Common> {
        // std Mutex: nothing awaits while it is held.
        self.shared
            .common
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, ejected: &[Ejected]) {
        for (at, why) in ejected {
            let (site, server, why) = (&*self.site, self.url(*at), why.as_str());
            tracing::warn!(site, server, why, "an origin server is ejected for a while");
        }
    }
}

/// One that waits, until it is dropped.
struct Waiting<'a>(&'a Pool);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut common = self.0.common();
        common.waiting = common.waiting.saturating_sub(1);
    }
}

impl Member {
    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[path = "pool/tests.rs"]
mod tests;
