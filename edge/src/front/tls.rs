//! The TLS handshake, within a deadline: as the site asks whose host the client names.

use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::server::Acceptor;
use seawall_certs::{AuthoritiesId, Resolver};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::LazyConfigAcceptor;

use super::wire::Wire;
use crate::snapshot::{Served, Snapshot};

const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// RFC 8446 §6: a fatal alert; RFC 6066 §3: `unrecognized_name`.
const UNRECOGNIZED_NAME: [u8; 7] = [21, 3, 3, 0, 2, 2, 112];

/// How TLS is spoken on a listener.
pub struct Tls {
    resolver: Arc<Resolver>,
    /// Where no site asks for a certificate.
    anyone: Arc<ServerConfig>,
}

impl Tls {
    pub fn new(resolver: Arc<Resolver>) -> Result<Self, rustls::Error> {
        let anyone = seawall_certs::server_config(resolver.clone())?;
        Ok(Self { resolver, anyone })
    }

    /// Err: why there is no connection.
    pub(super) async fn shake_hands(
        &self,
        snapshot: &Snapshot,
        tcp: TcpStream,
    ) -> Result<Wire, String> {
        let shaken = timeout(HANDSHAKE_TIMEOUT, self.shake(snapshot, tcp)).await;
        shaken.unwrap_or_else(|_| Err("handshake not finished in time".into()))
    }

    async fn shake(&self, snapshot: &Snapshot, tcp: TcpStream) -> Result<Wire, String> {
        let failed = |error| format!("handshake failed: {error}");
        let begun = LazyConfigAcceptor::new(Acceptor::default(), tcp).await;
        let mut begun = begun.map_err(failed)?;
        let name = begun
            .client_hello()
            .server_name()
            .map(str::to_ascii_lowercase);
        let Some(served) = self.called(snapshot, name.as_deref()) else {
            let _ = begun.io.write_all(&UNRECOGNIZED_NAME).await;
            let _ = begun.io.shutdown().await;
            return Err(format!("nobody is called {}", name.unwrap_or_default()));
        };
        let (config, verified) = self.config(served).map_err(|error| error.to_string())?;
        let stream = begun.into_stream(config).await.map_err(failed)?;
        Ok(Wire::Secure(Box::new(stream), verified))
    }

    /// Whom a client means, if that is anyone here: there is a site of that name, and a certificate. As long as there is
    /// no configuration it is told so over HTTP.
    fn called<'s>(&self, snapshot: &'s Snapshot, name: Option<&str>) -> Option<Option<&'s Served>> {
        let Some(name) = name else { return Some(None) };
        self.resolver.keyring().certificate(Some(name))?;
        match snapshot.routes().find(name) {
            Some(served) => Some(Some(served)),
            None => (!snapshot.is_configured()).then_some(None),
        }
    }

    fn config(
        &self,
        served: Option<&Served>,
    ) -> Result<(Arc<ServerConfig>, Option<AuthoritiesId>), rustls::Error> {
        match served.and_then(|served| served.clients.as_ref()) {
            None => Ok((self.anyone.clone(), None)),
            Some(clients) => {
                let config = clients.server_config(&self.resolver)?;
                Ok((config, Some(clients.id())))
            }
        }
    }
}
