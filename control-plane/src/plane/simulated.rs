//! A plane without tasks, clock and store, for simulations: whoever drives it says what happens and when. Every decision
//! is the plane's own; only what [`Plane`](super::Plane) does between them is done by hand.

use seawall_config::feed::{Frame, Heartbeat, Renewal, Snapshot};
use seawall_config::scope::Purge;
use seawall_config::{Epoch, Revision, Token};

use super::PlaneError;
use super::purges::{PurgeReceipt, judge};
use super::records::{PurgeRecord, encode};
use super::rounds::{self, Outcome};
use super::state::State;
use super::upkeep;
use crate::feed::Gone;
use crate::keys;
use crate::renewal::Batch;
use crate::store::{Step, Txn, View, Write};

/// One plane.
#[derive(Debug)]
pub struct Simulated {
    id: String,
    state: State,
    batch: Batch<Waiting>,
}

/// A heartbeat that waits for its answer.
#[derive(Clone, Debug)]
pub struct Waiting {
    /// Whatever the driver knows it by.
    pub ticket: u64,
    pub edge: String,
    pub heartbeat: Heartbeat,
}

/// What a round of renewals needs next.
#[derive(Debug)]
pub enum Round {
    /// A linearizable read of [`keys::PLANES`] that begins no earlier than this; then it is planned anew.
    Read { from_ms: u64 },
    /// This plane lags: whoever is in the round is told so.
    Lag,
    /// This write; then [`Simulated::renewed`].
    Write(Txn, Outcomes),
}

#[derive(Debug)]
pub struct Outcomes(Vec<Outcome>);

/// Why a follower cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    HistoryGone,
    HistoryDiffers,
    /// It names what this plane has not seen yet, and the store has.
    Lags,
}

impl Simulated {
    /// As a plane starts: from a read of everything, and the steps of [`keys::WATCHED`] from `begins` up to it.
    pub fn load(
        id: &str,
        epoch: Epoch,
        view: &View,
        begins: Revision,
        history: &[Step],
        now_ms: u64,
    ) -> Self {
        let mut state = State::new(epoch, view, begins, now_ms);
        for step in history {
            state.apply(step, now_ms);
        }
        state.settle();
        Self {
            id: id.to_owned(),
            state,
            batch: Batch::new(),
        }
    }

    pub fn epoch(&self) -> Epoch {
        self.state.epoch
    }

    pub fn followed(&self) -> Revision {
        self.state.followed
    }

    /// The next step of the store.
    pub fn apply(&mut self, step: &Step, now_ms: u64) {
        self.state.apply(step, now_ms);
    }

    /// A heartbeat arrives; `head`: how far the store is, by a linearizable read.
    pub fn hear(&mut self, waiting: Waiting, head: Revision, now_ms: u64) -> Result<(), Refused> {
        let Waiting {
            edge, heartbeat, ..
        } = &waiting;
        let applied = heartbeat.applied;
        if let Some(applied) = applied.filter(|it| it.epoch == self.state.epoch) {
            self.must_exist(applied.revision, head)?;
        }
        let holder = self.state.fleet.holder(edge);
        let mut urgent = false;
        if holder.is_some_and(|holder| holder.boot == heartbeat.boot) {
            let moved = self.state.fleet.hear(edge, heartbeat);
            if let Some(moved) = &moved {
                self.state.moved(moved, now_ms);
            }
            urgent = moved.is_some_and(|moved| self.state.purges.is_awaited(&moved));
        }
        self.batch.hear(waiting, urgent);
        Ok(())
    }

    pub fn round_due_ms(&self) -> Option<u64> {
        self.batch.due_ms()
    }

    pub fn begin_round(&mut self, now_ms: u64) -> Vec<Waiting> {
        self.batch.begin(now_ms)
    }

    /// `head` as in [`Simulated::hear`].
    pub fn plan(&self, round: &[Waiting], head: Revision, now_ms: u64, wall_ms: u64) -> Round {
        let said = round.iter().map(|it| (it.edge.as_str(), &it.heartbeat));
        let plan = rounds::plan(&self.state, &self.id, said, now_ms, wall_ms);
        match plan.read_from_ms {
            Some(from_ms) => Round::Read { from_ms },
            None if plan.refuses() && self.state.followed < head => Round::Lag,
            None => Round::Write(plan.txn, Outcomes(plan.outcomes)),
        }
    }

    /// The round was written at `head`, and this plane has followed that far: who is answered what. Who waits for the
    /// next round is heard again.
    pub fn renewed(
        &mut self,
        round: Vec<Waiting>,
        outcomes: Outcomes,
        head: Revision,
    ) -> Vec<(u64, Result<Renewal, PlaneError>)> {
        let mut answers = Vec::new();
        for (waiting, outcome) in round.into_iter().zip(outcomes.0) {
            match outcome {
                Outcome::Renewed => {
                    let (edge, heartbeat) = (&waiting.edge, &waiting.heartbeat);
                    let renewal = rounds::renewal(&self.state, edge, heartbeat, head);
                    answers.push((waiting.ticket, renewal));
                }
                Outcome::Refused(error) => answers.push((waiting.ticket, Err(error))),
                Outcome::Later => self.batch.hear(waiting, true),
            }
        }
        answers
    }

    /// A linearizable read of [`keys::PLANES`] that began at `began_ms`.
    pub fn read_records(&mut self, view: &View, began_ms: u64, now_ms: u64) {
        self.state.read_records(view, began_ms, now_ms);
    }

    /// What is to be written for a purge, under an id of its own.
    pub fn purge(id: &str, purge: Purge, wall_ms: u64) -> Txn {
        let record = PurgeRecord::new(purge, wall_ms, true);
        Txn {
            guards: vec![crate::store::Guard::Absent(keys::purge(id))],
            writes: vec![Write::Put(keys::purge(id), encode(&record))],
        }
    }

    /// The receipt as it is, and from when on a read may say more. None: nothing is known of such a purge.
    pub fn receipt(&self, purge: Revision, now_ms: u64) -> Option<(PurgeReceipt, Option<u64>)> {
        judge(&self.state, purge, now_ms)
    }

    /// What is due to be written: a beacon, and what is to be forgotten. `retained_ms`: in place of the hour that purge
    /// records stay, which no history lasts.
    pub fn upkeep(&self, starts: bool, now_ms: u64, wall_ms: u64, retained_ms: u64) -> Vec<Txn> {
        let state = &self.state;
        let due = [
            upkeep::beacon(state, starts, now_ms, wall_ms),
            upkeep::idle_plane(state, &self.id),
            upkeep::fold(state, wall_ms),
            upkeep::forget(state, now_ms, retained_ms),
        ];
        let covered = upkeep::covered_at_once(state);
        due.into_iter().flatten().chain(covered).collect()
    }

    /// Whether a follower may go on; `head` as in [`Simulated::hear`].
    pub fn resume(
        &self,
        after: Token,
        beacon: Option<(Revision, &str)>,
        head: Revision,
    ) -> Result<(), Refused> {
        if after.epoch != self.state.epoch {
            return Err(Refused::HistoryDiffers);
        }
        let newest = beacon.map_or(after.revision, |(revision, _)| revision.max(after.revision));
        self.must_exist(newest, head)?;
        let resumed = self.state.tail.resume(after.revision, beacon);
        resumed.map_err(|gone| match gone {
            Gone::History { .. } => Refused::HistoryGone,
            Gone::Differs => Refused::HistoryDiffers,
        })
    }

    /// What comes after, as it is read from the wire, and how far that is. None when that is no longer kept.
    pub fn frames(&self, after: Revision) -> Option<(Vec<Frame>, Revision)> {
        let (lines, reached) = self.state.tail.after(after, usize::MAX)?;
        let lines = lines.split(|byte| *byte == b'\n');
        let lines = lines.filter(|line| !line.is_empty());
        let frames = lines.filter_map(|line| serde_json::from_slice(line).ok());
        Some((frames.collect(), reached))
    }

    pub fn snapshot(&self) -> Snapshot {
        self.state.snapshot()
    }

    fn must_exist(&self, revision: Revision, head: Revision) -> Result<(), Refused> {
        match () {
            () if self.state.followed >= revision => Ok(()),
            () if head < revision => Err(Refused::HistoryDiffers),
            () => Err(Refused::Lags),
        }
    }
}
