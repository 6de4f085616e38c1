//! After a purge: count what it matched, give the memory back, forget what no object is older than.
//!
//! Nothing waits for it. A purge is in force once it is in the ledger; this only tidies up behind it, a little at a
//! time, so that a million objects go without anybody's hit being late.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use seawall_config::Revision;
use seawall_config::feed::Counted;
use seawall_config::scope::{Mode, Scope};
use tokio::sync::{Notify, watch};

use crate::clock;
use crate::ledger::{Birth, Fingerprint, Fingerprints, Life};
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

/// Scopes of purges that wait to be counted; what is purged past it is not counted. Of what is only counted, as many more.
const SCOPES_WAITING_MAX: usize = 100_000;

/// The purges that wait to be counted.
#[derive(Default)]
pub struct Sweeper {
    waiting: Mutex<Queue>,
    wake: Notify,
    /// Signalled when counts are ready to be reported.
    pub counted: Notify,
}

#[derive(Default)]
struct Queue {
    purges: Vec<Waiting>,
    scopes: usize,
}

struct Waiting {
    revision: Revision,
    scopes: Vec<Scope>,
    /// None: it only counts.
    mode: Option<Mode>,
}

/// What one sweep found.
#[derive(Default)]
struct Found {
    counted: Vec<Counted>,
    oldest: Option<Birth>,
}

/// Works a little, and pauses.
struct Pace {
    until: Instant,
    stop: watch::Receiver<bool>,
}

/// Purges that wait, by what they name.
struct Index<'a> {
    waiting: &'a [Waiting],
    by_scope: HashMap<Fingerprint, Vec<usize>>,
    everything: Vec<usize>,
    prints: Fingerprints,
}

impl Sweeper {
    /// `mode` None: nothing was purged, and what would be is counted. False: too many wait, and it will not be.
    pub fn count(&self, revision: Revision, scopes: &[Scope], mode: Option<Mode>) -> bool {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = waiting.push(revision, scopes, mode);
        drop(waiting);
        self.wake.notify_one();
        counts
    }

    pub fn look_soon(&self) {
        self.wake.notify_one();
    }
}

impl Queue {
    fn push(&mut self, revision: Revision, scopes: &[Scope], mode: Option<Mode>) -> bool {
        let room = match mode {
            Some(_) => SCOPES_WAITING_MAX,
            // Somebody waits for it.
            None => 2 * SCOPES_WAITING_MAX,
        };
        let fits = self.scopes + scopes.len() <= room;
        if fits {
            self.scopes += scopes.len();
            self.purges.push(Waiting {
                revision,
                scopes: scopes.to_vec(),
                mode,
            });
        }
        fits
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
    let waiting = &state.sweeper.waiting;
    let waiting = std::mem::take(&mut *waiting.lock().unwrap_or_else(PoisonError::into_inner));
    let prints = state.ledger.read(|ledger| ledger.prints().clone());
    let found = look(state, &Index::new(&waiting.purges, prints), pace)?;
    if !found.counted.is_empty() {
        state.metrics.purged(&found.counted);
        state.put_back_counted(found.counted);
        state.sweeper.counted.notify_one();
    }
    let oldest = [found.oldest, fills].into_iter().flatten();
    Some(oldest.fold(now, Birth::floor))
}

/// Through all shelves, and away with what is dead.
fn look(state: &State, index: &Index<'_>, mut pace: Pace) -> Option<Found> {
    let mut counts = vec![(0, 0); index.waiting.len()];
    let mut oldest: Option<Birth> = None;
    for shelf in state.storage.shelves() {
        let mut dead = Vec::new();
        for object in shelf.iter() {
            for number in index.matched(object) {
                if let Some((objects, bytes)) = counts.get_mut(number) {
                    *objects += 1;
                    *bytes += object.weight();
                }
            }
            if object.life(&state.ledger) == Life::HardDead {
                dead.push(object.id);
            } else {
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
    let counted = index.waiting.iter().zip(counts);
    let counted = counted.map(|(purge, (objects, bytes))| Counted {
        revision: purge.revision,
        objects,
        bytes,
    });
    Some(Found {
        counted: counted.collect(),
        oldest,
    })
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

impl<'a> Index<'a> {
    fn new(waiting: &'a [Waiting], prints: Fingerprints) -> Self {
        let mut by_scope: HashMap<Fingerprint, Vec<usize>> = HashMap::new();
        let mut everything = Vec::new();
        for (number, purge) in waiting.iter().enumerate() {
            for scope in &purge.scopes {
                match scope {
                    Scope::Everything => everything.push(number),
                    scope => by_scope.entry(prints.of(scope)).or_default().push(number),
                }
            }
        }
        Self {
            waiting,
            by_scope,
            everything,
            prints,
        }
    }

    /// The purges, in order, that an object was there for; what a hard purge took is not there for the next.
    fn matched(&self, object: &Object) -> Vec<usize> {
        if self.waiting.is_empty() {
            return Vec::new();
        }
        let mut numbers = self.everything.clone();
        self.prints
            .each(&object.site, &object.key, &object.tags, |print| {
                numbers.extend(self.by_scope.get(&print).into_iter().flatten())
            });
        numbers.sort_unstable();
        numbers.dedup();
        let mut taken = false;
        numbers.retain(|number| {
            let Some(purge) = self.waiting.get(*number) else {
                return false;
            };
            let counts = !taken && object.birth.revision < purge.revision;
            taken |= counts && purge.mode == Some(Mode::Hard);
            counts
        });
        numbers
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

    #[test]
    fn too_many_purges_are_not_counted_and_a_dry_run_is() {
        let mut queue = Queue::default();
        let scopes = vec![Scope::Everything; SCOPES_WAITING_MAX / 2];
        let mut push = |mode| queue.push(Revision(1), &scopes, mode);
        assert!(push(Some(Mode::Hard)) && push(Some(Mode::Soft)));
        assert!(!push(Some(Mode::Hard)));
        assert!(push(None) && push(None) && !push(None));
        let one = [Scope::Everything];
        assert!(!queue.push(Revision(1), &one, Some(Mode::Hard)));
    }
}
