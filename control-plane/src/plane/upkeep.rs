//! The task that writes beacons and clears away what nobody needs. Any plane may do it: each write is guarded
//! by what was seen, so that of several planes one does it and the others are refused.

use std::sync::Arc;

use seawall_config::Revision;
use seawall_config::feed::{BEACON_MS, Beacon};

use super::records::encode;
use super::retention::{FORGOTTEN_AT_ONCE_MAX, forgettable};
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
        while self
            .write_if_due(|state, _, wall_ms| forget(state, wall_ms))
            .await?
            == Some(FORGOTTEN_AT_ONCE_MAX + 1)
        {}
        Ok(())
    }

    /// Writes what `due` says of the state, at the times of both clocks: how many writes that was. None when
    /// nothing was due, or another plane was faster.
    async fn write_if_due(
        &self,
        due: impl Fn(&State, u64, u64) -> Option<Txn>,
    ) -> Result<Option<usize>, StoreError> {
        let (now_ms, wall_ms) = (self.clock.now_ms(), self.clock.wall_ms());
        let Some(txn) = due(&self.state(), now_ms, wall_ms) else {
            return Ok(None);
        };
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
        guards: vec![unchanged(
            keys::BEACON,
            newest.map(|newest| newest.revision),
        )],
        writes: vec![Write::Put(keys::BEACON.into(), encode(&beacon))],
    })
}

/// Purge records, and the floor that stands for them from now on.
pub(super) fn forget(state: &State, wall_ms: u64) -> Option<Txn> {
    let gone = forgettable(&state.purges, state.fleet.vouched_from(), wall_ms);
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
    writes.extend(floor.map(|(floor, _)| Write::Put(keys::FLOOR.into(), encode(floor))));
    if writes.is_empty() {
        return None;
    }
    let guards = vec![unchanged(
        keys::FLOOR,
        state.floor.map(|floor| floor.changed),
    )];
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
    let keys = outlived
        .take(REFUSALS_AT_ONCE_MAX)
        .map(|(id, revision)| (keys::refusal(id), revision));
    let (guards, writes): (Vec<_>, Vec<_>) = keys
        .map(|(key, revision)| (Guard::ChangedAt(key.clone(), revision), Write::Delete(key)))
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

fn unchanged(key: &str, changed: Option<Revision>) -> Guard {
    match changed {
        Some(revision) => Guard::ChangedAt(key.into(), revision),
        None => Guard::Absent(key.into()),
    }
}
