//! What becomes of a change of sites, decided over the sites as they are. Pure.

use std::collections::{BTreeMap, BTreeSet};

use seawall_config::feed::SiteDocument;
use seawall_config::{Revision, Site};
use serde_json::Value;

use super::{IfMatch, Put, steps};
use crate::keys::{self, Key};
use crate::plane::records::{Owner, SiteRecord, encode, site_record};
use crate::plane::{PlaneError, StoredSite};
use crate::store::{View, Write};

/// Sites of one deployment.
const SITES_MAX: usize = 10_000;
/// Bytes of all their documents: a snapshot carries them.
const SITES_BYTES_MAX: usize = 128 * 1024 * 1024;
/// The sites at one revision, and the revision that changed the set last.
#[derive(Debug)]
pub(super) struct Sites {
    by_name: BTreeMap<String, StoredSite>,
    guard: Option<Revision>,
}

/// What is to be done.
#[derive(Debug, PartialEq)]
pub(super) enum Decided {
    /// It is so already, since this revision.
    Nothing(Revision),
    Write {
        writes: Vec<Write>,
        put: Put,
    },
}

impl Sites {
    /// From reads of [`keys::SITES_GUARD`] and, later, of [`keys::SITES`].
    pub(super) fn new(guard: &View, sites: &View) -> Self {
        let guard = guard
            .entries
            .iter()
            .find(|entry| entry.key == keys::SITES_GUARD);
        let sites = sites.entries.iter().filter_map(|entry| {
            let Key::Site(name) = keys::parse(&entry.key) else {
                return None;
            };
            let SiteRecord { owner, site } = site_record(name, &entry.value);
            let (created, revision) = (entry.created, entry.changed);
            let document = SiteDocument {
                name: name.to_owned(),
                created,
                revision,
                site,
            };
            Some((name.to_owned(), StoredSite { owner, document }))
        });
        Self {
            by_name: sites.collect(),
            guard: guard.map(|entry| entry.changed),
        }
    }

    /// The revision that changed a site last.
    pub(super) fn guard(&self) -> Option<Revision> {
        self.guard
    }

    /// Since when a site is as wanted.
    pub(super) fn holds(&self, name: &str, wanted: &SiteRecord) -> Option<Revision> {
        let same = |it: &&StoredSite| it.owner == wanted.owner && it.document.site == wanted.site;
        self.by_name
            .get(name)
            .filter(same)
            .map(|there| there.document.revision)
    }

    /// Since when, at the latest, a site is not there.
    pub(super) fn lacks(&self, name: &str) -> Option<Revision> {
        self.guard.filter(|_| !self.by_name.contains_key(name))
    }

    pub(super) fn put(
        &self,
        site: &Site,
        wanted: &SiteRecord,
        expect: &IfMatch,
    ) -> Result<Decided, PlaneError> {
        let there = self.by_name.get(&site.name);
        self.owned_by_api(there)?;
        // RFC 9110 §13.1.1: it may be answered with success where the change has already been made.
        if let Some(since) = self
            .holds(&site.name, wanted)
            .filter(|_| *expect != IfMatch::Absent)
        {
            return Ok(Decided::Nothing(since));
        }
        expected(there, expect)?;
        self.hosts_are_free(&[site], |_| false)?;
        let write = Write::Put(keys::site(&site.name), encode(wanted));
        self.has_room(std::slice::from_ref(&write))?;
        let put = if there.is_some() {
            Put::Changed
        } else {
            Put::Created
        };
        Ok(Decided::Write {
            writes: vec![write],
            put,
        })
    }

    pub(super) fn delete(&self, name: &str, expect: &IfMatch) -> Result<Decided, PlaneError> {
        let there = self
            .by_name
            .get(name)
            .ok_or_else(|| PlaneError::NoSuchSite(name.to_owned()))?;
        self.owned_by_api(Some(there))?;
        expected(Some(there), expect)?;
        Ok(Decided::Write {
            writes: vec![
                Write::Delete(keys::site(name)),
                Write::Delete(keys::drained(name)),
            ],
            put: Put::Changed,
        })
    }

    pub(super) fn adopt(&self, file: &[(Site, Value)]) -> Result<Decided, PlaneError> {
        let decided = self.together(Owner::File, file, |there| there.owner == Owner::File)?;
        Ok(match decided {
            Decided::Write { writes, put } => Decided::Write {
                writes: steps::first(writes, || self.movers(file)),
                put,
            },
            nothing @ Decided::Nothing(_) => nothing,
        })
    }

    /// The keys of the sites between which a host moves.
    fn movers(&self, file: &[(Site, Value)]) -> BTreeSet<String> {
        let mut had = BTreeMap::new();
        for there in self.by_name.values() {
            if let Ok(site) = Site::from_document(&there.document.site) {
                let hosts = site.hosts.iter().map(ToString::to_string);
                had.extend(hosts.map(|host| (host, site.name.clone())));
            }
        }
        let mut movers = BTreeSet::new();
        for (site, _) in file {
            let from = site
                .hosts
                .iter()
                .filter_map(|host| had.get(&host.to_string()));
            for from in from.filter(|from| **from != site.name) {
                movers.extend([keys::site(from), keys::site(&site.name)]);
            }
        }
        movers
    }

    /// `expect`: since when the set of sites is as the caller knows it.
    pub(super) fn change(
        &self,
        put: &[(Site, Value)],
        delete: &[String],
        expect: Option<Revision>,
    ) -> Result<Decided, PlaneError> {
        let names = put.iter().map(|(site, _)| &site.name).chain(delete);
        for name in names {
            self.owned_by_api(self.by_name.get(name))?;
        }
        let decided = self.together(Owner::Api, put, |there| {
            delete.contains(&there.document.name)
        });
        // RFC 9110 §13.1.1: it may be answered with success where the change has already been made.
        let is_done = matches!(decided, Ok(Decided::Nothing(_)));
        let current = self.guard.unwrap_or_default();
        if !is_done && expect.is_some_and(|expect| expect != current) {
            return Err(PlaneError::ConditionFailed {
                current: Some(current),
            });
        }
        decided
    }

    /// Puts these sites, deletes those others that `goes`, and gives their hosts to whoever wants them.
    fn together(
        &self,
        owner: Owner,
        put: &[(Site, Value)],
        goes: impl Fn(&StoredSite) -> bool,
    ) -> Result<Decided, PlaneError> {
        let names: BTreeSet<&str> = put.iter().map(|(site, _)| site.name.as_str()).collect();
        let is_put = |there: &StoredSite| names.contains(&*there.document.name);
        let sites: Vec<_> = put.iter().map(|(site, _)| site).collect();
        self.hosts_are_free(&sites, |there| goes(there) || is_put(there))?;
        let mut writes = Vec::new();
        for (site, document) in put {
            let wanted = SiteRecord {
                owner,
                site: document.clone(),
            };
            if self.holds(&site.name, &wanted).is_none() {
                writes.push(Write::Put(keys::site(&site.name), encode(&wanted)));
            }
        }
        let gone = self.by_name.values();
        let gone = gone.filter(|there| goes(there) && !is_put(there));
        let deletes = gone.map(|there| Write::Delete(keys::site(&there.document.name)));
        writes.extend(deletes);
        self.has_room(&writes)?;
        match writes.is_empty() {
            true => Ok(Decided::Nothing(self.guard.unwrap_or_default())),
            false => Ok(Decided::Write {
                writes,
                put: Put::Changed,
            }),
        }
    }

    fn owned_by_api(&self, there: Option<&StoredSite>) -> Result<(), PlaneError> {
        match there.filter(|there| there.owner == Owner::File) {
            Some(there) => Err(PlaneError::OwnedByFile(there.document.name.clone())),
            None => Ok(()),
        }
    }

    /// A host belongs to one site. `yields`: whose hosts are free to be taken.
    fn hosts_are_free(
        &self,
        sites: &[&Site],
        yields: impl Fn(&StoredSite) -> bool,
    ) -> Result<(), PlaneError> {
        let mut taken = BTreeMap::new();
        for there in self.by_name.values().filter(|there| !yields(there)) {
            let Ok(site) = Site::from_document(&there.document.site) else {
                continue;
            };
            taken.extend(
                site.hosts
                    .iter()
                    .map(|host| (host.to_string(), site.name.clone())),
            );
        }
        for site in sites {
            for host in &site.hosts {
                let owner = taken
                    .entry(host.to_string())
                    .or_insert_with(|| site.name.clone());
                if *owner != site.name {
                    return Err(PlaneError::HostTaken {
                        host: host.to_string(),
                        site: owner.clone(),
                    });
                }
            }
        }
        Ok(())
    }

    fn has_room(&self, writes: &[Write]) -> Result<(), PlaneError> {
        let mut sizes: BTreeMap<String, usize> = BTreeMap::new();
        let there = self
            .by_name
            .iter()
            .map(|(name, it)| (keys::site(name), encode(&it.document.site).len()));
        sizes.extend(there);
        for write in writes {
            match write {
                Write::Put(key, value) => drop(sizes.insert(key.clone(), value.len())),
                Write::Delete(key) => drop(sizes.remove(key)),
            }
        }
        if sizes.len() > SITES_MAX || sizes.values().sum::<usize>() > SITES_BYTES_MAX {
            let message =
                format!("at most {SITES_MAX} sites of {SITES_BYTES_MAX} bytes in all are kept");
            return Err(PlaneError::Full(message));
        }
        Ok(())
    }
}

/// RFC 9110 §13.1.1 and §13.1.2.
fn expected(there: Option<&StoredSite>, expect: &IfMatch) -> Result<(), PlaneError> {
    let current = there.map(|there| there.document.revision);
    let holds = match expect {
        IfMatch::Always => true,
        IfMatch::Present => current.is_some(),
        IfMatch::Absent => current.is_none(),
        IfMatch::OneOf(revisions) => current.is_some_and(|current| revisions.contains(&current)),
    };
    if holds {
        Ok(())
    } else {
        Err(PlaneError::ConditionFailed { current })
    }
}
