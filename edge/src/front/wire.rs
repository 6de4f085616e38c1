//! A client's connection as bytes go over it: clear, or over TLS.

use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, RawFd};
use std::pin::Pin;
use std::task::{Context, Poll};

use seawall_certs::AuthoritiesId;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use crate::door::Handshake;

#[derive(Debug)]
pub enum Wire {
    Clear(TcpStream),
    /// And whose certificate the client had to show, if any.
    Secure(Box<TlsStream<TcpStream>>, Option<AuthoritiesId>),
}

impl Wire {
    pub fn is_secure(&self) -> bool {
        matches!(self, Self::Secure(..))
    }

    /// Whether client and edge agreed on HTTP/2.
    pub fn is_http2(&self) -> bool {
        match self {
            Self::Clear(_) => false,
            Self::Secure(stream, _) => stream.get_ref().1.alpn_protocol() == Some(b"h2"),
        }
    }

    /// What was agreed on before the first request.
    pub fn handshake(&self) -> Option<Handshake<'_>> {
        match self {
            Self::Clear(_) => None,
            Self::Secure(stream, verified) => Some(Handshake {
                shown: stream.get_ref().1.server_name(),
                verified: *verified,
            }),
        }
    }

    fn tcp(&self) -> &TcpStream {
        match self {
            Self::Clear(tcp) => tcp,
            Self::Secure(stream, _) => stream.get_ref().0,
        }
    }

    /// The end of a connection will be a reset: for a body that broke where the end of the connection would pass for
    /// the end of the body.
    pub fn end_in_reset(&self) {
        let _ = self.tcp().set_zero_linger();
    }
}

impl AsRawFd for Wire {
    fn as_raw_fd(&self) -> RawFd {
        self.tcp().as_raw_fd()
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Clear(tcp) => Pin::new(tcp).poll_read(cx, buffer),
            Self::Secure(stream, _) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Clear(tcp) => Pin::new(tcp).poll_write(cx, bytes),
            Self::Secure(stream, _) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Clear(tcp) => Pin::new(tcp).poll_write_vectored(cx, slices),
            Self::Secure(stream, _) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Clear(tcp) => Pin::new(tcp).poll_flush(cx),
            Self::Secure(stream, _) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Clear(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Self::Secure(stream, _) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
