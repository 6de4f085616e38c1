//! The only file that reads clocks. Rules, follower and heartbeat get the time as an argument.
#![allow(clippy::disallowed_methods)] // the one file that may

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

/// The wall clock: for HTTP dates and for people. It may jump.
pub fn now() -> SystemTime {
    SystemTime::now()
}

/// The wall clock in milliseconds since 1970.
pub fn wall_ms() -> u64 {
    let since = now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// For measuring how long something took. It stands still while the machine is suspended.
pub fn instant() -> Instant {
    Instant::now()
}

/// Milliseconds since the machine started, *suspend included*: what the right to vouch is measured by.
/// An edge that slept for a minute must know it.
pub fn boottime_ms() -> u64 {
    let time = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    let nanoseconds = u64::try_from(time.tv_nsec).unwrap_or_default();
    seconds * 1_000 + nanoseconds / 1_000_000
}
