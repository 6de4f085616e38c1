//! Keeps the origin's Date on HTTP/1 connections.
//!
//! Pingora's writer puts its own Date over whatever an answer says (RFC 9110 §6.6.1 leaves it to the origin).
//! For what passes through Pingora this stream around the client's puts the right one back, in the same 29 bytes, when
//! the head passes. Everything else passes untouched, and so does all of an upgraded connection.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use http::HeaderValue;
use pingora_core::protocols::raw_connect::ProxyDigest;
use pingora_core::protocols::tls::{SslDigest, TlsRef};
use pingora_core::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl,
    Stream, TimingDigest, UniqueID, UniqueIDType,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// An IMF-fixdate has always so many bytes (RFC 9110 §5.6.7).
const DATE_BYTES: usize = 29;

type Date = [u8; DATE_BYTES];

/// A client's connection.
#[derive(Debug)]
pub struct Dated {
    inner: Stream,
    /// The Date of the next final head.
    next: Mutex<Option<Date>>,
    /// A head that is on its way.
    head: Option<Head>,
}

/// A head whose Date is replaced while it is written.
#[derive(Debug)]
struct Head {
    date: Date,
    /// Where in the head it stands.
    at: usize,
    /// Bytes of the head that are written.
    written: usize,
}

impl Dated {
    pub fn new(inner: Stream) -> Self {
        Self {
            inner,
            next: Mutex::default(),
            head: None,
        }
    }

    /// The connection under one of Pingora's sessions.
    pub fn under(stream: &Stream) -> Option<&Self> {
        (**stream).as_any().downcast_ref()
    }

    /// What it is around.
    pub fn inner<S: 'static>(&self) -> Option<&S> {
        (*self.inner).as_any().downcast_ref()
    }

    pub fn into_inner<S: 'static>(self) -> Option<Box<S>> {
        self.inner.into_any().downcast().ok()
    }

    /// The Date of the next final head; what is no IMF-fixdate leaves it to Pingora.
    pub fn date_next(&self, date: Option<&HeaderValue>) {
        let date = date.and_then(|date| date.as_bytes().try_into().ok());
        *self.next.lock().unwrap_or_else(PoisonError::into_inner) = date;
    }
}

impl Head {
    /// Pingora writes every head whole by one `write_all`: `bytes` is all of it, or none.
    fn new(date: Date, bytes: &[u8]) -> Option<Self> {
        const NAME: &[u8] = b"\r\ndate: ";
        let named = |line: &[u8]| line.eq_ignore_ascii_case(NAME);
        let at = bytes.windows(NAME.len()).position(named)? + NAME.len();
        let end = bytes.get(at + DATE_BYTES..)?;
        end.starts_with(b"\r\n").then_some(Self {
            date,
            at,
            written: 0,
        })
    }

    /// What to write in the place of `rest`, the bytes of the head that are not written yet.
    fn instead_of<'a>(&'a self, rest: &'a [u8]) -> [&'a [u8]; 3] {
        let ahead = self.at.saturating_sub(self.written).min(rest.len());
        let (before, rest) = rest.split_at(ahead);
        let begun = self.written.saturating_sub(self.at).min(DATE_BYTES);
        let date = self.date.get(begun..).unwrap_or_default();
        let date = date.get(..rest.len()).unwrap_or(date);
        let (_, after) = rest.split_at(date.len());
        [before, date, after]
    }

    fn is_dated(&self) -> bool {
        self.written >= self.at + DATE_BYTES
    }
}

/// Interim answers come before the one that has the Date. After 101 no head follows.
fn begins_final_head(bytes: &[u8]) -> bool {
    let status = bytes
        .strip_prefix(b"HTTP/1.")
        .and_then(|rest| rest.get(2..5));
    status.is_some_and(|status| !status.starts_with(b"1") || status == b"101")
}

impl AsyncWrite for Dated {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let next = this.next.get_mut().unwrap_or_else(PoisonError::into_inner);
        if next.is_some() && begins_final_head(bytes) {
            this.head = next.take().and_then(|date| Head::new(date, bytes));
        }
        let Some(head) = &mut this.head else {
            return Pin::new(&mut this.inner).poll_write(cx, bytes);
        };
        let slices = head.instead_of(bytes).map(IoSlice::new);
        let polled = Pin::new(&mut this.inner).poll_write_vectored(cx, &slices);
        if let Poll::Ready(Ok(written)) = polled {
            head.written += written;
            if head.is_dated() {
                this.head = None;
            }
        }
        polled
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}

impl AsyncRead for Dated {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_read(cx, buffer)
    }
}

// The rest of what Pingora asks of a connection is the inner one's to answer.

#[async_trait]
impl Shutdown for Dated {
    async fn shutdown(&mut self) {
        self.inner.shutdown().await;
    }
}

#[async_trait]
impl Peek for Dated {
    async fn try_peek(&mut self, buffer: &mut [u8]) -> io::Result<bool> {
        self.inner.try_peek(buffer).await
    }
}

impl UniqueID for Dated {
    fn id(&self) -> UniqueIDType {
        self.inner.id()
    }
}

impl Ssl for Dated {
    fn get_ssl(&self) -> Option<&TlsRef> {
        self.inner.get_ssl()
    }

    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        self.inner.get_ssl_digest()
    }

    fn selected_alpn_proto(&self) -> Option<ALPN> {
        self.inner.selected_alpn_proto()
    }
}

impl GetTimingDigest for Dated {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        self.inner.get_timing_digest()
    }

    fn get_read_pending_time(&self) -> Duration {
        self.inner.get_read_pending_time()
    }

    fn get_write_pending_time(&self) -> Duration {
        self.inner.get_write_pending_time()
    }
}

impl GetProxyDigest for Dated {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        self.inner.get_proxy_digest()
    }

    fn set_proxy_digest(&mut self, digest: ProxyDigest) {
        self.inner.set_proxy_digest(digest);
    }
}

impl GetSocketDigest for Dated {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.inner.get_socket_digest()
    }

    fn set_socket_digest(&mut self, digest: SocketDigest) {
        self.inner.set_socket_digest(digest);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    const OURS: &str = "Mon, 01 Jan 2024 00:00:00 GMT";
    const PINGORAS: &str = "Tue, 02 Jan 2024 11:22:33 GMT";

    /// Writes each of `writes` as Pingora does, through a pipe that takes at most `room` bytes at once.
    async fn passed(date: Option<&'static str>, writes: &[&str], room: usize) -> String {
        let (inner, mut client) = duplex(room);
        let mut stream: Stream = Box::new(Dated::new(Box::new(inner)));
        let date = date.map(HeaderValue::from_static);
        Dated::under(&stream).unwrap().date_next(date.as_ref());
        let writing = async {
            for bytes in writes {
                stream.write_all(bytes.as_bytes()).await.unwrap();
            }
            drop(stream);
        };
        let mut read = String::new();
        let (_, end) = tokio::join!(writing, client.read_to_string(&mut read));
        end.unwrap();
        read
    }

    fn head(status: u16, name: &str, date: &str) -> String {
        format!("HTTP/1.1 {status} Status\r\nA: b\r\n{name}: {date}\r\nC: d\r\n\r\n")
    }

    #[tokio::test]
    async fn only_the_date_of_the_next_final_head_is_replaced() {
        let check = async |date: Option<&'static str>, writes: &[&str], expect: &[&str]| {
            for room in (1..=100).chain([4096]) {
                let found = passed(date, writes, room).await;
                assert_eq!(found, expect.concat(), "{date:?} {writes:?} {room}");
            }
        };
        let (ours, pingoras) = (&head(200, "Date", OURS), &head(200, "Date", PINGORAS));
        check(Some(OURS), &[pingoras], &[ours]).await;
        let (small, replaced) = (&head(404, "date", PINGORAS), &head(404, "date", OURS));
        check(Some(OURS), &[small], &[replaced]).await;
        // Nothing is known of it.
        check(None, &[pingoras], &[pingoras]).await;
        check(Some("yesterday"), &[pingoras], &[pingoras]).await;
        // Once: neither in the body nor in the next answer.
        let three = [pingoras, pingoras, pingoras].map(String::as_str);
        check(Some(OURS), &three, &[ours, pingoras, pingoras]).await;
        // Interim heads come before it.
        let early = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
        check(Some(OURS), &[early, early, pingoras], &[early, early, ours]).await;
        // After it is upgraded a connection speaks something else, whatever it looks like.
        let switch = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n";
        check(Some(OURS), &[switch, pingoras], &[switch, pingoras]).await;
    }

    #[tokio::test]
    async fn a_head_without_the_line_we_know_passes_untouched() {
        for odd in [
            "",
            "HTTP/1.",
            "HTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nDate: ",
            "HTTP/1.1 200 OK\r\nDate: now\r\nA: a line that is long enough for a date\r\n\r\n",
            "HTTP/1.1 200 OK\r\nX-Date: Tue, 02 Jan 2024 11:22:33 GMT\r\n\r\n",
            "HTTP/1.1 200 OK\r\nDate: Tue, 02 Jan 2024 11:22:33 GMT",
            PINGORAS,
        ] {
            assert_eq!(passed(Some(OURS), &[odd], 5).await, odd);
        }
    }
}
