//! What an open loop does when it comes to a request. Pure.

use std::time::Duration;

use crate::plan::CONNECTIONS_MAX;

/// How long after its end a run still sends what should have left before; the rest it gives up.
pub(crate) const LATE_MAX: Duration = Duration::from_secs(1);

/// Of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Running,
    /// All of its time has passed, and with it that of every request of its schedule.
    Ended,
    /// Somebody ended it before: what was not sent by then was not meant to be.
    Stopped,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Send,
    /// Too many are unanswered: it is not sent, and that is the server's doing.
    HoldBack,
    /// This one and all that follow should have been sent, and are not: the generator's doing.
    GiveUp,
    /// Neither sent nor counted.
    Stop,
}

/// For a request whose time has come, unless somebody stopped the run. `too_late`: later than [`LATE_MAX`] after the
/// end. `unanswered`: requests under way.
pub(super) fn step(phase: Phase, too_late: bool, unanswered: usize) -> Step {
    match (phase, too_late) {
        (Phase::Stopped, _) => Step::Stop,
        (_, true) => Step::GiveUp,
        (_, false) if unanswered >= CONNECTIONS_MAX => Step::HoldBack,
        (_, false) => Step::Send,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_due_is_sent_or_told() {
        let check = |phase: Phase, too_late: bool, unanswered: usize, expect: Step| {
            let found = step(phase, too_late, unanswered);
            assert_eq!(found, expect, "{phase:?} {too_late} {unanswered}");
        };
        check(Phase::Running, false, 0, Step::Send);
        check(Phase::Running, false, CONNECTIONS_MAX - 1, Step::Send);
        check(Phase::Running, false, CONNECTIONS_MAX, Step::HoldBack);
        // The end of its time is no end of what was due before.
        check(Phase::Ended, false, 0, Step::Send);
        check(Phase::Ended, false, CONNECTIONS_MAX, Step::HoldBack);
        check(Phase::Ended, true, 0, Step::GiveUp);
        check(Phase::Ended, true, CONNECTIONS_MAX, Step::GiveUp);
        check(Phase::Running, true, 0, Step::GiveUp);
        for too_late in [false, true] {
            check(Phase::Stopped, too_late, 0, Step::Stop);
            check(Phase::Stopped, too_late, CONNECTIONS_MAX, Step::Stop);
        }
    }
}
