//! Certificates that an authority of a deployment signs: whom they let in, and as whom.
#![allow(clippy::disallowed_methods)] // a handshake reads the real clock

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConnection, ServerConnection};
use seawall_certs::authority::AuthorityError;
use seawall_certs::peers::{client_trusting, edge_id};
use seawall_certs::{Authority, Peer, Peers, Realm};

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("seawall-peers-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        Self(path)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn plane(hosts: &[&str]) -> Peer {
    let hosts = hosts.iter().map(ToString::to_string).collect();
    Peer::ControlPlane {
        name: "cp1".into(),
        hosts,
    }
}

fn edge(id: &str) -> Peer {
    Peer::Edge { id: id.into() }
}

#[test]
fn an_edge_is_known_by_its_certificate_and_a_stranger_is_not_let_in() {
    let folder = Folder::new("known");
    let now = SystemTime::now();
    let authority = Authority::open(&folder.at("authority"), Realm::Seawall, now).unwrap();
    assert!(authority.made());
    authority
        .issue(
            &plane(&["127.0.0.1", "cp1.example"]),
            &folder.at("cp1"),
            now,
        )
        .unwrap();
    authority
        .issue(&edge("fra1-a"), &folder.at("fra1-a"), now)
        .unwrap();
    let other = Authority::open(&folder.at("other"), Realm::Seawall, now).unwrap();
    other
        .issue(&edge("fra1-a"), &folder.at("stranger"), now)
        .unwrap();
    let later = Authority::open(&folder.at("authority"), Realm::Seawall, now).unwrap();
    assert!(!later.made(), "the same authority");
    let gone = now - Duration::from_secs(900 * 24 * 60 * 60);
    later.issue(&edge("old"), &folder.at("old"), gone).unwrap();

    let server = Peers::open(&folder.at("cp1")).unwrap();
    let check = |client: &str, name: &str, expect: Result<Option<&str>, ()>| {
        let config = match client {
            "" => Arc::new(client_trusting(&folder.at("authority").join("ca.pem")).unwrap()),
            client => Peers::open(&folder.at(client)).unwrap().client(),
        };
        let found =
            shake_hands(&server, config, name).map(|shown| shown.and_then(|it| edge_id(&it)));
        assert_eq!(
            found.as_ref().map(Option::as_deref).map_err(|_| ()),
            expect,
            "{client} {name}: {found:?}"
        );
    };
    check("fra1-a", "127.0.0.1", Ok(Some("fra1-a")));
    check("fra1-a", "cp1.example", Ok(Some("fra1-a")));
    check("fra1-a", "cp2.example", Err(()));
    check("", "127.0.0.1", Ok(None));
    check("stranger", "127.0.0.1", Err(()));
    check("old", "127.0.0.1", Err(()));
}

#[test]
fn what_is_there_is_never_overwritten() {
    let folder = Folder::new("kept");
    let now = SystemTime::now();
    let authority = Authority::open(&folder.at("authority"), Realm::Seawall, now).unwrap();
    assert!(
        authority
            .issue(&edge("a"), &folder.at("a"), now)
            .unwrap()
            .made
    );
    let key = fs::read(folder.at("a").join("key.pem")).unwrap();
    let kept = authority.issue(&edge("b"), &folder.at("a"), now).unwrap();
    assert!(!kept.made);
    assert_eq!(fs::read(folder.at("a").join("key.pem")).unwrap(), key);
    fs::remove_file(folder.at("authority").join("ca.key")).unwrap();
    assert!(
        Authority::open(&folder.at("authority"), Realm::Seawall, now).is_err(),
        "half an authority"
    );
    let bad = Authority::open(&folder.at("new"), Realm::Seawall, now).unwrap();
    assert!(
        bad.issue(&plane(&["no host"]), &folder.at("x"), now)
            .is_err()
    );
    assert!(!folder.at("x").exists(), "nothing is left of what failed");
}

#[test]
fn etcd_and_the_edges_have_no_authority_in_common() {
    let folder = Folder::new("realms");
    let now = SystemTime::now();
    let open = |realm| Authority::open(&folder.at("authority"), realm, now);
    let member = Peer::EtcdMember {
        name: "etcd1".into(),
        hosts: vec!["127.0.0.1".into()],
    };
    open(Realm::Etcd)
        .unwrap()
        .issue(&member, &folder.at("etcd1"), now)
        .unwrap();
    let refused = open(Realm::Seawall).err().unwrap();
    assert!(
        matches!(refused, AuthorityError::OtherRealm { .. }),
        "{refused}"
    );
    // Members ask each other, and control planes ask them, with the same certificate.
    let peers = Peers::open(&folder.at("etcd1")).unwrap();
    let shown = shake_hands(&peers, peers.client(), "127.0.0.1").unwrap();
    assert_eq!(edge_id(&shown.unwrap()), None);
}

#[test]
fn no_certificate_outlives_its_authority() {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    let folder = Folder::new("ends");
    let now = SystemTime::now();
    let made = Authority::open(&folder.at("authority"), Realm::Seawall, now).unwrap();
    let issued = made.issue(&edge("a"), &folder.at("a"), now).unwrap();
    assert!(issued.ends > now + 800 * DAY && issued.ends < made.ends());
    assert_eq!(Peers::open(&folder.at("a")).unwrap().ends(), issued.ends);
    let late = made.ends() - DAY;
    let later = Authority::open(&folder.at("authority"), Realm::Seawall, late).unwrap();
    let issued = later.issue(&edge("b"), &folder.at("b"), late).unwrap();
    assert_eq!(issued.ends, made.ends());
    let after = Authority::open(&folder.at("authority"), Realm::Seawall, made.ends());
    assert!(matches!(after.err(), Some(AuthorityError::Ended { .. })));
}

#[test]
fn keys_are_for_their_owner_only_and_a_folder_can_be_read_again() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new("mode");
    let now = SystemTime::now();
    let authority = Authority::open(&folder.at("authority"), Realm::Seawall, now).unwrap();
    authority.issue(&edge("a"), &folder.at("a"), now).unwrap();
    for key in ["authority/ca.key", "a/key.pem"] {
        let mode = fs::metadata(folder.at(key)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{key}");
    }
    let peers = Peers::open(&folder.at("a")).unwrap();
    fs::write(folder.at("a").join("cert.pem"), "no certificate").unwrap();
    let why = peers.reload().unwrap_err().to_string();
    assert!(why.contains("cert.pem holds no certificate"), "{why}");
    let _ = peers.client();
    let why = Peers::open(&folder.at("nowhere")).unwrap_err().to_string();
    assert!(why.contains("ca.pem cannot be read"), "{why}");
}

/// The certificate that the client showed.
fn shake_hands(
    server: &Peers,
    client: Arc<rustls::ClientConfig>,
    name: &str,
) -> Result<Option<CertificateDer<'static>>, rustls::Error> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = ClientConnection::new(client, name)?;
    let mut server = ServerConnection::new(server.server())?;
    while client.is_handshaking() || server.is_handshaking() {
        let mut wire = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut wire).unwrap();
        }
        let mut wire = &wire[..];
        while !wire.is_empty() {
            server.read_tls(&mut wire).unwrap();
            server.process_new_packets()?;
        }
        let mut wire = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut wire).unwrap();
        }
        let mut wire = &wire[..];
        while !wire.is_empty() {
            client.read_tls(&mut wire).unwrap();
            client.process_new_packets()?;
        }
    }
    let shown = server.peer_certificates().and_then(|chain| chain.first());
    Ok(shown.map(|certificate| certificate.clone().into_owned()))
}
