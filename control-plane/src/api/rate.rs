//! How often one caller may ask, and how much at once. A token bucket each: time goes in, a verdict comes out. Pure.

use std::collections::HashMap;

/// Requests a caller may send at once, after a pause.
const BURST: f64 = 200.0;
/// And in the long run, each second.
const PER_SECOND: f64 = 100.0;
/// Requests a caller may have under way: those that wait for a receipt, mostly.
const UNDER_WAY_MAX: u32 = 64;
/// Callers that are remembered; beyond that those go who may send everything again, and then all who have nothing under
/// way.
const CALLERS_MAX: usize = 10_000;

#[derive(Debug, Default)]
pub(super) struct Rates(HashMap<String, Bucket>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Go,
    /// Within a second again.
    TooOften,
    /// When something under way has been answered.
    TooMany,
}

#[derive(Debug)]
struct Bucket {
    left: f64,
    at_ms: u64,
    under_way: u32,
}

impl Rates {
    /// Whether a caller may begin something now; after [`Verdict::Go`] it is to be told of the end.
    pub(super) fn begin(&mut self, caller: &str, now_ms: u64) -> Verdict {
        let verdict = self.ask(caller, now_ms);
        let Some(bucket) = self.0.get_mut(caller) else {
            return verdict;
        };
        match verdict {
            Verdict::Go if bucket.under_way >= UNDER_WAY_MAX => Verdict::TooMany,
            Verdict::Go => {
                bucket.under_way += 1;
                Verdict::Go
            }
            other => other,
        }
    }

    pub(super) fn end(&mut self, caller: &str) {
        if let Some(bucket) = self.0.get_mut(caller) {
            bucket.under_way = bucket.under_way.saturating_sub(1);
        }
    }

    /// Whether a caller may ask now for what takes no time.
    pub(super) fn ask(&mut self, caller: &str, now_ms: u64) -> Verdict {
        if self.0.len() >= CALLERS_MAX && !self.0.contains_key(caller) {
            self.forget(now_ms);
        }
        let full = Bucket {
            left: BURST,
            at_ms: now_ms,
            under_way: 0,
        };
        let bucket = self.0.entry(caller.to_owned()).or_insert(full);
        let left = bucket.filled(now_ms);
        bucket.at_ms = bucket.at_ms.max(now_ms);
        bucket.left = if left >= 1.0 { left - 1.0 } else { left };
        match left >= 1.0 {
            true => Verdict::Go,
            false => Verdict::TooOften,
        }
    }

    fn forget(&mut self, now_ms: u64) {
        self.0
            .retain(|_, bucket| bucket.under_way > 0 || bucket.filled(now_ms) < BURST);
        if self.0.len() >= CALLERS_MAX {
            self.0.retain(|_, bucket| bucket.under_way > 0);
        }
    }
}

impl Bucket {
    fn filled(&self, now_ms: u64) -> f64 {
        let seconds = now_ms.saturating_sub(self.at_ms) as f64 / 1_000.0;
        (self.left + seconds * PER_SECOND).min(BURST)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn a_caller_gets_a_burst_and_then_a_rate_and_disturbs_nobody() {
        let mut rates = Rates::default();
        let mut taken = |caller: &str, count: u32, now_ms: u64| {
            let asked = (0..count).map(|_| rates.ask(caller, now_ms));
            asked.filter(|verdict| *verdict == Verdict::Go).count()
        };
        assert_eq!(taken("a", 300, 0), 200);
        assert_eq!(taken("b", 300, 0), 200);
        assert_eq!(taken("a", 300, 500), 50);
        assert_eq!(taken("a", 300, 60_000), 200);
        // A clock that went back gives nothing away.
        assert_eq!(taken("a", 300, 0), 0);
        assert_eq!(taken("a", 300, 60_000), 0);
    }

    #[test]
    fn a_caller_has_so_much_under_way_and_no_more() {
        let mut rates = Rates::default();
        for _ in 0..UNDER_WAY_MAX {
            assert_eq!(rates.begin("a", 0), Verdict::Go);
        }
        assert_eq!(rates.begin("a", 0), Verdict::TooMany);
        assert_eq!(rates.begin("b", 0), Verdict::Go);
        rates.end("a");
        assert_eq!(rates.begin("a", 0), Verdict::Go);
        assert_eq!(rates.begin("a", 0), Verdict::TooMany);
    }

    #[test]
    fn callers_are_bounded_and_what_is_under_way_is_remembered() {
        let mut rates = Rates::default();
        for _ in 0..UNDER_WAY_MAX {
            rates.begin("busy", 0);
        }
        for n in 0..3 * CALLERS_MAX {
            assert_eq!(rates.ask(&n.to_string(), 0), Verdict::Go);
            assert!(rates.0.len() <= CALLERS_MAX);
        }
        assert_eq!(rates.begin("busy", 60_000), Verdict::TooMany);
    }
}
