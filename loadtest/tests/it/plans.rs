//! Every plan in plans/ is carried out, shortened, against the demo origin.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use seawall_loadtest::plan::file::PlanFile;
use seawall_loadtest::purge::{PurgePlan, purge};
use seawall_loadtest::{Class, DemoOrigin, Mode, Plan, run};
use tokio::net::TcpListener;

use crate::never;

#[tokio::test]
async fn every_plan_is_carried_out() {
    let url = origin().await;
    let plans = Path::new(env!("CARGO_MANIFEST_DIR")).join("plans");
    let mut carried_out = 0;
    for file in std::fs::read_dir(plans).unwrap() {
        let file = file.unwrap().path();
        if file.extension().is_none_or(|end| end != "toml") {
            continue;
        }
        if file.ends_with("purge.toml") {
            assert_eq!(PurgePlan::read(&file).unwrap().caches.len(), 3);
            continue;
        }
        let mut read = PlanFile::read(&file).unwrap();
        read.url = Some(url.clone());
        read.duration = Some("1500ms".to_owned());
        let (plan, _) = read.plan(&file).unwrap();
        let report = run(plan, never()).await.unwrap();
        let name = file.display();
        assert!(report.requests > 0, "{name}");
        assert_eq!((report.errors, report.wrong), (0, 0), "{name}: {report}");
        assert_eq!(report.cold.is_some(), file.ends_with("zipf.toml"), "{name}");
        carried_out += 1;
    }
    assert!(carried_out >= 8, "{carried_out}");
}

#[tokio::test]
async fn http2_carries_many_requests_at_a_time() {
    let url = origin().await;
    for mode in [Mode::Closed { connections: 2 }, Mode::Open { rate: 500.0 }] {
        let mut plan = Plan::new(
            format!("{url}/objects/1?size=100000"),
            mode,
            Duration::from_millis(300),
        );
        plan.how.http2 = true;
        plan.how.streams = 20;
        plan.how.check_bodies = true;
        let report = run(plan, never()).await.unwrap();
        assert!(report.requests > 20, "{report}");
        assert_eq!((report.errors, report.wrong), (0, 0), "{report}");
        assert_eq!(report.bytes, 100_000 * report.requests, "{report}");
    }
}

#[tokio::test]
async fn a_slow_reader_takes_as_long_as_its_line_does() {
    let url = origin().await;
    for path in ["/objects/1?size=30000", "/objects/1?size=1000"] {
        let closed = Mode::Closed { connections: 1 };
        let mut plan = Plan::new(format!("{url}{path}"), closed, Duration::from_millis(700));
        plan.how.slow = Some((1.0, 100_000));
        let report = run(plan, never()).await.unwrap();
        let latency = &report.classes[&Class::Miss].from_send;
        let bytes = report.bytes / report.requests;
        // Ten microseconds a byte.
        assert!(latency.p50_us >= 10 * bytes * 99 / 100, "{path}: {report}");
    }
}

#[tokio::test]
async fn a_body_that_changes_without_its_etag_is_wrong() {
    let check = async |answer: fn(&str) -> String, expect: bool| {
        let (address, mut told) = crate::server(answer).await;
        let closed = Mode::Closed { connections: 1 };
        let minute = Duration::from_secs(60);
        let mut plan = Plan::new(format!("http://{address}/a"), closed, minute);
        plan.how.check_bodies = true;
        let stop = async move {
            for _ in 0..20 {
                told.recv().await.unwrap();
            }
        };
        let report = run(plan, stop).await.unwrap();
        assert_eq!(report.wrong > 0, expect, "{report}");
    };
    let same = |_: &str| versioned(7);
    check(same, false).await;
    let changing = |_: &str| {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        versioned(COUNT.fetch_add(1, Ordering::Relaxed) % 10)
    };
    check(changing, true).await;
}

fn versioned(digit: u64) -> String {
    format!("HTTP/1.1 200 OK\r\nETag: \"same\"\r\nContent-Length: 1\r\n\r\n{digit}")
}

#[tokio::test]
async fn a_purge_is_watched_until_the_new_page_is_there() {
    let url = origin().await;
    // No cache at all: what it serves is always new.
    let plan = format!(
        "origin = \"{url}\"\npath = \"/pages/1\"\nrounds = 2\nbefore = \"500ms\"\nafter = \"2s\"\n\
         traffic = 100.0\nprobes_per_second = 200.0\n[[cache]]\nname = \"none\"\nedges = [\"{url}\"]\n\
         purge.url = \"{url}/pages/1\"\npurge.method = \"GET\"\n"
    );
    let plan = PurgePlan::parse(&plan).unwrap();
    let mut told = 0;
    let report = purge(&plan, never(), |_, _| told += 1).await.unwrap();
    assert_eq!(told, 2);
    assert!(report.is_clean(), "{report}");
    for round in &report.caches[0].rounds {
        assert!(round.edges[0].first_fresh_ms.is_some(), "{report}");
        assert!(!round.traffic.is_empty(), "{report}");
    }
    let page = seawall_loadtest::purge::page::page(&report);
    assert!(page.contains("none: purges"), "{page}");
}

#[tokio::test]
async fn a_purge_that_is_not_answered_is_no_clean_one() {
    let url = origin().await;
    let (broken, _told) = crate::server(|_| String::new()).await;
    let plan = format!(
        "origin = \"{url}\"\npath = \"/pages/1\"\nrounds = 2\nbefore = \"100ms\"\nafter = \"200ms\"\n\
         [[cache]]\nname = \"none\"\nedges = [\"{url}\"]\npurge.url = \"http://{broken}/pages/1\"\n"
    );
    let plan = PurgePlan::parse(&plan).unwrap();
    let report = purge(&plan, never(), |_, _| ()).await.unwrap();
    assert_eq!(report.caches[0].rounds.len(), 2);
    assert!(!report.is_clean());
    let told = report.to_string();
    assert_eq!(
        told.matches("a purge was not answered").count(),
        2,
        "{told}"
    );
}

/// 500 ms of every 2 s it does nothing.
#[tokio::test]
async fn a_stall_is_in_the_latencies_that_users_would_see() {
    let (address, _told) = crate::stalling_server().await;
    let open = Mode::Open { rate: 200.0 };
    let plan = Plan::new(format!("http://{address}/"), open, Duration::from_secs(2));
    let report = run(plan, never()).await.unwrap();
    let misses = &report.classes[&Class::Miss];
    // Of each stall of 500 ms in 2 s, a quarter of all requests wait; the last tenth 300 ms and more.
    assert!(misses.from_intended.p90_us > 200_000, "{report}");
    assert!(misses.from_intended.max_us > 400_000, "{report}");
}

async fn origin() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(DemoOrigin::new(Duration::ZERO).serve(listener, never()));
    url
}
