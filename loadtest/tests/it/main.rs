//! The load tool against servers of every kind, on loopback.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod away;
mod hdr;
mod load;
mod origin;
mod plans;
mod streams;
mod tls;

use std::future::Future;
use std::net::SocketAddr;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// A server that answers each request line with the bytes `answer` gives, whatever they are, and tells
/// of each request. An empty answer, or one that says `close`, ends the connection.
async fn server(answer: fn(&str) -> String) -> (SocketAddr, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (teller, told) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(converse(stream, answer, teller.clone()));
        }
    });
    (address, told)
}

async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    answer: fn(&str) -> String,
    teller: mpsc::UnboundedSender<String>,
) {
    let mut stream = BufReader::new(stream);
    let mut head = String::new();
    while stream
        .read_line(&mut head)
        .await
        .is_ok_and(|bytes| bytes > 0)
    {
        if !head.ends_with("\r\n\r\n") {
            continue;
        }
        let line = head.lines().next().unwrap().to_owned();
        let answer = answer(&line);
        let _ = teller.send(line);
        if stream.write_all(answer.as_bytes()).await.is_err()
            || answer.is_empty()
            || answer.contains("close")
        {
            return;
        }
        head.clear();
    }
}

/// Answers at once, but in the last 500 ms of every 2 s of its life not at all until those are over.
async fn stalling_server() -> (SocketAddr, mpsc::UnboundedReceiver<String>) {
    server(|_| {
        use std::sync::OnceLock;
        use std::time::{Duration, Instant};
        const EVERY: Duration = Duration::from_secs(2);
        const STALL: Duration = Duration::from_millis(500);
        static BEGAN: OnceLock<Instant> = OnceLock::new();
        #[expect(clippy::disallowed_methods, reason = "the server's own clock")]
        let now = Instant::now();
        let age = now.duration_since(*BEGAN.get_or_init(|| now)).as_micros();
        let into = Duration::from_micros((age % EVERY.as_micros()) as u64);
        if into >= EVERY - STALL {
            // All of the server stops, as in a pause of a garbage collector.
            std::thread::sleep(EVERY - into);
        }
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_owned()
    })
    .await
}

fn never() -> impl Future<Output = ()> {
    std::future::pending()
}
