//! What an edge and a control plane are told at their start.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use crate::file;
use crate::problem::Problems;
use crate::reader::{Fields, echo, socket_address};
use crate::schema;
use crate::site;

mod door;
mod etcd;

pub use door::{CONNECTIONS_MAX, DoorConfig, REQUESTS_MAX, TRUSTED_PROXIES_MAX, TrustedField};
pub use etcd::EtcdConfig;

/// Control planes one edge may name.
pub const CONTROL_PLANES_MAX: usize = 16;

/// `[edge]`, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EdgeConfig {
    /// Its member in `Cache-Status`: see [`edge_id`].
    pub id: String,
    pub place: String,
    pub listen: SocketAddr,
    pub listen_tls: Option<SocketAddr>,
    pub admin: SocketAddr,
    /// `https://10.0.0.1:9080`, never empty, tried in order; `http` on loopback only.
    pub control_planes: Vec<String>,
    pub state: PathBuf,
    /// None: a quarter of the memory, at most 4 GiB.
    pub cache_bytes: Option<u64>,
    pub certs: Option<PathBuf>,
    /// Who it is to its control planes, and whom it trusts there.
    pub peer_certs: Option<PathBuf>,
    pub token_file: Option<PathBuf>,
    pub door: DoorConfig,
}

/// `[control_plane]`, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlPlaneConfig {
    pub listen: SocketAddr,
    pub store: StoreConfig,
    pub state: PathBuf,
    pub peer_certs: Option<PathBuf>,
    pub tokens_file: Option<PathBuf>,
}

/// Where sites and purges are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreConfig {
    /// In a database below `state`.
    Embedded,
    Etcd(EtcdConfig),
}

impl EdgeConfig {
    /// A file for `seawall edge --config`.
    pub fn parse(text: &str) -> Result<Self, Problems> {
        file::read(text, &schema::EDGE_FILE, |mut file, problems| {
            let edge = Self::from_fields(file.table("edge")?, problems);
            file.done();
            edge
        })
    }

    fn from_fields(mut fields: Fields<'_>, problems: &mut Problems) -> Option<Self> {
        let id = fields.parsed("id", problems, edge_id);
        let place = fields.parsed("place", problems, place);
        let listen = fields.parsed("listen", problems, socket_address);
        let listen_tls = fields.parsed("listen_tls", problems, socket_address);
        let admin = fields.parsed("admin", problems, loopback_address);
        let control_planes = fields.each_parsed("control_planes", problems, control_plane);
        let state = fields.text("state").map(PathBuf::from);
        let cache_bytes = fields.number("cache_bytes");
        let certs = fields.text("certs").map(PathBuf::from);
        let peer_certs = fields.text("peer_certs").map(PathBuf::from);
        let token_file = fields.text("token_file").map(PathBuf::from);
        let door = DoorConfig::from_fields(&mut fields, problems);
        if peer_certs.is_none()
            && control_planes
                .iter()
                .any(|(_, url)| url.starts_with("https:"))
        {
            let message = "is missing; https needs the folder with ca.pem, cert.pem and key.pem";
            problems.add(fields.at("peer_certs"), message);
        }
        fields.done();
        Some(Self {
            id: id?,
            place: place?,
            listen: listen.unwrap_or(on_loopback(8080)),
            listen_tls,
            admin: admin.unwrap_or(on_loopback(9081)),
            control_planes: control_planes.into_iter().map(|(_, url)| url).collect(),
            state: state?,
            cache_bytes,
            certs,
            peer_certs,
            token_file,
            door,
        })
    }
}

impl ControlPlaneConfig {
    /// A file for `seawall control-plane --config`.
    pub fn parse(text: &str) -> Result<Self, Problems> {
        file::read(text, &schema::CONTROL_PLANE_FILE, |mut file, problems| {
            let control_plane = Self::from_fields(file.table("control_plane")?, problems);
            file.done();
            control_plane
        })
    }

    fn from_fields(mut fields: Fields<'_>, problems: &mut Problems) -> Option<Self> {
        let listen = fields.parsed("listen", problems, socket_address);
        let wants_etcd = fields.text("store") == Some("etcd");
        let state = fields.text("state").map(PathBuf::from);
        let tokens_file = fields.text("tokens_file").map(PathBuf::from);
        let peer_certs = fields.text("peer_certs").map(PathBuf::from);
        let beyond = |listen: &SocketAddr| !listen.ip().to_canonical().is_loopback();
        if peer_certs.is_none() && listen.as_ref().is_some_and(beyond) {
            let message = "is missing; beyond loopback a control plane speaks TLS only, so name the folder with ca.pem, \
                           cert.pem and key.pem that `seawall certs` makes";
            problems.add(fields.at("peer_certs"), message);
        }
        let etcd = fields.table("etcd");
        if wants_etcd && etcd.is_none() {
            let message = "is missing; the store is in etcd, so write [control_plane.etcd] with its endpoints";
            problems.add(fields.at("etcd"), message);
        }
        if !wants_etcd && etcd.is_some() {
            let message =
                "is etcd's, and the store is embedded; write store = \"etcd\", or leave it out";
            problems.add(fields.at("etcd"), message);
        }
        let etcd = etcd.map(|etcd| EtcdConfig::from_fields(etcd, problems));
        fields.done();
        let store = match etcd {
            None if wants_etcd => None,
            None => Some(StoreConfig::Embedded),
            Some(etcd) => etcd.map(StoreConfig::Etcd),
        };
        Some(Self {
            listen: listen.unwrap_or(on_loopback(9080)),
            store: store?,
            state: state?,
            peer_certs,
            tokens_file,
        })
    }
}

/// An edge's id: 1 to 63 of `a-z 0-9 - _ .`, beginning with a letter.
pub fn edge_id(text: &str) -> Result<String, String> {
    // RFC 9211 §2: the members of Cache-Status are Strings or Tokens; RFC 9651 §3.3.4: a Token begins with
    // a letter or `*`. With these letters it needs no quotes there.
    if text.starts_with(|c: char| c.is_ascii_lowercase()) && plain(text) {
        return Ok(text.to_owned());
    }
    Err(format!(
        "{} is not an id: 1 to 63 of a-z 0-9 - _ . beginning with a letter",
        echo(text)
    ))
}

fn place(text: &str) -> Result<String, String> {
    if text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit()) && plain(text) {
        return Ok(text.to_owned());
    }
    Err(format!(
        "{} is not a place: 1 to 63 of a-z 0-9 - _ . beginning with a letter or digit",
        echo(text)
    ))
}

fn plain(text: &str) -> bool {
    let fine = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b);
    text.len() <= 63 && text.bytes().all(fine)
}

fn loopback_address(text: &str) -> Result<SocketAddr, String> {
    let address = socket_address(text)?;
    if address.ip().to_canonical().is_loopback() {
        return Ok(address);
    }
    let port = address.port();
    Err(format!(
        "{text} is not loopback, and this address asks for no token: write 127.0.0.1:{port}"
    ))
}

/// A control plane's URL, as `https://host:port`.
fn control_plane(text: &str) -> Result<String, String> {
    let server = site::server(text)?;
    if !server.tls && !is_loopback(&server.host) {
        return Err(format!(
            "{} would be asked in clear over the network: write https",
            echo(text)
        ));
    }
    let host = if server.host.contains(':') {
        format!("[{}]", server.host)
    } else {
        server.host
    };
    let scheme = if server.tls { "https" } else { "http" };
    Ok(format!("{scheme}://{host}:{}", server.port))
}

/// A host that never leaves this machine.
fn is_loopback(host: &str) -> bool {
    match host.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => host == "localhost",
    }
}

fn on_loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}
