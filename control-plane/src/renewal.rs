//! Vouching, as a control plane sees it: who may renew, when an edge has gone silent for good, and when the
//! next write of renewals is due. Pure: heartbeats and time in, verdicts out. The rules are those of
//! ARCHITECTURE.md, "Vouching, fencing, receipts".

use seawall_config::Revision;
use seawall_config::feed::{DRIFT_PPM, MARGIN_MS, VOUCH_MS};

/// How long after its last recorded renewal an edge may vouch at most, as another clock measures it: T(1 + drift) + margin.
pub const FENCED_AFTER_MS: u64 = VOUCH_MS + VOUCH_MS * DRIFT_PPM / 1_000_000 + MARGIN_MS;
/// One write in this time renews everyone who asked.
pub(crate) const ROUND_MS: u64 = 100;

/// What this plane knows of the last renewal of one boot of an edge. All by its own clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Vouching {
    /// When this plane saw the newest renewal recorded; later than when the edge sent for it.
    pub(crate) renewed_ms: u64,
    /// When the last linearizable read began that showed none newer.
    pub(crate) read_ms: Option<u64>,
}

/// Who holds an edge's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Holder<'a> {
    pub(crate) boot: &'a str,
    /// The revision that registered it.
    pub(crate) registered: Revision,
    pub(crate) vouching: Vouching,
}

/// What becomes of a heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Its boot holds the id.
    Renew,
    /// Nobody holds the id.
    Register,
    /// The boot that held the id can no longer vouch.
    Supersede,
    /// The other boot has been silent for long enough, if the store knows of no newer renewal either.
    ReadFirst,
    /// Rule 5: another boot holds the id and may still vouch, at most for this long.
    Refuse { for_ms: u64 },
}

impl Vouching {
    /// Rule 3: fenced is who has been silent until a read that began late enough.
    pub(crate) fn ended(&self) -> bool {
        self.read_ms
            .is_some_and(|read_ms| read_ms >= self.ends_ms())
    }

    /// When a read may show that it has ended.
    pub(crate) fn ends_ms(&self) -> u64 {
        self.renewed_ms.saturating_add(FENCED_AFTER_MS)
    }
}

/// Rule 5: renewals are per id and boot.
pub(crate) fn judge(boot: &str, holder: Option<Holder<'_>>, now_ms: u64) -> Verdict {
    let Some(holder) = holder else {
        return Verdict::Register;
    };
    let for_ms = holder.vouching.ends_ms().saturating_sub(now_ms);
    match () {
        () if holder.boot == boot => Verdict::Renew,
        () if holder.vouching.ended() => Verdict::Supersede,
        () if for_ms == 0 => Verdict::ReadFirst,
        () => Verdict::Refuse { for_ms },
    }
}

/// Rule 1: heartbeats wait for one write that begins after they arrived.
#[derive(Debug)]
pub(crate) struct Batch<T> {
    waiting: Vec<T>,
    urgent: bool,
    next_ms: u64,
}

impl<T> Batch<T> {
    pub(crate) fn new() -> Self {
        Self {
            waiting: Vec::new(),
            urgent: false,
            next_ms: 0,
        }
    }

    /// `urgent`: a receipt waits for what this heartbeat says.
    pub(crate) fn hear(&mut self, heartbeat: T, urgent: bool) {
        self.waiting.push(heartbeat);
        self.urgent |= urgent;
    }

    /// When the next write is to begin; None while nobody waits.
    pub(crate) fn due_ms(&self) -> Option<u64> {
        match (self.waiting.is_empty(), self.urgent) {
            (true, _) => None,
            (false, true) => Some(0),
            (false, false) => Some(self.next_ms),
        }
    }

    /// A write begins now, for all of these.
    pub(crate) fn begin(&mut self, now_ms: u64) -> Vec<T> {
        self.urgent = false;
        self.next_ms = now_ms.saturating_add(ROUND_MS);
        std::mem::take(&mut self.waiting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fence_is_later_than_any_honest_deadline() {
        assert_eq!(FENCED_AFTER_MS, 11_005);
    }

    #[test]
    fn one_boot_holds_an_id_until_it_can_no_longer_vouch() {
        let check = |holder: Option<(&str, Option<u64>)>, now_ms: u64, expect: Verdict| {
            let holder = holder.map(|(boot, read_ms)| Holder {
                boot,
                registered: Revision(7),
                vouching: Vouching {
                    renewed_ms: 1_000,
                    read_ms,
                },
            });
            assert_eq!(
                judge("new", holder, now_ms),
                expect,
                "{holder:?} at {now_ms}"
            );
        };
        check(None, 0, Verdict::Register);
        check(Some(("new", None)), 50_000, Verdict::Renew);
        check(
            Some(("old", None)),
            1_000,
            Verdict::Refuse { for_ms: 11_005 },
        );
        check(Some(("old", None)), 12_004, Verdict::Refuse { for_ms: 1 });
        check(Some(("old", None)), 12_005, Verdict::ReadFirst);
        check(Some(("old", Some(12_004))), 20_000, Verdict::ReadFirst);
        check(Some(("old", Some(12_005))), 12_006, Verdict::Supersede);
    }

    #[test]
    fn a_write_renews_those_who_were_heard_before_it_began() {
        let mut batch = Batch::new();
        assert_eq!(batch.due_ms(), None, "nobody waits");
        batch.hear("a", false);
        assert_eq!(batch.due_ms(), Some(0));
        assert_eq!(batch.begin(1_000), ["a"]);
        batch.hear("b", false);
        batch.hear("c", false);
        assert_eq!(batch.due_ms(), Some(1_000 + ROUND_MS), "one write a round");
        batch.hear("d", true);
        assert_eq!(batch.due_ms(), Some(0), "at once when a receipt waits");
        assert_eq!(batch.begin(1_010), ["b", "c", "d"]);
        batch.hear("e", false);
        assert_eq!(
            batch.due_ms(),
            Some(1_010 + ROUND_MS),
            "urgency ends with its write"
        );
    }
}
