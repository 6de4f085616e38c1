//! What we serve from: routes, rules and origins of one revision, in one immutable value.
//!
//! One request sees one snapshot, from its first byte to its last. A new one is built from the one before,
//! and only for the sites that changed. [`disk`] keeps the last-known-good one.

use std::collections::BTreeMap;
use std::sync::Arc;

use seawall_config::feed::SiteDocument;
use seawall_config::{Epoch, Problem, Revision, Site};

use crate::origin::Pool;
use crate::route::Routes;

pub mod disk;

#[derive(Debug, Default)]
pub struct Snapshot {
    pub epoch: Epoch,
    pub revision: Revision,
    pub sites: BTreeMap<String, Arc<Served>>,
    pub routes: Arc<Routes>,
    /// What is wrong with the sites this edge was sent.
    pub problems: Arc<Vec<Problem>>,
}

/// One site as this edge serves it.
#[derive(Debug)]
pub struct Served {
    pub name: Arc<str>,
    pub site: Site,
    /// The revision that created the site: part of every key.
    pub incarnation: Revision,
    /// The revision of the document it was built from.
    pub version: Revision,
    pub pool: Pool,
    /// A newer version does not validate here, so this one is kept; what it fetches counts as no newer.
    pub kept: bool,
}

impl Snapshot {
    /// The same sites at a later revision.
    pub fn at(&self, revision: Revision) -> Self {
        let (sites, routes) = (self.sites.clone(), self.routes.clone());
        Self {
            epoch: self.epoch,
            revision,
            sites,
            routes,
            problems: self.problems.clone(),
        }
    }

    /// The sites of `documents`: those that changed since `self` are built, the others shared. A document
    /// that does not validate here leaves its last good version in force, and holds up no other.
    pub fn next(
        &self,
        epoch: Epoch,
        revision: Revision,
        documents: &BTreeMap<String, SiteDocument>,
    ) -> Self {
        let mut problems = Vec::new();
        let sites: BTreeMap<_, _> = documents
            .iter()
            .filter_map(|(name, document)| {
                let before = self.sites.get(name).filter(|_| self.epoch == epoch);
                let served = serve(document, before, &mut problems)?;
                Some((name.clone(), served))
            })
            .collect();
        let routes = Arc::new(Routes::new(sites.values(), &mut problems));
        Self {
            epoch,
            revision,
            sites,
            routes,
            problems: Arc::new(problems),
        }
    }
}

fn serve(
    document: &SiteDocument,
    before: Option<&Arc<Served>>,
    problems: &mut Vec<Problem>,
) -> Option<Arc<Served>> {
    if let Some(same) = before
        .filter(|b| b.version == document.revision && b.incarnation == document.created && !b.kept)
    {
        return Some(same.clone());
    }
    // A site is a stranger's input here too, and what builds it may have a fault of its own: neither may
    // take the edge, or another site, down.
    let built = std::panic::catch_unwind(|| Site::from_document(&document.site));
    let site = match built {
        Ok(Ok(site)) if site.name == document.name => site,
        Ok(Ok(site)) => {
            problems.push(Problem::new(
                format!("site {}", document.name),
                format!("the document calls itself {}", site.name),
            ));
            return before.map(keep);
        }
        Ok(Err(found)) => {
            let path = |p: &Problem| format!("site {}: {}", document.name, p.path);
            problems.extend(
                found
                    .0
                    .iter()
                    .map(|p| Problem::new(path(p), p.message.clone())),
            );
            return before.map(keep);
        }
        Err(_) => {
            problems.push(Problem::new(
                format!("site {}", document.name),
                "building it panicked; this is a fault of the edge",
            ));
            return before.map(keep);
        }
    };
    Some(Arc::new(Served {
        name: site.name.as_str().into(),
        pool: Pool::new(&site.origin, document.created, document.revision),
        incarnation: document.created,
        version: document.revision,
        kept: false,
        site,
    }))
}

fn keep(before: &Arc<Served>) -> Arc<Served> {
    Arc::new(Served {
        name: before.name.clone(),
        site: before.site.clone(),
        incarnation: before.incarnation,
        version: before.version,
        pool: Pool::new(&before.site.origin, before.incarnation, before.version),
        kept: true,
    })
}

impl Served {
    /// The revision that a fetch for this site may claim to have been routed at.
    pub fn birth_revision(&self, snapshot: Revision) -> Revision {
        if self.kept {
            snapshot.min(self.version)
        } else {
            snapshot
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    fn documents(all: &[(&str, u64, u64, serde_json::Value)]) -> BTreeMap<String, SiteDocument> {
        let document = |(name, created, revision, site): &(&str, u64, u64, serde_json::Value)| {
            let (created, revision) = (Revision(*created), Revision(*revision));
            (
                name.to_string(),
                SiteDocument {
                    name: name.to_string(),
                    created,
                    revision,
                    site: site.clone(),
                },
            )
        };
        all.iter().map(document).collect()
    }

    fn site(name: &str, host: &str) -> serde_json::Value {
        json!({"name": name, "hosts": [host], "origin": "http://127.0.0.1:9"})
    }

    fn found(snapshot: &Snapshot, host: &str) -> Option<String> {
        snapshot
            .routes
            .find(host)
            .map(|served| served.site.name.clone())
    }

    #[test]
    fn an_exact_host_wins_over_a_wildcard_and_a_longer_wildcard_over_a_shorter() {
        let documents = documents(&[
            ("any", 1, 1, site("any", "*")),
            ("below", 2, 2, site("below", "*.example.com")),
            ("deeper", 3, 3, site("deeper", "*.a.example.com")),
            ("exact", 4, 4, site("exact", "www.example.com")),
        ]);
        let snapshot = Snapshot::default().next(Epoch(1), Revision(9), &documents);
        let check = |host: &str, expect: &str| {
            assert_eq!(found(&snapshot, host).as_deref(), Some(expect), "{host}")
        };
        check("www.example.com", "exact");
        check("www.example.com:8080", "exact");
        check("x.example.com", "below");
        check("x.a.example.com", "deeper");
        check("y.x.a.example.com", "deeper");
        check("example.com", "any");
        check("[::1]:80", "any");
    }

    #[test]
    fn a_site_that_does_not_validate_keeps_its_last_good_version_and_holds_up_no_other() {
        let good = Snapshot::default().next(
            Epoch(1),
            Revision(2),
            &documents(&[("a", 1, 1, site("a", "a.test"))]),
        );
        let bad = json!({"name": "a", "hosts": [], "origin": 5});
        let later = documents(&[("a", 1, 3, bad), ("b", 4, 4, site("b", "b.test"))]);
        let next = good.next(Epoch(1), Revision(4), &later);
        assert_eq!(
            (found(&next, "a.test"), found(&next, "b.test")),
            (Some("a".into()), Some("b".into()))
        );
        assert!(!next.problems.is_empty());
        let kept = next.routes.find("a.test").unwrap();
        assert_eq!(
            kept.birth_revision(next.revision),
            Revision(1),
            "born no later than the version in force"
        );
        let mended = documents(&[
            ("a", 1, 5, site("a", "a.test")),
            ("b", 4, 4, site("b", "b.test")),
        ]);
        let mended = next.next(Epoch(1), Revision(5), &mended);
        assert!(mended.problems.is_empty() && !mended.sites["a"].kept);
        assert!(
            Arc::ptr_eq(&mended.sites["b"], &next.sites["b"]),
            "what did not change is shared"
        );
    }

    #[test]
    fn of_two_sites_that_claim_a_host_the_older_has_it() {
        let two = documents(&[
            ("new", 5, 5, site("new", "a.test")),
            ("old", 4, 6, site("old", "a.test")),
        ]);
        let snapshot = Snapshot::default().next(Epoch(1), Revision(6), &two);
        assert_eq!(found(&snapshot, "a.test").as_deref(), Some("old"));
        assert_eq!(snapshot.problems.len(), 1);
    }
}
