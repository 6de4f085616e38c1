//! The load tool against servers of every kind, on loopback.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod load;
mod origin;
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

fn never() -> impl Future<Output = ()> {
    std::future::pending()
}
