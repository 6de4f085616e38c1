//! Purges that take a moment to settle: an origin whose replicas lag may go on answering as before. What is fetched
//! meanwhile is used until the moment is over, and not after it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use seawall_config::Scope;
use tokio::sync::{Notify, watch};

use crate::clock;
use crate::state::State;

/// Purges that settle at a time; what is more settles as one with the last of them.
const SETTLING_MAX: usize = 10_000;
/// A machine may be suspended while a timer runs.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

pub struct Settling {
    /// The next to end last.
    open: Mutex<Vec<Open>>,
    /// When that ends; `u64::MAX` where none is open.
    next_ms: AtomicU64,
    begun: Notify,
}

struct Open {
    /// By CLOCK_BOOTTIME.
    ends_ms: u64,
    scopes: Vec<Scope>,
}

impl Settling {
    pub fn begin(&self, scopes: &[Scope], settle_ms: u64) {
        if settle_ms == 0 {
            return;
        }
        let ends_ms = clock::boottime_ms().saturating_add(settle_ms);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        enter(&mut open, ends_ms, scopes);
        self.note_next(&open);
        drop(open);
        self.begun.notify_one();
    }

    /// Ends those whose time has come; what each covered is told to `settle`. While none is open, and almost always none
    /// is, that is one look at a number. Whether there were any.
    pub fn end_due(&self, now_ms: impl FnOnce() -> u64, mut settle: impl FnMut(&[Scope])) -> bool {
        let next_ms = self.next_ms.load(Ordering::Acquire);
        if next_ms == u64::MAX {
            return false;
        }
        let now_ms = now_ms();
        if now_ms < next_ms {
            return false;
        }
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let at = open.partition_point(|open| open.ends_ms > now_ms);
        // Under the lock: who looks next, looks at what has settled.
        let ended = open.split_off(at);
        ended.iter().for_each(|open| settle(&open.scopes));
        self.note_next(&open);
        !ended.is_empty()
    }

    fn note_next(&self, open: &[Open]) {
        let next_ms = open.last().map_or(u64::MAX, |open| open.ends_ms);
        self.next_ms.store(next_ms, Ordering::Release);
    }
}

impl Default for Settling {
    fn default() -> Self {
        Self {
            open: Mutex::default(),
            next_ms: AtomicU64::new(u64::MAX),
            begun: Notify::new(),
        }
    }
}

fn enter(open: &mut Vec<Open>, ends_ms: u64, scopes: &[Scope]) {
    if open.len() >= SETTLING_MAX {
        // To purge too much is the safe mistake; the last to end covers them all.
        let last_ms = open.first().map_or(0, |first| first.ends_ms);
        let (ends_ms, scopes) = (ends_ms.max(last_ms), vec![Scope::Everything]);
        *open = vec![Open { ends_ms, scopes }];
        return;
    }
    let at = open.partition_point(|open| open.ends_ms > ends_ms);
    let scopes = scopes.to_vec();
    open.insert(at, Open { ends_ms, scopes });
}

/// Ends them in their time, until `stop`, also where nobody asks for what they cover.
pub async fn run(state: Arc<State>, mut stop: watch::Receiver<bool>) {
    loop {
        let next_ms = state.settling.next_ms.load(Ordering::Acquire);
        let ended = async {
            if next_ms == u64::MAX {
                std::future::pending().await
            }
            let left_ms = next_ms.saturating_sub(clock::boottime_ms());
            tokio::time::sleep(Duration::from_millis(left_ms).min(LOOK_INTERVAL)).await;
        };
        tokio::select! {
            () = ended => {}
            () = state.settling.begun.notified() => continue,
            _ = stop.wait_for(|stop| *stop) => return,
        }
        state.settle();
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn who_looks_after_the_end_finds_it_settled() {
        let settling = Settling::default();
        let settled = |now_ms| {
            let mut count = 0;
            settling.end_due(|| now_ms, |scopes| count += scopes.len());
            count
        };
        let begun_ms = clock::boottime_ms();
        assert_eq!(settled(u64::MAX), 0, "nothing settles");
        settling.begin(&[Scope::Site("a".into())], 60_000);
        settling.begin(&[Scope::Site("b".into())], 120_000);
        assert_eq!(settled(begun_ms + 59_999), 0);
        assert_eq!(settled(begun_ms + 119_999), 1);
        assert_eq!(settled(begun_ms + 119_999), 0);
        assert_eq!(settled(u64::MAX), 1);
    }

    #[test]
    fn the_next_to_end_is_last_and_too_many_are_one() {
        let (mut open, site) = (Vec::new(), [Scope::Site("a".into())]);
        for ends_ms in [3, 1, 2] {
            enter(&mut open, ends_ms, &site);
        }
        let ends: Vec<_> = open.iter().map(|open| open.ends_ms).collect();
        assert_eq!(ends, [3, 2, 1]);
        while open.len() < SETTLING_MAX {
            enter(&mut open, 0, &site);
        }
        enter(&mut open, 0, &site);
        assert_eq!(open.len(), 1);
        let all = &open[0];
        assert_eq!(all.scopes, [Scope::Everything]);
        assert_eq!(all.ends_ms, 3, "none ends before its time");
    }
}
