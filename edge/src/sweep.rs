//! After a purge: count what it matched, give the memory back, forget what no object is older than.
//!
//! Nothing waits for it. A purge is in force once it is in the ledger; this only tidies up behind it, a little at a
//! time, so that a million objects go without anybody's hit being late.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use seawall_config::Revision;
use seawall_config::scope::{Mode, Scope};
use tokio::sync::{Notify, watch};

mod counts;

use counts::{Count, Counts};

use crate::clock;
use crate::ledger::{Birth, Fingerprints, Life};
use crate::object::Object;
use crate::state::State;

/// How often the shelves are looked through when no purge asks for it.
const SWEEP_EVERY: Duration = Duration::from_secs(60);
/// After a sweep the next one waits for so many times as long as it took: purges that come meanwhile share one.
const REST_TIMES: u32 = 9;
/// But so long at least, and at most.
const REST_MIN: Duration = Duration::from_millis(10);
const REST_MAX: Duration = Duration::from_secs(10);

/// A sweep first works for so long at once: some thousand objects are counted before who purged them looks.
const FIRST_WORK_MAX: Duration = Duration::from_millis(10);
/// Then it looks through shelves for so long, and takes away what is dead of them;
const WORK_MAX: Duration = Duration::from_micros(100);
/// then it leaves the processors and moka's locks to those who serve: a tenth of one core is what it takes.
const PAUSE: Duration = Duration::from_micros(900);

/// Counts what purges matched, and tells when there is something to sweep.
pub struct Sweeper {
    // std's: nothing awaits while it is held.
    counts: Mutex<Counts>,
    wake: Notify,
    /// Signalled when counts are ready to be reported.
    pub counted: Notify,
}

/// Works a little, and pauses.
struct Pace {
    until: Instant,
    stop: watch::Receiver<bool>,
}

impl Sweeper {
    pub fn new(prints: Fingerprints) -> Self {
        Self {
            counts: Mutex::new(Counts::new(prints)),
            wake: Notify::new(),
            counted: Notify::new(),
        }
    }

    /// Counts from now on what this purge matches. `mode` None: nothing is purged, and what would be is counted. False:
    /// too many wait, and it will not be.
    pub fn count(&self, revision: Revision, scopes: &[Scope], mode: Option<Mode>) -> bool {
        self.counts().push(revision, scopes, mode)
    }

    /// An object leaves its shelf, and nothing as old takes its place.
    pub fn gone(&self, object: &Object) {
        self.counts().gone(object);
    }

    pub fn look_soon(&self) {
        self.wake.notify_one();
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Which entries of the ledger no object and no fill can be older than. One is forgotten only when it is older than
/// everything at *two* sweeps that are so far apart that a request which was routed before the first has opened its
/// fill by the second.
struct Forgetting {
    next: Instant,
    horizon: Option<Birth>,
}

impl Forgetting {
    fn new(now: Instant) -> Self {
        Self {
            next: now + SWEEP_EVERY,
            horizon: None,
        }
    }

    /// A sweep that began then has found what is oldest. None: nothing is to be forgotten yet.
    fn swept(&mut self, began: Instant, oldest: Birth) -> Option<Birth> {
        if began < self.next {
            return None;
        }
        self.next = began + SWEEP_EVERY;
        let before = self.horizon.replace(oldest);
        before.map(|before| oldest.floor(before))
    }
}

/// Sweeps after every purge, and now and then, until `stop`.
pub async fn run(state: Arc<State>, mut stop: watch::Receiver<bool>) {
    let mut forgetting = Forgetting::new(clock::instant());
    loop {
        tokio::select! {
            () = state.sweeper.wake.notified() => {}
            () = tokio::time::sleep(forgetting.next.saturating_duration_since(clock::instant())) => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
        let (sweeping, began) = (state.clone(), clock::instant());
        let pace = Pace::new(began, stop.clone());
        // Looking through a million objects takes a while: not on the threads that serve.
        let swept = tokio::task::spawn_blocking(move || sweep(&sweeping, pace)).await;
        let Ok(Some(oldest)) = swept else {
            continue;
        };
        if let Some(oldest) = forgetting.swept(began, oldest) {
            state.ledger.change(|ledger| ledger.forget(oldest));
        }
        let took = clock::instant() - began;
        let rest = (took * REST_TIMES).clamp(REST_MIN, REST_MAX);
        tokio::select! {
            () = tokio::time::sleep(rest) => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
}

/// Returns the oldest birth there is, an open fill's included; None where it was stopped.
fn sweep(state: &State, pace: Pace) -> Option<Birth> {
    state.storage.tidy();
    let now = state
        .ledger
        .read(|ledger| ledger.birth(state.snapshot.load().revision));
    let fills = state.fills.oldest();
    let count = state.sweeper.counts().begin();
    let oldest = look(state, &count, pace)?;
    let counted = state.sweeper.counts().end();
    if !counted.is_empty() {
        state.metrics.purged(&counted);
        state.put_back_counted(counted);
        state.sweeper.counted.notify_one();
    }
    let oldest = [oldest, fills].into_iter().flatten();
    Some(oldest.fold(now, Birth::floor))
}

/// Through all shelves, and away with what is dead: the oldest birth of what stays, if anything does. None where it was
/// stopped.
fn look(state: &State, count: &Count, mut pace: Pace) -> Option<Option<Birth>> {
    let mut oldest: Option<Birth> = None;
    for shelf in state.storage.shelves() {
        let mut dead = Vec::new();
        for object in shelf.iter() {
            if object.life(&state.ledger) == Life::HardDead {
                // It is counted as it leaves.
                dead.push(object.id);
            } else {
                count.see(object);
                oldest = Some(oldest.map_or(object.birth, |oldest| oldest.floor(object.birth)));
            }
        }
        if let (Some(object), false) = (shelf.first(), dead.is_empty()) {
            state.storage.remove(&object.key, &dead);
        }
        if pace.is_over(clock::instant()) {
            pace.pause()?;
        }
    }
    state.storage.tidy();
    Some(oldest)
}

impl Pace {
    fn new(now: Instant, stop: watch::Receiver<bool>) -> Self {
        let until = now + FIRST_WORK_MAX;
        Self { until, stop }
    }

    fn is_over(&self, now: Instant) -> bool {
        now >= self.until
    }

    /// None: the edge stops, and nobody needs the rest.
    fn pause(&mut self) -> Option<()> {
        if *self.stop.borrow() {
            return None;
        }
        // A thread of its own, that holds nothing: a timer of the runtime's would wake one that serves, each time.
        std::thread::sleep(PAUSE);
        self.until = clock::instant() + WORK_MAX;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ledger_forgets_however_often_something_is_purged() {
        let start = clock::instant();
        let mut forgetting = Forgetting::new(start);
        let birth = |second: u64| Birth {
            revision: Revision(second),
            ..Birth::default()
        };
        let forgets: Vec<_> = (1..=185)
            .filter_map(|second| {
                let began = start + Duration::from_secs(second);
                let oldest = forgetting.swept(began, birth(second))?;
                Some((second, oldest.revision.0))
            })
            .collect();
        assert_eq!(forgets, [(120, 60), (180, 120)]);
    }
}
