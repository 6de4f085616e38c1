//! Real handshakes in memory: a rustls client that trusts `ca.pem` alone, and our server side.

use std::io::Cursor;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConnection};
use seawall_certs::{Keyring, Resolver, development_ca, server_config};

use crate::{folder, now};

#[test]
fn a_client_that_trusts_the_development_ca_gets_the_protocol_it_asks_for() {
    let (resolver, roots) = development("handshake_alpn");
    for name in ["localhost", "shop.localhost", "127.0.0.1", "::1"] {
        for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
            let check = |offered: &[&str], expect: Option<&str>| {
                let client = client(&roots, version, offered);
                let agreed =
                    handshake(client, name, &resolver).map(|alpn| alpn.unwrap_or_default());
                assert_eq!(
                    agreed,
                    Ok(expect.unwrap_or_default().to_owned()),
                    "{name} {offered:?}"
                );
            };
            check(&["h2", "http/1.1"], Some("h2"));
            check(&["http/1.1", "h2"], Some("h2"));
            check(&["http/1.1"], Some("http/1.1"));
            check(&[], None);
        }
    }
}

#[test]
fn a_name_without_a_certificate_ends_the_handshake_with_an_alert() {
    let (resolver, roots) = development("handshake_wrong");
    let client = || client(&roots, &rustls::version::TLS13, &["h2"]);
    let refused = handshake(client(), "other.example", &resolver).expect_err("no certificate");
    assert!(refused.contains("AccessDenied"), "{refused}");
    // The authority has not signed for this name; a client that verifies notices.
    let refused = handshake(client(), "unlisted.localhost", &resolver).expect_err("not listed");
    assert!(refused.contains("NotValidForName"), "{refused}");
}

#[test]
fn a_replaced_keyring_answers_the_next_handshake() {
    let (resolver, roots) = development("handshake_replaced");
    let client = || client(&roots, &rustls::version::TLS13, &["h2"]);
    let before = resolver.keyring();
    resolver.replace(Keyring::new(&[]));
    assert!(handshake(client(), "localhost", &resolver).is_err());
    resolver.replace((*before).clone());
    assert_eq!(
        handshake(client(), "localhost", &resolver),
        Ok(Some("h2".into()))
    );
}

fn development(name: &str) -> (Arc<Resolver>, Arc<RootCertStore>) {
    let ca = development_ca(&folder(name), &["shop.localhost"], now()).unwrap();
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(&ca.ca_pem).unwrap())
        .unwrap();
    (Arc::new(Resolver::new(ca.keyring)), Arc::new(roots))
}

fn client(
    roots: &Arc<RootCertStore>,
    version: &'static rustls::SupportedProtocolVersion,
    alpn: &[&str],
) -> ClientConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let inner = WebPkiServerVerifier::builder_with_provider(roots.clone(), provider.clone());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AtNow(inner.build().unwrap())))
        .with_no_client_auth();
    config.alpn_protocols = alpn
        .iter()
        .map(|protocol| protocol.as_bytes().to_vec())
        .collect();
    config
}

/// What was agreed, or the first error of either side.
fn handshake(
    client: ClientConfig,
    name: &str,
    resolver: &Arc<Resolver>,
) -> Result<Option<String>, String> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = ClientConnection::new(Arc::new(client), name).unwrap();
    let mut server = ServerConnection::new(server_config(resolver.clone()).unwrap()).unwrap();
    while client.is_handshaking() || server.is_handshaking() {
        let mut sent = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut sent).unwrap();
        }
        server.read_tls(&mut Cursor::new(sent)).unwrap();
        let at_server = server.process_new_packets().map(|_| ());
        let mut answered = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut answered).unwrap();
        }
        client.read_tls(&mut Cursor::new(answered)).unwrap();
        client
            .process_new_packets()
            .map_err(|error| format!("{error:?}"))?;
        at_server.map_err(|error| format!("{error:?}"))?;
    }
    Ok(server
        .alpn_protocol()
        .map(|alpn| String::from_utf8(alpn.to_vec()).unwrap()))
}

/// rustls' own verifier, at the time of these tests.
#[derive(Debug)]
struct AtNow(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for AtNow {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        let now = now()
            .duration_since(std::time::SystemTime::UNIX_EPOCH)
            .unwrap();
        let now = UnixTime::since_unix_epoch(now);
        self.0
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
