//! When each request of an open-loop run is meant to leave: fixed before the run. Pure.

use std::time::Duration;

/// A constant rate for a while.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Schedule {
    per_second: f64,
    count: u64,
}

impl Schedule {
    /// `per_second` requests each second; the first at once, none at or after `duration`.
    pub(crate) fn constant(per_second: f64, duration: Duration) -> Self {
        let count = (per_second * duration.as_secs_f64()).ceil() as u64;
        Self { per_second, count }
    }

    /// How many requests there are.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// When request `index` is meant to leave, from the start of the run.
    pub(crate) fn at(&self, index: u64) -> Duration {
        Duration::from_secs_f64(index as f64 / self.per_second)
    }

    /// How many requests should have left by `elapsed`.
    pub(crate) fn due(&self, elapsed: Duration) -> u64 {
        let passed = (elapsed.as_secs_f64() * self.per_second).floor() as u64;
        passed.saturating_add(1).min(self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_spread_evenly_over_the_run() {
        let check = |per_second: f64, millis: u64, expect: &[u64]| {
            let schedule = Schedule::constant(per_second, Duration::from_millis(millis));
            let at: Vec<_> = (0..schedule.count())
                .map(|index| schedule.at(index).as_millis() as u64)
                .collect();
            assert_eq!(at, expect, "{per_second}/s for {millis} ms");
        };
        check(10.0, 500, &[0, 100, 200, 300, 400]);
        check(10.0, 501, &[0, 100, 200, 300, 400, 500]);
        check(0.5, 4_000, &[0, 2_000]);
        check(1.0, 1, &[0]);
    }

    #[test]
    fn what_is_due_has_been_meant_to_leave() {
        let schedule = Schedule::constant(7.0, Duration::from_secs(3));
        assert_eq!(schedule.due(Duration::ZERO), 1);
        assert_eq!(schedule.due(Duration::from_secs(60)), schedule.count());
        for index in 1..schedule.count() {
            let at = schedule.at(index);
            assert_eq!(schedule.due(at - Duration::from_micros(1)), index);
            assert_eq!(schedule.due(at + Duration::from_micros(1)), index + 1);
        }
    }
}
