//! Origins: which servers an operator has drained, and who sees which server in trouble.

use seawall_config::{Revision, Site};
use serde::Serialize;

use super::records::{DrainedRecord, decode, encode};
use super::state::State;
use super::{Plane, PlaneError};
use crate::keys;
use crate::store::{Commit, Guard, StoreError, Txn, Write};

/// Servers that one answer lists.
const LISTED_MAX: usize = 10_000;
/// How often a change is decided anew because others changed the same meanwhile.
const ATTEMPTS_MAX: usize = 16;

/// `GET /v1/origins`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OriginsStatus {
    /// How far this plane has followed the store.
    pub revision: Revision,
    /// Why what follows may be out of date: the store does not answer.
    pub problem: Option<String>,
    /// By site, each as its configuration orders them.
    pub servers: Vec<ServerStatus>,
    /// There are more than are listed.
    pub cut: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ServerStatus {
    pub site: String,
    /// Its URL.
    pub server: String,
    pub drained: bool,
    /// Who does not find it in order. An edge names a few servers only; what none names is in order, as far as is known.
    pub seen: Vec<SeenFrom>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SeenFrom {
    pub edge: String,
    pub place: String,
    /// `down`, `ejected`, `open`.
    pub state: String,
    pub why: Option<String>,
}

impl Plane {
    /// Every server of every site, or of one.
    pub fn origins(&self, site: Option<&str>) -> OriginsStatus {
        let state = self.state();
        let stored = state.sites.values();
        let stored = stored.filter(|it| site.is_none_or(|site| it.document.name == site));
        let servers = stored.flat_map(|stored| {
            let read = Site::from_document(&stored.document.site).ok();
            let servers = read.map(|site| site.origin.servers).unwrap_or_default();
            let status = |server: &seawall_config::site::Server| {
                server_status(&state, &stored.document.name, server.url())
            };
            servers.iter().map(status).collect::<Vec<_>>()
        });
        let mut servers: Vec<_> = servers.take(LISTED_MAX + 1).collect();
        let cut = servers.len() > LISTED_MAX;
        servers.truncate(LISTED_MAX);
        OriginsStatus {
            revision: state.followed,
            problem: self.ready().err(),
            servers,
            cut,
        }
    }

    /// The operator wants a server to get no requests, or to get them again. Since when that is so.
    pub async fn drain(
        &self,
        site: &str,
        server: &str,
        drained: bool,
    ) -> Result<Revision, PlaneError> {
        let key = keys::drained(site);
        for _ in 0..ATTEMPTS_MAX {
            let sites = self.read(&keys::site(site)).await?;
            let mut there = sites.entries.into_iter();
            let there = there.find(|entry| entry.key == keys::site(site));
            let there = there.ok_or_else(|| PlaneError::NoSuchSite(site.to_owned()))?;
            let wanted = named(site, &there.value, server, drained)?;
            let before = self.read(&key).await?;
            let before = before.entries.into_iter().find(|entry| entry.key == key);
            let record = before.as_ref().and_then(|it| decode(&key, &it.value));
            let record: DrainedRecord = record.unwrap_or_default();
            let next = record.clone().of(there.created).with(&wanted, drained);
            if let Some(before) = before.as_ref().filter(|_| next == record) {
                return Ok(before.changed);
            }
            let guard = match &before {
                Some(before) => Guard::ChangedAt(key.clone(), before.changed),
                None => Guard::Absent(key.clone()),
            };
            let txn = Txn {
                guards: vec![guard, Guard::ChangedAt(there.key, there.changed)],
                writes: vec![Write::Put(key.clone(), encode(&next))],
            };
            match self.commit(txn).await {
                Ok(Commit::Done(revision)) => {
                    self.followed(revision).await;
                    tracing::info!(%revision, site, server, drained, "an origin server was drained or restored");
                    return Ok(revision);
                }
                Ok(Commit::Refused { .. }) => {}
                // To say it twice is the same as once: the next round finds out.
                Err(StoreError::OutcomeUnknown(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(PlaneError::Busy)
    }
}

/// The server as the site names it. One that is drained and no longer there can still be restored.
fn named(site: &str, value: &[u8], server: &str, drained: bool) -> Result<String, PlaneError> {
    let url = seawall_config::site::server(server).map(|server| server.url());
    let url = url.map_err(|message| PlaneError::invalid("server", message))?;
    let record = super::records::site_record(site, value);
    let read = Site::from_document(&record.site).ok();
    let is_there = read.is_some_and(|site| site.origin.servers.iter().any(|it| it.url() == url));
    match is_there || !drained {
        true => Ok(url),
        false => Err(PlaneError::invalid(
            "server",
            format!("the site {site:?} has no server {url}"),
        )),
    }
}

fn server_status(state: &State, site: &str, server: String) -> ServerStatus {
    let is_it =
        |sight: &&seawall_config::feed::OriginSight| sight.site == site && sight.server == server;
    let seen = state.fleet.parties().filter_map(|(_, party)| {
        let sight = party.record.origins.iter().find(is_it)?;
        Some(SeenFrom {
            edge: party.record.id.clone(),
            place: party.record.place.clone(),
            state: sight.state.clone(),
            why: sight.why.clone(),
        })
    });
    ServerStatus {
        seen: seen.collect(),
        drained: state.drained(site).contains(&server),
        site: site.to_owned(),
        server,
    }
}
