//! Sites: read, put, deleted, and adopted from a file. What becomes of a change is decided (`decide`) over the
//! sites as they are; the store then takes all of it or, where a site has changed meanwhile, none.

use ring::digest::{SHA256, digest};
use seawall_config::scope::PurgeRequest;
use seawall_config::{Problem, Problems, Revision, Site};
use serde_json::Value;

use super::purges::Order;
use super::records::{Owner, SiteRecord, encode};
use super::state::StoredSite;
use super::{Plane, PlaneError, PurgeReceipt, Wait};
use crate::keys;
use crate::store::{Commit, Guard, StoreError, Txn, Write};

mod decide;
mod steps;

use decide::{Decided, Sites};

/// Sites that change at once: a transaction of etcd takes so many, and the guard.
const CHANGES_MAX: usize = 100;
/// How often a change is decided anew because others changed sites meanwhile.
const ATTEMPTS_MAX: usize = 16;
/// Of a file that one transaction does not take.
const STEPS_MAX: usize = 1_000;
/// How often it is sent again because the store did not say what became of it.
const UNKNOWN_MAX: usize = 2;

/// RFC 9110 §13.1: what must be so for a change to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IfMatch {
    /// Nothing.
    Always,
    /// `If-Match: *`
    Present,
    /// `If-Match` with entity tags: the site's is one of them.
    OneOf(Vec<Revision>),
    /// `If-None-Match: *`
    Absent,
}

/// Several sites, to be changed as one.
#[derive(Debug)]
pub struct SitesChange {
    pub put: Vec<Value>,
    /// Names; one that is not there is deleted already.
    pub delete: Vec<String>,
    /// The set has not changed since that revision.
    pub expect: Option<Revision>,
}

/// What a put did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    Created,
    Changed,
    /// It was so already; nothing was written.
    Unchanged,
}

impl Plane {
    /// Every site, in the order of names.
    pub fn list_sites(&self) -> Vec<StoredSite> {
        self.state().sites.values().cloned().collect()
    }

    pub fn get_site(&self, name: &str) -> Result<StoredSite, PlaneError> {
        let site = self.state().sites.get(name).cloned();
        site.ok_or_else(|| PlaneError::NoSuchSite(name.to_owned()))
    }

    /// Puts a site through the API: its revision, and what that did.
    pub async fn put_site(
        &self,
        name: &str,
        document: Value,
        expect: &IfMatch,
    ) -> Result<(Revision, Put), PlaneError> {
        let site = Site::from_document(&document)?;
        if site.name != name {
            let message = format!(
                "the site is {:?} here and {name:?} in the address",
                site.name
            );
            return Err(PlaneError::invalid("name", message));
        }
        let wanted = SiteRecord {
            owner: Owner::Api,
            site: document,
        };
        let change = |sites: &Sites| sites.put(&site, &wanted, expect);
        let done = |sites: &Sites| sites.holds(name, &wanted);
        self.decide_sites(name, None, change, done).await
    }

    pub async fn delete_site(&self, name: &str, expect: &IfMatch) -> Result<Revision, PlaneError> {
        let change = |sites: &Sites| sites.delete(name, expect);
        self.decide_sites(name, None, change, |sites| sites.lacks(name))
            .await
            .map(|(revision, _)| revision)
    }

    /// The site that names one of these hosts best, among those that `may_be_seen`.
    pub fn find_site(&self, hosts: &[&str], may_be_seen: impl Fn(&str) -> bool) -> Option<String> {
        let state = self.state();
        let found = state.stances.find(hosts, may_be_seen);
        found.map(str::to_owned)
    }

    /// When the set of sites changed last: what a [`SitesChange`] may expect.
    pub fn sites_changed(&self) -> Revision {
        let changed = self.state().known.changed(keys::SITES_GUARD);
        changed.unwrap_or_default()
    }

    /// Puts and deletes several sites as one revision, or none of them. The revision of the set as it is then.
    pub async fn change_sites(&self, change: &SitesChange) -> Result<Revision, PlaneError> {
        let SitesChange {
            put,
            delete,
            expect,
        } = change;
        let sites = read_all(put, delete)?;
        self.change_read(&sites, delete, *expect, None).await
    }

    /// The same, and a purge: edges take both in one step, so that nobody is served the old copies under the new
    /// configuration, nor fetches anew under the old one. `id`: as for [`purge`](Self::purge), and the change is made
    /// with the purge or not at all.
    pub async fn change_sites_and_purge(
        &self,
        change: &SitesChange,
        request: &PurgeRequest,
        id: Option<String>,
        wait: Wait,
    ) -> Result<PurgeReceipt, PlaneError> {
        let SitesChange {
            put,
            delete,
            expect,
        } = change;
        let sites = read_all(put, delete)?;
        let order = self.order(request, id, wait)?;
        let order = order.with_change(|| hash(put, delete));
        let write = async {
            let names: Vec<_> = sites.iter().map(|(site, _)| site.name.as_str()).collect();
            if let Err(missing) = self.sites_exist(&request.sites, &names).await {
                // The same request may have deleted them when it came first.
                let repeated = match order.is_repeatable() {
                    true => self.purge_written(&order).await?,
                    false => None,
                };
                return repeated.ok_or(missing);
            }
            self.change_read(&sites, delete, *expect, Some(&order))
                .await
        };
        self.receipted(&order, wait, write).await
    }

    async fn change_read(
        &self,
        sites: &[(Site, Value)],
        delete: &[String],
        expect: Option<Revision>,
        purge: Option<&Order>,
    ) -> Result<Revision, PlaneError> {
        let done = |now: &Sites| match now.change(sites, delete, None) {
            Ok(Decided::Nothing(revision)) => Some(revision),
            _ => None,
        };
        let change = |now: &Sites| now.change(sites, delete, expect);
        let (revision, _) = self
            .decide_sites("several sites", purge, change, done)
            .await?;
        Ok(revision)
    }

    /// Makes the sites of a file all that files own: what differs is put, and what is no longer in the file is deleted,
    /// in one revision where that fits the store, else in steps. The last of them; None: there was nothing to change.
    pub async fn adopt_file(
        &self,
        sites: &[(Site, Value)],
    ) -> Result<Option<Revision>, PlaneError> {
        let mut adopted = None;
        // Each step leaves less to do; whoever changes sites of the file meanwhile must not keep us here.
        for _ in 0..STEPS_MAX {
            match self.adopt_step(sites).await? {
                Some(revision) => adopted = Some(revision),
                None => return Ok(adopted),
            }
        }
        Err(PlaneError::Busy)
    }

    async fn adopt_step(&self, sites: &[(Site, Value)]) -> Result<Option<Revision>, PlaneError> {
        let done = |now: &Sites| match now.adopt(sites) {
            Ok(Decided::Nothing(revision)) => Some(revision),
            _ => None,
        };
        let change = |now: &Sites| now.adopt(sites);
        let (revision, put) = self
            .decide_sites("the file's sites", None, change, done)
            .await?;
        Ok((put != Put::Unchanged).then_some(revision))
    }

    /// Reads, lets `decide` say what to write, and writes it, until nobody changed a site in between: the
    /// revision, and what was done. `purge`: written with them. `done`: since when it is so, for when the store did not
    /// say.
    async fn decide_sites(
        &self,
        id: &str,
        purge: Option<&Order>,
        decide: impl Fn(&Sites) -> Result<Decided, PlaneError>,
        done: impl Fn(&Sites) -> Option<Revision>,
    ) -> Result<(Revision, Put), PlaneError> {
        let unknown = || PlaneError::OutcomeUnknown { id: id.to_owned() };
        let (mut tried, mut unknowns) = (None, 0);
        for _ in 0..ATTEMPTS_MAX {
            let sites = match self.read_sites().await {
                Err(_) if tried.is_some() => return Err(unknown()),
                sites => sites?,
            };
            // An earlier write, of which the store did not say, was done; or one of the same request.
            let since = match purge {
                None => tried.and_then(|_| done(&sites)),
                Some(order) if tried.is_none() && !order.is_repeatable() => None,
                Some(order) => match self.purge_written(order).await {
                    Err(error) if tried.is_none() || error == PlaneError::KeyReused => {
                        return Err(error);
                    }
                    written => written.map_err(|_| unknown())?,
                },
            };
            if let Some(revision) = since {
                self.followed(revision).await;
                return Ok((revision, tried.unwrap_or(Put::Unchanged)));
            }
            let (writes, put) = match (decide(&sites)?, purge) {
                (Decided::Nothing(revision), None) => return Ok((revision, Put::Unchanged)),
                (Decided::Nothing(_), Some(_)) => (Vec::new(), Put::Unchanged),
                (Decided::Write { writes, put }, _) => (writes, put),
            };
            match self.commit(guarded(&sites, writes, purge)).await {
                Ok(Commit::Done(revision)) => {
                    tracing::info!(%revision, site = id, ?put, "sites changed");
                    self.followed(revision).await;
                    return Ok((revision, put));
                }
                Ok(Commit::Refused { .. }) => {}
                // Sent again under the same guard: both together are done once, or not at all.
                Err(StoreError::OutcomeUnknown(_)) if unknowns < UNKNOWN_MAX => {
                    (tried, unknowns) = (Some(put), unknowns + 1);
                }
                Err(StoreError::OutcomeUnknown(_)) => return Err(unknown()),
                Err(_) if tried.is_some() => return Err(unknown()),
                Err(error) => return Err(error.into()),
            }
        }
        Err(tried.map_or(PlaneError::Busy, |_| unknown()))
    }

    /// The guard first: if it still holds at the write, no site changed since this read.
    async fn read_sites(&self) -> Result<Sites, PlaneError> {
        let guard = self.read(keys::SITES_GUARD).await?;
        Ok(Sites::new(&guard, &self.read(keys::SITES).await?))
    }
}

/// Every document as a site, or everything that is wrong with any: `put[3].origin: …`.
fn read_all(put: &[Value], delete: &[String]) -> Result<Vec<(Site, Value)>, PlaneError> {
    let mut problems = Problems::default();
    if put.len() + delete.len() > CHANGES_MAX {
        problems.add("", format!("at most {CHANGES_MAX} sites change at once"));
        return Err(problems.into());
    }
    let mut sites: Vec<(Site, Value)> = Vec::new();
    for (i, document) in put.iter().enumerate() {
        let at = format!("put[{i}]");
        match Site::from_document(document) {
            Ok(site) if sites.iter().any(|(other, _)| other.name == site.name) => {
                problems.add(format!("{at}.name"), "is put twice");
            }
            Ok(site) if delete.contains(&site.name) => {
                problems.add(format!("{at}.name"), "is put, and deleted");
            }
            Ok(site) => sites.push((site, document.clone())),
            Err(wrong) => {
                for Problem { path, message, .. } in wrong.0 {
                    problems.add(format!("{at}.{path}").trim_end_matches('.'), message);
                }
            }
        }
    }
    Ok(problems.or(sites)?)
}

/// What a change is known by when it is sent again.
fn hash(put: &[Value], delete: &[String]) -> String {
    let digest = digest(&SHA256, &encode(&(put, delete)));
    let bytes = digest.as_ref().iter();
    bytes.map(|byte| format!("{byte:02x}")).collect()
}

/// A change of the sites as they were read, or none.
fn guarded(sites: &Sites, mut writes: Vec<Write>, purge: Option<&Order>) -> Txn {
    let key = keys::SITES_GUARD.to_owned();
    if !writes.is_empty() {
        writes.push(Write::Put(key.clone(), encode(&())));
    }
    writes.extend(purge.map(Order::write));
    let guard = match sites.guard() {
        Some(revision) => Guard::ChangedAt(key, revision),
        None => Guard::Absent(key),
    };
    Txn {
        guards: [guard].into_iter().chain(purge.map(Order::guard)).collect(),
        writes,
    }
}
