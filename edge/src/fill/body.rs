//! Taking a body: from the origin, and from what is stored before and behind it; within the bounds of memory, and
//! no longer than somebody wants it.

use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::StatusCode;
use pingora_core::protocols::http::client::HttpSession;
use tokio::time::sleep_until;

use super::fetch::Fetch;
use super::{Arrived, worth_finishing};
use crate::clock;
use crate::object::Body;
use crate::origin::Failure;
use crate::rules::ranges;
use crate::state::State;

/// How far a whole body is fetched past the last byte that its readers want.
pub const AHEAD_BYTES: u64 = 8 * 1024 * 1024;

/// Where the bytes come from, in order.
pub struct Source<'a> {
    session: &'a mut HttpSession<()>,
    /// What is stored before and behind what the origin sends.
    before: Vec<Bytes>,
    behind: Vec<Bytes>,
    /// Bytes that the origin still has to send; None: until it ends.
    rest: Option<u64>,
}

/// How a body that did not fail ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    Whole,
    /// Nobody wants the rest.
    Enough,
}

impl<'a> Source<'a> {
    pub fn whole(session: &'a mut HttpSession<()>) -> Self {
        Self {
            session,
            before: Vec::new(),
            behind: Vec::new(),
            rest: None,
        }
    }

    /// The origin sends what is missing of `stored`.
    pub fn completing(session: &'a mut HttpSession<()>, stored: &Body) -> Self {
        let total = stored.total();
        let (first, end) = stored.missing().unwrap_or((total, total));
        let reversed = |first, end| {
            let mut pieces: Vec<_> = stored.slice(first, end).collect();
            pieces.reverse();
            pieces
        };
        Self {
            session,
            before: reversed(0, first),
            behind: reversed(end, total),
            rest: Some(end - first),
        }
    }

    /// The next piece; None at the end. Cancel-safe.
    async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        if let Some(piece) = self.before.pop() {
            return Ok(Some(piece));
        }
        if self.rest != Some(0) {
            let piece = self.session.read_response_body().await;
            let piece = piece.map_err(|_| Failure::BodyCut)?;
            match (piece, &mut self.rest) {
                (None, None) => return Ok(None),
                (piece, None) => return Ok(piece),
                (None, Some(_)) => return Err(Failure::BodyCut),
                // More than was asked for would take the place of what is stored behind it.
                (Some(piece), Some(rest)) => {
                    let left = rest.checked_sub(piece.len() as u64);
                    *rest = left.ok_or(Failure::BrokenAnswer)?;
                    return Ok(Some(piece));
                }
            }
        }
        Ok(self.behind.pop())
    }
}

impl Fetch {
    pub(super) async fn take_body(
        &self,
        source: &mut Source<'_>,
        arrived: &Arrived,
        mut until: Instant,
    ) -> Result<Taken, Failure> {
        let state = &self.state;
        let mut kept = Retained::new(state);
        let mut late = pin!(sleep_until(until.into()));
        loop {
            let (received, unread, windowed, full, wanted) = {
                let flow = self.fill.flow();
                let (unread, windowed) = (flow.is_unread(), flow.is_windowed());
                (
                    flow.received(),
                    unread,
                    windowed,
                    flow.is_full(),
                    flow.wanted(),
                )
            };
            if unread && (windowed || !worth_finishing(received, arrived.length)) {
                self.close();
                // Nobody can join it now; but somebody may just have.
                match (self.fill.flow().is_unread(), windowed) {
                    (false, _) => continue,
                    (true, true) => return Err(Failure::GivenUp),
                    (true, false) => return Ok(Taken::Enough),
                }
            }
            if is_enough(received, wanted, arrived.length) {
                self.close();
                if self.fill.flow().wanted() == wanted {
                    return Ok(Taken::Enough);
                }
                continue;
            }
            if full {
                let since = clock::instant();
                self.room().await;
                // A slow reader is not the origin's fault.
                until += clock::instant() - since;
                late.as_mut().reset(until.into());
                continue;
            }
            let piece = tokio::select! {
                // First what is here: then no timer is needed.
                biased;
                piece = source.next() => piece?,
                () = self.fill.abandoned(), if windowed => return Err(Failure::GivenUp),
                () = &mut late => return Err(Failure::TooLong),
            };
            let Some(piece) = piece else { break };
            let mut fits = |piece: &Bytes| {
                let bytes = piece.len() as u64;
                state.storage.takes(received + bytes) && kept.grow(bytes)
            };
            if !windowed && !fits(&piece) {
                self.close();
                self.fill.flow().become_window();
            }
            self.show(piece, received, arrived);
        }
        self.taken(arrived)
    }

    /// The next piece of a body of which `received` bytes came before it.
    fn show(&self, piece: Bytes, received: u64, arrived: &Arrived) {
        let bytes = piece.len() as u64;
        self.state.metrics.origin_bytes(bytes);
        if arrived.kept && arrived.length == Some(received + bytes) {
            self.fill.flow().hold_last(piece);
            return;
        }
        self.fill.flow().push(piece);
        self.fill.progress.send_modify(|_| ());
    }

    /// The origin has sent all it has to send.
    fn taken(&self, arrived: &Arrived) -> Result<Taken, Failure> {
        let received = self.fill.flow().received();
        // A part that ends before its Content-Range does is as incomplete as any other body.
        let part = || {
            ranges::content_range(&arrived.head)
                .filter(|_| arrived.status == StatusCode::PARTIAL_CONTENT)
        };
        match arrived.length.or_else(|| part().map(|range| range.len())) {
            Some(length) if received != length => Err(Failure::BodyCut),
            _ => Ok(Taken::Whole),
        }
    }

    /// Waits until the slowest reader has caught up, or the last has left.
    async fn room(&self) {
        loop {
            let moved = self.fill.moved.notified();
            {
                let flow = self.fill.flow();
                if !flow.is_full() || flow.is_unread() {
                    return;
                }
            }
            moved.await;
        }
    }
}

/// Whether those who read want so much less than what is still to come that it is not fetched for the cache.
fn is_enough(received: u64, wanted: u64, length: Option<u64>) -> bool {
    let past = received >= wanted.saturating_add(AHEAD_BYTES);
    past && !length.is_some_and(|length| worth_finishing(received, Some(length)))
}

/// Bytes a fill keeps for the cache; given back when it ends, however it ends.
pub(super) struct Retained {
    state: Arc<State>,
    bytes: u64,
}

impl Retained {
    pub(super) fn new(state: &Arc<State>) -> Self {
        Self {
            state: state.clone(),
            bytes: 0,
        }
    }

    /// False: there is no room for so many more.
    pub(super) fn grow(&mut self, by: u64) -> bool {
        let fits = self.state.fills.retain(by, self.state.retained_bytes_max);
        self.bytes += if fits { by } else { 0 };
        fits
    }
}

impl Drop for Retained {
    fn drop(&mut self) {
        self.state.fills.release(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_body_is_not_fetched_far_past_what_is_wanted() {
        const MIB: u64 = 1024 * 1024;
        let check = |received: u64, wanted, length: Option<u64>, expect| {
            let length = length.map(|length| length * MIB);
            assert_eq!(
                is_enough(received * MIB, wanted, length),
                expect,
                "{received}"
            );
        };
        check(8, MIB, Some(100), false);
        check(9, MIB, Some(100), true);
        check(9, MIB, None, true);
        check(9, u64::MAX, Some(100), false);
        check(9, MIB, Some(10), false);
    }
}
