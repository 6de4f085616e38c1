#![allow(clippy::unwrap_used)]

use super::*;
use crate::rules::directives::{Request, Response};
use crate::rules::freshness::By;
use http::header::{CACHE_CONTROL, HeaderMap};

/// What every response here was stored with.
const FRESHNESS: Freshness = Freshness {
    lifetime: seconds(60),
    by: By::MaxAge,
    initial_age: Duration::ZERO,
    received: SystemTime::UNIX_EPOCH,
};

const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn head(cache_control: &str) -> HeaderMap {
    let line = (CACHE_CONTROL, cache_control.parse().unwrap());
    [line].into_iter().collect()
}

fn ask<'a>(stored: &'a Response, client: &str, policy: &'a Policy, age: u64) -> Question<'a> {
    Question {
        freshness: &FRESHNESS,
        stored,
        client: Request::read(&head(client)),
        policy,
        life: Life::Alive,
        vouches: true,
        now: SystemTime::UNIX_EPOCH + seconds(age),
    }
}

#[test]
fn a_stored_response_is_used_only_when_every_sentence_allows_it() {
    let check = |section: &str, stored: &str, client: &str, age: u64, expect: Reuse| {
        let policy = Policy::default();
        let read = Response::read(&head(stored));
        let found = reuse(ask(&read, client, &policy, age));
        assert_eq!(found, expect, "{section}: {stored} / {client} at {age}");
    };
    let fresh = |left| Reuse::Fresh(seconds(left));
    let accepted = |stale| Reuse::StaleAccepted(seconds(stale));
    let behind = |stale| Reuse::WhileRevalidating(seconds(stale));
    let expired = Reuse::Validate(Why::Expired);
    let no_cache = Reuse::Validate(Why::NoCache);
    let client = Reuse::Validate(Why::ClientDirective);
    // One of these is so for whatever is used: fresh, allowed to be served stale, or validated.
    check("4", "", "", 10, fresh(50));
    check("4", "", "max-stale", 61, accepted(1));
    check("4", "", "", 61, expired);
    check("4.2", "", "", 59, fresh(1));
    check("4.2", "", "", 60, expired);
    check("4.2.4", "", "", 1_000_000, expired);
    check("4.3", "must-revalidate", "max-stale", 61, expired);
    check("5.2.1.1", "", "max-age=5", 5, fresh(55));
    check("5.2.1.1", "", "max-age=5", 6, client);
    let soon = "stale-while-revalidate=10";
    check("5.2.1.1", soon, "max-age=5", 65, expired);
    check("5.2.1.1", soon, "max-age=100", 65, expired);
    check("5.2.1.1", "", "max-age=100, max-stale=5", 65, accepted(5));
    check("5.2.1.3", soon, "min-fresh=1", 65, expired);
    check("5.2.1.4", soon, "no-cache", 65, expired);
    check("5.2.1.2", "", "max-stale=5", 65, accepted(5));
    check("5.2.1.2", "", "max-stale=5", 66, expired);
    check("5.2.1.2", "", "max-stale", 1_000_000, accepted(999_940));
    check("5.2.1.3", "", "min-fresh=50", 10, fresh(50));
    check("5.2.1.3", "", "min-fresh=51", 10, client);
    check("5.2.1.4", "", "no-cache", 10, client);
    check("5.2.2.2", "must-revalidate", "", 10, fresh(50));
    check("5.2.2.2", "must-revalidate", "max-stale=50", 65, expired);
    let both = "must-revalidate, stale-while-revalidate=10";
    check("5.2.2.2", both, "", 65, expired);
    check("5.2.2.4", "no-cache", "", 10, no_cache);
    check("5.2.2.4", "no-cache", "max-stale=50", 65, no_cache);
    // The fields that are named are not stored; the rest is.
    check("5.2.2.4", "no-cache=\"x\"", "", 10, fresh(50));
    check("5.2.2.8", "proxy-revalidate", "max-stale=50", 65, expired);
    check("5.2.2.10", "s-maxage=60", "max-stale=50", 65, expired);
    check("5861 3", "stale-while-revalidate=10", "", 69, behind(9));
    check("5861 3", "stale-while-revalidate=10", "", 70, expired);
    check(
        "5861 3",
        "s-maxage=60, stale-while-revalidate=10",
        "",
        69,
        behind(9),
    );
}

#[test]
fn what_was_purged_is_not_used_as_it_is() {
    let check = |stored: &str, age: u64, life: Life, expect: Reuse| {
        let (policy, read) = (Policy::default(), Response::read(&head(stored)));
        let question = Question {
            life,
            ..ask(&read, "", &policy, age)
        };
        assert_eq!(reuse(question), expect, "{stored} at {age}: {life:?}");
    };
    let soft = Reuse::Validate(Why::SoftPurge);
    check("", 10, Life::HardDead, Reuse::Forget);
    check("", 10, Life::SoftDead, soft);
    check("stale-while-revalidate=10", 65, Life::SoftDead, soft);
}

#[test]
fn an_edge_that_cannot_vouch_does_what_the_site_says() {
    let stored = Response::default();
    let check = |on_partition, expect: Reuse, stands_in: bool| {
        let policy = Policy {
            on_partition,
            stale_if_error: Some(seconds(1000)),
            ..Policy::default()
        };
        let question = Question {
            vouches: false,
            ..ask(&stored, "", &policy, 10)
        };
        assert_eq!(reuse(question), expect);
        assert_eq!(on_error(question).is_some(), stands_in);
    };
    check(OnPartition::Serve, Reuse::Fresh(seconds(50)), true);
    check(OnPartition::Revalidate, Reuse::Forget, false);
    check(OnPartition::Refuse, Reuse::Refuse, false);
}

#[test]
fn a_failing_origin_is_stood_in_for_within_the_window_and_never_after_a_purge() {
    let policy = Policy {
        stale_if_error: Some(seconds(10)),
        ..Policy::default()
    };
    let check = |section: &str, stored: &str, age: u64, life: Life, expect: Option<u64>| {
        let read = Response::read(&head(stored));
        let question = Question {
            life,
            ..ask(&read, "", &policy, age)
        };
        let found = on_error(question);
        assert_eq!(found, expect.map(seconds), "{section}: {stored} at {age}");
    };
    // "the cache can … act as if the server failed to respond. In the latter case, the cache can send a previously
    // stored response, subject to its constraints on doing so (see Section 4.2.4)".
    check("4.3.3", "", 65, Life::Alive, Some(5));
    check("4.3.3", "", 70, Life::Alive, None);
    check("4.2.4", "must-revalidate", 65, Life::Alive, None);
    check("4.2.4", "proxy-revalidate", 65, Life::Alive, None);
    check("4.2.4", "s-maxage=60", 65, Life::Alive, None);
    check("4.2.4", "no-cache", 65, Life::Alive, None);
    check("4.2.4", "no-cache=\"x\"", 65, Life::Alive, None);
    // Of what s-maxage forbids, an origin allows no more than it says.
    let behind = "s-maxage=60, stale-while-revalidate=9";
    check("5.2.2.10", behind, 65, Life::Alive, None);
    check(
        "5861 4",
        "s-maxage=60, stale-if-error=9",
        65,
        Life::Alive,
        Some(5),
    );
    check("5861 4", "stale-if-error=3", 62, Life::Alive, Some(2));
    check("5861 4", "stale-if-error=3", 65, Life::Alive, None);
    check("purge", "", 65, Life::SoftDead, None);
    check("purge", "", 65, Life::HardDead, None);
}

#[test]
fn what_was_never_fresh_is_nobodys_without_the_origin() {
    let policy = Policy {
        stale_while_revalidate: Some(seconds(100)),
        stale_if_error: Some(seconds(100)),
        ..Policy::default()
    };
    let check = |section: &str, lifetime: u64, stored: &str, client: &str, used: (bool, bool)| {
        let freshness = Freshness {
            lifetime: seconds(lifetime),
            ..FRESHNESS
        };
        let read = Response::read(&head(stored));
        let question = Question {
            freshness: &freshness,
            ..ask(&read, client, &policy, lifetime + 5)
        };
        let stale = !matches!(reuse(question), Reuse::Validate(_));
        let found = (stale, on_error(question).is_some());
        assert_eq!(found, used, "{section}: {lifetime} {stored} {client}");
    };
    check("4.2.4", 1, "", "", (true, true));
    check("4.2.4", 0, "", "", (false, false));
    check("5.2.1.2", 1, "", "max-stale", (true, true));
    check("5.2.1.2", 0, "", "max-stale", (false, false));
    // Its own word is the origin's.
    check("5861 3", 0, "stale-while-revalidate=9", "", (true, false));
    check("5861 4", 0, "stale-if-error=9", "", (false, true));
}

#[test]
fn an_origin_fails_by_these_statuses() {
    let check = |section: &str, status: u16, expect: bool| {
        let status = StatusCode::from_u16(status).unwrap();
        assert_eq!(is_failure(status), expect, "{section}: {status}");
    };
    for status in [500, 502, 503, 504] {
        check("5861 4", status, true);
    }
    for status in [200, 404, 501, 505, 599] {
        check("5861 4", status, false);
    }
}
