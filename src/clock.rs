//! The one place where this package asks what time it is.
#![allow(clippy::disallowed_methods)] // the one file that may

use std::time::{Instant, SystemTime};

/// For measuring how long something took.
pub(crate) fn instant() -> Instant {
    Instant::now()
}

/// The wall clock.
pub(crate) fn now() -> SystemTime {
    SystemTime::now()
}
