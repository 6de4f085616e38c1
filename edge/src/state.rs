//! Everything the tasks of one edge share, and the way the feed changes it.
//!
//! **Invariant: only the feed writes the snapshot.** The ledger is written by the feed, by unsafe methods, and
//! when a purge has settled.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use http::HeaderMap;
use seawall_config::feed::{Applied, Change, Counted, Frame, Load, ORIGINS_MAX, OriginSight};
use seawall_config::site::OnPartition;
use seawall_config::{Revision, Scope};

use tokio::sync::watch;

use crate::answer::Journey;
use crate::clock;
use crate::encode::Encoders;
use crate::feed::Followed;
use crate::feed::followed;
use crate::fill::fetch::Connections;
use crate::fill::{Fill, Fills};
use crate::heartbeat::Vouching;
use crate::key::Key;
use crate::ledger::shared::SharedLedger;
use crate::ledger::{Birth, Fingerprint, Life};
use crate::metrics::Metrics;
use crate::origin::Seen;
use crate::origin::request::Pseudonym;
use crate::refetching;
use crate::refusals::Refusals;
use crate::rules::{fields, invalidation};
use crate::settling::Settling;
use crate::snapshot::disk::Kept;
use crate::snapshot::{Served, Sites, Snapshot};
use crate::storage::Storage;
use crate::sweep::Sweeper;

/// Counts that wait to be reported; of more, the oldest go.
const COUNTED_MAX: usize = 100_000;
/// Open fills together keep at most this share of the cache's bound for it.
const RETAINED_SHARE: u64 = 2;

pub struct State {
    pub snapshot: ArcSwap<Snapshot>,
    /// The snapshot's revision, to be waited for.
    reached: watch::Sender<Revision>,
    pub ledger: SharedLedger,
    pub storage: Storage,
    pub fills: Fills,
    pub encoders: Encoders,
    pub connections: Connections,
    pub pseudonym: Pseudonym,
    /// This edge's own listeners: no origin is there.
    pub own_addresses: Vec<SocketAddr>,
    pub retained_bytes_max: u64,
    pub metrics: Metrics,
    pub vouching: Vouching,
    pub settling: Settling,
    pub sweeper: Arc<Sweeper>,
    /// What was not stored, and why.
    pub refusals: Refusals,
    /// Purges whose objects were counted, to be reported.
    counted: Mutex<Vec<Counted>>,
    /// Whether a control plane has heard of this edge since it started.
    registered: watch::Sender<bool>,
    requests: AtomicU64,
}

impl State {
    pub fn new(
        id: &str,
        own_addresses: Vec<SocketAddr>,
        cache_bytes: u64,
        connections: Connections,
        metrics: Metrics,
    ) -> Self {
        let ledger = SharedLedger::default();
        let prints = ledger.read(|ledger| ledger.prints().clone());
        let sweeper = Arc::new(Sweeper::new(prints));
        let counts = sweeper.clone();
        Self {
            snapshot: ArcSwap::from_pointee(Snapshot::default()),
            reached: watch::channel(Revision::default()).0,
            ledger,
            storage: Storage::new(cache_bytes, move |object| counts.gone(object)),
            fills: Fills::default(),
            encoders: Encoders::default(),
            connections,
            pseudonym: Pseudonym::new(id),
            own_addresses,
            retained_bytes_max: cache_bytes / RETAINED_SHARE,
            metrics,
            vouching: Vouching::default(),
            settling: Settling::default(),
            sweeper,
            refusals: Refusals::default(),
            counted: Mutex::default(),
            registered: watch::channel(false).0,
            requests: AtomicU64::new(0),
        }
    }

    /// The good versions of sites whose newest documents were refused before a restart; the picture comes next.
    pub fn keep(&self, followed: &Followed, kept: &[Kept]) {
        let kept = kept.iter().map(|kept| (&kept.document, kept.until));
        let (epoch, sites) = (followed.epoch, Arc::new(Sites::kept(kept)));
        self.snapshot.store(Arc::new(Snapshot {
            epoch,
            sites,
            ..Snapshot::default()
        }));
    }

    /// A whole new picture: every site is looked at again, every purge record entered.
    pub fn reset(&self, followed: &Followed) {
        self.ledger.change(|ledger| followed.enter(ledger));
        // One that this edge has passed has settled, or soon will.
        let passed = Applied {
            epoch: self.snapshot.load().epoch,
            revision: self.snapshot.load().revision,
        };
        for record in &followed.purges {
            if followed.epoch != passed.epoch || record.revision > passed.revision {
                self.settling.begin(&record.scopes, record.settle_ms);
            }
        }
        let next = self
            .snapshot
            .load()
            .reset(followed.epoch, followed.revision, &followed.sites);
        self.serve_from(Snapshot {
            drained: followed.drained.clone(),
            ..next
        });
        self.sweeper.look_soon();
    }

    /// Ends the purges that have settled by now. Also before anything is looked up for an answer: a timer may be late, and
    /// does not run while its machine is suspended.
    pub fn settle(&self) {
        let settle = |scopes: &[Scope]| self.ledger.change(|ledger| ledger.settle(scopes));
        if self.settling.end_due(clock::boottime_ms, settle) {
            self.sweeper.look_soon();
        }
    }

    /// One revision. Its purges are in the ledger before anyone can be routed with it, so that whatever was
    /// born before it is dead, and whatever is born with it is not.
    pub fn advance(&self, frame: &Frame, followed: &Followed) {
        // First: what a purge takes may leave its shelf as soon as the ledger has it.
        for change in &frame.changes {
            let counts = match change {
                Change::Purge { scopes, mode, .. } => {
                    self.sweeper.count(frame.revision, scopes, Some(*mode))
                }
                Change::Count { scopes, .. } => self.sweeper.count(frame.revision, scopes, None),
                _ => continue,
            };
            self.metrics.uncounted(!counts);
        }
        if frame.changes.iter().any(is_purge) {
            self.ledger.change(|ledger| followed::enter(frame, ledger));
        }
        for change in &frame.changes {
            match change {
                Change::Purge {
                    scopes, settle_ms, ..
                } => {
                    self.settling.begin(scopes, *settle_ms);
                    self.sweeper.look_soon();
                }
                Change::Count { .. } => self.sweeper.look_soon(),
                Change::PutSite(_)
                | Change::DeleteSite { .. }
                | Change::Drain(_)
                | Change::Beacon(_) => {}
            }
        }
        let next = self.snapshot.load().following(frame, followed);
        self.serve_from(next);
    }

    /// An unsafe method was answered without an error: what its answer names is not used again. What the answer itself
    /// is born as, should it be kept under `tags`: this change is behind it, and all after it will count. None where
    /// it was overtaken on its way: something took what is stored there since the request was routed. `own`: what stands
    /// for the request itself among the open fills.
    pub fn invalidate(
        &self,
        journey: &Journey,
        tags: &[Fingerprint],
        response: &HeaderMap,
        own: Option<&Arc<Fill>>,
    ) -> Option<Birth> {
        let (site, key, birth) = (&journey.served.name, &journey.key, journey.birth);
        let mut keys = invalidation::invalidated(key, response);
        // Strangers choose these URLs: where there is nothing to take, the ledger need not grow.
        keys.retain(|key| self.may_hold(key, own) || self.may_hold(&key.other_scheme(), own));
        let (groups, _) = fields::groups(response, "cache-group-invalidation");
        self.ledger.change(|ledger| {
            let life = ledger.judge(site, key, Some(tags), birth);
            keys.iter().for_each(|key| ledger.invalidate(key));
            groups
                .iter()
                .for_each(|group| ledger.invalidate_group(key, group));
            let local = ledger.birth(birth.revision).local;
            (life == Life::Alive).then_some(Birth { local, ..birth })
        })
    }

    /// Whether something is stored, or may come to be by what the origin said until now: a fetch is among the fills before
    /// the origin is asked, and until what it brought is stored.
    fn may_hold(&self, key: &Key, own: Option<&Arc<Fill>>) -> bool {
        self.fills.has_others(key, own) || self.storage.get(key).is_some()
    }

    fn serve_from(&self, next: Snapshot) {
        let revision = next.revision;
        self.snapshot.store(Arc::new(next));
        self.reached.send_replace(revision);
    }

    /// Changes with the revision that is served.
    pub fn reached(&self) -> watch::Receiver<Revision> {
        self.reached.subscribe()
    }

    /// The servers of origins that are not in order, seen from here, the first by site.
    pub fn origins(&self) -> Vec<OriginSight> {
        let mut troubled = self.troubled_origins();
        troubled.sort_by(|a, b| (&a.site, &a.server).cmp(&(&b.site, &b.server)));
        troubled.truncate(ORIGINS_MAX);
        troubled
    }

    /// All of them.
    pub fn troubled_origins(&self) -> Vec<OriginSight> {
        let snapshot = self.snapshot.load();
        let served = snapshot.sites.served.iter();
        let troubled = served.flat_map(|(name, served)| {
            let sights = served.pool.sights().into_iter();
            let troubled = sights.filter(|sight| sight.seen != Seen::Up);
            troubled.map(move |sight| OriginSight {
                site: name.to_owned(),
                server: sight.url.to_owned(),
                state: sight.seen.as_str().to_owned(),
                why: sight.wrong.map(str::to_owned),
            })
        });
        troubled.collect()
    }

    /// Resolves when what is served has come as far as `revision`.
    pub async fn reaches(&self, revision: Revision) {
        // The sender is ours: it is never gone.
        let _ = self
            .reached
            .subscribe()
            .wait_for(|reached| *reached >= revision)
            .await;
    }

    /// What a fetch that is routed now, with `snapshot`, is born as. Its epoch is the snapshot's, too: what an old
    /// one routed is dead in the new.
    pub fn birth(&self, snapshot: &Snapshot, served: &Served) -> Birth {
        Birth {
            epoch: snapshot.epoch,
            revision: snapshot.birth_revision(served),
            local: self.ledger.local(),
        }
    }

    pub fn load(&self) -> Load {
        let (objects, bytes) = self.storage.size();
        Load {
            requests_total: self.requests.load(Ordering::Relaxed),
            objects,
            bytes,
        }
    }

    pub fn saw_request(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    pub fn take_counted(&self) -> Vec<Counted> {
        std::mem::take(&mut *self.counted.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn put_back_counted(&self, counted: Vec<Counted>) {
        let mut waiting = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.extend(counted);
        let over = waiting.len().saturating_sub(COUNTED_MAX);
        waiting.drain(..over);
    }

    /// Whether this edge may vouch, now, for what it stored.
    pub fn vouches(&self) -> bool {
        self.vouching.vouches(clock::boottime_ms())
    }

    /// Whether what is stored for a request is used, as far as that depends on vouching for it.
    pub fn relies_on(&self, journey: &Journey) -> bool {
        let left_ms = self.vouching.left_ms(clock::boottime_ms());
        match journey.policy().on_partition {
            OnPartition::Revalidate if left_ms > 0 => {
                refetching::is_relied_on(left_ms, &journey.key, &self.pseudonym.node)
            }
            _ => left_ms > 0,
        }
    }

    /// A control plane knows this edge: from now on it is in every receipt.
    pub fn set_registered(&self) {
        self.registered.send_replace(true);
    }

    /// Resolves once a control plane knows this edge. Cancel-safe.
    pub async fn registered(&self) {
        // The sender is ours: it is never gone.
        let _ = self.registered.subscribe().wait_for(|known| *known).await;
    }

    /// Whether there is a configuration to serve from.
    pub fn is_configured(&self) -> bool {
        self.snapshot.load().is_configured()
    }
}

fn is_purge(change: &Change) -> bool {
    matches!(change, Change::Purge { .. })
}
