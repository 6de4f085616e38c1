//! How often one caller may ask. A token bucket each: time goes in, a verdict comes out. Pure.

use std::collections::HashMap;

/// Requests a caller may send at once, after a pause.
const BURST: f64 = 200.0;
/// And in the long run, each second.
const PER_SECOND: f64 = 100.0;
/// Callers that are remembered; beyond that those go who may send everything again, and then everyone.
const CALLERS_MAX: usize = 10_000;

#[derive(Debug, Default)]
pub(super) struct Rates(HashMap<String, Bucket>);

#[derive(Debug)]
struct Bucket {
    left: f64,
    at_ms: u64,
}

impl Rates {
    /// Whether a caller may ask now; if not, within a second.
    pub(super) fn take(&mut self, caller: &str, now_ms: u64) -> bool {
        if self.0.len() >= CALLERS_MAX && !self.0.contains_key(caller) {
            self.0.retain(|_, bucket| bucket.filled(now_ms) < BURST);
            if self.0.len() >= CALLERS_MAX {
                self.0.clear();
            }
        }
        let full = Bucket {
            left: BURST,
            at_ms: now_ms,
        };
        let bucket = self.0.entry(caller.to_owned()).or_insert(full);
        let left = bucket.filled(now_ms);
        *bucket = Bucket {
            left: if left >= 1.0 { left - 1.0 } else { left },
            at_ms: bucket.at_ms.max(now_ms),
        };
        left >= 1.0
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
            (0..count).filter(|_| rates.take(caller, now_ms)).count()
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
    fn callers_are_bounded() {
        let mut rates = Rates::default();
        for n in 0..3 * CALLERS_MAX {
            assert!(rates.take(&n.to_string(), 0));
            assert!(rates.0.len() <= CALLERS_MAX);
        }
    }
}
