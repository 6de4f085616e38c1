//! Pools by hand, and pools whose servers come and go, by a seed.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use seawall_config::site::{Breaker as BreakerRules, Ejection, Health};

use super::*;

/// A pool without locks and connections.
struct Pool {
    origin: Origin,
    prints: Vec<u64>,
    common: Common,
    standings: Vec<Standing>,
    now_ms: u64,
}

impl Pool {
    /// Of so many servers, with these priorities.
    fn new(priorities: &[u8]) -> Self {
        let server = |(at, priority): (usize, &u8)| Server {
            priority: *priority,
            ..Server::of(false, format!("s{at}.test"), 80)
        };
        let servers: Vec<_> = priorities.iter().enumerate().map(server).collect();
        Self {
            prints: (0..servers.len() as u64).collect(),
            standings: vec![Standing::default(); servers.len()],
            origin: Origin::of(servers),
            common: Common::default(),
            now_ms: 0,
        }
    }

    fn servers(&mut self) -> Servers<'_> {
        Servers {
            origin: &self.origin,
            prints: &self.prints,
            common: &mut self.common,
            all: self.standings.iter_mut().collect(),
        }
    }

    fn choose(&mut self, tried: &[usize], drained: &[usize]) -> Result<Chosen, Refused> {
        let ask = Ask {
            key: 0,
            random: 0,
            tried,
            drained,
            is_waiting: false,
            now_ms: self.now_ms,
        };
        self.servers().choose(ask)
    }

    /// One request from its begin to its end, and where it went.
    fn request(&mut self, is_good: impl Fn(usize) -> bool) -> Result<usize, Refused> {
        let chosen = self.choose(&[], &[])?;
        let outcome = match is_good(chosen.at) {
            true => Outcome::Success { took_ms: 1 },
            false => Outcome::Failure,
        };
        let now_ms = self.now_ms;
        self.servers().report(chosen, outcome, now_ms);
        self.servers().release(chosen.at);
        Ok(chosen.at)
    }

    fn check(&mut self, at: usize, found: Result<(), &'static str>) {
        let rules = Health {
            unhealthy_after: 1,
            healthy_after: 1,
            ..Health::default()
        };
        self.standings[at].checked.took(&rules, found);
        self.origin.health = Some(rules);
    }

    fn ejected(&mut self) -> usize {
        let now_ms = self.now_ms;
        let servers = self.servers();
        let seen = (0..servers.all.len()).map(|at| servers.seen(at, now_ms));
        seen.filter(|seen| *seen == Seen::Ejected).count()
    }

    /// Where the next requests go, as letters; `-`: to none.
    fn goes(&mut self, requests: usize) -> String {
        let mut went = String::new();
        for _ in 0..requests {
            let at = self.request(|_| true);
            went.push(at.map_or('-', |at| (b'a' + at as u8) as char));
        }
        went
    }
}

#[test]
fn health_chooses_the_level_and_nobody_crushes_the_last_server() {
    // The servers that are down, by letter; where six requests go.
    let check = |priorities: &[u8], panic_below: u32, down: &str, expect: &str| {
        let mut pool = Pool::new(priorities);
        pool.origin.panic_below = panic_below;
        pool.check(0, Ok(()));
        for letter in down.bytes() {
            pool.check(usize::from(letter - b'a'), Err("no answer"));
        }
        let told = format!("{priorities:?} {panic_below} {down}");
        assert_eq!(pool.goes(6), expect, "{told}");
    };
    check(&[0, 0, 0], 25, "", "abcabc");
    check(&[0, 0, 0], 25, "b", "acacac");
    check(&[0, 0, 0], 25, "ab", "cccccc");
    // Too few are left: all are asked.
    check(&[0, 0, 0], 50, "ab", "abcabc");
    check(&[0, 0, 0], 25, "abc", "abcabc");
    check(&[0, 0, 0], 0, "abc", "------");
    check(&[0], 25, "a", "aaaaaa");
    check(&[0, 1], 25, "", "aaaaaa");
    check(&[0, 1], 25, "a", "bbbbbb");
    check(&[1, 0], 25, "b", "aaaaaa");
    check(&[0, 0, 1], 25, "a", "bbbbbb");
    check(&[0, 0, 1], 75, "a", "cccccc");
    check(&[0, 1, 2], 25, "ab", "cccccc");
    // Nothing is in order anywhere: the first level, as if it were.
    check(&[0, 0, 1], 25, "abc", "ababab");
    check(&[0, 0, 1, 1], 75, "abd", "cdcdcd");
}

#[test]
fn what_is_drained_gets_nothing_and_counts_for_nothing() {
    let mut pool = Pool::new(&[0, 0, 1]);
    let mut goes = |drained: &[usize]| pool.choose(&[], drained).map(|chosen| chosen.at);
    assert_eq!(goes(&[0]), Ok(1));
    assert_eq!(goes(&[0]), Ok(1));
    assert_eq!(goes(&[0, 1]), Ok(2));
    assert_eq!(goes(&[0, 1, 2]), Err(Refused::Drained));
}

#[test]
fn a_second_try_goes_elsewhere_while_there_is_an_elsewhere() {
    let mut pool = Pool::new(&[0, 0]);
    let first = pool.choose(&[], &[]).unwrap().at;
    let second = pool.choose(&[first], &[]).unwrap().at;
    assert_ne!(first, second);
    assert!(pool.choose(&[first, second], &[]).is_ok());
}

#[test]
fn limits_hold_for_a_server_and_for_the_pool() {
    let mut pool = Pool::new(&[0, 0]);
    pool.origin.servers[0].max_requests = Some(2);
    pool.origin.servers[1].max_connections = Some(1);
    let mut went: Vec<_> = (0..3).map(|_| pool.choose(&[], &[]).unwrap().at).collect();
    went.sort_unstable();
    assert_eq!(went, [0, 0, 1]);
    assert_eq!(pool.choose(&[], &[]), Err(Refused::Busy));
    // A hundred requests share a connection.
    pool.standings[1].speaks_h2 = true;
    assert_eq!(pool.choose(&[], &[]).unwrap().at, 1);
    pool.servers().release(0);
    assert!(pool.choose(&[], &[]).is_ok());
    pool.origin.max_requests = 4;
    assert_eq!(pool.choose(&[], &[]), Err(Refused::Busy));
    pool.servers().release(1);
    assert!(pool.choose(&[], &[]).is_ok());
    // Others came first.
    (pool.origin.max_requests, pool.common.waiting) = (10, 1);
    assert_eq!(pool.choose(&[], &[]), Err(Refused::Busy));
}

#[test]
fn an_open_breaker_fails_over_and_where_all_are_open_none_is_asked() {
    let mut pool = Pool::new(&[0, 1]);
    pool.origin.breaker = Some(BreakerRules {
        failures: 2,
        ..BreakerRules::default()
    });
    let went: Vec<_> = (0..4).map(|_| pool.request(|_| false)).collect();
    assert_eq!(went, [Ok(0), Ok(0), Ok(1), Ok(1)]);
    assert_eq!(pool.request(|_| true), Err(Refused::Open));
    pool.now_ms = 1_000;
    assert_eq!(pool.goes(3), "aaa");
}

/// A server's temper: whether it is well at a moment.
type Temper = fn(u64) -> bool;

/// An hour of fifty requests a second. Ejections of each server, the most at once, and the failures in percent.
fn hour(tempers: &[Temper], seed: u64) -> (Vec<usize>, usize, f64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut pool = Pool::new(&vec![0; tempers.len()]);
    let (mut ejections, mut most) = (vec![0; tempers.len()], 0);
    let (mut requests, mut failures) = (0u32, 0u32);
    while pool.now_ms < 3_600_000 {
        pool.now_ms += random.u64(1..40);
        let now_ms = pool.now_ms;
        let chosen = pool.choose(&[], &[]).unwrap();
        let is_good = tempers[chosen.at](now_ms);
        let outcome = match is_good {
            true => Outcome::Success {
                took_ms: random.u64(1..20),
            },
            false => Outcome::Failure,
        };
        for (at, _) in pool.servers().report(chosen, outcome, now_ms) {
            ejections[at] += 1;
        }
        pool.servers().release(chosen.at);
        most = most.max(pool.ejected());
        requests += 1;
        failures += u32::from(!is_good);
    }
    let percent = f64::from(failures) * 100.0 / f64::from(requests);
    (ejections, most, percent)
}

#[test]
fn a_flapping_server_is_left_out_for_longer_each_time_and_nothing_swings() {
    let well: Temper = |_| true;
    let down: Temper = |_| false;
    let ten_seconds: Temper = |now_ms| (now_ms / 10_000) % 2 == 0;
    let two_seconds: Temper = |now_ms| (now_ms / 2_000) % 2 == 0;
    let minutes: Temper = |now_ms| (now_ms / 60_000) % 2 == 0;
    let half_of_all: Temper = |now_ms| now_ms % 2 == 0;
    // At most so many ejections of the whole pool in an hour, and failures in percent.
    let check = |tempers: &[Temper], ejections_max: usize, failures_max: f64| {
        for seed in 0..2 {
            let (ejections, most, percent) = hour(tempers, seed);
            let bound = (tempers.len() / 2).max(1);
            let told = format!("seed {seed}: {ejections:?}, {most} at once, {percent:.2} % failed");
            assert!(most <= bound, "{told}");
            assert!(ejections.iter().sum::<usize>() <= ejections_max, "{told}");
            assert!(percent <= failures_max, "{told}");
            let is_well = |temper: &Temper| (0..7_200).all(|step| temper(step * 500 + 1));
            let mut well = tempers.iter().zip(&ejections).filter(|it| is_well(it.0));
            assert!(well.all(|(_, count)| *count == 0), "{told}");
        }
    };
    check(&[well, well, well], 0, 0.0);
    // Thirty seconds, then longer, up to five minutes: 30+60+…+300 and then twelve an hour at most.
    check(&[well, well, down], 18, 0.1);
    check(&[well, well, ten_seconds], 20, 2.0);
    check(&[well, well, two_seconds], 24, 3.0);
    check(&[well, well, minutes], 40, 4.0);
    check(&[well, well, half_of_all], 40, 5.0);
    // More are ill than may be left out.
    check(&[well, down, down], 40, 55.0);
    check(&[ten_seconds, ten_seconds, ten_seconds], 200, 55.0);
    // Two at a time, in turn.
    check(&[down, down, down, down], 120, 100.0);
}

#[test]
fn an_ejection_ends_and_the_server_is_asked_again() {
    let mut pool = Pool::new(&[0, 0]);
    pool.origin.ejection = Ejection {
        consecutive_failures: 2,
        time: Duration::from_secs(10),
        ..Ejection::default()
    };
    for _ in 0..4 {
        pool.request(|at| at == 0).unwrap();
    }
    assert_eq!(pool.goes(4), "aaaa");
    pool.now_ms = 9_999;
    assert_eq!(pool.goes(4), "aaaa");
    pool.now_ms = 10_000;
    assert_eq!(pool.goes(4).matches('b').count(), 2);
}
