//! The task that writes beacons and clears away what nobody needs. Any plane may do it: each write is guarded
//! by what was seen, so that of several planes one does it and the others are refused.

use std::sync::Arc;
use std::time::Duration;

use seawall_config::feed::{BEACON_MS, Beacon};
use seawall_config::scope::Purge;
use seawall_config::{Mode, Scope};

use super::folding::{covered, foldable};
use super::records::{PurgeRecord, encode};
use super::retention::{FORGOTTEN_AT_ONCE_MAX, RETAINED_MS, forgettable};
use super::state::State;
use super::{Plane, random_id};
use crate::keys;
use crate::store::{Commit, Guard, StoreError, Txn, Write};

/// Of duplicate edges, in one transaction.
const REFUSALS_AT_ONCE_MAX: usize = 50;

/// Until the plane stops.
pub(super) async fn run(plane: Arc<Plane>) {
    let mut tried_ms = None;
    let mut failed = false;
    loop {
        let newest_ms = plane.state().beacon.as_ref().map(|seen| seen.seen_ms);
        // At once when the plane starts: that carries it, and its followers, past what it has read.
        let due_ms = tried_ms.map_or(0, |ms| newest_ms.max(Some(ms)).unwrap_or(ms) + BEACON_MS);
        tokio::select! {
            () = plane.clock.reach(due_ms) => {}
            () = plane.stopping() => return,
        }
        let starts = tried_ms.replace(plane.clock.now_ms()).is_none();
        let kept = plane.keep_up(starts).await;
        match (&kept, failed) {
            (Ok(()), true) => tracing::info!("the store takes beacons again"),
            (Err(error), false) => tracing::warn!(%error, "the store takes no beacons"),
            _ => {}
        }
        failed = kept.is_err();
        plane.count();
    }
}

impl Plane {
    async fn keep_up(&self, starts: bool) -> Result<(), StoreError> {
        self.write_if_due(|state, now_ms, wall_ms| beacon(state, starts, now_ms, wall_ms))
            .await?;
        self.write_if_due(|state, _, _| uncount(state)).await?;
        self.write_if_due(|state, now_ms, _| tell_refusals(state, now_ms))
            .await?;
        self.write_if_due(|state, now_ms, _| forget_refusals(state, now_ms))
            .await?;
        let me = &self.id;
        self.write_if_due(|state, _, _| idle_plane(state, me))
            .await?;
        self.write_if_due(|state, _, wall_ms| fold(state, wall_ms))
            .await?;
        let covered = covered_at_once(&self.state());
        for gone in covered {
            self.write(gone).await?;
        }
        while self
            .write_if_due(|state, now_ms, _| forget(state, now_ms, RETAINED_MS))
            .await?
            == Some(FORGOTTEN_AT_ONCE_MAX + 1)
        {}
        Ok(())
    }

    /// Writes what `due` says of the state, at the times of both clocks; as [`Plane::write`]. None also when nothing was
    /// due.
    async fn write_if_due(
        &self,
        due: impl Fn(&State, u64, u64) -> Option<Txn>,
    ) -> Result<Option<usize>, StoreError> {
        let (now_ms, wall_ms) = (self.clock.now_ms(), self.clock.wall_ms());
        let due = due(&self.state(), now_ms, wall_ms);
        match due {
            Some(txn) => self.write(txn).await,
            None => Ok(None),
        }
    }

    /// How many writes that was, once they are followed; None when another plane was faster.
    async fn write(&self, txn: Txn) -> Result<Option<usize>, StoreError> {
        let count = txn.writes.len();
        match self.commit(txn).await? {
            Commit::Done(revision) => Ok(self.followed(revision).await.then_some(count)),
            Commit::Refused { .. } => Ok(None),
        }
    }

    /// Brings the gauges up to date.
    fn count(&self) {
        let now_ms = self.clock.now_ms();
        let state = self.state();
        let fleet = &state.fleet;
        let edges = fleet.parties().map(|(_, party)| {
            let is_doubled = fleet.refusal(&party.record.id, now_ms).is_some();
            let has_problems = is_doubled || !party.record.problems.is_empty();
            (party.state(now_ms), has_problems)
        });
        self.metrics.count(state.sites.len(), edges);
        let seen_ms = state.beacon.as_ref().map(|beacon| beacon.seen_ms);
        let age_ms = seen_ms.map(|seen_ms| now_ms.saturating_sub(seen_ms));
        self.metrics.beacon_is_old(age_ms.unwrap_or_default());
    }
}

pub(super) fn beacon(state: &State, starts: bool, now_ms: u64, wall_ms: u64) -> Option<Txn> {
    let newest = state.beacon.as_ref();
    if !starts && newest.is_some_and(|newest| now_ms < newest.seen_ms + BEACON_MS) {
        return None;
    }
    let beacon = Beacon {
        id: random_id(),
        at_ms: wall_ms,
    };
    Some(Txn {
        guards: vec![state.unchanged(keys::BEACON.into())],
        writes: vec![Write::Put(keys::BEACON.into(), encode(&beacon))],
    })
}

/// A purge of the host whose URLs and prefixes have too many records.
pub(super) fn fold(state: &State, wall_ms: u64) -> Option<Txn> {
    let host = foldable(&state.purges)?;
    tracing::warn!(%host, "so many of its URLs were purged that all of it is: purge its tags or prefixes instead");
    let purge = Purge {
        scopes: vec![Scope::Host(host)],
        mode: Mode::Hard,
        settle: Duration::ZERO,
        dry_run: false,
    };
    let record = PurgeRecord::new(purge, wall_ms, false);
    Some(Txn {
        guards: Vec::new(),
        writes: vec![Write::Put(keys::purge(&random_id()), encode(&record))],
    })
}

/// Records that newer ones make needless: no floor stands for them.
pub(super) fn covered_at_once(state: &State) -> Vec<Txn> {
    let gone = covered(&state.purges, state.fleet.vouched_from());
    let gone = gone
        .iter()
        .filter_map(|revision| state.purges.get(*revision));
    let writes: Vec<_> = gone
        .map(|purge| Write::Delete(keys::purge(&purge.id)))
        .collect();
    let at_once = writes.chunks(FORGOTTEN_AT_ONCE_MAX);
    at_once
        .map(|writes| Txn {
            guards: Vec::new(),
            writes: writes.to_vec(),
        })
        .collect()
}

/// Purge records, and the floor that stands for them from now on.
pub(super) fn forget(state: &State, now_ms: u64, retained_ms: u64) -> Option<Txn> {
    let vouched_from = state.fleet.vouched_from();
    let gone = forgettable(&state.purges, vouched_from, now_ms, retained_ms);
    let gone = gone
        .iter()
        .filter_map(|revision| Some((revision, state.purges.get(*revision)?)));
    let gone: Vec<_> = gone.collect();
    let mut writes: Vec<_> = gone
        .iter()
        .map(|(_, purge)| Write::Delete(keys::purge(&purge.id)))
        .collect();
    // What only counted has killed nothing.
    let floor = gone.iter().rev().find(|(_, purge)| !purge.record.dry_run);
    writes.extend(
        floor.map(|(floor, _)| Write::Put(keys::FLOOR.into(), encode(&state.floor.max(**floor)))),
    );
    if writes.is_empty() {
        return None;
    }
    let guards = vec![state.unchanged(keys::FLOOR.into())];
    Some(Txn { guards, writes })
}

/// Counts that no receipt shows any more.
fn uncount(state: &State) -> Option<Txn> {
    let keys = state.tally.outlived().take(FORGOTTEN_AT_ONCE_MAX);
    let writes: Vec<_> = keys
        .map(|(purge, plane)| Write::Delete(keys::counted(*purge, plane)))
        .collect();
    (!writes.is_empty()).then(|| Txn {
        guards: Vec::new(),
        writes,
    })
}

/// For planes that did not refuse these boots themselves.
fn tell_refusals(state: &State, now_ms: u64) -> Option<Txn> {
    let due = state.fleet.refusals.due(now_ms).take(REFUSALS_AT_ONCE_MAX);
    let writes: Vec<_> = due
        .map(|(id, record)| Write::Put(keys::refusal(id), encode(record)))
        .collect();
    (!writes.is_empty()).then(|| Txn {
        guards: Vec::new(),
        writes,
    })
}

fn forget_refusals(state: &State, now_ms: u64) -> Option<Txn> {
    let outlived = state.fleet.refusals.outlived(now_ms);
    let keys = outlived.take(REFUSALS_AT_ONCE_MAX).map(keys::refusal);
    let (guards, writes): (Vec<_>, Vec<_>) = keys
        .map(|key| (state.unchanged(key.clone()), Write::Delete(key)))
        .unzip();
    (!writes.is_empty()).then_some(Txn { guards, writes })
}

/// The record of a plane that is gone, and whose edges others have renewed since.
pub(super) fn idle_plane(state: &State, me: &str) -> Option<Txn> {
    let (plane, revision) = state.fleet.idle_planes(me).next()?;
    let key = keys::plane(plane);
    Some(Txn {
        guards: vec![Guard::ChangedAt(key.clone(), revision)],
        writes: vec![Write::Delete(key)],
    })
}

#[cfg(test)]
mod tests;
