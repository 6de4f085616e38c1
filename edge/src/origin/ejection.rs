//! Passive health: a server whose answers are bad gets no requests for a while, the longer the more often. Pure.

use seawall_config::site::Ejection as Rules;

use super::breaker::Outcome;
use super::millis;

/// Slower than this, until an answer begins, is slow; what is faster is not worth comparing.
const SLOW_MS: u64 = 100;

/// How one server answered lately.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    failures_in_a_row: u32,
    /// Since the interval began.
    answers: u32,
    failures: u32,
    /// Of those that were no failures.
    took_ms: u64,
    until_ms: Option<u64>,
    /// How often it was ejected, less what good order since has made up for.
    times: u32,
    /// Since when it has been back, or its last ejection was made up for.
    good_since_ms: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Why {
    FailuresInARow,
    SuccessRate,
    Latency,
}

impl Record {
    /// One more answer, or none; whether it is to be ejected for it.
    pub fn took(&mut self, rules: &Rules, outcome: Outcome) -> Option<Why> {
        match outcome {
            Outcome::Neither => return None,
            Outcome::Success { took_ms } => {
                self.failures_in_a_row = 0;
                self.took_ms = self.took_ms.saturating_add(took_ms);
            }
            Outcome::Failure => {
                self.failures_in_a_row = self.failures_in_a_row.saturating_add(1);
                self.failures = self.failures.saturating_add(1);
            }
        }
        self.answers = self.answers.saturating_add(1);
        let too_many =
            rules.consecutive_failures > 0 && self.failures_in_a_row >= rules.consecutive_failures;
        too_many.then_some(Why::FailuresInARow)
    }

    pub fn is_ejected(&self, now_ms: u64) -> bool {
        self.until_ms.is_some_and(|until_ms| now_ms < until_ms)
    }

    pub fn eject(&mut self, rules: &Rules, now_ms: u64) {
        self.times = self.times.saturating_add(1);
        let time_ms = millis(rules.time).saturating_mul(u64::from(self.times));
        let until_ms = now_ms.saturating_add(time_ms.min(millis(rules.time_max)));
        self.until_ms = Some(until_ms);
        self.good_since_ms = until_ms;
        self.failures_in_a_row = 0;
    }

    /// The interval is over: it begins anew, and good order makes up for an ejection, one at a time.
    pub fn begin_interval(&mut self, rules: &Rules, now_ms: u64) {
        (self.answers, self.failures, self.took_ms) = (0, 0, 0);
        let made_up_ms = self.good_since_ms.saturating_add(millis(rules.time));
        if self.times > 0 && !self.is_ejected(now_ms) && now_ms >= made_up_ms {
            self.times -= 1;
            self.good_since_ms = now_ms;
        }
    }

    /// In percent.
    fn success_rate(&self) -> Option<u64> {
        let good = u64::from(self.answers.saturating_sub(self.failures));
        (good * 100).checked_div(u64::from(self.answers))
    }

    /// The mean until an answer began.
    fn latency_ms(&self) -> Option<u64> {
        let good = self.answers.saturating_sub(self.failures);
        self.took_ms.checked_div(u64::from(good))
    }
}

/// Which servers of a pool are worse than the others, at the end of an interval.
///
/// Each is compared with the median of the *others*: in a pool of three no server is ever two standard deviations off the
/// mean, whatever it does.
pub fn outliers(rules: &Rules, records: &[&Record]) -> Vec<(usize, Why)> {
    let is_compared = |record: &Record| record.answers >= rules.requests_min;
    let median = |of: fn(&Record) -> Option<u64>, but: usize| {
        let others = records.iter().enumerate();
        let others = others.filter(|(at, record)| *at != but && is_compared(record));
        let mut others: Vec<_> = others.filter_map(|(_, record)| of(record)).collect();
        others.sort_unstable();
        others.get(others.len() / 2).copied()
    };
    let worse = |(at, record): (usize, &&Record)| {
        if !is_compared(record) {
            return None;
        }
        let rates = record
            .success_rate()
            .zip(median(Record::success_rate, at))
            .filter(|_| rules.success_rate > 0);
        if rates.is_some_and(|(own, others)| own + u64::from(rules.success_rate) <= others) {
            return Some((at, Why::SuccessRate));
        }
        let latencies = record
            .latency_ms()
            .zip(median(Record::latency_ms, at))
            .filter(|_| rules.latency > 0);
        let is_slow = |(own, others): (u64, u64)| {
            own >= SLOW_MS && own >= others.saturating_mul(u64::from(rules.latency))
        };
        latencies.is_some_and(is_slow).then_some((at, Why::Latency))
    };
    records.iter().enumerate().filter_map(worse).collect()
}

/// Whether one more of so many servers may be ejected.
pub fn has_room(rules: &Rules, servers: usize, ejected: usize) -> bool {
    let within = (ejected + 1) * 100 <= servers * rules.share_max as usize;
    let first = ejected == 0 && servers > 1 && rules.share_max > 0;
    servers > 1 && (within || first)
}

impl Why {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FailuresInARow => "failures in a row",
            Self::SuccessRate => "success rate",
            Self::Latency => "latency",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn record(answers: u32, failures: u32, mean_ms: u64) -> Record {
        Record {
            answers,
            failures,
            took_ms: mean_ms * u64::from(answers - failures),
            ..Record::default()
        }
    }

    #[test]
    fn a_server_is_worse_than_the_others_by_rate_or_by_latency() {
        use Why::{Latency, SuccessRate};
        let check = |records: &[(u32, u32, u64)], expect: &[(usize, Why)]| {
            let made: Vec<_> = records.iter().map(|it| record(it.0, it.1, it.2)).collect();
            let found = outliers(&Rules::default(), &made.iter().collect::<Vec<_>>());
            assert_eq!(found, expect, "{records:?}");
        };
        check(&[], &[]);
        check(&[(100, 100, 0)], &[]);
        check(&[(100, 0, 5), (100, 0, 5), (100, 0, 5)], &[]);
        check(
            &[(100, 0, 5), (100, 50, 5), (100, 0, 5)],
            &[(1, SuccessRate)],
        );
        check(&[(100, 0, 5), (100, 24, 5), (100, 0, 5)], &[]);
        check(
            &[(100, 0, 5), (100, 25, 5), (100, 0, 5)],
            &[(1, SuccessRate)],
        );
        // All are bad alike: none is worse, and the origin itself is the matter.
        check(&[(100, 90, 5), (100, 90, 5), (100, 90, 5)], &[]);
        // Too few answers to tell.
        check(&[(100, 0, 5), (19, 19, 5), (100, 0, 5)], &[]);
        check(&[(19, 0, 5), (100, 100, 5), (19, 0, 5)], &[]);
        check(&[(100, 0, 5), (100, 0, 500), (100, 0, 5)], &[(1, Latency)]);
        check(&[(100, 0, 200), (100, 0, 900), (100, 0, 210)], &[]);
        check(&[(100, 0, 5), (100, 0, 99), (100, 0, 5)], &[]);
        check(&[(100, 0, 5), (100, 0, 100)], &[(1, Latency)]);
        check(&[(100, 0, 0), (100, 100, 0)], &[(1, SuccessRate)]);
    }

    #[test]
    fn the_share_that_is_ejected_is_bounded_and_the_last_server_stays() {
        let check = |share_max: u32, servers: usize, most: usize| {
            let rules = Rules {
                share_max,
                ..Rules::default()
            };
            let mut ejected = 0;
            while has_room(&rules, servers, ejected) {
                ejected += 1;
            }
            assert_eq!(ejected, most, "{share_max} of {servers}");
        };
        check(50, 1, 0);
        check(100, 1, 0);
        check(50, 2, 1);
        check(50, 3, 1);
        check(10, 3, 1);
        check(50, 10, 5);
        check(100, 10, 10);
        check(0, 10, 0);
    }

    #[test]
    fn each_ejection_is_longer_than_the_last_and_good_order_makes_up_for_it() {
        let rules = Rules {
            time: Duration::from_secs(30),
            time_max: Duration::from_secs(100),
            ..Rules::default()
        };
        let mut record = Record::default();
        let mut now_ms = 0;
        let mut lasted = |record: &mut Record| {
            record.eject(&rules, now_ms);
            let began_ms = now_ms;
            while record.is_ejected(now_ms) {
                now_ms += 1_000;
            }
            (now_ms - began_ms) / 1_000
        };
        let times: Vec<_> = (0..5).map(|_| lasted(&mut record)).collect();
        assert_eq!(times, [30, 60, 90, 100, 100]);
        let mut times = 0;
        while record.times > 0 {
            now_ms += 10_000;
            record.begin_interval(&rules, now_ms);
            times += 1;
        }
        assert_eq!(times, 15, "five ejections, thirty seconds each");
    }
}
