//! Waiting for something to come true.

use std::thread::sleep;
use std::time::Duration;

/// However slow the machine: what has not happened by then will not happen.
pub const WAIT_MAX: Duration = Duration::from_secs(30);
/// Between two looks.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// Looks until `is_so`; panics, naming `what`, when it never is.
#[track_caller]
pub fn eventually(what: &str, is_so: impl FnMut() -> bool) {
    within(WAIT_MAX, what, is_so);
}

/// The same for what takes its time.
#[track_caller]
pub fn within(max: Duration, what: &str, mut is_so: impl FnMut() -> bool) {
    // Counted, so that nobody here asks what time it is.
    for _ in 0..max.as_millis() / LOOK_INTERVAL.as_millis() {
        if is_so() {
            return;
        }
        sleep(LOOK_INTERVAL);
    }
    panic!("waited {max:?} in vain until {what}");
}
