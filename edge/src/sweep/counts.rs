//! What purges matched: each object once for every purge that it was there for, whether the sweep comes to it or it
//! leaves its shelf before.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use seawall_config::Revision;
use seawall_config::feed::Counted;
use seawall_config::scope::{Mode, Scope};

use crate::ledger::{Fingerprint, Fingerprints};
use crate::object::{Left, Object};

/// Scopes of purges that wait to be counted; what is purged past it is not counted. Of what is only counted, as many more.
const SCOPES_WAITING_MAX: usize = 100_000;

/// The purges whose objects are being counted, and those that wait for the next sweep.
#[derive(Debug)]
pub(super) struct Counts {
    prints: Fingerprints,
    waiting: Purges,
    sweeping: Arc<Purges>,
    /// How many sweeps there have been, with the one under way.
    sweep: u64,
}

/// Purges, by what they name.
#[derive(Debug, Default)]
pub(super) struct Purges {
    purges: Vec<Purge>,
    scopes: usize,
    by_scope: HashMap<Fingerprint, Vec<usize>>,
    everything: Vec<usize>,
}

#[derive(Debug)]
struct Purge {
    revision: Revision,
    /// None: it only counts.
    mode: Option<Mode>,
    objects: AtomicU64,
    bytes: AtomicU64,
}

/// One sweep's counting.
pub(super) struct Count {
    prints: Fingerprints,
    purges: Arc<Purges>,
    sweep: u64,
}

impl Counts {
    pub(super) fn new(prints: Fingerprints) -> Self {
        Self {
            prints,
            waiting: Purges::default(),
            sweeping: Arc::default(),
            sweep: 0,
        }
    }

    /// False: too many wait, and it will not be counted.
    pub(super) fn push(
        &mut self,
        revision: Revision,
        scopes: &[Scope],
        mode: Option<Mode>,
    ) -> bool {
        self.waiting.push(&self.prints, revision, scopes, mode)
    }

    /// A sweep begins: it counts for all that wait.
    pub(super) fn begin(&mut self) -> Count {
        self.sweep += 1;
        self.sweeping = Arc::new(std::mem::take(&mut self.waiting));
        Count {
            prints: self.prints.clone(),
            purges: self.sweeping.clone(),
            sweep: self.sweep,
        }
    }

    /// It has looked at everything.
    pub(super) fn end(&mut self) -> Vec<Counted> {
        std::mem::take(&mut self.sweeping).counted()
    }

    /// An object leaves its shelf, and nothing as old takes its place: no sweep will come to it any more.
    pub(super) fn gone(&self, object: &Object) {
        let left = object.sweeps.leave(self.sweep);
        if left == Left::Before {
            return;
        }
        let taken = self
            .sweeping
            .count(&self.prints, object, left == Left::Unseen);
        // What a hard purge took was not there for those that came later.
        if !taken {
            self.waiting.count(&self.prints, object, true);
        }
    }
}

impl Count {
    /// An object is on its shelf, and stays.
    pub(super) fn see(&self, object: &Object) {
        if object.sweeps.see(self.sweep) {
            self.purges.count(&self.prints, object, true);
        }
    }
}

impl Purges {
    fn push(
        &mut self,
        prints: &Fingerprints,
        revision: Revision,
        scopes: &[Scope],
        mode: Option<Mode>,
    ) -> bool {
        let room = match mode {
            Some(_) => SCOPES_WAITING_MAX,
            // Somebody waits for it.
            None => 2 * SCOPES_WAITING_MAX,
        };
        if self.scopes + scopes.len() > room {
            return false;
        }
        self.scopes += scopes.len();
        let number = self.purges.len();
        for scope in scopes {
            match scope {
                Scope::Everything => self.everything.push(number),
                scope => {
                    let named = self.by_scope.entry(prints.of(scope));
                    named.or_default().push(number);
                }
            }
        }
        self.purges.push(Purge {
            revision,
            mode,
            objects: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        });
        true
    }

    /// Counts an object, if it `counts`, for each purge that it was there for. Whether a hard one was among them.
    fn count(&self, prints: &Fingerprints, object: &Object, counts: bool) -> bool {
        if self.purges.is_empty() {
            return false;
        }
        let mut numbers = self.everything.clone();
        prints.each(&object.site, &object.key, &object.tags, |print| {
            numbers.extend(self.by_scope.get(&print).into_iter().flatten())
        });
        numbers.sort_unstable();
        numbers.dedup();
        for purge in numbers.iter().filter_map(|number| self.purges.get(*number)) {
            if object.birth.revision >= purge.revision {
                continue;
            }
            if counts {
                purge.objects.fetch_add(1, Ordering::Relaxed);
                purge.bytes.fetch_add(object.weight(), Ordering::Relaxed);
            }
            if purge.mode == Some(Mode::Hard) {
                return true;
            }
        }
        false
    }

    fn counted(&self) -> Vec<Counted> {
        let counted = self.purges.iter().map(|purge| Counted {
            revision: purge.revision,
            objects: purge.objects.load(Ordering::Relaxed),
            bytes: purge.bytes.load(Ordering::Relaxed),
        });
        counted.collect()
    }
}

#[cfg(test)]
mod tests;
