//! Writing an answer over HTTP/1: what is stored goes out with its head in one vectored write, what arrives piece by
//! piece as it comes.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode, Version};
use tokio::io::AsyncWrite;
use tokio::time::timeout;

use crate::answer::head::View;
use crate::answer::{Answer, Content};
use crate::door::X_CACHE;
use crate::object::Object;
use crate::object::lead::{line, status_line};

/// A client that takes no byte for this long is let go.
pub const WRITE_STALL: Duration = Duration::from_secs(12);

/// What most heads have beside what is stored.
const REST_BYTES: usize = 256;
/// Pieces that go out in one write.
const PIECES_MAX: usize = 5;

/// What goes out in front of a body, and how the body is framed.
#[derive(Debug)]
pub struct Front {
    /// What begins as it is stored.
    stored: Option<Arc<Object>>,
    /// The rest of it.
    rest: BytesMut,
    pub framed: Framed,
}

/// How a client knows where a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framed {
    /// None follows, or its length is in the head.
    Known,
    Chunked,
    /// With the connection: HTTP/1.0 knows no other way.
    ByTheEnd,
}

/// What is known of a client when it is answered.
#[derive(Clone, Debug)]
pub struct Asker {
    pub method: Method,
    pub version: Version,
    /// Whether the connection goes on after the answer.
    pub persists: bool,
}

impl Front {
    /// `answer` as its head goes over the wire, signed.
    pub fn new(
        answer: &mut Answer,
        asker: &Asker,
        signature: &[(HeaderName, HeaderValue)],
        date: &HeaderValue,
    ) -> Self {
        let mut rest = BytesMut::with_capacity(REST_BYTES);
        let mut lead = None;
        let (framed, is_dated) = match answer.head.as_stored() {
            Some(stored) if stored.view == View::Whole => {
                lead = Some(stored.object.clone());
                let mut digits = itoa::Buffer::new();
                line(&mut rest, "age", digits.format(stored.age_s).as_bytes());
                (Framed::Known, stored.object.lead.is_dated)
            }
            Some(stored) => {
                status_line(&mut rest, answer.status);
                for (name, value) in stored.told() {
                    line(&mut rest, name.as_str(), value.as_bytes());
                }
                for (name, value) in stored.anew() {
                    line(&mut rest, name.as_str(), value.as_bytes());
                }
                (Framed::Known, stored.object.lead.is_dated)
            }
            None => {
                let framed = framed(answer, asker);
                status_line(&mut rest, answer.status);
                let head = answer.head.own();
                for (name, value) in head.iter().filter(|(name, _)| *name != X_CACHE) {
                    line(&mut rest, name.as_str(), value.as_bytes());
                }
                (framed, head.contains_key(header::DATE))
            }
        };
        for (name, value) in signature {
            line(&mut rest, name.as_str(), value.as_bytes());
        }
        if !is_dated {
            line(&mut rest, "date", date.as_bytes());
        }
        if framed == Framed::Chunked {
            line(&mut rest, "transfer-encoding", b"chunked");
        }
        let persists = asker.persists && framed != Framed::ByTheEnd;
        let connection: &[u8] = if persists { b"keep-alive" } else { b"close" };
        line(&mut rest, "connection", connection);
        rest.extend_from_slice(b"\r\n");
        Self {
            stored: lead,
            rest,
            framed,
        }
    }

    /// As it goes out: what is stored goes from where it is.
    pub fn pieces(&self) -> [&[u8]; 2] {
        let stored = self.stored.as_ref().map(|object| object.lead.bytes());
        [stored.unwrap_or_default(), &self.rest]
    }

    /// It is written.
    pub fn clear(&mut self) {
        self.stored = None;
        self.rest.clear();
    }
}

/// The head of an interim answer.
pub fn interim(status: StatusCode, head: &HeaderMap) -> BytesMut {
    let mut bytes = BytesMut::with_capacity(256);
    status_line(&mut bytes, status);
    for (name, value) in head {
        line(&mut bytes, name.as_str(), value.as_bytes());
    }
    bytes.extend_from_slice(b"\r\n");
    bytes
}

/// RFC 9112 §6.3, from the other side.
fn framed(answer: &mut Answer, asker: &Asker) -> Framed {
    let bodiless = matches!(answer.body, Content::Nothing)
        || matches!(
            answer.status,
            StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
        )
        || asker.method == Method::HEAD;
    if bodiless || answer.head.own().contains_key(header::CONTENT_LENGTH) {
        return Framed::Known;
    }
    match asker.version {
        Version::HTTP_11 => Framed::Chunked,
        _ => Framed::ByTheEnd,
    }
}

/// Writes everything, in order, as far as possible at once. It fails when the client takes nothing for too long.
pub async fn write_all(wire: &mut (impl AsyncWrite + Unpin), pieces: &[&[u8]]) -> io::Result<()> {
    for pieces in pieces.chunks(PIECES_MAX) {
        let mut slices = [IoSlice::new(&[]); PIECES_MAX];
        for (slice, piece) in slices.iter_mut().zip(pieces) {
            *slice = IoSlice::new(piece);
        }
        let mut rest = &mut slices[..];
        // Also of empty ones in front.
        IoSlice::advance_slices(&mut rest, 0);
        while !rest.is_empty() {
            let written = in_time(|cx| Pin::new(&mut *wire).poll_write_vectored(cx, rest)).await?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            IoSlice::advance_slices(&mut rest, written);
        }
    }
    Ok(())
}

/// What is written may still be in a buffer of TLS.
pub async fn flush(wire: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
    in_time(|cx| Pin::new(&mut *wire).poll_flush(cx)).await
}

/// Almost always at once: only who has to wait looks at a clock.
async fn in_time<T>(
    mut attempt: impl FnMut(&mut Context<'_>) -> Poll<io::Result<T>>,
) -> io::Result<T> {
    match poll_fn(|cx| Poll::Ready(attempt(cx))).await {
        Poll::Ready(done) => done,
        Poll::Pending => timeout(WRITE_STALL, poll_fn(attempt)).await?,
    }
}

/// One piece of a body in the framing that the head told. `front`: what was not written yet of what goes before it.
pub async fn write_piece(
    wire: &mut (impl AsyncWrite + Unpin),
    front: &Front,
    piece: &Bytes,
) -> io::Result<()> {
    let [stored, rest] = front.pieces();
    match front.framed {
        Framed::Chunked if !piece.is_empty() => {
            let size = format!("{:x}\r\n", piece.len());
            write_all(wire, &[stored, rest, size.as_bytes(), piece, b"\r\n"]).await
        }
        _ => write_all(wire, &[stored, rest, piece]).await,
    }
}

/// The end of a body that came whole.
pub fn tail(framed: Framed) -> &'static [u8] {
    match framed {
        Framed::Chunked => b"0\r\n\r\n",
        Framed::Known | Framed::ByTheEnd => b"",
    }
}

/// The head, and behind it all of a body that is here.
pub async fn write_pieces(
    wire: &mut (impl AsyncWrite + Unpin),
    mut front: Front,
    pieces: impl Iterator<Item = Bytes>,
    sent: &mut u64,
) -> io::Result<()> {
    for piece in pieces {
        let [stored, rest] = front.pieces();
        write_all(wire, &[stored, rest, &piece]).await?;
        front.clear();
        *sent += piece.len() as u64;
    }
    write_all(wire, &front.pieces()).await
}
