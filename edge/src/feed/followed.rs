//! The edge's own copy of what it follows, at one revision. Pure: snapshots and frames come in, each is
//! taken whole or not at all.

use std::sync::Arc;

use seawall_config::feed::{
    Applied, Beacon, Change, Drain, Frame, PurgeRecord, SNAPSHOT_BYTES_MAX, SiteDocument, Snapshot,
};
use seawall_config::{Epoch, Mode, Revision, Scope};

use super::Document;
use crate::ledger::Ledger;
use crate::snapshot::{Drained, Shards};

/// Bytes of all sites, as JSON.
pub const SITES_BYTES_MAX: usize = SNAPSHOT_BYTES_MAX / 2;
/// Scopes of all purge records; past it they fold into records that cover everything.
pub const PURGE_SCOPES_MAX: usize = 100_000;
/// Bytes of all their names.
pub const PURGE_BYTES_MAX: usize = SNAPSHOT_BYTES_MAX / 8;
/// Bytes of the names of all drained servers.
pub const DRAINED_BYTES_MAX: usize = SNAPSHOT_BYTES_MAX / 16;
/// Characters of a beacon's id.
const BEACON_ID_CHARS_MAX: usize = 64;

/// Everything an edge serves from, at one revision: what it would boot from, and resume after.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Followed {
    pub epoch: Epoch,
    pub revision: Revision,
    /// Objects born before it count as hard-purged.
    pub floor: Revision,
    /// The newest beacon, and the revision that wrote it: which history this is.
    pub beacon: Option<(Revision, Beacon)>,
    pub sites: Shards<Arc<Document>>,
    /// Oldest first.
    pub purges: Vec<Arc<PurgeRecord>>,
    pub drained: Arc<Drained>,
    sites_bytes: usize,
    purge_scopes: usize,
    purge_bytes: usize,
}

/// Why a snapshot or a frame is not taken. None of it can be an honest control plane's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsound {
    #[error("it names revision {0}, which it has not reached")]
    Ahead(Revision),
    #[error("it has the site {0:?} twice")]
    SiteTwice(String),
    #[error("its sites have more than {SITES_BYTES_MAX} bytes together")]
    TooManySites,
    #[error("its drained servers have more than {DRAINED_BYTES_MAX} bytes together")]
    TooManyDrained,
    #[error("its beacon's id is not 1 to {BEACON_ID_CHARS_MAX} letters and digits")]
    BeaconId,
}

impl Followed {
    /// A whole picture, if it holds together.
    pub fn from_snapshot(snapshot: Snapshot) -> Result<Self, Unsound> {
        let Snapshot {
            epoch,
            revision,
            floor,
            beacon,
            sites,
            purges,
            drained,
        } = snapshot;
        let named = [floor]
            .into_iter()
            .chain(beacon.iter().map(|(revision, _)| *revision))
            .chain(sites.iter().flat_map(|site| [site.created, site.revision]))
            .chain(purges.iter().map(|record| record.revision));
        // A purge from the future would kill everything that is fetched until then.
        if let Some(ahead) = named.max().filter(|newest| *newest > revision) {
            return Err(Unsound::Ahead(ahead));
        }
        if let Some((_, beacon)) = &beacon {
            check_beacon(beacon)?;
        }
        let mut followed = Self {
            epoch,
            revision,
            floor,
            beacon,
            ..Self::default()
        };
        for site in sites {
            if followed.sites.get(&site.name).is_some() {
                return Err(Unsound::SiteTwice(site.name));
            }
            followed.put_site(site);
        }
        if followed.sites_bytes > SITES_BYTES_MAX {
            return Err(Unsound::TooManySites);
        }
        purges
            .into_iter()
            .for_each(|record| followed.keep_purge(record));
        if drained_bytes(&drained) > DRAINED_BYTES_MAX {
            return Err(Unsound::TooManyDrained);
        }
        drained.iter().for_each(|drain| followed.drain(drain));
        Ok(followed)
    }

    /// Whether a later frame of the same epoch can be taken; asked before any of it is.
    pub fn check(&self, frame: &Frame) -> Result<(), Unsound> {
        let mut bytes = self.sites_bytes;
        let mut drained = drained_names(&self.drained);
        for change in &frame.changes {
            match change {
                Change::PutSite(site) if site.created.max(site.revision) > frame.revision => {
                    return Err(Unsound::Ahead(site.created.max(site.revision)));
                }
                Change::PutSite(site) => bytes += weight(site),
                Change::Beacon(beacon) => check_beacon(beacon)?,
                Change::Drain(drain) => drained += drained_bytes(std::slice::from_ref(drain)),
                Change::DeleteSite { .. } | Change::Purge { .. } | Change::Count { .. } => {}
            }
        }
        if bytes > SITES_BYTES_MAX {
            Err(Unsound::TooManySites)
        } else if drained > DRAINED_BYTES_MAX {
            Err(Unsound::TooManyDrained)
        } else {
            Ok(())
        }
    }

    /// Whether a frame has another beacon where this history has one.
    pub fn contradicts(&self, frame: &Frame) -> bool {
        let ours = self.beacon.as_ref();
        let ours = ours.filter(|(revision, _)| *revision == frame.revision);
        let theirs = frame.changes.iter().filter_map(|change| match change {
            Change::Beacon(beacon) => Some(&beacon.id),
            _ => None,
        });
        ours.is_some_and(|(_, ours)| theirs.into_iter().any(|id| *id != ours.id))
    }

    /// Takes a frame that [`check`](Self::check) found sound.
    pub fn advance(&mut self, frame: &Frame) {
        for change in &frame.changes {
            match change {
                Change::PutSite(site) => self.put_site(site.clone()),
                Change::DeleteSite { name } => self.drop_site(name),
                Change::Purge {
                    scopes,
                    mode,
                    settle_ms,
                } => self.keep_purge(PurgeRecord {
                    revision: frame.revision,
                    scopes: scopes.clone(),
                    mode: *mode,
                    settle_ms: *settle_ms,
                }),
                Change::Count { .. } => {}
                Change::Drain(drain) => self.drain(drain),
                Change::Beacon(beacon) => self.beacon = Some((frame.revision, beacon.clone())),
            }
        }
        self.revision = frame.revision;
    }

    /// All that was purged. What was born in another history is dead with it.
    pub fn enter(&self, ledger: &mut Ledger) {
        ledger.begin_epoch(self.epoch);
        ledger.raise_floor(self.floor);
        for record in &self.purges {
            ledger.purge(&record.scopes, record.mode, record.revision);
        }
    }

    pub fn applied(&self) -> Applied {
        Applied {
            epoch: self.epoch,
            revision: self.revision,
        }
    }

    fn put_site(&mut self, site: SiteDocument) {
        let document = Arc::new(Document::from(site));
        self.sites_bytes += document.weight();
        let before = self.sites.insert(&document.name, document.clone());
        self.sites_bytes -= before.map_or(0, |before| before.weight());
    }

    fn drop_site(&mut self, name: &str) {
        if self.drained.contains_key(name) {
            Arc::make_mut(&mut self.drained).remove(name);
        }
        let before = self.sites.remove(name);
        self.sites_bytes -= before.map_or(0, |before| before.weight());
    }

    fn drain(&mut self, drain: &Drain) {
        let drained = Arc::make_mut(&mut self.drained);
        match drain.servers.is_empty() {
            true => drained.remove(&drain.site),
            false => drained.insert(drain.site.clone(), drain.servers.clone()),
        };
    }

    fn keep_purge(&mut self, record: PurgeRecord) {
        self.purge_scopes += record.scopes.len();
        self.purge_bytes += names_bytes(&record.scopes);
        self.purges.push(Arc::new(record));
        if self.purge_scopes > PURGE_SCOPES_MAX || self.purge_bytes > PURGE_BYTES_MAX {
            self.fold_purges();
        }
    }

    /// Nothing is forgotten: what any of the records killed, one of everything kills, too.
    fn fold_purges(&mut self) {
        let newest = |mode| {
            self.purges
                .iter()
                .filter(|record| record.mode == mode)
                .map(|record| record.revision)
                .max()
        };
        let fold = |mode| {
            let scopes = vec![Scope::Everything];
            newest(mode).map(|revision| {
                Arc::new(PurgeRecord {
                    revision,
                    scopes,
                    mode,
                    settle_ms: 0,
                })
            })
        };
        let mut folded: Vec<_> = [Mode::Hard, Mode::Soft]
            .into_iter()
            .filter_map(fold)
            .collect();
        folded.sort_by_key(|record| record.revision);
        (self.purge_scopes, self.purge_bytes) = (folded.len(), 0);
        self.purges = folded;
    }
}

/// What one revision purges.
pub fn enter(frame: &Frame, ledger: &mut Ledger) {
    for change in &frame.changes {
        if let Change::Purge { scopes, mode, .. } = change {
            ledger.purge(scopes, *mode, frame.revision);
        }
    }
}

/// The id comes back in a URL.
fn check_beacon(beacon: &Beacon) -> Result<(), Unsound> {
    let fine = (1..=BEACON_ID_CHARS_MAX).contains(&beacon.id.len())
        && beacon.id.bytes().all(|b| b.is_ascii_alphanumeric());
    if fine { Ok(()) } else { Err(Unsound::BeaconId) }
}

/// Bytes of a site as JSON.
fn weight(site: &SiteDocument) -> usize {
    site.name.len() + serde_json::to_vec(&site.site).map_or(0, |json| json.len())
}

fn drained_bytes(drained: &[Drain]) -> usize {
    let bytes = |it: &Drain| it.site.len() + it.servers.iter().map(String::len).sum::<usize>();
    drained.iter().map(bytes).sum()
}

fn drained_names(drained: &Drained) -> usize {
    let bytes = |(site, servers): (&String, &Vec<String>)| {
        site.len() + servers.iter().map(String::len).sum::<usize>()
    };
    drained.iter().map(bytes).sum()
}

fn names_bytes(scopes: &[Scope]) -> usize {
    let name_bytes = |scope: &Scope| match scope {
        Scope::Everything => 0,
        Scope::Site(name) | Scope::Host(name) | Scope::Tag(name) => name.len(),
        Scope::Prefix(target) | Scope::Url(target) => target.host.len() + target.path.len(),
    };
    scopes.iter().map(name_bytes).sum()
}

#[cfg(test)]
#[path = "followed/tests.rs"]
mod tests;
