//! What is kept once for each thread, so that none waits for another's.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Of the calling thread: 0 for the first that asks, 1 for the next, and so on.
pub fn number() -> usize {
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static NUMBER: Cell<usize> = Cell::new(THREADS.fetch_add(1, Ordering::Relaxed));
    }
    NUMBER.get()
}
