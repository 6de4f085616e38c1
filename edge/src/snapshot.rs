//! What we serve from: routes, rules and origins of one revision, in one immutable value.
//!
//! One request sees one snapshot, from its first byte to its last. A new one is built from the one before,
//! and only for the sites that changed. [`disk`] keeps the last-known-good one.

use std::collections::BTreeMap;
use std::sync::Arc;

use seawall_config::feed::{self, Frame};
use seawall_config::{Epoch, Problem, Revision};

use crate::feed::{Document, Followed};
use crate::route::Routes;

pub mod disk;
#[cfg(test)]
mod measure;
mod shards;
mod sites;

pub use shards::Shards;
pub use sites::{Change, Refused, Served, Sites};

#[derive(Debug, Default)]
pub struct Snapshot {
    pub epoch: Epoch,
    pub revision: Revision,
    pub sites: Arc<Sites>,
    /// The servers that an operator has drained, by site.
    pub drained: Arc<Drained>,
}

/// The URLs of drained servers, by site; none is empty.
pub type Drained = BTreeMap<String, Vec<String>>;

impl Snapshot {
    /// The same sites at a later revision.
    pub fn at(&self, revision: Revision) -> Self {
        let (epoch, sites) = (self.epoch, self.sites.clone());
        let drained = self.drained.clone();
        Self {
            epoch,
            revision,
            sites,
            drained,
        }
    }

    /// The sites that changed are built, the others shared. A document that does not validate here leaves its last
    /// good version in force, and holds up no other.
    pub fn after<'a>(&self, revision: Revision, changes: impl Iterator<Item = Change<'a>>) -> Self {
        let next = self.at(revision);
        match self.sites.after(changes, self.revision) {
            Some(sites) => Self {
                sites: Arc::new(sites),
                ..next
            },
            None => next,
        }
    }

    /// The sites as one more revision leaves them; `followed` has taken it already.
    pub fn following(&self, frame: &Frame, followed: &Followed) -> Self {
        let changes = frame.changes.iter().filter_map(|change| {
            let name = match change {
                feed::Change::PutSite(site) => &site.name,
                feed::Change::DeleteSite { name } => name,
                _ => return None,
            };
            // What it is in the end: one revision may name it twice.
            let document = followed.sites.get(name);
            Some(document.map_or(Change::Delete(name), Change::Put))
        });
        let next = self.after(frame.revision, changes);
        Self {
            drained: followed.drained.clone(),
            ..next
        }
    }

    /// The sites of `documents` and no others; those that say what they said before are shared.
    pub fn reset(
        &self,
        epoch: Epoch,
        revision: Revision,
        documents: &Shards<Arc<Document>>,
    ) -> Self {
        let before = match epoch == self.epoch {
            true => self.at(self.revision),
            false => Self {
                epoch,
                revision: Revision(0),
                sites: Arc::new(self.sites.in_new_epoch()),
                drained: Arc::default(),
            },
        };
        let refused = before.sites.refused.keys().map(String::as_str);
        let names = before
            .sites
            .served
            .iter()
            .map(|(name, _)| name)
            .chain(refused);
        let gone = names.filter(|name| documents.get(name).is_none());
        let there = documents.iter().map(|(_, document)| Change::Put(document));
        before.after(revision, gone.map(Change::Delete).chain(there))
    }

    /// The good versions that stay in force where newer ones are refused: to be kept with what is followed.
    pub fn kept(&self) -> Vec<disk::Kept> {
        let kept = |(name, refused): (&String, &Refused)| {
            let document = self.sites.served.get(name)?.document.clone();
            let until = refused.until?;
            Some(disk::Kept { document, until })
        };
        self.sites.refused.iter().filter_map(kept).collect()
    }

    /// Whether a control plane, or the disk, has said which sites there are.
    pub fn is_configured(&self) -> bool {
        self.revision > Revision(0)
    }

    /// The URLs of a site's servers that get no requests.
    pub fn drained(&self, site: &str) -> &[String] {
        self.drained.get(site).map_or(&[], Vec::as_slice)
    }

    pub fn routes(&self) -> &Routes {
        &self.sites.routes
    }

    /// What is wrong with the sites this edge was sent.
    pub fn problems(&self) -> &[Problem] {
        &self.sites.problems
    }

    /// What a fetch may claim to have been routed at. For a site whose newest document is refused that is no later
    /// than its good version was the newest: a purge since then stands against all that an old version fetches.
    pub fn birth_revision(&self, served: &Served) -> Revision {
        let refused = self.sites.refused.get(&*served.name);
        let until = refused.and_then(|refused| refused.until);
        until.map_or(self.revision, |until| until.min(self.revision))
    }

    /// Of the site `a` and no other, at revision 2.
    #[cfg(any(test, fuzzing))]
    pub fn of_one(epoch: Epoch, site: &serde_json::Value) -> Self {
        let document = Arc::new(Document {
            name: "a".into(),
            created: Revision(1),
            revision: Revision(1),
            text: site.to_string().into(),
        });
        let change = [Change::Put(&document)].into_iter();
        Self {
            epoch,
            ..Self::default().after(Revision(2), change)
        }
    }
}
