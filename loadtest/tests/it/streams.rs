//! HTTP/2: how many requests a connection carries, and what one stream's end is to the others.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hyper::service::service_fn;
use hyper::{Request, Response, body::Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use seawall_loadtest::{Mode, Plan, run};
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc};

use crate::never;

#[tokio::test]
async fn streams_share_the_requests_of_their_connection() {
    for mode in [Mode::Closed { connections: 2 }, Mode::Open { rate: 500.0 }] {
        let (teller, mut told) = mpsc::unbounded_channel();
        let url = http2(move |connection, _| {
            let _ = teller.send(connection);
            std::future::ready(Ok::<_, Infallible>(()))
        })
        .await;
        let mut plan = Plan::new(url, mode, Duration::from_millis(300));
        plan.how.http2 = true;
        plan.how.streams = 50;
        plan.how.requests_per_connection = Some(10);
        let report = run(plan, never()).await.unwrap();
        assert_eq!(report.errors, 0, "{report}");
        let mut carried = std::collections::BTreeMap::<u64, u64>::new();
        while let Ok(connection) = told.try_recv() {
            *carried.entry(connection).or_default() += 1;
        }
        assert!(carried.len() > 2, "{carried:?}");
        assert!(carried.values().all(|count| *count <= 10), "{carried:?}");
        assert!(carried.values().any(|count| *count == 10), "{carried:?}");
        assert_eq!(carried.values().sum::<u64>(), report.requests);
    }
}

/// One stream waits for ever, the other fails: it goes on, on the same connection.
#[tokio::test]
async fn a_stream_that_fails_goes_on_while_others_wait() {
    let (fourth, heard) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let teller = (fourth.clone(), heard.clone());
    let url = http2(move |connection, number| {
        let (fourth, heard) = teller.clone();
        async move {
            assert_eq!(
                connection, 1,
                "the first was to see whether there is a server"
            );
            match number {
                0 => Ok(()),
                1 => std::future::pending().await,
                2 => Err(std::io::Error::other("reset")),
                _ => {
                    fourth.notify_one();
                    heard.notified().await;
                    Ok(())
                }
            }
        }
    })
    .await;
    let closed = Mode::Closed { connections: 1 };
    let mut plan = Plan::new(url, closed, Duration::from_secs(10));
    plan.how.http2 = true;
    plan.how.streams = 2;
    let mut came = false;
    let stop = async {
        fourth.notified().await;
        came = true;
        heard.notify_one();
    };
    let report = run(plan, stop).await.unwrap();
    assert!(came, "{report}");
}

/// Answers with nothing, where `what` does not fail; that hears the number of the connection, and of the request on it.
async fn http2<F, E>(what: impl Fn(u64, u64) -> F + Clone + Send + 'static) -> String
where
    F: Future<Output = Result<(), E>> + Send + 'static,
    E: std::error::Error + Send + Sync + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        for connection in 0.. {
            let Ok((stream, _)) = listener.accept().await else {
                return;
            };
            let (what, requests) = (what.clone(), AtomicU64::new(0));
            let service = service_fn(move |_: Request<Incoming>| {
                let answer = what(connection, requests.fetch_add(1, Ordering::Relaxed));
                async move { answer.await.map(|()| Response::new(String::new())) }
            });
            let builder = auto::Builder::new(TokioExecutor::new());
            tokio::spawn(async move {
                let _ = builder
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    url
}
