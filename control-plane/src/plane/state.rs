//! What a plane knows: everything below our keys at one revision, as the store's log told it, and what edges
//! said since. Pure: a read and then steps of the store go in, each exactly once and in order.

use std::collections::BTreeMap;

use seawall_config::feed::{self, Beacon, Frame, SiteDocument, Snapshot};
use seawall_config::{Epoch, Revision, Site};

use super::fleet::{Fleet, Moved};
use super::known::Known;
use super::records::{
    DrainedRecord, Owner, PlaneRecord, PurgeRecord, SiteRecord, decode, purge_record, site_record,
};
use super::retention::{Purge, Purges};
use super::stances::Stances;
use super::tally::Tally;
use crate::feed::{Tail, frame};
use crate::keys::{self, Key};
use crate::store::{Guard, Step, View};

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) epoch: Epoch,
    /// Everything up to here is known.
    pub(crate) followed: Revision,
    /// What the read that came first showed; older steps only fill the tail.
    read: Revision,
    pub(crate) known: Known,
    pub(crate) sites: BTreeMap<String, StoredSite>,
    drained: BTreeMap<String, DrainedRecord>,
    pub(crate) purges: Purges,
    /// Objects born before this revision count as purged: their purges are forgotten.
    pub(crate) floor: Revision,
    pub(crate) beacon: Option<SeenBeacon>,
    pub(crate) tail: Tail,
    pub(crate) fleet: Fleet,
    pub(crate) tally: Tally,
    pub(crate) stances: Stances,
}

/// A site, and who may change it.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredSite {
    pub owner: Owner,
    pub document: SiteDocument,
}

#[derive(Clone, Debug)]
pub(crate) struct SeenBeacon {
    pub(crate) revision: Revision,
    pub(crate) beacon: Beacon,
    /// By this plane's clock.
    pub(crate) seen_ms: u64,
}

impl State {
    /// From a read of [`keys::ROOT`]. The tail begins at `begins`, at or before the read: what lies between
    /// is to be [applied](State::apply) next, and only then is `followed` as far as the read.
    pub(crate) fn new(epoch: Epoch, view: &View, begins: Revision, now_ms: u64) -> Self {
        let mut state = Self {
            epoch,
            followed: begins,
            read: view.revision,
            known: Known::new(view),
            sites: BTreeMap::new(),
            drained: BTreeMap::new(),
            purges: Purges::default(),
            floor: Revision::default(),
            beacon: None,
            tail: Tail::new(begins),
            fleet: Fleet::new(epoch),
            tally: Tally::default(),
            stances: Stances::new(begins),
        };
        // Purges before what was counted of them.
        let (watched, status): (Vec<_>, Vec<_>) = view
            .entries
            .iter()
            .partition(|entry| entry.key.starts_with(keys::WATCHED));
        for entry in watched.into_iter().chain(status) {
            let revisions = (entry.created, entry.changed);
            state.put(&entry.key, &entry.value, revisions, None, now_ms);
        }
        state
    }

    /// The tail has been filled up to the read: what has not changed since it began holds since long.
    pub(crate) fn settle(&mut self) {
        for (name, StoredSite { document, .. }) in &self.sites {
            let site = Site::from_document(&document.site).ok();
            self.stances
                .put(name, document.created, document.revision, site.as_ref());
        }
    }

    /// The next step of the store, watched keys or others.
    pub(crate) fn apply(&mut self, step: &Step, now_ms: u64) {
        let frame = frame(self.epoch, step);
        if let Some(frame) = &frame {
            self.stand(frame);
            self.tail.push(frame);
        }
        self.followed = step.revision;
        if step.revision <= self.read {
            return;
        }
        self.known.apply(step);
        for changed in &step.changes {
            match &changed.value {
                Some(value) => {
                    let revisions = (changed.created, step.revision);
                    self.put(&changed.key, value, revisions, Some(now_ms), now_ms);
                }
                None => self.delete(&changed.key, step.revision, now_ms),
            }
        }
        // Rule 2: an edge that registered waits for the feed to come past it; so let it, at once.
        let registers = |key: &str| matches!(keys::parse(key), Key::Edge(_));
        if frame.is_none() && step.changes.iter().any(|changed| registers(&changed.key)) {
            let (epoch, revision) = (self.epoch, step.revision);
            self.tail.push(&Frame {
                epoch,
                revision,
                changes: Vec::new(),
            });
        }
    }

    /// Holds while a key is as it was seen last, whether or not that could be read: a hand may have written there.
    pub(crate) fn unchanged(&self, key: String) -> Guard {
        match self.known.changed(&key) {
            Some(revision) => Guard::ChangedAt(key, revision),
            None => Guard::Absent(key),
        }
    }

    /// What planes recorded, by a linearizable read of [`keys::PLANES`] that began at `began_ms`.
    pub(crate) fn read_records(&mut self, view: &View, began_ms: u64, now_ms: u64) {
        for entry in &view.entries {
            if let Key::Plane(plane) = keys::parse(&entry.key) {
                self.record(&entry.key, plane, &entry.value, entry.changed, now_ms);
            }
        }
        self.fleet.read(began_ms);
    }

    /// An edge said, or was recorded to have said, that it has moved on.
    pub(crate) fn moved(&mut self, moved: &Moved, now_ms: u64) {
        self.tally.moved(moved, now_ms);
    }

    /// Everything an edge serves from.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let purge = |(revision, purge): (&Revision, &Purge)| feed::PurgeRecord {
            revision: *revision,
            scopes: purge.record.scopes.clone(),
            mode: purge.record.mode,
            settle_ms: purge.record.settle_ms,
        };
        let is_purge = |(_, purge): &(&Revision, &Purge)| !purge.record.dry_run;
        Snapshot {
            epoch: self.epoch,
            revision: self.followed,
            floor: self.floor,
            beacon: self
                .beacon
                .as_ref()
                .map(|seen| (seen.revision, seen.beacon.clone())),
            sites: self
                .sites
                .values()
                .map(|site| site.document.clone())
                .collect(),
            purges: self.purges.iter().filter(is_purge).map(purge).collect(),
            drained: self
                .sites
                .keys()
                .filter_map(|name| self.drain(name))
                .collect(),
        }
    }

    /// The URLs of a site's servers that get no requests.
    pub(crate) fn drained(&self, site: &str) -> &[String] {
        let created = self.sites.get(site).map(|stored| stored.document.created);
        let record = self.drained.get(site);
        let record = record.filter(|record| Some(record.created) == created);
        record.map_or(&[], |record| &record.servers)
    }

    fn drain(&self, site: &str) -> Option<feed::Drain> {
        let servers = self.drained(site);
        (!servers.is_empty()).then(|| feed::Drain {
            site: site.to_owned(),
            servers: servers.to_vec(),
            optional: true,
        })
    }

    /// `accepted_ms`: when that was, if it has only just been.
    fn put(
        &mut self,
        key: &str,
        value: &[u8],
        (created, revision): (Revision, Revision),
        accepted_ms: Option<u64>,
        now_ms: u64,
    ) {
        match keys::parse(key) {
            Key::Site(name) => {
                let SiteRecord { owner, site } = site_record(name, value);
                let document = SiteDocument {
                    name: name.to_owned(),
                    created,
                    revision,
                    site,
                };
                self.sites
                    .insert(name.to_owned(), StoredSite { owner, document });
            }
            // What cannot be read drains nothing.
            Key::Drained(site) => self.put_drained(site, decode(key, value).unwrap_or_default()),
            Key::Purge(id) => {
                let at = (created, revision);
                self.put_purge(id, (key, value), at, accepted_ms, now_ms);
            }
            Key::Beacon => {
                let Some(beacon) = decode(key, value) else {
                    return;
                };
                self.beacon = Some(SeenBeacon {
                    revision,
                    beacon,
                    seen_ms: now_ms,
                });
            }
            Key::Floor => {
                // What cannot be read, or has not been yet, stands for everything before it; and what was forgotten stays
                // forgotten.
                let floor = decode(key, value).filter(|floor| *floor <= revision);
                self.floor = self.floor.max(floor.unwrap_or(revision));
            }
            Key::Edge(id) => {
                // Who is registered stays so, for receipts to wait for.
                if let Some(it) = decode(key, value) {
                    self.fleet.register(id, Some(it), revision, now_ms);
                }
            }
            Key::Refusal(id) => {
                if let Some(record) = decode(key, value) {
                    let refusals = &mut self.fleet.refusals;
                    refusals.written(id, record, now_ms);
                }
            }
            Key::Plane(plane) => self.record(key, plane, value, revision, now_ms),
            Key::Counted(purge, plane) => {
                let record = decode(key, value).unwrap_or_default();
                self.tally.stored(purge, plane, record);
            }
            Key::Other => {}
        }
    }

    fn put_purge(
        &mut self,
        id: &str,
        (key, value): (&str, &[u8]),
        (created, revision): (Revision, Revision),
        accepted_ms: Option<u64>,
        now_ms: u64,
    ) {
        // A purge is written once. Of one that was written over by hand nobody knows what it said before.
        let record = match created == revision {
            true => purge_record(key, value),
            false => PurgeRecord::unreadable(),
        };
        let purge = Purge {
            id: id.to_owned(),
            record,
            bytes: value.len(),
            seen_ms: now_ms,
        };
        self.tally.open(revision, accepted_ms, purge.record.dry_run);
        self.purges.insert(revision, purge);
    }

    fn put_drained(&mut self, site: &str, record: DrainedRecord) {
        self.drained.insert(site.to_owned(), record);
    }

    fn delete(&mut self, key: &str, revision: Revision, now_ms: u64) {
        match keys::parse(key) {
            Key::Site(name) => drop(self.sites.remove(name)),
            Key::Drained(site) => drop(self.drained.remove(site)),
            Key::Purge(id) => {
                if let Some(purge) = self.purges.remove(id) {
                    self.tally.close(purge);
                }
            }
            Key::Edge(id) => self.fleet.register(id, None, revision, now_ms),
            Key::Refusal(id) => self.fleet.refusals.forget(id),
            Key::Plane(plane) => self.fleet.forget_plane(plane),
            Key::Counted(purge, plane) => self.tally.deleted(purge, plane),
            Key::Beacon | Key::Floor | Key::Other => {}
        }
    }

    fn record(&mut self, key: &str, plane: &str, value: &[u8], revision: Revision, now_ms: u64) {
        let Some(record) = decode::<PlaneRecord>(key, value) else {
            return;
        };
        for moved in self.fleet.record(plane, record, revision, now_ms) {
            self.moved(&moved, now_ms);
        }
    }

    fn stand(&mut self, frame: &Frame) {
        for change in &frame.changes {
            match change {
                feed::Change::PutSite(put) => {
                    let site = Site::from_document(&put.site).ok();
                    self.stances
                        .put(&put.name, put.created, put.revision, site.as_ref());
                }
                feed::Change::DeleteSite { name } => self.stances.deleted(name, frame.revision),
                feed::Change::Purge { .. }
                | feed::Change::Count { .. }
                | feed::Change::Drain(_)
                | feed::Change::Beacon(_) => {}
            }
        }
    }
}
