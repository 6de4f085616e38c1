//! https: whom the load tool believes.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use rustls::pki_types::PrivateKeyDer;
use seawall_loadtest::{Class, Error, Mode, Plan, Report, Trust, run};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

use crate::{converse, never};

#[tokio::test]
async fn a_tls_server_is_believed_by_its_authority_or_when_told_to_believe_anyone() {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let port = tls_server(cert.der().clone(), &signing_key).await;
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (ours, other) = (folder.join("ours.pem"), folder.join("other.pem"));
    std::fs::write(&ours, cert.pem()).unwrap();
    let stranger = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(&other, stranger.cert.pem()).unwrap();

    for trust in [Trust::CaFile(ours), Trust::Anyone] {
        let report = get(port, trust).await.unwrap();
        assert!(report.requests > 0);
        assert_eq!(
            report.classes[&Class::Stale].count,
            report.requests,
            "{report}"
        );
    }
    let refused = get(port, Trust::CaFile(other))
        .await
        .expect_err("another authority");
    assert!(matches!(refused, Error::Unreachable { .. }), "{refused}");
    let refused = get(port, Trust::CaFile(folder.join("missing.pem")))
        .await
        .expect_err("no file");
    assert!(matches!(refused, Error::File { .. }), "{refused}");
}

async fn get(port: u16, trust: Trust) -> Result<Report, Error> {
    let closed = Mode::Closed { connections: 2 };
    let plan = Plan {
        trust: Some(trust),
        ..Plan::new(
            format!("https://localhost:{port}/"),
            closed,
            Duration::from_millis(200),
        )
    };
    run(plan, never()).await
}

async fn tls_server(certificate: rustls::pki_types::CertificateDer<'static>, key: &KeyPair) -> u16 {
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else {
                    return;
                };
                let answer = |_: &str| {
                    "HTTP/1.1 200 OK\r\nX-Cache: STALE\r\nContent-Length: 2\r\n\r\nok".to_owned()
                };
                converse(stream, answer, mpsc::unbounded_channel().0).await;
            });
        }
    });
    port
}
