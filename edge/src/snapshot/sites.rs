//! Every site as this edge serves it. Pure: the sites that a change names are built, all others are shared with
//! the value before.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use seawall_certs::ClientAuthorities;
use seawall_config::feed::{REFUSED_SITES_MAX, RefusedSite};
use seawall_config::{Problem, Problems, Revision, Site};

use super::Shards;
use crate::feed::Document;
use crate::metrics::Meters;
use crate::origin::Pool;
use crate::refetching::Turns;
use crate::route::Routes;

#[derive(Clone, Debug, Default)]
pub struct Sites {
    pub served: Shards<Arc<Served>>,
    pub routes: Routes,
    /// The sites whose newest document is refused here.
    pub refused: BTreeMap<String, Refused>,
    /// What is wrong with the sites this edge was sent.
    pub problems: Vec<Problem>,
    /// What receipts must know of the refused ones.
    pub refusals: Vec<RefusedSite>,
    /// How many sites were built since the edge started.
    pub built: u64,
}

/// One site as this edge serves it.
#[derive(Debug)]
pub struct Served {
    pub name: Arc<str>,
    pub site: Site,
    /// What it was built from. A later one that says the same builds nothing.
    pub document: Arc<Document>,
    pub pool: Arc<Pool>,
    pub refetching: Turns,
    pub meters: Meters,
    /// Of those who want a revision that this edge has not reached.
    pub early: Turns,
    /// Whose certificates it asks of clients.
    pub clients: Option<ClientAuthorities>,
}

/// A document that does not validate here.
#[derive(Clone, Debug)]
pub struct Refused {
    pub document: Arc<Document>,
    /// There is a good version, it stays in force, and this is the last revision at which it was the newest.
    /// The edge acts for this site as if it had stopped there.
    pub until: Option<Revision>,
    problems: Problems,
}

/// What is new of a site.
#[derive(Clone, Copy, Debug)]
pub enum Change<'a> {
    Put(&'a Arc<Document>),
    Delete(&'a str),
}

/// Makes a site of its document, and of what it was until now.
type Build = fn(&Arc<Document>, Option<&Served>) -> Result<Served, Problems>;

impl Sites {
    /// The good versions that were kept, of sites whose newest documents were refused before a restart.
    pub fn kept<'a>(kept: impl Iterator<Item = (&'a Arc<Document>, Revision)>) -> Self {
        let mut sites = Self::default();
        for (document, until) in kept {
            sites.put(document, Revision(0), Served::build);
            // A newer edge may refuse what an older one kept: then there is nothing to go back to.
            if let Some(served) = sites.served.get(&document.name) {
                let refused = Refused {
                    document: served.document.clone(),
                    until: Some(until),
                    problems: Problems::default(),
                };
                sites.refused.insert(document.name.clone(), refused);
            }
        }
        sites
    }

    /// The sites after a change; None where nothing is new. `stood`: the last revision at which these were the
    /// newest.
    pub fn after<'a>(
        &self,
        changes: impl Iterator<Item = Change<'a>>,
        stood: Revision,
    ) -> Option<Self> {
        self.built_by(Served::build, changes, stood)
    }

    /// The same where revisions begin anew: whatever is kept was the newest before any of them.
    pub fn in_new_epoch(&self) -> Self {
        let mut sites = self.clone();
        for refused in sites.refused.values_mut() {
            refused.until = refused.until.map(|_| Revision(0));
        }
        sites.refusals = sites.find_refusals();
        sites
    }

    fn built_by<'a>(
        &self,
        build: Build,
        changes: impl Iterator<Item = Change<'a>>,
        stood: Revision,
    ) -> Option<Self> {
        let news: Vec<_> = changes.filter(|change| self.is_news(change)).collect();
        if news.is_empty() {
            return None;
        }
        let mut next = self.clone();
        for change in news {
            match change {
                Change::Put(document) => next.put(document, stood, build),
                Change::Delete(name) => next.delete(name),
            }
        }
        next.problems = next.find_problems();
        next.refusals = next.find_refusals();
        Some(next)
    }

    fn is_news(&self, change: &Change<'_>) -> bool {
        match change {
            Change::Delete(name) => {
                self.served.get(name).is_some() || self.refused.contains_key(*name)
            }
            Change::Put(document) => match self.refused.get(&document.name) {
                Some(refused) => !refused.document.repeats(document) || refused.problems.is_empty(),
                None => !self.serves(document),
            },
        }
    }

    fn serves(&self, document: &Document) -> bool {
        let served = self.served.get(&document.name);
        served.is_some_and(|served| served.document.repeats(document))
    }

    fn put(&mut self, document: &Arc<Document>, stood: Revision, build: Build) {
        let name = &document.name;
        // The good version is the newest again.
        if self.serves(document) {
            self.refused.remove(name);
            return;
        }
        self.built += 1;
        let before = self.served.get(name).cloned();
        let before = before.filter(|before| before.document.created == document.created);
        match caught(|| build(document, before.as_deref())) {
            Ok(served) => {
                self.delete(name);
                let served = Arc::new(served);
                self.routes.add(&served);
                self.served.insert(name, served);
            }
            Err(problems) => self.refuse(document, problems, stood),
        }
    }

    /// The last good version stays in force. A site that was deleted and created again is another one: it has none.
    fn refuse(&mut self, document: &Arc<Document>, problems: Problems, stood: Revision) {
        let name = &document.name;
        let good = self.served.get(name);
        let until = match good.filter(|good| good.document.created == document.created) {
            Some(_) => {
                let refused = self.refused.get(name);
                Some(refused.and_then(|refused| refused.until).unwrap_or(stood))
            }
            None => {
                self.delete(name);
                None
            }
        };
        let document = document.clone();
        let refused = Refused {
            document,
            until,
            problems,
        };
        self.refused.insert(name.clone(), refused);
    }

    fn delete(&mut self, name: &str) {
        self.refused.remove(name);
        if let Some(served) = self.served.remove(name) {
            self.routes.remove(&served);
        }
    }

    fn find_problems(&self) -> Vec<Problem> {
        let mut problems = Problems::default();
        for (name, refused) in &self.refused {
            let instead = match self.served.get(name) {
                Some(good) => format!("version {} stays in force", good.document.revision),
                None => "no version of it is served".to_owned(),
            };
            for problem in &refused.problems.0 {
                let dot = if problem.path.is_empty() { "" } else { ": " };
                let path = format!("site {name}{dot}{}", problem.path);
                problems.add(path, format!("{} ({instead})", problem.message));
            }
        }
        self.routes
            .problems()
            .into_iter()
            .for_each(|problem| problems.push(problem));
        problems.0
    }
}

impl Sites {
    /// The refused sites, and those that stand behind their old versions: what is stored for a host that has moved
    /// is stored under another site than the newest documents say.
    fn find_refusals(&self) -> Vec<RefusedSite> {
        let mut told: BTreeMap<&str, RefusedSite> = BTreeMap::new();
        for (name, refused) in &self.refused {
            let since = refused.since();
            let good = self.served.get(name).map(|good| &good.site.hosts);
            let hosts = good.into_iter().flatten();
            let rivals = hosts.filter_map(|host| self.routes.rival(host, name));
            let rivals = rivals.map(|rival| (&*rival.name, true));
            for (name, behind) in rivals.chain([(name.as_str(), false)]) {
                let tell = told.entry(name).or_insert_with(|| RefusedSite {
                    site: Some(name.to_owned()),
                    behind,
                    since,
                });
                tell.behind &= behind;
                tell.since = tell.since.min(since);
            }
            if told.len() > REFUSED_SITES_MAX {
                let since = self.refused.values().map(Refused::since).min();
                let since = since.unwrap_or_default();
                let (site, behind) = (None, false);
                return vec![RefusedSite {
                    site,
                    behind,
                    since,
                }];
            }
        }
        told.into_values().collect()
    }
}

impl Refused {
    /// From here on this edge does not do as the documents say.
    fn since(&self) -> Revision {
        self.until.map_or(self.document.created, Revision::next)
    }
}

impl Served {
    /// `before`: the same site until now, whose servers keep their standing.
    fn build(document: &Arc<Document>, before: Option<&Self>) -> Result<Self, Problems> {
        let site = document.site()?;
        let clients = site.client_ca.as_deref().map(ClientAuthorities::from_pem);
        let clients = clients.transpose().map_err(|why| {
            // Without them it would let in anyone.
            Problems(vec![Problem::new("client_ca", why)])
        })?;
        let before = before.map(|before| &*before.pool);
        Ok(Self {
            name: site.name.as_str().into(),
            pool: Arc::new(Pool::new(&site.name, &site.origin, before)?),
            document: document.clone(),
            refetching: Turns::default(),
            meters: Meters::default(),
            early: Turns::default(),
            clients,
            site,
        })
    }
}

/// What builds a site may have a fault of its own: that is a problem of this site, and of no other.
fn caught<T>(build: impl FnOnce() -> Result<T, Problems>) -> Result<T, Problems> {
    catch_unwind(AssertUnwindSafe(build)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().copied();
        let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        let text = text.unwrap_or("without a word");
        Err(Problems(vec![Problem::new(
            "",
            format!("building it panicked, which is a fault of this edge: {text}"),
        )]))
    })
}

#[cfg(test)]
#[path = "sites/tests.rs"]
mod tests;
