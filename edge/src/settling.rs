//! Purges that take a moment to settle: an origin whose replicas lag may go on answering as before. What is fetched
//! meanwhile is used until the moment is over, and not after it.

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

#[derive(Default)]
pub struct Settling {
    /// The next to end last.
    open: Mutex<Vec<Open>>,
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
        drop(open);
        self.begun.notify_one();
    }

    fn next_ms(&self) -> Option<u64> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.last().map(|open| open.ends_ms)
    }

    fn ended(&self, now_ms: u64) -> Vec<Open> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let at = open.partition_point(|open| open.ends_ms > now_ms);
        open.split_off(at)
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

/// Ends them in their time, until `stop`.
pub async fn run(state: Arc<State>, mut stop: watch::Receiver<bool>) {
    loop {
        let next_ms = state.settling.next_ms();
        let ended = async {
            match next_ms.map(|next_ms| next_ms.saturating_sub(clock::boottime_ms())) {
                Some(left_ms) => {
                    tokio::time::sleep(Duration::from_millis(left_ms).min(LOOK_INTERVAL)).await;
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = ended => {}
            () = state.settling.begun.notified() => continue,
            _ = stop.wait_for(|stop| *stop) => return,
        }
        let ended = state.settling.ended(clock::boottime_ms());
        for open in &ended {
            state.ledger.change(|ledger| ledger.settle(&open.scopes));
        }
        if !ended.is_empty() {
            state.sweeper.look_soon();
        }
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::*;

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
