//! Says when requests are due, to some ten microseconds: a thread of its own, because the runtime's
//! timers tick in milliseconds, which is longer than a cache hit takes.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::clock;
use crate::schedule::Schedule;

/// The longest sleep, so that the thread soon notices that nobody listens any more.
const NAP_MAX: Duration = Duration::from_millis(50);

/// How many requests of the schedule are due, from `start` on. Ends with the schedule, or its listener.
pub(crate) fn start(schedule: Schedule, start: Instant) -> io::Result<watch::Receiver<u64>> {
    let (teller, listener) = watch::channel(0);
    let pace = move || {
        let mut told = 0;
        while told < schedule.count() && !teller.is_closed() {
            let elapsed = clock::now().saturating_duration_since(start);
            let due = schedule.due(elapsed);
            if due > told {
                told = due;
                teller.send_replace(due);
            }
            thread::sleep(schedule.at(told).saturating_sub(elapsed).min(NAP_MAX));
        }
    };
    thread::Builder::new()
        .name("pacer".to_owned())
        .spawn(pace)?;
    Ok(listener)
}
