//! An authority for the control planes and edges of one deployment, and the certificates it signs: what
//! `seawall certs` makes. Each gets a folder to be copied to its machine; the authority's key stays where it is.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use rustls_pki_types::DnsName;

use crate::development::{
    CA_DAYS, DevelopmentError as Error, at, common_name, days, read_if_there, write,
};
use crate::peers::edge_uri;

/// Days that a certificate of a control plane or an edge holds.
pub const PEER_DAYS: u32 = 825;
const COMMON_NAME: &str = "Seawall deployment authority";

/// The authority of a deployment.
pub struct Authority {
    pem: String,
    key: KeyPair,
    /// False when it was there already.
    pub made: bool,
}

/// Whom a certificate is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peer {
    /// A name for its folder, and the host names and addresses that edges and commands find it at.
    ControlPlane { name: String, hosts: Vec<String> },
    /// By its id.
    Edge { id: String },
}

impl Authority {
    /// Takes the one in `folder`, or makes it: `ca.pem`, and `ca.key` for its owner only.
    pub fn open(folder: &Path, now: SystemTime) -> Result<Self, Error> {
        fs::create_dir_all(folder).map_err(at(folder))?;
        let (pem_path, key_path) = (folder.join("ca.pem"), folder.join("ca.key"));
        match (read_if_there(&pem_path)?, read_if_there(&key_path)?) {
            (Some(pem), Some(key)) => Ok(Self {
                pem,
                key: KeyPair::from_pem(&key)?,
                made: false,
            }),
            (None, None) => {
                let key = KeyPair::generate()?;
                let certificate = ca_params(now)?.self_signed(&key)?;
                write(&key_path, &key.serialize_pem(), 0o600).map_err(at(&key_path))?;
                write(&pem_path, &certificate.pem(), 0o644).map_err(at(&pem_path))?;
                Ok(Self {
                    pem: certificate.pem(),
                    key,
                    made: true,
                })
            }
            // Half of it: making another would make every certificate it signed worthless.
            _ => Err(Error::NotOurs { path: pem_path }),
        }
    }

    /// Makes `folder` with `ca.pem`, `cert.pem` and `key.pem` for a peer. None: it is there, and stays as it is.
    pub fn issue(
        &self,
        peer: &Peer,
        folder: &Path,
        now: SystemTime,
    ) -> Result<Option<PathBuf>, Error> {
        if folder.exists() {
            return Ok(None);
        }
        let params = peer_params(peer, now)?;
        let key = KeyPair::generate()?;
        // Its name and its key are all that a certificate says of the authority that signed it.
        let authority = ca_params(now)?;
        let issuer = Issuer::from_params(&authority, &self.key);
        let certificate = params.signed_by(&key, &issuer)?;
        fs::create_dir_all(folder).map_err(at(folder))?;
        let files = [
            ("key.pem", key.serialize_pem(), 0o600),
            ("cert.pem", certificate.pem(), 0o644),
            ("ca.pem", self.pem.clone(), 0o644),
        ];
        for (name, text, mode) in files {
            let path = folder.join(name);
            write(&path, &text, mode).map_err(at(&path))?;
        }
        Ok(Some(folder.to_owned()))
    }
}

fn ca_params(now: SystemTime) -> Result<CertificateParams, Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name = common_name(COMMON_NAME);
    (params.not_before, params.not_after) = days(now, CA_DAYS)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    Ok(params)
}

fn peer_params(peer: &Peer, now: SystemTime) -> Result<CertificateParams, Error> {
    let mut params = CertificateParams::default();
    (params.not_before, params.not_after) = days(now, PEER_DAYS)?;
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    match peer {
        Peer::ControlPlane { name, hosts } => {
            params.distinguished_name = common_name(&format!("Seawall control plane {name}"));
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
            for host in hosts {
                params.subject_alt_names.push(host_name(host)?);
            }
        }
        Peer::Edge { id } => {
            params.distinguished_name = common_name(&format!("Seawall edge {id}"));
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
            params.subject_alt_names = vec![SanType::URI(edge_uri(id).try_into()?)];
        }
    }
    Ok(params)
}

fn host_name(host: &str) -> Result<SanType, Error> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(SanType::IpAddress(address));
    }
    let name = host.to_ascii_lowercase();
    match DnsName::try_from(name.as_str()).is_ok() && !name.ends_with('.') {
        true => Ok(SanType::DnsName(name.try_into()?)),
        false => Err(Error::Name(host.to_owned())),
    }
}
