//! What answers with nothing but sockets: the origin behind all servers, and the limit of this machine.

use std::io::{BufReader, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::thread;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::servers::{CORE, pin};
use crate::support::message;

/// An origin that answers any target with as many bytes as its first segment says: `/1024/…`. It ends with the test.
/// `cores`: where it has to stay.
pub fn origin(cores: Option<&'static str>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        // The threads that it starts are where it is.
        cores.map(pin_this_thread);
        for mut stream in listener.incoming().flatten() {
            thread::spawn(move || {
                stream.set_nodelay(true).unwrap();
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                while let Some((line, _)) = message::read_head(&mut reader) {
                    let body = line.split('/').nth(1).and_then(|size| size.parse().ok());
                    if stream.write_all(&answer(body.unwrap_or(0))).is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

fn answer(body: usize) -> Vec<u8> {
    let mut answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nCache-Control: max-age=3600\r\nSurrogate-Key: everything\r\nETag: \"one\"\r\n\
         Last-Modified: Mon, 02 Nov 2026 10:00:00 GMT\r\nContent-Length: {body}\r\n\r\n"
    )
    .into_bytes();
    answer.resize(answer.len() + body, b'x');
    answer
}

/// Answers whatever comes with the same bytes, as soon as a head has ended: a tokio task a connection, all on one thread.
pub fn start(body: usize) -> (SocketAddr, i32) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    listener.set_nonblocking(true).unwrap();
    let (tell, told) = std::sync::mpsc::channel();
    thread::spawn(move || {
        tell.send(pin_this_thread(CORE)).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime.unwrap().block_on(answer_all(listener, body));
    });
    (address, told.recv().unwrap())
}

async fn answer_all(listener: TcpListener, body: usize) {
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    let answer: std::sync::Arc<[u8]> = answer(body).into();
    while let Ok((mut stream, _)) = listener.accept().await {
        let answer = answer.clone();
        stream.set_nodelay(true).unwrap();
        tokio::spawn(async move {
            let mut buffer = [0; 4_096];
            while let Ok(1..) = stream.read(&mut buffer).await {
                if stream.write_all(&answer).await.is_err() {
                    return;
                }
            }
        });
    }
}
fn pin_this_thread(cores: &str) -> i32 {
    let thread = rustix::thread::gettid().as_raw_nonzero().get();
    pin(&[], cores, &thread.to_string());
    thread
}
