//! A connection while Pingora has it: for one request, or for good.
//!
//! Pingora reads this request and not a byte more. A body comes to it in a framing of ours; one that is framed wrong, or
//! comes too slowly, never ends. What the client sends after it is kept, and the connection comes back.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::BytesMut;
use pingora_core::protocols::l4::socket::SocketAddr as PingoraAddr;
use pingora_core::protocols::raw_connect::ProxyDigest;
use pingora_core::protocols::tls::SslDigest;
use pingora_core::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl,
    TimingDigest, UniqueID, UniqueIDType,
};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::body::Body;
use super::floods::{Flood, Floods};
use super::gathered::Gathered;
use super::head::Head;
use super::preface::PREFACE;
use super::wire::Wire;
use crate::clock;
use crate::door::Handshake;

/// What a client may send ahead while it waits for an answer.
pub const AHEAD_BYTES_MAX: usize = 64 * 1024;
/// A body may let itself be waited for so long in all, and for every byte of it …
const BODY_GRACE: Duration = Duration::from_secs(10);
/// … so much longer: 500 bytes a second.
const BYTE_GRACE: Duration = Duration::from_millis(2);
const READ_BYTES: usize = 16 * 1024;

/// A client's connection.
#[derive(Debug)]
pub struct Handed {
    wire: Wire,
    digest: Arc<SocketDigest>,
    /// What Pingora reads next.
    next: BytesMut,
    /// What came behind it.
    behind: BytesMut,
    stage: Stage,
    patience: Patience,
}

#[derive(Debug)]
enum Stage {
    /// A request and its body.
    Body(Body),
    /// After a request that wishes to speak something else: not before the answer says so.
    Wish(Option<Waker>),
    /// Every byte passes.
    Raw,
    /// HTTP/2: every byte passes, until there are too many frames that only keep us busy.
    Frames(Floods, Gathered),
    /// The body was framed wrong, or came too slowly; or all of the connection is a flood.
    Broken(Broken),
}

/// Why a body never ends, or a connection does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    BadChunk,
    TooSlow,
    Flood(Flood),
}

/// How long a body is waited for.
#[derive(Debug, Default)]
struct Patience {
    since: Option<Instant>,
    waited: Duration,
    bytes: u64,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Handed {
    /// One request, of which the head is here, and `behind` has come.
    pub fn request(wire: Wire, client: SocketAddr, head: &Head, behind: BytesMut) -> Self {
        let stage = match head.wishes_upgrade() && !head.has_body() {
            true => Stage::Wish(None),
            false => Stage::Body(Body::new(head.body)),
        };
        Self::new(wire, client, head.in_origin_form(), behind, stage)
    }

    /// All of a connection of HTTP/2, of which the preface is here.
    pub fn frames(wire: Wire, client: SocketAddr) -> Self {
        let stage = Stage::Frames(Floods::new(clock::instant()), Gathered::default());
        let preface = BytesMut::from(&PREFACE[..]);
        Self::new(wire, client, preface, BytesMut::new(), stage)
    }

    fn new(wire: Wire, client: SocketAddr, next: BytesMut, behind: BytesMut, stage: Stage) -> Self {
        let digest = SocketDigest::from_raw_fd(wire.as_raw_fd());
        let _ = digest.peer_addr.set(Some(PingoraAddr::Inet(client)));
        Self {
            wire,
            digest: Arc::new(digest),
            next,
            behind,
            stage,
            patience: Patience::default(),
        }
    }

    /// Why the body never ended, if it did not.
    pub fn broken(&self) -> Option<Broken> {
        match self.stage {
            Stage::Broken(why) => Some(why),
            _ => None,
        }
    }

    /// The connection, and what the client sent after the request; None where that has not ended.
    pub fn take_back(self) -> Option<(Wire, BytesMut)> {
        let ended = match self.stage {
            Stage::Body(body) => body.is_done(),
            Stage::Wish(_) => true,
            Stage::Raw | Stage::Frames(..) | Stage::Broken(_) => false,
        };
        (ended && self.next.is_empty()).then_some((self.wire, self.behind))
    }

    fn breaks(&mut self, why: Broken) -> io::Error {
        self.stage = Stage::Broken(why);
        io::Error::new(io::ErrorKind::InvalidData, why.detail())
    }

    /// The client asked for something else, and this begins the answer.
    fn heed(&mut self, bytes: &[u8]) {
        if let Stage::Wish(waiting) = &mut self.stage
            && bytes.starts_with(b"HTTP/1.1 101")
        {
            let waiting = waiting.take();
            self.next.unsplit(self.behind.split());
            self.stage = Stage::Raw;
            if let Some(waker) = waiting {
                waker.wake();
            }
        }
    }

    fn counts(&mut self, slices: &[io::IoSlice<'_>], polled: &Poll<io::Result<usize>>) {
        let (Stage::Frames(floods, _), Poll::Ready(Ok(written))) = (&mut self.stage, polled) else {
            return;
        };
        let mut left = *written;
        for slice in slices {
            let bytes = slice.get(..left).unwrap_or(slice);
            floods.wrote(bytes);
            left -= bytes.len();
        }
    }

    /// Reads more of what comes behind; the end of the stream is 0.
    fn poll_behind(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut bytes = [0; READ_BYTES];
        let mut buffer = ReadBuf::new(&mut bytes);
        ready!(Pin::new(&mut self.wire).poll_read(cx, &mut buffer))?;
        self.behind.extend_from_slice(buffer.filled());
        Poll::Ready(Ok(buffer.filled().len()))
    }

    /// While the answer is under way: whether the client leaves, and what it sends next, within bounds.
    fn poll_ahead(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.behind.len() < AHEAD_BYTES_MAX {
            if ready!(self.poll_behind(cx))? == 0 {
                return Poll::Ready(Ok(()));
            }
        }
        Poll::Pending
    }
}

impl AsyncRead for Handed {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if !this.next.is_empty() {
                let bytes = this.next.len().min(buffer.remaining());
                buffer.put_slice(&this.next.split_to(bytes));
                return Poll::Ready(Ok(()));
            }
            match &mut this.stage {
                Stage::Raw => return Pin::new(&mut this.wire).poll_read(cx, buffer),
                Stage::Frames(floods, gathered) => {
                    if let Poll::Ready(sent) = gathered.poll_due(&mut this.wire, cx) {
                        sent?;
                    }
                    let known = buffer.filled().len();
                    ready!(Pin::new(&mut this.wire).poll_read(cx, buffer))?;
                    let new = buffer.filled().get(known..).unwrap_or_default();
                    return Poll::Ready(match floods.read(new, clock::instant()) {
                        Ok(()) => Ok(()),
                        Err(flood) => Err(this.breaks(Broken::Flood(flood))),
                    });
                }
                Stage::Wish(waiting) => {
                    *waiting = Some(cx.waker().clone());
                    return this.poll_ahead(cx);
                }
                Stage::Broken(why) => {
                    let why = *why;
                    return Poll::Ready(Err(this.breaks(why)));
                }
                Stage::Body(body) if body.is_done() => return this.poll_ahead(cx),
                Stage::Body(body) => {
                    if body.take(&mut this.behind, &mut this.next).is_err() {
                        return Poll::Ready(Err(this.breaks(Broken::BadChunk)));
                    }
                    if this.next.is_empty()
                        && !matches!(this.stage, Stage::Body(body) if body.is_done())
                    {
                        match this.poll_behind(cx) {
                            Poll::Ready(Ok(0)) => return Poll::Ready(Ok(())),
                            Poll::Ready(read) => this.patience.got(read?),
                            Poll::Pending => {
                                ready!(this.patience.poll_lost(cx));
                                return Poll::Ready(Err(this.breaks(Broken::TooSlow)));
                            }
                        }
                    }
                }
            }
        }
    }
}

impl Patience {
    fn got(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
        if let Some(since) = self.since.take() {
            self.waited += clock::instant() - since;
            self.timer = None;
        }
    }

    /// Ready when it has been waited for too long.
    fn poll_lost(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.since.get_or_insert_with(clock::instant);
        let left = left(self.bytes, self.waited);
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(left)));
        timer.as_mut().poll(cx)
    }
}

/// How much longer a body may be waited for of which so many bytes are here.
pub fn left(bytes: u64, waited: Duration) -> Duration {
    let earned = BYTE_GRACE.saturating_mul(u32::try_from(bytes).unwrap_or(u32::MAX));
    (BODY_GRACE + earned).saturating_sub(waited)
}

impl AsyncWrite for Handed {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[io::IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.heed(slices.first().map_or(&[], |first| first));
        let polled = match &mut this.stage {
            Stage::Frames(_, gathered) => gathered.poll_write(&mut this.wire, cx, slices),
            _ => Pin::new(&mut this.wire).poll_write_vectored(cx, slices),
        };
        this.counts(slices, &polled);
        polled
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        match &mut this.stage {
            Stage::Frames(_, gathered) => gathered.poll_flush(cx),
            _ => Pin::new(&mut this.wire).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Stage::Frames(_, gathered) = &mut this.stage {
            ready!(gathered.poll_out(&mut this.wire, cx))?;
        }
        Pin::new(&mut this.wire).poll_shutdown(cx)
    }
}

impl Broken {
    pub fn detail(self) -> &'static str {
        match self {
            Self::BadChunk => "the body is not framed as chunks are",
            Self::TooSlow => "the body comes too slowly",
            Self::Flood(flood) => flood.detail(),
        }
    }

    pub fn status(self) -> http::StatusCode {
        match self {
            Self::BadChunk => http::StatusCode::BAD_REQUEST,
            Self::TooSlow => http::StatusCode::REQUEST_TIMEOUT,
            // Nobody is left to be told.
            Self::Flood(_) => http::StatusCode::TOO_MANY_REQUESTS,
        }
    }
}

// What else Pingora asks of a connection.

#[async_trait]
impl Shutdown for Handed {
    async fn shutdown(&mut self) {
        let _ = self.wire.shutdown().await;
    }
}

impl Peek for Handed {}

impl UniqueID for Handed {
    fn id(&self) -> UniqueIDType {
        self.wire.as_raw_fd()
    }
}

impl Ssl for Handed {
    /// That there is one says that the client came over TLS. Of what Pingora lets us put into it we need one text, the
    /// server name whose certificate the client was shown, and some bytes: which authorities it was let in by.
    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        let Handshake { shown, verified } = self.wire.handshake()?;
        let verified = verified.map_or_else(Vec::new, |id| id.bytes().to_vec());
        let digest = SslDigest::new("", "", shown.map(str::to_owned), None, verified);
        Some(Arc::new(digest))
    }

    fn selected_alpn_proto(&self) -> Option<ALPN> {
        self.wire.is_http2().then_some(ALPN::H2)
    }
}

impl GetTimingDigest for Handed {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        Vec::new()
    }
}

impl GetProxyDigest for Handed {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        None
    }

    fn set_proxy_digest(&mut self, _: ProxyDigest) {}
}

impl GetSocketDigest for Handed {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        Some(self.digest.clone())
    }

    fn set_socket_digest(&mut self, digest: SocketDigest) {
        self.digest = Arc::new(digest);
    }
}
