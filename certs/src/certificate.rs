//! One certificate with its chain and private key, and what it says of itself: its names, its days.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::InconsistentKeys;
use rustls::sign::CertifiedKey;
use rustls_pki_types::{CertificateDer, DnsName, PrivateKeyDer};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// Certificates of one chain, the end entity's included.
pub const CHAIN_CERTIFICATES_MAX: usize = 16;
/// Names of one certificate.
pub const CERTIFICATE_NAMES_MAX: usize = 1_000;

/// Checked: the key belongs to the certificate, and the certificate names someone.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// DNS names, lower-case; a wildcard is `*.` and the rest. Empty when it names addresses only.
    pub(crate) names: Vec<String>,
    pub(crate) valid: Validity,
    pub(crate) key: Arc<CertifiedKey>,
}

/// The days a certificate holds, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Validity {
    pub(crate) begins: SystemTime,
    pub(crate) expires: SystemTime,
}

/// Why a chain and a key are not a [`Certificate`].
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    #[error("holds no certificate (a PEM block BEGIN CERTIFICATE)")]
    Missing,
    #[error("holds {0} certificates; a chain has at most {CHAIN_CERTIFICATES_MAX}")]
    ChainTooLong(usize),
    #[error("the certificate cannot be read: {0}")]
    Malformed(String),
    #[error(
        "the certificate names no host: subject alternative names are needed, the common name is not read"
    )]
    NoNames,
    #[error("the certificate has {0} names; at most {CERTIFICATE_NAMES_MAX} are allowed")]
    TooManyNames(usize),
    #[error("the key cannot be used: {0}")]
    Key(rustls::Error),
    #[error("the key belongs to another certificate (their public keys differ)")]
    KeyMismatch,
}

impl Certificate {
    /// Checks that `key` signs for the first certificate of `chain` and reads what that one says.
    /// Days are not judged here: an expired certificate is still better than none.
    pub fn new(
        chain: Vec<CertificateDer<'static>>,
        key: &PrivateKeyDer<'_>,
    ) -> Result<Self, CertificateError> {
        if chain.len() > CHAIN_CERTIFICATES_MAX {
            return Err(CertificateError::ChainTooLong(chain.len()));
        }
        let first = chain.first().ok_or(CertificateError::Missing)?;
        let (names, valid) = read(first)?;
        let key =
            rustls::crypto::ring::sign::any_supported_type(key).map_err(CertificateError::Key)?;
        let key = CertifiedKey::new(chain, key);
        key.keys_match().map_err(|error| match error {
            rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                CertificateError::KeyMismatch
            }
            other => CertificateError::Malformed(other.to_string()),
        })?;
        Ok(Self {
            names,
            valid,
            key: Arc::new(key),
        })
    }
}

/// The DNS names and the days of a certificate.
fn read(der: &CertificateDer<'_>) -> Result<(Vec<String>, Validity), CertificateError> {
    let malformed = |error: &dyn std::fmt::Display| CertificateError::Malformed(error.to_string());
    let (_, parsed) = X509Certificate::from_der(der).map_err(|error| malformed(&error))?;
    // RFC 9110 §4.3.4: "A reference identity of type CN-ID MUST NOT be used by clients."
    // So the common name is not read here either.
    let alternative = parsed
        .subject_alternative_name()
        .map_err(|error| malformed(&error))?;
    let alternative = alternative.map_or(&[][..], |extension| &extension.value.general_names);
    if alternative.len() > CERTIFICATE_NAMES_MAX {
        return Err(CertificateError::TooManyNames(alternative.len()));
    }
    let names: Vec<String> = alternative.iter().filter_map(dns_name).collect();
    let names_an_address = alternative
        .iter()
        .any(|name| matches!(name, GeneralName::IPAddress(_)));
    if names.is_empty() && !names_an_address {
        return Err(CertificateError::NoNames);
    }
    let days = parsed.validity();
    let valid = Validity {
        begins: system_time(days.not_before.timestamp()),
        expires: system_time(days.not_after.timestamp()),
    };
    Ok((names, valid))
}

/// A name a client could ask for by SNI; None for addresses, mail and what is not a DNS name.
fn dns_name(name: &GeneralName<'_>) -> Option<String> {
    let GeneralName::DNSName(text) = name else {
        return None;
    };
    let host = text.strip_prefix("*.").unwrap_or(text);
    DnsName::try_from(host)
        .ok()
        .map(|_| text.to_ascii_lowercase())
}

/// Seconds since 1970 as a time; before 1970 counts as 1970.
fn system_time(seconds: i64) -> SystemTime {
    let since = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    SystemTime::UNIX_EPOCH
        .checked_add(since)
        .unwrap_or(SystemTime::UNIX_EPOCH)
}
