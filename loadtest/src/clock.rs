//! The one place of this crate that asks what time it is.
#![allow(clippy::disallowed_methods)] // the one file that may

use std::time::{Instant, SystemTime};

/// For durations.
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// For dates.
pub(crate) fn wall() -> SystemTime {
    SystemTime::now()
}
