//! After a purge: count what it matched, give the memory back, forget what no object is older than.
//!
//! Nothing waits for it. A purge is in force once it is in the ledger; this only tidies up behind it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use seawall_config::Revision;
use seawall_config::feed::Counted;
use seawall_config::scope::{Mode, Scope};
use tokio::sync::{Notify, watch};

use crate::clock;
use crate::key::Key;
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

/// The purges that wait to be counted.
#[derive(Default)]
pub struct Sweeper {
    waiting: Mutex<Vec<Waiting>>,
    wake: Notify,
    /// Signalled when counts are ready to be reported.
    pub counted: Notify,
}

struct Waiting {
    revision: Revision,
    scopes: Vec<Scope>,
    /// None: it only counts.
    mode: Option<Mode>,
}

/// What one look through the shelves found.
#[derive(Default)]
struct Found {
    counted: Vec<Counted>,
    dead: HashMap<Key, Vec<u64>>,
    oldest: Option<Birth>,
}

impl Sweeper {
    /// `mode` None: nothing was purged, and what would be is counted.
    pub fn count(&self, revision: Revision, scopes: &[Scope], mode: Option<Mode>) {
        let waiting = Waiting {
            revision,
            scopes: scopes.to_vec(),
            mode,
        };
        self.waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(waiting);
        self.wake.notify_one();
    }

    pub fn look_soon(&self) {
        self.wake.notify_one();
    }
}

/// Sweeps after every purge, and now and then, until `stop`.
pub async fn run(state: Arc<State>, mut stop: watch::Receiver<bool>) {
    // An entry is forgotten only when it is older than everything at *two* sweeps: a request that was routed
    // before the first has opened its fill by the second.
    let mut horizon: Option<Birth> = None;
    loop {
        let timed = tokio::select! {
            () = state.sweeper.wake.notified() => false,
            () = tokio::time::sleep(SWEEP_EVERY) => true,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        let (sweeping, began) = (state.clone(), clock::instant());
        // Looking through a million objects takes a while: not on the threads that serve.
        let Ok(oldest) = tokio::task::spawn_blocking(move || sweep(&sweeping)).await else {
            continue;
        };
        if timed {
            if let Some(horizon) = horizon {
                state
                    .ledger
                    .change(|ledger| ledger.forget(oldest.floor(horizon)));
            }
            horizon = Some(oldest);
        }
        let took = clock::instant() - began;
        let rest = (took * REST_TIMES).clamp(REST_MIN, REST_MAX);
        tokio::select! {
            () = tokio::time::sleep(rest) => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
}

/// Returns the oldest birth there is, an open fill's included.
fn sweep(state: &State) -> Birth {
    state.storage.tidy();
    let now = state
        .ledger
        .read(|ledger| ledger.birth(state.snapshot.load().revision));
    let fills = state.fills.oldest();
    let waiting = std::mem::take(
        &mut *state
            .sweeper
            .waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner),
    );
    let prints = state.ledger.read(|ledger| ledger.prints().clone());
    let found = look(state, &waiting, &prints);
    for (key, ids) in &found.dead {
        state.storage.remove(key, ids);
    }
    state.storage.tidy();
    if !found.counted.is_empty() {
        state.metrics.purged(&found.counted);
        state.put_back_counted(found.counted);
        state.sweeper.counted.notify_one();
    }
    [found.oldest, fills]
        .into_iter()
        .flatten()
        .fold(now, Birth::floor)
}

fn look(state: &State, waiting: &[Waiting], prints: &Fingerprints) -> Found {
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
    let mut counts = vec![(0, 0); waiting.len()];
    let mut found = Found::default();
    state.storage.each(|object| {
        for number in matched(object, waiting, &by_scope, &everything, prints) {
            if let Some((objects, bytes)) = counts.get_mut(number) {
                *objects += 1;
                *bytes += object.weight();
            }
        }
        if object.life(&state.ledger) == Life::HardDead {
            found
                .dead
                .entry(object.key.clone())
                .or_default()
                .push(object.id);
        } else {
            found.oldest = Some(
                found
                    .oldest
                    .map_or(object.birth, |oldest| oldest.floor(object.birth)),
            );
        }
    });
    let counted = waiting.iter().zip(counts);
    found.counted = counted
        .map(|(purge, (objects, bytes))| Counted {
            revision: purge.revision,
            objects,
            bytes,
        })
        .collect();
    found
}

/// The purges, in order, that an object was there for; what a hard purge took is not there for the next.
fn matched(
    object: &Object,
    waiting: &[Waiting],
    by_scope: &HashMap<Fingerprint, Vec<usize>>,
    everything: &[usize],
    prints: &Fingerprints,
) -> Vec<usize> {
    if waiting.is_empty() {
        return Vec::new();
    }
    let mut numbers = everything.to_vec();
    prints.each(&object.site, &object.key, &object.tags, |print| {
        numbers.extend(by_scope.get(&print).into_iter().flatten())
    });
    numbers.sort_unstable();
    numbers.dedup();
    let mut taken = false;
    numbers.retain(|number| {
        let Some(purge) = waiting.get(*number) else {
            return false;
        };
        let counts = !taken && object.birth.revision < purge.revision;
        taken |= counts && purge.mode == Some(Mode::Hard);
        counts
    });
    numbers
}
