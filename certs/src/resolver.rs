//! What rustls asks during a handshake: the certificate for the name a client sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::keyring::Keyring;

/// Answers from the newest keyring; replacing it touches no open connection.
#[derive(Debug)]
pub struct Resolver {
    keyring: ArcSwap<Keyring>,
    /// What was to follow could not be used.
    is_behind: AtomicBool,
}

impl Resolver {
    pub fn new(keyring: Keyring) -> Self {
        Self {
            keyring: ArcSwap::from_pointee(keyring),
            is_behind: AtomicBool::new(false),
        }
    }

    /// Every handshake that begins after this sees `keyring`, whole.
    pub fn replace(&self, keyring: Keyring) {
        self.keyring.store(Arc::new(keyring));
        self.is_behind.store(false, Ordering::Relaxed);
    }

    /// What should be served now cannot be used: the keyring stays.
    pub fn keep(&self) {
        self.is_behind.store(true, Ordering::Relaxed);
    }

    /// Whether what should be served is another keyring, which cannot be used.
    pub fn is_behind(&self) -> bool {
        self.is_behind.load(Ordering::Relaxed)
    }

    /// The keyring that is served now.
    pub fn keyring(&self) -> Arc<Keyring> {
        self.keyring.load_full()
    }
}

impl ResolvesServerCert for Resolver {
    /// None ends the handshake with an alert: a client never sees another site's certificate.
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.keyring.load().certificate(hello.server_name())
    }
}

/// For clients of which no certificate is asked.
pub fn server_config(resolver: Arc<Resolver>) -> Result<Arc<ServerConfig>, rustls::Error> {
    config(resolver, None)
}

/// TLS 1.2 and 1.3 by ring, HTTP/2 before HTTP/1.1.
/// No 0-RTT (rustls accepts none unless told to): early data can be replayed.
pub(crate) fn config(
    resolver: Arc<Resolver>,
    clients: Option<Arc<dyn ClientCertVerifier>>,
) -> Result<Arc<ServerConfig>, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?;
    let config = match clients {
        Some(clients) => config.with_client_cert_verifier(clients),
        None => config.with_no_client_auth(),
    };
    let mut config = config.with_cert_resolver(resolver);
    // Stateless tickets, so that any number of clients can resume; their keys change every six hours, and the one
    // before is known for six more.
    config.ticketer = rustls::crypto::ring::Ticketer::new()?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
