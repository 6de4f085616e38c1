//! Which clients a site lets in: those with a certificate that one of its authorities signed.

use std::fmt;
use std::sync::{Arc, OnceLock};

use ring::digest::{SHA256, digest};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use crate::resolver::{Resolver, config};

/// Authorities of one site.
pub const CLIENT_AUTHORITIES_MAX: usize = 64;

/// The authorities that sign the certificates of a site's clients.
pub struct ClientAuthorities {
    verifier: Arc<dyn ClientCertVerifier>,
    id: AuthoritiesId,
    /// Made once: its tickets are its own, so that no session that was resumed was begun elsewhere, where nobody
    /// asked for a certificate.
    config: OnceLock<Arc<ServerConfig>>,
}

/// Names the authorities that a client was let in by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuthoritiesId([u8; 32]);

impl ClientAuthorities {
    /// Err: what is wrong with the PEM.
    pub fn from_pem(pem: &str) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        for (n, certificate) in CertificateDer::pem_slice_iter(pem.as_bytes()).enumerate() {
            if n == CLIENT_AUTHORITIES_MAX {
                return Err(format!(
                    "holds more than {CLIENT_AUTHORITIES_MAX} certificates"
                ));
            }
            let certificate = certificate.map_err(|error| format!("is not PEM: {error}"))?;
            let refused = |error| format!("certificate {} is no authority: {error}", n + 1);
            roots.add(certificate).map_err(refused)?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        let verifier = verifier
            .build()
            .map_err(|error| format!("cannot be used: {error}"))?;
        let mut id = [0; 32];
        id.copy_from_slice(digest(&SHA256, pem.as_bytes()).as_ref());
        Ok(Self {
            verifier,
            id: AuthoritiesId(id),
            config: OnceLock::new(),
        })
    }

    pub fn id(&self) -> AuthoritiesId {
        self.id
    }

    /// A server that lets nobody else in. `resolver` is the same each time.
    pub fn server_config(
        &self,
        resolver: &Arc<Resolver>,
    ) -> Result<Arc<ServerConfig>, rustls::Error> {
        if let Some(config) = self.config.get() {
            return Ok(config.clone());
        }
        let made = config(resolver.clone(), Some(self.verifier.clone()))?;
        Ok(self.config.get_or_init(|| made).clone())
    }
}

impl AuthoritiesId {
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }
}

impl fmt::Debug for ClientAuthorities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ClientAuthorities").field(&self.id).finish()
    }
}
