//! Which certificate answers for which server name. Immutable: a change is a new keyring.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use rustls::sign::CertifiedKey;

use crate::certificate::Certificate;

/// Server name -> certificate, by the certificates' own names.
#[derive(Clone, Default)]
pub struct Keyring {
    exact: HashMap<String, Held>,
    /// `*.example.com` is held as `example.com`.
    below: HashMap<String, Held>,
    /// The certificate for a client that names no server: only when there is no other.
    only: Option<Arc<CertifiedKey>>,
}

#[derive(Clone)]
struct Held {
    expires: SystemTime,
    key: Arc<CertifiedKey>,
}

impl Keyring {
    /// Where two certificates carry one name, the one that expires later answers for it; of two that
    /// expire together, the first.
    pub fn new(certificates: &[Certificate]) -> Self {
        let mut keyring = Self::default();
        for certificate in certificates {
            for name in &certificate.names {
                keyring.hold(name, certificate);
            }
        }
        if let [one] = certificates {
            keyring.only = Some(one.key.clone());
        }
        keyring
    }

    /// The certificate for what a client asked for, in any case; never one that does not carry the name.
    ///
    /// A client that connects to an address sends no name (RFC 6066 §3: "Literal IPv4 and IPv6 addresses
    /// are not permitted in HostName"). With exactly one certificate there is nobody it could be
    /// confused with, so it is shown: that is what makes `curl https://127.0.0.1:8443` work with the
    /// development CA. With several there is no telling whose is meant, and the answer is None.
    pub fn certificate(&self, server_name: Option<&str>) -> Option<Arc<CertifiedKey>> {
        let Some(name) = server_name else {
            return self.only.clone();
        };
        let name = name.to_ascii_lowercase();
        // RFC 9525 §6.3: a wildcard stands for the whole left-most label, and for one label only.
        let held = self
            .exact
            .get(&name)
            .or_else(|| self.below.get(name.split_once('.')?.1))?;
        Some(held.key.clone())
    }

    /// Whether one certificate answers for both names: a client that was shown it for the one may ask for the other
    /// on the same connection (RFC 9110 §15.5.20, RFC 9113 §9.1.1).
    pub fn is_one_for(&self, shown: &str, asked: &str) -> bool {
        shown.eq_ignore_ascii_case(asked)
            || match (self.certificate(Some(shown)), self.certificate(Some(asked))) {
                (Some(shown), Some(asked)) => Arc::ptr_eq(&shown, &asked),
                _ => false,
            }
    }

    /// Whether a client that named no server was shown a certificate for this name.
    pub fn shows_all(&self, name: &str) -> bool {
        match (&self.only, self.certificate(Some(name))) {
            (Some(only), Some(named)) => Arc::ptr_eq(only, &named),
            _ => false,
        }
    }

    /// Each name and when the certificate that answers for it expires, in no order.
    pub fn expires(&self) -> impl Iterator<Item = (String, SystemTime)> {
        let exact = self
            .exact
            .iter()
            .map(|(name, held)| (name.clone(), held.expires));
        let below = self
            .below
            .iter()
            .map(|(name, held)| (format!("*.{name}"), held.expires));
        exact.chain(below)
    }

    fn hold(&mut self, name: &str, certificate: &Certificate) {
        let (names, name) = match name.strip_prefix("*.") {
            Some(parent) => (&mut self.below, parent),
            None => (&mut self.exact, name),
        };
        let expires = certificate.valid.expires;
        if names.get(name).is_none_or(|held| held.expires < expires) {
            names.insert(
                name.to_owned(),
                Held {
                    expires,
                    key: certificate.key.clone(),
                },
            );
        }
    }
}

impl fmt::Debug for Keyring {
    /// The names; nothing of the keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names: Vec<_> = self.expires().map(|(name, _)| name).collect();
        names.sort();
        f.debug_tuple("Keyring").field(&names).finish()
    }
}
