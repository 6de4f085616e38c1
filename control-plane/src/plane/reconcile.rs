//! The task that looks, once a minute, whether what the plane knows is what the store holds. A watch promises to
//! leave nothing out; where one did (etcd-io/etcd#18089, #19179), the plane reads everything anew.

use std::sync::Arc;
use std::time::Duration;

use super::known::Difference;
use super::{Plane, no_answer};
use crate::keys;
use crate::store::StoreError;

/// Between two looks: half of it, and up to as much again, so that many planes do not look at once.
const RECONCILE_MS: u64 = 60_000;
/// A beacon comes each second, and with it everything that was written before.
const CAUGHT_UP_TIMEOUT: Duration = Duration::from_secs(5);
/// Keys that one line of the log names.
const NAMED_MAX: usize = 5;

/// Until the plane stops.
pub(super) async fn run(plane: Arc<Plane>) {
    loop {
        let pause_ms = RECONCILE_MS / 2 + fastrand::u64(..RECONCILE_MS);
        tokio::select! {
            () = plane.clock.reach(plane.clock.now_ms() + pause_ms) => {}
            () = plane.stopping() => return,
        }
        if let Err(error) = plane.reconcile().await {
            tracing::debug!(%error, "what the plane knows was not compared with the store");
        }
    }
}

impl Plane {
    /// Compares what is known with the store; where that differs, everything is read anew. How many keys did.
    pub async fn reconcile(&self) -> Result<usize, StoreError> {
        let suspects = self.differences().await?;
        let mut differences = Vec::new();
        if !suspects.is_empty() {
            differences = self.differences().await?;
            differences.retain(|difference| suspects.contains(difference));
        }
        self.metrics.reconciled(differences.len());
        if !differences.is_empty() {
            let keys: Vec<_> = differences.iter().map(|it| it.key.as_str()).collect();
            let keys = keys.get(..NAMED_MAX).unwrap_or(&keys);
            let count = differences.len();
            tracing::error!(count, ?keys, "the store's log has left something out");
            self.signals.differs.notify_one();
        }
        Ok(differences.len())
    }

    async fn differences(&self) -> Result<Vec<Difference>, StoreError> {
        let view = self.read(keys::ROOT).await?;
        let mut followed = self.signals.followed.subscribe();
        let past = followed.wait_for(|followed| *followed > view.revision);
        let past = tokio::time::timeout(CAUGHT_UP_TIMEOUT, past).await;
        past.map_err(|_| no_answer())?.map_err(|_| no_answer())?;
        Ok(self.state().known.differences(&view))
    }
}
