//! The ledger as all tasks of an edge share it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};

use super::Ledger;

/// Reading costs one integer compare while nothing was purged since the last look.
#[derive(Debug, Default)]
pub struct SharedLedger {
    ledger: RwLock<Ledger>,
    /// Counts the changes. Raised *after* a change is in, so that whoever sees the new number sees the change.
    generation: AtomicU64,
    /// Its local invalidations, to be read without a lock. Raised after they are in: whoever sees an older number is
    /// born before them, and that can only be too early.
    local: AtomicU64,
}

impl SharedLedger {
    pub fn read<T>(&self, look: impl FnOnce(&Ledger) -> T) -> T {
        // Nothing panics while it is held; and if it did, a ledger is whole after every single step.
        look(&self.ledger.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn change<T>(&self, enter: impl FnOnce(&mut Ledger) -> T) -> T {
        let mut ledger = self.ledger.write().unwrap_or_else(PoisonError::into_inner);
        let entered = enter(&mut ledger);
        self.local.store(ledger.local(), Ordering::Release);
        self.generation.fetch_add(1, Ordering::Release);
        entered
    }

    /// How many local invalidations there were.
    pub fn local(&self) -> u64 {
        self.local.load(Ordering::Acquire)
    }

    /// Read it *before* judging, and remember it with the verdict.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }
}
