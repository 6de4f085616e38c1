//! An authority for the control planes and edges of one deployment, or for its etcd, and the certificates it signs:
//! what `seawall certs` makes. Each gets a folder to be copied to its machine; the authority's key stays where it is.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use rustls_pki_types::DnsName;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::development::{CA_DAYS, DevelopmentError, at, common_name, days, read_if_there, write};
use crate::peers::{certificates, edge_uri, end_of};

/// Days that a certificate of a peer holds, unless its authority ends before.
const PEER_DAYS: u32 = 825;

/// An authority, and what it is for.
pub struct Authority {
    realm: Realm,
    pem: String,
    key: KeyPair,
    ends: SystemTime,
    made: bool,
}

/// Among whom an authority is trusted. etcd lets in whoever shows a certificate of its authority, so edges have
/// another: the key of an edge must not open the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Realm {
    /// Control planes and edges.
    Seawall,
    /// The members of etcd, and the control planes that ask them.
    Etcd,
}

/// Whom a certificate is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peer {
    /// A name for its folder, and the host names and addresses that edges and commands find it at.
    ControlPlane { name: String, hosts: Vec<String> },
    /// By its id.
    Edge { id: String },
    /// A member of etcd; a control plane shows the same.
    EtcdMember { name: String, hosts: Vec<String> },
}

/// A folder for a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Issued {
    pub ends: SystemTime,
    /// False when it was there already, and stayed as it is.
    pub made: bool,
}

/// Why nothing is signed.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    #[error("{} holds half of an authority: ca.pem and ca.key belong together; bring the other back", folder.display())]
    Half { folder: PathBuf },
    #[error("{} is not the authority that is needed: it is not {}; choose another folder", folder.display(), common_name_of(*wanted))]
    OtherRealm { folder: PathBuf, wanted: Realm },
    #[error("the authority in {} has ended; make another in another folder", folder.display())]
    Ended { folder: PathBuf },
    #[error(transparent)]
    Folder(#[from] crate::peers::PeersError),
    #[error(transparent)]
    Making(#[from] DevelopmentError),
}

impl Authority {
    /// Takes the one in `folder`, or makes it: `ca.pem`, and `ca.key` for its owner only.
    pub fn open(folder: &Path, realm: Realm, now: SystemTime) -> Result<Self, AuthorityError> {
        fs::create_dir_all(folder).map_err(at(folder))?;
        let (pem_path, key_path) = (folder.join("ca.pem"), folder.join("ca.key"));
        let kept = (read_if_there(&pem_path)?, read_if_there(&key_path)?);
        let (pem, key, made) = match kept {
            (Some(pem), Some(key)) => (pem, KeyPair::from_pem(&key).map_err(making)?, false),
            (None, None) => {
                let key = KeyPair::generate().map_err(making)?;
                let certificate = ca_params(realm, now)?.self_signed(&key).map_err(making)?;
                write(&key_path, &key.serialize_pem(), 0o600).map_err(at(&key_path))?;
                write(&pem_path, &certificate.pem(), 0o644).map_err(at(&pem_path))?;
                (certificate.pem(), key, true)
            }
            // Making another would make every certificate it signed worthless.
            _ => {
                let folder = folder.to_owned();
                return Err(AuthorityError::Half { folder });
            }
        };
        let ends = Self::end_as(realm, folder)?;
        if ends <= now {
            let folder = folder.to_owned();
            return Err(AuthorityError::Ended { folder });
        }
        Ok(Self {
            realm,
            pem,
            key,
            ends,
            made,
        })
    }

    /// When the one in `folder` ends, if it is of that realm.
    fn end_as(realm: Realm, folder: &Path) -> Result<SystemTime, AuthorityError> {
        let found = certificates(&folder.join("ca.pem"))?;
        let is_named = |der: &[u8]| {
            let parsed = X509Certificate::from_der(der).ok()?.1;
            let name = parsed.subject().iter_common_name().next()?.as_str().ok()?;
            Some(name == common_name_of(realm))
        };
        match (&found[..], end_of(&found)) {
            ([only], Some(ends)) if is_named(only) == Some(true) => Ok(ends),
            _ => Err(AuthorityError::OtherRealm {
                folder: folder.to_owned(),
                wanted: realm,
            }),
        }
    }

    pub fn ends(&self) -> SystemTime {
        self.ends
    }

    /// False when it was there already.
    pub fn made(&self) -> bool {
        self.made
    }

    /// Makes `folder` with `ca.pem`, `cert.pem` and `key.pem` for a peer; one that is there stays as it is.
    pub fn issue(
        &self,
        peer: &Peer,
        folder: &Path,
        now: SystemTime,
    ) -> Result<Issued, AuthorityError> {
        if folder.exists() {
            let ends = end_of(&certificates(&folder.join("cert.pem"))?).unwrap_or(now);
            return Ok(Issued { ends, made: false });
        }
        let mut params = peer_params(peer, now)?;
        params.not_after = params.not_after.min(self.ends.into());
        let key = KeyPair::generate().map_err(making)?;
        // Its name and its key are all that a certificate says of the authority that signed it.
        let authority = ca_params(self.realm, now)?;
        let issuer = Issuer::from_params(&authority, &self.key);
        let certificate = params.signed_by(&key, &issuer).map_err(making)?;
        // The whole folder or none: half of one would be taken for one that is there.
        let new = folder.with_added_extension("new");
        if new.exists() {
            fs::remove_dir_all(&new).map_err(at(&new))?;
        }
        fs::create_dir_all(&new).map_err(at(&new))?;
        let files = [
            ("key.pem", key.serialize_pem(), 0o600),
            ("cert.pem", certificate.pem(), 0o644),
            ("ca.pem", self.pem.clone(), 0o644),
        ];
        for (name, text, mode) in files {
            let path = new.join(name);
            write(&path, &text, mode).map_err(at(&path))?;
        }
        fs::rename(&new, folder).map_err(at(folder))?;
        let ends = params.not_after.into();
        Ok(Issued { ends, made: true })
    }
}

impl Peer {
    pub fn realm(&self) -> Realm {
        match self {
            Self::ControlPlane { .. } | Self::Edge { .. } => Realm::Seawall,
            Self::EtcdMember { .. } => Realm::Etcd,
        }
    }
}

fn common_name_of(realm: Realm) -> &'static str {
    match realm {
        Realm::Seawall => "Seawall deployment authority",
        Realm::Etcd => "Seawall etcd authority",
    }
}

fn ca_params(realm: Realm, now: SystemTime) -> Result<CertificateParams, DevelopmentError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = common_name(common_name_of(realm));
    (params.not_before, params.not_after) = days(now, CA_DAYS)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    Ok(params)
}

fn peer_params(peer: &Peer, now: SystemTime) -> Result<CertificateParams, DevelopmentError> {
    use ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};
    let mut params = CertificateParams::default();
    (params.not_before, params.not_after) = days(now, PEER_DAYS)?;
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    let (whose, hosts) = match peer {
        Peer::ControlPlane { name, hosts } => (format!("control plane {name}"), &hosts[..]),
        Peer::Edge { id } => (format!("edge {id}"), &[][..]),
        Peer::EtcdMember { name, hosts } => (format!("etcd {name}"), &hosts[..]),
    };
    params.distinguished_name = common_name(&format!("Seawall {whose}"));
    for host in hosts {
        params.subject_alt_names.push(host_name(host)?);
    }
    params.extended_key_usages = match peer {
        Peer::ControlPlane { .. } => vec![ServerAuth],
        Peer::Edge { .. } => vec![ClientAuth],
        // Members of etcd are each other's clients.
        Peer::EtcdMember { .. } => vec![ClientAuth, ServerAuth],
    };
    if let Peer::Edge { id } = peer {
        let uri = edge_uri(id).try_into();
        params.subject_alt_names.push(SanType::URI(uri?));
    }
    Ok(params)
}

fn host_name(host: &str) -> Result<SanType, DevelopmentError> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(SanType::IpAddress(address));
    }
    let name = host.to_ascii_lowercase();
    match DnsName::try_from(name.as_str()).is_ok() && !name.ends_with('.') {
        true => Ok(SanType::DnsName(name.try_into()?)),
        false => Err(DevelopmentError::Name(host.to_owned())),
    }
}

fn making(error: rcgen::Error) -> DevelopmentError {
    error.into()
}
