//! May this edge vouch for what it stored? While its heartbeats are answered it may; a control plane counts
//! on it that it stops in time.
//!
//! Pure: what was sent, answered and applied goes in, with the time; the deadline comes out. All times are
//! milliseconds of CLOCK_BOOTTIME, which goes on while a machine is suspended. The shell is in [`sender`].
//! The rules are those of ARCHITECTURE.md, "Vouching, fencing, receipts".

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use seawall_config::Revision;
use seawall_config::feed::{Applied, EdgeState, HEARTBEAT_MS, Renewal, VOUCH_MS};

pub mod sender;

/// Heartbeats that wait for their answers. More than one, so that the news of a purge waits for none.
pub const IN_FLIGHT_MAX: usize = 4;

/// Between one heartbeat and the next that has news: what comes closer together is told together.
const NEWS_PAUSE_MS: u64 = 5;

/// Until when this edge may vouch, as the request path reads it. Only the heartbeat's shell sets it.
#[derive(Debug, Default)]
pub struct Vouching {
    /// 0: it never could.
    deadline_ms: AtomicU64,
    heard: AtomicBool,
}

impl Vouching {
    /// Whether this edge may vouch at `now_ms`, of CLOCK_BOOTTIME.
    pub fn vouches(&self, now_ms: u64) -> bool {
        self.left_ms(now_ms) > 0
    }

    /// For how long it may.
    pub fn left_ms(&self, now_ms: u64) -> u64 {
        let deadline_ms = self.deadline_ms.load(Ordering::Acquire);
        deadline_ms.saturating_sub(now_ms)
    }

    /// What it serves from.
    pub fn state(&self, now_ms: u64) -> EdgeState {
        let deadline_ms = self.deadline_ms.load(Ordering::Acquire);
        let deadline_ms = (deadline_ms > 0).then_some(deadline_ms);
        state(self.heard.load(Ordering::Acquire), deadline_ms, now_ms)
    }

    fn set(&self, deadline_ms: Option<u64>, heard: bool) {
        let deadline_ms = deadline_ms.unwrap_or_default();
        self.deadline_ms.store(deadline_ms, Ordering::Release);
        self.heard.store(heard, Ordering::Release);
    }
}

/// When to send, and what follows from the answers.
#[derive(Debug, Default)]
pub struct Heartbeats {
    applied: Option<Applied>,
    /// None until it may vouch for the first time in this epoch; past, it is fenced.
    deadline_ms: Option<u64>,
    /// Renewed, but not yet as far as it must be.
    waiting: Option<Waiting>,
    /// The newest revision of this epoch that registered this edge, as far as it knows.
    registered: Revision,
    next_ms: u64,
    hurry: bool,
    in_flight: usize,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    head: Revision,
    deadline_ms: u64,
}

/// What must be remembered of a heartbeat until it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Before the first byte of it left.
    pub at_ms: u64,
    pub applied: Option<Applied>,
}

/// What an answer is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may vouch, and now for longer.
    Vouches,
    /// It may vouch once it has applied this revision.
    WaitsFor(Revision),
    /// When it was sent, this edge had nothing to vouch for.
    Early,
    /// What the heartbeat could have earned is over.
    Late,
    /// The heartbeat, its answer and what is applied by now are not of one history.
    OtherHistory,
}

impl Heartbeats {
    /// The edge has come this far.
    pub fn applied(&mut self, applied: Applied, now_ms: u64) {
        if self
            .applied
            .is_some_and(|before| before.epoch != applied.epoch)
        {
            // In the new history this edge has only just registered; nothing there waits for it yet.
            (self.deadline_ms, self.waiting) = (None, None);
            self.registered = Revision::default();
        }
        self.applied = Some(applied);
        if let Some(waiting) = self
            .waiting
            .filter(|waiting| waiting.head <= applied.revision)
        {
            self.waiting = None;
            if waiting.deadline_ms > now_ms {
                self.deadline_ms = Some(waiting.deadline_ms);
            }
        }
    }

    /// There is news that does not wait.
    pub fn hurry(&mut self) {
        self.hurry = true;
    }

    /// A heartbeat goes out now.
    pub fn send(&mut self, now_ms: u64) -> Sent {
        self.hurry = false;
        self.in_flight += 1;
        self.next_ms = now_ms.saturating_add(HEARTBEAT_MS);
        Sent {
            at_ms: now_ms,
            applied: self.applied,
        }
    }

    /// It was answered; `now_ms` is read after the answer was.
    pub fn answered(&mut self, sent: Sent, renewal: Renewal, now_ms: u64) -> Verdict {
        self.landed();
        let (Some(then), Some(applied)) = (sent.applied, self.applied) else {
            return Verdict::Early;
        };
        // The head was written after the heartbeat arrived, so it is newer than all that was applied before
        // it left: or it is not of the same store.
        if then.epoch != applied.epoch || renewal.head <= then.revision {
            return Verdict::OtherHistory;
        }
        // Rule 2: receipts of purges before its registration do not wait for it. Deregistered while it ran, and registered
        // again, it may have been answered all the time, and not have applied them.
        let registered = renewal.registered.unwrap_or_default();
        self.registered = self.registered.max(registered);
        if applied.revision < self.registered {
            self.may_no_longer(now_ms);
        }
        // Rule 2: the deadline counts from *sending*.
        let deadline_ms = sent.at_ms.saturating_add(VOUCH_MS);
        if deadline_ms <= now_ms {
            return Verdict::Late;
        }
        // Rule 2: who let the deadline pass, or never had one, must also have applied all that was complete
        // without it.
        let head = renewal.head.max(self.registered);
        if self.vouches(now_ms) || applied.revision >= head {
            self.waiting = None;
            self.deadline_ms = self.deadline_ms.max(Some(deadline_ms));
            return Verdict::Vouches;
        }
        // The oldest is kept: it is reached first, and those that come after it then extend it.
        let waiting = self.waiting.filter(|waiting| waiting.deadline_ms > now_ms);
        let waiting = waiting.unwrap_or(Waiting { head, deadline_ms });
        self.waiting = Some(waiting);
        Verdict::WaitsFor(waiting.head)
    }

    /// Rule 5: another machine holds this edge's id. Whatever this one was granted is over.
    pub fn refused(&mut self, now_ms: u64) {
        self.landed();
        self.waiting = None;
        self.may_no_longer(now_ms);
    }

    /// There was no answer, or none that says anything.
    pub fn failed(&mut self) {
        self.landed();
    }

    /// When the next is to be sent; None until one of those under way has landed.
    pub fn due_ms(&self) -> Option<u64> {
        let hurried_ms = self.next_ms.saturating_sub(HEARTBEAT_MS - NEWS_PAUSE_MS);
        let due_ms = if self.hurry { hurried_ms } else { self.next_ms };
        (self.in_flight < IN_FLIGHT_MAX).then_some(due_ms)
    }

    /// Until when it may vouch.
    pub fn deadline_ms(&self) -> Option<u64> {
        self.deadline_ms
    }

    /// What it says of itself. `heard`: a control plane has said something since the edge started.
    pub fn state(&self, heard: bool, now_ms: u64) -> EdgeState {
        state(heard, self.deadline_ms, now_ms)
    }

    fn vouches(&self, now_ms: u64) -> bool {
        self.deadline_ms
            .is_some_and(|deadline_ms| now_ms < deadline_ms)
    }

    /// What it waits for stays, if it is late enough.
    fn may_no_longer(&mut self, now_ms: u64) {
        self.deadline_ms = self.deadline_ms.map(|deadline_ms| deadline_ms.min(now_ms));
        self.waiting = self
            .waiting
            .filter(|waiting| waiting.head >= self.registered);
    }

    fn landed(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }
}

fn state(heard: bool, deadline_ms: Option<u64>, now_ms: u64) -> EdgeState {
    match deadline_ms {
        _ if !heard => EdgeState::Lkg,
        Some(deadline_ms) if deadline_ms <= now_ms => EdgeState::Fenced,
        _ => EdgeState::Live,
    }
}

#[cfg(test)]
#[path = "heartbeat/tests.rs"]
mod tests;
