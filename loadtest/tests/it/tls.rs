//! https: whom the load tool believes.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use rustls::HandshakeKind;
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
    let (port, _) = tls_server(cert.der().clone(), &signing_key).await;
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

#[tokio::test]
async fn as_many_connections_resume_a_session_as_the_plan_says() {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    for resume in [0.0, 0.5, 1.0] {
        let (port, seen) = tls_server(cert.der().clone(), &signing_key).await;
        let closed = Mode::Closed { connections: 1 };
        let mut plan = Plan {
            trust: Some(Trust::Anyone),
            ..Plan::new(
                format!("https://localhost:{port}/"),
                closed,
                Duration::from_secs(60),
            )
        };
        plan.how.requests_per_connection = Some(1);
        plan.how.resume = resume;
        let all = || seen.full.load(Ordering::Relaxed) + seen.resumed.load(Ordering::Relaxed);
        let stop = async {
            while all() < 200 {
                tokio::task::yield_now().await;
            }
        };
        let report = run(plan, stop).await.unwrap();
        assert_eq!(report.errors, 0, "{report}");
        let share = seen.resumed.load(Ordering::Relaxed) as f64 / all() as f64;
        // The first has nothing to resume.
        assert!((share - resume).abs() < 0.15, "{resume}: {share}");
    }
}

/// Handshakes of a server.
#[derive(Default)]
struct Seen {
    full: AtomicU64,
    resumed: AtomicU64,
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

async fn tls_server(
    certificate: rustls::pki_types::CertificateDer<'static>,
    key: &KeyPair,
) -> (u16, Arc<Seen>) {
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
    let seen = Arc::new(Seen::default());
    let counts = seen.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, counts) = (acceptor.clone(), counts.clone());
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else {
                    return;
                };
                let count = match stream.get_ref().1.handshake_kind() {
                    Some(HandshakeKind::Resumed) => &counts.resumed,
                    _ => &counts.full,
                };
                count.fetch_add(1, Ordering::Relaxed);
                let answer = |_: &str| {
                    "HTTP/1.1 200 OK\r\nX-Cache: STALE\r\nContent-Length: 2\r\n\r\nok".to_owned()
                };
                converse(stream, answer, mpsc::unbounded_channel().0).await;
            });
        }
    });
    (port, seen)
}
