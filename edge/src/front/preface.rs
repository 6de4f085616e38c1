//! How a connection of HTTP/2 begins. Pingora would wait for it for ever.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::timeout;

/// RFC 9113 §3.4.
pub const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// As long as for the head of a request.
const PREFACE_TIMEOUT: Duration = Duration::from_secs(10);

/// Reads it, and not a byte more.
pub async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<()> {
    let mut bytes = [0; PREFACE.len()];
    timeout(PREFACE_TIMEOUT, stream.read_exact(&mut bytes)).await??;
    match bytes == *PREFACE {
        true => Ok(()),
        false => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the connection does not begin as HTTP/2 does",
        )),
    }
}
