//! What an edge that is cut off does on behalf of each site, at each revision it may have stopped at: a receipt
//! must know whether it goes on serving what a purge covers. Pure. Where it is not known, it may.

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
mod tests {
    use super::*;
    use seawall_config::scope;
    use seawall_config::site::{Origin, OriginTls};

    fn site(hosts: &[HostPattern], on_partition: OnPartition) -> Site {
        Site {
            name: String::new(),
            hosts: hosts.to_vec(),
            origin: Origin {
                servers: Vec::new(),
                host: None,
                tls: OriginTls::default(),
            },
            debug_from: Vec::new(),
            policy: Policy {
                on_partition,
                ..Policy::default()
            },
            rules: Vec::new(),
        }
    }

    #[test]
    fn the_stance_that_counts_is_the_one_where_the_edge_stopped() {
        let mut stances = Stances::new(Revision(10));
        let any = site(&[HostPattern::Any], OnPartition::Serve);
        let shop = [
            HostPattern::Exact("shop.example".into()),
            HostPattern::Below("shop.example".into()),
        ];
        let open = site(&shop, OnPartition::Serve);
        let strict = site(&shop, OnPartition::Refuse);
        stances.put("shop", Revision(20), Revision(20), Some(&open));
        stances.put("shop", Revision(20), Revision(30), Some(&strict));
        stances.put("rest", Revision(40), Revision(40), Some(&any));
        stances.deleted("rest", Revision(50));
        stances.put("broken", Revision(5), Revision(60), None);
        stances.put("broken", Revision(5), Revision(61), Some(&strict));
        let host = |text: &str| Scope::Host(scope::host(text, None).unwrap_or_default());
        let check = |scope: &Scope, at: u64, expect: bool| {
            let may =
                stances.may_serve(std::slice::from_ref(scope), Revision(at), Revision(at + 1));
            assert_eq!(may, expect, "{scope} at {at}");
        };
        let shop = Scope::Site("shop".into());
        check(&shop, 9, true); // Nothing is known.
        check(&shop, 19, false);
        check(&shop, 20, true);
        check(&shop, 29, true);
        check(&shop, 30, false);
        check(&Scope::Site("broken".into()), 59, true);
        check(&Scope::Site("broken".into()), 61, false);
        check(&Scope::Site("never".into()), 61, false);
        // It may have applied more than it could say before it was cut off.
        let applied_more = |from: u64, until: u64| {
            let shop = std::slice::from_ref(&shop);
            stances.may_serve(shop, Revision(from), Revision(until))
        };
        assert!(applied_more(19, 21));
        assert!(!applied_more(19, 20), "the purge came with the change");
        assert!(!applied_more(30, 70));
        // "broken" was there before anything is known of it.
        check(&Scope::Everything, 19, true);
        check(&host("shop.example:8080"), 45, true);
        check(&Scope::Everything, 61, false);
        check(&host("shop.example:8080"), 61, false);
        check(&host("a.shop.example"), 61, false);
        check(&host("other.example"), 61, false);
        check(&Scope::Tag("t".into()), 60, true);
    }

    #[test]
    fn a_host_belongs_to_the_site_that_names_it_best() {
        let mut stances = Stances::new(Revision(0));
        let wild = [HostPattern::Below("example".into()), HostPattern::Any];
        stances.put(
            "a",
            Revision(1),
            Revision(1),
            Some(&site(&wild, OnPartition::Serve)),
        );
        let exact = [HostPattern::Exact("a.example".into())];
        stances.put(
            "b",
            Revision(2),
            Revision(2),
            Some(&site(&exact, OnPartition::Revalidate)),
        );
        let check = |host: &str, expect: bool| {
            let scope = [Scope::Host(host.into())];
            assert_eq!(
                stances.may_serve(&scope, Revision(2), Revision(3)),
                expect,
                "{host}"
            );
        };
        check("a.example", false);
        check("a.example:81", false);
        check("b.example", true);
        check("[::1]:81", true);
    }

    #[test]
    fn a_purge_since_a_refusal_is_refused_where_the_old_version_may_answer() {
        let mut stances = Stances::new(Revision(0));
        let named = |host: &str| site(&[HostPattern::Exact(host.into())], OnPartition::Serve);
        stances.put("a", Revision(1), Revision(1), Some(&named("old.test")));
        stances.put("a", Revision(1), Revision(20), Some(&named("new.test")));
        stances.put("b", Revision(2), Revision(2), Some(&named("b.test")));
        let told = |site: Option<&str>, behind: bool| RefusedSite {
            site: site.map(str::to_owned),
            behind,
            since: Revision(10),
        };
        let check = |refused: RefusedSite, scope: Scope, purge: u64, expect: bool| {
            let case = format!("{refused:?} {scope} at {purge}");
            let is = stances.is_refused(&[scope], Revision(purge), &[refused]);
            assert_eq!(is, expect, "{case}");
        };
        let (a, host) = (
            || told(Some("a"), false),
            |host: &str| Scope::Host(host.into()),
        );
        check(a(), Scope::Site("a".into()), 10, true);
        check(a(), Scope::Site("a".into()), 9, false);
        check(a(), Scope::Site("b".into()), 30, false);
        check(a(), Scope::Everything, 30, true);
        check(a(), Scope::Tag("t".into()), 30, true);
        check(a(), host("old.test"), 30, true);
        check(a(), host("new.test"), 30, true);
        check(a(), host("new.test"), 19, false);
        check(a(), host("b.test"), 30, false);
        let b = || told(Some("b"), true);
        check(b(), Scope::Site("b".into()), 30, true);
        check(b(), host("b.test"), 30, false);
        check(b(), Scope::Everything, 30, false);
        check(told(None, false), host("b.test"), 30, true);
        assert!(!stances.is_refused(&[Scope::Everything], Revision(30), &[]));
    }

    #[test]
    fn what_is_forgotten_may_serve() {
        let mut stances = Stances::new(Revision(0));
        let strict = site(&[HostPattern::Any], OnPartition::Refuse);
        for revision in 1..=STANCES_MAX as u64 + 1 {
            stances.put("a", Revision(1), Revision(revision), Some(&strict));
        }
        assert!(stances.may_serve(&[Scope::Everything], Revision(7), Revision(8)));
        let last = Revision(STANCES_MAX as u64 + 1);
        assert!(!stances.may_serve(&[Scope::Everything], last, last.next()));
    }
}
