//! What control planes and edges show each other: a folder with `ca.pem`, whose certificates are trusted, and
//! `cert.pem` with `key.pem`, one's own. A certificate of an edge names its id, and speaks for no other edge.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// Bytes of one file.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// How an edge's id is spelt in its certificate, as a URI among its subject's alternative names.
const EDGE_URI: &str = "seawall:edge:";

/// The certificates of one folder; can be read again while they are in use.
#[derive(Debug)]
pub struct Peers {
    folder: PathBuf,
    now: ArcSwap<Configs>,
}

#[derive(Debug)]
struct Configs {
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
    ends: SystemTime,
}

/// Why a folder is of no use.
#[derive(Debug, thiserror::Error)]
pub enum PeersError {
    #[error("{path} cannot be read: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error("{path} has more than {FILE_BYTES_MAX} bytes")]
    TooLarge { path: PathBuf },
    #[error("{path} holds no {what} in PEM: {why}")]
    NoPem {
        path: PathBuf,
        what: &'static str,
        why: String,
    },
    #[error("the certificates in {folder} cannot be used: {why}")]
    Unusable { folder: PathBuf, why: String },
}

impl Peers {
    pub fn open(folder: &Path) -> Result<Self, PeersError> {
        Ok(Self {
            folder: folder.to_owned(),
            now: ArcSwap::from_pointee(read(folder)?),
        })
    }

    /// Reads the folder again; where that fails, what was read before stays in use.
    pub fn reload(&self) -> Result<(), PeersError> {
        self.now.store(Arc::new(read(&self.folder)?));
        Ok(())
    }

    /// For who listens. A client need not show a certificate; one that does is known by it.
    pub fn server(&self) -> Arc<ServerConfig> {
        self.now.load().server.clone()
    }

    /// For who connects; speaks HTTP/2 or HTTP/1.1 as its user decides.
    pub fn client(&self) -> Arc<ClientConfig> {
        self.now.load().client.clone()
    }

    /// When the first of its certificates ends, one's own or an authority.
    pub fn ends(&self) -> SystemTime {
        self.now.load().ends
    }
}

/// The id of the edge whose certificate this is; None where it is none's, or says so twice.
pub fn edge_id(certificate: &CertificateDer<'_>) -> Option<String> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let names = parsed.subject_alternative_name().ok()??;
    let mut ids = names
        .value
        .general_names
        .iter()
        .filter_map(|name| match name {
            GeneralName::URI(uri) => uri.strip_prefix(EDGE_URI),
            _ => None,
        });
    match (ids.next(), ids.next()) {
        (Some(id), None) => Some(id.to_owned()),
        _ => None,
    }
}

pub(crate) fn edge_uri(id: &str) -> String {
    format!("{EDGE_URI}{id}")
}

/// Trusts `ca` and nobody else; shows no certificate.
pub fn client_trusting(ca: &Path) -> Result<ClientConfig, PeersError> {
    Ok(client_of(roots(ca)?))
}

/// No handshake succeeds.
pub fn client_trusting_nobody() -> ClientConfig {
    client_of(RootCertStore::empty())
}

fn client_of(roots: RootCertStore) -> ClientConfig {
    // As the builder with ring alone does: both versions are ring's, too.
    ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth()
}

fn read(folder: &Path) -> Result<Configs, PeersError> {
    let ca = folder.join("ca.pem");
    let authorities = certificates(&ca)?;
    let roots = Arc::new(roots(&ca)?);
    let chain = certificates(&folder.join("cert.pem"))?;
    let path = folder.join("key.pem");
    let key = || {
        PrivateKeyDer::from_pem_slice(&read_file(&path)?).map_err(|error| PeersError::NoPem {
            path: path.clone(),
            what: "private key",
            why: error.to_string(),
        })
    };
    let unusable = |why: String| PeersError::Unusable {
        folder: folder.to_owned(),
        why,
    };
    let wrong = |error: rustls::Error| unusable(error.to_string());
    let ends = end_of(authorities.iter().chain(&chain));
    let ends = ends.ok_or_else(|| unusable("when they end does not read".into()))?;
    let clients = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider())
        .allow_unauthenticated()
        .build()
        .map_err(|error| unusable(error.to_string()))?;
    let mut server = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(wrong)?
        .with_client_cert_verifier(clients)
        .with_single_cert(chain.clone(), key()?)
        .map_err(wrong)?;
    server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let client = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(wrong)?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key()?)
        .map_err(wrong)?;
    Ok(Configs {
        ends,
        server: Arc::new(server),
        client: Arc::new(client),
    })
}

fn roots(path: &Path) -> Result<RootCertStore, PeersError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|error| PeersError::NoPem {
            path: path.to_owned(),
            what: "authority",
            why: error.to_string(),
        })?;
    }
    Ok(roots)
}

/// When the first of them ends; None where there is none, or one does not read.
pub(crate) fn end_of<'a>(
    certificates: impl IntoIterator<Item = &'a CertificateDer<'static>>,
) -> Option<SystemTime> {
    let end = |certificate: &CertificateDer<'_>| {
        let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
        let seconds = u64::try_from(parsed.validity().not_after.timestamp()).ok()?;
        SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
    };
    let ends: Option<Vec<_>> = certificates.into_iter().map(end).collect();
    ends?.into_iter().min()
}

pub(crate) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, PeersError> {
    let no_pem = |why: String| PeersError::NoPem {
        path: path.to_owned(),
        what: "certificate",
        why,
    };
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read_file(path)?).collect();
    let found = found.map_err(|error| no_pem(error.to_string()))?;
    match found.is_empty() {
        true => Err(no_pem("it has none".into())),
        false => Ok(found),
    }
}

fn read_file(path: &Path) -> Result<Vec<u8>, PeersError> {
    let io = |source| PeersError::Io {
        path: path.to_owned(),
        source,
    };
    if fs::metadata(path).map_err(io)?.len() > FILE_BYTES_MAX {
        return Err(PeersError::TooLarge {
            path: path.to_owned(),
        });
    }
    fs::read(path).map_err(io)
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
