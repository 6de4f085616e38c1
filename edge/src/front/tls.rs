//! The TLS handshake, within a deadline.

use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::wire::Wire;

const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Err: why there is no connection.
pub(super) async fn shake_hands(acceptor: &TlsAcceptor, tcp: TcpStream) -> Result<Wire, String> {
    match timeout(HANDSHAKE_TIMEOUT, acceptor.accept(tcp)).await {
        Ok(Ok(stream)) => Ok(Wire::Secure(Box::new(stream))),
        Ok(Err(error)) => Err(format!("handshake failed: {error}")),
        Err(_) => Err("handshake not finished in time".into()),
    }
}
