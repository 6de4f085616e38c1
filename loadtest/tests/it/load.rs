//! Closed and open loops: what is counted, and as what.

use std::time::Duration;

use seawall_loadtest::{Class, Error, Failure, Mode, Plan, run, traffic};
use tokio::net::TcpListener;

use crate::{never, server};

const HIT: &str =
    "HTTP/1.1 200 OK\r\nCache-Status: edge; hit; ttl=5\r\nContent-Length: 5\r\n\r\nhello";

#[tokio::test]
async fn a_closed_loop_counts_every_response_and_byte() {
    let (address, mut told) = server(|_| HIT.to_owned()).await;
    let report = run(plan(&format!("http://{address}/a?b"), 3), never())
        .await
        .unwrap();
    let mut seen = 0;
    while let Ok(line) = told.try_recv() {
        assert_eq!(line, "GET /a?b HTTP/1.1");
        seen += 1;
    }
    assert!(report.requests > 0);
    assert_eq!((report.requests, report.errors), (seen, 0));
    assert_eq!(report.bytes, 5 * seen);
    assert_eq!(report.classes[&Class::Hit].count, seen);
    assert_eq!(report.statuses, [(200, seen)].into());
    assert_eq!(
        (report.planned, report.send_lag_us, report.saturated),
        (None, None, false)
    );
    assert!(report.requests_per_second > 0.0);
}

#[tokio::test]
async fn an_open_loop_sends_what_was_planned() {
    let (address, mut told) = server(|_| HIT.to_owned()).await;
    let mode = Mode::Open { rate: 500.0 };
    let report = run(
        Plan {
            mode,
            ..plan(&format!("http://{address}/"), 1)
        },
        never(),
    )
    .await
    .unwrap();
    let mut seen = 0;
    while told.try_recv().is_ok() {
        seen += 1;
    }
    assert_eq!(report.planned, Some(100));
    assert_eq!((report.requests, report.errors, seen), (100, 0, 100));
    assert_eq!(report.classes[&Class::Hit].count, 100);
    assert!(report.send_lag_us.is_some());
}

#[tokio::test]
async fn a_server_that_closes_after_each_answer_is_connected_to_again() {
    const LAST: &str =
        "HTTP/1.1 200 OK\r\nConnection: close\r\nX-Cache: MISS\r\nContent-Length: 2\r\n\r\nok";
    let (address, _told) = server(|_| LAST.to_owned()).await;
    let report = run(plan(&format!("http://{address}/"), 2), never())
        .await
        .unwrap();
    assert!(report.requests > 2, "{report}");
    assert_eq!(report.errors, 0, "{report}");
    assert_eq!(report.classes[&Class::Miss].count, report.requests);
}

#[tokio::test]
async fn what_is_no_whole_response_is_an_error() {
    async fn check(answer: &'static str, expect: Failure) {
        // A function pointer carries nothing, so the answers are told apart by the path.
        let (address, _told) = server(|line| match line.split(' ').nth(1).unwrap() {
            "/CutShort" => {
                "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nX: close\r\n\r\nshort".to_owned()
            }
            "/Malformed" => "HELLO close\r\n\r\n".to_owned(),
            _ => String::new(),
        })
        .await;
        let report = run(plan(&format!("http://{address}{answer}"), 1), never())
            .await
            .unwrap();
        assert!(report.requests > 0);
        assert_eq!(report.errors, report.requests, "{report}");
        assert_eq!(
            report.failures,
            [(expect, report.errors)].into(),
            "{report}"
        );
        assert_eq!((report.requests_per_second, report.bytes), (0.0, 0));
    }
    check("/CutShort", Failure::CutShort).await;
    check("/Malformed", Failure::Malformed).await;
    check("/nothing", Failure::NoAnswer).await;
}

#[tokio::test]
async fn a_failing_server_is_an_error_that_names_its_status() {
    let (address, _told) =
        server(|_| "HTTP/1.1 503 Busy\r\nX-Cache: HIT\r\nContent-Length: 0\r\n\r\n".to_owned())
            .await;
    let report = run(plan(&format!("http://{address}/"), 1), never())
        .await
        .unwrap();
    assert!(report.errors > 0);
    assert_eq!(report.statuses, [(503, report.errors)].into());
    assert!(report.to_string().contains("status 503"));
}

#[tokio::test]
async fn a_run_that_is_stopped_still_reports() {
    for mode in [
        Mode::Closed { connections: 2 },
        Mode::Open { rate: 1_000.0 },
    ] {
        let (address, mut told) = server(|_| HIT.to_owned()).await;
        let long = Plan {
            mode,
            duration: Duration::from_secs(3_600),
            ..plan(&format!("http://{address}/"), 1)
        };
        let stop = async move {
            for _ in 0..20 {
                told.recv().await.unwrap();
            }
        };
        let report = run(long, stop).await.unwrap();
        assert!(report.requests >= 20, "{report}");
        assert_eq!(report.errors, 0, "{report}");
        assert!(
            report
                .planned
                .is_none_or(|planned| planned == report.requests),
            "{report:?}"
        );
    }
}

#[tokio::test]
async fn a_server_that_never_answers_is_counted_when_the_run_ends() {
    let (address, _told) = server(|line| match line.contains("wait") {
        true => "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n".to_owned(),
        false => HIT.to_owned(),
    })
    .await;
    let report = run(plan(&format!("http://{address}/wait"), 3), never())
        .await
        .unwrap();
    assert_eq!(
        report.failures,
        [(Failure::Unanswered, 3)].into(),
        "{report}"
    );
    assert_eq!(report.requests, 3);
}

#[tokio::test]
async fn targets_that_are_not_there_or_not_ours_are_refused_before_the_run() {
    let free = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let check = async |url: String, expect: fn(&Error) -> bool| {
        let refused = run(plan(&url, 1), never()).await.expect_err(&url);
        assert!(expect(&refused), "{url}: {refused}");
    };
    check(format!("http://{free}/"), |error| {
        matches!(error, Error::Unreachable { .. })
    })
    .await;
    // Reserved for documentation: a packet sent there would be lost, and the test would wait for it.
    check("http://192.0.2.1/".into(), |error| {
        matches!(error, Error::NotYours { .. })
    })
    .await;
    check("http://[2001:db8::1]/".into(), |error| {
        matches!(error, Error::NotYours { .. })
    })
    .await;
    check("nowhere".into(), |error| matches!(error, Error::Url { .. })).await;
    check(format!("https://{free}/"), |error| {
        error.to_string().contains("whom to trust")
    })
    .await;
}

#[tokio::test]
async fn gentle_traffic_reaches_every_edge_and_outlives_one_that_is_away() {
    let (one, mut told_one) = server(|_| HIT.to_owned()).await;
    let (two, mut told_two) = server(|_| HIT.to_owned()).await;
    let away = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let targets = [one, away, two]
        .map(|address| format!("http://{address}"))
        .into();
    let stop = async {
        for _ in 0..20 {
            assert!(told_one.recv().await.unwrap().starts_with("GET /"));
            assert!(told_two.recv().await.unwrap().starts_with("GET /"));
        }
    };
    traffic::gentle(targets, 1_000.0, 7, stop).await.unwrap();

    let foreign = vec!["http://192.0.2.1".to_owned()];
    let refused = traffic::gentle(foreign, 1_000.0, 7, never()).await;
    assert!(matches!(refused, Err(Error::NotYours { .. })));
}

/// A closed loop of a fifth of a second.
fn plan(url: &str, connections: usize) -> Plan {
    let closed = Mode::Closed { connections };
    Plan::new(url, closed, Duration::from_millis(200))
}
