//! When each request of an open-loop run is meant to leave: fixed before the run. Pure.
//!
//! A rate over time is a row of segments, each constant or a straight line. The area under it counts requests: request
//! `n` leaves where that area reaches `n` (evenly spaced), or the `n`-th sum of exponential steps (Poisson).

use std::sync::Arc;
use std::time::Duration;

use crate::random::Random;

/// What the rate does for a while. Requests per second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Segment {
    pub from: f64,
    pub to: f64,
    pub duration: Duration,
}

/// How requests lie around the rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrivals {
    /// The same time between any two.
    Even,
    /// Independent of one another, as users are.
    Poisson,
}

/// All the times, in order.
#[derive(Clone, Debug)]
pub(crate) enum Schedule {
    Rate {
        segments: Arc<[Segment]>,
        arrivals: Arrivals,
        seed: u64,
    },
    /// So many at once, again and again.
    Herd {
        clients: u64,
        every: Duration,
        duration: Duration,
    },
    /// As they were recorded; ascending.
    Recorded(Arc<[Duration]>),
}

impl Schedule {
    /// From the start of the run; the first of an even schedule is at once.
    pub(crate) fn times(&self) -> Times {
        Times {
            schedule: self.clone(),
            index: 0,
            area: 0.0,
            random: Random::new(match self {
                Self::Rate { seed, .. } => *seed,
                _ => 0,
            }),
        }
    }

    pub(crate) fn duration(&self) -> Duration {
        match self {
            Self::Rate { segments, .. } => segments.iter().map(|segment| segment.duration).sum(),
            Self::Herd { duration, .. } => *duration,
            Self::Recorded(times) => times.last().copied().unwrap_or_default(),
        }
    }
}

/// Goes through a schedule once.
pub(crate) struct Times {
    schedule: Schedule,
    index: u64,
    area: f64,
    random: Random,
}

impl Iterator for Times {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let index = self.index;
        self.index += 1;
        match &self.schedule {
            Schedule::Rate {
                segments, arrivals, ..
            } => {
                self.area = match arrivals {
                    Arrivals::Even => index as f64,
                    Arrivals::Poisson => self.area - (1.0 - self.random.unit()).ln(),
                };
                when(segments, self.area)
            }
            Schedule::Herd {
                clients,
                every,
                duration,
            } => {
                let round = u32::try_from(index.checked_div(*clients)?).ok()?;
                Some(every.checked_mul(round)?).filter(|at| at < duration)
            }
            Schedule::Recorded(times) => times.get(usize::try_from(index).ok()?).copied(),
        }
    }
}

/// Where the area under the rate reaches `area`; None when it never does.
fn when(segments: &[Segment], mut area: f64) -> Option<Duration> {
    let mut start = Duration::ZERO;
    for segment in segments {
        let seconds = segment.duration.as_secs_f64();
        let whole = (segment.from + segment.to) / 2.0 * seconds;
        if area < whole {
            let slope = (segment.to - segment.from) / seconds;
            // from * t + slope / 2 * t² = area, solved in the form that has no difference of near numbers.
            let root = (segment.from * segment.from + 2.0 * slope * area)
                .max(0.0)
                .sqrt();
            let t = match segment.from + root {
                0.0 => 0.0, // a ramp from nothing, at its very beginning
                sum => 2.0 * area / sum,
            };
            return Some(start + Duration::from_secs_f64(t.min(seconds)));
        }
        area -= whole;
        start += segment.duration;
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing)]

    use super::*;

    fn rate(segments: &[(f64, f64, u64)], arrivals: Arrivals) -> Schedule {
        let segment = |&(from, to, millis)| Segment {
            from,
            to,
            duration: Duration::from_millis(millis),
        };
        Schedule::Rate {
            segments: segments.iter().map(segment).collect(),
            arrivals,
            seed: 7,
        }
    }

    fn millis(schedule: &Schedule) -> Vec<u64> {
        schedule
            .times()
            .map(|at| (at.as_secs_f64() * 1e3).round() as u64)
            .collect()
    }

    #[test]
    fn requests_follow_the_rate_over_time() {
        let check = |segments: &[(f64, f64, u64)], expect: &[u64]| {
            assert_eq!(
                millis(&rate(segments, Arrivals::Even)),
                expect,
                "{segments:?}"
            );
        };
        check(&[(10.0, 10.0, 500)], &[0, 100, 200, 300, 400]);
        check(&[(10.0, 10.0, 501)], &[0, 100, 200, 300, 400, 500]);
        check(&[(0.5, 0.5, 4_000)], &[0, 2_000]);
        check(&[(1.0, 1.0, 1)], &[0]);
        // Steps: 10 a second, then 20.
        check(
            &[(10.0, 10.0, 200), (20.0, 20.0, 200)],
            &[0, 100, 200, 250, 300, 350],
        );
        // A ramp from 0 to 8 over 1 s: the area t² · 4 reaches 0, 1, 2, 3 at the roots of quarters.
        check(&[(0.0, 8.0, 1_000)], &[0, 500, 707, 866]);
        check(&[(8.0, 0.0, 1_000)], &[0, 134, 293, 500]);
    }

    #[test]
    fn poisson_arrivals_have_the_rate_and_the_spread_of_chance() {
        let schedule = rate(&[(1_000.0, 1_000.0, 20_000)], Arrivals::Poisson);
        let times: Vec<_> = schedule.times().map(|at| at.as_secs_f64()).collect();
        assert!(times.len().abs_diff(20_000) < 600, "{}", times.len());
        let gaps: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        // Of an exponential distribution the deviation is the mean.
        assert!((variance.sqrt() / mean - 1.0).abs() < 0.05);
        assert_eq!(
            millis(&schedule),
            millis(&schedule),
            "the same for the same seed"
        );
    }

    #[test]
    fn a_herd_comes_at_once_and_again() {
        let herd = Schedule::Herd {
            clients: 3,
            every: Duration::from_millis(10),
            duration: Duration::from_millis(20),
        };
        assert_eq!(millis(&herd), [0, 0, 0, 10, 10, 10]);
    }
}
