//! What an edge that is cut off does on behalf of each site, at each revision it may have stopped at: a receipt
//! must know whether it goes on serving what a purge covers. Pure. Where it is not known, it may.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use seawall_config::feed::RefusedSite;
use seawall_config::site::{HostPattern, OnPartition, Policy};
use seawall_config::{Revision, Scope, Site};

/// Changes that are looked at for one edge; after more it may serve.
const STOPS_MAX: usize = 64;
/// Changes of sites that are remembered. A receipt needs them only for edges that stopped before the newest.
const STANCES_MAX: usize = 50_000;

#[derive(Debug)]
pub(crate) struct Stances {
    /// Before this revision nothing is known.
    known_from: Revision,
    /// By name, oldest first; never empty.
    sites: BTreeMap<String, Vec<Stance>>,
    count: usize,
}

#[derive(Clone, Debug)]
struct Stance {
    /// From this revision on.
    revision: Revision,
    /// None: the site was deleted.
    site: Option<Placed>,
}

#[derive(Clone, Debug)]
struct Placed {
    created: Revision,
    hosts: Vec<HostPattern>,
    /// Whether some path of it is served on.
    serves: bool,
}

/// What is known of a site at a revision.
enum At<'a> {
    Unknown,
    Absent,
    Known(&'a Placed),
}

impl Stances {
    pub(crate) fn new(known_from: Revision) -> Self {
        Self {
            known_from,
            sites: BTreeMap::new(),
            count: 0,
        }
    }

    /// A site was put. `site` is None where the document cannot be read: then it may serve any host.
    pub(crate) fn put(
        &mut self,
        name: &str,
        created: Revision,
        revision: Revision,
        site: Option<&Site>,
    ) {
        let placed = Placed {
            created,
            hosts: site.map_or_else(|| vec![HostPattern::Any], |site| site.hosts.clone()),
            serves: site.is_none_or(serves),
        };
        self.push(
            name,
            Stance {
                revision,
                site: Some(placed),
            },
        );
    }

    pub(crate) fn deleted(&mut self, name: &str, revision: Revision) {
        self.push(
            name,
            Stance {
                revision,
                site: None,
            },
        );
    }

    /// Whether an edge goes on serving something that one of the scopes covers, that stopped between the revision it
    /// acknowledged last and a later one: it may have applied more than it could say.
    pub(crate) fn may_serve(&self, scopes: &[Scope], from: Revision, until: Revision) -> bool {
        if from < self.known_from {
            return true;
        }
        let stances = self.sites.values().flatten();
        let between = stances.map(|stance| stance.revision);
        let between = between.filter(|at| from < *at && *at < until);
        let stops: Vec<_> = [from].into_iter().chain(between).collect();
        let serves = |at: &Revision| {
            let mut scopes = scopes.iter();
            scopes.any(|scope| self.serves_any_of(scope, *at))
        };
        stops.len() > STOPS_MAX || stops.iter().any(serves)
    }

    fn serves_any_of(&self, scope: &Scope, at: Revision) -> bool {
        let serves = |at: At<'_>| match at {
            At::Unknown => true,
            At::Absent => false,
            At::Known(placed) => placed.serves,
        };
        let mut all = self.sites.values().map(|stances| known(stances, at));
        match scope {
            Scope::Site(name) => {
                let stances = self.sites.get(name);
                stances.is_some_and(|stances| serves(known(stances, at)))
            }
            Scope::Everything | Scope::Tag(_) => all.any(serves),
            Scope::Host(host) => serves(self.owner(host, at).1),
            Scope::Prefix(target) | Scope::Url(target) => serves(self.owner(&target.host, at).1),
        }
    }

    /// Whether an edge that refuses newer documents of some sites does for a purge as older ones say.
    pub(crate) fn is_refused(
        &self,
        scopes: &[Scope],
        purge: Revision,
        refused: &[RefusedSite],
    ) -> bool {
        let concerns = |refused: &RefusedSite, scope: &Scope| {
            let Some(site) = refused.site.as_deref() else {
                return true;
            };
            // The old version may hold a host that the site no longer has, or not yet.
            let before = Revision(refused.since.0.saturating_sub(1));
            let holds = |host: &str| {
                [before, purge].iter().any(|at| {
                    let owner = self.owner(host, *at);
                    *at < self.known_from || owner.0 == Some(site) || matches!(owner.1, At::Unknown)
                })
            };
            match scope {
                Scope::Site(name) => name == site,
                // A host covers what is stored for it under whatever site.
                _ if refused.behind => false,
                Scope::Everything | Scope::Tag(_) => true,
                Scope::Host(host) => holds(host),
                Scope::Prefix(target) | Scope::Url(target) => holds(&target.host),
            }
        };
        let since = refused.iter().filter(|refused| refused.since <= purge);
        since
            .into_iter()
            .any(|refused| scopes.iter().any(|scope| concerns(refused, scope)))
    }

    /// The site that now names one of these hosts best, among those that `may_be_seen`. Of hosts that are named as well
    /// as each other the first counts.
    pub(crate) fn find(&self, hosts: &[&str], may_be_seen: impl Fn(&str) -> bool) -> Option<&str> {
        let mut best: Option<(usize, Reverse<usize>, &str)> = None;
        for (name, stances) in &self.sites {
            let Some(placed) = stances.last().and_then(|stance| stance.site.as_ref()) else {
                continue;
            };
            if !may_be_seen(name) {
                continue;
            }
            for (i, host) in hosts.iter().enumerate() {
                let ranks = placed.hosts.iter();
                if let Some(rank) = ranks.filter_map(|pattern| rank(pattern, host)).max() {
                    best = best.max(Some((rank, Reverse(i), name)));
                }
            }
        }
        best.map(|(_, _, name)| name)
    }

    /// The site that names a host best, which is where the edge sends it.
    fn owner(&self, host: &str, at: Revision) -> (Option<&str>, At<'_>) {
        let mut best = None;
        for (name, stances) in &self.sites {
            match known(stances, at) {
                At::Unknown => return (None, At::Unknown),
                At::Absent => {}
                At::Known(placed) => {
                    let ranks = placed
                        .hosts
                        .iter()
                        .filter_map(|pattern| rank(pattern, host));
                    // The older has a host that two claim; where it is not plain, the one that serves on.
                    let rank = ranks.max().map(|rank| (rank, placed.serves));
                    if rank > best.map(|(rank, _, _)| rank) {
                        best = rank.map(|rank| (rank, name.as_str(), placed));
                    }
                }
            }
        }
        match best {
            Some((_, name, placed)) => (Some(name), At::Known(placed)),
            None => (None, At::Absent),
        }
    }

    fn push(&mut self, name: &str, stance: Stance) {
        let revision = stance.revision;
        let stances = self.sites.entry(name.to_owned()).or_default();
        if stances
            .last()
            .is_some_and(|newest| newest.revision >= revision)
        {
            return; // Seen before.
        }
        stances.push(stance);
        self.count += 1;
        if self.count > STANCES_MAX {
            self.forget(revision);
        }
    }

    /// Only what holds now is kept.
    fn forget(&mut self, now: Revision) {
        self.known_from = now;
        self.sites.retain(|_, stances| {
            let newest = stances.pop().filter(|stance| stance.site.is_some());
            stances.clear();
            stances.extend(newest);
            !stances.is_empty()
        });
        self.count = self.sites.len();
    }
}

fn known(stances: &[Stance], at: Revision) -> At<'_> {
    let upto = stances.partition_point(|stance| stance.revision <= at);
    match (
        upto.checked_sub(1).and_then(|i| stances.get(i)),
        stances.first(),
    ) {
        (
            Some(Stance {
                site: Some(placed), ..
            }),
            _,
        ) => At::Known(placed),
        (Some(Stance { site: None, .. }), _) => At::Absent,
        (
            None,
            Some(Stance {
                site: Some(first), ..
            }),
        ) if first.created > at => At::Absent,
        (None, _) => At::Unknown,
    }
}

fn serves(site: &Site) -> bool {
    let serves = |policy: &Policy| policy.on_partition == OnPartition::Serve;
    serves(&site.policy) || site.rules.iter().any(|rule| serves(&rule.policy))
}

/// How well a pattern names a host: exactly, by the longest wildcard, by none at all.
fn rank(pattern: &HostPattern, host: &str) -> Option<usize> {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => name,
        _ => host,
    };
    match pattern {
        HostPattern::Exact(exact) if exact == name => Some(usize::MAX),
        HostPattern::Below(parent) => {
            let below = name.strip_suffix(parent.as_str())?.strip_suffix('.')?;
            (!below.is_empty()).then_some(parent.len())
        }
        HostPattern::Any => Some(0),
        HostPattern::Exact(_) => None,
    }
}

#[cfg(test)]
mod tests;
