//! Every edge's own checks of the servers that sites want checked: begun and ended by the snapshot, bounded in number,
//! each on a connection of its own.

use std::collections::HashMap;
use std::sync::Arc;

use http::{Method, header};
use pingora_core::protocols::ALPN;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_http::RequestHeader;
use seawall_config::Revision;
use seawall_config::site::{Check, Health};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, watch};
use tokio::task::AbortHandle;

use super::exchange::{exchange, failure};
use super::{Failure, HEADER_TIMEOUT, Pool};
use crate::snapshot::{Served, Sites};
use crate::state::State;

/// Servers that one edge checks; of more, those of the last sites by name are not.
const CHECKED_MAX: usize = 4_096;
/// Checks under way at once; others wait, and are late.
const UNDER_WAY_MAX: usize = 64;
/// Bytes of a body that are looked through.
const BODY_BYTES_MAX: usize = 64 * 1024;
/// How much sooner or later than asked a server is checked, so that edges do not do it all at once.
const JITTER_PERCENT: u64 = 10;

/// What makes a check the same as before, whatever else of its site has changed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Checked {
    site: Arc<str>,
    created: Revision,
    url: String,
}

/// Until `stop`: what the newest snapshot wants checked is checked, and nothing else.
pub async fn run(state: Arc<State>, mut stop: watch::Receiver<bool>) {
    let mut reached = state.reached();
    let mut checks = Checks {
        state,
        under_way: Arc::new(Semaphore::new(UNDER_WAY_MAX)),
        running: HashMap::new(),
        seen: Arc::default(),
    };
    loop {
        checks.follow();
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            changed = reached.changed() => if changed.is_err() { return },
        }
    }
}

struct Checks {
    state: Arc<State>,
    under_way: Arc<Semaphore>,
    running: HashMap<Checked, Running>,
    /// The sites that were looked at last: most revisions change none.
    seen: Arc<Sites>,
}

/// Ended when it is dropped.
struct Running {
    task: AbortHandle,
    /// The version of the site that it checks for.
    served: Arc<Served>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Checks {
    fn follow(&mut self) {
        let sites = self.state.snapshot.load().sites.clone();
        if Arc::ptr_eq(&sites, &self.seen) {
            return;
        }
        let mut wanted: Vec<&Arc<Served>> = sites.served.iter().map(|(_, served)| served).collect();
        wanted.retain(|served| served.site.origin.health.is_some());
        wanted.sort_by(|a, b| a.name.cmp(&b.name));
        let mut before = std::mem::take(&mut self.running);
        for served in wanted {
            for at in 0..served.site.origin.servers.len() {
                if self.running.len() >= CHECKED_MAX {
                    tracing::warn!(
                        most = CHECKED_MAX,
                        "some servers are not checked: they are too many"
                    );
                    break;
                }
                let checked = Checked {
                    site: served.name.clone(),
                    created: served.document.created,
                    url: served.pool.url(at).to_owned(),
                };
                // A new version of the site is checked for by a new task: its rules, its trust, its pool.
                let same = before.remove(&checked);
                let same = same.filter(|running| Arc::ptr_eq(&running.served, served));
                let running = same.unwrap_or_else(|| self.begin(served, at));
                self.running.insert(checked, running);
            }
        }
        self.seen = sites;
    }

    fn begin(&self, served: &Arc<Served>, at: usize) -> Running {
        let (state, under_way) = (self.state.clone(), self.under_way.clone());
        let served = served.clone();
        let task = tokio::spawn({
            let served = served.clone();
            async move { check_for_ever(&state, &under_way, &served, at).await }
        });
        Running {
            task: task.abort_handle(),
            served,
        }
    }
}

async fn check_for_ever(state: &State, under_way: &Semaphore, served: &Served, at: usize) {
    let Some(rules) = &served.site.origin.health else {
        return;
    };
    // The first comes at any moment of an interval: sites that come together are not checked together.
    tokio::time::sleep(rules.interval.mul_f64(fastrand::f64())).await;
    loop {
        let Ok(permit) = under_way.acquire().await else {
            return;
        };
        let found = tokio::time::timeout(rules.timeout, look(state, served, rules, at)).await;
        drop(permit);
        served
            .pool
            .checked(at, found.unwrap_or(Err("no answer in time")));
        let jitter = fastrand::u64(100 - JITTER_PERCENT..=100 + JITTER_PERCENT);
        tokio::time::sleep(rules.interval.mul_f64(jitter as f64 / 100.0)).await;
    }
}

/// One check. Err: what is wrong.
async fn look(
    state: &State,
    served: &Served,
    rules: &Health,
    at: usize,
) -> Result<(), &'static str> {
    let pool = &served.pool;
    let peer = pool.peer(at, &state.own_addresses, 0).await;
    let peer = peer.map_err(Failure::detail)?;
    match &rules.check {
        Check::Tcp => {
            let address = peer._address.as_inet().copied();
            let address = address.ok_or(Failure::AddressRefused.detail())?;
            let connected = TcpStream::connect(address).await;
            connected
                .map(drop)
                .map_err(|_| Failure::ConnectFailed.detail())
        }
        Check::Http {
            path,
            statuses,
            body,
        } => {
            ask(
                state,
                pool,
                peer,
                at,
                &Expected {
                    path,
                    statuses,
                    body,
                },
            )
            .await
        }
    }
}

struct Expected<'a> {
    path: &'a str,
    statuses: &'a [(u16, u16)],
    body: &'a Option<String>,
}

async fn ask(
    state: &State,
    pool: &Pool,
    mut peer: HttpPeer,
    at: usize,
    expected: &Expected<'_>,
) -> Result<(), &'static str> {
    // Whether it accepts connections is part of the question: a kept one is not used, and this one is not kept.
    // HTTP/2 would share it with whoever comes next, so it is not offered.
    peer.group_key = 0;
    peer.options.alpn = ALPN::H1;
    let session = state.connections.get_http_session(&peer).await;
    let (mut session, _) = session.map_err(|error| failure(&error).detail())?;
    let request = request(pool, at, expected.path).ok_or("no request can be made of this")?;
    let head = exchange(&mut session, Box::new(request), HEADER_TIMEOUT, |_| ()).await;
    let status = head.map_err(Failure::detail)?.status.as_u16();
    let is_expected = |(first, last): &(u16, u16)| (*first..=*last).contains(&status);
    if !expected.statuses.iter().any(is_expected) {
        return Err("another status than expected");
    }
    let Some(text) = expected.body else {
        return Ok(());
    };
    let mut body = Vec::new();
    while body.len() < BODY_BYTES_MAX {
        match session.read_response_body().await {
            Ok(Some(piece)) => body.extend_from_slice(&piece),
            Ok(None) => break,
            Err(error) => return Err(failure(&error).detail()),
        }
    }
    body.truncate(BODY_BYTES_MAX);
    let holds = body
        .windows(text.len())
        .any(|window| window == text.as_bytes());
    holds
        .then_some(())
        .ok_or("the body does not hold what is expected")
}

fn request(pool: &Pool, at: usize, path: &str) -> Option<RequestHeader> {
    let server = pool.origin().servers.get(at)?;
    let url = server.url();
    let own = url.split_once("://").map_or("", |(_, host)| host);
    let mut request = RequestHeader::build(Method::GET, path.as_bytes(), Some(4)).ok()?;
    let fields = [
        (header::HOST, pool.host().unwrap_or(own)),
        (header::USER_AGENT, "seawall-check"),
        (header::ACCEPT, "*/*"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    for (name, value) in fields {
        request.insert_header(name, value).ok()?;
    }
    Some(request)
}
