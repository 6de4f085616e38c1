//! The circuit breaker of one server: after so many failures in a row it is left alone for a while, then a few requests
//! try whether it is back. Pure.

use seawall_config::site::Breaker as Rules;

use super::millis;

/// Closed, open, or half-open. What it does is the rules' to say, which may change while it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breaker {
    state: State,
    /// Counts the times it was half-open: what a probe of an earlier time says, counts no more.
    period: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed { failures: u32 },
    Open { until_ms: u64 },
    HalfOpen { under_way: u32, passed: u32 },
}

/// Whether a request may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Closed,
    /// As one of the few that try.
    Probe,
    Refuse(Why),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    Open,
    /// Others are trying already.
    HalfOpen,
}

/// What a request takes along, and brings back with its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permit {
    Closed,
    Probe { period: u32 },
}

/// How a request to a server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It answered, after so long.
    Success {
        took_ms: u64,
    },
    Failure,
    /// Nobody waited for the end, or it was not the server's fault.
    Neither,
}

impl Default for Breaker {
    fn default() -> Self {
        Self {
            state: State::Closed { failures: 0 },
            period: 0,
        }
    }
}

impl Breaker {
    pub fn judge(&self, rules: &Rules, now_ms: u64) -> Verdict {
        match self.state {
            State::Closed { .. } => Verdict::Closed,
            State::Open { until_ms } if now_ms < until_ms => Verdict::Refuse(Why::Open),
            State::Open { .. } => Verdict::Probe,
            State::HalfOpen { under_way, passed } if under_way + passed < rules.probes => {
                Verdict::Probe
            }
            State::HalfOpen { .. } => Verdict::Refuse(Why::HalfOpen),
        }
    }

    /// A request goes that was judged so at the same moment.
    pub fn begin(&mut self, verdict: Verdict) -> Permit {
        if verdict != Verdict::Probe {
            return Permit::Closed;
        }
        match &mut self.state {
            State::HalfOpen { under_way, .. } => *under_way += 1,
            state => {
                self.period = self.period.wrapping_add(1);
                *state = State::HalfOpen {
                    under_way: 1,
                    passed: 0,
                };
            }
        }
        Permit::Probe {
            period: self.period,
        }
    }

    /// It ended; true: with that the breaker opens. What began before it opened says nothing of the server since.
    pub fn end(&mut self, rules: &Rules, permit: Permit, outcome: Outcome, now_ms: u64) -> bool {
        match (&mut self.state, permit) {
            (State::Closed { failures }, Permit::Closed) => match outcome {
                Outcome::Success { .. } => *failures = 0,
                Outcome::Failure if *failures + 1 >= rules.failures => {
                    self.open(rules, now_ms);
                    return true;
                }
                Outcome::Failure => *failures += 1,
                Outcome::Neither => {}
            },
            (State::HalfOpen { under_way, passed }, Permit::Probe { period })
                if period == self.period =>
            {
                *under_way = under_way.saturating_sub(1);
                match outcome {
                    Outcome::Success { .. } => *passed += 1,
                    Outcome::Failure => {
                        self.open(rules, now_ms);
                        return true;
                    }
                    Outcome::Neither => {}
                }
                if *passed >= rules.probes {
                    self.state = State::Closed { failures: 0 };
                }
            }
            _ => {}
        }
        false
    }

    fn open(&mut self, rules: &Rules, now_ms: u64) {
        self.state = State::Open {
            until_ms: now_ms.saturating_add(millis(rules.open)),
        };
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use std::time::Duration;

    use super::*;

    const RULES: Rules = Rules {
        failures: 3,
        open: Duration::from_millis(1_000),
        probes: 2,
    };

    /// `f`, `s`, `n`: a request begins and ends so. `+`: half a second. Each verdict before it as a letter: closed,
    /// probe, open, half-open; and `!` where the breaker opens.
    fn script(script: &str) -> String {
        let (mut breaker, mut now_ms, mut told) = (Breaker::default(), 0, String::new());
        for step in script.chars() {
            let outcome = match step {
                '+' => {
                    now_ms += 500;
                    continue;
                }
                's' => Outcome::Success { took_ms: 1 },
                'f' => Outcome::Failure,
                _ => Outcome::Neither,
            };
            let verdict = breaker.judge(&RULES, now_ms);
            told.push(match verdict {
                Verdict::Closed => 'c',
                Verdict::Probe => 'p',
                Verdict::Refuse(Why::Open) => 'o',
                Verdict::Refuse(Why::HalfOpen) => 'h',
            });
            if !matches!(verdict, Verdict::Refuse(_)) {
                let permit = breaker.begin(verdict);
                if breaker.end(&RULES, permit, outcome, now_ms) {
                    told.push('!');
                }
            }
        }
        told
    }

    #[test]
    fn it_opens_after_failures_in_a_row_and_closes_when_every_probe_succeeds() {
        let check = |steps: &str, expect: &str| assert_eq!(script(steps), expect, "{steps}");
        check("ffs", "ccc");
        check("ffsffs", "cccccc");
        check("fffs", "ccc!o");
        // Who left is no proof of anything.
        check("ffnfs", "cccc!o");
        check("fff+s", "ccc!o");
        check("fff++s", "ccc!p");
        check("fff++sss", "ccc!ppc");
        check("fff++fs", "ccc!p!o");
        check("fff++sfs", "ccc!pp!o");
        check("fff++nnss", "ccc!pppp");
        check("fff++ssffs", "ccc!ppccc");
        check("fff++ssfffs", "ccc!ppccc!o");
    }

    #[test]
    fn half_open_lets_so_many_through_at_once_and_no_more() {
        let mut breaker = Breaker::default();
        for _ in 0..3 {
            let permit = breaker.begin(breaker.judge(&RULES, 0));
            breaker.end(&RULES, permit, Outcome::Failure, 0);
        }
        let first = breaker.begin(breaker.judge(&RULES, 1_000));
        let second = breaker.begin(breaker.judge(&RULES, 1_000));
        assert_eq!(breaker.judge(&RULES, 1_000), Verdict::Refuse(Why::HalfOpen));
        breaker.end(&RULES, first, Outcome::Failure, 1_000);
        assert_eq!(breaker.judge(&RULES, 1_999), Verdict::Refuse(Why::Open));
        // The second probe comes back while others try: it is of an earlier time.
        let third = breaker.begin(breaker.judge(&RULES, 2_000));
        breaker.end(&RULES, second, Outcome::Success { took_ms: 1 }, 2_000);
        breaker.end(&RULES, third, Outcome::Success { took_ms: 1 }, 2_000);
        assert_eq!(breaker.judge(&RULES, 2_000), Verdict::Probe);
    }

    #[test]
    fn whatever_happens_it_never_lets_more_probes_through_than_there_may_be_and_is_never_stuck() {
        for seed in 0..500 {
            let mut random = fastrand::Rng::with_seed(seed);
            let rules = Rules {
                failures: random.u32(1..6),
                open: Duration::from_millis(random.u64(1..3_000)),
                probes: random.u32(1..4),
            };
            let (mut breaker, mut now_ms) = (Breaker::default(), 0);
            let mut under_way: Vec<Permit> = Vec::new();
            for _ in 0..400 {
                now_ms += random.u64(..400);
                let verdict = breaker.judge(&rules, now_ms);
                if random.bool() && !matches!(verdict, Verdict::Refuse(_)) {
                    under_way.push(breaker.begin(verdict));
                } else if !under_way.is_empty() {
                    let permit = under_way.swap_remove(random.usize(..under_way.len()));
                    let outcome = [
                        Outcome::Success { took_ms: 1 },
                        Outcome::Failure,
                        Outcome::Neither,
                    ];
                    breaker.end(&rules, permit, random.choice(outcome).unwrap(), now_ms);
                }
                let probes = Permit::Probe {
                    period: breaker.period,
                };
                let probing = under_way.iter().filter(|it| **it == probes).count();
                assert!(probing <= rules.probes as usize, "seed {seed}");
            }
            // All come to an end and the server is well: then it is closed again, soon.
            for permit in under_way {
                breaker.end(&rules, permit, Outcome::Neither, now_ms);
            }
            now_ms += millis(rules.open);
            for _ in 0..rules.probes {
                let permit = breaker.begin(breaker.judge(&rules, now_ms));
                breaker.end(&rules, permit, Outcome::Success { took_ms: 1 }, now_ms);
            }
            let verdict = breaker.judge(&rules, now_ms);
            assert_eq!(verdict, Verdict::Closed, "seed {seed}");
        }
    }
}
