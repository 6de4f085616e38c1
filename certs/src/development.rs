//! A certificate authority of one's own, so that TLS works on the first day and on any laptop.
//!
//! `state/ca.pem` is what a client is told to trust. The authority may sign for `localhost`, the loopback
//! addresses and the names it was made for, and for nothing else (its name constraints say so): whoever
//! trusts it and loses its key has lost nothing of the world outside. The certificate that is served is
//! made anew at each start and its key never touches the disk.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    NameConstraints,
};
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, DnsName, ServerName, UnixTime};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::certificate::{Certificate, CertificateError};
use crate::keyring::Keyring;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
pub(crate) const CA_DAYS: u32 = 3_650;
const LEAF_DAYS: u32 = 90;
/// Certificates begin this much before now: the clocks of clients differ.
const BACKDATE: Duration = Duration::from_secs(60 * 60);
/// Names beyond the built-in ones.
pub const EXTRA_NAMES_MAX: usize = 100;
const COMMON_NAME: &str = "Seawall development CA";

/// What [`development_ca`] made or found.
#[derive(Debug)]
pub struct DevelopmentCa {
    /// One certificate, for `localhost`, `127.0.0.1`, `::1` and the extra names.
    pub keyring: Keyring,
    /// The file to trust: `curl --cacert`.
    pub ca_pem: PathBuf,
    /// False when the authority of an earlier start is still good.
    pub made: bool,
    /// When the served certificate ends: call again before it.
    pub expires: SystemTime,
}

/// Why there is no development CA.
#[derive(Debug, thiserror::Error)]
pub enum DevelopmentError {
    #[error("{}: {source}", path.display())]
    State { path: PathBuf, source: io::Error },
    #[error("{} is not a Seawall development CA; move it and its key away, it will not be overwritten", path.display())]
    NotOurs { path: PathBuf },
    #[error("{0:?} cannot be named in a certificate: a host name, or an IP address, is needed")]
    Name(String),
    #[error("{0} names; at most {EXTRA_NAMES_MAX} may be added to the development certificate")]
    TooManyNames(usize),
    #[error("a certificate could not be made: {0}")]
    Making(#[from] rcgen::Error),
    #[error("the certificate that was made is not good: {0}")]
    Made(#[from] CertificateError),
    #[error("the time {0:?} cannot stand in a certificate")]
    Time(SystemTime),
}

/// Takes the authority in `state`, or makes one where there is none, or it ends before a certificate
/// made today would, or may not sign for `names`; then makes a certificate. `now` is the wall clock.
pub fn development_ca(
    state: &Path,
    names: &[&str],
    now: SystemTime,
) -> Result<DevelopmentCa, DevelopmentError> {
    if names.len() > EXTRA_NAMES_MAX {
        return Err(DevelopmentError::TooManyNames(names.len()));
    }
    let names = ["localhost", "127.0.0.1", "::1"]
        .iter()
        .chain(names)
        .map(|name| Name::new(name));
    let names = names.collect::<Result<Vec<_>, _>>()?;
    fs::create_dir_all(state).map_err(at(state))?;
    // Two processes that start together must not leave the certificate of one and the key of the other.
    let lock_path = state.join("ca.lock");
    let lock = File::create(&lock_path).map_err(at(&lock_path))?;
    lock.lock().map_err(at(&lock_path))?;

    let files = Files {
        pem: state.join("ca.pem"),
        key: state.join("ca.key"),
    };
    let params = ca_params(&names, now)?;
    let kept = files.read()?.filter(|stored| stored.covers(now));
    let kept = kept.and_then(|stored| stored.sign(&params, &names, now).ok());
    let made = kept.is_none();
    let certificate = match kept {
        Some(certificate) => certificate,
        None => files.make(&params)?.sign(&params, &names, now)?,
    };
    Ok(DevelopmentCa {
        expires: certificate.valid.expires,
        keyring: Keyring::new(&[certificate]),
        ca_pem: files.pem,
        made,
    })
}

/// Where the authority is kept.
struct Files {
    pem: PathBuf,
    key: PathBuf,
}

/// The authority as it was read, or made.
struct Authority {
    der: CertificateDer<'static>,
    key: KeyPair,
}

/// What the certificate is for.
enum Name {
    Host(String),
    Address(IpAddr),
}

impl Files {
    /// None where there is no usable pair of ours; half a pair is none (a start was interrupted).
    fn read(&self) -> Result<Option<Authority>, DevelopmentError> {
        let Some(pem) = read_if_there(&self.pem)? else {
            return Ok(None);
        };
        let ours = || DevelopmentError::NotOurs {
            path: self.pem.clone(),
        };
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| ours())?;
        let (_, parsed) = X509Certificate::from_der(&der).map_err(|_| ours())?;
        let mut common_names = parsed.subject().iter_common_name();
        if !common_names.any(|name| name.as_str() == Ok(COMMON_NAME)) {
            return Err(ours());
        }
        let key = read_if_there(&self.key)?.and_then(|key| KeyPair::from_pem(&key).ok());
        Ok(key.map(|key| Authority {
            der: der.clone(),
            key,
        }))
    }

    /// A new authority, on disk before it signs anything.
    fn make(&self, params: &CertificateParams) -> Result<Authority, DevelopmentError> {
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?;
        write(&self.key, &key.serialize_pem(), 0o600).map_err(at(&self.key))?;
        write(&self.pem, &certificate.pem(), 0o644).map_err(at(&self.pem))?;
        Ok(Authority {
            der: certificate.der().clone(),
            key,
        })
    }
}

impl Authority {
    /// Whether it holds from now until a certificate made now would end.
    fn covers(&self, now: SystemTime) -> bool {
        let Ok((_, parsed)) = X509Certificate::from_der(&self.der) else {
            return false;
        };
        let from = since_1970(now);
        let to = from.saturating_add(DAY * LEAF_DAYS);
        let days = parsed.validity();
        let holds = |since: Duration| {
            let seconds = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
            (days.not_before.timestamp()..=days.not_after.timestamp()).contains(&seconds)
        };
        holds(from) && holds(to)
    }

    /// A certificate for `names`, checked as a client that trusts this authority will check it: so a key
    /// that is not the authority's and names it may not sign for are found here.
    fn sign(
        &self,
        ca_params: &CertificateParams,
        names: &[Name],
        now: SystemTime,
    ) -> Result<Certificate, DevelopmentError> {
        let key = KeyPair::generate()?;
        let issuer = Issuer::from_params(ca_params, &self.key);
        let leaf = leaf_params(names, now)?.signed_by(&key, &issuer)?;
        self.verify(leaf.der(), now)
            .map_err(|error| CertificateError::Malformed(error.to_string()))?;
        let mut certificate = Certificate::new(vec![leaf.der().clone()], &key.into())?;
        // Clients refuse a wildcard right below a top-level name, and rustls the whole certificate for
        // it. So every name that shall be trusted is listed; a client told not to verify gets an answer
        // for the others below localhost too.
        certificate.names.push("*.localhost".to_owned());
        Ok(certificate)
    }

    fn verify(&self, leaf: &CertificateDer<'_>, now: SystemTime) -> Result<(), rustls::Error> {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone())?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map_err(|error| rustls::Error::General(error.to_string()))?;
        let localhost = ServerName::try_from("localhost")
            .map_err(|error| rustls::Error::General(error.to_string()))?;
        let now = UnixTime::since_unix_epoch(since_1970(now));
        verifier
            .verify_server_cert(leaf, &[], &localhost, &[], now)
            .map(|_| ())
    }
}

impl Name {
    fn new(text: &str) -> Result<Self, DevelopmentError> {
        if let Ok(address) = text.parse() {
            return Ok(Self::Address(address));
        }
        let host = text.to_ascii_lowercase();
        let fine = match host.strip_prefix("*.") {
            // Clients refuse a wildcard right below a top-level name.
            Some(parent) => parent.contains('.') && DnsName::try_from(parent).is_ok(),
            None => DnsName::try_from(host.as_str()).is_ok(),
        };
        if fine && !host.ends_with('.') {
            return Ok(Self::Host(host));
        }
        Err(DevelopmentError::Name(text.to_owned()))
    }

    /// How a certificate spells it.
    fn text(&self) -> String {
        match self {
            Self::Host(host) => host.clone(),
            Self::Address(address) => address.to_string(),
        }
    }

    /// What the authority may sign for: a host with all below it, or one address.
    fn subtree(&self) -> GeneralSubtree {
        match self {
            Self::Host(host) => {
                GeneralSubtree::DnsName(host.strip_prefix("*.").unwrap_or(host).to_owned())
            }
            Self::Address(address) => {
                let bits = if address.is_ipv4() { 32 } else { 128 };
                GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(*address, bits))
            }
        }
    }
}

fn ca_params(names: &[Name], now: SystemTime) -> Result<CertificateParams, DevelopmentError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = common_name(COMMON_NAME);
    (params.not_before, params.not_after) = days(now, CA_DAYS)?;
    // It signs certificates that are served, no further authorities. A CA writes its key identifier,
    // and what it signs points to it.
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params.name_constraints = Some(NameConstraints {
        permitted_subtrees: names.iter().map(Name::subtree).collect(),
        excluded_subtrees: Vec::new(),
    });
    Ok(params)
}

fn leaf_params(names: &[Name], now: SystemTime) -> Result<CertificateParams, DevelopmentError> {
    let mut params = CertificateParams::new(names.iter().map(Name::text).collect::<Vec<_>>())?;
    params.distinguished_name = common_name("Seawall development certificate");
    (params.not_before, params.not_after) = days(now, LEAF_DAYS)?;
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

pub(crate) fn common_name(text: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, text);
    name
}

pub(crate) fn days(
    now: SystemTime,
    count: u32,
) -> Result<(time::OffsetDateTime, time::OffsetDateTime), DevelopmentError> {
    let date = |since: Duration| {
        let seconds = i64::try_from(since.as_secs()).map_err(|_| DevelopmentError::Time(now))?;
        time::OffsetDateTime::from_unix_timestamp(seconds).map_err(|_| DevelopmentError::Time(now))
    };
    let since = since_1970(now);
    Ok((
        date(since.saturating_sub(BACKDATE))?,
        date(since.saturating_add(DAY * count))?,
    ))
}

/// A clock set before 1970 counts as 1970.
fn since_1970(time: SystemTime) -> Duration {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
}

pub(crate) fn read_if_there(path: &Path) -> Result<Option<String>, DevelopmentError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(at(path)(error)),
    }
}

/// The whole file or the one before it, whenever the machine stops.
pub(crate) fn write(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let new = path.with_extension("new");
    // One left by an interrupted start could have another mode.
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    path.parent()
        .map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

pub(crate) fn at(path: &Path) -> impl FnOnce(io::Error) -> DevelopmentError + use<> {
    let path = path.to_owned();
    move |source| DevelopmentError::State { path, source }
}
