//! One connection to the target, HTTP/1.1 or HTTP/2, and one exchange on it.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::class::Class;
use crate::record::Failure;
use crate::target::Request;
use crate::wire::{self, Body, Chunks, Classifier};

/// From the request to the last byte of the response, without what a slow reader pauses.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(30);
/// Of a slow reader, at a time.
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// Read at a time: small where nothing large comes, as ten thousand connections may be open.
const READ_BYTES: usize = 16 * 1024;

pub(crate) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

pub(crate) enum Connection {
    Http1(Http1),
    /// One of the requests at a time that an HTTP/2 connection takes.
    Http2(http2::SendRequest<Empty<Bytes>>),
}

pub(crate) struct Http1 {
    stream: Stream,
    buffer: BytesMut,
    classifier: Classifier,
    /// Ends an exchange that takes too long. Set anew only when it runs out early: that is cheaper than for each.
    limit: Pin<Box<tokio::time::Sleep>>,
    keeps: bool,
}

/// What is not the same for all exchanges of a run.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Reading {
    /// The body's checksum is wanted.
    pub(crate) sum: bool,
    /// Bytes per second.
    pub(crate) slowly: Option<u64>,
}

/// A whole response.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) class: Class,
    pub(crate) bytes: u64,
    /// CRC-32 of the body, if wanted.
    pub(crate) sum: u32,
    pub(crate) etag: Option<String>,
}

impl Connection {
    pub(crate) async fn open(stream: Stream, http2: bool) -> io::Result<Self> {
        if !http2 {
            return Ok(Self::Http1(Http1 {
                stream,
                buffer: BytesMut::with_capacity(READ_BYTES),
                classifier: Classifier::default(),
                limit: Box::pin(tokio::time::sleep(RESPONSE_TIMEOUT)),
                keeps: true,
            }));
        }
        let (sender, driver) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .map_err(io::Error::other)?;
        // How it ends is told to whoever waits for a response.
        tokio::spawn(driver);
        Ok(Self::Http2(sender))
    }

    /// The same HTTP/2 connection, for another request at the same time.
    pub(crate) fn another(&self) -> Option<Self> {
        match self {
            Self::Http1(_) => None,
            Self::Http2(sender) => Some(Self::Http2(sender.clone())),
        }
    }

    /// Whether it carries other requests still, whatever became of one.
    pub(crate) fn has_streams(&self) -> bool {
        match self {
            Self::Http1(_) => false,
            Self::Http2(sender) => !sender.is_closed(),
        }
    }

    /// Whether it can take a request; notices a server that has closed it meanwhile.
    pub(crate) async fn is_ready(&mut self) -> bool {
        match self {
            Self::Http1(http1) => http1.keeps && http1.is_quiet().await,
            Self::Http2(sender) => sender.ready().await.is_ok(),
        }
    }

    /// Sends one request and reads the whole response. After a failure the connection is of no use.
    pub(crate) async fn exchange(
        &mut self,
        request: Request,
        reading: Reading,
    ) -> Result<Answer, Failure> {
        match (self, request) {
            (Self::Http1(http1), Request::Http1(bytes)) => http1.exchange(&bytes, reading).await,
            (Self::Http2(sender), Request::Http2(request)) => {
                let paused = AtomicU64::new(0);
                let exchange = over_http2(sender, request, Sink::new(reading, &paused));
                let limit = std::pin::pin!(tokio::time::sleep(RESPONSE_TIMEOUT));
                within(RESPONSE_TIMEOUT, &paused, limit, exchange).await
            }
            _ => Err(Failure::Malformed), // a target makes requests and connections of one kind
        }
    }
}

impl Http1 {
    /// Nothing has come since the last response, neither bytes nor the end.
    async fn is_quiet(&mut self) -> bool {
        let mut byte = [0_u8; 1];
        let poll = |context: &mut Context<'_>| {
            let mut byte = ReadBuf::new(&mut byte);
            let read = Pin::new(&mut self.stream).poll_read(context, &mut byte);
            Poll::Ready(read.is_pending())
        };
        std::future::poll_fn(poll).await
    }

    async fn exchange(&mut self, request: &[u8], reading: Reading) -> Result<Answer, Failure> {
        let paused = AtomicU64::new(0);
        let Self {
            stream,
            buffer,
            classifier,
            limit,
            keeps,
        } = self;
        let exchange = async {
            // Plain TCP has nothing to flush; TLS may.
            if stream.write_all(request).await.is_err() || stream.flush().await.is_err() {
                return Err(Failure::NoAnswer);
            }
            let sink = Sink::new(reading, &paused);
            let answer = read_response(stream, buffer, classifier, keeps, sink).await?;
            *keeps &= buffer.is_empty();
            Ok(answer)
        };
        within(RESPONSE_TIMEOUT, &paused, limit.as_mut(), exchange).await
    }
}

/// Ends an exchange for which the server makes us wait longer than `most`. What the client itself `paused`, in
/// microseconds, is not the server's. `limit` may have any deadline: it is set anew where it runs out too early.
async fn within<T>(
    most: Duration,
    paused: &AtomicU64,
    mut limit: Pin<&mut tokio::time::Sleep>,
    exchange: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let began = tokio_now();
    let mut exchange = std::pin::pin!(exchange);
    std::future::poll_fn(|context| {
        if let Poll::Ready(ended) = exchange.as_mut().poll(context) {
            return Poll::Ready(ended);
        }
        while limit.as_mut().poll(context).is_ready() {
            let paused = Duration::from_micros(paused.load(Ordering::Relaxed));
            let deadline = began + most + paused;
            if limit.deadline() >= deadline {
                return Poll::Ready(Err(Failure::Timeout));
            }
            limit.as_mut().reset(deadline);
        }
        Poll::Pending
    })
    .await
}

fn tokio_now() -> tokio::time::Instant {
    tokio::time::Instant::from_std(crate::clock::now())
}

async fn read_response(
    stream: &mut Stream,
    buffer: &mut BytesMut,
    classifier: &mut Classifier,
    keeps: &mut bool,
    mut sink: Sink<'_>,
) -> Result<Answer, Failure> {
    let head = loop {
        match wire::head(buffer, classifier).map_err(|_| Failure::Malformed)? {
            Some(head) if head.status < 200 && head.status != 101 => buffer.advance(head.bytes),
            Some(head) => break head,
            None => match (more(stream, buffer).await, buffer.is_empty()) {
                (Err(Failure::CutShort), true) => return Err(Failure::NoAnswer),
                (read, _) => read?,
            },
        }
    };
    buffer.advance(head.bytes);
    *keeps = head.keeps;
    match head.body {
        Body::Length(length) => {
            while sink.bytes < length {
                if buffer.is_empty() {
                    more(stream, buffer).await?;
                }
                let left = usize::try_from(length - sink.bytes).unwrap_or(usize::MAX);
                let part = left.min(buffer.len());
                sink.take(buffer.get(..part).unwrap_or_default());
                buffer.advance(part);
                sink.pause().await;
            }
        }
        Body::Chunked => {
            let mut chunks = Chunks::Line;
            loop {
                let read = chunks.read(buffer, |data| sink.take(data));
                buffer.advance(read.map_err(|_| Failure::Malformed)?);
                sink.pause().await;
                if chunks == Chunks::Done {
                    break;
                }
                more(stream, buffer).await?;
            }
        }
        Body::ToTheEnd => loop {
            sink.take(buffer);
            buffer.clear();
            sink.pause().await;
            match more(stream, buffer).await {
                Ok(()) => {}
                Err(Failure::CutShort) => break,
                Err(failure) => return Err(failure),
            }
        },
    }
    Ok(Answer {
        status: head.status,
        class: head.class,
        bytes: sink.bytes,
        sum: sink.sum.finalize(),
        etag: head.etag,
    })
}

/// Counts a body, and sums it up.
struct Sink<'a> {
    reading: Reading,
    /// Microseconds that a slow reader has waited, or is about to.
    paused: &'a AtomicU64,
    bytes: u64,
    /// Of those, for how many a slow reader has waited.
    paid: u64,
    sum: crc32fast::Hasher,
}

impl<'a> Sink<'a> {
    fn new(reading: Reading, paused: &'a AtomicU64) -> Self {
        Self {
            reading,
            paused,
            bytes: 0,
            paid: 0,
            sum: crc32fast::Hasher::new(),
        }
    }

    fn take(&mut self, data: &[u8]) {
        self.bytes += data.len() as u64;
        if self.reading.sum {
            self.sum.update(data);
        }
    }

    /// What a slow reader waits for what it has read since it waited last.
    async fn pause(&mut self) {
        if let Some(per_second) = self.reading.slowly {
            let unpaid = (self.bytes - self.paid) as f64;
            self.paid = self.bytes;
            let pause = Duration::from_secs_f64(unpaid / per_second.max(1) as f64);
            let pause = pause.min(PAUSE_MAX);
            let micros = u64::try_from(pause.as_micros()).unwrap_or(u64::MAX);
            self.paused.fetch_add(micros, Ordering::Relaxed);
            tokio::time::sleep(pause).await;
        }
    }
}

/// At least one more byte. The end is a failure: of a body that has no length, the caller knows better.
async fn more(stream: &mut Stream, buffer: &mut BytesMut) -> Result<(), Failure> {
    buffer.reserve(READ_BYTES);
    match stream.read_buf(buffer).await {
        Ok(0) | Err(_) => Err(Failure::CutShort),
        Ok(_) => Ok(()),
    }
}

async fn over_http2(
    sender: &mut http2::SendRequest<Empty<Bytes>>,
    request: http::Request<Empty<Bytes>>,
    mut sink: Sink<'_>,
) -> Result<Answer, Failure> {
    let answer = sender.send_request(request).await;
    let (head, mut body) = answer.map_err(|_| Failure::NoAnswer)?.into_parts();
    let cut = |_| Failure::CutShort;
    while let Some(frame) = body.frame().await {
        sink.take(frame.map_err(cut)?.data_ref().map_or(&[][..], |data| data));
        sink.pause().await;
    }
    let status = head.status.as_u16();
    let etag = head.headers.get(http::header::ETAG);
    Ok(Answer {
        status,
        class: Class::of(status, &head.headers),
        bytes: sink.bytes,
        sum: sink.sum.finalize(),
        etag: etag.and_then(|etag| Some(etag.to_str().ok()?.to_owned())),
    })
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

#[cfg(test)]
mod tests;
