//! Writing an answer over HTTP/1: what is stored goes out with its head in one vectored write, what arrives piece by
//! piece as it comes.

use std::io::{self, IoSlice};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode, Version};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use crate::answer::{Answer, Content};
use crate::door::X_CACHE;

/// A client that takes no byte for this long is let go.
pub const WRITE_STALL: Duration = Duration::from_secs(12);

/// What goes out in front of a body, and how the body is framed.
#[derive(Debug)]
pub struct Front {
    pub bytes: BytesMut,
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
        answer: &Answer,
        asker: &Asker,
        signature: &[(HeaderName, HeaderValue)],
        date: &HeaderValue,
    ) -> Self {
        let framed = framed(answer, asker);
        let persists = asker.persists && framed != Framed::ByTheEnd;
        let mut bytes = BytesMut::with_capacity(1024);
        status_line(&mut bytes, answer.status);
        let kept = answer.head.iter().filter(|(name, _)| *name != X_CACHE);
        for (name, value) in kept.chain(signature.iter().map(|(name, value)| (name, value))) {
            line(&mut bytes, name.as_str(), value.as_bytes());
        }
        if !answer.head.contains_key(header::DATE) {
            line(&mut bytes, "date", date.as_bytes());
        }
        if framed == Framed::Chunked {
            line(&mut bytes, "transfer-encoding", b"chunked");
        }
        let connection: &[u8] = if persists { b"keep-alive" } else { b"close" };
        line(&mut bytes, "connection", connection);
        bytes.extend_from_slice(b"\r\n");
        Self { bytes, framed }
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
fn framed(answer: &Answer, asker: &Asker) -> Framed {
    let bodiless = matches!(answer.body, Content::Nothing)
        || matches!(
            answer.status,
            StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
        )
        || asker.method == Method::HEAD;
    if bodiless || answer.head.contains_key(header::CONTENT_LENGTH) {
        return Framed::Known;
    }
    match asker.version {
        Version::HTTP_11 => Framed::Chunked,
        _ => Framed::ByTheEnd,
    }
}

fn status_line(bytes: &mut BytesMut, status: StatusCode) {
    bytes.extend_from_slice(b"HTTP/1.1 ");
    bytes.extend_from_slice(status.as_str().as_bytes());
    bytes.extend_from_slice(b" ");
    let reason = status.canonical_reason().unwrap_or_default();
    bytes.extend_from_slice(reason.as_bytes());
    bytes.extend_from_slice(b"\r\n");
}

/// Names are written as people write them: `Content-Type`.
fn line(bytes: &mut BytesMut, name: &str, value: &[u8]) {
    let from = bytes.len();
    bytes.extend_from_slice(name.as_bytes());
    let mut first = true;
    for byte in bytes.iter_mut().skip(from) {
        if first {
            byte.make_ascii_uppercase();
        }
        first = *byte == b'-';
    }
    bytes.extend_from_slice(b": ");
    bytes.extend_from_slice(value);
    bytes.extend_from_slice(b"\r\n");
}

/// Writes everything, in order, as far as possible at once. It fails when the client takes nothing for too long.
pub async fn write_all(wire: &mut (impl AsyncWrite + Unpin), pieces: &[&[u8]]) -> io::Result<()> {
    let mut slices: Vec<IoSlice<'_>> = pieces
        .iter()
        .filter(|piece| !piece.is_empty())
        .map(|piece| IoSlice::new(piece))
        .collect();
    let mut rest = &mut slices[..];
    while !rest.is_empty() {
        let written = timeout(WRITE_STALL, wire.write_vectored(rest)).await??;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        IoSlice::advance_slices(&mut rest, written);
    }
    Ok(())
}

/// What is written may still be in a buffer of TLS.
pub async fn flush(wire: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
    timeout(WRITE_STALL, wire.flush()).await?
}

/// One piece of a body in the framing that the head told. `lead`: what was not written yet of what goes before it.
pub async fn write_piece(
    wire: &mut (impl AsyncWrite + Unpin),
    framed: Framed,
    lead: &[u8],
    piece: &Bytes,
) -> io::Result<()> {
    match framed {
        Framed::Chunked if !piece.is_empty() => {
            let size = format!("{:x}\r\n", piece.len());
            write_all(wire, &[lead, size.as_bytes(), piece, b"\r\n"]).await
        }
        _ => write_all(wire, &[lead, piece]).await,
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
    lead: &[u8],
    pieces: impl Iterator<Item = Bytes>,
    sent: &mut u64,
) -> io::Result<()> {
    let mut lead = lead;
    for piece in pieces {
        write_all(wire, &[lead, &piece]).await?;
        lead = &[];
        *sent += piece.len() as u64;
    }
    write_all(wire, &[lead]).await
}
