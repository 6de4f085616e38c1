//! What is fetched though it may be stored: all of a site that says `revalidate` while this edge is cut off, and what a
//! client wants from a revision that this edge has not reached.
//!
//! A whole fleet may be cut off in one moment. So an edge begins a little before its time is over, object by object,
//! and asks an origin no more often than the site allows: requests wait for their turn, and those that would wait for
//! long are refused. Pure: times and rates in, turns out.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::key::Key;

/// How long before it may vouch no more an edge begins to fetch what it holds.
const WANES_MS: u64 = 2_000;
/// How long a request waits for its turn.
const TURN_WAIT_MAX: Duration = Duration::from_secs(1);
/// How many turns may be taken at once, after a pause: those of so long.
const BURST: Duration = Duration::from_millis(100);

/// Whether an edge goes on using what it stores under `key`, `left_ms` before it may vouch no more. Each of an edge's
/// objects has a moment of its own, and each edge others: never a later one than the edge's.
pub fn is_relied_on(left_ms: u64, key: &Key, edge: &str) -> bool {
    if left_ms >= WANES_MS {
        return true;
    }
    let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one((key, edge));
    left_ms > hash % WANES_MS
}

/// The turns of one site at its origin.
#[derive(Debug, Default)]
pub struct Turns {
    /// When the next one is, in microseconds of CLOCK_BOOTTIME: the generic cell rate algorithm (ITU-T I.371).
    next_us: AtomicU64,
}

impl Turns {
    /// Takes one: how long it is until then. None: too long, and none is taken.
    pub fn take(&self, per_second: u32, now_ms: u64) -> Option<Duration> {
        let now_us = now_ms.saturating_mul(1_000);
        let mut wait = None;
        // Only the last try counts.
        let _ = self
            .next_us
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |next_us| {
                let (at_us, after_us) = turn(next_us, per_second, now_us);
                let until = Duration::from_micros(at_us.saturating_sub(now_us));
                wait = (until <= TURN_WAIT_MAX).then_some(until);
                wait.map(|_| after_us)
            });
        wait
    }
}

/// When the turn after `next_us` may be taken, and what comes after it.
fn turn(next_us: u64, per_second: u32, now_us: u64) -> (u64, u64) {
    let pause_us = 1_000_000 / u64::from(per_second.max(1));
    let burst_us = u64::try_from(BURST.as_micros()).unwrap_or_default();
    let at_us = next_us.max(now_us.saturating_sub(burst_us));
    (at_us, at_us.saturating_add(pause_us))
}

#[cfg(test)]
mod tests {
    use seawall_config::Revision;
    use seawall_config::scope::Scheme;

    use super::*;

    fn key(path: &str) -> Key {
        Key::new(Revision(1), Scheme::Http, "a", path).unwrap()
    }

    #[test]
    fn nothing_is_relied_on_when_the_time_is_over() {
        for n in 0..1_000 {
            assert!(!is_relied_on(0, &key(&format!("/{n}")), "e"), "{n}");
        }
    }

    #[test]
    fn objects_are_given_up_one_by_one() {
        let keys: Vec<_> = (0..10_000).map(|n| key(&format!("/{n}"))).collect();
        let relied = |left_ms, edge| {
            let relied = keys.iter().map(|key| is_relied_on(left_ms, key, edge));
            relied.collect::<Vec<_>>()
        };
        let count = |relied: &[bool]| relied.iter().filter(|relied| **relied).count();
        assert_eq!(count(&relied(WANES_MS, "e")), keys.len(), "not yet");
        let half = relied(WANES_MS / 2, "e");
        assert!((4_700..5_300).contains(&count(&half)), "{}", count(&half));
        let later = relied(WANES_MS / 4, "e");
        let taken_up_again = half
            .iter()
            .zip(&later)
            .filter(|(half, later)| !*half && **later);
        assert_eq!(taken_up_again.count(), 0, "given up is given up");
        assert_ne!(half, relied(WANES_MS / 2, "f"), "another edge, others");
    }

    #[test]
    fn turns_come_at_the_rate() {
        let turns = Turns::default();
        let waits = |now_ms, count| -> Vec<_> {
            let take = |_| turns.take(10, now_ms).map(|wait| wait.as_millis());
            (0..count).map(take).collect()
        };
        // A pause's worth at once, and the one that is due; then one each 100 ms; after a second's worth nobody waits.
        let first = waits(60_000, 14);
        assert_eq!(first[..4], [Some(0), Some(0), Some(100), Some(200)]);
        assert_eq!(first[10..], [Some(900), Some(1_000), None, None]);
        assert_eq!(waits(60_050, 2), [None, None], "who was refused took none");
        assert_eq!(waits(60_100, 2), [Some(1_000), None]);
        assert_eq!(waits(99_000, 3), [Some(0), Some(0), Some(100)]);
    }
}
