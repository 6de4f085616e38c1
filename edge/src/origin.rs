//! The servers behind a site: which one, at which address, and how it is spoken to.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use pingora_core::protocols::ALPN;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_core::utils::tls::{WrappedX509, parse_x509};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use seawall_config::Revision;
use seawall_config::site::{Origin, OriginTls, Server, origin_address};

pub mod exchange;
pub mod interim;
pub mod request;

/// Until a connection stands, TLS included.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// From a request's last byte to the end of the answer's head.
pub const HEADER_TIMEOUT: Duration = Duration::from_secs(9);
/// Without a byte of a body, either way.
pub const STALL_TIMEOUT: Duration = Duration::from_secs(9);
/// A pooled connection older than this is not used again: the public origins close after 5 s.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(4);
/// Further tries of a request that is safe to repeat and was not answered with a single byte.
pub const RETRIES_MAX: usize = 2;
/// Bytes of an answer's head, those of the interim answers before it included.
pub const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Interim (1xx) answers before the final one.
pub const INTERIM_MAX: usize = 16;

/// The pool of one version of a site.
#[derive(Debug)]
pub struct Pool {
    servers: Box<[Server]>,
    /// The Host sent instead of the client's.
    pub host: Option<String>,
    /// How long an answer may take in all.
    pub fetch_timeout: Duration,
    tls: OriginTls,
    trusted: Option<Arc<[WrappedX509]>>,
    /// Connections are shared within one version of one site only: trust may differ between any two.
    group: u64,
    turn: AtomicU64,
}

/// Why an origin gave no answer that can be passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Failure {
    NotResolved,
    AddressRefused,
    ConnectFailed,
    ConnectTimeout,
    TlsFailed,
    HeaderTimeout,
    /// Closed or reset before the head was whole.
    NoAnswer,
    /// Not HTTP, or HTTP that must not be passed on.
    BrokenAnswer,
    HeadTooLarge,
    /// The body ended before its end, or stalled.
    BodyCut,
    /// It took longer in all than the site allows.
    TooLong,
    /// Its last reader left, and it was not worth finishing.
    GivenUp,
}

impl Pool {
    pub fn new(origin: &Origin, created: Revision, version: Revision) -> Self {
        Self {
            servers: origin.servers.clone().into(),
            host: origin.host.clone(),
            fetch_timeout: origin.fetch_timeout,
            tls: origin.tls.clone(),
            trusted: origin.tls.ca.as_deref().map(trusted),
            group: created.0.wrapping_shl(32) ^ version.0,
            turn: AtomicU64::new(0),
        }
    }

    /// Weighted round robin.
    pub fn pick(&self) -> Option<&Server> {
        let weights: u64 = self
            .servers
            .iter()
            .map(|server| u64::from(server.weight))
            .sum();
        let mut turn = self.turn.fetch_add(1, Ordering::Relaxed) % weights.max(1);
        self.servers.iter().find(|server| {
            let weight = u64::from(server.weight);
            let here = turn < weight;
            turn = turn.saturating_sub(weight);
            here
        })
    }

    /// How often a request that got no byte of an answer is tried again. Where nobody listens is known at once,
    /// and a name may have another address; what takes its time is tried elsewhere or not at all.
    pub fn retries(&self, failure: Failure) -> usize {
        match failure {
            Failure::ConnectTimeout | Failure::TlsFailed => {
                RETRIES_MAX.min(self.servers.len().saturating_sub(1))
            }
            _ => RETRIES_MAX,
        }
    }

    /// The next server, resolved, with every deadline set. `own` are this edge's listeners; each further try
    /// takes the next of its addresses.
    pub async fn peer(&self, own: &[SocketAddr], tries: usize) -> Result<HttpPeer, Failure> {
        let server = self.pick().ok_or(Failure::NotResolved)?;
        let found = tokio::net::lookup_host((server.host.as_str(), server.port));
        let found = tokio::time::timeout(CONNECT_TIMEOUT, found)
            .await
            .map_err(|_| Failure::NotResolved)?;
        let found: Vec<SocketAddr> = found.map_err(|_| Failure::NotResolved)?.collect();
        if found.is_empty() {
            return Err(Failure::NotResolved);
        }
        // Checked after resolution: a name may lead anywhere.
        let mut permitted: Vec<_> = found
            .into_iter()
            .filter(|address| permitted(*address, own))
            .collect();
        permitted.sort_by_key(SocketAddr::is_ipv6);
        let address = permitted.iter().cycle().nth(tries % permitted.len().max(1));
        let address = *address.ok_or(Failure::AddressRefused)?;
        // Never empty: Pingora verifies nothing of a peer without a name.
        let name = self
            .tls
            .server_name
            .clone()
            .unwrap_or_else(|| server.host.clone());
        let mut peer = HttpPeer::new(address, server.tls, name);
        peer.group_key = self.group;
        let options = &mut peer.options;
        options.alpn = ALPN::H1;
        options.ca = self.trusted.clone();
        options.verify_cert = self.tls.verify;
        options.verify_hostname = self.tls.verify;
        options.connection_timeout = Some(CONNECT_TIMEOUT);
        options.total_connection_timeout = Some(CONNECT_TIMEOUT);
        options.read_timeout = Some(STALL_TIMEOUT);
        options.write_timeout = Some(STALL_TIMEOUT);
        options.idle_timeout = Some(IDLE_TIMEOUT);
        Ok(peer)
    }
}

impl Failure {
    /// What it says in `Cache-Status`.
    pub fn detail(self) -> &'static str {
        match self {
            Self::NotResolved => "origin name not resolved",
            Self::AddressRefused => "origin address not allowed",
            Self::ConnectFailed => "origin refused the connection",
            Self::ConnectTimeout => "origin did not accept in time",
            Self::TlsFailed => "origin failed TLS",
            Self::HeaderTimeout => "origin did not answer in time",
            Self::NoAnswer => "origin closed without an answer",
            Self::BrokenAnswer => "origin answer is broken",
            Self::HeadTooLarge => "origin head too large",
            Self::BodyCut => "origin cut the body",
            Self::TooLong => "origin took too long in all",
            Self::GivenUp => "fetch given up",
        }
    }

    /// The status a client gets.
    pub fn status(self) -> http::StatusCode {
        match self {
            Self::ConnectTimeout | Self::HeaderTimeout | Self::TooLong => {
                http::StatusCode::GATEWAY_TIMEOUT
            }
            _ => http::StatusCode::BAD_GATEWAY,
        }
    }
}

/// Whether an edge may be led to an address by configuration: never to itself, to a machine's metadata, or to nobody.
pub fn permitted(address: SocketAddr, own: &[SocketAddr]) -> bool {
    let ip = address.ip().to_canonical();
    let itself = |own: &SocketAddr| {
        let at = own.ip().to_canonical();
        own.port() == address.port() && (at == ip || at.is_unspecified() && ip.is_loopback())
    };
    origin_address(ip).is_ok() && !own.iter().any(itself)
}

/// The certificates of a PEM text; it was checked with its site, so what does not parse is left out.
fn trusted(pem: &str) -> Arc<[WrappedX509]> {
    let certificates = CertificateDer::pem_slice_iter(pem.as_bytes()).filter_map(Result::ok);
    let parses =
        |der: &CertificateDer<'_>| rustls::server::ParsedCertificate::try_from(der).is_ok();
    let wrapped = certificates
        .filter(parses)
        .map(|der| WrappedX509::new(der.to_vec(), parse_x509));
    wrapped.collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use seawall_config::site::FETCH_TIMEOUT;

    use super::*;

    #[test]
    fn an_origin_is_never_the_edge_itself_nor_the_machine_around_it() {
        let own = [
            "0.0.0.0:8080".parse().unwrap(),
            "127.0.0.1:9080".parse().unwrap(),
        ];
        let check = |address: &str, expect: bool| {
            assert_eq!(
                permitted(address.parse().unwrap(), &own),
                expect,
                "{address}"
            );
        };
        check("127.0.0.1:9000", true);
        check("10.0.0.1:80", true);
        check("127.0.0.1:8080", false);
        check("[::ffff:127.0.0.1]:8080", false);
        check("127.0.0.1:9080", false);
        check("169.254.169.254:80", false);
        check("[fd00:ec2::254]:80", false);
        check("[fe80::1]:80", false);
        check("224.0.0.1:80", false);
        check("0.0.0.0:80", false);
        check("[::]:80", false);
    }

    #[test]
    fn servers_take_turns_by_weight() {
        let server = |host: &str, weight| Server {
            tls: false,
            host: host.into(),
            port: 80,
            weight,
        };
        let servers = vec![server("a", 1), server("b", 3)];
        let pool = Pool::new(
            &Origin {
                servers,
                host: None,
                tls: OriginTls::default(),
                fetch_timeout: FETCH_TIMEOUT,
            },
            Revision(1),
            Revision(1),
        );
        let picked: String = (0..8).map(|_| pool.pick().unwrap().host.clone()).collect();
        assert_eq!(picked, "abbbabbb");
    }
}
