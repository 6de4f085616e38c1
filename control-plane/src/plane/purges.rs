//! Purges: written as one transaction each, so that the revision is their order.

use std::time::Duration;

use seawall_config::scope::PurgeRequest;
use seawall_config::{Problems, Revision};

use super::records::{PurgeRecord, encode, purge_record};
use super::{Plane, PlaneError, random_id};
use crate::clock::millis;
use crate::keys;
use crate::receipt::PurgeState;
use crate::store::{Commit, Guard, StoreError, Txn, Write};

mod receipts;

#[cfg(feature = "simulation")]
pub(super) use receipts::judge;
pub use receipts::{EdgeReceipt, PurgeReceipt};

/// Purges whose senders wait for them to be complete.
pub(super) const WAITS_MAX: usize = 256;

/// How often a write is sent whose outcome the store does not tell.
const WRITES_MAX: usize = 3;

/// When a purge is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Once it is durable and has its place in the order.
    Accepted,
    /// Once every edge has applied it or is fenced, or after this long.
    Complete(Duration),
}

/// A purge that is to be written.
pub(super) struct Order {
    /// Random, or the same for the same request.
    id: String,
    /// Whoever asks again with this id gets the receipt of the first.
    is_repeatable: bool,
    record: PurgeRecord,
}

impl Plane {
    /// Purges, and answers when `wait` says. `id`: a request that comes again with it is carried out once, for as long
    /// as the purge's record is kept.
    pub async fn purge(
        &self,
        request: &PurgeRequest,
        id: Option<String>,
        wait: Wait,
    ) -> Result<PurgeReceipt, PlaneError> {
        let order = self.order(request, id, wait)?;
        self.sites_exist(&request.sites, &[]).await?;
        self.receipted(&order, wait, self.write_purge(&order)).await
    }

    pub(super) fn order(
        &self,
        request: &PurgeRequest,
        id: Option<String>,
        wait: Wait,
    ) -> Result<Order, PlaneError> {
        let awaited = matches!(wait, Wait::Complete(_));
        let record = PurgeRecord::new(request.check()?, self.clock.wall_ms(), awaited);
        Ok(Order {
            is_repeatable: id.is_some(),
            id: id.unwrap_or_else(random_id),
            record,
        })
    }

    /// Once it is written, its receipt when `wait` says.
    pub(super) async fn receipted(
        &self,
        order: &Order,
        wait: Wait,
        write: impl Future<Output = Result<Revision, PlaneError>>,
    ) -> Result<PurgeReceipt, PlaneError> {
        let _slot = match wait {
            Wait::Accepted => None,
            Wait::Complete(_) => Some(self.waits.try_acquire().map_err(|_| PlaneError::Busy)?),
        };
        let began_ms = self.clock.now_ms();
        let revision = write.await?;
        let PurgeRecord {
            scopes,
            mode,
            dry_run,
            ..
        } = &order.record;
        let (first, count) = (scopes.first().map(ToString::to_string), scopes.len());
        tracing::info!(%revision, ?mode, dry_run, first, count, "purge accepted");
        if !dry_run {
            self.metrics.purged(*mode);
        }
        if !self.followed(revision).await {
            return Ok(self.unfollowed(revision, *dry_run));
        }
        let Wait::Complete(timeout) = wait else {
            return self.receipt(revision).await;
        };
        let deadline_ms = began_ms.saturating_add(millis(timeout));
        let receipt = self
            .receipt_when(revision, deadline_ms, PurgeReceipt::is_final)
            .await?;
        if receipt.state == PurgeState::Complete && !dry_run {
            self.metrics
                .completed(self.clock.now_ms().saturating_sub(began_ms));
        }
        Ok(receipt)
    }

    /// One transaction; its revision.
    async fn write_purge(&self, order: &Order) -> Result<Revision, PlaneError> {
        let unknown = || PlaneError::OutcomeUnknown {
            id: order.id.clone(),
        };
        let mut is_unknown = false;
        let txn = Txn {
            guards: vec![order.guard()],
            writes: vec![order.write()],
        };
        // It may be sent again: its id makes that no second purge, and only a write can say that an earlier one will
        // not be done after all.
        for _ in 0..WRITES_MAX {
            match self.commit(txn.clone()).await {
                Ok(Commit::Done(revision)) => return Ok(revision),
                // It was written, by this request or by one before it with the same id.
                Ok(Commit::Refused { found, .. }) => {
                    let entry = found.first().ok_or_else(unknown)?;
                    return order.found(&entry.value, entry.created);
                }
                Err(StoreError::OutcomeUnknown(_)) => is_unknown = true,
                Err(error) if !is_unknown => return Err(error.into()),
                Err(_) => {}
            }
        }
        Err(unknown())
    }

    /// When a purge was written, if it was.
    pub(super) async fn purge_written(
        &self,
        order: &Order,
    ) -> Result<Option<Revision>, PlaneError> {
        let view = self.read(&order.key()).await?;
        let entry = view.entries.iter().find(|entry| entry.key == order.key());
        entry
            .map(|entry| order.found(&entry.value, entry.created))
            .transpose()
    }

    /// `put`: sites that come with the purge.
    pub(super) async fn sites_exist(
        &self,
        names: &[String],
        put: &[&str],
    ) -> Result<(), PlaneError> {
        let is_known =
            |name: &String| put.contains(&name.as_str()) || self.state().sites.contains_key(name);
        if names.iter().all(is_known) {
            return Ok(());
        }
        // One that is not here yet may have been put through another plane.
        let view = self.read(keys::SITES).await?;
        let mut problems = Problems::default();
        for (i, name) in names.iter().enumerate() {
            let key = keys::site(name);
            if !is_known(name) && !view.entries.iter().any(|entry| entry.key == key) {
                problems.add(format!("sites[{i}]"), format!("no site is named {name:?}"));
            }
        }
        Ok(problems.or(())?)
    }
}

impl Order {
    /// The same, for a change of sites that comes with it: who sends both again must send both as they were.
    pub(super) fn with_change(mut self, hash: impl FnOnce() -> String) -> Self {
        self.record.change = self.is_repeatable.then(hash);
        self
    }

    /// Whether it may have been written before this request came.
    pub(super) fn is_repeatable(&self) -> bool {
        self.is_repeatable
    }

    fn key(&self) -> String {
        keys::purge(&self.id)
    }

    pub(super) fn guard(&self) -> Guard {
        Guard::Absent(self.key())
    }

    pub(super) fn write(&self) -> Write {
        Write::Put(self.key(), encode(&self.record))
    }

    /// What is stored under its id.
    fn found(&self, value: &[u8], created: Revision) -> Result<Revision, PlaneError> {
        let same = purge_record(&self.key(), value).is_same_order(&self.record);
        match same || !self.is_repeatable {
            true => Ok(created),
            false => Err(PlaneError::KeyReused),
        }
    }
}
