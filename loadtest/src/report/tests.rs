#![allow(clippy::expect_used, clippy::indexing_slicing)]

use super::*;
use crate::clock;
use crate::plan::Mode;
use crate::record::Outcome;

/// A hit of 200 µs, 100 of them the server's, and one that was cut short.
pub(crate) fn some_report() -> Report {
    let mut total = Recorder::default();
    let hit = Outcome::Answered {
        class: Class::Hit,
        status: 200,
        bytes: 1_000,
        wrong: false,
    };
    total.record(hit, Duration::from_micros(200), Duration::from_micros(100));
    let cut = Outcome::Failed(Failure::CutShort);
    total.record(cut, Duration::ZERO, Duration::ZERO);
    let second = Duration::from_secs(1);
    let measured = Measured {
        sending: 2 * second,
        answered: 1,
        intervals: vec![Interval::new(Duration::ZERO, second, &total)],
        total,
        cold: None,
        began: clock::wall(),
        pace: None,
        cpu: Duration::ZERO,
        workers: 1,
    };
    let closed = Mode::Closed { connections: 1 };
    Report::new(
        &Plan::new("http://localhost/", closed, 2 * second),
        &measured,
    )
}

/// Hits that took so many microseconds, in one second.
pub(crate) fn report_of(latencies_us: &[u64]) -> Report {
    let mut total = Recorder::default();
    for micros in latencies_us {
        let hit = Outcome::Answered {
            class: Class::Hit,
            status: 200,
            bytes: 1,
            wrong: false,
        };
        let took = Duration::from_micros(*micros);
        total.record(hit, took, took);
    }
    in_a_second(total)
}

/// So many answers of a server that fails at once.
pub(crate) fn failures(count: u64) -> Report {
    let mut total = Recorder::default();
    for _ in 0..count {
        let failed = Outcome::Answered {
            class: Class::Error,
            status: 503,
            bytes: 100,
            wrong: false,
        };
        total.record(failed, Duration::ZERO, Duration::ZERO);
    }
    in_a_second(total)
}

fn in_a_second(total: Recorder) -> Report {
    let second = Duration::from_secs(1);
    let measured = Measured {
        sending: second,
        answered: total.answered(),
        intervals: vec![Interval::new(Duration::ZERO, second, &total)],
        total,
        cold: None,
        began: clock::wall(),
        pace: None,
        cpu: Duration::ZERO,
        workers: 1,
    };
    let closed = Mode::Closed { connections: 1 };
    Report::new(&Plan::new("http://localhost/", closed, second), &measured)
}

#[test]
fn a_generator_that_is_late_or_sends_too_few_is_saturated() {
    let check = |sent: u64, held_back: u64, late_us: u64, late: u64, expect: bool| {
        let mut lag = histogram();
        lag.saturating_record_n(10, sent - late);
        lag.saturating_record_n(late_us, late);
        let pace = Pace {
            planned: 1_000,
            sent,
            held_back,
            lag,
        };
        assert_eq!(pace.is_saturated(), expect);
    };
    check(1_000, 0, 0, 0, false);
    check(999, 0, 0, 0, true);
    check(1_000, 0, 20_000, 10, false);
    check(1_000, 0, 20_000, 11, true);
    check(1_000, 0, 4_000, 500, false);
    // The server's fault, but for one.
    check(900, 100, 0, 0, false);
    check(900, 99, 0, 0, true);
}

#[test]
fn a_server_that_holds_requests_back_is_named() {
    let report = Report {
        held_back: 12,
        ..some_report()
    };
    let (text, page) = (report.to_string(), html::page(&report));
    for says in [&text, &page] {
        assert!(
            says.contains(
                "12 requests were never sent: the server left 10,000 unanswered at a time"
            ),
            "{says}"
        );
    }
    assert!(!text.contains("SATURATED"), "{text}");
}

#[test]
fn errors_have_no_part_in_either_hit_ratio() {
    let merged = merge::merge(vec![report_of(&[1, 1]), failures(3)]).expect("a report");
    assert_eq!((merged.requests, merged.bytes), (5, 302));
    assert_eq!(
        (merged.hit_ratio, merged.byte_hit_ratio),
        (Some(1.0), Some(1.0))
    );
}

#[test]
fn the_words_of_the_report_are_a_contract() {
    let report = some_report();
    let mut json = serde_json::to_value(&report).expect("JSON");
    for latency in ["/classes/hit", "/classes/hit/from_send"] {
        let latency = json.pointer_mut(latency).expect(latency);
        let histogram = latency["histogram"].take();
        assert!(histogram.as_str().expect("text").starts_with("HISTFAAA"));
    }
    let at = |pointer: &str| json.pointer(pointer).cloned().unwrap_or_default();
    assert_eq!(at("/schema_version"), 1);
    assert_eq!(at("/seed"), 1);
    assert_eq!(at("/requests_per_second"), 0.5);
    assert_eq!(at("/requests"), 2);
    assert_eq!(at("/errors"), 1);
    assert_eq!(at("/wrong"), 0);
    assert_eq!(at("/bytes"), 1_000);
    assert_eq!(
        (at("/hit_ratio"), at("/byte_hit_ratio")),
        (1.0.into(), 1.0.into())
    );
    assert_eq!(at("/saturated"), false);
    assert_eq!(at("/statuses/200"), 1);
    assert_eq!(at("/failures/cut_short"), 1);
    assert_eq!(at("/intervals/0/classes/hit/count"), 1);
    let latency = |us: u64| serde_json::json!({"p50_us": us, "p90_us": us, "p99_us": us, "p999_us": us, "max_us": us, "histogram": null});
    let mut hit = latency(200);
    hit["count"] = 1.into();
    hit["bytes"] = 1_000.into();
    hit["from_send"] = latency(100);
    assert_eq!(at("/classes/hit"), hit);
    assert_eq!(at("/classes/stale/count"), 0);
    let text = report.to_string();
    assert!(
        text.contains("0.5 requests per second: 2 in 2.00 s, 1 error, 1.0 kB"),
        "{text}"
    );
    assert!(text.contains("cut short: 1"), "{text}");
}

#[test]
fn a_report_is_read_back_as_it_was_written() {
    let report = some_report();
    let text = serde_json::to_string(&report).expect("JSON");
    let again: Report = serde_json::from_str(&text).expect("a report");
    assert_eq!(serde_json::to_string(&again).expect("JSON"), text);
    assert_eq!(again.latency().value_at_quantile(0.5), 200);
}
