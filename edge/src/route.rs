//! Which site answers for a host.
//!
//! The tables share what did not change with those they were made from: a changed site costs its own hosts.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use seawall_config::problem::PROBLEMS_MAX;
use seawall_config::site::HostPattern;
use seawall_config::{Problem, Revision};

use crate::snapshot::{Served, Shards};

#[derive(Clone, Debug, Default)]
pub struct Routes {
    exact: Shards<Claims>,
    /// By the part after `*.`.
    below: Shards<Claims>,
    any: Option<Claims>,
    /// The patterns that more than one site claims.
    contested: Arc<BTreeSet<HostPattern>>,
}

/// The sites that claim one pattern.
#[derive(Clone, Debug)]
struct Claims {
    /// The oldest of them.
    owner: Arc<Served>,
    /// By age.
    others: Vec<Arc<Served>>,
}

/// Which pattern of a site a host matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Matched<'a> {
    Exact(&'a str),
    Below(&'a str),
    Any,
}

impl Routes {
    /// The site gets its hosts. Where two sites claim one host the older has it.
    pub fn add(&mut self, served: &Arc<Served>) {
        for pattern in &served.site.hosts {
            let claims = match self.claims(pattern) {
                None => Claims::of(served.clone()),
                Some(claims) => claims.with(served),
            };
            self.set(pattern, Some(claims));
        }
    }

    /// The site loses its hosts, each to the next that claims it.
    pub fn remove(&mut self, served: &Served) {
        for pattern in &served.site.hosts {
            if let Some(claims) = self.claims(pattern) {
                self.set(pattern, claims.without(&served.name));
            }
        }
    }

    /// `host` is a key's: lower-case, perhaps with a port, which no pattern names.
    pub fn find(&self, host: &str) -> Option<&Arc<Served>> {
        self.matched(host).map(|(served, _)| served)
    }

    /// And what matches. An exact host comes first, then the one below most, then any.
    pub fn matched<'h>(&self, host: &'h str) -> Option<(&Arc<Served>, Matched<'h>)> {
        let name = match host.rfind(':') {
            Some(at) if !host.ends_with(']') => host.get(..at).unwrap_or(host),
            _ => host,
        };
        let exact = self.exact.get(name);
        let exact = exact.map(|claims| (Matched::Exact(name), claims));
        let (matched, claims) = exact.or_else(|| self.wild(name).next())?;
        Some((&claims.owner, matched))
    }

    /// Whose the pattern would be if the site of this name gave up all of its own.
    pub fn rival(&self, pattern: &HostPattern, name: &str) -> Option<&Arc<Served>> {
        let above = match pattern {
            HostPattern::Any => "",
            HostPattern::Below(host) | HostPattern::Exact(host) => host,
        };
        let wild = self.wild(above).map(|(_, claims)| claims);
        let levels = self.claims(pattern).into_iter().chain(wild);
        let mut all = levels.flat_map(Claims::all);
        all.find(|served| *served.name != *name)
    }

    /// Each site that does not have a host it claims; no more than can be told.
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        for pattern in self.contested.iter().take(PROBLEMS_MAX) {
            let Some(claims) = self.claims(pattern) else {
                continue;
            };
            let message = format!("host \"{pattern}\" belongs to site {}", claims.owner.name);
            let losers = claims.others.iter().take(PROBLEMS_MAX);
            problems.extend(
                losers.map(|served| Problem::new(format!("site {}", served.name), &*message)),
            );
        }
        problems
    }

    /// The wildcards that cover a name, the longest first.
    fn wild<'s, 'n>(
        &'s self,
        name: &'n str,
    ) -> impl Iterator<Item = (Matched<'n>, &'s Claims)> + use<'s, 'n> {
        let below = name.match_indices('.').filter_map(|(at, _)| {
            let parent = name.get(at + 1..)?;
            Some((Matched::Below(parent), self.below.get(parent)?))
        });
        below.chain(self.any.as_ref().map(|claims| (Matched::Any, claims)))
    }

    fn claims(&self, pattern: &HostPattern) -> Option<&Claims> {
        match pattern {
            HostPattern::Exact(host) => self.exact.get(host),
            HostPattern::Below(host) => self.below.get(host),
            HostPattern::Any => self.any.as_ref(),
        }
    }

    fn set(&mut self, pattern: &HostPattern, claims: Option<Claims>) {
        let contested = claims
            .as_ref()
            .is_some_and(|claims| !claims.others.is_empty());
        if contested != self.contested.contains(pattern) {
            let patterns = Arc::make_mut(&mut self.contested);
            match contested {
                true => patterns.insert(pattern.clone()),
                false => patterns.remove(pattern),
            };
        }
        let (table, host) = match pattern {
            HostPattern::Exact(host) => (&mut self.exact, host),
            HostPattern::Below(host) => (&mut self.below, host),
            HostPattern::Any => {
                self.any = claims;
                return;
            }
        };
        match claims {
            Some(claims) => table.insert(host, claims),
            None => table.remove(host),
        };
    }
}

impl Claims {
    fn of(owner: Arc<Served>) -> Self {
        let others = Vec::new();
        Self { owner, others }
    }

    fn all(&self) -> impl Iterator<Item = &Arc<Served>> {
        [&self.owner].into_iter().chain(&self.others)
    }

    fn with(&self, served: &Arc<Served>) -> Self {
        let mut all: Vec<_> = self.all().cloned().collect();
        // One site may name a host twice; it claims it once.
        all.retain(|other| other.name != served.name);
        let older = all.partition_point(|other| age(other) < age(served));
        all.insert(older, served.clone());
        Self {
            owner: all.remove(0),
            others: all,
        }
    }

    fn without(&self, name: &str) -> Option<Self> {
        let mut all = self.all().filter(|served| *served.name != *name).cloned();
        let owner = all.next()?;
        Some(Self {
            owner,
            others: all.collect(),
        })
    }
}

fn age(served: &Served) -> (Revision, &str) {
    (served.document.created, &served.name)
}

impl fmt::Display for Matched<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(host) => f.write_str(host),
            Self::Below(host) => write!(f, "*.{host}"),
            Self::Any => f.write_str("*"),
        }
    }
}
