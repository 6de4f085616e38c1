//! Every plan in plans/ is carried out, shortened, against the demo origin.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use seawall_loadtest::plan::file::PlanFile;
use seawall_loadtest::purge::{PurgePlan, purge};
use seawall_loadtest::{Class, DemoOrigin, Mode, Plan, run};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
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

/// The server's buffers are small too: what it could send is what was taken in.
#[tokio::test]
async fn a_server_notices_a_slow_reader() {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_send_buffer_size(4_096).unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(16).unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let sent = Arc::new(AtomicU64::new(0));
    let sending = sent.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let sending = sending.clone();
            tokio::spawn(async move {
                let mut request = [0; 1_024];
                if stream.read(&mut request).await.is_ok_and(|read| read > 0) {
                    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n";
                    let _ = stream.write_all(head).await;
                    while let Ok(written) = stream.write(&[0; 1_024]).await {
                        sending.fetch_add(written as u64, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let closed = Mode::Closed { connections: 1 };
    let mut plan = Plan::new(url, closed, Duration::from_millis(500));
    plan.how.slow = Some((1.0, 1));
    let report = run(plan, never()).await.unwrap();
    assert_eq!(report.requests, 1, "{report}");
    let sent = sent.load(Ordering::Relaxed);
    assert!((1..48_000).contains(&sent), "{sent}");
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
    assert!(told.contains("a purge was not answered: 2\n"), "{told}");
}

/// 500 ms of every 2 s it does nothing. Of the users who come evenly, a quarter come meanwhile, and wait evenly up to
/// 500 ms: a tenth of all waits 300 ms and more. Who asks only after an answer sees one slow one, and no p90 knows of it.
#[tokio::test]
async fn a_stall_is_in_the_latencies_that_users_would_see() {
    let (address, _told) = crate::stalling_server().await;
    let plan = |mode| Plan::new(format!("http://{address}/"), mode, Duration::from_secs(2));
    let report = run(plan(Mode::Open { rate: 200.0 }), never())
        .await
        .unwrap();
    let users = &report.classes[&Class::Miss].from_intended;
    assert!((200_000..400_000).contains(&users.p90_us), "{report}");
    assert!((400_000..900_000).contains(&users.max_us), "{report}");
    assert!(users.p50_us < 100_000, "{report}");
    let report = run(plan(Mode::Closed { connections: 1 }), never())
        .await
        .unwrap();
    let uncorrected = &report.classes[&Class::Miss].from_send;
    assert!(uncorrected.max_us > 400_000, "{report}");
    assert!(uncorrected.p90_us < 100_000, "{report}");
}

async fn origin() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(DemoOrigin::new(Duration::ZERO).serve(listener, never()));
    url
}
