//! May this edge vouch for what it stored? Pure, and the rules of the receipts:
//!
//! An answered heartbeat is good until [`VOUCH_MS`] after it was *sent*. An edge that just started, or let its
//! deadline pass, vouches again only when it was renewed *and* has applied the head that the answer named:
//! what was purged while it was away is then in its ledger. [`sender`] does the sending.

use std::sync::atomic::{AtomicU64, Ordering};

use seawall_config::Revision;
use seawall_config::feed::{EdgeState, Renewal, VOUCH_MS};

pub mod sender;

/// Until when, as the request path reads it: one atomic, tested at each serve, never by a timer.
#[derive(Debug, Default)]
pub struct Vouching {
    /// Milliseconds of CLOCK_BOOTTIME; 0: not at all.
    until_ms: AtomicU64,
}

impl Vouching {
    pub fn vouches(&self, now_ms: u64) -> bool {
        now_ms < self.until_ms.load(Ordering::Acquire)
    }

    fn set(&self, until_ms: u64) {
        self.until_ms.store(until_ms, Ordering::Release);
    }
}

/// The right to vouch, as it is won and lost. All times are milliseconds of CLOCK_BOOTTIME.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Vouching until then; 0: never yet.
    until_ms: u64,
    /// Renewed until `.0`, if `.1` has been applied by then.
    pending: Option<(u64, Revision)>,
    has_vouched: bool,
}

impl Standing {
    /// A heartbeat sent at `sent_ms` was answered; `applied` is where this edge is now.
    pub fn answered(&mut self, sent_ms: u64, renewal: Renewal, applied: Option<Revision>, now_ms: u64) {
        let until = sent_ms.saturating_add(VOUCH_MS);
        if now_ms < self.until_ms {
            // Never shortened: answers may come out of order.
            self.until_ms = self.until_ms.max(until);
            return;
        }
        let (before, head) = self.pending.unwrap_or((until, renewal.head));
        // Any one answered head will do, and it stays good as long as renewals follow without a gap.
        let head = if now_ms < before { head.min(renewal.head) } else { renewal.head };
        self.pending = Some((before.max(until), head));
        if let Some(applied) = applied {
            self.applied(applied, now_ms);
        }
    }

    /// This edge has applied a revision.
    pub fn applied(&mut self, applied: Revision, now_ms: u64) {
        let Some((until, head)) = self.pending else { return };
        if now_ms >= until {
            self.pending = None;
        } else if applied >= head {
            (self.until_ms, self.pending, self.has_vouched) = (until, None, true);
        }
    }

    /// Another history: what was proven in the old one counts for nothing.
    pub fn forget(&mut self) {
        *self = Self { has_vouched: self.has_vouched, ..Self::default() };
    }

    pub fn until_ms(&self) -> u64 {
        self.until_ms
    }

    /// `followed`: a control plane has answered since this edge started.
    pub fn state(&self, followed: bool, now_ms: u64) -> EdgeState {
        match (followed, self.has_vouched && now_ms >= self.until_ms) {
            (_, true) => EdgeState::Fenced,
            (false, _) => EdgeState::Lkg,
            (true, _) => EdgeState::Live,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: u64 = VOUCH_MS;

    enum Event {
        Answered { sent: u64, head: u64 },
        Applied(u64),
    }
    use Event::{Answered, Applied};

    /// Plays events (`at`, what), with the edge at `applied` from the start, and says until when it vouches.
    fn until(applied: u64, events: &[(u64, Event)]) -> u64 {
        let (mut standing, mut applied) = (Standing::default(), applied);
        for (now, event) in events {
            match event {
                Answered { sent, head } => {
                    standing.answered(*sent, Renewal { head: Revision(*head) }, Some(Revision(applied)), *now);
                }
                Applied(revision) => {
                    applied = *revision;
                    standing.applied(Revision(applied), *now);
                }
            }
        }
        standing.until_ms()
    }

    #[test]
    fn an_edge_vouches_only_when_renewed_and_caught_up() {
        let answered = |sent, head| Answered { sent, head };
        let check = |rule: &str, applied: u64, events: &[(u64, Event)], expect: u64| {
            assert_eq!(until(applied, events), expect, "{rule}");
        };
        check("just started: not before it has applied the head", 5, &[(10, answered(0, 6))], 0);
        check("just started: renewed and caught up", 6, &[(10, answered(0, 6))], T);
        check("caught up after the answer", 5, &[(10, answered(0, 6)), (20, Applied(6))], T);
        check("counts from sending, not from the answer", 6, &[(900, answered(100, 6))], 100 + T);
        check("renewed while vouching: the head does not matter", 6, &[(10, answered(0, 6)), (1010, answered(1000, 99))], 1000 + T);
        check("answers out of order never shorten it", 6, &[(10, answered(0, 6)), (1010, answered(1000, 7)), (1020, answered(500, 7))], 1000 + T);
        check("an answer that comes too late gives nothing", 6, &[(T + 1, answered(0, 6))], 0);
        let late = [(10, answered(0, 6)), (T, answered(T - 1, 9))];
        check("the deadline has passed: it must catch up again", 6, &late, T);
        let caught_up = [(10, answered(0, 6)), (T, answered(T - 1, 9)), (T + 5, Applied(9))];
        check("and then vouches again", 6, &caught_up, T - 1 + T);
        let slow = [(10, answered(0, 9)), (1010, answered(1000, 12)), (1100, Applied(9))];
        check("the first head will do while renewals follow", 6, &slow, 1000 + T);
        let gap = [(10, answered(0, 9)), (3 * T, answered(3 * T - 5, 12)), (3 * T + 1, Applied(9))];
        check("after a gap only the newest counts", 6, &gap, 0);
        check("suspended for an hour: the clock has counted it", 6, &[(10, answered(0, 6)), (3_600_000, Applied(7))], T);
    }

    #[test]
    fn the_request_path_tests_the_deadline_itself() {
        let vouching = Vouching::default();
        assert!(!vouching.vouches(0));
        vouching.set(100);
        assert_eq!([99, 100, 3_600_000].map(|now| vouching.vouches(now)), [true, false, false]);
    }

    #[test]
    fn a_state_says_what_an_edge_serves_from() {
        let mut standing = Standing::default();
        assert_eq!(standing.state(false, 5), EdgeState::Lkg);
        assert_eq!(standing.state(true, 5), EdgeState::Live);
        standing.answered(0, Renewal { head: Revision(1) }, Some(Revision(1)), 5);
        assert_eq!(standing.state(true, T - 1), EdgeState::Live);
        assert_eq!(standing.state(true, T), EdgeState::Fenced);
    }
}
