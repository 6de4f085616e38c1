//! How servers with TLS are trusted, what an edge shows them, and who may share a connection.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use pingora_core::protocols::ALPN;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_core::utils::tls::{CertKey, WrappedX509, parse_x509};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use seawall_config::Problems;
use seawall_config::site::{ClientCertificate, Origin, OriginTls, Server};

use super::{CONNECT_TIMEOUT, H2_STREAMS_MAX, IDLE_TIMEOUT, STALL_TIMEOUT};

/// Counts up: no two sites, and no two ways to trust of one site, ever share a number.
static GROUPS: AtomicU64 = AtomicU64::new(1);

/// The trust of one site, as long as it does not change.
#[derive(Debug)]
pub struct Trust {
    /// Connections are shared within it and with nobody else.
    group: u64,
    tls: OriginTls,
    http2: bool,
    authorities: Option<Arc<[WrappedX509]>>,
    client: Option<Arc<CertKey>>,
}

impl Trust {
    /// What a pool says of TLS, or what is wrong with it.
    pub fn new(origin: &Origin) -> Result<Self, Problems> {
        let client = origin.tls.client.as_ref().map(client).transpose()?;
        Ok(Self {
            group: GROUPS.fetch_add(1, Ordering::Relaxed),
            tls: origin.tls.clone(),
            http2: origin.http2,
            authorities: origin.tls.ca.as_deref().map(authorities),
            client: client.map(Arc::new),
        })
    }

    /// Whether another version of the pool trusts in the same way.
    pub fn is_of(&self, origin: &Origin) -> bool {
        self.tls == origin.tls && self.http2 == origin.http2
    }

    /// A server at one of its addresses, with every deadline set.
    pub fn peer(&self, server: &Server, address: SocketAddr) -> HttpPeer {
        let mut peer = HttpPeer::new(address, server.tls, self.name(server).to_owned());
        peer.group_key = self.group;
        peer.client_cert_key = self.client.clone();
        let options = &mut peer.options;
        options.alpn = match self.http2 && server.tls {
            true => ALPN::H2H1,
            false => ALPN::H1,
        };
        options.max_h2_streams = H2_STREAMS_MAX as usize;
        options.ca = self.authorities.clone();
        options.verify_cert = self.tls.verify;
        options.verify_hostname = self.tls.verify;
        options.connection_timeout = Some(CONNECT_TIMEOUT);
        options.total_connection_timeout = Some(CONNECT_TIMEOUT);
        options.read_timeout = Some(STALL_TIMEOUT);
        options.write_timeout = Some(STALL_TIMEOUT);
        options.idle_timeout = Some(IDLE_TIMEOUT);
        peer
    }

    /// Never empty: Pingora verifies nothing of a peer without a name.
    fn name<'a>(&'a self, server: &'a Server) -> &'a str {
        let named = self.tls.server_name.as_deref();
        named
            .filter(|name| !name.is_empty())
            .unwrap_or(&server.host)
    }
}

/// The certificates of a PEM text; it was checked with its site, so what does not parse is left out.
fn authorities(pem: &str) -> Arc<[WrappedX509]> {
    let wrapped = certificates(pem).map(|der| WrappedX509::new(der.to_vec(), parse_x509));
    wrapped.collect()
}

/// What Pingora would panic over is a problem here.
fn client(pem: &ClientCertificate) -> Result<CertKey, Problems> {
    let wrong = |word: &str, message: String| {
        let mut problems = Problems::default();
        problems.add(format!("origin.tls.{word}"), message);
        problems
    };
    let chain: Vec<_> = certificates(&pem.certificate).collect();
    if chain.is_empty() {
        let message = "holds no certificate that can be read".to_owned();
        return Err(wrong("client_certificate", message));
    }
    let key = PrivateKeyDer::from_pem_slice(pem.key.as_bytes());
    let key = key.map_err(|error| wrong("client_key", format!("cannot be read: {error}")))?;
    let der = key.secret_der().to_vec();
    let bare = chain
        .iter()
        .map(|certificate| certificate.to_vec())
        .collect();
    // Pingora takes the bare bytes, and finds out by itself what kind of key they are.
    let is_told_apart = PrivateKeyDer::try_from(der.as_slice()).is_ok();
    let provider = rustls::crypto::ring::default_provider();
    match CertifiedKey::from_der(chain, key, &provider) {
        Ok(_) if is_told_apart => Ok(CertKey::new(bare, der)),
        Ok(_) => Err(wrong(
            "client_key",
            "is of no kind that is known".to_owned(),
        )),
        Err(error) => Err(wrong("client_key", format!("does not fit: {error}"))),
    }
}

/// Those that parse.
fn certificates(pem: &str) -> impl Iterator<Item = CertificateDer<'static>> {
    let certificates = CertificateDer::pem_slice_iter(pem.as_bytes()).filter_map(Result::ok);
    certificates.filter(|der| rustls::server::ParsedCertificate::try_from(der).is_ok())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const SITES: &str = include_str!("../../../config/examples/sites.toml");

    fn example() -> Origin {
        let file = seawall_config::file::SiteFile::parse(SITES).unwrap();
        file.sites.into_iter().nth(1).unwrap().0.origin
    }

    #[test]
    fn a_peer_has_a_name_and_is_verified_unless_the_site_says_otherwise() {
        let check = |server_name: Option<&str>, verify: bool, expect: &str| {
            let mut origin = example();
            origin.tls.server_name = server_name.map(str::to_owned);
            origin.tls.verify = verify;
            let server = Server::of(true, "192.0.2.1".into(), 443);
            let trust = Trust::new(&origin).unwrap();
            let peer = trust.peer(&server, "192.0.2.1:443".parse().unwrap());
            let told = (
                peer.sni.as_str(),
                peer.options.verify_cert,
                peer.options.verify_hostname,
            );
            assert_eq!(told, (expect, verify, verify));
            assert!(peer.client_cert_key.is_some());
        };
        check(None, true, "192.0.2.1");
        check(Some(""), true, "192.0.2.1");
        check(Some("a.test"), true, "a.test");
        check(Some("a.test"), false, "a.test");
    }

    #[test]
    fn no_two_trusts_share_a_connection() {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let hashed = |trust: &Trust| {
            let mut hasher = DefaultHasher::new();
            let server = Server::of(true, "a.test".into(), 443);
            let peer = trust.peer(&server, "192.0.2.1:443".parse().unwrap());
            peer.hash(&mut hasher);
            hasher.finish()
        };
        let origin = example();
        let (one, other) = (Trust::new(&origin).unwrap(), Trust::new(&origin).unwrap());
        assert_eq!(hashed(&one), hashed(&one));
        assert_ne!(hashed(&one), hashed(&other));
    }

    #[test]
    fn a_key_that_is_none_or_anothers_is_a_problem_and_no_panic() {
        let check = |certificate: &str, key: &str, expect: &str| {
            let pem = ClientCertificate {
                certificate: certificate.to_owned(),
                key: key.to_owned(),
            };
            let problems = client(&pem).map(drop).unwrap_err();
            assert_eq!(problems.0[0].path, expect);
        };
        let good = example().tls.client.unwrap();
        assert!(client(&good).is_ok());
        let other = "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----";
        check("no PEM", &good.key, "origin.tls.client_certificate");
        check(&good.certificate, "no PEM", "origin.tls.client_key");
        check(&good.certificate, other, "origin.tls.client_key");
        check(SITES, &good.key, "origin.tls.client_key");
    }
}
