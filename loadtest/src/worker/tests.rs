#![allow(clippy::expect_used)]

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;
use crate::address::Address;
use crate::plan::Plan;

const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

/// A worker whose server gives every request this answer; to an empty one it closes.
async fn worker(answer: &'static str, requests_per_connection: u64) -> Arc<Worker> {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = [0; 1_024];
                while stream.read(&mut request).await.is_ok_and(|read| read > 0)
                    && !answer.is_empty()
                    && stream.write_all(answer.as_bytes()).await.is_ok()
                {}
            });
        }
    });
    let address = Address::parse(&url).expect("a URL");
    let target = Target::find(&address, false, None, &[]).await;
    let closed = crate::Mode::Closed { connections: 1 };
    let how = How {
        requests_per_connection: Some(requests_per_connection),
        ..Plan::new(url, closed, Duration::ZERO).how
    };
    let run = Run {
        target: target.expect("a server"),
        workload: Arc::new(Workload::one("/")),
        seed: 1,
        always: None,
        how,
        workers: 1,
        recorders: Recorders::new(1),
        memory: Memory::default(),
    };
    Worker::new(Arc::new(run), 0)
}

/// A pause is for those that failed: who has only used up a connection opens the next at once.
#[tokio::test]
async fn a_connection_that_is_used_up_is_no_failure() {
    let check = async |answer, requests_per_connection, keeps: bool, failed: bool| {
        let worker = worker(answer, requests_per_connection).await;
        let after = worker.request(0, None, clock::now(), |_| ()).await;
        let found = (after.kept.is_some(), after.failed);
        assert_eq!(found, (keeps, failed), "{answer:?}");
    };
    check(ANSWER, 2, true, false).await;
    check(ANSWER, 1, false, false).await;
    check("", 2, false, true).await;
    check("HELLO\r\n\r\n", 2, false, true).await;
}
