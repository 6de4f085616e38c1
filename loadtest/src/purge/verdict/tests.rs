#![allow(clippy::expect_used)]

use std::time::Duration;

use super::*;
use crate::clock;

/// What one edge said, at these milliseconds. It was purged at 100, the receipt came at 110, and "new" is the page now.
fn round_of(status: u16, seen: &[(u64, Seen)]) -> Round {
    let start = clock::now();
    let at = |millis: u64| start + Duration::from_millis(millis);
    let seen = seen.iter().map(|(asked, seen)| Sighting {
        edge: 0,
        asked: at(*asked),
        answered: at(asked + 1),
        seen: seen.clone(),
    });
    let moments = Moments {
        called: at(100),
        receipt: at(110),
        status,
        etag: "\"new\"".to_owned(),
    };
    let seen: Vec<_> = seen.collect();
    round(start, &["http://a".to_owned()], &seen, &moments, None)
}

fn page(etag: &str) -> Seen {
    Seen::new(200, Some(etag))
}

fn report_of(round: Round) -> PurgeReport {
    let cache = CacheReport {
        name: "a".to_owned(),
        edges: vec!["http://a".to_owned()],
        stale_after_receipt: round.stale_after_receipt,
        rounds: vec![round],
    };
    PurgeReport {
        schema_version: SCHEMA_VERSION,
        path: "/".to_owned(),
        probes_per_second: 1.0,
        ended: None,
        caches: vec![cache],
    }
}

#[test]
fn what_is_old_after_the_receipt_is_counted() {
    let (old, new) = (page("\"old\""), page("\"new\""));
    let check = |seen: &[(u64, Seen)], fresh: Option<f64>, stale: Option<f64>, after, answers| {
        let round = round_of(200, seen);
        assert_eq!(round.stale_after_receipt, after, "{round:?}");
        assert!((round.receipt_ms - 10.0).abs() < 1e-6);
        let edge = round.edges.first().expect("an edge");
        let found = (edge.first_fresh_ms, edge.last_stale_ms, edge.answers);
        assert_eq!(found, (fresh, stale, answers), "{seen:?}");
    };
    check(
        &[(50, old.clone()), (104, old.clone()), (106, new.clone())],
        Some(7.0),
        Some(4.0),
        0,
        3,
    );
    check(
        &[(112, old.clone()), (115, Seen::NoPage), (130, new)],
        Some(31.0),
        Some(12.0),
        1,
        3,
    );
    check(&[(112, Seen::Nothing), (113, old)], None, Some(13.0), 1, 1);
    // The same page, less sure of its bytes.
    check(&[(112, page("W/\"new\""))], Some(13.0), None, 0, 1);
}

#[test]
fn a_clean_purge_is_one_after_which_the_new_page_was_served() {
    let (old, new) = (page("\"old\""), page("\"new\""));
    let check = |status: u16, seen: &[(u64, Seen)], expect: &str| {
        let report = report_of(round_of(status, seen));
        let text = report.to_string();
        assert_eq!(report.is_clean(), expect.is_empty(), "{seen:?}: {text}");
        assert!(text.contains(expect), "{seen:?}: {text}");
        let shown = super::super::page::page(&report);
        assert!(shown.contains(expect), "{seen:?}: {shown}");
    };
    check(200, &[(99, old.clone()), (112, new.clone())], "");
    check(200, &[(99, Seen::Nothing), (112, new.clone())], "");
    check(200, &[(112, page("W/\"new\""))], "");
    check(200, &[(112, old.clone()), (113, new.clone())], "a");
    check(
        500,
        &[(112, new.clone())],
        "a purge was answered with 500: 1",
    );
    check(
        UNANSWERED,
        &[(112, new.clone())],
        "a purge was not answered: 1",
    );
    // It died, or said nothing but errors: nothing is known of what it would have served.
    let never = "http://a did not serve the new page: 1";
    check(200, &[], never);
    check(200, &[(99, old)], never);
    check(200, &[(112, Seen::Nothing)], never);
    check(200, &[(112, Seen::new(503, Some("\"new\"")))], never);
    let no_page = "http://a served no page after a purge: 1";
    check(200, &[(112, new.clone()), (113, Seen::Nothing)], no_page);
    let (not_found, too_many) = (Seen::new(404, None), Seen::new(429, None));
    check(200, &[(112, not_found), (113, new.clone())], no_page);
    check(200, &[(112, too_many), (113, new)], no_page);
    // An answer that says no version is none of the old one.
    assert_eq!(
        round_of(200, &[(112, Seen::new(404, None))]).stale_after_receipt,
        0
    );
}
