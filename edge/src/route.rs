//! Which site answers for a host.

use std::collections::HashMap;
use std::sync::Arc;

use seawall_config::Problem;
use seawall_config::site::HostPattern;

use crate::snapshot::Served;

#[derive(Debug, Default)]
pub struct Routes {
    exact: HashMap<String, Arc<Served>>,
    /// By the part after `*.`.
    below: HashMap<String, Arc<Served>>,
    any: Option<Arc<Served>>,
}

impl Routes {
    /// Where two sites claim one host the older has it, and the other a problem.
    pub fn new<'a>(
        sites: impl Iterator<Item = &'a Arc<Served>>,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let mut sites: Vec<_> = sites.collect();
        sites.sort_by_key(|served| served.incarnation);
        let mut routes = Self::default();
        for served in sites {
            for pattern in &served.site.hosts {
                if let Some(owner) = routes.claim(pattern, served) {
                    let path = format!("site {}", served.site.name);
                    problems.push(Problem::new(
                        path,
                        format!("host {pattern:?} belongs to site {owner}"),
                    ));
                }
            }
        }
        routes
    }

    /// `host` is a key's: lower-case, perhaps with a port, which no pattern names.
    pub fn find(&self, host: &str) -> Option<&Arc<Served>> {
        let name = match host.rfind(':') {
            Some(at) if !host.ends_with(']') => host.get(..at).unwrap_or(host),
            _ => host,
        };
        let wild = || {
            name.match_indices('.')
                .find_map(|(at, _)| self.below.get(name.get(at + 1..)?))
        };
        self.exact.get(name).or_else(wild).or(self.any.as_ref())
    }

    /// The name of the site that has the pattern already.
    fn claim(&mut self, pattern: &HostPattern, served: &Arc<Served>) -> Option<String> {
        let owner = match pattern {
            HostPattern::Exact(host) => self
                .exact
                .entry(host.clone())
                .or_insert_with(|| served.clone()),
            HostPattern::Below(host) => self
                .below
                .entry(host.clone())
                .or_insert_with(|| served.clone()),
            HostPattern::Any => self.any.get_or_insert_with(|| served.clone()),
        };
        (!Arc::ptr_eq(owner, served)).then(|| owner.site.name.clone())
    }
}
