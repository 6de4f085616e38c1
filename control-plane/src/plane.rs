//! The control plane without HTTP: the use cases over the store, and the tasks that keep a plane going.
//!
//! One task follows the store (`follow`) and is the only one to change what the plane knows (`state`), but for
//! what edges say of themselves. One writes renewals (`rounds`), one beacons, and forgets (`upkeep`), one compares
//! what is known with what the store holds (`reconcile`). A use
//! case writes to the store and waits until the plane has followed its own write, so that whoever was answered
//! finds it here.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use prometheus_client::registry::Registry;
use seawall_config::feed::BEACON_MS;
use seawall_config::{Epoch, Revision};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;

use crate::clock::Clock;
use crate::keys;
use crate::metrics::Metrics;
use crate::store::{Commit, Store, StoreError, Txn, View};

mod edges;
mod error;
mod fleet;
mod folding;
mod follow;
mod known;
mod origins;
mod purges;
mod reconcile;
pub(crate) mod records;
mod refusals;
mod retention;
mod rounds;
#[cfg(feature = "simulation")]
pub mod simulated;
mod sites;
mod stances;
mod state;
mod subscribe;
mod tally;
mod upkeep;

pub use crate::receipt::{EdgeStanding, PurgeState};
pub use edges::{EdgeStatus, EdgesStatus};
pub use error::PlaneError;
pub use origins::{OriginsStatus, SeenFrom, ServerStatus};
pub use purges::{EdgeReceipt, PurgeReceipt, Wait};
pub use records::{Matched, Owner};
pub use sites::{IfMatch, Put, SitesChange};
pub use state::StoredSite;
pub use subscribe::{Cut, Subscription};

use rounds::Heard;
use state::State;

/// What one call to the store may take.
const STORE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a use case waits for the plane to follow its own write.
const FOLLOW_TIMEOUT: Duration = Duration::from_secs(1);
/// A store that has not answered for so long is not available.
const SILENT_MS_MAX: u64 = 5 * BEACON_MS;

/// A running control plane.
pub struct Plane {
    /// Random, new at each start: names this plane's records.
    id: String,
    store: Arc<dyn Store>,
    clock: Clock,
    metrics: Metrics,
    // std's: nothing awaits while it is held.
    state: Mutex<State>,
    signals: Signals,
    rounds: mpsc::Sender<Heard>,
    /// Held while the records of all planes are read, so that receipts which wait read once.
    reading: tokio::sync::Mutex<()>,
    waits: tokio::sync::Semaphore,
    /// The newest snapshot that was asked for, as it goes over the wire.
    snapshot: Mutex<Option<(Revision, Bytes)>>,
    /// When the store answered last, by the plane's clock.
    answered_ms: AtomicU64,
    /// What it said instead, last.
    trouble: Mutex<String>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

/// What others of the plane's tasks wait for.
#[derive(Debug)]
struct Signals {
    followed: watch::Sender<Revision>,
    /// The newest line of the tail.
    lines: watch::Sender<Revision>,
    /// Something is known of the edges that was not.
    edges: watch::Sender<()>,
    /// What the plane knows is not what the store holds.
    differs: Notify,
    stopped: watch::Sender<bool>,
}

/// Why a plane cannot start.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the control plane cannot start: {0}")]
pub struct StartError(#[from] pub StoreError);

impl Plane {
    /// Reads what the store holds and starts the plane's tasks on the current runtime. Its metrics go into
    /// `registry`, without the product's prefix.
    pub async fn start(
        store: Arc<dyn Store>,
        registry: &mut Registry,
    ) -> Result<Arc<Self>, StartError> {
        Self::start_with(store, registry, Clock::system()).await
    }

    /// [`Plane::start`] with a clock of one's own.
    pub async fn start_with(
        store: Arc<dyn Store>,
        registry: &mut Registry,
        clock: Clock,
    ) -> Result<Arc<Self>, StartError> {
        let now_ms = clock.now_ms();
        let (state, follow) = follow::load(&*store, now_ms).await?;
        let (rounds, heard) = mpsc::channel(rounds::HEARD_MAX);
        let signals = Signals {
            followed: watch::Sender::new(state.followed),
            lines: watch::Sender::new(state.followed),
            edges: watch::Sender::new(()),
            differs: Notify::new(),
            stopped: watch::Sender::new(false),
        };
        let plane = Arc::new(Self {
            id: random_id(),
            store,
            clock,
            metrics: Metrics::register(registry),
            state: Mutex::new(state),
            signals,
            rounds,
            reading: tokio::sync::Mutex::new(()),
            waits: tokio::sync::Semaphore::new(purges::WAITS_MAX),
            snapshot: Mutex::new(None),
            answered_ms: AtomicU64::new(now_ms),
            trouble: Mutex::default(),
            tasks: Mutex::new(Vec::new()),
        });
        let tasks = [
            tokio::spawn(follow::run(plane.clone(), follow)),
            tokio::spawn(rounds::run(plane.clone(), heard)),
            tokio::spawn(upkeep::run(plane.clone())),
            tokio::spawn(reconcile::run(plane.clone())),
        ];
        lock(&plane.tasks).extend(tasks);
        Ok(plane)
    }

    /// Ends the tasks, every feed and everyone who waits.
    pub async fn stop(&self) {
        self.signals.stopped.send_replace(true);
        let tasks = std::mem::take(&mut *lock(&self.tasks));
        for task in tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "a task of the control plane ended badly");
            }
        }
    }

    /// Whether the store answers; if not, why.
    pub fn ready(&self) -> Result<(), String> {
        let silent_ms = self
            .clock
            .now_ms()
            .saturating_sub(self.answered_ms.load(Ordering::Relaxed));
        match silent_ms > SILENT_MS_MAX {
            true => {
                let (seconds, trouble) = (silent_ms / 1_000, lock(&self.trouble));
                Err(format!(
                    "the store has not answered for {seconds} s: {trouble}"
                ))
            }
            false => Ok(()),
        }
    }

    /// The store's epoch.
    pub fn epoch(&self) -> Epoch {
        self.store.epoch()
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    async fn commit(&self, txn: Txn) -> Result<Commit, StoreError> {
        let committed = tokio::time::timeout(STORE_TIMEOUT, self.store.commit(txn)).await;
        let unknown = || {
            Err(StoreError::OutcomeUnknown(format!(
                "no answer in {STORE_TIMEOUT:?}"
            )))
        };
        let committed = self.noted(committed.unwrap_or_else(|_| unknown()))?;
        self.metrics.store_writes.inc();
        self.answered();
        Ok(committed)
    }

    async fn read(&self, prefix: &str) -> Result<View, StoreError> {
        let view = tokio::time::timeout(STORE_TIMEOUT, self.store.read(prefix)).await;
        let view = self.noted(view.unwrap_or_else(|_| Err(no_answer())))?;
        self.answered();
        Ok(view)
    }

    /// Keeps what went wrong, for whoever asks why the plane is not ready.
    fn noted<T>(&self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        if let Err(error) = &result {
            *lock(&self.trouble) = error.to_string();
        }
        result
    }

    /// Whether the plane has followed as far as `revision`, which the store is known to have reached.
    async fn followed(&self, revision: Revision) -> bool {
        let mut followed = self.signals.followed.subscribe();
        let reached = followed.wait_for(|followed| *followed >= revision && self.knows_the_epoch());
        matches!(
            tokio::time::timeout(FOLLOW_TIMEOUT, reached).await,
            Ok(Ok(_))
        )
    }

    /// What is known is of the store's present history. Not for a moment after an operator raised the epoch: then its
    /// revisions mean something else than those that were followed.
    fn knows_the_epoch(&self) -> bool {
        self.state().epoch == self.store.epoch()
    }

    /// Someone says to have applied `revision`: if the store has not come so far, that was another history.
    async fn must_exist(&self, revision: Revision) -> Result<(), PlaneError> {
        let followed = self.state().followed;
        if followed >= revision && self.knows_the_epoch() {
            return Ok(());
        }
        if self.head().await? < revision {
            return Err(PlaneError::HistoryDiffers);
        }
        match self.followed(revision).await {
            true => Ok(()),
            false => Err(PlaneError::Unavailable("this plane lags behind it".into())),
        }
    }

    /// How far the store is, by a linearizable read that begins now.
    async fn head(&self) -> Result<Revision, StoreError> {
        let head = tokio::time::timeout(STORE_TIMEOUT, self.store.head()).await;
        head.unwrap_or_else(|_| Err(no_answer()))
    }

    /// A linearizable read, that begins at `from_ms` or later, of what planes recorded. Whoever waited while
    /// another read needs no read of its own.
    async fn read_records(&self, from_ms: u64) -> Result<(), StoreError> {
        let _one_at_a_time = self.reading.lock().await;
        if self.state().fleet.read_ms() >= Some(from_ms) {
            return Ok(());
        }
        let began_ms = self.clock.now_ms();
        let view = self.read(keys::PLANES).await?;
        self.state()
            .read_records(&view, began_ms, self.clock.now_ms());
        self.signals.edges.send_replace(());
        Ok(())
    }

    fn answered(&self) {
        self.answered_ms
            .store(self.clock.now_ms(), Ordering::Relaxed);
    }

    /// Completes when the plane is told to stop.
    async fn stopping(&self) {
        let mut stopped = self.signals.stopped.subscribe();
        // An error would mean that the sender is gone, and `self` holds it.
        let _ = stopped.wait_for(|stopped| *stopped).await;
    }
}

/// 128 random bits, in hexadecimal.
fn random_id() -> String {
    let mut bytes = [0; 16];
    if let Err(error) = getrandom::fill(&mut bytes) {
        // Linux answers from its first seconds on; an id that repeats would be refused by the store.
        tracing::error!(%error, "the system gives no random bytes");
    }
    format!("{:032x}", u128::from_be_bytes(bytes))
}

/// A panic while it was held left nothing half done that the next holder could not live with.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn no_answer() -> StoreError {
    StoreError::Unavailable(format!("no answer in {STORE_TIMEOUT:?}"))
}
