//! The only file that reads time: the wall clock, for people, and a clock that counts suspend, for fences.
//! A test brings a clock that stands still until it is told to move.
#![allow(clippy::disallowed_methods)] // the one file that may

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};
use tokio::sync::watch;

/// After a suspend the runtime's timers are late by as long as it lasted; so look again this often.
const LOOK_AGAIN_MS: u64 = 1_000;
/// Where the wall clock of [`Clock::manual`] begins, in milliseconds since 1970.
const MANUAL_WALL_MS: u64 = 1_800_000_000_000;

/// What time it is, and how to wait for a time.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    Manual(watch::Sender<u64>),
}

impl Clock {
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that moves by [`Clock::advance`] only.
    pub fn manual() -> Self {
        Self(Source::Manual(watch::Sender::new(0)))
    }

    /// Moves a manual clock; the system's is not ours to move.
    pub fn advance(&self, by: Duration) {
        if let Source::Manual(ms) = &self.0 {
            ms.send_modify(|ms| *ms = ms.saturating_add(millis(by)));
        }
    }

    /// Milliseconds of CLOCK_BOOTTIME: it never steps, and goes on while the machine is suspended.
    pub fn now_ms(&self) -> u64 {
        match &self.0 {
            Source::Manual(ms) => *ms.borrow(),
            Source::System => {
                let now = clock_gettime(ClockId::Boottime);
                let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
                let nanos = u64::try_from(now.tv_nsec).unwrap_or_default();
                seconds * 1_000 + nanos / 1_000_000
            }
        }
    }

    /// Milliseconds since 1970; may step. Never compared with another machine's.
    pub fn wall_ms(&self) -> u64 {
        match &self.0 {
            Source::Manual(ms) => MANUAL_WALL_MS + *ms.borrow(),
            Source::System => millis(
                SystemTime::now()
                    .duration_since(UNIX_EPOCH)
                    .unwrap_or_default(),
            ),
        }
    }

    /// Completes once [`Clock::now_ms`] is `at_ms` or later. Cancel-safe.
    pub async fn reach(&self, at_ms: u64) {
        match &self.0 {
            Source::Manual(ms) => {
                // An error would mean that the sender is gone, and `self` holds it.
                let _ = ms.subscribe().wait_for(|now| *now >= at_ms).await;
            }
            Source::System => {
                while let Some(left @ 1..) = at_ms.checked_sub(self.now_ms()) {
                    tokio::time::sleep(Duration::from_millis(left.min(LOOK_AGAIN_MS))).await;
                }
            }
        }
    }
}

/// Whole milliseconds; more than 2^64 of them are as good as never.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
