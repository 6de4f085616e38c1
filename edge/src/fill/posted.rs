//! The answer to a POST that brings what a GET would (RFC 9110 §9.3.3): it passes through to its client, and is kept
//! on its way.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};

use super::body::Retained;
use super::fetch::{Fetch, Stored};
use super::judge::{Heard, judge};
use super::{Arrived, Fill};
use crate::answer::Journey;
use crate::ledger::Birth;
use crate::origin::interim::Interims;
use crate::state::State;

/// A POST whose answer may be kept. It counts among the open fills from the start, so that the ledger forgets nothing
/// by which the answer will be judged.
pub struct Posted {
    fetch: Fetch,
    requested: SystemTime,
}

/// An answer that is being kept.
pub struct Kept {
    fetch: Fetch,
    arrived: Arrived,
    retained: Retained,
}

impl Posted {
    /// None: whatever the origin says, nothing of its answer is kept.
    pub fn open(state: &Arc<State>, journey: &Arc<Journey>, now: SystemTime) -> Option<Self> {
        let may_keep = journey.method == Method::POST && journey.policy().cache;
        may_keep.then(|| Self {
            fetch: open(state, journey, journey.birth),
            requested: now,
        })
    }

    /// What stands for it among the open fills.
    pub fn fill(&self) -> &Arc<Fill> {
        &self.fetch.fill
    }

    /// The head is here. None: the answer only passes through.
    pub fn judge(
        &self,
        status: StatusCode,
        head: &HeaderMap,
        received: SystemTime,
    ) -> Option<Arrived> {
        let Fetch { state, journey, .. } = &self.fetch;
        let heard = Heard {
            journey,
            shared: true,
            method: &journey.method,
            status,
            head,
            made_of: &[],
            requested: self.requested,
            received,
        };
        let prints = state.ledger.read(|ledger| ledger.prints().clone());
        let takes = |length| state.storage.takes(length);
        let (arrived, tags_cut) = judge(heard, &prints, takes).ok()?;
        state.metrics.tags_cut(tags_cut);
        arrived.kept.then_some(arrived)
    }

    /// `birth`: not before the change that the POST itself made. None where there is no body to wait for.
    pub fn keep(self, arrived: Arrived, birth: Birth) -> Option<Kept> {
        let Fetch { state, journey, .. } = &self.fetch;
        let kept = Kept {
            fetch: open(state, journey, birth),
            retained: Retained::new(state),
            arrived,
        };
        let ends = kept.arrived.length == Some(0);
        kept.pass(None, ends)
    }
}

impl Kept {
    /// The next piece of the body passes. None when there is nothing more to keep: it is stored now, was cut, or is
    /// too large.
    pub fn pass(mut self, piece: Option<&Bytes>, ends: bool) -> Option<Self> {
        let mut flow = self.fetch.fill.flow();
        if let Some(piece) = piece {
            flow.push(piece.clone());
            let fits = self.fetch.state.storage.takes(flow.received())
                && self.retained.grow(piece.len() as u64);
            if !fits {
                return None;
            }
        }
        let received = flow.received();
        drop(flow);
        if !ends {
            return Some(self);
        }
        if self.arrived.length.is_none_or(|length| length == received) {
            self.fetch.seal(&self.arrived, None);
        }
        None
    }
}

fn open(state: &Arc<State>, journey: &Arc<Journey>, birth: Birth) -> Fetch {
    let (_, fill) = state.fills.open_alone(&journey.key, birth);
    Fetch {
        state: state.clone(),
        journey: journey.clone(),
        fill,
        stored: Stored::Nothing,
        stand_in: None,
        interims: Interims::to_nobody(),
    }
}
