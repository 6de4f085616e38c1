//! How many second tries there may be: a share of the requests, so that an origin in trouble is not asked three times as
//! much. Pure.

/// Second tries that are always there, and one more each second: a site with few requests may try again, too.
const RESERVE: u64 = 10;
/// Tries are counted in hundredths: each request brings in as many as the percentage says.
const TRY: u64 = 100;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    hundredths: u64,
    /// When a second's try was added last.
    filled_ms: u64,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            hundredths: RESERVE * TRY,
            filled_ms: 0,
        }
    }
}

impl Budget {
    /// A request that goes for the first time.
    pub fn request(&mut self, percent: u32) {
        self.add(u64::from(percent));
    }

    /// Whether one may be tried again; if so, that is taken.
    pub fn take(&mut self, percent: u32, now_ms: u64) -> bool {
        if percent == 0 {
            return false;
        }
        let seconds = now_ms.saturating_sub(self.filled_ms) / 1_000;
        if seconds > 0 {
            self.filled_ms = now_ms;
            self.add(seconds.min(RESERVE) * TRY);
        }
        match self.hundredths.checked_sub(TRY) {
            Some(left) => {
                self.hundredths = left;
                true
            }
            None => false,
        }
    }

    fn add(&mut self, hundredths: u64) {
        self.hundredths = (self.hundredths + hundredths).min(RESERVE * TRY);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_are_a_share_of_the_requests_and_a_few_that_are_always_there() {
        let check = |requests: u32, percent: u32, expect: usize| {
            let mut budget = Budget::default();
            let mut tried = (0..requests).filter(|_| {
                budget.request(percent);
                budget.take(percent, 0)
            });
            assert_eq!(tried.by_ref().count(), expect, "{requests} {percent}");
        };
        check(5, 20, 5);
        check(1_000, 20, 209);
        check(1_000, 0, 0);
        check(1_000, 100, 1_000);
    }

    #[test]
    fn a_quiet_time_saves_up_no_more_than_the_reserve() {
        let mut budget = Budget::default();
        let mut spend = |now_ms| (0..100).filter(|_| budget.take(20, now_ms)).count();
        assert_eq!(spend(0), 10);
        assert_eq!(spend(999), 0);
        assert_eq!(spend(1_000), 1);
        assert_eq!(spend(3_500), 2);
        assert_eq!(spend(1_000_000), 10);
    }
}
